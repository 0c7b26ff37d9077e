"""HDF5 files that are written through `_cmemdata._Output`, in which nothing seems to fail."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import h5py

from memdata._cmemdata import _Output
from memdata.formats.hdf5 import not_readable

__all__ = ["written"]


@contextlib.contextmanager
def written(
    descriptor: int, filename: str, mode: str, shown: str | None = None, **kwargs: Any
) -> Iterator[tuple[Any, _Output]]:
    """An HDF5 file around a descriptor, to be written inside the block.

    Parameters
    ----------
    descriptor : int
        Open for reading and writing; it stays open.
    filename : str
        The file.
    shown : str, optional
        What errors call it, if not that.
    mode : {"w", "r+"}
        As for `h5py.File`.
    **kwargs
        Given to `h5py.File`.

    Yields
    ------
    file : h5py.File
    output : _Output
        To be asked from time to time, with ``check()``, whether the disk refused something.

    Raises
    ------
    OSError
        The disk refused something, or with ``r+`` the file is not good HDF5.
    TypeError
        A keyword that `h5py.File` does not know; with file objects it would not say so.
    """
    unknown = kwargs.keys() - inspect.signature(h5py.File).parameters.keys()
    if unknown:
        raise TypeError(f"{filename}: h5py.File has no keyword {', '.join(sorted(unknown))}")
    output = _Output(descriptor)
    try:
        file = h5py.File(output, mode, **kwargs)
    except OSError as error:
        output.check()
        raise not_readable(filename, error) from error
    try:
        yield file, output
    except BaseException as error:
        file.close()
        output.flush()
        try:
            output.check()
        except OSError as cause:  # what HDF5 said of zeros that stand for what cannot be read
            if isinstance(error, Exception):
                text = f"saving failed: {cause.strerror}"
                raise OSError(cause.errno, text, shown or filename) from error
        raise
    file.close()
    output.flush()
    output.check()
