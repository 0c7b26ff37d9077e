"""How a dataset is to be made in a file: h5py's keywords, kept in memory for the next save.

Memory needs none of them but `maxshape` (for `resize`) and `fillvalue` (for what is not written).
They live in the `_creation` dict of the dataset, which all handles share; what is absent is the
default.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from memdata.h5api import texts

__all__ = ["KEPT", "attach", "clear", "compression_of", "filled", "normalised", "unwritten"]

#: Keywords of h5py's `create_dataset` that are kept.
KEPT = (
    "maxshape",
    "fillvalue",
    "fill_time",
    "shuffle",
    "fletcher32",
    "scaleoffset",
    "track_order",
    "track_times",
    "filters",
)

#: Those that tune an open file, and mean nothing here.
_OF_FILES = {
    "allow_unknown_filter",
    "dapl",
    "dcpl",
    "efile_prefix",
    "rdcc_nbytes",
    "rdcc_nslots",
    "rdcc_w0",
    "virtual_prefix",
}

_FILL_TIMES = ("alloc", "never", "ifset")
_DEFAULT_GZIP = 4
_NORESERVE = 0x4000  # of Linux; mmap has the name from CPython 3.13 on
_OF_HDF5 = range(1, 7)  # deflate, shuffle, fletcher32, szip, nbit, scaleoffset
_FIRST_REGISTERED = 256
_FILTER_NAMES = {1: "gzip", 4: "szip", 32000: "lzf"}


def normalised(keywords: dict[str, Any], path: str) -> dict[str, Any]:
    """The keywords to keep, checked as far as they can be without shape and type.

    Raises
    ------
    TypeError, ValueError
        An unknown keyword, or a value that h5py would refuse.
    """
    unknown = sorted(set(keywords) - set(KEPT) - _OF_FILES)
    if unknown:
        raise TypeError(f"create_dataset({path!r}) got unexpected keywords: {', '.join(unknown)}")
    kept = {key: keywords[key] for key in KEPT if keywords.get(key) is not None}
    for key in ("shuffle", "fletcher32"):
        if not kept.get(key, True):
            del kept[key]
    for key in ("track_order", "track_times"):
        if kept.get(key, True) not in (True, False):
            raise TypeError(f"{path}: {key} must be True, False or None, got {kept[key]!r}")
    if kept.get("track_times") is False:
        del kept["track_times"]
    if "fill_time" in kept and kept["fill_time"] not in _FILL_TIMES:
        raise ValueError(
            f"{path}: fill_time must be one of {', '.join(_FILL_TIMES)}, got {kept['fill_time']!r}"
        )
    scale = kept.get("scaleoffset")
    if scale is False:
        del kept["scaleoffset"]
    elif scale is not None and scale < 0:
        raise ValueError(f"{path}: scaleoffset must not be negative, got {scale}")
    if "scaleoffset" in kept and "fletcher32" in kept:
        raise ValueError(f"{path}: fletcher32 cannot be used with scaleoffset, which loses bits")
    return kept


def normalised_group(keywords: dict[str, Any], path: str) -> dict[str, Any]:
    """The keywords of a new group to keep.

    Raises
    ------
    TypeError
        An unknown keyword, or a value that is no bool.
    """
    unknown = sorted(set(keywords) - {"track_order", "track_times"})
    if unknown:
        raise TypeError(f"create_group({path!r}) got unexpected keywords: {', '.join(unknown)}")
    return normalised(keywords, path)


def check(
    kept: dict[str, Any], shape: tuple[int, ...] | None, dtype: np.dtype[Any], path: str
) -> None:
    """Check the keywords against shape and type; `maxshape` becomes a tuple.

    Raises
    ------
    TypeError, ValueError
        What h5py would refuse.
    """
    filters = [key for key in ("shuffle", "fletcher32", "scaleoffset") if key in kept]
    if not shape:
        kind = "null dataspace" if shape is None else "scalar"
        if filters:
            raise TypeError(f"{path}: a {kind} takes no {', '.join(filters)}")
        if kept.get("maxshape", ()) not in ((), True):
            raise TypeError(f"{path}: a {kind} cannot be extended")
        kept.pop("maxshape", None)
        return
    if "maxshape" in kept:
        kept["maxshape"] = _maxshape(kept["maxshape"], shape, path)
    scale = kept.get("scaleoffset")
    if scale is not None:
        if dtype.kind not in "fiu":
            raise TypeError(f"{path}: scaleoffset is for integers and floats, not {dtype}")
        if dtype.kind == "f" and scale is True:
            raise ValueError(f"{path}: scaleoffset of floats is a number of digits, not True")
        kept["scaleoffset"] = 0 if scale is True else int(scale)
    if "fillvalue" in kept:
        kept["fillvalue"] = _fill_value(kept["fillvalue"], dtype, path)


def _maxshape(given: Any, shape: tuple[int, ...], path: str) -> tuple[int | None, ...]:
    if given is True:
        return (None,) * len(shape)
    most = (given,) if isinstance(given, int | np.integer) else tuple(given)
    if len(most) != len(shape):
        raise ValueError(f"{path}: maxshape {most} does not fit the shape {shape}")
    for length, limit in zip(shape, most, strict=True):
        if limit is not None and limit < length:
            raise ValueError(f"{path}: maxshape {most} is smaller than the shape {shape}")
    return tuple(None if limit is None else int(limit) for limit in most)


def _fill_value(value: Any, dtype: np.dtype[Any], path: str) -> Any:
    try:
        if texts.is_text(dtype):
            return texts.as_elements(value, dtype)
        if dtype.hasobject and dtype.names is None:
            return value
        if dtype.names is not None and not isinstance(value, tuple | np.void | np.ndarray):
            raise ValueError("a structure needs a tuple")
        return np.asarray(value).astype(dtype)[()]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: the fill value {value!r} is no {dtype}: {error}") from None


def unwritten(dtype: np.dtype[Any]) -> Any:
    """What h5py reads where nothing was written, for types whose zero is not NumPy's; else None."""
    metadata: Any = dtype.metadata or {}
    if "vlen" in metadata:
        inner = metadata["vlen"]
        return b"" if inner is str or inner is bytes else np.empty(0, inner)
    if "ref" in metadata:
        import h5py

        from memdata.formats.references import ObjectReference, RegionReference

        return RegionReference() if metadata["ref"] is h5py.RegionReference else ObjectReference()
    return None


def clear(array: np.ndarray[Any, Any]) -> None:
    """Make new objects what h5py reads where nothing was written, in fields as well."""
    if not array.dtype.hasobject:
        return
    for name in array.dtype.names or ():
        clear(array[name])
    if array.dtype.names is None:
        filled(array, unwritten(array.dtype))


def filled(array: np.ndarray[Any, Any], value: Any) -> None:
    """Fill a new array, also one of objects that are arrays themselves."""
    if value is None or array.shape is None:
        return
    if array.dtype.hasobject and isinstance(value, np.ndarray):
        for index in np.ndindex(array.shape):
            array[index] = value
    elif not array.dtype.hasobject and not np.asarray(value, array.dtype).tobytes().strip(b"\0"):
        pass  # new arrays are zero already: pages nobody wrote to cost nothing
    else:
        array[...] = value


def attach(dataset: Any, kept: dict[str, Any], chunks: Any, path: str) -> None:
    """Keep the keywords in a new dataset, and chunks: as given, or guessed as h5py does.

    Raises
    ------
    TypeError, ValueError
        What h5py would refuse: a value that does not fit shape or type, ``chunks=False`` beside
        what needs chunks.
    """
    if "inner_axes" in kept:  # which the shape depends on
        dataset._creation["inner_axes"] = kept["inner_axes"]
    check(kept, dataset.shape, dataset.dtype.base, path)
    dataset._creation.update(kept)
    needed = [key for key in ("maxshape", "shuffle", "fletcher32", "scaleoffset") if key in kept]
    if chunks is False and needed:
        raise ValueError(f"{path}: {', '.join(needed)} needs chunks, and chunks=False was given")
    if (chunks is None and needed) or chunks is True:
        chunks = guessed(dataset.shape, kept.get("maxshape"), dataset.dtype.itemsize, path)
    if chunks is not None and chunks is not False:
        dataset.chunks = chunks


def guessed(shape: Any, most: Any, itemsize: int, path: str) -> tuple[int, ...]:
    """The chunks that h5py takes where it is to choose."""
    if not shape:
        raise TypeError(f"{path}: a scalar or null dataspace has no chunks")
    from h5py._hl.filters import guess_chunk

    return tuple(int(length) for length in guess_chunk(shape, most, itemsize))


def reserved(shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """A zero array larger than the memory that is there: only pages that are written to take any.

    Raises
    ------
    MemoryError
        Not even the addresses are there, or the type has objects, which cannot be left unwritten.
    """
    import mmap

    wanted = np.dtype(np.float64 if dtype is None else dtype)
    sizes = (int(shape),) if np.ndim(shape) == 0 else tuple(int(n) for n in shape)
    count = math.prod(sizes)
    flags: int = getattr(mmap, "MAP_NORESERVE", _NORESERVE if sys.platform == "linux" else 0)
    if not flags or wanted.hasobject or not count:
        raise MemoryError(f"{sizes} of {wanted}")
    try:
        room = mmap.mmap(-1, count * wanted.itemsize, flags | mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError, ValueError) as error:
        raise MemoryError(f"{sizes} of {wanted}: {error}") from None
    return np.frombuffer(room, wanted, count).reshape(sizes)


def elements(data: Any, dtype: Any, path: str) -> Any:
    """Data for a new dataset of that type: strings as h5py holds them."""
    if data is None or dtype is None:
        return data
    wanted = np.dtype(dtype)
    if not texts.is_text(wanted) or getattr(data, "shape", ()) is None:
        return data
    if isinstance(data, np.ndarray) and texts.is_text(data.dtype):
        return data
    try:
        made = np.empty(np.shape(data), wanted)
        made[...] = texts.as_elements(data, wanted)
    except (TypeError, ValueError) as error:
        raise type(error)(*error.args[:-1], f"{path}: {error.args[-1]}") from None
    return made


def compression_of(compression: Any, options: Any, path: str) -> tuple[Any, Any]:
    """What h5py's ways to ask for a filter mean: True, a level of gzip, an object of `hdf5plugin`.

    Raises
    ------
    TypeError, ValueError
        Options that the filter does not take.
    """
    if hasattr(compression, "filter_id") and hasattr(compression, "filter_options"):
        number = compression.filter_id
        compression, options = _FILTER_NAMES.get(number, number), compression.filter_options
        if compression in _FILTER_NAMES.values():
            options = options[0] if len(options) == 1 else options or None
    if compression is True:
        return "gzip", _DEFAULT_GZIP if options is None else options
    if type(compression) is int and 0 <= compression <= 9:
        if options is not None:
            raise TypeError(f"{path}: compression={compression} is a level of gzip already")
        return "gzip", compression
    if compression is None and options is not None:
        raise TypeError(f"{path}: compression_opts={options!r} without compression")
    if type(compression) is int and compression not in _OF_HDF5:
        if compression < 0:
            raise ValueError(f"{path}: Invalid filter: compression={compression}")
        if compression < _FIRST_REGISTERED:
            raise ValueError(f"{path}: Unknown compression filter number: {compression}")
    if compression == "gzip" and options is None:
        options = _DEFAULT_GZIP
    if compression == "gzip" and options not in range(10):
        raise ValueError(f"{path}: gzip takes a level from 0 to 9, got {options!r}")
    if compression == "lzf" and options is not None:
        raise ValueError(f"{path}: lzf takes no options, got {options!r}")
    return compression, options
