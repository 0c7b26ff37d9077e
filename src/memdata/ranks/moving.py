"""Moving blocks of arrays between ranks, as bytes, in pieces: choosing the way, failing together.

A *block* is a view of an array that one rank sends and another receives; both know its shape. There
are three ways, and all ranks take the same:

* few bytes: packed, by one ``MPI_Alltoallv`` (`memdata.ranks.messages`): there the number of calls
  is what takes the time
* all ranks on one machine: through memory that they share (`memdata.ranks.sharing`)
* else by messages, in pieces (`memdata.ranks.messages`)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from memdata.ranks import sharing
from memdata.ranks.blocks import Moves
from memdata.ranks.collective import CollectiveError, together
from memdata.ranks.messages import move_by_messages, move_packed, scratch_bytes
from memdata.ranks.private import Private, forget, private
from memdata.ranks.sharing import PeerStoppedError, Staging, make_staging, move_shared
from memdata.ranks.waiting import time_limit

__all__ = ["SMALL", "move", "needed_bytes"]

Array = np.ndarray[Any, Any]

#: Arrays with at most so many bytes on a rank are packed and moved at once.
SMALL = 256 << 10

#: With at least so many bytes on a rank shared memory is worth making.
SHARED = 4 << 20


def needed_bytes(budget: int) -> int:
    """How much memory `move` may take besides the arrays, given a budget (bytes)."""
    return max(scratch_bytes(budget), min(budget, sharing.STAGING))


def move(
    comm: Any,
    sends: Sequence[Array | None],
    receives: Sequence[Array | None],
    what: str,
    *,
    largest: Sequence[int],
    total: int,
    budget: int,
) -> None:
    """Send a block to every rank and receive one from every rank. Collective.

    Parameters
    ----------
    comm : communicator
        Of two ranks or more.
    sends : sequence of ndarray or None
        One block for each rank, of any layout, without objects inside. None: nothing.
    receives : sequence of ndarray or None
        Where each rank's block goes: of the shape and dtype that it sends.
    what : str
        What is done, for messages.
    largest : sequence of int
        The lengths of the largest block; the same on all ranks.
    total : int
        Bytes that a rank moves, about; the same on all ranks.
    budget : int
        Bytes for buffers; the same on all ranks.

    Raises
    ------
    TimeoutError
        ``MEMDATA_TIMEOUT`` is set, and a rank does not go on.
    KeyboardInterrupt
        On all ranks: there was a Ctrl-C on one.
    """
    moves = Moves(sends, receives, largest, comm.rank)
    if total <= SMALL and time_limit() is None:
        move_packed(comm, moves, what)
        return
    kept = private(comm, what)
    try:
        stopped = False
        with together(comm, what):
            staging = _staging(kept, total, budget, what)
            try:
                if staging is not None:
                    move_shared(staging, moves, kept.comm, what)
                else:
                    move_by_messages(kept, moves, budget, what)
            except PeerStoppedError:
                stopped = True
        if stopped:
            raise CollectiveError(f"{what}: another rank stopped, and did not say why")
    except BaseException:
        forget(comm)
        raise


def worth_sharing(size: int, total: int, budget: int) -> bool:
    """Whether to make memory that so many ranks share, and whether it may be made."""
    return total >= SHARED and budget >= size * sharing.area_bytes(size)


def _staging(kept: Private, total: int, budget: int, what: str) -> Staging | None:
    """The shared memory to move through; None: there is none, or it is not worth it."""
    if not kept.one_machine or not worth_sharing(kept.comm.size, total, budget):
        return None
    if not kept.asked_for_staging:
        kept.asked_for_staging = True
        kept.staging = make_staging(kept.comm, what)
    return kept.staging
