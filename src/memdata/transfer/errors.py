"""Errors of the libraries and the system, with the user's file and the cause in them."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

__all__ = ["named_errors", "named_memory"]


@contextlib.contextmanager
def named_errors(name: str, temporary: str) -> Iterator[None]:
    """Let errors of a save name the user's file, not the temporary one.

    What cannot be stored has been found before anything is written. So where the disk or the
    memory gives out, h5py may raise any of these types.

    Raises
    ------
    OSError
        Instead of an `OSError` or `RuntimeError` of the block, or a `ValueError` of HDF5.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise _named(error, name, temporary) from error
    except ValueError as error:
        if not str(error).startswith("Unable to "):  # as h5py begins what HDF5 says
            raise
        raise _named(error, name, temporary) from error


@contextlib.contextmanager
def named_memory(name: str, what: str) -> Iterator[None]:
    """Let a `MemoryError` of the block say which file was being loaded or saved."""
    try:
        yield
    except MemoryError as error:
        if name in str(error):
            raise
        raise MemoryError(f"{name}: {what} failed: {str(error) or 'out of memory'}") from error


def _named(error: Exception, name: str, temporary: str) -> OSError:
    """The error as the user sees it, with the cause that HDF5 hides in its text."""
    text = str(error)
    number = getattr(error, "errno", None)
    if number is None:
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            if f"errno = {code}," in text:
                number = code
    if number is not None:
        return OSError(number, f"saving failed: {os.strerror(number)}", name)
    if temporary:
        text = text.replace(temporary, name)
    return OSError(text if name in text else f"{name}: saving failed: {text}")
