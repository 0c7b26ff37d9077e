"""Moving blocks of arrays between ranks, as bytes, in pieces.

A *block* is a view of an array that one rank sends and another receives; both know its shape. It is
cut into *pieces* of at most some bytes, by the same rule on both sides. A piece that lies in memory
in one run is sent from, or received into, its place; another passes through one of a few buffers,
which are the only memory used besides the arrays.

Blocks that are small altogether are packed and go with one ``MPI_Alltoallv``: there the number of
calls is what takes the time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from memdata.collective import TAG, abandon, finish, time_limit

__all__ = ["SMALL", "machine", "move", "pieces", "private", "scratch_bytes"]

Array = np.ndarray[Any, Any]

#: Arrays with at most so many bytes on a rank are packed and moved at once.
SMALL = 256 << 10

#: Pieces under way at the same time, each way.
_WINDOW = 2

#: The largest piece (bytes); far below what fits a C int. Smaller ones make ranks wait more often,
#: larger ones fill fresh memory first.
_PIECE = 8 << 20


def scratch_bytes(budget: int) -> int:
    """How much memory `move` may take for its buffers, given a budget (bytes)."""
    return 2 * _WINDOW * _piece_bytes(budget)


def _piece_bytes(budget: int) -> int:
    return max(1, min(_PIECE, budget // (2 * _WINDOW)))


def pieces(shape: tuple[int, ...], itemsize: int, limit: int) -> Iterator[tuple[slice, ...]]:
    """Cut a block into index ranges of at most `limit` bytes each, or of one element.

    Parameters
    ----------
    shape : tuple of int
        The block's shape.
    itemsize : int
        Bytes of an element.
    limit : int
        Bytes of a piece.

    Yields
    ------
    tuple of slice
        One slice an axis; in C order, each element in exactly one.

    Examples
    --------
    >>> from memdata.moving import pieces
    >>> [rows for rows, _ in pieces((5, 2), 8, 32)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = math.prod(shape)
    if size == 0:
        return
    if not shape or size * itemsize <= limit:
        yield tuple(slice(0, n) for n in shape)
        return
    length, rest = shape[0], shape[1:]
    row = size // length * itemsize
    if row <= limit or not rest:
        rows = max(1, limit // row)
        whole = tuple(slice(0, n) for n in rest)
        for start in range(0, length, rows):
            yield (slice(start, min(start + rows, length)), *whole)
        return
    for i in range(length):
        for piece in pieces(rest, itemsize, limit):
            yield (slice(i, i + 1), *piece)


def move(
    comm: Any,
    sends: Sequence[Array | None],
    receives: Sequence[Array | None],
    what: str,
    *,
    small: bool,
    budget: int,
) -> None:
    """Send a block to every rank and receive one from every rank. Collective.

    Parameters
    ----------
    comm : communicator
        Of one rank or more.
    sends : sequence of ndarray or None
        One block for each rank, of any layout, without objects inside. None: nothing.
    receives : sequence of ndarray or None
        Where each rank's block goes: of the shape and dtype that it sends.
    what : str
        What is done, for messages.
    small : bool
        Whether to pack; the same on all ranks.
    budget : int
        Bytes for buffers; the same on all ranks.

    Raises
    ------
    TimeoutError
        ``MEMDATA_TIMEOUT`` is set, and a rank does not go on.
    """
    mine = comm.rank
    out = [None if block is None or block.nbytes == 0 else _raw(block) for block in sends]
    into = [None if block is None or block.nbytes == 0 else _raw(block) for block in receives]
    if small and time_limit() is None:
        if comm.size > 1:
            _move_packed(comm, out, into)
        _copy_own(out[mine], into[mine])
        return
    own = _own_pieces(out[mine], into[mine], _piece_bytes(budget))
    if comm.size > 1:
        _move_in_pieces(_state(comm), out, into, own, what, _piece_bytes(budget))
    for target, source in own:
        np.copyto(target, source)


def _raw(block: Array) -> Array:
    """The block with elements that are copied as bytes: padding too, and not field by field."""
    block = block.view(np.ndarray)
    if block.dtype.kind == "V" or block.dtype.subdtype is not None:
        return block.view(np.dtype((np.void, block.dtype.itemsize)))
    return block


def _copy_own(source: Array | None, target: Array | None) -> None:
    if source is not None and target is not None:
        np.copyto(target, source)


def _own_pieces(
    source: Array | None, target: Array | None, limit: int
) -> Iterator[tuple[Array, Array]]:
    """What a rank has for itself, in pieces to copy while others are under way."""
    if source is not None and target is not None:
        for piece in pieces(source.shape, source.itemsize, limit):
            yield target[piece], source[piece]


# ---- at once ----


def _move_packed(comm: Any, sends: list[Array | None], receives: list[Array | None]) -> None:
    from mpi4py import MPI

    mine = comm.rank
    counts = [0 if b is None or i == mine else b.nbytes for i, b in enumerate(sends)]
    counts_in = [0 if b is None or i == mine else b.nbytes for i, b in enumerate(receives)]
    packed = np.empty(sum(counts), np.uint8)
    arrived = np.empty(sum(counts_in), np.uint8)
    starts, starts_in = _starts(counts), _starts(counts_in)
    for block, start, count in zip(sends, starts, counts, strict=True):
        if count and block is not None:
            np.copyto(_like(packed[start : start + count], block), block)
    comm.Alltoallv([packed, counts, starts, MPI.BYTE], [arrived, counts_in, starts_in, MPI.BYTE])
    for block, start, count in zip(receives, starts_in, counts_in, strict=True):
        if count and block is not None:
            np.copyto(block, _like(arrived[start : start + count], block))


def _starts(counts: list[int]) -> list[int]:
    starts, at = [], 0
    for count in counts:
        starts.append(at)
        at += count
    return starts


def _like(buffer: Array, block: Array) -> Array:
    """A run of bytes as an array of the dtype and shape of a block."""
    return np.ndarray(block.shape, block.dtype, buffer)


# ---- in pieces ----


def _move_in_pieces(
    state: _Private,
    sends: list[Array | None],
    receives: list[Array | None],
    own: Iterator[tuple[Array, Array]],
    what: str,
    limit: int,
) -> None:
    """Pair by pair: step k sends to the k-th rank after this one, receives from the k-th before.

    A rank waits for its oldest piece before it begins another beyond the window. The oldest of
    all ranks' pieces has always been begun by both its ranks, so some rank can always go on.
    """
    comm = state.comm
    size, rank = comm.size, comm.rank
    buffers_out, buffers_in = state.buffers(limit)
    under_way: deque[_Pair] = deque()
    try:
        for step in range(1, size):
            to, source = (rank + step) % size, (rank - step) % size
            for send, receive in zip_longest(
                _block_pieces(sends[to], limit), _block_pieces(receives[source], limit)
            ):
                if len(under_way) == _WINDOW:
                    under_way.popleft().end(comm, what)
                pair = _Pair()
                under_way.append(pair)
                if receive is not None:
                    pair.receive(comm, receive, source, buffers_in)
                if send is not None:
                    pair.send(comm, send, to, buffers_out)
                for target, mine in own:
                    np.copyto(target, mine)
                    break
        while under_way:
            under_way.popleft().end(comm, what)
    except BaseException:
        # MPI may still read and write the arrays and buffers of what is under way.
        abandon([request for pair in under_way for request in pair.requests])
        state.forget_buffers()
        raise


def _block_pieces(block: Array | None, limit: int) -> Iterator[Array]:
    if block is not None:
        for piece in pieces(block.shape, block.itemsize, limit):
            yield block[piece]


class _Buffers:
    """Buffers in turn: as many as there are pieces under way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffers: list[Array] = []
        self._next = 0

    def take(self, block: Array) -> Array:
        """The next buffer, as an array like `block`."""
        if len(self._buffers) < _WINDOW:
            self._buffers.append(np.empty(max(self.limit, block.itemsize), np.uint8))
        buffer = self._buffers[self._next % _WINDOW]
        self._next += 1
        return _like(buffer, block)


class _Pair:
    """A piece on its way to one rank, and one on its way from another."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self._peers: list[int] = []
        self._buffer: Array | None = None
        self._target: Array | None = None

    def receive(self, comm: Any, target: Array, source: int, buffers: _Buffers) -> None:
        buffer = target
        if not target.flags.c_contiguous:
            buffer = buffers.take(target)
            self._buffer, self._target = buffer, target
        self.requests.append(comm.Irecv(_bytes(buffer), source, TAG))
        self._peers.append(source)

    def send(self, comm: Any, piece: Array, to: int, buffers: _Buffers) -> None:
        if not piece.flags.c_contiguous:
            buffer = buffers.take(piece)
            np.copyto(buffer, piece)
            piece = buffer
        self.requests.append(comm.Isend(_bytes(piece), to, TAG))
        self._peers.append(to)

    def end(self, comm: Any, what: str) -> None:
        finish(self.requests, self._peers, comm, what)
        if self._target is not None and self._buffer is not None:
            np.copyto(self._target, self._buffer)


def _bytes(run: Array) -> Array:
    return run.reshape(-1).view(np.uint8)


# ---- what is kept with a communicator ----


class _Private:
    """What is derived from a user's communicator: for our own messages, of one machine's ranks."""

    def __init__(self, comm: Any) -> None:
        from mpi4py import MPI

        self.comm = comm.Dup()
        self.machine = comm.Split_type(MPI.COMM_TYPE_SHARED)
        self._buffers: tuple[_Buffers, _Buffers] | None = None

    def buffers(self, limit: int) -> tuple[_Buffers, _Buffers]:
        """Buffers to send from and to receive into, kept: touching fresh memory takes longer."""
        if self._buffers is None or self._buffers[0].limit != limit:
            self._buffers = _Buffers(limit), _Buffers(limit)
        return self._buffers

    def forget_buffers(self) -> None:
        self._buffers = None

    def free(self) -> None:
        self.comm.Free()
        self.machine.Free()


_keyval: int | None = None


def _state(comm: Any) -> _Private:
    """What belongs to a communicator, made when first asked for and freed with it. Collective."""
    from mpi4py import MPI

    global _keyval  # noqa: PLW0603 - one for the process, as MPI has it
    if _keyval is None:
        _keyval = MPI.Comm.Create_keyval(delete_fn=_forget)
    state: _Private | None = comm.Get_attr(_keyval)
    if state is None:
        state = _Private(comm)
        comm.Set_attr(_keyval, state)
    return state


def _forget(comm: Any, _keyval: int, state: _Private) -> None:
    """Called by MPI when a communicator is freed; the predefined ones are while MPI ends."""
    from mpi4py import MPI

    if comm not in (MPI.COMM_WORLD, MPI.COMM_SELF):
        state.free()


def private(comm: Any) -> Any:
    """A communicator of the same ranks whose messages no user's receive can take. Collective."""
    return _state(comm).comm


def machine(comm: Any) -> Any:
    """A communicator of those ranks that share this rank's memory. Collective."""
    return _state(comm).machine
