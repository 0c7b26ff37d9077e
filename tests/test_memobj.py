"""Part 5 of the behaviour page: name, parent, file and identity of an object in a tree."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from memdata import MemDatasetCommon, MemGroup, _MemObjMixin, _StorageRoot
from support import assert_same_tree, fill


def test_defaults():
    thing = _MemObjMixin()
    assert thing.name == ""
    assert thing.parent is None
    assert thing.file is None


def test_name_is_the_absolute_path(any_tree):
    assert any_tree.name == "/"
    assert any_tree["sky"].name == "/sky"
    assert any_tree["sky/deep"].name == "/sky/deep"
    assert any_tree["sky"]["deep"]["mask"].name == "/sky/deep/mask"
    assert any_tree["//sky//map/"].name == "/sky/map"


def test_a_relative_name_with_a_storage_root_is_a_value_error():
    with pytest.raises(ValueError, match="a/b"):
        _MemObjMixin(_StorageRoot(), "a/b")
    with pytest.raises(ValueError, match="x"):
        _MemObjMixin(storage_root=_StorageRoot(), name="x")
    with pytest.raises(ValueError, match="x"):
        MemDatasetCommon((1,), "f8", storage_root=_StorageRoot(), name="x")


def test_parent_is_the_group_that_holds_it(tree):
    assert tree["sky/map"].parent == tree["sky"]
    assert type(tree["sky/map"].parent) is MemGroup
    assert tree["sky/deep"].parent == tree["sky"]
    assert tree["time"].parent == tree
    assert list(tree["sky/map"].parent) == ["map", "deep"]


def test_parent_of_the_root_is_the_root(tree):
    assert tree.parent == tree
    assert tree.parent.name == "/"


def test_file_is_the_root_group(tree):
    for path in ["/", "sky", "sky/deep/mask", "time"]:
        assert type(tree[path].file) is MemGroup
        assert tree[path].file == tree
        assert tree[path].file.name == "/"


def test_objects_without_a_tree_have_no_parent_and_no_file():
    dataset = MemDatasetCommon((2,), "f8")
    assert dataset.parent is None
    assert dataset.file is None


def test_parent_and_file_may_change_the_tree(tree):
    tree["sky/map"].parent.create_dataset("new", data=[1, 2])
    tree["sky/map"].file.attrs["title"] = "changed"
    assert "sky/new" in tree
    assert tree.attrs["title"] == "changed"


def test_equal_when_the_storage_roots_are_the_same_object_and_the_names_equal():
    root = _StorageRoot()
    assert _MemObjMixin(root, "/a") == _MemObjMixin(root, "/a")
    assert _MemObjMixin(root, "/a") != _MemObjMixin(root, "/b")
    assert _MemObjMixin(root, "/a") != _MemObjMixin(_StorageRoot(), "/a")


def test_groups_are_equal_as_objects_of_a_tree(tree):
    assert tree == tree["/"]
    assert tree["sky"] == tree["/sky/"]
    assert tree["sky/deep"] == tree["sky"]["deep"]
    assert tree["sky"] != tree["empty"]


def test_groups_of_another_tree_are_not_equal_though_their_content_is(tree):
    other = MemGroup.from_group(tree)
    assert_same_tree(other, tree)
    assert other != tree
    assert other["sky"] != tree["sky"]


@pytest.mark.parametrize("other", [{}, None, 1, "sky"])
def test_a_group_is_not_equal_to_another_mapping_or_thing(tree, other):
    assert tree["empty"] != other
    assert not tree["empty"] == other  # noqa: SIM201 - `==` is under test


def test_not_equal_is_the_negation_of_equal(tree):
    pairs = [
        (tree["sky"], tree["sky"]),
        (tree["sky"], tree["empty"]),
        (tree["sky/map"], tree["sky/map"]),
        (tree["sky/map"], tree["time"]),
        (tree["sky"], tree["sky/map"]),
        (tree, MemGroup()),
    ]
    for one, other in pairs:
        assert (one == other) is not (one != other)
        assert (one == other) is (other == one)


def test_hash_agrees_with_equality(tree):
    assert hash(tree["sky"]) == hash(tree["/sky"])
    assert hash(tree["sky/map"]) == hash(tree["sky"]["map"])
    assert {tree["sky"], tree["/sky/"], tree["sky/deep"].parent} == {tree["sky"]}
    assert len({tree["sky"], tree["empty"], MemGroup.from_group(tree)["sky"]}) == 3


def test_hash_of_a_dataset_stays_when_the_data_change(tree):
    seen = {tree["time"]: "time"}
    tree["time"][:] = 9
    tree["time"].attrs["new"] = 1
    assert seen[tree["time"]] == "time"


@pytest.mark.usefixtures("no_gc")
def test_a_dataset_taken_from_a_group_keeps_the_whole_tree_alive():
    tree = fill(MemGroup())
    root = weakref.ref(tree._storage_root)
    dataset = tree["sky/map"]
    tree.create_dataset("late", data=np.arange(5))
    del tree
    assert root() is not None
    assert list(dataset.file) == ["time", "sky", "empty", "answer", "late"]
    assert dataset.file["late"][3] == 3
    assert dataset.parent["deep/mask"][0]
    del dataset
    assert root() is None


@pytest.mark.usefixtures("no_gc")
def test_a_subgroup_keeps_the_whole_tree_alive():
    tree = fill(MemGroup())
    deep = tree["sky/deep"]
    del tree
    assert deep.file["time"].attrs["units"] == "s"
    assert deep["/sky/map"].shape == (3, 4)


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("path", ["sky/map", "sky", "/"])
def test_no_view_is_kept_alive_by_the_tree(tree, path):
    view = tree[path]
    view.note = "mine"
    watch = weakref.ref(view)
    del view
    assert watch() is None
    assert not hasattr(tree[path], "note")


@pytest.mark.usefixtures("no_gc")
def test_views_met_by_walking_are_not_kept_alive():
    tree = fill(MemGroup())
    watched = [weakref.ref(node) for node in tree.values()]
    watched += [weakref.ref(node) for _, node in tree["sky"].items()]
    watched += [weakref.ref(tree["sky"].parent), weakref.ref(tree["sky"].file)]
    assert [watch() for watch in watched] == [None] * len(watched)


def test_there_is_no_cycle_for_the_collector_to_find():
    tree = fill(MemGroup())
    gc.collect()
    view = tree["sky/map"]
    view.parent.file["sky"].attrs["x"] = 1
    del tree, view
    assert gc.collect() == 0


def test_the_name_of_a_group_may_be_assigned(tree):
    """The handle then is of what has that name."""
    group = tree["sky"]
    group._name = "/sky/deep"
    assert group.name == "/sky/deep"
    assert list(group) == ["mask"]
    assert group == tree["sky/deep"]
    with pytest.raises(TypeError):
        group._name = 5


def test_the_name_of_a_dataset_may_be_assigned():
    dataset = MemDatasetCommon.from_numpy_array(np.arange(3))
    dataset._name = "/elsewhere"
    assert dataset.name == "/elsewhere"
