"""Part 3 of the behaviour page: `_Storage` and `_StorageRoot`."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import MemAttrs, MemDataset, MemDatasetCommon, MemGroup, _Storage, _StorageRoot
from memdata._cmemdata import format_abs_path
from support import FakeComm, comm_world

NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1).filter(
    lambda name: name not in (".", "..")
)


def stored(array, **options):
    return MemDatasetCommon.from_numpy_array(np.asarray(array), **options)


def small_root(last=3.0):
    root = _StorageRoot()
    root["group"] = node = _Storage()
    node.attrs["a"] = 1
    node["x"] = dataset = stored([1.0, 2.0, last])
    dataset.attrs["units"] = "m"
    node["sub"] = _Storage()
    return root


class TestStorage:
    def test_is_a_dict(self):
        assert isinstance(_Storage(), dict)
        assert issubclass(_StorageRoot, _Storage)

    def test_keywords_become_items(self):
        inner = _Storage()
        storage = _Storage(a=inner, b=2)
        assert dict(storage) == {"a": inner, "b": 2}
        assert storage["a"] is inner

    def test_takes_no_positional_argument(self):
        with pytest.raises(TypeError):
            _Storage({"a": 1})

    def test_keeps_insertion_order(self):
        storage = _Storage()
        for name in ["z", "a", "m"]:
            storage[name] = _Storage()
        assert list(storage) == ["z", "a", "m"]

    def test_attrs_are_mem_attrs_of_its_own(self):
        one, other = _Storage(), _Storage()
        assert type(one.attrs) is MemAttrs
        assert one.attrs is one.attrs
        one.attrs["a"] = 1
        assert other.attrs == {}

    def test_attrs_is_read_only(self):
        storage = _Storage()
        with pytest.raises(AttributeError):
            storage.attrs = {}
        with pytest.raises(AttributeError):
            del storage.attrs

    def test_equal_when_contents_and_attributes_are(self):
        one, other = _Storage(a=_Storage(), b=1), _Storage(a=_Storage(), b=1)
        assert one == other
        one.attrs["x"] = np.arange(3)
        assert one != other
        other.attrs["x"] = np.arange(3)
        assert one == other
        other["c"] = _Storage()
        assert one != other

    def test_equality_reaches_the_attributes_of_children(self):
        one, other = _Storage(a=_Storage()), _Storage(a=_Storage())
        other["a"].attrs["x"] = 1
        assert one != other

    def test_not_equal_is_the_negation_of_equal(self):
        one, other = _Storage(a=1), _Storage(a=1)
        assert (one == other, one != other) == (True, False)
        other["a"] = 2
        assert (one == other, one != other) == (False, True)

    def test_walking_with_items_and_isinstance(self):
        def walk(storage, path=""):
            for name, node in storage.items():
                if isinstance(node, _Storage):
                    yield f"{path}/{name}/"
                    yield from walk(node, f"{path}/{name}")
                else:
                    assert isinstance(node, MemDataset)
                    yield f"{path}/{name}"

        assert list(walk(small_root())) == ["/group/", "/group/x", "/group/sub/"]


class TestStorageRoot:
    def test_defaults(self):
        root = _StorageRoot()
        assert root.distributed is False
        assert root.comm is None

    def test_keeps_the_communicator_it_is_given(self):
        comm = FakeComm()
        root = _StorageRoot(True, comm)
        assert root.distributed is True
        assert root.comm is comm
        root = _StorageRoot(distributed=False, comm=comm)
        assert root.distributed is False
        assert root.comm is comm

    def test_distributed_without_communicator_takes_the_world(self):
        assert _StorageRoot(distributed=True).comm == comm_world()

    @pytest.mark.parametrize("name", ["comm", "distributed"])
    def test_comm_and_distributed_are_read_only(self, name):
        root = _StorageRoot()
        with pytest.raises(AttributeError):
            setattr(root, name, True)

    def test_indexing_with_an_absolute_path_walks_the_tree(self):
        root = small_root()
        assert root["/group"] is dict.__getitem__(root, "group")
        assert root["/group/x"] is root["group"]["x"]
        assert root["/group/sub"] is root["group"]["sub"]

    def test_slash_is_the_root_itself(self):
        root = small_root()
        assert root["/"] is root

    def test_a_key_without_slash_is_a_plain_dict_lookup(self):
        root = small_root()
        assert root["group"] is dict.__getitem__(root, "group")
        root["with.dot"] = node = _Storage()
        assert root["with.dot"] is node

    @pytest.mark.parametrize(
        "key", ["x", "/x", "/group/y", "/group/sub/y", "/group/x/y", "/group/x/y/z", ""]
    )
    def test_missing_is_a_key_error(self, key):
        with pytest.raises(KeyError):
            small_root()[key]

    @pytest.mark.parametrize("key", ["group/x", "a/b", "group/", "./group"])
    def test_a_relative_path_with_slash_is_a_value_error(self, key):
        with pytest.raises(ValueError, match=key.replace(".", r"\.")):
            small_root()[key]

    def test_get_and_in_take_paths_too(self):
        root = small_root()
        assert "/group/x" in root
        assert "group" in root
        assert "/" in root
        assert "/group/x/y" not in root
        assert "x" not in root
        assert root.get("/group/x") is root["group"]["x"]
        assert root.get("/nothing") is None
        assert root.get("/nothing", 5) == 5
        assert root.get("group") is root["group"]
        with pytest.raises(TypeError):
            root.get()
        with pytest.raises(TypeError):
            root.get("/a", 1, 2)

    def test_trees_built_alike_are_equal(self):
        assert small_root() == small_root()
        assert small_root() != small_root(last=4.0)

    @pytest.mark.parametrize("part", ["attribute", "chunks", "compression", "name", "kind"])
    def test_trees_that_differ_anywhere_are_not_equal(self, part):
        one, other = small_root(), small_root()
        dataset = other["/group/x"]
        if part == "attribute":
            dataset.attrs["units"] = "km"
        elif part == "chunks":
            dataset.chunks = (2,)
        elif part == "compression":
            dataset.compression = "gzip"
        elif part == "name":
            other["group"]["y"] = other["group"].pop("x")
        else:
            other["group"]["x"] = _Storage()
            other["group"]["x"].attrs["units"] = "m"
        assert one != other

    def test_values_are_storages_or_datasets(self, tree):
        root = tree._storage_root
        assert isinstance(root, _StorageRoot)
        assert type(root["/sky"]) is _Storage
        assert isinstance(root["/sky/map"], MemDatasetCommon)

    def test_chunks_and_compression_set_on_the_stored_object_are_seen_by_views(self, tree):
        before = tree["sky/map"]
        on_storage = tree._storage_root["/sky/map"]
        on_storage.chunks = (2, 2)
        on_storage.compression = "gzip"
        on_storage.compression_opts = 4
        for view in (before, tree["sky/map"], tree["sky"]["map"]):
            assert view.chunks == (2, 2)
            assert view.compression == "gzip"
            assert view.compression_opts == 4

    def test_chunks_and_compression_set_on_the_stored_object_are_seen_by_saves(
        self, tree, tmp_path
    ):
        on_storage = tree._storage_root["/sky/map"]
        on_storage.chunks = (2, 2)
        on_storage.compression = "gzip"
        on_storage.compression_opts = 4
        tree.to_hdf5(tmp_path / "saved.h5")
        with h5py.File(tmp_path / "saved.h5", "r") as file:
            assert file["sky/map"].chunks == (2, 2)
            assert file["sky/map"].compression == "gzip"
            assert file["sky/map"].compression_opts == 4

    def test_a_tree_built_by_hand_is_seen_through_a_group(self):
        group = MemGroup._from_storage_root(small_root(), "/")
        assert list(group) == ["group"]
        assert group["group/x"][1] == 2.0
        assert group["group/x"].name == "/group/x"
        assert group["group"].attrs["a"] == 1

    def test_what_a_group_creates_is_seen_in_the_storage(self):
        group = MemGroup()
        dataset = group.create_dataset("a/x", data=np.arange(3))
        on_storage = group._storage_root["/a/x"]
        assert np.shares_memory(on_storage.data, dataset.data)
        assert on_storage.attrs is dataset.attrs


class TestFormatAbsPath:
    @given(st.lists(NAMES, max_size=5), st.data())
    def test_extra_slashes_go(self, names, data):
        slashes = st.sampled_from(["/", "//", "///"])
        path = "".join(data.draw(slashes) + name for name in names)
        path += data.draw(st.sampled_from(["/", "//"] if not names else ["", "/", "//"]))
        assert format_abs_path(path) == "/" + "/".join(names)

    @pytest.mark.parametrize("path", ["a/b", "a/", "a//b/c"])
    def test_a_relative_path_is_a_value_error(self, path):
        with pytest.raises(ValueError, match=path):
            format_abs_path(path)

    @pytest.mark.parametrize("path", [None, 5, ["/a"]])
    def test_what_is_no_text_is_a_type_error(self, path):
        with pytest.raises(TypeError):
            format_abs_path(path)
