"""Blocks of arrays that ranks send each other, and how they are cut into pieces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["Moves", "as_block", "pieces", "raw"]

Array = np.ndarray[Any, Any]


def pieces(shape: tuple[int, ...], itemsize: int, limit: int) -> Iterator[tuple[slice, ...]]:
    """Cut a block into index ranges of at most `limit` bytes each, or of one element.

    Parameters
    ----------
    shape : tuple of int
        The block's shape.
    itemsize : int
        Bytes of an element.
    limit : int
        Bytes of a piece.

    Yields
    ------
    tuple of slice
        One slice an axis; in C order, each element in exactly one.

    Examples
    --------
    >>> from memdata.ranks.blocks import pieces
    >>> [rows for rows, _ in pieces((5, 2), 8, 32)]
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = math.prod(shape)
    if size == 0:
        return
    if not shape or size * itemsize <= limit:
        yield tuple(slice(0, n) for n in shape)
        return
    length, rest = shape[0], shape[1:]
    row = size // length * itemsize
    if row <= limit or not rest:
        rows = max(1, limit // row)
        whole = tuple(slice(0, n) for n in rest)
        for start in range(0, length, rows):
            yield (slice(start, min(start + rows, length)), *whole)
        return
    for i in range(length):
        for piece in pieces(rest, itemsize, limit):
            yield (slice(i, i + 1), *piece)


class Moves:
    """The blocks that this rank sends to every rank and receives from every rank.

    Parameters
    ----------
    sends, receives : sequence of ndarray or None
        One for each rank; None: nothing. What a rank sends another is of the shape and dtype that
        the other receives from it.
    largest : tuple of int
        At least as long as every block of every rank along each axis. The same on all ranks: by it
        the blocks are cut into pieces, on both sides alike, and there are as many everywhere.
    rank : int
        This rank.
    """

    def __init__(
        self,
        sends: Sequence[Array | None],
        receives: Sequence[Array | None],
        largest: Sequence[int],
        rank: int,
    ) -> None:
        self.sends = [None if block is None else raw(block) for block in sends]
        self.receives = [None if block is None else raw(block) for block in receives]
        self._largest = tuple(largest)
        self._rank = rank
        given = [block for block in (*sends, *receives) if block is not None]
        self._itemsize = given[0].dtype.itemsize if given else 1
        if self._itemsize > _SPLIT_ITEM:
            self.sends = [_split(block) for block in self.sends]
            self.receives = [_split(block) for block in self.receives]
            self._largest, self._itemsize = (*self._largest, self._itemsize), 1

    def pieces(self, limit: int) -> Iterator[tuple[slice, ...]]:
        """Index ranges of at most `limit` bytes; blocks that are smaller have less of them."""
        return pieces(self._largest, self._itemsize, limit)

    def own(self, piece: tuple[slice, ...]) -> tuple[Array, Array] | None:
        """Where this rank's own elements go, and where they are."""
        source, target = self.sends[self._rank], self.receives[self._rank]
        if source is None or target is None:
            return None
        return target[piece], source[piece]


#: Elements longer than this (bytes) are moved as bytes, so that they can be cut.
_SPLIT_ITEM = 64


def raw(block: Array) -> Array:
    """The block with elements that are copied as bytes: padding too, and not field by field."""
    block = block.view(np.ndarray)
    if block.dtype.kind == "V" or block.dtype.subdtype is not None:
        return block.view(np.dtype((np.void, block.dtype.itemsize)))
    return block


def _split(block: Array | None) -> Array | None:
    """The block with an axis more, of the bytes of each element."""
    return None if block is None else block[..., np.newaxis].view(np.uint8)


def as_block(buffer: Array, block: Array) -> Array:
    """The beginning of a run of bytes as an array of the dtype and shape of a block."""
    return np.ndarray(block.shape, block.dtype, buffer)
