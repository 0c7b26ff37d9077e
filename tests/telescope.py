"""A small family of container classes, written as packages that build on the library write theirs.

Tests and ranks' tests use it. Nothing in here knows memdata's inside but the private names that the
behaviour page promises.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import memdata
from memdata import MemDiskGroup
from memdata.mpiarray import MPIArray


class ContainerBase(MemDiskGroup):
    """Datasets with named axes; what the axes are is in ``index_map``.

    A class says in `_dataset_spec` what it may hold; those with ``initialise`` are made at once.
    """

    _axes: ClassVar[tuple[str, ...]] = ()
    _dataset_spec: ClassVar[dict[str, dict[str, Any]]] = {}
    convert_attribute_strings = True
    convert_dataset_strings = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        axes_from = kwargs.pop("axes_from", None)
        attrs_from = kwargs.pop("attrs_from", None)
        lengths = {axis: kwargs.pop(axis) for axis in self.axes if axis in kwargs}
        super().__init__(*args, **kwargs)
        if axes_from is None and not lengths:
            return  # around data that are there
        index_map = self.create_group("index_map")
        for axis in self.axes:
            values = lengths[axis] if axis in lengths else axes_from.index_map[axis]
            values = np.arange(values) if isinstance(values, int) else np.asarray(values)
            index_map.create_dataset(axis, data=values)
        if attrs_from is not None:
            memdata.copyattrs(attrs_from.attrs, self.attrs)
        for name, spec in self._dataset_spec.items():
            if spec.get("initialise"):
                self.add_dataset(name)

    @property
    def axes(self) -> tuple[str, ...]:
        return self._axes

    def add_dataset(self, name: str) -> Any:
        spec = self._dataset_spec[name]
        shape = tuple(len(self.index_map[axis]) for axis in spec["axes"])
        options = {
            key: spec[key] for key in ("chunks", "compression", "compression_opts") if key in spec
        }
        if self.distributed and spec.get("distributed"):
            place = spec["axes"].index(spec.get("distributed_axis", spec["axes"][0]))
            options.update(distributed=True, distributed_axis=place)
        made = self.create_dataset(name, shape=shape, dtype=spec["dtype"], **options)
        made.attrs["axis"] = np.array(spec["axes"])
        return made

    @property
    def index_map(self) -> dict[str, np.ndarray[Any, Any]]:
        return {name: values[:] for name, values in self._data["index_map"].items()}

    @property
    def datasets(self) -> dict[str, Any]:
        return {name: self[name] for name in self if not memdata.is_group(self[name])}

    @staticmethod
    def group_name_allowed(path: str) -> bool:
        return path.strip("/").split("/")[0] in {"index_map", "reverse_map", "flags"}

    @classmethod
    def _make_selections(cls, sel_args: dict[str, Any]) -> dict[str, Any]:
        selections = {f"/index_map/{axis}": sel for axis, sel in sel_args.items()}
        for name, spec in cls._dataset_spec.items():
            if not set(spec["axes"]).isdisjoint(sel_args):
                selections[f"/{name}"] = tuple(
                    sel_args.get(axis, slice(None)) for axis in spec["axes"]
                )
        return selections

    def redistribute(self, dist_axis: Any) -> None:
        for dataset in self.datasets.values():
            names = list(dataset.attrs["axis"])
            if dataset.distributed and dist_axis in names:
                dataset.redistribute(names.index(dist_axis))

    def copy(self, shared: Any = (), shallow: bool = False) -> Any:
        new = super().copy(shared=list(shared), shallow=shallow)
        new.attrs["history"] = [*new.attrs.get("history", []), "copied"]
        return new


class TimeStream(ContainerBase):
    """Visibilities over frequency, baseline and time."""

    _axes = ("freq", "prod", "time")
    _dataset_spec: ClassVar = {
        "vis": {
            "axes": ("freq", "prod", "time"),
            "dtype": np.complex64,
            "initialise": True,
            "distributed": True,
            "chunks": (2, 2, 64),
            "compression": "gzip",
            "compression_opts": 1,
        },
        "weight": {
            "axes": ("freq", "prod", "time"),
            "dtype": np.float32,
            "initialise": True,
            "distributed": True,
        },
        "gain": {"axes": ("freq", "time"), "dtype": np.complex64, "distributed": True},
    }

    @property
    def vis(self) -> Any:
        return self["vis"]

    @property
    def weight(self) -> Any:
        return self["weight"]

    @property
    def freq(self) -> np.ndarray[Any, Any]:
        return self.index_map["freq"]


class Spectrum(ContainerBase):
    """Power over frequency."""

    _axes = ("freq",)
    _dataset_spec: ClassVar = {
        "power": {"axes": ("freq",), "dtype": np.float64, "initialise": True, "distributed": True}
    }


def numbered_stream(freq: int = 5, prod: int = 3, time: int = 8, **kwargs: Any) -> TimeStream:
    """A stream whose elements all differ, whatever part of it is on this rank."""
    made = TimeStream(freq=np.linspace(400.0, 800.0, freq), prod=prod, time=time, **kwargs)
    whole = numbered(freq, prod, time)
    for dataset, values in ((made.vis, whole * (1 - 1j)), (made.weight, whole + 0.5)):
        part = dataset.data.local_bounds if isinstance(dataset.data, MPIArray) else slice(None)
        dataset.local_data[...] = values[part]
    made.attrs["telescope"] = {"name": "small", "dishes": [1, 2]}
    return made


def numbered(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(float(np.prod(shape))).reshape(shape)
