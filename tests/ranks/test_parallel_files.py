"""Loading and saving by several ranks: what is in the file is the whole array, and comes back cut.

The oracle is h5py in one process, reading and writing whole arrays.
"""

from __future__ import annotations

import os
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from whole import check, distribute, numbered, part, same

import memdata
from memdata import MemGroup, transfer
from memdata.mpiarray import AxisException, MPIArray
from memdata.transfer import movers, parts, plain

DTYPES = ["f8", "f2", ">i4", "c16", "?", "S3", np.dtype([("a", "i2"), ("b", ">f8"), ("c", "S2")])]
SHAPES = [(3,), (0,), (3, 5), (5, 0), (20, 6), (2, 15, 7)]
PACKINGS = [
    {},
    {"chunks": True},
    {"chunks": True, "compression": "gzip", "compression_opts": 1},
    {"chunks": True, "compression": "lzf"},
]


def wait(comm):
    if comm is not None:
        comm.Barrier()


def tree(comm, **arrays):
    """A distributed tree; values are (whole array, axis) or (whole array, axis, packing)."""
    group = MemGroup(distributed=True, comm=comm)
    for name, (whole, axis, *packing) in arrays.items():
        settings = dict(packing[0]) if packing else {}
        if settings.get("chunks") is True:
            settings["chunks"] = tuple(max(1, min(n, 4)) for n in whole.shape)
        group.create_dataset(name, data=distribute(whole, axis, comm), **settings)
    return group


def written(path, comm, **arrays):
    """A file that rank 0 makes with h5py; values are (whole array, axis or None, keywords)."""
    if comm is None or comm.rank == 0:
        with h5py.File(path, "w") as f:
            for name, (whole, axis, *more) in arrays.items():
                dataset = f.create_dataset(name, data=whole, **(more[0] if more else {}))
                if axis is not None:
                    dataset.attrs["__memh5_distributed_dset"] = True
                    dataset.attrs["__memh5_distributed_axis"] = axis
    wait(comm)
    return path


def in_rounds(monkeypatch):
    """Move small data in many rounds, as large data are moved."""
    monkeypatch.setattr(parts, "PIECE", 200)
    monkeypatch.setattr(plain, "PIECE", 200)


# ---- saving ----


@pytest.mark.parametrize("packing", PACKINGS, ids=lambda p: p.get("compression", str(bool(p))))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_saved_file_holds_the_whole_arrays(comm, tmp_path, monkeypatch, dtype, packing):
    if dtype == ">i4":
        in_rounds(monkeypatch)
    arrays = {}
    for shape in SHAPES:
        for axis in range(len(shape)):
            arrays[f"{shape}-{axis}"] = (numbered(shape, dtype), axis, packing)
    group = tree(comm, **arrays)
    group.to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        for name, (whole, *_rest) in arrays.items():
            same(f[name][()], whole)
            assert f[name].compression == packing.get("compression")
            assert (f[name].chunks is not None) == bool(packing)


@pytest.mark.parametrize("axis", [0, 1])
def test_bitshuffle(comm, tmp_path, monkeypatch, axis):
    pytest.importorskip("hdf5plugin")
    monkeypatch.setattr(parts, "PIECE", 1000)
    whole = numbered((33, 70), "f4")
    settings = {"chunks": (8, 16), "compression": "bitshuffle", "compression_opts": (None, "lz4")}
    tree(comm, x=(whole, axis, settings)).to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole)
        assert f["x"].id.get_create_plist().get_filter(0)[0] == 32008
    loaded = MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm)
    check(loaded["x"].data, whole, axis, comm)
    assert loaded["x"].compression == "bitshuffle"


def test_one_chunk_over_all_ranks(comm, tmp_path):
    whole = numbered((50, 3), "i4")
    packing = {"chunks": (50, 3), "compression": "gzip"}
    tree(comm, x=(whole, 0, packing)).to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole)


def test_compression_without_chunks(comm, tmp_path):
    whole = numbered((50, 3), "i4")
    tree(comm, x=(whole, 1, {"compression": "gzip"})).to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole)
        assert f["x"].compression == "gzip"


@pytest.mark.parametrize("axis", [0, 1])
def test_columns_in_long_runs(comm, tmp_path, monkeypatch, axis):
    monkeypatch.setattr(plain, "RUN", 1)
    whole = numbered((6, 50, 3), ">f4")
    tree(comm, x=(whole, axis)).to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole)
    check(MPIArray.from_hdf5(tmp_path / "f.h5", "x", comm, axis), whole, axis, comm)


def test_arrays_of_any_layout_in_memory(comm, tmp_path):
    whole = numbered((12, 9, 4))
    turned = distribute(whole, 1, comm).transpose(2, 1, 0)
    group = MemGroup(distributed=True, comm=comm)
    group.create_dataset("x", data=turned)
    group.create_dataset("y", data=turned, chunks=(3, 3, 3))
    group.to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole.T)
        same(f["y"][()], whole.T)


@pytest.mark.parametrize("shape", [(1 << 17, 2, 2), (64, 4096, 2)], ids=["runs", "whole rows"])
def test_saving_copies_a_piece_at_a_time_and_each_byte_once(comm, tmp_path, monkeypatch, shape):
    """The distributed axis is the first in memory and the last in the file."""
    monkeypatch.setattr(plain, "PIECE", 1 << 16)
    monkeypatch.setattr(movers, "PIECE", 1 << 16)
    moved = []
    pwrite = os.pwrite

    def counted(descriptor, data, offset):
        moved.append(len(data))
        return pwrite(descriptor, data, offset)

    whole = numbered(shape, "f8")
    turned = distribute(whole, 0, comm).transpose(2, 1, 0)
    group = MemGroup(distributed=True, comm=comm)
    group.create_dataset("x", data=turned)
    group.to_hdf5(tmp_path / "f.h5")
    monkeypatch.setattr(os, "pwrite", counted)
    tracemalloc.start()
    try:
        group.to_hdf5(tmp_path / "f.h5")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole.T)
    total = sum(n for n in moved if n > 4096)
    assert (total if comm is None else comm.allreduce(total)) == whole.nbytes
    assert max(moved, default=0) <= 1 << 16
    part = whole.nbytes // (1 if comm is None else comm.size)
    if (1 << 20) <= part < whole.nbytes:  # smaller ones are lost in what any save takes
        assert peak < part // 2 + (1 << 18)


def test_unicode_needs_the_conversion(comm, tmp_path):
    whole = np.array([f"n{i}" for i in range(11)])
    group = tree(comm, x=(whole, 0))
    with pytest.raises(TypeError, match="/x"):
        group.to_hdf5(tmp_path / "f.h5")
    group.to_hdf5(tmp_path / "f.h5", convert_dataset_strings=True)
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole.astype("S3"))
    loaded = MemGroup.from_hdf5(
        tmp_path / "f.h5", distributed=True, comm=comm, convert_dataset_strings=True
    )
    check(loaded["x"].data, whole, 0, comm)


def test_variable_length_strings(comm, tmp_path):
    whole = np.empty(13, object)
    whole[:] = [f"text {i}" * i for i in range(13)]
    group = tree(comm, x=(whole, 0))
    group.to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        assert f["x"].asstr()[()].tolist() == whole.tolist()
    loaded = MemGroup.from_hdf5(
        tmp_path / "f.h5", distributed=True, comm=comm, convert_dataset_strings=True
    )
    assert loaded["x"].local_data.tolist() == part(whole, 0, comm).tolist()


def test_hints_say_what_is_distributed(comm, tmp_path):
    group = tree(comm, **{"a/x": (numbered((4, 5)), 1)})
    group.create_dataset("a/y", data=[1, 2])
    group["a/x"].attrs["unit"] = "K"
    group.to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        assert f.attrs["__memh5_distributed_file"]
        assert dict(f["a/x"].attrs) == {
            "unit": "K",
            "__memh5_distributed_dset": True,
            "__memh5_distributed_axis": 1,
        }
        assert dict(f["a/y"].attrs) == {"__memh5_distributed_dset": False}
    assert dict(group["a/x"].attrs) == {"unit": "K"}


def test_no_hints_where_none_are_wanted(comm, tmp_path):
    group = tree(comm, x=(numbered((4, 5)), 1))
    group["x"].attrs["__memh5_distributed_axis"] = 0
    group.to_hdf5(tmp_path / "f.h5", hints=False)
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        assert not f.attrs
        assert not f["x"].attrs


def test_saving_into_an_old_file_keeps_what_it_holds(comm, tmp_path):
    written(tmp_path / "f.h5", comm, old=(np.arange(5), None))
    whole = numbered((9, 2))
    tree(comm, x=(whole, 0)).to_hdf5(tmp_path / "f.h5", mode="a", durable=True)
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["old"][()], np.arange(5))
        same(f["x"][()], whole)
    assert os.listdir(tmp_path) == ["f.h5"]


def test_a_tree_that_is_not_distributed_is_saved_by_the_rank_that_calls(comm, tmp_path):
    if comm is None or comm.rank == comm.size - 1:
        group = MemGroup(comm=comm)
        group.create_dataset("x", data=[1, 2, 3])
        group.to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], np.array([1, 2, 3]))
        assert not f.attrs


def test_a_subgroup_of_a_distributed_tree(comm, tmp_path):
    whole = numbered((7, 2))
    tree(comm, **{"a/x": (whole, 0)})["a"].to_hdf5(tmp_path / "f.h5")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], whole)


def test_two_names_of_one_distributed_dataset(comm, tmp_path):
    written(tmp_path / "f.h5", comm, x=(numbered((7, 2)), 0))
    if comm is None or comm.rank == 0:
        with h5py.File(tmp_path / "f.h5", "a") as f:
            f["y"] = f["x"]
    wait(comm)
    loaded = MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm)
    check(loaded["y"].data, numbered((7, 2)), 0, comm)
    loaded.to_hdf5(tmp_path / "g.h5")
    wait(comm)
    with h5py.File(tmp_path / "g.h5") as f:
        assert f["x"] == f["y"]
        same(f["y"][()], numbered((7, 2)))


def test_parts_of_a_communicator_of_its_own(any_comm, tmp_path):
    rank = 0 if any_comm is None else any_comm.rank
    world = memdata.mpitools.world
    color = 0 if any_comm is None or any_comm.size == world.size else world.rank % 2
    path = tmp_path / f"{color}.h5"
    whole = numbered((11, 3), first=color)
    group = tree(any_comm, x=(whole, 0, {"chunks": (2, 2)}), y=(whole, 1))
    group.to_hdf5(path)
    loaded = MemGroup.from_hdf5(path, distributed=True, comm=any_comm)
    check(loaded["x"].data, whole, 0, any_comm)
    check(loaded["y"].data, whole, 1, any_comm)
    assert rank == 0 or loaded.comm == any_comm


# ---- loading ----


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_file_comes_back_cut(comm, tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(plain, "PIECE", 20_000)
    arrays = {}
    for shape in [*SHAPES, (400, 150)]:
        for axis in range(len(shape)):
            arrays[f"{shape}-{axis}"] = (numbered(shape, dtype), axis)
            if 0 not in shape:
                packing = {"chunks": True, "compression": "gzip"}
                arrays[f"{shape}-{axis}-packed"] = (numbered(shape, dtype), axis, packing)
    written(tmp_path / "f.h5", comm, **arrays)
    loaded = MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm)
    with h5py.File(tmp_path / "f.h5") as f:
        for name, (whole, axis, *_packing) in arrays.items():
            check(loaded[name].data, whole, axis, comm)
            assert loaded[name].chunks == f[name].chunks
            assert loaded[name].compression == f[name].compression


def test_common_datasets_come_to_all_ranks(comm, tmp_path):
    texts = np.array([f"text {i}" for i in range(9000)], dtype=h5py.string_dtype())
    written(
        tmp_path / "f.h5",
        comm,
        small=(np.arange(5), None),
        large=(numbered((100, 400), ">f8"), None),
        texts=(texts, None),
        scalar=(3.5, None),
    )
    loaded = MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm)
    assert not any(loaded[name].distributed for name in loaded)
    same(loaded["small"][:], np.arange(5))
    same(loaded["large"][:], numbered((100, 400), ">f8"))
    assert [item.decode() for item in loaded["texts"][:]] == texts.tolist()
    assert loaded["scalar"][()] == 3.5


def test_hints_of_the_caller_override_the_file(comm, tmp_path):
    whole = numbered((8, 9))
    written(tmp_path / "f.h5", comm, a=(whole, 0), b=(whole, None), c=(whole, 0), d=(whole, 0))
    hints = {
        "a": {"distributed": False},
        "/b": {"distributed": True, "axis": -1},
        "c": {"distributed": True, "axis": 1},
    }
    loaded = MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm, hints=hints)
    assert loaded["a"].common
    check(loaded["b"].data, whole, 1, comm)
    check(loaded["c"].data, whole, 1, comm)
    check(loaded["d"].data, whole, 0, comm)


def test_without_hints_all_is_common(comm, tmp_path):
    written(tmp_path / "f.h5", comm, a=(numbered((8, 9)), 0))
    loaded = MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm, hints=False)
    assert loaded["a"].common
    same(loaded["a"][:], numbered((8, 9)))


@pytest.mark.parametrize(
    "hints",
    [
        {"nothing": {"distributed": True, "axis": 0}},
        {"a": {"distributed": True, "axis": 2}},
        {"a": {"distributed": True, "axis": "x"}},
        {"a": 3},
    ],
    ids=str,
)
def test_hints_that_do_not_fit(comm, tmp_path, hints):
    written(tmp_path / "f.h5", comm, a=(numbered((8, 9)), 0))
    with pytest.raises(ValueError, match=next(iter(hints))):
        MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm, hints=hints)


@pytest.fixture(scope="module")
def selectable(comm, tmp_path_factory):
    folder = tmp_path_factory.mktemp("selectable")
    folder = folder if comm is None else comm.bcast(folder)
    return written(
        folder / "f.h5",
        comm,
        plain=(numbered((60, 20, 30)), None),
        packed=(numbered((60, 20, 30)), None, {"chunks": (7, 6, 30), "compression": "lzf"}),
        small=(numbered((6, 5, 4)), None),
    )


def indices(length):
    position = st.integers(-length, length - 1)
    bound = st.none() | st.integers(-length - 2, length + 2)
    steps = st.sampled_from([None, 1, 2, 5, -1, -3])
    return st.one_of(
        st.builds(slice, bound, bound, steps), st.lists(position, max_size=6), st.just(slice(None))
    )


@pytest.mark.parametrize("name", ["plain", "packed", "small"])
@settings(max_examples=25)
@given(data=st.data())
def test_a_selection_comes_before_the_cut(comm, selectable, name, data):
    shape = (6, 5, 4) if name == "small" else (60, 20, 30)
    whole = numbered(shape)
    axis = data.draw(st.integers(0, 2))
    index = [slice(None)] * 3
    index[axis] = data.draw(indices(shape[axis]))
    other = data.draw(st.integers(0, 2))
    if other != axis:
        index[other] = data.draw(indices(shape[other]) | st.integers(0, shape[other] - 1))
    if sum(isinstance(one, list | int) for one in index) > 1 and any(
        isinstance(one, list) for one in index
    ):
        index[other] = slice(None)  # several lists: see the next test
    index = tuple(index)
    expected = whole[tuple(np.array(i, int) if isinstance(i, list) else i for i in index)]
    cut_axis = axis - sum(isinstance(one, int) for one in index[:axis])
    array = MPIArray.from_hdf5(selectable, name, comm, axis, sel=index)
    check(array, expected, cut_axis, comm)


@pytest.mark.parametrize(
    "index", [([3, 1, 50], [2, 2, 9]), ([5, 6], slice(None), 3), (slice(2, 9), [4], [1, 2, 3])]
)
@pytest.mark.parametrize("name", ["plain", "packed"])
def test_several_lists_select_point_by_point(comm, selectable, name, index):
    expected = numbered((60, 20, 30))[index]
    array = MPIArray.from_hdf5(selectable, name, comm, 0, sel=index)
    check(array, expected, 0, comm)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", ["plain", "packed", "small"])
def test_a_mask_over_several_axes_selects_points(comm, selectable, name, axis):
    whole = numbered((6, 5, 4) if name == "small" else (60, 20, 30))
    for first, count in ((0, 2), (1, 2), (0, 3)):
        mask = whole[(0,) * first + (...,) + (0,) * (3 - first - count)] % 3 == 1
        index = (slice(None),) * first + (mask,)
        expected = whole[index]
        cut = first if first <= axis < first + count else max(0, axis - count + 1)
        cut = axis if axis < first else cut
        array = MPIArray.from_hdf5(selectable, name, comm, axis, sel=index)
        check(array, expected, cut, comm)


def test_an_index_of_several_axes_cannot_be_cut(comm, selectable):
    with pytest.raises(ValueError, match=r"(?s)/plain.*cannot be distributed"):
        MPIArray.from_hdf5(selectable, "plain", comm, 0, sel=np.array([[1, 2], [3, 4]]))


def test_a_selection_that_takes_the_axis_away(comm, selectable):
    loaded = MemGroup.from_hdf5(
        selectable,
        distributed=True,
        comm=comm,
        hints={"plain": {"axis": 0}},
        selections={"plain": (4,)},
    )
    assert loaded["plain"].common
    same(loaded["plain"][:], numbered((60, 20, 30))[4])
    with pytest.raises(AxisException, match="/plain"):
        MPIArray.from_hdf5(selectable, "plain", comm, 0, sel=(4,))


def test_an_open_group(comm, tmp_path):
    written(tmp_path / "f.h5", comm, **{"g/x": (numbered((50, 9)), 0), "g/y": (np.arange(4), None)})
    with h5py.File(tmp_path / "f.h5") as f:
        group = MemGroup(distributed=True, comm=comm)
        transfer.load_group(group._get_storage(), f["g"], distributed=True, comm=comm)
        check(group["x"].data, numbered((50, 9)), 0, comm)
        same(group["y"][:], np.arange(4))
        array = MPIArray.from_hdf5(f["g"], "x", comm, 1, sel=(slice(None, None, 7),))
        check(array, numbered((50, 9))[::7], 1, comm)


def test_only_some_ranks_can_open_the_file(comm, tmp_path, monkeypatch):
    if comm is None or comm.size == 1:
        pytest.skip("one rank")
    written(tmp_path / "f.h5", comm, x=(numbered((700, 90)), 0, {"chunks": (7, 9)}))
    if comm.rank == 0:
        (tmp_path / "elsewhere").mkdir()
    wait(comm)
    monkeypatch.chdir(tmp_path / ("elsewhere" if comm.rank == 1 else ""))
    with pytest.raises(FileNotFoundError, match="rank 1"):
        MemGroup.from_hdf5("f.h5", distributed=True, comm=comm)


# ---- single arrays ----


@pytest.mark.parametrize("packing", PACKINGS[:3], ids=["plain", "chunks", "gzip"])
def test_an_array_into_a_file(comm, tmp_path, packing):
    whole, other = numbered((11, 6)), numbered((11, 6), first=500)
    if packing:
        packing = {**packing, "chunks": (4, 4)}
    distribute(whole, 0, comm).to_hdf5(tmp_path / "f.h5", "g/x", create=True, **packing)
    distribute(whole, 1, comm).to_hdf5(tmp_path / "f.h5", "g/y", **packing)
    distribute(other, 1, comm).to_hdf5(tmp_path / "f.h5", "g/x")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["g/x"][()], other)
        same(f["g/y"][()], whole)
        assert f["g/x"].compression == packing.get("compression")


@pytest.mark.parametrize(
    "other", [numbered((11, 7)), numbered((11, 6), "f4")], ids=["shape", "type"]
)
def test_a_dataset_of_another_shape_or_type_is_there(comm, tmp_path, other):
    distribute(numbered((11, 6)), 0, comm).to_hdf5(tmp_path / "f.h5", "x", create=True)
    with pytest.raises(RuntimeError, match="/x"):
        distribute(other, 0, comm).to_hdf5(tmp_path / "f.h5", "x")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["x"][()], numbered((11, 6)))


def test_an_array_into_no_file(comm, tmp_path):
    with pytest.raises(FileNotFoundError):
        distribute(numbered((11, 6)), 0, comm).to_hdf5(tmp_path / "f.h5", "x")


def test_an_array_into_an_open_group(comm, tmp_path):
    whole = numbered((11, 6))
    first = comm is None or comm.rank == 0
    with h5py.File(tmp_path / ("f.h5" if first else f"{comm.rank}.h5"), "w") as f:
        distribute(whole, 1, comm).to_hdf5(f.create_group("g"), "a/x")
    wait(comm)
    with h5py.File(tmp_path / "f.h5") as f:
        same(f["g/a/x"][()], whole)


@pytest.mark.parametrize("dataset", ["nothing", "g"])
def test_an_array_from_what_is_no_dataset(comm, tmp_path, dataset):
    written(tmp_path / "f.h5", comm, **{"g/x": (np.arange(4), None)})
    with pytest.raises(KeyError, match=f"/{dataset}"):
        MPIArray.from_hdf5(tmp_path / "f.h5", dataset, comm)
    with pytest.raises(AxisException, match="/g/x"):
        MPIArray.from_hdf5(tmp_path / "f.h5", "g/x", comm, axis=1)


# ---- copies into open files ----


def test_copying_to_disk_leaves_distributed_datasets_to_the_caller(comm, tmp_path):
    group = tree(comm, x=(numbered((7, 2)), 0))
    rank = 0 if comm is None else comm.rank
    with h5py.File(tmp_path / f"{rank}.h5", "w") as f:
        with pytest.raises(ValueError, match="/x"):
            memdata.deep_group_copy(group, f)
        assert memdata.deep_group_copy(group, f, skip_distributed=True) == ["/x"]
        assert f["x"].shape == (7, 2)


# ---- zarr ----


def test_zarr_there_and_back(comm, tmp_path):
    pytest.importorskip("zarr")
    whole = numbered((11, 6))
    group = tree(comm, x=(whole, 0, {"chunks": (3, 3)}), y=(whole, 1))
    group.create_dataset("z", data=[1, 2])
    group.to_file(tmp_path / "f.zarr")
    wait(comm)
    loaded = MemGroup.from_file(tmp_path / "f.zarr", distributed=True, comm=comm)
    check(loaded["x"].data, whole, 0, comm)
    check(loaded["y"].data, whole, 1, comm)
    same(loaded["z"][:], np.array([1, 2]))


# ---- text of NumPy ----


@pytest.mark.parametrize("name", ["f.h5", "f.zarr"])
@pytest.mark.parametrize("missing", [False, None, "gone"], ids=repr)
@pytest.mark.parametrize("packing", PACKINGS[:2], ids=["plain", "chunked"])
def test_distributed_text_comes_back(comm, tmp_path, name, missing, packing):
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    options = {} if missing is False else {"na_object": missing}
    words = ["a", "gr\u00fcn", "", "<NA", "x" * 40, missing or "b", "z"] * 3
    whole = np.array(words, np.dtypes.StringDType(**options))
    tree(comm, x=(whole, 0, packing)).to_file(tmp_path / name)
    found = MemGroup.from_file(tmp_path / name)["x"]
    assert found.dtype == whole.dtype
    assert found[:].tolist() == whole.tolist()
    again = MemGroup.from_file(tmp_path / name, distributed=True, comm=comm)["x"]
    assert again.local_data.tolist() == part(whole, 0, comm).tolist()


@pytest.mark.parametrize("name", ["f.h5", "f.zarr"])
def test_distributed_text_that_stands_for_missing_values_is_refused(comm, tmp_path, name):
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    if comm is None or comm.size == 1:
        pytest.skip("one process knows all texts")
    whole = np.array(["a", None, "b", "<NA>"], np.dtypes.StringDType(na_object=None))
    with pytest.raises(TypeError, match="/x: an element is the text '<NA>'"):
        tree(comm, x=(whole, 0)).to_file(tmp_path / name)
    wait(comm)
    assert os.listdir(tmp_path) == []


# ---- checksums ----


@pytest.mark.parametrize("name", ["x.h5", "x.zarr"])
def test_every_rank_adds_up_its_share(comm, tmp_path, name):
    whole = numbered((40, 9), "f8")
    group = tree(comm, plain=(whole, 0), across=(whole, 1, {"chunks": (4, 4)}))
    group.to_file(tmp_path / name, checksum=True)
    found = memdata.verify(tmp_path / name)
    assert (found.ok, found.checked) == (True, 2)
