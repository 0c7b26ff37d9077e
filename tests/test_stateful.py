"""Random histories: a MemGroup against nested dicts of arrays, files against h5py."""

from __future__ import annotations

import copy
import pickle
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from memdata import MemDatasetCommon, MemGroup, deep_group_copy
from support import assert_same_array, assert_same_attrs


@dataclass
class Dataset:
    """The model of a dataset."""

    data: np.ndarray
    attrs: dict = field(default_factory=dict)
    chunks: tuple | None = None
    compression: str | None = None


@dataclass
class Group:
    """The model of a group: children in the order they came."""

    attrs: dict = field(default_factory=dict)
    children: dict = field(default_factory=dict)

    def find(self, parts):
        """The node at a path, or None."""
        here = self
        for part in parts:
            if not isinstance(here, Group) or part not in here.children:
                return None
            here = here.children[part]
        return here

    def blocked(self, parts):
        """Whether a dataset lies on the way to a path."""
        return any(isinstance(self.find(parts[:depth]), Dataset) for depth in range(1, len(parts)))

    def make_parents(self, parts):
        here = self
        for part in parts[:-1]:
            here = here.children.setdefault(part, Group())
        return here


NAMES = st.sampled_from(["a", "b", "c", "d\u00e9"])
PATHS = st.lists(NAMES, min_size=1, max_size=4)
ATTRS = st.one_of(
    st.integers(-5, 5),
    st.text("abü", max_size=3),
    st.floats(allow_nan=False, width=32),
    st.builds(lambda n: np.arange(n), st.integers(1, 3)),
)
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)
DTYPES = st.sampled_from(["f8", "i4", ">i2", "?", "c8", "S3"])


def spell(parts, absolute, slashes):
    """One of the many spellings of a path."""
    path = ("//" if slashes else "/").join(parts)
    return ("/" if absolute else "") + path + ("/" if slashes else "")


def numbers(shape, dtype, start):
    return (np.arange(np.prod(shape, dtype=int)) + start).reshape(shape).astype(dtype)


def compare(found, model):
    """A group-like holds just what the model says (h5py's order is by name)."""
    assert_same_attrs(found.attrs, model.attrs)
    if isinstance(found, MemGroup):
        assert list(found) == list(model.children)
    assert set(found) == set(model.children)
    assert len(found) == len(model.children)
    for name, child in model.children.items():
        node = found[name]
        if isinstance(child, Group):
            compare(node, child)
            continue
        assert_same_array(node[()], child.data[()])
        assert node.shape == child.data.shape
        assert_same_attrs(node.attrs, child.attrs)
        assert node.chunks == child.chunks
        assert node.compression == child.compression


class Histories(RuleBasedStateMachine):
    """What a user does to a tree in memory."""

    def __init__(self):
        super().__init__()
        self.tree = MemGroup()
        self.model = Group()
        self.kept = []  # handles that stay alive, each with its part of the model

    def groups(self):
        yield (), self.tree, self.model
        stack = [((), self.tree, self.model)]
        while stack:
            parts, group, model = stack.pop()
            for name, child in model.children.items():
                if isinstance(child, Group):
                    entry = ((*parts, name), group[name], child)
                    stack.append(entry)
                    yield entry

    def datasets(self):
        for _, group, model in self.groups():
            for name, child in model.children.items():
                if isinstance(child, Dataset):
                    yield group[name], child

    @rule(parts=PATHS, absolute=st.booleans(), slashes=st.booleans(), data=st.data())
    def create_group(self, parts, absolute, slashes, data):
        here, group, _ = data.draw(st.sampled_from(list(self.groups())))
        whole = list(parts) if absolute else [*here, *parts]
        path = spell(parts, absolute, slashes)
        if self.model.blocked(whole) or self.model.find(whole) is not None:
            with pytest.raises(ValueError):
                group.create_group(path)
            return
        made = group.create_group(path)
        assert made.name == "/" + "/".join(whole)
        self.model.make_parents(whole).children[whole[-1]] = Group()

    @rule(parts=PATHS, absolute=st.booleans(), slashes=st.booleans(), data=st.data())
    def require_group(self, parts, absolute, slashes, data):
        here, group, _ = data.draw(st.sampled_from(list(self.groups())))
        whole = list(parts) if absolute else [*here, *parts]
        path = spell(parts, absolute, slashes)
        found = self.model.find(whole)
        if self.model.blocked(whole) or isinstance(found, Dataset):
            with pytest.raises((TypeError, ValueError)):
                group.require_group(path)
            return
        assert group.require_group(path).name == "/" + "/".join(whole)
        if found is None:
            self.model.make_parents(whole).children[whole[-1]] = Group()

    @rule(
        parts=PATHS,
        absolute=st.booleans(),
        shape=SHAPES,
        dtype=DTYPES,
        start=st.integers(0, 9),
        by=st.sampled_from(["data", "shape", "both"]),
        packed=st.booleans(),
        data=st.data(),
    )
    def create_dataset(self, parts, absolute, shape, dtype, start, by, packed, data):
        here, group, _ = data.draw(st.sampled_from(list(self.groups())))
        whole = list(parts) if absolute else [*here, *parts]
        path = spell(parts, absolute, slashes=False)
        array = numbers(shape, dtype, start) if by != "shape" else np.zeros(shape, dtype)
        given = {} if by == "shape" else {"data": array}
        if by != "data":
            given.update(shape=shape, dtype=dtype)
        chunks = compression = None
        if packed and shape and all(shape):
            chunks = tuple(data.draw(st.integers(1, length + 2)) for length in shape)
            compression = data.draw(st.sampled_from([None, "gzip", "lzf"]))
            given.update(chunks=chunks, compression=compression)
            chunks = tuple(map(min, chunks, shape))
        if self.model.blocked(whole) or isinstance(self.model.find(whole), Group):
            with pytest.raises(ValueError):
                group.create_dataset(path, **given)
            return
        made = group.create_dataset(path, **given)
        assert made.name == "/" + "/".join(whole)
        if "data" in given:
            assert np.shares_memory(made.data, array) or not array.size
        parent = self.model.make_parents(whole)
        # Replacing keeps neither the attributes nor the array of what was there. Whether the new
        # one takes the old one's place in the order is not promised; the model follows.
        place = list(self.tree["/" + "/".join(whole[:-1])]).index(whole[-1])
        parent.children.pop(whole[-1], None)
        items = list(parent.children.items())
        items.insert(place, (whole[-1], Dataset(array.copy(), {}, chunks, compression)))
        parent.children = dict(items)

    @rule(parts=PATHS, absolute=st.booleans(), slashes=st.booleans(), data=st.data())
    def delete(self, parts, absolute, slashes, data):
        here, group, _ = data.draw(st.sampled_from(list(self.groups())))
        whole = list(parts) if absolute else [*here, *parts]
        path = spell(parts, absolute, slashes)
        if self.model.find(whole) is None:
            with pytest.raises(KeyError):
                del group[path]
            return
        del group[path]
        del self.model.find(whole[:-1]).children[whole[-1]]

    @rule(parts=PATHS, absolute=st.booleans(), slashes=st.booleans(), data=st.data())
    def look_up(self, parts, absolute, slashes, data):
        here, group, _ = data.draw(st.sampled_from(list(self.groups())))
        whole = list(parts) if absolute else [*here, *parts]
        path = spell(parts, absolute, slashes)
        wanted = self.model.find(whole)
        assert (path in group) is (wanted is not None)
        if wanted is None:
            assert group.get(path, 5) == 5
            with pytest.raises(KeyError):
                group[path]
            return
        found = group[path]
        assert isinstance(found, MemGroup) is isinstance(wanted, Group)
        assert found == group.get(path) == self.tree[found.name]
        assert found.parent == self.tree["/" + "/".join(whole[:-1])]
        assert found.file == self.tree

    @rule(key=st.sampled_from("xyz"), value=ATTRS, data=st.data())
    def set_attribute(self, key, value, data):
        nodes = [(group, model) for _, group, model in self.groups()] + list(self.datasets())
        node, model = data.draw(st.sampled_from(nodes))
        node.attrs[key] = value
        model.attrs[key] = copy.copy(value)

    @rule(key=st.sampled_from("xyz"), data=st.data())
    def delete_attribute(self, key, data):
        nodes = [(group, model) for _, group, model in self.groups()] + list(self.datasets())
        node, model = data.draw(st.sampled_from(nodes))
        assert node.attrs.pop(key, None) is None or key in model.attrs
        model.attrs.pop(key, None)

    @precondition(lambda self: any(True for _ in self.datasets()))
    @rule(value=st.integers(1, 9), data=st.data())
    def write(self, value, data):
        node, model = data.draw(st.sampled_from(list(self.datasets())))
        index = np.s_[...] if data.draw(st.booleans()) else np.s_[: 2 if model.data.shape else None]
        index = index if model.data.shape else ()
        node[index] = value
        model.data[index] = value

    @precondition(lambda self: any(True for _ in self.datasets()))
    @rule(data=st.data())
    def set_storage(self, data):
        node, model = data.draw(st.sampled_from(list(self.datasets())))
        if not model.data.size or not model.data.shape:
            return
        node.chunks = model.chunks = tuple(
            data.draw(st.integers(1, length)) for length in model.data.shape
        )
        node.compression = model.compression = data.draw(st.sampled_from([None, "gzip"]))

    @rule(data=st.data())
    def keep_a_handle(self, data):
        nodes = [(group, model) for _, group, model in self.groups()] + list(self.datasets())
        self.kept.append(data.draw(st.sampled_from(nodes)))
        del self.kept[:-6]

    @precondition(lambda self: self.kept)
    @rule(value=st.integers(1, 9), data=st.data())
    def use_a_kept_handle(self, value, data):
        node, model = data.draw(st.sampled_from(self.kept))
        node.attrs["kept"] = value
        model.attrs["kept"] = value
        if isinstance(model, Dataset):
            node[...] = value
            model.data[...] = value

    @rule(how=st.sampled_from(["from_group", "deepcopy", "pickle", "deep_group_copy"]))
    def go_on_with_a_copy(self, how):
        before = self.tree
        if how == "from_group":
            self.tree = MemGroup.from_group(before)
        elif how == "deepcopy":
            self.tree = copy.deepcopy(before)
        elif how == "pickle":
            self.tree = pickle.loads(pickle.dumps(before, 5))
        else:
            self.tree = MemGroup()
            deep_group_copy(before, self.tree)
        if how in ("from_group", "deep_group_copy"):
            sort(self.model, like=self.tree)
        self.kept.clear()
        # The copy shares nothing: wreck the original.
        for name in list(before):
            node = before[name]
            node.attrs["wrecked"] = True
            if isinstance(node, MemDatasetCommon):
                node[...] = 0
            del before[name]

    @invariant()
    def tree_is_as_the_model_says(self):
        compare(self.tree, self.model)

    @invariant()
    def kept_handles_are_as_the_model_says(self):
        for node, model in self.kept:
            assert_same_attrs(node.attrs, model.attrs)
            if isinstance(model, Dataset):
                assert_same_array(node[()], model.data[()])
                assert node.chunks == model.chunks
            else:
                assert list(node) == list(model.children)


def sort(model, like):
    """Take over the order of a copy, which may be sorted; nothing else."""
    assert list(like) in (sorted(model.children), list(model.children))
    model.children = {name: model.children[name] for name in like}
    for name, child in model.children.items():
        if isinstance(child, Group):
            sort(child, like[name])


class Files(RuleBasedStateMachine):
    """A tree, a file that memdata writes and a file that h5py writes, side by side."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="memdata-test-"))
        self.tree = MemGroup()
        self.oracle = h5py.File(self.folder / "oracle.h5", "w")
        self.file = self.folder / "ours.h5"

    def teardown(self):
        self.oracle.close()
        shutil.rmtree(self.folder)

    def nodes(self):
        found = ["/"]
        self.oracle.visit(lambda name: found.append("/" + name))
        return found

    @rule(parts=PATHS)
    def create_group(self, parts):
        path = "/".join(parts)
        try:
            self.oracle.create_group(path)
        except ValueError:
            with pytest.raises(ValueError):
                self.tree.create_group(path)
        else:
            self.tree.create_group(path)

    @rule(
        parts=PATHS,
        shape=SHAPES,
        dtype=DTYPES,
        start=st.integers(0, 9),
        level=st.none() | st.integers(0, 9),
        data=st.data(),
    )
    def create_dataset(self, parts, shape, dtype, start, level, data):
        path = "/".join(parts)
        array = numbers(shape, dtype, start)
        options = {}
        if shape and all(shape) and data.draw(st.booleans()):
            options["chunks"] = tuple(data.draw(st.integers(1, length)) for length in shape)
            if level is not None:
                options.update(compression="gzip", compression_opts=level)
        if path in self.oracle:
            return
        try:
            self.oracle.create_dataset(path, data=array, **options)
        except (ValueError, TypeError):  # TypeError where a dataset is on the way
            with pytest.raises(ValueError):
                self.tree.create_dataset(path, data=array, **options)
        else:
            self.tree.create_dataset(path, data=array, **options)

    @rule(parts=PATHS)
    def delete(self, parts):
        path = "/".join(parts)
        try:
            del self.oracle[path]
        except KeyError:
            with pytest.raises(KeyError):
                del self.tree[path]
        else:
            del self.tree[path]

    @rule(key=st.sampled_from("xyz"), value=ATTRS, data=st.data())
    def set_attribute(self, key, value, data):
        path = data.draw(st.sampled_from(self.nodes()))
        self.oracle[path].attrs[key] = value
        self.tree[path].attrs[key] = value

    @rule(value=st.integers(1, 9), data=st.data())
    def write(self, value, data):
        path = data.draw(st.sampled_from(self.nodes()))
        if isinstance(self.oracle[path], h5py.Dataset):
            self.oracle[path][...] = np.array(value).astype(self.oracle[path].dtype)
            self.tree[path][...] = value

    def same(self, found, wanted):
        assert_same_attrs(found.attrs, wanted.attrs)
        assert set(found) == set(wanted)
        for name in wanted:
            if isinstance(wanted[name], h5py.Group):
                self.same(found[name], wanted[name])
                continue
            one, other = found[name], wanted[name]
            assert_same_array(one[()], other[()])
            assert_same_attrs(one.attrs, other.attrs)
            assert one.chunks == other.chunks
            assert one.compression == other.compression
            assert one.compression_opts == other.compression_opts

    @rule()
    def save(self):
        self.tree.to_hdf5(self.file)
        with h5py.File(self.file, "r") as file:
            self.same(file, self.oracle)
        assert {path.name for path in self.folder.iterdir()} == {"ours.h5", "oracle.h5"}

    @rule()
    def save_and_go_on_with_what_is_loaded(self):
        self.tree.to_hdf5(self.file)
        self.tree = MemGroup.from_hdf5(self.file)
        self.same(self.tree, self.oracle)

    @rule(ours=st.booleans())
    def go_on_with_what_h5py_wrote(self, ours):
        self.oracle.flush()
        if ours:
            self.tree = MemGroup.from_group(self.oracle)
        else:
            copied = self.folder / "copied.h5"
            shutil.copy(self.folder / "oracle.h5", copied)
            self.tree = MemGroup.from_hdf5(copied)
            copied.unlink()
        self.same(self.tree, self.oracle)

    @rule()
    def add_to_the_file(self):
        """Saving with mode "a" into an empty file is saving; into an old one adds to it."""
        self.file.unlink(missing_ok=True)
        extra = MemGroup()
        extra.create_dataset("extra", data=[1, 2])
        extra.to_hdf5(self.file)
        self.tree.to_hdf5(self.file, mode="a")
        with h5py.File(self.file, "a") as file:
            assert list(file["extra"][:]) == [1, 2]
            del file["extra"]
            self.same(file, self.oracle)

    @rule(data=st.data())
    def load_a_part(self, data):
        self.tree.to_hdf5(self.file)
        names = [
            path
            for path in self.nodes()
            if isinstance(self.oracle[path], h5py.Dataset) and self.oracle[path].shape
        ]
        if not names:
            return
        path = data.draw(st.sampled_from(names))
        length = self.oracle[path].shape[0]
        index = data.draw(st.slices(length))
        loaded = MemGroup.from_hdf5(self.file, selections={path: index})
        assert_same_array(loaded[path][...], self.oracle[path][...][index])

    @invariant()
    def tree_is_as_h5py_says(self):
        self.same(self.tree, self.oracle)


TestHistories = Histories.TestCase
TestHistories.settings = settings(stateful_step_count=40)
TestFiles = Files.TestCase
TestFiles.settings = settings(stateful_step_count=25)
