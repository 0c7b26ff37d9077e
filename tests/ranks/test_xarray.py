"""Distributed data as xarray's: each rank's part, or a clear refusal on all ranks."""

import numpy as np
import pytest

import memdata
from telescope import numbered, numbered_stream

xarray = pytest.importorskip("xarray")


def test_local_parts_have_their_coordinates(comm):
    stream = numbered_stream(distributed=True, comm=comm)
    stream.create_dataset("whole", data=numbered(5)).attrs["axis"] = ("freq",)
    tree = memdata.to_xarray(stream, local=True)
    part = stream.vis.data.local_bounds
    assert tree["vis"].dims == ("freq", "prod", "time")
    assert np.shares_memory(tree["vis"].values, stream.vis.local_data) or not tree["vis"].size
    np.testing.assert_array_equal(tree["freq"], np.linspace(400.0, 800.0, 5)[part])
    np.testing.assert_array_equal(tree["whole"], numbered(5)[part])


def test_without_local_all_ranks_refuse(comm):
    stream = numbered_stream(distributed=True, comm=comm)
    if comm.size == 1:
        assert memdata.to_xarray(stream)["vis"].shape == (5, 3, 8)
        return
    with pytest.raises(ValueError, match="local=True"):
        memdata.to_xarray(stream)


def test_data_cut_along_two_axes_are_refused(comm):
    stream = numbered_stream(distributed=True, comm=comm)
    stream.vis.redistribute(2)
    with pytest.raises(ValueError, match=r"different axes.*redistribute first"):
        memdata.to_xarray(stream, local=True)
