"""One rank fails at a step of a load or a save: all ranks raise, and nothing is left behind."""

from __future__ import annotations

import functools
import os

import h5py
import numpy as np
import pytest
from whole import distribute, numbered

from memdata import MemGroup, locking
from memdata.formats import hdf5_chunks, hdf5_read, hdf5_write, memory
from memdata.ranks.collective import CollectiveError
from memdata.transfer import load, mpio, parts, plain

#: Steps that every rank takes, and those that rank 0 takes for all: (where, name).
SAVING = [
    (memory.MemorySource, "plan"),
    (hdf5_write.HDF5Target, "prepare"),
    (hdf5_chunks, "pack"),
    (parts, "_write_all"),
]
SAVING_FIRST = [
    (hdf5_write.HDF5Target, "lay_out"),
    (hdf5_write.HDF5Target, "write_block"),
    (hdf5_write.HDF5Target, "finish"),
    (hdf5_chunks.ChunkPlacer, "place"),
    (hdf5_chunks.ChunkPlacer, "__enter__"),
    (locking.AtomicFile, "__enter__"),
    (locking.AtomicFile, "_commit"),
]
LOADING = [
    (memory.MemoryTarget, "prepare"),
    (memory.MemoryTarget, "lay_out"),
    (hdf5_read.HDF5Source, "stored"),
]
#: Steps of one mover: while it saves, while it loads.
MOVING = {
    "direct": (
        [(plain.DirectFile, "write"), (plain, "write_direct")],
        [(plain.DirectFile, "read"), (plain, "read_direct")],
    ),
    "mpio": (
        [(mpio.ParallelFile, name) for name in ("check", "write", "write_rows")],
        [(mpio.ParallelFile, name) for name in ("check", "read", "read_rows")],
    ),
}
MOVERS = mpio.MOVERS if h5py.get_config().mpi else mpio.MOVERS[:1]
LOADING_FIRST = [
    (hdf5_read.HDF5Source, "plan"),
    (load, "read_into"),
]


ERRORS = [OSError(5, "out of order"), KeyboardInterrupt(), MemoryError("too much"), ValueError("x")]


def failures(saving):
    """Every step on rank 0, and on the last rank where it takes the step; errors in turn."""
    found = []
    for mover in MOVERS:
        own = MOVING[mover][0 if saving else 1]
        steps = [*(SAVING if saving else LOADING), *own]
        places = [(mover, step, rank) for step in steps for rank in ("first", "last")]
        first_steps = SAVING_FIRST if saving else LOADING_FIRST
        places += [(mover, step, "first") for step in first_steps]
        found += [(*place, ERRORS[i % len(ERRORS)]) for i, place in enumerate(places)]
    return found


def named(value):
    if isinstance(value, tuple):
        return f"{value[0].__name__.rpartition('.')[2]}.{value[1]}"
    return value if isinstance(value, str) else type(value).__name__


def last(comm):
    return comm.size - 1


def break_step(monkeypatch, comm, step, rank, error):
    if comm.rank == rank:

        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(*step, fail)


@pytest.fixture(autouse=True)
def _several(comm):
    if comm is None or comm.size == 1:
        pytest.skip("one rank")


def distributed_tree(comm):
    texts = np.empty(50, object)
    texts[:] = [str(i) for i in range(50)]
    group = MemGroup(distributed=True, comm=comm)
    group.create_dataset("runs", data=distribute(numbered((40, 900)), 0, comm))
    group.create_dataset("columns", data=distribute(numbered((40, 900)), 1, comm))
    group.create_dataset("texts", data=distribute(texts, 0, comm))
    group.create_dataset(
        "packed",
        data=distribute(numbered((40, 900)), 0, comm),
        chunks=(7, 90),
        compression="gzip",
        compression_opts=1,
    )
    group.create_dataset("common", data=numbered((100, 200)))
    return group


@pytest.fixture
def old_file(comm, tmp_path):
    path = tmp_path / "f.h5"
    if comm.rank == 0:
        distributed = numbered((400, 90))
        with h5py.File(path, "w") as f:
            for name, axis in (("runs", 0), ("columns", 1), ("packed", 0)):
                packing = {"chunks": (7, 90), "compression": "lzf"} if name == "packed" else {}
                f.create_dataset(name, data=distributed, **packing)
                f[name].attrs["__memh5_distributed_dset"] = True
                f[name].attrs["__memh5_distributed_axis"] = axis
            f["common"] = distributed
    comm.Barrier()
    return path


def everybody_raised(comm, caught):
    """All ranks raised the same, naming the rank that failed."""
    said = comm.allgather((caught.type.__name__, str(caught.value)))
    assert len(set(said)) == 1, said
    return said[0]


@pytest.mark.parametrize(("mover", "step", "rank", "error"), failures(saving=True), ids=named)
def test_a_save_that_fails_on_one_rank(monkeypatch, comm, old_file, mover, step, rank, error):
    group = distributed_tree(comm)
    old = old_file.read_bytes()
    comm.Barrier()
    rank = 0 if rank == "first" else last(comm)
    with monkeypatch.context() as patch:
        break_step(patch, comm, step, rank, error)
        with pytest.raises(type(error)) as caught:
            group.to_hdf5(old_file, mover=mover)
    _type, text = everybody_raised(comm, caught)
    assert f"rank {rank} of {comm.size}" in text
    comm.Barrier()
    assert old_file.read_bytes() == old
    assert os.listdir(old_file.parent) == ["f.h5"]
    comm.Barrier()
    group.to_hdf5(old_file, mover=mover)  # and nothing is stuck


@pytest.mark.parametrize(("mover", "step", "rank", "error"), failures(saving=False), ids=named)
def test_a_load_that_fails_on_one_rank(monkeypatch, comm, old_file, mover, step, rank, error):
    load = functools.partial(MemGroup.from_hdf5, distributed=True, comm=comm, mover=mover)
    rank = 0 if rank == "first" else last(comm)
    with monkeypatch.context() as patch:
        break_step(patch, comm, step, rank, error)
        with pytest.raises(type(error)) as caught:
            load(old_file)
    _type, text = everybody_raised(comm, caught)
    assert f"rank {rank} of {comm.size}" in text
    loaded = load(old_file)  # and nothing is stuck
    assert set(loaded) == {"runs", "columns", "packed", "common"}


def test_ranks_that_save_different_trees(comm, old_file):
    old = old_file.read_bytes()
    group = distributed_tree(comm)
    if comm.rank == 1:
        group.create_dataset("more", data=[1])
    with pytest.raises(CollectiveError, match="/more") as caught:
        group.to_hdf5(old_file)
    everybody_raised(comm, caught)
    comm.Barrier()
    assert old_file.read_bytes() == old


def test_ranks_that_save_different_files(comm, tmp_path):
    group = distributed_tree(comm)
    with pytest.raises(CollectiveError, match=r"g\.h5"):
        group.to_hdf5(tmp_path / ("f.h5" if comm.rank else "g.h5"))
    comm.Barrier()
    assert os.listdir(tmp_path) == []


def test_ranks_that_load_different_selections(comm, old_file):
    with pytest.raises(CollectiveError, match="selections"):
        MemGroup.from_hdf5(
            old_file,
            distributed=True,
            comm=comm,
            selections={"runs": slice(3 if comm.rank else 4)},
        )


def test_a_missing_file(comm, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        MemGroup.from_hdf5(tmp_path / "f.h5", distributed=True, comm=comm)
    everybody_raised(comm, caught)


def test_a_file_that_is_there_already(comm, old_file):
    with pytest.raises(FileExistsError):
        distributed_tree(comm).to_hdf5(old_file, mode="x")


def test_a_freed_communicator(comm, tmp_path):
    other = comm.Dup()
    group = MemGroup(distributed=True, comm=other)
    group.create_dataset("x", data=distribute(numbered((4,)), 0, other))
    other.Free()
    with pytest.raises(ValueError, match="freed"):
        group.to_hdf5(tmp_path / "f.h5")
