"""What NumPy's indices mean, worked out without an array.

An *index* is whatever may stand in ``array[...]``. A *selection* is an index without new axes that
says for every axis what is taken of it: a slice, a whole number, a list or a mask. It is what
`MPIArray.from_file` takes as `sel`. Both mean what they mean to NumPy; several lists in one
selection go together, point by point.
"""

from __future__ import annotations

import operator
from types import EllipsisType
from typing import Any, TypeAlias

import numpy as np

__all__ = [
    "SelectionLike",
    "SelectionTupleLike",
    "apply_selection",
    "expand_selection",
    "is_mask",
    "length_of_slice",
    "partition_selection",
    "sanitize_slice",
    "slice_of_range",
    "slice_of_slice",
]

Array = np.ndarray[Any, Any]

#: What is taken along one axis.
SelectionLike: TypeAlias = slice | int | list[int] | list[bool] | Array | EllipsisType

#: What is taken of an array: axes that are not named are taken whole.
SelectionTupleLike: TypeAlias = tuple[SelectionLike, ...]


def sanitize_slice(index: Any, ndim: int) -> tuple[Any, ...]:
    """An index as a tuple that names every axis.

    Parameters
    ----------
    index : object
        What may stand in ``array[...]``, but for field names.
    ndim : int
        Number of axes of the array.

    Returns
    -------
    tuple
        Means the same to NumPy. Slices; whole numbers, as int; lists, as arrays, an empty one as
        an array that selects nothing; masks, each for as many axes as it has; None for new axes.
        An ellipsis has become slices; one that stands for no axis stays, because it changes what
        NumPy does with arrays on both sides of it.

    Raises
    ------
    IndexError
        Two ellipses, too many indices, or what is no index.

    Examples
    --------
    >>> import numpy as np
    >>> sanitize_slice(np.s_[..., np.int64(2)], 3)
    (slice(None, None, None), slice(None, None, None), 2)
    """
    given = index if isinstance(index, tuple) else (index,)
    items: list[Any] = [_sanitized(item) for item in given]
    used = sum(_axes_of(item) for item in items)
    dots = [n for n, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if used > ndim:
        raise IndexError(
            f"too many indices for array: array is {ndim}-dimensional, but {used} were indexed"
        )
    fill: list[Any] = [slice(None)] * (ndim - used)
    if not dots:
        return (*items, *fill)
    return (*items[: dots[0]], *(fill or [Ellipsis]), *items[dots[0] + 1 :])


def _sanitized(item: Any) -> Any:
    if item is None or item is Ellipsis or isinstance(item, slice):
        return item
    if isinstance(item, int | np.integer) and not isinstance(item, bool | np.bool_):
        return int(item)
    array = np.asarray(item)
    if array.size == 0 and not isinstance(item, np.ndarray):
        array = array.astype(np.intp)
    if array.dtype.kind not in "iub":
        raise IndexError(f"an index must be whole numbers or a mask, not {array.dtype}")
    return array if array.ndim or array.dtype.kind == "b" else int(array)


def _axes_of(item: Any) -> int:
    """How many axes of an array an item of an index is for."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if is_mask(item) else 1


def is_mask(item: Any) -> bool:
    """Whether an item of a sanitized index is a mask."""
    return isinstance(item, np.ndarray) and item.dtype.kind == "b"


def expand_selection(sel: SelectionTupleLike | SelectionLike | None, ndim: int) -> tuple[Any, ...]:
    """A selection with one item for each axis.

    Parameters
    ----------
    sel : selection
        A tuple, or what is taken of the first axis. None takes all.
    ndim : int
        Number of axes.

    Returns
    -------
    tuple
        Of `ndim` slices, whole numbers and arrays of one axis. An ellipsis that stands for no axis
        is left out; it would only say in which order NumPy puts the axes of the result.

    Raises
    ------
    IndexError
        It does not fit the number of axes, has new axes, or a mask over several axes.

    Examples
    --------
    >>> expand_selection(slice(2), 2)
    (slice(None, 2, None), slice(None, None, None))
    """
    full = sanitize_slice(Ellipsis if sel is None else sel, ndim)
    items = tuple(item for item in full if item is not Ellipsis)
    if len(items) != ndim or any(item is None or np.ndim(item) > 1 for item in items):
        raise IndexError(
            f"{sel!r:.200} is not a selection of {ndim} axes: one slice, number, list or mask for "
            "each is"
        )
    return items


def apply_selection(array: Any, sel: Any, axis: int | None = None) -> Any:
    """What a selection takes of an array.

    Parameters
    ----------
    array : numpy.ndarray
        Or anything that is indexed like one. Of an `MPIArray` its local part is taken from.
    sel : selection
        As for `expand_selection`; with `axis`, what is taken along that axis alone.
    axis : int or None
        The axis; None: `sel` is for all of them.

    Returns
    -------
    numpy.ndarray
        A view, if it is made of slices and whole numbers.

    Raises
    ------
    IndexError
        It does not fit. `numpy.exceptions.AxisError`, which is one: there is no such axis.

    Examples
    --------
    >>> import numpy as np
    >>> apply_selection(np.arange(6).reshape(2, 3), [0, 2], axis=1)
    array([[0, 2],
           [3, 5]])
    """
    array = getattr(array, "local_array", array)
    ndim = len(array.shape)
    if axis is not None:
        axis = operator.index(axis)
        if not -ndim <= axis < ndim:
            raise np.exceptions.AxisError(axis, ndim)
        sel = (slice(None),) * (axis % ndim) + (sel,)
    expand_selection(sel, ndim)
    return array[sanitize_slice(Ellipsis if sel is None else sel, ndim)]


def length_of_slice(index: slice, length: int) -> int:
    """How many elements a slice takes of an axis.

    Examples
    --------
    >>> length_of_slice(slice(None, None, -3), 10)
    4
    """
    return len(range(length)[index])


def slice_of_range(chosen: range, offset: int = 0) -> slice:
    """The slice of an axis that takes a range of its elements.

    Parameters
    ----------
    chosen : range
        Numbers of elements.
    offset : int
        The number of the first element of the axis.

    Examples
    --------
    >>> slice_of_range(range(4, -1, -2))
    slice(4, None, -2)
    """
    if not chosen:
        return slice(0, 0)
    end = chosen.stop - offset
    return slice(chosen.start - offset, end if end >= 0 else None, chosen.step)


def slice_of_slice(index: slice, length: int, part: slice) -> slice:
    """One slice for two, the second being of what the first takes.

    Parameters
    ----------
    index : slice
        Of an axis.
    length : int
        Length of the axis.
    part : slice
        Of what `index` takes.

    Returns
    -------
    slice
        ``axis[slice_of_slice(index, len(axis), part)]`` is ``axis[index][part]``.

    Examples
    --------
    >>> slice_of_slice(slice(10, 0, -3), 20, slice(1, 3))
    slice(7, 1, -3)
    """
    return slice_of_range(range(length)[index][part])


def partition_selection(
    sel: SelectionTupleLike | SelectionLike | None, axis: int, shape: tuple[int, ...], part: slice
) -> tuple[Any, ...]:
    """The selection that takes a part of what another one takes.

    So each rank reads only its part of what is selected in a file.

    Parameters
    ----------
    sel : selection
        As for `expand_selection`.
    axis : int
        The axis, of what is selected from, along which the part is cut.
    shape : tuple of int
        Shape of what is selected from.
    part : slice
        Of what `sel` takes along that axis.

    Returns
    -------
    tuple
        A selection. Lists beside the one of the axis, with which they go together, are cut too.

    Raises
    ------
    IndexError
        The selection does not fit the shape, or takes a single element along the axis.

    Examples
    --------
    >>> partition_selection((slice(None), slice(10, 0, -3)), 1, (4, 20), slice(1, 3))
    (slice(None, None, None), slice(7, 1, -3))
    """
    ndim = len(shape)
    axis = range(ndim)[axis]
    expand_selection(sel, ndim)
    items = list(sanitize_slice(Ellipsis if sel is None else sel, ndim))
    places = [n for n, item in enumerate(items) if item is not Ellipsis]
    for place, length in zip(places, shape, strict=True):
        if is_mask(items[place]):
            if items[place].size != length:
                raise IndexError(f"a mask of {items[place].size} does not fit {length} elements")
            items[place] = np.flatnonzero(items[place])
    chosen = items[places[axis]]
    if isinstance(chosen, int):
        raise IndexError(f"{sel!r:.200} takes a single element along the axis {axis}")
    if isinstance(chosen, slice):
        items[places[axis]] = slice_of_slice(chosen, shape[axis], part)
        return tuple(items)
    lists = [item for item in items if isinstance(item, np.ndarray)]
    count = 0 if any(not item.size for item in lists) else max(item.size for item in lists)
    return tuple(
        item[part] if isinstance(item, np.ndarray) and item.size == count else item
        for item in items
    )
