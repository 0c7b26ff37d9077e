"""Copy every group, attribute, dataset and chunk of a damaged file that can be read.

Elements that cannot be read are fill values in the new file. Each place that was lost is told, and
each that was read and does not have the checksum that it was saved with.
"""

from __future__ import annotations

import argparse

from memdata.cli.output import damage_as_json, print_damage, print_json, wants_progress
from memdata.cli.targets import parsed

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("file", metavar="FILE", help="a damaged HDF5 file or zarr store")
    parser.add_argument("out", metavar="OUT", help="the new file: NAME.h5, NAME.zarr")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="no progress bar, only the exit code"
    )


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata import rescue
    from memdata.show.words import amount

    target = parsed(options.file)
    if target.path != "/":
        raise ValueError(f"{options.file}: rescue takes whole files; write {target.file}")
    try:
        found = rescue(
            target.file,
            options.out,
            overwrite=options.overwrite,
            file_format=target.file_format,
            progress=wants_progress(options.quiet),
        )
    except FileExistsError as error:
        if options.overwrite or error.errno is None:
            raise
        text = "is there already; --overwrite replaces it"
        raise FileExistsError(error.errno, text, options.out) from None
    if options.json:
        print_json(
            {
                "file": options.file,
                "out": options.out,
                "complete": found.complete,
                "datasets": found.datasets,
                "lost": [*map(damage_as_json, found.lost)],
                "changed": [*map(damage_as_json, found.changed)],
            }
        )
    elif not options.quiet:
        print_damage(options.file, (*found.lost, *found.changed))
        lost = amount(len(found.lost), "place")
        what = "all of it" if found.complete else f"{lost} lost, {len(found.changed)} changed"
        print(f"{options.out}: {amount(found.datasets, 'dataset')}: {what}")
    return int(not found.complete)
