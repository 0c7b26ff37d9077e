"""Arrays of Python objects: whether the objects are what the array's type says.

h5py believes the type. An object that is something else makes it raise errors of its own in the
middle of a save, store other values, or crash. So every object is looked at while a save is
planned.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata.formats.hdf5_types import string_dtype
from memdata.formats.references import ObjectReference

__all__ = ["check_objects", "holds_swapped", "object_array", "pointed_size", "right_order"]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]


def object_array(array: Array) -> Array:
    """`array`, of objects, with a type that says what they are.

    Raises
    ------
    TypeError
        The objects are not all str, or all bytes, and the type says nothing of them.
    ValueError
        A string that HDF5 cannot hold.
    """
    if array.dtype.fields is None and not (array.dtype.metadata or {}):
        kinds = set(map(type, array.flat))
        if all(issubclass(kind, str) for kind in kinds):
            array = array.astype(string_dtype())
        elif all(issubclass(kind, bytes) for kind in kinds):
            array = array.astype(string_dtype("ascii"))
        else:
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise TypeError(f"HDF5 cannot hold an object array of {names}")
    return check_objects(array)


def check_objects(array: Array, *, only_ragged: bool = False) -> Array:
    """Check that the objects in an array are what its type says; return it ready for h5py.

    New objects in memory are the integer 0 (`numpy.zeros`) or None, which stand for what HDF5 reads
    where nothing was written: the empty string, an array of no elements, a null reference.
    Lists, and arrays of another type, become ragged arrays of theirs where no value changes.

    Parameters
    ----------
    array : ndarray
        Of objects, or of a structured type with such fields. It is not changed.
    only_ragged : bool
        Leave text and references alone, of which a format may hold more than HDF5.

    Raises
    ------
    TypeError
        Names the element and what was expected.
    ValueError
        A string that HDF5 cannot hold.
    """
    if array.dtype.names is not None:
        whole = array
        for name in array.dtype.names:
            if array.dtype[name].hasobject:
                field = array[name]
                checked = check_objects(field, only_ragged=only_ragged)
                if checked is not field:
                    whole = array.copy() if whole is array else whole
                    whole[name] = checked
        return whole
    inner = _vlen(array.dtype)
    if inner is not None and inner is not str and inner is not bytes:
        if np.dtype(inner).subdtype is not None:
            raise TypeError("h5py cannot write variable-length arrays of arrays")
        return _checked_ragged(array, np.dtype(inner))
    if only_ragged:
        return array
    if "ref" in (array.dtype.metadata or {}):
        _check_references(array)
        return array
    return array if inner is None else _checked_strings(array)


def _is_blank(item: Any) -> bool:
    return item is None or (type(item) is int and item == 0)


def _checked_strings(array: Array) -> Array:
    blanks = False
    for item in array.flat:
        if isinstance(item, str):
            nul = "\0" in item
        elif isinstance(item, bytes):
            nul = b"\0" in item
        elif _is_blank(item):
            blanks = True
            continue
        else:
            raise TypeError(
                f"a {type(item).__name__} among variable-length strings: {_short(item)}"
            )
        if nul:
            raise ValueError(
                f"a NUL character, which HDF5's variable-length strings cannot hold: {item!r:.80}"
            )
    if blanks:
        array = array.copy()
        array[
            np.frompyfunc(lambda item: not isinstance(item, str | bytes), 1, 1)(array).astype(bool)
        ] = ""
    return array


def _check_references(array: Array) -> None:
    for item in array.flat:
        if isinstance(item, ObjectReference) or _is_blank(item):
            continue
        raise TypeError(
            f"a {type(item).__name__} among HDF5 references: it is only valid in the file that it "
            "was read from"
        )


# Ragged arrays


def _checked_ragged(array: Array, inner: Dtype) -> Array:
    """`array` with elements that are 1-d arrays of the type `inner`; itself if they are already."""
    result = array
    for index, item in np.ndenumerate(array):
        if not inner.hasobject and _is_ready(item, inner):
            continue
        try:
            made = _ragged_item(item, inner)
        except _UnfitError as error:
            where = ", ".join(map(str, index))
            raise TypeError(
                f"the element [{where}] is {error}; expected a 1-d array of {_named(inner)}"
            ) from None
        if result is array:
            result = array.copy()
        result[index] = made
    return result


def _is_ready(item: Any, inner: Dtype) -> bool:
    if type(item) is not np.ndarray or item.dtype != inner:
        return False
    return item.ndim == 1 and bool(item.flags.c_contiguous)


class _UnfitError(Exception):
    """Says what an element is that cannot become what was expected."""


def _short(item: Any) -> str:
    return " ".join(repr(item).split())[:80]


def _ragged_item(item: Any, inner: Dtype) -> Array:
    """The element as a 1-d array of the type `inner`; raises `_UnfitError`."""
    if _is_blank(item):
        return np.zeros(0, inner)
    if isinstance(item, np.ma.MaskedArray) or not isinstance(item, np.ndarray | list | tuple):
        raise _UnfitError(f"a {type(item).__name__}, {_short(item)}")
    if isinstance(item, np.ndarray) and item.ndim != 1:
        raise _UnfitError(f"an array of the shape {item.shape}")
    if inner.hasobject and inner.names is None:
        objects = np.empty(len(item), inner)
        for index, one in enumerate(item):
            objects[index] = one
        return _nested(objects)
    if isinstance(item, np.ndarray):
        given = item
    elif inner.names is not None:
        return _nested(_records(item, inner))
    else:
        given = _as_array(item)
    if not given.size:
        return np.zeros(0, inner)
    if not _holds_exactly(given, inner):
        raise _UnfitError(f"of {given.dtype}, {_short(item)}")
    made = np.ascontiguousarray(given, inner)
    return _nested(made) if inner.hasobject else made


def _as_array(items: Any) -> Array:
    try:
        made = np.asarray(items)
    except (TypeError, ValueError, OverflowError):
        raise _UnfitError(f"a {type(items).__name__}, {_short(items)}") from None
    if made.ndim != 1:
        raise _UnfitError(f"of the shape {made.shape}, {_short(items)}")
    return made


def _records(items: Any, inner: Dtype) -> Array:
    """Tuples as an array of a structured type."""
    try:
        made = np.array(items, inner)
        if made.ndim == 1 and (inner.hasobject or made.tolist() == list(items)):
            return made
    except (TypeError, ValueError, OverflowError):
        pass
    raise _UnfitError(f"a {type(items).__name__}, {_short(items)}")


def _nested(objects: Array) -> Array:
    try:
        return check_objects(objects)
    except (TypeError, ValueError) as error:
        raise _UnfitError(f"an array of which {error}") from None


def _holds_exactly(given: Array, inner: Dtype) -> bool:
    """Whether every value of an array is one of the type `inner`."""
    if given.dtype == inner or not given.size:
        return True
    if given.dtype.names is not None or inner.names is not None:
        return given.dtype.names == inner.names and np.can_cast(given.dtype, inner, "safe")
    if given.dtype.kind not in "biufc" or inner.kind not in "biufc":
        return given.dtype.kind == inner.kind and np.can_cast(given.dtype, inner, "safe")
    if inner.kind == "b":
        return False
    if np.can_cast(given.dtype, inner, "safe"):
        return inner.kind == given.dtype.kind or inner.kind not in "fc" or _same(given, inner)
    return (given.dtype.kind != "c" or inner.kind == "c") and _same(given, inner)


def _same(given: Array, inner: Dtype) -> bool:
    """Whether numbers stay the same: told by Python, whose comparisons round nothing."""
    with np.errstate(all="ignore"):
        made = given.astype(inner)
    if given.dtype.kind == made.dtype.kind == "c":
        given, made = given.view(given.real.dtype), made.view(made.real.dtype)
    numbers = ~(np.isnan(given) & np.isnan(made))
    pairs = zip(given[numbers].tolist(), made[numbers].tolist(), strict=True)
    return all(one == other for one, other in pairs)


def _vlen(dtype: Dtype) -> Any:
    """What h5py says that variable-length elements hold; None for other types."""
    metadata: Any = dtype.metadata or {}
    return metadata.get("vlen")


def _named(inner: Dtype) -> str:
    kind = _vlen(inner)
    if kind is None:
        return str(inner)
    return "text" if kind is str or kind is bytes else f"arrays of {_named(np.dtype(kind))}"


# What h5py reads


def right_order(array: Array) -> Array:
    """Elements as h5py has read them, with the byte order that their type says.

    h5py gives the bytes of ragged arrays in the other byte order the machine's.
    """
    dtype = array.dtype
    if dtype.names is not None:
        for name in dtype.names:
            if _holds_swapped(dtype[name]):
                array[name] = right_order(array[name])
        return array
    inner = np.dtype(_vlen(dtype))
    for index, item in np.ndenumerate(array):
        if not isinstance(item, np.ndarray):
            continue
        if inner.hasobject:
            held = np.empty(item.shape, inner)
            held[...] = item
            array[index] = right_order(held)
        elif item.dtype != inner and item.dtype == inner.newbyteorder():
            array[index] = item.view(inner)
    return array


def pointed_size(array: Array) -> int:
    """Bytes of the text and the ragged arrays in an array that h5py has read."""
    if array.dtype.names is not None:
        fields = [name for name in array.dtype.names if array.dtype[name].hasobject]
        return sum(pointed_size(array[name]) for name in fields)
    total = 0
    for item in array.flat:
        if isinstance(item, np.ndarray):
            total += item.nbytes + (pointed_size(item) if item.dtype.hasobject else 0)
        elif isinstance(item, bytes | str):
            total += len(item)
    return total


def holds_swapped(dtype: Dtype) -> bool:
    """Whether a type is, or holds, ragged arrays in the other byte order."""
    return dtype.hasobject and _holds_swapped(dtype)


def _holds_swapped(dtype: Dtype, inside: bool = False) -> bool:
    if dtype.subdtype is not None:
        return _holds_swapped(dtype.subdtype[0], inside)
    if dtype.names is not None:
        return any(_holds_swapped(dtype[name]) for name in dtype.names)
    kind = _vlen(dtype)
    if kind is None:
        return inside and not dtype.isnative
    return kind is not str and kind is not bytes and _holds_swapped(np.dtype(kind), True)
