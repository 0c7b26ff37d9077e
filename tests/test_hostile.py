"""Hostile objects: code of the user's that raises, lies, or changes the tree while it is used.

The demand everywhere: the user's own exception or a clear one, a tree that is still whole,
and an interpreter that lives.
"""

from __future__ import annotations

import copy
import gc
import pickle
import sys

import numpy as np
import pytest

from memdata import (
    MemAttrs,
    MemDatasetCommon,
    MemDiskGroup,
    MemGroup,
    _cmemdata,
    _Storage,
    _StorageRoot,
    copyattrs,
    deep_group_copy,
    ro_dict,
)
from memdata._cmemdata import format_abs_path
from support import assert_same_tree, fill, run_python


class Trap(Exception):
    """What hostile objects raise."""


def raising(*names):
    """A class whose special methods of these names raise `Trap`."""

    def trap(self, *args, **kwargs):
        raise Trap

    return type("Raising", (), dict.fromkeys(names, trap))


def objects(*values):
    array = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        array[place] = value
    return array


class TestNames:
    @pytest.mark.parametrize(
        "use",
        [
            lambda t, key: t[key],
            lambda t, key: t.__delitem__(key),
            lambda t, key: t.create_group(key),
            lambda t, key: t.create_dataset(key, data=[1]),
            lambda t, key: t.require_group(key),
            lambda t, key: format_abs_path(key),
        ],
    )
    @pytest.mark.parametrize("key", [raising("__hash__")(), raising("__eq__", "__str__")(), []])
    def test_objects_that_are_no_names(self, tree, use, key):
        with pytest.raises(TypeError):
            use(tree, key)
        assert len(tree) == 4

    def test_a_str_subclass_that_lies_about_everything(self, tree):
        class Liar(str):
            def __eq__(self, other):
                raise Trap

            def __hash__(self):
                raise Trap

            def __str__(self):
                raise Trap

            def split(self, *args):
                raise Trap

            def encode(self, *args):
                raise Trap

        try:
            assert tree[Liar("sky/map")].name == "/sky/map"
            assert Liar("nothing") not in tree
            made = tree.create_group(Liar("new/deep"))
        except Trap:
            pass
        else:
            assert made.name == "/new/deep"
            assert all(type(name) is str for name in tree)
        assert "sky" in tree

    def test_a_str_subclass_is_not_kept(self):
        class Name(str):
            pass

        group = MemGroup()
        name = Name("sky")
        name.big = np.zeros(1000)
        group.create_group(name)
        group.create_dataset(Name("a/b"), data=[1])
        assert [type(child) for child in group] == [str, str]
        assert type(group["a/b"].name) is str

    def test_very_long_and_very_deep_names(self):
        group = MemGroup()
        long = "x" * 1_000_000
        group.create_group(long)
        assert list(group) == [long]
        deep = "/".join("abc" * 700)
        group.create_dataset(deep, data=[1])
        assert group[deep].name == "/" + deep
        assert group["/" * 100_000 + "a"].name == "/a"

    @pytest.mark.parametrize("name", ["\udc80", "a\ud800b", "\U0010ffff", "\u200b", "a\r\n\t"])
    def test_odd_characters_are_kept_or_refused(self, name):
        group = MemGroup()
        try:
            group.create_group(name)
        except (ValueError, UnicodeError):
            assert len(group) == 0
        else:
            assert list(group) == [name]
            assert name in group


class TestArrayLikes:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: raising("__array__")(),
            lambda: raising("__len__", "__getitem__")(),
            lambda: [raising("__float__")()],
        ],
    )
    def test_data_that_raise(self, tree, make):
        before = list(tree)
        with pytest.raises((Trap, TypeError, ValueError)):
            tree.create_dataset("new/x", data=make(), dtype="f8")
        assert list(tree) == before

    def test_an_array_that_raises_gives_its_own_exception(self, tree):
        with pytest.raises(Trap):
            tree.create_dataset("new/x", data=raising("__array__")())
        assert "new" not in tree

    @pytest.mark.skipif(
        np.lib.NumpyVersion(np.__version__) < "2.4.0", reason="numpy.array itself crashes"
    )
    def test_a_list_that_shrinks_while_it_is_read(self, tree):
        data = [1.0] * 100

        class Shrinking:
            def __float__(self):
                data.clear()
                return 1.0

        data[3] = Shrinking()
        try:
            made = tree.create_dataset("x", data=data, dtype="f8")
        except (ValueError, TypeError, IndexError, RuntimeError):
            assert "x" not in tree
        else:
            assert made.shape == (100,)

    def test_an_array_that_changes_the_tree_while_it_is_asked(self, tree):
        class Meddling:
            def __array__(self, dtype=None, copy=None):
                tree.create_group("new/x/inside")
                del tree["sky"]
                return np.arange(3)

        try:
            tree.create_dataset("new/x", data=Meddling())
        except ValueError:
            assert "new/x/inside" in tree
        else:
            assert tree["new/x"].shape == (3,)
        assert "sky" not in tree
        assert tree["time"].shape == (4,)

    def test_an_array_that_deletes_the_group_it_goes_into(self, tree):
        class Meddling:
            def __array__(self, dtype=None, copy=None):
                del tree["sky"]
                return np.arange(3)

        sky = tree["sky"]
        made = sky.create_dataset("deep/new", data=Meddling())
        assert made.shape == (3,)
        assert "sky" not in tree or "sky/deep/new" in tree

    def test_an_array_that_gives_no_array(self, tree):
        class Liar:
            def __array__(self, dtype=None, copy=None):
                return "not an array"

        with pytest.raises((TypeError, ValueError)):
            tree.create_dataset("x", data=Liar())
        assert "x" not in tree

    @pytest.mark.parametrize("where", ["shape", "chunks"])
    def test_lengths_that_raise(self, tree, where):
        given = {"shape": (4,), where: (raising("__index__")(),)}
        with pytest.raises((Trap, TypeError)):
            tree.create_dataset("new/x", **given)
        assert "new" not in tree

    def test_lengths_that_shrink_while_they_are_read(self, tree):
        lengths = []

        class Shrinking:
            def __index__(self):
                lengths.clear()
                return 2

        lengths[:] = [Shrinking(), 3, 4, 5]
        for use in (
            lambda: tree.create_dataset("x", shape=lengths),
            lambda: MemDatasetCommon(lengths, "f8"),
            lambda: setattr(tree["sky/map"], "chunks", lengths),
        ):
            try:
                use()
            except (ValueError, TypeError, IndexError, RuntimeError):
                pass
            lengths[:] = [Shrinking(), 3, 4, 5]
        assert tree["sky/map"].shape == (3, 4)

    def test_chunks_that_change_the_dataset_while_they_are_read(self, tree):
        class Meddling:
            def __index__(self):
                del tree["sky"]
                gc.collect()
                return 2

        view = tree["sky/map"]
        view.chunks = (Meddling(), 2)
        assert view.chunks == (2, 2)

    def test_a_dtype_that_raises(self, tree):
        class Typed:
            @property
            def dtype(self):
                raise Trap

        with pytest.raises((Trap, TypeError)):
            tree.create_dataset("new/x", shape=(2,), dtype=Typed())
        assert "new" not in tree


class TestComparing:
    """`==` meets objects in attributes and object arrays."""

    def test_an_attribute_that_raises(self, tree):
        one, other = tree["time"], tree["time"].copy()
        tree["time"].attrs["x"] = raising("__eq__")()
        other.attrs["x"] = 5
        with pytest.raises(Trap):
            one == other  # noqa: B015

    def test_an_element_that_raises(self):
        one = MemDatasetCommon.from_numpy_array(objects(raising("__eq__")()))
        other = MemDatasetCommon.from_numpy_array(objects(5))
        with pytest.raises(Trap):
            one == other  # noqa: B015
        with pytest.raises(Trap):
            ro_dict({"a": one.data}) == ro_dict({"a": other.data})  # noqa: B015

    def test_a_truth_value_that_raises(self):
        class Vague:
            def __eq__(self, other):
                return raising("__bool__")()

            __hash__ = None

        with pytest.raises(Trap):
            ro_dict({"a": Vague()}) == ro_dict({"a": 5})  # noqa: B015

    @pytest.mark.parametrize("victim", ["attrs", "node", "root"])
    def test_one_that_changes_what_is_compared(self, victim):
        one, other = _StorageRoot(), _StorageRoot()
        for root in (one, other):
            root["g"] = node = _Storage()
            for name in "abcdefgh":
                node[name] = _Storage()
                node.attrs[name] = [name]

        class Meddling:
            def __eq__(self, _):
                if victim == "attrs":
                    one["g"].attrs.clear()
                    other["g"].attrs.clear()
                elif victim == "node":
                    one["g"].clear()
                    other["g"].clear()
                else:
                    one.clear()
                    other.clear()
                gc.collect()
                return True

            __hash__ = None

        one["g"].attrs["a"] = Meddling()
        one["g"]["b"].attrs["x"] = Meddling()
        other["g"]["b"].attrs["x"] = 1
        try:
            one == other  # noqa: B015
        except RuntimeError:
            pass

    def test_one_that_changes_an_object_array_being_compared(self):
        array = objects(*range(50))

        class Meddling:
            def __eq__(self, _):
                array[:] = None
                gc.collect()
                return True

            __hash__ = None

        array[10] = Meddling()
        one = MemDatasetCommon.from_numpy_array(array)
        other = MemDatasetCommon.from_numpy_array(objects(*range(50)))
        assert (one == other) in (True, False)

    def test_one_that_replaces_the_dataset_being_compared(self, tree):
        class Meddling:
            def __eq__(self, _):
                for name in list(tree):
                    del tree[name]
                gc.collect()
                return True

            __hash__ = None

        tree["time"].attrs["x"] = Meddling()
        again = tree["time"].copy(shallow=True)
        other = copy.copy(tree["time"])
        assert (again == other) in (True, False)

    def test_values_that_hold_themselves(self):
        one, other = [], []
        one.append(one)
        other.append(other)
        try:
            equal = ro_dict({"a": one}) == ro_dict({"a": other})
        except RecursionError:
            pass
        else:
            assert equal in (True, False)

    def test_very_deep_values(self):
        def deep():
            value = []
            for _ in range(100_000):
                value = [value]
            return value

        try:
            ro_dict({"a": deep()}) == ro_dict({"a": deep()})  # noqa: B015
        except RecursionError:
            pass


class TestCopying:
    """Deep copies meet `__deepcopy__` and `__reduce_ex__` of the user's objects."""

    PLACES = ("attribute", "element", "field")

    def plant(self, tree, place, value):
        if place == "attribute":
            tree["sky"].attrs["bomb"] = value
        elif place == "element":
            tree.create_dataset("sky/bomb", data=objects(1, value, 3))
        else:
            array = np.zeros(3, dtype=[("n", "i4"), ("in", [("o", "O")])])
            array["in"]["o"][1] = value
            tree.create_dataset("sky/bomb", data=array)

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize(
        "duplicate",
        [copy.deepcopy, MemGroup.from_group, lambda t: deep_group_copy(t, MemGroup())],
        ids=["deepcopy", "from_group", "deep_group_copy"],
    )
    def test_one_that_raises(self, tree, place, duplicate):
        self.plant(tree, place, raising("__deepcopy__")())
        with pytest.raises(Trap):
            duplicate(tree)
        assert sorted(tree) == ["answer", "empty", "sky", "time"]

    @pytest.mark.parametrize("place", PLACES)
    def test_one_that_changes_the_tree_being_copied(self, tree, place):
        class Meddling:
            def __deepcopy__(self, memo):
                for name in list(tree):
                    del tree[name]
                for number in range(100):
                    tree.create_dataset(f"new{number}", data=[number])
                gc.collect()
                return "copied"

        self.plant(tree, place, Meddling())
        try:
            again = MemGroup.from_group(tree)
        except RuntimeError:
            pass
        else:
            assert set(again) <= {"time", "sky", "empty", "answer"} | set(tree)
        assert len(tree) == 100

    def test_one_that_changes_the_array_being_copied(self):
        array = objects(*[[number] for number in range(50)])

        class Meddling:
            def __deepcopy__(self, memo):
                array[:] = None
                gc.collect()
                return "copied"

        array[10] = Meddling()
        again = MemDatasetCommon.from_numpy_array(array).copy()
        assert again.shape == (50,)
        assert again[10] == "copied"

    def test_one_that_changes_the_target(self, tree):
        target = MemGroup()

        class Meddling:
            def __deepcopy__(self, memo):
                for name in list(target):
                    del target[name]
                target._storage_root.clear()
                gc.collect()
                return "copied"

        tree.create_dataset("sky/bomb", data=objects(Meddling()))
        tree.attrs["bomb"] = Meddling()
        try:
            deep_group_copy(tree, target)
        except (RuntimeError, KeyError):
            pass
        assert "sky/map" in tree

    def test_a_failed_copy_is_an_error_and_the_next_one_works(self, tree):
        tree["sky"].attrs["bomb"] = raising("__deepcopy__")()
        with pytest.raises(Trap):
            copy.deepcopy(tree)
        del tree["sky"].attrs["bomb"]
        assert_same_tree(copy.deepcopy(tree), tree)

    def test_postprocess_that_raises(self, tree):
        def post(one, other):
            raise Trap

        with pytest.raises(Trap):
            deep_group_copy(tree, MemGroup(), postprocess=post)
        assert len(tree) == 4

    def test_postprocess_that_changes_the_source(self, tree):
        def post(one, other):
            for name in list(tree):
                del tree[name]

        try:
            deep_group_copy(tree, MemGroup(), postprocess=post)
        except (RuntimeError, KeyError):
            pass
        assert len(tree) == 0

    def test_copyattrs_of_a_mapping_that_lies(self):
        class Liar(dict):
            def __iter__(self):
                return iter(["a", "gone"])

            def keys(self):
                return ["a", "gone"]

            def items(self):
                raise Trap

        target = {"mine": 1}
        with pytest.raises((Trap, KeyError)):
            copyattrs(Liar(a=1), target)
        assert target["mine"] == 1

    def test_copyattrs_of_keys_that_cannot_be_sorted(self):
        target = {}
        try:
            copyattrs({"a": 1, 5: 2}, target)
        except TypeError:
            assert target == {}
        else:
            assert target == {"a": 1, 5: 2}


class TestWalking:
    """The tree changes, or vanishes, while it is walked."""

    def test_a_finalizer_that_changes_the_tree(self):
        group = fill(MemGroup())
        log = []

        class Dying:
            def __del__(self):
                log.append(sorted(group))
                group.create_dataset("from the grave/x", data=[1, 2])
                if "sky" in group:
                    del group["sky"]

        group.create_group("doomed").attrs["dying"] = Dying()
        del group["doomed"]
        gc.collect()
        assert len(log) == 1
        assert "doomed" not in log[0]
        assert list(group["from the grave/x"]) == [1, 2]
        assert "sky" not in group

    def test_a_finalizer_in_a_replaced_dataset(self):
        group = MemGroup()
        seen = []

        class Dying:
            def __del__(self):
                seen.append(group["x"].shape if "x" in group else None)
                group.create_dataset("y", data=[1])

        group.create_dataset("x", data=objects(Dying()))
        group.create_dataset("x", data=np.zeros(7))
        gc.collect()
        assert seen == [(7,)]
        assert group["x"].shape == (7,)
        assert group["y"].shape == (1,)

    def test_a_finalizer_that_deletes_what_is_being_deleted(self):
        group = MemGroup()

        class Dying:
            def __del__(self):
                for name in list(group):
                    if name in group:
                        del group[name]

        for number in range(20):
            group.create_group(f"g{number}/deep").attrs["dying"] = Dying()
        del group["g0"]
        gc.collect()
        assert len(group) == 0

    def test_a_finalizer_in_an_attribute_being_replaced(self):
        group = MemGroup()

        class Dying:
            def __del__(self):
                group.attrs.clear()
                group.attrs["late"] = 1

        group.attrs["x"] = Dying()
        group.attrs["x"] = 5
        gc.collect()
        assert group.attrs in ({"late": 1}, {"x": 5, "late": 1})

    def test_a_finalizer_that_brings_a_view_back_to_life(self):
        kept = []

        class Undead(MemDatasetCommon):
            def __del__(self):
                kept.append(self)

        dataset = Undead.from_numpy_array(np.arange(4), name="/x")
        del dataset
        gc.collect()
        assert list(kept[0]) == [0, 1, 2, 3]
        assert kept[0].name == "/x"
        kept.clear()
        gc.collect()

    def test_a_weak_reference_callback_that_changes_the_tree(self):
        import weakref

        group = fill(MemGroup())
        watch = weakref.ref(
            group._storage_root["/sky/map"], lambda _: group.create_group("called back")
        )
        del group["sky"]
        gc.collect()
        assert watch() is None
        assert "called back" in group

    @pytest.mark.parametrize("view", [iter, lambda t: iter(t.items()), lambda t: iter(t.values())])
    def test_an_iterator_outlives_the_tree_and_its_nodes(self, view):
        group = fill(MemGroup())
        iterator = view(group)
        next(iterator)
        group._storage_root.clear()
        del group
        gc.collect()
        for _ in range(10):
            try:
                next(iterator)
            except (StopIteration, KeyError, RuntimeError):
                break

    def test_storage_nodes_swapped_under_a_handle(self, tree):
        sky = tree["sky"]
        view = tree["sky/map"]
        dict.__setitem__(tree._storage_root, "sky", _Storage())
        gc.collect()
        assert list(sky) in ([], ["map", "deep"])
        assert view[1, 1] == 5

    @pytest.mark.parametrize("thing", [5, "text", None, [1], {"x": 1}, np.zeros(3)], ids=repr)
    def test_things_put_into_the_storage_by_hand(self, tree, thing):
        """Plain dict methods can put anything there; using the tree must not crash."""
        try:
            dict.__setitem__(tree._storage_root, "odd", thing)
        except TypeError:
            return
        for use in (
            lambda: tree["odd"],
            lambda: tree["odd/x"],
            lambda: "odd/x" in tree,
            lambda: list(tree.items()),
            lambda: list(tree.values()),
            lambda: tree.create_group("odd/x"),
            lambda: tree.create_dataset("odd/x", data=[1]),
            lambda: tree.require_group("odd"),
            lambda: MemGroup.from_group(tree),
            lambda: copy.deepcopy(tree),
            lambda: pickle.dumps(tree),
            lambda: tree._storage_root == tree._storage_root,
            lambda: repr(tree),
        ):
            try:
                use()
            except (TypeError, KeyError, ValueError, AttributeError):
                pass
        dict.__delitem__(tree._storage_root, "odd")
        assert tree["sky/map"].shape == (3, 4)

    @pytest.mark.parametrize("key", [5, None, (1, 2), b"bytes"], ids=repr)
    def test_keys_put_into_the_storage_by_hand(self, tree, key):
        try:
            dict.__setitem__(tree._storage_root, key, _Storage())
        except TypeError:
            return
        for use in (
            lambda: list(tree),
            lambda: list(tree.items()),
            lambda: MemGroup.from_group(tree),
            lambda: copy.deepcopy(tree),
            lambda: len(tree),
        ):
            try:
                use()
            except (TypeError, KeyError, ValueError):
                pass

    def test_a_tree_that_holds_itself(self, tmp_path):
        """A node below itself, made by hand: an error, not an endless walk or a crash."""
        run_python(
            """
            import copy, pickle
            from memdata import MemGroup
            tree = MemGroup()
            tree.create_group("a/b")
            root = tree._storage_root
            try:
                dict.__setitem__(root["/a/b"], "up", root["/a"])
            except (TypeError, ValueError):
                raise SystemExit
            assert tree["a/b/up/b/up/b"].name == "/a/b/up/b/up/b"
            for use in (MemGroup.from_group, copy.deepcopy, lambda t: t.to_hdf5("x.h5")):
                try:
                    use(tree)
                except (RecursionError, ValueError, RuntimeError):
                    pass
            import gc
            del tree, root
            gc.collect()
            """,
            cwd=tmp_path,
        )


class TestOverrides:
    def test_a_getitem_that_raises(self, tree):
        class Broken(MemGroup):
            def __getitem__(self, name):
                raise Trap

        group = Broken._from_storage_root(tree._storage_root, "/")
        for use in (
            lambda: group["sky"],
            lambda: group.get("sky"),
            lambda: list(group.values()),
            lambda: list(group.items()),
        ):
            with pytest.raises(Trap):
                use()
        assert list(group) == ["time", "sky", "empty", "answer"]

    @pytest.mark.parametrize("name", ["_storage_root", "_name", "attrs", "name"])
    def test_odd_values_given_to_private_names(self, tree, name):
        for value in (None, 5, {}, "relative", object()):
            view = tree["sky/map"]
            try:
                setattr(view, name, value)
            except (AttributeError, TypeError, ValueError):
                continue
            for use in (repr, hash, lambda v: v.parent, lambda v: v.file, lambda v: v == v.view()):
                try:
                    use(view)
                except (TypeError, ValueError, KeyError, AttributeError):
                    pass
        assert tree["sky/map"].name == "/sky/map"

    @pytest.mark.parametrize("name", ["_storage_root", "_name", "_body", "data", "attrs"])
    def test_deleting_private_names(self, tree, name):
        view = tree["sky/map"]
        try:
            delattr(view, name)
        except (AttributeError, TypeError):
            pass
        for use in (repr, lambda v: v.name, lambda v: v.shape, lambda v: v[0], lambda v: v.file):
            try:
                use(view)
            except (TypeError, ValueError, KeyError, AttributeError):
                pass

    def test_class_assignment(self, tree):
        class Other(MemDatasetCommon):
            pass

        view = tree["sky/map"]
        try:
            view.__class__ = Other
        except TypeError:
            pass
        assert view.shape == (3, 4)
        for kind in (int, MemGroup, _Storage, MemAttrs, object):
            with pytest.raises(TypeError):
                view.__class__ = kind

    @pytest.mark.parametrize(
        "kind",
        [thing for thing in vars(_cmemdata).values() if isinstance(thing, type)],
        ids=lambda kind: kind.__name__,
    )
    def test_native_types_cannot_be_changed_from_outside(self, kind):
        with pytest.raises(TypeError):
            kind.something = None

    @pytest.mark.parametrize("state", [None, (), {}, (1, 2, 3), {"_body": 5}, "text"], ids=repr)
    def test_pickles_that_lie(self, tree, state):
        for thing in (tree, tree["sky/map"], tree._storage_root, tree._storage_root["/sky"]):
            if not hasattr(thing, "__setstate__"):
                continue
            victim = type(thing).__new__(type(thing))
            try:
                victim.__setstate__(state)
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            for use in (repr, len, hash, copy.copy, copy.deepcopy):
                try:
                    use(victim)
                except (TypeError, ValueError, AttributeError, KeyError, RuntimeError):
                    pass

    def test_hooks_of_a_container_that_change_the_tree(self):
        class Meddling(MemDiskGroup):
            @staticmethod
            def dataset_name_allowed(path):
                if "victim" in container._data:
                    del container._data["victim"]
                return True

            @staticmethod
            def group_name_allowed(path):
                return Meddling.dataset_name_allowed(path)

        container = Meddling()
        container._data.create_dataset("victim/x", data=[1])
        container._data.create_group("other")
        try:
            container["victim/x"]
        except KeyError:
            pass
        container._data.create_dataset("victim/x", data=[1])
        try:
            list(container.items())
        except (KeyError, RuntimeError):
            pass
        assert "other" in container


def test_a_trace_function_that_meddles(tree):
    """Tracing runs between any two steps of Python code."""

    def trace(frame, event, arg):
        if "sky" in tree:
            del tree["sky"]
        return trace

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        try:
            MemGroup.from_group(tree)
            deep_group_copy(tree, MemGroup())
        except (KeyError, RuntimeError):
            pass
    finally:
        sys.settrace(previous)
    assert "time" in tree


def test_out_of_recursion(tree):
    """Calls near the recursion limit raise RecursionError and leave the tree whole."""

    def dive(depth):
        try:
            dive(depth + 1)
        except RecursionError:
            copy.deepcopy(tree["time"].attrs)
            tree["time"] == tree["time"]  # noqa: B015
            raise

    with pytest.raises(RecursionError):
        dive(0)
    assert tree["sky/map"].shape == (3, 4)
