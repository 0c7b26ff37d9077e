"""Whole chunks of HDF5 datasets: packed by many threads and ranks, given their places by one.

A `Packer` runs the filters in threads. Filters that it does not know run in HDF5 itself: `pack`
then writes a block into a file in memory and takes the packed chunks out of it. `ChunkPlacer` makes
HDF5 give chunks their places in a file *without their bytes*: it hands HDF5 a stand-in of the right
size, and keeps what HDF5 writes of it from the file. The owners of the bytes then write them there,
all at the same time.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

import h5py
import numpy as np
from h5py import h5d, h5f, h5p, h5s

from memdata._cmemdata import _Output
from memdata.formats.hdf5_codecs import Pipeline, pipeline_of
from memdata.threads import in_order, thread_count

__all__ = ["BATCH", "SMALLEST", "ChunkPlacer", "Packed", "Packer", "pack"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class Packed(NamedTuple):
    """A chunk as it lies in the file.

    Attributes
    ----------
    origin : tuple of int
        Index of its first element.
    mask : int
        The filters that were left out, as HDF5 counts them.
    content : bytes-like
        The packed bytes.
    """

    origin: Shape
    mask: int
    content: Any


#: Chunks smaller than this (bytes) are left to HDF5: it has less to do for each.
SMALLEST = 1 << 14

#: What one thread packs or unpacks at a time (bytes), if chunks are smaller: less, and passing it
#: on takes as long as doing it; and two threads would touch the same fresh huge page of memory.
BATCH = 1 << 21


class Packer:
    """Packs the chunks of a dataset in threads.

    Parameters
    ----------
    plist : property list
        Creation properties of the dataset, as HDF5 has completed them.
    pipeline : Pipeline
        Its filters.
    dtype : numpy.dtype
        Of an element in the file and in memory, bit for bit.
    """

    def __init__(self, plist: Any, pipeline: Pipeline, dtype: np.dtype[Any]) -> None:
        self._chunk: Shape = tuple(plist.get_chunk())
        self._pipeline = pipeline
        self._fill = np.zeros((), dtype)
        if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
            plist.get_fill_value(self._fill)
        self._nbytes = math.prod(self._chunk) * dtype.itemsize
        self._local = threading.local()

    @classmethod
    def of(cls, plist: Any, types: Any, dtype: np.dtype[Any]) -> Packer | None:
        """A packer, or None where HDF5 had better pack: unknown filters, types, small chunks."""
        if plist.get_layout() != h5d.CHUNKED or types.file != types.memory:
            return None
        if dtype.hasobject or types.file.get_size() != dtype.itemsize:
            return None
        if math.prod(plist.get_chunk()) * dtype.itemsize < SMALLEST:
            return None
        pipeline = pipeline_of(plist)
        return None if pipeline is None else cls(plist, pipeline, dtype)

    def fits(self, box: tuple[slice, ...], shape: Shape) -> bool:
        """Whether a box of a dataset is whole chunks."""
        return all(
            cut.start % step == 0 and (cut.stop % step == 0 or cut.stop == length)
            for cut, step, length in zip(box, self._chunk, shape, strict=True)
        )

    def pack(self, block: Array, origin: Shape, sharing: int = 1) -> Iterator[Packed]:
        """Pack a block of whole chunks; see `pack`. So many processes do so at the same time."""
        steps = [
            range(0, length, step) for length, step in zip(block.shape, self._chunk, strict=True)
        ]
        places = itertools.product(*steps)
        count = max(1, BATCH // self._nbytes)
        batches = iter(lambda: list(itertools.islice(places, count)), [])

        def packed(batch: list[Shape]) -> list[Packed]:
            return [
                Packed(
                    tuple(o + p for o, p in zip(origin, place, strict=True)),
                    *self._packed(block, place),
                )
                for place in batch
            ]

        for done in in_order(packed, batches, thread_count(sharing), "pack"):
            yield from done

    def _packed(self, block: Array, place: Shape) -> tuple[int, Array]:
        """The mask and the bytes of a chunk; where it stands out at the end, with fill values."""
        part = block[
            tuple(
                slice(start, start + step) for start, step in zip(place, self._chunk, strict=True)
            )
        ]
        if part.shape == self._chunk and part.flags.c_contiguous:
            return self._pipeline.encode(_flat(part))
        whole: Array | None = getattr(self._local, "chunk", None)
        if whole is None:
            whole = self._local.chunk = np.empty(self._chunk, block.dtype)
        if part.shape != self._chunk:
            whole[...] = self._fill
        whole[tuple(slice(length) for length in part.shape)] = part
        raw = _flat(whole)
        mask, packed = self._pipeline.encode(raw)
        return mask, packed.copy() if packed is raw else packed  # `whole` is for the next one


def _flat(array: Array) -> Array:
    flat: Array = array.reshape(-1).view(np.uint8)
    return flat


def _completed(creation: Any, types: Any) -> Any:
    """Creation properties with what filters add to them when a dataset is made."""
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(1 << 16, False)
    file = h5f.create(b"memdata-filters", h5f.ACC_TRUNC, fapl=access)
    try:
        rank = len(creation.get_chunk())
        space = h5s.create_simple((1,) * rank, (h5s.UNLIMITED,) * rank)
        return h5d.create(file, b"dataset", types.file, space, creation).get_create_plist()
    finally:
        file.close()


def pack(block: Array, origin: Shape, types: Any, creation: Any, sharing: int = 1) -> list[Packed]:
    """Pack a block of whole chunks.

    Parameters
    ----------
    block : ndarray
        It begins at a chunk's first element; at its end a chunk may stand out where the dataset
        ends.
    origin : tuple of int
        Where the block begins in the dataset.
    types : TypePair
        Types in the file and in memory.
    creation : property list
        Of the dataset: chunks and filters.
    sharing : int
        So many processes do the same at the same time, and share the processors.

    Returns
    -------
    list of Packed
    """
    if not block.size:
        return []
    packer = Packer.of(_completed(creation, types), types, block.dtype)
    if packer is not None:
        return list(packer.pack(block, origin, sharing))
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(max(block.nbytes // 2, 1 << 16), False)
    file = h5f.create(b"memdata-chunks", h5f.ACC_TRUNC, fapl=access)
    try:
        space = h5s.create_simple(block.shape, (h5s.UNLIMITED,) * block.ndim)
        dataset = h5d.create(file, b"block", types.file, space, creation)
        dataset.write(h5s.ALL, h5s.ALL, np.asarray(block, order="C"), types.memory)
        steps = [
            range(0, length, step)
            for length, step in zip(block.shape, creation.get_chunk(), strict=True)
        ]
        packed = []
        for place in itertools.product(*steps):
            mask, content = dataset.read_direct_chunk(place)
            packed.append(
                Packed(tuple(o + p for o, p in zip(origin, place, strict=True)), mask, content)
            )
        return packed
    finally:
        file.close()


class ChunkPlacer:
    """Gives packed chunks their places in a file; a context manager.

    Parameters
    ----------
    descriptor : int
        Of the file, open for reading and writing. HDF5 must have closed the file.
    """

    def __init__(self, descriptor: int) -> None:
        self._raw = _Output(descriptor)
        self._blank = np.zeros(0, np.uint8)
        self._file: Any = None

    def __enter__(self) -> Self:
        self._file = h5py.File(self._raw, "r+")
        return self

    def place(self, path: str, chunks: list[tuple[Shape, int, int]]) -> list[int]:
        """Make places for chunks.

        Parameters
        ----------
        path : str
            The dataset.
        chunks : list of (origin, mask, size)
            Size in bytes, packed.

        Returns
        -------
        list of int
            Where in the file the bytes of each belong.
        """
        dataset = h5d.open(self._file.id, path.encode("utf-8", "surrogateescape"))
        largest = max((size for _origin, _mask, size in chunks), default=0)
        if largest > self._blank.size:
            self._blank = np.zeros(largest, np.uint8)
            self._raw.stand_in(self._blank.data)
        places: list[int] = []
        for origin, mask, size in chunks:
            dataset.write_direct_chunk(origin, self._blank[:size], mask)
            place = self._raw.placed()
            if place < 0:
                raise RuntimeError(f"{path}: HDF5 gave the chunk at {origin} no place")
            places.append(place)
        self._raw.check()
        return places

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        file, self._file = self._file, None
        file.close()
        self._raw.flush()
        self._raw.check()
