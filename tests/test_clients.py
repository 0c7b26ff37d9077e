"""Part 13 of the behaviour page: how client code leans on the package."""

from __future__ import annotations

import numpy as np
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup, _Storage
from support import assert_same_array, fill


class BasicContainer(MemDiskGroup):
    """A container with an index map, as clients write it."""

    _axes = ("freq", "time")

    def __init__(self, *args, **kwargs):
        axes = {axis: kwargs.pop(axis) for axis in self._axes if axis in kwargs}
        super().__init__(*args, **kwargs)
        if axes:
            index_map = self.create_group("index_map")
            for axis, values in axes.items():
                index_map.create_dataset(axis, data=np.asarray(values))
            vis = self.create_dataset("vis", shape=tuple(map(len, axes.values())), dtype="c8")
            vis.attrs["axis"] = np.array(self._axes)

    @property
    def vis(self):
        return self["vis"]

    @property
    def freq(self):
        return self["index_map"]["freq"][:]

    @classmethod
    def _make_selections(cls, sel_args):
        selections = {}
        for axis, selection in sel_args.items():
            selections[f"/index_map/{axis}"] = selection
            place = cls._axes.index(axis)
            selections["/vis"] = (slice(None),) * place + (selection,)
        return selections

    @staticmethod
    def group_name_allowed(path):
        return path.strip("/").startswith("index_map")


@pytest.fixture
def container():
    made = BasicContainer(freq=[400.0, 500.0, 600.0], time=np.arange(4))
    made.vis[:] = np.arange(12).reshape(3, 4)
    return made


def test_lookups_and_axis_attributes(container):
    assert container["vis"][:].shape == (3, 4)
    assert list(container["index_map"]["freq"]) == [400.0, 500.0, 600.0]
    assert list(container["vis"].attrs["axis"]) == ["freq", "time"]
    assert container.vis.name == "/vis"


def test_a_file_read_in_part_by_axis_selections(container, tmp_path):
    container.save(tmp_path / "x.h5")
    part = BasicContainer.from_file(tmp_path / "x.h5", freq_sel=slice(1, None))
    assert list(part.freq) == [500.0, 600.0]
    assert_same_array(part.vis[:], container.vis[1:])
    part = BasicContainer.from_file(tmp_path / "x.h5", time_sel=[0, 3])
    assert_same_array(part.vis[:], container.vis[:, [0, 3]])


def test_names_that_the_class_refuses(container):
    with pytest.raises(ValueError, match="history"):
        container.create_group("history")
    container._data.create_group("history")
    assert "history" not in container
    assert "history" in container._data


def test_walking_the_private_storage(container):
    def datasets(storage, path=""):
        for name, node in storage.items():
            if isinstance(node, memdata._Storage):
                yield from datasets(node, f"{path}/{name}")
            else:
                yield f"{path}/{name}", node

    found = dict(datasets(container._data._get_storage()))
    assert set(found) == {"/index_map/freq", "/index_map/time", "/vis"}
    assert isinstance(container._data._storage_root["/index_map"], _Storage)
    for path, dataset in found.items():
        assert np.shares_memory(dataset.data, container[path].data)


def test_storage_options_set_through_private_names(container, tmp_path):
    for name in ["/vis", "/index_map/freq"]:
        dataset = container._data._storage_root[name]
        dataset.chunks = (2,) * len(dataset.shape)
        dataset.compression = "gzip"
        dataset.compression_opts = 2
    container.save(tmp_path / "x.h5")
    again = BasicContainer.from_file(tmp_path / "x.h5")
    assert again.vis.chunks == (2, 2)
    assert again.vis.compression == "gzip"
    assert again.vis.compression_opts == 2


def test_mode_of_the_underlying_file(container):
    assert container._data.file.mode == "r+"


def test_a_class_derived_at_run_time_from_a_datasets_class(container):
    dataset = container["vis"]

    class Scaled(dataset.__class__):
        def __getitem__(self, index):
            return super().__getitem__(index) * 2

    scaled = Scaled.from_numpy_array(dataset.data)
    scaled._name = dataset.name
    scaled.unit = "K"
    assert scaled.name == "/vis"
    assert scaled.unit == "K"
    assert_same_array(scaled[1], dataset[1] * 2)
    assert scaled.shape == dataset.shape


def test_several_inheritance(tree):
    class HasLabel:
        label = "none"

        def describe(self):
            return f"{self.label}: {len(self)}"

    class Both(HasLabel, MemDiskGroup):
        pass

    class Group(HasLabel, MemGroup):
        pass

    assert Both(tree).describe() == "none: 4"
    assert fill(Group()).describe() == "none: 4"
    assert type(Group().create_group("a")) is Group


def test_generic_code_takes_any_group(any_tree):
    def total(group):
        result = 0.0
        for node in group.values():
            result += total(node) if hasattr(node, "create_group") else np.sum(node[()])
        return result

    assert total(any_tree) == pytest.approx(3.0 + 66.0 + 3 + 42)


class Careful(MemDiskGroup):
    @classmethod
    def from_file(cls, *args, **kwargs):
        made = super().from_file(*args, **kwargs)
        made.attrs["checked"] = True
        return made

    def copy(self, *args, **kwargs):
        made = super().copy(*args, **kwargs)
        made.attrs["copies"] = made.attrs.get("copies", 0) + 1
        return made


def test_overriding_from_file_and_copy(tmp_path):
    fill(Careful()).save(tmp_path / "x.h5")
    made = Careful.from_file(tmp_path / "x.h5")
    assert made.attrs["checked"]
    assert made.copy().copy().attrs["copies"] == 2


def test_names_kept_by_clients_in_dicts_and_sets(container):
    by_dataset = {container["vis"]: 1}
    assert by_dataset[container["vis"]] == 1
    assert len({container["index_map"], container["/index_map"]}) == 1
