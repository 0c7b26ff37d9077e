"""What h5py's datasets can do, for datasets in memory.

The functions and properties below become members of the native `MemDatasetCommon` (and, where they
make sense, of all datasets) when memdata is imported; see `_cmemdata._extend`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from memdata import _cmemdata
from memdata.h5api import creation, texts
from memdata.h5api.errors import ResizeRefusedError, TooLongError
from memdata.h5api.indexes import fields_type, packed, region_index, region_index_of

__all__: list[str] = []

Array = np.ndarray[Any, Any]


# ---- what is known of how it is made -------------------------------------------------------------


def _kept(key: str, default: Any, text: str) -> property:
    def get(self: Any) -> Any:
        return self._creation.get(key, default)

    get.__doc__ = text
    return property(get)


def maxshape(self: Any) -> tuple[int | None, ...] | None:
    """How far each axis may grow with `resize`; None for an axis without limit."""
    most: tuple[int | None, ...] | None = self._creation.get("maxshape")
    return self.shape if most is None else most


def fillvalue(self: Any) -> Any:
    """What elements are that nobody wrote: zero, unless `create_dataset` was told."""
    value = self._creation.get("fillvalue")
    if value is not None or self.shape is None:
        return value
    value = creation.unwritten(self.dtype)
    return np.zeros((), self.dtype)[()] if value is None else value


def is_scalar(self: Any) -> bool:
    """Whether it has one element and no axes."""
    return bool(self.shape == ())


def is_virtual(_self: Any) -> bool:
    """False: in memory, the parts of a virtual dataset are in one place."""
    return False


def external(_self: Any) -> None:
    """None: the data are in memory."""


def flush(self: Any) -> None:
    """Nothing to do in memory."""


def refresh(self: Any) -> None:
    """Nothing to do in memory: handles share one dataset."""


def length(self: Any) -> int:
    """The length of the first axis; as ``len()``, which cannot tell more than 2**63."""
    return len(self)


def ref(self: Any) -> Any:
    """A reference to the dataset: ``group[reference]`` gives it."""
    from memdata.formats.references import ObjectReference

    return ObjectReference(self.name)


class _Regions:
    """``dataset.regionref[index]``: references to parts of a dataset."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __getitem__(self, index: Any) -> Any:
        from h5py._hl import selections

        from memdata.formats.references import RegionReference

        space = selections.select(self._dataset.shape, index, dataset=None).id
        return RegionReference(self._dataset.name, space.encode())

    def shape(self, reference: Any) -> tuple[int, ...]:
        """The shape of the dataset that a reference is to."""
        shape: tuple[int, ...] = self._dataset.file[reference].shape
        return shape

    def selection(self, reference: Any) -> tuple[int, ...]:
        """The shape of what a reference selects."""
        shape: tuple[int, ...] = self._dataset.data[region_index_of(reference)].shape
        return shape


def regionref(self: Any) -> _Regions:
    """``regionref[index]`` is a reference to a part; ``dataset[reference]`` reads it."""
    return _Regions(self)


def dims(self: Any) -> Any:
    """The axes: their labels and scales, ``dataset.dims[0].label = "time"``."""
    from memdata.h5api.dims import Dimensions

    return Dimensions(self)


def make_scale(self: Any, name: str = "") -> None:
    """Make the dataset a dimension scale, which axes of others can have; see `dims`."""
    from memdata.h5api.dims import make_scale

    make_scale(self, name)


def is_scale(self: Any) -> bool:
    """Whether the dataset is a dimension scale."""
    from memdata.h5api.dims import is_scale

    return is_scale(self)


def identifier(self: Any) -> Any:
    """What h5py's identifier of the dataset tells, as far as memory knows it: types, filters."""
    from memdata.h5api.lowlevel import DatasetID

    return DatasetID(self)


def filter_ids(self: Any) -> tuple[int, ...]:
    """The numbers of the filters that a file would have."""
    from memdata.h5api.lowlevel import filters_of

    return tuple(number for number, _ in filters_of(self))


def filter_names(self: Any) -> tuple[str, ...]:
    """The names of the filters that a file would have."""
    from memdata.h5api.lowlevel import filters_of

    return tuple(name for _, name in filters_of(self))


# ---- size ----------------------------------------------------------------------------------------


class _Spare(np.ndarray[Any, Any]):
    """Memory behind a dataset that grew along its first axis, with room to grow further."""


def resize(self: Any, size: Any = None, axis: int | None = None) -> None:
    """Change the shape within `maxshape`; what is cut off is lost, what is new is `fillvalue`.

    Parameters
    ----------
    size : tuple of int, or int
        The new shape; with `axis`, the new length of that axis.
    axis : int, optional
        The axis to change.

    Raises
    ------
    NotImplementedError
        The dataset was made without `maxshape`; as for h5py a TypeError too.
    ValueError
        More than `maxshape` allows, or another number of axes.

    Examples
    --------
    >>> import memdata
    >>> d = memdata.MemGroup().create_dataset("x", (2,), maxshape=(None,))
    >>> d.resize(3, axis=0)
    >>> d[:]
    array([0., 0., 0.])
    """
    most = self._creation.get("maxshape")
    if most is None:
        raise ResizeRefusedError(f"{self.name} cannot be resized: it was made without maxshape")
    if size is None:
        raise TypeError(f"{self.name}: resize needs a size")
    old, before = self.data, self.shape
    if axis is not None:
        if not 0 <= axis < len(before):
            raise ValueError(f"{self.name} has {len(before)} axes, so no axis {axis}")
        shape = (*before[:axis], int(size), *before[axis + 1 :])
    else:
        shape = tuple(int(n) for n in ((size,) if np.ndim(size) == 0 else size))
    fits = len(shape) == len(before) and all(
        n >= 0 and (limit is None or n <= limit) for n, limit in zip(shape, most, strict=False)
    )
    if not fits:
        raise TooLongError(f"{self.name} cannot have the shape {shape}: its maxshape is {most}")
    if shape != before:
        fill = self._creation.get("fillvalue")
        if self._creation.get("fill_time") == "never":
            fill = None
        self._set_data(_resized(old, shape + old.shape[len(before) :], fill))


def _resized(old: Array, shape: tuple[int, ...], fill: Any) -> Array:
    """An array of another shape with the elements that both have."""
    if shape[1:] == old.shape[1:] and old.flags.c_contiguous:
        return _longer(old, shape, fill)
    new = np.zeros(shape, old.dtype)
    creation.clear(new)
    creation.filled(new, _as_others(fill, old))
    both = tuple(slice(0, min(a, b)) for a, b in zip(shape, old.shape, strict=True))
    new[both] = old[both]
    return new


def _as_others(fill: Any, old: Array) -> Any:
    """The fill value of text, as the elements that are there: str, or else bytes as in h5py."""
    if not texts.is_text(old.dtype):
        return fill
    return texts.as_elements(fill, old.dtype, texts.taken(old))


def _longer(old: Array, shape: tuple[int, ...], fill: Any) -> Array:
    """Another length of the first axis: in place where there is room, so appending is cheap."""
    count, kept = shape[0], min(shape[0], len(old))
    fill = _as_others(fill, old)
    room: Any = getattr(old.base, "base", None)  # between them is the part in use
    start = old.__array_interface__["data"][0]
    if (
        type(room) is not _Spare
        or room.shape[0] < count
        or room.shape[1:] != shape[1:]
        or room.dtype != old.dtype
        or room.__array_interface__["data"][0] != start
    ):
        grows = count > len(old) > 0
        room = np.zeros(
            (max(count, len(old) + len(old) // 2) if grows else count, *shape[1:]), old.dtype
        )
        room = room.view(_Spare)
        room[:kept] = old[:kept]
        new: Array = room[:count].view(np.ndarray)
        creation.clear(new[kept:])
        creation.filled(new[kept:], fill)
        return new
    new = room[:count].view(np.ndarray)
    if count > kept:
        new[kept:] = 0
        creation.clear(new[kept:])
        creation.filled(new[kept:], fill)
    return new


# ---- reading in other ways -----------------------------------------------------------------------


class _Wrapped:
    """A dataset that is read in another way: `astype`, `asstr`, `fields`."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    @property
    def shape(self) -> Any:
        return self._dataset.shape

    @property
    def ndim(self) -> int:
        return int(self._dataset.ndim)

    @property
    def size(self) -> Any:
        return self._dataset.size

    def _read(self, part: Any) -> Any:
        raise NotImplementedError

    def __getitem__(self, index: Any) -> Any:
        return self._read(self._dataset[index])

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("copy=False was given, but memory allocation cannot be avoided")
        return np.asarray(self[()], dtype=dtype)


class _AsType(_Wrapped):
    def __init__(self, dataset: Any, dtype: Any) -> None:
        super().__init__(dataset)
        self.dtype = np.dtype(dtype)

    def _read(self, part: Any) -> Any:
        return part.astype(self.dtype, copy=False) if hasattr(part, "astype") else part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self[()], dtype=self.dtype if dtype is None else dtype, copy=copy)


class _AsStr(_Wrapped):
    def __init__(self, dataset: Any, encoding: str, errors: str) -> None:
        super().__init__(dataset)
        self.encoding, self.errors = encoding, errors

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(object)

    def _read(self, part: Any) -> Any:
        if not isinstance(part, np.ndarray):
            return self._text(part)
        result = np.empty(part.shape, object)
        for index in np.ndindex(part.shape):
            result[index] = self._text(part[index])
        return result

    def _text(self, item: Any) -> str:
        if isinstance(item, str):  # as from a file, which holds it as UTF-8
            item = item.encode("utf-8", "surrogateescape")
        return item.decode(self.encoding, self.errors) if isinstance(item, bytes) else str(item)


class _Fields(_Wrapped):
    def __init__(self, dataset: Any, names: Any) -> None:
        super().__init__(dataset)
        self._names = names if isinstance(names, str) else list(names)
        self.dtype = fields_type(dataset.dtype, self._names)

    def _read(self, part: Any) -> Any:
        return part[self._names] if isinstance(self._names, str) else packed(part, self.dtype)


def astype(self: Any, dtype: Any) -> _AsType:
    """A wrapper that reads as another type: ``dataset.astype("f4")[:10]``.

    Raises
    ------
    TypeError
        NumPy's `StringDType` for what is no text.
    """
    if np.dtype(dtype).kind == "T" and self.dtype.kind not in "SUT" and not self.dtype.hasobject:
        raise TypeError(f"{self.name}: {self.dtype} is no HDF5 string datatype")
    return _AsType(self, dtype)


def asstr(self: Any, encoding: str | None = None, errors: str = "strict") -> _AsStr:
    """A wrapper that reads strings as str objects: ``dataset.asstr()[:10]``."""
    if self.dtype.kind not in "SUT" and not self.dtype.hasobject:
        raise TypeError(f"{self.name} holds no strings but {self.dtype}")
    if self.dtype.hasobject and (self.dtype.metadata or {}).get("vlen", str) not in (str, bytes):
        raise TypeError(f"{self.name} holds no strings but {self.dtype}")
    return _AsStr(self, encoding or "utf-8", errors)


def fields(self: Any, names: str | Sequence[str]) -> _Fields:
    """A wrapper that reads some fields of a structure: ``dataset.fields(["x", "y"])[:10]``."""
    return _Fields(self, names)


def read_direct(self: Any, dest: Array, source_sel: Any = None, dest_sel: Any = None) -> None:
    """Copy elements into a C-contiguous array: ``dest[dest_sel] = dataset[source_sel]``.

    Raises
    ------
    TypeError
        The two do not fit, or the array is not contiguous.
    """
    _move(self, self.data, source_sel, dest, dest_sel)


def write_direct(self: Any, source: Array, source_sel: Any = None, dest_sel: Any = None) -> None:
    """Copy elements of a C-contiguous array here: ``dataset[dest_sel] = source[source_sel]``.

    Raises
    ------
    TypeError
        The two do not fit, or the array is not contiguous.
    """
    _move(self, source, source_sel, self.data, dest_sel)


def _move(self: Any, source: Any, source_sel: Any, dest: Any, dest_sel: Any) -> None:
    for array in (source, dest):
        if not isinstance(array, np.ndarray):
            raise TypeError(
                f"{self.name}: elements are moved between it and an array, not {array!r:.80}"
            )
        if array is not getattr(self, "data", None) and not array.flags.c_contiguous:
            raise TypeError(f"{self.name}: the array must be C-contiguous")
    part = np.asarray(source[_plain(source_sel)])
    where = _plain(dest_sel)
    shape = np.shape(dest[where])
    if shape != part.shape and math.prod(shape) == part.size > 0:
        part = part.reshape(shape)
    try:
        dest[where] = part
    except ValueError as error:
        raise TypeError(f"{self.name}: {error}") from None


def _plain(selection: Any) -> Any:
    """A NumPy index from one, from None, or from h5py's selection object."""
    if selection is None:
        return ()
    if hasattr(selection, "id") and hasattr(selection, "mshape"):
        return region_index(selection.id)
    return selection


def iter_chunks(self: Any, sel: Any = None) -> Iterator[tuple[slice, ...]]:
    """The chunks as tuples of slices, in order, cut down to the selection `sel`.

    Raises
    ------
    TypeError
        The dataset has no chunks.
    ValueError
        The selection is not inside the dataset.
    """
    shape, chunks = self.shape, self.chunks
    if not chunks:
        raise TypeError(f"{self.name} has no chunks")
    given = (
        (slice(None),) * len(shape) if sel is None else sel if isinstance(sel, tuple) else (sel,)
    )
    if len(given) != len(shape):
        raise ValueError(f"{self.name}: a selection of {len(shape)} axes is needed, got {sel!r}")
    axes = []
    for part, size, step in zip(given, shape, chunks, strict=True):
        if isinstance(part, int | np.integer):
            part = slice(int(part), int(part) + 1)
        start, stop = part.start or 0, size if part.stop is None else part.stop
        if not 0 <= start < stop <= size:
            raise ValueError(f"{self.name}: {part} is not inside an axis of {size}")
        axes.append(
            [
                slice(max(start, at), min(stop, at + step), 1)
                for at in range(start // step * step, stop, step)
            ]
        )
    return itertools.product(*axes)


def _set_special(self: Any, index: Any, value: Any) -> None:
    """``dataset[index] = value`` where elements are objects of one kind that HDF5 knows.

    Raises
    ------
    TypeError, ValueError
        What is not of that kind.
    """
    data = self.data
    metadata: Any = data.dtype.metadata or {}
    if "ref" in metadata:
        _check_references(self, value, metadata["ref"])
    if texts.is_text(data.dtype):
        value = texts.as_elements(value, data.dtype, texts.taken(self))
    of = metadata.get("vlen")
    if of is None or of is str or of is bytes:  # a float64 type equals None
        data[index] = value
        return
    base = np.dtype(of)
    places = np.arange(data.size).reshape(data.shape)[index]
    values = _ragged(value, base)
    if np.ndim(places) == 0:
        if values.size != 1:
            raise ValueError(f"{self.name}: {values.size} arrays for one element")
        data[np.unravel_index(int(places), data.shape)] = values.ravel()[0]
        return
    values = np.broadcast_to(values, places.shape)
    for i, place in np.ndenumerate(places):
        data[np.unravel_index(int(place), data.shape)] = values[i]


def _check_references(self: Any, value: Any, kind: type[Any]) -> None:
    from memdata.formats.references import RegionReference

    regions = kind.__name__ == "RegionReference"
    for item in np.asarray(value, object).flat:
        if isinstance(item, RegionReference) != regions and item:
            raise TypeError(f"{self.name}: cannot convert {item!r} to {kind.__name__}")


def _ragged(value: Any, base: np.dtype[Any]) -> Array:
    """An object array of arrays of the type `base`; of a regular array, the last axis is theirs."""
    if isinstance(value, np.ndarray) and value.dtype.hasobject and base.kind != "O":
        result = np.empty(value.shape, object)
        for where in np.ndindex(value.shape):
            result[where] = np.asarray(value[where], base).ravel()
        return result
    try:
        regular = np.atleast_1d(np.asarray(value, base))
    except (TypeError, ValueError):
        result = np.empty(len(value), object)
        for i, item in enumerate(value):
            result[i] = np.asarray(item, base).ravel()
        return result
    result = np.empty(regular.shape[:-1], object)
    for where in np.ndindex(result.shape):
        result[where] = regular[where]
    return result


# ---- NumPy ---------------------------------------------------------------------------------------


def _array_ufunc(self: Any, ufunc: Any, method: str, *inputs: Any, out: Any = (), **kw: Any) -> Any:
    """NumPy's functions compute with the data; a dataset given as `out` is filled."""
    del self
    arrays = [_operand(item) for item in inputs]
    if "where" in kw:
        kw["where"] = _operand(kw["where"])
    if out:
        kw["out"] = tuple(_operand(item) for item in out)
    result = getattr(ufunc, method)(*arrays, **kw)
    if not out:
        return result
    given = tuple(
        mine if isinstance(mine, _cmemdata.MemDataset) else theirs
        for mine, theirs in zip(
            out, result if isinstance(result, tuple) else (result,), strict=True
        )
    )
    return given if isinstance(result, tuple) else given[0]


def _operand(item: Any) -> Any:
    return getattr(item, "data", item) if isinstance(item, _cmemdata.MemDataset) else item


# ---- seeing what is there ------------------------------------------------------------------------


def plot(self: Any, index: Any = (), **kw: Any) -> Any:
    """Draw it: a line, a waterfall or a histogram; see `memdata.plot`."""
    from memdata import show

    return show.plot(self, index, **kw)


def describe(self: Any) -> Any:
    """What one wants to know first of a dataset; see `memdata.show.describe`."""
    from memdata import show

    return show.describe(self)


def _repr_html_(self: Any) -> str:
    from memdata import show

    return show.html(self)


# ---- into the native types -----------------------------------------------------------------------

_ALL: dict[str, Any] = {
    "maxshape": property(maxshape),
    "fillvalue": property(fillvalue),
    "fill_time": _kept("fill_time", None, "When a file writes fill values; None is its default."),
    "shuffle": _kept("shuffle", False, "Whether a file shuffles bytes before it compresses."),
    "fletcher32": _kept("fletcher32", False, "Whether a file keeps checksums of chunks."),
    "scaleoffset": _kept("scaleoffset", None, "Bits or digits that a file keeps; None keeps all."),
    "external": property(external),
    "id": property(identifier),
    "filter_ids": property(filter_ids),
    "filter_names": property(filter_names),
    "is_virtual": property(is_virtual),
    "ref": property(ref),
    "dims": property(dims),
    "flush": flush,
    "refresh": refresh,
    "iter_chunks": iter_chunks,
    "make_scale": make_scale,
    "is_scale": property(is_scale),
    "__array_ufunc__": _array_ufunc,
    "describe": describe,
    "plot": plot,
    "_repr_html_": _repr_html_,
}

_COMMON: dict[str, Any] = {
    "is_scalar": property(is_scalar),
    "len": length,
    "regionref": property(regionref),
    "resize": resize,
    "astype": astype,
    "asstr": asstr,
    "fields": fields,
    "read_direct": read_direct,
    "write_direct": write_direct,
    "_set_special": _set_special,
}

_cmemdata._extend(_cmemdata.MemDataset, _ALL)
_cmemdata._extend(_cmemdata.MemDatasetCommon, _COMMON)
