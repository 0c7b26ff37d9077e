"""Loading distributed along an axis that has a name, whatever the file says of distribution."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from whole import check, numbered

from memdata import MemDiskGroup, MemGroup
from memdata.mpiarray import AxisException, MPIArray

VIS = numbered((4, 5, 6))
GAIN = numbered((6, 5))


@pytest.fixture
def name(comm, tmp_path):
    """A file that says nothing of distribution, written by h5py."""
    if comm is None:
        pytest.skip("no MPI here")
    path = tmp_path / "f.h5"
    if comm.rank == 0:
        with h5py.File(path, "w") as f:
            f["vis"] = VIS
            f["vis"].attrs["axis"] = np.array(["freq", "input", "time"], "S")
            f["gain"] = GAIN
            f["gain"].attrs["axis"] = ["time", "input"]
            f["old"] = GAIN
            f["old"].attrs["__memh5_distributed_dset"] = True
            f["index_map/time"] = np.arange(6.0)
    comm.Barrier()
    return path


@pytest.mark.parametrize("kind", [MemGroup, MemDiskGroup])
def test_every_dataset_with_that_axis_is_cut_along_it(comm, name, kind):
    loaded = kind.from_file(name, distributed=True, comm=comm, hints="time")
    check(loaded["vis"].data, VIS, 2, comm)
    check(loaded["gain"].data, GAIN, 0, comm)
    check(loaded["old"].data, GAIN, 0, comm)  # without names: as the file says
    assert loaded["index_map/time"].common


def test_of_several_names_the_first_that_a_dataset_has(comm, name):
    loaded = MemGroup.from_file(name, distributed=True, comm=comm, hints=["freq", "input"])
    check(loaded["vis"].data, VIS, 0, comm)
    check(loaded["gain"].data, GAIN, 1, comm)


def test_the_axis_of_one_dataset(comm, name):
    hints = {"vis": {"distributed": True, "axis": "input"}}
    loaded = MemGroup.from_file(name, distributed=True, comm=comm, hints=hints)
    check(loaded["vis"].data, VIS, 1, comm)
    assert loaded["gain"].common


def test_a_selection_comes_first(comm, name):
    chosen = {"vis": (1, slice(None), slice(1, 5))}
    loaded = MemGroup.from_file(name, distributed=True, comm=comm, hints="time", selections=chosen)
    check(loaded["vis"].data, VIS[1, :, 1:5], 1, comm)


def test_an_array(comm, name):
    check(MPIArray.from_hdf5(name, "vis", comm, axis="input"), VIS, 1, comm)
    found = MPIArray.from_hdf5(name, "vis", comm, axis="time", sel=(0, slice(None), slice(2, 6)))
    check(found, VIS[0, :, 2:6], 1, comm)


def test_a_name_that_no_dataset_has(comm, name):
    with pytest.raises(ValueError, match=r"\['beam'\].*only freq, input, time"):
        MemGroup.from_file(name, distributed=True, comm=comm, hints="beam")


def test_a_name_that_this_dataset_has_not(comm, name):
    hints = {"gain": {"distributed": True, "axis": "freq"}}
    with pytest.raises(AxisException, match=r"/gain: .*'freq'.* time, input"):
        MemGroup.from_file(name, distributed=True, comm=comm, hints=hints)
    with pytest.raises(AxisException, match=r"/gain: .*'freq'"):
        MPIArray.from_hdf5(name, "gain", comm, axis="freq")


def test_an_array_of_the_world(name):
    found = MPIArray.from_hdf5(name, "vis", None, axis="time", sel=(0,))
    assert (found.axis, found.global_shape) == (1, (5, 6))
