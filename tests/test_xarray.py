"""`memdata.to_xarray` and `memdata.from_xarray`: there and back, sharing the arrays."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import memdata
from memdata import MemDiskGroup, MemGroup
from support import assert_same_tree, comm_world
from telescope import numbered, numbered_stream

xarray = pytest.importorskip("xarray")


def telescope():
    """By `attrs["axis"]` and an index map."""
    group = MemGroup()
    freq = np.array([(400.0, 1.0), (500.0, 1.0)], [("centre", "f8"), ("width", "f4")])
    group.create_dataset("index_map/freq", data=freq)
    group.create_dataset("index_map/time", data=np.array([10.0, 20.0, 30.0]))
    group.create_dataset("index_map/pol", data=np.array(["XX", "YY"]))
    group["vis"] = numbered(2, 2, 3)
    group["vis"].attrs["axis"] = np.array(["freq", "pol", "time"])
    group["flags/bad"] = np.zeros(3, bool)
    group["flags/bad"].attrs["axis"] = ("time",)
    group["reverse_map/prod"] = np.arange(4)
    group.attrs["history"] = {"made": ["by", "hand"]}
    return group


def netcdf():
    """By dimension scales, in the group itself and in one above."""
    group = MemGroup()
    for name, values in (("lat", [1.0, 2.0]), ("lon", [3.0, 4.0, 5.0])):
        group[name] = np.array(values)
        group[name].make_scale(name)
        group[name].attrs["units"] = "degrees"
    group["t"] = numbered(2, 3)
    group["deep/t"] = numbered(3)
    for path, scales in (("t", ("lat", "lon")), ("deep/t", ("lon",))):
        for number, scale in enumerate(scales):
            group[path].dims[number].attach_scale(group[scale])
    return group


# ---- what one sees in xarray ---------------------------------------------------------------------


def test_axis_attributes_and_the_index_map_become_dimensions_and_coordinates():
    tree = memdata.to_xarray(telescope())
    assert tree["vis"].dims == ("freq", "pol", "time")
    assert float(tree["vis"].sel(time=20.0, pol="YY").isel(freq=1)) == 10.0
    np.testing.assert_array_equal(tree["freq_centre"], [400.0, 500.0])
    assert tree["freq_width"].dims == ("freq",)
    assert tree["freq_width"].dtype == "f4"
    np.testing.assert_array_equal(tree["flags/bad"].sel(time=[10.0, 30.0]), [False, False])
    assert "index_map" not in tree.children
    assert tree["reverse_map/prod"].dims == ("unnamed_4",)
    assert tree.attrs["history"] == {"made": ["by", "hand"]}


def test_dimension_scales_become_coordinates():
    tree = memdata.to_xarray(netcdf())
    assert float(tree["t"].sel(lat=2.0, lon=4.0)) == 4.0
    assert float(tree["deep/t"].sel(lon=5.0)) == 2.0
    assert tree["lat"].attrs == {"units": "degrees"}
    assert tree["t"].attrs == {}


def test_what_netcdf_programs_wrote_is_as_xarray_opens_it(tmp_path):
    pytest.importorskip("netCDF4")
    written = xarray.Dataset(
        {"t": (("z", "y", "x"), numbered(2, 2, 3), {"units": "K"}), "n": ("x", np.arange(3))},
        coords={"x": [1.0, 2.0, 3.0], "y": ["a", "b"]},
    )
    written.to_netcdf(tmp_path / "file.nc", engine="netcdf4")
    tree = memdata.to_xarray(MemGroup.from_hdf5(tmp_path / "file.nc", convert_dataset_strings=True))
    again = xarray.open_dataset(tmp_path / "file.nc", engine="netcdf4", decode_cf=False).load()
    xarray.testing.assert_equal(tree.to_dataset(), again)


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf"])
def test_a_tree_can_be_written_as_netcdf(tmp_path, engine):
    pytest.importorskip("netCDF4" if engine == "netcdf4" else engine)
    group = netcdf()
    group.create_dataset("z", data=numbered(4, 4), chunks=(2, 4), compression="gzip", shuffle=True)
    memdata.to_xarray(group).to_netcdf(tmp_path / "file.nc", engine=engine)
    with xarray.open_datatree(tmp_path / "file.nc", engine=engine) as again:
        np.testing.assert_array_equal(again["z"], group["z"])
        np.testing.assert_array_equal(again["deep/t"].sel(lon=4.0), 1.0)
    with h5py.File(tmp_path / "file.nc") as file:
        assert (file["z"].chunks, file["z"].compression) == ((2, 4), "gzip")


def test_a_scale_elsewhere_is_the_coordinate_all_the_same():
    group = MemGroup()
    group["x"] = numbered(3)
    group["scales/nu"] = np.array([7.0, 8.0, 9.0])
    group["x"].dims[0].attach_scale(group["scales/nu"])
    tree = memdata.to_xarray(group)
    assert float(tree["x"].sel(nu=8.0)) == 1.0
    assert_same_tree(memdata.from_xarray(tree), group)


def test_names_that_clash_get_numbers():
    group = telescope()
    group["short"] = numbered(5)
    group["short"].attrs["axis"] = ("time",)  # of another length
    group["sub/index_map/time"] = np.array([0.0, 1.0, 2.0])  # of other values
    group["sub/vis"] = numbered(3)
    group["sub/vis"].attrs["axis"] = ("time",)
    group["sub/pol"] = numbered(2, 2)  # as a coordinate above
    tree = memdata.to_xarray(group)
    assert tree["short"].dims == ("time_2",)
    assert tree["sub/vis"].dims == ("time_3",) or tree["sub/vis"].dims == ("time_2",)
    assert tree["sub/pol_2"].shape == (2, 2)
    assert_same_tree(memdata.from_xarray(tree), group)


def test_a_square_has_two_dimensions():
    group = MemGroup()
    group["covariance"] = np.eye(3)
    group["covariance"].attrs["axis"] = ("freq", "freq")
    assert len(set(memdata.to_xarray(group)["covariance"].dims)) == 2
    group["x"] = np.arange(3.0)
    for number in (0, 1):
        group["covariance"].dims[number].attach_scale(group["x"])
    tree = memdata.to_xarray(group)
    assert tree["covariance"].dims == ("x", "x_2")
    assert_same_tree(memdata.from_xarray(tree), group)


# ---- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f8", ">f4", "c8", "?", "S3", "U4", "i2,f4", "O", "f2", "M8[s]"])
def test_arrays_are_shared_both_ways(dtype):
    group = MemGroup()
    whole = np.zeros((4, 3), dtype)
    group["x"] = whole if dtype in {"O", "M8[s]"} else whole[::2]  # these pass through pandas
    tree = memdata.to_xarray(group)
    assert np.shares_memory(tree["x"].values, group["x"].data)
    again = memdata.from_xarray(tree)
    assert np.shares_memory(again["x"].data, group["x"].data)
    assert again["x"].dtype == group["x"].dtype


def test_writing_is_seen_on_the_other_side():
    group = telescope()
    tree = memdata.to_xarray(group)
    tree["vis"][0, 0, 0] = 99.0
    tree["freq_width"].data[1] = 5.0
    assert group["vis"][0, 0, 0] == 99.0
    assert group["index_map/freq"]["width"][1] == 5.0


def test_coordinates_with_an_index_are_copies():
    group = telescope()
    tree = memdata.to_xarray(group)
    again = memdata.from_xarray(tree)
    group["index_map/time"][:] = 0
    assert list(tree["time"].values) == [10.0, 20.0, 30.0]
    again["index_map/time"][:] = 1
    assert list(tree["time"].values) == [10.0, 20.0, 30.0]


def test_attributes_are_copies():
    group = telescope()
    tree = memdata.to_xarray(group)
    tree.attrs["history"]["made"].append("!")
    assert group.attrs["history"] == {"made": ["by", "hand"]}


# ---- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [telescope, netcdf, numbered_stream])
def test_there_and_back(make):
    group = make()
    again = memdata.from_xarray(memdata.to_xarray(group))
    assert type(again) is MemGroup
    assert_same_tree(again, group)


def test_odd_things_come_back():
    group = MemGroup()
    group.create_dataset("null", data=h5py.Empty("f4"))
    group["scalar"] = np.float32(3)
    group["empty"] = np.zeros((0, 3))
    group["text"] = np.array(["a", "ü"], h5py.string_dtype())
    group["days"] = np.array(["2020-01-01", "NaT"], "M8[D]")
    group.create_dataset(
        "z", data=numbered(4, 4), chunks=(2, 2), compression="gzip", fletcher32=True,
        maxshape=(None, 4), fillvalue=7,
    )  # fmt: skip
    group["enum"] = np.array([0, 1], h5py.enum_dtype({"A": 0, "B": 1}))
    group["labels"] = numbered(2, 3)
    group["labels"].dims[1].label = "time"
    group.create_group("empty group").attrs["a"] = 1
    again = memdata.from_xarray(memdata.to_xarray(group))
    assert_same_tree(again, group)
    assert memdata.equal(again, group)
    assert again["z"].maxshape == (None, 4)
    assert again["z"].fletcher32
    assert h5py.check_string_dtype(again["text"].dtype)
    assert h5py.check_enum_dtype(again["enum"].dtype) == {"A": 0, "B": 1}
    assert again["labels"].dims[1].label == "time"


names = st.sampled_from(["freq", "time", "x", "index_map", "unnamed_2", "freq_2"])
dtypes = st.sampled_from(["?", "u1", "i4", "f4", "f8", ">f8", "c16", "S3", "U2", "i2,f4", "M8[ms]"])
attributes = st.dictionaries(
    st.sampled_from(["units", "axis", "NAME", "coordinates", "valid"]),
    st.one_of(
        st.integers(), st.text("ab ", max_size=3), st.lists(st.sampled_from(["freq", "time"])),
        st.dictionaries(st.text("ab"), st.none()), hnp.arrays("f8", 2),
    ),
    max_size=2,
)  # fmt: skip


@st.composite
def trees(draw):
    """Small trees whose names, lengths and axes often clash."""
    group = MemGroup()
    group.attrs.update(draw(attributes))
    for _ in range(draw(st.integers(0, 6))):
        path = "/".join(draw(st.lists(names, min_size=1, max_size=3)))
        if any(step in group for step in (path, *_parents(path, group))):
            continue
        if draw(st.booleans()):
            group.create_group(path).attrs.update(draw(attributes))
            continue
        shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
        data = draw(hnp.arrays(draw(dtypes), shape, fill=st.nothing()))
        made = group.create_dataset(path, data=data)
        made.attrs.update(draw(attributes))
        if shape and draw(st.booleans()):
            made.attrs["axis"] = tuple(draw(names) for _ in shape)
    datasets = _datasets(group)
    scales = [d for d in datasets if d.ndim == 1 and draw(st.booleans())]
    for scale in scales:
        scale.attrs.pop("axis", None)
        scale.make_scale(draw(names))
    for made in datasets:
        for number, length in enumerate(made.shape):
            fitting = [scale for scale in scales if scale.shape == (length,)]
            if not made.is_scale and fitting and draw(st.booleans()):
                made.dims[number].attach_scale(draw(st.sampled_from(fitting)))
            elif draw(st.booleans()):
                made.dims[number].label = draw(names)
    return group


def _parents(path, group):
    """Those that are datasets."""
    steps = path.split("/")
    above = ["/".join(steps[:n]) for n in range(1, len(steps))]
    return [step for step in above if isinstance(group.get(step), memdata.MemDataset)]


def _datasets(group):
    found = []
    group.visititems(
        lambda _, child: found.append(child) if isinstance(child, memdata.MemDataset) else None
    )
    return found


def back_references_sorted(group):
    """Who has a scale is listed in the order of attaching, which means nothing."""
    for dataset in _datasets(group):
        if "REFERENCE_LIST" in dataset.attrs:
            kept = dataset.attrs["REFERENCE_LIST"]
            order = sorted(range(len(kept)), key=lambda i: (str(kept[i][0]), kept[i][1]))
            dataset.attrs["REFERENCE_LIST"] = kept[order]
    return group


@settings(max_examples=80, deadline=None)
@given(trees())
def test_any_tree_comes_back(group):
    tree = memdata.to_xarray(group)
    again = memdata.from_xarray(tree)
    assert_same_tree(back_references_sorted(again), back_references_sorted(group))
    for dataset in _datasets(group):
        if dataset.ndim > 1 and dataset.dtype.kind != "M":
            assert again[dataset.name].data.base is dataset.data.base or np.shares_memory(
                again[dataset.name].data, dataset.data
            ) or not dataset.size  # fmt: skip


dimensions = st.dictionaries(st.sampled_from("xyz"), st.integers(0, 3), max_size=3)
plain = st.sampled_from(["?", "i4", "f8", "c8", "U2", "M8[ns]"])


@st.composite
def nodes(draw, above=()):
    """A Dataset as people make them, fit to be below nodes with other lengths."""
    sizes = draw(dimensions)
    sizes.update({dim: length for dim, length in dict(above).items() if dim in sizes})
    dataset = xarray.Dataset(attrs=draw(st.dictionaries(st.sampled_from("uv"), st.integers())))
    for dim, length in sizes.items():
        if dim not in dict(above) and draw(st.booleans()):
            dataset = dataset.assign_coords({dim: np.arange(length) * 1.5})
    for name in draw(st.lists(st.sampled_from(["a", "b", "c d", "e"]), unique=True)):
        dims = draw(st.permutations(sorted(sizes)))[: draw(st.integers(0, 3))]
        data = draw(hnp.arrays(draw(plain), [sizes[dim] for dim in dims], fill=st.nothing()))
        dataset[name] = (dims, data, draw(st.dictionaries(st.sampled_from("uv"), st.text())))
        if draw(st.integers(0, 3)) == 0:
            dataset = dataset.set_coords(name)
    return dataset


@settings(max_examples=40, deadline=None)
@given(st.data(), st.sampled_from(["scales", "index_map", None]))
def test_any_tree_of_xarray_comes_back(data, axes):
    top = data.draw(nodes())
    below = data.draw(nodes(above=tuple(top.sizes.items())))
    tree = xarray.DataTree.from_dict({"/": top, "/p/q": below})
    again = memdata.to_xarray(memdata.from_xarray(tree, axes=axes))
    for kept, node in ((top, again), (below, again["p/q"])):
        found = node.to_dataset(inherit=False)
        if axes == "index_map":  # has the names of axes among the attributes, as it must
            for variable in found.variables.values():
                variable.attrs.pop("axis", None)
        xarray.testing.assert_identical(found, kept)


def test_new_variables_follow_their_coordinates():
    tree = memdata.to_xarray(telescope())
    dataset = tree.to_dataset()
    dataset["double"] = dataset["vis"] * 2  # which drops attributes
    dataset["power"] = dataset["vis"].mean("freq")
    again = memdata.from_xarray(dataset)
    assert again["double"].attrs["axis"] == ("freq", "pol", "time")
    assert again["power"].attrs["axis"] == ("pol", "time")
    assert list(again["index_map/freq"]["centre"]) == [400.0, 500.0]
    dataset = memdata.to_xarray(netcdf()).to_dataset()
    dataset["mean"] = dataset["t"].mean("lat").expand_dims(time=2)
    again = memdata.from_xarray(dataset)
    assert again["mean"].dims[0].label == "time"
    assert again["mean"].dims[1]["lon"] == again["lon"]
    assert again["t"].dims[0]["lat"] == again["lat"]


def test_selections_keep_the_place_of_everything():
    dataset = memdata.to_xarray(telescope()).to_dataset().isel(freq=[1]).sel(time=slice(15, None))
    again = memdata.from_xarray(dataset.transpose("time", ...))
    assert again["vis"].shape == (2, 1, 2)
    assert list(again["vis"].attrs["axis"]) == ["time", "freq", "pol"]
    assert again["index_map/freq"].dtype == telescope()["index_map/freq"].dtype
    assert list(again["index_map/time"]) == [20.0, 30.0]


def test_renamed_variables_and_parts_of_trees_have_new_places():
    tree = memdata.to_xarray(netcdf())
    again = memdata.from_xarray(tree.to_dataset().rename(t="temperature", lat="y"))
    assert again["temperature"].dims[0]["y"] == again["y"]
    again = memdata.from_xarray(tree["deep"])
    assert list(again) == ["t"]
    assert again["t"].dims[0].label == "lon"


def test_a_data_array_is_a_group_with_one_dataset():
    array = xarray.DataArray(numbered(3), dims="x", coords={"x": [1, 2, 3]}, attrs={"u": 1})
    group = memdata.from_xarray(array)
    assert list(group) == ["data", "x"] or list(group) == ["x", "data"]
    assert group["data"].attrs["u"] == 1
    assert np.shares_memory(group["data"].data, array.values)
    assert list(memdata.from_xarray(array.rename("power"))["power"]) == [0, 1, 2]


def test_a_multi_index_becomes_its_levels():
    stacked = xarray.Dataset({"a": (("x", "y"), numbered(2, 2))}, {"x": [1, 2], "y": [3, 4]})
    group = memdata.from_xarray(stacked.stack(z=("x", "y")))
    assert list(group["a"]) == [0, 1, 2, 3]
    assert list(group["x"]) == [1, 1, 2, 2]
    assert "z" not in group


def test_pandas_comes_through():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"flux": [1.0, 2.0], "name": ["a", "b"]}, index=pandas.Index([5, 6], name="source")
    )
    group = memdata.from_xarray(frame.to_xarray())
    assert group["flux"].dims[0]["source"][1] == 6
    again = memdata.to_xarray(group).to_dataset().to_dataframe()
    pandas.testing.assert_frame_equal(again, frame)


def test_lazy_arrays_are_computed():
    pytest.importorskip("dask")
    lazy = xarray.Dataset({"a": ("x", np.arange(4.0))}).chunk(x=2) * 2
    assert list(memdata.from_xarray(lazy)["a"]) == [0, 2, 4, 6]


# ---- where the data are --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["h5", "zarr"])
@pytest.mark.parametrize("how", ["name", "group", "container"])
def test_data_in_files_are_loaded(tmp_path, suffix, how):
    if suffix == "zarr":
        pytest.importorskip("zarr")
    path = tmp_path / f"file.{suffix}"
    MemDiskGroup(telescope()).save(
        path, convert_dataset_strings=True,
        file_format=memdata.fileformats.guess_file_format(path),
    )  # fmt: skip
    with MemDiskGroup.from_file(path, ondisk=True) as container:
        given = {"name": path, "group": container._data, "container": container}[how]
        tree = memdata.to_xarray(given)
    assert tree["vis"].dims == ("freq", "pol", "time")
    np.testing.assert_array_equal(tree["vis"], telescope()["vis"])


def test_a_container_shows_what_its_hooks_allow():
    class Shy(MemDiskGroup):
        @staticmethod
        def dataset_name_allowed(path):
            return "secret" not in path

    group = telescope()
    group["secret"] = np.arange(3)
    tree = memdata.to_xarray(Shy(group))
    assert "secret" not in tree
    assert np.shares_memory(tree["vis"].values, group["vis"].data)


def test_a_group_below_the_root():
    group = MemGroup()
    telescope_ = group.create_group("a/b")
    telescope_["x"] = numbered(3)
    telescope_["t"] = numbered(3)
    telescope_["t"].dims[0].attach_scale(telescope_["x"])
    tree = memdata.to_xarray(telescope_)
    assert float(tree["t"].sel(x=1.0)) == 1.0
    again = memdata.from_xarray(tree)
    assert again["t"].dims[0][0] == again["x"]


def test_links_are_left_out_with_a_warning():
    group = telescope()
    group["link"] = h5py.SoftLink("/vis")
    group["type"] = np.dtype("f4")
    group["again"] = group["flags"]
    with pytest.warns(UserWarning, match=r"left out.*/link, /type, /again"):
        tree = memdata.to_xarray(group)
    assert "link" not in tree


def test_distributed_data_on_one_rank():
    comm_world()
    stream = numbered_stream(distributed=True)
    tree = memdata.to_xarray(stream, local=True)
    assert tree["vis"].dims == ("freq", "prod", "time")
    assert np.shares_memory(tree["vis"].values, stream.vis.local_data)


@pytest.mark.parametrize("bad", [5, None, np.zeros(3)], ids=repr)
def test_other_things_are_refused(bad):
    with pytest.raises(TypeError, match="needed, not"):
        memdata.to_xarray(bad)
    with pytest.raises(TypeError, match="needed, not"):
        memdata.from_xarray(bad)


def test_bad_names_are_refused():
    with pytest.raises(TypeError, match="names must be str, not 5"):
        memdata.from_xarray(xarray.Dataset({5: ("x", [1])}))
    with pytest.raises(ValueError, match="axes must be"):
        memdata.from_xarray(xarray.Dataset(), axes="labels")
