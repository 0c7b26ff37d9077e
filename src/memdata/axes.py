"""Names of the axes of datasets: what their attributes say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

__all__ = ["Axis", "axis_number", "names_of_axes"]

#: An axis by its number or its name; of several names the first that a dataset has.
Axis = int | str | Iterable[str]

#: Attributes that name the axes: of containers, HDF5's dimension labels, xarray's zarr stores.
_ATTRIBUTES = ("axis", "DIMENSION_LABELS", "_ARRAY_DIMENSIONS")


def names_of_axes(attrs: Mapping[str, Any], ndim: int) -> tuple[str, ...] | None:
    """The names of the axes of a dataset, as many as it has; None where nothing says.

    An axis whose name is no text has the name "". A text alone is the name of an only axis.
    """
    if ndim == 0:
        return None
    for attribute in _ATTRIBUTES:
        found = attrs.get(attribute)
        if isinstance(found, str | bytes):
            found = [found]
        if isinstance(found, list | tuple | np.ndarray) and np.shape(found) == (ndim,):
            return tuple(_text(name) for name in found)
    return None


def axis_number(attrs: Mapping[str, Any], ndim: int, wanted: Axis) -> int | None:
    """Which axis of a dataset is wanted, counted from the front; None where it has no such axis."""
    if isinstance(wanted, int | np.integer):
        return int(wanted) % ndim if -ndim <= wanted < ndim else None
    names = names_of_axes(attrs, ndim) or ()
    for name in [wanted] if isinstance(wanted, str) else wanted:
        if name in names:
            return names.index(name)
    return None


def _text(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    return name if isinstance(name, str) else ""
