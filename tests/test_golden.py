"""Files as older programs wrote them: read, and written the same, down to types of attributes.

`tests/golden/make.py` says with h5py and zarr alone what is in them.
"""

from __future__ import annotations

import datetime
import importlib.util
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from memdata import MemDiskGroup, MemGroup
from memdata.fileformats import HDF5, Zarr
from memdata.mpiarray import MPIArray
from support import (
    assert_same_array,
    assert_same_attrs,
    assert_same_file,
    assert_same_tree,
    comm_world,
    filters,
    raw_attrs,
)

FOLDER = Path(__file__).resolve().parent / "golden"
_spec = importlib.util.spec_from_file_location("golden_make", FOLDER / "make.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

CONTENT = {
    "text": "grün",
    "integer": 7,
    "real": 2.5,
    "complex": 1 - 2j,
    "truth": True,
    "numbers": np.arange(3, dtype="i4"),
    "matrix": np.eye(2),
    "texts": np.array(["one", "zwölf"], object),
    "dict": {"name": "small", "dishes": [1, 2], "none": None, "deep": {"x": 1.5}},
    "dates": {"start": "2024-02-29T12:30:15", "list": ["2024-03-01T00:00:00"]},
    "date": "2024-02-29T12:30:15",
    "list_of_dicts": [{"a": 1}, {"b": [True, False]}],
    "empty_dict": {},
}
AXIS = np.array(["freq", "time"], object)


@pytest.mark.parametrize("name", [name for name in make.FILES if name.endswith(".h5")])
def test_the_script_makes_what_is_checked_in(name, tmp_path):
    if name == "bitshuffled.h5":
        pytest.importorskip("hdf5plugin")
    make.FILES[name](tmp_path / name)
    assert_same_file(tmp_path / name, FOLDER / name)


def test_the_script_knows_nothing_of_memdata():
    source = (FOLDER / "make.py").read_text()
    assert "import memdata" not in source.replace("may import memdata", "")
    assert "from memdata" not in source


class TestRead:
    def test_a_container(self):
        found = MemDiskGroup.from_file(FOLDER / "plain.h5")
        assert type(found) is MemDiskGroup
        assert_same_attrs(found.attrs, CONTENT, ignore=("__memh5_subclass",))
        assert list(found) == ["count", "empty", "flags", "index_map", "vis", "weight"]
        assert_same_array(found["vis"][:], make.VIS)
        assert_same_array(found["vis"].attrs["axis"], AXIS)
        assert found["vis"].chunks == (2, 3)
        assert found["weight"].chunks == (4, 2)
        assert (found["weight"].compression, found["weight"].compression_opts) == ("gzip", 3)
        assert_same_array(found["weight"][:], make.WEIGHT)
        assert found["index_map"].attrs == {"order": {"axes": ["freq", "time"]}}
        assert_same_array(found["index_map/freq"]["centre"], make.FREQ["centre"])
        assert_same_array(found["index_map/pol"][:], make.NAMES)
        assert_same_array(found["flags/good"][:], np.array([True, False, True, True]))
        assert found["count"][()] == 42
        assert len(found["empty"]) == 0

    def test_left_in_the_file(self):
        with MemDiskGroup.from_file(FOLDER / "plain.h5", ondisk=True) as found:
            assert_same_array(found["vis"][:], make.VIS)
            assert_same_attrs(found.to_memory().attrs, CONTENT, ignore=("__memh5_subclass",))

    def test_strings(self):
        found = MemGroup.from_file(FOLDER / "strings.h5")
        assert found.attrs["bytes"] == "some text"
        assert_same_array(found.attrs["list_of_bytes"], np.array(["east", "west"]))
        assert_same_array(found["fixed"][:], make.NAMES)
        assert_same_array(found["inside"][:], make.INPUTS)
        assert found["variable"][:].tolist() == [b"east", "grün".encode(), b""]
        assert found["scalar"][()] == b"one"

    def test_strings_left_as_bytes(self):
        found = MemGroup.from_file(FOLDER / "strings.h5", convert_attribute_strings=False)
        assert found.attrs["bytes"] == b"some text"
        assert_same_array(found.attrs["list_of_bytes"], np.array([b"east", b"west"]))
        assert found.attrs["text"] == "text"

    def test_strings_converted(self):
        found = MemGroup.from_file(FOLDER / "strings.h5", convert_dataset_strings=True)
        assert_same_array(found["fixed"][:], make.NAMES.astype("U"))
        assert found["inside"].dtype["correlator_input"] == np.dtype("U32")
        assert found["inside"][1]["correlator_input"] == "FCC1"
        assert found["variable"][:].tolist() == ["east", "grün", ""]
        assert found["scalar"][()] == "one"

    def test_bitshuffle(self):
        pytest.importorskip("hdf5plugin")
        found = MemGroup.from_file(FOLDER / "bitshuffled.h5")
        assert_same_array(found["vis"][:], make.VIS)
        assert_same_array(found["blocks"][:], make.WEIGHT)
        for name, options in (("vis", (0, 2)), ("blocks", (1024, 2))):
            filter_ = found[name].compression, found[name].compression_opts
            assert HDF5.compression_kwargs(*filter_) == {
                "compression": 32008,
                "compression_opts": options,
            }

    def test_zarr(self):
        pytest.importorskip("zarr")
        found = MemDiskGroup.from_file(FOLDER / "tree.zarr")
        assert_same_attrs(
            found.attrs,
            {
                "text": "grün",
                "integer": 7,
                "real": 2.5,
                "truth": True,
                "nothing": None,
                "numbers": [0, 1, 2],
                "texts": ["one", "zwölf"],
                "dict": {"name": "small", "dishes": [1, 2]},
            },
            ignore=("__memh5_subclass",),
        )
        assert_same_array(found["vis"][:], make.VIS)
        assert_same_array(found["weight"][:], make.WEIGHT)
        assert_same_array(found["index_map/pol"][:], make.NAMES)
        assert found["vis"].chunks == (2, 3)
        assert (found["weight"].compression, found["weight"].compression_opts) == ("gzip", 3)
        assert found["vis"].compression in ("bitshuffle", 32008, "32008")
        assert found["vis"].compression_opts[1] in (2, "lz4")
        assert found["vis"].attrs["axis"] == ["freq", "time"]
        assert len(found["empty"]) == 0

    @pytest.mark.parametrize("hints", [True, False])
    def test_distributed(self, hints):
        comm = comm_world()
        found = MemGroup.from_file(
            FOLDER / "distributed.h5", distributed=True, hints=hints, comm=comm
        )
        assert found["vis"].distributed is hints
        assert found["weight"].distributed is hints
        assert found["index_map/freq"].common
        if hints:
            assert (found["vis"].distributed_axis, found["weight"].distributed_axis) == (1, 0)
            assert_same_array(found["vis"].data.allgather(), make.VIS)

    def test_distributed_read_by_one_process(self):
        found = MemGroup.from_file(FOLDER / "distributed.h5")
        assert found["vis"].common
        assert_same_array(found["vis"][:], make.VIS)


class TestWritten:
    """What is saved is, for h5py, what the golden file is."""

    @pytest.mark.parametrize("name", ["plain.h5", "bitshuffled.h5", "strings.h5"])
    def test_there_and_back(self, name, tmp_path):
        if name == "bitshuffled.h5":
            pytest.importorskip("hdf5plugin")
        found = MemGroup.from_file(FOLDER / name, convert_attribute_strings=False)
        if "date" in found.attrs:  # a date comes back as text, and text is stored as text
            found.attrs["date"] = datetime.datetime.fromisoformat(found.attrs["date"])
        found.to_file(tmp_path / name, hints=False)
        assert_same_file(tmp_path / name, FOLDER / name)

    def test_made_from_nothing(self, tmp_path):
        made = MemDiskGroup()
        made.attrs.update(CONTENT, texts=["one", "zwölf"])
        made.create_dataset("vis", data=make.VIS, chunks=(2, 3))
        made.create_dataset(
            "weight", data=make.WEIGHT, chunks=(4, 2), compression="gzip", compression_opts=3
        )
        for name in ("vis", "weight"):
            made[name].attrs["axis"] = ("freq", "time")
        made.create_dataset("index_map/freq", data=make.FREQ)
        made.create_dataset("index_map/time", data=np.arange(6) * 10.0)
        made.create_dataset("index_map/pol", data=make.NAMES.astype("U"))
        made.create_dataset("index_map/input", data=make.INPUTS)
        made["index_map"].attrs["order"] = {"axes": ["freq", "time"]}
        made.create_dataset("flags/good", data=[True, False, True, True])
        made.create_dataset("count", data=42)
        made.create_group("empty")
        made.attrs["date"] = datetime.datetime.fromisoformat("2024-02-29T12:30:15")
        made.attrs["__memh5_subclass"] = "caput.memdata.MemDiskGroup"
        made.save(tmp_path / "x.h5", convert_dataset_strings=True)
        assert_same_file(tmp_path / "x.h5", FOLDER / "plain.h5")

    def test_bitshuffle_named_as_users_name_it(self, tmp_path):
        pytest.importorskip("hdf5plugin")
        made = MemGroup()
        made.create_dataset(
            "vis",
            data=make.VIS,
            chunks=(4, 3),
            compression="bitshuffle",
            compression_opts=(None, "lz4"),
        )
        made.create_dataset(
            "blocks",
            data=make.WEIGHT,
            chunks=(4, 6),
            compression=32008,
            compression_opts=(1024, "lz4"),
        )
        made.to_hdf5(tmp_path / "x.h5", hints=False)
        assert_same_file(tmp_path / "x.h5", FOLDER / "bitshuffled.h5")

    def test_the_class_of_a_container(self, tmp_path):
        MemDiskGroup().save(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            assert raw_attrs(file.attrs)["__memh5_subclass"][:2] == (
                h5py.check_string_dtype(make.TEXT),
                (),
            )
            name = file.attrs["__memh5_subclass"]
        assert name == "caput.memdata.MemDiskGroup"  # which older programs know too
        assert MemDiskGroup._resolve_subclass(name) is MemDiskGroup

    def test_distributed(self, tmp_path):
        comm = comm_world()
        made = MemDiskGroup(distributed=True, comm=comm)
        made.attrs["__memh5_subclass"] = "caput.memdata.MemDiskGroup"
        made.create_dataset("vis", data=MPIArray.wrap(make.VIS, axis=1, comm=comm))
        made["vis"].attrs["axis"] = ["freq", "time"]
        made.create_dataset("weight", data=MPIArray.wrap(make.WEIGHT, axis=0, comm=comm))
        made.create_dataset("index_map/freq", data=make.FREQ)
        made.save(tmp_path / "x.h5")
        assert_same_file(tmp_path / "x.h5", FOLDER / "distributed.h5")

    def test_zarr_there_and_back(self, tmp_path):
        zarr = pytest.importorskip("zarr")
        found = MemDiskGroup.from_file(FOLDER / "tree.zarr")
        found.save(tmp_path / "x.zarr", file_format=Zarr, zarr_format=2)
        one, other = (
            zarr.open_group(str(tmp_path / "x.zarr"), mode="r"),
            zarr.open_group(str(FOLDER / "tree.zarr"), mode="r"),
        )
        assert dict(one.attrs) == dict(other.attrs)
        for name in ("vis", "weight", "index_map/time", "index_map/pol"):
            assert_same_array(one[name][...], other[name][...])
            assert dict(one[name].attrs) == dict(other[name].attrs)
            assert one[name].chunks == other[name].chunks

    def test_from_format_to_format(self, tmp_path):
        pytest.importorskip("zarr")
        pytest.importorskip("hdf5plugin")
        found = MemDiskGroup.from_file(FOLDER / "tree.zarr")
        del found.attrs["nothing"]  # what HDF5 has not
        found.save(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            assert file.attrs["dict"] == make.JSON + '{"name": "small", "dishes": [1, 2]}'
            assert filters(file["vis"])[0][0] == 32008
            assert filters(file["weight"]) == [(1, (3,))]
        found = MemDiskGroup.from_file(FOLDER / "plain.h5")
        del found.attrs["complex"]  # what JSON has not
        for name in ("freq", "input", "pol"):  # types that zarr warns of
            del found[f"index_map/{name}"]
        found.save(tmp_path / "x.zarr", file_format=Zarr)
        again = MemDiskGroup.from_file(tmp_path / "x.zarr")
        assert again.attrs["dict"] == CONTENT["dict"]
        assert_same_array(again["weight"][:], make.WEIGHT)
        assert (again["weight"].compression, again["weight"].compression_opts) == ("gzip", 3)


def test_reading_leaves_the_files_as_they_are(tmp_path):
    before = {path: path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    copy = shutil.copytree(FOLDER, tmp_path / "golden")
    for name in ("plain.h5", "strings.h5", "distributed.h5"):
        MemDiskGroup.from_file(copy / name)
        MemDiskGroup.from_file(copy / name, ondisk=True).close()
        assert (copy / name).read_bytes() == before[FOLDER / name]
    assert_same_tree(MemGroup.from_file(copy / "plain.h5"), MemGroup.from_file(FOLDER / "plain.h5"))
