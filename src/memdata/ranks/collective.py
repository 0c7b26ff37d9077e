"""Doing things together: a rank that fails, or that does something else, leaves nobody behind.

Collective operations hang when one rank does not come, and MPI does not say which. Here every
collective step first compares, in one small exchange, what all ranks are about to do and whether
one of them has failed. If anything differs, *all* ranks raise the same error.

What is compared is a digest of 32 bytes (`memdata.ranks.meeting`); the texts travel only when there
is something to tell.
"""

from __future__ import annotations

import builtins
import os
import pickle
import sys
import traceback
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from memdata import interrupt
from memdata.ranks import meeting
from memdata.ranks.waiting import RankTimeoutError, name_ranks

__all__ = [
    "CollectiveError",
    "agree",
    "check_communicator",
    "together",
]

_FINE, _FAILED = b"\0", b"\1"
_DIGEST = meeting.RECORD - 1


class CollectiveError(RuntimeError):
    """The ranks do not agree on what to do, or one of them failed."""


# ---- what users call ----


def agree(comm: Any, what: str, *, error: type[Exception] = CollectiveError, **facts: Any) -> None:
    """Make sure that all ranks are about to do the same. Collective.

    Parameters
    ----------
    comm : communicator or None
        None, or one of one rank: there is nobody to ask.
    what : str
        What this rank is about to do: an operation and, where there is one, a path.
    error : type
        What to raise where `facts` differ. Where `what` differs it is always `CollectiveError`.
    **facts
        What must be the same everywhere, as numbers, texts, dtypes, tuples of these.

    Raises
    ------
    CollectiveError, or `error`
        On all ranks the same: which ranks, what, where.
    TimeoutError
        ``MEMDATA_TIMEOUT`` is set, and some rank has not come.
    ValueError
        The communicator was freed.

    Examples
    --------
    >>> from memdata.ranks.collective import agree
    >>> agree(None, "redistribute /vis", axis=1, shape=(4, 5))
    """
    if comm is not None and check_communicator(comm).size > 1:
        _meet(comm, what, facts, None, error)


def together(comm: Any, what: str, *, error: type[Exception] = CollectiveError) -> _Together:
    """Context of a step that every rank does on its own and that may fail on some. Collective.

    At the end of the block the ranks meet: if one of them has failed, all raise its error.

    Parameters
    ----------
    comm : communicator or None
        None, or one of one rank: an error is raised as it is.
    what : str
        What is done, for the message: "rank 2 of 4, <what>: <message>".
    error : type
        What to raise where the `facts` differ.

    Returns
    -------
    context manager
        Its method ``facts(**facts)`` adds what must be the same on all ranks at the end, as in
        `agree`.

    Raises
    ------
    Exception
        The error of the first rank that failed, of its type where that is one of Python's or of
        memdata's own, else the nearest such type, `CollectiveError` at last. KeyboardInterrupt
        and SystemExit too.

    Examples
    --------
    >>> from memdata.ranks.collective import together
    >>> with together(None, "allocate") as step:
    ...     part = bytearray(10)
    ...     step.facts(kind="bytearray")
    """
    return _Together(comm, what, error)


class _Together:
    """What `together` gives."""

    __slots__ = ("_blocks", "_comm", "_error", "_facts", "_what", "arrived")

    def __init__(self, comm: Any, what: str, error: type[Exception]) -> None:
        self._comm = None if comm is None else check_communicator(comm)
        self._what = what
        self._error = error
        self._facts: dict[str, Any] = {}
        self._blocks: Sequence[bytes] | None = None
        self.arrived: Sequence[np.ndarray[Any, Any]] = []

    @property
    def room(self) -> int:
        """Bytes that may go to each rank with this meeting; 0: none. The same on all ranks."""
        return 0 if self._comm is None or self._comm.size == 1 else meeting.room(self._comm)

    def carry(self, blocks: Sequence[bytes]) -> None:
        """Let a block of at most `room` bytes go to each rank; `arrived` has theirs afterwards.

        All ranks have to do so, and to know how long the blocks are that they get.
        """
        self._blocks = blocks

    def facts(self, **facts: Any) -> None:
        """Add what must be the same on all ranks."""
        self._facts.update(facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(failure, RankTimeoutError):
            return
        if self._comm is not None and self._comm.size > 1:
            self.arrived = _meet(
                self._comm, self._what, self._facts, failure, self._error, self._blocks
            )


def check_communicator(comm: Any) -> Any:
    """Return `comm`, if it is still one.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        Not communicated with.

    Raises
    ------
    ValueError
        The communicator was freed.
    """
    if not comm:
        raise ValueError("the communicator was freed: there are no ranks to communicate with")
    return comm


# ---- the exchange ----


def _meet(
    comm: Any,
    what: str,
    facts: dict[str, Any],
    failure: BaseException | None,
    error: type[Exception],
    blocks: Sequence[bytes] | None = None,
) -> Sequence[np.ndarray[Any, Any]]:
    """Compare with the other ranks; raise on all if anything is wrong."""
    # From here on a Ctrl-C ends the next step, on all ranks; one before ends this step.
    with interrupt.DeferredInterrupt():
        if failure is None and interrupt.take():
            failure = KeyboardInterrupt()
        return _meet_undisturbed(comm, what, facts, failure, error, blocks)


def _meet_undisturbed(
    comm: Any,
    what: str,
    facts: dict[str, Any],
    failure: BaseException | None,
    error: type[Exception],
    blocks: Sequence[bytes] | None,
) -> Sequence[np.ndarray[Any, Any]]:
    if failure is None:
        plain = {
            name: value if type(value) in _PLAIN else _plain(value) for name, value in facts.items()
        }
        record = repr((what, sorted(plain.items()))).encode("utf-8", "surrogateescape")
        mine = _FINE + blake2b(record, digest_size=_DIGEST).digest()
    else:
        plain, blocks = {}, None
        mine = _FAILED + bytes(_DIGEST)
    alike, arrived = meeting.compare(comm, mine, what, blocks)
    if alike and failure is None:
        return arrived
    details = pickle.dumps((what, {k: repr(v) for k, v in plain.items()}, _describe(failure)))
    all_details = [pickle.loads(one) for one in _allgather_any(comm, details, what)]
    try:
        raise _common_error(all_details, error, comm.rank) from failure
    finally:
        del failure  # no cycle from the traceback's frame to the exception


#: Types whose values print alike when they are equal.
_PLAIN = frozenset((int, str, bool, type(None)))


def _plain(value: Any) -> Any:
    """The value in a form that prints alike on all ranks when it is equal."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return tuple([one if type(one) in _PLAIN else _plain(one) for one in value])
    if isinstance(value, dict):
        return tuple((_plain(key), _plain(one)) for key, one in value.items())
    return value


def _allgather_any(comm: Any, mine: bytes, what: str) -> list[bytes]:
    """Every rank's `mine`, of any length."""
    mine_length = len(mine).to_bytes(8, "little")
    numbers = meeting.swap(comm, mine_length, [len(mine_length)] * comm.size, what)
    lengths = [int.from_bytes(numbers[i : i + 8], "little") for i in range(0, len(numbers), 8)]
    texts = meeting.swap(comm, mine, lengths, what)
    ends = list(accumulate(lengths))
    return [bytes(texts[end - n : end]) for end, n in zip(ends, lengths, strict=True)]


# ---- errors that travel ----

_Failure = tuple[str, str, str, int | None, Any, str]
_Details = tuple[str, dict[str, str], _Failure | None]


def _describe(failure: BaseException | None) -> _Failure | None:
    """What the other ranks need to raise the same: type, message, errno, file name, traceback."""
    if failure is None:
        return None
    kind = _type_for(failure)
    number = None
    filename: Any = None
    message = str(failure)
    if isinstance(failure, OSError) and failure.errno is not None:
        number, message = failure.errno, str(failure.strerror)
        filename = failure.filename
        if not isinstance(filename, str | bytes | int):
            filename = None if filename is None else os.fspath(filename)
    elif isinstance(failure, KeyError) and len(failure.args) == 1:
        message = str(failure.args[0])
    elif isinstance(failure, UnicodeError | SystemExit) or not message:
        message = f"{type(failure).__name__}: {failure}" if message else type(failure).__name__
    text = "".join(traceback.format_exception(failure, limit=-8))
    return kind.__module__, kind.__qualname__, message, number, filename, text


def _type_for(failure: BaseException) -> type[BaseException]:
    """The nearest type of `failure` that all ranks have and that takes a message alone."""
    for kind in type(failure).__mro__:
        own = kind.__module__ == "builtins" or kind.__module__.partition(".")[0] == "memdata"
        if not own or kind in (Exception, BaseException, RuntimeError):
            continue
        if kind is not object and _find_type(kind.__module__, kind.__qualname__) is kind:
            try:
                if isinstance(kind("message"), BaseException):
                    return cast("type[BaseException]", kind)
            except TypeError:  # UnicodeDecodeError and others want more than a message
                continue
    return RuntimeError if type(failure) is RuntimeError else CollectiveError


def _find_type(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module, builtins), name, None)


def _common_error(details: list[_Details], error: type[Exception], rank: int) -> BaseException:
    """The error that all ranks raise, made of what each of them said."""
    failed = [at for at, (_, _, failure) in enumerate(details) if failure is not None]
    if not failed:
        return _disagreement(details, error)
    first = failed[0]
    what, _, failure = details[first]
    assert failure is not None
    module, name, message, number, filename, text = failure
    more = f" (and {name_ranks(failed[1:])} failed too)" if len(failed) > 1 else ""
    message = f"rank {first} of {len(details)}, {what}: {message}{more}"
    kind = _find_type(module, name) or CollectiveError
    found: BaseException
    if number is not None:
        found = kind(number, message, filename) if filename is not None else kind(number, message)
    else:
        found = kind(message)
    if first != rank:
        found.add_note(f"On rank {first}:\n{text}")
    return found


def _disagreement(details: list[_Details], error: type[Exception]) -> Exception:
    """The error where nobody failed but the ranks are about to do different things."""
    if len({what for what, _, _ in details}) > 1:
        groups = _group([what for what, _, _ in details])
        return CollectiveError(f"the ranks are not at the same operation: {groups}")
    what = details[0][0]
    names = {name: None for _, facts, _ in details for name in facts}
    different = [
        name for name in names if len({facts.get(name, "nothing") for _, facts, _ in details}) > 1
    ]
    said = [
        ", ".join(f"{name}={facts.get(name, 'nothing')}" for name in different)
        for _, facts, _ in details
    ]
    return error(f"{what}: the ranks do not agree: {_group(said)}")


def _group(said: list[str]) -> str:
    """Who says what: "ranks 0-2: axis=1; rank 3: axis=0"."""
    by_text: dict[str, list[int]] = {}
    for at, text in enumerate(said):
        by_text.setdefault(text, []).append(at)
    return "; ".join(f"{name_ranks(ranks)}: {text}" for text, ranks in by_text.items())
