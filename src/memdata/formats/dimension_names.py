"""Names of the axes of datasets, as zarr and xarray want them.

In memory and in HDF5 axes are named by dimension scales, labels (`memdata.h5api.dims`), or the
attribute ``axis``. zarr's format 3 has ``dimension_names``, and for format 2 xarray has the
attribute `ATTRIBUTE`. xarray opens a group only if all its arrays have names. So a tree that has
scales or labels gets names for all axes when it is saved; they are made again at the next save.
Names that another program gave travel through memory under `KEY`, or as the attribute that they
are in format 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memdata.xarrays.origin import axis_names, text

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode

__all__ = ["ATTRIBUTE", "KEPT", "KEY", "MADE", "Named", "labels_of", "named_axes"]

#: Where xarray has the names of an array of format 2.
ATTRIBUTE = "_ARRAY_DIMENSIONS"

#: Among creation properties: the names that a store had.
KEY = "dimension_names"

#: What is said of names in a store: made for it of something else, or kept from another store.
MADE, KEPT = "made", "kept"

Names = tuple[str | None, ...]


class Named(NamedTuple):
    """Names of the axes of one dataset, and whether they are `MADE` or `KEPT`."""

    names: Names
    how: str


def named_axes(datasets: Iterable[DatasetNode]) -> dict[str, Named]:
    """The names of the axes of datasets, by path.

    Where one has scales or labels all have names, else those that a store had them for. Null
    dataspaces, which zarr has as arrays of length 0, have one axis.
    """
    nodes = list(datasets)
    numbers = {number: node.name for node in nodes if (number := _number(node)) is not None}
    if not any(map(_has_scales, nodes)):
        nodes = [node for node in nodes if _has_names(node)]
    return {node.path: _named(node, numbers) for node in nodes}


def _has_scales(node: DatasetNode) -> bool:
    attrs = node.attrs
    return _is_scale(attrs) or "DIMENSION_LIST" in attrs or "DIMENSION_LABELS" in attrs


def _has_names(node: DatasetNode) -> bool:
    said = axis_names(node.attrs.get(ATTRIBUTE, ""), len(_shape(node)))
    return said is not None or _kept(node) is not None


def _is_scale(attrs: Mapping[str, Any]) -> bool:
    kind = attrs.get("CLASS", "")
    return isinstance(kind, str | bytes) and text(kind) == "DIMENSION_SCALE"


def _number(node: DatasetNode) -> int | None:
    """The number that netCDF-4 gives the dimension of a scale."""
    number = np.asarray(node.attrs.get("_Netcdf4Dimid", ()))
    return int(number.flat[0]) if number.size == 1 and number.dtype.kind in "iu" else None


def _shape(node: DatasetNode) -> tuple[int, ...]:
    return (0,) if node.shape is None else node.shape


def _kept(node: DatasetNode) -> Names | None:
    kept = node.creation.get(KEY)
    return kept if isinstance(kept, tuple) and len(kept) == len(_shape(node)) else None


def _named(node: DatasetNode, numbers: Mapping[int, str]) -> Named:
    shape, attrs = _shape(node), node.attrs
    said = _said(attrs, len(shape))
    if _is_scale(attrs) and shape:
        said[0] = node.name
        for axis, number in enumerate(np.ravel(attrs.get("_Netcdf4Coordinates", ()))):
            if axis < len(shape) > 1 and number in numbers:
                said[axis] = numbers[number]
    kept = _kept(node)
    if kept is not None and not any(said):
        return Named(kept, KEPT)
    names = zip(said, kept or said, shape, strict=True)
    return Named(tuple(one or other or f"unnamed_{length}" for one, other, length in names), MADE)


def _said(attrs: Mapping[str, Any], ndim: int) -> list[str | None]:
    """What the attributes call the axes: scales before names before labels."""
    said: list[str | None] = _labels(attrs.get("DIMENSION_LABELS"), ndim)
    for key in (ATTRIBUTE, "axis"):
        found = axis_names(attrs.get(key, ""), ndim)
        if found is not None:
            said = list(found)
    scales = attrs.get("DIMENSION_LIST")
    if not isinstance(scales, list | np.ndarray) or len(scales) != ndim:
        return said
    for axis, references in enumerate(scales):
        paths = [path for item in np.ravel(references) if (path := getattr(item, "path", None))]
        if paths:
            said[axis] = paths[0].rpartition("/")[2]
    return said


def _labels(value: Any, ndim: int) -> list[str | None]:
    if not isinstance(value, list | np.ndarray) or len(value) != ndim:
        return [None] * ndim
    return [text(item) if isinstance(item, str | bytes) and item else None for item in value]


def labels_of(node: DatasetNode) -> np.ndarray[Any, Any] | None:
    """The names that a store had as HDF5's labels, where HDF5 has nothing else for them."""
    kept = _kept(node)
    if not kept or {"DIMENSION_LABELS", "DIMENSION_LIST", ATTRIBUTE} & node.attrs.keys():
        return None
    if _is_scale(node.attrs):
        return None
    return np.array([name or "" for name in kept], object)
