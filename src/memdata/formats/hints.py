"""What files say of distribution: attributes that tell which datasets are cut, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["axis_of", "checked_hints", "hinted", "hinted_file"]

_FILE = "__memh5_distributed_file"
_DATASET = "__memh5_distributed_dset"
_AXIS = "__memh5_distributed_axis"


def hinted_file(attrs: Mapping[str, Any], hints: bool) -> dict[str, Any]:
    """The root's attributes as a distributed save writes them."""
    result = {name: value for name, value in attrs.items() if name != _FILE}
    if hints:
        result[_FILE] = True
    return result


def hinted(attrs: Mapping[str, Any], hints: bool, axis: int | None) -> dict[str, Any]:
    """A dataset's attributes as a distributed save writes them; those of an older file go.

    Parameters
    ----------
    attrs : mapping
        The dataset's own.
    hints : bool
        Whether to say how it is distributed.
    axis : int or None
        The distributed axis; None of a common dataset.
    """
    result = {name: value for name, value in attrs.items() if name not in {_DATASET, _AXIS}}
    if hints:
        result[_DATASET] = axis is not None
        if axis is not None:
            result[_AXIS] = axis
    return result


def checked_hints(hints: bool | Mapping[str, Any]) -> tuple[bool, dict[str, int | None]]:
    """Whether to follow what the file says, and what overrides it: axis or None by path.

    Raises
    ------
    TypeError, ValueError
        A key that is no path, or a value that is not ``{"distributed": bool, "axis": int}``.
    """
    if not isinstance(hints, Mapping):
        return bool(hints), {}
    result: dict[str, int | None] = {}
    for path, hint in hints.items():
        if not isinstance(path, str):
            raise TypeError(f"hints has the key {path!r}, which is no path")
        if not isinstance(hint, Mapping) or not set(hint) <= {"distributed", "axis"}:
            raise ValueError(
                f'the hint for {path} is {hint!r}, expected {{"distributed": bool, "axis": int}}'
            )
        axis = hint.get("axis", 0)
        if not isinstance(axis, int | np.integer) or isinstance(axis, bool):
            raise ValueError(f"the hint for {path} has the axis {axis!r}, which is no integer")
        name = "/" + "/".join(part for part in path.split("/") if part)
        result[name] = int(axis) if hint.get("distributed", True) else None
    return True, result


def axis_of(attrs: Mapping[str, Any]) -> int | None:
    """The axis along which a file says that a dataset is distributed; None where it is not."""
    distributed = attrs.get(_DATASET, False)
    if not isinstance(distributed, bool | int | np.bool_ | np.integer) or not distributed:
        return None
    axis = attrs.get(_AXIS, 0)
    return int(axis) if isinstance(axis, int | np.integer) else None
