"""Cutting arrays into tiles, which are moved one after the other.

A tile is a box with a length along every axis: a row of a dataset may be larger than the memory. ::

    chunks of the new file      those of the old one        a tile
    ┌──┬──┬──┬──┐               ┌───────┬───────┐           ┌─────┬──
    ├──┼──┼──┼──┤               ├───────┼───────┤           │     │
    ├──┼──┼──┼──┤               ├───────┼───────┤           ├─────┼──
    └──┴──┴──┴──┘               └───────┴───────┘           │     │

It consists of whole chunks of the new file, so that each of them is packed once. It covers chunks
of the old one as far as the memory goes, so that they are unpacked once; where they lie crosswise
and that is too much, some are unpacked several times.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

__all__ = ["Box", "boxes_of", "tile_shape"]

Shape = tuple[int, ...]
Box = tuple[slice, ...]


def boxes_of(shape: Shape, box: Shape) -> Iterator[Box]:
    """Cut an array into boxes, in C order; those at the end of an axis may be shorter.

    Examples
    --------
    >>> [tuple((part.start, part.stop) for part in box) for box in boxes_of((3, 4), (2, 4))]
    [((0, 2), (0, 4)), ((2, 3), (0, 4))]
    """
    steps = [range(0, length, step) for length, step in zip(shape, box, strict=True)]
    for place in itertools.product(*steps):
        yield tuple(
            slice(start, min(start + step, length))
            for start, step, length in zip(place, box, shape, strict=True)
        )


def tile_shape(
    shape: Shape, units: Sequence[int], grid: Sequence[int], usual: int, limit: int
) -> Shape:
    """Lengths of a tile.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    units : sequence of int
        A tile's lengths are multiples of these, or all of an axis: chunks of what is written.
    grid : sequence of int
        Lengths of what is best read together: chunks of what is read.
    usual : int
        Elements of a tile, about, if it need not be larger.
    limit : int
        Elements of a tile at most, but for a unit.

    Examples
    --------
    >>> tile_shape((1000, 1000), (1, 100), (100, 1), usual=1000, limit=10_000)
    (100, 100)
    >>> tile_shape((1000, 1000), (1, 100), (100, 1), usual=1000, limit=2000)
    (16, 100)
    """
    units = [max(1, min(unit, length)) for unit, length in zip(units, shape, strict=True)]
    grid = [max(1, min(part, length)) for part, length in zip(grid, shape, strict=True)]
    tile = list(units)

    def fits(axis: int, length: int, most: int) -> bool:
        return math.prod(tile) // tile[axis] * length <= most

    def whole(axis: int, length: int) -> int:
        return min(-(-length // units[axis]) * units[axis], shape[axis])

    # What is read together, by steps along the axis that is furthest from it.
    growing = True
    while growing:
        growing = False
        short = [axis for axis in range(len(shape)) if tile[axis] < grid[axis]]
        for axis in sorted(short, key=lambda axis: tile[axis] / grid[axis]):
            length = whole(axis, min(2 * tile[axis], grid[axis]))
            if fits(axis, length, limit):
                tile[axis] = length
                growing = True
                break
    for axis in range(len(shape)):  # neither cut: multiples of both
        both = min(math.lcm(units[axis], grid[axis]), shape[axis])
        if tile[axis] % grid[axis] and tile[axis] < both and fits(axis, both, min(usual, limit)):
            tile[axis] = both
    for axis in reversed(range(len(shape))):  # long runs
        room = min(usual, limit) // (math.prod(tile) // tile[axis])
        tile[axis] = min(max(1, room // tile[axis]) * tile[axis], shape[axis])
        if tile[axis] < shape[axis]:
            break
    return tuple(tile)
