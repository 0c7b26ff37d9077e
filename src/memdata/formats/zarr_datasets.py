"""zarr's arrays with h5py's words: what a container around an open store gives out as datasets."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Iterator
from typing import Any

import numpy as np

from memdata.formats import is_zarr, zarr_library
from memdata.formats.zarr_layout import words_of
from memdata.h5api import datasets as words
from memdata.h5api import indexes

__all__ = ["dataset"]

Array = np.ndarray[Any, Any]


def dataset(found: Any) -> Any:
    """What a look-up in an open file found, with h5py's words where it is zarr's array.

    It is an array of zarr still, of a class derived from the library's own.
    """
    if not is_zarr(found) or hasattr(found, "create_group") or isinstance(found, _Words):
        return found
    kind: Any = type(found)
    cls = _class_for(kind)
    if zarr_library.major() >= 3:
        return cls(found._async_array)
    return cls(
        found.store,
        path=found.path,
        read_only=found.read_only,
        chunk_store=found.chunk_store,
        synchronizer=found.synchronizer,
    )


@functools.cache
def _class_for(cls: Any) -> Any:
    """A class of zarr's arrays with the words added."""
    return type(cls.__name__, (_Words, cls), {"__module__": cls.__module__, "__hash__": _hash})


def _hash(self: Any) -> int:
    return hash((type(self).__name__, self.path))


class _Words:
    """h5py's words for an array of zarr, before the library's own."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: str
    store: Any
    read_only: bool
    fill_value: Any

    # -- how it is stored --------------------------------------------------------------------------

    @property
    def maxshape(self) -> tuple[int | None, ...]:
        """None for every axis: arrays of zarr may grow."""
        return (None,) * len(self.shape)

    @property
    def fillvalue(self) -> Any:
        """What elements are that nobody wrote."""
        return words.fillvalue(_Unwritten(self.shape, self.dtype, self.fill_value))

    def _in_words(self) -> Any:
        return words_of(zarr_library.describe(self), self.shape, chunked=True)[0]

    @property
    def compression(self) -> Any:
        """The compression in h5py's words, or None."""
        return self._in_words().compression

    @property
    def compression_opts(self) -> Any:
        """Its options."""
        return self._in_words().compression_opts

    @property
    def shuffle(self) -> bool:
        """Whether bytes are shuffled before they are compressed."""
        return bool(self._in_words().shuffle)

    @property
    def fletcher32(self) -> bool:
        """Whether chunks have checksums."""
        return bool(self._in_words().fletcher32)

    scaleoffset = None
    is_virtual = False
    external = None

    @property
    def is_scalar(self) -> bool:
        """Whether it has one element and no axes."""
        return self.shape == ()

    # -- where it is -------------------------------------------------------------------------------

    @property
    def parent(self) -> Any:
        """The group that has it, as zarr opens it."""
        return self._group(posixpath.dirname(self.path))

    @property
    def file(self) -> Any:
        """The root of the store, as zarr opens it."""
        return self._group("")

    def _group(self, path: str) -> Any:
        from memdata.fileformats import Zarr

        mode = "r" if self.read_only else "r+"
        return Zarr.module.open_group(self.store, path=path, mode=mode)

    @property
    def ref(self) -> Any:
        """A reference: ``container[reference]`` gives the array."""
        from memdata.formats.references import ObjectReference

        return ObjectReference("/" + self.path.strip("/"))

    def flush(self) -> None:
        """Nothing to do: zarr writes at once."""

    def refresh(self) -> None:
        """Nothing to do: zarr reads when asked."""

    # -- reading and writing -----------------------------------------------------------------------

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a scalar dataset has no length")
        return self.shape[0]

    def len(self) -> int:
        """The length of the first axis."""
        return self.__len__()

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self.__len__()))

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        if not is_zarr(other) or not hasattr(other, "path"):
            return NotImplemented
        array: Any = other
        same = array.path == self.path and getattr(array, "store", None) == self.store
        return bool(same and array.shape == self.shape and array.dtype == self.dtype)

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        whole: Any = super()
        names = [part for part in parts if isinstance(part, str)]
        if names:
            part = whole.__getitem__(tuple(p for p in parts if not isinstance(p, str)))
            return _element(words._Fields(part, names[0] if len(names) == 1 else names)._read(part))
        if any(indexes.is_block_slice(part) for part in parts):
            axes = indexes.block_axes(parts, self.shape)
            return whole.oindex[tuple(axis if axis.ndim else int(axis) for axis in axes)]
        if isinstance(index, np.ndarray) and index.dtype == bool and index.ndim > 1:
            return whole.vindex[index]  # zarr 2 takes a mask nowhere else
        found = whole.__getitem__(index)
        return np.asarray(found) if index is Ellipsis and not self.shape else _element(found)

    iter_chunks = words.iter_chunks
    astype = words.astype
    asstr = words.asstr
    fields = words.fields

    def read_direct(self, dest: Array, source_sel: Any = None, dest_sel: Any = None) -> None:
        """Copy elements into a C-contiguous array: ``dest[dest_sel] = array[source_sel]``."""
        part = np.ascontiguousarray(self[words._plain(source_sel)])
        words._move(self, part, None, dest, dest_sel)

    def write_direct(self, source: Array, source_sel: Any = None, dest_sel: Any = None) -> None:
        """Copy elements of a C-contiguous array here: ``array[dest_sel] = source[source_sel]``."""
        where = words._plain(dest_sel)
        shape = np.broadcast_to(0, self.shape)[where].shape
        part = np.empty(shape, self.dtype)
        words._move(self, source, source_sel, part, None)
        whole: Any = super()
        whole.__setitem__(where, part)

    def resize(self, size: Any, axis: int | None = None) -> None:
        """Change the shape; with `axis`, the length of that axis.

        Raises
        ------
        ValueError
            Another number of axes, or no such axis.
        """
        if axis is not None:
            if not 0 <= axis < len(self.shape):
                raise ValueError(f"/{self.path} has {len(self.shape)} axes, so no axis {axis}")
            size = (*self.shape[:axis], int(size), *self.shape[axis + 1 :])
        shape = tuple(int(n) for n in ((size,) if np.ndim(size) == 0 else size))
        if len(shape) != len(self.shape):
            raise ValueError(f"/{self.path} of shape {self.shape} cannot have the shape {shape}")
        whole: Any = super()
        whole.resize(shape)


def _element(found: Any) -> Any:
    """An element itself, where zarr gives an array without axes."""
    return found[()] if isinstance(found, np.ndarray) and found.ndim == 0 else found


class _Unwritten:
    """As much of a dataset as tells what its unwritten elements are."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], fill: Any) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        plain = fill is not None and self.dtype.kind in "biufc"
        self._creation = {"fillvalue": self.dtype.type(fill)} if plain else {}
