"""Showing how far a load or a save has come."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from memdata.interrupt import DeferredInterrupt

__all__ = ["Progress", "ProgressLike"]

#: What the ``progress`` argument may be; a callable gets (bytes done, bytes in all).
ProgressLike = bool | Callable[[int, int], object] | None

#: Shorter jobs show nothing (seconds).
DELAY = 0.5


def _wanted() -> bool:
    return os.environ.get("MEMDATA_PROGRESS", "0").lower() not in {"", "0", "false", "no", "off"}


class Progress:
    """Counts the bytes of one job, and lets Ctrl-C stop it between two pieces; a context manager.

    Parameters
    ----------
    what : str
        What the job does, for the person who waits.
    total : int
        Bytes to be moved.
    show : bool, callable or None
        True shows a bar (tqdm where installed, else one line on standard error) once the job
        has taken half a second; a callable is called after every piece with the bytes done and
        the bytes in all; None asks the environment variable ``MEMDATA_PROGRESS``.

    Examples
    --------
    >>> with Progress("counting", 3, lambda done, total: print(done, total)) as progress:
    ...     progress.advance(1)
    ...     progress.advance(2)
    1 3
    3 3
    """

    def __init__(self, what: str, total: int, show: ProgressLike = None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self._call: Callable[[int, int], object] | None = None
        self._bar: Any = None
        self._line_due = float("inf")
        self._interrupt = DeferredInterrupt()
        if callable(show):
            self._call = show
        elif show or (show is None and _wanted()):
            self._start_bar()

    def _start_bar(self) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._line_due = time.monotonic() + DELAY
            return
        self._bar = tqdm(
            total=self.total,
            desc=self.what,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            delay=DELAY,
            leave=False,
        )

    def advance(self, count: int) -> None:
        """`count` more bytes have been moved; KeyboardInterrupt if there was a Ctrl-C."""
        self.done += count
        self._show(count)
        self._interrupt.check()

    def _show(self, count: int) -> None:
        if self._call is not None:
            self._call(self.done, self.total)
        elif self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() >= self._line_due and self.done < self.total:
            self._line_due = float("inf")
            print(
                f"{self.what}: {self.done / 2**20:.0f} of {self.total / 2**20:.0f} MiB",
                file=sys.stderr,
            )

    def __enter__(self) -> Self:
        self._interrupt.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        self._interrupt.__exit__(kind, error, traceback)
