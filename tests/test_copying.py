"""Part 11 of the behaviour page: `deep_group_copy`, `copyattrs`, `is_group`, `get_file`."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import (
    MemDiskGroup,
    MemGroup,
    _Storage,
    copyattrs,
    deep_group_copy,
    fileformats,
    get_file,
    is_group,
)
from memdata.copying import deep_copy_dataset
from support import assert_same_array, assert_same_tree, fill, open_descriptors

PLACES = ["memory", "disk"]


@pytest.fixture
def place_of(tmp_path):
    """A function that makes an empty group in memory or in an HDF5 file."""
    files = []

    def make(place):
        if place == "memory":
            return MemGroup()
        files.append(h5py.File(tmp_path / f"place{len(files)}.h5", "w"))
        return files[-1]

    yield make
    for file in files:
        file.close()


@pytest.fixture(params=[(one, other) for one in PLACES for other in PLACES], ids="->".join)
def pair(request, place_of):
    """A filled source and an empty target, each in memory and on disk."""
    source, target = request.param
    return fill(place_of(source)), place_of(target)


@pytest.fixture
def target():
    return MemGroup()


class TestEverywhere:
    """What holds for any of memory and HDF5 to any."""

    def test_copies_groups_attributes_and_datasets(self, pair):
        source, target = pair
        deep_group_copy(source, target)
        assert_same_tree(target, source)

    def test_what_was_in_the_target_stays(self, pair):
        source, target = pair
        target.create_dataset("mine", data=np.arange(3))
        target.attrs["mine"] = 1
        deep_group_copy(source, target)
        assert list(target["mine"][:]) == [0, 1, 2]
        assert target.attrs["mine"] == 1
        assert target["sky/map"].shape == (3, 4)

    def test_from_and_into_the_groups_given(self, pair):
        source, target = pair
        inner = target.create_group("into/here")
        deep_group_copy(source["sky"], inner)
        assert_same_tree(target["into/here"], source["sky"])
        assert set(target) == {"into"}
        assert not target.attrs

    def test_containers_are_taken(self, pair):
        source, target = pair
        deep_group_copy(MemDiskGroup(source), MemDiskGroup(target))
        assert_same_tree(target, source)

    def test_chunks_and_compression_travel_along(self, pair):
        source, target = pair
        source.create_dataset(
            "packed",
            data=np.zeros((8, 6)),
            chunks=(4, 3),
            compression="gzip",
            compression_opts=5,
        )
        deep_group_copy(source, target)
        assert target["packed"].chunks == (4, 3)
        assert target["packed"].compression == "gzip"
        assert target["packed"].compression_opts == 5

    @pytest.mark.parametrize("key", ["sky/map", "/sky/map", "//sky//map/"])
    @pytest.mark.parametrize(
        "selection",
        [
            np.s_[1:],
            np.s_[::2, 1:3],
            np.s_[:, ::2],
            np.s_[-2:, :-1],
            [0, 2],
            np.s_[[0, 2], :],
            np.s_[:, [0, 3]],
            np.s_[..., 1:2],
        ],
        ids=str,
    )
    def test_selections(self, pair, selection, key):
        source, target = pair
        expected = np.asarray(source["sky/map"])[selection]
        deep_group_copy(source, target, selections={key: selection})
        assert_same_array(np.asarray(target["sky/map"]), expected)
        assert target["sky/deep/mask"].shape == (4,)
        assert list(target["sky/map"].attrs["axis"]) == [10, 20]
        assert source["sky/map"].shape == (3, 4)

    def test_chunks_of_a_selection_are_cut_to_what_is_left(self, pair):
        source, target = pair
        source.create_dataset("packed", data=np.zeros((8, 6)), chunks=(4, 3))
        deep_group_copy(source, target, selections={"packed": np.s_[:2]})
        assert target["packed"].shape == (2, 6)
        assert target["packed"].chunks == (2, 3)

    @pytest.mark.parametrize(
        "selection", [np.s_[:, :, :], 7, np.s_[0, 9], [5], "field", np.s_[:1, :1, 0]], ids=str
    )
    def test_a_selection_that_does_not_fit_is_a_value_error(self, pair, selection):
        source, target = pair
        with pytest.raises(ValueError, match="/sky/map"):
            deep_group_copy(source, target, selections={"/sky/map": selection})
        assert not list(target)

    def test_a_selection_of_nothing_there_is_a_value_error(self, pair):
        source, target = pair
        with pytest.raises(ValueError, match="nothing"):
            deep_group_copy(source, target, selections={"/nothing": np.s_[:1]})

    def test_postprocess_is_called_on_every_node(self, pair):
        source, target = pair
        calls = []

        def note(one, other):
            calls.append((one.name, other.name))
            other.attrs["seen"] = "yes"

        deep_group_copy(source, target, postprocess=note)
        below = {"/time", "/sky", "/sky/map", "/sky/deep", "/sky/deep/mask", "/empty", "/answer"}
        assert {one for one, _ in calls} >= below
        assert all(one == other for one, other in calls)
        assert len(calls) == len(set(calls))
        for path in below:
            assert target[path].attrs["seen"] == "yes"
            assert "seen" not in source[path].attrs

    def test_without_distributed_data_no_names_are_left(self, pair):
        source, target = pair
        assert not deep_group_copy(source, target, skip_distributed=True)
        assert_same_tree(target, source)

    def test_scalar_and_null_datasets(self, pair):
        source, target = pair
        source.create_dataset("null", data=h5py.Empty("f4"))
        source.create_dataset("scalar", data=3.5)
        deep_group_copy(source, target)
        assert target["scalar"][()] == 3.5
        assert target["null"].shape is None
        assert target["null"].dtype == np.float32

    def test_the_source_is_not_changed(self, pair):
        source, target = pair
        before = MemGroup.from_group(source)
        deep_group_copy(source, target)
        target["sky/map"][0, 0] = 99
        target["sky"].attrs["survey"] = 99
        assert_same_tree(source, before)

    def test_json_attributes(self, place_of, pair):
        source, target = pair
        if isinstance(source, MemGroup):
            source["sky"].attrs["nested"] = {"a": [1, {"b": "c"}]}
        else:
            source["sky"].attrs["nested"] = '!!_memh5_json:{"a": [1, {"b": "c"}]}'
        deep_group_copy(source, target)
        again = MemGroup()
        deep_group_copy(target, again)
        assert again["sky"].attrs["nested"] == {"a": [1, {"b": "c"}]}


class TestMemoryToMemory:
    def test_is_deep(self, tree, target):
        tree.attrs["list"] = [1, [2]]
        tree["sky/map"].attrs["list"] = [1, [2]]
        deep_group_copy(tree, target)
        target["sky/map"][0, 0] = 99
        target.attrs["list"][1].append(3)
        target["sky/map"].attrs["list"][1].append(3)
        target["sky/map"].attrs["axis"][0] = 99
        assert tree["sky/map"][0, 0] == 0
        assert tree.attrs["list"] == tree["sky/map"].attrs["list"] == [1, [2]]
        assert tree["sky/map"].attrs["axis"][0] == 10

    def test_is_deep_down_to_objects(self, target):
        inner = [1]
        array = np.empty(1, dtype=[("in", [("o", "O")])])
        array["in"]["o"][0] = inner
        tree = MemGroup()
        tree.create_dataset("x", data=array)
        deep_group_copy(tree, target)
        assert target["x"]["in"]["o"][0] == [1]
        assert target["x"]["in"]["o"][0] is not inner

    def test_children_come_in_sorted_order(self, target):
        tree = MemGroup()
        for name in ["z", "b/y", "b/x", "a", "B"]:
            tree.create_dataset(name, data=[1])
        deep_group_copy(tree, target)
        assert list(target) == ["B", "a", "b", "z"]
        assert list(target["b"]) == ["x", "y"]

    def test_storage_nodes_are_taken(self, tree):
        target = _Storage()
        deep_group_copy(tree._get_storage(), target)
        assert set(target) == set(tree)
        assert_same_array(target["sky"]["map"].data, tree["sky/map"].data)

    def test_shallow_makes_every_dataset_the_same_object(self, tree, target):
        deep_group_copy(tree, target, shallow=True)
        for path in ["time", "sky/map", "sky/deep/mask", "answer"]:
            assert np.shares_memory(target[path].data, tree[path].data)
            assert target[path].attrs is tree[path].attrs
        target["time"].chunks = (2,)
        assert tree["time"].chunks == (2,)

    def test_shallow_copies_groups_and_their_attributes(self, tree, target):
        deep_group_copy(tree, target, shallow=True)
        target["sky"].attrs["survey"] = 99
        target["sky"].create_group("new")
        del target["time"]
        assert tree["sky"].attrs["survey"] == 7
        assert "new" not in tree["sky"]
        assert "time" in tree

    @pytest.mark.parametrize("spelling", ["sky/map", "/sky/map"])
    def test_shared_makes_the_listed_datasets_the_same_objects(self, tree, target, spelling):
        deep_group_copy(tree, target, shared=[spelling])
        assert np.shares_memory(target["sky/map"].data, tree["sky/map"].data)
        assert target["sky/map"].attrs is tree["sky/map"].attrs
        assert not np.shares_memory(target["time"].data, tree["time"].data)

    def test_names_and_trees_of_shared_datasets_are_those_of_each_tree(self, tree):
        target = MemGroup()
        inner = target.create_group("inner")
        deep_group_copy(tree["sky"], inner, shared=["map"])
        assert np.shares_memory(target["inner/map"].data, tree["sky/map"].data)
        assert target["inner/map"].name == "/inner/map"
        assert target["inner/map"].file == target
        assert tree["sky/map"].name == "/sky/map"
        assert tree["sky/map"].file == tree

    def test_shared_that_is_not_there_is_no_silent_mistake(self, tree, target):
        with pytest.raises((ValueError, KeyError), match="nothing"):
            deep_group_copy(tree, target, shared=["nothing"])

    @pytest.mark.parametrize("given", [{"shallow": True}, {"shared": ["time"]}], ids=str)
    def test_a_selection_on_a_shared_dataset_is_a_value_error(self, tree, target, given):
        with pytest.raises(ValueError, match="/time"):
            deep_group_copy(tree, target, selections={"time": np.s_[:2]}, **given)
        assert len(target) == 0

    def test_a_selection_does_not_share_memory(self, tree, target):
        deep_group_copy(tree, target, selections={"sky/map": np.s_[1:]})
        target["sky/map"][0, 0] = 99
        assert tree["sky/map"][1, 0] == 4

    def test_object_arrays_with_cycles_and_duplicates(self, target):
        tree = MemGroup()
        array = np.empty(2, dtype=object)
        cycle = [1]
        cycle.append(cycle)
        array[:] = [cycle, cycle]
        tree.create_dataset("x", data=array)
        deep_group_copy(tree, target)
        assert target["x"][0][1] is target["x"][0]
        assert target["x"][0] is not cycle

    def test_a_group_into_itself_is_refused_or_ends(self, tree):
        inner = tree.create_group("inner")
        try:
            deep_group_copy(tree, inner)
        except ValueError:
            assert len(inner) == 0
        else:
            assert_same_array(tree["inner/sky/map"].data, tree["sky/map"].data)

    @given(
        st.recursive(
            st.integers(0, 5),
            lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
            max_leaves=12,
        ).filter(lambda value: isinstance(value, dict))
    )
    def test_any_tree(self, shape):
        def build(group, content):
            for name, value in content.items():
                if isinstance(value, dict):
                    build(group.create_group(name), value)
                else:
                    made = group.create_dataset(name, data=np.arange(value))
                    made.attrs["n"] = value
            group.attrs["keys"] = list(content)
            return group

        source, target = build(MemGroup(), shape), MemGroup()
        deep_group_copy(source, target)
        assert_same_tree(target, source)

    @given(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), st.data())
    def test_any_basic_selection_is_numpys(self, shape, data):
        array = np.arange(np.prod(shape)).reshape(shape)
        index = data.draw(
            hnp.basic_indices(shape, allow_newaxis=False).filter(
                lambda index: isinstance(array[index], np.ndarray)
            )
        )
        source, target = MemGroup(), MemGroup()
        source.create_dataset("x", data=array)
        deep_group_copy(source, target, selections={"x": index})
        assert_same_array(target["x"][...], array[index])


class TestToDisk:
    @pytest.fixture
    def file(self, place_of):
        return place_of("disk")

    def test_children_come_in_sorted_order(self, tmp_path):
        tree = MemGroup()
        for name in ["z", "b/y", "b/x", "a"]:
            tree.create_dataset(name, data=[1])
        with h5py.File(tmp_path / "order.h5", "w", track_order=True) as file:
            deep_group_copy(tree, file)
            assert list(file) == ["a", "b", "z"]

    def test_shallow_warns_and_is_ignored(self, tree, file):
        with pytest.warns(UserWarning, match="shallow"):
            deep_group_copy(tree, file, shallow=True)
        assert_same_tree(file, tree)

    def test_shared_warns_and_is_ignored(self, tree, file):
        with pytest.warns(UserWarning, match="shared"):
            deep_group_copy(tree, file, shared=["time"])
        assert_same_tree(file, tree)

    def test_unicode_datasets_are_a_type_error(self, tree, file):
        tree.create_dataset("sky/names", data=np.array(["a", "bc"]))
        with pytest.raises(TypeError, match="/sky/names"):
            deep_group_copy(tree, file)
        assert list(file) == []

    def test_unicode_datasets_are_converted_where_asked(self, tree, file):
        tree.create_dataset("sky/names", data=np.array(["a", "bc"]))
        deep_group_copy(tree, file, convert_dataset_strings=True)
        assert file["sky/names"].dtype == np.dtype("S2")
        assert list(file["sky/names"][:]) == [b"a", b"bc"]
        assert tree["sky/names"].dtype == np.dtype("U2")

    def test_a_file_format_may_be_named(self, tree, file):
        deep_group_copy(tree, file, file_format=fileformats.HDF5)
        assert_same_tree(file, tree)

    def test_a_read_only_file_is_an_error_that_changes_nothing(self, tree, h5_tree):
        before = h5_tree.read_bytes()
        with h5py.File(h5_tree, "r") as file, pytest.raises((OSError, ValueError)):
            deep_group_copy(tree, file.require_group("sky"))
        assert h5_tree.read_bytes() == before


class TestFromDisk:
    def test_byte_strings_become_unicode_where_asked(self, place_of, target):
        file = place_of("disk")
        dtype = np.dtype([("a", "S3"), ("n", "i4"), ("in", [("b", "S2", (2,))])])
        file["s"] = np.array([b"ab", b"c"])
        file["t"] = np.zeros(2, dtype=dtype)
        deep_group_copy(file, target, convert_dataset_strings=True)
        assert target["s"].dtype == np.dtype("U2")
        assert list(target["s"]) == ["ab", "c"]
        assert target["t"].dtype["a"] == np.dtype("U3")
        assert target["t"].dtype["n"] == np.dtype("i4")
        assert target["t"].dtype["in"]["b"].base == np.dtype("U2")

    def test_byte_strings_stay_otherwise(self, place_of, target):
        file = place_of("disk")
        file["s"] = np.array([b"ab", b"c"])
        deep_group_copy(file, target)
        assert target["s"].dtype == np.dtype("S2")

    def test_unflushed_data_are_seen(self, place_of, target):
        file = place_of("disk")
        file["x"] = np.arange(1000)
        file["x"][5] = -1
        deep_group_copy(file, target)
        assert target["x"][5] == -1
        assert target["x"][999] == 999

    def test_memory_is_not_shared_with_later_changes(self, place_of, target):
        file = place_of("disk")
        file["x"] = np.arange(10)
        deep_group_copy(file, target)
        file["x"][:] = 0
        assert list(target["x"]) == list(range(10))


def test_deep_copy_dataset_shares_nothing(tree):
    again = deep_copy_dataset(tree["sky/map"])
    assert again == tree["sky/map"]
    assert not np.shares_memory(again.data, tree["sky/map"].data)


class TestCopyAttrs:
    def test_copies_every_attribute_as_a_copy(self):
        source = {"b": [1, [2]], "a": np.arange(3), "n": None, "t": (1, "x"), "d": {"k": [1]}}
        target = {}
        copyattrs(source, target)
        assert target.keys() == source.keys()
        assert target["b"] == [1, [2]]
        assert target["t"] == (1, "x")
        assert target["n"] is None
        target["b"][1].append(3)
        target["a"][0] = 9
        target["d"]["k"].append(2)
        assert source["b"] == [1, [2]]
        assert source["a"][0] == 0
        assert source["d"] == {"k": [1]}

    def test_in_sorted_order(self):
        target = {}
        copyattrs({"b": 1, "a": 2, "C": 3}, target)
        assert list(target) == ["C", "a", "b"]

    def test_what_was_there_stays_or_is_replaced(self):
        target = {"a": 1, "z": 2}
        copyattrs({"a": 5}, target)
        assert target == {"a": 5, "z": 2}

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (np.float64(1.5), 1.5),
            (np.float32(1.5), 1.5),
            (np.int16(3), 3),
            (np.bool_(True), True),
            (np.complex64(1j), 1j),
            (np.str_("x"), "x"),
            (np.bytes_(b"x"), b"x"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_numpy_scalars_become_python_scalars(self, value, expected):
        target = {}
        copyattrs({"a": value}, target)
        assert target["a"] == expected
        assert type(target["a"]) is type(expected)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (b"ab", "ab"),
            ("äb".encode(), "äb"),
            ([b"a", "b", 3], ["a", "b", 3]),
            ((b"a", [b"b"]), ("a", ["b"])),
            ({b"a", b"b"}, {"a", "b"}),
            ({"k": b"v", "l": [b"w"]}, {"k": "v", "l": ["w"]}),
        ],
        ids=str,
    )
    def test_convert_strings_into_memory(self, value, expected):
        target = {}
        copyattrs({"a": value}, target, convert_strings=True)
        assert target["a"] == expected
        copyattrs({"a": value}, target)
        assert target["a"] == value

    def test_convert_strings_of_byte_string_arrays(self):
        target = {}
        source = {"a": np.array([b"ab", b"c"]), "l": [np.array([b"x"])], "i": np.arange(2)}
        copyattrs(source, target, convert_strings=True)
        assert_same_array(target["a"], np.array(["ab", "c"]))
        assert_same_array(target["l"][0], np.array(["x"]))
        assert_same_array(target["i"], np.arange(2))
        copyattrs(source, target, convert_strings=False)
        assert_same_array(target["a"], np.array([b"ab", b"c"]))

    def test_between_groups_on_disk(self, place_of):
        source, target = place_of("disk"), place_of("disk")
        source.attrs["json"] = '!!_memh5_json:{"a": [1, {"b": null}]}'
        source.attrs["units"] = "K"
        source.attrs["axis"] = ["freq", "ra"]
        source.attrs["n"] = np.arange(3, dtype=">i2")
        copyattrs(source.attrs, target.attrs)
        assert set(target.attrs) == {"json", "units", "axis", "n"}
        again = {}
        copyattrs(target.attrs, again)
        assert again["json"] == {"a": [1, {"b": None}]}
        assert again["units"] == "K"
        assert list(again["axis"]) == ["freq", "ra"]
        assert list(again["n"]) == [0, 1, 2]

    def test_between_groups_in_memory(self, tree):
        target = MemGroup()
        copyattrs(tree["time"].attrs, target.attrs)
        assert target.attrs == {"units": "s"}

    @pytest.mark.parametrize("missing", [None, 5, "text"])
    def test_what_has_no_attributes_is_a_type_error(self, missing):
        with pytest.raises((TypeError, AttributeError)):
            copyattrs(missing, {})


class TestIsGroup:
    def test_has_create_group(self, tree, h5_tree):
        assert is_group(tree)
        assert is_group(tree["sky"])
        assert is_group(MemDiskGroup(tree))
        with h5py.File(h5_tree, "r") as file:
            assert is_group(file)
            assert is_group(file["sky"])
            assert not is_group(file["time"])
        assert not is_group(tree["time"])
        assert not is_group({})
        assert not is_group(None)

        class Own:
            def create_group(self, name):
                pass

        assert is_group(Own())


class TestGetFile:
    def test_an_open_group_is_returned_as_is_with_false(self, h5_tree, tree):
        with h5py.File(h5_tree, "r") as file:
            assert get_file(file) == (file, False)
            group, opened = get_file(file["sky"])
            assert group == file["sky"]
            assert opened is False
        group, opened = get_file(tree)
        assert group is tree
        assert opened is False

    @pytest.mark.parametrize("kind", [str, lambda path: path])
    def test_a_name_is_opened(self, h5_tree, kind):
        group, opened = get_file(kind(h5_tree), mode="r")
        try:
            assert opened is True
            assert group["sky/map"].shape == (3, 4)
            assert group.mode == "r"
        finally:
            group.close()

    def test_keywords_go_to_the_opener(self, tmp_path):
        group, opened = get_file(
            tmp_path / "x.h5", file_format=fileformats.HDF5, mode="w", userblock_size=1024
        )
        assert opened
        assert group.userblock_size == 1024
        group.close()

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"missing\.h5"):
            get_file(tmp_path / "missing.h5", mode="r")


def test_many_nodes_there_and_back(tmp_path):
    tree = MemGroup()
    for number in range(2000):
        tree.create_dataset(f"g{number % 10}/d{number}", data=np.arange(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            deep_group_copy(tree, file)
        with h5py.File(tmp_path / "x.h5", "r") as file:
            again = MemGroup()
            deep_group_copy(file, again)
    assert_same_tree(again, tree)
    assert str(tmp_path / "x.h5") not in open_descriptors()


def test_a_group_copied_into_one_of_its_own_members():
    tree = MemGroup()
    tree.create_group("a/b/x")
    tree.create_group("a/c")
    deep_group_copy(tree["a"], tree["a/b"])
    assert set(tree["a"]) == {"b", "c"}
    assert set(tree["a/b"]) == {"b", "c", "x"}
    assert set(tree["a/b/b"]) == {"x"}


def test_a_tree_deeper_than_the_stack():
    tree = MemGroup()
    deepest = tree
    for _ in range(20_000):
        deepest = deepest.create_group("d")
    deepest.attrs["here"] = 1
    again = MemGroup.from_group(tree)
    for _ in range(20_000):
        again = again["d"]
    assert again.attrs["here"] == 1
