"""Links and named types: one body on an HDF5 file in memory and on a tree in memory."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemGroup, NamedType


def test_a_soft_link_leads_to_what_has_the_path(h5: Any) -> None:
    h5.create_dataset("a/x", data=np.arange(3))
    h5["absolute"] = h5py.SoftLink("/a/x")
    h5["a/relative"] = h5py.SoftLink("x")
    h5["group"] = h5py.SoftLink("/a")
    for name in ("absolute", "a/relative", "group/x", "group/relative"):
        assert h5[name][:].tolist() == [0, 1, 2]
        assert h5[name].name == "/" + name
    assert list(h5) == ["a", "absolute", "group"]


def test_a_soft_link_shows_what_comes_under_its_path_later(h5: Any) -> None:
    h5["late"] = h5py.SoftLink("/x")
    assert h5.get("late", "nothing") == "nothing"
    h5["x"] = 5
    assert h5["late"][()] == 5
    del h5["x"]
    assert h5.get("late") is None


@pytest.mark.parametrize("path", ["/nowhere", "nowhere"])
def test_a_link_that_leads_nowhere_is_there_and_its_target_missing(h5: Any, path: str) -> None:
    h5["link"] = h5py.SoftLink(path)
    assert h5.get("link") is None
    with pytest.raises(KeyError):
        h5["link"]
    assert dict(h5.items()) == {"link": None}
    assert list(h5.values()) == [None]
    assert "link" in h5
    assert "link/x" not in h5
    assert list(h5) == ["link"]
    assert len(h5) == 1
    del h5["link"]
    assert "link" not in h5


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


def test_what_get_tells_of_links(h5: Any) -> None:
    h5["x"] = 1
    h5["soft"] = h5py.SoftLink("/x")
    h5["external"] = h5py.ExternalLink("other.h5", "/x")
    assert isinstance(h5.get("x", getlink=True), h5py.HardLink)
    assert h5.get("soft", getlink=True).path == "/x"
    assert h5.get("external", getlink=True).path == "/x"
    kinds = [h5.get(name, getclass=True, getlink=True) for name in ("x", "soft", "external")]
    assert kinds == [h5py.HardLink, h5py.SoftLink, h5py.ExternalLink]
    assert h5.get("missing", 3, getclass=True, getlink=True) == 3
    assert h5.get("missing", 3, getlink=True) == 3
    assert h5.get("soft", getclass=True) in type(h5["x"]).__mro__


def test_a_hard_link_is_another_name_of_the_same(h5: Any) -> None:
    h5.create_dataset("x", data=np.arange(3))
    h5["y"] = h5["x"]
    h5.create_group("a")
    h5["b/c"] = h5["a"]
    h5["y"][0] = 7
    h5["x"].attrs["unit"] = "K"
    h5["a"].create_group("new")
    assert h5["x"][0] == 7
    assert h5["y"].attrs["unit"] == "K"
    assert list(h5["b/c"]) == ["new"]
    del h5["x"]
    del h5["a"]
    assert h5["y"][:].tolist() == [7, 1, 2]
    assert list(h5["b/c"]) == ["new"]


def test_a_group_may_hold_itself(h5: Any) -> None:
    h5.create_group("a")["x"] = 1
    h5["a/loop"] = h5["a"]
    assert h5["a/loop/loop/x"][()] == 1


def test_things_are_made_through_soft_links(h5: Any) -> None:
    h5.create_group("a")
    h5["s"] = h5py.SoftLink("/a")
    h5["s/x"] = 1
    h5.create_group("s/b")
    assert sorted(h5["a"]) == ["b", "x"]


@pytest.mark.parametrize("name", ["x", "a", "soft", "external"])
def test_a_name_that_is_taken_is_not_assigned_to(h5: Any, name: str) -> None:
    h5["x"] = 1
    h5.create_group("a")
    h5["soft"] = h5py.SoftLink("/nowhere")
    h5["external"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises((ValueError, OSError)):
        h5[name] = 2
    assert h5["x"][()] == 1


def test_a_named_type_has_a_name_and_attributes(h5: Any) -> None:
    h5["sample"] = np.dtype("i2")
    h5["sample"].attrs["unit"] = "K"
    assert h5["sample"].dtype == np.dtype("i2")
    assert h5["sample"].attrs["unit"] == "K"
    assert h5["sample"].name == "/sample"
    assert "sample" in h5
    assert "sample/x" not in h5


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
