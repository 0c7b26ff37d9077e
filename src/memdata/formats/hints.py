"""What files say of distribution: attributes that tell which datasets are cut, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata.axes import Axis, axis_number, names_of_axes

if TYPE_CHECKING:
    from memdata.formats.tree import Plan

__all__ = ["Hints", "HintsLike", "axis_of", "hinted", "hinted_file"]

#: What a loading function takes as `hints`.
HintsLike = bool | str | Iterable[str] | Mapping[str, Any]

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


class Hints:
    """Which datasets of a file are to be distributed, and along which axis.

    Parameters
    ----------
    hints : bool, str, iterable of str or mapping
        Whether to follow what the file says. Names of axes: datasets with such an axis are cut
        along it (of several names the first that a dataset has), the others as the file says. A
        mapping ``{path: {"distributed": bool, "axis": axis}}`` overrides what the file says; there
        an axis is its number or its name.

    Raises
    ------
    TypeError, ValueError
        It is something else.
    """

    def __init__(self, hints: HintsLike) -> None:
        self._overrides: dict[str, Axis | None] = {}
        self._names: tuple[str, ...] = ()
        self._follow = True
        if isinstance(hints, Mapping):
            self._overrides = dict(_override(path, hint) for path, hint in hints.items())
        elif isinstance(hints, str):
            self._names = (hints,)
        elif isinstance(hints, list | tuple | set | frozenset):
            self._names = tuple(hints)
            if not all(isinstance(name, str) for name in self._names):
                raise TypeError(f"hints={hints!r}, expected names of axes")
        else:
            self._follow = bool(hints)

    def check(self, plan: Plan) -> None:
        """Raise a ``ValueError`` for paths and names of axes that are not there."""
        unknown = set(self._overrides) - {node.path for node in plan.nodes}
        if unknown:
            raise ValueError(f"hints of what is not there: {', '.join(sorted(unknown))}")
        if self._names:
            found: set[str] = set()
            for node in plan.datasets():
                shape = node.selected[1] if node.selected else node.shape
                found.update(names_of_axes(node.attrs, len(shape or ())) or ())
            if not found.intersection(self._names):
                known = ", ".join(sorted(filter(None, found))) or "none"
                raise ValueError(
                    f"hints={list(self._names)}: no dataset has such an axis, only {known}"
                )

    def axis(self, path: str, attrs: Mapping[str, Any], shape: tuple[int, ...]) -> int | None:
        """The axis along which a dataset is to be cut; None where it is not.

        Raises
        ------
        AxisException
            The dataset has no such axis.
        """
        ndim = len(shape)
        if path in self._overrides:
            wanted = self._overrides[path]
        else:
            named = axis_number(attrs, ndim, self._names)
            wanted = axis_of(attrs) if named is None and self._follow else named
        if wanted is None:
            return None
        axis = axis_number(attrs, ndim, wanted)
        if axis is None:
            from memdata.mpiarray import AxisException

            names = names_of_axes(attrs, ndim)
            called = "" if names is None else f", its axes are called {', '.join(names)}"
            raise AxisException(
                f"{path}: it cannot be distributed along axis {wanted!r}, "
                f"its shape is {shape}{called}"
            )
        return axis


def _override(path: Any, hint: Any) -> tuple[str, Axis | None]:
    """One item of a mapping: the path from the root, and the axis or None."""
    if not isinstance(path, str):
        raise TypeError(f"hints has the key {path!r}, which is no path")
    if not isinstance(hint, Mapping) or not set(hint) <= {"distributed", "axis"}:
        raise ValueError(
            f'the hint for {path} is {hint!r}, expected {{"distributed": bool, "axis": int or str}}'
        )
    axis = hint.get("axis", 0)
    if isinstance(axis, np.integer):
        axis = int(axis)
    if not isinstance(axis, int | str) or isinstance(axis, bool):
        raise ValueError(f"the hint for {path} has the axis {axis!r}, no number and no name")
    name = "/" + "/".join(part for part in path.split("/") if part)
    return name, axis if hint.get("distributed", True) else None


def axis_of(attrs: Mapping[str, Any]) -> int | None:
    """The axis along which a file says that a dataset is distributed; None where it is not."""
    distributed = attrs.get(_DATASET, False)
    if not isinstance(distributed, bool | int | np.bool_ | np.integer) or not distributed:
        return None
    axis = attrs.get(_AXIS, 0)
    return int(axis) if isinstance(axis, int | np.integer) else None
