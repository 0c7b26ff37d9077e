"""Threads for work that runs without the interpreter's lock: reading, packing and unpacking."""

from __future__ import annotations

import collections
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["in_order", "thread_count"]

_T = TypeVar("_T")
_R = TypeVar("_R")

#: More than this brings little: memory is the limit then.
_MOST = 16


def thread_count(sharing: int = 1) -> int:
    """How many threads a job may use.

    The environment variable ``MEMDATA_THREADS`` says so. Without it, as many as the process has
    processors (at most 16), shared with the other ranks of an MPI program: those of `sharing`,
    and all of the world communicator where MPI runs. They may be on other machines; a thread too
    few costs less than ranks that push each other aside.

    Parameters
    ----------
    sharing : int
        So many processes are known to do the same at the same time.

    Raises
    ------
    ValueError
        ``MEMDATA_THREADS`` is no whole number above 0.

    Examples
    --------
    >>> thread_count() >= thread_count(sharing=2) >= 1
    True
    """
    told = os.environ.get("MEMDATA_THREADS")
    if told:
        if not told.isascii() or not told.isdigit() or int(told) < 1:
            raise ValueError(f"MEMDATA_THREADS is a whole number above 0, not {told!r}")
        return int(told)
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        sharing = max(sharing, mpi.COMM_WORLD.size)
    return max(1, min(_MOST, _processors() // sharing))


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    function: Callable[[_T], _R], items: Iterable[_T], threads: int, purpose: str = "work"
) -> Iterator[_R]:
    """Call a function of each item in several threads; the results come in the items' order.

    Items are taken, and results are held, only some few ahead of what the caller has asked for. An
    error of a call, or of the caller, stops the rest; all threads have ended when it goes on.

    Parameters
    ----------
    function : callable
        Called in another thread, or in this one if `threads` is 1.
    items : iterable
        Taken in this thread.
    threads : int
        How many calls run at the same time.
    purpose : str
        Part of the threads' names.

    Examples
    --------
    >>> list(in_order(abs, [-3, 2, -1], threads=2))
    [3, 2, 1]
    """
    items = iter(items)
    first = list(itertools.islice(items, 2))
    items = itertools.chain(first, items)
    if threads < 2 or len(first) < 2:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor

    waiting: collections.deque[Future[Any]] = collections.deque()
    pool = ThreadPoolExecutor(threads, f"memdata-{purpose}")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
