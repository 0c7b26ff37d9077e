"""NumPy, pandas, xarray and dask take datasets as the arrays they are, without copying."""

from __future__ import annotations

import io

import numpy as np
import pytest

from memdata import MemGroup


@pytest.fixture
def d():
    return MemGroup().create_dataset("x", data=np.arange(1.0, 10.0).reshape(3, 3) ** 2)


FUNCTIONS = {
    "mean": lambda x: np.mean(x, axis=0),
    "std": np.std,
    "median": np.median,
    "percentile": lambda x: np.percentile(x, 30),
    "sum": lambda x: np.sum(x, axis=1, keepdims=True),
    "cumsum": np.cumsum,
    "argmax": np.argmax,
    "any": lambda x: np.any(x > 3),
    "clip": lambda x: np.clip(x, 2, 5),
    "where": lambda x: np.where(x > 4, x, -x),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "stack": lambda x: np.stack([x, x]),
    "block": lambda x: np.block([[x, x], [x, x]]),
    "reshape": lambda x: np.reshape(x, 9),
    "transpose": np.transpose,
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "roll": lambda x: np.roll(x, 1, axis=0),
    "pad": lambda x: np.pad(x, 1),
    "take": lambda x: np.take(x, [0, 2], axis=1),
    "diff": np.diff,
    "gradient": lambda x: np.gradient(x)[0],
    "interp": lambda x: np.interp(5.0, x[0], x[1]),
    "histogram": lambda x: np.histogram(x, 3)[0],
    "unique": np.unique,
    "sort": np.sort,
    "searchsorted": lambda x: np.searchsorted(x[0], 3),
    "dot": lambda x: np.dot(x, x),
    "matmul": lambda x: np.matmul(x, x),
    "einsum": lambda x: np.einsum("ij,jk", x, x),
    "inv": np.linalg.inv,
    "svd": lambda x: np.linalg.svd(x)[1],
    "norm": np.linalg.norm,
    "solve": lambda x: np.linalg.solve(x, x[0]),
    "fft": np.fft.fft2,
    "convolve": lambda x: np.convolve(x[0], x[1]),
    "ptp": np.ptp,
    "isfinite": np.isfinite,
    "add.reduce": lambda x: np.add.reduce(x, axis=1),
    "add.outer": lambda x: np.add.outer(x, x),
    "arithmetic": lambda x: (2 * x - x / 3) ** 2 % 5 // 1,
    "comparison": lambda x: (x > 3) & ~(x >= 50),
    "divmod": lambda x: np.divmod(x, 4)[1],
    "average": lambda x: np.average(x, weights=x),
    "cov": np.cov,
    "copy": np.copy,
    "zeros_like": np.zeros_like,
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 3, 3)),
    "meshgrid": lambda x: np.meshgrid(x[0], x[1])[0],
    "array2string": np.array2string,
    "shape": np.shape,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_compute_with_the_data(d, name):
    np.testing.assert_array_equal(FUNCTIONS[name](d), FUNCTIONS[name](d.data))


def test_testing(d):
    np.testing.assert_array_equal(d, d.data)
    np.testing.assert_allclose(d, d.data + 1e-12)
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(d, d.data + 1)
    assert np.array_equal(d, d.data)
    assert np.allclose(d, d)


@pytest.mark.parametrize(
    "convert",
    [np.asarray, np.asanyarray, np.ascontiguousarray, np.atleast_2d, np.squeeze, np.ravel],
)
def test_nothing_is_copied(d, convert):
    assert np.shares_memory(convert(d), d.data)


def test_the_array_protocol(d):
    assert np.array(d, copy=False) is d.data or np.shares_memory(np.array(d, copy=False), d.data)
    assert not np.shares_memory(np.array(d, copy=True), d.data)
    assert np.asarray(d, "f4").dtype == "f4"
    with pytest.raises(ValueError, match="copy"):
        np.array(d, dtype="f4", copy=False)
    assert memoryview(d.data).shape == (3, 3)


def test_out_writes_into_the_dataset(d):
    expected = d.data + 1
    assert np.add(d, 1, out=d) is d
    np.testing.assert_array_equal(d.data, expected)
    d *= 2
    np.testing.assert_array_equal(d.data, expected * 2)
    np.copyto(d.data, 0)
    assert not d.data.any()


def test_files_of_numpy(d):
    file = io.BytesIO()
    np.save(file, d)
    file.seek(0)
    np.testing.assert_array_equal(np.load(file), d.data)


def test_pandas(d):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(d, columns=list("abc"))
    assert frame["b"].tolist() == [4.0, 25.0, 64.0]
    assert pandas.Series(d[0]).sum() == 14.0
    assert pandas.Index(d[0]).tolist() == [1.0, 4.0, 9.0]


def test_xarray(d):
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(d, dims=("y", "x"))
    assert np.shares_memory(array.values, d.data)
    assert type(array.data) is np.ndarray
    np.testing.assert_array_equal(array.mean("x"), d.data.mean(1))


def test_dask(d):
    dask_array = pytest.importorskip("dask.array")
    lazy = dask_array.from_array(d, chunks=(2, 3), name=False)
    np.testing.assert_array_equal((lazy + 1).sum(axis=0).compute(), (d.data + 1).sum(axis=0))
    lazy = dask_array.from_array(d)
    np.testing.assert_array_equal(lazy.compute(), d.data)
