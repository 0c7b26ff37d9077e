"""A folder that zarr-python 3 writes to, and that can be waited for.

zarr writes the chunks of an array side by side. When one fails it raises at once, and the others go
on: they would make a temporary folder anew that has just been removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

__all__ = ["folder_store", "settle"]


def folder_store(path: str) -> Any:
    """A store of zarr-python 3 in a folder; `settle` ends it."""
    return _store_class()(path)


def settle(store: Any) -> None:
    """Wait until nothing is being written to a store of `folder_store`, and let nothing begin.

    Other stores are left alone.
    """
    end = getattr(store, "settle", None)
    if end is not None:
        end()


class _Writes:
    """How many writes are under way, and whether more may begin."""

    def __init__(self) -> None:
        self._number = 0
        self._ended = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one(self, path: str) -> Iterator[None]:
        with self._changed:
            if self._ended:
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED), path)
            self._number += 1
        try:
            yield
        finally:
            with self._changed:
                self._number -= 1
                self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: self._number == 0)


@cache
def _store_class() -> type[Any]:
    from zarr.storage import LocalStore

    class FolderStore(LocalStore):  # type: ignore[misc, unused-ignore]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._writes = _Writes()

        async def set(self, key: str, *args: Any, **kwargs: Any) -> None:
            with self._writes.one(str(self.root / key)):
                await super().set(key, *args, **kwargs)

        async def set_if_not_exists(self, key: str, *args: Any, **kwargs: Any) -> None:
            with self._writes.one(str(self.root / key)):
                await super().set_if_not_exists(key, *args, **kwargs)

        def set_sync(self, key: str, *args: Any, **kwargs: Any) -> None:
            with self._writes.one(str(self.root / key)):
                super().set_sync(key, *args, **kwargs)

        def settle(self) -> None:
            self._writes.end()

    return FolderStore
