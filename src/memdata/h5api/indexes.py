"""Indexes that NumPy does not know: what h5py means by them.

The native dataset asks here when NumPy has refused an index or a value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata import _cmemdata
from memdata.h5api import arraytypes
from memdata.h5api.errors import IndexRefusedError, ValueRefusedError

__all__ = [
    "block_axes",
    "fields_type",
    "is_block_slice",
    "packed",
    "region_index",
    "region_index_of",
]

Array = np.ndarray[Any, Any]


def _refuse(self: Any, index: Any, *value: Any) -> Any:
    """NumPy's error once more, in a kind that h5py's users catch too."""
    try:
        if value:
            self.data[index] = value[0]
            return None
        return self.data[index]
    except IndexError as error:
        raise IndexRefusedError(f"{self.name}: {error}") from None
    except ValueError as error:
        if not value:
            raise
        if isinstance(error, UnicodeEncodeError) and _is_utf8(self.dtype):
            self.data[index] = np.char.encode(np.asarray(value[0], str), "utf-8")
            return None
        raise ValueRefusedError(f"{self.name}: {error}") from None


def _is_utf8(dtype: np.dtype[Any]) -> bool:
    """Whether the type is h5py's for UTF-8 strings of fixed length."""
    metadata: Any = dtype.metadata or {}
    return bool(metadata.get("h5py_encoding") == "utf-8")


def _other_index(self: Any, index: Any, *value: Any) -> Any:
    """What h5py means by an index that NumPy refused, or of elements that are arrays."""
    if self._creation.get("inner_axes"):
        return arraytypes.element(self, _plain(self, index), *value)
    parts = index if isinstance(index, tuple) else (index,)
    if any(is_block_slice(part) for part in parts):
        where: Any = _outer(block_axes(parts, self.shape))
    elif len(parts) == 1 and _is_region(parts[0]):
        where = region_index_of(parts[0])
    elif any(isinstance(part, str) for part in parts):
        return _by_names(self, parts, *value)
    elif any(isinstance(part, _cmemdata.MemDataset) for part in parts):
        where = tuple(
            np.asarray(part) if isinstance(part, _cmemdata.MemDataset) else part for part in parts
        )
    else:
        return _refuse(self, index, *value)
    if not value:
        return self.data[where]
    self.data[where] = value[0]
    return None


def _plain(self: Any, index: Any) -> Any:
    """An index of elements that NumPy knows."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(is_block_slice(part) for part in parts):
        return _outer(block_axes(parts, self.shape))
    if len(parts) == 1 and _is_region(parts[0]):
        return region_index_of(parts[0])
    return index


def is_block_slice(part: Any) -> bool:
    """Whether a part of an index is an `h5py.MultiBlockSlice`."""
    return hasattr(part, "indices") and hasattr(part, "block") and hasattr(part, "stride")


def block_axes(parts: tuple[Any, ...], shape: tuple[int, ...]) -> list[Any]:
    """The elements of each axis, 0-d where an integer asks for one."""
    if Ellipsis in parts:
        at = parts.index(Ellipsis)
        parts = parts[:at] + (slice(None),) * (len(shape) - len(parts) + 1) + parts[at + 1 :]
    parts += (slice(None),) * (len(shape) - len(parts))
    axes = []
    for part, size in zip(parts, shape, strict=True):
        if is_block_slice(part):
            start, stride, count, block = part.indices(size)
            blocks = start + stride * np.arange(count)
            axes.append((blocks[:, None] + np.arange(block)).ravel())
        else:
            axes.append(np.arange(size)[part])
    return axes


def _outer(axes: list[Any]) -> tuple[Any, ...]:
    """The index of all combinations; an axis of one element (0-d) is taken away."""
    kept = iter(np.ix_(*(axis for axis in axes if axis.ndim)))
    return tuple(next(kept) if axis.ndim else axis for axis in axes)


def _by_names(self: Any, parts: tuple[Any, ...], *value: Any) -> Any:
    """Fields by name beside an index of elements, in any order."""
    names = [part for part in parts if isinstance(part, str)]
    where = tuple(part for part in parts if not isinstance(part, str))
    data = self.data
    if not set(names) <= set(data.dtype.names or ()):
        return _refuse(self, parts if len(parts) > 1 else parts[0], *value)
    dtype = fields_type(data.dtype, names)
    if not value:
        part = data[where]
        return part[names[0]] if len(names) == 1 else packed(part, dtype)
    new = value[0]
    for name in names:
        fields = getattr(getattr(new, "dtype", None), "names", None)
        data[name][where] = new[name] if fields and name in fields else new
    return None


def _is_region(part: Any) -> bool:
    from memdata.formats.references import RegionReference

    return isinstance(part, RegionReference)


def region_index_of(reference: Any) -> Any:
    """The NumPy index of what a reference selects."""
    from h5py import h5s

    return region_index(h5s.decode(reference.selection))


def region_index(space: Any) -> Any:
    """The NumPy index of what is selected in an HDF5 dataspace."""
    from h5py import h5s

    kind = space.get_select_type()
    if kind == h5s.SEL_ALL:
        return ()
    if kind == h5s.SEL_POINTS:
        return tuple(space.get_select_elem_pointlist().T)
    if kind == h5s.SEL_HYPERSLABS and space.is_regular_hyperslab():
        axes = []
        for start, stride, count, block in zip(*space.get_regular_hyperslab(), strict=True):
            blocks = start + stride * np.arange(count)
            axes.append((blocks[:, None] + np.arange(block)).ravel())
        return np.ix_(*axes) if axes else ()
    mask = np.zeros(space.shape, bool)
    if kind == h5s.SEL_HYPERSLABS:
        for first, last in space.get_select_hyper_blocklist():
            mask[tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))] = True
    return mask


def fields_type(dtype: np.dtype[Any], names: Any) -> np.dtype[Any]:
    """The type of one field, or of a structure of some of them.

    Raises
    ------
    ValueError
        The type has no such fields.
    """
    if dtype.names is None:
        raise ValueError(f"the type {dtype} has no fields")
    wanted = [names] if isinstance(names, str) else names
    for name in wanted:
        if name not in dtype.names:
            raise ValueError(f"the type has no field {name!r}; it has {', '.join(dtype.names)}")
    return dtype[names] if isinstance(names, str) else np.dtype([(n, dtype[n]) for n in wanted])


def packed(part: Any, dtype: np.dtype[Any]) -> Any:
    """Some fields of a structured array, without the room of the others."""
    result = np.empty(np.shape(part), dtype)
    for name in dtype.names or ():
        result[name] = part[name]
    return result if result.ndim else result[()]


_cmemdata._bind(other_index=_other_index)
