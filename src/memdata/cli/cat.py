"""Put files together along an axis.

Datasets that have the axis are joined; which axes a dataset has says its attribute "axis" (or
labels of dimensions), and index_map/NAME is a coordinate of the axis NAME. All else is taken from
the first file, and has to be the same in all. Elements are read and written tile by tile.
"""

from __future__ import annotations

import argparse
import contextlib

from memdata.cli.output import print_json
from memdata.cli.targets import opened

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    from memdata.cli.rewriting import add_options

    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="HDF5 files or zarr stores, in order"
    )
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the new file")
    parser.add_argument(
        "--axis", default="time", metavar="NAME", help="name of the axis, or its number (time)"
    )
    parser.add_argument(
        "--keep", action="append", default=[], metavar="GLOB", help="datasets that are not joined"
    )
    parser.add_argument(
        "--keep-first", action="store_true", help="do not check that all else is the same"
    )
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata import fileformats
    from memdata.cli import rewriting
    from memdata.cli.convert import source_of
    from memdata.cli.joining import Joined
    from memdata.show.words import amount, size

    changes = rewriting.changes_of(options)
    axis = int(options.axis) if options.axis.isdecimal() else options.axis
    with contextlib.ExitStack() as stack:
        sources, kinds = [], set()
        for text in options.files:
            item, target = stack.enter_context(opened(text))
            sources.append(source_of(item, target, text))
            kinds.add(target.is_zarr)
        check = not options.keep_first
        joined = Joined(sources, options.files, axis, options.keep, check, changes.wants)
        source = stack.enter_context(contextlib.closing(rewriting.Rewritten(joined, changes)))
        zarr = rewriting.format_of(options.output, options) is fileformats.Zarr
        done = rewriting.write(source, options.output, options, None, kinds == {zarr})
    done = {"sources": options.files, "datasets": source.count, "joined": joined.joined, **done}
    if not rewriting.is_first():
        return 0
    if options.json:
        print_json(done)
    elif not options.quiet:
        many = amount(len(joined.joined), "dataset")
        took = f"{size(done['target_bytes'])} in {done['seconds']:.1f} s"
        print(f"{options.output}: {many} joined, {took}")
    return 0
