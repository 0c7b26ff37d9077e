"""The checksum of HDF5's newer structures: Bob Jenkins' function lookup3, without NumPy."""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["lookup3"]

_MASK = 0xFFFFFFFF


def _left(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & _MASK


def lookup3(data: Any) -> int:
    """The checksum of some bytes.

    Examples
    --------
    >>> hex(lookup3(b"Four score and seven years ago"))
    '0x17770551'
    """
    size = len(data)
    a = b = c = (0xDEADBEEF + size) & _MASK
    if not size:
        return c
    padded = bytes(data) + bytes(-size % 12)
    words: tuple[int, ...] = struct.unpack(f"<{len(padded) // 4}I", padded)
    for place in range(0, len(words) - 3, 3):
        a = (a + words[place]) & _MASK
        b = (b + words[place + 1]) & _MASK
        c = (c + words[place + 2]) & _MASK
        a = (a - c) & _MASK ^ _left(c, 4)
        c = (c + b) & _MASK
        b = (b - a) & _MASK ^ _left(a, 6)
        a = (a + c) & _MASK
        c = (c - b) & _MASK ^ _left(b, 8)
        b = (b + a) & _MASK
        a = (a - c) & _MASK ^ _left(c, 16)
        c = (c + b) & _MASK
        b = (b - a) & _MASK ^ _left(a, 19)
        a = (a + c) & _MASK
        c = (c - b) & _MASK ^ _left(b, 4)
        b = (b + a) & _MASK
    a = (a + words[-3]) & _MASK
    b = (b + words[-2]) & _MASK
    c = (c + words[-1]) & _MASK
    c = ((c ^ b) - _left(b, 14)) & _MASK
    a = ((a ^ c) - _left(c, 11)) & _MASK
    b = ((b ^ a) - _left(a, 25)) & _MASK
    c = ((c ^ b) - _left(b, 16)) & _MASK
    a = ((a ^ c) - _left(c, 4)) & _MASK
    b = ((b ^ a) - _left(a, 14)) & _MASK
    return ((c ^ b) - _left(b, 24)) & _MASK
