"""Text, references and typed attributes: h5py's own answers are the oracle."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

import memdata

TEXTS = ["a", "fàilte", ""]


@pytest.mark.parametrize("data", ["fàilte", TEXTS, [["a"], ["b"]], b"abc", [b"a", b"bc"]], ids=repr)
def test_python_strings_are_strings_of_variable_length(h5: Any, data: Any) -> None:
    h5["x"] = data
    dataset = h5["x"]
    assert h5py.check_string_dtype(dataset.dtype).length is None
    stored, read = np.asarray(dataset[()]), np.asarray(dataset.asstr()[()])
    assert {type(item) for item in stored.ravel().tolist()} == {bytes}
    assert read.tolist() == np.asarray(data).astype(str).tolist()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text_reads_as_bytes(h5: Any, encoding: str) -> None:
    dataset = h5.create_dataset("x", (4,), dtype=h5py.string_dtype(encoding))
    dataset[0] = "text"
    dataset[1:3] = ["b", b"c"]
    dataset[3] = np.array("d", object)
    assert dataset[:].tolist() == [b"text", b"b", b"c", b"d"]
    assert dataset.asstr()[1:].tolist() == ["b", "c", "d"]
    assert dataset.astype("T")[:].tolist() == ["text", "b", "c", "d"]


def test_ascii_text_is_ascii(h5: Any) -> None:
    dataset = h5.create_dataset("x", (2,), dtype=h5py.string_dtype("ascii"))
    with pytest.raises(UnicodeEncodeError):
        dataset[0] = "fàilte"


def test_fill_values_of_text(h5: Any) -> None:
    dataset = h5.create_dataset(
        "x", (2,), maxshape=(None,), dtype=h5py.string_dtype(), fillvalue="bár"
    )
    dataset.resize((3,))
    assert (dataset.fillvalue, dataset[2]) == ("bár".encode(),) * 2


def test_utf8_of_fixed_length(h5: Any) -> None:
    dataset = h5.create_dataset("x", (4,), dtype=h5py.string_dtype("utf-8", 5))
    dataset[0] = "cù"
    dataset[1:3] = ["cù", "b"]
    assert dataset[:].tolist() == ["cù".encode(), "cù".encode(), b"b", b""]


def test_str_elements_stay_str() -> None:
    """As they are after a load with convert_dataset_strings."""
    array = np.array(["a", "b"], dtype=h5py.string_dtype())
    dataset = memdata.MemGroup().create_dataset("x", data=array)
    dataset[0] = "c"
    dataset[1] = b"d"
    assert array.tolist() == ["c", "d"]


def test_references_are_of_one_kind(h5: Any) -> None:
    h5["x"] = np.arange(12)
    h5["regions"] = [h5["x"].regionref[:3], h5["x"].regionref[1:]]
    assert h5["x"][h5["regions"][0]].tolist() == [0, 1, 2]
    objects = h5.create_dataset("objects", (1,), dtype=h5py.ref_dtype)
    with pytest.raises(TypeError, match="convert"):
        objects[0] = h5["x"].regionref[:3]
    objects[0] = h5["x"].ref
    assert h5[objects[0]].name == "/x"


def test_attributes_made_with_a_type(h5: Any) -> None:
    attrs = h5.attrs
    attrs.create("texts", ("a", "b"))
    assert attrs["texts"].dtype == object
    assert attrs["texts"].tolist() == ["a", "b"]
    attrs.create("numbers", [1, 2])
    attrs.modify("numbers", [3.7, 4])
    assert attrs["numbers"].tolist() == [3, 4]
    big = [2**63 - 1, 2**63]
    attrs.create("big", big, dtype="u8")
    attrs.modify("big", big)
    assert attrs["big"].tolist() == big
    attrs.modify("new", 3)
    attrs.modify("new", 4)
    assert attrs["new"] == 4
    with pytest.raises(TypeError):
        attrs.modify("new", np.arange(5))
    with pytest.raises(TypeError):
        attrs.create(1, data=2)


def test_names_of_attributes_as_bytes(h5: Any) -> None:
    name = "non-ascii\xfe".encode()
    h5.attrs[name] = 42
    assert h5.attrs[name] == 42
    assert name in h5.attrs
    assert h5.attrs["non-ascii\xfe"] == 42
    del h5.attrs[name]
    assert not len(h5.attrs)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda h5: h5.create_dataset("y", shape=(), chunks=(5,), dtype="f4"), TypeError),
        (lambda h5: h5.create_dataset("y", (4,), "f4", compression=14), ValueError),
        (lambda h5: h5.create_dataset("y", (4,), "f4", compression=-4), ValueError),
        (lambda h5: h5["plain"].resize((7,)), TypeError),
        (lambda h5: h5["empty"].read_direct(np.zeros((0, 25))), TypeError),
        (lambda h5: h5["plain"].astype("T"), TypeError),
    ],
    ids=["chunks", "filter", "negative filter", "resize", "read_direct", "astype"],
)
def test_refusals_are_of_kinds_that_h5py_has(h5: Any, call: Any, error: type[Exception]) -> None:
    h5["plain"] = np.arange(4)
    h5["empty"] = np.zeros((0, 20))
    with pytest.raises(error):
        call(h5)


def test_a_dataset_needs_a_shape() -> None:
    """h5py takes a type alone for a null dataspace, and raises a TypeError without one."""
    for error in (ValueError, TypeError):
        with pytest.raises(error, match="Empty"):
            memdata.MemGroup().create_dataset("x", dtype="f4")


def test_what_identifiers_tell(h5: Any) -> None:
    dataset = h5.create_dataset(
        "x", (10,), "f4", maxshape=(None,), shuffle=True, compression="gzip", fillvalue=4.0
    )
    plist = dataset.id.get_create_plist()
    assert (plist.get_chunk(), plist.get_nfilters()) == (dataset.chunks, 2)
    assert dataset.id.get_type() == h5py.h5t.IEEE_F32LE
    assert dataset.id.get_space().get_simple_extent_dims(True) == (h5py.h5s.UNLIMITED,)
    assert (dataset.id.rank, dataset.id.shape, dataset.id.dtype) == (1, (10,), np.dtype("f4"))
    assert dataset.id.valid
    assert h5.id.valid
    assert h5["x"].id == dataset.id
    assert (dataset.filter_ids, dataset.filter_names) == ((2, 1), ("shuffle", "deflate"))
    h5["empty"] = h5py.Empty("i2")
    assert h5["empty"].id.get_space().get_simple_extent_type() == h5py.h5s.NULL
    assert (h5["empty"].size, h5["empty"].nbytes, h5["empty"].ndim) == (None, 0, 0)


def test_types_of_hdf5_itself(h5: Any) -> None:
    dataset = h5.create_dataset("x", (3,), dtype=h5py.h5t.STD_B16LE)
    dataset[:] = [1, 2, 3]
    assert (dataset.dtype, dataset[2]) == (np.dtype("u2"), 3)
    assert isinstance(dataset.id.get_type(), h5py.h5t.TypeBitfieldID)
