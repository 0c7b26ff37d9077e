"""Ctrl-C during a long job: noticed between two pieces of it, never lost.

Python raises KeyboardInterrupt wherever it happens to be. Inside a finalizer or a callback of a
weak reference (the libraries below have some) it is printed and forgotten, and the job goes on;
between two exchanges with other ranks it leaves them waiting. So while a job runs its handler only
takes a note, and the job asks for it after each piece.
"""

from __future__ import annotations

import functools
import threading

# What `signal` is made of: that looks signals up in enums, at 9 us for a job of 20 us.
from _signal import (  # type: ignore[import-not-found]
    SIGINT,
    default_int_handler,
    getsignal,
    signal,
)
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ParamSpec, Self, TypeVar

__all__ = ["DeferredInterrupt", "check", "deferred", "is_noted", "take"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: Whether there was a Ctrl-C that nobody has raised yet. Signals come to the main thread only.
_noted = False

#: Whether the handler is ours now.
_active = False


def is_noted() -> bool:
    """Whether there was a Ctrl-C that a job of this thread has not raised yet."""
    return _noted and threading.current_thread() is threading.main_thread()


def take() -> bool:
    """Whether there was a Ctrl-C; the caller raises it."""
    global _noted  # noqa: PLW0603 - as the handler's
    if not is_noted():
        return False
    _noted = False
    return True


def check() -> None:
    """Raise KeyboardInterrupt if there was a Ctrl-C during a job of this thread."""
    if _noted and take():
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    global _noted  # noqa: PLW0603 - a handler has nowhere else to write
    if _noted:
        default_int_handler(number, frame)
    _noted = True


class DeferredInterrupt:
    """Takes a note of Ctrl-C while it is entered; a context manager.

    It does nothing outside the main thread, or where the program handles SIGINT itself. A second
    Ctrl-C does at once what the first would have done. Entered within another it does nothing: the
    outermost raises what was noted, if nothing within it does.

    Examples
    --------
    >>> with DeferredInterrupt() as interrupt:
    ...     interrupt.check()
    """

    def __init__(self) -> None:
        self._before: Any = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        check()

    def __enter__(self) -> Self:
        global _active  # noqa: PLW0603 - one for the process, as the handler is
        if _active or threading.current_thread() is not threading.main_thread():
            return self
        if getsignal(SIGINT) is default_int_handler:
            self._before = signal(SIGINT, _note)
            _active = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is None:
            return
        global _active  # noqa: PLW0603 - as above
        _active = False
        signal(SIGINT, self._before)
        self._before = None
        # An error of another kind goes on; it ends the job as well.
        if take() and error is None:
            raise KeyboardInterrupt


def deferred(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Have a function run within `DeferredInterrupt`; a decorator."""

    @functools.wraps(function)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with DeferredInterrupt():
            return function(*args, **kwargs)

    return run
