"""Elements that go from file to file tile by tile: of any shape, in little memory."""

import itertools
import math

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import memdata
from memdata import MemGroup
from memdata.cli import main
from memdata.formats.selections import chunks_of_result, index_of_box
from memdata.formats.tiling import boxes_of, tile_shape
from support import run_python

lengths = st.integers(1, 40)


@st.composite
def grids(draw):
    shape = draw(st.lists(lengths, min_size=1, max_size=4))
    units, grid = ([draw(st.integers(1, length + 3)) for length in shape] for _which in range(2))
    return tuple(shape), units, grid


class TestTileShape:
    @given(grids(), st.integers(1, 5000), st.integers(1, 5000))
    def test_a_tile_is_whole_units_within_the_limit(self, given, usual, limit):
        shape, units, grid = given
        tile = tile_shape(shape, units, grid, usual, limit)
        units = [min(unit, length) for unit, length in zip(units, shape, strict=True)]
        for step, unit, length in zip(tile, units, shape, strict=True):
            assert 1 <= step <= length
            assert step % unit == 0 or step == length
        assert math.prod(tile) <= max(limit, math.prod(units))

    @given(grids())
    def test_with_enough_memory_nothing_is_read_twice(self, given):
        shape, units, grid = given
        tile = tile_shape(shape, units, grid, 1, 10**9)
        for step, part, length in zip(tile, grid, shape, strict=True):
            assert step >= min(part, length)

    @given(grids(), st.integers(1, 5000))
    def test_boxes_cover_all_once(self, given, limit):
        shape, units, grid = given
        if math.prod(shape) > 20_000:
            shape = tuple(min(length, 10) for length in shape)
        seen = np.zeros(shape, int)
        for box in itertools.islice(boxes_of(shape, tile_shape(shape, units, grid, 9, limit)), 999):
            seen[box] += 1
        assert seen.max() == 1

    def test_long_runs_come_first(self):
        assert tile_shape((1000, 1000), (1, 1), (1, 1), 5000, 10**6) == (5, 1000)


class TestIndexOfBox:
    @given(st.data())
    def test_is_the_box_of_what_is_selected(self, data):
        shape = data.draw(st.tuples(lengths, lengths, lengths))
        array = np.arange(math.prod(shape)).reshape(shape)
        index = []
        for length in shape:
            lists = st.lists(st.integers(0, length - 1), min_size=3, max_size=3)
            index.append(data.draw(st.one_of(st.integers(0, length - 1), st.slices(length), lists)))
        whole = array[tuple(index)]
        if not whole.size or not whole.ndim:
            return
        box = []
        for length in whole.shape:
            start = data.draw(st.integers(0, length - 1))
            box.append(slice(start, data.draw(st.integers(start + 1, length))))
        found = index_of_box(tuple(index), shape, tuple(box), "/x")
        assert np.array_equal(array[found], whole[tuple(box)])
        assert len(chunks_of_result(tuple(index), shape, shape, "/x")) == whole.ndim


def wide(name, chunks=None, shape=(6, 20_000), **kw):
    """A file whose rows are large against the memory that is allowed."""
    data = np.random.default_rng(1).integers(0, 99, shape).astype("f4")
    with h5py.File(name, "w") as file:
        file.create_dataset("x", data=data, chunks=chunks, **kw)
        file["x"].attrs["axis"] = ["freq", "time"][: len(shape)]
    return data


LAYOUTS = {
    "contiguous": (None, {}),
    "rows": ((1, 20_000), {"compression": "gzip"}),
    "columns": ((6, 1000), {"compression": "gzip", "compression_opts": 1}),
    "odd": ((4, 7001), {"shuffle": True, "compression": "gzip"}),
    "plain": ((5, 999), {}),
}


class TestConvert:
    @pytest.mark.parametrize("target", ["t.h5", "t.zarr"])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_wide_rows_in_little_memory(self, tmp_path, monkeypatch, layout, target):
        if target.endswith("zarr"):
            pytest.importorskip("zarr")
        monkeypatch.chdir(tmp_path)
        chunks, kw = LAYOUTS[layout]
        data = wide("s.h5", chunks, **kw)
        for words in (["2,3000"], ["6,700", "-c", "gzip:1"], ["1,9000", "-c", "none"]):
            words = ["--chunks", *words]
            code = main(["convert", "-f", "-q", "--memory", "64K", "s.h5", target, *words])
            assert code == 0
            assert np.array_equal(MemGroup.from_file(target)["x"], data)

    @pytest.mark.parametrize("zarr_format", [2, 3])
    def test_from_zarr(self, tmp_path, monkeypatch, zarr_format):
        pytest.importorskip("zarr")
        monkeypatch.chdir(tmp_path)
        wide("s.h5", (2, 3000), compression="gzip")
        words = ["--memory", "128K", "-q"]
        assert main(["convert", "s.h5", "s.zarr", "--zarr-format", str(zarr_format), *words]) == 0
        assert main(["convert", "s.zarr", "t.h5", "--chunks", "6,1000", *words]) == 0
        assert not memdata.diff("s.h5", "t.h5")

    @pytest.mark.parametrize("index", ["::2,100:14000:3", "[5,0,1],1:", "2", "...,[7,19000,3]"])
    @pytest.mark.parametrize("layout", ["contiguous", "odd"])
    def test_selections(self, tmp_path, monkeypatch, index, layout):
        monkeypatch.chdir(tmp_path)
        chunks, kw = LAYOUTS[layout]
        data = wide("s.h5", chunks, **kw)
        words = ["-s", f"x={index}", "--memory", "64K", "-q", "-c", "none", "--chunks", "none"]
        assert main(["convert", "s.h5", "t.h5", *words]) == 0
        with h5py.File("t.h5") as file:
            assert np.array_equal(file["x"], eval(f"data[{index}]", {"data": data}))

    def test_text_and_arrays_in_arrays(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with h5py.File("s.h5", "w") as file:
            words = np.array([f"{k}" * (k % 9) for k in range(20_000)], object).reshape(2, -1)
            file.create_dataset("text", data=words, dtype=h5py.string_dtype())
            file["inner"] = np.arange(60_000.0).reshape(2, 10_000, 3).astype("(3,)f4")[..., 0, :]
            made = file.create_dataset("array", (2, 9000), np.dtype(("i2", (4,))), chunks=(2, 100))
            made[...] = np.arange(72_000).reshape(2, 9000, 4)
        assert main(["convert", "-q", "--memory", "64K", "s.h5", "t.h5"]) == 0
        assert not memdata.diff("s.h5", "t.h5")

    def test_chunks_larger_than_the_memory_are_refused(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        wide("s.h5")
        words = ["--memory", "64K", "--chunks", "6,20000", "-q"]
        assert main(["convert", "s.h5", "t.h5", *words]) == 2
        assert "a chunk of the new file takes 480000 bytes" in capsys.readouterr().err
        assert not (tmp_path / "t.h5").exists()

    @pytest.mark.parametrize("size", ["x", "0", "-1G", "1e999"])
    def test_what_is_no_size(self, tmp_path, monkeypatch, capsys, size):
        monkeypatch.chdir(tmp_path)
        wide("s.h5")
        assert main(["convert", f"--memory={size}", "s.h5", "t.h5"]) == 2
        assert "--memory takes bytes" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "words",
        [
            ["-c", "none", "--chunks", "none"],
            ["--chunks", "2,4096", "-c", "lzf"],
            ["--chunks", "1,65536", "-c", "gzip:1"],
        ],
        ids=" ".join,
    )
    def test_the_memory_that_is_taken(self, tmp_path, words):
        """Two rows of 64 MiB pass through 16 MiB."""
        with h5py.File(tmp_path / "s.h5", "w") as file:
            file.create_dataset("x", (2, 1 << 24), "f4", chunks=(2, 1 << 13), compression="lzf")
            file["x"][:, : 1 << 22] = 1.0
        code = f"""
            import resource
            from memdata.cli import main
            words = {words!r}
            main(["convert", "-q", "s.h5", "warm.h5", "-s", "x=:,:65536", *words])
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert main(["convert", "-q", "--memory", "16M", "s.h5", "t.h5", *words]) == 0
            print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
        """
        assert int(run_python(code, cwd=tmp_path).split()[-1]) <= 16


class TestCat:
    @pytest.mark.parametrize("axis", [0, 1])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_wide_rows_in_little_memory(self, tmp_path, monkeypatch, layout, axis):
        monkeypatch.chdir(tmp_path)
        chunks, kw = LAYOUTS[layout]
        parts = [wide(f"{k}.h5", chunks, **kw) + 0 for k in range(3)]
        words = ["--axis", str(axis), "-o", "t.h5", "--memory", "64K", "-q", "--chunks", "2,3000"]
        assert main(["cat", "0.h5", "1.h5", "2.h5", *words]) == 0
        with h5py.File("t.h5") as file:
            assert np.array_equal(file["x"], np.concatenate(parts, axis))

    def test_what_is_the_same_is_compared_tile_by_tile(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        for name in ("0.h5", "1.h5"):
            wide(name)
            with h5py.File(name, "r+") as file:
                file["none"], file["one"] = h5py.Empty("f4"), "text"
                file["time"] = np.arange(3.0)
                file["time"].attrs["axis"] = ["time"]
                del file["x"].attrs["axis"]
        words = ["-o", "t.h5", "--memory", "64K", "-q"]
        assert main(["cat", "0.h5", "1.h5", *words]) == 0
        with h5py.File("1.h5", "r+") as file:
            file["x"][5, 19_999] += 1
        assert main(["cat", "-f", "0.h5", "1.h5", *words]) == 2
        assert "1.h5: /x is not as in 0.h5" in capsys.readouterr().err
