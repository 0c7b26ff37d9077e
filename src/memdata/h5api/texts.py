"""Strings and references in datasets, as h5py takes them.

HDF5's strings of variable length are object arrays here, as in h5py, whose type says so
(`h5py.string_dtype`). h5py reads them as bytes, whatever was written; so a dataset made with that
type holds bytes. One whose elements are str already (loaded with ``convert_dataset_strings``, or
wrapped around somebody's array) keeps holding str.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["as_elements", "guessed_type", "is_text", "taken"]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]


def _metadata(dtype: Dtype) -> Any:
    return dtype.metadata or {}


def is_text(dtype: Dtype) -> bool:
    """Whether the type is HDF5's string of variable length."""
    of = _metadata(dtype).get("vlen")
    return of is str or of is bytes  # a type compares equal to some of NumPy's


def guessed_type(data: Any) -> Dtype | None:
    """The type of HDF5 that h5py gives to strings, references and lists of them; else None."""
    from memdata.formats.references import ObjectReference

    first = data
    while first.__class__ is list or first.__class__ is tuple:
        first = first[0] if first else None
    if isinstance(first, ObjectReference):
        empty: Dtype = first.as_array().dtype
        return empty
    if isinstance(first, np.bytes_):
        return None  # it knows its length
    for kind in (str, bytes):
        if isinstance(first, kind) and _all_are(data, kind):
            return np.dtype("O", metadata={"vlen": kind})
    return None


def _all_are(data: Any, kind: type[Any]) -> bool:
    if data.__class__ is list or data.__class__ is tuple:
        return all(_all_are(item, kind) for item in data)
    return isinstance(data, kind)


def taken(data: Any) -> type[str | bytes]:
    """What an array or dataset of text holds: bytes as in h5py, or str where its elements are."""
    data = getattr(data, "local_data", data)
    first = data.flat[0] if data.size else None
    return str if isinstance(first, str) else bytes


def as_elements(value: Any, dtype: Dtype, kind: type[Any] = bytes) -> Any:
    """Strings as elements of a text dataset of that type: an object array, or one element.

    Raises
    ------
    UnicodeEncodeError
        Text that is not ASCII, where the type says ASCII.
    TypeError
        Something that is no string.
    """
    encoding = "ascii" if _metadata(dtype).get("vlen") is bytes else "utf-8"
    if isinstance(value, str | bytes) or value is None:
        return _element(value, encoding, kind)
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if array.dtype.kind not in "OSUT":
        array = array.astype(str)
    result = np.empty(array.shape, dtype)
    for index in np.ndindex(array.shape):
        result[index] = _element(array[index], encoding, kind)
    return result if result.ndim else result[()]


def _element(item: Any, encoding: str, kind: type[Any]) -> Any:
    if isinstance(item, np.ndarray) and item.ndim == 0:
        item = item[()]
    if item is None:
        item = b""
    if isinstance(item, bytes):
        return bytes(item) if kind is bytes else item.decode("utf-8", "surrogateescape")
    if isinstance(item, int | float | np.number):
        item = str(item)
    if not isinstance(item, str):
        raise TypeError(f"a string is needed, not {type(item).__name__}: {item!r:.80}")
    data = item.encode(encoding, "surrogateescape" if encoding == "utf-8" else "strict")
    return data if kind is bytes else str(item)
