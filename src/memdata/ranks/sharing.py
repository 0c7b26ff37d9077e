"""Moving blocks between the ranks of one machine through memory that they share.

Each rank has a *staging area* that all others see, in two halves. A move goes in rounds. In a round
a rank packs one piece for every other rank into a half, says so, and copies what the others have
packed for it to its place in the result; meanwhile the other half may still be read.

```
            half 0               half 1            counters of a rank, each moved on by itself only
        ┌───┬───┬───┬───┐    ┌───┬───┬───┬───┐
 rank 0 │   │→1 │→2 │→3 │    │   │→1 │→2 │→3 │    packed     rounds that can be read
 rank 1 │→0 │   │→2 │→3 │    │→0 │   │→2 │→3 │    unpacked   rounds that it has read from all
  ...   └───┴───┴───┴───┘    └───┴───┴───┴───┘    alive      moves on while it waits
```

A half is packed again when all ranks have unpacked its last round. A rank that gives up sets its
counters beyond all rounds, and so frees those who wait for it. The counters are never set back.
"""

from __future__ import annotations

import mmap
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from memdata import interrupt
from memdata._cmemdata import copy_blocks, counter_post, counter_wait
from memdata.ranks import calls
from memdata.ranks.blocks import Moves, as_block
from memdata.ranks.waiting import RankTimeoutError, late, time_limit

__all__ = ["LEAST", "STAGING", "PeerStoppedError", "Staging", "make_staging", "move_shared"]

#: Bytes of the staging area of one rank, and of those of all ranks together, which each rank maps.
#: What stays in the processors' caches is read from there: with areas of 32 MiB moving takes a
#: fifth to a third longer. Larger areas mean fewer rounds, so pieces are not made ever smaller.
STAGING = 2 << 20
TOGETHER = 256 << 20

#: With less it is not worth it.
LEAST = 1 << 20

#: Where files are memory.
FOLDER = "/dev/shm"

_PAGE = 4096

#: Counters of one rank: in a cache line of their own.
_LINE = 8
_PACKED, _UNPACKED, _ALIVE = range(3)

#: A counter of a rank that has given up.
_GONE = 1 << 62

#: Seconds between two looks at Ctrl-C and at the time limit.
_SLICE = 0.05


def area_bytes(size: int) -> int:
    """Bytes of the staging area of each of so many ranks, where there is room for them."""
    return min(STAGING * max(4, size - 1) // 4, TOGETHER // size)


class PeerStoppedError(Exception):
    """Another rank has given up; it says why at the next meeting."""


class Staging:
    """The staging areas of all ranks.

    Parameters
    ----------
    memory : buffer
        Shared by all ranks, zero at first.
    size, rank : int
        How many ranks, and this one.
    area : int
        Bytes of one rank's area.

    Attributes
    ----------
    area : int
        As above.
    piece_bytes : int
        The largest piece for one other rank.
    round : int
        How many rounds there have been, in all moves.
    """

    def __init__(self, memory: Any, size: int, rank: int, area: int) -> None:
        whole = np.frombuffer(memory, np.uint8)
        self._counters = whole[: 8 * _LINE * size].view(np.int64)
        self._areas = whole[-area * size :].reshape(size, 2, area // 2)
        self._rank = rank
        self._size = size
        self.area = area
        self.piece_bytes = area // 2 // max(1, size - 1) // 64 * 64
        self.round = 0

    def slot(self, owner: int, reader: int, block: Any) -> Any:
        """Where a rank packs, in this round, what another reads; as an array like `block`."""
        half = self._areas[owner, self.round % 2]
        place = (reader - owner) % self._size - 1
        length = self.piece_bytes
        return as_block(half[place * length :][:length], block)

    def post(self, counter: int, value: int) -> None:
        """Move a counter of this rank on."""
        counter_post(self._counters, self._rank * _LINE + counter, value)

    def give_up(self) -> None:
        """Free those who wait for this rank."""
        self.post(_PACKED, _GONE)
        self.post(_UNPACKED, _GONE)

    def wait(self, rank: int, counter: int, value: int, comm: Any, what: str) -> None:
        """Wait until another rank's counter is there."""
        at = rank * _LINE + counter
        seen = counter_wait(self._counters, at, value, _SLICE)
        if seen < value:
            seen = self._wait_long(rank, at, value, comm, what)
        if seen >= _GONE:
            raise PeerStoppedError

    def _wait_long(self, rank: int, at: int, value: int, comm: Any, what: str) -> int:
        limit = time_limit()
        begin = time.monotonic()
        alive = self._counters[_ALIVE::_LINE].copy()
        while True:
            interrupt.check()
            mine = self._rank * _LINE + _ALIVE
            self._counters[mine] += 1
            seen = counter_wait(self._counters, at, value, _SLICE)
            if seen >= value:
                return seen
            if limit is not None and time.monotonic() - begin > limit:
                # Others may wait for the same rank as we do.
                still = self._counters[_ALIVE::_LINE] == alive
                missing = [n for n in np.flatnonzero(still).tolist() if n != self._rank]
                raise late(comm, what, limit, missing or [rank])


def make_staging(comm: Any, what: str) -> Staging | None:
    """Memory that all ranks of a communicator share; None on all if one cannot. Collective."""
    size, rank = comm.size, comm.rank
    head = -(-8 * _LINE * size // _PAGE) * _PAGE
    path, area = _new_file(size, head) if rank == 0 else (None, 0)
    try:
        path, area = calls.bcast(comm, (path, area), what)
        memory = None if path is None else _map(path, head + area * size)
        everybody = calls.allgather(comm, memory is not None, what)
    finally:
        if rank == 0 and path is not None:
            Path(path).unlink(missing_ok=True)
    if not all(everybody):
        return None
    return Staging(memory, size, rank, area)


def _new_file(size: int, head: int) -> tuple[str | None, int]:
    """A file in memory with room for all; (None, 0) where there cannot be one."""
    try:
        free = shutil.disk_usage(FOLDER).free
        area = min(area_bytes(size), free // 2 // size) // (2 * _PAGE) * (2 * _PAGE)
        if area < LEAST:
            return None, 0
        path = f"{FOLDER}/memdata-{os.getpid()}-{secrets.token_hex(8)}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return None, 0
    try:
        # Without room set aside, writing to memory that is not there would end the process.
        os.posix_fallocate(file, 0, head + area * size)
    except OSError:
        os.unlink(path)
        return None, 0
    finally:
        os.close(file)
    return path, area


def _map(path: str, length: int) -> mmap.mmap | None:
    try:
        file = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        return mmap.mmap(file, length)
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)


def move_shared(staging: Staging, moves: Moves, comm: Any, what: str) -> None:
    """Move all blocks; see `memdata.ranks.moving.move`. Collective."""
    try:
        for piece in moves.pieces(staging.piece_bytes):
            _move_round(staging, moves, piece, comm, what)
    except RankTimeoutError:
        raise  # those who wait in vain for the same rank find that out by themselves
    except BaseException:
        staging.give_up()
        raise


def _move_round(
    staging: Staging, moves: Moves, piece: tuple[slice, ...], comm: Any, what: str
) -> None:
    rank = comm.rank
    peers = [(rank + step) % comm.size for step in range(1, comm.size)]
    for peer in peers:
        staging.wait(peer, _UNPACKED, staging.round - 1, comm, what)
    sources = [(peer, moves.sends[peer][piece]) for peer in peers if moves.sends[peer] is not None]
    targets = [staging.slot(rank, peer, source) for peer, source in sources]
    own = moves.own(piece)
    with_sends = own is not None and not own[1].flags.c_contiguous
    _copy_together(targets, [source for _, source in sources], own if with_sends else None)
    staging.post(_PACKED, staging.round + 1)
    peers.reverse()
    for peer in peers:
        staging.wait(peer, _PACKED, staging.round + 1, comm, what)
    results = [
        (peer, moves.receives[peer][piece]) for peer in peers if moves.receives[peer] is not None
    ]
    arrived = [staging.slot(peer, rank, result) for peer, result in results]
    _copy_together([result for _, result in results], arrived, None if with_sends else own)
    staging.round += 1
    staging.post(_UNPACKED, staging.round)


def _copy_together(
    targets: Sequence[Any], sources: Sequence[Any], own: tuple[Any, Any] | None
) -> None:
    """Copy several blocks in turns: they are often parts of the same rows of memory."""
    if own is not None:
        targets, sources = [*targets, own[0]], [*sources, own[1]]
    if targets:
        copy_blocks(targets, sources)
