"""Indexing a distributed array with indices of the whole array, where the native code does not.

The native `global_slice` does basic indices itself. Here are index arrays and masks on the
distributed axis, and all assignments. Nothing communicates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from memdata.indexing import is_mask, sanitize_slice, slice_of_range

Array = np.ndarray[Any, Any]


class _Part(NamedTuple):
    """What of a global selection is on this rank."""

    key: tuple[Any, ...]  # the same selection with local indices
    axis: int | None  # axis of the selection that the distributed axis became; None: an integer
    length: int  # length of the global selection along it
    where: Any  # the local part of it: slice or index array
    held: bool  # is there any?


def get(array: Any, key: Any) -> Array | None:
    """``array.global_slice[key]`` with an index array on the distributed axis.

    Returns
    -------
    numpy.ndarray or None
        What of the selection this rank holds; None where that is nothing.
    """
    part = _resolve(array, key)
    result: Array = array.local_array[part.key]
    return result if part.held else None


def assign(array: Any, key: Any, value: Any) -> None:
    """``array.global_slice[key] = value``: what this rank holds of it.

    The value broadcasts against the local part; or, when its length along the distributed axis is
    that of the global selection, it is cut to it.
    """
    part = _resolve(array, key)
    local = array.local_array
    chosen = local[part.key]  # also where nothing is held: the index must be right on all ranks
    value = getattr(value, "local_array", value)
    if part.axis is not None and part.length != 1:
        value = _cut(np.asarray(value), chosen.ndim - part.axis, part)
    if part.held:
        local[part.key] = value


def _cut(value: Array, from_end: int, part: _Part) -> Array:
    axis = value.ndim - from_end
    if axis < 0 or value.shape[axis] != part.length:
        return value
    cut: Array = value[(slice(None),) * axis + (part.where,)]
    return cut


def _resolve(array: Any, key: Any) -> _Part:
    """Translate a global index."""
    shape, axis = array.global_shape, array.axis
    start, stop = array.local_bounds.start, array.local_bounds.stop
    items = _split_masks(sanitize_slice(key, len(shape)), shape)
    at = _item_of_axis(items, axis)
    item = items[at]
    if isinstance(item, np.ndarray):
        return _resolve_array(items, at, shape[axis], start, stop)
    if isinstance(item, slice):
        chosen = range(*item.indices(shape[axis]))
        inside = _inside(chosen, start, stop)
        items[at] = slice_of_range(chosen[inside], start)
        return _Part(
            tuple(items),
            _axis_of_slice(items, at, shape),
            len(chosen),
            inside,
            len(chosen[inside]) > 0,
        )
    index = int(item)
    if not -shape[axis] <= index < shape[axis]:
        raise IndexError(f"index {index} is out of bounds for axis {axis} with size {shape[axis]}")
    index %= shape[axis]
    held = start <= index < stop
    items[at] = index - start if held else slice(0, 0)
    return _Part(tuple(items), None, 1, slice(None), held)


def _split_masks(items: tuple[Any, ...], shape: tuple[int, ...]) -> list[Any]:
    """Masks become index arrays, one per axis, as NumPy has it."""
    result: list[Any] = []
    axis = 0
    for item in items:
        if is_mask(item):
            if not item.ndim:
                raise IndexError("True and False are no indices of a distributed array")
            if item.shape != shape[axis : axis + item.ndim]:
                raise IndexError(
                    f"a mask of shape {item.shape} does not fit the axes "
                    f"{shape[axis : axis + item.ndim]}"
                )
            result.extend(item.nonzero())
            axis += item.ndim
        else:
            result.append(item)
            axis += item is not None and item is not Ellipsis
    return result


def _item_of_axis(items: list[Any], axis: int) -> int:
    axes = -1
    for n, item in enumerate(items):
        axes += item is not None and item is not Ellipsis
        if axes == axis:
            return n
    raise AssertionError("every axis has an item")


def _inside(chosen: range, start: int, stop: int) -> slice:
    """Which of the chosen indices are in [start, stop)."""
    if not chosen or start >= stop:
        return slice(0, 0)
    up = chosen if chosen.step > 0 else chosen[::-1]
    first = max(0, -(-(start - up.start) // up.step))
    last = max(first, min(len(up), -(-(stop - up.start) // up.step)))
    if chosen.step > 0:
        return slice(first, last)
    return slice(len(up) - last, len(up) - first)


def _axis_of_slice(items: list[Any], at: int, shape: tuple[int, ...]) -> int:
    """Where the axis of a slice is in the result: NumPy shows it, on an array without memory."""
    nothing = np.broadcast_to(np.int8(0), tuple(max(n, 1) for n in shape))
    shapes = []
    for length in (0, 1):
        probe = [_first(item) for item in items]
        probe[at] = slice(0, length)
        shapes.append(nothing[tuple(probe)].shape)
    return next(n for n, (a, b) in enumerate(zip(*shapes, strict=True)) if a != b)


def _first(item: Any) -> Any:
    """An item of the same kind that selects little."""
    if isinstance(item, slice):
        return slice(0, 1)
    if item is None or item is Ellipsis:
        return item
    return np.zeros_like(item) if isinstance(item, np.ndarray) else 0


def _resolve_array(items: list[Any], at: int, length: int, start: int, stop: int) -> _Part:
    """Index arrays, one of them on the distributed axis: keep the indices that are here."""
    advanced = [n for n, item in enumerate(items) if isinstance(item, np.ndarray | int)]
    index = np.asarray(items[at])
    if index.size and not ((-length <= index) & (index < length)).all():
        bad = index[(index < -length) | (index >= length)].ravel()[0]
        raise IndexError(f"index {bad} is out of bounds for the axis with size {length}")
    index = np.where(index < 0, index + length, index)
    shapes = [np.shape(items[n]) for n in advanced]
    try:
        common = np.broadcast_shapes(*shapes)
    except ValueError:
        raise IndexError(f"index arrays of the shapes {shapes} do not broadcast") from None
    full = index.reshape((1,) * (len(common) - index.ndim) + index.shape)
    varies = [n for n, size in enumerate(full.shape) if size > 1]
    here = (full >= start) & (full < stop)
    if len(varies) <= 1:
        # The index runs along one axis of what the arrays have in common: that axis is cut.
        cut = varies[0] if varies else len(common) - 1
        where = np.flatnonzero(np.broadcast_to(here.reshape(-1), common[cut]))
        for n in advanced:
            items[n] = _take(np.asarray(items[n]) if n != at else full - start, common, cut, where)
        axis = _axis_of_arrays(items, advanced) + cut
        return _Part(tuple(items), axis, common[cut], where, where.size > 0)
    # It runs along several: what is here is a list of elements.
    inside = np.broadcast_to(here, common).nonzero()
    for n in advanced:
        source = full - start if n == at else np.asarray(items[n])
        items[n] = np.broadcast_to(source, common)[inside]
    return _Part(tuple(items), None, 1, slice(None), inside[0].size > 0)


def _take(index: Array, common: tuple[int, ...], cut: int, where: Array) -> Array:
    """The part of an index array that belongs to positions `where` of the common axis `cut`."""
    full = index.reshape((1,) * (len(common) - index.ndim) + index.shape)
    if full.shape[cut] == 1 and common[cut] > 1:
        return np.broadcast_to(full, (*full.shape[:cut], where.size, *full.shape[cut + 1 :]))
    return full.take(where, axis=cut)


def _axis_of_arrays(items: list[Any], advanced: list[int]) -> int:
    """Where the common axes of the index arrays begin in the result, by NumPy's rule."""
    apart = advanced[-1] - advanced[0] + 1 != len(advanced)
    return 0 if apart else sum(i is None or isinstance(i, slice) for i in items[: advanced[0]])
