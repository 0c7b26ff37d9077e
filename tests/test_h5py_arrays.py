"""Datasets whose elements are arrays, of types like "(3,)f4", answer as h5py's do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import h5py
import numpy as np
import pytest

import memdata

ROWS = np.arange(30, dtype="f4").reshape(10, 3)

INDEXES = {
    "all": (),
    "ellipsis": Ellipsis,
    "one": 4,
    "last": -1,
    "slice": slice(1, 8, 2),
    "list": [0, 3, 7],
    "mask": ROWS[:, 0] > 12,
    "one in a tuple": (4,),
    "slice and ellipsis": (slice(2, 4), Ellipsis),
}


@pytest.fixture
def rows(h5: Any) -> Any:
    d = h5.create_dataset("x", (10,), "(3,)f4", maxshape=(None,), chunks=(4,))
    d[...] = ROWS
    return d


def test_shape_and_type_are_of_elements(rows: Any) -> None:
    assert (rows.shape, rows.ndim, rows.size, len(rows)) == ((10,), 1, 10, 10)
    assert (rows.dtype, rows.nbytes) == (np.dtype("(3,)f4"), 120)
    assert (rows.maxshape, rows.chunks) == ((None,), (4,))
    assert list(rows.iter_chunks())[-1] == (slice(8, 10, 1),)


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_reading(rows: Any, index: Any) -> None:
    part = rows[index]
    assert part.dtype == "f4"
    np.testing.assert_array_equal(part, ROWS[index])


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_writing(rows: Any, index: Any) -> None:
    expected = ROWS.copy()
    expected[index] = -ROWS[index]
    rows[index] = -ROWS[index]
    np.testing.assert_array_equal(rows[...], expected)


def test_several_axes(h5: Any) -> None:
    data = np.arange(48, dtype="i4").reshape(2, 4, 3, 2)
    d = h5.create_dataset("x", (2, 4), "(3,2)i4")
    d[...] = data
    assert d.shape == (2, 4)
    np.testing.assert_array_equal(d[:, 1:3], data[:, 1:3])
    np.testing.assert_array_equal(d[1, 2], data[1, 2])


def test_a_scalar(h5: Any) -> None:
    d = h5.create_dataset("x", (), "(3,)f4")
    d[...] = [1, 2, 3]
    assert (d.shape, d.size) == ((), 1)
    assert d[()].tolist() == [1, 2, 3]
    with pytest.raises(ValueError):
        d[0]
    with pytest.raises(TypeError):
        len(d)


@pytest.mark.parametrize("index", [10, -11, (0, 0, 0)])
def test_an_index_beyond_the_elements(rows: Any, index: Any) -> None:
    with pytest.raises((IndexError, ValueError, TypeError)):
        rows[index]


@pytest.mark.parametrize("value", [42, [1, 2], np.ones((10, 2), "f4")])
def test_a_value_that_is_no_element(rows: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        rows[...] = value
    np.testing.assert_array_equal(rows[...], ROWS)


def test_resizing(rows: Any) -> None:
    rows.resize((12,))
    assert rows.shape == (12,)
    assert rows[11].tolist() == [0, 0, 0]
    rows.resize(3, axis=0)
    np.testing.assert_array_equal(rows[...], ROWS[:3])


def test_other_names_and_copies(h5: Any, rows: Any) -> None:
    h5["again"] = rows
    h5.copy("x", "copy")
    for name in ("again", "copy"):
        assert h5[name].shape == (10,)
        assert h5.require_dataset(name, (10,), "(3,)f4").dtype == rows.dtype


def test_data_with_the_axes_of_the_type() -> None:
    d = memdata.MemGroup().create_dataset("x", data=ROWS, dtype="(3,)f4")
    assert d.shape == (10,)
    assert d[3].tolist() == ROWS[3].tolist()
    with pytest.raises(ValueError, match="/y"):
        memdata.MemGroup().create_dataset("y", data=ROWS, dtype="(2,)f4")


def test_slices_are_views_and_numpy_sees_all_axes() -> None:
    d = memdata.MemGroup().create_dataset("x", (4,), "(3,)f4")
    d[1:3][:] = 1
    assert np.asarray(d).shape == (4, 3)
    assert np.asarray(d).sum() == 6


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_through_a_file(tmp_path: Any, compression: Any) -> None:
    name = tmp_path / "file.h5"
    with memdata.File(name, "w") as file:
        d = file.create_dataset("x", (10,), "(3,)f4", chunks=(4,), compression=compression)
        d[...] = ROWS
    with h5py.File(name) as theirs, memdata.File(name) as ours:
        for d in (theirs["x"], ours["x"]):
            assert (d.shape, d.dtype, d.chunks) == ((10,), np.dtype("(3,)f4"), (4,))
            assert d.compression == compression
            np.testing.assert_array_equal(d[...], ROWS)


def test_through_a_store(tmp_path: Any) -> None:
    pytest.importorskip("zarr")
    tree = memdata.MemGroup()
    tree.create_dataset("x", data=ROWS, dtype="(3,)f4", chunks=(4,))
    tree.to_file(tmp_path / "store.zarr")
    again = memdata.MemGroup.from_file(tmp_path / "store.zarr")
    assert (again["x"].shape, again["x"].chunks) == ((10,), (4,))
    assert memdata.equal(tree, again)


def test_pickles_and_copies() -> None:
    tree = memdata.MemGroup()
    tree.create_dataset("x", data=ROWS, dtype="(3,)f4")
    for other in (pickle.loads(pickle.dumps(tree)), copy.deepcopy(tree)):
        assert other["x"].shape == (10,)
        assert other["x"].dtype == "(3,)f4"
