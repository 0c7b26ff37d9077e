"""Part 6 of the behaviour page: finding, walking and deleting in groups.

Most tests run on every implementation of the interface (`any_tree`): in memory, h5py itself
as the oracle, and containers around both.
"""

from __future__ import annotations

import operator
from collections.abc import ItemsView, KeysView, Mapping, ValuesView

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import MemDatasetCommon, MemGroup, _BaseGroup, _Storage, _StorageRoot
from support import FakeComm, fill

MISSING = ["nothing", "/nothing", "sky/nothing", "nothing/at/all", "", "sky/map/x", "answer/x/y"]


class TestInterface:
    def test_is_a_mapping(self, tree):
        assert issubclass(_BaseGroup, Mapping)
        assert issubclass(MemGroup, _BaseGroup)
        assert isinstance(tree, Mapping)

    def test_comm_and_distributed_come_from_the_storage_root(self):
        comm = FakeComm()
        group = MemGroup._from_storage_root(_StorageRoot(True, comm), "/")
        assert group.comm is comm
        assert group.distributed is True

    def test_comm_and_distributed_where_the_root_has_none(self, tree):
        assert tree.comm is None
        assert tree.distributed is False
        assert tree["sky"].comm is None
        assert tree["sky"].distributed is False

    @pytest.mark.parametrize("name", ["comm", "distributed"])
    def test_comm_and_distributed_are_read_only(self, tree, name):
        with pytest.raises(AttributeError):
            setattr(tree, name, True)

    def test_get_storage_gives_the_node(self, tree):
        assert tree._get_storage() is tree._storage_root
        assert tree["sky"]._get_storage() is tree._storage_root["/sky"]
        assert isinstance(tree["sky"]._get_storage(), _Storage)

    def test_from_storage_root_builds_without_init(self, tree):
        class Fussy(MemGroup):
            def __init__(self, needed):
                raise AssertionError("__init__ was called")

        group = Fussy._from_storage_root(tree._storage_root, "/sky")
        assert type(group) is Fussy
        assert group.name == "/sky"
        assert list(group) == ["map", "deep"]
        assert group == tree["sky"]

    def test_group_class_is_the_class_of_groups_found(self, tree):
        assert type(tree["sky"]) is MemGroup
        assert issubclass(MemGroup, tree._group_class or MemGroup)

    def test_attrs_of_a_group_are_those_of_the_stored_group(self, tree):
        assert tree["sky"].attrs is tree._storage_root["/sky"].attrs
        assert tree.attrs is tree._storage_root.attrs

    def test_attributes_may_be_set_freely_on_group_objects(self, tree):
        tree.note = "mine"
        assert tree.note == "mine"


class TestGetItem:
    @pytest.mark.parametrize(
        ("start", "path", "name"),
        [
            ("/", "sky", "/sky"),
            ("/", "/sky", "/sky"),
            ("/", "sky/map", "/sky/map"),
            ("/", "/sky/deep/mask", "/sky/deep/mask"),
            ("sky", "map", "/sky/map"),
            ("sky", "deep/mask", "/sky/deep/mask"),
            ("sky", "/time", "/time"),
            ("sky/deep", "/", "/"),
            ("sky/deep", "/sky/map", "/sky/map"),
            ("/", "/", "/"),
        ],
    )
    def test_relative_and_absolute_paths(self, any_tree, start, path, name):
        assert any_tree[start][path].name == name

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("/sky//map/", "/sky/map"),
            ("sky///deep//mask", "/sky/deep/mask"),
            ("//sky", "/sky"),
            ("sky/", "/sky"),
            ("time/", "/time"),
            ("//", "/"),
        ],
    )
    def test_extra_slashes_are_ignored(self, any_tree, path, name):
        assert any_tree[path].name == name
        assert path in any_tree

    @pytest.mark.parametrize(
        ("path", "name"),
        [("./sky", "/sky"), ("sky/./map", "/sky/map"), ("/./sky/.", "/sky"), (".", "/")],
    )
    def test_single_dots_are_ignored(self, any_tree, path, name):
        assert any_tree[path].name == name
        assert path in any_tree

    @pytest.mark.parametrize("path", ["..", "sky/..", "sky/../time", "/../sky"])
    def test_there_is_no_double_dot(self, any_tree, path):
        with pytest.raises(KeyError):
            any_tree[path]
        assert path not in any_tree

    @pytest.mark.parametrize("path", MISSING)
    def test_missing_is_a_key_error(self, any_tree, path):
        with pytest.raises(KeyError):
            any_tree[path]

    @pytest.mark.parametrize("path", MISSING[:4] + MISSING[5:])
    def test_the_error_names_the_path(self, tree, path):
        with pytest.raises(KeyError, match=path):
            tree[path]

    def test_bytes_are_names_in_utf_8(self, any_tree):
        any_tree.create_group("größe")
        assert any_tree["größe".encode()].name == "/größe"
        assert any_tree[b"sky/map"].shape == (3, 4)
        assert b"sky" in any_tree
        with pytest.raises(KeyError):
            any_tree[b"nothing"]

    @pytest.mark.parametrize("key", [5, 1.5, None, ("sky",), ["sky"], object()])
    def test_other_keys_are_a_type_error(self, any_tree, key):
        with pytest.raises(TypeError):
            any_tree[key]
        with pytest.raises(TypeError):
            del any_tree[key]
        with pytest.raises(TypeError):
            any_tree.get(key)

    def test_a_str_subclass_is_a_name(self, any_tree):
        class Name(str):
            __slots__ = ()

        assert any_tree[Name("sky/map")].name == "/sky/map"
        assert type(any_tree[Name("sky")].name) is str

    def test_a_group_comes_back_as_the_same_class(self, tree):
        class Special(MemGroup):
            pass

        group = Special()
        fill(group)
        assert type(group["sky"]) is Special
        assert type(group["sky"]["deep"]) is Special
        assert type(tree["sky/deep"]) is MemGroup

    def test_a_dataset_comes_back_as_a_view_object(self, tree):
        one, other = tree["sky/map"], tree["sky/map"]
        assert type(one) is MemDatasetCommon
        assert one is not other
        assert one is not tree._storage_root["/sky/map"]
        assert one == other

    def test_a_view_shares_data_and_attributes_with_the_stored_dataset(self, tree):
        one, other = tree["sky/map"], tree["sky"]["map"]
        one[0, 0] = 99
        one.attrs["new"] = "x"
        assert other[0, 0] == 99
        assert other.attrs["new"] == "x"
        assert tree._storage_root["/sky/map"].data[0, 0] == 99
        assert np.shares_memory(one.data, other.data)

    def test_a_view_knows_its_tree(self, tree):
        view = tree["sky/map"]
        assert view.name == "/sky/map"
        assert view.file == tree
        assert view.parent == tree["sky"]

    def test_setting_an_item_makes_a_dataset_and_replaces_none(self, tree):
        tree["new"] = np.arange(3)
        assert tree["new"][:].tolist() == [0, 1, 2]
        with pytest.raises(ValueError, match="/sky/map is already there"):
            tree["sky/map"] = 5


class TestDelete:
    @pytest.mark.parametrize(
        ("start", "path", "gone"),
        [
            ("/", "time", "/time"),
            ("/", "sky/map", "/sky/map"),
            ("sky", "map", "/sky/map"),
            ("sky", "/time", "/time"),
            ("/", "/sky/deep/mask", "/sky/deep/mask"),
            ("/", "sky", "/sky"),
        ],
    )
    def test_takes_the_name_away(self, any_tree, start, path, gone):
        del any_tree[start][path]
        assert gone not in any_tree
        with pytest.raises(KeyError):
            any_tree[gone]

    @pytest.mark.parametrize("path", ["/sky/deep/", "sky//deep//", "time/"])
    def test_works_with_extra_slashes(self, tree, path):
        del tree[path]
        assert path not in tree
        assert "sky/map" in tree

    @pytest.mark.parametrize("path", MISSING)
    def test_missing_is_a_key_error(self, any_tree, kind, path):
        with pytest.raises(ValueError if kind == "h5py" and not path else KeyError):
            del any_tree[path]

    def test_a_group_goes_with_everything_below(self, any_tree):
        del any_tree["sky"]
        assert sorted(any_tree) == ["answer", "empty", "time"]
        assert "sky/deep/mask" not in any_tree

    @pytest.mark.parametrize("path", ["/", ".", "//"])
    def test_the_root_cannot_be_deleted(self, any_tree, path):
        with pytest.raises((KeyError, ValueError)):
            del any_tree[path]
        assert len(any_tree) == 4

    def test_a_handle_outlives_its_name(self, tree):
        group, dataset = tree["sky"], tree["sky/map"]
        del tree["sky"]
        assert dataset[1, 1] == 5
        dataset[1, 1] = -1
        assert group["map"][1, 1] == -1
        assert group.attrs["survey"] == 7
        assert list(group) == ["map", "deep"]

    def test_a_name_may_be_used_again(self, any_tree):
        del any_tree["sky"]
        any_tree.create_dataset("sky", data=np.arange(2))
        assert any_tree["sky"].shape == (2,)

    def test_a_handle_keeps_its_node_when_the_name_is_used_again(self, tree):
        old = tree["time"]
        del tree["time"]
        tree.create_dataset("time", data=np.zeros(2))
        assert old.shape == (4,)
        assert tree["time"].shape == (2,)


class TestIteration:
    def test_len_counts_the_children(self, any_tree):
        assert len(any_tree) == 4
        assert len(any_tree["sky"]) == 2
        assert len(any_tree["empty"]) == 0

    def test_iteration_is_over_child_names_in_insertion_order(self, tree):
        assert list(tree) == ["time", "sky", "empty", "answer"]
        assert list(tree["sky"]) == ["map", "deep"]
        assert list(tree["empty"]) == []

    def test_a_name_made_again_comes_last(self, tree):
        del tree["time"]
        tree.create_group("time")
        assert list(tree) == ["sky", "empty", "answer", "time"]

    def test_reversed_or_sorted_names(self, any_tree):
        assert sorted(any_tree) == ["answer", "empty", "sky", "time"]

    def test_deleting_while_iterating_is_safe(self, tree):
        seen = []
        for name in tree:
            seen.append(name)
            del tree[name]
        assert seen == ["time", "sky", "empty", "answer"]
        assert len(tree) == 0

    def test_creating_while_iterating_is_safe(self, tree):
        for number, name in enumerate(tree):
            tree.create_group(f"new{number}/{name}")
            assert number < 100
        assert {"new0", "new3"} <= set(tree)

    @pytest.mark.parametrize("method", ["keys", "values", "items"])
    def test_changing_while_iterating_views_is_safe(self, tree, method):
        for number, _ in enumerate(getattr(tree, method)()):
            tree.create_group(f"new{number}")
            if "time" in tree:
                del tree["time"]
            assert number < 100
        assert "new0" in tree

    def test_two_iterations_at_once(self, any_tree):
        pairs = [(one, other) for one in any_tree for other in any_tree]
        assert len(set(pairs)) == 16


class TestMapping:
    @pytest.mark.parametrize("path", ["time", "sky/map", "/sky//deep/", "sky"])
    def test_get_finds_what_indexing_finds(self, any_tree, path):
        assert any_tree.get(path) == any_tree[path]
        assert any_tree.get(path, "default").name == any_tree[path].name

    @pytest.mark.parametrize("path", MISSING)
    def test_get_gives_the_default(self, any_tree, path):
        assert any_tree.get(path) is None
        assert any_tree.get(path, 5) == 5

    def test_keys_items_values_agree(self, any_tree):
        names = list(any_tree)
        assert list(any_tree.keys()) == names
        assert [node.name for node in any_tree.values()] == ["/" + name for name in names]
        assert [(name, node.name) for name, node in any_tree.items()] == [
            (name, "/" + name) for name in names
        ]
        assert len(any_tree.keys()) == len(any_tree.values()) == len(any_tree.items()) == 4

    def test_items_of_a_subgroup(self, any_tree):
        found = dict(any_tree["sky"].items())
        assert set(found) == {"map", "deep"}
        assert found["map"].shape == (3, 4)
        assert found["deep"]["mask"].shape == (4,)

    def test_membership_in_views(self, any_tree):
        assert "time" in any_tree.keys()  # noqa: SIM118 - the view is under test
        assert "nothing" not in any_tree.keys()  # noqa: SIM118
        assert ("sky", any_tree["sky"]) in any_tree.items()
        assert any_tree["sky"] in any_tree.values()

    def test_contains_every_name_it_iterates_over(self, any_tree):
        assert all(name in any_tree for name in any_tree)
        assert "sky/deep/mask" in any_tree
        assert "/sky/map" in any_tree["sky"]
        assert "/" in any_tree

    @pytest.mark.parametrize("path", MISSING)
    def test_does_not_contain_what_is_missing(self, any_tree, path):
        assert path not in any_tree


class TestViews:
    """`keys()`, `items()` and `values()` behave as those of a dict with the same content."""

    @pytest.fixture
    def model(self, tree):
        return {name: tree[name] for name in ["time", "sky", "empty", "answer"]}

    OTHERS = (set(), {"sky"}, {"sky", "x"}, {"time", "sky", "empty", "answer"}, {"x": 1}.keys())

    @pytest.mark.parametrize("operation", [operator.and_, operator.or_, operator.xor, operator.sub])
    @pytest.mark.parametrize("other", OTHERS, ids=repr)
    def test_keys_are_combined_as_sets(self, tree, model, operation, other):
        assert operation(tree.keys(), other) == operation(model.keys(), other)
        assert operation(other, tree.keys()) == operation(other, model.keys())

    @pytest.mark.parametrize(
        "operation",
        [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge],
    )
    @pytest.mark.parametrize("other", OTHERS, ids=repr)
    def test_keys_are_compared_as_sets(self, tree, model, operation, other):
        assert operation(tree.keys(), other) == operation(model.keys(), other)
        assert operation(other, tree.keys()) == operation(other, model.keys())

    def test_items_are_compared_and_combined_as_sets(self, tree, model):
        assert tree.items() == model.items()
        assert tree.items() & model.items() == set(model.items())
        assert tree.items() != {("time", 1)}
        assert tree.items() - model.items() == set()

    def test_values_are_no_set(self, tree):
        assert tree.values() != tree.values()
        with pytest.raises(TypeError):
            tree.values() & tree.values()

    def test_disjoint(self, tree):
        assert tree.keys().isdisjoint(["x", "y"])
        assert not tree.keys().isdisjoint(["x", "sky"])
        assert tree.items().isdisjoint([("sky", 1)])

    def test_are_the_views_of_collections_abc(self, tree):
        assert isinstance(tree.keys(), KeysView)
        assert isinstance(tree.items(), ItemsView)
        assert isinstance(tree.values(), ValuesView)

    def test_follow_the_group(self, tree):
        keys, items, values = tree.keys(), tree.items(), tree.values()
        tree.create_group("new")
        del tree["time"]
        assert list(keys) == ["sky", "empty", "answer", "new"]
        assert len(keys) == len(items) == len(values) == 4
        assert "new" in keys
        assert "time" not in keys

    def test_can_be_reversed(self, tree):
        assert list(reversed(tree.keys())) == ["answer", "empty", "sky", "time"]
        assert [name for name, _ in reversed(tree.items())] == list(reversed(list(tree)))
        assert next(reversed(tree.values())).name == "/answer"

    def test_show_what_they_hold(self, tree):
        assert "'sky'" in repr(tree.keys())
        assert "(3, 4)" not in repr(tree.keys())
        assert "shape (4,)" in repr(tree.values())
        assert "'time'" in repr(tree.items())

    def test_iterators_know_how_much_is_left(self, tree):
        iterator = iter(tree)
        assert operator.length_hint(iterator) == 4
        next(iterator)
        assert operator.length_hint(iterator) == 3
        assert len(list(iterator)) == 3
        assert operator.length_hint(iterator) == 0


class TestThroughADataset:
    PATHS = ("time/0", "sky/map/x", "sky/map/a/b", "answer/x", "/sky/deep/mask/mask")

    @pytest.mark.parametrize("path", PATHS)
    def test_is_missing(self, any_tree, path):
        with pytest.raises(KeyError):
            any_tree[path]
        with pytest.raises(KeyError):
            del any_tree[path]
        assert path not in any_tree
        assert any_tree.get(path, "default") == "default"

    def test_a_field_of_a_structured_dataset_is_no_child(self, any_tree):
        data = np.zeros(3, dtype=[("ra", "f8"), ("dec", "f8")])
        any_tree.create_dataset("sources", data=data)
        assert "sources/ra" not in any_tree
        with pytest.raises(KeyError):
            any_tree["sources/ra"]
        assert any_tree["sources"]["ra"].shape == (3,)


class TestRequireDataset:
    def test_makes_a_new_one(self, any_tree):
        made = any_tree.require_dataset("sky/new", (2, 3), np.float32)
        assert made.shape == (2, 3)
        assert made.dtype == np.float32
        assert any_tree["sky/new"] == made

    def test_gives_the_existing_one(self, any_tree):
        any_tree["sky/map"][0, 0] = 99
        found = any_tree.require_dataset("sky/map", (3, 4), "f4")
        assert found == any_tree["sky/map"]
        assert found[0, 0] == 99

    def test_keywords_are_those_of_create_dataset(self, any_tree):
        made = any_tree.require_dataset(
            "sky/new", (4, 4), "f8", chunks=(2, 2), compression="gzip", compression_opts=3
        )
        assert made.chunks == (2, 2)
        assert made.compression == "gzip"
        assert made.compression_opts == 3

    def test_a_dtype_that_can_be_held_safely_is_enough(self, any_tree):
        assert any_tree.require_dataset("time", (4,), "f4") == any_tree["time"]

    @pytest.mark.parametrize(
        ("shape", "dtype"), [((4, 3), "f4"), ((3,), "f4"), ((), "f4"), ((3, 4), "c16")]
    )
    def test_shape_or_dtype_that_do_not_fit_are_a_type_error(self, any_tree, shape, dtype):
        with pytest.raises(TypeError):
            any_tree.require_dataset("sky/map", shape, dtype)
        assert any_tree["sky/map"].shape == (3, 4)

    def test_a_group_there_is_a_type_error(self, any_tree):
        with pytest.raises(TypeError):
            any_tree.require_dataset("sky", (2,), "f8")
        assert "sky/map" in any_tree


class TestRequireGroup:
    def test_makes_a_new_one_with_parents(self, any_tree):
        made = any_tree.require_group("a/b/c")
        assert made.name == "/a/b/c"
        assert any_tree["a/b/c"] == made

    def test_gives_the_existing_one(self, any_tree):
        assert any_tree.require_group("sky") == any_tree["sky"]
        assert any_tree.require_group("/sky/deep/") == any_tree["sky/deep"]
        assert sorted(any_tree["sky"]) == ["deep", "map"]

    def test_a_dataset_there_is_a_type_error(self, any_tree):
        with pytest.raises(TypeError):
            any_tree.require_group("sky/map")
        assert any_tree["sky/map"].shape == (3, 4)


COMPONENTS = st.sampled_from(["a", "b", "", ".", "x", "ü"])


@given(st.lists(COMPONENTS, min_size=1, max_size=5), st.booleans())
def test_any_path_finds_what_walking_component_by_component_finds(parts, absolute):
    group = MemGroup()
    group.create_dataset("a/b/x", data=[1])
    group.create_group("b/a/ü")
    path = ("/" if absolute else "") + "/".join(parts)
    here = group
    for part in parts:
        if part in ("", "."):
            continue
        here = here.get(part) if isinstance(here, MemGroup) else None
        if here is None:
            break
    if path == "":
        here = None
    assert (path in group) is (here is not None)
    found = group.get(path)
    assert found == here


def test_a_subclass_override_of_getitem_is_used_by_get_and_views():
    class Upper(MemGroup):
        def __getitem__(self, name):
            return super().__getitem__(name.lower())

    group = Upper()
    group.create_dataset("x", data=[1, 2])
    assert group["X"].shape == (2,)
    assert group.get("X").shape == (2,)
    assert [node.name for node in group.values()] == ["/x"]
    assert "X" in group


def test_many_children_keep_their_order():
    group = MemGroup()
    names = [f"n{number * 7919 % 1000}" for number in range(1000)]
    for name in names:
        group.create_group(name)
    assert list(group) == names
    for name in names[::2]:
        del group[name]
    assert list(group) == names[1::2]
