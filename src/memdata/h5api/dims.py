"""Labels and scales of axes: HDF5's dimension scales, kept as attributes just as files keep them.

A scale is a dataset with ``CLASS`` ("DIMENSION_SCALE") and perhaps ``NAME`` among its attributes. A
dataset whose axes have scales has ``DIMENSION_LIST`` (references to the scales of each axis), and
each scale ``REFERENCE_LIST`` (references back, with the number of the axis); ``DIMENSION_LABELS``
has the labels. So they are loaded, copied and saved like any other attribute.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from memdata.formats.references import ObjectReference

__all__ = ["Dimension", "Dimensions", "is_scale", "make_scale"]

_CLASS, _NAME, _LIST, _BACK, _LABELS = (
    "CLASS",
    "NAME",
    "DIMENSION_LIST",
    "REFERENCE_LIST",
    "DIMENSION_LABELS",
)
_SCALE = "DIMENSION_SCALE"


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def is_scale(dataset: Any) -> bool:
    """Whether a dataset is a dimension scale."""
    return _text(dataset.attrs.get(_CLASS, "")) == _SCALE


def make_scale(dataset: Any, name: str = "") -> None:
    """Make a dataset a dimension scale of that name.

    Raises
    ------
    RuntimeError
        It has scales itself.
    """
    if any(len(dimension) for dimension in Dimensions(dataset)):
        raise RuntimeError(f"{dataset.name} cannot be a scale: its axes have scales")
    dataset.attrs[_CLASS] = np.bytes_(_SCALE)
    dataset.attrs[_NAME] = np.bytes_(name.encode())


def _scales(dataset: Any) -> list[list[ObjectReference]]:
    """The references to the scales of each axis."""
    kept = dataset.attrs.get(_LIST)
    if kept is None:
        return [[] for _ in range(dataset.ndim)]
    return [[item for item in np.ravel(entry) if item] for entry in kept]


def _set_scales(dataset: Any, scales: list[list[ObjectReference]]) -> None:
    import h5py

    if not any(scales):
        dataset.attrs.pop(_LIST, None)
        return
    kept = np.empty(len(scales), h5py.vlen_dtype(h5py.ref_dtype))
    for i, references in enumerate(scales):
        entry = np.empty(len(references), h5py.ref_dtype)
        entry[:] = references
        kept[i] = entry
    dataset.attrs[_LIST] = kept


def _set_back(scale: Any, users: list[tuple[ObjectReference, int]]) -> None:
    import h5py

    if not users:
        scale.attrs.pop(_BACK, None)
        return
    kept = np.empty(len(users), np.dtype([("dataset", h5py.ref_dtype), ("dimension", "i4")]))
    for i, (reference, axis) in enumerate(users):
        kept[i] = (reference, axis)
    scale.attrs[_BACK] = kept


def _users(scale: Any) -> list[tuple[ObjectReference, int]]:
    return [(item[0], int(item[1])) for item in scale.attrs.get(_BACK, ())]


class Dimension:
    """One axis of a dataset: ``dataset.dims[0]``.

    A sequence and a mapping (by name) of its scales.
    """

    def __init__(self, dataset: Any, axis: int) -> None:
        self._dataset = dataset
        self._axis = axis

    @property
    def label(self) -> str:
        """The name of the axis; empty where it has none. Settable."""
        labels = self._dataset.attrs.get(_LABELS)
        if labels is None:  # a zarr store has names of its own
            labels = self._dataset._creation.get("dimension_names")
        fits = labels is not None and len(labels) == self._dataset.ndim
        label = labels[self._axis] if fits else None
        return _text(label) if isinstance(label, str | bytes) else ""

    @label.setter
    def label(self, value: str) -> None:
        import h5py

        old = self._dataset.attrs.get(_LABELS)
        labels = np.empty(self._dataset.ndim, h5py.string_dtype())
        labels[:] = "" if old is None else [_text(item) if item else "" for item in old]
        labels[self._axis] = _text(value)
        self._dataset.attrs[_LABELS] = labels

    def _references(self) -> list[ObjectReference]:
        return _scales(self._dataset)[self._axis]

    def _targets(self) -> list[Any]:
        tree = self._dataset.file
        return [tree[reference] for reference in self._references()]

    def attach_scale(self, dset: Any) -> None:
        """Give the axis a scale, made one where it is none yet.

        Raises
        ------
        ValueError
            The scale is in another tree.
        RuntimeError
            The scale has scales itself, or the dataset is one.
        """
        if dset._storage_root is not self._dataset._storage_root or dset._storage_root is None:
            raise ValueError(f"{dset.name} is in another tree than {self._dataset.name}")
        if is_scale(self._dataset):
            raise RuntimeError(f"{self._dataset.name} is a scale itself: its axes have none")
        if not is_scale(dset):
            make_scale(dset)
        if any(dset.attrs is target.attrs for target in self._targets()):
            return
        scales = _scales(self._dataset)
        scales[self._axis].append(ObjectReference(dset.name))
        _set_scales(self._dataset, scales)
        _set_back(dset, [*_users(dset), (ObjectReference(self._dataset.name), self._axis)])

    def detach_scale(self, dset: Any) -> None:
        """Take a scale from the axis.

        Raises
        ------
        RuntimeError
            The axis does not have it.
        """
        scales = _scales(self._dataset)
        tree = self._dataset.file
        kept = [item for item in scales[self._axis] if tree[item].attrs is not dset.attrs]
        if len(kept) == len(scales[self._axis]):
            raise RuntimeError(
                f"{dset.name} is no scale of axis {self._axis} of {self._dataset.name}"
            )
        scales[self._axis] = kept
        _set_scales(self._dataset, scales)
        mine = self._dataset.attrs
        _set_back(
            dset,
            [
                (item, axis)
                for item, axis in _users(dset)
                if axis != self._axis or tree[item].attrs is not mine
            ],
        )

    def keys(self) -> list[str]:
        """The names of the scales."""
        return [_text(scale.attrs.get(_NAME, "")) for scale in self._targets()]

    def values(self) -> list[Any]:
        """The scales, as datasets."""
        return self._targets()

    def items(self) -> list[tuple[str, Any]]:
        """Pairs of name and scale."""
        return list(zip(self.keys(), self.values(), strict=True))

    def __getitem__(self, item: int | str) -> Any:
        if isinstance(item, int | np.integer):
            return self._targets()[item]
        for name, scale in self.items():
            if name == item:
                return scale
        raise KeyError(item)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._references())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Dimension)
            and self._axis == other._axis
            and self._dataset.attrs is other._dataset.attrs
        )

    def __hash__(self) -> int:
        return hash((id(self._dataset.attrs), self._axis))

    def __repr__(self) -> str:
        return f"<{self.label!r} axis {self._axis} of {self._dataset.name}>"


class Dimensions:
    """The axes of a dataset: ``dataset.dims``."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def __getitem__(self, axis: int) -> Dimension:
        if not 0 <= axis < len(self):
            raise IndexError(f"{self._dataset.name} has {len(self)} axes, so no axis {axis}")
        return Dimension(self._dataset, axis)

    def __len__(self) -> int:
        return int(self._dataset.ndim)

    def __iter__(self) -> Iterator[Dimension]:
        return (Dimension(self._dataset, axis) for axis in range(len(self)))

    def create_scale(self, dset: Any, name: str = "") -> None:
        """Make another dataset a scale; `MemDatasetCommon.make_scale` does the same."""
        make_scale(dset, name)

    def __repr__(self) -> str:
        return f"<{len(self)} axes of {self._dataset.name}>"
