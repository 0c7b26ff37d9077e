"""Reading HDF5 datasets tile by tile, in threads, past HDF5.

A tile is a chunk, or a piece of a dataset whose bytes lie in one run. Only tiles with
something selected are read, by several threads: each reads the bytes, unpacks them, and puts what
is selected in its place. What HDF5 is asked for is where the chunks are.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from h5py import h5d, h5s, h5t

from memdata.formats.hdf5_chunks import BATCH, SMALLEST
from memdata.formats.hdf5_codecs import BadChunkError, Pipeline, pipeline_of
from memdata.formats.regions import Region, Tile, tiles
from memdata.formats.tree import run_shape
from memdata.threads import in_order, thread_count

__all__ = ["ChunkedTiles", "PlainTiles"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

#: So many chunks are asked for one by one; then the places of all of them, if not too many.
_ASKED_SINGLY, _INDEXED = 32, 1 << 18

#: Bytes of a tile of a dataset that lies in one run: where much of it is read, and where little.
_DENSE, _SPARSE = 1 << 20, 1 << 17


class _Tiles:
    """What is read alike: tiles to threads, elements to their places.

    Parameters
    ----------
    shape : tuple of int
        Of the dataset.
    tile : tuple of int
        Of a tile; those at the end are as long in memory.
    dtype : numpy.dtype
        Of an element in the file and in memory, bit for bit.
    sharing : int
        So many processes read at the same time.
    """

    def __init__(self, shape: Shape, tile: Shape, dtype: np.dtype[Any], sharing: int) -> None:
        self.shape = shape
        self.tile = tile
        self.dtype = dtype
        self.nbytes = math.prod(tile) * dtype.itemsize
        self.threads = thread_count(sharing)
        self._local = threading.local()

    def read(self, region: Region, out: Array) -> None:
        """Read a region into `out`, which is C-contiguous and has the region's shape."""
        if not out.size:
            return
        view = region.canonical(out)
        order = (*region.points, *region.ranges)
        if order == tuple(range(len(self.shape))):
            order = ()

        def batch_done(batch: list[tuple[Tile, Any]]) -> None:
            self._read_batch(batch, view, order)

        work = self._batches(region)
        for _ in in_order(batch_done, work, self.threads, "read"):
            pass

    def _batches(self, region: Region) -> Iterator[list[tuple[Tile, Any]]]:
        count = max(1, BATCH // max(self.nbytes, 1))
        work = ((tile, self._find(tile)) for tile in tiles(region, self.tile, self.shape))
        while batch := list(itertools.islice(work, count)):
            yield batch

    def _find(self, tile: Tile) -> Any:
        """What only the calling thread may ask HDF5 for."""
        raise NotImplementedError

    def _read_batch(self, batch: list[tuple[Tile, Any]], view: Array, order: Shape) -> None:
        for tile, found in batch:
            self._read_tile(tile, found, view, order)

    def _read_tile(self, tile: Tile, found: Any, view: Array, order: Shape) -> None:
        raise NotImplementedError

    def _as_tile(self, content: Array) -> Array:
        """Bytes as the elements of a tile."""
        return np.ndarray(self.tile, self.dtype, content)

    def _put(self, elements: Array, tile: Tile, view: Array, order: Shape) -> None:
        """Put what is selected of a tile in its place."""
        if order:
            inner = range(len(self.tile), elements.ndim)
            elements = elements.transpose(*order, *inner)
        view[tile.target] = elements[tile.source]

    def _scratch(self, size: int | None = None, name: str = "tile") -> Array:
        """Bytes of this thread alone, touched already: of a tile, or so many."""
        size = self.nbytes if size is None else size
        scratch: Array | None = getattr(self._local, name, None)
        if scratch is None or scratch.size < size:
            scratch = np.empty(size, np.uint8)
            setattr(self._local, name, scratch)
        return scratch[:size]


def _direct(view: Array, tile: Tile, nbytes: int) -> Array | None:
    """The bytes of the tile's place in the result, where they lie as those of the tile do."""
    if not all(isinstance(part, slice) for part in tile.target):
        return None  # NumPy would copy
    place = view[tile.target]
    if place.nbytes != nbytes or not place.flags.c_contiguous:
        return None
    flat: Array = place.reshape(-1).view(np.uint8)
    return flat


class _Found(NamedTuple):
    """Where a chunk is: in the file, or (read by HDF5 already) in memory.

    Attributes
    ----------
    mask : int
        The filters that were left out, a bit each.
    offset, size : int
        Where it is in the file, and how many bytes it has there.
    packed : bytes or None
        Its bytes, where they are not read from the file.
    elements : ndarray or None
        Its elements, where they are not unpacked here.
    """

    mask: int = 0
    offset: int = -1
    size: int = 0
    packed: bytes | None = None
    elements: Array | None = None


class ChunkedTiles(_Tiles):
    """The chunks of a dataset.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
        Chunked; nothing of it is held back by HDF5.
    dtype : numpy.dtype
        Of an element in the file and in memory, bit for bit.
    pipeline : Pipeline
        Its filters.
    descriptor : int or None
        Of the file; None where its bytes cannot be read past HDF5.
    sharing : int
        So many processes read at the same time.
    """

    def __init__(
        self,
        dataset: Any,
        dtype: np.dtype[Any],
        pipeline: Pipeline,
        descriptor: int | None,
        sharing: int = 1,
    ) -> None:
        plist = dataset.get_create_plist()
        shape = dataset.get_space().get_simple_extent_dims()
        super().__init__(shape, tuple(plist.get_chunk()), dtype, sharing)
        self._dataset = dataset
        self._pipeline = pipeline
        self._filtered = plist.get_nfilters() > 0
        self._descriptor = descriptor
        self._end = 0 if descriptor is None else os.fstat(descriptor).st_size
        self._asked = 0
        self._index: dict[Shape, _Found] | None = None
        base = dtype.base
        self._fill = np.zeros((), base)
        if plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
            plist.get_fill_value(self._fill)

    @classmethod
    def of(
        cls, dataset: Any, dtype: np.dtype[Any], descriptor: int | None, sharing: int = 1
    ) -> ChunkedTiles | None:
        """The chunks of a dataset, or None where HDF5 had better read it.

        That is so with filters not known here, with chunks so small that asking where each is
        takes longer, and with fill values of arrays.
        """
        plist = dataset.get_create_plist()
        if plist.get_layout() != h5d.CHUNKED or dtype.hasobject:
            return None
        if math.prod(plist.get_chunk()) * dtype.itemsize < SMALLEST:
            return None
        if dtype.subdtype and plist.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED:
            return None
        pipeline = pipeline_of(plist)
        if pipeline is None:
            return None
        return cls(dataset, dtype, pipeline, descriptor, sharing)

    def _find(self, tile: Tile) -> _Found | None:
        origin = tuple(a * b for a, b in zip(tile.place, self.tile, strict=True))
        found = self._look_up(origin)
        if found is None or found.offset < 0 or not found.size:
            return None
        if self._left_unpacked(found, origin):
            return _Found(elements=self._by_hdf5(origin))
        if self._descriptor is None:
            mask, content = self._dataset.read_direct_chunk(origin)
            return _Found(mask, packed=content)
        if found.offset + found.size > self._end:
            raise self._error(tile, found, "it lies beyond the end of the file")
        return found

    def _look_up(self, origin: Shape) -> _Found | None:
        """Where a chunk is. The first ones are asked for one by one, then all at once."""
        if self._index is None:
            self._asked += 1
            if self._asked == _ASKED_SINGLY:
                self._index = self._whole_index(origin)
        if self._index is not None:
            return self._index.get(origin)
        info = self._dataset.get_chunk_info_by_coord(origin)
        if info.byte_offset is None:
            return None
        return _Found(info.filter_mask, info.byte_offset, info.size)

    def _whole_index(self, origin: Shape) -> dict[Shape, _Found] | None:
        """Where all chunks are; None where that is too much, or HDF5 cannot tell."""
        counts = (-(-a // b) for a, b in zip(self.shape, self.tile, strict=True))
        if not hasattr(self._dataset, "chunk_iter") or math.prod(counts) > _INDEXED:
            return None
        index: dict[Shape, _Found] = {}

        def note(info: Any) -> None:
            index[info.chunk_offset] = _Found(info.filter_mask, info.byte_offset, info.size)

        self._dataset.chunk_iter(note)
        # Some releases of HDF5 count chunks here, where elements are meant.
        info = self._dataset.get_chunk_info_by_coord(origin)
        there = index.get(origin, _Found()).offset
        return index if there == (-1 if info.byte_offset is None else info.byte_offset) else None

    def _left_unpacked(self, found: _Found, origin: Shape) -> bool:
        """Whether this may be a chunk at the edge that no filter was run on.

        HDF5 can be told to leave these as they are; h5py does not tell whether it was.
        """
        if not self._filtered or found.size != self.nbytes or found.mask:
            return False
        ends = zip(origin, self.tile, self.shape, strict=True)
        return any(start + chunk > length for start, chunk, length in ends)

    def _by_hdf5(self, origin: Shape) -> Array:
        """A chunk read by HDF5."""
        ends = zip(origin, self.tile, self.shape, strict=True)
        counts = tuple(min(chunk, length - start) for start, chunk, length in ends)
        space = self._dataset.get_space()
        space.select_hyperslab(origin, counts)
        whole = self._as_tile(np.zeros(self.nbytes, np.uint8))
        part = np.empty(counts + whole.shape[len(counts) :], whole.dtype)
        self._dataset.read(h5s.create_simple(counts), space, part, h5t.py_create(self.dtype))
        whole[tuple(slice(count) for count in counts)] = part
        return whole

    def _read_batch(self, batch: list[tuple[Tile, Any]], view: Array, order: Shape) -> None:
        done = 0
        if self._descriptor is not None and self._pipeline.reads:
            chunks: list[tuple[int, int, Array]] = []
            for tile, found in batch:
                place = self._place(tile, found, view)
                if place is None:
                    break
                chunks.append((found.offset, found.size, place))
            if chunks:
                longest = max(size for _offset, size, _place in chunks)
                packed = self._scratch(longest, "packed")
                done = self._pipeline.read(self._descriptor, chunks, packed, self._scratch())
        super()._read_batch(batch[done:], view, order)

    def _place(self, tile: Tile, found: _Found | None, view: Array) -> Array | None:
        """Where the elements of a packed chunk go as they are, all of them; None for others."""
        if not tile.whole or found is None or found.offset < 0 or found.mask:
            return None
        if not all(isinstance(part, slice) for part in tile.target):
            return None
        place: Array = view[tile.target]
        return place if place.nbytes == self.nbytes else None

    def _read_tile(self, tile: Tile, found: _Found | None, view: Array, order: Shape) -> None:
        if found is None:
            view[tile.target] = self._fill
            return
        if found.elements is not None:
            self._put(found.elements, tile, view, order)
            return
        direct = _direct(view, tile, self.nbytes) if tile.whole else None
        out = self._scratch() if direct is None else direct
        if found.packed is not None:
            packed = np.frombuffer(found.packed, np.uint8)
        else:
            plain = found.size == self.nbytes and self._pipeline.leaves(found.mask)
            packed = out if plain else self._scratch(found.size, "packed")
            assert self._descriptor is not None
            if not read_into(self._descriptor, found.offset, packed):
                raise self._error(tile, found, "the file ends before it does")
        try:
            raw = self._pipeline.decode(packed, found.mask, out)
        except BadChunkError as error:
            raise self._error(tile, found, str(error)) from None
        if direct is None:
            self._put(self._as_tile(raw), tile, view, order)
        elif raw is not direct:
            direct[...] = raw

    def _error(self, tile: Tile, found: _Found, why: str) -> BadChunkError:
        origin = tuple(a * b for a, b in zip(tile.place, self.tile, strict=True))
        where = f", at byte {found.offset} of the file" if found.offset >= 0 else ""
        return BadChunkError(f"the chunk at {origin}{where}: {why}")


class PlainTiles(_Tiles):
    """Pieces of a dataset whose bytes lie in one run, as memory holds them.

    Parameters
    ----------
    shape : tuple of int
        Of the dataset.
    dtype : numpy.dtype
        Of an element.
    descriptor, offset : int
        Where its bytes begin.
    region : Region
        What will be read: much in large pieces, little in small ones.
    """

    def __init__(
        self, shape: Shape, dtype: np.dtype[Any], descriptor: int, offset: int, region: Region
    ) -> None:
        tile = run_shape(shape, dtype.itemsize, _SPARSE)
        if _touched(region, tile, shape) > 0.25:
            tile = run_shape(shape, dtype.itemsize, _DENSE)
        super().__init__(shape, tile, dtype, 1)
        self._descriptor = descriptor
        self._offset = offset
        self._strides = _strides(shape, dtype.itemsize)
        self._inside = _strides(tile, dtype.itemsize)

    def _find(self, tile: Tile) -> None:
        del tile

    def _read_tile(self, tile: Tile, found: Any, view: Array, order: Shape) -> None:
        del found
        axes = order or tuple(range(len(self.shape)))
        first = last = 0
        selected = 1
        source = tile.source
        wide = len(axes) - len(source)
        if wide:  # a mask over several axes: all of the tile, as far as there is any
            ends = [
                min(step, length - at * step)
                for at, step, length in zip(tile.place, self.tile, self.shape, strict=True)
            ]
            source = (*(slice(0, ends[axis]) for axis in axes[: wide + 1]), *source[1:])
            selected = 0
        for axis, part in zip(axes, source, strict=True):
            low, high, count = _bounds(part)
            first += low * self._inside[axis]
            last += high * self._inside[axis]
            selected *= count
        last += self.dtype.itemsize
        begin = sum(a * b * c for a, b, c in zip(tile.place, self.tile, self._strides, strict=True))
        # All of a run, in its order: it goes to its place as it is.
        direct = None
        if selected * self.dtype.itemsize == last - first and not order:
            direct = _direct(view, tile, last - first)
        content = self._scratch()[first:last] if direct is None else direct
        if not read_into(self._descriptor, self._offset + begin + first, content):
            raise OSError("the file ends before the data do")
        if direct is None:
            self._put(self._as_tile(self._scratch()), tile, view, order)


def _strides(shape: Shape, itemsize: int) -> Shape:
    return tuple(math.prod(shape[axis + 1 :]) * itemsize for axis in range(len(shape)))


def _touched(region: Region, tile: Shape, shape: Shape) -> float:
    """About which part of the tiles has something selected."""
    part = 1.0
    for axis, wanted in region.ranges.items():
        if wanted:
            across = abs(wanted[-1] - wanted[0]) // tile[axis] + 1
            part *= min(len(wanted), across) / -(-shape[axis] // tile[axis])
    for axis in region.points:
        part *= min(1.0, math.prod(region.spread) / -(-shape[axis] // tile[axis]))
    return part


def _bounds(part: Any) -> tuple[int, int, int]:
    """The first and last place that an index takes, and how many; 0 where not one by one."""
    if isinstance(part, slice):
        low, high = part.start, (-1 if part.stop is None else part.stop)
        taken = range(low, high, part.step or 1)
        return min(taken[0], taken[-1]), max(taken[0], taken[-1]), len(taken) * (taken.step == 1)
    if part.dtype == np.bool_:
        return int(part.argmax()), part.size - 1 - int(part[::-1].argmax()), 0
    return int(part.min()), int(part.max()), 0


def read_into(descriptor: int, offset: int, content: Array) -> bool:
    """Fill an array of bytes from a file; False where that ends too early."""
    view = content.data
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if not count:
            return False
        done += count
    return True
