"""Draw the tree of a file: shapes, types, sizes, units, compression."""

from __future__ import annotations

import argparse

from memdata.cli.output import add_color, facts_as_json, print_json, print_picture
from memdata.cli.targets import opened

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE[/PATH]", help="an HDF5 file or zarr store"
    )
    parser.add_argument("-L", "--level", type=int, metavar="N", help="at most N levels deep")
    parser.add_argument(
        "-n", "--number", type=int, metavar="N", help="at most N members of a group"
    )
    add_color(parser)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata import show
    from memdata.show.walk import Limits, walk

    found = []
    for text in options.files:
        with opened(text) as (item, target):
            if options.json:
                limits = Limits(options.level, options.number)
                root = walk(item, limits, path=target.path)
                nodes = [facts_as_json(entry.facts) for entry in root.all()]
                found.append({"file": target.file, "nodes": nodes})
                continue
            picture = show.tree(item, depth=options.level, max_children=options.number, name=text)
            print_picture(picture, options.color)
    if options.json:
        print_json(found)
    return 0
