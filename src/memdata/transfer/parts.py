"""Writing the parts of distributed datasets that do not lie in the file as in memory.

*chunks*
    Each rank packs whole chunks; rows of a chunk that straddles ranks travel to the first of
    them. Rank 0 makes HDF5 give the packed chunks their places, each rank writes its own there.
*gather*
    Everything else travels to rank 0 in pieces, and through the library.

What may fail on one rank stands in ``ranks.together``; exchanges stand outside of it, so that no
rank is left alone in one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata.ranks import calls
from memdata.transfer.movers import PIECE
from memdata.transfer.plain import part_of

if TYPE_CHECKING:
    from memdata.formats.hdf5_chunks import ChunkPlacer, Packed
    from memdata.formats.tree import DatasetNode, Part, Target
    from memdata.progress import Progress
    from memdata.transfer.ranks import Bounds, Ranks

__all__ = [
    "gather_part",
    "owned_blocks",
    "write_chunks",
    "write_packed",
]

Array = np.ndarray[Any, Any]

# ---- chunks ----


class _Chunking:
    """Which chunks a rank owns along the distributed axis: those whose first row it has."""

    def __init__(self, chunk: int, length: int, bounds: Bounds) -> None:
        self.chunk = chunk
        self.bounds = bounds
        self.owned = [
            (min(-(-start // chunk) * chunk, length), min(-(-stop // chunk) * chunk, length))
            for start, stop in bounds
        ]

    def given(self, rank: int) -> tuple[int, int, int] | None:
        """Rows of a rank in a chunk that another rank owns: start, stop, the owner."""
        start, stop = self.bounds[rank]
        stop = min(stop, self.owned[rank][0])
        if start >= stop:
            return None
        owner = next(
            other for other, (first, last) in enumerate(self.owned) if first <= start < last
        )
        return start, stop, owner

    def taken(self, rank: int) -> list[tuple[int, int, int]]:
        """Rows that a rank gets for its last chunk: start, stop, the rank that has them."""
        found = []
        for other in range(rank + 1, len(self.bounds)):
            given = self.given(other)
            if given is not None and given[2] == rank:
                found.append((given[0], given[1], other))
        return found


def write_chunks(
    node: DatasetNode,
    chunks: tuple[int, ...],
    bounds: Bounds,
    placer: ChunkPlacer | None,
    descriptor: int,
    ranks: Ranks,
    bar: Progress,
) -> None:
    """Pack and write the chunks of a distributed dataset. Collective.

    Parameters
    ----------
    node : DatasetNode
        With this rank's part.
    chunks : tuple of int
        Shape of a chunk in the file.
    bounds : list of (start, stop)
        The parts of all ranks.
    placer : ChunkPlacer or None
        Rank 0's.
    descriptor : int
        Of the file.
    """
    for block, origin in owned_blocks(node, chunks, bounds, ranks):
        _write_round(node, block, origin, placer, descriptor, ranks, bar)


def owned_blocks(
    node: DatasetNode, chunks: tuple[int, ...], bounds: Bounds, ranks: Ranks
) -> Iterator[tuple[Array | None, tuple[int, ...]]]:
    """Whole chunks of a distributed dataset, each on the rank that has its first row. Collective.

    Yields
    ------
    block : ndarray or None
        Some MiB of elements: whole chunks, but at the end of an axis. None in a round in which
        other ranks still have some.
    origin : tuple of int
        Where the block begins in the whole dataset.
    """
    part, shape = part_of(node)
    axis = part.axis
    chunking = _Chunking(chunks[axis], shape[axis], bounds)
    longest = max(last - first for first, last in chunking.owned)
    # Rounds: blocks of columns along another axis, and in these blocks of rows.
    across = None if len(shape) == 1 else int(axis == 0)
    row_bytes = node.dtype.itemsize * math.prod(shape) // max(shape[axis], 1)
    columns = 1 if across is None else shape[across]
    column_bytes = max(1, longest * row_bytes // max(columns, 1))
    width = columns
    if across is not None:
        width = max(1, PIECE // (column_bytes * chunks[across])) * chunks[across]
    block_row = max(1, row_bytes * min(width, columns) // max(columns, 1))
    height = max(1, PIECE // (block_row * chunks[axis])) * chunks[axis]
    for left in range(0, columns, width):
        cut: tuple[Any, ...] = ()
        if across is not None:
            cut = (slice(None),) * across + (slice(left, left + width),)
        tail = _exchange_straddling(node, part, cut, chunking, ranks)
        for step in range(0, longest, height):
            block, start = _block(node, part, cut, chunking, ranks.rank, step, height, tail)
            origin = [0] * len(shape)
            origin[axis] = start
            if across is not None:
                origin[across] = left
            yield block, tuple(origin)


def _rows(array: Array, part: Part, start: int, stop: int) -> Array:
    """Rows of a part, counted in the whole array."""
    index = (slice(None),) * part.axis
    return array[(*index, slice(start - part.start, stop - part.start))]


def _joined(pieces: list[Array], axis: int) -> Array:
    """The pieces as one array of just their type: `numpy.concatenate` alone makes it native."""
    return np.concatenate(pieces, axis=axis, dtype=pieces[0].dtype)


def _exchange_straddling(
    node: DatasetNode, part: Part, cut: tuple[Any, ...], chunking: _Chunking, ranks: Ranks
) -> list[Array]:
    """Send the rows of a chunk that another rank owns; returns those that this rank gets."""
    assert node.array is not None
    if ranks.comm is None:
        return []
    given = chunking.given(ranks.rank)
    what = f"rows of straddling chunks of {node.path}"
    link = ranks.link
    sending = None
    if given is not None:
        start, stop, owner = given
        rows = np.ascontiguousarray(_rows(node.array[cut], part, start, stop))
        sending = calls.Sending(link, rows, owner)
    tail = [calls.receive_from(link, other, what) for _a, _b, other in chunking.taken(ranks.rank)]
    if sending is not None:
        sending.end(what)
    return tail


def _block(
    node: DatasetNode,
    part: Part,
    cut: tuple[Any, ...],
    chunking: _Chunking,
    rank: int,
    step: int,
    height: int,
    tail: list[Array],
) -> tuple[Array | None, int]:
    """The owned rows of one round, and where they begin."""
    assert node.array is not None
    first, last = chunking.owned[rank]
    start, stop = first + step, min(first + step + height, last)
    if start >= stop:
        return None, 0
    own = _rows(node.array[cut], part, start, min(stop, part.stop))
    if stop <= part.stop:
        return own, start
    return _joined([own, *tail], part.axis), start


def _write_round(
    node: DatasetNode,
    block: Array | None,
    origin: tuple[int, ...],
    placer: ChunkPlacer | None,
    descriptor: int,
    ranks: Ranks,
    bar: Progress,
) -> None:
    """Pack a block of every rank, get places for the chunks, write them."""
    from memdata.formats.hdf5_chunks import pack

    with ranks.together(f"{bar.what}: packing {node.path}"):
        packed = []
        if block is not None:
            recipe = node.recipe
            packed = pack(block, origin, recipe.types, recipe.creation, ranks.size)
    write_packed(node.path, packed, placer, descriptor, ranks, bar)
    if block is not None:
        bar.advance(block.nbytes)


def write_packed(
    path: str,
    packed: list[Packed],
    placer: ChunkPlacer | None,
    descriptor: int,
    ranks: Ranks,
    bar: Progress,
) -> None:
    """Get places for the packed chunks of all ranks, and write them there. Collective."""
    wanted: Any = [(chunk.origin, chunk.mask, len(chunk.content)) for chunk in packed]
    if ranks.comm is not None:
        wanted = calls.gather(ranks.link, wanted, f"{bar.what}: places of {path}")
    else:
        wanted = [wanted]
    places: Any = None
    with ranks.together(f"{bar.what}: making places for the chunks of {path}"):
        if placer is not None:
            places = [placer.place(path, chunks) for chunks in wanted]
    if ranks.comm is None:
        mine = places[0]
    else:
        mine = calls.scatter(ranks.link, places, f"{bar.what}: places of {path}")
    with ranks.together(f"{bar.what}: {path}"):
        for chunk, place in zip(packed, mine, strict=True):
            _write_all(descriptor, chunk.content, place)


def _write_all(descriptor: int, content: Any, offset: int) -> None:
    view = memoryview(content)
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count


# ---- gather ----


def gather_part(node: DatasetNode, target: Target, ranks: Ranks, bar: Progress) -> None:
    """Write a distributed dataset through rank 0, in pieces. Collective."""
    part, shape = part_of(node)
    array = node.array
    assert array is not None
    if not node.nbytes:
        return
    rows = max(1, PIECE // max(1, node.nbytes // shape[0]))
    together = target.grid(node)[0]
    rows = max(rows // together, 1) * together
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        if part.axis:
            piece = array[start:stop]
        else:
            low, high = max(start, part.start), min(stop, part.stop)
            piece = _rows(array, part, low, max(low, high))
        pieces: Any = [piece]
        if ranks.comm is not None:
            pieces = calls.gather(ranks.link, piece, f"{bar.what}: {node.path}")
        with ranks.together(f"{bar.what}: {node.path}"):
            if ranks.first:
                whole = _joined(pieces, part.axis)
                box = (slice(start, stop), *(slice(0, length) for length in shape[1:]))
                target.write_block(node, box, whole)
        bar.advance(piece.nbytes)
