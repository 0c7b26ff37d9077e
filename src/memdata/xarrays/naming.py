"""The names of the axes of datasets, and the datasets that lie along them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from memdata.h5api.dims import Dimensions, is_scale
from memdata.xarrays.origin import axis_names

__all__ = ["Axis", "Scope", "axes_of", "scales_of"]


@dataclass(frozen=True)
class Axis:
    """One axis: its name, length, and the path of the dataset that has its values."""

    name: str
    length: int
    source: str | None = None


def scales_of(dataset: Any) -> list[list[Any]]:
    """The scales of each axis that are there."""
    if "DIMENSION_LIST" not in dataset.attrs:
        return [[] for _ in dataset.shape or ()]
    found = []
    for dimension in Dimensions(dataset):
        scales = []
        for number in range(len(dimension)):
            try:
                scales.append(dimension[number])
            except (KeyError, ValueError):
                continue  # a reference that leads nowhere
        found.append(scales)
    return found


def _own_names(dataset: Any) -> list[str | None]:
    """What the attributes of a dataset call its axes."""
    ndim = len(dataset.shape or ())
    for key in ("axis", "_ARRAY_DIMENSIONS"):
        names = axis_names(dataset.attrs.get(key, ""), ndim)
        if names is not None:
            return list(names)
    labels = [dimension.label for dimension in Dimensions(dataset)] or [""] * ndim
    used: set[str] = set()
    result: list[str | None] = []
    for label in labels:
        good = bool(label) and "/" not in label and label not in used
        result.append(label if good else None)
        used.add(label)
    return result


def axes_of(dataset: Any, sources: dict[str, Axis]) -> list[Axis]:
    """The axes of a dataset: by its scales, the attribute ``axis``, labels, or their lengths.

    Parameters
    ----------
    dataset : MemDataset
        In memory.
    sources : dict
        What is known by name where the dataset is: entries of an index map, coordinates.
    """
    shape: tuple[int, ...] = dataset.shape or ()
    if len(shape) == 1 and is_scale(dataset):
        return [Axis(posixpath.basename(dataset.name), shape[0], dataset.name)]
    axes: list[Axis] = []
    for length, name, scales in zip(shape, _own_names(dataset), scales_of(dataset), strict=True):
        known = sources.get(name or "")
        if scales and scales[0].shape == (length,):
            axis = Axis(posixpath.basename(scales[0].name), length, scales[0].name)
        elif scales and scales[0].shape[:1] == (length,):  # netCDF's strings of characters
            axis = Axis(posixpath.basename(scales[0].name), length)
        elif known is not None and known.length == length:
            axis = known
        else:
            axis = Axis(name or f"unnamed_{length}", length)
        axes.append(_unlike(axes, axis))
    return axes


def _unlike(axes: list[Axis], axis: Axis) -> Axis:
    """The axis, under another name where the array has it already: a covariance, for instance."""
    names = {other.name for other in axes}
    sources = {other.source for other in axes}
    if axis.name not in names or (axis.source is not None and axis.source not in sources):
        return axis
    number = 2
    while f"{axis.name}_{number}" in names:
        number += 1
    return Axis(f"{axis.name}_{number}", axis.length)


class Scope:
    """Names in one node of a DataTree, where those of the nodes above are seen too.

    In xarray a dimension has one length in a node and all nodes below; a variable of its name is
    its coordinate, and with an index it is that of the nodes below as well. In HDF5 names mean
    nothing. So what would clash gets a number behind its name.
    """

    def __init__(self, above: Scope | None, taken: Iterable[str]) -> None:
        self.dims: dict[str, Axis] = dict(above.dims) if above else {}
        self.coordinates: set[str] = set(above.coordinates) if above else set()
        self.sources: dict[str, Axis] = dict(above.sources) if above else {}
        self._taken = set(taken)  # by the group's own members
        self.used: set[str] = set()  # by variables

    def dimension(self, axis: Axis, own: str | None = None) -> str:
        """The dimension of an axis; `own` is the member of the group that may have its name."""
        for name, known in self.dims.items():
            same = known.length == axis.length and known.source == axis.source
            if same and (axis.source is not None or known.name == axis.name):
                return name
        if axis.source is None:
            for name, known in self.dims.items():
                if known.length == axis.length and known.name == axis.name:
                    return name
        name = self._free(axis.name, own)
        self.dims[name] = axis
        return name

    def variable(self, wanted: str, own: bool) -> str:
        """The name of a variable that is not the coordinate of a dimension."""
        name = self._free(wanted, wanted if own else None)
        self.used.add(name)
        return name

    def is_members(self, name: str, own: str | None) -> bool:
        """Whether a name is that of a member of the group, and not of `own`."""
        return name in self._taken and name != own

    def _free(self, wanted: str, own: str | None) -> str:
        name, number = wanted, 1
        while (
            name in self.dims
            or name in self.coordinates
            or name in self.used
            or (name in self._taken and name != own)
        ):
            number += 1
            name = f"{wanted}_{number}"
        return name
