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


class Recorded(MemDiskGroup):
    """A container of an older kind: hidden groups that only its own properties show."""

    _allowed = ("vis", "gain")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for name in ("history", "index_map"):
            self._data.require_group(name)

    @classmethod
    def group_name_allowed(cls, name):
        return False

    @classmethod
    def dataset_name_allowed(cls, name):
        return name.strip("/") in cls._allowed

    @property
    def history(self):
        return memdata.ro_dict({n: dict(g.attrs) for n, g in self._data["history"].items()})

    @property
    def index_map(self):
        return memdata.ro_dict({n: d[:] for n, d in self._data["index_map"].items()})

    @property
    def datasets(self):
        return memdata.ro_dict({n: self._data[n] for n in self._data if n in self._allowed})

    def add_history(self, name, **notes):
        group = self._data["history"].create_group(name)
        for key, value in notes.items():
            group.attrs[key] = value

    def create_index_map(self, name, values):
        self._data["index_map"].create_dataset(name, data=values)

    def del_index_map(self, name):
        del self._data["index_map"][name]


class TestHiddenGroups:
    @pytest.fixture(params=["memory", "file"])
    def recorded(self, request, tmp_path):
        made = Recorded() if request.param == "memory" else Recorded(tmp_path / "open.h5")
        made.add_history("first", author="a", count=3)
        made.create_index_map("time", np.arange(4))
        made.create_dataset("vis", data=np.arange(4.0))
        yield made
        made.close()

    def test_are_seen_through_properties_only(self, recorded):
        assert list(recorded) == ["vis"]
        assert len(recorded) == 1
        assert set(recorded._data) == {"history", "index_map", "vis"}
        assert recorded.history["first"] == {"author": "a", "count": 3}
        assert list(recorded.index_map["time"]) == [0, 1, 2, 3]
        assert list(recorded.datasets) == ["vis"]
        for name in ("index_map", "history/first", "index_map/time"):
            assert name not in recorded
            with pytest.raises(KeyError):
                recorded[name]

    def test_refuse_other_names(self, recorded):
        with pytest.raises(ValueError, match="nothing"):
            recorded.create_dataset("nothing", data=[1])
        with pytest.raises(ValueError, match="history"):
            recorded.create_group("history/second")
        recorded.del_index_map("time")
        assert list(recorded.index_map) == []

    @pytest.mark.parametrize("ondisk", [False, True])
    def test_go_through_files(self, recorded, tmp_path, ondisk):
        recorded.save(tmp_path / "x.h5")
        with MemDiskGroup.from_file(tmp_path / "x.h5", ondisk=ondisk) as again:
            assert type(again) is Recorded
            assert list(again) == ["vis"]
            assert again.history["first"] == {"author": "a", "count": 3}
            assert list(again.index_map["time"]) == [0, 1, 2, 3]

    def test_are_copied(self, recorded):
        again = recorded.copy()
        again.add_history("second")
        assert sorted(again.history) == ["first", "second"]
        assert list(recorded.history) == ["first"]
        assert not again.ondisk

    def test_can_be_added_to_in_a_file(self, recorded, tmp_path):
        recorded.save(tmp_path / "x.h5")
        with Recorded.from_file(tmp_path / "x.h5", ondisk=True, mode="r+") as opened:
            opened.add_history("second", author="b")
            opened.create_dataset("gain", data=np.ones(2))
            opened.create_index_map("freq", np.arange(2))
        again = Recorded.from_file(tmp_path / "x.h5")
        assert sorted(again.history) == ["first", "second"]
        assert sorted(again) == ["gain", "vis"]
        assert sorted(again.index_map) == ["freq", "time"]
