"""Part 9: what a container class overrides - names it allows, selections it makes."""

from __future__ import annotations

import inspect

import h5py
import numpy as np
import pytest

from memdata import MemDiskGroup, MemGroup
from support import fill


class Picky(MemDiskGroup):
    """Allows groups but `secret`, and datasets but those that start with `tmp`."""

    @staticmethod
    def group_name_allowed(path):
        return path.rstrip("/").rsplit("/", maxsplit=1)[-1] != "secret"

    @staticmethod
    def dataset_name_allowed(path):
        return not path.rsplit("/", maxsplit=1)[-1].startswith("tmp")


@pytest.fixture(params=["memory", "disk"])
def picky(request, tmp_path):
    """A container whose data hold names that its class refuses."""
    path = tmp_path / "data.h5"
    group = MemGroup() if request.param == "memory" else h5py.File(path, "w")
    for name in ["secret/x", "secret/tmp", "good/tmp1", "good/x", "good/secret/y", "tmp", "z"]:
        group.create_dataset(name, data=np.arange(3))
    yield Picky(group)
    if request.param == "disk":
        group.close()


REFUSED = ["secret", "tmp", "good/tmp1", "good/secret", "/secret/", "secret/x", "good/secret/y"]


class TestNamesAllowed:
    @pytest.mark.parametrize("path", REFUSED)
    def test_a_refused_name_is_a_key_error_on_access(self, picky, path):
        with pytest.raises(KeyError):
            picky[path]

    @pytest.mark.parametrize("path", REFUSED)
    def test_a_refused_name_is_missing(self, picky, path):
        assert path not in picky
        assert picky.get(path, "default") == "default"

    def test_refused_names_are_left_out_of_iteration_and_len(self, picky):
        assert sorted(picky) == ["good", "z"]
        assert len(picky) == 2
        assert list(picky["good"]) == ["x"]
        assert len(picky["good"]) == 1
        assert sorted(picky.keys()) == ["good", "z"]
        assert sorted(name for name, _ in picky.items()) == ["good", "z"]
        assert sorted(node.name for node in picky.values()) == ["/good", "/z"]

    @pytest.mark.parametrize("name", ["secret2/secret", "good/new/secret"])
    def test_a_refused_group_is_a_value_error_on_creation(self, picky, name):
        with pytest.raises(ValueError, match="secret"):
            picky.create_group(name)

    @pytest.mark.parametrize("name", ["tmp2", "good/tmp2", "/new/tmp2"])
    def test_a_refused_dataset_is_a_value_error_on_creation(self, picky, name):
        with pytest.raises(ValueError, match="tmp2"):
            picky.create_dataset(name, data=np.arange(3))
        with pytest.raises(ValueError, match="tmp2"):
            picky.require_dataset(name, (3,), "f8")

    def test_a_refused_parent_is_a_value_error_on_creation(self, picky):
        with pytest.raises(ValueError, match="secret"):
            picky.create_dataset("new/secret/x", data=np.arange(3))
        with pytest.raises(ValueError, match="secret"):
            picky.create_group("new/secret/x")
        assert "new" not in picky

    def test_allowed_names_work(self, picky):
        picky.create_dataset("good/w", data=np.arange(4))
        picky.create_group("tmp_is_fine_for_a_group")
        assert picky["good/w"].shape == (4,)
        assert "tmp_is_fine_for_a_group" in picky
        assert picky["good/x"].shape == (3,)
        assert picky["good"]["x"].shape == (3,)

    def test_the_base_class_allows_everything(self):
        assert MemDiskGroup.group_name_allowed("/anything")
        assert MemDiskGroup.dataset_name_allowed("/anything")

    def test_are_static(self):
        for name in ("group_name_allowed", "dataset_name_allowed"):
            assert isinstance(inspect.getattr_static(MemDiskGroup, name), staticmethod)

    def test_are_asked_with_paths_that_end_in_the_name(self, tree):
        asked = []

        class Asking(MemDiskGroup):
            @staticmethod
            def group_name_allowed(path):
                asked.append(("group", path))
                return True

            @staticmethod
            def dataset_name_allowed(path):
                asked.append(("dataset", path))
                return True

        container = Asking(tree)
        container["sky/map"]
        assert ("dataset", "/sky/map") in asked or ("dataset", "sky/map") in asked
        asked.clear()
        container["sky"]["deep"]
        assert asked[-1][0] == "group"
        assert asked[-1][1].endswith("deep")
        assert {kind for kind, path in asked if path.endswith("map")} == set()

    def test_an_exception_in_a_hook_reaches_the_caller(self, tree):
        class Broken(MemDiskGroup):
            @staticmethod
            def dataset_name_allowed(path):
                raise ZeroDivisionError

        container = Broken(tree)
        with pytest.raises(ZeroDivisionError):
            container["sky/map"]
        with pytest.raises(ZeroDivisionError):
            container.create_dataset("x", data=[1])
        assert "x" not in tree


class Selecting(MemDiskGroup):
    """Cuts `time`, and the first axis of `sky/map`, on loading."""

    seen = None

    @classmethod
    def _make_selections(cls, sel_args):
        cls.seen = dict(sel_args)
        selections = {}
        if "time" in sel_args:
            selections["/time"] = sel_args["time"]
        if "row" in sel_args:
            selections["sky/map"] = (sel_args["row"], slice(None))
        return selections


class Named(Selecting):
    """Another class of the family, that files name."""

    @classmethod
    def _make_selections(cls, sel_args):
        raise AssertionError("asked the class that the file names")


class TestSelections:
    def test_keywords_ending_in_sel_are_collected_by_axis(self, h5_tree):
        Selecting.from_file(h5_tree, time_sel=slice(1, 3), row_sel=[0, 2], mode="r")
        assert Selecting.seen == {"time": slice(1, 3), "row": [0, 2]}

    def test_the_selections_are_applied_on_loading(self, h5_tree, tree):
        container = Selecting.from_file(h5_tree, time_sel=slice(1, 3), row_sel=[0, 2])
        np.testing.assert_array_equal(container["time"][:], tree["time"][1:3])
        np.testing.assert_array_equal(container["sky/map"][:], tree["sky/map"][[0, 2]])
        assert container["sky/deep/mask"].shape == (4,)

    def test_without_such_keywords_everything_is_loaded(self, h5_tree):
        container = Selecting.from_file(h5_tree)
        assert container["time"].shape == (4,)

    def test_of_an_open_file(self, h5_tree, tree):
        with h5py.File(h5_tree, "r") as file:
            container = Selecting.from_file(file, time_sel=slice(None, None, 2))
        np.testing.assert_array_equal(container["time"][:], tree["time"][::2])

    def test_the_base_class_makes_none_and_warns(self):
        with pytest.warns(UserWarning, match="MemDiskGroup"):
            assert MemDiskGroup._make_selections({"time": slice(1, 3)}) is None

    def test_a_class_that_makes_none_raises_naming_the_axis(self, h5_tree):
        """Not loading everything in silence (part 12)."""
        with pytest.warns(UserWarning, match="MemDiskGroup"), pytest.raises(ValueError) as caught:
            MemDiskGroup.from_file(h5_tree, time_sel=slice(1, 3), mode="r")
        assert "time" in str(caught.value)

    def test_data_left_on_disk_cannot_be_selected_from(self, h5_tree):
        with pytest.raises(ValueError, match="time"):
            Selecting.from_file(h5_tree, ondisk=True, time_sel=slice(1, 3))

    def test_the_class_that_was_called_is_asked_and_not_the_one_the_file_names(self, tmp_path):
        fill(Named()).save(tmp_path / "named.h5")
        container = Selecting.from_file(tmp_path / "named.h5", time_sel=slice(1, 2))
        assert type(container) is Named
        assert container["time"].shape == (1,)

    def test_a_selection_that_does_not_fit_is_a_value_error(self, h5_tree):
        with pytest.raises(ValueError, match="/time"):
            Selecting.from_file(h5_tree, time_sel=(slice(None), slice(None)))


def test_overrides_of_init_copy_and_properties_of_a_clients_container(tmp_path):
    class Timestream(MemDiskGroup):
        def __init__(self, freq=None, **kwargs):
            super().__init__(**kwargs)
            if freq is not None:
                self.create_dataset("index_map/freq", data=np.asarray(freq))

        @property
        def freq(self):
            return self["index_map/freq"][:]

        def copy(self, shared=(), shallow=False):
            new = super().copy(shared=list(shared), shallow=shallow)
            new.attrs["copied"] = True
            return new

    stream = Timestream(freq=[1.0, 2.0])
    assert list(stream.copy().freq) == [1.0, 2.0]
    assert stream.copy().attrs == {"copied": True}
    stream.save(tmp_path / "x.h5")
    assert list(Timestream.from_file(tmp_path / "x.h5", detect_subclass=False).freq) == [1.0, 2.0]


@pytest.mark.parametrize("create", ["create_group", "create_dataset"])
def test_a_hook_may_move_the_group_that_asks(create):
    """It is asked before anything is made; what is made then goes where the path counted from."""

    asked = []

    class Restless(MemDiskGroup):
        @staticmethod
        def group_name_allowed(path):
            for handle in asked:
                handle._name = "/"
            return True

        dataset_name_allowed = group_name_allowed

    container = Restless()
    MemGroup.create_group(container._data, "a")
    asked.append(container["a"])
    del container._data["a"]
    arguments = {"shape": (2,)} if create == "create_dataset" else {}
    getattr(asked[0], create)("x", **arguments)
    assert "x" not in container
