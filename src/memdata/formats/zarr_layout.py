"""Chunks, codecs and fill value of a zarr array: from what memory knows, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from memdata.formats import zarr_library
from memdata.formats.tree import NO_FILTERS, Filters
from memdata.formats.zarr_codecs import codecs_of, filters_of, in_format
from memdata.formats.zarr_library import Layout
from memdata.formats.zarr_types import BYTES

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "creation_of",
    "is_one_chunk",
    "layout_for",
    "layout_of_codecs",
    "with_fill_value",
    "words_of",
    "written_before",
]

#: Bytes of a chunk where nobody says.
_CHUNK = 4 << 20

#: Under this key of a dataset's creation properties stands the layout that it had in a store.
_KEY = "zarr"

#: Under this key stands that nothing is the fill value, as format 2 has it. zarr reads 0 then, but
#: to xarray a fill value of 0 says that 0 is missing.
NULL_FILL = "null_fill"


def layout_for(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    filters: Filters,
    zarr_format: int,
    axis: int = 0,
) -> tuple[Layout, list[str]]:
    """How an array is cut and packed that has such filters in h5py's words.

    Parameters
    ----------
    shape, dtype
        Of the array as it is stored.
    filters : Filters
        Chunks of None are chosen here, the same whoever writes.
    zarr_format : {2, 3}
    axis : int
        The axis to cut along first, where chunks are chosen.

    Returns
    -------
    layout : Layout
    replaced : list of str
        Filters that zarr does not have, and what stands for them.

    Raises
    ------
    ValueError
        Chunks that do not fit, or options that the filter does not take.
    """
    if filters.chunks is None:
        chunks = _guessed_chunks(shape, dtype.itemsize, axis)
    elif len(filters.chunks) != len(shape):
        raise ValueError(f"chunks {filters.chunks} do not fit the shape {shape}")
    else:
        chunks = tuple(
            max(1, min(int(chunk), length))
            for chunk, length in zip(filters.chunks, shape, strict=True)
        )
    configs: list[dict[str, Any]] = []
    replaced: list[str] = []
    if shape:
        configs, replaced = codecs_of(filters, dtype)
    return layout_of_codecs(dtype, chunks, configs, zarr_format), replaced


def layout_of_codecs(
    dtype: np.dtype[Any],
    chunks: tuple[int, ...],
    configs: list[dict[str, Any]],
    zarr_format: int,
) -> Layout:
    """The layout with such codecs, as numcodecs describes them."""
    codecs = in_format(configs, zarr_format, dtype)
    if dtype.kind == "O" and zarr_format == 2:
        codecs.insert(0, {"id": "vlen-bytes" if dtype.metadata == BYTES.metadata else "vlen-utf8"})
    fill: Any = None
    if zarr_format == 2 and dtype.kind in "biufc":
        fill = dtype.type(0)
    return Layout(
        zarr_format, chunks, None, tuple(codecs), fill, "C", "." if zarr_format == 2 else "/"
    )


def _guessed_chunks(shape: tuple[int, ...], itemsize: int, axis: int) -> tuple[int, ...]:
    """Chunks of some MiB, cut along `axis` first, then along the others in order."""
    chunks = [max(1, length) for length in shape]
    for place in [axis, *(other for other in range(len(shape)) if other != axis)]:
        size = itemsize * math.prod(chunks)
        if size <= _CHUNK:
            break
        chunks[place] = max(1, -(-chunks[place] * _CHUNK // size))
    return tuple(chunks)


# ---- what memory does not need ----


def words_of(layout: Layout, shape: tuple[int, ...], chunked: bool) -> tuple[Filters, list[str]]:
    """Chunks and filters in h5py's words.

    An array of one chunk without filters has none, unless it is said to be `chunked`.

    Returns
    -------
    filters : Filters
    replaced : list of str
        Codecs that have no counterpart, and what stands for them.
    """
    if not shape:
        return NO_FILTERS, []
    filters, replaced = filters_of(layout.codecs, layout.chunks)
    if is_one_chunk(layout, shape) and filters == Filters(layout.chunks) and not chunked:
        filters = NO_FILTERS
    return filters, replaced


def is_one_chunk(layout: Layout, shape: tuple[int, ...]) -> bool:
    """Whether all of an array lies in one chunk."""
    return all(chunk >= length for chunk, length in zip(layout.chunks, shape, strict=True))


def creation_of(
    layout: Layout, filters: Filters, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> dict[str, Any]:
    """What a store knows of how an array is made and `filters` do not say.

    Parameters
    ----------
    layout : Layout
        Of the array.
    filters : Filters
        The same in h5py's words, as far as they go.
    shape, dtype
        As it is stored.
    """
    creation: dict[str, Any] = {}
    if filters.shuffle:
        creation["shuffle"] = True
    if filters.fletcher32:
        creation["fletcher32"] = True
    if layout.null_fill:
        creation[NULL_FILL] = True
    if layout.fill_value is not None and dtype.kind in "biufc":
        fill = dtype.type(layout.fill_value)
        if fill.tobytes() != dtype.type(0).tobytes():
            creation["fillvalue"] = fill
    plain, _ = layout_for(shape, dtype, filters, layout.zarr_format)
    same = plain._replace(
        chunks=layout.chunks,
        fill_value=layout.fill_value,
        null_fill=layout.null_fill,
        extra=layout.extra,
    )
    if filters.chunks is not None and _without_serializer(layout) != _without_serializer(same):
        creation[_KEY] = (layout, filters[:3])
    return creation


def with_fill_value(
    layout: Layout, creation: Mapping[str, Any], dtype: np.dtype[Any]
) -> tuple[Layout, bool]:
    """The layout with the fill value that a dataset has.

    Parameters
    ----------
    layout : Layout
    creation : mapping
        The dataset's creation properties.
    dtype : numpy.dtype
        As it is stored, and as memory has it.

    Returns
    -------
    layout : Layout
    held : bool
        Whether the store says all of the fill value, so that nothing else has to.
    """
    if creation.get(NULL_FILL) and layout.zarr_format == 2:
        return layout._replace(fill_value=None, null_fill=True), False
    if "fillvalue" not in creation or dtype.kind not in "biufc":
        return layout, False
    fill = dtype.type(creation["fillvalue"])
    signed = fill == 0 and any(fill.tobytes())  # zarr-python 2 takes any zero for 0
    held = fill != 0 or (signed and zarr_library.major() >= 3)  # 0 is what nobody asked for
    return layout._replace(fill_value=fill, null_fill=False), held


def _without_serializer(layout: Layout) -> Layout:
    """The layout without the codec that the library itself chooses in the format 3."""
    named = {"bytes", "vlen-utf8", "vlen-bytes"}
    codecs = tuple(config for config in layout.codecs if config.get("name") not in named)
    return layout._replace(codecs=codecs)


def written_before(
    creation: Mapping[str, Any], filters: Filters, zarr_format: int, dtype: np.dtype[Any]
) -> Layout | None:
    """The layout that a dataset had in the store it comes from, if it still fits.

    Parameters
    ----------
    creation : mapping
        The dataset's creation properties.
    filters : Filters
        What memory says now: other chunks or another compression count more.
    zarr_format : {2, 3}
        Of the new store.
    dtype : numpy.dtype
        As it will be stored.
    """
    layout, words = creation.get(_KEY, (None, None))
    if layout is None or words != filters[:3]:
        return None
    kept: Layout = layout
    if kept.zarr_format == zarr_format:
        return kept
    codecs = tuple(in_format(kept.codecs, zarr_format, dtype))
    separator = "." if zarr_format == 2 else "/"
    return Layout(zarr_format, kept.grid, None, codecs, kept.fill_value, "C", separator)
