"""Every type of NumPy comes back bit for bit, or is refused before anything is written.

A format is a class that saves and loads; `refused` lists by name what it refuses.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from h5compare import same_bits
from memdata import MemDiskGroup, MemGroup

N = 5


def zarr_kinds() -> list[Any]:
    """The kinds of zarr stores that the installed library knows."""
    try:
        import zarr
    except ImportError:
        return []
    two = int(zarr.__version__.partition(".")[0]) < 3
    return [Zarr2, Zip2] if two else [Zarr2, Zip2, Zarr3, Zip3]


class Memory:
    """A copy in memory."""

    refused: frozenset[str] = frozenset()

    @staticmethod
    def there_and_back(tree: MemGroup, folder: Path) -> MemGroup:
        del folder
        return MemGroup.from_group(tree)


class HDF5:
    """A file that is saved and loaded."""

    refused = frozenset(
        {
            "objects",
            "objects in a record",
            "unicode",
            "unicode, not ASCII",
            "field of unicode",
            "empty fields",
            "float G swapped",
            ">M8",
            ">m8",
        }
    )

    @staticmethod
    def there_and_back(tree: MemGroup, folder: Path) -> MemGroup:
        tree.to_hdf5(folder / "x.h5")
        return MemGroup.from_hdf5(folder / "x.h5")


class Container(HDF5):
    """A container that is saved and loaded, twice."""

    @staticmethod
    def there_and_back(tree: MemGroup, folder: Path) -> MemGroup:
        MemDiskGroup(tree).save(folder / "x.h5")
        MemDiskGroup.from_file(folder / "x.h5").save(folder / "y.h5")
        return MemDiskGroup.from_file(folder / "y.h5")._data


class Zarr2:
    """A folder of the zarr format 2."""

    refused = frozenset(
        {
            "objects",
            "objects in a record",
            "unicode",
            "unicode, not ASCII",
            "field of unicode",
            ">M8",
            ">m8",
        }
    )
    zarr_format = 2
    name = "x.zarr"

    @classmethod
    def there_and_back(cls, tree: MemGroup, folder: Path) -> MemGroup:
        tree.to_file(folder / cls.name, zarr_format=cls.zarr_format)
        return MemGroup.from_file(folder / cls.name)


class Zarr3(Zarr2):
    """A folder of the zarr format 3."""

    zarr_format = 3


class Zip2(Zarr2):
    """A zip file of the zarr format 2."""

    name = "x.zarr.zip"


class Zip3(Zarr3):
    """A zip file of the zarr format 3."""

    name = "x.zarr.zip"


FORMATS = [Memory, HDF5, Container, *zarr_kinds()]


def numbers() -> dict[str, Any]:
    """Numbers of all kinds and both byte orders, with the bits that are easily lost."""
    cases: dict[str, Any] = {"bool": np.array([True, False, True, True, False])}
    for code in "bBhHiIlLqQ":
        kind = np.iinfo(code)
        array = np.array([0, 1, kind.min, kind.max, kind.max // 3], code)
        cases[f"int {code}"] = array
        cases[f"int {code} swapped"] = array.astype(array.dtype.newbyteorder())
    for code in "efdgFDG":
        array = np.array([0.0, -0.0, math.nan, math.inf, -1 / 3], code)
        if array.dtype.kind == "c":
            array.imag = array.real[::-1]
        cases[f"float {code}"] = array
        cases[f"float {code} swapped"] = array.astype(array.dtype.newbyteorder())
    quiet = np.array([0x7FF8000000000123, 0xFFF0000000000001], "u8").view("f8")
    cases["NaN with a payload"] = quiet
    return cases


def dates() -> dict[str, Any]:
    cases = {}
    ticks = np.array([0, 1, -1, 2**60, np.iinfo("i8").min])
    for unit in ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s", ""]:
        for order in "<>":
            for kind in "Mm":
                dtype = f"{order}{kind}8" + (f"[{unit}]" if unit else "")
                cases[dtype] = ticks.astype(f"{order}i8").view(dtype)
    return cases


def texts() -> dict[str, Any]:
    words = ["a", "", "grün", "日本語", "x" * 300]
    text = np.dtypes.StringDType
    return {
        "bytes": np.array([b"a", b"bc", b"", b"\xff\x80", b"a\0b"]),
        "unicode": np.array(["a", "bc"]),
        "unicode, not ASCII": np.array(words),
        "StringDType": np.array(words, text()),
        "StringDType, NaN": np.array([*words, math.nan], text(na_object=math.nan)),
        "StringDType, None": np.array(["<NA>", None, ""], text(na_object=None)),
        "StringDType, text": np.array(["a", "gone"], text(na_object="gone")),
        "StringDType, large": np.array(words * 2000, text()),
        "variable-length": np.array([word.encode() for word in words], h5py.string_dtype()),
        "void": np.array([b"\0\1\2", b"abc", b"\0\0\0"], "V3"),
    }


def records() -> dict[str, Any]:
    dtypes: dict[str, Any] = {
        "record": [("a", "i2"), ("b", ">f8"), ("c", "S3")],
        "nested": [("a", [("b", "u1"), ("c", [("d", ">i4")])]), ("e", "?")],
        "subarrays": [("a", "f4", (2, 3)), ("b", [("c", ">c8", 2)], 2)],
        "offsets": {
            "names": ["a", "b"],
            "formats": ["i2", "f8"],
            "offsets": [4, 16],
            "itemsize": 32,
        },
        "out of order": {"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [4, 0]},
        "titles": [(("a title", "a"), "i4"), ("b", "f8")],
        "dates in a record": [("a", "i4"), ("when", ">M8[ns]", 2), ("for", "m8[D]")],
        "half complex": [("r", "f2"), ("i", "f2")],
        "names, not ASCII": [("grün", "i4"), ("a b.c/d", "f8")],
        "enum in a record": [("a", h5py.enum_dtype({"X": 1, "Y": 7}, "i2")), ("b", "f4")],
        "field of unicode": [("a", "i4"), ("b", "U4")],
    }
    cases: dict[str, Any] = {
        "aligned": np.zeros(N, np.dtype([("a", "i1"), ("b", "f8")], align=True))
    }
    for name, fields in dtypes.items():
        cases[name] = np.zeros(N, fields)
    for array in cases.values():
        fill(array)
    cases["text in a record"] = np.array(
        [(1, b"a"), (2, b"bc")], [("n", "i4"), ("t", h5py.string_dtype())]
    )
    cases["objects in a record"] = np.array([(1, {})], [("n", "i4"), ("o", object)])
    cases["empty fields"] = np.zeros(3, [("a", "S0"), ("b", "i4")])
    return cases


def fill(array: Any) -> None:
    """Different bytes in every field; what lies between fields stays zero."""
    if array.dtype.names is not None:
        for name in array.dtype.names:
            fill(array[name])
    elif array.dtype.kind in "?iufcmM":
        array[...] = (np.arange(array.size) % 2 + 1).reshape(array.shape).astype(array.dtype)
    else:
        array[...] = np.asarray("abc").astype(array.dtype)


def others() -> dict[str, Any]:
    ragged = np.empty(3, h5py.vlen_dtype("i4"))
    ragged[:] = [np.arange(3, dtype="i4"), np.zeros(0, "i4"), np.arange(2, dtype="i4")]
    enum = h5py.enum_dtype({"LOW": -1, "HIGH": 300}, ">i2")
    return {
        "ragged": ragged,
        "enum": np.array([-1, 300, 0], enum),
        "objects": np.array([{}, None, 1], object),
        "scalar": np.array(5, ">i2"),
        "scalar date": np.array("2020", "M8[us]"),
        "no elements": np.zeros((3, 0), ">f4"),
        "no dates": np.zeros((0, 2), "m8[ns]"),
        "large dates": np.arange(20_000).astype("M8[ns]"),
        "large record": np.zeros(5000, [("a", "M8[s]"), ("b", "f8", 3)]),
    }


DATES = dates()
CASES = {**numbers(), **DATES, **texts(), **records(), **others()}


def of_ml_dtypes() -> dict[str, Any]:
    """Patterns of all bits in each type of ml_dtypes."""
    try:
        import ml_dtypes
    except ImportError:
        return {}
    cases = {}
    for name in dir(ml_dtypes):
        thing = getattr(ml_dtypes, name)
        if isinstance(thing, type) and issubclass(thing, np.generic):
            dtype = np.dtype(thing)
            bits = 65536 if dtype.itemsize == 2 else 2 ** min(8, int_bits(name))
            cases[name] = np.arange(bits).astype(f"u{dtype.itemsize}").view(dtype)
    cases["bfloat16 in a record"] = np.zeros(3, [("a", ml_dtypes.bfloat16, 2), ("b", "i4")])
    return cases


def int_bits(name: str) -> int:
    digits = name.removeprefix("u").removeprefix("int")
    return int(digits) if digits.isdigit() else 8


CASES.update(of_ml_dtypes())


def strictly_same(one: np.dtype[Any], other: np.dtype[Any]) -> bool:
    """Equal types, also in titles, byte order, and in what h5py's metadata say."""
    if one != other or one.kind != other.kind:
        return False
    if one.names is not None:
        return all(strictly_same(one[name], other[name]) for name in one.names)
    if one.subdtype is not None:
        return strictly_same(one.subdtype[0], other.subdtype[0])
    return h5py.check_enum_dtype(one) == h5py.check_enum_dtype(other)


@pytest.fixture(params=FORMATS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.mark.parametrize("chunked", [False, True], ids=["plain", "chunked"])
@pytest.mark.parametrize("name", list(CASES))
def test_comes_back_bit_for_bit_or_is_refused(kind, name, chunked, tmp_path):
    array = CASES[name]
    if chunked and not array.size:
        pytest.skip("nothing to cut")
    if chunked and (kind in (Zip2, Zip3) or (issubclass(kind, Zarr2) and name in DATES)):
        pytest.skip("every array of zarr has chunks")
    options = {}
    if chunked and array.ndim:
        options = {"chunks": (max(1, len(array) // 2),) * array.ndim, "compression": "gzip"}
    tree = MemGroup()
    tree.create_dataset("g/x", data=array, **options)
    if name in kind.refused:
        with pytest.raises(TypeError, match="/g/x"):
            kind.there_and_back(tree, tmp_path)
        assert list(tmp_path.iterdir()) == []
        return
    found = kind.there_and_back(tree, tmp_path)["g/x"]
    assert strictly_same(found.dtype, array.dtype)
    assert same_bits(found.data, array)
    assert list(found.attrs) == []


@pytest.mark.parametrize("kind", [HDF5])
def test_masked_arrays_are_refused(kind, tmp_path):
    tree = MemGroup()
    with pytest.raises(TypeError, match="/x"):
        tree.create_dataset("x", data=np.ma.masked_array([1, 2], [True, False]))
    tree["y"] = np.arange(3)
    tree.attrs["masked"] = np.ma.masked_array([1, 2], [True, False])
    with pytest.raises(TypeError, match="masked"):
        kind.there_and_back(tree, tmp_path)


def test_plain_h5py_shows_something_sensible(tmp_path):
    tree = MemGroup()
    for name in ("<M8[s]", ">m8[25s]", "StringDType", "titles"):
        tree.create_dataset(name, data=CASES[name])
    tree.create_dataset("StringDType, NaN", data=CASES["StringDType, NaN"])
    tree.to_hdf5(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["<M8[s]"].dtype == "<M8[s]"
        assert np.array_equal(file[">m8[25s]"][:4], CASES[">m8[25s]"][:4])
        assert list(file["StringDType"].asstr()[:]) == list(CASES["StringDType"])
        assert file["StringDType, NaN"].asstr()[-1] == "<NA>"
        assert file["titles"].dtype.names == ("a", "b")


def test_plain_h5py_shows_the_numbers_of_bfloat16(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([1.5, -2, math.inf, 3e38]).astype(ml_dtypes.bfloat16)
    tree = MemGroup()
    tree.create_dataset("x", data=array)
    tree.to_hdf5(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["x"][:], array.astype("f4"))
        assert file["x"].id.get_storage_size() == array.nbytes
