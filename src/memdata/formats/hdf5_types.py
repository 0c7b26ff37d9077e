"""NumPy types in HDF5's words, and the other way round.

h5py translates; what is added here is the memory of earlier translations (making or reading a
type costs more than moving a small dataset), and the refusal of what h5py would store as
something else.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5t

from memdata.formats.references import ObjectReference

__all__ = [
    "TypePair",
    "check_objects",
    "described_type",
    "known_type",
    "object_array",
    "string_dtype",
    "type_pair",
]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]

_CACHED = 512


class TypePair(NamedTuple):
    """A type as the file has it, and as h5py wants it named for arrays in memory."""

    file: Any
    memory: Any


@cache
def string_dtype(encoding: str = "utf-8") -> Dtype:
    """h5py's type for variable-length strings."""
    dtype: Dtype = h5py.string_dtype(encoding)
    return dtype


# From NumPy to HDF5

_pairs: dict[Dtype, TypePair] = {}


def type_pair(dtype: Dtype) -> TypePair:
    """The HDF5 types for arrays of `dtype`.

    Raises
    ------
    TypeError
        HDF5 has no type for it.
    """
    # Equal types may differ in their metadata, which says what an object or an enum is:
    # only types without fields and metadata are remembered.
    plain = dtype.kind in "biufcS" and dtype.metadata is None
    if plain:
        pair = _pairs.get(dtype)
        if pair is not None:
            return pair
    _check_dtype(dtype)
    try:
        pair = TypePair(h5t.py_create(dtype, logical=True), h5t.py_create(dtype))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"HDF5 cannot hold the type {dtype}: {error}") from None
    if plain:
        if len(_pairs) >= _CACHED:
            _pairs.clear()
        _pairs[dtype] = pair
    return pair


_REFUSED = {
    "M": "store it as int64 with its unit as an attribute",
    "m": "store it as int64 with its unit as an attribute",
    "U": "convert_dataset_strings=True stores it as byte strings",
    "T": "store it as an object array of str",
}


def _check_dtype(dtype: Dtype) -> None:
    if dtype.subdtype is not None:
        _check_dtype(dtype.subdtype[0])
    elif dtype.fields is not None:
        for field in dtype.fields.values():
            _check_dtype(field[0])
    elif dtype.kind in _REFUSED:
        raise TypeError(f"HDF5 cannot hold the type {dtype}; {_REFUSED[dtype.kind]}")
    elif dtype.isbuiltin == 2:  # a type registered by another package: h5py sees only its bytes
        raise TypeError(f"HDF5 cannot hold the type {dtype} of {dtype.type.__module__}")
    elif dtype.kind == "O" and not (dtype.metadata or {}).keys() & {"vlen", "ref"}:
        raise TypeError(
            "HDF5 cannot hold Python objects without a type; "
            "h5py.string_dtype, vlen_dtype or ref_dtype says what they are"
        )
    elif dtype.itemsize == 0:
        raise TypeError(f"HDF5 cannot hold the type {dtype}, which has no bytes")


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


def check_objects(array: Array) -> Array:
    """Check that the objects in an array are what its type says; return it ready for h5py.

    New variable-length strings in memory are the integer 0 (`numpy.zeros`) or None, which stand
    for what HDF5 reads where nothing was written: the empty string.
    """
    if array.dtype.names is not None:
        for name in array.dtype.names:
            if array.dtype[name].hasobject:
                field = array[name]
                checked = check_objects(field)
                if checked is not field:
                    array = array.copy()
                    array[name] = checked
        return array
    metadata = array.dtype.metadata or {}
    if "ref" in metadata:
        _check_references(array)
        return array
    inner = metadata.get("vlen")
    if inner is str or inner is bytes:
        return _checked_strings(array)
    return array


def _checked_strings(array: Array) -> Array:
    blanks = False
    for item in array.flat:
        if isinstance(item, str):
            nul = "\0" in item
        elif isinstance(item, bytes):
            nul = b"\0" in item
        elif item is None or (type(item) is int and item == 0):
            blanks = True
            continue
        else:
            raise TypeError(f"a {type(item).__name__} among variable-length strings: {item!r:.80}")
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
        if isinstance(item, ObjectReference) or item is None or (type(item) is int and item == 0):
            continue
        raise TypeError(
            f"a {type(item).__name__} among HDF5 references: it is only valid in the file that it "
            "was read from"
        )


# From HDF5 to NumPy


class KnownType(NamedTuple):
    """What is known of a type found in a file."""

    dtype: Dtype
    file: Any
    memory: Any  # for reading into arrays of `dtype`
    same: bool  # the bytes in the file are the bytes of such an array


_known: dict[bytes, KnownType] = {}


def known_type(type_id: Any) -> KnownType:
    """The NumPy type for an HDF5 type.

    Raises
    ------
    TypeError
        h5py has no such type.
    """
    key: bytes = type_id.encode()
    known = _known.get(key)
    if known is None:
        known = described_type(type_id)
        if len(_known) >= _CACHED:
            _known.clear()
        _known[key] = known
    return known


def described_type(type_id: Any) -> KnownType:
    """`known_type` without the memory."""
    dtype: Dtype = type_id.dtype
    if dtype.kind in "iufc" and dtype.metadata is None and dtype.isnative:
        dtype = np.dtype(dtype.type)  # "=" where h5py says "<"
    memory = h5t.py_create(dtype)
    same = not dtype.hasobject and bool(memory == type_id)
    if not same and not dtype.hasobject:
        same = bool(h5t.py_create(dtype, logical=True) == type_id)
    return KnownType(dtype, type_id, memory, same)
