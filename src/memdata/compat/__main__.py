"""``python -m memdata.compat``: run a program of `caput.memdata` on memdata."""

from __future__ import annotations

import sys

USAGE = """\
usage: python -m memdata.compat SCRIPT [ARGUMENT ...]
       python -m memdata.compat -m MODULE [ARGUMENT ...]
       python -m memdata.compat -c CODE [ARGUMENT ...]

Runs a program as `python` would, with memdata standing in for caput.memdata, caput.mpiarray and
the other modules that docs/switching.md lists.
"""


def main(arguments: list[str]) -> int:
    """Run what the arguments say; the program's own exit code, or 2 for a wrong call."""
    from memdata.compat import install
    from memdata.compat.running import check_script, run_code, run_module, run_script

    first, *rest = arguments or [""]
    if first in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if first in ("-m", "-c") and rest:
        install()
        (run_module if first == "-m" else run_code)(rest[0], rest[1:])
        return 0
    if first.startswith("-") or not first:
        print(USAGE, end="", file=sys.stderr)
        return 2
    try:
        check_script(first)
    except OSError as error:
        print(f"memdata.compat: can't open {first!r}: {error.strerror}", file=sys.stderr)
        return 2
    install()
    run_script(first, rest)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    if code:  # `python -i` would show a sys.exit(0)
        sys.exit(code)
