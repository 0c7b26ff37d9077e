"""What an HDF5 reference is in memory: the path of what it points to.

In a file a reference is an address, which means nothing in any other file and nothing after the
file is closed. So reading turns references into paths, and writing turns paths into references
to what stands there in the new file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["ObjectReference", "RegionReference", "from_file", "holds_references", "to_file"]

Array = np.ndarray[Any, Any]


class ObjectReference:
    """A reference to a group or dataset of the same tree.

    Parameters
    ----------
    path : str or None
        Absolute path of the object; None is the null reference, which is false.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | None = None) -> None:
        self.path = path

    def __bool__(self) -> bool:
        return self.path is not None

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} to {self.path!r}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> ObjectReference:
        return self

    def _key(self) -> tuple[Any, ...]:
        return (self.path,)

    def as_array(self) -> Array:
        """A 0-d array of h5py's reference type that holds this reference."""
        import h5py

        region = isinstance(self, RegionReference)
        array = np.empty((), h5py.regionref_dtype if region else h5py.ref_dtype)
        array[()] = self
        return array

    def make(self, file_id: Any, prefix: str) -> Any:
        """The reference in an open file, where the tree's root is at `prefix`."""
        from h5py import h5r

        if self.path is None:
            return h5r.Reference()
        return h5r.create(file_id, _join(prefix, self.path), h5r.OBJECT)


class RegionReference(ObjectReference):
    """A reference to a selection of a dataset.

    Parameters
    ----------
    path : str or None
        Absolute path of the dataset.
    selection : bytes
        The dataspace with its selection, as HDF5 encodes it.
    """

    __slots__ = ("selection",)

    def __init__(self, path: str | None = None, selection: bytes = b"") -> None:
        super().__init__(path)
        self.selection = selection

    def _key(self) -> tuple[Any, ...]:
        return (self.path, self.selection)

    def make(self, file_id: Any, prefix: str) -> Any:
        """The reference in an open file, where the tree's root is at `prefix`."""
        from h5py import h5r, h5s

        if self.path is None:
            return h5r.RegionReference()
        name = _join(prefix, self.path)
        return h5r.create(file_id, name, h5r.DATASET_REGION, h5s.decode(self.selection))


def _join(prefix: str, path: str) -> bytes:
    return posixpath.join(prefix, path.lstrip("/")).encode("utf-8", "surrogateescape") or b"/"


def holds_references(dtype: np.dtype[Any]) -> bool:
    """Whether elements of the type are, or hold, HDF5 references."""
    if not dtype.hasobject:
        return False
    if dtype.subdtype is not None:
        return holds_references(dtype.subdtype[0])
    if dtype.fields is not None:
        return any(holds_references(field[0]) for field in dtype.fields.values())
    metadata: Any = dtype.metadata or {}
    if "ref" in metadata:
        return True
    inner = metadata.get("vlen")
    return isinstance(inner, np.dtype) and holds_references(inner)


def _mapped(array: Array, change: Callable[[Any], Any]) -> Array:
    """A copy of `array` with `change` applied to every reference in it."""
    result = array.copy()
    if array.dtype.names is not None:
        for name in array.dtype.names:
            if holds_references(array.dtype[name]):
                result[name] = _mapped(array[name], change)
        return result
    inner = (array.dtype.metadata or {}).get("vlen")
    for index in np.ndindex(array.shape):
        item = array[index]
        if inner is None:
            result[index] = change(item)
        elif isinstance(item, np.ndarray):
            result[index] = _mapped(item, change)
    return result


def from_file(array: Array, file_id: Any, prefix: str) -> Array:
    """`array` as h5py read it, with paths instead of references.

    Parameters
    ----------
    array : ndarray
        Its type satisfies `holds_references`.
    file_id : h5py.h5f.FileID
        The file it was read from.
    prefix : str
        The path in that file which is the root of the tree in memory.
    """
    from h5py import h5r

    def change(item: Any) -> Any:
        if not isinstance(item, h5r.Reference):
            return item
        region = isinstance(item, h5r.RegionReference)
        path = _target(item, file_id, prefix)
        if not region:
            return ObjectReference(path)
        if path is None:
            return RegionReference()
        return RegionReference(path, h5r.get_region(item, file_id).encode())

    return _mapped(array, change)


def _target(item: Any, file_id: Any, prefix: str) -> str | None:
    from h5py import h5r

    if not item:
        return None
    try:
        name = h5r.get_name(item, file_id)
    except (ValueError, RuntimeError, OSError):
        return None  # what it pointed to has been deleted
    if name is None:
        return None
    path: str = name.decode("utf-8", "surrogateescape")
    root = prefix.rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :] or "/"
    return path


def to_file(array: Array, file_id: Any, prefix: str) -> Array:
    """`array` with the references that its paths are in an open file.

    A path that leads nowhere becomes a null reference.
    """

    def change(item: Any) -> Any:
        if not isinstance(item, ObjectReference):
            return item
        try:
            return item.make(file_id, prefix)
        except (KeyError, ValueError, RuntimeError, OSError):
            return type(item)().make(file_id, prefix)

    return _mapped(array, change)
