"""Moving blocks between ranks by messages of MPI: any ranks, any network.

A piece that lies in memory in one run is sent from, or received into, its place; another passes
through one of a few buffers, which are the only memory used besides the arrays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata._cmemdata import copy_blocks
from memdata.ranks.blocks import Moves, as_block
from memdata.ranks.sharing import PeerStoppedError
from memdata.ranks.waiting import TAG_DATA, TAG_STOP, RankTimeoutError, abandon, wait

if TYPE_CHECKING:
    from memdata.ranks.private import Private

__all__ = ["move_by_messages", "move_packed", "piece_bytes", "scratch_bytes"]

Array = np.ndarray[Any, Any]

#: Pieces under way at the same time, each way.
_WINDOW = 2

#: The largest piece (bytes); far below what fits a C int. Smaller ones make ranks wait more often,
#: larger ones fill fresh memory first.
_PIECE = 8 << 20


def scratch_bytes(budget: int) -> int:
    """How much memory `move_by_messages` may take for its buffers, given a budget (bytes)."""
    return 2 * _WINDOW * piece_bytes(budget)


def piece_bytes(budget: int) -> int:
    """The largest piece, given a budget (bytes)."""
    return max(1, min(_PIECE, budget // (2 * _WINDOW)))


# ---- at once ----


def move_packed(comm: Any, moves: Moves, what: str) -> None:
    """Move small blocks with one ``MPI_Alltoallv``; see `memdata.ranks.moving.move`. Collective."""
    from mpi4py import MPI

    mine = comm.rank
    counts = [0 if b is None or i == mine else b.nbytes for i, b in enumerate(moves.sends)]
    counts_in = [0 if b is None or i == mine else b.nbytes for i, b in enumerate(moves.receives)]
    packed = np.empty(sum(counts), np.uint8)
    arrived = np.empty(sum(counts_in), np.uint8)
    starts, starts_in = _starts(counts), _starts(counts_in)
    for block, start, count in zip(moves.sends, starts, counts, strict=True):
        if count and block is not None:
            np.copyto(as_block(packed[start : start + count], block), block)
    out = [packed, counts, starts, MPI.BYTE]
    into = [arrived, counts_in, starts_in, MPI.BYTE]
    request = comm.Ialltoallv(out, into)
    source, target = moves.sends[mine], moves.receives[mine]
    if source is not None and target is not None:
        np.copyto(target, source)
    wait([request], (), comm, what)
    for block, start, count in zip(moves.receives, starts_in, counts_in, strict=True):
        if count and block is not None:
            np.copyto(block, as_block(arrived[start : start + count], block))


def _starts(counts: list[int]) -> list[int]:
    starts, at = [], 0
    for count in counts:
        starts.append(at)
        at += count
    return starts


# ---- in pieces ----


def move_by_messages(kept: Private, moves: Moves, budget: int, what: str) -> None:
    """Move blocks piece by piece; see `memdata.ranks.moving.move`. Collective.

    In step k a rank sends to the k-th rank after it and receives from the k-th before. It waits for
    its oldest piece before it begins another beyond the window. The oldest of all ranks' pieces has
    always been begun by both its ranks, so some rank can always go on.
    """
    comm, limit = kept.comm, piece_bytes(budget)
    size, rank = comm.size, comm.rank
    buffers_out, buffers_in = _buffers(kept, limit)
    under_way: deque[_Pair] = deque()

    def look() -> None:
        """See whether a rank has stopped."""
        if comm.Iprobe(tag=TAG_STOP):
            raise PeerStoppedError

    try:
        for piece in moves.pieces(limit):
            for step in range(1, size):
                to, source = (rank + step) % size, (rank - step) % size
                if len(under_way) == _WINDOW:
                    under_way.popleft().end(comm, what, look)
                pair = _Pair()
                under_way.append(pair)
                pair.receive(comm, _cut(moves.receives[source], piece), source, buffers_in)
                pair.send(comm, _cut(moves.sends[to], piece), to, buffers_out)
            own = moves.own(piece)
            if own is not None:
                copy_blocks(own[:1], own[1:])
        while under_way:
            under_way.popleft().end(comm, what, look)
    except BaseException as error:
        # MPI may still read and write the arrays and buffers of what is under way.
        abandon([request for pair in under_way for request in pair.requests])
        # Those who wait in vain for the same rank as this one find that out by themselves.
        if not isinstance(error, PeerStoppedError | RankTimeoutError):
            _say_stop(comm)
        raise


def _say_stop(comm: Any) -> None:
    """Free the ranks that wait for this one. Nobody receives the message: it is only seen."""
    nothing = np.zeros(1, np.uint8)
    stops = [comm.Isend(nothing, peer, TAG_STOP) for peer in range(comm.size) if peer != comm.rank]
    abandon(stops)


def _cut(block: Array | None, piece: tuple[slice, ...]) -> Array | None:
    """The piece of a block; None if nothing of it is there."""
    if block is None:
        return None
    part: Array = block[piece]
    return part if part.size else None


class _Buffers:
    """Buffers in turn: as many as there are pieces under way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffers: list[Array] = []
        self._next = 0

    def take(self, block: Array) -> Array:
        """The next buffer, as an array like `block`."""
        if len(self._buffers) < _WINDOW:
            self._buffers.append(np.empty(max(self.limit, block.nbytes), np.uint8))
        buffer = self._buffers[self._next % _WINDOW]
        self._next += 1
        return as_block(buffer, block)


def _buffers(kept: Private, limit: int) -> tuple[_Buffers, _Buffers]:
    """Buffers to send from and to receive into, kept: touching fresh memory takes longer."""
    found: tuple[_Buffers, _Buffers] | None = kept.buffers
    if found is None or found[0].limit != limit:
        found = kept.buffers = _Buffers(limit), _Buffers(limit)
    return found


class _Pair:
    """A piece on its way to one rank, and one on its way from another."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self._peers: list[int] = []
        self._buffer: Array | None = None
        self._target: Array | None = None

    def receive(self, comm: Any, target: Array | None, source: int, buffers: _Buffers) -> None:
        if target is None:
            return
        buffer = target
        if not target.flags.c_contiguous:
            buffer = buffers.take(target)
            self._buffer, self._target = buffer, target
        self.requests.append(comm.Irecv(_bytes(buffer), source, TAG_DATA))
        self._peers.append(source)

    def send(self, comm: Any, piece: Array | None, to: int, buffers: _Buffers) -> None:
        if piece is None:
            return
        if not piece.flags.c_contiguous:
            buffer = buffers.take(piece)
            copy_blocks([buffer], [piece])
            piece = buffer
        self.requests.append(comm.Isend(_bytes(piece), to, TAG_DATA))
        self._peers.append(to)

    def end(self, comm: Any, what: str, look: Callable[[], None]) -> None:
        wait(self.requests, self._peers, comm, what, look=look)
        if self._target is not None and self._buffer is not None:
            copy_blocks([self._target], [self._buffer])


def _bytes(run: Array) -> Array:
    return run.reshape(-1).view(np.uint8)
