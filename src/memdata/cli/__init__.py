"""The command ``memdata``: one module for each of its commands.

A command's module has ``configure(parser)``, which says what it takes, and ``run(options)``, which
does it and returns the exit code. Only the module of the command that was called is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

__all__ = [
    "COMMANDS",
    "DIFFERENT",
    "EXIT_CODES",
    "FINE",
    "TROUBLE",
    "main",
    "parser_of",
    "program_parser",
]

#: Exit codes; `INTERRUPTED` is what a shell says of a program that Ctrl-C ended.
FINE, DIFFERENT, TROUBLE, INTERRUPTED = 0, 1, 2, 130

EXIT_CODES = """\
exit codes:
  0    all is well
  1    diff: there are differences; verify: damage; rescue: not everything is good;
       doctor: something is broken
  2    wrong usage, or a file that cannot be read or written
  130  stopped with Ctrl-C; what was to be written is as it was
"""

#: Errors that are told in a line: of files, of what was asked for, of what is not installed.
_TROUBLES = (OSError, ValueError, TypeError, LookupError, ImportError, MemoryError, RuntimeError)

#: The commands, and what each does.
COMMANDS = {
    "ls": "list what is in a file, as h5ls does",
    "tree": "draw the tree of a file",
    "info": "say what a file, group or dataset is",
    "head": "print the first rows of a dataset, or a part of it",
    "diff": "compare two files",
    "convert": "write a file anew: HDF5 or zarr, other chunks, other compression, a part",
    "cat": "put files together along an axis",
    "verify": "find damage in files",
    "rescue": "copy what can still be read of a damaged file",
    "bench": "measure how fast files are saved and loaded here",
    "doctor": "say what is installed, what is missing and how to get it",
    "completion": "print what makes a shell complete commands",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; None takes those of the process.

    Returns
    -------
    int
        The exit code: 0 if all is well, 1 where a comparison or check found something, 2 on
        trouble, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["diff", "no-such-file.h5", "nor-this.h5"])
    2
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = given[0] if given and given[0] in COMMANDS else None
    parser = program_parser(chosen)
    _offer_completion(parser)
    try:
        options = parser.parse_args(given)
    except SystemExit as stop:  # --help, or wrong usage, which argparse has explained
        return int(stop.code or 0)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn  # type: ignore[assignment]
            return _run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except _TROUBLES as error:
        print(f"memdata {options.command}: {_message(error)}", file=sys.stderr)
        return TROUBLE


def _run(options: argparse.Namespace) -> int:
    from memdata.cli import ranks

    module = importlib.import_module(f"memdata.cli.{options.command}")
    if ranks.others_do_it(options.command):
        return FINE
    code: int = module.run(options)
    sys.stdout.flush()
    return code


def _warn(message: Warning | str, *_where: Any) -> None:
    """Tell a warning without the place in the source that it comes from."""
    print(f"memdata: {_printable(str(message))}", file=sys.stderr)


def _message(error: BaseException) -> str:
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return _printable(str(text)) or type(error).__name__


def _printable(text: str) -> str:
    from memdata.show.words import printable

    return "\n".join(printable(line) for line in text.split("\n"))


def program_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of ``memdata``; with a `command` only that one is filled in, and imported."""
    from memdata._version import __version__

    parser = argparse.ArgumentParser(
        prog="memdata",
        description="Look at HDF5 files and zarr stores, compare, convert, check and mend them.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"memdata {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        made = commands.add_parser(
            name,
            help=text,
            epilog=EXIT_CODES if name == command else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == command:
            _configure(made, name)
    return parser


def parser_of(name: str) -> argparse.ArgumentParser:
    """The parser of one command alone."""
    parser = argparse.ArgumentParser(prog=f"memdata {name}", add_help=False)
    _configure(parser, name)
    return parser


def _configure(parser: argparse.ArgumentParser, name: str) -> None:
    module: Any = importlib.import_module(f"memdata.cli.{name}")
    parser.description = module.__doc__
    module.configure(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def _offer_completion(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks through argcomplete, where that is installed."""
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)
