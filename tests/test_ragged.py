"""Ragged arrays (h5py's vlen types): what their elements may be, and what comes back."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from h5compare import same_bits
from memdata import MemGroup

INT = h5py.vlen_dtype("i4")
RECORD = np.dtype([("a", "i4"), ("b", "f8")])


def nested(*rows):
    result = np.empty(len(rows), INT)
    for index, row in enumerate(rows):
        result[index] = np.asarray(row, "i4")
    return result


def tree_with(dtype, element):
    tree = MemGroup()
    made = tree.create_dataset("g/x", (2,), dtype=dtype)
    made.data[0] = element
    return tree


# dtype, what is put in, what comes back
GOOD = {
    "array": (INT, np.array([1, 2], "i4"), [1, 2]),
    "list": (INT, [1, 2], [1, 2]),
    "tuple": (INT, (1, -2), [1, -2]),
    "empty list": (INT, [], []),
    "None": (INT, None, []),
    "zero of a new array": (INT, 0, []),
    "int64": (INT, np.array([1, 2**31 - 1]), [1, 2**31 - 1]),
    "whole floats": (INT, np.array([1.0, -2.0]), [1, -2]),
    "bools": (INT, np.array([True, False]), [1, 0]),
    "other order of bytes": (INT, np.array([1, 2], ">i4"), [1, 2]),
    "in steps": (INT, np.arange(6, dtype="i4")[::2], [0, 2, 4]),
    "swapped type": (h5py.vlen_dtype(">i4"), [1, 2], [1, 2]),
    "floats": (h5py.vlen_dtype("f4"), [0.5, np.inf], [0.5, np.inf]),
    "whole numbers as floats": (h5py.vlen_dtype("f8"), [1, 2**53], [1, 2**53]),
    "text": (h5py.vlen_dtype(h5py.string_dtype()), ["a", "grün"], [b"a", "grün".encode()]),
    "records": (h5py.vlen_dtype(RECORD), [(1, 2.5)], [(1, 2.5)]),
    "bytes": (h5py.vlen_dtype("S3"), np.array([b"abc", b""], "S3"), [b"abc", b""]),
}

BAD = {
    "fractions": (INT, np.array([1.5])),
    "too large": (INT, [2**31]),
    "NaN": (INT, np.array([np.nan])),
    "rounded": (h5py.vlen_dtype("f8"), [2**53 + 1]),
    "complex": (h5py.vlen_dtype("f8"), np.array([1j])),
    "two axes": (INT, np.zeros((2, 2), "i4")),
    "no axes": (INT, np.array(5)),
    "lists of lists": (INT, [[1, 2], [3, 4]]),
    "ragged lists": (INT, [[1], [2, 3]]),
    "int": (INT, 5),
    "str": (INT, "12"),
    "list of str": (INT, ["1"]),
    "dict": (INT, {1: 2}),
    "set": (INT, {1, 2}),
    "objects": (INT, np.array([1, None], object)),
    "masked": (INT, np.ma.masked_array([1, 2], [True, False])),
    "huge": (INT, [10**30]),
    "dates": (INT, np.array([1], "M8[s]")),
    "number among text": (h5py.vlen_dtype(h5py.string_dtype()), ["a", 5]),
    "text for text": (h5py.vlen_dtype(h5py.string_dtype()), "abc"),
    "other fields": (h5py.vlen_dtype(RECORD), np.zeros(1, [("c", "i4"), ("b", "f8")])),
    "fractions in records": (h5py.vlen_dtype(RECORD), [(1.5, 2.0)]),
    "nested fractions": (h5py.vlen_dtype(INT), [[1.5]]),
    "not nested": (h5py.vlen_dtype(INT), [1, 2]),
}


@pytest.fixture(params=["x.h5", "x.zarr"])
def path(request, tmp_path):
    if request.param.endswith(".zarr"):
        pytest.importorskip("zarr")
    return tmp_path / request.param


@pytest.mark.parametrize("name", GOOD)
def test_what_fits_is_stored(name, path):
    dtype, element, expected = GOOD[name]
    tree_with(dtype, element).to_file(path)
    inner = np.dtype(h5py.check_vlen_dtype(dtype))
    found = MemGroup.from_file(path)["g/x"].data
    if "zarr" in path.name and inner.kind == "O":  # text is str there
        expected = [item.decode() for item in expected]
    assert found[0].tolist() == expected
    assert found[0].dtype == inner
    assert found[1].tolist() == []


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_before_anything_is_written(name, path):
    dtype, element = BAD[name]
    tree = tree_with(dtype, element)
    with pytest.raises(TypeError, match=r"/g/x: the element \[0\] .*expected a 1-d array of"):
        tree.to_file(path)
    assert list(path.parent.iterdir()) == []


def test_nested(tmp_path):
    tree = tree_with(h5py.vlen_dtype(INT), [[1, 2], (), np.array([3.0])])
    tree.to_hdf5(tmp_path / "x.h5")
    found = MemGroup.from_hdf5(tmp_path / "x.h5")["g/x"].data
    assert [item.tolist() for item in found[0]] == [[1, 2], [], [3]]
    assert len(found[1]) == 0


def test_in_records(tmp_path):
    dtype = np.dtype([("n", "i4"), ("v", INT, (2,)), ("w", h5py.vlen_dtype(">f8"))])
    tree = MemGroup()
    made = tree.create_dataset("x", (2,), dtype=dtype)
    made.data["v"][0, 1] = [7, 8]
    made.data["w"][1] = np.array([0.5])
    tree.to_hdf5(tmp_path / "x.h5")
    found = MemGroup.from_hdf5(tmp_path / "x.h5")["x"].data
    assert found["v"][0, 1].tolist() == [7, 8]
    assert found["w"][1].tolist() == [0.5]
    made.data["v"][1, 0] = [0.5]
    with pytest.raises(TypeError, match=r"/x: the element \[1, 0\]"):
        tree.to_hdf5(tmp_path / "y.h5")


def test_among_attributes(tmp_path):
    tree = MemGroup()
    array = np.empty(2, h5py.vlen_dtype(">i4"))
    array[0], array[1] = [1, 2], np.zeros(0, ">i4")
    tree.attrs["ragged"] = array
    record = np.empty((), [("v", INT)])
    record["v"] = None
    tree.attrs["record"] = record
    tree.to_hdf5(tmp_path / "x.h5")
    found = MemGroup.from_hdf5(tmp_path / "x.h5").attrs
    assert [item.tolist() for item in found["ragged"]] == [[1, 2], []]
    array[1] = [0.5]
    with pytest.raises(TypeError, match=r"attribute 'ragged': the element \[1\]"):
        tree.to_hdf5(tmp_path / "y.h5")


def test_the_array_in_memory_stays_as_it_is(tmp_path):
    tree = tree_with(INT, [1, 2])
    tree.to_hdf5(tmp_path / "x.h5")
    assert tree["g/x"].data[0] == [1, 2]


@given(
    given=npst.arrays(npst.scalar_dtypes(), st.integers(0, 4)),
    inner=st.one_of(npst.integer_dtypes(), npst.floating_dtypes(), npst.complex_number_dtypes()),
)
@settings(max_examples=150, deadline=None)
def test_numbers_are_the_same_or_refused(tmp_path_factory, given, inner):
    path = tmp_path_factory.mktemp("ragged") / "x.h5"
    try:
        tree_with(h5py.vlen_dtype(inner), given).to_hdf5(path)
    except TypeError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal is not None:
        assert "/g/x: the element [0]" in refusal
        assert given.size
        return
    found = MemGroup.from_hdf5(path)["g/x"].data[0]
    assert found.dtype == inner
    for one, other in zip(given.tolist(), found.tolist(), strict=True):
        assert same_bits(one, other) or one == other or (one != one and other != other)
