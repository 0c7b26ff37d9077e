"""Ctrl-C during a long job: noticed between two pieces of it, never lost.

Python raises KeyboardInterrupt wherever it happens to be. Inside a finalizer or a callback of a
weak reference (the libraries below have some) it is printed and forgotten, and the job goes on. So
while a job runs its handler only takes a note, and the job asks for it after each piece.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["DeferredInterrupt"]


class DeferredInterrupt:
    """Takes a note of Ctrl-C while it is entered; a context manager.

    It does nothing outside the main thread, or where the program handles SIGINT itself. A second
    Ctrl-C does at once what the first would have done.

    Examples
    --------
    >>> with DeferredInterrupt() as interrupt:
    ...     interrupt.check()
    """

    def __init__(self) -> None:
        self._noted = False
        self._before: Any = None

    def check(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        if self._noted:
            self._noted = False
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._noted:
            signal.default_int_handler(number, frame)
        self._noted = True

    def __enter__(self) -> Self:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
        if error is None:
            self.check()
