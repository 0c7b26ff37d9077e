"""Names that programs import from the private module `caput.memdata._memh5`, in one place.

The type aliases and `zarr_available` are worked out when they are first asked for: the aliases
hold classes of h5py and, where it is installed, zarr.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from memdata import fileformats
from memdata._cmemdata import (
    MemAttrs,
    MemDataset,
    MemDatasetCommon,
    MemDatasetDistributed,
    _MemObjMixin,
    _Storage,
    format_abs_path,
    ro_dict,
)
from memdata.copying import (
    attrs2dict,
    copyattrs,
    deep_copy_dataset,
    deep_group_copy,
    get_file,
    get_h5py_File,
    is_group,
)
from memdata.diskgroup import MemDiskGroup
from memdata.group import MemGroup, _BaseGroup, _StorageRoot
from memdata.locking import lock_file, logger

if TYPE_CHECKING:
    import h5py
    import zarr

    zarr_available: bool
    GroupLike: TypeAlias = _BaseGroup | h5py.Group | zarr.Group
    DatasetLike: TypeAlias = MemDataset | h5py.Dataset | zarr.Array[Any]
    FileLike: TypeAlias = str | os.PathLike[str] | h5py.File
    FileOrGroupLike: TypeAlias = FileLike | GroupLike

__all__ = [
    "DatasetLike",
    "FileLike",
    "FileOrGroupLike",
    "GroupLike",
    "MemAttrs",
    "MemDataset",
    "MemDatasetCommon",
    "MemDatasetDistributed",
    "MemDiskGroup",
    "MemGroup",
    "_BaseGroup",
    "_MemObjMixin",
    "_Storage",
    "_StorageRoot",
    "attrs2dict",
    "copyattrs",
    "deep_copy_dataset",
    "deep_group_copy",
    "fileformats",
    "format_abs_path",
    "get_file",
    "get_h5py_File",
    "is_group",
    "lock_file",
    "logger",
    "ro_dict",
    "zarr_available",
]


def _aliases() -> dict[str, Any]:
    """What the type aliases stand for; all of them can be asked with `isinstance`."""
    import h5py

    zarr = fileformats.Zarr.module if __getattr__("zarr_available") else None
    groups = (_BaseGroup, h5py.Group) + ((zarr.Group,) if zarr else ())
    datasets = (MemDataset, h5py.Dataset) + ((zarr.Array,) if zarr else ())
    files = (str, os.PathLike, h5py.File)
    return {
        "GroupLike": Union[groups],  # noqa: UP007 - of a tuple that was put together
        "DatasetLike": Union[datasets],  # noqa: UP007
        "FileLike": Union[files],  # noqa: UP007
        "FileOrGroupLike": Union[files + groups],  # noqa: UP007
    }


def __getattr__(name: str) -> Any:
    found: dict[str, Any]
    if name == "zarr_available":
        from importlib.util import find_spec

        found = {name: find_spec("zarr") is not None}
    elif name in {"GroupLike", "DatasetLike", "FileLike", "FileOrGroupLike"}:
        found = _aliases()
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals().update(found)
    return found[name]
