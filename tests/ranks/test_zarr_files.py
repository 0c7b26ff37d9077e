"""Loading and saving zarr stores by several ranks; zarr in one process is the oracle."""

from __future__ import annotations

import os
from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from whole import check, distribute, numbered, same

import memdata
from memdata import MemDiskGroup, MemGroup, fileformats
from memdata.mpiarray import AxisException, MPIArray
from memdata.ranks.collective import CollectiveError
from memdata.transfer import parts

zarr = pytest.importorskip("zarr")

MAJOR = int(zarr.__version__.partition(".")[0])
FORMATS = [2] if MAJOR < 3 else [2, 3]
SHAPES = [(3,), (0,), (20, 6), (5, 0), (2, 15, 7)]


@pytest.fixture(params=FORMATS)
def zarr_format(request):
    return request.param


def wait(comm):
    if comm is not None:
        comm.Barrier()


def tree(comm, **arrays):
    group = MemGroup(distributed=True, comm=comm)
    for name, (whole, axis, *packing) in arrays.items():
        group.create_dataset(name, data=distribute(whole, axis, comm), **dict(*packing))
    return group


def is_first(comm):
    return comm is None or comm.rank == 0


@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
@pytest.mark.parametrize("dtype", ["f8", ">i4", "S3", np.dtype([("a", "i2"), ("b", "M8[s]")])])
def test_a_saved_store_holds_the_whole_arrays(
    comm, tmp_path, monkeypatch, zarr_format, dtype, suffix
):
    monkeypatch.setattr(parts, "PIECE", 200)  # many rounds, as for large data
    arrays = {}
    for shape in SHAPES:
        for axis in range(len(shape)):
            packing = {"chunks": tuple(max(1, min(n, 4)) for n in shape)}
            if axis == 0 and dtype == "f8":
                packing.update(compression="gzip", compression_opts=1)
            arrays[f"{shape}-{axis}"] = (numbered(shape, dtype), axis, packing)
    group = tree(comm, **arrays)
    group.create_dataset("common", data=[1, 2])
    name = tmp_path / f"f{suffix}"
    group.to_file(name, zarr_format=zarr_format)
    wait(comm)
    alone = MemGroup.from_file(name)
    loaded = MemGroup.from_file(name, distributed=True, comm=comm)
    for path, (whole, axis, packing) in arrays.items():
        same(alone[path][:], whole)
        check(loaded[path].data, whole, axis, comm)
        if 0 not in whole.shape:
            assert loaded[path].chunks == packing["chunks"]
    same(loaded["common"][:], np.array([1, 2]))
    wait(comm)
    assert os.listdir(tmp_path) == [name.name]


def test_every_chunk_is_written_once_by_one_rank(comm, tmp_path, monkeypatch, zarr_format):
    from memdata.formats import zarr_write

    written = []
    write_block = zarr_write.ZarrTarget.write_block

    def noting(self, node, index, part):
        original = index
        if index:
            index = (*index, *map(slice, [0] * (2 - len(index)), node.shape[len(index) :]))
            pairs = list(zip(index, self.grid(node), strict=True))
            steps = [range(one.start // size, -(-one.stop // size)) for one, size in pairs]
            assert all(one.start % size == 0 for one, size in pairs)
            written.extend((node.path, row, column) for row in steps[0] for column in steps[1])
        write_block(self, node, original, part)

    monkeypatch.setattr(zarr_write.ZarrTarget, "write_block", noting)
    monkeypatch.setattr(parts, "PIECE", 300)
    whole = numbered((23, 17), "f8")
    group = tree(comm, x=(whole, 0, {"chunks": (5, 4)}), y=(whole, 1, {"chunks": (5, 4)}))
    group.to_file(tmp_path / "f.zarr", zarr_format=zarr_format)
    everything = written if comm is None else list(chain(*comm.allgather(written)))
    counted = Counter(everything)
    assert set(counted.values()) == {1}
    assert len(counted) == 2 * 5 * 5


def test_the_same_files_whoever_wrote_them(comm, tmp_path, zarr_format):
    def content(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }

    whole = numbered((23, 17), "f8")
    group = tree(comm, x=(whole, 0, {"chunks": (5, 4)}), y=(whole, 1))
    group.to_file(tmp_path / "together.zarr", zarr_format=zarr_format)
    wait(comm)
    if is_first(comm):
        from mpi4py import MPI

        alone = tree(MPI.COMM_SELF, x=(whole, 0, {"chunks": (5, 4)}), y=(whole, 1))
        alone.to_file(tmp_path / "alone.zarr", zarr_format=zarr_format)
        assert content(tmp_path / "together.zarr") == content(tmp_path / "alone.zarr")
    wait(comm)


@pytest.mark.skipif(MAJOR < 3, reason="zarr 2 has no shards")
def test_whole_shards_are_written(comm, tmp_path):
    name = str(tmp_path / "f.zarr")
    whole = numbered((40, 12), "f4")
    if is_first(comm):
        group = zarr.open_group(name, mode="w", zarr_format=3)
        group.create_array("x", shape=(40, 12), dtype="f4", chunks=(2, 3), shards=(8, 6))
    wait(comm)
    distribute(whole, 0, comm).to_file(name, "x", file_format=fileformats.Zarr)
    wait(comm)
    array = zarr.open_group(name, mode="r")["x"]
    assert array.shards == (8, 6)
    same(array[:], whole)


def test_single_arrays(comm, tmp_path, zarr_format):
    whole = numbered((11, 6), "f8")
    name = tmp_path / "f.zarr"
    array = distribute(whole, 1, comm)
    array.to_zarr(name, "g/x", create=True, chunks=(4, 4), compression="gzip")
    wait(comm)
    check(MPIArray.from_file(name, "g/x", comm, 0, file_format=fileformats.Zarr), whole, 0, comm)
    sel = (slice(1, 9, 2), [0, 3, 5])
    loaded = MPIArray.from_file(name, "g/x", comm, 1, sel, file_format=fileformats.Zarr)
    check(loaded, whole[1:9:2][:, [0, 3, 5]], 1, comm)
    with pytest.raises(AxisException, match="/g/x"):
        MPIArray.from_file(name, "g/x", comm, 2, file_format=fileformats.Zarr)


def test_containers(comm, tmp_path, zarr_format):
    whole = numbered((11, 6), "f8")
    container = MemDiskGroup(distributed=True, comm=comm)
    container.create_dataset("x", data=distribute(whole, 0, comm))
    container.save(tmp_path / "f.zarr", file_format=fileformats.Zarr, zarr_format=zarr_format)
    wait(comm)
    loaded = MemDiskGroup.from_file(tmp_path / "f.zarr", distributed=True, comm=comm)
    check(loaded["x"].data, whole, 0, comm)
    loaded = MemDiskGroup.from_file(tmp_path / "f.zarr")
    same(loaded["x"][:], whole)


def test_empty_copies(comm, tmp_path, zarr_format):
    options = {"zarr_format": zarr_format} if MAJOR >= 3 else {}
    group = tree(comm, x=(numbered((7, 2)), 0))
    rank = 0 if comm is None else comm.rank
    target = zarr.open_group(str(tmp_path / f"{rank}.zarr"), mode="w", **options)
    with pytest.raises(ValueError, match="/x"):
        memdata.deep_group_copy(group, target)
    assert memdata.deep_group_copy(group, target, skip_distributed=True) == ["/x"]
    assert target["x"].shape == (7, 2)
    assert not target["x"][:].any()


def test_a_rank_that_cannot_write_its_chunks(comm, tmp_path, monkeypatch, zarr_format):
    from memdata.formats import zarr_write

    name = tmp_path / "f.zarr"
    tree(comm, x=(numbered((8, 3)), 0)).to_file(name, zarr_format=zarr_format)
    wait(comm)
    last = 0 if comm is None else comm.size - 1
    if comm is None or comm.rank == last:

        def fail(*args):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(zarr_write.ZarrTarget, "write_block", fail)
    with pytest.raises(OSError, match="No space left"):
        tree(comm, x=(numbered((9, 3)), 0, {"chunks": (1, 3)})).to_file(
            name, zarr_format=zarr_format
        )
    wait(comm)
    monkeypatch.undo()
    same(MemGroup.from_file(name)["x"][:], numbered((8, 3)))
    assert os.listdir(tmp_path) == ["f.zarr"]


def test_ranks_that_disagree(comm, tmp_path):
    if comm is None or comm.size == 1:
        pytest.skip("one rank agrees with itself")
    group = tree(comm, x=(numbered((8, 3)), 0))
    group.attrs["a"] = 1
    group.create_dataset(f"rank{comm.rank}", data=[1])
    with pytest.raises(CollectiveError):
        group.to_file(tmp_path / "f.zarr")
    wait(comm)
    assert os.listdir(tmp_path) == []


def test_a_name_that_no_folder_holds(comm, tmp_path):
    group = tree(comm, **{"x" * 300: (numbered((8, 3)), 0)})
    with pytest.raises(ValueError, match="300 bytes"):
        group.to_file(tmp_path / "f.zarr")
    wait(comm)
    assert os.listdir(tmp_path) == []
