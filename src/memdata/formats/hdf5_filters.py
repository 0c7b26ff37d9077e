"""Chunks and filters of HDF5 datasets: their names, options and property lists."""

from __future__ import annotations

from typing import Any

import numpy as np
from h5py import h5d, h5p, h5s, h5z

from memdata.fileformats import H5FILTER, bitshuffle_options, is_bitshuffle
from memdata.formats.tree import NO_FILTERS, Filters
from memdata.suggesting import did_you_mean

__all__ = [
    "Pipeline",
    "available",
    "creation_list",
    "filters_of",
    "named_filters",
    "require_filter",
    "set_filters",
    "set_pipeline",
]

Dtype = np.dtype[Any]
Shape = tuple[int, ...]

#: The filters of a dataset as HDF5 has them, in order: code, flags, values, name.
Pipeline = tuple[tuple[int, int, tuple[int, ...], bytes], ...]

#: The pip package of a filter that h5py does not bring along.
_PLUGIN_HINT = "pip install memdata[compression]"


def require_filter(code: int, purpose: str) -> None:
    """Make sure that HDF5 has a filter, loading hdf5plugin's where they are installed.

    Raises
    ------
    ValueError
        The filter is not there.
    """
    if h5z.filter_avail(code):
        return
    try:
        import hdf5plugin  # noqa: F401 - registers its filters on import
    except ImportError:
        hint = f"; {_PLUGIN_HINT} brings the common ones"
    else:
        if h5z.filter_avail(code):
            return
        hint = ""
    name = "bitshuffle" if code == H5FILTER else f"number {code}"
    raise ValueError(f"{purpose} needs the HDF5 filter {name}, which is not installed{hint}")


def available(code: int) -> bool:
    """Whether HDF5 has a filter, `hdf5plugin`'s included."""
    try:
        require_filter(code, "")
    except ValueError:
        return False
    return True


def set_filters(
    plist: Any, filters: Filters, shape: Shape, dtype: Dtype, maximum: Shape | None = None
) -> None:
    """Write chunks and filters into a dataset creation property list.

    `maximum` is the shape that the dataset may grow to; chunks may be as large as that.

    Raises
    ------
    ValueError
        Options that the filter does not take, or a filter that is not installed.
    """
    plist.set_chunk(_chunk_shape(filters.chunks, shape, maximum or shape, dtype))
    if filters.scaleoffset is not None:
        integers = dtype.kind in "iub"
        kind = h5z.SO_INT if integers else h5z.SO_FLOAT_DSCALE
        plist.set_scaleoffset(kind, int(filters.scaleoffset))
    if filters.shuffle:
        plist.set_shuffle()
    _set_compression(plist, filters.compression, filters.compression_opts)
    if filters.fletcher32:
        plist.set_fletcher32()


def set_pipeline(
    plist: Any,
    pipeline: Pipeline,
    chunks: Shape | None,
    shape: Shape,
    maximum: Shape,
    dtype: Dtype,
) -> None:
    """Write chunks and filters, as another file has them, into a property list."""
    plist.set_chunk(_chunk_shape(chunks, shape, maximum, dtype))
    for code, flags, values, _name in pipeline:
        if not flags & h5z.FLAG_OPTIONAL:
            require_filter(code, "this dataset")
        plist.set_filter(code, flags, _asked(code, values))


#: Filters of hdf5plugin: SZ and SZ3, which take nine values; SPERR; FCIDECOMP, which takes none.
_SZ, _SZ3, _SPERR, _FCIDECOMP = 32017, 32024, 32028, 32018


def _asked(code: int, values: tuple[int, ...]) -> tuple[int, ...]:
    """What a filter was given, of the values that stand in a file.

    Some filters put more beside the values asked for (the shape of chunks, the size of an element)
    when a dataset is made. They do so again, and refuse or misread what is there already.
    """
    if code == H5FILTER:
        return values[3:]
    if code in {_SZ, _SZ3}:
        return values[-9:]
    if code == _SPERR and len(values) > 2:
        # The first packs the rank, the type and, from bit 6 on, how missing values are treated.
        return values[1], (values[0] >> 6) & 0xF
    return () if code == _FCIDECOMP else values


def _chunk_shape(
    chunks: Shape | None, shape: Shape, maximum: Shape, dtype: Dtype
) -> tuple[int, ...]:
    """The chunks as HDF5 takes them: at least one, at most what the axis may grow to."""
    if chunks is None:
        return _guessed_chunks(shape, dtype.itemsize)
    if len(chunks) != len(shape):
        raise ValueError(f"chunks {chunks} do not fit the shape {shape}")
    return tuple(
        max(1, int(chunk) if most == h5s.UNLIMITED else min(int(chunk), most))
        for chunk, most in zip(chunks, maximum, strict=True)
    )


def _guessed_chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks of about a MiB that keep the last axes whole: rows are what is read together."""
    chunks = [max(1, length) for length in shape]
    for axis in range(len(chunks)):
        size = itemsize * int(np.prod(chunks, dtype=object))
        if size <= 1 << 20:
            break
        chunks[axis] = max(1, -(-chunks[axis] * (1 << 20) // size))
    return tuple(chunks)


#: Compression that has a name; what else there is has a number.
_BY_NAME = ("gzip", "lzf", "szip", "bitshuffle")


def _set_compression(plist: Any, compression: Any, options: Any) -> None:
    if compression is None or compression is False:
        return
    if compression is True:
        compression = "gzip"
    if isinstance(compression, str) and compression.isdigit():
        compression = int(compression)
    if isinstance(compression, int | np.integer) and 0 <= compression <= 9:
        compression, options = "gzip", int(compression)  # h5py's short form: the level alone
    if is_bitshuffle(compression):
        require_filter(H5FILTER, "compression='bitshuffle'")
        plist.set_filter(H5FILTER, h5z.FLAG_OPTIONAL, bitshuffle_options(options))
    elif compression == "gzip":
        level = 4 if options is None else options
        if not isinstance(level, int | np.integer) or not 0 <= level <= 9:
            raise ValueError(f"gzip's compression_opts is a level from 0 to 9, not {options!r}")
        plist.set_deflate(int(level))
    elif compression == "lzf":
        if options is not None:
            raise ValueError(f"lzf takes no compression_opts, got {options!r}")
        require_filter(h5z.FILTER_LZF, "compression='lzf'")
        plist.set_filter(h5z.FILTER_LZF, h5z.FLAG_OPTIONAL)
    elif compression == "szip":
        _set_szip(plist, options)
    elif isinstance(compression, int | np.integer):
        require_filter(int(compression), f"compression={compression}")
        # Optional, as h5py has it: a chunk that does not get smaller is stored as it is. HDF5 loses
        # a chunk that a mandatory filter refuses, and crashes later.
        asked = _asked(int(compression), tuple(options or ()))
        plist.set_filter(int(compression), h5z.FLAG_OPTIONAL, asked)
    else:
        near = did_you_mean(str(compression), _BY_NAME)
        raise ValueError(
            f"HDF5 has no compression {compression!r}{near or '; there are: '}"
            f"{'' if near else ', '.join(_BY_NAME)}"
        )


def _set_szip(plist: Any, options: Any) -> None:
    require_filter(h5z.FILTER_SZIP, "compression='szip'")
    masks = {"ec": h5z.SZIP_EC_OPTION_MASK, "nn": h5z.SZIP_NN_OPTION_MASK}
    try:
        method, pixels = ("nn", 8) if options is None else options
        mask, pixels = masks[method], int(pixels)
    except (TypeError, ValueError, KeyError):
        raise ValueError(
            f"szip's compression_opts is ('ec' or 'nn', pixels), not {options!r}"
        ) from None
    if pixels % 2 or not 0 < pixels <= 32:
        raise ValueError(f"szip's pixels are an even number from 2 to 32, not {pixels}")
    plist.set_szip(mask, pixels)


def filters_of(plist: Any) -> tuple[Filters, Pipeline, bool]:
    """What a dataset creation property list says.

    Returns
    -------
    filters : Filters
        In h5py's words.
    pipeline : tuple of (code, flags, values, name)
        In HDF5's words.
    by_keywords : bool
        Whether h5py's words say it all.
    """
    if plist.get_layout() != h5d.CHUNKED:
        return NO_FILTERS, (), True
    pipeline = tuple(plist.get_filter(index) for index in range(plist.get_nfilters()))
    filters = named_filters(pipeline, tuple(plist.get_chunk()))
    return filters, pipeline, not pipeline or _said(pipeline)


def named_filters(pipeline: Pipeline, chunks: Shape | None) -> Filters:
    """Chunks and filters in h5py's words, as far as it has words."""
    compression: Any = None
    options: Any = None
    flags: dict[str, Any] = {}
    for code, _flags, values, _name in pipeline:
        if code == h5z.FILTER_SHUFFLE:
            flags["shuffle"] = True
        elif code == h5z.FILTER_FLETCHER32:
            flags["fletcher32"] = True
        elif code == h5z.FILTER_SCALEOFFSET:
            flags["scaleoffset"] = values[1] if len(values) > 1 else 0
        else:
            compression, options = _named_compression(code, values)
    return Filters(chunks, compression, options, **flags)


#: The order in which `set_filters` sets filters; compression has its place before the last.
_ORDER = {h5z.FILTER_SCALEOFFSET: 0, h5z.FILTER_SHUFFLE: 1, h5z.FILTER_FLETCHER32: 3}


def _said(pipeline: Pipeline) -> bool:
    """Whether `set_filters` makes this pipeline again from its description."""
    places = [_ORDER.get(code, 2) for code, *_rest in pipeline]
    if places != sorted(set(places)):
        return False
    for code, flags, values, _name in pipeline:
        if flags != (h5z.FLAG_MANDATORY if code == h5z.FILTER_FLETCHER32 else h5z.FLAG_OPTIONAL):
            return False
        if code == H5FILTER and (len(values) not in {5, 6} or values[4] not in (2, 3)):
            return False
        if code == h5z.FILTER_SCALEOFFSET and values[0] == h5z.SO_FLOAT_ESCALE:
            return False
        if code == h5z.FILTER_NBIT:
            return False
    return True


def _named_compression(code: int, values: tuple[int, ...]) -> tuple[Any, Any]:
    if code == h5z.FILTER_DEFLATE:
        return "gzip", values[0] if values else None  # a damaged file may leave it out
    if code == h5z.FILTER_LZF:
        return "lzf", None
    if code == h5z.FILTER_SZIP:
        if len(values) < 2:
            return "szip", None
        return "szip", ("ec" if values[0] & h5z.SZIP_EC_OPTION_MASK else "nn", values[1])
    if code == H5FILTER:
        blocksize, compressor = (*values, 0, 0, 0, 0, 0)[3:5]
        names = {2: "lz4", 3: "zstd"}
        level = values[5:6]  # of zstd, where it was given
        return "bitshuffle", (blocksize or None, names.get(compressor, compressor), *level)
    return code, _asked(code, tuple(values)) or None


def creation_list() -> Any:
    """A new dataset creation property list."""
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_obj_track_times(False)
    return plist
