"""What a filter of HDF5 has to do to be run without HDF5."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

__all__ = ["Array", "BadChunkError", "Bytes", "Stage"]

Array = np.ndarray[Any, Any]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class BadChunkError(OSError):
    """The bytes of a chunk are not what its filters make."""


class Stage(Protocol):
    """One filter. Both functions may run in several threads at the same time.

    Attributes
    ----------
    grows : int or None
        How many bytes longer the packed bytes are; None: that depends on them.
    sized : bool
        Whether `decode` must be told the size.
    """

    grows: int | None
    sized: bool

    def encode(self, raw: Bytes) -> Bytes | None:
        """What the file gets of the bytes; None where the filter is left out: it cannot help."""

    def decode(self, packed: Bytes, size: int | None, out: Bytes | None) -> Bytes:
        """The bytes again: `size` of them where that is known; in `out`, or elsewhere."""
