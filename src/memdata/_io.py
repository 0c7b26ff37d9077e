"""Opening HDF5 files for several ranks at once: what programs import from `caput.memdata._io`."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["open_h5py_mpi"]


def open_h5py_mpi(f: Any, mode: str, use_mpi: bool = True, comm: Any = None) -> Any:
    """Open an HDF5 file, with MPI-IO where h5py has it. Collective over `comm` then.

    Parameters
    ----------
    f : str, os.PathLike, h5py.File or h5py.Group
        A file name is opened; what is open is returned as it is.
    mode : str
        As for `h5py.File`.
    use_mpi : bool
        Whether to use MPI-IO.
    comm : mpi4py.MPI.Comm or None
        The ranks that open the file; None is the world.

    Returns
    -------
    h5py.File or h5py.Group
        With two attributes more: ``is_mpi``, whether it is open with MPI-IO, and ``opened``,
        whether it was opened here, so that the caller should close it.

    Raises
    ------
    ValueError
        `f` is neither a file name nor an open file or group of h5py.
    OSError
        The file cannot be opened; the message names it.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_h5py_mpi(os.path.join(folder, "x.h5"), "w", use_mpi=False) as file:
    ...         file.is_mpi, file.opened
    (False, True)
    """
    import h5py

    from memdata import mpitools
    from memdata.formats.hdf5 import open_group

    if isinstance(f, str | os.PathLike):
        parallel = use_mpi and bool(h5py.get_config().mpi)
        comm = mpitools.world if parallel and comm is None else comm
        driver = {"driver": "mpio", "comm": comm} if parallel and comm is not None else {}
        handle = open_group(os.fspath(f), mode, **driver)
        handle.opened = True
    elif isinstance(f, h5py.Group):
        handle = f
        handle.opened = False
    else:
        raise ValueError(
            f"expected a file name or an open file or group of h5py, not {type(f).__name__}: {f!r}"
        )
    handle.is_mpi = handle.file.driver == "mpio"
    return handle
