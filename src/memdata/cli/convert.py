"""Write a file anew: as HDF5 or zarr, in other chunks, with other compression, or a part of it.

Datasets are moved tile by tile; files larger than the memory can be converted. Under mpiexec the
ranks share the rows of large datasets, and hold these in memory. The file appears when it is whole.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from memdata.cli.output import print_json
from memdata.cli.targets import Target, opened

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    from memdata.cli.rewriting import add_options

    parser.add_argument(
        "source", metavar="FILE[/PATH]", help="an HDF5 file or zarr store, or a group"
    )
    parser.add_argument("target", help="the new file: NAME.h5, NAME.zarr, NAME.zarr.zip")
    parser.add_argument(
        "-s",
        "--select",
        action="append",
        default=[],
        metavar="PATH=INDEX",
        help="a part of a dataset, as in NumPy: vis=0:10,::2",
    )
    add_options(parser)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata import fileformats
    from memdata.cli import rewriting
    from memdata.cli.selecting import named_index
    from memdata.show.words import amount, size

    changes = rewriting.changes_of(options)
    selections = dict(named_index(text) for text in options.select)
    with opened(options.source) as (item, target):
        source = rewriting.Rewritten(source_of(item, target, options.source), changes)
        zarr = rewriting.format_of(options.target, options) is fileformats.Zarr
        with contextlib.closing(source):
            done = rewriting.write(
                source, options.target, options, selections, zarr == target.is_zarr
            )
    done = {"source": options.source, "datasets": source.count, **done}
    if not rewriting.is_first():
        return 0
    if options.json:
        print_json(done)
    elif not options.quiet:
        count = amount(done["datasets"], "dataset")
        print(f"{options.target}: {count}, {size(done['target_bytes'])} in {done['seconds']:.1f} s")
    return 0


def source_of(item: Any, target: Target, text: str) -> Any:
    """A source of what was opened.

    Raises
    ------
    ValueError
        A dataset alone.
    """
    from memdata.transfer.load import source_of_group

    if not hasattr(item, "create_group"):
        name = target.path.strip("/")
        raise ValueError(f"{text} is a dataset; write {target.file} --only {name}")
    return source_of_group(item, copying=True)
