"""Part 13: `pickle`, `copy`, `weakref` and attributes of one's own, on every native type."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import pickle
import weakref

import h5py
import numpy as np
import pytest

from memdata import (
    MemAttrs,
    MemDataset,
    MemDatasetCommon,
    MemDiskGroup,
    MemGroup,
    _BaseGroup,
    _MemObjMixin,
    _Storage,
    _StorageRoot,
    ro_dict,
)
from support import assert_same_array, assert_same_tree, fill


class OwnGroup(MemGroup):
    pass


class OwnDataset(MemDatasetCommon):
    pass


class OwnContainer(MemDiskGroup):
    pass


MAKERS = {
    "_Storage": _Storage,
    "_StorageRoot": _StorageRoot,
    "MemAttrs": MemAttrs,
    "_MemObjMixin": _MemObjMixin,
    "MemGroup": MemGroup,
    "MemDataset": MemDataset,
    "MemDatasetCommon": lambda: MemDatasetCommon((2,), "f8"),
    "MemDiskGroup": MemDiskGroup,
    "ro_dict": ro_dict,
    "subgroup": lambda: fill(MemGroup())["sky"],
    "view": lambda: fill(MemGroup())["sky/map"],
    "container subgroup": lambda: fill(MemDiskGroup())["sky"],
    "OwnGroup": OwnGroup,
    "OwnDataset": lambda: OwnDataset((2,), "f8"),
    "OwnContainer": OwnContainer,
}
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture(params=list(MAKERS))
def make(request):
    return MAKERS[request.param]


class TestEveryType:
    @pytest.mark.usefixtures("no_gc")
    def test_can_be_weakly_referenced(self, make):
        thing = make()
        called = []
        watch = weakref.ref(thing, called.append)
        assert watch() is thing
        del thing
        assert watch() is None
        assert called == [watch]

    @pytest.mark.parametrize(
        "make", [MAKERS[name] for name in MAKERS if name not in ("_Storage", "ro_dict", "MemAttrs")]
    )
    def test_takes_attributes_of_ones_own(self, make):
        thing = make()
        thing.anything = [1]
        assert thing.anything == [1]
        assert vars(thing)["anything"] == [1]
        del thing.anything
        assert not hasattr(thing, "anything")

    def test_is_seen_by_the_garbage_collector(self, make):
        assert gc.is_tracked(make()) or not gc.get_referents(make())

    def test_can_be_subclassed(self, make):
        base = type(make())
        derived = type("Derived", (base,), {"extra": 5})
        assert derived.extra == 5
        assert issubclass(derived, base)

    def test_can_be_pickled(self, make):
        thing = make()
        again = pickle.loads(pickle.dumps(thing))
        assert type(again) is type(thing)


@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestPickle:
    def test_of_a_tree(self, tree, protocol):
        again = pickle.loads(pickle.dumps(tree, protocol))
        assert type(again) is MemGroup
        assert again != tree
        assert_same_tree(again, tree)
        assert list(again) == list(tree)
        again["sky/map"][0, 0] = 99
        again.create_group("new/deep")
        assert tree["sky/map"][0, 0] == 0

    def test_of_a_subgroup_takes_the_whole_tree(self, tree, protocol):
        again = pickle.loads(pickle.dumps(tree["sky"], protocol))
        assert again.name == "/sky"
        assert_same_tree(again, tree["sky"])
        assert_same_tree(again.file, tree)

    def test_of_a_view_takes_the_whole_tree(self, tree, protocol):
        again = pickle.loads(pickle.dumps(tree["sky/map"], protocol))
        assert again.name == "/sky/map"
        assert_same_array(again[...], tree["sky/map"][...])
        assert_same_tree(again.file, tree)
        again[0, 0] = 99
        assert again.file["sky/map"][0, 0] == 99
        assert tree["sky/map"][0, 0] == 0

    def test_of_several_objects_of_one_tree_keeps_it_one(self, tree, protocol):
        group, sky, view = pickle.loads(
            pickle.dumps((tree, tree["sky"], tree["sky/map"]), protocol)
        )
        assert group["sky"] == sky
        assert group["sky/map"] == view
        view[0, 0] = 99
        assert sky["map"][0, 0] == group["sky/map"][0, 0] == 99

    def test_of_a_dataset_alone(self, protocol):
        d = MemDatasetCommon.from_numpy_array(
            np.arange(4.0), chunks=(2,), compression="gzip", compression_opts=3, name="/x"
        )
        d.attrs["a"] = [1]
        again = pickle.loads(pickle.dumps(d, protocol))
        assert again == d
        assert (again.chunks, again.compression, again.compression_opts) == ((2,), "gzip", 3)
        assert again.attrs == {"a": [1]}
        assert again.name == "/x"

    def test_of_special_datasets(self, protocol):
        tree = MemGroup()
        tree.create_dataset("null", data=h5py.Empty("f4"))
        tree.create_dataset("scalar", data=5)
        tree.create_dataset("objects", data=np.array(["a", None], dtype=object))
        tree.create_dataset("fortran", data=np.asfortranarray(np.zeros((2, 3))))
        again = pickle.loads(pickle.dumps(tree, protocol))
        assert_same_tree(again, tree)

    def test_keeps_attributes_of_ones_own(self, protocol):
        group, dataset = OwnGroup(), OwnDataset((2,), "f4")
        group.note = dataset.note = "mine"
        for thing in (group, dataset):
            again = pickle.loads(pickle.dumps(thing, protocol))
            assert type(again) is type(thing)
            assert again.note == "mine"

    def test_of_a_container(self, protocol):
        container = fill(OwnContainer())
        container.note = "mine"
        again = pickle.loads(pickle.dumps(container, protocol))
        assert type(again) is OwnContainer
        assert_same_tree(again, container)
        assert again.note == "mine"
        assert again.distributed is False

    def test_of_storage_nodes(self, tree, protocol):
        root = tree._storage_root
        again = pickle.loads(pickle.dumps(root, protocol))
        assert type(again) is _StorageRoot
        assert again == root
        assert again.distributed is False
        again = pickle.loads(pickle.dumps(root["/sky"], protocol))
        assert type(again) is _Storage
        assert again == root["/sky"]
        assert type(again.attrs) is MemAttrs


class TestCopy:
    def test_copy_of_a_group_is_another_handle_on_the_same_tree(self, tree):
        again = copy.copy(tree["sky"])
        assert again is not tree["sky"]
        assert again == tree["sky"]
        again.create_group("new")
        assert "sky/new" in tree

    def test_deepcopy_of_a_group_copies_the_whole_tree(self, tree):
        again = copy.deepcopy(tree["sky"])
        assert type(again) is MemGroup
        assert again.name == "/sky"
        assert again != tree["sky"]
        assert_same_tree(again.file, tree)
        again["map"][0, 0] = 99
        again.file.attrs["title"] = "changed"
        assert tree["sky/map"][0, 0] == 0
        assert tree.attrs["title"] == "a tree"

    def test_deepcopy_of_several_objects_of_one_tree_keeps_it_one(self, tree):
        group, sky = copy.deepcopy((tree, tree["sky"]))
        assert group["sky"] == sky
        assert group != tree

    def test_deepcopy_keeps_the_order_of_children(self, tree):
        assert list(copy.deepcopy(tree)) == list(tree)

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
    def test_keeps_class_and_attributes_of_ones_own(self, duplicate):
        group, dataset = OwnGroup(), OwnDataset((2,), "f4")
        group.note = dataset.note = "mine"
        for thing in (group, dataset):
            again = duplicate(thing)
            assert type(again) is type(thing)
            assert again.note == "mine"

    def test_deepcopy_of_a_container_is_its_copy(self):
        container = fill(OwnContainer())
        again = copy.deepcopy(container)
        assert type(again) is OwnContainer
        assert_same_tree(again, container)
        again["time"][0] = 99
        assert container["time"][0] == 0

    def test_copy_of_a_container_shares_its_storage(self):
        container = fill(OwnContainer())
        again = copy.copy(container)
        assert type(again) is OwnContainer
        again["time"][0] = 99
        assert container["time"][0] == 99

    def test_deepcopy_of_a_storage_node(self, tree):
        node = tree._storage_root["/sky"]
        again = copy.deepcopy(node)
        assert type(again) is _Storage
        assert again == node
        again["map"].data[0, 0] = 99
        assert node["map"].data[0, 0] == 0

    def test_deepcopy_of_a_storage_root(self, tree):
        again = copy.deepcopy(tree._storage_root)
        assert type(again) is _StorageRoot
        assert again == tree._storage_root
        again.attrs["title"] = "changed"
        assert tree.attrs["title"] == "a tree"


class TestWeakref:
    def test_weak_dictionaries(self, tree):
        views = weakref.WeakValueDictionary(map=tree["sky/map"])
        gc.collect()
        assert "map" not in views
        kept = tree["sky"]
        notes = weakref.WeakKeyDictionary()
        notes[kept] = "note"
        assert notes[tree["sky"]] == "note"
        assert len(notes) == 1
        del kept
        gc.collect()
        assert len(notes) == 0


class TestNewFirstInitLater:
    """`Class.__new__(Class)` now, `MemDiskGroup.__init__(obj, data_group=...)` from outside."""

    def test_of_a_container(self, tree):
        class Fussy(MemDiskGroup):
            def __init__(self, needed):
                raise AssertionError("__init__ was called")

        container = Fussy.__new__(Fussy)
        MemDiskGroup.__init__(container, data_group=tree)
        assert type(container) is Fussy
        assert_same_tree(container, tree)
        assert type(container["sky"]) is Fussy

    def test_a_new_that_returns_another_class_of_the_family(self):
        class Family(MemDiskGroup):
            def __new__(cls, kind=None, **kwargs):
                return super().__new__(Member if kind == "member" else cls)

            def __init__(self, kind=None, **kwargs):
                super().__init__(**kwargs)

        class Member(Family):
            pass

        assert type(Family("member")) is Member
        assert type(Family()) is Family
        assert len(Family("member")) == 0

    @pytest.mark.parametrize(
        "cls", [MemGroup, _BaseGroup, MemDataset, MemDatasetCommon, _MemObjMixin, MemDiskGroup]
    )
    def test_an_object_whose_init_never_ran_is_no_trap(self, cls):
        """Anything but a crash: such objects answer, or raise an ordinary exception."""
        thing = cls.__new__(cls)
        for use in (
            repr,
            len,
            list,
            hash,
            copy.copy,
            copy.deepcopy,
            pickle.dumps,
            lambda t: t == t,
            lambda t: t["x"],
            lambda t: t[0],
            lambda t: "x" in t,
            lambda t: t.name,
            lambda t: t.parent,
            lambda t: t.file,
            lambda t: t.attrs,
            lambda t: t.shape,
            lambda t: t.data,
            lambda t: t.comm,
            lambda t: t.create_group("x"),
            lambda t: t.create_dataset("x", data=[1]),
            lambda t: np.asarray(t),
        ):
            try:
                use(thing)
            except (SystemError, MemoryError):
                raise
            except Exception:  # noqa: BLE001 - any ordinary one will do
                continue


def _square(view):
    view[...] *= view[...]
    return view


def test_trees_travel_between_processes(tree):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        again = pool.apply(_square, (tree["time"],))
    assert_same_array(again[...], tree["time"][...] ** 2)
    assert_same_tree(again.file["sky"], tree["sky"])
