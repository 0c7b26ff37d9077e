"""Attributes of HDF5 objects, read and written through h5py's low-level interface.

Memory holds plain Python values (`memdata.formats.attributes`), so it forgets that a number had 16
bits in the file, or that a text had a fixed length. What it forgets travels beside the attributes
(``creation["attributes"]``, a dict of `AsRead`), and *an attribute that has not changed is written
as it was read*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5, h5a, h5i, h5o, h5p, h5s, h5t

from memdata.formats import references
from memdata.formats.attributes import (
    JSON_PREFIX,
    UnstorableAttribute,
    same_value,
    to_array,
    to_memory,
)
from memdata.formats.hdf5_objects import holds_swapped, pointed_size, right_order
from memdata.formats.hdf5_types import (
    TypePair,
    kept_type,
    known_type,
    string_dtype,
    subarray_type,
    type_pair,
    without_axes,
)
from memdata.formats.tree import NOTHING

__all__ = [
    "AsRead",
    "Attribute",
    "Attributes",
    "encoded",
    "needs_dense",
    "read_attributes",
    "write_attribute",
    "write_attributes",
    "write_late",
]

Array = np.ndarray[Any, Any]

#: Object headers hold attributes up to this size; larger ones need dense storage.
_HEADER_LIMIT = 64_000


# Reading


class AsRead(NamedTuple):
    """An attribute as a file has it.

    Attributes
    ----------
    value : ndarray or h5py.Empty
        As h5py reads it; an array without axes where that gives a scalar.
    type : bytes or None
        HDF5's encoding of the type; None where it is h5py's own for the value.
    named : str or None
        The named type that it uses; see `memdata.formats.hdf5_creation`.
    """

    value: Any
    type: bytes | None
    named: str | None = None

    @property
    def item(self) -> Any:
        """What h5py's high-level interface gives."""
        value = self.value
        return value[()] if isinstance(value, np.ndarray) and not value.ndim else value


class Attributes(NamedTuple):
    """The attributes of one object.

    Attributes
    ----------
    values : dict
        As memory holds them.
    as_read : dict
        What memory forgets, by name; most files need none.
    named : dict
        File number and address of the named types among the types of attributes.
    """

    values: dict[str, Any]
    as_read: dict[str, AsRead]
    named: dict[str, tuple[int, int]]


def read_attributes(
    target: Any,
    plist: Any = None,
    *,
    convert_strings: bool,
    prefix: str = "/",
    check: Callable[[str, int], None] | None = None,
    skip: Callable[[str, str], object] | None = None,
    names: list[bytes] | None = None,
) -> Attributes:
    """The attributes of an HDF5 object.

    Parameters
    ----------
    target : h5py.h5g.GroupID, h5py.h5d.DatasetID or h5py.h5t.TypeID
        The object.
    plist : property list, optional
        Its creation properties, where the caller has them already.
    convert_strings : bool
        Byte strings become str.
    prefix : str
        Path in the file of the root in memory, for references.
    check : callable, optional
        Told the name and size in bytes of each attribute before it is read.
    skip : callable, optional
        Told of each attribute that h5py cannot read. Without it those are an error.
    names : list of bytes, optional
        Which attributes; None for all, in their order.
    """
    names = _names(target, plist) if names is None else names
    values: dict[str, Any] = {}
    as_read: dict[str, AsRead] = {}
    named: dict[str, tuple[int, int]] = {}
    for name in names:
        text = name.decode("utf-8", "surrogateescape")
        try:
            attribute = h5a.open(target, name)
            type_id = attribute.get_type()
            found = _read_attribute(target, attribute, type_id, prefix, check, text)
        except (TypeError, ValueError) as error:
            if skip is None:
                raise
            skip(text, f"h5py has no such type: {error}")
            continue
        value = found.item
        held = values[text] = to_memory(value, convert_strings=convert_strings)
        if type_id.committed():
            info = h5o.get_info(type_id)
            named[text] = info.fileno, info.addr
            as_read[text] = found
        elif found.type is not None or not _comes_back(value, held, found.value.dtype):
            as_read[text] = found
    return Attributes(values, as_read, named)


def _names(target: Any, plist: Any) -> list[bytes]:
    """The names of all attributes: in the order of creation where the file knows it."""
    names: list[bytes] = []
    h5a.iterate(target, lambda name, *_info: _append(names, name))
    if len(names) > 1 and not isinstance(target, h5t.TypeID):
        plist = target.get_create_plist() if plist is None else plist
        if plist.get_attr_creation_order() & h5p.CRT_ORDER_TRACKED:
            names.clear()
            h5a.iterate(
                target,
                lambda name, *_info: _append(names, name),
                index_type=h5.INDEX_CRT_ORDER,
            )
    return names


def _append(names: list[bytes], name: bytes) -> None:
    names.append(name)  # and None, which tells HDF5 to go on


#: NumPy scalars that HDF5 stores for Python's numbers.
_PYTHONS = frozenset({np.int64, np.float64, np.complex128, np.bool_})


def _comes_back(value: Any, held: Any, dtype: np.dtype[Any]) -> bool:
    """Whether writing what memory holds makes the attribute that was read."""
    kind = type(value)
    if kind is str:
        return held is value and not value.startswith(JSON_PREFIX)
    if kind is np.ndarray:
        return type(held) is np.ndarray and held.dtype == value.dtype
    if isinstance(value, np.generic):
        return kind in _PYTHONS and dtype.isnative
    return kind is h5py.Empty


def _read_attribute(
    target: Any,
    attribute: Any,
    type_id: Any,
    prefix: str,
    check: Callable[[str, int], None] | None,
    text: str,
) -> AsRead:
    """One attribute; references as paths."""
    known = known_type(type_id)
    space = attribute.get_space()
    kind = space.get_simple_extent_type()
    if kind == h5s.NULL:
        return AsRead(h5py.Empty(known.dtype), known.kept)
    shape = () if kind == h5s.SCALAR else space.get_simple_extent_dims()
    dtype = known.dtype
    if check is not None:
        check(text, space.get_simple_extent_npoints() * dtype.itemsize)
    dtype, inner = without_axes(dtype)
    shape += inner
    array = np.zeros(shape, dtype)
    if array.size:
        attribute.read(array, known.memory)
    if not dtype.hasobject:
        return AsRead(array, known.kept)
    if check is not None:  # HDF5 tells the size of text and ragged arrays only by reading them
        check(text, pointed_size(array))
    if holds_swapped(dtype):
        array = right_order(array)
    if h5t.check_string_dtype(dtype) is not None:
        array[...] = _decode_strings(array)
    elif references.holds_references(dtype):
        array = references.from_file(array, h5i.get_file_id(target), prefix)
    return AsRead(array, known.kept)


_decode_strings = np.frompyfunc(
    lambda item: item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item, 1, 1
)


# Writing


class Attribute(NamedTuple):
    """An attribute as it will be written."""

    name: bytes
    types: TypePair
    space: Any
    array: Array | None  # None: a null dataspace
    late: bool = False  # a reference, which can be made only when its target exists
    named: str | None = None  # the named type that it uses


_SCALAR_SPACE = h5s.create(h5s.SCALAR)
_NULL_SPACE = h5s.create(h5s.NULL)
_string_types: TypePair = type_pair(string_dtype())


def encoded(
    attrs: Mapping[str, Any],
    path: str,
    convert_strings: bool,
    as_read: Mapping[str, AsRead] = NOTHING,
) -> list[Attribute]:
    """The attributes as they will be written.

    Parameters
    ----------
    attrs : mapping
        As memory holds them.
    path : str
        The object's, for messages.
    convert_strings : bool
        Accept NumPy's unicode arrays.
    as_read : mapping
        What another file had; see `AsRead`.

    Raises
    ------
    TypeError
        HDF5 cannot hold a value; the message names path and attribute.
    """
    result = []
    for name, value in attrs.items():
        try:
            key = _attribute_name(name, path)
            made = None
            if as_read and name in as_read:
                made = _unchanged(key, value, as_read[name])
                if made is not None and as_read[name].named is not None:
                    made = made._replace(named=as_read[name].named)
            if made is None:
                made = _made(key, to_array(value, convert_strings=convert_strings))
            result.append(made)
        except RecursionError:
            raise TypeError(
                f"{path}: attribute {name!r} holds itself, or too many levels"
            ) from None
        except (TypeError, UnicodeError, UnstorableAttribute) as error:
            raise TypeError(f"{path}: attribute {name!r}: {error}") from None
    return result


def _attribute_name(name: Any, path: str) -> bytes:
    if type(name) is not str and not isinstance(name, str):
        raise TypeError("the name of an attribute is a str")
    if not name or "\0" in name:
        raise ValueError(f"{path}: {name!r} cannot be the name of an attribute")
    return name.encode("utf-8", "surrogateescape")


def _unchanged(name: bytes, value: Any, as_read: AsRead) -> Attribute | None:
    """The attribute as it was read, if memory still holds what was read; else None."""
    read = as_read.item
    if not same_value(to_memory(read), value):
        converted = to_memory(read, convert_strings=True)
        if not (same_value(converted, value) or _same_text(value, converted)):
            return None
    array = as_read.value
    if isinstance(array, h5py.Empty):
        types = None if as_read.type is None else kept_type(as_read.type, array.dtype)
        return None if types is None else Attribute(name, types, _NULL_SPACE, None)
    made = _made(name, array)
    if type(read) is str:
        made = made._replace(array=_made(name, read).array)
    if as_read.type is None:
        return made
    types = kept_type(as_read.type, array.dtype) or _subarray_types(as_read.type)
    if types is None:
        return None
    _base, inner = without_axes(types.file.dtype)
    shape = array.shape[: array.ndim - len(inner)]
    space = h5s.create_simple(shape) if shape else _SCALAR_SPACE
    return made._replace(types=types, space=space)


def _same_text(value: Any, text: Any) -> bool:
    """Whether a value has the elements of an array of text, of which zarr makes lists."""
    if not (isinstance(text, np.ndarray) and text.dtype.kind in "OU"):
        return False
    if isinstance(value, np.ndarray):
        value = value.tolist() if value.dtype.kind in "OU" and value.shape == text.shape else None
    return type(value) is list and same_value(value, text.tolist())


def _subarray_types(kept: bytes) -> TypePair | None:
    """The types of an attribute of arrays."""
    known = known_type(h5t.decode(kept))
    pair = subarray_type(kept, *without_axes(known.dtype))
    return None if pair is None else pair[0]


def _made(name: bytes, value: Any) -> Attribute:
    if type(value) is str:
        # h5py writes variable-length strings from object arrays.
        array = np.empty((), object)
        array[()] = value.encode("utf-8", "surrogateescape")
        return Attribute(name, _string_types, _SCALAR_SPACE, array)
    if isinstance(value, h5py.Empty):
        return Attribute(name, type_pair(value.dtype), _NULL_SPACE, None)
    shape = value.shape
    space = h5s.create_simple(shape) if shape else _SCALAR_SPACE
    late = value.dtype.hasobject and references.holds_references(value.dtype)
    return Attribute(name, type_pair(value.dtype), space, np.asarray(value, order="C"), late)


def needs_dense(attributes: list[Attribute]) -> bool:
    """Whether an ordinary object header cannot hold one of the attributes."""
    return any(item.array is not None and item.array.nbytes > _HEADER_LIMIT for item in attributes)


def write_attribute(place: Any, attribute: Attribute, replace: bool) -> None:
    """Write one attribute to an open HDF5 object; of a late one make the place only."""
    name, types, space, array, late, _named = attribute
    if replace and h5a.exists(place, name):
        h5a.delete(place, name)
    identifier = h5a.create(place, name, types.file, space)
    if array is not None and array.size and not late:
        identifier.write(array, types.memory)


def write_late(place: Any, attribute: Attribute) -> None:
    """Write the elements of an attribute that `write_attribute` has made before."""
    if attribute.array is not None and attribute.array.size:
        h5a.open(place, attribute.name).write(attribute.array, attribute.types.memory)


def write_attributes(place: Any, attrs: Mapping[str, Any], *, convert_strings: bool) -> None:
    """Write attributes to an open HDF5 object, replacing those of the same names.

    Raises
    ------
    TypeError
        HDF5 cannot hold a value; nothing has been written then.
    """
    path = h5i.get_name(place)
    attributes = encoded(attrs, path.decode("utf-8", "replace") if path else "?", convert_strings)
    file = h5i.get_file_id(place)
    for attribute in attributes:
        if attribute.late and attribute.array is not None:
            array = references.to_file(attribute.array, file, "/")
            attribute = attribute._replace(array=array, late=False)
        write_attribute(place, attribute, replace=True)
