"""Names of axes: dimension scales and labels of HDF5, in zarr as xarray wants them, and back."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from h5compare import differences
from memdata import MemGroup, to_xarray
from zarr_support import FORMATS, MAJOR, metadata, open_plain

pytestmark = pytest.mark.parametrize("zarr_format", FORMATS)


@pytest.fixture
def netcdf(tmp_path):
    """A file with scales, as netCDF-4 makes them; zeros are no missing values."""
    path = tmp_path / "in.h5"
    with h5py.File(path, "w") as file:
        time = file.create_dataset("time", data=np.arange(4.0))
        place = file.create_dataset("sub/place", data=np.arange(3, dtype="i2"))
        file["time"].attrs["units"] = "days since 2000-01-01"
        time.make_scale("time")
        place.make_scale("place")
        make = file.create_dataset
        data = make(
            "data", data=np.arange(12, dtype="f4").reshape(4, 3), fillvalue=5, chunks=(2, 3)
        )
        data.attrs["_FillValue"] = np.array([5], "f4")
        data.dims[0].attach_scale(time)
        data.dims[1].label = "site"
        counts = make("sub/counts", data=np.zeros((3, 4), "i4"), fillvalue=-7, chunks=(1, 4))
        counts.dims[0].attach_scale(place)
        counts.dims[1].attach_scale(time)
        file["alone"] = np.zeros(2)
        file["one"] = 5
        make("numbers", data=np.arange(2, dtype="i2"), fillvalue=1).attrs["_FillValue"] = np.array(
            [1], "i2"
        )
        make("texts", data=np.array(["a", ""], object), dtype=h5py.string_dtype())
    return path


def saved(tree: Any, path: Any, zarr_format: int) -> Any:
    tree.to_file(path, zarr_format=zarr_format)
    return path


def names(array: Any, zarr_format: int) -> list[Any]:
    """The names that a folder of an array has."""
    found = metadata(array)
    return list(found.get("dimension_names" if zarr_format == 3 else "_ARRAY_DIMENSIONS") or ())


def test_scales_and_labels_are_names(netcdf, tmp_path, zarr_format):
    store = saved(MemGroup.from_file(netcdf), tmp_path / "x.zarr", zarr_format)
    expected = {
        "time": ["time"],
        "sub/place": ["place"],
        "data": ["time", "site"],
        "sub/counts": ["place", "time"],
        "alone": ["unnamed_2"],
        "one": [],
    }
    assert {path: names(store / path, zarr_format) for path in expected} == expected


def test_they_come_back(netcdf, tmp_path, zarr_format):
    store = saved(MemGroup.from_file(netcdf), tmp_path / "x.zarr", zarr_format)
    tree = MemGroup.from_file(store)
    assert not any("_ARRAY_DIMENSIONS" in dataset.attrs for dataset in tree["sub"].values())
    assert tree["data"].dims[0][0].name == "/time"
    tree.to_file(tmp_path / "out.h5")
    with h5py.File(netcdf) as one, h5py.File(tmp_path / "out.h5") as other:
        assert differences(one, other) == []


def test_other_trees_get_no_names(tmp_path, zarr_format):
    tree = MemGroup()
    tree.create_dataset("x", data=np.arange(3)).attrs["axis"] = ["time"]
    saved(tree, tmp_path / "x.zarr", zarr_format)
    assert metadata(tmp_path / "x.zarr/x").get("dimension_names") is None
    assert "_ARRAY_DIMENSIONS" not in metadata(tmp_path / "x.zarr/x")


def test_xarray_opens_it(netcdf, tmp_path, zarr_format):
    xarray = xarray_for_zarr()
    store = saved(MemGroup.from_file(netcdf), tmp_path / "x.zarr", zarr_format)
    with xarray.open_zarr(store, chunks=None, consolidated=False) as root:
        assert root["data"].dims == ("time", "site")
        assert root["time"].values.astype("M8[D]").tolist()[-1].isoformat() == "2000-01-04"
        expected = np.arange(12.0).reshape(4, 3)
        expected[1, 2] = np.nan  # where the data are the missing value
        np.testing.assert_array_equal(root["data"].values, expected)
        np.testing.assert_array_equal(root["numbers"].values, [0, np.nan])
        assert root["texts"].values.tolist() == ["a", ""]
    with xarray.open_zarr(store, group="sub", chunks=None, consolidated=False) as sub:
        assert sub["counts"].dtype == "i4"
        assert not sub["counts"].values.any()


def xarray_for_zarr():
    """xarray, which opens stores with zarr 3 only."""
    if MAJOR < 3:
        pytest.skip("xarray needs zarr 3")
    return pytest.importorskip("xarray")


@pytest.mark.parametrize("other_format", FORMATS)
def test_what_xarray_wrote_stays(tmp_path, zarr_format, other_format):
    xarray = xarray_for_zarr()
    data = xarray.Dataset(
        {
            "t": (("time", "x"), np.array([[1.0, np.nan], [0, 3]]), {"units": "K"}),
            "n": (("x",), np.array([0, -1], "i4"), {"_FillValue": -1}),
            "names": (("x",), np.array(["a", "ü"], object)),
        },
        coords={"time": np.array(["2020-01-01", "2020-01-02"], "M8[ns]"), "x": [10, 20]},
    )
    data.to_zarr(tmp_path / "in.zarr", zarr_format=zarr_format, consolidated=False)
    tree = MemGroup.from_file(tmp_path / "in.zarr")
    assert to_xarray(tree)["t"].dims == ("time", "x")
    saved(tree, tmp_path / "out.zarr", other_format)
    # Of format 2 the fill value says what is missing, which is an attribute in format 3.
    options: Any = {"chunks": None, "consolidated": False}
    options["mask_and_scale"] = (zarr_format, other_format) != (2, 3)
    with (
        xarray.open_zarr(tmp_path / "in.zarr", **options) as one,
        xarray.open_zarr(tmp_path / "out.zarr", **options) as other,
    ):
        for name in one.variables:
            assert one[name].dims == other[name].dims
            np.testing.assert_array_equal(one[name].values, other[name].values)
            if zarr_format == other_format:
                assert {**one[name].attrs} == {
                    key: value
                    for key, value in other[name].attrs.items()
                    if not key.startswith("__memdata")
                }


def test_names_of_a_store_are_labels_in_hdf5(tmp_path, zarr_format):
    if zarr_format == 2:
        pytest.skip("format 2 has no names")
    store = open_plain(tmp_path / "in.zarr", "w", zarr_format=3)
    store.create_array("x", data=np.zeros((2, 3)), dimension_names=["time", None])
    store.create_array("y", data=np.zeros((2, 3)))
    tree = MemGroup.from_file(tmp_path / "in.zarr")
    assert [axis.label for axis in tree["x"].dims] == ["time", ""]
    assert dict(tree["x"].attrs) == {}
    tree.to_file(tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert [axis.label for axis in file["x"].dims] == ["time", ""]
    saved(tree, tmp_path / "out.zarr", 3)
    for name in ("x", "y"):
        assert metadata(tmp_path / f"out.zarr/{name}") == metadata(tmp_path / f"in.zarr/{name}")
