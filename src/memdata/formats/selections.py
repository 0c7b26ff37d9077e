"""What a NumPy index means for a dataset that is still in a file.

A selection becomes a few *runs* along each axis: regular pieces (start, step, length) that a file
format can read as they are. What is read is a *cover*: the selected elements and, where asking for
less would take longer, some between them. A last NumPy index picks the result from the cover::

    index [7, 3, 3, 900]   runs (3, 4, 2) (900, 1, 1)   cover 3 7 900   rest [1, 0, 0, 2]
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from memdata.formats.regions import Region, region_of
from memdata.indexing import partition_selection
from memdata.suggesting import did_you_mean

__all__ = [
    "IfThere",
    "Run",
    "Selection",
    "check_used",
    "chunks_of_result",
    "followed_axis",
    "index_of_box",
    "narrowed",
    "normalised",
    "resolve",
]

Shape = tuple[int, ...]


class Run(NamedTuple):
    """A regular piece of an axis."""

    start: int
    step: int
    length: int


class Selection(NamedTuple):
    """A NumPy index, resolved against a shape.

    Attributes
    ----------
    shape : tuple of int
        Shape of the result.
    index : object
        What the user gave, for arrays in memory.
    runs : tuple of list of Run
        What to read, axis by axis; several runs at most along one axis.
    cover : tuple of int
        Shape of what is read.
    rest : tuple or None
        NumPy index of the result in the cover; None where they are the same.
    region : Region or None
        The same for those who read tile by tile; None where the cover is the better way.
    """

    shape: Shape
    index: Any
    runs: tuple[list[Run], ...]
    cover: Shape
    rest: tuple[Any, ...] | None
    region: Region | None


class IfThere(dict[str, Any]):
    """Selections of datasets that a file need not have: no error where they are missing."""


def normalised(selections: Mapping[str, Any] | None) -> dict[str, Any]:
    """The selections by absolute path without needless slashes; those that select are kept.

    Raises
    ------
    TypeError
        `selections` is not a mapping from path to index.
    """
    if not selections:
        return {}
    if not isinstance(selections, Mapping):
        raise TypeError(f"selections is a dict of path: index, not {type(selections).__name__}")
    result: dict[str, Any] = IfThere() if isinstance(selections, IfThere) else {}
    for path, index in selections.items():
        if not isinstance(path, str):
            raise TypeError(f"selections has the key {path!r}, which is no path")
        parts = [part for part in path.split("/") if part]
        if index is not None:
            result[posixpath.join("/", *parts)] = index
    return result


def check_used(selections: Mapping[str, Any], datasets: set[str]) -> None:
    """Check that every selection is of a dataset, but for those of `IfThere`.

    Raises
    ------
    ValueError
        Names the paths that are not.
    """
    unknown = sorted(set(selections) - datasets)
    if unknown and not isinstance(selections, IfThere):
        near = did_you_mean(unknown[0], datasets)
        raise ValueError(f"selections of what is not a dataset there: {', '.join(unknown)}{near}")


def resolve(
    index: Any, shape: Shape | None, itemsize: int, path: str, gap: Shape = ()
) -> Selection:
    """Resolve a NumPy index.

    Parameters
    ----------
    index : object
        Slices, integers, lists, masks, an ellipsis; a tuple of them, one for each axis.
    shape : tuple of int or None
        Shape of the dataset; None is a null dataspace, which takes no index.
    itemsize : int
        Bytes of an element.
    path : str
        Where the dataset is, for messages.
    gap : tuple of int
        Per axis: elements between two runs that are better read than skipped (a chunk's
        length). None of them: 1 everywhere.

    Raises
    ------
    ValueError
        The selection does not fit the shape.
    """
    what = f"{path}: the selection {index!r:.200} does not fit"
    if shape is None:
        raise ValueError(f"{what}: the dataset is empty (a null dataspace)")
    parts = _parts(index)
    if any(isinstance(part, str | bytes) or part is None for part in parts):
        raise ValueError(f"{what}: field names and newaxis are not selections")
    parts = tuple(_as_index(part) for part in parts)
    region = None
    if _is_large_mask(parts, shape):
        region = region_of(parts, shape)
    if region is not None:
        result_shape = region.shape
    else:
        try:
            # NumPy itself says whether it fits and what comes out; the array takes one byte.
            probe = np.broadcast_to(np.zeros((), np.bool_), shape)[parts]
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{what} the shape {shape}: {error}") from None
        result_shape = np.shape(probe)
        region = region_of(parts, shape)
    full = _one_per_axis(parts, shape)
    if full is None:  # a mask over several axes and the like
        runs = tuple([Run(0, 1, length)] for length in shape)
        return Selection(result_shape, parts, runs, shape, parts, region)
    # Several arrays, and integers beside an array, are one joint index for NumPy: then arrays
    # must stay arrays in the rest.
    joint = sum(not isinstance(part, slice) for part in full) > 1
    gap = gap or (1,) * len(shape)
    runs_list: list[list[Run]] = []
    rest: list[Any] = []
    for axis, part in enumerate(full):
        inner = itemsize * int(np.prod(shape[axis + 1 :], dtype=object))
        axis_runs, left = _axis(part, shape[axis], gap[axis], inner)
        if not joint and isinstance(left, np.ndarray):
            left = _as_slice(left, sum(run.length for run in axis_runs))
        runs_list.append(axis_runs)
        rest.append(left)
    _keep_one_split(runs_list, rest)
    cover = tuple(sum(run.length for run in axis_runs) for axis_runs in runs_list)
    same = cover == result_shape and all(
        isinstance(left, slice) and left == slice(None) for left in rest
    )
    dots = [place for place, part in enumerate(parts) if part is Ellipsis]
    if dots and len(parts) - 1 == len(shape):
        # It stands for no axis, but NumPy still takes it to part the arrays on both sides.
        rest.insert(dots[0], Ellipsis)
    left = None if same else tuple(rest)
    return Selection(result_shape, parts, tuple(runs_list), cover, left, region)


#: Elements of a mask from which on NumPy is not asked whether it fits: the answer takes as long as
#: using the mask.
_LARGE = 1 << 16


def _is_large_mask(parts: tuple[Any, ...], shape: Shape) -> bool:
    """Whether an index is one large mask that fits, and slices."""
    masks = [place for place, part in enumerate(parts) if not isinstance(part, slice)]
    masks = [place for place in masks if parts[place] is not Ellipsis]
    if len(masks) != 1:
        return False
    place, mask = masks[0], parts[masks[0]]
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.size < _LARGE:
        return False
    dots = [at for at, part in enumerate(parts) if part is Ellipsis]
    left = len(shape) - mask.ndim - (len(parts) - 1 - len(dots))
    if left < 0 or len(dots) > 1:
        return False
    axis = place - 1 + left if dots and dots[0] < place else place
    return bool(mask.shape == shape[axis : axis + mask.ndim])


def followed_axis(index: Any, shape: Shape, axis: int, path: str) -> int | None:
    """The axis of a selection's result that an axis of the dataset becomes.

    Parameters
    ----------
    index : object
        As for `resolve`, which must have accepted it; None selects all.
    shape : tuple of int
        Shape of the dataset.
    axis : int
        An axis of it.
    path : str
        Where the dataset is, for messages.

    Returns
    -------
    int or None
        None where an integer takes the axis away.

    Raises
    ------
    ValueError
        An array of several axes: nobody can say which of them is meant.

    Examples
    --------
    >>> followed_axis((0, slice(2, 4)), (5, 6, 7), 2, "/x")
    1
    """
    if index is None:
        return axis
    full, dots = _expanded(index, shape, path)
    probe_shape = [1] * len(shape)
    probe: list[Any] = []
    for place, part in enumerate(full):
        if isinstance(part, np.ndarray):
            probe.append(np.zeros(2 if place == axis else 1, np.intp))
        elif isinstance(part, int):
            probe.append(0)
        else:
            probe_shape[place] = 2 if place == axis else 1
            probe.append(slice(None))
    if dots is not None:
        probe.insert(dots, Ellipsis)
    result = np.zeros(probe_shape, np.bool_)[tuple(probe)].shape
    return result.index(2) if 2 in result else None


def narrowed(
    index: Any, shape: Shape, axis: int, start: int, stop: int, path: str
) -> tuple[Any, ...]:
    """An index that selects a part of what `index` selects.

    Parameters
    ----------
    index, shape, path
        As for `followed_axis`.
    axis : int
        The axis of the dataset along which the part is taken.
    start, stop : int
        The part, counted in the result.

    Returns
    -------
    tuple
        A NumPy index.

    Examples
    --------
    >>> narrowed((slice(None), slice(10, 0, -3)), (4, 20), 1, 1, 3, "/x")
    (slice(None, None, None), slice(7, 1, -3))
    """
    try:
        if index is not None:
            index = _pointed(index)
        return partition_selection(index, axis, shape, slice(start, stop))
    except IndexError as error:
        raise ValueError(f"{path}: the selection does not fit: {error}") from None


def index_of_box(index: Any, shape: Shape, box: tuple[slice, ...], path: str) -> tuple[Any, ...]:
    """An index that selects a box of what `index` selects.

    Parameters
    ----------
    index, shape, path
        As for `followed_axis`.
    box : tuple of slice
        A beginning and an end along each axis of the result.

    Examples
    --------
    >>> index_of_box((2, slice(0, 9, 2)), (3, 9, 7), (slice(1, 3), slice(4, 6)), "/x")
    (2, slice(2, 6, 2), slice(4, 6, 1))
    """
    if index is None:
        return box
    cut = set()
    for axis in range(len(shape)):
        place = followed_axis(index, shape, axis, path)
        if place is not None and place not in cut:  # several lists go together along one axis
            cut.add(place)
            index = narrowed(index, shape, axis, box[place].start, box[place].stop, path)
    return index if isinstance(index, tuple) else (index,)


def chunks_of_result(index: Any, shape: Shape, chunks: Shape, path: str) -> Shape:
    """About how many elements of a chunk there are along each axis of what an index selects.

    Parameters
    ----------
    index, shape, path
        As for `followed_axis`.
    chunks : tuple of int
        Lengths of a chunk along the axes of what is selected from.

    Examples
    --------
    >>> chunks_of_result((2, slice(0, 100, 10)), (3, 100), (1, 20), "/x")
    (2,)
    """
    grid: dict[int, int] = {}
    full, _dots = _expanded(index, shape, path)
    for axis, part in enumerate(full):
        place = followed_axis(index, shape, axis, path)
        if place is not None:
            count = len(range(shape[axis])[part]) if isinstance(part, slice) else part.size
            length = max(1, chunks[axis] * count // max(shape[axis], 1))
            grid[place] = max(grid.get(place, 1), length)
    return tuple(grid[place] for place in sorted(grid))


def _expanded(index: Any, shape: Shape, path: str) -> tuple[list[Any], int | None]:
    """One slice, int or list per axis; and where an ellipsis that stands for no axis was."""
    parts = _pointed(index)
    full = _one_per_axis(parts, shape)
    if full is None:
        raise ValueError(
            f"{path}: what {index!r:.200} selects cannot be distributed: "
            "take slices, lists and masks"
        )
    dots = [place for place, part in enumerate(parts) if part is Ellipsis]
    return full, dots[0] if dots and len(parts) - 1 == len(shape) else None


def _pointed(index: Any) -> tuple[Any, ...]:
    """An index with masks over several axes as what NumPy makes of them: lists of places."""
    parts: tuple[Any, ...] = ()
    for given in _parts(index):
        part = _as_index(given)
        if isinstance(part, np.ndarray) and part.dtype == np.bool_ and part.ndim > 1:
            parts += np.nonzero(part)
        else:
            parts += (part,)
    return parts


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _as_index(part: Any) -> Any:
    """Lists and ranges as arrays; an empty list selects nothing (NumPy would call it floats)."""
    if isinstance(part, slice | int | np.integer) or part is Ellipsis:
        return part
    array = np.asarray(part)
    if array.size == 0 and array.dtype.kind == "f":
        return array.astype(np.intp)
    return array


def _one_per_axis(parts: tuple[Any, ...], shape: Shape) -> list[Any] | None:
    """One slice, int or 1-d integer array per axis; None where that is not what was given."""
    expanded: list[Any] = []
    for part in parts:
        if part is Ellipsis:
            missing = len(shape) - (len(parts) - 1)
            expanded.extend([slice(None)] * missing)
        elif isinstance(part, slice):
            expanded.append(part)
        elif isinstance(part, int | np.integer) and not isinstance(part, bool | np.bool_):
            expanded.append(int(part))
        elif isinstance(part, np.ndarray) and part.ndim == 1:
            expanded.append(np.flatnonzero(part) if part.dtype == np.bool_ else part)
        else:
            return None
    expanded.extend([slice(None)] * (len(shape) - len(expanded)))
    return expanded if len(expanded) == len(shape) else None


#: Skipping fewer bytes than this costs more than reading them.
_WORTH_SKIPPING = 1 << 14


def _axis(part: Any, length: int, gap: int, inner: int) -> tuple[list[Run], Any]:
    """The runs to read along one axis, and the index into what is read."""
    if isinstance(part, int):
        return [Run(part % length, 1, 1)], 0
    if isinstance(part, slice):
        return _axis_slice(range(length)[part], gap, inner)
    wanted = np.where(part < 0, part + length, part)
    unique, inverse = np.unique(wanted, return_inverse=True)
    if unique.size == 0:
        return [Run(0, 1, 0)], wanted
    if unique.size > 1:
        step = int(unique[1] - unique[0])
        if np.all(np.diff(unique) == step):
            regular = range(int(unique[0]), int(unique[-1]) + 1, step)
            runs, left = _axis_slice(regular, gap, inner)
            positions = np.arange(runs[0].length)[left]
            return runs, positions[inverse]
    # Join what is closer than a gap that is worth skipping.
    gap = max(gap, _WORTH_SKIPPING // max(inner, 1), 1)
    breaks = np.flatnonzero(np.diff(unique) > gap)
    starts = unique[np.concatenate(([0], breaks + 1))]
    stops = unique[np.concatenate((breaks, [unique.size - 1]))] + 1
    runs = [Run(int(a), 1, int(b - a)) for a, b in zip(starts, stops, strict=True)]
    offsets = np.concatenate(([0], np.cumsum(stops - starts)))
    which = np.searchsorted(starts, unique, side="right") - 1
    positions = (unique - starts[which] + offsets[which])[inverse]
    return runs, positions


def _as_slice(positions: Any, count: int) -> Any:
    if positions.size == count and np.array_equal(positions, np.arange(count)):
        return slice(None)
    return positions


def _axis_slice(wanted: range, gap: int, inner: int) -> tuple[list[Run], Any]:
    count = len(wanted)
    if count == 0:
        return [Run(0, 1, 0)], slice(None)
    backwards = wanted.step < 0
    regular = wanted[::-1] if backwards else wanted
    step = regular.step if count > 1 else 1
    start = regular.start
    if step > 1 and (step <= gap or step * inner < _WORTH_SKIPPING):
        # Read what lies between, and drop it in memory.
        span = (count - 1) * step + 1
        return [Run(start, 1, span)], slice(None, None, -step if backwards else step)
    return [Run(start, step, count)], slice(None, None, -1) if backwards else slice(None)


def _keep_one_split(runs: list[list[Run]], rest: list[Any]) -> None:
    """Leave several runs only along the axis where they save most; join those of the others."""
    split = [axis for axis, axis_runs in enumerate(runs) if len(axis_runs) > 1]
    for axis in split[1:]:
        first, last = runs[axis][0], runs[axis][-1]
        count = last.start + last.length - first.start
        starts = np.array([run.start for run in runs[axis]])
        offsets = np.concatenate(([0], np.cumsum([run.length for run in runs[axis]])[:-1]))
        positions = np.arange(sum(run.length for run in runs[axis]))[rest[axis]]
        which = np.searchsorted(offsets, positions, side="right") - 1
        rest[axis] = positions - offsets[which] + starts[which] - first.start
        runs[axis] = [Run(first.start, 1, count)]
