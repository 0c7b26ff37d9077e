"""The command ``python -m memdata``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from memdata.comparing import diff

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; None takes those of the process.

    Returns
    -------
    int
        The exit code: of ``diff`` 0 where there is no difference, 1 where there is one, 2 where
        the files cannot be compared.

    Examples
    --------
    >>> main(["diff", "no-such-file.h5", "nor-this.h5"])
    2
    """
    parser = argparse.ArgumentParser(
        prog="python -m memdata", description="Trees of arrays and attributes in files."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    _add_diff(commands)
    chosen = parser.parse_args(arguments)
    try:
        return _diff(chosen)
    except (OSError, ValueError, TypeError, ImportError) as error:
        print(f"memdata {chosen.command}: {error}", file=sys.stderr)
        return 2


def _add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "diff",
        help="compare two files",
        description="Compare two HDF5 files or zarr stores: names, types, attributes, values. "
        "The exit code is 0 where they are equal, 1 where they are not, 2 on trouble.",
    )
    command.add_argument("a", help="a file")
    command.add_argument("b", help="another")
    command.add_argument(
        "--rtol", type=float, default=0.0, metavar="R", help="relative tolerance of numbers"
    )
    command.add_argument(
        "--atol", type=float, default=0.0, metavar="A", help="absolute tolerance of numbers"
    )
    for name, what in (("types", "types"), ("attributes", "attributes"), ("links", "links")):
        command.add_argument(
            f"--no-{name}", dest=name, action="store_false", help=f"do not compare {what}"
        )
    command.add_argument("--filters", action="store_true", help="compare chunks and compression")
    command.add_argument("-q", "--quiet", action="store_true", help="only the exit code")


def _diff(chosen: argparse.Namespace) -> int:
    rules = ("rtol", "atol", "types", "attributes", "links", "filters")
    found = diff(chosen.a, chosen.b, **{name: getattr(chosen, name) for name in rules})
    if found and not chosen.quiet:
        print(found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
