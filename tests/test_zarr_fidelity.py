"""From HDF5 into zarr and back: h5py finds nothing that has changed."""

from __future__ import annotations

import warnings
from typing import Any

import h5py
import numpy as np
import pytest

from h5compare import differences
from memdata import MemGroup, deep_group_copy
from memdata.fileformats import Zarr
from odd_files import WRITERS
from zarr_support import FORMATS, metadata, open_plain

#: Datasets whose filters zarr does not have: they get others, with a warning.
_REPLACED = ("/lzf:", "/szip:", "/nbit:", "/twice:", "/scaled:", "/scaled floats:")


#: What zarr has nothing for: elements in other files, named types of text.
_NOT_HERE = ("outside", "named types of text")


@pytest.fixture(params=[name for name in WRITERS if not name.startswith(_NOT_HERE)])
def odd_file(request, tmp_path):
    path = tmp_path / "odd.h5"
    WRITERS[request.param](path)
    return path


def compared(one: Any, other: Any) -> list[str]:
    """What differs between two files, but for filters that were replaced."""
    with h5py.File(one) as first, h5py.File(other) as second:
        found = differences(first, second)
    return [line for line in found if not line.startswith(_REPLACED)]


@pytest.mark.parametrize("convert", [True, False])
@pytest.mark.parametrize("zarr_format", FORMATS)
def test_nothing_changes(odd_file, tmp_path, zarr_format, convert):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*filters without a counterpart")
        tree = MemGroup.from_file(odd_file, convert_attribute_strings=convert)
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        MemGroup.from_file(tmp_path / "x.zarr", convert_attribute_strings=convert).to_file(
            tmp_path / "again.h5"
        )
    assert compared(odd_file, tmp_path / "again.h5") == []


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_nothing_changes_by_copies_of_open_groups(tmp_path, zarr_format):
    for writer in ("attributes of text", "attributes with types"):
        WRITERS[writer](tmp_path / "odd.h5")
        store = open_plain(tmp_path / "x.zarr", "w", zarr_format=zarr_format)
        with h5py.File(tmp_path / "odd.h5") as file:
            deep_group_copy(file, store, file_format=Zarr)
        with h5py.File(tmp_path / "again.h5", "w") as file:
            deep_group_copy(store, file)
        assert compared(tmp_path / "odd.h5", tmp_path / "again.h5") == []


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_byte_strings_come_back_as_they_are_asked_for(tmp_path, zarr_format):
    tree = MemGroup()
    tree.attrs["text"] = b"abc"
    tree.attrs["array"] = np.array([[b"a", b"b"]])
    tree.attrs["none"] = np.zeros((0, 2), "S3")
    tree.attrs["no text"] = np.array([b"\xff", b"a"])
    tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
    found = MemGroup.from_file(tmp_path / "x.zarr", convert_attribute_strings=False).attrs
    assert found["text"] == b"abc"
    for name in ("array", "none", "no text"):
        assert found[name].dtype == tree.attrs[name].dtype
        assert found[name].tolist() == tree.attrs[name].tolist()
        assert found[name].shape == tree.attrs[name].shape
    text = MemGroup.from_file(tmp_path / "x.zarr").attrs
    assert (text["text"], text["array"]) == ("abc", [["a", "b"]])
    assert metadata(tmp_path / "x.zarr").get("attributes", metadata(tmp_path / "x.zarr"))[
        "array"
    ] == [["a", "b"]]


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_links_have_their_place_among_the_names(tmp_path, zarr_format):
    tree = MemGroup()
    tree["b"] = h5py.SoftLink("/c")
    tree.create_dataset("c", data=np.arange(3))
    tree["a"] = tree["c"]
    tree["d"] = h5py.ExternalLink("other.h5", "/x")
    tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
    assert list(MemGroup.from_file(tmp_path / "x.zarr")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("zarr_format", FORMATS)
def test_a_link_that_is_no_link(tmp_path, zarr_format):
    MemGroup().to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
    store = open_plain(tmp_path / "x.zarr", "r+")
    store.attrs["__memdata_links"] = {"a": 5, "b": {"hard": ["x"]}, "c": {}, "d": {"hard": "/no"}}
    with pytest.warns(UserWarning, match="(?s)/a: .*/b: .*/c: .*/d: "):
        assert list(MemGroup.from_file(tmp_path / "x.zarr")) == []
