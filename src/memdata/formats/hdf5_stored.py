"""The elements of HDF5 datasets, whole or selected, in pieces."""

from __future__ import annotations

import copy
import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from h5py import h5d, h5i, h5s

from memdata.formats import references, strings, tagged
from memdata.formats.hdf5_objects import holds_swapped, right_order
from memdata.formats.hdf5_tiles import ChunkedTiles, PlainTiles
from memdata.formats.hdf5_types import without_axes
from memdata.formats.regions import Region, whole_region
from memdata.formats.selections import (
    Run,
    Selection,
    chunks_of_result,
    index_of_box,
    resolve,
)
from memdata.formats.tree import rows_together

if TYPE_CHECKING:
    from memdata.formats.hdf5_read import HDF5Source
    from memdata.formats.hdf5_types import KnownType
    from memdata.formats.tree import DatasetNode

__all__ = ["StoredHDF5"]

Array = np.ndarray[Any, Any]


class StoredHDF5:
    """The elements of an HDF5 dataset; see `memdata.formats.tree.StoredData`."""

    __slots__ = (
        "_base",
        "_convert",
        "_dataset",
        "_gaps",
        "_known",
        "_path",
        "_selection",
        "_source",
        "_space_shape",
        "_text",
        "_tiles",
        "chunks",
        "dtype",
        "file_name",
        "shape",
    )

    def __init__(
        self,
        source: HDF5Source,
        dataset: Any,
        known: KnownType,
        space_shape: tuple[int, ...],
        selection: Selection | None,
        node: DatasetNode,
        convert: bool,
        text: tuple[np.dtype[Any], str] | None = None,
        gaps: bool | None = None,
    ) -> None:
        self._source = source
        self.file_name = source.file_name
        self._dataset = dataset
        self._known = known
        self._space_shape = space_shape
        self._selection = selection
        self._path = node.path
        self._tiles: tuple[ChunkedTiles | None] | None = None
        self.shape = node.shape or ()
        self.chunks = node.filters.chunks
        self._base = node.dtype
        self._gaps = gaps
        self._convert = convert and (strings.has_bytes(self._base) or self._base.hasobject)
        self.dtype = strings.unicode_dtype(self._base) if self._convert else self._base
        self._text = text  # NumPy's text, and its tag
        if text is not None:
            self._convert, self.dtype = False, text[0]

    def piece_rows(self) -> int:
        """Rows of about 16 MiB, whole chunks."""
        if not self.shape or not self.shape[0]:
            return 1
        selection = self._selection
        if selection is not None:
            region = selection.region
            box = self.chunks is None and region is not None and region.is_box()
            if not box or not _by_rows(selection):
                return self.shape[0]
        row = self.dtype.itemsize * math.prod(self.shape[1:])
        chunks = self.chunks
        if chunks is not None:  # arrays in an array are not cut
            chunks += self.shape[len(chunks) :]
        return rows_together(self.shape, row, chunks)

    def grid(self) -> tuple[int, ...]:
        """Lengths of a chunk, as far as an index leaves them; see `StoredData`."""
        grid = self.chunks or (1,) * len(self._space_shape)
        if self._selection is not None:
            grid = chunks_of_result(self._selection.index, self._space_shape, grid, self._path)
        return (*grid, *self.shape[len(grid) :])

    def packed(self) -> Any:
        """The dataset, if its chunks can be copied as they are; else None."""
        if self.chunks is None or self._selection is not None or self._convert:
            return None
        return None if self._text is not None or self._base.hasobject else self._dataset

    def extent(self) -> tuple[int, int] | None:
        """Descriptor and offset of the elements; see `memdata.formats.tree.StoredData`."""
        if self._selection is not None or self._convert:
            return None
        return self._extent()

    def written(self) -> int:
        """How many bytes were written; see `memdata.formats.tree.StoredData`."""
        dataset, itemsize = self._dataset, self._known.dtype.itemsize
        try:
            if self.chunks is not None:
                return int(dataset.get_num_chunks()) * math.prod(self.chunks) * itemsize
            if dataset.get_create_plist().get_layout() != h5d.CONTIGUOUS or self._elsewhere():
                return math.prod(self._space_shape) * itemsize
            size = os.path.getsize(self.file_name)
            return min(int(dataset.get_storage_size()), size)
        except (OSError, RuntimeError):
            return 0

    def _extent(self) -> tuple[int, int] | None:
        """Where the bytes of all elements lie, whatever is selected or converted."""
        source = self._source
        if source._descriptor is None or not self._known.same or self.chunks is not None:
            return None
        dataset = self._dataset
        points = dataset.get_space().get_simple_extent_npoints()
        if dataset.get_storage_size() != points * self._known.dtype.itemsize:
            return None  # nothing was ever written: the fill value stands for it
        plist = dataset.get_create_plist()
        if plist.get_layout() != h5d.CONTIGUOUS or plist.get_external_count():
            return None
        if self._elsewhere():
            return None
        offset: int | None = dataset.get_offset()
        return None if offset is None else (source._descriptor, offset)

    def _elsewhere(self) -> bool:
        """Whether the dataset is in another file, behind an external link."""
        return bool(h5i.get_file_id(self._dataset).fileno != self._source.file.fileno)

    def _tiles_for(self, region: Region | None) -> ChunkedTiles | PlainTiles | None:
        """What reads a region past HDF5; None where HDF5 has to."""
        if not self._known.same or not self._space_shape:
            return None
        if self.chunks is not None:
            if self._tiles is None:
                own = not self._source._user_block and not self._elsewhere()
                descriptor = self._source._descriptor if own else None
                found = ChunkedTiles.of(self._dataset, self._known.dtype, descriptor)
                self._tiles = (found,)
            return self._tiles[0]
        if region is None or region.is_box():
            return None  # one read of HDF5
        extent = self._extent()
        if extent is None:
            return None
        return PlainTiles(self._space_shape, self._known.dtype, *extent, region)

    def in_plain_chunks(self) -> bool:
        """Whether all elements lie in unfiltered chunks of this file, as they are in memory."""
        source, dataset = self._source, self._dataset
        if source._descriptor is None or self._selection is not None or self._convert:
            return False
        plist = dataset.get_create_plist()
        if plist.get_layout() != h5d.CHUNKED or plist.get_nfilters() or not self._known.same:
            return False
        return not self._elsewhere()

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        """Read a part along the first axis into `out`; all of it for a scalar."""
        try:
            if self._convert:
                raw = np.empty(out.shape, self._base)
                self._read_raw(start, stop, raw)
                out[...] = self._converted(raw)
            elif self._text is not None:
                raw = np.empty(out.shape, self._base)
                self._read_raw(start, stop, raw)
                out[...] = tagged.unpack(raw, *self._text)
            else:
                self._read_raw(start, stop, out)
        except UnicodeDecodeError as error:
            raise ValueError(f"{self._path}: bytes that are not text: {error}") from None
        except (OSError, RuntimeError) as error:
            raise OSError(f"{self._source.file_name}: cannot read {self._path}: {error}") from error

    def read_box(self, box: tuple[slice, ...], out: Array) -> None:
        """Read a part of all axes into `out`; see `StoredData`."""
        index = self._selection.index if self._selection is not None else None
        if index is None and out.shape[1:] == self.shape[1:]:
            self.read_rows(box[0].start, box[0].stop, out)
            return
        shape, path = self._space_shape, self._path
        inner = len(self.shape) - len(shape) if index is None else 0
        index = index_of_box(index, shape, box[: len(box) - inner], path)
        part = copy.copy(self)
        gap = self.chunks or (1,) * len(shape)
        part._selection = resolve(index, shape, self._known.dtype.itemsize, path, gap)
        part.shape = out.shape
        part.read_rows(0, out.shape[0], out)

    def _converted(self, raw: Array) -> Array:
        result = strings.to_unicode(raw) if strings.has_bytes(raw.dtype) else raw
        return strings.decode_objects(result) if result.dtype.hasobject else result

    def _read_raw(self, start: int, stop: int, out: Array) -> None:
        if not out.size:
            return
        if out.dtype.hasobject:
            out.fill(0) if out.dtype.names is None else out.__setitem__(
                ..., np.zeros((), out.dtype)
            )
        if not self._read_tiles(start, stop, out):
            self._read_with_hdf5(start, stop, out)
        if holds_swapped(out.dtype):
            out[...] = right_order(out)
        if references.holds_references(out.dtype):
            file = h5i.get_file_id(self._dataset)
            out[...] = references.from_file(out, file, self._source.prefix)

    def _read_with_hdf5(self, start: int, stop: int, out: Array) -> None:
        if not out.dtype.hasobject and self._has_gaps():
            out[...] = np.zeros((), out.dtype)
        if self._selection is not None:
            _read_selection(self._dataset, self._known, self._selection, out, start, stop)
        elif not self._space_shape or (start == 0 and stop == self._space_shape[0]):
            self._dataset.read(h5s.ALL, h5s.ALL, out, self._known.memory)
        else:
            rest = self._space_shape[1:]
            space = self._dataset.get_space()
            space.select_hyperslab((start,) + (0,) * len(rest), (stop - start, *rest))
            memory = h5s.create_simple((stop - start, *rest))
            self._dataset.read(memory, space, out, self._known.memory)

    def _has_gaps(self) -> bool:
        """Whether HDF5 may read nothing into a place: no fill value stands for what is missing."""
        if self._gaps is None:
            plist = self._dataset.get_create_plist()
            undefined = plist.fill_value_defined() == h5d.FILL_VALUE_UNDEFINED
            self._gaps = undefined or plist.get_fill_time() == h5d.FILL_TIME_NEVER
        return self._gaps

    def _read_tiles(self, start: int, stop: int, out: Array) -> bool:
        """Read past HDF5, tile by tile; False where that cannot be."""
        selection = self._selection
        if not self._space_shape:
            return False
        if selection is None:
            if self.chunks is None:
                return False
            region: Region | None = whole_region(self._space_shape, start, stop)
        else:
            region = selection.region
        everything = whole_region(self._space_shape, 0, self._space_shape[0])
        tiles = self._tiles_for(everything if region is None else region)
        if tiles is None:
            return False
        if region is not None and region.fits(tiles.tile, self._space_shape):
            tiles.read(region, out)
            return True
        assert selection is not None
        base, inner = without_axes(self._known.dtype)
        cover = np.empty(self._space_shape + inner, base)
        tiles.read(everything, cover)
        out[...] = cover[selection.index]
        return True


def _by_rows(selection: Selection) -> bool:
    """Whether parts of the result along its first axis can be read one by one."""
    return selection.rest is None and len(selection.runs[0]) == 1


def _read_selection(
    dataset: Any, known: KnownType, selection: Selection, out: Array, start: int, stop: int
) -> None:
    """Read the cover of a selection, and pick the result from it."""
    if selection.rest is None:
        runs = selection.runs
        if _by_rows(selection):
            first = runs[0][0]
            part = Run(first.start + start * first.step, first.step, stop - start)
            runs = ([part], *runs[1:])
        _read_runs(dataset, known, runs, out)
        return
    base, inner = without_axes(known.dtype)
    cover = np.zeros(selection.cover + inner, base)
    _read_runs(dataset, known, selection.runs, cover)
    out[...] = cover[selection.rest]


def _read_runs(dataset: Any, known: KnownType, runs: tuple[list[Any], ...], out: Array) -> None:
    """Read regular pieces; along at most one axis there are several."""
    if not out.size:
        return
    split = next((axis for axis, parts in enumerate(runs) if len(parts) > 1), 0)
    offset = 0
    space = dataset.get_space()
    for run in runs[split]:
        block = [run if axis == split else parts[0] for axis, parts in enumerate(runs)]
        shape = tuple(part.length for part in block)
        space.select_hyperslab(
            tuple(part.start for part in block), shape, tuple(part.step for part in block)
        )
        if len(runs[split]) == 1:
            dataset.read(h5s.create_simple(shape), space, out, known.memory)
            return
        memory = h5s.create_simple(tuple(sum(part.length for part in parts) for parts in runs))
        begin = tuple(offset if axis == split else 0 for axis in range(len(runs)))
        memory.select_hyperslab(begin, shape)
        dataset.read(memory, space, out, known.memory)
        offset += run.length
