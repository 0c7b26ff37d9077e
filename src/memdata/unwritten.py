"""Which parts of an array nobody has written to.

The system gives memory to pages when they are first written; until then they read as zero and cost
nothing. A save that knows them can leave them out, so that an array of a declared size far beyond
the memory, and the file, takes as much as was written. Linux tells in ``/proc/self/pagemap``.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LARGE", "written_parts"]

Array = np.ndarray[Any, Any]

#: Bytes; of smaller arrays one does not ask.
LARGE = 64 << 20

_SELF = Path("/proc/self")
_PAGE = mmap.PAGESIZE
_ENTRIES = 1 << 18  # of the page map, read at once: those of 1 GiB

#: Of so many pages one asks first.
_PROBES = 64

#: Of an entry of the page map: the page is in memory, or it is swapped out.
_TAKEN = np.uint64(3 << 62)


def written_parts(array: Array) -> list[tuple[int, int]] | None:
    """The bytes of a C-contiguous array that may be other than zero, as (start, stop) in order.

    Parameters
    ----------
    array : ndarray
        Any. Nothing of it is read.

    Returns
    -------
    list of tuple of int, or None
        None where all may be: the array is small, not contiguous, in memory that is mapped from a
        file or shared, or the system does not tell. Also where some pages out of all were asked
        for first, and are all taken.

    Examples
    --------
    >>> import numpy as np
    >>> from memdata.unwritten import written_parts
    >>> written_parts(np.zeros(10)) is None
    True
    """
    if array.nbytes < LARGE or not array.flags.c_contiguous:
        return None
    start = array.__array_interface__["data"][0]
    stop = start + array.nbytes
    try:
        if _seem_taken(start // _PAGE, -(-stop // _PAGE)):
            return None
        if not _is_private(start, stop) or not _tells():
            return None
        pages = list(_taken_pages(start // _PAGE, -(-stop // _PAGE)))
    except (OSError, ValueError):
        return None
    return [
        (max(first * _PAGE - start, 0), min(last * _PAGE, stop) - start) for first, last in pages
    ]


def _is_private(start: int, stop: int) -> bool:
    """Whether the memory is this process' alone, and no file is behind it."""
    at = start
    for line in (_SELF / "maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, rights, _offset, _device, inode = line.split(None, 5)[:5]
        first, last = (int(address, 16) for address in addresses.split("-"))
        if first <= at < last:
            if rights[3] != "p" or inode != "0":
                return False
            at = last
            if at >= stop:
                return True
    return False


def _tells() -> bool:
    """Whether the page map is there and true: of a page just written it says that it is taken."""
    probe = np.ones(_PAGE, np.uint8)
    page = probe.__array_interface__["data"][0] // _PAGE
    return bool(list(_taken_pages(page, page + 1)))


def _seem_taken(first: int, last: int) -> bool:
    """Whether some pages all over these are taken: most arrays are written from end to end."""
    with open(_SELF / "pagemap", "rb", buffering=0) as file:
        for page in range(first, last, -(-(last - first) // _PROBES)):
            file.seek(page * 8)
            entry = int.from_bytes(file.read(8), sys.byteorder)
            if not entry & int(_TAKEN):
                return False
    return True


def _taken_pages(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Runs of pages that are in memory or swapped out, as (first, behind the last)."""
    begun: int | None = None
    with open(_SELF / "pagemap", "rb", buffering=0) as file:
        for start in range(first, last, _ENTRIES):
            count = min(_ENTRIES, last - start)
            file.seek(start * 8)
            entries = np.frombuffer(file.read(count * 8), np.uint64)
            if len(entries) != count:
                raise OSError("the page map ends too early")
            if not entries.any():  # the common case, of what is far beyond memory
                if begun is not None:
                    yield begun, start
                    begun = None
                continue
            taken = np.concatenate(([begun is not None], (entries & _TAKEN) != 0))
            for change in np.flatnonzero(taken[1:] != taken[:-1]).tolist():
                if begun is None:
                    begun = start + change
                else:
                    yield begun, start + change
                    begun = None
    if begun is not None:
        yield begun, last
