"""The two movers of distributed data: which one is asked for, and that both do the same.

Where h5py knows MPI (`make test-parallel-hdf5`) all of it runs; elsewhere what is said without it.
"""

from __future__ import annotations

import functools
import os
import resource

import h5py
import numpy as np
import pytest
from whole import check, distribute, numbered, same

from memdata import MemDiskGroup, MemGroup
from memdata.mpiarray import MPIArray
from memdata.ranks.collective import CollectiveError
from memdata.transfer import mpio

parallel = pytest.mark.skipif(not h5py.get_config().mpi, reason="h5py was built without MPI")

DTYPES = ["f8", ">i4", "?", "S5", np.dtype([("a", "i2"), ("b", ">f8")])]
PACKINGS = [{}, {"chunks": (7, 50, 9)}, {"chunks": (7, 50, 9), "compression": "gzip"}]


@pytest.fixture(autouse=True)
def _no_choice_of_the_environment(monkeypatch):
    monkeypatch.delenv("MEMDATA_MOVER", raising=False)


@pytest.fixture
def calls(monkeypatch):
    """Counts the datasets that are moved through parallel HDF5."""
    counted = []
    for name in ("read", "read_rows", "write", "write_rows"):
        function = getattr(mpio.ParallelFile, name)

        def call(*args, function=function):
            counted.append(function.__name__)
            return function(*args)

        monkeypatch.setattr(mpio.ParallelFile, name, call)
    return counted


def tree(comm, whole, axis, **packing):
    group = MemGroup(distributed=True, comm=comm)
    group.create_dataset("a/b", data=distribute(whole, axis, comm), **packing)
    group.create_dataset("common", data=np.arange(20_000.0))
    return group


def several(comm):
    return comm is not None and comm.size > 1


def wait(comm):
    if comm is not None:
        comm.Barrier()


def bytes_in_file(path):
    """The bytes of the dataset as they lie in the file, chunk by chunk where it has any."""
    with h5py.File(path) as f:
        dataset = f["a/b"].id
        if f["a/b"].chunks:
            chunks = [dataset.get_chunk_info(i) for i in range(dataset.get_num_chunks())]
            places = [chunk.chunk_offset for chunk in chunks]
            return {place: dataset.read_direct_chunk(place) for place in places}
        offset, size = dataset.get_offset(), dataset.get_storage_size()
    with path.open("rb") as f:
        f.seek(offset)
        return f.read(size)


# ---- both do the same ----


@parallel
@pytest.mark.parametrize("packing", PACKINGS, ids=["contiguous", "chunks", "gzip"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_both_movers_write_and_read_the_same(
    comm, tmp_path, monkeypatch, calls, dtype, axis, packing
):
    monkeypatch.setattr(mpio, "PIECE", 50_000)  # several rounds
    whole = numbered((20, 60, 70), dtype)
    group = tree(comm, whole, axis, **packing)
    for mover in mpio.MOVERS:
        group.to_hdf5(tmp_path / f"{mover}.h5", mover=mover)
    expected = int(several(comm) and "compression" not in packing)
    assert len(calls) == expected
    wait(comm)
    with h5py.File(tmp_path / "direct.h5") as f, h5py.File(tmp_path / "mpio.h5") as g:
        same(g["a/b"][...], whole)
        assert f["a/b"].dtype == g["a/b"].dtype
        assert f["a/b"].chunks == g["a/b"].chunks
        assert dict(f["a/b"].attrs) == dict(g["a/b"].attrs)
        same(g["common"][...], np.arange(20_000.0))
    assert bytes_in_file(tmp_path / "direct.h5") == bytes_in_file(tmp_path / "mpio.h5")
    for written in mpio.MOVERS:
        for mover in mpio.MOVERS:
            name = tmp_path / f"{written}.h5"
            back = MemGroup.from_hdf5(name, distributed=True, comm=comm, mover=mover)
            check(back["a/b"].data, whole, axis, comm)
            same(back["common"][...], np.arange(20_000.0))
    assert len(calls) == 3 * expected


@parallel
@pytest.mark.parametrize("shape", [(1, 90_000), (2, 50_000), (0, 5), (90_000, 1)])
@pytest.mark.parametrize("axis", [0, 1])
def test_ranks_without_a_part(comm, tmp_path, shape, axis):
    whole = numbered(shape)
    tree(comm, whole, axis).to_hdf5(tmp_path / "x.h5", mover="mpio")
    back = MemGroup.from_hdf5(tmp_path / "x.h5", distributed=True, comm=comm, mover="mpio")
    check(back["a/b"].data, whole, axis, comm)


@parallel
def test_parts_of_very_different_lengths(comm, tmp_path, monkeypatch):
    """Ranks that are done go on meeting those that are not."""
    monkeypatch.setattr(mpio, "PIECE", 8000)
    whole = numbered((50, 100))
    first = comm is None or comm.rank == 0
    edge = 0 if first else 47
    stop = 47 if first and several(comm) else 50
    if not first and comm.rank < comm.size - 1:
        edge = stop = 47
    part = MPIArray._from_local(whole[edge:stop].copy(), 0, comm, 50, edge)
    group = MemGroup(distributed=True, comm=comm)
    group.create_dataset("x", data=part)
    group.to_hdf5(tmp_path / "x.h5", mover="mpio")
    wait(comm)
    with h5py.File(tmp_path / "x.h5") as f:
        same(f["x"][...], whole)


@parallel
@pytest.mark.parametrize("axis", [0, 1])
def test_arrays_of_any_layout_in_memory(comm, tmp_path, monkeypatch, axis):
    monkeypatch.setattr(mpio, "PIECE", 10_000)
    whole = numbered((60, 70, 9))
    array = distribute(whole, axis, comm).transpose(2, 1, 0)
    array.to_hdf5(tmp_path / "x.h5", "x", create=True, mover="mpio")
    back = MPIArray.from_hdf5(tmp_path / "x.h5", "x", comm, 2 - axis, mover="mpio")
    check(back, whole.T, 2 - axis, comm)


@parallel
def test_a_dataset_that_is_there_is_replaced(comm, tmp_path, calls):
    old, new = numbered((40, 900)), numbered((40, 900), first=7)
    distribute(old, 0, comm).to_hdf5(tmp_path / "x.h5", "g/x", create=True)
    distribute(new, 1, comm).to_hdf5(tmp_path / "x.h5", "g/x", mover="mpio")
    wait(comm)
    assert len(calls) == int(several(comm))
    with h5py.File(tmp_path / "x.h5") as f:
        same(f["g/x"][...], new)


@parallel
def test_selections_are_read_as_ever(comm, tmp_path):
    whole = numbered((40, 900))
    distribute(whole, 0, comm).to_hdf5(tmp_path / "x.h5", "x", create=True, mover="mpio")
    part = MPIArray.from_hdf5(
        tmp_path / "x.h5", "x", comm, 0, sel=(slice(3, 30, 2), [1, 5]), mover="mpio"
    )
    check(part, whole[3:30:2][:, [1, 5]], 0, comm)


@parallel
def test_parts_of_a_communicator_of_its_own(any_comm, tmp_path):
    color = 0
    if any_comm is not None:
        from mpi4py import MPI

        color = int(any_comm != MPI.COMM_WORLD and MPI.COMM_WORLD.rank % 2)
    whole = numbered((40, 900), first=color)
    path = tmp_path / f"{color}.h5"
    distribute(whole, 1, any_comm).to_hdf5(path, "x", create=True, mover="mpio")
    check(MPIArray.from_hdf5(path, "x", any_comm, 0, mover="mpio"), whole, 0, any_comm)


@parallel
def test_chunks_that_may_grow_are_filled_as_ever(comm, tmp_path):
    """HDF5 must find fill values beyond the elements, where it looks when the dataset grows."""
    whole = numbered((50, 30))
    for mover in mpio.MOVERS:
        path = tmp_path / f"{mover}.h5"
        tree(comm, whole, 0, chunks=(7, 40)).to_hdf5(path, mover=mover)
        wait(comm)
        if not several(comm) or comm.rank == 0:
            with h5py.File(path, "r+") as f:
                assert f["a/b"].maxshape == (50, 30)
                assert f["a/b"].fillvalue == 0
    wait(comm)
    assert bytes_in_file(tmp_path / "direct.h5") == bytes_in_file(tmp_path / "mpio.h5")


# ---- files that the ranks have open already ----


@parallel
@pytest.mark.parametrize("packing", PACKINGS[:2], ids=["contiguous", "chunks"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_file_that_all_have_open(comm, tmp_path, monkeypatch, axis, packing):
    if comm is None:
        pytest.skip("no MPI here: nothing can be open in parallel")
    monkeypatch.setattr(mpio, "PIECE", 50_000)
    whole, other = numbered((20, 60, 70)), numbered((20, 60, 70), first=9)
    with h5py.File(tmp_path / "x.h5", "w", driver="mpio", comm=comm) as f:
        group = f.create_group("g")
        distribute(whole, axis, comm).to_hdf5(group, "a/b", **packing)
        check(MPIArray.from_hdf5(group, "a/b", comm, 1 - axis), whole, 1 - axis, comm)
        if not packing:
            distribute(other, 1 - axis, comm).to_hdf5(f, "/g/a/b", mover="mpio")
        distribute(whole[:0], 1, comm).to_hdf5(group, "empty")
    wait(comm)
    with h5py.File(tmp_path / "x.h5") as f:
        same(f["g/a/b"][...], whole if packing else other)
        assert f["g/a/b"].chunks == packing.get("chunks")
        assert f["g/empty"].shape == (0, 60, 70)


@parallel
def test_what_cannot_be_written_into_a_file_that_all_have_open(comm, tmp_path):
    if not several(comm):
        pytest.skip("one rank has a file for itself")
    texts = np.array(["a", "b", "c"], dtype=object)
    with h5py.File(tmp_path / "x.h5", "w", driver="mpio", comm=comm) as f:
        with pytest.raises(TypeError, match="give the file's name"):
            distribute(numbered((20, 60)), 0, comm).to_hdf5(f, "x", compression="gzip")
        with pytest.raises(TypeError, match="give the file's name"):
            distribute(texts, 0, comm).to_hdf5(f, "y")
        assert not f.keys()


# ---- more than MPI counts in one call ----


@parallel
@pytest.mark.parametrize("axis", [0, 1])
def test_no_call_moves_more_than_a_piece(comm, tmp_path, monkeypatch, axis):
    moved = []
    for name in ("read", "write"):
        function = getattr(mpio._Dataset, name)

        def call(dataset, starts, piece, function=function):
            moved.append(piece.nbytes)
            function(dataset, starts, piece)

        monkeypatch.setattr(mpio._Dataset, name, call)
    monkeypatch.setattr(mpio, "PIECE", 4096)
    whole = numbered((3, 40, 700))  # rows longer than a piece
    tree(comm, whole, axis).to_hdf5(tmp_path / "x.h5", mover="mpio")
    back = MemGroup.from_hdf5(tmp_path / "x.h5", distributed=True, comm=comm, mover="mpio")
    check(back["a/b"].data, whole, axis, comm)
    if several(comm):
        assert max(moved, default=0) <= 4096
        assert comm.allreduce(sum(moved)) == 2 * whole.nbytes


@parallel
def test_offsets_beyond_what_a_c_int_holds(comm, tmp_path):
    """A sparse file of 6 GiB, of which little is read: the ranks' parts begin beyond 2 GiB."""
    if not several(comm):
        pytest.skip("one rank moves nothing through MPI-IO")
    path = tmp_path / "x.h5"
    width = (6 << 30) // 12
    if comm.rank == 0:
        with h5py.File(path, "w") as f:
            dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            dcpl.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            dcpl.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            space = h5py.h5s.create_simple((12, width))
            h5py.h5d.create(f.id, b"x", h5py.h5t.STD_U8LE, space, dcpl)
            f["x"][-3:, -1000:] = numbered((3, 1000), "u1")
        assert path.stat().st_blocks < 1 << 20
    wait(comm)
    from memdata.formats.tree import DatasetNode, Part
    from memdata.progress import Progress
    from memdata.transfer.ranks import Ranks

    ranks, expected = Ranks(comm), numbered((3, 1000), "u1")
    node = DatasetNode("/x", "x", None, {}, (12, width), np.dtype("u1"))
    node.part = Part(0, 9, 12)
    bar = Progress("test", 0, False)
    with mpio.ParallelFile(str(path), "r+", ranks, bar) as file:
        dataset = mpio._Dataset(file._group, node)
        if comm.rank == comm.size - 1:
            piece = np.zeros((3, 1000), "u1")
            dataset.read((9, width - 1000), piece)
            same(piece, expected)
            dataset.write((9, width - 1000), piece + np.uint8(1))
    wait(comm)
    with h5py.File(path) as f:
        same(f["x"][-3:, -1000:], expected + np.uint8(1))


# ---- one rank fails ----


kept = []


def failing(function, comm):
    """`function`, which on the last rank fails after it has done its work."""

    def call(*args, **keywords):
        result = function(*args, **keywords)
        if comm.rank == comm.size - 1:
            kept.append(result)  # a file that is open on several ranks must not close on one
            raise OSError(28, "No space left on device")
        return result

    return call


@parallel
@pytest.mark.parametrize("step", ["write", "read", "__init__", "_open", "_close"])
def test_an_error_of_one_rank_is_everybodys_and_the_old_file_stays(
    comm, tmp_path, monkeypatch, step
):
    if not several(comm):
        pytest.skip("one rank has nobody to tell")
    path = tmp_path / "x.h5"
    group = tree(comm, numbered((20, 60, 70)), 1)
    group.to_hdf5(path)
    load = functools.partial(MemGroup.from_hdf5, distributed=True, comm=comm)
    wait(comm)
    before = path.read_bytes()
    wait(comm)
    with monkeypatch.context() as patch:
        where = {"_open": mpio, "_close": mpio.ParallelFile}.get(step, mpio._Dataset)
        patch.setattr(where, step, failing(getattr(where, step), comm))
        job = load if step == "read" else group.to_hdf5
        with pytest.raises(OSError, match=f"rank {comm.size - 1} of {comm.size}") as caught:
            job(path, mover="mpio")
    assert caught.value.errno == 28
    wait(comm)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["x.h5"]
    wait(comm)
    group.to_hdf5(path, mover="mpio")  # and nothing is stuck
    load(path, mover="mpio")
    for file in filter(None, [*mpio._half_open, *kept]):  # here all ranks can close it
        file.close()
    mpio._half_open.clear()
    kept.clear()


@parallel
def test_a_rank_that_may_not_write(comm, tmp_path, monkeypatch):
    """The disk refuses in the midst of a collective call: here a limit on the size of files."""
    if not several(comm):
        pytest.skip("one rank has nobody to tell")
    path = tmp_path / "x.h5"
    group = tree(comm, numbered((20, 60, 7000)), 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    write = mpio._Dataset.write

    def limited(*args):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            write(*args)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(mpio._Dataset, "write", limited)
    with pytest.raises(OSError, match="rank") as caught:
        group.to_hdf5(path, mover="mpio")
    assert len(set(comm.allgather(str(caught.value)))) == 1
    wait(comm)
    assert os.listdir(tmp_path) == []


# ---- which mover ----


@parallel
def test_the_environment_chooses(comm, tmp_path, monkeypatch, calls):
    monkeypatch.setenv("MEMDATA_MOVER", "mpio")
    group = tree(comm, numbered((20, 60, 70)), 0)
    group.to_hdf5(tmp_path / "x.h5")
    assert len(calls) == int(several(comm))
    group.to_hdf5(tmp_path / "x.h5", mover="direct")
    assert len(calls) == int(several(comm))


@parallel
def test_containers_hand_it_on(comm, tmp_path, calls):
    whole = numbered((20, 60, 70))
    container = MemDiskGroup(tree(comm, whole, 1))
    container.save(tmp_path / "x.h5", mover="mpio")
    back = MemDiskGroup.from_file(tmp_path / "x.h5", distributed=True, comm=comm, mover="mpio")
    check(back["a/b"].data, whole, 1, comm)
    assert bool(calls) == several(comm)
    assert {"read_rows", "write_rows"} >= set(calls)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_an_unknown_mover(comm, tmp_path, monkeypatch, by):
    keywords = {"mover": "rocket"} if by == "argument" else {}
    if by == "environment":
        monkeypatch.setenv("MEMDATA_MOVER", "rocket")
    path, array = tmp_path / "x.h5", distribute(numbered((3, 4)), 0, comm)
    said = r"direct, mpio, not 'rocket'"
    with pytest.raises(ValueError, match=said):
        tree(comm, numbered((3, 4)), 0).to_hdf5(path, **keywords)
    with pytest.raises(ValueError, match=said):
        MemGroup.from_hdf5(path, distributed=True, comm=comm, **keywords)
    with pytest.raises(ValueError, match=said):
        array.to_hdf5(path, "x", create=True, **keywords)
    with pytest.raises(ValueError, match=said):
        MPIArray.from_hdf5(path, "x", comm, **keywords)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(h5py.get_config().mpi, reason="this h5py has MPI")
@pytest.mark.parametrize("by", ["argument", "environment"])
def test_h5py_without_mpi(comm, tmp_path, monkeypatch, by):
    keywords = {"mover": "mpio"} if by == "argument" else {}
    if by == "environment":
        monkeypatch.setenv("MEMDATA_MOVER", "mpio")
        if not several(comm):
            pytest.skip("one rank moves nothing through MPI-IO")
    path = tmp_path / "x.h5"
    said = "HDF5_MPI=ON.* 'direct', which is the default"
    with pytest.raises(RuntimeError, match=said):
        tree(comm, numbered((3, 4)), 0).to_hdf5(path, **keywords)
    assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match=said):
        MemGroup.from_hdf5(path, distributed=True, comm=comm, **keywords)
    group = MemGroup()
    group.create_dataset("x", data=[1, 2])
    rank = 0 if comm is None else comm.rank
    if by == "environment":  # it says nothing to what one rank does alone
        group.to_hdf5(tmp_path / f"{rank}.h5")


def test_ranks_that_ask_for_different_movers(comm, tmp_path):
    if not several(comm):
        pytest.skip("one rank is always of one mind")
    mover = "direct" if comm.rank == 0 else None
    group = tree(comm, numbered((3, 4)), 0)
    group.to_hdf5(tmp_path / "x.h5", mover=mover)  # the same in other words
    with pytest.raises(ValueError, match="rank 1 of"):
        group.to_hdf5(tmp_path / "x.h5", mover=mover or "rocket")
    if h5py.get_config().mpi:
        with pytest.raises(CollectiveError, match="mover='mpio'"):
            group.to_hdf5(tmp_path / "x.h5", mover=mover or "mpio")


def test_what_mpio_is_not_for(comm, tmp_path):
    array = distribute(numbered((3, 4)), 0, comm)
    with pytest.raises(ValueError, match="mpio"):
        tree(comm, numbered((3, 4)), 0).to_file(tmp_path / "x.zarr", mover="mpio")
    rank = 0 if comm is None else comm.rank
    with h5py.File(tmp_path / f"{rank}.h5", "w") as f:
        with pytest.raises(ValueError, match="mpio"):
            array.to_hdf5(f, "x", mover="mpio")
        with pytest.raises(ValueError, match="mpio"):
            MPIArray.from_hdf5(f, "x", comm, mover="mpio")
