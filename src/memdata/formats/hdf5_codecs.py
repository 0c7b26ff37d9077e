"""HDF5's filters, run without HDF5.

HDF5 holds one lock for the whole process while it packs or unpacks a chunk. The functions here
hold neither that lock nor the interpreter's, so chunks can be packed and unpacked side by side. The
bytes are the same: `zlib` is what HDF5 calls for gzip, bitshuffle is the very code of hdf5plugin's
filter, called past HDF5, and numcodecs has what the filters Blosc, LZ4 and Zstandard call.

A pipeline with a filter that is not known here has no `Pipeline`; HDF5 itself does it then.
"""

from __future__ import annotations

import ctypes
import glob
import os
import struct
import threading
import zlib
from functools import cache
from typing import Any

import numpy as np
from h5py import h5z

from memdata._cmemdata import end_of_records, fletcher32, shuffle_bytes, unpack_bitshuffled
from memdata.fileformats import H5FILTER
from memdata.formats import hdf5_numcodecs
from memdata.formats.hdf5_stage import Array, BadChunkError, Bytes, Stage

__all__ = ["BadChunkError", "Pipeline", "pipeline_of"]


class Pipeline:
    """The filters of a dataset, in the order in which they pack.

    Parameters
    ----------
    stages : list
        The filters.
    """

    def __init__(self, stages: list[Stage]) -> None:
        self._stages = stages

    def leaves(self, mask: int) -> bool:
        """Whether a chunk with such a mask (see `decode`) is as it was."""
        return not ~mask & ((1 << len(self._stages)) - 1)

    @property
    def reads(self) -> bool:
        """Whether there is a way to read many chunks at once: `read`."""
        return len(self._stages) == 1 and isinstance(self._stages[0], _Bitshuffle)

    def read(
        self, descriptor: int, chunks: list[tuple[int, int, Array]], packed: Bytes, unpacked: Bytes
    ) -> int:
        """Read chunks from a file and unpack them to their places, without the interpreter's lock.

        Parameters
        ----------
        descriptor : int
            Of the file.
        chunks : list of (int, int, ndarray)
            Where each begins in the file, its bytes there, and the place of its elements. No filter
            was left out.
        packed, unpacked : ndarray of uint8
            To work in; as long as the longest chunk in the file and in memory.

        Returns
        -------
        int
            How many chunks were done, from the first on. Where the next one is not as it should be,
            `decode` says why.
        """
        (stage,) = self._stages
        assert isinstance(stage, _Bitshuffle)
        return stage.read(descriptor, chunks, packed, unpacked)

    def encode(self, raw: Bytes) -> tuple[int, Bytes]:
        """Pack the bytes of a chunk.

        Returns
        -------
        mask : int
            The filters that were left out, a bit each.
        packed : ndarray of uint8
            It may be `raw` itself.
        """
        mask = 0
        for place, stage in enumerate(self._stages):
            packed = stage.encode(raw)
            if packed is None:
                mask |= 1 << place
            else:
                raw = packed
        return mask, raw

    def decode(self, packed: Bytes, mask: int, out: Bytes) -> Bytes:
        """Unpack a chunk.

        Parameters
        ----------
        packed : ndarray of uint8
            What the file has.
        mask : int
            The filters that were left out, a bit each.
        out : ndarray of uint8
            As long as the unpacked chunk; it may or may not be used.

        Returns
        -------
        ndarray of uint8
            As long as `out`; it may be `out`, or `packed`.

        Raises
        ------
        BadChunkError
            The bytes are not what the filters make, or too many or too few.
        """
        stages = [stage for place, stage in enumerate(self._stages) if not mask >> place & 1]
        sizes: list[int | None] = [out.size]
        for stage in stages:
            before = sizes[-1]
            sizes.append(None if before is None or stage.grows is None else before + stage.grows)
        for place in range(len(stages) - 1, -1, -1):
            packed = stages[place].decode(packed, sizes[place], out if place == 0 else None)
        if packed.size != out.size:
            raise BadChunkError(f"it has {packed.size} bytes, expected {out.size}")
        return packed


class _Shuffle:
    grows: int | None = 0
    sized = False

    def __init__(self, size: int) -> None:
        self._size = size

    def encode(self, raw: Bytes) -> Bytes:
        if self._size < 2:
            return raw
        result = np.empty_like(raw)
        shuffle_bytes(raw, result, self._size)
        return result

    def decode(self, packed: Bytes, size: int | None, out: Bytes | None) -> Bytes:
        del size
        if self._size < 2:
            return packed
        result = np.empty_like(packed) if out is None or out.size != packed.size else out
        shuffle_bytes(packed, result, self._size, True)
        return result


class _Fletcher:
    grows: int | None = 4
    sized = False

    def encode(self, raw: Bytes) -> Bytes:
        result = np.empty(raw.size + 4, np.uint8)
        result[:-4] = raw
        result[-4:] = np.frombuffer(struct.pack("<I", fletcher32(raw)), np.uint8)
        return result

    def decode(self, packed: Bytes, size: int | None, out: Bytes | None) -> Bytes:
        del size, out
        if packed.size < 4:
            raise BadChunkError(f"{packed.size} bytes have no room for a checksum")
        stored = packed[-4:].tobytes()
        told = struct.pack("<I", fletcher32(packed[:-4]))
        # An old HDF5 on some machines stored the bytes of each half the other way round.
        if stored not in {told, bytes((told[1], told[0], told[3], told[2]))}:
            raise BadChunkError("its checksum is wrong")
        return packed[:-4]


class _Gzip:
    grows: int | None = None
    sized = False
    #: No stream of so few bytes can fill the memory by being unpacked in one go.
    _HARMLESS = 1 << 20

    def __init__(self, level: int) -> None:
        self._level = level

    def encode(self, raw: Bytes) -> Bytes:
        return np.frombuffer(zlib.compress(raw.data, self._level), np.uint8)

    def decode(self, packed: Bytes, size: int | None, out: Bytes | None) -> Bytes:
        del out
        try:
            if size is None or packed.size <= max(size, self._HARMLESS):
                raw = zlib.decompress(packed.data, bufsize=max(1, size or 4 * packed.size))
            else:
                raw = zlib.decompressobj().decompress(packed.data, size + 1)
        except zlib.error as error:
            raise BadChunkError(f"gzip cannot unpack it: {error}") from None
        if size is not None and len(raw) != size:
            found = "more" if len(raw) > size else len(raw)
            raise BadChunkError(f"gzip unpacks {found} bytes, expected {size}")
        return np.frombuffer(raw, np.uint8)


#: Two numbers that begin a chunk of bitshuffle: bytes unpacked, bytes of a block.
_HEADER = struct.Struct(">QI")


class _Bitshuffle:
    """bitshuffle alone, with LZ4 or with Zstandard.

    A packed chunk is a header, blocks (each with its length before it), and up to seven elements
    as they are. The library is told where the chunk begins, but not where it ends: so the lengths
    of the blocks are looked at first.
    """

    grows: int | None = None
    sized = False

    def __init__(self, library: Any, values: tuple[int, ...]) -> None:
        self._library = library
        self._size = values[2]
        self._block = values[3] or library.bshuf_default_block_size(self._size)
        self._kind = {0: "", 2: "lz4", 3: "zstd"}[(*values, 0, 0)[4]]
        self._level = (values[5],) if self._kind == "zstd" and len(values) > 5 else ()
        if self._kind == "zstd" and not self._level:
            self._level = (0,)
        self._local = threading.local()
        self._decompress: int | None = None
        if self._kind:
            function = getattr(library, f"bshuf_decompress_{self._kind}")
            self._decompress = ctypes.cast(function, ctypes.c_void_p).value

    def read(
        self, descriptor: int, chunks: list[tuple[int, int, Array]], packed: Bytes, unpacked: Bytes
    ) -> int:
        if self._decompress is None:
            return 0
        return unpack_bitshuffled(
            descriptor, chunks, packed, unpacked, self._decompress, self._size
        )

    def encode(self, raw: Bytes) -> Bytes:
        count = raw.size // self._size
        if not self._kind:
            result = np.empty_like(raw)
            self._call("bshuf_bitshuffle", raw, result, count, self._block)
            return result
        bound = getattr(self._library, f"bshuf_compress_{self._kind}_bound")
        scratch = self._scratch(_HEADER.size + bound(count, self._size, self._block))
        _HEADER.pack_into(scratch.data, 0, raw.size, self._block * self._size)
        name = f"bshuf_compress_{self._kind}"
        size = self._call(name, raw, scratch[_HEADER.size :], count, self._block, *self._level)
        return scratch[: _HEADER.size + size].copy()

    def decode(self, packed: Bytes, size: int | None, out: Bytes | None) -> Bytes:
        block = self._block
        if self._kind:
            size, block = self._check(packed, size)
        elif size is None:
            size = packed.size
        if not self._kind and packed.size != size:
            raise BadChunkError(f"bitshuffle has {packed.size} bytes, expected {size}")
        result = np.empty(size, np.uint8) if out is None else out
        count = size // self._size
        if self._kind:
            body = packed[_HEADER.size :]
            used = self._call(f"bshuf_decompress_{self._kind}", body, result, count, block)
            if used != body.size:
                raise BadChunkError(f"bitshuffle used {used} of {body.size} bytes")
        else:
            self._call("bshuf_bitunshuffle", packed, result, count, block)
        return result

    def _check(self, packed: Bytes, size: int | None) -> tuple[int, int]:
        """The unpacked size and the elements of a block; everything lies within the chunk."""
        if packed.size < _HEADER.size:
            raise BadChunkError(f"{packed.size} bytes have no room for the header of bitshuffle")
        told, block_bytes = _HEADER.unpack_from(packed.data)
        if size is not None and told != size:
            raise BadChunkError(f"bitshuffle unpacks {told} bytes, expected {size}")
        block, odd = divmod(block_bytes, self._size)
        if odd or not block or block % 8 or told % self._size:
            raise BadChunkError(
                f"bitshuffle has blocks of {block_bytes} bytes in {told} bytes, "
                f"of elements of {self._size} bytes"
            )
        count = told // self._size
        blocks = count // block + bool(count % block // 8)
        end = end_of_records(packed, _HEADER.size, blocks)
        if end < 0 or end + count % 8 * self._size != packed.size:
            raise BadChunkError(f"the blocks of bitshuffle do not end with its {packed.size} bytes")
        return told, block

    def _scratch(self, size: int) -> Bytes:
        """Memory of this thread, which is touched already."""
        scratch: Bytes | None = getattr(self._local, "scratch", None)
        if scratch is None or scratch.size < size:
            scratch = self._local.scratch = np.empty(size, np.uint8)
        return scratch

    def _call(self, name: str, source: Bytes, target: Bytes, count: int, *rest: int) -> int:
        function = getattr(self._library, name)
        result: int = function(_address(source), _address(target), count, self._size, *rest)
        if result < 0:
            raise BadChunkError(f"{name} failed with the code {result}")
        return result


def _address(array: Bytes) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


@cache
def _bitshuffle() -> Any:
    """hdf5plugin's bitshuffle, or None where it is not installed or keeps its functions hidden."""
    try:
        import hdf5plugin

        names = glob.glob(os.path.join(hdf5plugin.PLUGIN_PATH, "libh5bshuf.*"))
        library = ctypes.CDLL(names[0])
        pointers, size = (ctypes.c_void_p, ctypes.c_void_p), ctypes.c_size_t
        for name in ("bitshuffle", "bitunshuffle", "compress_lz4", "decompress_lz4"):
            _declare(library, name, ctypes.c_int64, *pointers, size, size, size)
        _declare(library, "decompress_zstd", ctypes.c_int64, *pointers, size, size, size)
        _declare(
            library, "compress_zstd", ctypes.c_int64, *pointers, size, size, size, ctypes.c_int
        )
        for name in ("compress_lz4_bound", "compress_zstd_bound"):
            _declare(library, name, size, size, size, size)
        _declare(library, "default_block_size", size, size)
    except (ImportError, OSError, AttributeError, IndexError):
        return None
    return library


def _declare(library: Any, name: str, result: Any, *arguments: Any) -> None:
    function = getattr(library, f"bshuf_{name}")
    function.restype, function.argtypes = result, arguments


def pipeline_of(plist: Any) -> Pipeline | None:
    """The filters of a dataset in a file.

    Parameters
    ----------
    plist : property list
        Creation properties of a dataset that is chunked, as HDF5 has completed them.

    Returns
    -------
    Pipeline or None
        None where a filter is not known here.
    """
    stages: list[Stage] = []
    for index in range(plist.get_nfilters()):
        code, _flags, values, _name = plist.get_filter(index)
        stage = _stage(code, values)
        if stage is None or (stage.sized and any(before.grows is None for before in stages)):
            return None
        stages.append(stage)
    return Pipeline(stages)


def _stage(code: int, values: tuple[int, ...]) -> Stage | None:
    if code == h5z.FILTER_SHUFFLE and values:
        return _Shuffle(values[0])
    if code == h5z.FILTER_FLETCHER32:
        return _Fletcher()
    if code == h5z.FILTER_DEFLATE and values:
        return _Gzip(values[0])
    if code == H5FILTER and len(values) >= 4 and values[2] and (*values, 0)[4] in {0, 2, 3}:
        library = _bitshuffle()
        if library is not None and values[3] % 8 == 0:
            return _Bitshuffle(library, values)
    return hdf5_numcodecs.stage(code, values)
