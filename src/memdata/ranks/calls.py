"""MPI's collective calls for Python objects and arrays, so that they can be waited for.

Each is begun without blocking and waited for with `memdata.ranks.waiting.wait`: the time limit of
``MEMDATA_TIMEOUT`` and Ctrl-C end it. Objects are pickled. What travels is cut into pieces, so no
length has to fit a C int.

Where a rank may fail before such a call, the ranks agree first (`memdata.ranks.collective`).
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from memdata.ranks.waiting import TAG, wait

__all__ = ["Sending", "allgather", "bcast", "bcast_array", "gather", "receive_from", "scatter"]

Array = np.ndarray[Any, Any]

#: Bytes of one message; far below what fits a C int.
_PIECE = 64 << 20


def bcast(comm: Any, value: Any, what: str, root: int = 0) -> Any:
    """What rank `root` has, on all ranks. Collective."""
    text = pickle.dumps(value, protocol=5) if comm.rank == root else b""
    length = np.array([len(text)], np.int64)
    wait([comm.Ibcast(length, root)], (), comm, what)
    buffer = np.frombuffer(text, np.uint8) if text else np.empty(length[0], np.uint8)
    bcast_array(comm, buffer, what, root)
    return value if comm.rank == root else pickle.loads(buffer.data)


def bcast_array(comm: Any, array: Array, what: str, root: int = 0) -> None:
    """Fill a C-contiguous array on all ranks with what it is on rank `root`. Collective."""
    run = array.reshape(-1).view(np.uint8)
    for piece in _pieces(run):
        wait([comm.Ibcast(piece, root)], (), comm, what)


def allgather(comm: Any, value: Any, what: str) -> list[Any]:
    """The values of all ranks, on all ranks. Collective."""
    text = pickle.dumps(value, protocol=5)
    lengths = np.empty(comm.size, np.int64)
    wait([comm.Iallgather(np.array([len(text)], np.int64), lengths)], (), comm, what)
    everything = np.empty(int(lengths.sum()), np.uint8)
    ends = np.cumsum(lengths).tolist()
    if everything.size <= _PIECE:
        from mpi4py import MPI

        starts = [0, *ends[:-1]]
        into = [everything, lengths.tolist(), starts, MPI.BYTE]
        wait([comm.Iallgatherv([text, MPI.BYTE], into)], (), comm, what)
    for rank, (length, end) in enumerate(zip(lengths.tolist(), ends, strict=True)):
        part = everything[end - length : end]
        if everything.size > _PIECE:
            if rank == comm.rank:
                part[:] = np.frombuffer(text, np.uint8)
            bcast_array(comm, part, what, rank)
    parts = [everything[end - n : end] for end, n in zip(ends, lengths.tolist(), strict=True)]
    return [value if at == comm.rank else pickle.loads(part.data) for at, part in enumerate(parts)]


def gather(comm: Any, value: Any, what: str, root: int = 0) -> list[Any] | None:
    """The values of all ranks on rank `root`, None on the others. Collective."""
    if comm.rank != root:
        Sending(comm, value, root).end(what)
        return None
    return [value if rank == root else receive_from(comm, rank, what) for rank in range(comm.size)]


def scatter(comm: Any, values: Sequence[Any] | None, what: str, root: int = 0) -> Any:
    """One of the values that rank `root` has, for each rank. Collective."""
    if comm.rank != root:
        return receive_from(comm, root, what)
    assert values is not None
    sends = [Sending(comm, value, rank) for rank, value in enumerate(values) if rank != root]
    for sending in sends:
        sending.end(what)
    return values[root]


def receive_from(comm: Any, source: int, what: str) -> Any:
    """Receive a value of which another rank begins the `Sending`."""
    length = np.empty(1, np.int64)
    wait([comm.Irecv(length, source, TAG)], [source], comm, what)
    buffer = np.empty(int(length[0]), np.uint8)
    for piece in _pieces(buffer):
        wait([comm.Irecv(piece, source, TAG)], [source], comm, what)
    return pickle.loads(buffer.data)


class Sending:
    """A value on its way to another rank, which calls `receive_from`; `end` waits for it."""

    def __init__(self, comm: Any, value: Any, to: int) -> None:
        self._comm = comm
        self._to = to
        text = np.frombuffer(pickle.dumps(value, protocol=5), np.uint8)
        self._buffers = [np.array([text.size], np.int64), *_pieces(text)]
        self._requests = [comm.Isend(buffer, to, TAG) for buffer in self._buffers]

    def end(self, what: str) -> None:
        """Wait until the value has gone."""
        wait(self._requests, [self._to] * len(self._requests), self._comm, what)


def _pieces(run: Array) -> Iterator[Array]:
    for start in range(0, run.size, _PIECE):
        yield run[start : start + _PIECE]
