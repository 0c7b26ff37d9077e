"""Trees in zarr stores: formats 2 and 3, folders and zip files, every type, every kind of node."""

from __future__ import annotations

import datetime
import math
import os
import uuid
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from h5compare import differences
from memdata import MemDiskGroup, MemGroup, copyattrs, deep_group_copy
from memdata.fileformats import Zarr
from memdata.formats.references import ObjectReference
from memdata.mpiarray import MPIArray
from support import assert_same_array, assert_same_tree, fill, leftovers, open_descriptors
from zarr_support import (
    FORMATS,
    MAJOR,
    metadata,
    needs_format_3,
    open_plain,
    plain_array,
    zarr,
)

STORES = [(number, suffix) for number in FORMATS for suffix in (".zarr", ".zarr.zip")]


@pytest.fixture(params=FORMATS)
def zarr_format(request) -> int:
    return request.param


@pytest.fixture(params=STORES, ids=lambda store: f"{store[0]}{store[1]}")
def store(request, tmp_path) -> tuple[str, int]:
    """The name of a new store, and its format."""
    number, suffix = request.param
    return str(tmp_path / f"store{suffix}"), number


def there_and_back(tree: MemGroup, name: str, zarr_format: int, **options: Any) -> MemGroup:
    tree.to_file(name, zarr_format=zarr_format, **options)
    return MemGroup.from_file(name, convert_attribute_strings=False)


class TestStores:
    def test_a_tree_comes_back(self, tree, store):
        assert_same_tree(there_and_back(tree, *store), tree)

    def test_the_folder_has_the_format_asked_for(self, tree, tmp_path, zarr_format):
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        assert metadata(tmp_path / "x.zarr")["zarr_format"] == zarr_format
        assert metadata(tmp_path / "x.zarr" / "sky" / "map")["zarr_format"] == zarr_format

    def test_zarr_reads_it(self, tree, tmp_path, zarr_format):
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        group = open_plain(tmp_path / "x.zarr")
        np.testing.assert_array_equal(group["sky/map"][:], tree["sky/map"][:])
        assert group["time"].attrs["units"] == "s"
        assert group["answer"][()] == 42

    def test_what_zarr_writes_is_read(self, tmp_path, zarr_format):
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=zarr_format)
        group.attrs["a"] = [1, {"b": None}]
        data = np.arange(35.0).reshape(7, 5)
        plain_array(group.create_group("g"), "x", data, (3, 2))
        loaded = MemGroup.from_file(tmp_path / "x.zarr")
        assert loaded.attrs["a"] == [1, {"b": None}]
        assert_same_array(loaded["g/x"][:], data)
        assert loaded["g/x"].chunks == (3, 2)

    def test_a_zip_file_has_every_name_once(self, tree, tmp_path, zarr_format):
        name = tmp_path / "x.zarr.zip"
        tree.to_file(name, zarr_format=zarr_format)
        with zipfile.ZipFile(name) as file:
            names = file.namelist()
        assert len(names) == len(set(names))

    def test_an_unknown_format(self, tree, tmp_path):
        with pytest.raises(ValueError, match="zarr_format"):
            tree.to_file(tmp_path / "x.zarr", zarr_format=4)
        assert leftovers(tmp_path) == set()

    @pytest.mark.skipif(MAJOR >= 3, reason="zarr 3 has the format 3")
    def test_format_3_needs_zarr_3(self, tree, tmp_path):
        with pytest.raises(ValueError, match="zarr-python 3"):
            tree.to_file(tmp_path / "x.zarr", zarr_format=3)
        assert leftovers(tmp_path) == set()

    @pytest.mark.parametrize("separator", [".", "/"])
    def test_any_separator_of_chunks_is_read(self, tmp_path, separator):
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=2)
        data = np.arange(12).reshape(3, 4)
        if MAJOR < 3:
            group.create_dataset("x", data=data, chunks=(2, 2), dimension_separator=separator)
        else:
            encoding = {"name": "v2", "separator": separator}
            group.create_array("x", data=data, chunks=(2, 2), chunk_key_encoding=encoding)
        assert_same_array(MemGroup.from_file(tmp_path / "x.zarr")["x"][:], data)

    @needs_format_3
    def test_shards_are_read_and_copied(self, tmp_path):
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=3)
        data = np.arange(1000, dtype="f4").reshape(50, 20)
        group.create_array("x", data=data, chunks=(5, 5), shards=(20, 10))
        loaded = MemGroup.from_file(tmp_path / "x.zarr")
        assert_same_array(loaded["x"][:], data)
        assert loaded["x"].chunks == (5, 5)
        copy = open_plain(tmp_path / "y.zarr", "w", zarr_format=3)
        deep_group_copy(group, copy)
        assert copy["x"].shards == (20, 10)
        assert copy["x"].metadata.codecs == group["x"].metadata.codecs
        np.testing.assert_array_equal(copy["x"][:], data)

    def test_consolidated_metadata_are_written_and_read(self, tree, tmp_path, zarr_format):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format, consolidated=True)
        assert_same_tree(MemGroup.from_file(name), tree)
        if zarr_format == 2:
            assert (name / ".zmetadata").exists()
        else:
            assert metadata(name)["consolidated_metadata"]

    def test_consolidated_metadata_stay_true(self, tree, tmp_path, zarr_format):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format, consolidated=True)
        more = MemGroup()
        more.create_dataset("sky/more", data=[1, 2])
        more.to_file(name, mode="a")
        assert MemGroup.from_file(name)["sky/more"][:].tolist() == [1, 2]
        if MAJOR < 3:
            assert "more" in zarr.open_consolidated(str(name))["sky"]

    def test_adding_keeps_what_is_there(self, tree, store):
        name, zarr_format = store
        tree.to_file(name, zarr_format=zarr_format)
        more = MemGroup()
        more.attrs["more"] = 1
        more.create_dataset("sky/new", data=np.arange(3))
        more.to_file(name, mode="a")
        loaded = MemGroup.from_file(name)
        assert loaded.attrs == {"title": "a tree", "more": 1}
        assert set(loaded["sky"]) == {"map", "deep", "new"}

    def test_adding_in_another_format(self, tree, tmp_path):
        if MAJOR < 3:
            pytest.skip("zarr 2 has one format")
        tree.to_file(tmp_path / "x.zarr", zarr_format=2)
        with pytest.raises(ValueError, match="zarr_format=3"):
            tree.to_file(tmp_path / "x.zarr", mode="a", zarr_format=3)

    def test_nothing_stays_open(self, tree, store):
        before = open_descriptors()
        there_and_back(tree, *store)
        assert open_descriptors() <= before

    def test_stray_files_are_no_members(self, tree, tmp_path, zarr_format):
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        (tmp_path / "x.zarr" / "README.txt").write_text("hello")
        (tmp_path / "x.zarr" / "folder").mkdir()
        assert_same_tree(MemGroup.from_file(tmp_path / "x.zarr"), tree)

    def test_a_broken_member_does_not_hide_the_others(self, tree, tmp_path, zarr_format):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format)
        broken = name / "time" / (".zarray" if zarr_format == 2 else "zarr.json")
        broken.write_text("{")
        with pytest.warns(UserWarning, match="/time"):
            loaded = MemGroup.from_file(name)
        assert set(loaded) == {"sky", "empty", "answer"}


class TestContainers:
    def test_save_and_load(self, store):
        name, zarr_format = store
        container = fill(MemDiskGroup())
        container.save(name, file_format=Zarr, zarr_format=zarr_format)
        loaded = MemDiskGroup.from_file(name)
        assert_same_tree(loaded, container, ignore=("__memh5_subclass",))

    def test_to_disk_and_to_memory(self, store):
        name, zarr_format = store
        container = fill(MemDiskGroup())
        with container.to_disk(name, file_format=Zarr, zarr_format=zarr_format) as disk:
            assert disk.ondisk
            back = disk.to_memory()
        assert_same_tree(back, container, ignore=("__memh5_subclass",))

    def test_left_on_disk(self, store):
        name, zarr_format = store
        fill(MemGroup()).to_file(name, zarr_format=zarr_format)
        with MemDiskGroup.from_file(name, ondisk=True) as container:
            assert container["sky/map"][1].tolist() == [4.0, 5.0, 6.0, 7.0]
            assert container["time"].attrs["units"] == "s"

    def test_making_things_on_disk(self, tmp_path):
        with MemDiskGroup(tmp_path / "x.zarr") as container:
            container.create_group("g")
            container.create_dataset(
                "g/x", data=np.arange(10.0), chunks=(4,), compression="gzip", compression_opts=3
            )
            container.create_dataset("y", (3,), "i4")
            container.flush()
        loaded = MemGroup.from_file(tmp_path / "x.zarr")
        assert_same_array(loaded["g/x"][:], np.arange(10.0))
        assert (loaded["g/x"].compression, loaded["g/x"].compression_opts) == ("gzip", 3)
        assert loaded["y"][:].tolist() == [0, 0, 0]

    def test_from_an_open_group(self, tree, tmp_path, zarr_format):
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        group = open_plain(tmp_path / "x.zarr")
        assert_same_tree(MemDiskGroup.from_file(group), tree)
        assert_same_tree(MemGroup.from_group(group["sky"]), tree["sky"])

    def test_selections(self, tree, store):
        name, zarr_format = store
        tree.create_dataset("big", data=np.arange(60_000.0).reshape(300, 200), chunks=(70, 64))
        tree.to_file(name, zarr_format=zarr_format)
        whole = tree["big"][:]
        for index in [
            np.s_[3:250:7, ::-1],
            np.s_[[5, 1, 299], 10:20],
            np.s_[:, [3, 3, 150]],
            np.s_[-1],
            np.s_[[0, 250, 299], [1, 2, 199]],
            np.s_[..., 4],
            np.s_[0:0],
            whole[:, 0] % 3 == 0,
        ]:
            loaded = MemGroup.from_file(name, selections={"big": index})
            assert_same_array(loaded["big"][:], whole[index])


class TestCopies:
    @pytest.fixture
    def groups(self, tmp_path, zarr_format):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            yield {
                "memory": MemGroup,
                "h5py": lambda: file.create_group(str(len(file))),
                "zarr": lambda: open_plain(
                    tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr",
                    "w",
                    zarr_format=zarr_format,
                ),
            }

    @pytest.mark.parametrize("target", ["memory", "h5py", "zarr"])
    @pytest.mark.parametrize("source", ["memory", "h5py", "zarr"])
    def test_any_to_any(self, tree, groups, source, target):
        tree["sky/map"].chunks = (2, 2)
        first, second = groups[source](), groups[target]()
        deep_group_copy(tree, first)
        assert deep_group_copy(first, second) == []
        assert_same_tree(MemGroup.from_group(second), tree)

    def test_postprocess_is_called_for_every_member(self, tree, groups):
        tree["sky/link"] = h5py.SoftLink("/time")
        tree._get_storage()["again"] = tree._get_storage()["sky"]
        target, called = groups["zarr"](), []
        deep_group_copy(tree, target, postprocess=lambda one, other: called.append(other.name))
        assert sorted(called) == sorted(["/", *_paths(target)])

    def test_into_a_subgroup(self, tree, groups):
        target = groups["zarr"]()
        deep_group_copy(tree["sky"], target.create_group("a/b"))
        assert_same_tree(MemGroup.from_group(target["a/b"]), tree["sky"])

    def test_names_that_are_taken(self, tree, groups):
        target = groups["zarr"]()
        target.create_group("time")
        with pytest.raises(ValueError, match="/time"):
            deep_group_copy(tree, target)
        assert list(target) == ["time"]


SIMPLE = ["?", "i1", "u2", "<i4", ">i4", "u8", ">u8", "f2", "f4", ">f8", "c8", ">c16", "S1", "S7"]
TIMES = [
    f"{order}{kind}8[{unit}]" for order in "<>" for kind in "Mm" for unit in ("ns", "25s", "Y")
]
ODD = [
    "g",
    "G",
    "M8",
    "m8",
    "V5",
    [("a", "i4"), ("b", "S2")],
    [("a", ">i4"), ("b", "f8")],
    [("a", [("c", "f4", (2,)), ("d", ">i2")]), ("b", "M8[s]")],
    {"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [3, 8], "itemsize": 20},
    {"names": ["b", "a"], "formats": ["i1", "f8"], "offsets": [8, 0]},
]


class TestTypes:
    @pytest.fixture
    def back(self, store):
        def back(array: Any, **options: Any) -> Any:
            tree = MemGroup()
            tree.create_dataset("x", data=array, **options)
            return there_and_back(tree, *store)["x"]

        return back

    @pytest.mark.parametrize("dtype", [*SIMPLE, *TIMES, *ODD], ids=str)
    def test_bits_come_back(self, back, dtype):
        dtype = np.dtype(dtype)
        size = dtype.itemsize
        raw = np.random.default_rng(1).integers(0, 256, (3, 5, size), dtype=np.uint8)
        if dtype.kind == "b":
            raw %= 2
        if dtype.char in "gG":
            array = (raw[..., 0].astype(dtype) / 3).astype(dtype)
        else:
            array = raw.reshape(3, -1).view(dtype)
        if dtype.kind == "S":
            array[...] = [b"a", b"", b"b" * size, b"c", b"d"]
        found = back(array, chunks=(2, 2))[:]
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        if dtype.fields is None:
            assert found.tobytes() == array.tobytes()
        else:
            assert repr(found.tolist()) == repr(array.tolist())

    def test_floats_that_are_equal_to_the_fill_value(self, back):
        array = np.array([-0.0, -0.0, 0.0, np.nan])
        assert back(array, chunks=(2,))[:].tobytes() == array.tobytes()

    @pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1, 1), (0, 5)], ids=str)
    def test_any_shape(self, back, shape):
        array = np.full(shape, 3, "i2")
        assert_same_array(back(array)[()], array)

    @pytest.mark.parametrize("chunks", [None, (3, 4), (2, 4)], ids=str)
    def test_chunks_or_none(self, back, chunks):
        assert back(np.arange(12).reshape(3, 4), chunks=chunks).chunks == chunks

    @pytest.mark.parametrize("missing", ["none", "nan", "no"])
    def test_string_dtype(self, back, missing):
        options = {"none": {"na_object": None}, "nan": {"na_object": math.nan}, "no": {}}[missing]
        dtype = np.dtypes.StringDType(**options)
        texts: list[Any] = ["", "æ\0ø", "x" * 1000]
        if options:
            texts.append(options["na_object"])
        found = back(np.array(texts, dtype))[:]
        assert found.dtype == dtype
        assert list(map(repr, found.tolist())) == list(map(repr, texts))

    def test_text_objects(self, back):
        texts = np.array([["a", "é"], ["", "x" * 300]], dtype=object)
        found = back(texts)[:]
        assert found.tolist() == texts.tolist()
        assert h5py.check_string_dtype(found.dtype).encoding == "utf-8"

    def test_text_as_h5py_reads_it(self, back):
        texts = np.array([b"a", "é".encode()], dtype=h5py.string_dtype())
        found = back(texts)[:]
        assert found.tolist() == texts.tolist()
        assert h5py.check_string_dtype(found.dtype).encoding == "utf-8"

    def test_bytes_objects(self, back):
        items = np.array([b"a", b"", b"\xff\x00\xfe"], dtype=h5py.string_dtype("ascii"))
        found = back(items)[:]
        assert found.tolist() == items.tolist()

    def test_ragged_arrays(self, back):
        items = np.empty(3, h5py.vlen_dtype(">f4"))
        items[:] = [np.array([1, 2], ">f4"), np.array([], ">f4"), np.array([3], ">f4")]
        found = back(items)[:]
        assert h5py.check_vlen_dtype(found.dtype) == np.dtype(">f4")
        for one, other in zip(found, items, strict=True):
            assert_same_array(one, other)

    def test_enumerations(self, back):
        dtype = h5py.enum_dtype({"RED": 0, "GREEN": 42}, "u1")
        found = back(np.array([0, 42], dtype))[:]
        assert h5py.check_enum_dtype(found.dtype) == {"RED": 0, "GREEN": 42}
        assert found.tolist() == [0, 42]

    def test_references(self, back):
        items = np.empty(2, h5py.ref_dtype)
        items[:] = [ObjectReference("/x"), ObjectReference()]
        assert back(items)[:].tolist() == items.tolist()

    def test_objects_in_fields_and_in_ragged_arrays(self, back):
        text, numbers = h5py.string_dtype(), h5py.vlen_dtype(np.dtype("f4"))
        dtype = np.dtype([("t", text), ("n", numbers), ("r", h5py.ref_dtype), ("x", ">c8", (2,))])
        items = np.zeros(2, dtype)
        items[0] = ("é", np.array([1, np.nan], "f4"), ObjectReference("/x"), [1j, 2])
        items[1] = (b"\xff", np.array([], "f4"), ObjectReference(), [0, 3])
        found = back(items)[:]
        assert found.dtype == dtype
        assert repr(found.tolist()) == repr(items.tolist())
        words = np.empty(2, h5py.vlen_dtype(text))
        words[:] = [np.array(["a", "b"], object), np.array([], object)]
        assert [one.tolist() for one in back(words)[:]] == [["a", "b"], []]

    def test_dimension_scales(self, tmp_path, store):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"], file["y"] = np.zeros((2, 3)), np.arange(2.0)
            file["y"].make_scale("y")
            file["x"].dims[0].attach_scale(file["y"])
        tree = MemGroup.from_file(tmp_path / "x.h5")
        loaded = there_and_back(tree, *store)
        assert loaded["x"].attrs["DIMENSION_LIST"][0][0] == ObjectReference("/y")
        for name in ("x", "y"):
            assert repr(dict(loaded[name].attrs)) == repr(dict(tree[name].attrs))

    def test_null_dataspaces(self, tmp_path, store):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = h5py.Empty("f4")
        tree = MemGroup.from_file(tmp_path / "x.h5")
        found = there_and_back(tree, *store)["x"]
        assert found.shape is None
        assert found.dtype == np.dtype("f4")

    def test_types_of_ml_dtypes(self, back):
        ml_dtypes = pytest.importorskip("ml_dtypes")
        array = np.array([1.5, -2.0, np.inf], ml_dtypes.bfloat16)
        found = back(array)[:]
        assert found.dtype == array.dtype
        assert found.tobytes() == array.tobytes()

    def test_unicode_needs_the_option(self, tmp_path, store):
        tree = MemGroup()
        tree.create_dataset("g/x", data=np.array(["a", "bc"]))
        name, zarr_format = store
        with pytest.raises(TypeError, match="/g/x"):
            tree.to_file(name, zarr_format=zarr_format)
        assert leftovers(tmp_path) == set()
        tree.to_file(name, zarr_format=zarr_format, convert_dataset_strings=True)
        loaded = MemGroup.from_file(name, convert_dataset_strings=True)
        assert_same_array(loaded["g/x"][:], tree["g/x"][:])

    def test_unicode_of_a_store_stays(self, tmp_path):
        texts = np.array(["a", "grün"])
        plain_array(open_plain(tmp_path / "x.zarr", "w", zarr_format=2), "x", texts)
        loaded = MemGroup.from_file(tmp_path / "x.zarr")
        loaded.to_file(tmp_path / "y.zarr", zarr_format=2)
        assert_same_array(open_plain(tmp_path / "y.zarr")["x"][:], texts)
        with pytest.raises(TypeError, match="/x"):
            loaded.to_hdf5(tmp_path / "y.h5")

    @pytest.mark.parametrize(
        "array",
        [
            np.array([object()]),
            np.array(["a", b"b"], dtype=object),
            np.zeros(2, np.dtype([])),
            np.zeros(2, [("a", "O")]),
            np.array([object()], h5py.ref_dtype),
        ],
        ids=["objects", "mixed", "empty", "fields", "no references"],
    )
    def test_what_cannot_be_stored(self, tmp_path, store, array):
        tree = MemGroup()
        tree.create_dataset("g/x", data=array)
        with pytest.raises(TypeError, match="/g/x"):
            tree.to_file(store[0], zarr_format=store[1])
        assert leftovers(tmp_path) == set()

    @settings(max_examples=25)
    @given(
        array=hnp.arrays(
            hnp.integer_dtypes(endianness="?")
            | hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64))
            | hnp.complex_number_dtypes(endianness="?", sizes=(64, 128))
            | hnp.datetime64_dtypes(endianness="?")
            | hnp.timedelta64_dtypes(endianness="?")
            | hnp.array_dtypes(allow_subarrays=True, max_size=3).filter(
                lambda dtype: dtype.itemsize > 0 and not _has_unicode(dtype)
            ),
            hnp.array_shapes(min_dims=0, min_side=0, max_side=4),
        ),
        number=st.sampled_from(FORMATS),
    )
    def test_any_array(self, tmp_path_factory, array, number):
        if any(text in str(array.dtype.descr) for text in ("S0", "V0")):
            return
        tree = MemGroup()
        tree.create_dataset("x", data=array)
        name = str(tmp_path_factory.mktemp("any") / "x.zarr")
        found = there_and_back(tree, name, number)["x"].data
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        assert repr(found.tolist()) == repr(array.tolist())


def _paths(group: Any) -> list[str]:
    """Paths of all members, as zarr sees them."""
    found = []
    for _, member in [*group.groups(), *group.arrays()]:
        found.append(member.name)
        if hasattr(member, "create_group"):
            found += _paths(member)
    return found


def _has_unicode(dtype: np.dtype[Any]) -> bool:
    return "U" in str(dtype.descr) or "S0" in str(dtype.descr)


ATTRIBUTES: dict[str, Any] = {
    "none": None,
    "bool": True,
    "big": 10**40,
    "nan": math.nan,
    "inf": -math.inf,
    "complex": 1 + 2j,
    "complex nan": complex(math.nan, -math.inf),
    "text": "é\0" * 40_000,
    "bytes": b"\xff\xfe\x00",
    "bytes with nul": b"a\x00b",
    "uuid": uuid.UUID(int=5),
    "list": [1, "a", None, [math.nan, 2j], True],
    "dict": {"a": {"b": [1, None]}},
    "array": np.arange(6.0).reshape(2, 3).astype(">f4"),
    "array of nan": np.array([np.nan, np.inf, -0.0]),
    "complex array": np.array([1 + 1j, complex(np.inf, np.nan)]),
    "bools": np.array([True, False]),
    "empty": np.zeros((0, 3), "u1"),
    "scalar array": np.array(3, "i2"),
    "dates": np.array(["2020-01-01", "NaT"], "M8[D]"),
    "delta": np.timedelta64(5, "s"),
    "long": np.longdouble(1) / 3,
    "longs": np.array([1, 2], np.longdouble) / 3,
    "structured": np.array([(1, b"a")], [("x", ">i4"), ("y", "S3")]),
    "null": h5py.Empty("f4"),
    "reference": ObjectReference("/time"),
}


class TestFromHDF5AndBack:
    def test_exact_types_of_numbers_among_attributes(self, tmp_path, store):
        with h5py.File(tmp_path / "one.h5", "w") as file:
            for owner in (file, file.create_group("g"), file.create_dataset("x", data=[1])):
                owner.attrs["short"] = np.int16(3)
                owner.attrs.create("swapped", [1, 2], dtype=">u4")
                owner.attrs["single"] = np.float32(np.nan)
        there_and_back(MemGroup.from_hdf5(tmp_path / "one.h5"), *store).to_hdf5(tmp_path / "two.h5")
        with h5py.File(tmp_path / "one.h5") as one, h5py.File(tmp_path / "two.h5") as two:
            assert differences(one, two, storage=False) == []

    def test_a_changed_attribute_is_what_it_is_now(self, tmp_path, store):
        with h5py.File(tmp_path / "one.h5", "w") as file:
            file.attrs["short"] = np.int16(3)
        loaded = there_and_back(MemGroup.from_hdf5(tmp_path / "one.h5"), *store)
        loaded.attrs["short"] = 2.5
        loaded.to_hdf5(tmp_path / "two.h5")
        assert MemGroup.from_hdf5(tmp_path / "two.h5").attrs["short"] == 2.5

    def test_order_of_creation(self, tmp_path, store):
        with h5py.File(tmp_path / "one.h5", "w", track_order=True) as file:
            for name in ("z", "a", "y", "b"):
                file.create_group(name, track_order=True)["later"] = 1
                file[name]["earlier"] = 2
        loaded = there_and_back(MemGroup.from_hdf5(tmp_path / "one.h5"), *store)
        assert list(loaded) == ["z", "a", "y", "b"]
        assert list(loaded["y"]) == ["later", "earlier"]
        loaded.to_hdf5(tmp_path / "two.h5")
        with h5py.File(tmp_path / "two.h5") as file:
            assert list(file) == ["z", "a", "y", "b"]


class TestAttributes:
    @pytest.mark.parametrize("name", ATTRIBUTES)
    def test_there_and_back(self, store, name):
        value = ATTRIBUTES[name]
        tree = MemGroup()
        tree.create_dataset("g/x", data=[1]).attrs["a"] = value
        tree["g"].attrs["a"] = value
        tree.attrs["a"] = value
        loaded = there_and_back(tree, *store, convert_attribute_strings=True)
        for found in (loaded.attrs["a"], loaded["g"].attrs["a"], loaded["g/x"].attrs["a"]):
            if isinstance(value, np.ndarray):
                assert found.dtype == value.dtype
                assert found.shape == value.shape
                np.testing.assert_array_equal(found, value)
            else:
                assert type(found) is type(value)
                assert repr(found) == repr(value)
        assert set(loaded.attrs) == set(loaded["g/x"].attrs) == {"a"}

    def test_what_is_written_is_strict_json(self, tmp_path, zarr_format):
        tree = MemGroup()
        tree.attrs.update(ATTRIBUTES)
        tree.create_dataset("x", data=[math.nan]).attrs.update(ATTRIBUTES)
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        assert metadata(tmp_path / "x.zarr")
        assert metadata(tmp_path / "x.zarr" / "x")

    def test_zarr_shows_something_sensible(self, tmp_path, zarr_format):
        tree = MemGroup()
        tree.attrs.update(ATTRIBUTES)
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        attrs = open_plain(tmp_path / "x.zarr").attrs
        assert attrs["array"] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        assert attrs["nan"] == "NaN"
        assert attrs["dict"] == '!!_memh5_json:{"a": {"b": [1, null]}}'

    def test_dates_become_text(self, store):
        moment = datetime.datetime(2020, 1, 2, 3, 4, 5)  # noqa: DTZ001
        tree = MemGroup()
        tree.attrs["a"] = [moment, {"b": moment}]
        loaded = there_and_back(tree, *store)
        assert loaded.attrs["a"] == [moment.isoformat(), {"b": moment.isoformat()}]

    def test_a_value_that_another_program_changed(self, tmp_path, zarr_format):
        tree = MemGroup()
        tree.attrs["a"] = np.arange(3)
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        open_plain(tmp_path / "x.zarr", "r+").attrs["a"] = "text"
        assert MemGroup.from_file(tmp_path / "x.zarr").attrs == {"a": "text"}

    def test_copying_replaces_what_was_there(self, tmp_path, zarr_format):
        attrs = open_plain(tmp_path / "x.zarr", "w", zarr_format=zarr_format).attrs
        copyattrs({"a": np.arange(3), "b": 1j}, attrs)
        copyattrs({"a": [1, 2]}, attrs)
        found: dict[str, Any] = {}
        copyattrs(attrs, found)
        assert found == {"a": [1, 2], "b": 1j}

    @pytest.mark.parametrize("value", [object(), {1, 2}, len, np.array([object()])], ids=repr)
    def test_what_cannot_be_written(self, tmp_path, store, value):
        tree = MemGroup()
        tree.create_dataset("g/x", data=[1]).attrs["a"] = value
        with pytest.raises(TypeError, match=r"/g/x.*'a'"):
            tree.to_file(store[0], zarr_format=store[1])
        assert leftovers(tmp_path) == set()

    def test_many_and_large(self, store):
        tree = MemGroup()
        tree.attrs.update({f"a{number}": number for number in range(3500)})
        tree.create_group("g").attrs["large"] = "x" * (4 << 20)
        assert_same_tree(there_and_back(tree, *store), tree)


class TestLinks:
    def test_two_names_of_one_dataset(self, store):
        tree = MemGroup()
        tree.create_dataset("g/x", data=np.arange(3))
        tree._get_storage()["g"]["y"] = tree._get_storage()["g"]["x"]
        tree._get_storage()["h"] = tree._get_storage()["g"]
        loaded = there_and_back(tree, *store)
        loaded["g/x"][0] = 7
        assert loaded["g/y"][0] == loaded["h/x"][0] == loaded["h/y"][0] == 7

    def test_soft_and_external_links(self, store):
        tree = MemGroup()
        tree.create_dataset("g/x", data=np.arange(3))
        tree["g/soft"] = h5py.SoftLink("/g/x")
        tree["dangling"] = h5py.SoftLink("/nowhere")
        tree["external"] = h5py.ExternalLink("other.h5", "/a/b")
        loaded = there_and_back(tree, *store)._get_storage()
        assert dict.__getitem__(loaded["g"], "soft").path == "/g/x"
        assert dict.__getitem__(loaded, "dangling").path == "/nowhere"
        found = dict.__getitem__(loaded, "external")
        assert (found.filename, found.path) == ("other.h5", "/a/b")

    def test_a_circle_of_groups(self, store):
        tree = MemGroup()
        inner = tree.create_group("g/h")
        inner.attrs["a"] = 1
        tree._get_storage()["g"]["h"]["back"] = tree._get_storage()["g"]
        loaded = there_and_back(tree, *store)
        assert loaded["g/h/back/h/back/h"].attrs == {"a": 1}

    def test_named_types(self, store):
        tree = MemGroup()
        tree["t"] = np.dtype([("a", ">i4"), ("b", "f8", (2,))])
        tree["t"].attrs["a"] = 1j
        loaded = there_and_back(tree, *store)
        assert loaded["t"].dtype == tree["t"].dtype
        assert loaded["t"].attrs == {"a": 1j}

    def test_links_that_other_programs_wrote(self, tmp_path, zarr_format):
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=zarr_format)
        links = {"a": {"hard": "/nowhere"}, "b": 1, "..": {"soft": "x"}, "c": {"type": "O"}}
        group.attrs["__memdata_links"] = links
        with pytest.warns(UserWarning, match="/a") as caught:
            assert dict(MemGroup.from_file(tmp_path / "x.zarr")) == {}
        for name in links:
            assert f"/{name}: " in str(caught[0].message)


class TestHowArraysAreMade:
    def test_hdf5_to_zarr_and_back(self, tmp_path, store):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset(
                "x",
                data=np.arange(20.0).reshape(4, 5),
                chunks=(2, 3),
                maxshape=(None, 5),
                fillvalue=-1.5,
                shuffle=True,
                fletcher32=True,
                compression="gzip",
            )
            file.create_dataset("y", (3,), "i2", fillvalue=7)
            file["z"] = 3.5
        there_and_back(MemGroup.from_file(tmp_path / "x.h5"), *store).to_file(tmp_path / "y.h5")
        properties = ("chunks", "maxshape", "fillvalue", "shuffle", "fletcher32", "compression")
        with h5py.File(tmp_path / "x.h5") as file, h5py.File(tmp_path / "y.h5") as back:
            for name in file:
                np.testing.assert_array_equal(back[name][()], file[name][()])
                for what in properties:
                    assert getattr(back[name], what) == getattr(file[name], what)

    def test_fill_values_are_zarrs(self, tmp_path, zarr_format):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("x", (3,), "i2", fillvalue=7)
        tree = MemGroup.from_file(tmp_path / "x.h5")
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        assert open_plain(tmp_path / "x.zarr")["x"].fill_value == 7

    def test_fill_values_of_zarr(self, tmp_path, zarr_format):
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=zarr_format)
        make = group.create_dataset if MAJOR < 3 else group.create_array
        make("x", shape=(4,), chunks=(2,), dtype="f4", fill_value=2.5)
        loaded = MemGroup.from_file(tmp_path / "x.zarr")
        assert loaded["x"][:].tolist() == [2.5] * 4
        loaded.to_file(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            assert file["x"].fillvalue == 2.5

    @pytest.mark.parametrize("dtype", ["i4", "f8", "S3", "U3", "bool"])
    @pytest.mark.parametrize("chunks", [2, 4])
    def test_no_fill_value_stays_none(self, tmp_path, dtype, chunks):
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=2)
        make = group.create_dataset if MAJOR < 3 else group.create_array
        array = make("x", shape=(4,), chunks=(chunks,), dtype=dtype, fill_value=None)
        array[:] = np.arange(4).astype(dtype)
        loaded = MemGroup.from_file(tmp_path / "x.zarr")
        loaded.copy("x", "copy")
        loaded.to_file(tmp_path / "y.zarr", zarr_format=2)
        with MemDiskGroup.from_file(tmp_path / "x.zarr", ondisk=True) as disk:
            disk.save(tmp_path / "z.zarr", file_format=Zarr, zarr_format=2)
        for name in ("x", "y", "z"):
            back = open_plain(tmp_path / f"{name}.zarr")["x"]
            assert back.fill_value is None, name
            assert back[:].tolist() == array[:].tolist()
        assert open_plain(tmp_path / "y.zarr")["copy"].fill_value is None

    def test_no_fill_value_is_the_default_elsewhere(self, tmp_path):
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=2)
        make = group.create_dataset if MAJOR < 3 else group.create_array
        make("x", shape=(4,), chunks=(2,), dtype="i4", fill_value=None)[:] = np.arange(4)
        loaded = MemGroup.from_file(tmp_path / "x.zarr")
        assert loaded["x"].fillvalue == 0
        loaded.to_file(tmp_path / "x.h5")
        assert MemGroup.from_file(tmp_path / "x.h5")["x"][:].tolist() == [0, 1, 2, 3]
        if MAJOR >= 3:
            loaded.to_file(tmp_path / "y.zarr", zarr_format=3)
            assert open_plain(tmp_path / "y.zarr")["x"].fill_value == 0

    @pytest.mark.parametrize("value", [7, -1.5, -0.0, np.nan, np.inf])
    def test_what_zarr_has_is_no_attribute(self, tmp_path, zarr_format, value):
        group = MemGroup()
        group.create_dataset("x", shape=(3,), dtype="f8", fillvalue=value)
        group.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        if MAJOR >= 3 or value != 0:  # zarr-python 2 takes any zero for 0
            assert dict(open_plain(tmp_path / "x.zarr")["x"].attrs) == {}
        back = MemGroup.from_file(tmp_path / "x.zarr")["x"].fillvalue
        assert np.float64(back).tobytes() == np.float64(value).tobytes()

    def test_fill_values_that_zarr_has_not_are_kept(self, tmp_path, zarr_format):
        group = MemGroup()
        group.create_dataset("y", shape=(3,), dtype="S2", fillvalue=b"ab")
        group.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        MemGroup.from_file(tmp_path / "x.zarr").to_file(tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5") as file:
            assert file["y"].fillvalue == b"ab"

    @needs_format_3
    def test_shards_and_codecs_go_through_memory(self, tmp_path):
        from zarr.codecs import Crc32cCodec, TransposeCodec

        data = np.arange(1000, dtype="f4").reshape(50, 20)
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=3)
        array = group.create_array(
            "x",
            data=data,
            chunks=(5, 5),
            shards=(20, 10),
            filters=[TransposeCodec(order=(1, 0))],
            compressors=[Crc32cCodec()],
            dimension_names=["time", None],
        )
        tree = MemGroup.from_file(tmp_path / "x.zarr")
        tree.to_file(tmp_path / "y.zarr", zarr_format=3)
        copy = open_plain(tmp_path / "y.zarr")["x"]
        assert copy.metadata == array.metadata
        np.testing.assert_array_equal(copy[:], data)
        tree["x"].chunks = (7, 7)  # what memory says counts more
        tree.to_file(tmp_path / "z.zarr", zarr_format=3)
        assert open_plain(tmp_path / "z.zarr")["x"].chunks == (7, 7)

    def test_order_and_filters_of_format_2(self, tmp_path):
        from numcodecs import Delta, Zlib

        data = np.arange(40, dtype="i4").reshape(8, 5)
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=2)
        if MAJOR < 3:
            options = {"compressor": Zlib(3), "dimension_separator": "/"}
        else:
            encoding = {"name": "v2", "separator": "/"}
            options = {"compressors": Zlib(3), "chunk_key_encoding": encoding}
        plain_array(group, "x", data, (3, 3), filters=[Delta("i4")], order="F", **options)
        MemGroup.from_file(tmp_path / "x.zarr").to_file(tmp_path / "y.zarr", zarr_format=2)
        assert metadata(tmp_path / "y.zarr" / "x") == metadata(tmp_path / "x.zarr" / "x")
        np.testing.assert_array_equal(open_plain(tmp_path / "y.zarr")["x"][:], data)


class TestSingleArrays:
    def test_there_and_back(self, tmp_path, zarr_format):
        array = MPIArray((6, 4), axis=0, dtype="f4")
        array[:] = np.arange(24.0).reshape(6, 4)
        name = str(tmp_path / "x.zarr")
        open_plain(name, "w", zarr_format=zarr_format)
        array.to_zarr(name, "g/x", chunks=(4, 3), compression="gzip")
        assert_same_array(MPIArray.from_file(name, "g/x", file_format=Zarr).local_array, array)
        array.to_file(name, "g/x", file_format=Zarr)  # what is there takes the content
        with pytest.raises(RuntimeError, match="/g/x"):
            MPIArray((6, 5), axis=0, dtype="f4").to_zarr(name, "g/x")
        assert leftovers(tmp_path, "x.zarr") == set()


def test_the_names_of_a_save_and_nothing_else(tree, tmp_path, zarr_format, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    tree.to_file("x.zarr", zarr_format=zarr_format)
    tree.to_file("x.zarr", zarr_format=zarr_format, durable=True)
    assert os.listdir(folder) == ["x.zarr"]
