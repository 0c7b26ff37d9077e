"""What a tree in memory holds beside groups and datasets: links, and named types.

Links are h5py's own objects, `h5py.SoftLink` and `h5py.ExternalLink`, so that code written for h5py
meets what it knows; h5py is not imported here, since without it nobody can have made one.
A hard link is nothing of its own: the same group or dataset under two names.
"""

from __future__ import annotations

import sys
from copy import deepcopy
from typing import Any, Self

import numpy as np

from memdata import _cmemdata

__all__ = [
    "NamedType",
    "assign",
    "assign_copy",
    "is_external",
    "is_h5py",
    "is_link",
    "is_soft",
    "kind_of",
    "type_of",
]


def is_h5py(value: Any, name: str) -> bool:
    """Whether `value` is an instance of the class of that name in h5py."""
    h5py = sys.modules.get("h5py")
    return h5py is not None and isinstance(value, getattr(h5py, name))


def type_of(dtype: Any) -> Any:
    """The NumPy type that a named one, or one of HDF5, stands for; all else as it is."""
    found = None if isinstance(dtype, type | np.dtype) else getattr(dtype, "dtype", None)
    return found if isinstance(found, np.dtype) else dtype


def type_in_files(dtype: Any) -> dict[str, bytes]:
    """What a dataset keeps of a type of HDF5's own (`h5py.h5t.TypeID`), beside the NumPy type."""
    if isinstance(dtype, NamedType):
        return {key: dtype._creation[key] for key in ("type",) if key in dtype._creation}
    if is_h5py(dtype, "Datatype"):
        dtype = dtype.id
    h5py = sys.modules.get("h5py")
    if h5py is None or not isinstance(dtype, h5py.h5t.TypeID):
        return {}
    return {"type": dtype.encode()}


def is_soft(value: Any) -> bool:
    """Whether `value` is a soft link: a path in the same tree."""
    return is_h5py(value, "SoftLink")


def is_external(value: Any) -> bool:
    """Whether `value` is an external link: a path in another file."""
    return is_h5py(value, "ExternalLink")


def is_link(value: Any) -> bool:
    """Whether `value` is a soft or external link."""
    return is_soft(value) or is_external(value)


def _target(value: Any) -> str | tuple[str, str] | None:
    """What a look-up that meets `value` does.

    It follows the path of a soft link, stops at an external one, whose file is not in memory, and
    takes all else (None) for what it is.
    """
    if is_soft(value):
        return str(value.path)
    if is_external(value):
        return str(value.filename), str(value.path)
    return None


class NamedType(_cmemdata._MemObjMixin):
    """A data type stored under a name of its own, as HDF5's committed types are.

    Made by ``group[name] = dtype``. Datasets do not refer to it: each has its own dtype.

    Parameters
    ----------
    dtype : data-type
        The type.

    Attributes
    ----------
    dtype : numpy.dtype
        The type.
    attrs : MemAttrs
        Attributes of the type.

    Examples
    --------
    >>> import memdata
    >>> g = memdata.MemGroup()
    >>> g["sample"] = np.dtype("i2")
    >>> g["sample"]
    <memdata named type '/sample': dtype('int16')>
    """

    dtype: np.dtype[Any]
    attrs: _cmemdata.MemAttrs

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = np.dtype(type_of(dtype))
        self.attrs = _cmemdata.MemAttrs()
        self._creation: dict[str, Any] = type_in_files(dtype)

    @property
    def id(self) -> Any:
        """The `h5py.h5t.TypeID` of the type in a file."""
        from memdata.formats.hdf5_types import kept_type, type_pair

        kept = self._creation.get("type")
        pair = None if kept is None else kept_type(kept, self.dtype)
        return (type_pair(self.dtype) if pair is None else pair).file

    def _at(self, root: Any, name: str) -> Self:
        """A handle on this stored type."""
        handle = type(self)._from_storage_root(root, name)
        handle.dtype = self.dtype
        handle.attrs = self.attrs
        handle._creation = self._creation
        return handle

    def _stored(self) -> Self:
        """What a tree stores: the same type without a place."""
        stored = type(self)(self.dtype)
        stored.attrs = self.attrs
        stored._creation = self._creation
        return stored

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy = type(self)(self.dtype)
        copy.attrs.update(deepcopy(dict(self.attrs), memo))
        copy._creation.update(self._creation)
        return copy

    def __eq__(self, other: object) -> bool:
        """Same place in a tree, same type, same attributes."""
        if not isinstance(other, NamedType):
            return NotImplemented
        return (
            bool(_cmemdata._MemObjMixin.__eq__(self, other))
            and self.dtype == other.dtype
            and self.attrs == other.attrs
        )

    __hash__ = _cmemdata._MemObjMixin.__hash__

    def __repr__(self) -> str:
        return f"<memdata named type {self.name!r}: {self.dtype!r}>"


def assign(group: Any, name: str, value: Any) -> None:
    """What ``group[name] = value`` does in memory; see `memdata.MemGroup`."""
    if name in group:
        if isinstance(value, _cmemdata.MemDataset) and _is_at(group, name, value):
            return  # what `group[name] += 1` ends with
        raise ValueError(f"{group._absolute(name)} is already there: delete it first")
    if isinstance(value, _cmemdata._BaseGroup | _cmemdata.MemDataset | NamedType):
        _assign_object(group, name, value)
    elif is_link(value):
        group._insert_node(name, value)
    elif isinstance(value, np.dtype):
        group._insert_node(name, NamedType(value))
    elif is_h5py(value, "HLObject"):
        assign_copy(group, name, value)
    else:
        group.create_dataset(name, data=value)


def _assign_object(group: Any, name: str, value: Any) -> None:
    """Another name of something in the same tree; a copy of what is in another one."""
    if value._storage_root is None and isinstance(value, _cmemdata.MemDataset):
        group._insert_dataset(name, value.view())
    elif value._storage_root is None or _tree_of(value) is not _tree_of(group):
        assign_copy(group, name, value)
    elif isinstance(value, _cmemdata._BaseGroup):
        group._insert_node(name, value._get_storage())
    elif isinstance(value, _cmemdata.MemDataset):
        group._insert_dataset(name, value.view())
    else:
        group._insert_node(name, value._stored())


def _is_at(group: Any, name: str, value: Any) -> bool:
    """Whether a path leads to the very dataset that `value` is a handle on."""
    found = group.get(name)
    return isinstance(found, _cmemdata.MemDataset) and found.attrs is value.attrs


def assign_copy(group: Any, name: str, value: Any) -> None:
    """A copy of something in another tree or in a file."""
    if isinstance(value, NamedType):
        group._insert_node(name, deepcopy(value))
    elif isinstance(value, _cmemdata.MemDataset):
        if getattr(value, "distributed", False) and not group.distributed:
            raise RuntimeError(f"{group._absolute(name)} cannot be distributed: its tree is not")
        group._insert_dataset(name, value.copy())
    elif hasattr(value, "create_group"):
        from memdata.copying import deep_group_copy

        new = _cmemdata._Storage()
        deep_group_copy(value, new, convert_attribute_strings=False)
        group._insert_node(name, new)
    elif hasattr(value, "shape"):
        dataset = group.create_dataset(name, data=value[()])
        dataset.attrs.update(value.attrs)
    else:
        raise TypeError(f"{group._absolute(name)}: no copy can be made of {value!r}")


def _tree_of(value: Any) -> Any:
    """The `_StorageRoot` that a handle belongs to, or the open file."""
    root = value._storage_root
    while isinstance(root, _cmemdata._BaseGroup):
        root = root._storage_root
    return root


def kind_of(group: Any, name: str, default: Any, getclass: bool, getlink: bool) -> Any:
    """What ``group.get(name, default, getclass, getlink)`` gives in memory."""
    import h5py

    if not getlink:
        found = group.get(name)
        if isinstance(found, _cmemdata.MemDataset):
            return _cmemdata.MemDataset  # of whatever kind, as one compares it with
        return default if found is None else type(found)
    try:
        stored = group._get_stored(name)
    except KeyError:
        return default
    link = stored if is_link(stored) else h5py.HardLink()
    return type(link) if getclass else link


_cmemdata._bind(link_target=_target)
