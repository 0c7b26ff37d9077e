"""What suites of client packages check of trees, datasets, attributes and files."""

import copy
import datetime
import gc
import json
import os
import pickle
import warnings

import h5py
import numpy as np
import pytest
from caput import memdata
from caput.memdata import MemAttrs, MemDatasetCommon, MemDiskGroup, MemGroup, ro_dict


class Subclass(MemDiskGroup):
    """A container that must not be initialised from a file."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initialised = True


class TestRoDict:
    def test_reads(self):
        a = ro_dict({"a": 5, "b": np.arange(3)})
        assert a["a"] == 5
        assert list(a.keys()) == ["a", "b"]
        assert a == ro_dict({"a": 5, "b": np.arange(3)})
        with pytest.raises(TypeError):
            a["b"] = 6


class TestGroup:
    def test_nested(self):
        root = MemGroup()
        level1 = root.create_group("level1")
        level2 = level1.create_group("level2")
        assert root["level1"] == level1
        assert root["level1/level2"] == level2
        assert root["level1/level2"].name == "/level1/level2"
        assert level1.parent == root
        assert list(root) == ["level1"]
        assert isinstance(root, memdata._memh5._BaseGroup)

    def test_recursive_create(self):
        g = MemGroup()
        with pytest.raises(ValueError):
            g.create_group("")
        g2 = g.create_group("level2/")
        with pytest.raises(ValueError):
            g2.create_group("/")
        g2.create_group("/level22")
        assert set(g.keys()) == {"level22", "level2"}
        g.create_group("/a/b/c/d/")
        gd = g["/a/b/c/d/"]
        assert gd.name == "/a/b/c/d"

    def test_recursive_create_dataset(self):
        g = MemGroup()
        data = np.arange(10)
        g.create_dataset("a/ra", data=data)
        assert memdata.is_group(g["a"])
        assert np.all(g["a/ra"][:] == data)
        g["a"].create_dataset("/ra", data=data)
        assert np.all(g["ra"][:] == data)
        assert isinstance(g["a/ra"].parent, MemGroup)
        assert g["a"].get("nothing", 5) == 5
        assert "nothing" not in g
        with pytest.raises(KeyError):
            g["a/nothing"]
        with pytest.raises(KeyError):
            del g["nothing"]

    def test_attributes_of_the_same_object(self):
        g = MemGroup()
        g.create_dataset("a", data=np.arange(3))
        g["a"].attrs["x"] = 1
        assert g["a"].attrs == {"x": 1}
        assert isinstance(g["a"].attrs, MemAttrs)
        assert json.loads(json.dumps(g["a"].attrs)) == {"x": 1}

    def test_equality(self):
        g = MemGroup()
        d = g.create_dataset("d", data=np.arange(4.0))
        assert g == g["/"]
        assert d == g["d"]
        assert d != g.create_dataset("e", data=np.arange(4.0))
        assert g != MemGroup()
        assert d[:] == pytest.approx(np.arange(4.0))
        assert (d == np.arange(4.0)).all()
        np.testing.assert_array_equal(d, np.arange(4.0))
        np.testing.assert_allclose(d, d[:])

    def test_in_place(self):
        g = MemGroup()
        g.create_dataset("d", data=np.zeros((3, 4)))
        g["d"][:] = 1
        g["d"][...] += 1
        g["d"][1, 2:] *= 5
        g["d"][:, 0] = [7, 8, 9]
        assert g["d"][:].tolist() == [[7, 2, 2, 2], [8, 2, 10, 10], [9, 2, 2, 2]]
        assert [row.sum() for row in g["d"]] == [13, 30, 15]
        assert np.array(g["d"]).sum() == 58
        assert np.asarray(g["d"], dtype=int)[0, 0] == 7
        assert len(g["d"]) == 3
        assert str(g["d"].dtype) == "float64"
        assert g["d"].shape == (3, 4)

    def test_dataset_copy(self):
        x = MemDatasetCommon.from_numpy_array(np.arange(5))
        y = x.view()
        assert x is not y
        y[0] = 99
        assert x[0] == 99
        z = copy.deepcopy(x)
        z[1] = 77
        assert x[1] == 1
        with pytest.raises(TypeError):
            MemDatasetCommon.from_numpy_array([1, 2])
        with pytest.raises(NotImplementedError):
            x.resize((3,))

    def test_mpi_warnings(self):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            MemGroup().create_dataset("x", shape=(4,), distributed=True, distributed_axis=0)
        assert len(caught) == 1


class TestFiles:
    def test_h5_sanity(self, h5_file):
        with h5py.File(h5_file, "r") as f, h5py.File(h5_file, "r") as g:
            assert set(f) == set(g)
            m = MemGroup.from_group(f)
            assert set(m["level1"]) == set(f["level1"])
            assert dict(m.attrs) == dict(f.attrs)

    def test_to_and_from(self, h5_file, any_format):
        name, file_format = any_format
        m = MemGroup.from_hdf5(h5_file)
        assert m["level1/large"].attrs == {"b": 6}
        if file_format is memdata.fileformats.Zarr:
            del m["level1/level2/text"]  # zarr warns of byte strings
        m.to_file(name, file_format=file_format)
        again = MemGroup.from_file(name, file_format=file_format)
        assert list(again) == list(m)
        assert np.all(again["level1/large"][:] == m["level1/large"][:])
        assert again["level1/large"].attrs == m["level1/large"].attrs
        assert list(again["level1/level2"].attrs["small"]) == [0, 1, 2]
        if file_format is memdata.fileformats.Zarr:
            return
        assert again["level1/level2/text"].dtype == np.dtype("S3")
        text = MemGroup.from_file(name, convert_dataset_strings=True)["level1/level2/text"]
        assert text.dtype == np.dtype("U3")

    def test_selections(self, h5_file):
        m = MemGroup.from_hdf5(h5_file, selections={"/level1/large": slice(10, 20, 2)})
        assert m["level1/large"][:].tolist() == [10, 12, 14, 16, 18]

    def test_attributes(self, any_format):
        name, file_format = any_format
        m = MemGroup()
        now = datetime.datetime.now(tz=datetime.UTC)
        m.attrs.update(
            data={"when": now, "list": [1, 2], "float": np.float64(2.5)},
            text="test",
            integer=np.int64(3),
            strings=["a", "b"],
            truth=True,
        )
        m.to_file(name, file_format=file_format)
        found = MemGroup.from_file(name, file_format=file_format).attrs
        assert found["data"] == {"when": now.isoformat(), "list": [1, 2], "float": 2.5}
        assert found["text"] == "test"
        assert found["integer"] == 3
        assert list(found["strings"]) == ["a", "b"]
        assert found["truth"]

    def test_unicode_fails_without_conversion(self, any_format):
        name, file_format = any_format
        if file_format is not memdata.fileformats.HDF5:
            pytest.skip("zarr has unicode")
        m = MemGroup()
        m.create_dataset("text", data=np.array(["a", "b"]))
        with pytest.raises(TypeError):
            m.to_hdf5(name)
        m.to_hdf5(name, convert_dataset_strings=True)
        with h5py.File(name, "r") as f:
            assert f["text"].dtype == np.dtype("S1")

    def test_ondisk(self, h5_file):
        with MemDiskGroup.from_file(h5_file, ondisk=True) as f:
            assert f.ondisk
            assert f._data.file.mode == "r"
            assert isinstance(f["level1/large"], h5py.Dataset)
            memory = f.to_memory()
        assert not memory.ondisk
        assert memory["level1/large"][3] == 3
        gc.collect()
        with h5py.File(h5_file, "r+"):
            pass  # closed, and not locked any more

    def test_pickles(self, h5_file):
        m = MemGroup.from_hdf5(h5_file)
        again = pickle.loads(pickle.dumps(m))
        assert again["level1/large"].attrs == {"b": 6}
        assert again._storage_root == m._storage_root


class TestSubclasses:
    @pytest.mark.parametrize("ondisk", [False, True])
    def test_detected(self, any_format, ondisk):
        name, file_format = any_format
        made = Subclass()
        made.create_dataset("x", data=np.arange(4))
        made.save(name, file_format=file_format)
        found = MemDiskGroup.from_file(name, ondisk=ondisk, file_format=file_format)
        assert isinstance(found, Subclass)
        assert not hasattr(found, "initialised")
        found = MemDiskGroup.from_file(name, detect_subclass=False, file_format=file_format)
        assert type(found) is MemDiskGroup

    def test_files_are_where_they_should_be(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        made = MemDiskGroup()
        made.create_dataset("x", data=np.arange(4))
        made.save("here.h5")
        assert os.listdir(".") == ["here.h5"]
        made.to_disk("there.h5").close()
        assert sorted(os.listdir(".")) == ["here.h5", "there.h5"]


class TestLockFile:
    def test_appears_when_it_is_done(self, tmp_path):
        name = str(tmp_path / "file.h5")
        with memdata.lock_file(name) as temporary:
            assert os.path.basename(temporary) == ".file.h5"
            with open(temporary, "w") as f:
                f.write("x")
            assert not os.path.exists(name)
            assert os.path.exists(str(tmp_path / ".file.h5.lock"))
        assert os.listdir(tmp_path) == ["file.h5"]

    def test_nothing_is_left_of_a_failure(self, tmp_path):
        with pytest.raises(RuntimeError, match="mine"):
            with memdata.lock_file(str(tmp_path / "file.h5")) as temporary:
                open(temporary, "w").close()
                raise RuntimeError("mine")
        assert os.listdir(tmp_path) == []
