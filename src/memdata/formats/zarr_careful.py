"""Reading chunks of which nobody knows whether they are what their array says."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from memdata.formats.zarr_library import major

__all__ = ["careful"]

Array = np.ndarray[Any, Any]

#: Codecs of zarr 3, and of numcodecs, whose chunks begin with the number of their elements.
_COUNTED = {"VLenUTF8Codec", "VLenBytesCodec", "VLenUTF8", "VLenBytes", "VLenArray"}


def careful(array: Any) -> Any:
    """The array; when it is read, chunks that are not what it says are an error.

    That is so for chunks of a wrong size, in zarr 2 as in zarr 3, and for those that declare more
    elements of variable length than they have bytes, before there is memory for these.
    """
    if major() < 3:
        if array.compressor is not None and type(array._compressor) is not _Whole:
            array._compressor = _Whole(array._compressor)
        if array._filters:
            array._filters = [_counted(codec) for codec in array._filters]
        return array
    inner = getattr(array, "_async_array", None)
    pipeline: Any = getattr(inner, "codec_pipeline", None)
    codec = getattr(pipeline, "array_bytes_codec", None)
    if codec is not None:  # else it is a pipeline of the user's choice
        checked = _checked(codec)
        if checked is not codec:
            pipeline = dataclasses.replace(pipeline, array_bytes_codec=checked)
            object.__setattr__(inner, "codec_pipeline", pipeline)
    return array


def _check_count(content: Any) -> None:
    """Compare the number of elements that a chunk declares with its size: each has a length."""
    view = memoryview(content).cast("B")
    told = int.from_bytes(view[:4], "little")
    if told > (len(view) - 4) // 4:
        raise ValueError(f"a chunk of {len(view)} bytes declares {told} elements")


def _checked(codec: Any) -> Any:
    """A codec of zarr 3 that checks; the codec itself where there is nothing to check."""
    name = type(codec).__name__
    if name in _COUNTED:
        kind: Any = type(codec)
        return _checking(kind)()
    if name == "V2Codec" and codec.filters:
        return dataclasses.replace(codec, filters=tuple(map(_counted, codec.filters)))
    if name == "ShardingCodec":
        inside = tuple(map(_checked, codec.codecs))
        if any(new is not old for new, old in zip(inside, codec.codecs, strict=True)):
            return dataclasses.replace(codec, codecs=inside)
    return codec


@functools.cache
def _checking(base: Any) -> Any:
    class Checking(base):  # type: ignore[misc]
        async def _decode_single(self, chunk_bytes: Any, chunk_spec: Any) -> Any:
            _check_count(chunk_bytes.as_array_like())
            return await super()._decode_single(chunk_bytes, chunk_spec)

    return Checking


def _counted(codec: Any) -> Any:
    return _Counted(codec) if type(codec).__name__ in _COUNTED else codec


class _Counted:
    """A codec of numcodecs that checks."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def decode(self, content: Any, out: Any = None) -> Any:
        """Decode a chunk."""
        _check_count(content)
        return self._codec.decode(content, out)


class _Whole:
    """A codec that fills what it decodes into: numcodecs' own may leave the rest as it was."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def decode(self, content: Any, out: Any = None) -> Any:
        """Decode a chunk."""
        found = self._codec.decode(content)
        if out is None:
            return found
        elements = np.frombuffer(found, np.uint8)
        if elements.size != out.nbytes:
            raise ValueError(f"a chunk of {elements.size} bytes, expected {out.nbytes}")
        out[...] = elements.view(out.dtype).reshape(out.shape, order=_order(out))
        return out


def _order(array: Array) -> Any:
    return "C" if array.flags.c_contiguous else "F"
