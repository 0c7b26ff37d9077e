"""HDF5's filters Blosc, LZ4 and Zstandard, run by numcodecs where that is installed.

The codecs are those of the filter plugins; what the plugins write around them is done here. Each
number that a file gives is compared with what is there before a codec sees it.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import numpy as np

from memdata.formats.hdf5_stage import Array, BadChunkError, Bytes, Stage

__all__ = ["BLOSC", "LZ4", "ZSTD", "stage"]

#: The filters' registered numbers.
BLOSC, LZ4, ZSTD = 32001, 32004, 32015


def stage(code: int, values: tuple[int, ...]) -> Stage | None:
    """A filter with the values that the file has for it, or None where it cannot be run here."""
    codecs = _numcodecs()
    if codecs is None:
        return None
    if code == ZSTD:
        return _Zstd(codecs, values)
    if code == LZ4:
        return _LZ4(codecs, values)
    if code == BLOSC:
        return _Blosc.of(codecs, values)
    return None


@cache
def _numcodecs() -> Any:
    try:
        import numcodecs
    except ImportError:
        return None
    there = all(hasattr(numcodecs, name) for name in ("Blosc", "LZ4", "Zstd"))
    return numcodecs if there else None


def _as_bytes(packed: Any) -> Bytes:
    return np.frombuffer(packed, np.uint8)


def _unpack(codec: Any, name: str, packed: Any, out: Array) -> None:
    try:
        codec.decode(packed, out)
    except (RuntimeError, ValueError) as error:
        raise BadChunkError(f"{name} cannot unpack it: {error}") from None


class _Codec:
    """What is alike: the bytes go into `out` where there is one."""

    grows: int | None = None
    #: The unpacked size must be known: nothing is allocated because a file says so.
    sized = True
    name: str

    def decode(self, packed: Bytes, size: int | None, out: Bytes | None) -> Bytes:
        assert size is not None
        self._check(packed, size)
        result = np.empty(size, np.uint8) if out is None or out.size != size else out
        self._decode(packed, result)
        return result

    def _check(self, packed: Bytes, size: int) -> None:
        """Compare what the file says with what is there."""
        told = self._told(packed)
        if told != size:
            raise BadChunkError(f"{self.name} unpacks {told} bytes, expected {size}")

    def _told(self, packed: Bytes) -> int | None:
        """How many bytes are packed; None where that is not said."""
        raise NotImplementedError

    def _decode(self, packed: Bytes, out: Bytes) -> None:
        raise NotImplementedError


class _Zstd(_Codec):
    """One frame of Zstandard."""

    name = "zstd"
    _MAGIC = b"\x28\xb5\x2f\xfd"

    def __init__(self, codecs: Any, values: tuple[int, ...]) -> None:
        # As the plugin: no level is its default, 3, and so is 0; HDF5 has no negative numbers.
        level = values[0] if values else 0
        self._codec = codecs.Zstd(level=level - (1 << 32) if level >> 31 else level)

    def encode(self, raw: Bytes) -> Bytes:
        return _as_bytes(self._codec.encode(raw))

    def _told(self, packed: Bytes) -> int | None:
        head = packed[:18].tobytes()
        if len(head) < 5 or head[:4] != self._MAGIC:
            return None
        flags = head[4]
        single = flags >> 5 & 1
        width = (single, 2, 4, 8)[flags >> 6]
        begin = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
        if not width or len(head) < begin + width:
            return None
        return int.from_bytes(head[begin : begin + width], "little") + (256 if width == 2 else 0)

    def _decode(self, packed: Bytes, out: Bytes) -> None:
        _unpack(self._codec, self.name, packed, out)


class _LZ4(_Codec):
    """Blocks of LZ4, each with its length before it; one that LZ4 cannot shorten is as it was.

    ::

        8 bytes   length of the unpacked bytes, big-endian
        4 bytes   length of an unpacked block
        blocks    packed length (4 bytes) and so many bytes
    """

    name = "lz4"
    _HEADER = struct.Struct(">QI")
    _LENGTH = struct.Struct(">I")
    #: Before each block that numcodecs takes and gives: its unpacked length.
    _THEIRS = struct.Struct("<I")
    _LARGEST = 1 << 30

    def __init__(self, codecs: Any, values: tuple[int, ...]) -> None:
        self._codec = codecs.LZ4()
        self._block = values[0] if values and values[0] else self._LARGEST

    def encode(self, raw: Bytes) -> Bytes:
        block = min(self._block, raw.size)
        parts = [self._HEADER.pack(raw.size, block)]
        for start in range(0, raw.size, block):
            part = raw[start : start + block]
            packed = self._codec.encode(part)[self._THEIRS.size :]
            if len(packed) >= part.size:
                packed = part.tobytes()
            parts += [self._LENGTH.pack(len(packed)), packed]
        return _as_bytes(b"".join(parts))

    def _told(self, packed: Bytes) -> int | None:
        if packed.size < self._HEADER.size:
            return None
        size: int = self._HEADER.unpack_from(packed.data)[0]
        return size

    def _decode(self, packed: Bytes, out: Bytes) -> None:
        block = self._HEADER.unpack_from(packed.data)[1]
        if not block:
            raise BadChunkError("lz4 has blocks of 0 bytes")
        position = self._HEADER.size
        for start in range(0, out.size, block):
            target = out[start : start + block]
            begin = position + self._LENGTH.size
            if begin > packed.size:
                raise BadChunkError(f"lz4 needs more than its {packed.size} bytes")
            position = begin + self._LENGTH.unpack_from(packed.data, position)[0]
            if position > packed.size:
                raise BadChunkError(f"lz4 needs more than its {packed.size} bytes")
            part = packed[begin:position]
            if part.size == target.size:
                target[...] = part
            else:
                theirs = self._THEIRS.pack(target.size) + part.tobytes()
                _unpack(self._codec, self.name, theirs, target)


class _Blosc(_Codec):
    """A buffer of Blosc, whose first 16 bytes say how long it is, packed and unpacked."""

    name = "blosc"
    _HEADER = struct.Struct("<4xI4xI")
    _CODECS = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")

    def __init__(self, codec: Any, element: np.dtype[Any]) -> None:
        self._codec = codec
        self._element = element

    @classmethod
    def of(cls, codecs: Any, values: tuple[int, ...]) -> _Blosc | None:
        # The plugin's values: its revision, Blosc's format, bytes of an element and of a chunk,
        # level, shuffle, codec.
        if len(values) < 7 or not 0 < values[2] < 256 or values[5] > 2:
            return None
        name = cls._CODECS[values[6]] if values[6] < len(cls._CODECS) else ""
        if name not in codecs.blosc.list_compressors() or values[4] > 9:
            return None
        codec = codecs.Blosc(name, values[4], values[5])
        return cls(codec, np.dtype(f"V{values[2]}"))

    def encode(self, raw: Bytes) -> Bytes | None:
        whole = raw.size % self._element.itemsize == 0
        packed = _as_bytes(self._codec.encode(raw.view(self._element) if whole else raw))
        return None if packed.size > raw.size else packed

    def _told(self, packed: Bytes) -> int | None:
        if packed.size < self._HEADER.size:
            return None
        size, length = self._HEADER.unpack_from(packed.data)
        return int(size) if length == packed.size else None

    def _decode(self, packed: Bytes, out: Bytes) -> None:
        _unpack(self._codec, self.name, packed, out)
