"""The little of MPI that the rest needs, with a stand-in where there is none.

``mpi4py`` is imported when `world`, `rank` or `size` is first asked for, not before: importing it
starts MPI. Without it there is one process: `world` is None, `rank` 0 and `size` 1.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    world: Any
    rank: int
    size: int
    rank0: bool

__all__ = [
    "allreduce",
    "barrier",
    "bcast",
    "can_allocate",
    "rank",
    "rank0",
    "size",
    "split_all",
    "split_local",
    "world",
]


def __getattr__(name: str) -> Any:
    if name in globals():
        return globals()[name]
    if name not in ("world", "rank", "size", "rank0"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError):  # mpi4py is not there, or there is no MPI library for it
        found: Any = None
    else:
        found = MPI.COMM_WORLD
    mine = 0 if found is None else found.rank
    values = {
        "world": found,
        "rank": mine,
        "size": 1 if found is None else found.size,
        "rank0": mine == 0,
    }
    globals().update(values)
    return values[name]


def _world_unless(comm: Any) -> Any:
    return __getattr__("world") if comm is None else comm


def barrier(comm: Any = None) -> None:
    """Wait for all ranks of `comm` (default: all). Collective."""
    from memdata.ranks.waiting import wait

    comm = _world_unless(comm)
    if comm is not None:
        wait([comm.Ibarrier()], (), comm, "barrier")


def bcast(value: Any, root: int = 0, comm: Any = None) -> Any:
    """The `value` that rank `root` has, on all ranks. Collective; pickles."""
    from memdata.ranks import calls

    comm = _world_unless(comm)
    return value if comm is None else calls.bcast(comm, value, "bcast", root)


def allreduce(value: Any, op: Any = None, comm: Any = None) -> Any:
    """The ranks' values put together with `op` (default: sum). Collective; pickles."""
    from memdata.ranks import calls

    comm = _world_unless(comm)
    if comm is None:
        return value
    return functools.reduce(op or operator.add, calls.allgather(comm, value, "allreduce"))


def split_all(n: int, comm: Any = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """How a length is split over the ranks of `comm` (default: all).

    Parameters
    ----------
    n : int
        Length. The first ``n % size`` ranks get one more than ``n // size``.
    comm : mpi4py.MPI.Comm or None
        Not communicated with.

    Returns
    -------
    numpy.ndarray
        Shape (3, size): counts, starts, ends.

    Examples
    --------
    >>> from memdata import mpitools
    >>> mpitools.split_all(5).shape[0]
    3
    """
    comm = _world_unless(comm)
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"a length cannot be negative: {n}")
    ranks = 1 if comm is None else comm.size
    counts = np.full(ranks, n // ranks, dtype=np.int64)
    counts[: n % ranks] += 1
    ends = np.cumsum(counts)
    return np.stack([counts, ends - counts, ends])


def split_local(n: int, comm: Any = None) -> tuple[int, int, int]:
    """Count, start and end of this rank's part of a length split over `comm`; see `split_all`."""
    comm = _world_unless(comm)
    count, start, end = split_all(n, comm)[:, 0 if comm is None else comm.rank]
    return int(count), int(start), int(end)


def can_allocate(nbytes: int) -> bool:
    """Whether this process can have that much more memory now, by what the system says.

    That is the memory available on the machine, the limits of control groups (of containers and
    batch jobs) and those of the process (``ulimit -v``, ``ulimit -d``).

    Parameters
    ----------
    nbytes : int
        Bytes.

    Returns
    -------
    bool
        True where the system does not say. Ranks on one machine share its memory: divide first.

    Examples
    --------
    >>> from memdata import mpitools
    >>> mpitools.can_allocate(1 << 60)
    False
    """
    from memdata import memory

    _name, group = memory.group_room()
    return nbytes <= min(memory.machine_room(), group, memory.process_room())
