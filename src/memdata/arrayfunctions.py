"""NumPy's functions (those that are no ufuncs) on distributed arrays.

A function works on the local parts where it leaves the distributed axis whole: then what NumPy
makes of the parts is the part of what it would make of the whole. The tables below say of each
function which axes it works along, and where the distributed axis is afterwards. Where that cannot
be, a reduction is refused; other functions warn, and answer for this rank's part, as programs
written for plain subclasses of ndarray expect. Nothing communicates.
"""

from __future__ import annotations

import functools
import inspect
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from memdata.mpiarray import AxisException, MPIArray, UnsupportedOperation

__all__ = ["apply", "apply_core"]

Function = Callable[..., Any]


class _MixedError(AxisException):
    """Arrays that are distributed differently: their parts do not belong together."""


def apply(function: Function, args: Any, kwargs: Any) -> Any:
    """What `function` makes of distributed arrays; behind ``__array_function__``.

    A plain array, of this rank's parts, and a warning, where the function works along the
    distributed axis, or nothing is known of it.

    Raises
    ------
    AxisException
        It reduces along the distributed axis, or the arrays are distributed differently.
    UnsupportedOperation
        Nothing is known of the function, and NumPy cannot do it with the parts.
    """
    rule = _RULES.get(function)
    try:
        if rule is None:
            raise UnsupportedOperation(
                f"{_name(function)} does not know distributed arrays: use the local_array, or what "
                "allgather returns"
            )
        return rule(function, args, kwargs)
    except (AxisException, UnsupportedOperation) as error:
        refused: Exception = error
    if isinstance(refused, _MixedError) or (rule is _reduce and function not in _LOCAL_REDUCTIONS):
        raise refused
    try:
        found = _about_parts(function, args, kwargs)
    except Exception:  # noqa: BLE001 - whatever NumPy says of parts that do not fit
        raise refused from None  # the parts alone make no sense
    warnings.warn(f"{refused}; the result is that of this rank's part", stacklevel=3)
    return found


# ---- what the rules need ----


def _name(function: Function) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{getattr(function, '__name__', function)}"


@functools.lru_cache(maxsize=256)
def _signature(function: Function) -> inspect.Signature:
    return inspect.signature(function)


def _arguments(function: Function, args: Any, kwargs: Any) -> dict[str, Any]:
    """All arguments by name, with the defaults."""
    bound = _signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


def _local(value: Any) -> Any:
    """The value with local parts in the place of distributed arrays, in lists too."""
    if isinstance(value, MPIArray):
        return value.local_array
    if isinstance(value, list | tuple) and any(isinstance(one, MPIArray) for one in value):
        return type(value)([_local(one) for one in value])
    return value


def _on_parts(function: Function, args: Any, kwargs: Any) -> Any:
    if kwargs.get("out") is not None:
        raise UnsupportedOperation(f"{_name(function)}: out= does not work on distributed arrays")
    return function(*map(_local, args), **{name: _local(value) for name, value in kwargs.items()})


def _like(first: MPIArray, result: Any, axis: int) -> Any:
    """What NumPy made of the parts, as distributed arrays."""
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*[_like(first, one, axis) for one in result])
    if isinstance(result, list | tuple):
        return type(result)([_like(first, one, axis) for one in result])
    return first._like(np.asarray(result), axis)


def _axes(axis: Any, ndim: int, function: Function) -> tuple[int, ...]:
    """Axes without negative numbers; None: all."""
    if axis is None:
        return tuple(range(ndim))
    given = [operator.index(one) for one in (axis if isinstance(axis, Sequence) else (axis,))]
    for one in given:
        if not -ndim <= one < ndim:
            raise AxisException(
                f"{_name(function)}: axis {one} does not exist in an array of {ndim} axes"
            )
    return tuple([one % ndim for one in given])


def _refuse(function: Function, array: MPIArray, axes: Sequence[int]) -> None:
    if array.axis in axes:
        raise AxisException(
            f"{_name(function)} along the distributed axis {array.axis} needs communication: "
            "redistribute first, or use reduce_global"
        )


def _first(function: Function, args: Any) -> MPIArray:
    """The first argument, which has to be distributed, and no other."""
    array, *rest = args
    if not isinstance(array, MPIArray) or any(isinstance(one, MPIArray) for one in rest):
        raise UnsupportedOperation(
            f"{_name(function)}: expected its first argument to be distributed, and no other"
        )
    return array


def _distributed(function: Function, values: Sequence[Any]) -> tuple[MPIArray, int]:
    """The first distributed array, and its axis counted from the end; all have to agree."""
    arrays = [value for value in values if isinstance(value, MPIArray)]
    first = arrays[0]
    from_end = first.ndim - first.axis
    for one in arrays[1:]:
        if one.comm != first.comm:
            raise ValueError(f"{_name(function)}: the arrays have different communicators")
        same = (one.ndim - one.axis, one.local_bounds, one.global_shape[one.axis])
        if same != (from_end, first.local_bounds, first.global_shape[first.axis]):
            raise _MixedError(
                f"{_name(function)}: the arrays are distributed differently: axis {first.axis} of "
                f"{first.global_shape}, and axis {one.axis} of {one.global_shape}"
            )
    return first, from_end


# ---- rules: element by element ----


def _elementwise(function: Function, args: Any, kwargs: Any) -> Any:
    """Arrays are aligned at their last axes, as for ufuncs."""
    values = [*args, *kwargs.values()]
    flat = [one for value in values for one in (value if isinstance(value, list) else [value])]
    first, from_end = _distributed(function, flat)
    for value in flat:
        shape = () if isinstance(value, MPIArray | str) or value is None else np.shape(value)
        length = shape[-from_end] if len(shape) >= from_end else 1
        if length != 1 and length == first.local_shape[first.axis]:  # as ufuncs
            warnings.warn(
                f"{_name(function)}: a plain array has the length {length} of this rank's part "
                "along the distributed axis and is taken for a part; use MPIArray.wrap",
                stacklevel=4,
            )
        elif length != 1:
            raise AxisException(
                f"{_name(function)}: a plain array has the length {length} along the distributed "
                "axis, expected 1 or a distributed array"
            )
    found = _on_parts(function, args, kwargs)
    one = found[0] if isinstance(found, list | tuple) else found
    return _like(first, found, np.ndim(one) - from_end)


def _where(function: Function, args: Any, kwargs: Any) -> Any:
    if len(args) == 1:
        return _indices(function, args, kwargs)
    return _elementwise(function, args, kwargs)


def _first_elementwise(function: Function, args: Any, kwargs: Any) -> Any:
    """The first argument's elements; others are looked up in."""
    array = _first(function, [*args, *kwargs.values()])
    return _like(array, _on_parts(function, args, kwargs), array.axis)


def _alike(function: Function, args: Any, kwargs: Any) -> Any:
    """New arrays like one; with a shape of their own they are not distributed."""
    given = _arguments(function, args, kwargs)
    found = _on_parts(function, args, {"subok": False, **kwargs})
    array = next(iter(given.values()))
    if given.get("shape") is not None or not isinstance(array, MPIArray):
        return found
    return _like(array, found, array.axis)


# ---- rules: along axes ----


def _along(function: Function, args: Any, kwargs: Any, name: str = "axis") -> Any:
    """Along axes that stay."""
    given = _arguments(function, args, kwargs)
    condition = given.pop("condition", None)  # which numpy.compress has before its array
    array = _first(function, [*given.values(), condition])
    axis = given[name]
    if axis is None and function in (np.fft.fftn, np.fft.ifftn) and given["s"] is not None:
        axis = tuple(range(-len(given["s"]), 0))
    _refuse(function, array, _axes(axis, array.ndim, function))
    found = _on_parts(function, args, kwargs)
    return _like(array, found, array.axis)


def _along_axes(function: Function, args: Any, kwargs: Any) -> Any:
    return _along(function, args, kwargs, "axes")


def _gradient(function: Function, args: Any, kwargs: Any) -> Any:
    array = _first(function, [*args, *kwargs.values()])
    _refuse(function, array, _axes(kwargs.get("axis"), array.ndim, function))
    return _like(array, _on_parts(function, args, kwargs), array.axis)


def _reduce(function: Function, args: Any, kwargs: Any) -> Any:
    """Along axes that go, or that keep the length 1."""
    given = _arguments(function, args, kwargs)
    array, from_end = _distributed(function, list(given.values()))
    whole = next(iter(given.values()))
    if whole is not array or from_end > array.ndim:
        raise UnsupportedOperation(
            f"{_name(function)}: expected its first argument to be distributed"
        )
    axes = _axes(given["axis"], array.ndim, function)
    _refuse(function, array, axes)
    keeps = given.get("keepdims") is True or given.get("keepdims") == 1
    lost = 0 if keeps else sum(one < array.axis for one in axes)
    axis = np.ndim(given.get("q", 0)) + array.axis - lost
    return _like(array, _reduced(function, args, kwargs, array, axis), axis)


def _reduced(function: Function, args: Any, kwargs: Any, array: MPIArray, axis: int) -> Any:
    """What a reduction makes of the parts; some of NumPy's fail where a part has no rows."""
    if array.local_array.size or array.local_shape[array.axis]:
        return _on_parts(function, args, kwargs)
    args = [_with_one_row(value) for value in args]
    kwargs = {name: _with_one_row(value) for name, value in kwargs.items()}
    found = _on_parts(function, args, kwargs)
    if isinstance(found, tuple):
        return tuple(np.take(one, [], axis) for one in found)
    return np.take(found, [], axis)


def _with_one_row(value: Any) -> Any:
    if not isinstance(value, MPIArray):
        return value
    shape = list(value.local_shape)
    shape[value.axis] = 1
    return np.ones(shape, value.dtype)


def _take(function: Function, args: Any, kwargs: Any) -> Any:
    given = _arguments(function, args, kwargs)
    array = _first(function, list(given.values()))
    (axis,) = axes = _axes(_needed(given["axis"], function), array.ndim, function)
    _refuse(function, array, axes)
    more = np.ndim(given["indices"]) - 1 if axis < array.axis else 0
    return _like(array, _on_parts(function, args, kwargs), array.axis + more)


def _needed(axis: Any, function: Function) -> Any:
    if axis is None:
        raise AxisException(f"{_name(function)} without an axis makes a distributed array flat")
    return axis


def _at_axis(function: Function, args: Any, kwargs: Any) -> Any:
    """`_along`, where no axis means a flat array."""
    _needed(_arguments(function, args, kwargs)["axis"], function)
    return _along(function, args, kwargs)


def _diagonal(function: Function, args: Any, kwargs: Any) -> Any:
    given = _arguments(function, args, kwargs)
    array = _first(function, list(given.values()))
    axes = _axes((given["axis1"], given["axis2"]), array.ndim, function)
    _refuse(function, array, axes)
    found = _on_parts(function, args, kwargs)
    return _like(array, found, array.axis - sum(one < array.axis for one in axes))


def _last_axes(function: Function, args: Any, kwargs: Any) -> Any:
    """Matrices in the last two axes."""
    array = _first(function, args)
    _refuse(function, array, range(array.ndim - 2, array.ndim))
    return _like(array, _on_parts(function, args, kwargs), array.axis)


# ---- rules: other axes ----


def _reordered(function: Function, args: Any, kwargs: Any) -> Any:
    """Views with other axes: an array with one long axis shows where that goes."""
    given = list(args) if args else [next(iter(kwargs.values()))]
    array = _first(function, given)
    probe = np.empty([2 if at == array.axis else 1 for at in range(array.ndim)], "?")
    shown = function(
        *[probe if one is array else one for one in args],
        **{name: probe if one is array else one for name, one in kwargs.items()},
    )
    return _like(array, _on_parts(function, args, kwargs), shown.shape.index(2))


def _tile(function: Function, args: Any, kwargs: Any) -> Any:
    given = _arguments(function, args, kwargs)
    array = _first(function, list(given.values()))
    reps = given["reps"]
    reps = tuple(reps) if isinstance(reps, Sequence | np.ndarray) else (reps,)
    from_end = array.ndim - array.axis
    if len(reps) >= from_end and reps[-from_end] != 1:
        _refuse(function, array, [array.axis])
    found = _on_parts(function, args, kwargs)
    return _like(array, found, found.ndim - from_end)


def _broadcast_to(function: Function, args: Any, kwargs: Any) -> Any:
    given = _arguments(function, args, kwargs)
    array = _first(function, list(given.values()))
    found = np.broadcast_to(array.local_array, given["shape"])
    axis = found.ndim - array.ndim + array.axis
    if found.shape[axis] != array.shape[array.axis]:
        _refuse(function, array, [array.axis])
    return _like(array, found, axis)


def _pad(function: Function, args: Any, kwargs: Any) -> Any:
    given = _arguments(function, args, kwargs)
    array = _first(function, list(given.values()))
    width = given["pad_width"]
    if isinstance(width, dict):
        axes = [one for one, pair in width.items() if np.any(pair)]
    else:
        axes = np.flatnonzero(np.broadcast_to(width, (array.ndim, 2)).any(axis=1)).tolist()
    _refuse(function, array, _axes(axes, array.ndim, function))
    return _like(array, _on_parts(function, args, kwargs), array.axis)


_SPLIT_ALONG = {np.hsplit: 1, np.vsplit: 0, np.dsplit: 2}


def _split(function: Function, args: Any, kwargs: Any) -> Any:
    given = _arguments(function, args, kwargs)
    array = _first(function, list(given.values()))
    axis = given["axis"] if "axis" in given else _SPLIT_ALONG[function]
    if function is np.hsplit and array.ndim == 1:
        axis = 0
    axes = _axes(axis, array.ndim, function)
    _refuse(function, array, axes)
    lost = getattr(np, "unstack", None) is function and axes[0] < array.axis
    return _like(array, _on_parts(function, args, kwargs), array.axis - lost)


def _join(function: Function, args: Any, kwargs: Any) -> Any:
    """Several arrays, all of them distributed alike."""
    if function is np.append:
        args = ((args[0], args[1]), *args[2:])
        function = np.concatenate
        kwargs = {"axis": None, **kwargs} if len(args) < 2 else kwargs
    arrays = list(args[0])
    if not all(isinstance(one, MPIArray) for one in arrays):
        raise AxisException(
            f"{_name(function)}: expected arrays that are all distributed, got a plain one; "
            "use MPIArray.wrap"
        )
    first, _from_end = _distributed(function, arrays)
    ndim, here = first.ndim, first.axis
    axis: Any = kwargs.get("axis", args[1] if len(args) > 1 else 0)
    if function is np.stack:
        (axis,) = _axes(axis, ndim + 1, function)
        return _like(first, _on_parts(function, (arrays, *args[1:]), kwargs), here + (axis <= here))
    shift = 0
    if function is np.vstack:
        axis, shift = (-1, 1) if ndim == 1 else (0, 0)
    elif function is np.hstack:
        axis = min(ndim - 1, 1)
    elif function is np.column_stack:
        axis = -1 if ndim == 1 else 1
    elif function is np.dstack:
        axis, shift = (2, 0) if ndim > 2 else (-1, int(ndim == 1))
    if axis != -1 or function is np.concatenate:
        _refuse(function, first, _axes(_needed(axis, function), ndim, function))
    return _like(first, _on_parts(function, (arrays, *args[1:]), kwargs), here + shift)


# ---- rules: products ----


def _dot(function: Function, args: Any, kwargs: Any) -> Any:
    """The last axis of one with the last but one of the other; one of them is distributed."""
    a, b = args
    if isinstance(a, MPIArray) and isinstance(b, MPIArray):
        raise UnsupportedOperation(f"{_name(function)}: expected one distributed array, got two")
    array = a if isinstance(a, MPIArray) else b
    together = array.ndim - 1
    if array is b and function is not np.inner:
        together = max(0, array.ndim - 2)
    if function is np.matmul and array.axis == together:
        raise UnsupportedOperation(f"{function!r} works along the distributed axis {array.axis}")
    _refuse(function, array, [together])
    if function is np.matmul and min(np.ndim(a), np.ndim(b)) > 0:
        from_end = array.ndim - array.axis
        other = b if array is a else a
        # The axis that the other operand brings, or takes away where it is a vector.
        found = np.matmul(_local(a), _local(b), **kwargs)
        if np.ndim(other) == 1:
            return _like(array, found, array.axis - (array is b and array.axis == array.ndim - 1))
        return _like(array, found, found.ndim - from_end)
    found = _on_parts(function, args, kwargs)
    if array is a:
        return _like(array, found, array.axis)
    before = max(0, np.ndim(a) - 1)
    return _like(array, found, before + array.axis - (array.axis > together))


def apply_core(ufunc: np.ufunc, operands: Any, kwargs: Any) -> Any:
    """``a @ b`` where the distributed axis is one of the matrices'; behind ``__array_ufunc__``."""
    if ufunc is not np.matmul:
        raise UnsupportedOperation(f"{ufunc!r} works along the distributed axis")
    if kwargs:
        raise UnsupportedOperation(
            "numpy.matmul: keywords do not work where an axis of the matrices is distributed"
        )
    return _dot(np.matmul, operands, {})


def _einsum(function: Function, args: Any, kwargs: Any) -> Any:
    """By the letters of the distributed axes: there is one, and the result has it."""
    text, *operands = args
    if not isinstance(text, str) or "->" not in text or "." in text:
        raise UnsupportedOperation(
            'numpy.einsum of distributed arrays: expected subscripts like "ij,jk->ik"'
        )
    inputs, _, output = text.replace(" ", "").partition("->")
    names = inputs.split(",")
    pairs = list(zip(names, operands, strict=False))
    letters = {name[one.axis] for name, one in pairs if isinstance(one, MPIArray)}
    first = next(one for one in operands if isinstance(one, MPIArray))
    (letter,) = letters if len(letters) == 1 else ("",)
    if not letter or output.count(letter) != 1:
        raise AxisException(
            f"numpy.einsum: {text}: the distributed axes {sorted(letters)} have to be one, and an "
            "axis of the result"
        )
    for name, one in pairs:
        if name.count(letter) > 1 or (letter in name and not isinstance(one, MPIArray)):
            raise AxisException(
                f"numpy.einsum: {text}: {letter!r} is distributed, in all arrays that have it, "
                "and once in each"
            )
    ends = [one.swapaxes(one.axis, -1) for one in operands if isinstance(one, MPIArray)]
    _distributed(function, ends)
    return _like(first, _on_parts(function, args, kwargs), output.index(letter))


# ---- rules: questions about the local part ----


def _about_parts(function: Function, args: Any, kwargs: Any) -> Any:
    """Answered for the local part, as a plain value."""
    return function(*map(_local, args), **{name: _local(value) for name, value in kwargs.items()})


def _indices(function: Function, args: Any, kwargs: Any) -> Any:
    """Which elements there are, by their indices in the local part."""
    return _about_parts(function, args, kwargs)


def _rules() -> dict[Function, Function]:
    """Which rule each function follows."""
    by_names = {
        _elementwise: "clip round around nan_to_num real imag angle isclose iscomplex isreal fix "
        "isposinf isneginf sinc i0 copy select broadcast_arrays astype",
        _where: "where",
        _first_elementwise: "isin digitize",
        _alike: "zeros_like ones_like empty_like full_like",
        _along: "sort argsort partition argpartition flip diff unwrap cumsum cumprod nancumsum "
        "nancumprod cumulative_sum cumulative_prod fft.fft fft.ifft fft.rfft fft.irfft fft.hfft "
        "fft.ihfft apply_along_axis",
        _along_axes: "fft.fftshift fft.ifftshift fft.fft2 fft.ifft2 fft.fftn fft.ifftn fft.rfft2 "
        "fft.rfftn",
        _gradient: "gradient",
        _at_axis: "roll repeat delete insert compress",
        _reduce: "median nanmedian quantile nanquantile percentile nanpercentile average ptp "
        "count_nonzero argmin argmax nanargmin nanargmax nansum nanprod nanmean nanstd nanvar "
        "nanmin nanmax linalg.norm trapezoid",
        _take: "take",
        _diagonal: "diagonal trace",
        _last_axes: "tril triu linalg.inv linalg.pinv linalg.det linalg.slogdet linalg.eig "
        "linalg.eigh linalg.eigvals linalg.eigvalsh linalg.svd linalg.svdvals linalg.qr "
        "linalg.cholesky linalg.matrix_power linalg.matrix_rank linalg.cond",
        _reordered: "expand_dims moveaxis rollaxis swapaxes transpose permute_dims "
        "matrix_transpose atleast_1d atleast_2d atleast_3d",
        _tile: "tile",
        _broadcast_to: "broadcast_to",
        _pad: "pad",
        _split: "split array_split hsplit vsplit dsplit unstack",
        _join: "concatenate stack vstack hstack dstack column_stack append",
        _dot: "dot inner",
        _einsum: "einsum",
        _indices: "nonzero flatnonzero argwhere",
        _about_parts: "shape ndim size array_equal array_equiv allclose may_share_memory "
        "shares_memory result_type can_cast common_type min_scalar_type iscomplexobj isrealobj "
        "array2string array_repr array_str copyto save savez savez_compressed savetxt",
    }
    rules = {}
    for rule, names in by_names.items():
        for name in names.split():
            function: Any = np
            for part in name.split("."):
                function = getattr(function, part, None)
            if function is not None:  # some are newer than the oldest NumPy that will do
                rules[function] = rule
    return rules


_RULES = _rules()

#: These are no methods, which would refuse to reduce along the distributed axis.
_LOCAL_REDUCTIONS = frozenset(
    {np.count_nonzero, np.linalg.norm, getattr(np, "trapezoid", np.linalg.norm)}
)

#: Functions that call methods of the array, which know what to do.
BY_METHOD = frozenset(
    (
        *(
            np.sum,
            np.prod,
            np.mean,
            np.std,
            np.var,
            np.min,
            np.max,
            np.amin,
            np.amax,
            np.any,
            np.all,
        ),
        *(np.squeeze, np.reshape, np.ravel),
    )
)
