"""Bad input: the exception's type, and a message that names path, given and expected.

Each row of a table is a call on the tree of `support.fill`, the exception, and pieces of text
(regular expressions) that its message must hold. Whatever fails must leave the tree as it was.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from importlib.util import find_spec

import h5py
import numpy as np
import pytest

from memdata import (
    MemDatasetCommon,
    MemDiskGroup,
    MemGroup,
    _MemObjMixin,
    _Storage,
    _StorageRoot,
    deep_group_copy,
    fileformats,
    get_file,
    ro_dict,
)
from memdata._cmemdata import format_abs_path
from support import assert_same_array, assert_same_tree, fill, leftovers


@dataclass(frozen=True)
class Row:
    """One bad call on a tree."""

    name: str
    call: object
    error: type[BaseException] | tuple[type[BaseException], ...]
    says: tuple[str, ...] = ()


def rows(*table):
    return [pytest.param(Row(*row), id=row[0]) for row in table]


def check(row, *arguments):
    with pytest.raises(row.error) as caught:
        row.call(*arguments)
    message = str(caught.value)
    for piece in row.says:
        assert re.search(piece, message), f"{piece!r} is not in {message!r}"


NAMES = rows(
    # call on the tree                                  exception   what the message holds
    ("get empty", lambda t: t[""], KeyError),
    ("get missing", lambda t: t["sky/nothing"], KeyError, ("sky/nothing",)),
    ("get absolute", lambda t: t["sky"]["/no/such"], KeyError, ("/no/such",)),
    ("get relative", lambda t: t["sky"]["such"], KeyError, ("/sky/such",)),
    ("get through", lambda t: t["sky/map/x"], KeyError, ("sky/map",)),
    ("get an int", lambda t: t[5], TypeError, ("int", "str")),
    ("get None", lambda t: t[None], TypeError, ("NoneType", "str")),
    ("get a slice", lambda t: t[:], TypeError, ("slice", "str")),
    ("get a float", lambda t: t.get(1.5), TypeError, ("float", "str")),
    ("get a list", lambda t: t[["sky"]], TypeError, ("list", "str")),
    ("get bad bytes", lambda t: t[b"\xff"], (KeyError, UnicodeDecodeError)),
    ("get a lone surrogate", lambda t: t["\udc80"], (KeyError, UnicodeEncodeError)),
    ("in an int", lambda t: 5 in t, TypeError, ("int", "str")),
    ("delete missing", lambda t: t.__delitem__("sky/nothing"), KeyError, ("sky/nothing",)),
    ("delete an int", lambda t: t.__delitem__(5), TypeError, ("int", "str")),
    ("delete empty", lambda t: t.__delitem__(""), KeyError),
    ("delete the root", lambda t: t.__delitem__("/"), (KeyError, ValueError), ("/",)),
    ("group empty", lambda t: t.create_group(""), ValueError, ("empty|''",)),
    ("group root", lambda t: t.create_group("/"), ValueError, ("/",)),
    ("group NUL", lambda t: t.create_group("a\0b"), ValueError, (r"a\\x00b", "(?i)nul")),
    ("group .", lambda t: t.create_group("a/./b"), ValueError, (r"a/\./b",)),
    ("group ..", lambda t: t.create_group("a/../b"), ValueError, (r"a/\.\./b",)),
    ("group is only .", lambda t: t.create_group("."), ValueError, (r"'\.'",)),
    ("group is only ..", lambda t: t.create_group(".."), ValueError, (r"\.\.",)),
    ("group an int", lambda t: t.create_group(5), TypeError, ("int", "str")),
    ("group None", lambda t: t.create_group(None), TypeError, ("NoneType", "str")),
    ("group over group", lambda t: t.create_group("sky/deep"), ValueError, ("/sky/deep",)),
    ("group over dataset", lambda t: t.create_group("sky/map"), ValueError, ("/sky/map",)),
    (
        "group through dataset",
        lambda t: t.create_group("sky/map/x/y"),
        ValueError,
        ("/sky/map", "dataset"),
    ),
    ("no name", lambda t: t.create_group(), TypeError),
    ("require group", lambda t: t.require_group("sky/map"), TypeError, ("/sky/map", "dataset")),
    (
        "require dataset",
        lambda t: t.require_dataset("sky/deep", (2,), "f8"),
        TypeError,
        ("/sky/deep", "group"),
    ),
    (
        "require another shape",
        lambda t: t.require_dataset("sky/map", (4, 3), "f4"),
        TypeError,
        ("/sky/map", r"\(4, 3\)", r"\(3, 4\)"),
    ),
    (
        "require another dtype",
        lambda t: t.require_dataset("sky/map", (3, 4), "c16"),
        TypeError,
        ("/sky/map", "complex128", "float32"),
    ),
    ("require nothing", lambda t: t.require_dataset("sky/map"), TypeError),
)

DATASETS = rows(
    ("name empty", lambda t: t.create_dataset("", data=[1]), ValueError, ("empty|''",)),
    ("name root", lambda t: t.create_dataset("/", data=[1]), ValueError, ("/",)),
    ("name NUL", lambda t: t.create_dataset("a\0", data=[1]), ValueError, (r"a\\x00", "(?i)nul")),
    ("name .", lambda t: t.create_dataset("./x", data=[1]), ValueError, (r"\./x",)),
    ("name ..", lambda t: t.create_dataset("a/../x", data=[1]), ValueError, (r"a/\.\./x",)),
    ("name int", lambda t: t.create_dataset(5, data=[1]), TypeError, ("int", "str")),
    ("over a group", lambda t: t.create_dataset("sky", data=[1]), ValueError, ("/sky", "group")),
    (
        "through a dataset",
        lambda t: t.create_dataset("sky/map/x", data=[1]),
        ValueError,
        ("/sky/map", "dataset"),
    ),
    ("nothing given", lambda t: t.create_dataset("a/x"), ValueError, ("/a/x", "shape", "data")),
    (
        "unknown keyword",
        lambda t: t.create_dataset("a/x", data=[1], no_such=1),
        TypeError,
        ("no_such",),
    ),
    (
        "shape and data",
        lambda t: t.create_dataset("a/x", shape=(3,), data=np.zeros(4)),
        ValueError,
        ("/a/x", r"\(3,\)", r"\(4,\)"),
    ),
    (
        "shape and list",
        lambda t: t.create_dataset("a/x", shape=(2, 2), data=[1, 2]),
        ValueError,
        ("/a/x", r"\(2, 2\)", r"\(2,\)"),
    ),
    (
        "negative shape",
        lambda t: t.create_dataset("a/x", shape=(-1,)),
        (ValueError, OverflowError),
        ("/a/x", "-1"),
    ),
    ("shape text", lambda t: t.create_dataset("a/x", shape="abc"), TypeError, ("/a/x", "abc")),
    ("shape float", lambda t: t.create_dataset("a/x", shape=(1.5,)), TypeError, ("/a/x", "1.5")),
    ("shape object", lambda t: t.create_dataset("a/x", shape=object()), TypeError, ("/a/x",)),
    (
        "shape of too many axes",
        lambda t: t.create_dataset("a/x", shape=(1,) * 100),
        ValueError,
        ("/a/x", "100"),
    ),
    (
        "shape too large",
        lambda t: t.create_dataset("a/x", shape=(2**40, 2**40)),
        (ValueError, MemoryError),
        ("/a/x", "1099511627776"),
    ),
    (
        "shape beyond memory",
        lambda t: t.create_dataset("a/x", shape=(2**50,)),
        MemoryError,
        ("/a/x",),
    ),
    (
        "dtype unknown",
        lambda t: t.create_dataset("a/x", shape=(2,), dtype="nonsense"),
        TypeError,
        ("/a/x", "nonsense"),
    ),
    (
        "dtype and data",
        lambda t: t.create_dataset("a/x", data=["a", "b"], dtype="f8"),
        (ValueError, TypeError),
        ("/a/x", "float64"),
    ),
    (
        "ragged",
        lambda t: t.create_dataset("a/x", data=[[1, 2], [3]]),
        (ValueError, TypeError),
        ("/a/x",),
    ),
    (
        "masked",
        lambda t: t.create_dataset("a/x", data=np.ma.array([1, 2], mask=[0, 1])),
        TypeError,
        ("/a/x", "(?i)mask"),
    ),
    (
        "chunks of fewer axes",
        lambda t: t.create_dataset("a/x", shape=(4, 4), chunks=(2,)),
        ValueError,
        ("/a/x", r"\(2,\)", r"\(4, 4\)"),
    ),
    (
        "chunks of more axes",
        lambda t: t.create_dataset("a/x", shape=(4,), chunks=(2, 2)),
        ValueError,
        ("/a/x", r"\(2, 2\)", r"\(4,\)"),
    ),
    (
        "chunks of nothing",
        lambda t: t.create_dataset("a/x", shape=(4,), chunks=(0,)),
        ValueError,
        ("/a/x", r"\(0,\)|\b0\b"),
    ),
    (
        "chunks text",
        lambda t: t.create_dataset("a/x", shape=(4,), chunks="a"),
        (ValueError, TypeError),
        ("/a/x",),
    ),
    (
        "chunks of a scalar",
        lambda t: t.create_dataset("a/x", data=1, chunks=(1,)),
        ValueError,
        ("/a/x", r"\(1,\)"),
    ),
    (
        "setting chunks",
        lambda t: setattr(t["sky/map"], "chunks", (1,)),
        ValueError,
        ("/sky/map", r"\(1,\)", r"\(3, 4\)"),
    ),
    (
        "distributed in a tree that is not",
        lambda t: t.dataset_common_to_distributed("sky/nothing"),
        (KeyError, RuntimeError),
    ),
    (
        "nothing to make common",
        lambda t: t.dataset_distributed_to_common("sky/nothing"),
        KeyError,
        ("sky/nothing",),
    ),
    (
        "a group to make common",
        lambda t: t.dataset_distributed_to_common("sky"),
        (KeyError, TypeError, ValueError),
        ("sky",),
    ),
)


@pytest.mark.parametrize("row", NAMES + DATASETS)
def test_in_memory(tree, row):
    before = MemGroup.from_group(tree)
    order = list(tree)
    check(row, tree)
    assert_same_tree(tree, before)
    assert list(tree) == order


CONTAINER = [
    param
    for param in NAMES + DATASETS
    if not param.id.startswith(("set", "distributed", "nothing", "a group", "require another"))
]


@pytest.mark.parametrize("row", CONTAINER)
def test_in_a_container(row):
    container = fill(MemDiskGroup())
    before = MemGroup.from_group(container._data)
    check(row, container)
    assert_same_tree(container, before)


OBJECTS = rows(
    ("ro_dict of an int", lambda: ro_dict(5), TypeError),
    ("ro_dict assigned", lambda: ro_dict().__setitem__("a", 1), (TypeError, AttributeError)),
    ("format_abs_path", lambda: format_abs_path("a/b"), ValueError, ("a/b", "absolute")),
    ("format_abs_path of an int", lambda: format_abs_path(5), TypeError, ("int", "str")),
    ("root by relative path", lambda: _StorageRoot()["a/b"], ValueError, ("a/b",)),
    ("root by missing path", lambda: _StorageRoot()["/a/b"], KeyError, ("/a",)),
    ("root with too much", lambda: _StorageRoot(False, None, 1), TypeError),
    ("root with unknown", lambda: _StorageRoot(no_such=1), TypeError, ("no_such",)),
    ("storage by position", lambda: _Storage(1), TypeError),
    ("relative name", lambda: _MemObjMixin(_StorageRoot(), "a"), ValueError, ("'a'",)),
    ("name of a wrong type", lambda: _MemObjMixin(None, 5), TypeError, ("int", "str")),
    (
        "from_storage_root of nothing there",
        lambda: list(MemGroup._from_storage_root(_StorageRoot(), "/a")),
        KeyError,
        ("/a",),
    ),
    ("group with unknown", lambda: MemGroup(no_such=1), TypeError, ("no_such",)),
    ("dataset without dtype", lambda: MemDatasetCommon((1,)), TypeError),
    ("dataset without shape", lambda: MemDatasetCommon(), TypeError),
    ("dataset negative", lambda: MemDatasetCommon((-1,), "f8"), ValueError, ("-1",)),
    ("dataset dtype", lambda: MemDatasetCommon((1,), "nonsense"), TypeError, ("nonsense",)),
    (
        "dataset chunks",
        lambda: MemDatasetCommon((4, 4), "f8", chunks=(2,), name="/a"),
        ValueError,
        ("/a", r"\(2,\)", r"\(4, 4\)"),
    ),
    (
        "dataset of a list",
        lambda: MemDatasetCommon.from_numpy_array([1]),
        TypeError,
        ("list", "ndarray"),
    ),
    (
        "copy order",
        lambda: MemDatasetCommon((1,), "f8").copy(order="X"),
        (ValueError, TypeError),
        ("X",),
    ),
    ("copying an int", lambda: deep_group_copy(5, MemGroup()), TypeError, ("int",)),
    ("copying into an int", lambda: deep_group_copy(MemGroup(), 5), TypeError, ("int",)),
    (
        "copying a dataset",
        lambda: deep_group_copy(MemDatasetCommon((1,), "f8"), MemGroup()),
        TypeError,
        ("MemDatasetCommon",),
    ),
    ("from_group of an int", lambda: MemGroup.from_group(5), TypeError, ("5", "group")),
    ("from_group of None", lambda: MemGroup.from_group(None), TypeError, ("None", "group")),
    ("loading None", lambda: MemGroup.from_hdf5(None), TypeError, ("NoneType",)),
    ("loading an int", lambda: MemGroup.from_hdf5(7), TypeError, ("int",)),
    ("from_file of None", lambda: MemDiskGroup.from_file(None), TypeError, ("None",)),
    ("from_file of an int", lambda: MemDiskGroup.from_file(7), TypeError, ("7",)),
    ("get_file of an int", lambda: get_file(7), TypeError, ("int",)),
    ("saving to None", lambda: MemGroup().to_hdf5(None), TypeError, ("NoneType",)),
    ("saving to an int", lambda: MemGroup().to_hdf5(7), TypeError, ("int",)),
    ("saving to an empty name", lambda: MemGroup().to_hdf5(""), (ValueError, OSError)),
    ("saving to a NUL", lambda: MemGroup().to_hdf5("a\0b.h5"), (ValueError, OSError)),
    (
        "disagreeing format",
        lambda: MemDiskGroup().save("x.zarr", file_format=fileformats.HDF5),
        ValueError,
        ("x.zarr",),
    ),
)


@pytest.mark.parametrize("row", OBJECTS)
def test_objects_and_functions(row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(row)
    assert not leftovers(tmp_path)


LOADERS = {
    "from_hdf5": MemGroup.from_hdf5,
    "from_file": MemGroup.from_file,
    "from_group": MemGroup.from_group,
    "container": MemDiskGroup.from_file,
    "container on disk": lambda path: MemDiskGroup.from_file(path, ondisk=True),
    "get_file": lambda path: get_file(path, mode="r"),
}


@pytest.fixture(params=list(LOADERS))
def load(request):
    return LOADERS[request.param]


class TestBadFiles:
    def test_missing(self, load, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"missing\.h5"):
            load(tmp_path / "missing.h5")
        assert not leftovers(tmp_path)

    def test_in_a_missing_folder(self, load, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"missing\.h5"):
            load(tmp_path / "nowhere" / "missing.h5")

    def test_empty(self, load, tmp_path):
        path = tmp_path / "empty.h5"
        path.touch()
        with pytest.raises(OSError, match=r"empty\.h5"):
            load(path)

    def test_not_hdf5(self, load, tmp_path):
        path = tmp_path / "text.h5"
        path.write_text("This is not HDF5.\n" * 200)
        with pytest.raises(OSError, match=r"text\.h5"):
            load(path)
        assert path.read_text().startswith("This is not")

    @pytest.mark.parametrize("part", [0.02, 0.5, 0.9, 0.999])
    def test_truncated(self, load, h5_tree, part):
        whole = h5_tree.read_bytes()
        h5_tree.write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(OSError, match=h5_tree.name):
            load(h5_tree)

    def test_a_folder(self, load, tmp_path):
        path = tmp_path / "folder.h5"
        path.mkdir()
        # A folder can only be a zarr store: without zarr the error is that zarr is missing.
        error = OSError if find_spec("zarr") else (OSError, ImportError)
        with pytest.raises(error, match=r"folder\.h5|memdata\[zarr\]"):
            load(path)

    def test_being_written_by_another_program(self, load, h5_tree):
        code = f"""
            import sys, h5py
            with h5py.File({str(h5_tree)!r}, "a") as file:
                print("open", flush=True)
                sys.stdin.read()
            """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other:
            assert other.stdout.readline() == "open\n"
            try:
                with pytest.raises(OSError, match=h5_tree.name) as caught:
                    load(h5_tree)
            finally:
                other.stdin.close()
        assert "HDF5_USE_FILE_LOCKING" in str(caught.value) or "lock" in str(caught.value)

    def test_a_damaged_dataset_is_named(self, tmp_path):
        path = tmp_path / "damaged.h5"
        with h5py.File(path, "w") as file:
            packed = file.create_dataset(
                "sky/packed", data=np.arange(10_000), chunks=(10_000,), compression="gzip"
            )
            place = packed.id.get_chunk_info(0).byte_offset
        with open(path, "r+b") as raw:
            raw.seek(place + 10)
            raw.write(b"\xff" * 200)
        with pytest.raises(OSError, match="/sky/packed") as caught:
            MemGroup.from_hdf5(path)
        assert "damaged.h5" in str(caught.value)

    def test_a_file_that_may_not_be_read_twice_over(self, tmp_path):
        path = tmp_path / "text.h5"
        path.write_text("no HDF5")
        for _ in range(3):
            with pytest.raises(OSError, match=r"text\.h5"):
                MemGroup.from_hdf5(path)


UNSTORABLE = {
    "objects": np.array([object()], dtype=object),
    "unicode": np.array(["a"]),
    "field of unicode": np.zeros(2, [("a", "i4"), ("name", "U5")]),
}


@pytest.mark.parametrize("data", UNSTORABLE.values(), ids=list(UNSTORABLE))
def test_a_dtype_that_hdf5_cannot_hold(tree, tmp_path, data):
    tree.create_dataset("sky/bad", data=data)
    with pytest.raises(TypeError, match="/sky/bad") as caught:
        tree.to_hdf5(tmp_path / "x.h5")
    named = "object" if data.dtype == object else "U|str|unicode"
    assert re.search(named, str(caught.value))
    assert not leftovers(tmp_path)
    assert_same_array(tree["sky/bad"][...], data)


@pytest.mark.parametrize("name", ["a\0b", ".", "..", ""])
def test_names_put_into_the_storage_by_hand_are_refused_on_saving(tree, tmp_path, name):
    node = _Storage()
    dict.__setitem__(tree._storage_root["/sky"], name, node)
    with pytest.raises(ValueError, match="/sky"):
        tree.to_hdf5(tmp_path / "x.h5")
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("thing", [5, "text", [1], np.zeros(3), None], ids=repr)
def test_things_put_into_the_storage_by_hand_are_refused_on_saving(tree, tmp_path, thing):
    try:
        dict.__setitem__(tree._storage_root["/sky"], "odd", thing)
    except TypeError:
        return
    with pytest.raises(TypeError, match="/sky/odd"):
        tree.to_hdf5(tmp_path / "x.h5")
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("value", [object(), len, {1: object()}, None], ids=repr)
def test_attributes_that_hdf5_cannot_hold(tree, tmp_path, value):
    tree["sky/map"].attrs["strange"] = value
    with pytest.raises(TypeError, match="/sky/map") as caught:
        tree.to_hdf5(tmp_path / "x.h5")
    assert "strange" in str(caught.value)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("key", [5, None, "", "a\0b"], ids=repr)
def test_attribute_names_that_hdf5_cannot_hold(tree, tmp_path, key):
    tree["sky/map"].attrs[key] = 1
    with pytest.raises((TypeError, ValueError), match="/sky/map"):
        tree.to_hdf5(tmp_path / "x.h5")
    assert not leftovers(tmp_path)
