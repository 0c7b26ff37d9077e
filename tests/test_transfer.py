"""Loading and saving as the transfer layer promises it: types, links, movers, atomicity."""

import os
import signal
import subprocess
import sys
import textwrap
import warnings
from unittest import mock

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import transfer
from memdata._cmemdata import MemDatasetCommon, _Storage
from memdata.formats.references import ObjectReference, RegionReference

BIG = 300_000  # elements: more than what is read together with its header


def tree_of(**datasets):
    tree = _Storage()
    for name, data in datasets.items():
        tree[name] = MemDatasetCommon.from_numpy_array(data)
    return tree


def loaded(path, **options):
    tree = _Storage()
    transfer.load_file(tree, path, **options)
    return tree


def saved(tree, path, **options):
    transfer.save_file(tree, path, **options)
    return path


def only(folder):
    return sorted(os.listdir(folder))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.h5"


# ---- types ------------------------------------------------------------------------------------

COMPOUND = np.dtype(
    [("a", "i2"), ("b", [("c", ">f8"), ("d", "S3")]), ("e", "f4", (2, 2)), ("z", "c8")]
)
ALIGNED = np.dtype([("a", "i1"), ("b", "f8"), ("c", "i2")], align=True)
OUT_OF_ORDER = np.dtype({"names": ["p", "q"], "formats": ["i4", "i2"], "offsets": [4, 0]})
DTYPES = [
    *"?bBhHiIlLefdgFDG",
    ">i4",
    "<i8",
    ">f8",
    ">c16",
    "S7",
    "V5",
    COMPOUND,
    ALIGNED,
    OUT_OF_ORDER,
]


def example(dtype, shape):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(1)
    count = int(np.prod(shape)) if shape else 1
    if dtype.kind in "fc":
        array = rng.standard_normal(count).astype(dtype)
    elif dtype.kind in "?b":
        array = rng.integers(0, 2, count).astype(dtype)
    elif dtype.kind in "iu":
        array = rng.integers(0, 100, count).astype(dtype)
    elif dtype.names:
        array = np.zeros(count, dtype)
        for name in dtype.names:
            field = dtype[name]
            base, inner = field.subdtype or (field, ())
            array[name] = example(base, (count, *inner))
    else:
        raw = rng.integers(65, 91, count * dtype.itemsize, dtype=np.uint8)
        array = raw.view(dtype)
    return array.reshape(shape)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (5, 4), (40_000, 2)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_type_is_saved_and_loaded_as_h5py_has_it(path, dtype, shape):
    data = example(dtype, shape)
    saved(tree_of(x=data), path)
    with h5py.File(path) as file:
        there = file["x"][()]
        assert file["x"].dtype == data.dtype
        assert file["x"].shape == data.shape
    assert there.tobytes() == data.tobytes() or np.array_equal(there, data)
    again = loaded(path)["x"].data
    assert isinstance(again, np.ndarray)
    assert again.dtype == data.dtype
    assert again.dtype.byteorder == data.dtype.byteorder
    assert np.array_equal(again, data)


@pytest.mark.parametrize("layout", ["F", "reversed", "strided", "broadcast", "readonly"])
@pytest.mark.parametrize("shape", [(30, 7), (700, 300), (2, 500_000)], ids=str)
def test_any_layout_in_memory(path, layout, shape):
    data = np.random.default_rng(2).standard_normal(shape)
    if layout == "F":
        data = np.asfortranarray(data)
    elif layout == "reversed":
        data = data[::-1, ::-1]
    elif layout == "strided":
        data = np.repeat(data, 2, axis=1)[:, ::2]
    elif layout == "broadcast":
        data = np.broadcast_to(data[0], shape)
    else:
        data.flags.writeable = False
    saved(tree_of(x=data), path)
    with h5py.File(path) as file:
        assert np.array_equal(file["x"][()], data)


def test_null_dataspaces(path):
    saved(tree_of(x=h5py.Empty("f4")), path)
    with h5py.File(path) as file:
        assert file["x"][()] == h5py.Empty("f4")
    again = loaded(path)["x"]
    assert again.shape is None
    assert again.data == h5py.Empty("f4")


def test_enums_keep_their_names(path):
    dtype = h5py.enum_dtype({"RED": 0, "BLUE": 42}, basetype="i2")
    saved(tree_of(x=np.array([0, 42], dtype)), path)
    with h5py.File(path) as file:
        assert h5py.check_enum_dtype(file["x"].dtype) == {"RED": 0, "BLUE": 42}
        assert list(file["x"][()]) == [0, 42]
    assert h5py.check_enum_dtype(loaded(path)["x"].dtype) == {"RED": 0, "BLUE": 42}


TEXTS = [["a", "grün", ""], np.array([["x"], ["yy" * 50]], object)]


@pytest.mark.parametrize("texts", TEXTS, ids=str)
@pytest.mark.parametrize("convert", [False, True])
def test_variable_length_strings(path, texts, convert):
    data = np.array(texts, dtype=object)
    saved(tree_of(x=data), path)
    with h5py.File(path) as file:
        assert h5py.check_string_dtype(file["x"].dtype).length is None
        assert file["x"].asstr()[()].tolist() == data.tolist()
        expected = file["x"][()]
    again = loaded(path, convert_dataset_strings=convert)["x"].data
    if convert:
        assert again.tolist() == data.tolist()
    else:
        assert again.tolist() == expected.tolist()
        assert h5py.check_string_dtype(again.dtype)
    saved(tree_of(x=again), path)
    with h5py.File(path) as file:
        assert file["x"].asstr()[()].tolist() == data.tolist()


def test_new_variable_length_strings_are_saved_empty(path):
    saved(tree_of(x=np.zeros(3, h5py.string_dtype())), path)
    with h5py.File(path) as file:
        assert file["x"][()].tolist() == [b"", b"", b""]


def test_ragged_arrays(path):
    data = np.empty(3, h5py.vlen_dtype("i4"))
    for index in range(3):
        data[index] = np.arange(index, dtype="i4")
    saved(tree_of(x=data), path)
    again = loaded(path)["x"].data
    with h5py.File(path) as file:
        for mine, theirs, original in zip(again, file["x"][()], data, strict=True):
            assert np.array_equal(mine, original)
            assert np.array_equal(theirs, original)


def test_top_level_arrays_are_read_as_h5py_reads_them(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (5,), np.dtype(("f4", (3,))))
        file["x"][...] = np.arange(15).reshape(5, 3)
        expected = file["x"][()]
    again = loaded(path)["x"].data
    assert np.array_equal(again, expected)
    assert np.array_equal(loaded(path, selections={"x": [1, 3]})["x"].data, expected[[1, 3]])


def test_references_lead_to_the_same_place_in_another_file(path, tmp_path):
    with h5py.File(path, "w") as file:
        file["filler"] = np.arange(100)
        file["g/data"] = np.arange(12).reshape(3, 4)
        refs = file.create_dataset("refs", (3,), h5py.ref_dtype)
        refs[0], refs[1] = file["g"].ref, file["g/data"].ref
        file.create_dataset("region", (1,), h5py.regionref_dtype)
        file["region"][0] = file["g/data"].regionref[1:, :2]
        file["g"].attrs["to"] = file["g/data"].ref
    tree = loaded(path)
    assert tree["refs"].data.tolist() == [
        ObjectReference("/g"),
        ObjectReference("/g/data"),
        ObjectReference(),
    ]
    assert isinstance(tree["region"].data[0], RegionReference)
    del tree["filler"]
    with h5py.File(saved(tree, tmp_path / "y.h5")) as file:
        refs = file["refs"][()]
        assert file[refs[0]].name == "/g"
        assert file[refs[1]].name == "/g/data"
        assert not refs[2]
        region = file["region"][()][0]
        assert np.array_equal(
            file[region][region], np.array([[4, 5], [8, 9]]).ravel().reshape(2, 2)
        )
        assert file[file["g"].attrs["to"]].name == "/g/data"


# ---- what other programs write ------------------------------------------------------------------


def write_odd_file(path, **options):
    rng = np.random.default_rng(3)
    with h5py.File(path, "w", **options) as file:
        file["plain"] = rng.standard_normal(BIG)
        file["big_endian"] = rng.standard_normal(BIG).astype(">f8")
        file.create_dataset("late", (BIG,), "f8", fillvalue=7)
        file.create_dataset("late_chunks", (BIG,), "f8", chunks=(1000,), fillvalue=7)
        file.create_dataset("half", (BIG,), "i4", chunks=(1000,))[5:2500] = 3
        file.create_dataset("open_end", data=np.arange(BIG), maxshape=(None,), chunks=(70_000,))
        external = [(str(path) + ".bin", 0, BIG * 8)]
        file.create_dataset("external", (BIG,), "f8", external=external)[...] = np.arange(BIG)
        layout = h5py.VirtualLayout((2, BIG), "f8")
        layout[0] = h5py.VirtualSource(file["plain"])
        file.create_virtual_dataset("virtual", layout, fillvalue=-1)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((100,))
        compact = h5py.h5d.create(file.id, b"compact", h5py.h5t.NATIVE_INT32, space, plist)
        compact.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(100, dtype="i4"))
        padded = h5py.h5t.C_S1.copy()
        padded.set_size(6)
        padded.set_strpad(h5py.h5t.STR_SPACEPAD)
        h5py.h5d.create(file.id, b"padded", padded, space)
        for name in ("gzip", "lzf"):
            file.create_dataset(name, data=np.arange(BIG), compression=name, shuffle=True)
        file.create_dataset("checked", data=np.arange(BIG), fletcher32=True, chunks=(999,))


@pytest.mark.parametrize(
    "options",
    [{}, {"userblock_size": 2048}, {"libver": "latest"}, {"libver": "earliest"}],
    ids=["default", "user block", "latest", "earliest"],
)
def test_storage_of_every_kind_is_read_as_h5py_reads_it(path, options):
    write_odd_file(path, **options)
    tree = loaded(path, follow_external=True)
    with h5py.File(path) as file:
        assert list(tree) == list(file)
        for name, dataset in file.items():
            assert tree[name].data.dtype == dataset.dtype, name
            assert np.array_equal(tree[name].data, dataset[()]), name
            assert tree[name].chunks == dataset.chunks, name


@pytest.mark.parametrize("options", [{}, {"driver": "core"}, {"driver": "stdio"}], ids=str)
def test_what_is_not_flushed_yet_is_loaded(path, options):
    with h5py.File(path, "w", **options) as file:
        file["x"] = np.arange(BIG)
        tree = _Storage()
        transfer.load_group(tree, file)
        assert np.array_equal(tree["x"].data, np.arange(BIG))
        file["x"][...] = 5
        tree = _Storage()
        transfer.load_group(tree, file)
        assert (tree["x"].data == 5).all()


def test_loading_opens_nothing_and_does_not_care_for_the_working_directory(path, monkeypatch):
    saved(tree_of(x=np.arange(BIG)), path)
    monkeypatch.chdir(path.parent)
    with h5py.File("x.h5") as file:
        monkeypatch.chdir("/")
        tree = _Storage()
        transfer.load_group(tree, file)
    assert np.array_equal(tree["x"].data, np.arange(BIG))


def test_a_subgroup_becomes_the_root(path):
    with h5py.File(path, "w") as file:
        file["a/b/c"] = 1
        file["a/b"].attrs["here"] = True
        file["other"] = 2
        tree = _Storage()
        transfer.load_group(tree, file["a/b"])
    assert list(tree) == ["c"]
    assert tree.attrs == {"here": True}


# ---- links --------------------------------------------------------------------------------------


def test_circles_of_hard_links_end(path):
    with h5py.File(path, "w") as file:
        file["a/x"] = 1
        file["a/up"] = file["/"]
        file["a/self"] = file["a"]
        file["b"] = file["a"]
    tree = loaded(path)
    assert tree["a"]["self"] is tree["b"] is tree["a"]
    assert tree["a"]["up"] is tree
    again = path.with_name("again.h5")
    with h5py.File(saved(tree, again)) as file:
        assert file["a/self/up/b"] == file["a"]
        assert file["a/up"] == file["/"]


def test_many_groups_that_link_to_each_other_load_in_linear_time(path):
    with h5py.File(path, "w") as file:
        groups = [file.create_group(f"g{n}") for n in range(30)]
        for group in groups:
            for other in groups:
                group["to" + other.name[1:]] = other
    tree = loaded(path)
    assert len(tree) == 30
    assert tree["g3"]["to" + "g4"] is tree["g4"]


def test_two_names_of_one_dataset_stay_one_dataset(path, tmp_path):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(BIG)
        file["g/y"] = file["x"]
    tree = loaded(path)
    tree["x"].data[0] = 99
    assert tree["g"]["y"].data[0] == 99
    with h5py.File(saved(tree, tmp_path / "y.h5")) as file:
        assert file["x"] == file["g/y"]
        assert file["x"][0] == 99


def test_a_link_stays_a_link(path, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["g/x"] = 1
        file["soft"] = h5py.SoftLink("/nothing")
        file["g/near"] = h5py.SoftLink("x")
        file["external"] = h5py.ExternalLink("nothing.h5", "/x")
        file["loop"] = h5py.SoftLink("/loop")
    tree = loaded(path)
    assert isinstance(tree["soft"], h5py.SoftLink)
    with h5py.File(saved(tree, other)) as file:
        assert file["g/near"] == file["g/x"]
        assert file.get("soft", getlink=True).path == "/nothing"
        link = file.get("external", getlink=True)
        assert (link.filename, link.path) == ("nothing.h5", "/x")


def test_a_link_inside_a_subgroup_is_told_from_there(path, tmp_path):
    with h5py.File(path, "w") as file:
        file["g/x"] = 1
        file["g/link"] = h5py.SoftLink("/g/x")
        file["g/out"] = h5py.SoftLink("/y")
        tree = _Storage()
        transfer.load_group(tree, file["g"])
    assert tree["link"].path == "/x"
    with h5py.File(tmp_path / "y.h5", "w") as file:
        transfer.write_group(tree, file.create_group("deep/er"))
        assert file["deep/er/link"] == file["deep/er/x"]


def test_a_selection_of_a_link_selects_what_it_leads_to(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(10)
        file["link"] = h5py.SoftLink("/x")
    tree = loaded(path, selections={"link": np.s_[2:4]})
    assert tree["link"].data.tolist() == [2, 3]
    assert tree["x"].shape == (10,)


# ---- selections ---------------------------------------------------------------------------------


@st.composite
def indexes(draw, shape):
    """Indexes of every kind NumPy has, for each axis or for several together."""
    parts = []
    for length in shape:
        kind = draw(st.sampled_from(["slice", "int", "list", "mask"]))
        if kind == "int" and length:
            parts.append(draw(st.integers(-length, length - 1)))
        elif kind == "list":
            size = st.integers(-length, length - 1) if length else st.nothing()
            parts.append(draw(st.lists(size, max_size=5)) if length else [])
        elif kind == "mask":
            parts.append(draw(hnp.arrays(bool, (length,))))
        else:
            parts.append(draw(st.slices(length)))
    count = draw(st.integers(0, len(parts)))
    parts = parts[:count]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), ...)
        parts = parts[: len(shape)] if len(parts) > len(shape) + 1 else parts
    return tuple(parts)


@settings(max_examples=300, deadline=None)
@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9),
    chunked=st.booleans(),
    skip=st.sampled_from([1, 1 << 14]),
    data=st.data(),
)
def test_a_selection_is_numpys(tmp_path_factory, shape, chunked, skip, data):
    path = tmp_path_factory.mktemp("selection") / "x.h5"
    array = np.arange(int(np.prod(shape)), dtype="i4").reshape(shape)
    chunks = tuple(max(1, min(2, n)) for n in shape) if chunked and array.size else None
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array, chunks=chunks)
    index = data.draw(indexes(shape))
    try:
        expected = array[tuple(np.array(p, int) if isinstance(p, list) else p for p in index)]
    except IndexError:
        with pytest.raises(ValueError, match="/x"):
            loaded(path, selections={"x": index})
        return
    with mock.patch("memdata.formats.selections._WORTH_SKIPPING", skip):
        found = loaded(path, selections={"x": index})["x"].data
    assert np.array_equal(found, expected)
    assert found.shape == np.shape(expected)


@pytest.mark.parametrize("chunks", [None, (100, 10)], ids=str)
@pytest.mark.parametrize(
    "index",
    [
        np.s_[100:2000:7],
        np.s_[::-3, 5:20],
        np.s_[[5, 1, 1, 2999]],
        np.s_[:, [0, 99]],
        np.s_[list(range(0, 3000, 2)), 3],
        np.s_[::2, np.arange(100) % 3 == 0],
        np.s_[7],
    ],
    ids=str,
)
def test_selections_of_large_datasets(path, chunks, index):
    array = np.random.default_rng(4).standard_normal((3000, 100))
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array, chunks=chunks)
    assert np.array_equal(loaded(path, selections={"/x": index})["x"].data, array[index])


@pytest.mark.parametrize("index", [5, np.s_[:, :, 0], [1, 9], "name", np.ones(3, bool)], ids=str)
def test_a_selection_that_does_not_fit_leaves_the_target_alone(path, index):
    saved(tree_of(x=np.zeros((4, 4))), path)
    tree = _Storage()
    with pytest.raises(ValueError, match="/x"):
        transfer.load_file(tree, path, selections={"x": index})
    assert not tree


@pytest.mark.parametrize("name", ["nothing", "/g", "x/y"])
def test_a_selection_of_what_is_no_dataset(path, name):
    tree = tree_of(x=np.zeros(4))
    tree["g"] = _Storage()
    saved(tree, path)
    with pytest.raises(ValueError, match=name.strip("/")):
        loaded(path, selections={name: 0})


# ---- saving -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "options"),
    [
        ("gzip", 5),
        ("lzf", None),
        ("bitshuffle", (None, "lz4")),
        ("bitshuffle", (64, "zstd")),
        (32008, (0, 2)),
        ("32008", (None, 2)),
        (6, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [100, BIG])
def test_compression_there_and_back(path, tmp_path, compression, options, count):
    data = np.arange(count)
    tree = _Storage()
    tree["x"] = MemDatasetCommon.from_numpy_array(
        data, chunks=(count // 3,), compression=compression, compression_opts=options
    )
    saved(tree, path)
    with h5py.File(path) as file:
        filters = file["x"]._filters
        assert np.array_equal(file["x"][()], data)
    again = loaded(path)
    assert again["x"].chunks == (count // 3,)
    with h5py.File(saved(again, tmp_path / "y.h5")) as file:
        assert file["x"]._filters == filters
        assert np.array_equal(file["x"][()], data)


@pytest.mark.parametrize(
    ("compression", "options"),
    [("gzip", 77), ("bitshuffle", None), ("nonsense", None), (31999, None), ("szip", (1, 2, 3))],
    ids=str,
)
def test_compression_that_is_not_there(path, compression, options):
    tree = _Storage()
    tree["x"] = MemDatasetCommon.from_numpy_array(
        np.arange(10), chunks=(5,), compression=compression, compression_opts=options
    )
    with pytest.raises(ValueError, match="/x"):
        saved(tree, path)
    assert only(path.parent) == []


def test_compression_of_a_scalar_is_let_be(path):
    tree = tree_of(x=np.array(3.0))
    tree["x"].compression = "gzip"
    with h5py.File(saved(tree, path)) as file:
        assert file["x"][()] == 3


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_attributes_of_any_length(path, libver):
    tree = tree_of(x=np.arange(3))
    tree["g"] = _Storage()
    long = {"array": np.arange(50_000), "text": "ü" * 100_000}
    for node in (tree, tree["x"], tree["g"]):
        node.attrs.update(long)
        node.attrs["short"] = 1
    saved(tree, path, libver=libver)
    again = loaded(path)
    for node in (again, again["x"], again["g"]):
        assert np.array_equal(node.attrs["array"], long["array"])
        assert node.attrs["text"] == long["text"]
        assert node.attrs["short"] == 1


def test_extra_attributes_are_in_the_file_only(path):
    tree = tree_of(x=np.arange(3))
    tree.attrs["mine"] = 1
    saved(tree, path, extra_attrs={"class": "a.B"})
    assert dict(tree.attrs) == {"mine": 1}
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"mine": 1, "class": "a.B"}


def test_order_is_kept_when_asked_for(path):
    tree = tree_of(z=np.arange(3), a=np.arange(2), m=np.arange(1))
    tree["z"].attrs.update(q=1, b=2)
    saved(tree, path, track_order=True)
    again = loaded(path)
    assert list(again) == ["z", "a", "m"]
    assert list(again["z"].attrs) == ["q", "b"]


def test_mode_a_adds_and_refuses_what_is_there(path):
    first = tree_of(x=np.arange(3))
    first["g"] = _Storage()
    first["g"].attrs["old"] = 1
    saved(first, path)
    second = _Storage()
    second["g"] = _Storage()
    second["g"].attrs.update(old=2, new=3)
    second["g"]["y"] = MemDatasetCommon.from_numpy_array(np.arange(BIG))
    saved(second, path, mode="a")
    both = loaded(path)
    assert np.array_equal(both["x"].data, np.arange(3))
    assert np.array_equal(both["g"]["y"].data, np.arange(BIG))
    assert dict(both["g"].attrs) == {"old": 2, "new": 3}
    before = path.read_bytes()
    for odd in (tree_of(x=np.arange(4)), tree_of(g=np.arange(4))):
        with pytest.raises(ValueError, match="there is a"):
            saved(odd, path, mode="a")
    assert path.read_bytes() == before
    assert only(path.parent) == ["x.h5"]


def test_modes_that_refuse(path):
    tree = tree_of(x=np.arange(3))
    with pytest.raises(FileNotFoundError):
        saved(tree, path, mode="r+")
    saved(tree, path, mode="x")
    for mode in ("x", "w-"):
        with pytest.raises(FileExistsError):
            saved(tree, path, mode=mode)
    with pytest.raises(ValueError, match="'r'"):
        saved(tree, path, mode="r")


@pytest.mark.parametrize("piece", [1000, 4096, 2**31 - 1])
def test_short_reads_and_writes_go_on(path, piece, monkeypatch):
    """System calls may move less than they were asked to."""
    real_write, real_read = os.pwrite, os.preadv
    data = np.arange(BIG)
    monkeypatch.setattr(os, "pwrite", lambda fd, view, at: real_write(fd, view[:piece], at))
    monkeypatch.setattr(os, "preadv", lambda fd, views, at: real_read(fd, [views[0][:piece]], at))
    saved(tree_of(x=data), path)
    assert np.array_equal(loaded(path)["x"].data, data)


def test_copying_between_files_keeps_what_memory_has_no_place_for(path, tmp_path):
    write_odd_file(path)
    with h5py.File(path, "r+") as file:
        del file["external"]  # not read unless asked
        transfer.save_file(file, tmp_path / "y.h5")
        with h5py.File(tmp_path / "y.h5") as copy:
            assert list(copy) == list(file)
            for name, dataset in file.items():
                assert np.array_equal(copy[name][()], dataset[()]), name
                for what in ("dtype", "chunks", "compression", "shuffle", "fletcher32"):
                    assert getattr(copy[name], what) == getattr(dataset, what), (name, what)


def test_scalars_among_attributes_keep_their_type_between_files(path, tmp_path):
    with h5py.File(path, "w") as file:
        file.attrs["x"] = np.float32(1.5)
        transfer.save_file(file, tmp_path / "y.h5")
    with h5py.File(tmp_path / "y.h5") as file:
        assert file.attrs["x"].dtype == np.float32


def test_a_group_is_written_into_the_group_given(path):
    tree = tree_of(x=np.arange(3))
    tree.attrs["a"] = 1
    with h5py.File(path, "w") as file:
        transfer.write_group(tree, file.create_group("deep/down"))
        transfer.write_group(file["deep"], file.create_group("copy"))
        assert np.array_equal(file["copy/down/x"][()], np.arange(3))
        assert file["copy/down"].attrs["a"] == 1
        assert list(file) == ["copy", "deep"]


def test_nothing_is_written_when_the_plan_fails(path):
    tree = tree_of(a=np.arange(3), b=np.array(["2020"]))
    with h5py.File(path, "w") as file:
        with pytest.raises(TypeError, match="/b"):
            transfer.write_group(tree, file)
        tree = tree_of(a=np.arange(3), b=np.arange(4))
        tree["b"].attrs["bad"] = object()
        with pytest.raises(TypeError, match=r"/b.*'bad'"):
            transfer.write_group(tree, file)
        assert list(file) == []


# ---- progress and interruption ------------------------------------------------------------------


def test_progress_counts_every_byte_of_large_data(path):
    seen = []
    data = np.zeros(5_000_000)
    saved(tree_of(x=data), path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (data.nbytes, data.nbytes)
    assert len(seen) > 1
    seen.clear()
    loaded(path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (data.nbytes, data.nbytes)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_a_load_that_is_stopped_leaves_the_target_alone(path):
    saved(tree_of(a=np.arange(3), x=np.zeros(5_000_000)), path)

    def stop(done, total):
        raise KeyboardInterrupt

    tree = _Storage()
    with pytest.raises(KeyboardInterrupt):
        transfer.load_file(tree, path, progress=stop)
    assert not tree


def test_a_program_that_is_killed_leaves_what_the_next_save_removes(path):
    saved(tree_of(x=np.arange(3)), path)
    before = path.read_bytes()
    code = """
        import os, signal, sys
        import numpy as np
        from memdata import transfer
        from memdata._cmemdata import MemDatasetCommon, _Storage
        tree = _Storage()
        tree["x"] = MemDatasetCommon.from_numpy_array(np.zeros(5_000_000))
        kill = lambda done, total: os.kill(os.getpid(), signal.SIGKILL)
        transfer.save_file(tree, sys.argv[1], progress=kill)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], timeout=50, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert len(only(path.parent)) == 2
    saved(tree_of(x=np.arange(4)), path)
    assert only(path.parent) == ["x.h5"]
    assert np.array_equal(loaded(path)["x"].data, np.arange(4))


def test_loading_needs_no_more_memory_than_the_data(path):
    """The peak of a process that loads 80 MB stays below the data and a little more."""
    saved(tree_of(x=np.zeros(10_000_000)), path)
    code = """
        import resource, sys
        import h5py
        from memdata import transfer
        from memdata._cmemdata import _Storage
        transfer.load_file(_Storage(), sys.argv[1], selections={"x": slice(10)})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        transfer.load_file(_Storage(), sys.argv[1])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(path)],
        timeout=50,
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) * 1024 < 80e6 * 1.1


# ---- random trees against h5py ------------------------------------------------------------------

names = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=8
).filter(lambda name: name not in {".", ".."})
arrays = hnp.arrays(
    st.one_of(
        hnp.integer_dtypes(),
        hnp.floating_dtypes(),
        hnp.complex_number_dtypes(),
        hnp.byte_string_dtypes(),
    ),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
trees = st.recursive(arrays, lambda inner: st.dictionaries(names, inner, max_size=4), max_leaves=12)


def storage_of(model):
    tree = _Storage()
    for name, value in model.items():
        if isinstance(value, dict):
            tree[name] = storage_of(value)
        else:
            tree[name] = MemDatasetCommon.from_numpy_array(value)
    return tree


def check_group(group, model):
    assert set(group) == set(model)
    for name, value in model.items():
        if isinstance(value, dict):
            check_group(group[name], value)
        else:
            found = group[name]
            assert found.dtype == value.dtype
            found = found[()] if isinstance(found, h5py.Dataset) else found.data
            assert np.array_equal(found, value, equal_nan=value.dtype.kind in "fc")


@settings(max_examples=100, deadline=None)
@given(model=st.dictionaries(names, trees, max_size=4))
def test_random_trees(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("tree") / "x.h5"
    saved(storage_of(model), path)
    with h5py.File(path) as file:
        check_group(file, model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_group(loaded(path), model)
