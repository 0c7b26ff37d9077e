"""Groups answer as h5py's do: one body on an HDF5 file in memory and on trees in memory."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from memdata import MemDiskGroup, MemGroup


@pytest.fixture
def filled(h5: Any) -> Any:
    """A tree with two groups, three datasets, a second name and a link."""
    h5.create_group("b/a")
    h5["b/x"] = np.arange(3)
    h5["b/a/y"] = 1.5
    h5["a"] = [1, 2]
    h5["b/again"] = h5["a"]
    h5["link"] = h5py.SoftLink("/b")
    h5["b"].attrs["unit"] = "K"
    h5["b/x"].attrs["unit"] = "Jy"
    return h5


def test_visit_meets_each_object_once_in_the_order_of_names(filled: Any) -> None:
    names: list[str] = []
    filled.visit(names.append)
    assert names == ["a", "b", "b/a", "b/a/y", "b/x"]
    names.clear()
    filled["b"].visit(names.append)
    assert names == ["a", "a/y", "again", "x"]


def test_visititems_gives_the_objects_and_stops_where_it_is_told(filled: Any) -> None:
    shapes = {}

    def note(name: str, item: Any) -> str | None:
        shapes[name] = getattr(item, "shape", "group")
        return "enough" if name == "b/a/y" else None

    assert filled.visititems(note) == "enough"
    assert shapes == {"a": (2,), "b": "group", "b/a": "group", "b/a/y": ()}


def test_visit_links_meets_every_name(filled: Any) -> None:
    names: list[str] = []
    filled.visit_links(names.append)
    assert names == ["a", "b", "b/a", "b/a/y", "b/again", "b/x", "link"]
    kinds = {}
    filled.visititems_links(lambda name, link: kinds.update({name: type(link)}))
    assert kinds["link"] is h5py.SoftLink
    assert kinds["b/again"] is h5py.HardLink


def test_a_circle_is_visited_once(h5: Any) -> None:
    h5.create_group("a")
    h5["a/loop"] = h5["a"]
    names: list[str] = []
    h5.visit(names.append)
    assert names == ["a"]


def test_move_renames(filled: Any) -> None:
    filled.move("b/x", "c/z")
    assert filled["c/z"][:].tolist() == [0, 1, 2]
    assert "x" not in filled["b"]
    filled.move("link", "b/link")
    assert filled.get("b/link", getlink=True).path == "/b"
    with pytest.raises((ValueError, OSError, RuntimeError)):
        filled.move("a", "b")
    with pytest.raises((KeyError, ValueError)):
        filled.move("missing", "d")
    assert filled["a"][:].tolist() == [1, 2]


def test_what_is_taken_away_is_gone(filled: Any) -> None:
    assert filled.pop("a")[:].tolist() == [1, 2]
    assert "a" not in filled
    assert filled.pop("a", 3) == 3
    with pytest.raises(KeyError):
        filled.pop("a")
    assert filled.setdefault("new", np.arange(2))[:].tolist() == [0, 1]
    filled.update({"b/more": 1, "newer": 2})
    assert filled["newer"][()] == 2
    del filled["link"]  # h5py's clear stops at links that lead nowhere
    filled.clear()
    assert list(filled) == []


def test_what_completion_offers(filled: Any) -> None:
    assert filled._ipython_key_completions_() == ["a", "b", "link"]
    assert filled["b"].attrs._ipython_key_completions_() == ["unit"]


def test_a_reference_leads_to_its_object(filled: Any) -> None:
    for name in ("b", "b/x"):
        reference = filled[name].ref
        assert filled[reference].name == "/" + name
        assert bool(reference)


def test_a_dataset_like_another(filled: Any) -> None:
    first = filled.create_dataset(
        "first", (4, 5), dtype="i2", chunks=(2, 5), maxshape=(None, 5), shuffle=True, fillvalue=7
    )
    second = filled.create_dataset_like("second", first, dtype="f4")
    assert (second.shape, second.dtype, second.chunks) == ((4, 5), np.dtype("f4"), (2, 5))
    assert (second.maxshape, second.shuffle, second.fillvalue) == ((None, 5), True, 7)
    assert second[1, 1] == 7


def test_require_dataset_asks_for_what_is_there(filled: Any) -> None:
    made = filled.require_dataset("new", (2,), "f4")
    assert filled.require_dataset("new", (2,), "f4", exact=True) == made
    with pytest.raises(TypeError):
        filled.require_dataset("new", (3,), "f4")
    with pytest.raises(TypeError):
        filled.require_dataset("new", (2,), "f2", exact=True)
    assert filled.require_dataset("new", (2,), "f2").dtype == np.dtype("f4")
    with pytest.raises(TypeError):
        filled.require_dataset("b", (2,), "f4")


@pytest.fixture(params=["h5py", "memory"])
def tree(request: pytest.FixtureRequest) -> Any:
    """A filled tree whose `copy` is h5py's (a container's own `copy` is another thing)."""
    with h5py.File("tree.h5", "w", driver="core", backing_store=False) as file:
        tree: Any = file if request.param == "h5py" else MemGroup()
        tree["b/x"] = np.arange(3)
        tree["b/a/y"] = 1.5
        tree["b/link"] = h5py.SoftLink("/b/x")
        tree["b"].attrs["unit"] = "K"
        tree["b/x"].attrs["unit"] = "Jy"
        yield tree


class TestCopy:
    def test_of_a_group(self, tree: Any) -> None:
        tree.copy("b", "c/copy")
        tree["b/x"][0] = 9
        assert tree["c/copy/x"][:].tolist() == [0, 1, 2]
        assert tree["c/copy"].attrs["unit"] == "K"
        assert tree["c/copy/x"].attrs["unit"] == "Jy"
        assert tree.get("c/copy/link", getlink=True).path == "/b/x"

    def test_into_a_group(self, tree: Any) -> None:
        target = tree.create_group("target")
        tree.copy("b/x", target)
        tree.copy(tree["b/x"], target, name="other")
        assert sorted(target) == ["other", "x"]
        assert target["other"][:].tolist() == [0, 1, 2]

    def test_shallow(self, tree: Any) -> None:
        tree.copy("b", "c", shallow=True)
        assert sorted(tree["c"]) == ["a", "link", "x"]
        assert list(tree["c/a"]) == []

    def test_with_what_links_lead_to(self, tree: Any) -> None:
        tree.copy("b", "c", expand_soft=True)
        del tree["b"]
        assert tree["c/link"][:].tolist() == [0, 1, 2]

    def test_without_attributes(self, tree: Any) -> None:
        tree.copy("b", "c", without_attrs=True)
        assert dict(tree["c"].attrs) == dict(tree["c/x"].attrs) == {}

    def test_onto_something_is_refused(self, tree: Any) -> None:
        with pytest.raises((ValueError, RuntimeError)):
            tree.copy("b/x", "b")
        with pytest.raises((KeyError, RuntimeError)):
            tree.copy("missing", "d")
        assert isinstance(tree["b/x"].attrs["unit"], str)

    def test_from_and_to_a_file(self, tree: Any) -> None:
        group = MemGroup()
        group.copy(tree["b"], group, name="loaded")
        assert group["loaded/x"][:].tolist() == [0, 1, 2]
        assert group["loaded/a/y"][()] == 1.5
        group.copy(group["loaded/x"], tree, name="back")
        assert tree["back"][:].tolist() == [0, 1, 2]
        assert tree["back"].attrs["unit"] == "Jy"


def test_a_virtual_dataset_is_read_when_it_is_made(tmp_path: Any) -> None:
    for i in range(2):
        with h5py.File(tmp_path / f"{i}.h5", "w") as file:
            file["x"] = np.arange(3) + 10 * i
    layout = h5py.VirtualLayout((2, 3), "i8")
    for i in range(2):
        layout[i] = h5py.VirtualSource(str(tmp_path / f"{i}.h5"), "x", shape=(3,))
    group = MemGroup()
    group.create_virtual_dataset("all", layout, fillvalue=-1)
    assert group["all"][:].tolist() == [[0, 1, 2], [10, 11, 12]]


def test_a_container_moves_and_visits_in_zarr(tmp_path: Any) -> None:
    zarr = pytest.importorskip("zarr")
    group = MemDiskGroup(zarr.open_group(str(tmp_path / "x.zarr"), mode="w"))
    group.create_group("a")
    group._data.create_array("a/x", data=np.arange(3))
    names: list[str] = []
    group.visit(names.append)
    assert names == ["a", "a/x"]
    assert group.visititems(lambda name, item: getattr(item, "shape", None)) == (3,)


def test_copies_within_and_between_trees(h5: Any) -> None:
    h5["a/x"] = [1, 2]
    h5["a"].attrs["unit"] = "K"
    h5.copy("a", "b")
    h5.copy(h5["a/x"], "b/y")
    h5["b/x"][0] = 9
    assert h5["a/x"][:].tolist() == [1, 2]
    assert h5["b/y"][:].tolist() == [1, 2]
    assert h5["b"].attrs["unit"] == "K"
    with h5py.File("other.h5", "w", driver="core", backing_store=False) as other:
        h5.copy("a", other)
        assert other["a/x"][:].tolist() == [1, 2]
    with pytest.raises((KeyError, RuntimeError)):
        h5.copy("missing", "d")
    with pytest.raises((ValueError, RuntimeError)):
        h5.copy("a", "b")


def test_a_container_still_copies_itself() -> None:
    container = MemDiskGroup()
    container["x"] = [1, 2]
    assert container.copy(["x"])["x"].data is container["x"].data
    assert container.copy(shallow=True)["x"].data is container["x"].data
    assert container.copy()["x"].data is not container["x"].data
    with pytest.raises(TypeError):
        container.copy(["x"], False, "name")
