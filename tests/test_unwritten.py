"""What nobody has written to takes no room in files, and reads as before."""

import os

import h5py
import numpy as np
import pytest

import memdata
from memdata.unwritten import LARGE, written_parts

LENGTH = 1 << 25  # of float64: 256 MiB

KINDS = {
    "plain": {},
    "of another type in files": {"dtype": "?"},
    "chunked": {"chunks": (1 << 18,)},
    "packed": {"chunks": (1 << 18,), "compression": "gzip"},
    "resizable": {"maxshape": (None,)},
    "filled": {"chunks": (1 << 18,), "dtype": "f8", "fillvalue": 3, "maxshape": (None,)},
}

pytestmark = pytest.mark.skipif(
    written_parts(np.zeros(LENGTH)) is None, reason="the system does not tell"
)


@pytest.mark.parametrize("keywords", KINDS.values(), ids=KINDS)
def test_a_file_holds_what_was_written(tmp_path, keywords):
    name = tmp_path / "file.h5"
    length = 8 * LENGTH // np.dtype(keywords.get("dtype", "f8")).itemsize
    with memdata.File(name, "w") as file:
        d = file.create_dataset("x", (length,), **{"dtype": "f8", **keywords})
        d[length // 2 : length // 2 + 3] = 1
        d[-1] = 1
    with h5py.File(name) as file:
        x, fill = file["x"], keywords.get("fillvalue", 0)
        assert x.shape == (length,)
        assert x[length // 2 - 1 : length // 2 + 4].tolist() == [fill, 1, 1, 1, fill]
        assert x[0] == fill
        assert x[-1] == 1
    if not keywords.get("fillvalue"):
        assert os.stat(name).st_blocks * 512 < LARGE // 2


def test_zarr_holds_what_was_written(tmp_path):
    zarr = pytest.importorskip("zarr")
    tree = memdata.MemGroup()
    d = tree.create_dataset("x", (LENGTH,), chunks=(1 << 18,))
    d[5] = 1
    tree.to_file(tmp_path / "store.zarr")
    assert len(list((tmp_path / "store.zarr").rglob("*"))) < 40
    x = zarr.open(str(tmp_path / "store.zarr"), mode="r")["x"]
    assert x[4:7].tolist() == [0, 1, 0]
    assert x[-1] == 0


def test_more_than_the_memory_of_the_machine(tmp_path):
    with memdata.File(tmp_path / "file.h5", "w") as file:
        d = file.create_dataset("x", (1 << 34, 2), "f4")
        d[1 << 33] = 1
    assert os.stat(tmp_path / "file.h5").st_blocks * 512 < LARGE // 2
    with h5py.File(tmp_path / "file.h5") as file:
        assert file["x"][(1 << 33) - 1 : (1 << 33) + 1].tolist() == [[0, 0], [1, 1]]


def test_room_that_a_file_had_is_written_over(tmp_path):
    name = tmp_path / "file.h5"
    with h5py.File(name, "w", fs_strategy="fsm", fs_persist=True) as file:
        file["old"] = np.ones(LARGE // 4)
        del file["old"]
        file["first"] = 1
    tree = memdata.MemGroup()
    tree.create_dataset("x", (LARGE // 8,))[1] = 2
    tree.to_file(name, mode="a")
    with h5py.File(name) as file:
        x = file["x"][()]
    assert x[1] == 2
    assert not x[2:].any()


def test_parts_are_those_that_were_written():
    array = np.zeros(LENGTH)
    array[LENGTH // 2] = 1
    parts = written_parts(array)
    assert parts is not None
    where = LENGTH // 2 * 8
    assert any(start <= where < stop for start, stop in parts)
    assert sum(stop - start for start, stop in parts) < array.nbytes // 8
    assert all(0 <= start < stop <= array.nbytes for start, stop in parts)


def test_parts_of_a_view_count_from_its_beginning():
    array = np.zeros(LARGE // 8 + 1000)
    array[1000 : 1000 + LARGE // 32] = 1
    parts = written_parts(array[1000:])
    assert parts is not None
    ((start, stop),) = parts
    assert start == 0
    assert LARGE // 4 <= stop < LARGE // 2


def test_an_array_that_is_written_from_end_to_end():
    assert written_parts(np.ones(LENGTH)) is None


def test_memory_with_a_file_behind_it_may_be_anything(tmp_path):
    name = tmp_path / "numbers"
    with open(name, "wb") as file:
        file.truncate(LARGE)
    for mode in ("r", "r+", "c"):
        assert written_parts(np.memmap(name, np.uint8, mode)) is None


def test_small_and_strided_arrays_are_not_asked():
    assert written_parts(np.zeros(10)) is None
    assert written_parts(np.zeros(LENGTH)[::2]) is None
