"""The exchange in which ranks compare what they are about to do; small blocks may go with it.

A rank contributes a *record*: whether it has failed, and a digest of what it does. There are two
ways, and all ranks take the same:

* one ``MPI_Iallgather`` of the records
* a *letter* from every rank to every other, in our own communicator: where there is one already
  and there are few ranks, since then it is no slower, and with a time limit, since the error
  can then say who has not come. Where there is room the letter holds a block of elements too, so
  that a small array is moved by the very exchange in which the ranks agree to move it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from memdata.ranks import private
from memdata.ranks.waiting import TAG, TAG_MEETING, time_limit, wait

__all__ = ["RECORD", "compare", "room", "swap"]

Array = np.ndarray[Any, Any]

#: Bytes of a record.
RECORD = 32

#: With more ranks than this they do not write to each other one by one without need.
_FEW = 16

#: Bytes of a block that may go with a record: such messages MPI sends at once.
_ROOM = 16 << 10


def room(comm: Any) -> int:
    """Bytes that may go with a record to each rank: on all ranks the same, 0 where none."""
    return _ROOM if comm.size <= _FEW and private.kept(comm) is not None else 0


def compare(
    comm: Any, mine: bytes, what: str, blocks: Sequence[bytes] | None = None
) -> tuple[bool, list[Array]]:
    """Whether all ranks have the same record. Collective.

    Parameters
    ----------
    comm : communicator
        Of two ranks or more.
    mine : bytes
        This rank's record.
    what : str
        What is done, for messages.
    blocks : sequence of bytes, optional
        One for each rank, of at most `room` bytes; they go with the record.

    Returns
    -------
    alike : bool
        Whether all records are `mine`.
    arrived : list of numpy.ndarray
        Each rank's block for this one, with anything behind it; of no meaning unless `alike`, and
        empty where no blocks travel.
    """
    space = room(comm)
    if not space and time_limit() is None:
        return swap(comm, mine, [RECORD] * comm.size, what) == mine * comm.size, []
    rank, size = comm.rank, comm.size
    ours = private.link(comm)
    letters = [np.empty(RECORD + space, np.uint8) for _ in range(size)]
    peers = [(rank + step) % size for step in range(1, size)]
    requests = [ours.Irecv(letters[peer], peer, TAG_MEETING) for peer in peers]
    for peer in peers:
        letter = mine if blocks is None else mine + blocks[peer]
        requests.append(ours.Isend(letter, peer, TAG_MEETING))
    wait(requests, peers * 2, ours, what)
    alike = all(letters[peer].data[:RECORD] == mine for peer in peers)
    return alike, [letter[RECORD:] for letter in letters]


def swap(comm: Any, mine: bytes, lengths: list[int], what: str) -> bytearray:
    """Every rank's `mine`, whose lengths are known, one behind the other. Collective."""
    everything = bytearray(sum(lengths))
    if time_limit() is None:
        if lengths.count(lengths[0]) == len(lengths):
            request = comm.Iallgather(mine, everything)
        else:
            from mpi4py import MPI

            request = comm.Iallgatherv([mine, MPI.BYTE], [everything, lengths, None, MPI.BYTE])
        wait([request], (), comm, what)
    else:
        comm = private.link(comm)
        view = memoryview(everything)
        starts = [0, *accumulate(lengths)]
        view[starts[comm.rank] :][: len(mine)] = mine
        peers = [peer for peer in range(comm.size) if peer != comm.rank]
        receives = [
            comm.Irecv(view[starts[peer] : starts[peer] + lengths[peer]], peer, TAG)
            for peer in peers
        ]
        sends = [comm.Isend(mine, peer, TAG) for peer in peers]
        wait(receives + sends, peers * 2, comm, what)
    return everything
