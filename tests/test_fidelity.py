"""Load and save: h5py finds nothing that has changed."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from h5compare import differences
from memdata import MemDiskGroup, MemGroup, deep_group_copy
from odd_files import WRITERS


@pytest.fixture(params=list(WRITERS))
def odd_file(request, tmp_path):
    path = tmp_path / "odd.h5"
    WRITERS[request.param](path)
    return path


def compared(one, other):
    with h5py.File(one) as first, h5py.File(other) as second:
        return differences(first, second)


def test_nothing_changes_through_memory(odd_file, tmp_path):
    MemGroup.from_hdf5(odd_file).to_hdf5(tmp_path / "again.h5")
    assert compared(odd_file, tmp_path / "again.h5") == []


def test_nothing_changes_through_a_copy_in_memory(odd_file, tmp_path):
    tree = MemGroup.from_group(MemGroup.from_hdf5(odd_file))
    tree.to_hdf5(tmp_path / "again.h5")
    assert compared(odd_file, tmp_path / "again.h5") == []


def test_nothing_changes_in_a_container(odd_file, tmp_path):
    MemDiskGroup.from_file(odd_file).save(tmp_path / "again.h5")
    with h5py.File(odd_file) as first, h5py.File(tmp_path / "again.h5", "r+") as second:
        del second.attrs["__memh5_subclass"]
        assert differences(first, second) == []


def test_nothing_changes_from_file_to_file(odd_file, tmp_path):
    with h5py.File(odd_file) as source:
        tracked = source.id.get_create_plist().get_link_creation_order()
        with h5py.File(tmp_path / "again.h5", "w", track_order=bool(tracked)) as target:
            deep_group_copy(source, target)
    # HDF5 sorts the fields of types that it has converted, until the file is closed.
    assert compared(odd_file, tmp_path / "again.h5") == []


def test_named_types_of_files_that_are_closed(tmp_path):
    """What is known of a type does not end with the file in which it was first seen."""
    dtype = np.dtype([(("a title", "seen in two files"), "i4")])
    tree = MemGroup()
    tree["a type"] = dtype
    tree.to_hdf5(tmp_path / "one.h5")
    assert MemGroup.from_hdf5(tmp_path / "one.h5")["a type"].dtype.fields == dtype.fields
    tree.create_dataset("x", data=np.zeros(3, dtype))
    tree.to_hdf5(tmp_path / "two.h5")
    assert MemGroup.from_hdf5(tmp_path / "two.h5")["x"].dtype.fields == dtype.fields
