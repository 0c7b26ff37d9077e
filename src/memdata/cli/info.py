"""Say what a file, group or dataset is: shape, type, units, chunks, sizes, attributes."""

from __future__ import annotations

import argparse
import os
from typing import Any

from memdata.cli.output import add_color, facts_as_json, print_json, print_picture
from memdata.cli.targets import Target, opened

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE[/PATH]", help="an HDF5 file or zarr store"
    )
    add_color(parser)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata import show
    from memdata.show.facts import facts_of
    from memdata.show.text import Picture

    found = []
    for number, text in enumerate(options.files):
        with opened(text) as (item, target):
            about = _about(item, target)
            if options.json:
                name = target.path.rpartition("/")[2]
                found.append({**about, **facts_as_json(facts_of(item, name, target.path))})
                continue
            picture = show.describe(item)
            rows = [
                [("label", f"  {label:10}  "), ("", str(value))]
                for label, value in _said(about).items()
            ]
            if number:
                print()
            print_picture(Picture([*picture.lines[:1], *rows, *picture.lines[1:]]), options.color)
    if options.json:
        print_json(found)
    return 0


def _about(item: Any, target: Target) -> dict[str, Any]:
    """What the file itself is."""
    about: dict[str, Any] = {"file": target.file, "format": "zarr" if target.is_zarr else "HDF5"}
    if target.is_zarr:
        from memdata.formats import zarr_library

        about["zarr_format"] = zarr_library.format_of(item)
        return about
    about["file_bytes"] = os.path.getsize(target.file)
    if target.path == "/":
        plist = item.id.get_create_plist()
        about["superblock"] = plist.get_version()[0]
        about["userblock_bytes"] = item.userblock_size
        about["unused_bytes"] = item.id.get_freespace()
    return about


def _said(about: dict[str, Any]) -> dict[str, str]:
    from memdata.show import words

    if about["format"] == "zarr":
        return {"file": about["file"], "format": f"zarr {about['zarr_format']}"}
    said = {"file": f"{about['file']}, {words.size(about['file_bytes'])}", "format": "HDF5"}
    if "superblock" in about:
        said["format"] += f", superblock {about['superblock']}"
        if about["userblock_bytes"]:
            said["user block"] = words.size(about["userblock_bytes"])
        if about["unused_bytes"]:
            said["unused"] = words.size(about["unused_bytes"])
    return said
