"""Datasets and attributes answer as h5py's do, and datasets as NumPy's arrays."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemGroup


class TestCreation:
    def test_properties_that_are_kept(self, h5: Any) -> None:
        d = h5.create_dataset(
            "x",
            (4, 6),
            dtype="i4",
            maxshape=(None, 12),
            chunks=(2, 3),
            fillvalue=5,
            shuffle=True,
            fletcher32=True,
            compression="gzip",
            compression_opts=3,
            fill_time="alloc",
            track_order=True,
        )
        assert (d.maxshape, d.chunks, d.fillvalue) == ((None, 12), (2, 3), 5)
        assert (d.shuffle, d.fletcher32, d.scaleoffset) == (True, True, None)
        assert (d.compression, d.compression_opts) == ("gzip", 3)
        assert (d[...] == 5).all()
        assert (d.ndim, d.size, d.nbytes, d.is_virtual) == (2, 24, 96, False)

    def test_defaults(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(3.0))
        assert (d.maxshape, d.chunks, d.shuffle, d.fletcher32) == ((3,), None, False, False)
        assert (d.scaleoffset, d.fillvalue, d.compression) == (None, 0.0, None)
        assert not d.is_scale

    def test_of_chunks_that_h5py_chooses(self, h5: Any) -> None:
        with h5py.File("other.h5", "w", driver="core", backing_store=False) as file:
            for number, kw in enumerate(
                (
                    {"chunks": True},
                    {"shuffle": True},
                    {"maxshape": (None, 40)},
                    {"fletcher32": True},
                )
            ):
                ours = h5.create_dataset(str(number), (300, 40), dtype="f8", **kw)
                assert ours.chunks == file.create_dataset(str(number), (300, 40), "f8", **kw).chunks

    @pytest.mark.parametrize(
        "kw",
        [
            {"maxshape": (2,)},
            {"maxshape": (None, None)},
            {"fill_time": "sometimes"},
            {"scaleoffset": -1},
            {"scaleoffset": 3, "fletcher32": True},
            {"compression": "gzip", "compression_opts": 14},
            {"compression": "lzf", "compression_opts": 1},
            {"compression_opts": 3},
            {"shuffle": True, "chunks": False},
            {"track_order": "yes"},
            {"nonsense": 1},
        ],
    )
    def test_what_is_refused(self, h5: Any, kw: dict[str, Any]) -> None:
        with pytest.raises((ValueError, TypeError)):
            h5.create_dataset("x", (3,), dtype="f8", **kw)
        assert "x" not in h5

    def test_without_a_name(self, h5: Any) -> None:
        if isinstance(h5, memdata.MemDiskGroup) and h5.ondisk:
            pytest.skip("names are what a container asks its hooks about")
        d = h5.create_dataset(None, data=np.arange(3))
        assert list(h5) == []
        h5["x"] = d
        assert h5["x"][:].tolist() == [0, 1, 2]

    def test_survives_copies(self) -> None:
        group = MemGroup()
        group.create_dataset("x", (3,), maxshape=(None,), chunks=(10,), fillvalue=2.0, shuffle=True)
        for twin in (copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
            assert twin["x"].maxshape == (None,)
            assert (twin["x"].chunks, twin["x"].fillvalue, twin["x"].shuffle) == ((10,), 2.0, True)
            twin["x"].resize((5,))
            assert twin["x"][:].tolist() == [2.0] * 5

    def test_distributed_datasets_keep_them_too(self) -> None:
        pytest.importorskip("mpi4py")
        group = MemGroup(distributed=True)
        d = group.create_dataset("x", (4,), distributed=True, distributed_axis=0, shuffle=True)
        assert d.shuffle
        assert d.redistribute(0) is None
        assert group["x"].shuffle


class TestResize:
    def test_within_maxshape(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(6).reshape(2, 3), maxshape=(None, 4))
        d.resize((3, 4))
        assert d[...].tolist() == [[0, 1, 2, 0], [3, 4, 5, 0], [0, 0, 0, 0]]
        d.resize(1, axis=0)
        assert h5["x"][...].tolist() == [[0, 1, 2, 0]]
        with pytest.raises((ValueError, RuntimeError)):
            d.resize((1, 5))
        with pytest.raises((ValueError, TypeError)):
            d.resize((1,))
        with pytest.raises(ValueError):
            d.resize(1, axis=2)
        assert d.shape == (1, 4)

    def test_what_comes_back_is_the_fill_value(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(6), maxshape=(None,), fillvalue=-1)
        d.resize((2,))
        d.resize((4,))
        assert d[:].tolist() == [0, 1, -1, -1]

    def test_appending_keeps_what_is_there(self, h5: Any) -> None:
        d = h5.create_dataset("x", (0, 2), dtype="i4", maxshape=(None, 2), chunks=(8, 2))
        for i in range(50):
            d.resize(i + 1, axis=0)
            d[i] = i
        assert (d[...] == np.arange(50)[:, None]).all()

    def test_without_maxshape(self) -> None:
        with pytest.raises(NotImplementedError, match="/x cannot be resized"):
            MemGroup().create_dataset("x", (3,)).resize((4,))

    def test_memory_of_others_is_not_grown_into(self) -> None:
        room = np.arange(10)
        d = MemGroup().create_dataset("x", data=room[:5], maxshape=(None,))
        d.resize((8,))
        assert room.tolist() == list(range(10))
        assert d[:].tolist() == [0, 1, 2, 3, 4, 0, 0, 0]


class TestReading:
    def test_in_chunks(self, h5: Any) -> None:
        d = h5.create_dataset("x", (5, 4), dtype="f4", chunks=(2, 3))
        for selection in (None, np.s_[1:4, 2:4], np.s_[2, 0:3]):
            with h5py.File("other.h5", "w", driver="core", backing_store=False) as file:
                wanted = file.create_dataset("x", (5, 4), dtype="f4", chunks=(2, 3))
                assert list(d.iter_chunks(selection)) == list(wanted.iter_chunks(selection))
        with pytest.raises(TypeError):
            h5.create_dataset("y", (2,), dtype="f4").iter_chunks()

    def test_as_another_type(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(4.0))
        assert d.astype("i2")[1:].dtype == np.dtype("i2")
        assert np.asarray(d.astype("i2")).tolist() == [0, 1, 2, 3]
        assert len(d.astype("i2")) == 4

    def test_as_str(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.array([b"a", b"bc"]))
        assert d.asstr()[:].tolist() == ["a", "bc"]
        assert d.asstr()[1] == "bc"
        with pytest.raises(TypeError):
            h5.create_dataset("y", data=np.arange(2)).asstr()

    def test_by_fields(self, h5: Any) -> None:
        data = np.array([(1, 2.0, b"a"), (3, 4.0, b"b")], [("i", "i4"), ("f", "f8"), ("s", "S1")])
        d = h5.create_dataset("x", data=data)
        assert d["f"].tolist() == [2.0, 4.0]
        assert d.fields("i")[1:].tolist() == [3]
        assert d.fields(["i", "s"])[:].tolist() == [(1, b"a"), (3, b"b")]
        assert d["i", 1] == 3
        with pytest.raises(ValueError):
            d.fields("nothing")
        d["f", 0] = 9.0
        assert d[0].tolist() == (1, 9.0, b"a")

    def test_directly(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(10))
        target = np.zeros((2, 3), int)
        d.read_direct(target, np.s_[2:5], np.s_[1, :])
        assert target.tolist() == [[0, 0, 0], [2, 3, 4]]
        d.write_direct(target, np.s_[1], np.s_[0:3])
        assert d[:4].tolist() == [2, 3, 4, 3]
        with pytest.raises(TypeError):
            d.read_direct(np.zeros(3, int), np.s_[0:5])

    def test_blocks(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(20).reshape(2, 10))
        index = h5py.MultiBlockSlice(start=1, stride=4, count=2, block=2)
        assert d[0, index].tolist() == [1, 2, 5, 6] or d[0, index].tolist() == [[1, 2, 5, 6]]
        d[1, index] = np.zeros(4, int)
        assert d[1].tolist() == [10, 0, 0, 13, 14, 0, 0, 17, 18, 19]

    def test_masks_and_lists(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(12).reshape(3, 4))
        assert d[[0, 2], 1:3].tolist() == [[1, 2], [9, 10]]
        assert d[np.array([True, False, True])].tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
        assert d[...].shape == d[()].shape == (3, 4)

    @pytest.mark.parametrize("index", ["nothing", (0, 0, 0), np.array([True]), 3.5], ids=repr)
    def test_an_index_that_fits_nothing(self, h5: Any, index: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(6).reshape(2, 3))
        with pytest.raises((TypeError, ValueError)):
            d[index]
        with pytest.raises((TypeError, ValueError)):
            d[...] = np.zeros(7)
        if isinstance(d, memdata.MemDataset):
            with pytest.raises(IndexError, match="/x: "):
                d[index]

    def test_a_scalar_has_nothing_to_index(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=1.5)
        for index in (0, slice(None), [0]):
            with pytest.raises(ValueError):
                d[index]

    def test_a_null_dataspace(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=h5py.Empty("f4"))
        assert (d.shape, d.dtype, d.maxshape) == (None, np.dtype("f4"), None)
        assert isinstance(d[()], h5py.Empty)
        assert d

    def test_arrays_of_variable_length(self, h5: Any) -> None:
        d = h5.create_dataset("x", (3,), dtype=h5py.vlen_dtype(np.float64))
        d[0] = [1, 2]
        d[1] = np.arange(3)
        assert d[0].tolist() == [1.0, 2.0]
        assert d[1].dtype == np.float64
        assert d[2].tolist() == []
        d[1:] = [[4.0], [5.0]]
        assert d[2].tolist() == [5.0]

    def test_enums(self, h5: Any) -> None:
        d = h5.create_dataset("x", (2,), dtype=h5py.enum_dtype({"OFF": 0, "ON": 1}))
        d[1] = 1
        assert h5py.check_enum_dtype(d.dtype) == {"OFF": 0, "ON": 1}
        assert d[:].tolist() == [0, 1]

    def test_regions(self, h5: Any) -> None:
        d = h5.create_dataset("x", data=np.arange(20).reshape(4, 5))
        reference = d.regionref[1:3, ::2]
        assert h5[reference].name == "/x"
        assert np.ravel(d[reference]).tolist() == [5, 7, 9, 10, 12, 14]
        assert d.regionref.shape(reference) == (4, 5)
        assert d.regionref.selection(reference) == (2, 3)

    def test_a_dataset_is_true_whatever_it_holds(self, h5: Any) -> None:
        assert h5.create_dataset("x", data=0)
        assert h5.create_dataset("y", (0,), dtype="f4")


class TestDimensions:
    def test_labels(self, h5: Any) -> None:
        d = h5.create_dataset("x", (2, 3), dtype="f4")
        assert [axis.label for axis in d.dims] == ["", ""]
        d.dims[1].label = "time"
        assert [axis.label for axis in h5["x"].dims] == ["", "time"]
        with pytest.raises(IndexError):
            d.dims[2]

    def test_scales(self, h5: Any) -> None:
        d = h5.create_dataset("x", (2, 3), dtype="f4")
        for name in ("time", "seconds"):
            h5[name] = np.arange(3.0)
            h5[name].make_scale(name)
            d.dims[1].attach_scale(h5[name])
        assert h5["time"].is_scale
        assert not d.is_scale
        assert (len(d.dims[0]), len(d.dims[1])) == (0, 2)
        assert d.dims[1].keys() == ["time", "seconds"]
        assert d.dims[1]["seconds"].name == d.dims[1][1].name == "/seconds"
        d.dims[1].detach_scale(h5["time"])
        assert [scale.name for scale in d.dims[1].values()] == ["/seconds"]
        with pytest.raises(KeyError):
            d.dims[1]["time"]

    def test_scales_of_a_file_are_those_of_the_tree(self, tmp_path: Any) -> None:
        group = MemGroup()
        d = group.create_dataset("x", (2, 3))
        group["time"] = np.arange(3.0)
        d.dims[1].attach_scale(group["time"])
        d.dims[0].label = "channel"
        group.to_hdf5(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            assert file["x"].dims[1][0].name == "/time"
            assert file["x"].dims[0].label == "channel"
        again = MemGroup.from_hdf5(tmp_path / "x.h5")
        assert again["x"].dims[1][0].name == "/time"
        assert again["x"].dims[0].label == "channel"


class TestAttributes:
    def test_with_a_shape_and_a_type(self, h5: Any) -> None:
        h5.attrs.create("x", [1, 2, 3, 4], shape=(2, 2), dtype="i2")
        assert h5.attrs["x"].tolist() == [[1, 2], [3, 4]]
        assert h5.attrs["x"].dtype == np.dtype("i2")
        with pytest.raises(ValueError):
            h5.attrs.create("y", [1, 2, 3], shape=(2,))
        assert "y" not in h5.attrs

    def test_changed_without_changing_their_type(self, h5: Any) -> None:
        h5.attrs["x"] = np.arange(3, dtype="i2")
        h5.attrs.modify("x", [7, 8, 9])
        assert h5.attrs["x"].dtype == np.dtype("i2")
        assert h5.attrs["x"].tolist() == [7, 8, 9]
        with pytest.raises(TypeError):
            h5.attrs.modify("x", [1, 2])
        h5.attrs.modify("new", 3)
        assert h5.attrs["new"] == 3

    def test_empty(self, h5: Any) -> None:
        h5.attrs["x"] = h5py.Empty("f4")
        assert h5.attrs["x"] == h5py.Empty("f4")
        with pytest.raises(OSError):
            h5.attrs.modify("x", 1)


class TestNumPy:
    @pytest.fixture
    def d(self) -> Any:
        return MemGroup().create_dataset("x", data=np.arange(6.0).reshape(2, 3))

    def test_arithmetic_is_that_of_the_data(self, d: Any) -> None:
        a = d.data
        for left, right in ((d, d), (d, 2.0), (2.0, d), (d, a), (a, d)):
            x, y = (v.data if v is d else v for v in (left, right))
            for got, wanted in (
                (left + right, x + y),
                (left - right, x - y),
                (left * right, x * y),
                (left**2, x**2),
                (left < right, x < y),
                (left >= right, x >= y),
            ):
                assert type(got) is type(wanted)
                np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(-d, -a)
        np.testing.assert_array_equal(d @ a.T, a @ a.T)
        assert float(MemGroup().create_dataset("y", data=2.5)) == 2.5

    def test_in_place_arithmetic_changes_the_data(self, d: Any) -> None:
        group = d.file
        group["x"] += 1
        group["x"] *= 2
        assert d[0].tolist() == [2.0, 4.0, 6.0]
        with pytest.raises(ValueError, match="already there"):
            group["x"] = d + 1

    def test_functions_compute_with_the_data(self, d: Any) -> None:
        np.testing.assert_array_equal(np.sqrt(d), np.sqrt(d.data))
        assert np.add.reduce(d, axis=None) == np.sum(d) == 15.0
        assert np.mean(d) == 2.5
        np.testing.assert_array_equal(np.concatenate([d, d]), np.concatenate([d.data] * 2))
        assert np.add(d, 1, out=d) is d
        assert d[0, 0] == 1.0
        out = np.empty((2, 3))
        np.multiply(d, d, out=out)
        assert out[1, 2] == 36.0

    def test_memory_is_shared(self, d: Any) -> None:
        assert np.shares_memory(np.asarray(d), d.data)
        assert memoryview(d.data).shape == (2, 3)
        special = MemGroup().create_dataset("x", (2,), dtype=h5py.enum_dtype({"ON": 1}))
        assert np.asarray(special).dtype.metadata == special.dtype.metadata
        assert not np.shares_memory(np.array(d, copy=True), d.data)
        assert np.asarray(d, dtype="f4").dtype == np.dtype("f4")

    def test_pandas_xarray_and_dask_take_them(self, d: Any) -> None:
        pandas = pytest.importorskip("pandas")
        assert pandas.DataFrame(d)[2].tolist() == [2.0, 5.0]
        xarray = pytest.importorskip("xarray")
        array = xarray.DataArray(d, dims=("a", "b"))
        assert np.shares_memory(array.values, d.data)
        dask = pytest.importorskip("dask.array")
        assert float(dask.from_array(d, chunks=(1, 3)).sum().compute()) == 15.0

    def test_distributed_datasets_are_operands_too(self) -> None:
        pytest.importorskip("mpi4py")
        group = MemGroup(distributed=True)
        d = group.create_dataset("x", (4,), distributed=True, distributed_axis=0)
        d += 2.0
        assert isinstance(d + 1, memdata.mpiarray.MPIArray)
        assert (d.local_data == 2.0).all()


def test_a_huge_dataset_costs_what_is_written() -> None:
    d = MemGroup().create_dataset("x", (1 << 34,), dtype="f4", maxshape=(None,))
    d[1 << 33] = 5
    assert d[(1 << 33) - 1 : (1 << 33) + 1].tolist() == [0.0, 5.0]
    assert len(d) == 1 << 34
