"""What a variable was before it became xarray's: kept in its ``encoding``, for the way back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = [
    "AXES",
    "KEY",
    "ONLY_DIMENSION",
    "SCALE",
    "UNNAMED",
    "Origin",
    "axis_names",
    "text",
    "text_names",
]

#: Where it is kept in the encoding of a variable.
KEY = "memdata"

#: Attributes that tell of the axes of a dataset in HDF5's way; xarray has dimensions instead.
AXES = (
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
)

#: Attributes of a dimension scale.
SCALE = ("CLASS", "NAME")

#: How the NAME of a scale begins that has no values: only a dimension of netCDF-4.
ONLY_DIMENSION = "This is a netCDF dimension but not a netCDF variable"

#: Dimensions of axes without a name; the number is their length.
UNNAMED = re.compile(r"unnamed_\d+(_\d+)?")


@dataclass(frozen=True)
class Origin:
    """Of one variable.

    Paths are relative to the group that the variable's node was.
    """

    name: str  # of the variable: a variable that was renamed has another place
    path: str  # of the dataset
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # of the dataset
    given: np.dtype[Any]  # of the variable
    scales: tuple[tuple[str, ...], ...] = ()  # of each axis
    attrs: dict[str, Any] = field(default_factory=dict)  # those that xarray does not get
    creation: dict[str, Any] = field(default_factory=dict)  # how a file is to store it
    field: str | None = None  # one field of a structured dataset
    null: bool = False  # a null dataspace
    guest: bool = False  # the dataset has a variable at its own place too

    def holds_for(self, name: str, variable: Any) -> bool:
        """Whether the axes are still those of the dataset."""
        return name == self.name and tuple(variable.dims) == self.dims


def text(value: Any) -> str:
    """What an attribute says, which files may have as bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def text_names(value: Any) -> list[str]:
    """The names in an attribute ``coordinates``: a list, or a text with spaces between."""
    if isinstance(value, str):
        return value.split()
    good = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    return list(value) if good else []


def axis_names(value: Any, ndim: int) -> list[str] | None:
    """The names in an attribute such as ``axis``; None where it is something else."""
    if isinstance(value, str | bytes) or np.ndim(value) != 1 or len(value) != ndim:
        return None
    if not all(isinstance(item, str | bytes) for item in value):
        return None
    names = [text(item) for item in value]
    if not all(name and "/" not in name for name in names):
        return None
    return names if len(set(names)) == ndim else None
