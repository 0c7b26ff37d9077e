"""Two HDF5 types side by side: that of a dataset, and that of arrays in memory.

HDF5 sorts the fields of a type that it converts, in place: fields are found by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from h5py import h5t

__all__ = ["can_read", "can_write", "cuts_text", "same_bytes"]


def same_bytes(one: Any, other: Any) -> bool:
    """Whether two types have the same bytes, however text is padded in them."""
    if one == other:
        return True
    if isinstance(one, h5t.TypeEnumID):
        return bool(one.get_super() == other)
    if isinstance(one, h5t.TypeBitfieldID) and isinstance(other, h5t.TypeIntegerID):
        return bool(one.get_size() == other.get_size() and one.get_order() == other.get_order())
    if type(one) is not type(other) or one.get_size() != other.get_size():
        return False
    if isinstance(one, h5t.TypeOpaqueID):
        return True
    if isinstance(one, h5t.TypeStringID):
        return not one.is_variable_str() and not other.is_variable_str()
    if isinstance(one, h5t.TypeArrayID):
        return one.get_array_dims() == other.get_array_dims() and same_bytes(
            one.get_super(), other.get_super()
        )
    if isinstance(one, h5t.TypeCompoundID):
        first, second = _fields(one), _fields(other)
        return first.keys() == second.keys() and all(
            offset == second[name][0] and same_bytes(field, second[name][1])
            for name, (offset, field) in first.items()
        )
    return False


def can_read(file: Any, memory: Any) -> Any:
    """`memory` for reading elements of the type `file`: HDF5 converts no opaque bytes.

    Parameters
    ----------
    file : h5py.h5t.TypeID
        As the file has it.
    memory : h5py.h5t.TypeID
        As h5py makes it of NumPy's type.
    """
    return _merged(file, memory, lambda leaf: isinstance(leaf, h5t.TypeOpaqueID))


def can_write(file: Any, memory: Any) -> Any:
    """`memory` for writing elements of the type `file`: texts that end with a NUL stay whole.

    HDF5 writes a NUL over the last byte of a text that has none, when it converts it.
    """
    return _merged(
        file, memory, lambda leaf: isinstance(leaf, h5t.TypeOpaqueID) or _ends_with_nul(leaf)
    )


def cuts_text(file: Any) -> bool:
    """Whether h5py, writing ragged arrays of a type, cuts texts that fill all their bytes."""
    if isinstance(file, h5t.TypeVlenID):
        return any(map(_ends_with_nul, _leaves(file)))
    return any(map(cuts_text, _members(file)))


def _ends_with_nul(leaf: Any) -> bool:
    return (
        isinstance(leaf, h5t.TypeStringID)
        and not leaf.is_variable_str()
        and leaf.get_strpad() == h5t.STR_NULLTERM
    )


def _merged(file: Any, memory: Any, take: Callable[[Any], bool]) -> Any:
    """`memory` with those parts of `file` in it that `take` says."""
    if isinstance(file, h5t.TypeCompoundID) and isinstance(memory, h5t.TypeCompoundID):
        if not any(map(take, _leaves(file))):
            return memory
        there = _fields(file)
        made = h5t.create(h5t.COMPOUND, memory.get_size())
        for name, (offset, field) in _fields(memory).items():
            merged = _merged(there[name][1], field, take) if name in there else field
            made.insert(name, offset, merged)
        return made
    if isinstance(file, h5t.TypeArrayID) and isinstance(memory, h5t.TypeArrayID):
        inner = memory.get_super()
        merged = _merged(file.get_super(), inner, take)
        return memory if merged is inner else h5t.array_create(merged, memory.get_array_dims())
    if type(file) is type(memory) and file.get_size() == memory.get_size() and take(file):
        return file
    return memory


def _fields(compound: Any) -> dict[bytes, tuple[int, Any]]:
    return {
        compound.get_member_name(n): (compound.get_member_offset(n), compound.get_member_type(n))
        for n in range(compound.get_nmembers())
    }


def _members(type_id: Any) -> list[Any]:
    if isinstance(type_id, h5t.TypeCompoundID):
        return [type_id.get_member_type(n) for n in range(type_id.get_nmembers())]
    if isinstance(type_id, h5t.TypeArrayID | h5t.TypeVlenID):
        return [type_id.get_super()]
    return []


def _leaves(type_id: Any) -> Iterator[Any]:
    members = _members(type_id)
    if not members:
        yield type_id
    for member in members:
        yield from _leaves(member)
