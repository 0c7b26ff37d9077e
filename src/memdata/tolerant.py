"""A source whose damaged elements are fill values: what `memdata.rescue` copies from."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata.checksums import (
    NAMES,
    Checksums,
    block_shape,
    found_in,
    hollow,
    read_block,
)
from memdata.formats.tiling import boxes_of
from memdata.formats.tree import Filters, run_shape
from memdata.memory import machine_room
from memdata.verifying import Damage, changed

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode, Options, Plan, Source

__all__ = ["TolerantSource"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Block = tuple[slice, ...]

#: Bytes of the pieces in which the elements of a dataset without chunks are tried: those of a
#: block of a disk.
_PIECE = 4096

#: What a node's creation says of filters.
_FILTERS = {"filters", "scaleoffset", "shuffle", "fletcher32"}

#: What reading damaged elements may raise.
_ERRORS = (OSError, RuntimeError, ValueError, MemoryError)


class TolerantSource:
    """A source whose damaged elements are fill values; see `memdata.formats.tree.Source`.

    Parameters
    ----------
    source : Source
        What is read.
    end : int or None
        Where the file ended before it was made longer.

    Attributes
    ----------
    lost, changed : list of Damage
        Which elements could not be read, and which do not have their checksums.
    skipped : list of (path, reason)
        What the plan had to leave out.
    datasets : int
        How many it has.
    """

    def __init__(self, source: Source, end: int | None) -> None:
        self._source = source
        self._end = end
        self.lost: list[Damage] = []
        self.changed: list[Damage] = []
        self.skipped: list[tuple[str, str]] = []
        self.datasets = 0

    def plan(self, options: Options) -> Plan:
        """Walk the tree; see `memdata.formats.tree.Source`."""
        plan = self._source.plan(options)
        self.skipped, plan.skipped = plan.skipped, []
        gone = set()
        for node in plan.datasets():
            why = _why_not(node)
            if why is not None:
                self.skipped.append((node.path, why))
                gone.add(id(node))
        plan.nodes = [
            node
            for node in plan.nodes
            if id(node) not in gone and id(getattr(node, "target", None)) not in gone
        ]
        for node in plan.datasets():
            self.datasets += 1
            sums = None if node.shape is None else found_in(node.attrs, node.shape)
            if node.stored is not None:
                node.stored = _TolerantStored(self, self._source, node, options, self._end, sums)
            if not _can_be_set(node):
                node.filters = Filters(node.filters.chunks)
                node.creation = {
                    key: value for key, value in node.creation.items() if key not in _FILTERS
                }
                self.skipped.append((node.path, "its compression; it is stored without"))
            # The new file's elements are others, or may be.
            node.attrs = {key: value for key, value in node.attrs.items() if key not in NAMES}
        return plan

    def stored(self, node: DatasetNode, index: Any, options: Options) -> Any:
        """The elements that an index selects; see `memdata.formats.tree.Source`."""
        return self._source.stored(node, index, options)

    def close(self) -> None:
        """Let go of what the source opened."""
        self._source.close()


def _why_not(node: DatasetNode) -> str | None:
    """Why a dataset is left out: its shape, or that of its chunks, cannot be what it was."""
    if hollow(node):
        return f"it declares {node.nbytes} bytes, of which hardly any were written"
    if node.filters.chunks is None or node.stored is None:
        return None
    if node.filters.scaleoffset is not None and not _can_be_set(node):
        return "what its filter scaleoffset was told makes no sense"  # HDF5 crashes
    chunk = math.prod(node.filters.chunks) * node.dtype.itemsize
    return f"one chunk takes {chunk} bytes" if chunk > machine_room() else None


def _can_be_set(node: DatasetNode) -> bool:
    """Whether what a damaged file says of filters is something that a filter takes."""
    from h5py import h5p

    from memdata.formats.hdf5_creation import set_creation

    filters: Filters = node.filters
    if filters.chunks is None:
        return True
    try:
        shape = (node.shape or ())[: len(filters.chunks)]
        about = {key: value for key, value in node.creation.items() if key in _FILTERS}
        set_creation(h5p.create(h5p.DATASET_CREATE), filters, about, shape, node.dtype)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


class _TolerantStored:
    """The elements of a dataset; fill values where they cannot be read."""

    def __init__(
        self,
        found: TolerantSource,
        source: Source,
        node: DatasetNode,
        options: Options,
        end: int | None,
        sums: Checksums | None,
    ) -> None:
        inner = node.stored
        assert inner is not None
        assert node.shape is not None
        self.shape = inner.shape
        self.dtype = inner.dtype
        self.file_name = inner.file_name
        self._inner: Any = inner
        self._source = source
        self._node = node
        self._whole: Shape = node.shape
        self._options = options
        self._end = end
        self._found = found
        self._comparison = None if sums is None else _Comparison(node.path, node.shape, sums)

    def piece_rows(self) -> int:
        rows: int = self._inner.piece_rows()
        return rows

    def grid(self) -> Shape:
        lengths: Shape = self._inner.grid()
        return lengths

    def written(self) -> int:
        nbytes: int = self._inner.written()
        return nbytes

    def extent(self) -> None:
        """Elements are read one piece after the other, never as they lie in the file."""

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        lost: list[Block] = []
        if not self._read_whole(self._inner.read_rows, start, stop, out):
            self._read_pieces(self._rows(start, stop), out, lost)
        if self._comparison is not None:
            for damage in self._comparison.of(stop, out, lost):
                self._found.changed.append(damage)

    def read_box(self, box: Block, out: Array) -> None:
        if box == self._rows(box[0].start, box[0].stop):
            self.read_rows(box[0].start, box[0].stop, out)
            return
        self._compare_blocks()
        if not self._read_whole(self._inner.read_box, box, out):
            self._read_pieces(box, out, [])

    def _rows(self, start: int, stop: int) -> Block:
        """The box of whole rows; () of a scalar."""
        rest = tuple(slice(0, length) for length in self._whole[1:])
        return (slice(start, stop), *rest) if self._whole else ()

    def _compare_blocks(self) -> None:
        """Compare all elements before they are read in boxes, which cut through the blocks."""
        comparison, self._comparison = self._comparison, None
        if comparison is not None:
            with self._around_inner():
                self._found.changed += comparison.by_blocks(self._source, self._node, self._options)

    def _read_whole(self, read: Callable[..., None], *args: Any) -> bool:
        if self._end is not None:
            return False
        try:
            read(*args)
        except _ERRORS:
            return False
        return True

    def _read_pieces(self, box: Block, out: Array, lost: list[Block]) -> None:
        if not self._whole:
            self._read(out, (), lost)
            return
        chunks = self._node.filters.chunks
        step = chunks
        if chunks is None:
            step = run_shape(self._whole, self.dtype.itemsize, _PIECE)
        shape = block_shape(out.shape, self.dtype.itemsize, step)
        for block in boxes_of(out.shape, shape):
            place = tuple(
                slice(a.start + b.start, a.start + b.stop) for a, b in zip(box, block, strict=True)
            )
            self._read(out[block], place, lost)

    def _read(self, out: Array, block: Block, lost: list[Block]) -> None:
        node = self._node
        try:
            if self._end is not None and _end_of(node, block) > self._end:
                raise OSError("the file was cut off before it")
            with self._around_inner():
                out[...] = read_block(self._source, node, block, self._options)
        except _ERRORS as error:
            _fill(out, node)
            lost.append(block)
            text = str(error) or type(error).__name__
            _add(self._found.lost, Damage(node.path, "unreadable", text, block))

    @contextlib.contextmanager
    def _around_inner(self) -> Iterator[None]:
        """With the node as the file has it: a scalar is read through its elements."""
        node = self._node
        stored, node.stored = node.stored, self._inner
        try:
            yield
        finally:
            node.stored = stored


class _Comparison:
    """Compares elements, which come some rows after the other, with the checksums of blocks."""

    def __init__(self, path: str, shape: Shape, sums: Checksums) -> None:
        self._path = path
        self._shape = shape
        self._sums = sums
        self._blocks = iter(enumerate(boxes_of(shape, sums.block)))
        self._next = next(self._blocks, None)
        self._rows: list[Array] = []  # since the first of the next block
        self._lost: list[Block] = []

    def of(self, stop: int, part: Array, lost: list[Block]) -> list[Damage]:
        """What has changed in the blocks that end before row `stop`, the end of a part."""
        self._rows.append(part)
        self._lost += lost
        wrong = []
        last = None
        while self._next is not None:
            number, block = self._next
            if block and block[0].stop > stop:
                break
            content = self._content(block, stop)
            if not any(_meet(block, one) for one in self._lost):
                told = int(self._sums.values[number])
                wrong += changed(self._path, block, content, told)
            last = block
            self._next = next(self._blocks, None)
        if last:  # what is left belongs to the next blocks
            rest = stop - last[0].stop
            self._rows = [self._joined()[-rest:]] if rest else []
            self._lost = [one for one in self._lost if one[0].stop > last[0].stop]
        return wrong

    def by_blocks(self, source: Source, node: DatasetNode, options: Options) -> list[Damage]:
        """What has changed in all blocks, each read for this."""
        wrong = []
        for number, block in enumerate(boxes_of(self._shape, self._sums.block)):
            with contextlib.suppress(*_ERRORS):  # what cannot be read is another damage
                content = read_block(source, node, block, options)
                wrong += changed(self._path, block, content, int(self._sums.values[number]))
        return wrong

    def _joined(self) -> Array:
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0]

    def _content(self, block: Block, stop: int) -> Array:
        if not block:
            return self._rows[0]
        rows = self._joined()
        first = stop - len(rows)
        return rows[(slice(block[0].start - first, block[0].stop - first), *block[1:])]


def _meet(one: Block, other: Block) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def _add(lost: list[Damage], new: Damage) -> None:
    """Note a damage; one that goes on where the last one ended is one with it."""
    while lost and (joined := _joined(lost[-1], new)) is not None:
        lost.pop()
        new = joined
    lost.append(new)


def _joined(last: Damage, new: Damage) -> Damage | None:
    """Two damages as one, where they are neighbours along one axis."""
    if not last.index or not new.index or (last.path, last.text) != (new.path, new.text):
        return None
    apart = [axis for axis, part in enumerate(new.index) if part != last.index[axis]]
    if len(apart) != 1 or last.index[apart[0]].stop != new.index[apart[0]].start:
        return None
    index = list(new.index)
    index[apart[0]] = slice(last.index[apart[0]].start, new.index[apart[0]].stop)
    return Damage(new.path, new.what, new.text, tuple(index))


def _fill(out: Array, node: DatasetNode) -> None:
    """Set elements to the fill value of a dataset."""
    value = node.creation.get("fillvalue")
    if value is None:
        value = _nothing(out.dtype)
    if isinstance(value, np.ndarray) and value.dtype != out.dtype:  # one element, a ragged row
        for place in np.ndindex(out.shape):
            out[place] = value
    else:
        out[...] = value


def _nothing(dtype: np.dtype[Any]) -> Any:
    """An element that was never written."""
    import h5py

    if dtype.names is not None and dtype.hasobject:
        element = np.zeros((), dtype)
        for name in dtype.names:
            field = element[name]
            if field.dtype.hasobject:
                _fill_objects(field)
        return element
    base = h5py.check_vlen_dtype(dtype)
    if isinstance(base, np.dtype):
        return np.zeros(0, base)
    if not dtype.hasobject:
        return np.zeros((), dtype)[()]
    reference = h5py.check_ref_dtype(dtype)
    return b"" if reference is None else reference()


def _fill_objects(field: Array) -> None:
    value = _nothing(field.dtype)
    for place in np.ndindex(field.shape):
        field[place] = value


def _end_of(node: DatasetNode, block: Block) -> int:
    """Where elements of an HDF5 dataset end in the file; 0 where they have no place there."""
    dataset = node.source
    if not hasattr(dataset, "get_offset"):
        return 0
    if node.filters.chunks is not None:
        origin = tuple(
            part.start // step * step
            for part, step in zip(block, node.filters.chunks, strict=False)
        )
        info = dataset.get_chunk_info_by_coord(origin)
        return 0 if info.byte_offset is None else int(info.byte_offset + info.size)
    offset = dataset.get_offset()
    if offset is None:
        return 0
    assert node.shape is not None
    last = 0
    for part, length in zip(block, node.shape, strict=True):
        last = last * length + part.stop - 1
    return int(offset + (last + 1) * node.dtype.itemsize)
