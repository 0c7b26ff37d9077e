"""What a NumPy index selects, cut along a grid of tiles: chunks of a file, or pieces of it.

A *region* says the same as an index in one form: a range along each axis, and along some axes, of
which all are taken point by point, lists of places instead::

    index  [:, [7, 3, 3], 0]        ranges  0: range(0, n), 2: range(0, 1)
                                    points  1: [7, 3, 3]

The selected elements of one tile are picked from it with one NumPy index, and put into the result
with another.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Region", "Tile", "region_of", "tiles", "whole_region"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class Region(NamedTuple):
    """What an index selects of an array.

    Attributes
    ----------
    ranges : dict of int to range
        By axis; those of `points` are not among them.
    points : dict of int to ndarray
        By axis, all of the same length: places, 0 or more, point by point. Masks that select much
        stay masks; one over several axes is at the first of them, and stands for the others too.
    place : int
        The axis of the result at which the points are; 0 where there are none.
    spread : tuple of int
        The shape that the points have in the result.
    shape : tuple of int
        The shape of the result.
    """

    ranges: dict[int, range]
    points: dict[int, Array]
    place: int
    spread: Shape
    shape: Shape

    def is_box(self) -> bool:
        """Whether nothing lies between the selected elements along any axis."""
        return not self.points and all(part.step == 1 for part in self.ranges.values())

    def fits(self, tile: Sequence[int], shape: Shape) -> bool:
        """Whether what is selected of each tile lies together in the result.

        So it does but for masks over several axes, of which the tiles cut more than one.
        """
        mask = next(iter(self.points.values()), None)
        if mask is None or mask.dtype != np.bool_ or mask.ndim < 2:
            return True
        cut = [axis for axis in self.points if tile[axis] < shape[axis]]
        return not cut or all(tile[axis] == 1 for axis in self.points if axis < cut[-1])

    def canonical(self, out: Array) -> Array:
        """A view of the result: first the points, if any, then each range, then what is inside.

        `out` is C-contiguous, and may have more axes: those of arrays inside each element.
        """
        inner = out.shape[len(self.shape) :]
        lengths = tuple(len(part) for part in self.ranges.values())
        if not self.points:
            return out.reshape(lengths + inner)
        count = math.prod(self.spread)
        # Ranges that an integer stands for have no axis in the result; they have a length of 1.
        kept = self.shape[: self.place], self.shape[self.place + len(self.spread) :]
        flat = out.reshape((*kept[0], count, *kept[1], *inner))
        return np.moveaxis(flat, self.place, 0).reshape((count, *lengths, *inner))


class Tile(NamedTuple):
    """One tile, and what of it is selected.

    Attributes
    ----------
    place : tuple of int
        Which tile, counted along each axis.
    source : tuple
        Index of the selected elements in the tile, its axes in the order of `order`.
    target : tuple
        Index in the result in canonical form.
    whole : bool
        Whether all elements of the tile are selected, in their order.
    """

    place: Shape
    source: tuple[Any, ...]
    target: tuple[Any, ...]
    whole: bool


def whole_region(shape: Shape, start: int, stop: int) -> Region:
    """Rows of an array."""
    lengths = (stop - start, *shape[1:])
    ranges = {axis: range(length) for axis, length in enumerate(lengths)}
    ranges[0] = range(start, stop)
    return Region(ranges, {}, 0, (), lengths)


class _Part(NamedTuple):
    """What of one axis is in one tile."""

    number: int
    source: slice
    target: slice
    whole: bool


def _range_parts(wanted: range, tile: int, length: int) -> list[_Part]:
    """Cut a range along the tiles of an axis of `length`."""
    if not wanted:
        return []
    if wanted.step < 0:
        count = len(wanted)
        return [
            part._replace(
                source=_backwards(part.source),
                target=slice(count - part.target.stop, count - part.target.start),
                whole=False,
            )
            for part in _range_parts(wanted[::-1], tile, length)
        ]
    parts = []
    begin = 0
    while begin < len(wanted):
        first = wanted[begin]
        number = first // tile
        edge = min((number + 1) * tile, length)
        # The first that is not in this tile any more.
        end = min(len(wanted), -(-(edge - wanted.start) // wanted.step))
        last = wanted[end - 1]
        source = slice(first - number * tile, last - number * tile + 1, wanted.step)
        whole = source.start == 0 and wanted.step == 1 and last + 1 == edge
        parts.append(_Part(number, source, slice(begin, end), whole))
        begin = end
    return parts


def _backwards(part: slice) -> slice:
    positions = range(part.start, part.stop, part.step)
    last = positions[0] - part.step
    return slice(positions[-1], last if last >= 0 else None, -part.step)


class _Points(NamedTuple):
    """The points that are in one tile."""

    numbers: Shape
    source: tuple[Any, ...]
    target: Any


def _point_parts(points: dict[int, Array], tile: Sequence[int], shape: Shape) -> Iterator[_Points]:
    """Sort points into tiles."""
    axes = list(points)
    first = points[axes[0]]
    if not first.size:
        return iter(())
    if first.ndim > 1:
        return _wide_mask_parts(first, [tile[axis] for axis in axes])
    if len(axes) > 1:
        return _joint_parts(points, tile, shape)
    if first.dtype == np.bool_:
        return _mask_parts(first, tile[axes[0]])
    return _list_parts(first, tile[axes[0]], shape[axes[0]])


def _mask_parts(mask: Array, tile: int) -> Iterator[_Points]:
    done = 0
    for number, start in enumerate(range(0, mask.size, tile)):
        local = mask[start : start + tile]
        count = int(np.count_nonzero(local))
        if not count:
            continue
        source: Any = slice(0, count)
        if count < local.size:
            source = local if count > local.size // 4 else _as_slice(np.flatnonzero(local))
        if isinstance(source, np.ndarray) and source.dtype == np.bool_ and source.size < tile:
            source = np.flatnonzero(source)  # the tile in memory may be longer than the axis
        yield _Points((number,), (source,), slice(done, done + count))
        done += count


def _wide_mask_parts(mask: Array, tile: Sequence[int]) -> Iterator[_Points]:
    """A mask over several axes; what is selected of a tile lies together in the result."""
    done = 0
    counts = (range(-(-length // step)) for length, step in zip(mask.shape, tile, strict=True))
    for numbers in itertools.product(*counts):
        corner = zip(numbers, tile, strict=True)
        local = mask[tuple(slice(at * step, (at + 1) * step) for at, step in corner)]
        count = int(np.count_nonzero(local))
        if not count:
            continue
        if local.shape != tuple(tile):  # the tile in memory is longer than the axis
            padded = np.zeros(tile, np.bool_)
            padded[tuple(slice(length) for length in local.shape)] = local
            local = padded
        yield _Points(numbers, (local,), slice(done, done + count))
        done += count


def _list_parts(places: Array, tile: int, length: int) -> Iterator[_Points]:
    order: Any = None
    if np.any(places[1:] < places[:-1]):
        order = np.argsort(places, kind="stable")
        places = places[order]
    edges = np.searchsorted(places, np.arange(0, length + tile, tile))
    for number in np.flatnonzero(np.diff(edges)).tolist():
        begin, end = int(edges[number]), int(edges[number + 1])
        target: Any = slice(begin, end) if order is None else order[begin:end]
        yield _Points((number,), (_as_slice(places[begin:end] - number * tile),), target)


def _joint_parts(points: dict[int, Array], tile: Sequence[int], shape: Shape) -> Iterator[_Points]:
    axes = list(points)
    numbers = [points[axis] // tile[axis] for axis in axes]
    counts = [-(-shape[axis] // tile[axis]) for axis in axes]
    key = np.ravel_multi_index(tuple(numbers), tuple(counts))
    order: Any = None
    if np.any(key[1:] < key[:-1]):
        order = np.argsort(key, kind="stable")
        key = key[order]
    edges = np.flatnonzero(key[1:] != key[:-1]) + 1
    for begin, end in itertools.pairwise([0, *edges.tolist(), key.size]):
        target: Any = slice(begin, end) if order is None else order[begin:end]
        which = tuple(int(number) for number in np.unravel_index(key[begin], counts))
        source = tuple(
            points[axis][target] - number * tile[axis]
            for axis, number in zip(axes, which, strict=True)
        )
        yield _Points(which, source, target)


def _as_slice(positions: Array) -> Any:
    """A list as a slice where it is one: NumPy copies those faster."""
    if positions.size == 1:
        return slice(int(positions[0]), int(positions[0]) + 1)
    step = int(positions[1] - positions[0])
    if step > 0 and np.all(np.diff(positions) == step):
        return slice(int(positions[0]), int(positions[-1]) + 1, step)
    return positions


def tiles(region: Region, tile: Sequence[int], shape: Shape) -> Iterator[Tile]:
    """Cut a region of an array along tiles; those without a selected element are left out.

    Parameters
    ----------
    region : Region
        What is selected.
    tile : sequence of int
        Lengths of a tile.
    shape : tuple of int
        Of the array; the last tiles of an axis may be shorter.

    Yields
    ------
    Tile
        In the order of the file.
    """
    by_axis = [_range_parts(part, tile[axis], shape[axis]) for axis, part in region.ranges.items()]
    ranged = tuple(region.ranges)
    if not region.points:
        for parts in itertools.product(*by_axis):
            yield Tile(
                tuple(part.number for part in parts),
                tuple(part.source for part in parts),
                tuple(part.target for part in parts),
                all(part.whole for part in parts),
            )
        return
    pointed = tuple(region.points)
    for points in _point_parts(region.points, tile, shape):
        for parts in itertools.product(*by_axis):
            place = [0] * len(shape)
            for axis, number in zip(pointed, points.numbers, strict=True):
                place[axis] = number
            for axis, part in zip(ranged, parts, strict=True):
                place[axis] = part.number
            yield Tile(
                tuple(place),
                points.source + tuple(part.source for part in parts),
                (points.target, *(part.target for part in parts)),
                False,
            )


def region_of(parts: Sequence[Any], shape: Shape) -> Region | None:
    """The region that a NumPy index selects.

    Parameters
    ----------
    parts : sequence
        Slices, integers, arrays of integers and masks, an ellipsis, as NumPy has accepted them.
    shape : tuple of int
        Of what is selected from.

    Returns
    -------
    Region or None
        None for what has no such form: an index of True, or masks over several axes that go
        together with other lists and select too much to become lists as well.

    Examples
    --------
    >>> region = region_of((slice(None, None, -2), np.array([3, 0])), (5, 4))
    >>> region.ranges, region.shape
    ({0: range(4, -1, -2)}, (3, 2))
    """
    entries = _entries(parts, shape)
    if entries is None:
        return None
    arrays = {axis: part for axis, part in entries if isinstance(part, np.ndarray)}
    ranges: dict[int, range] = {}
    before: list[int] = []
    after: list[int] = []
    joint: list[int] = []
    for number, (axis, part) in enumerate(entries):
        if isinstance(part, slice):
            ranges[axis] = range(shape[axis])[part]
            (after if joint else before).append(len(ranges[axis]))
            continue
        if isinstance(part, int):
            at = part % shape[axis]
            ranges[axis] = range(at, at + 1)
        if part is not Ellipsis and arrays:
            joint.append(number)
    if not arrays:
        return Region(ranges, {}, 0, (), tuple(before + after))
    found = _points_of(arrays, shape)
    if found is None:
        return None
    spread, points = found
    adjacent = joint[-1] - joint[0] == len(joint) - 1
    place = len(before) if adjacent else 0
    lengths = before + after
    return Region(ranges, points, place, spread, (*lengths[:place], *spread, *lengths[place:]))


def _entries(parts: Sequence[Any], shape: Shape) -> list[tuple[int, Any]] | None:
    """One part for each axis, with the axis; an ellipsis that stands for none stays."""
    used = 0
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype == np.bool_:
            used += part.ndim
        else:
            used += part is not Ellipsis
    entries: list[tuple[int, Any]] = []
    axis = 0
    for part in parts:
        if part is Ellipsis:
            # For NumPy it parts the arrays on both sides even where it stands for no axis.
            left = len(shape) - used
            entries.append((-1, Ellipsis))
            entries.extend((axis + more, slice(None)) for more in range(left))
            axis += left
        elif isinstance(part, bool | np.bool_):
            return None
        elif isinstance(part, slice | int | np.integer):
            entries.append((axis, part if isinstance(part, slice) else int(part)))
            axis += 1
        else:
            inner = _array_entries(part, axis)
            if inner is None:
                return None
            entries.extend(inner)
            axis += len(inner)
    entries.extend((more, slice(None)) for more in range(axis, len(shape)))
    return entries


def _array_entries(part: Array, axis: int) -> list[tuple[int, Any]] | None:
    if not part.ndim:
        return None if part.dtype == np.bool_ else [(axis, int(part))]
    if part.dtype != np.bool_ or part.ndim == 1:
        return [(axis, part)]
    if np.count_nonzero(part) * _POINT > part.size:
        return [(axis + more, part) for more in range(part.ndim)]
    return [(axis + more, places) for more, places in enumerate(np.nonzero(part))]


#: So many elements of a dense mask are looked at in the time that one point of a list takes.
_POINT = 16


def _points_of(arrays: dict[int, Array], shape: Shape) -> tuple[Shape, dict[int, Array]] | None:
    """Places, 0 or more, all of one length, and the shape they have in the result."""
    first = next(iter(arrays.values()))
    alone = all(part is first for part in arrays.values()) and first.ndim == len(arrays)
    if alone and first.dtype == np.bool_:
        return (int(np.count_nonzero(first)),), arrays
    if any(part.dtype == np.bool_ and part.ndim > 1 for part in arrays.values()):
        return None
    flat = {
        axis: np.flatnonzero(part) if part.dtype == np.bool_ else part
        for axis, part in arrays.items()
    }
    spread = np.broadcast_shapes(*(part.shape for part in flat.values()))
    points = {}
    for axis, part in flat.items():
        places = part.astype(np.intp, copy=False)
        if places.size and places.min() < 0:
            places = np.where(places < 0, places + shape[axis], places)
        points[axis] = np.broadcast_to(places, spread).reshape(-1)
    return spread, points
