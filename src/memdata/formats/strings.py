"""Byte strings and unicode strings in arrays: converting one into the other.

NumPy has fixed-length byte strings (kind ``S``) and fixed-length unicode strings (``U``); HDF5
has only the first. Fields of structured types, nested and in subarrays, are converted too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "decode_bytes",
    "decode_objects",
    "has_bytes",
    "has_unicode",
    "to_bytes",
    "to_unicode",
]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]


def _has_kind(dtype: Dtype, kind: str) -> bool:
    if dtype.subdtype is not None:
        return _has_kind(dtype.subdtype[0], kind)
    if dtype.fields is not None:
        return any(_has_kind(field[0], kind) for field in dtype.fields.values())
    return dtype.kind == kind


def has_unicode(dtype: Dtype) -> bool:
    """Whether the type, or a field of it, is a unicode string.

    Examples
    --------
    >>> has_unicode(np.dtype([("name", "U8"), ("value", "f8")]))
    True
    """
    return _has_kind(dtype, "U")


def has_bytes(dtype: Dtype) -> bool:
    """Whether the type, or a field of it, is a byte string."""
    return _has_kind(dtype, "S")


def _replaced(dtype: Dtype, old: str, new: str) -> Dtype:
    """`dtype` with every string of kind `old` made one of kind `new`, of as many characters."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return np.dtype((_replaced(base, old, new), shape))
    if dtype.names is not None and dtype.fields is not None:
        return np.dtype(
            [(name, _replaced(dtype.fields[name][0], old, new)) for name in dtype.names]
        )
    if dtype.kind == old:
        size = dtype.itemsize // 4 if old == "U" else dtype.itemsize
        return np.dtype(f"{new}{max(size, 1)}")
    return dtype


def to_bytes(array: Array) -> Array:
    """A copy of `array` with its unicode strings as ASCII byte strings.

    Raises
    ------
    ValueError
        A string that is not ASCII (a `UnicodeEncodeError` says which).

    Examples
    --------
    >>> to_bytes(np.array(["a", "bc"]))
    array([b'a', b'bc'], dtype='|S2')
    """
    return _converted(array, "U", "S")


def to_unicode(array: Array) -> Array:
    """A copy of `array` with its byte strings, which are UTF-8, as unicode strings.

    Raises
    ------
    ValueError
        Bytes that are not UTF-8 (a `UnicodeDecodeError` says which).
    """
    return _converted(array, "S", "U")


def bytes_dtype(dtype: Dtype) -> Dtype:
    """What `to_bytes` makes of a type."""
    return _replaced(dtype, "U", "S")


def unicode_dtype(dtype: Dtype) -> Dtype:
    """What `to_unicode` makes of a type, as long as the text is ASCII."""
    return _replaced(dtype, "S", "U")


def _converted(array: Array, old: str, new: str) -> Array:
    if array.dtype.names is None:
        if array.dtype.kind != old:
            return array.copy()
        try:
            # NumPy's own cast, which is fast, knows ASCII only.
            return array.astype(_replaced(array.dtype, old, new))
        except UnicodeDecodeError:
            return np.asarray(np.char.decode(array, "utf-8"))
    result = np.empty(array.shape, _replaced(array.dtype, old, new))
    for name in array.dtype.names:
        result[name] = _converted(array[name], old, new)
    return result


def decode_bytes(value: bytes) -> Any:
    """`value` as str where it is UTF-8, else as it is."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def decode_objects(array: Array) -> Array:
    """Make str of the bytes objects in an object array, in place.

    Raises
    ------
    ValueError
        Bytes that are not UTF-8 (a `UnicodeDecodeError` says which).
    """
    if array.dtype.names is not None:
        for name in array.dtype.names:
            if array.dtype[name].hasobject:
                decode_objects(array[name])
    elif array.dtype.kind == "O" and array.size:
        array[...] = _decode_each(array)
    return array


_decode_each = np.frompyfunc(
    lambda item: item.decode("utf-8") if isinstance(item, bytes) else item, 1, 1
)
