"""Reductions of a distributed array along any of its axes, the distributed one too.

Every rank reduces its own part with NumPy; the partial results of the ranks are put together as
rows of an array, of which each rank reduces some columns. So no rank ever holds all partial
results, the same NumPy function does both steps, and any dtype that NumPy reduces will do. Ranks
that have no elements have no row.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from memdata.ranks import exchange
from memdata.ranks.collective import together

__all__ = ["OPERATIONS", "reduce_global"]

Array = np.ndarray[Any, Any]
Axes = tuple[int, ...]

_UFUNCS: dict[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
    "all": np.logical_and,
    "any": np.logical_or,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(np, name) for name in (*_UFUNCS, "mean", "std", "var", "argmin", "argmax")
}
OPERATIONS = tuple(_FUNCTIONS)

#: Operations that take `dtype`.
_WITH_DTYPE = ("sum", "prod", "mean", "std", "var")

#: Partial results of at most so many bytes are sent to all ranks at once.
_FEW = 64 << 10


def reduce_global(
    array: Any, operation: str, axis: Any = None, keepdims: bool = False, dtype: Any = None
) -> Any:
    """Reduce along axes of the whole array. Collective.

    Parameters
    ----------
    array : MPIArray
        Of any dtype that NumPy can reduce.
    operation : str
        One of `OPERATIONS`.
    axis : int, tuple of int or None
        Axes of the whole array; None is all. "argmin" and "argmax" take one, or None for the index
        in the flat whole array.
    keepdims : bool
        Keep the reduced axes with length 1.
    dtype : dtype
        In which to work, for "sum", "prod", "mean", "std", "var".

    Returns
    -------
    numpy.ndarray or scalar
        What NumPy gives for the whole array, but for rounding; the same on all ranks. An
        `MPIArray` where the distributed axis is not reduced.

    Raises
    ------
    AxisException
        There is no such axis.
    ValueError
        There is no such operation, or nothing to reduce for "min" and "max".
    CollectiveError
        The ranks call this with different arguments.
    """
    with together(array.comm, f"reduce_global({operation!r})") as step:
        if operation not in _FUNCTIONS:
            raise ValueError(f"no operation {operation!r}: expected one of {', '.join(OPERATIONS)}")
        if dtype is not None and operation not in _WITH_DTYPE:
            raise TypeError(f"{operation!r} takes no dtype")
        axes = _axes(operation, axis, array.ndim)
        exchange.check_split(array)
        step.facts(axes=axes, keepdims=keepdims, to=_name(dtype), **exchange.facts(array))
    if array.axis not in axes:
        return _locally(array, operation, axes, keepdims, dtype)
    options = {} if dtype is None else {"dtype": np.dtype(dtype)}
    shape = array.global_shape
    if array.comm is None or array.comm.size == 1 or math.prod(shape) == 0:
        whole = array.local_array if math.prod(shape) else np.empty(shape, array.dtype)
        with together(array.comm, f"reduce_global({operation!r})"):
            return _FUNCTIONS[operation](
                whole, axis=_numpy_axis(operation, axes), keepdims=keepdims, **options
            )
    kept = [1 if i in axes else n for i, n in enumerate(shape)]
    if operation in ("argmin", "argmax"):
        result = _arg(array, operation, axes)
    elif operation in ("mean", "std", "var"):
        result = _moment(array, operation, axes, options.get("dtype"))
    else:
        result = _ufunc(array, operation, axes, options)
    result = result.reshape(kept if keepdims else [n for i, n in enumerate(kept) if i not in axes])
    return result[()] if result.ndim == 0 else result


def _name(dtype: Any) -> str | None:
    return None if dtype is None else np.dtype(dtype).str


def _axes(operation: str, axis: Any, ndim: int) -> Axes:
    """The axes to reduce, from 0 on."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, tuple) and operation in ("argmin", "argmax"):
        raise TypeError(f"{operation} takes one axis or None, got {axis}")
    given = axis if isinstance(axis, tuple) else (operator.index(axis),)
    axes = tuple(exchange.normal_axis(one, ndim) for one in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"an axis is named twice: {axis}")
    return tuple(sorted(axes))


def _numpy_axis(operation: str, axes: Axes) -> Any:
    """The axes as the NumPy function takes them."""
    if operation not in ("argmin", "argmax"):
        return axes
    return axes[0] if len(axes) == 1 else None


def _locally(array: Any, operation: str, axes: Axes, keepdims: bool, dtype: Any) -> Any:
    """The distributed axis stays: no rank needs another's elements."""
    options = {} if dtype is None else {"dtype": dtype}
    here = array.axis
    with together(array.comm, f"reduce_global({operation!r})"):
        local = _FUNCTIONS[operation](
            array.local_array,
            axis=_numpy_axis(operation, axes),
            keepdims=keepdims,
            **options,
        )
    axis = here if keepdims else here - sum(i < here for i in axes)
    length, offset = array.global_shape[here], array.local_offset[here]
    return type(array)._from_local(np.asarray(local), axis, array.comm, length, offset)


def _rows(array: Any) -> int:
    """How many ranks have elements: the first ones, by the standard split."""
    return min(int(array.comm.size), int(array.global_shape[array.axis]))


def _part(array: Any) -> Array:
    """Elements of this rank; where there are none, one that only shows dtypes and shapes."""
    local: Array = array.local_array
    if local.size:
        return local
    shape = list(local.shape)
    shape[array.axis] = 1
    return np.zeros(shape, local.dtype)


def _combine(array: Any, partials: list[Array], choose: Callable[..., Array], what: str) -> Array:
    """Put flat partial results of all ranks together, column by column.

    `choose` gets one array for each of the `partials`, with a row a rank, and gives one row.
    """
    from memdata.mpiarray import MPIArray

    comm, count = array.comm, _rows(array)
    mine = 1 if comm.rank < count else 0
    length = partials[0].size
    rows = [
        MPIArray._from_local(one.reshape(1, length)[:mine], 0, comm, count, min(comm.rank, count))
        for one in partials
    ]
    if count * length * max(one.itemsize for one in partials) <= _FEW:
        columns = [exchange.allgather(one) for one in rows]
        with together(comm, what):
            return choose(*columns)
    cut = [exchange.redistribute(one, 1) for one in rows]
    with together(comm, what):
        part = choose(*[one.local_array for one in cut])
    return exchange.allgather(MPIArray._from_local(part, 0, comm, length, cut[0].local_offset[1]))


def _ufunc(array: Any, operation: str, axes: Axes, options: dict[str, Any]) -> Array:
    what = f"reduce_global({operation!r})"
    adds = operation in ("sum", "prod")
    # Half precision is summed in single, as NumPy does within one call.
    half = adds and not options and array.dtype == np.float16
    if half:
        options = {"dtype": np.dtype(np.float32)}
    with together(array.comm, what):
        part = _part(array)
        partial = np.asarray(
            _FUNCTIONS[operation](part, axis=axes, **options),
            dtype=object if part.dtype.hasobject and not options else None,
        )
    if adds:
        options = _exactly(partial.dtype)

    def choose(rows: Array) -> Array:
        return np.asarray(_UFUNCS[operation].reduce(rows, axis=0, **options))

    result = _combine(array, [partial], choose, what)
    return result.astype(array.dtype) if half else result


def _exactly(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Have sums stay of this dtype; those of times do by themselves, and refuse to be told."""
    return {} if dtype.kind in "mM" else {"dtype": dtype}


def _moment(array: Any, operation: str, axes: Axes, dtype: np.dtype[Any] | None) -> Array:
    """Mean, variance, standard deviation in two passes, in the precisions that NumPy uses."""
    what = f"reduce_global({operation!r})"
    kind = array.dtype
    final = None
    if dtype is None:
        if kind.kind in "iub":
            dtype = np.dtype(np.float64)
        elif kind == np.float16:
            dtype, final = np.dtype(np.float32), np.dtype(np.float16)
    count = math.prod(array.global_shape[i] for i in axes)
    kept = [1 if i in axes else n for i, n in enumerate(array.global_shape)]

    def total(values: Array, dtype: np.dtype[Any] | None) -> Array:
        with together(array.comm, what):
            partial = np.asarray(
                np.sum(values, axis=axes, dtype=dtype),
                dtype=object if values.dtype.hasobject else None,
            )
        return _combine(
            array, [partial], lambda rows: np.asarray(rows.sum(0, **_exactly(partial.dtype))), what
        )

    part = _part(array)
    mean = np.true_divide(total(part, dtype), count).reshape(kept)
    result = mean
    if operation != "mean":
        with together(array.comm, what):
            away = part - mean
            square = (away * away.conj()).real if away.dtype.kind == "c" else away * away
        result = np.true_divide(total(square, None), count)
        if operation == "std":
            result = np.sqrt(result)
    return np.asarray(result) if final is None else result.astype(final)


def _arg(array: Any, operation: str, axes: Axes) -> Array:
    """Indices of extrema: the first of equal ones, or the first NaN, as in NumPy."""
    what = f"reduce_global({operation!r})"
    find = _FUNCTIONS[operation]
    here, offset = array.axis, array.local_offset[array.axis]
    with together(array.comm, what):
        part = _part(array)
        if len(axes) == 1:
            at = find(part, axis=here, keepdims=True)
            value = np.take_along_axis(part, at, here)
            index = at + offset
        else:
            place = list(np.unravel_index(find(part), part.shape))
            value = part[tuple(place)]
            place[here] = place[here] + offset
            index = np.ravel_multi_index(tuple(place), array.global_shape, mode="clip")

    def choose(values: Array, indices: Array) -> Array:
        best = np.take_along_axis(values, find(values, axis=0)[np.newaxis], 0)
        equal = (values == best) | ((values != values) & (best != best))  # noqa: PLR0124 - NaN
        return np.asarray(np.where(equal, indices, np.iinfo(np.intp).max).min(axis=0))

    partials = [np.asarray(value, part.dtype), np.asarray(index, np.intp)]
    return _combine(array, partials, choose, what)
