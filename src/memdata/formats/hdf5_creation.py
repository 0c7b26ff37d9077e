"""How an HDF5 dataset is made: what of its creation properties goes through memory, and back.

Memory needs only chunks and compression. The rest travels as a dict beside the dataset
(``dataset._creation``), whose keys are those of h5py's ``create_dataset`` where it has them:

``maxshape``, ``fillvalue``, ``fill_time``, ``shuffle``, ``fletcher32``, ``scaleoffset``,
``track_order``, ``track_times``
    as in h5py; absent means the default
``fill_undefined``
    there is no fill value, not even zero, as in files of HDF5 1.4
``filters``
    the pipeline as HDF5 has it, a tuple of (code, flags, values, name), where keywords do not say
    it all
``chunks``
    chunks that are larger than the data; memory cuts them
``type``
    HDF5's encoding of the type, where h5py's own for the same NumPy type is another
``track_attributes``
    of a group: the order of attributes is tracked, that of members is not
``named_type``
    the path of the named type that the dataset uses; what is not a path stands for one that has
    no name
``userblock``
    of the root of a file: the bytes before HDF5's part, which programs such as MATLAB put there
``attributes``
    attributes as the file has them, by name; see `memdata.formats.hdf5_attributes`

What does not fit the dataset any more (a new shape, other compression) is left out when it is
saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from h5py import h5d, h5f, h5p, h5s, h5t

from memdata.formats.hdf5_filters import (
    Pipeline,
    creation_list,
    filters_of,
    set_filters,
    set_pipeline,
)
from memdata.formats.tree import NO_FILTERS, NOTHING, Filters

__all__ = [
    "CreationReader",
    "dataspace",
    "maximal_shape",
    "new_creation",
    "set_creation",
    "wanted_filters",
]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]
Shape = tuple[int, ...]

_FILL_TIMES = {h5d.FILL_TIME_ALLOC: "alloc", h5d.FILL_TIME_NEVER: "never"}
_FILL_TIME_CODES = {name: code for code, name in _FILL_TIMES.items()}


class CreationReader:
    """Reads creation properties; equal ones, which follow each other in many files, only once."""

    def __init__(self) -> None:
        self._plist: Any = None
        self._dtype: Dtype | None = None
        self._found: tuple[Filters, Mapping[str, Any], Pipeline] = (NO_FILTERS, NOTHING, ())

    def read(self, plist: Any, dtype: Dtype) -> tuple[Filters, Mapping[str, Any], Pipeline]:
        """What a property list says.

        Parameters
        ----------
        plist : h5py.h5p.PropDCID
            Of a dataset.
        dtype : numpy.dtype
            h5py's type of its elements.

        Returns
        -------
        filters : Filters
            What memory needs.
        creation : mapping
            The rest; shared between calls, do not change it.
        pipeline : tuple of (code, flags, values, name)
            All filters.
        """
        if self._plist is not None and self._dtype is dtype and self._plist == plist:
            return self._found
        found = _read(plist, dtype)
        if found[0].chunks is None:  # HDF5 takes different chunks for equal
            self._plist, self._dtype, self._found = plist, dtype, found
        return found


def _read(plist: Any, dtype: Dtype) -> tuple[Filters, Mapping[str, Any], Pipeline]:
    filters, pipeline, by_keywords = filters_of(plist)
    creation: dict[str, Any] = {}
    if not by_keywords:
        creation["filters"] = pipeline
    if filters.shuffle:
        creation["shuffle"] = True
    if filters.fletcher32:
        creation["fletcher32"] = True
    if filters.scaleoffset is not None:
        creation["scaleoffset"] = filters.scaleoffset
    defined = plist.fill_value_defined()
    if defined == h5d.FILL_VALUE_UNDEFINED and plist.get_fill_time() != h5d.FILL_TIME_ALLOC:
        creation["fill_undefined"] = True
    if defined == h5d.FILL_VALUE_USER_DEFINED:
        value = _fill_value(plist, dtype)
        if value is not None:
            creation["fillvalue"] = value
    time = _FILL_TIMES.get(plist.get_fill_time())
    if time is not None:
        creation["fill_time"] = time
    if plist.get_attr_creation_order() & h5p.CRT_ORDER_TRACKED:
        creation["track_order"] = True
    if plist.get_obj_track_times():
        creation["track_times"] = True
    return filters, creation or NOTHING, pipeline


def _fill_value(plist: Any, dtype: Dtype) -> Any:
    """The fill value, of h5py's type; None where h5py cannot tell it."""
    if dtype.subdtype is not None or not _can_fill(dtype):
        return None
    value = np.zeros(1, dtype)
    try:
        plist.get_fill_value(value)
    except (TypeError, ValueError, RuntimeError, OSError):
        return None
    return value[0]


# Back


def wanted_filters(filters: Filters, creation: Mapping[str, Any], shape: Shape) -> Filters:
    """Chunks and filters of a dataset in memory, with what its creation says beside them."""
    chunks = filters.chunks
    if chunks is not None and len(chunks) < len(shape):  # elements that are arrays are not cut
        chunks = (*chunks, *shape[len(chunks) :])
        filters = filters._replace(chunks=chunks)
    if not creation or not shape:
        return filters
    whole = creation.get("chunks")
    if whole is not None and chunks is not None and len(whole) == len(shape):
        cut = tuple(min(chunk, length) for chunk, length in zip(whole, shape, strict=True))
        if cut == tuple(chunks):
            chunks = whole
    scaleoffset = creation.get("scaleoffset")
    wanted = Filters(
        chunks,
        filters.compression,
        filters.compression_opts,
        bool(creation.get("shuffle", filters.shuffle)),
        bool(creation.get("fletcher32", filters.fletcher32)),
        filters.scaleoffset if scaleoffset is None else scaleoffset,
    )
    return wanted if any(wanted) or wanted.scaleoffset is not None else NO_FILTERS


def new_creation(creation: Mapping[str, Any]) -> Any:
    """A dataset creation property list to begin with."""
    if creation and creation.get("fill_undefined") and "fillvalue" not in creation:
        return _without_fill().copy()
    return creation_list()


@cache
def _without_fill() -> Any:
    """A property list that says that there is no fill value.

    h5py cannot say so. But it copies the property list of a dataset that has none, so one is made
    in memory: the header of a dataset in HDF5's oldest format has no checksum.
    """
    file = h5f.create(b"memdata-fill", h5f.ACC_TRUNC, fapl=_in_memory())
    h5d.create(file, b"dataset", h5t.STD_I8LE, h5s.create(h5s.SCALAR), creation_list())
    h5f.flush(file)
    image = bytearray(file.get_file_image())
    file.close()
    # The message "fill value": number 5, 8 bytes. Of these the fourth says that there is one.
    image[image.index(b"\x05\0\x08\0\x01\0\0\0") + 8 + 3] = 0
    access = _in_memory()
    access.set_file_image(bytes(image))
    file = h5f.open(b"memdata-fill", h5f.ACC_RDONLY, fapl=access)
    plist = h5d.open(file, b"dataset").get_create_plist()
    file.close()
    assert plist.fill_value_defined() == h5d.FILL_VALUE_UNDEFINED
    plist.set_obj_track_times(False)
    return plist


def _in_memory() -> Any:
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_fapl_core(1 << 12, False)
    access.set_libver_bounds(h5f.LIBVER_EARLIEST, h5f.LIBVER_LATEST)
    return access


def set_creation(
    plist: Any,
    filters: Filters,
    creation: Mapping[str, Any],
    shape: Shape,
    dtype: Dtype,
) -> None:
    """Write chunks, filters and all else into a dataset creation property list.

    Raises
    ------
    ValueError
        Options that a filter does not take, or a filter that is not installed.
    """
    if shape and filters != NO_FILTERS:
        maximum = _maximum(creation, shape) or shape
        pipeline = creation.get("filters")
        if pipeline is not None and _same_words(pipeline, filters):
            set_pipeline(plist, pipeline, filters.chunks, shape, maximum, dtype)
        else:
            set_filters(plist, filters, shape, dtype, maximum)
    if not creation:
        return
    if "fillvalue" in creation and _can_fill(dtype):
        _set_fill_value(plist, creation["fillvalue"], dtype)
    if creation.get("fill_time") in _FILL_TIME_CODES:
        plist.set_fill_time(_FILL_TIME_CODES[creation["fill_time"]])
    if creation.get("track_order"):
        plist.set_attr_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
    if creation.get("track_times"):
        plist.set_obj_track_times(True)


def _same_words(pipeline: Pipeline, filters: Filters) -> bool:
    """Whether a pipeline is the one that was described as these filters."""
    from memdata.formats.hdf5_filters import named_filters

    named = named_filters(pipeline, filters.chunks)
    return named == filters._replace(compression_opts=_tuple(filters.compression_opts))


def _tuple(options: Any) -> Any:
    return tuple(options) if isinstance(options, list) else options


def _can_fill(dtype: Dtype) -> bool:
    """Whether h5py can write fill values of a type: none with objects but text."""
    return not dtype.hasobject or h5t.check_string_dtype(dtype) is not None


def _set_fill_value(plist: Any, value: Any, dtype: Dtype) -> None:
    text = h5t.check_string_dtype(dtype)
    if text is None:
        plist.set_fill_value(np.asarray(value))
        return
    array = np.empty((), h5t.string_dtype(text.encoding))  # h5py knows only such fill values
    array[()] = value
    plist.set_fill_value(array)


def _maximum(creation: Mapping[str, Any], shape: Shape) -> Shape | None:
    """The maximal shape, where there is one and it still fits."""
    wanted = creation.get("maxshape")
    if wanted is None or len(wanted) != len(shape):
        return None
    fits = all(most is None or most >= length for most, length in zip(wanted, shape, strict=True))
    if not fits:
        return None
    return tuple(h5s.UNLIMITED if most is None else int(most) for most in wanted)


def dataspace(shape: Shape, creation: Mapping[str, Any], chunked: bool) -> Any:
    """A dataspace with a maximal shape, which only chunked datasets have."""
    maximum = _maximum(creation, shape) if chunked and creation else None
    return h5s.create_simple(shape) if maximum is None else h5s.create_simple(shape, maximum)


def maximal_shape(space: Any, shape: Shape) -> tuple[int | None, ...] | None:
    """The maximal shape of a dataspace, as h5py tells it; None where it is `shape`."""
    maximum = space.get_simple_extent_dims(True)
    if maximum == shape:
        return None
    return tuple(None if most == h5s.UNLIMITED else most for most in maximum)
