"""Part 13 of the behaviour page on several ranks: what pipelines do with their containers."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import h5py
import numpy as np
import pytest
from whole import part, same

from memdata import (
    MemDatasetDistributed,
    MemDiskGroup,
    MemGroup,
    _Storage,
    copyattrs,
    deep_group_copy,
)
from memdata.fileformats import HDF5, Zarr
from memdata.mpiarray import MPIArray
from telescope import Spectrum, TimeStream, numbered, numbered_stream

SHAPE = (5, 3, 8)


@pytest.fixture
def stream(comm):
    return numbered_stream(*SHAPE, distributed=True, comm=comm)


@pytest.fixture
def whole():
    return (numbered(*SHAPE) * (1 - 1j)).astype("c8")


def check_cut(stream, axis, comm):
    """Are the datasets of the stream right, and cut along that axis?"""
    values = numbered(*SHAPE)
    for dataset, all_of_it in (
        (stream.vis, (values * (1 - 1j)).astype("c8")),
        (stream.weight, (values + 0.5).astype("f4")),
    ):
        assert dataset.distributed_axis == axis
        same(dataset.local_data, part(all_of_it, axis, comm))
        assert dataset.shape == SHAPE
        assert list(dataset.attrs["axis"]) == ["freq", "prod", "time"]
    assert list(stream.index_map) == ["freq", "prod", "time"]
    assert len(stream.freq) == SHAPE[0]


class TestContainers:
    def test_redistributed_by_the_name_of_an_axis(self, stream, comm):
        for axis, name in [(2, "time"), (1, "prod"), (1, "prod"), (0, "freq")]:
            stream.redistribute(name)
            check_cut(stream, axis, comm)
        stream.redistribute("no such axis")
        check_cut(stream, 0, comm)

    def test_stored_datasets_redistributed_by_a_walk(self, stream, comm):
        """The walk over `_Storage` that older containers do."""
        view = stream.vis
        todo = list(stream._data._storage_root.items())
        while todo:
            _, item = todo.pop()
            if isinstance(item, _Storage):
                todo.extend(item.items())
            elif isinstance(item, MemDatasetDistributed):
                item.redistribute(list(item.attrs["axis"]).index("time"))
        check_cut(stream, 2, comm)
        assert view.distributed_axis == 2
        same(view.local_data, stream.vis.local_data)

    def test_the_base_class_does_the_same(self, stream, comm):
        MemDiskGroup.redistribute(stream, "time")
        check_cut(stream, 2, comm)
        MemDiskGroup.redistribute(stream, ["nothing", "prod"])
        check_cut(stream, 1, comm)

    def test_a_loop_over_the_channels_of_this_rank(self, stream, whole, comm):
        stream.redistribute("freq")
        vis = stream.vis[:]
        local = vis.local_array
        seen = []
        for local_index, global_index in vis.enumerate(0):
            same(local[local_index], whole[global_index])
            seen.append(global_index)
            local[local_index] *= stream.freq[global_index]
        everyones = comm.allgather(seen) if comm is not None else [seen]
        assert sorted(index for some in everyones for index in some) == list(range(SHAPE[0]))
        expected = whole * stream.freq[:, np.newaxis, np.newaxis].astype("c8")
        np.testing.assert_allclose(vis.allgather(), expected, rtol=1e-6)

    def test_where_this_rank_s_part_is(self, stream, whole):
        vis = stream.vis[:]
        assert isinstance(vis, MPIArray)
        start = vis.local_offset[0]
        assert vis.local_bounds == slice(start, start + vis.local_shape[0])
        assert stream.vis.local_shape == vis.local_shape
        assert stream.vis.local_offset == vis.local_offset
        same(vis.view(np.ndarray), whole[vis.local_bounds])
        same(vis.local_array, whole[vis.local_bounds])

    def test_arithmetic_and_what_is_left_of_axes(self, stream, whole):
        vis, weight = stream.vis[:], stream.weight[:]
        power = (np.abs(vis) ** 2 * weight).sum(axis=2)
        assert power.axis == 0
        expected = (np.abs(whole) ** 2 * (numbered(*SHAPE) + 0.5).astype("f4")).sum(axis=2)
        np.testing.assert_allclose(power.allgather(), expected, rtol=1e-5)
        np.testing.assert_allclose(vis[:, 1].allgather(), whole[:, 1])
        vis[:, 1:, ::2] = 0
        assert not stream.vis[:, 2, 0].any(), "a slice is a view of the stored data"

    def test_a_new_container_with_the_axes_of_another(self, stream, comm):
        stream.redistribute("freq")
        spectrum = Spectrum(axes_from=stream, attrs_from=stream, distributed=True, comm=stream.comm)
        assert spectrum["power"].distributed
        spectrum["power"][:] = np.abs(stream.vis[:]).mean(axis=(1, 2))
        assert spectrum.attrs["telescope"] == {"name": "small", "dishes": [1, 2]}
        expected = np.abs(numbered(*SHAPE) * (1 - 1j)).mean(axis=(1, 2))
        np.testing.assert_allclose(spectrum["power"][:].allgather(), expected, rtol=1e-5)

    def test_wrapped_parts_become_a_dataset(self, stream, whole, comm):
        array = MPIArray.wrap(part(whole, 1, comm).copy(), axis=1, comm=stream.comm)
        made = stream.create_dataset("gain", data=array, distributed=True)
        assert (made.distributed_axis, made.shape) == (1, SHAPE)
        same(made[:].allgather(), whole)

    def test_common_to_distributed_and_back(self, stream, comm):
        stream.redistribute("time")
        for name in ("vis", "weight"):
            stream.dataset_distributed_to_common(name)
            assert stream[name].common
            assert list(stream[name].attrs["axis"]) == ["freq", "prod", "time"]
        for name in ("vis", "weight"):
            stream.dataset_common_to_distributed(name, distributed_axis=1)
        check_cut(stream, 1, comm)

    def test_copies(self, stream, comm):
        for again in (stream.copy(), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))):
            assert type(again) is TimeStream
            assert again.distributed
            again.redistribute("time")
            check_cut(again, 2, comm)
        check_cut(stream, 0, comm)

    def test_a_shared_dataset_follows(self, stream, comm):
        again = stream.copy(shared=["vis"])
        assert again.vis.data is stream.vis.data
        again.vis.local_data[...] = 0
        assert not stream.vis.local_data.any()
        assert again.weight.data is not stream.weight.data

    def test_copied_without_what_is_distributed(self, stream, comm):
        target = MemGroup(distributed=True, comm=stream.comm)
        deep_group_copy(stream, target)
        same(target["vis"].local_data, stream.vis.local_data)
        attributes = {}
        copyattrs(target.attrs, attributes)
        assert attributes == {"telescope": {"name": "small", "dishes": [1, 2]}}


EVEN = np.arange(8) % 2 == 0
HEAVY = (numbered(*SHAPE) + 0.5).astype("f4") > 10


def set_item(*index_and_value):
    """What NumPy makes of ``whole[index] = value``."""

    def changed(whole):
        whole = whole.copy()
        whole[index_and_value[0]] = index_and_value[1]
        return whole

    return changed


def by_channel(vis, weight):
    for local, _ in vis[:].enumerate(0):
        vis[:].local_array[local] *= 3


def by_channel_of_the_whole(vis, weight):
    for _, channel in vis[:].enumerate(0):
        vis[channel, :, 1] = channel


def there_and_back(vis, weight):
    moved = np.cumsum(vis[:].redistribute(2), axis=0)
    vis[:] = moved.redistribute(0)


def in_place(vis, weight):
    part = vis[:]
    part *= 2
    np.add(part, 1, out=part)


# What programs do with a dataset, and what comes of the whole array.
CHANGES = {
    "a number": (lambda v, w: v.__setitem__(slice(None), 3), set_item(slice(None), 3)),
    "the whole array": (
        lambda v, w: v.__setitem__(slice(None), v[:].allgather() * 2),
        lambda whole: whole * 2,
    ),
    "this rank's part": (
        lambda v, w: v.__setitem__(slice(None), v[:].local_array * 2),
        lambda whole: whole * 2,
    ),
    "one time": (lambda v, w: v.__setitem__((..., 0), 7), set_item((..., 0), 7)),
    "a mask of times": (
        lambda v, w: v.__setitem__((slice(None), slice(None), EVEN), 7),
        set_item((slice(None), slice(None), EVEN), 7),
    ),
    "one channel": (lambda v, w: v.__setitem__(2, 5), set_item(2, 5)),
    "some channels": (
        lambda v, w: v.__setitem__((slice(1, 4), 1), np.arange(8)),
        set_item((slice(1, 4), 1), np.arange(8)),
    ),
    "a list of channels": (lambda v, w: v.__setitem__([0, 3], 1), set_item([0, 3], 1)),
    "what another dataset says": (
        lambda v, w: v.__setitem__(slice(None), np.where(w[:] > 10, v[:], 0)),
        lambda whole: np.where(HEAVY, whole, 0),
    ),
    "a mask of the same shape": (
        lambda v, w: v[:].__setitem__(w[:] <= 10, 0),
        lambda whole: np.where(HEAVY, whole, 0),
    ),
    "the plain view": (
        lambda v, w: v[:].view(np.ndarray).__setitem__(slice(None), 4),
        set_item(slice(None), 4),
    ),
    "channel by channel": (by_channel, lambda whole: whole * 3),
    "channel by channel of the whole": (
        by_channel_of_the_whole,
        set_item((slice(None), slice(None), 1), np.arange(5)[:, np.newaxis]),
    ),
    "along the other axis": (there_and_back, lambda whole: np.cumsum(whole, axis=0)),
    "in place": (in_place, lambda whole: whole * 2 + 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changing_a_dataset(stream, whole, name):
    change, expected = CHANGES[name]
    change(stream.vis, stream.weight)
    same(stream.vis[:].allgather(), expected(whole).astype("c8"))


class TestMemory:
    """Nothing but reference counts frees a container, also after all that communicates."""

    @pytest.fixture(autouse=True)
    def _no_gc(self):
        gc.collect()
        gc.disable()
        yield
        gc.enable()

    def test_is_freed_with_the_last_name(self, comm):
        stream = numbered_stream(*SHAPE, distributed=True, comm=comm)
        watches = [weakref.ref(stream), weakref.ref(stream._data)]
        watches += [weakref.ref(stream[name].data) for name in ("vis", "weight")]
        stream.redistribute("time")
        assert [watch() is None for watch in watches] == [False, False, True, True]
        watches += [weakref.ref(stream[name].data) for name in ("vis", "weight")]
        stream.vis[:].allgather()
        stream.copy().redistribute("prod")
        del stream
        assert not any(watch() is not None for watch in watches)

    def test_is_freed_after_files(self, stream, comm, tmp_path):
        stream.save(tmp_path / "x.h5")
        loaded = TimeStream.from_file(tmp_path / "x.h5", distributed=True, comm=stream.comm)
        watches = [weakref.ref(loaded), weakref.ref(loaded.vis.data)]
        del loaded
        assert not any(watch() is not None for watch in watches)

    def test_is_freed_when_all_ranks_raise(self, stream, tmp_path):
        stream.attrs["bad"] = object()
        watch = weakref.ref(stream.vis.data)
        with pytest.raises(TypeError, match="bad"):
            stream.save(tmp_path / "x.h5")
        assert watch() is not None
        again = stream.copy()
        watch = weakref.ref(again.vis.data)
        del again
        assert watch() is None


FORMATS = [(HDF5, "x.h5"), (Zarr, "x.zarr")]


@pytest.mark.parametrize(("file_format", "name"), FORMATS, ids=["hdf5", "zarr"])
class TestFiles:
    @pytest.fixture
    def path(self, tmp_path, name, file_format, comm):
        if file_format is Zarr:
            pytest.importorskip("zarr")
        return tmp_path / name

    @pytest.mark.parametrize("axis", ["freq", "time"])
    def test_saved_and_loaded(self, stream, path, file_format, comm, axis):
        stream.redistribute(axis)
        stream.save(path, file_format=file_format)
        again = MemDiskGroup.from_file(path, distributed=True, comm=stream.comm)
        assert type(again) is TimeStream
        check_cut(again, ["freq", "prod", "time"].index(axis), comm)
        assert again.vis.chunks == (2, 2, 8)
        assert again.attrs["telescope"] == {"name": "small", "dishes": [1, 2]}
        if file_format is HDF5:
            with h5py.File(path) as file:
                assert file.attrs["__memh5_distributed_file"]
                assert file.attrs["__memh5_subclass"] == "telescope.TimeStream"
                assert file["vis"].attrs["__memh5_distributed_dset"]
                assert file["vis"].attrs["__memh5_distributed_axis"] == [
                    "freq",
                    "prod",
                    "time",
                ].index(axis)
                assert not file["index_map/freq"].attrs["__memh5_distributed_dset"]

    @pytest.mark.parametrize(
        "selection",
        [
            {"freq_sel": slice(1, 4)},
            {"time_sel": [0, 3, 7]},
            {"freq_sel": slice(None, None, 2), "time_sel": slice(2, 6)},
            {"prod_sel": slice(1, 2), "time_sel": np.arange(8) % 2 == 0},
            {"freq_sel": [4], "prod_sel": slice(2)},
        ],
        ids=lambda selection: "+".join(selection),
    )
    def test_selected_by_axes(self, stream, path, file_format, whole, comm, selection):
        stream.save(path, file_format=file_format)
        again = TimeStream.from_file(path, distributed=True, comm=stream.comm, **selection)
        index = tuple(selection.get(f"{axis}_sel", slice(None)) for axis in TimeStream._axes)
        same(again.vis.local_data, part(whole[index], 0, comm))
        for axis, chosen in zip(TimeStream._axes, index, strict=True):
            same(again.index_map[axis], stream.index_map[axis][chosen])

    def test_the_file_does_not_depend_on_the_number_of_ranks(
        self, stream, path, file_format, whole
    ):
        stream.save(path, file_format=file_format)
        if stream.comm is not None:
            stream.comm.barrier()
        alone = TimeStream.from_file(path)
        assert alone.vis.common
        same(alone.vis[:], whole)

    def test_options_set_on_what_is_stored(self, stream, path, file_format, comm):
        stored = stream._data._storage_root["/weight"]
        stored.chunks, stored.compression, stored.compression_opts = (3, 2, 100), "gzip", 4
        stream._data._storage_root["/vis"].compression = None
        assert stream.weight.chunks == (3, 2, 8)
        stream.redistribute("time")
        stream.save(path, file_format=file_format)
        again = TimeStream.from_file(path, distributed=True, comm=stream.comm)
        assert (again.weight.chunks, again.weight.compression) == ((3, 2, 8), "gzip")
        assert again.weight.compression_opts == 4
        assert again.vis.compression is None
        check_cut(again, 2, comm)

    def test_left_in_the_file(self, stream, path, file_format, whole):
        stream.save(path, file_format=file_format)
        with TimeStream.from_file(path, ondisk=True, file_format=file_format) as container:
            assert container.ondisk
            same(container.vis[1:3], whole[1:3])
            assert sorted(container["index_map"]) == ["freq", "prod", "time"]
