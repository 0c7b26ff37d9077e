"""What suites of client packages check of distributed data."""

import unittest

import h5py
import numpy as np
import pytest
from caput import memdata, mpiarray
from caput.mpiarray import MPIArray

comm = pytest.importorskip("mpi4py.MPI").COMM_WORLD


class Distributed(unittest.TestCase):
    """Written for unittest, as older suites are."""

    def setUp(self):
        self.array = MPIArray((10, 17), axis=0)
        self.array[:] = np.arange(170.0).reshape(10, 17)[self.array.local_bounds]

    def test_properties(self):
        self.assertEqual(self.array.global_shape, (10, 17))
        self.assertEqual(self.array.axis, 0)
        self.assertEqual(self.array.local_shape, self.array.local_array.shape)
        self.assertEqual(self.array.local_offset[1], 0)
        self.assertIsInstance(self.array.local_bounds, slice)
        self.assertTrue((self.array.view(np.ndarray) == self.array.local_array).all())

    def test_redistribute(self):
        moved = self.array.redistribute(axis=1)
        self.assertEqual(moved.axis, 1)
        self.assertEqual(moved.global_shape, (10, 17))
        back = moved.redistribute(axis=0)
        self.assertTrue((back == self.array).all())
        self.assertIs(moved.redistribute(axis=1), moved)

    def test_gathered(self):
        whole = self.array.allgather()
        self.assertTrue(np.array_equal(whole, np.arange(170.0).reshape(10, 17)))
        if comm.rank == 0:
            self.assertEqual(self.array.gather(rank=0).shape, (10, 17))

    def test_wrapped(self):
        lengths = memdata._memh5.MemGroup(distributed=True).comm.size
        part = np.ones((3, 2))
        wrapped = MPIArray.wrap(part, axis=0)
        self.assertEqual(wrapped.global_shape, (3 * lengths, 2))
        with self.assertRaises(mpiarray.AxisException):
            MPIArray.wrap(part, axis=4)

    def test_not_along_the_distributed_axis(self):
        with self.assertRaises(mpiarray.AxisException):
            self.array.sum(axis=0)
        with self.assertRaises(mpiarray.UnsupportedOperation):
            np.add.outer(self.array, self.array)
        with self.assertRaises(NotImplementedError):
            self.array.ravel()
        with self.assertRaises(IndexError):
            self.array[:, :, 0]
        with self.assertWarns(UserWarning):
            self.array[0]

    def test_enumerate(self):
        for local, (index, found) in enumerate(self.array.enumerate(axis=0)):
            self.assertEqual(local, index)
            self.assertEqual(self.array.local_array[index, 0], found * 17)


def test_global_slice(distributed_array):
    part = distributed_array.global_slice[2:5, 1]
    whole = np.arange(48.0).reshape(8, 6)
    assert part is None or np.isin(part, whole[2:5, 1]).all()
    assert isinstance(distributed_array.global_slice[:, 2], MPIArray)
    distributed_array.global_slice[3] = -1
    assert (distributed_array.allgather()[3] == -1).all()


def test_io(distributed_array, any_format):
    name, file_format = any_format
    distributed_array.to_file(name, "data", create=True, file_format=file_format)
    found = MPIArray.from_file(name, "data", axis=1, file_format=file_format)
    assert found.axis == 1
    assert (found.allgather() == distributed_array.allgather()).all()
    part = MPIArray.from_file(
        name, "data", sel=(slice(2, 7), slice(None, None, 2)), file_format=file_format
    )
    assert part.global_shape == (5, 3)
    with pytest.raises(RuntimeError):
        MPIArray((3, 3), axis=0).to_file(name, "data", file_format=file_format)


def test_container(container, any_format):
    name, file_format = any_format
    assert container["vis"].distributed_axis == 0
    container["vis"].redistribute(axis=1)
    container.save(name, file_format=file_format)
    found = memdata.MemDiskGroup.from_file(name, distributed=True, file_format=file_format)
    assert found["vis"].distributed_axis == 1
    assert (found["vis"][:] == container["vis"][:]).all()
    assert list(found["vis"].attrs["axis"]) == ["freq", "time"]
    assert found["index_map"]["freq"].attrs["units"] == "MHz"
    assert isinstance(found["dirty"], memdata.MemDatasetCommon)
    assert found._data._storage_root["/vis"].distributed
    with pytest.raises(NotImplementedError):
        found.to_disk(name)
    if name.endswith("h5"):
        with h5py.File(name, "r") as f:
            assert f.attrs["__memh5_distributed_file"]
            assert f["vis"].attrs["__memh5_distributed_axis"] == 1
            assert not f["dirty"].attrs["__memh5_distributed_dset"]


def test_hints(container, tmp_path):
    name = str(tmp_path / "x.h5")
    container.save(name)
    load = memdata.MemGroup.from_hdf5
    assert load(name)["vis"].common
    assert load(name, distributed=True)["vis"].distributed
    assert load(name, distributed=True, hints=False)["vis"].common
    hints = {"/vis": {"distributed": True, "axis": 1}}
    assert load(name, distributed=True, hints=hints)["vis"].distributed_axis == 1


def test_copies(container):
    again = container.copy(shared=["/vis"])
    assert again["vis"].data is container["vis"].data
    again["dirty"][:] = 0
    assert container["dirty"][:].any()
    deep = memdata.MemGroup(distributed=True)
    memdata.deep_group_copy(container._data, deep)
    assert (deep["vis"][:] == container["vis"][:]).all()
    assert deep["vis"].data is not container["vis"].data


def test_converting(container):
    container.dataset_distributed_to_common("vis")
    assert isinstance(container["vis"], memdata.MemDatasetCommon)
    container.dataset_common_to_distributed("vis", distributed_axis=1)
    assert container["vis"].distributed_axis == 1
    assert list(container["vis"].attrs["axis"]) == ["freq", "time"]


def test_errors(container):
    with pytest.raises(RuntimeError):
        container.create_dataset("x", shape=(3,), distributed=True)
    with pytest.raises(TypeError):
        container.create_dataset("x", data=np.zeros(3), shape=(3,), dtype=float, distributed=True)
    with pytest.raises(RuntimeError):
        memdata.MemGroup().create_dataset("x", data=MPIArray((3,), axis=0))
    with pytest.raises(ValueError):
        memdata.MemDiskGroup(memdata.MemGroup(), distributed=True)
