"""List what is in a file: a line for each member, as h5ls does."""

from __future__ import annotations

import argparse
from typing import Any

from memdata.cli.output import facts_as_json, print_json
from memdata.cli.targets import opened

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE[/PATH]", help="an HDF5 file or zarr store"
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="all that is below, too")
    parser.add_argument(
        "-l", "--long", action="store_true", help="with type, size, units and compression"
    )
    parser.add_argument("-a", "--attributes", action="store_true", help="with attributes")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata.show.walk import Limits, walk

    found: list[dict[str, Any]] = []
    for text in options.files:
        with opened(text) as (item, target):
            root = walk(item, Limits(None if options.recursive else 1), path=target.path)
            for entry in root.all():  # the order of names, whatever order a file keeps
                entry.children.sort(key=lambda child: child.facts.name.encode(errors="replace"))
            shown = list(root.all())
            if root.facts.kind == "group" and not options.recursive:
                shown = shown[1:]
            if options.json:
                nodes = [facts_as_json(entry.facts) for entry in shown]
                found.append({"file": target.file, "path": target.path, "nodes": nodes})
                continue
            for entry in shown:
                _print(entry.facts, options)
    if options.json:
        print_json(found)
    return 0


def _print(facts: Any, options: argparse.Namespace) -> None:
    from memdata.show import words

    name = words.printable(facts.path if options.recursive or not facts.name else facts.name)
    print(f"{name:24} {_kind(facts)}")
    if options.long and facts.kind == "dataset":
        about = (
            words.type_words(facts.dtype),
            words.size(facts.nbytes),
            facts.units,
            facts.packing,
        )
        print("    " + ", ".join(one for one in about if one))
    if options.attributes:
        for key, value in facts.attrs.items():
            print(f"    @{words.printable(str(key))} = {words.value(value, 200)}")


def _kind(facts: Any) -> str:
    """The kind of a node in h5ls's words."""
    if facts.kind == "dataset":
        return f"Dataset {_space(facts)}"
    if facts.kind == "group":
        return f"Group, {facts.words}" if facts.words else "Group"
    if facts.kind == "link":
        word = "Soft Link" if type(facts.item).__name__ == "SoftLink" else "External Link"
        return f"{word} {{{facts.words.removeprefix('→ ').replace(' : ', '/')}}}"
    return "Type" if facts.kind == "type" else f"cannot be read: {facts.words}"


def _space(facts: Any) -> str:
    if facts.shape is None:
        return "{NULL}"
    if not facts.shape:
        return "{SCALAR}"
    most = facts.maxshape or facts.shape
    pairs = zip(facts.shape, most, strict=True)
    lengths = (str(n) if n == m else f"{n}/{'Inf' if m is None else m}" for n, m in pairs)
    return f"{{{', '.join(lengths)}}}"
