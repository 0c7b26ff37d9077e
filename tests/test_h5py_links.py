"""Links and named types: one body on an HDF5 file in memory and on a tree in memory."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup, NamedType


@pytest.fixture(params=["h5py", "memory", "container", "container of a file"])
def tree(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty tree that speaks h5py's language."""
    if request.param == "memory":
        yield MemGroup()
        return
    if request.param == "container":
        yield MemDiskGroup()
        return
    with h5py.File("tree.h5", "w", driver="core", backing_store=False) as file:
        yield file if request.param == "h5py" else MemDiskGroup(file)


def test_a_soft_link_leads_to_what_has_the_path(tree: Any) -> None:
    tree.create_dataset("a/x", data=np.arange(3))
    tree["absolute"] = h5py.SoftLink("/a/x")
    tree["a/relative"] = h5py.SoftLink("x")
    tree["group"] = h5py.SoftLink("/a")
    for name in ("absolute", "a/relative", "group/x", "group/relative"):
        assert tree[name][:].tolist() == [0, 1, 2]
        assert tree[name].name == "/" + name
    assert list(tree) == ["a", "absolute", "group"]


def test_a_soft_link_shows_what_comes_under_its_path_later(tree: Any) -> None:
    tree["late"] = h5py.SoftLink("/x")
    assert tree.get("late", "nothing") == "nothing"
    tree["x"] = 5
    assert tree["late"][()] == 5
    del tree["x"]
    assert tree.get("late") is None


@pytest.mark.parametrize("path", ["/nowhere", "nowhere"])
def test_a_link_that_leads_nowhere_is_there_and_its_target_missing(tree: Any, path: str) -> None:
    tree["link"] = h5py.SoftLink(path)
    assert tree.get("link") is None
    with pytest.raises(KeyError):
        tree["link"]
    assert dict(tree.items()) == {"link": None}
    assert list(tree.values()) == [None]
    assert "link" in tree
    assert "link/x" not in tree
    assert list(tree) == ["link"]
    assert len(tree) == 1
    del tree["link"]
    assert "link" not in tree


def test_circles_of_soft_links_end() -> None:
    group = MemGroup()
    group["a"] = h5py.SoftLink("/b")
    group["b"] = h5py.SoftLink("a")
    assert group.get("a") is None
    with pytest.raises(KeyError, match="/a/x is missing"):
        group["a/x"]


def test_an_external_link_is_kept_and_not_followed_in_memory() -> None:
    group = MemGroup()
    group["there"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(KeyError, match=r"other\.h5"):
        group["there"]
    assert group.get("there", getlink=True).filename == "other.h5"
    assert group.get("there", getclass=True, getlink=True) is h5py.ExternalLink


def test_what_get_tells_of_links(tree: Any) -> None:
    tree["x"] = 1
    tree["soft"] = h5py.SoftLink("/x")
    tree["external"] = h5py.ExternalLink("other.h5", "/x")
    assert isinstance(tree.get("x", getlink=True), h5py.HardLink)
    assert tree.get("soft", getlink=True).path == "/x"
    assert tree.get("external", getlink=True).path == "/x"
    kinds = [tree.get(name, getclass=True, getlink=True) for name in ("x", "soft", "external")]
    assert kinds == [h5py.HardLink, h5py.SoftLink, h5py.ExternalLink]
    assert tree.get("missing", 3, getclass=True, getlink=True) == 3
    assert tree.get("missing", 3, getlink=True) == 3
    assert tree.get("soft", getclass=True) is type(tree["x"])


def test_a_hard_link_is_another_name_of_the_same(tree: Any) -> None:
    tree.create_dataset("x", data=np.arange(3))
    tree["y"] = tree["x"]
    tree.create_group("a")
    tree["b/c"] = tree["a"]
    tree["y"][0] = 7
    tree["x"].attrs["unit"] = "K"
    tree["a"].create_group("new")
    assert tree["x"][0] == 7
    assert tree["y"].attrs["unit"] == "K"
    assert list(tree["b/c"]) == ["new"]
    del tree["x"]
    del tree["a"]
    assert tree["y"][:].tolist() == [7, 1, 2]
    assert list(tree["b/c"]) == ["new"]


def test_a_group_may_hold_itself(tree: Any) -> None:
    tree.create_group("a")["x"] = 1
    tree["a/loop"] = tree["a"]
    assert tree["a/loop/loop/x"][()] == 1


def test_things_are_made_through_soft_links(tree: Any) -> None:
    tree.create_group("a")
    tree["s"] = h5py.SoftLink("/a")
    tree["s/x"] = 1
    tree.create_group("s/b")
    assert sorted(tree["a"]) == ["b", "x"]


@pytest.mark.parametrize("name", ["x", "a", "soft", "external"])
def test_a_name_that_is_taken_is_not_assigned_to(tree: Any, name: str) -> None:
    tree["x"] = 1
    tree.create_group("a")
    tree["soft"] = h5py.SoftLink("/nowhere")
    tree["external"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises((ValueError, OSError)):
        tree[name] = 2
    assert tree["x"][()] == 1


def test_a_named_type_has_a_name_and_attributes(tree: Any) -> None:
    tree["sample"] = np.dtype("i2")
    tree["sample"].attrs["unit"] = "K"
    assert tree["sample"].dtype == np.dtype("i2")
    assert tree["sample"].attrs["unit"] == "K"
    assert tree["sample"].name == "/sample"
    assert "sample" in tree
    assert "sample/x" not in tree


def _linked() -> MemGroup:
    group = MemGroup()
    group.create_dataset("a/x", data=np.arange(3))._creation["maxshape"] = (None,)
    group["a"]._get_storage()._creation["track_order"] = True
    group["a/loop"] = group["a"]
    group["y"] = group["a/x"]
    group["soft"] = h5py.SoftLink("/a/x")
    group["nowhere"] = h5py.SoftLink("/b")
    group["external"] = h5py.ExternalLink("other.h5", "/x")
    group["type"] = np.dtype("i2")
    group["type"].attrs["unit"] = "K"
    return group


_COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda group: pickle.loads(pickle.dumps(group)),
    "from_group": MemGroup.from_group,
}


@pytest.mark.parametrize("how", _COPIES)
def test_copies_keep_links_circles_types_and_how_things_are_made(how: str) -> None:
    group = _linked()
    twin = _COPIES[how](group)
    assert twin._storage_root == group._storage_root
    assert twin["a/loop"]._get_storage() is twin["a"]._get_storage()
    twin["y"][0] = 7
    assert twin["a/x"][0] == twin["soft"][0] == 7
    assert group["y"][0] == 0
    assert twin.get("external", getlink=True).filename == "other.h5"
    twin["type"].attrs["unit"] = "Jy"
    assert group["type"].attrs["unit"] == "K"
    assert twin["y"]._creation == {"maxshape": (None,)}
    assert twin["a"]._get_storage()._creation == {"track_order": True}
    twin["y"]._creation.clear()
    assert group["y"]._creation == {"maxshape": (None,)}


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g["y"].attrs.update(new=1),
        lambda g: g["a"].create_group("new"),
        lambda g: g["type"].attrs.update(new=1),
        lambda g: (g.__delitem__("nowhere"), g.__setitem__("nowhere", h5py.SoftLink("/c"))),
        lambda g: (g.__delitem__("external"), g.__setitem__("external", h5py.SoftLink("/x"))),
    ],
)
def test_trees_with_circles_are_compared(change: Any) -> None:
    left, right = _linked(), _linked()
    assert left._storage_root == right._storage_root
    change(right)
    assert left._storage_root != right._storage_root


def test_views_share_how_a_dataset_is_made() -> None:
    group = MemGroup()
    group.create_dataset("x", (3,))
    group["x"]._creation["fillvalue"] = 3
    assert group["x"].view()._creation is group["x"]._creation
    assert group._storage_root["x"]._creation == {"fillvalue": 3}
    assert group["x"].copy()._creation == {"fillvalue": 3}


def test_objects_of_other_trees_are_copied() -> None:
    other, group = MemGroup(), MemGroup()
    other.create_dataset("a/x", data=np.arange(3)).attrs["unit"] = "K"
    other["type"] = np.dtype("i2")
    group["x"], group["a"], group["type"] = other["a/x"], other["a"], other["type"]
    other["a/x"][0] = 9
    assert group["x"][0] == group["a/x"][0] == 0
    assert group["a/x"].attrs == {"unit": "K"}
    assert isinstance(group["type"], NamedType)


def test_importing_memdata_is_enough_for_pickled_links() -> None:
    import subprocess
    import sys

    text = pickle.dumps(_linked())
    code = (
        "import pickle, sys, memdata; assert 'h5py' not in sys.modules;"
        "g = pickle.loads(sys.stdin.buffer.read()); assert g['soft'][2] == 2"
    )
    subprocess.run([sys.executable, "-c", code], input=text, check=True, timeout=60)


def test_hooks_hear_of_what_a_link_leads_to() -> None:
    class NoGroups(memdata.MemDiskGroup):
        @staticmethod
        def group_name_allowed(path: str) -> bool:
            return False

    group = MemGroup()
    group.create_group("a")
    group["x"] = 1
    group["to group"] = h5py.SoftLink("/a")
    group["to dataset"] = h5py.SoftLink("/x")
    assert list(NoGroups(group)) == ["x", "to dataset"]
    assert "to group" not in NoGroups(group)
