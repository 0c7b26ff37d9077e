"""Fixtures of a suite that knows only caput's names; see `tests/test_clients_suites.py`."""

import h5py
import numpy as np
import pytest
from caput import memdata, mpiarray
from caput.memdata import fileformats


@pytest.fixture
def h5_file(tmp_path):
    name = str(tmp_path / "test.hdf5")
    with h5py.File(name, "w") as f:
        level1 = f.create_group("level1")
        level1.create_group("level2")
        d1 = level1.create_dataset("large", data=np.arange(100))
        f.attrs["a"] = 5
        d1.attrs["b"] = 6
        level1["level2"].attrs["small"] = np.arange(3)
        level1["level2"].create_dataset("text", data=np.array([b"ab", b"cde"]))
    return name


@pytest.fixture(params=["hdf5", "zarr"])
def any_format(request, tmp_path):
    """A file name and the format it stands for."""
    if request.param == "zarr":
        pytest.importorskip("zarr")
        return str(tmp_path / "test.zarr"), fileformats.Zarr
    return str(tmp_path / "test.h5"), fileformats.HDF5


@pytest.fixture
def container():
    made = memdata.MemDiskGroup(distributed=True)
    freq = made.create_group("index_map").create_dataset("freq", data=np.linspace(800, 400, 8))
    freq.attrs["units"] = "MHz"
    vis = made.create_dataset(
        "vis", shape=(8, 6), dtype=np.complex64, distributed=True, distributed_axis=0
    )
    vis.attrs["axis"] = np.array(["freq", "time"])
    vis[:] = np.arange(48).reshape(8, 6) * (1 + 2j)
    made.create_dataset("dirty", data=np.random.default_rng(0).random(5))
    return made


@pytest.fixture
def distributed_array():
    array = mpiarray.MPIArray((8, 6), axis=0, dtype=np.float64)
    array[:] = np.arange(48).reshape(8, 6)
    return array
