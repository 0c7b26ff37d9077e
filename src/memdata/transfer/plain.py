"""Parts of datasets whose elements lie in the file as in memory: every rank moves its own.

Cut along the first axis the bytes of a part lie in the file in one piece. Cut along another they
lie in runs; short runs would cost a system call each, so the ranks move whole rows of the file and
exchange them in memory, some MiB at a time.

What moves the bytes is a `PartFile`: `DirectFile`, past the file format's library, or
`memdata.transfer.mpio.ParallelFile`. None of its methods waits for other ranks. What may fail on
one rank stands in ``ranks.together``; exchanges stand outside of it, so that no rank is left alone
in one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from memdata.transfer.movers import PIECE, read_direct, write_box, write_direct

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode, Part
    from memdata.progress import Progress
    from memdata.transfer.ranks import Ranks

__all__ = ["DirectFile", "PartFile", "exchanges", "part_of", "read_parts", "write_parts"]

Array = np.ndarray[Any, Any]
Errors = Callable[[], contextlib.AbstractContextManager[Any]]

#: Runs shorter than this are not worth a system call each (bytes).
RUN = 1 << 16


class _Layout:
    """Where a part lies in a contiguous dataset: `outer` runs of `run` bytes, `row` bytes apart.

    ``exchanged`` is the same on all ranks: whether whole rows are moved and exchanged in memory.
    """

    __slots__ = ("exchanged", "inner", "length", "outer", "row", "run", "skip")

    def __init__(self, node: DatasetNode, ranks: Ranks) -> None:
        part, shape = part_of(node)
        self.length = shape[part.axis]
        self.outer = math.prod(shape[: part.axis])
        self.inner = node.dtype.itemsize * math.prod(shape[part.axis + 1 :])
        self.row = self.length * self.inner
        self.run = (part.stop - part.start) * self.inner
        self.skip = part.start * self.inner
        typical = self.length // ranks.size * self.inner
        self.exchanged = ranks.comm is not None and self.outer > 1 and typical < RUN


def part_of(node: DatasetNode) -> tuple[Part, tuple[int, ...]]:
    """Return this rank's part of a distributed dataset, and the shape of the whole."""
    assert node.part is not None
    assert node.shape is not None
    return node.part, node.shape


def exchanges(node: DatasetNode, ranks: Ranks) -> bool:
    """Whether a contiguous dataset is moved in whole rows; the same answer on all ranks."""
    return _Layout(node, ranks).exchanged


# ---- one rank ----


class PartFile(Protocol):
    """What moves the parts of plain datasets between memory and a file, on each rank alone."""

    def write(self, node: DatasetNode) -> None:
        """Write this rank's part of a dataset that has its place in the file."""

    def read(self, node: DatasetNode) -> None:
        """Read this rank's part of a dataset into ``node.array``."""

    def write_rows(self, node: DatasetNode, start: int, rows: Array) -> None:
        """Write whole rows, given as bytes.

        A row is what lies at one index of the axes before the distributed one; `start` counts
        them in C order.
        """

    def read_rows(self, node: DatasetNode, start: int, rows: Array) -> None:
        """Read whole rows; see `write_rows`."""

    def write_block(self, node: DatasetNode, index: tuple[slice, ...], part: Array) -> None:
        """Write a box of a dataset that ranks share."""


class DirectFile:
    """Moves parts past the file format's library, at known offsets; a `PartFile`.

    Parameters
    ----------
    descriptor : int
        Of the file.
    offsets : dict
        Where the bytes of each dataset begin, by path.
    ranks : Ranks
        All who do so.
    bar : Progress
        Advanced by the bytes that this rank moves.
    """

    def __init__(
        self, descriptor: int, offsets: dict[str, int], ranks: Ranks, bar: Progress
    ) -> None:
        self._descriptor = descriptor
        self._offsets = offsets
        self._ranks = ranks
        self._bar = bar

    def write(self, node: DatasetNode) -> None:
        """See `PartFile`."""
        array = node.array
        assert array is not None
        if not array.size:
            return
        layout = _Layout(node, self._ranks)
        offset = self._offsets[node.path] + layout.skip
        if layout.outer == 1 or layout.run == layout.row:
            write_direct(self._descriptor, offset, array, self._bar)
            return
        part, shape = part_of(node)
        for index, place in enumerate(np.ndindex(shape[: part.axis])):
            write_direct(self._descriptor, offset + index * layout.row, array[place], self._bar)

    def read(self, node: DatasetNode) -> None:
        """See `PartFile`."""
        array = node.array
        assert array is not None
        if not array.size:
            return
        layout = _Layout(node, self._ranks)
        offset = self._offsets[node.path] + layout.skip
        if layout.outer == 1 or layout.run == layout.row:
            read_direct(self._descriptor, offset, array, self._bar, self._ranks.size)
            return
        runs = array.reshape(-1).view(np.uint8).reshape(layout.outer, layout.run)
        for index, run in enumerate(runs):
            at = offset + index * layout.row
            read_direct(self._descriptor, at, run, self._bar, self._ranks.size)

    def write_rows(self, node: DatasetNode, start: int, rows: Array) -> None:
        """See `PartFile`."""
        offset = self._offsets[node.path] + start * _Layout(node, self._ranks).row
        write_direct(self._descriptor, offset, rows, self._bar)

    def read_rows(self, node: DatasetNode, start: int, rows: Array) -> None:
        """See `PartFile`."""
        offset = self._offsets[node.path] + start * _Layout(node, self._ranks).row
        read_direct(self._descriptor, offset, rows, self._bar, self._ranks.size)

    def write_block(self, node: DatasetNode, index: tuple[slice, ...], part: Array) -> None:
        """See `PartFile`."""
        assert node.shape is not None
        write_box(self._descriptor, self._offsets[node.path], node.shape, index, part, self._bar)


def write_parts(
    file: PartFile,
    nodes: list[DatasetNode],
    exchanged: Collection[str],
    ranks: Ranks,
    bar: Progress,
    errors: Errors = contextlib.nullcontext,
) -> None:
    """Write the parts of all ranks. Collective.

    Parameters
    ----------
    file : PartFile
        Where.
    nodes : list of DatasetNode
        The datasets.
    exchanged : collection of str
        Paths of those that go in whole rows.
    ranks : Ranks
        All who do so.
    bar : Progress
        Says what is done.
    errors : callable
        Gives a context manager that makes of errors of files what the user is told.
    """
    with ranks.together(bar.what), errors():
        for node in nodes:
            if node.path not in exchanged:
                file.write(node)
    for node in nodes:
        if node.path in exchanged:
            _write_exchanged(file, node, ranks, bar, errors)


def read_parts(
    file: PartFile,
    nodes: list[DatasetNode],
    exchanged: Collection[str],
    name: str,
    ranks: Ranks,
    bar: Progress,
) -> None:
    """Read the parts of all ranks. Collective; see `write_parts`.

    Parameters
    ----------
    name : str
        The file's, for messages.
    """
    with ranks.together(bar.what):
        for node in nodes:
            if node.path not in exchanged:
                with _reading(node, name):
                    file.read(node)
    for node in nodes:
        if node.path in exchanged:
            _read_exchanged(file, node, name, ranks, bar)


@contextlib.contextmanager
def _reading(node: DatasetNode, name: str) -> Iterator[None]:
    """Errors of the block say what could not be read."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        if number is None:
            raise OSError(f"{name}: cannot read {node.path}: {error}") from error
        reason = getattr(error, "strerror", None) or str(error)
        raise OSError(number, f"cannot read {node.path}: {reason}", name) from error


def _slabs(layout: _Layout, ranks: Ranks) -> range:
    """Beginnings of the slabs of rows that are moved together."""
    rows = max(1, PIECE * ranks.size // max(layout.row, 1))
    return range(0, layout.outer, rows)


def _flat(array: Array, axis: int, start: int, stop: int, layout: _Layout) -> Array:
    """Rows `start` to `stop` of the flattened leading axes: shape (rows, part, bytes).

    Nothing but these rows is copied, however the array lies in memory.
    """
    lead, rest = array.shape[:axis], array.shape[axis:]
    rows: Array
    if array.flags.c_contiguous:
        rows = array.reshape(layout.outer, *rest)[start:stop]
    else:
        rows = np.ascontiguousarray(array[np.unravel_index(np.arange(start, stop), lead)])
    return rows.reshape(-1).view(np.uint8).reshape(stop - start, array.shape[axis], layout.inner)


def _write_exchanged(
    file: PartFile, node: DatasetNode, ranks: Ranks, bar: Progress, errors: Errors
) -> None:
    """Write the parts of all ranks, in whole rows. Collective."""
    from memdata.mpiarray import MPIArray
    from memdata.ranks import exchange

    part, _shape = part_of(node)
    array = node.array
    assert array is not None
    layout = _Layout(node, ranks)
    slabs = _slabs(layout, ranks)
    for start in slabs:
        stop = min(start + slabs.step, layout.outer)
        with ranks.together(f"{bar.what}: {node.path}"):
            piece = _flat(array, part.axis, start, stop, layout)
        slab = MPIArray._from_local(piece, 1, ranks.comm, layout.length, part.start)
        rows = exchange.redistribute(slab, 0)
        with ranks.together(f"{bar.what}: {node.path}"), errors():
            if rows.size:
                file.write_rows(node, start + rows.local_offset[0], rows.local_array)


def _read_exchanged(
    file: PartFile, node: DatasetNode, name: str, ranks: Ranks, bar: Progress
) -> None:
    """Read the parts of all ranks, in whole rows. Collective."""
    from memdata import mpitools
    from memdata.mpiarray import MPIArray
    from memdata.ranks import exchange

    array = node.array
    assert array is not None
    layout = _Layout(node, ranks)
    slabs = _slabs(layout, ranks)
    out: Array = array.reshape(-1).view(np.uint8)
    out = out.reshape(layout.outer, layout.run // layout.inner, layout.inner)
    for start in slabs:
        stop = min(start + slabs.step, layout.outer)
        count, first, _last = mpitools.split_local(stop - start, ranks.comm)
        with ranks.together(f"{bar.what}: {node.path}"), _reading(node, name):
            rows = np.empty((count, layout.length, layout.inner), np.uint8)
            if rows.size:
                file.read_rows(node, start + first, rows)
        slab = MPIArray._from_local(rows, 0, ranks.comm, stop - start, first)
        out[start:stop] = exchange.redistribute(slab, 1).local_array
