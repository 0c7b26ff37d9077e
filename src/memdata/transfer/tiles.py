"""Moving elements tile by tile, from memory or from one file into another.

Nothing larger than a tile is in memory, whatever the length of a row is. Of several ranks that
share a dataset each moves every so-manieth tile, all at the same time.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata.formats.tiling import Box, boxes_of, tile_shape
from memdata.memory import group_room, machine_room, process_room
from memdata.threads import thread_count
from memdata.transfer.movers import PIECE
from memdata.unwritten import written_parts

if TYPE_CHECKING:
    from memdata.formats.hdf5_chunks import ChunkPlacer, Packed
    from memdata.formats.tree import Copier, DatasetNode, Target
    from memdata.progress import Progress
    from memdata.transfer.ranks import Ranks

__all__ = [
    "grid_of",
    "read_tile",
    "tiles_of",
    "transfer_tiles",
    "write_shared",
    "write_shared_chunks",
]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Errors = Callable[[], contextlib.AbstractContextManager[Any]]

#: Elements on their way take at most so many bytes where nobody says how many.
_MEMORY = 1 << 30

#: A tile takes this part of the memory: it is unpacked, packed, and waits in between.
_PARTS = 4

#: What an element of variable length is taken for (bytes): nobody knows before it is read.
_VARIABLE = 128


def _memory(sharing: int) -> int:
    """How much memory a process takes for elements on their way."""
    room = min(machine_room(), group_room()[1]) / max(sharing, 1)
    return int(min(_MEMORY, min(room, process_room()) / 4))


def tiles_of(node: DatasetNode, units: Shape, memory: int | None = None) -> Iterator[Box]:
    """The tiles in which the elements of a dataset are moved.

    Parameters
    ----------
    node : DatasetNode
        With axes, and elements in memory or in a file.
    units : tuple of int
        A tile's lengths are multiples of these, or all of an axis.
    memory : int, optional
        About how many bytes elements on their way may take in this process. None: a quarter of
        what is free, up to 1 GiB.

    Raises
    ------
    ValueError
        What has to be written together takes more than `memory`.
    """
    assert node.shape
    return boxes_of(node.shape, _tile(node, units, memory)) if node.nbytes else iter(())


def _tile(node: DatasetNode, units: Shape, memory: int | None = None) -> Shape:
    """Lengths of a tile; see `tiles_of`."""
    shape = node.shape
    assert shape
    itemsize = _VARIABLE if node.dtype.hasobject else max(node.dtype.itemsize, 1)
    grid = grid_of(node) if node.stored is not None else units
    chunk = max(math.prod(map(min, lengths, shape)) for lengths in (units, grid))
    usual, threads = PIECE, thread_count(node.sharing)
    if chunk > 1:  # some chunks for each thread
        usual = max(PIECE * threads, 2 * threads * chunk * itemsize)
    usual = min(usual, -(-node.nbytes // node.sharing))  # each rank has some
    if node.stored is None:
        limit = usual
    else:
        limit = (_memory(node.sharing) if memory is None else memory) // _PARTS
        unit = math.prod(map(min, units, shape)) * itemsize
        if memory is not None and unit > memory and not node.dtype.hasobject:
            raise ValueError(
                f"{node.path}: a chunk of the new file takes {unit} bytes, more than the memory "
                f"of {memory} bytes; smaller chunks need less"
            )
    return tile_shape(shape, units, grid, max(usual // itemsize, 1), max(limit // itemsize, 1))


def grid_of(node: DatasetNode) -> Shape:
    """What of a dataset is best read together."""
    return node.stored.grid() if node.stored is not None else (1,) * len(node.shape or ())


def read_tile(node: DatasetNode, box: Box) -> Array:
    """A tile of a dataset: a view where its elements are in memory, else read from the file."""
    if node.array is not None:
        part: Array = node.array[box]
        return part
    assert node.stored is not None
    lengths = tuple(part.stop - part.start for part in box)
    make = np.zeros if node.dtype.hasobject else np.empty
    part = make(lengths, node.dtype)
    node.stored.read_box(box, part)
    return part


def transfer_tiles(
    node: DatasetNode, target: Target, progress: Progress, memory: int | None = None
) -> None:
    """Write a dataset's elements through the target, from memory or from another file."""
    if node.copy is not None:
        node.copy.run(node.place, progress.advance)
        return
    if not node.shape:
        array = node.array
        if array is None:
            assert node.stored is not None
            array = np.zeros((), node.dtype)
            node.stored.read_rows(0, 1, array)
        target.write_block(node, (), array)
        progress.advance(array.nbytes)
        return
    boxes = tiles_of(node, target.grid(node), memory)
    if node.array is not None and target.reads_zero(node):
        parts = written_parts(node.array)
        if parts is not None:
            boxes = _written_tiles(node, parts, target.grid(node))
    done = 0
    for box in boxes:
        part = read_tile(node, box)
        target.write_block(node, box, part)
        progress.advance(part.nbytes)
        done += part.nbytes
    progress.advance(node.nbytes - done)


def _written_tiles(node: DatasetNode, parts: list[tuple[int, int]], units: Shape) -> Iterator[Box]:
    """The tiles of those rows of an array in memory that somebody has written to.

    Parameters
    ----------
    node : DatasetNode
        With a C-contiguous array.
    parts : list of tuple of int
        First and last of the bytes that were written; see `memdata.unwritten`.
    units : tuple of int
        What is written together.
    """
    shape = node.shape
    assert shape
    row, step, done = node.nbytes // shape[0], max(1, min(units[0], shape[0])), 0
    for first, last in parts:
        start = max(first // row // step * step, done)
        done = max(start, min(-(-last // (row * step)) * step, shape[0]))
        if start < done:
            for box in boxes_of((done - start, *shape[1:]), _tile(node, units)):
                yield (slice(box[0].start + start, box[0].stop + start), *box[1:])


# ---- several ranks ----


def _mine(items: Iterator[Any], ranks: Ranks) -> Iterator[Any]:
    """One item a round, this rank's; None where the last round has too few."""
    while round_ := list(itertools.islice(items, ranks.size)):
        yield round_[ranks.rank] if ranks.rank < len(round_) else None


def write_shared(
    write: Callable[[DatasetNode, Box, Array], object],
    node: DatasetNode,
    units: Shape,
    ranks: Ranks,
    what: str,
    memory: int | None = None,
    errors: Errors = contextlib.nullcontext,
) -> None:
    """Write a dataset that ranks share to where each can write its tiles. Collective.

    Parameters
    ----------
    write : callable
        Writes a tile, and says to the progress that it is done.
    node : DatasetNode
        The dataset.
    units : tuple of int
        What is written together.
    ranks : Ranks
        All who do so.
    what : str
        What is done, for messages.
    memory : int, optional
        See `tiles_of`.
    errors : callable
        Gives a context manager that makes of errors of files what the user is told.
    """
    for box in _mine(tiles_of(node, units, memory), ranks):
        with ranks.together(f"{what}: {node.path}"):
            if box is not None:
                part = read_tile(node, box)
                with errors():
                    write(node, box, part)


def write_shared_chunks(
    node: DatasetNode,
    chunks: Shape,
    placer: ChunkPlacer | None,
    descriptor: int,
    ranks: Ranks,
    bar: Progress,
    memory: int | None = None,
) -> None:
    """Write a dataset that ranks share in packed chunks. Collective.

    Parameters
    ----------
    node : DatasetNode
        The dataset; where its chunks can stay as they are they are copied.
    chunks : tuple of int
        Shape of a chunk in the new file.
    placer : ChunkPlacer or None
        Rank 0's.
    descriptor : int
        Of the new file.
    ranks, memory
        See `write_shared`.
    bar : Progress
        Says what is done.
    """
    from memdata.formats.hdf5_chunks import pack
    from memdata.transfer.parts import write_packed

    def packed_tile(box: Box) -> tuple[list[Packed], int]:
        part = read_tile(node, box)
        origin = tuple(cut.start for cut in box)
        recipe = node.recipe
        return pack(part, origin, recipe.types, recipe.creation, ranks.size), part.nbytes

    packed: Callable[[Any], tuple[list[Packed], int]] = packed_tile
    work: Iterator[Any] = tiles_of(node, chunks, memory)
    if node.copy is not None:
        copier = node.copy
        nbytes = math.prod(chunks) * node.dtype.itemsize
        origins = iter(copier.origins())
        count = max(1, PIECE // nbytes)
        work = iter(lambda: list(itertools.islice(origins, count)), [])

        def packed(batch: list[Shape]) -> tuple[list[Packed], int]:
            return _copied(copier, batch), nbytes * len(batch)

    for item in _mine(work, ranks):
        content: list[Packed] = []
        size = 0
        with ranks.together(f"{bar.what}: packing {node.path}"):
            if item is not None:
                content, size = packed(item)
        write_packed(node.path, content, placer, descriptor, ranks, bar)
        bar.advance(size)


def _copied(copier: Copier, origins: list[Shape]) -> list[Packed]:
    """Chunks as they are."""
    from memdata.formats.hdf5_chunks import Packed

    return [Packed(origin, *copier.chunk(origin)) for origin in origins]
