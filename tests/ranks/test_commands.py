"""`memdata convert` and `cat` by several ranks: each moves its tiles; one rank is the oracle."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

import memdata
from memdata.cli import main
from memdata.transfer import parts, tiles

WIDE = (5, 60_001)


@pytest.fixture
def folder(comm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with files of all layouts, in which all ranks run commands."""
    monkeypatch.chdir(tmp_path)
    if comm is None or comm.rank == 0:
        rng = np.random.default_rng(1)
        for name in ("a.h5", "b.h5"):
            with h5py.File(name, "w") as file:
                for layout, kw in (
                    ("contiguous", {}),
                    ("rows", {"chunks": (1, 60_001), "compression": "gzip"}),
                    ("tall", {"chunks": (5, 4000), "shuffle": True, "compression": "lzf"}),
                    ("plain", {"chunks": (4, 7001)}),
                ):
                    made = file.create_dataset(layout, data=rng.random(WIDE, "f4"), **kw)
                    made.attrs["axis"] = ["freq", "time"]
                file["text"] = np.array(["word"] * 20_000, object)
                file["small"] = np.arange(3)
                file["again"] = file["rows"]
                file["soft"] = h5py.SoftLink("/tall")
                file["none"] = h5py.Empty("f4")
    if comm is not None:
        comm.Barrier()
    return tmp_path


def wait(comm):
    if comm is not None:
        comm.Barrier()


def run(comm, *words):
    """The exit code; the same on all ranks."""
    code = main([*words, "-q"])
    codes = [code] if comm is None else comm.allgather(code)
    assert len(set(codes)) == 1, codes
    return code


CONVERSIONS = [
    ("t.h5", []),
    ("t.h5", ["-c", "none", "--chunks", "none"]),
    ("t.h5", ["--chunks", "2,9000", "-c", "gzip:1"]),
    ("t.h5", ["--exclude", "text", "-s", "tall=::2,100:", "-s", "plain=[4,1,0]", "--checksum"]),
    ("t.zarr", ["--chunks", "5,999", "-c", "none", "--no-shuffle"]),
    ("t.zarr.zip", ["--chunks", "5,9000", "-c", "gzip:1"]),
]


@pytest.mark.parametrize(("target", "words"), CONVERSIONS, ids=str)
def test_convert_writes_what_one_rank_would(comm, folder, target, words, monkeypatch):
    if "zarr" in target:
        pytest.importorskip("zarr")
    monkeypatch.setenv("MEMDATA_MOVER", "direct")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_a, **_k: None)  # lzf is LZ4 in zarr
        assert run(comm, "convert", "a.h5", target, "--memory", "2M", *words) == 0
    if "-s" in words:
        if comm is None or comm.rank == 0:
            found, given = memdata.MemGroup.from_file(target), h5py.File("a.h5")
            assert np.array_equal(found["tall"], given["tall"][::2, 100:])
            assert np.array_equal(found["plain"], given["plain"][()][[4, 1, 0]])
            assert np.array_equal(found["rows"], given["rows"])
    else:
        assert not memdata.diff("a.h5", target)
    wait(comm)


def test_chunks_that_stay_are_copied_as_they_are(comm, folder, monkeypatch):
    def never(*_args):
        raise AssertionError("unpacked")

    monkeypatch.setattr(tiles, "read_tile", never)
    words = ["--only", "tall", "--only", "rows"]
    assert run(comm, "convert", "a.h5", "t.h5", *words) == 0
    with h5py.File("t.h5") as new, h5py.File("a.h5") as old:
        for name in ("tall", "rows"):
            for index in range(old[name].id.get_num_chunks()):
                origin = old[name].id.get_chunk_info(index).chunk_offset
                chunks = [file[name].id.read_direct_chunk(origin) for file in (new, old)]
                assert chunks[0] == chunks[1]
    wait(comm)


def test_each_rank_reads_its_tiles_only(comm, folder, monkeypatch):
    read = []

    def counting(node, box):
        part = original(node, box)
        read.append(part.nbytes)
        return part

    original = tiles.read_tile
    monkeypatch.setattr(tiles, "read_tile", counting)
    words = ["--only", "tall", "-c", "gzip:1", "--chunks", "5,1000", "--memory", "64K"]
    assert run(comm, "convert", "a.h5", "t.h5", *words) == 0
    size = 1 if comm is None else comm.size
    total = 4 * WIDE[0] * WIDE[1]
    assert max(read) <= 20_000
    assert abs(sum(read) - total / size) <= 20_000
    wait(comm)


@pytest.mark.parametrize("axis", ["time", "0"])
def test_cat_writes_what_one_rank_would(comm, folder, axis):
    words = ["--axis", axis, "-o", "t.h5", "--keep", "text", "--keep", "small", "--memory", "512K"]
    assert run(comm, "cat", "a.h5", "b.h5", *words) == 0
    if comm is None or comm.rank == 0:
        with h5py.File("a.h5") as a, h5py.File("b.h5") as b, h5py.File("t.h5") as found:
            for name in ("contiguous", "rows", "tall", "plain", "again"):
                whole = np.concatenate([a[name], b[name]], int(axis == "time"))
                assert np.array_equal(found[name], whole), name
            assert found["again"] == found["rows"]
    wait(comm)


def test_what_differs_is_told_by_all(comm, folder, capsys):
    if comm is None or comm.rank == 0:
        with h5py.File("b.h5", "r+") as file:
            file["small"][2] = 7
    wait(comm)
    assert run(comm, "cat", "a.h5", "b.h5", "-o", "t.h5", "--keep", "text") == 2
    assert "b.h5: /small is not as in a.h5" in capsys.readouterr().err
    wait(comm)
    assert not os.path.exists("t.h5")


@pytest.mark.parametrize("target", ["t.h5", "t.zarr"])
@pytest.mark.parametrize("where", ["read_tile", "_write_all", "write"])
def test_a_rank_that_fails_is_an_error_of_all(comm, folder, where, target, monkeypatch, capsys):
    from memdata.formats import zarr_library

    if target == "t.zarr":
        pytest.importorskip("zarr")
    places = {"read_tile": tiles, "_write_all": parts, "write": zarr_library}
    if (where == "write") != (target == "t.zarr") and where != "read_tile":
        pytest.skip("not on the way")
    if where == "_write_all" and (comm is None or comm.size == 1):
        pytest.skip("one rank writes through HDF5")

    def fail(*_args):
        raise OSError(28, "No space left on device")

    last = 0 if comm is None else comm.size - 1
    if comm is None or comm.rank == last:
        monkeypatch.setattr(places[where], where, fail)
    words = ["--only", "tall", "-c", "gzip:2", "--chunks", "5,1000", "--memory", "64K"]
    assert run(comm, "convert", "a.h5", target, *words) == 2
    assert "No space left" in capsys.readouterr().err
    wait(comm)
    assert sorted(os.listdir()) == ["a.h5", "b.h5"]
    wait(comm)


def test_ctrl_c_of_one_rank_leaves_nothing(comm, folder, monkeypatch):
    """A signal while tiles are moved."""
    import signal

    assert threading.current_thread() is threading.main_thread()
    original, count = tiles.read_tile, [0]

    def interrupted(node, box):
        count[0] += 1
        if count[0] == 3 and (comm is None or comm.rank == 0):
            os.kill(os.getpid(), signal.SIGINT)
        return original(node, box)

    monkeypatch.setattr(tiles, "read_tile", interrupted)
    words = ["--only", "tall", "-c", "gzip:2", "--chunks", "5,1000", "--memory", "64K"]
    main(["convert", "a.h5", "t.h5", *words, "-q"])
    wait(comm)
    assert sorted(os.listdir()) == ["a.h5", "b.h5"]
    wait(comm)
