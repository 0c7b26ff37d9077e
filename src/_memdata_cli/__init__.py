"""Where the command ``memdata`` begins: before NumPy, h5py and memdata itself are imported.

These take ten times as long as a program that just lists names may take. So ``memdata ls FILE`` is
done here if it can be, from the structures of the file, by `_memdata_cli.hdf5`; everything else,
and every file that has something unusual, is the business of `memdata.cli`.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command with the arguments of the process; see `memdata.cli.main`.

    Returns
    -------
    int
        The exit code.
    """
    words = sys.argv[1:]
    if words[:1] == ["ls"]:
        options = [word for word in words[1:] if word[:1] == "-"]
        names = [word for word in words[1:] if word[:1] != "-"]
        if names and all(option in {"-r", "--recursive"} for option in options):
            from _memdata_cli.listing import listed

            text = listed(names, recursive=bool(options))
            if text is not None:
                sys.stdout.write(text)
                return 0
    from memdata.cli import main as run

    return run(words)
