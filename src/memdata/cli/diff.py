"""Compare two HDF5 files or zarr stores: names, types, attributes, values."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from memdata.cli.output import print_json

__all__ = ["configure", "run"]

_RULES = ("rtol", "atol", "types", "attributes", "links", "filters")


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("a", help="a file")
    parser.add_argument("b", help="another")
    parser.add_argument(
        "--rtol", type=float, default=0.0, metavar="R", help="relative tolerance of numbers"
    )
    parser.add_argument(
        "--atol", type=float, default=0.0, metavar="A", help="absolute tolerance of numbers"
    )
    for name, what in (("types", "types"), ("attributes", "attributes"), ("links", "links")):
        parser.add_argument(
            f"--no-{name}", dest=name, action="store_false", help=f"do not compare {what}"
        )
    parser.add_argument("--filters", action="store_true", help="compare chunks and compression")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the exit code")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata.comparing import diff

    found = diff(options.a, options.b, **{name: getattr(options, name) for name in _RULES})
    if options.json:
        differences = [asdict(one) for one in found]
        print_json({"a": found.a, "b": found.b, "equal": not found, "differences": differences})
    elif found and not options.quiet:
        print(found)
    return int(bool(found))
