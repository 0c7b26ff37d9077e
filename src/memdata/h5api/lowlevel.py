"""What `dataset.id` and `group.id` tell: what one asks identifiers of h5py that memory can answer.

There is no HDF5 below a tree in memory, so these are no identifiers that h5py's low-level functions
take. They tell what the object would be in a file: types, dataspaces and property lists are h5py's
own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata import _cmemdata

__all__ = ["DatasetID", "GroupID", "filters_of"]


class _ObjectID:
    """What the identifiers of all objects tell."""

    def __init__(self, item: Any) -> None:
        self._item = item

    @property
    def valid(self) -> bool:
        """Whether the object is there: all are but those of a `memdata.File` that was closed."""
        root = self._item._storage_root
        if root is None:  # only a closed file has no tree, and what was never in one
            return not isinstance(self._item, _cmemdata._BaseGroup)
        return bool(getattr(root, "open", True))

    def __bool__(self) -> bool:
        return self.valid

    @property
    def name(self) -> bytes | None:
        """The absolute name as it is in a file."""
        name = self._item.name
        return name.encode("utf-8", "surrogateescape") if name else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ObjectID) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> int:
        """The same for all names of, and handles on, one object."""
        from memdata.h5api.groups import identity

        key: int = identity(self._item)
        return key

    @property
    def id(self) -> int:
        """A number, the same as long as the object lives."""
        return self._key()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._item!r}>"


class GroupID(_ObjectID):
    """What `group.id` tells."""

    def get_num_objs(self) -> int:
        """How many children the group has."""
        return len(self._item)


class DatasetID(_ObjectID):
    """What `dataset.id` tells."""

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self._item.shape or ())

    @property
    def shape(self) -> Any:
        """The lengths of the axes."""
        return self._item.shape

    @property
    def dtype(self) -> Any:
        """The NumPy type."""
        return self._item.dtype

    def get_type(self) -> Any:
        """The `h5py.h5t.TypeID` that the data have in a file.

        Raises
        ------
        TypeError
            HDF5 cannot hold them.
        """
        from memdata.formats.hdf5_objects import object_array
        from memdata.formats.hdf5_types import kept_type, type_pair

        dtype = self._item.dtype
        kept = self._item._creation.get("type")
        pair = None if kept is None else kept_type(kept, dtype)
        if pair is None and dtype.hasobject and dtype.kind != "T" and dtype.metadata is None:
            dtype = object_array(self._item.local_data).dtype
        elif dtype.kind == "T":
            dtype = np.dtype("O", metadata={"vlen": str})
        return (type_pair(dtype) if pair is None else pair).file

    def get_space(self) -> Any:
        """The `h5py.h5s.SpaceID` of the shape, with the maximal shape."""
        from h5py import h5s

        shape = self._item.shape
        if not shape:
            return h5s.create(h5s.NULL if shape is None else h5s.SCALAR)
        most = tuple(h5s.UNLIMITED if n is None else n for n in self._item.maxshape)
        return h5s.create_simple(shape, most)

    def get_create_plist(self) -> Any:
        """The `h5py.h5p.PropDCID` with which a file would have it: chunks, filters, fill value."""
        from h5py import h5p

        from memdata.formats.hdf5_creation import set_creation, wanted_filters
        from memdata.formats.tree import Filters

        item, plist = self._item, h5p.create(h5p.DATASET_CREATE)
        shape, creation = item.shape or (), item._creation
        given = Filters(item.chunks, item.compression, item.compression_opts)
        set_creation(plist, wanted_filters(given, creation, shape), creation, shape, item.dtype)
        return plist

    def get_access_plist(self) -> Any:
        """The `h5py.h5p.PropDAID` of a dataset opened without keywords."""
        from h5py import h5p

        return h5p.create(h5p.DATASET_ACCESS)

    def get_offset(self) -> None:
        """None: the data are not in a file."""

    def get_storage_size(self) -> int:
        """The bytes that the elements take in memory."""
        return int(self._item.nbytes or 0)

    def get_num_chunks(self) -> int:
        """How many chunks the data make."""
        return sum(1 for _ in self._item.iter_chunks())


def filters_of(dataset: Any) -> list[tuple[int, str]]:
    """Numbers and names of the filters that a file would have, in their order."""
    plist = DatasetID(dataset).get_create_plist()
    found = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    return [(code, name.decode("utf-8", "surrogateescape")) for code, _, _, name in found]
