"""What was perhaps meant by a name that is missing, and how to get a package that is missing."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
from collections.abc import Iterable, Iterator

__all__ = ["did_you_mean", "installed_by", "no_such_file"]


def did_you_mean(name: str, names: Iterable[str], count: int = 1) -> str:
    """The end of a message about a name that is not there; empty where nothing is like it.

    Examples
    --------
    >>> did_you_mean("gzp", ["gzip", "lzf"])
    "; did you mean 'gzip'?"
    """
    near = difflib.get_close_matches(name, list(names), count)
    return f"; did you mean {', '.join(map(repr, near))}?" if near else ""


def no_such_file(name: str) -> FileNotFoundError:
    """The error for a file that is missing; it tells what is like it in the same folder."""
    folder, last = os.path.split(name.rstrip("/"))
    near = ""
    with contextlib.suppress(OSError):
        if folder and not os.path.isdir(folder):
            near = f": there is no folder {folder!r}"
        else:
            found = difflib.get_close_matches(last, os.listdir(folder or "."), 1)
            near = f"; did you mean {os.path.join(folder, found[0])!r}?" if found else ""
    return FileNotFoundError(errno.ENOENT, f"{os.strerror(errno.ENOENT)}{near}", name)


@contextlib.contextmanager
def installed_by(extra: str) -> Iterator[None]:
    """Errors of imports in the block say which optional part of memdata brings the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "a package").partition(".")[0]
        raise ModuleNotFoundError(
            f"{package} is needed for this; it comes with: pip install 'memdata[{extra}]'",
            name=error.name,
        ) from error
