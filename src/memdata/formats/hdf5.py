"""HDF5: opening files, with errors that say what is wrong and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

import h5py
from h5py import h5f

from memdata.locking import NO_LOCKS
from memdata.suggesting import no_such_file

__all__ = ["not_readable", "open_group", "opened"]

_LOCK_HINT = (
    "another program has the file open for writing; wait for it, or set "
    "HDF5_USE_FILE_LOCKING=FALSE when the file system has no locks"
)
_NO_LOCKS_HINT = "the file system has no locks; set HDF5_USE_FILE_LOCKING=FALSE"


@contextlib.contextmanager
def opened(filename: str, mode: str, **kwargs: Any) -> Iterator[Any]:
    """An HDF5 file, open inside the block.

    Raises
    ------
    OSError
        Its message names the file and what is wrong with it: missing (`FileNotFoundError`), a
        folder (`IsADirectoryError`), locked (`BlockingIOError`), empty, cut off, not HDF5.
    """
    file = open_group(filename, mode, **kwargs)
    reading = file.mode == "r"
    try:
        yield file
    finally:
        try:
            file.close()
        except (OSError, RuntimeError):
            if not reading:  # else all that was wanted has been read
                raise


def open_group(filename: str, mode: str, **kwargs: Any) -> Any:
    """Open an HDF5 file; see `opened` for the errors."""
    try:
        return h5py.File(filename, mode, **kwargs)
    except OSError as error:
        raise not_readable(filename, error) from error


def not_readable(filename: str, error: OSError) -> OSError:
    """The exception that tells why a file cannot be opened."""
    text = str(error)
    if isinstance(error, BlockingIOError) or "unable to lock file" in text:
        number = error.errno or errno.EAGAIN
        if number in NO_LOCKS:
            return OSError(number, f"{os.strerror(number)}: {_NO_LOCKS_HINT}", filename)
        return BlockingIOError(number, _LOCK_HINT, filename)
    try:
        size = os.stat(filename).st_size
    except FileNotFoundError:
        return no_such_file(filename)
    except OSError as failure:
        return failure
    if os.path.isdir(filename):
        return IsADirectoryError(errno.EISDIR, "a folder, not an HDF5 file", filename)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOSPC, errno.EROFS}:
        return OSError(error.errno, os.strerror(error.errno), filename)
    if size == 0:
        return OSError(f"{filename}: the file is empty")
    if "truncated" in text:
        return OSError(f"{filename}: the file is truncated, its end is missing ({text})")
    if not h5f.is_hdf5(os.fsencode(filename)):
        return OSError(f"{filename}: not an HDF5 file ({text})")
    return OSError(f"{filename}: cannot be opened ({text})")
