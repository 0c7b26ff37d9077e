"""HDF5-like trees in memory: groups, datasets and attributes, loaded from and saved to files.

A `MemGroup` is a tree in memory; a `MemDiskGroup` is one in memory or in a file, and the base of
one's own container classes. Datasets are NumPy arrays with attributes.

Examples
--------
>>> import numpy as np
>>> import memdata
>>> group = memdata.MemGroup()
>>> vis = group.create_dataset("obs/vis", data=np.arange(6.0).reshape(2, 3))
>>> vis.attrs["axis"] = ("freq", "time")
>>> group["obs/vis"][1]
array([3., 4., 5.])
"""

import importlib
from typing import TYPE_CHECKING, Any

from memdata import fileformats, mpiarray
from memdata._cmemdata import (
    MemAttrs,
    MemDataset,
    MemDatasetCommon,
    MemDatasetDistributed,
    _MemObjMixin,
    _Storage,
    ro_dict,
)
from memdata._version import __version__
from memdata.diskgroup import MemDiskGroup
from memdata.group import MemGroup, _BaseGroup, _StorageRoot
from memdata.h5api import attributes as _attributes  # noqa: F401 - adds methods to native types
from memdata.h5api import datasets as _datasets  # noqa: F401 - likewise
from memdata.links import NamedType
from memdata.trust import trust

if TYPE_CHECKING:
    from memdata import _io, _memh5, show  # noqa: F401 - programs reach them as memdata._io
    from memdata.comparing import diff, equal
    from memdata.copying import copyattrs, deep_group_copy, get_file, is_group
    from memdata.file import File
    from memdata.locking import lock_file
    from memdata.rescuing import rescue
    from memdata.show import describe, plot
    from memdata.verifying import verify
    from memdata.xarrays import from_xarray, to_xarray

#: Names that no tree needs, and the modules that have them: imported when they are asked for.
_LATER = {
    "File": "file",
    "_io": "",
    "_memh5": "",
    "copyattrs": "copying",
    "deep_group_copy": "copying",
    "describe": "show",
    "diff": "comparing",
    "equal": "comparing",
    "from_xarray": "xarrays",
    "get_file": "copying",
    "is_group": "copying",
    "lock_file": "locking",
    "plot": "show",
    "rescue": "rescuing",
    "show": "",
    "to_xarray": "xarrays",
    "verify": "verifying",
}

__all__ = [
    "File",
    "MemAttrs",
    "MemDataset",
    "MemDatasetCommon",
    "MemDatasetDistributed",
    "MemDiskGroup",
    "MemGroup",
    "NamedType",
    "_BaseGroup",
    "_MemObjMixin",
    "_Storage",
    "_StorageRoot",
    "__version__",
    "copyattrs",
    "deep_group_copy",
    "describe",
    "diff",
    "equal",
    "fileformats",
    "from_xarray",
    "get_file",
    "is_group",
    "lock_file",
    "mpiarray",
    "plot",
    "rescue",
    "ro_dict",
    "to_xarray",
    "trust",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _LATER[name]
    found: Any = importlib.import_module(f"{__name__}.{module or name}")
    if module:
        found = getattr(found, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
