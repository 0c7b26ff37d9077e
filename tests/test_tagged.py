"""Types that a file format has not are stored as others and come back bit for bit."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from memdata.formats.tagged import TagError, pack, restored, tagged, unpack

TEXT = np.dtype(object)


def holds(dtype):
    return dtype.kind in "biufcSVO" and dtype.isbuiltin != 2


def there_and_back(array):
    how = tagged(array.dtype, holds, TEXT, array)
    assert how is not None
    stored = pack(array, how)
    assert stored.dtype == how.storage
    dtype = restored(how.tag, stored.dtype)
    assert dtype == array.dtype
    found = unpack(stored, dtype, how.tag)
    assert found.dtype == array.dtype
    return stored, found


UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "25s", "7D"]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", "Mm")
@pytest.mark.parametrize("unit", [*[f"[{unit}]" for unit in UNITS], ""])
def test_dates_are_integers(order, kind, unit):
    array = (
        np.array([0, 5, -7, np.iinfo("i8").min]).astype(f"{order}i8").view(f"{order}{kind}8{unit}")
    )
    stored, found = there_and_back(array)
    assert stored.tolist() == [0, 5, -7, np.iinfo("i8").min]
    assert stored.dtype.str == f"{order}i8"
    assert found.tobytes() == array.tobytes()
    assert np.isnat(found[3])


FIELDS = [
    [("a", "i4"), ("when", "M8[s]"), ("span", ">m8[ns]", (2, 3))],
    [(("the title", "a"), "i4"), ("b", "f8")],
    {"names": ["b", "a"], "formats": ["M8[D]", "i2"], "offsets": [8, 2], "itemsize": 24},
    [("in", [("side", "M8[us]", 2), ("x", "f4")]), ("text", object)],
]


@pytest.mark.parametrize("fields", FIELDS, ids=str)
def test_structured_types(fields):
    dtype = np.dtype(fields)
    array = np.zeros(3, dtype)
    for name in dtype.names:
        if array[name].dtype.kind in "iM":
            array[name] = array[name].dtype.type(5, "s") if array[name].dtype.kind == "M" else 5
    stored, found = there_and_back(array)
    assert stored.dtype.names == dtype.names
    assert (found == array).all()
    if not dtype.hasobject:
        assert np.shares_memory(found, array)


def test_alignment_comes_back():
    dtype = np.dtype([("a", "i1"), ("b", "M8[s]")], align=True)
    _stored, found = there_and_back(np.zeros(2, dtype))
    assert found.dtype.isalignedstruct


@pytest.mark.parametrize(
    "name", ["bfloat16", "float8_e5m2", "float8_e4m3fn", "float4_e2m1fn", "int4", "uint2"]
)
def test_types_of_ml_dtypes_are_their_bits(name):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, name))
    array = np.array([0, 1, 1, 0]).astype(dtype)
    stored, found = there_and_back(array)
    assert stored.dtype == f"u{dtype.itemsize}"
    assert found.tobytes() == array.tobytes()


@pytest.mark.parametrize("missing", [math.nan, None, "", "gone"], ids=repr)
def test_text_with_missing_values(missing):
    dtype = np.dtypes.StringDType(na_object=missing)
    array = np.array(["a", missing, "grün", "<NA>", ""], dtype)
    stored, found = there_and_back(array)
    assert all(isinstance(text, str) for text in stored)
    assert repr(found.tolist()) == repr(array.tolist())


@pytest.mark.parametrize("coerce", [True, False])
def test_text_without_missing_values(coerce):
    dtype = np.dtypes.StringDType(coerce=coerce)
    _stored, found = there_and_back(np.array([["a", ""], ["ü" * 100, "x"]], dtype))
    assert found.dtype.coerce == coerce


@pytest.mark.parametrize("dtype", ["i4", "S3", [("a", "f8"), ("b", "i2", 3)]], ids=str)
def test_what_the_format_has_is_not_tagged(dtype):
    assert tagged(np.dtype(dtype), holds) is None


@pytest.mark.parametrize("dtype", ["U3", [("a", "U3")], np.dtypes.StringDType()], ids=str)
def test_what_nothing_stands_for_is_refused(dtype):
    with pytest.raises(TypeError, match="stored as"):
        tagged(np.dtype(dtype), holds)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "{",
        "5",
        "[]",
        "{}",
        '"i8"',
        '"os.system"',
        '"numpy.float64"',
        '"ml_dtypes.finfo"',
        '"<M8[years]"',
        '{"fields": []}',
        '{"fields": [["a", null, 0, null]], "itemsize": 8, "aligned": false}',
        '{"base": "<M8[s]", "shape": [2]}',
        "[" * 100_000,
    ],
    ids=lambda tag: tag[:20],
)
def test_tags_that_mean_nothing(tag):
    with pytest.raises(TagError):
        restored(tag, np.dtype("i8"))


def test_a_tag_that_does_not_fit_what_is_stored():
    with pytest.raises(TagError):
        restored('"<M8[s]"', np.dtype("i4"))
    how = tagged(np.dtype([("a", "M8[s]"), ("b", "i4")]), holds)
    assert how is not None
    for other in ([("a", "i8"), ("c", "i4")], [("b", "i4"), ("a", "i8")], "i8"):
        with pytest.raises(TagError):
            restored(how.tag, np.dtype(other))
    assert json.loads(how.tag)["itemsize"] == 12
