"""Waiting for other ranks: not for ever, and not deaf to Ctrl-C.

A blocking call of MPI cannot be interrupted, and does not say for whom it waits. So memdata begins
every exchange without blocking and asks again and again whether it is done. After a moment the
processor is given away after each question: where there are more ranks than processors, the rank
that is waited for may need it.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from memdata import interrupt

__all__ = [
    "TAG",
    "TAG_DATA",
    "TAG_MEETING",
    "TAG_STOP",
    "RankTimeoutError",
    "abandon",
    "late",
    "name_ranks",
    "time_limit",
    "wait",
]

#: Messages from one rank to another; MPI promises tags up to 32767.
TAG = 27956

#: Elements on their way; what is left of them after a failure never meets what is said about it.
TAG_DATA = TAG + 1

#: The message "I have stopped".
TAG_STOP = TAG + 2

#: What a rank is about to do.
TAG_MEETING = TAG + 3

#: So long a rank that was interrupted waits for the others, to end together with them (seconds).
GRACE = 1.0

#: So often a rank asks before it gives the processor away: some ten microseconds.
_QUESTIONS = range(50)

#: So long a waiting rank only gives the processor away; afterwards it sleeps (seconds).
_AWAKE = 2e-3
_LONGEST_SLEEP = 1e-3

_give_away: Callable[[], None] = getattr(os, "sched_yield", lambda: time.sleep(0))

#: Requests that will never be done, and the buffers that MPI may still touch.
_abandoned: list[Any] = []


class RankTimeoutError(TimeoutError):
    """A rank has waited too long for others. It cannot expect to meet them once more."""


def time_limit() -> float | None:
    """Return the seconds a rank may wait, by ``MEMDATA_TIMEOUT``; None: as long as it takes."""
    text = os.environ.get("MEMDATA_TIMEOUT")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise ValueError(f"MEMDATA_TIMEOUT must be a number of seconds, not {text!r}")
    return seconds or None


def wait(
    requests: Sequence[Any],
    peers: Sequence[int],
    comm: Any,
    what: str,
    *,
    look: Callable[[], None] | None = None,
) -> None:
    """Wait for MPI requests, as long as `time_limit` allows.

    Parameters
    ----------
    requests : sequence of mpi4py.MPI.Request
        Done when this returns.
    peers : sequence of int
        The rank that each request waits for; empty: for all.
    comm : communicator
        What they are ranks of.
    what : str
        What is waited for.
    look : callable, optional
        Called now and then during a long wait. What it raises ends the wait at once, and so does
        Ctrl-C then; without it Ctrl-C ends the wait when the others have not come for a second.

    Raises
    ------
    TimeoutError
        Nothing has come for too long. Says from whom. The requests are given up: `abandon`.
    """
    try:
        for at, request in enumerate(requests):
            for _ in _QUESTIONS:
                if request.Test():
                    break
            else:
                _wait_long(requests[at:], peers[at:], comm, what, look)
                return
    except BaseException:
        abandon(requests)
        raise


def _wait_long(
    requests: Sequence[Any],
    peers: Sequence[int],
    comm: Any,
    what: str,
    look: Callable[[], None] | None,
) -> None:
    limit = time_limit()
    left = list(enumerate(requests))
    begin = time.monotonic()
    noted: float | None = None
    pause = 1e-5
    while True:
        still = [(at, request) for at, request in left if not request.Test()]
        if not still:
            return
        _give_away()
        passed = time.monotonic() - begin
        if len(still) < len(left):
            begin, pause = begin + passed, 1e-5
        elif passed > _AWAKE:
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_SLEEP)
            if look is not None:
                look()
            if interrupt.is_noted():
                noted = noted or time.monotonic()
                if look is not None or time.monotonic() > noted + GRACE:
                    interrupt.check()
            if limit is not None and passed > limit:
                missing = sorted({peers[at] for at, _ in still}) if peers else []
                raise late(comm, what, limit, missing)
        left = still


def late(comm: Any, what: str, limit: float, missing: Sequence[int]) -> RankTimeoutError:
    """Make the error of a rank that has waited too long."""
    whom = name_ranks(missing) if missing else "the other ranks"
    return RankTimeoutError(
        f"rank {comm.rank} of {comm.size}, {what}: waited {limit:g} s (MEMDATA_TIMEOUT) for {whom}"
    )


def abandon(requests: Sequence[Any]) -> None:
    """Stop waiting for requests. MPI may still read or write the buffers: they must live on.

    Requests of collective calls cannot be cancelled, and cancelling messages that are under way
    brings some MPI libraries down.
    """
    _abandoned.extend(requests)


def name_ranks(ranks: Sequence[int]) -> str:
    """Ranks in words: "rank 3", "ranks 0-2, 5"."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and rank == runs[-1][1] + 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    text = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
    return f"rank{'s' if len(ranks) != 1 else ''} {text}"
