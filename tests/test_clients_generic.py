"""Code that takes a group of memory, HDF5 or zarr alike, and what it leaves behind: nothing."""

from __future__ import annotations

import json
import tracemalloc
import weakref

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup, copyattrs, deep_group_copy, get_file, is_group
from memdata.copying import attrs2dict
from memdata.fileformats import HDF5, Zarr
from support import assert_same_array, fill, values
from telescope import Spectrum, TimeStream, numbered_stream

KINDS = ["memory", "container", "h5py", "container-on-disk", "zarr", "container-on-zarr"]


def make(kind, folder):
    """An empty group of that kind."""
    if kind == "memory":
        return MemGroup()
    if kind == "container":
        return MemDiskGroup()
    if "zarr" in kind:
        pytest.importorskip("zarr")
        group = Zarr.open(folder / f"{kind}.zarr", mode="w")
    else:
        group = h5py.File(folder / f"{kind}.h5", "w")
    return MemDiskGroup(group) if kind.startswith("container") else group


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def group(kind, tmp_path):
    made = make(kind, tmp_path)
    deep_group_copy(fill(MemGroup()), made._data if isinstance(made, MemDiskGroup) else made)
    yield made
    if kind == "h5py":
        made.close()
    elif isinstance(made, MemDiskGroup) and hasattr(made._data, "close"):
        made._data.close()


def walk(group, path=""):
    """Every node below, as generic code finds them."""
    for name in sorted(group):
        node = group[name]
        yield f"{path}/{name}", node
        if is_group(node):
            yield from walk(node, f"{path}/{name}")


class TestAnyGroup:
    def test_walked(self, group):
        found = dict(walk(group))
        assert set(found) == {
            "/answer",
            "/empty",
            "/sky",
            "/sky/deep",
            "/sky/deep/mask",
            "/sky/map",
            "/time",
        }
        assert {path for path, node in found.items() if not is_group(node)} == {
            "/answer",
            "/sky/deep/mask",
            "/sky/map",
            "/time",
        }
        assert found["/sky/map"].shape == (3, 4)
        assert found["/sky/map"].dtype == np.float32
        assert_same_array(values(found["/sky/map"]), np.arange(12, dtype="f4").reshape(3, 4))

    def test_attributes(self, group):
        assert attrs2dict(group.attrs) == {"title": "a tree"}
        assert dict(group["time"].attrs) == {"units": "s"}
        assert list(group["sky/map"].attrs["axis"]) == [10, 20]
        assert "survey" in group["sky"].attrs
        target = {}
        copyattrs(group["sky"].attrs, target)
        assert target == {"survey": 7}
        assert type(target["survey"]) is int
        group.attrs["more"] = 5
        assert group.attrs.get("more") == 5
        assert sorted(group.attrs.keys()) == ["more", "title"]

    def test_membership_and_items(self, group):
        assert "sky/map" in group
        assert "sky/nothing" not in group
        assert "time/nothing" not in group
        assert len(group) == 4
        assert sorted(group.keys()) == ["answer", "empty", "sky", "time"]
        if hasattr(group, "items"):  # zarr 3 has none
            assert sorted(name for name, _ in group.items()) == sorted(group)
        assert group.get("nothing") is None
        assert group.get("nothing", 5) == 5
        with pytest.raises(KeyError):
            group["nothing"]

    def test_made_in(self, group, kind):
        if kind == "zarr":
            pytest.skip("zarr 3 makes arrays in its own way")
        made = group.create_group("new/deep")
        assert is_group(made)
        group["new/deep"].attrs["a"] = 1
        dataset = group["new"].create_dataset("x", shape=(2, 3), dtype=np.float32)
        dataset[...] = 1
        dataset[0, 1] = 5
        assert group["new/x"][0].tolist() == [1, 5, 1]
        group["new/x"][:] += 1
        assert np.asarray(group["new/x"])[0, 1] == 6
        assert group["new"].require_group("deep").attrs["a"] == 1
        assert group.require_dataset("new/x", shape=(2, 3), dtype=np.float32).shape == (2, 3)
        del group["new"]
        assert "new" not in group

    def test_is_taken_as_it_is(self, group):
        assert is_group(group)
        assert not is_group(group["time"])
        found, opened = get_file(group)
        assert found is group
        assert opened is False

    @pytest.mark.parametrize("target_kind", KINDS)
    def test_copied_to_any_other(self, group, target_kind, tmp_path):
        (tmp_path / "target").mkdir()
        target = make(target_kind, tmp_path / "target")
        deep_group_copy(group, target, selections={"/time": slice(1, 3)})
        assert [path for path, _ in walk(target)] == [path for path, _ in walk(group)]
        assert_same_array(target["time"][:], np.linspace(0.0, 1.5, 4)[1:3])
        assert target["sky"].attrs["survey"] == 7
        assert target["time"].attrs["units"] == "s"
        if isinstance(target, h5py.File):
            target.close()
        elif isinstance(target, MemDiskGroup) and isinstance(target._data, h5py.File):
            target._data.close()

    def test_called_for_every_node_that_is_copied(self, group):
        seen = []
        target = MemGroup()
        deep_group_copy(group, target, postprocess=lambda a, b: seen.append((a, b)))
        assert len(seen) == 1 + len(list(walk(group)))
        for source, copied in seen:
            assert is_group(source) == is_group(copied)

    def test_as_json(self, group):
        text = json.dumps(
            {path: attrs2dict(node.attrs) for path, node in walk(group)}, default=np.ndarray.tolist
        )
        assert json.loads(text)["/sky"] == {"survey": 7}


@pytest.mark.parametrize("file_format", [HDF5, Zarr])
def test_a_file_name_or_an_open_group(tmp_path, file_format):
    """The habit of functions that take both, and close only what they opened."""
    if file_format is Zarr:
        pytest.importorskip("zarr")
    name = tmp_path / ("x.h5" if file_format is HDF5 else "x.zarr")
    fill(MemDiskGroup()).save(name, file_format=file_format)

    def title(where):
        group, opened = get_file(where, mode="r")
        try:
            return group.attrs["title"]
        finally:
            if opened and hasattr(group, "close"):
                group.close()

    assert title(name) == "a tree"
    assert title(str(name)) == "a tree"
    group, _ = get_file(name, mode="r")
    assert title(group) == "a tree"
    assert "time" in group, "what was open stays open"
    if hasattr(group, "close"):
        group.close()


@pytest.mark.usefixtures("no_gc")
class TestMemoryIsFreedAtOnce:
    """Dropping the last name of a tree frees it: clients call `gc.collect` in vain."""

    MiB = 1 << 20

    def used(self):
        return tracemalloc.get_traced_memory()[0]

    @pytest.fixture(autouse=True)
    def _traced(self):
        tracemalloc.start()
        yield
        tracemalloc.stop()

    def stream(self):
        stream = numbered_stream(freq=16, prod=16, time=512)  # 1.5 MiB
        stream.comment = stream.vis  # a view of itself
        return stream

    def test_a_container(self):
        before = self.used()
        stream = self.stream()
        assert self.used() - before > self.MiB
        watches = [weakref.ref(stream), weakref.ref(stream._data), weakref.ref(stream.vis.data)]
        list(walk(stream))
        assert stream.datasets["vis"].parent.file is not None
        del stream
        assert [watch() for watch in watches] == [None] * 3
        assert self.used() - before < self.MiB / 4

    def test_a_view_keeps_the_tree_and_then_frees_it(self):
        before = self.used()
        vis = self.stream().vis
        assert vis.parent["weight"].shape == (16, 16, 512)
        assert self.used() - before > self.MiB
        del vis
        assert self.used() - before < self.MiB / 4

    @pytest.mark.parametrize("name", ["x.h5", "x.zarr"])
    def test_after_saving_and_loading(self, tmp_path, name):
        file_format = Zarr if name.endswith("zarr") else HDF5
        if file_format is Zarr:
            pytest.importorskip("zarr")
        self.stream().save(tmp_path / name, file_format=file_format)  # imports what it needs
        TimeStream.from_file(tmp_path / name)
        before = self.used()
        loaded = TimeStream.from_file(tmp_path / name)
        watch = weakref.ref(loaded.vis.data)
        assert self.used() - before > self.MiB
        del loaded
        assert watch() is None
        assert self.used() - before < self.MiB / 4

    def test_copies_of_copies(self):
        before = self.used()
        stream = self.stream()
        for _ in range(4):
            stream = stream.copy()
        assert self.used() - before < 3 * self.MiB
        shared = stream.copy(shared=["vis"])
        vis = weakref.ref(stream.vis.data)
        del stream
        assert vis() is not None
        del shared
        assert vis() is None
        assert self.used() - before < self.MiB / 4

    def test_after_an_exception_went_through(self):
        def task():
            stream = self.stream()
            watches.append(weakref.ref(stream))
            stream["nothing"]

        watches = []
        with pytest.raises(KeyError):
            task()
        assert watches[0]() is None

    def test_a_dataset_that_was_deleted_or_replaced(self):
        stream = self.stream()
        stream.comment = None
        watch = weakref.ref(stream.vis.data)
        del stream["vis"]
        assert watch() is None
        watch = weakref.ref(stream.weight.data)
        stream.create_dataset("weight", data=np.zeros(3))
        assert watch() is None


def test_walking_the_storage_of_any_container():
    """`isinstance` with `_Storage` and `.items()`, setting options on what is stored."""

    def visit(storage, path=""):
        for name, node in storage.items():
            if isinstance(node, memdata._Storage):
                yield from visit(node, f"{path}/{name}")
            else:
                yield f"{path}/{name}"

    stream = numbered_stream()
    stream.create_dataset("index_map/deep/x", data=np.zeros((4, 4)))
    paths = list(visit(stream._data._storage_root))
    assert paths == [
        "/index_map/freq",
        "/index_map/prod",
        "/index_map/time",
        "/index_map/deep/x",
        "/vis",
        "/weight",
    ]
    for path in paths:
        stored = stream._data._storage_root[path]
        stored.chunks = tuple(min(length, 2) for length in stored.shape)
        stored.compression = "gzip"
        stored.compression_opts = 7
    for path in paths:
        assert stream[path].chunks == tuple(min(n, 2) for n in stream[path].shape)
        assert (stream[path].compression, stream[path].compression_opts) == ("gzip", 7)


def test_options_set_and_removed_before_saving(tmp_path):
    stream = numbered_stream()
    stored = stream._data._storage_root["/vis"]
    stored.chunks = None
    stored.compression = stored.compression_opts = None
    stream._data._storage_root["/weight"].compression = "lzf"
    stream._data._storage_root["/weight"].chunks = (5, 1, 8)
    stream.save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert (file["vis"].chunks, file["vis"].compression) == (None, None)
        assert (file["weight"].chunks, file["weight"].compression) == ((5, 1, 8), "lzf")


def test_bitshuffle_set_on_what_is_stored(tmp_path):
    pytest.importorskip("hdf5plugin")
    stream = numbered_stream()
    for path in ("/vis", "/weight"):
        stored = stream._data._storage_root[path]
        stored.chunks = (5, 3, 8)
        stored.compression = "bitshuffle"
        stored.compression_opts = (None, "lz4")
    stream.save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        filters = file["vis"].id.get_create_plist()
        assert filters.get_filter(0)[0] == 32008
        assert file["weight"][1, 2, 3] == stream.weight[1, 2, 3]
    again = TimeStream.from_file(tmp_path / "x.h5")
    assert_same_array(again.vis[:], stream.vis[:])


def test_selections_of_datasets_that_a_file_does_not_have(tmp_path):
    """A class names all that its files may hold; a file need not have it all."""
    assert "gain" in TimeStream._dataset_spec
    numbered_stream().save(tmp_path / "x.h5")
    part = TimeStream.from_file(tmp_path / "x.h5", freq_sel=slice(1, 3), time_sel=[0, 4])
    assert part.vis.shape == (2, 3, 2)
    assert list(part.freq) == [500.0, 600.0]
    with h5py.File(tmp_path / "x.h5") as file:
        part = TimeStream.from_file(file, prod_sel=np.array([True, False, True]))
    assert part.weight.shape == (5, 2, 8)
    with pytest.raises(ValueError, match="/gain"):
        MemGroup.from_file(tmp_path / "x.h5", selections={"/gain": slice(2)})


def test_a_container_around_part_of_another(tmp_path):
    stream = numbered_stream()
    index_map = MemDiskGroup(stream["index_map"])
    index_map["freq"][0] = 1.0
    assert stream.freq[0] == 1.0
    spectrum = Spectrum(freq=3)
    deep_group_copy(spectrum, stream.create_group("flags"))
    assert stream["flags/power"].shape == (3,)


def test_lists_along_several_axes_are_refused_rather_than_paired(tmp_path):
    numbered_stream().save(tmp_path / "x.h5")
    with pytest.raises(ValueError, match=r"/vis.*'freq', 'time'"):
        TimeStream.from_file(tmp_path / "x.h5", freq_sel=[1, 3], time_sel=np.array([0, 4]))
    part = TimeStream.from_file(tmp_path / "x.h5", freq_sel=[1, 3], time_sel=slice(0, 5, 4))
    assert part.vis.shape == (2, 3, 2)
