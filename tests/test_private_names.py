"""Names that programs import from private modules: what they do."""

from __future__ import annotations

import logging
import os

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemGroup, _io, _memh5
from support import PathLike, run_python


class TestTypeAliases:
    def test_they_are_asked_with_isinstance(self, tmp_path):
        tree = MemGroup()
        made = tree.create_dataset("x", data=[1])
        with h5py.File(tmp_path / "x.h5", "w") as file:
            stored = file.create_dataset("x", data=[1])
            group = file.create_group("g")
            for one in [tree, memdata.MemDiskGroup(), file, group]:
                assert isinstance(one, _memh5.GroupLike)
                assert isinstance(one, _memh5.FileOrGroupLike)
                assert not isinstance(one, _memh5.DatasetLike)
            for one in [made, stored]:
                assert isinstance(one, _memh5.DatasetLike)
                assert not isinstance(one, _memh5.FileOrGroupLike)
            for one in [file, "x.h5", tmp_path]:
                assert isinstance(one, _memh5.FileLike)
            assert not isinstance(group, _memh5.FileLike)

    def test_zarrs_classes_belong_to_them(self):
        zarr = pytest.importorskip("zarr")
        assert _memh5.zarr_available
        group = zarr.group()
        assert isinstance(group, _memh5.GroupLike)
        assert isinstance(zarr.zeros((1,)), _memh5.DatasetLike)

    def test_without_zarr(self):
        run_python(
            """
            import sys
            sys.modules["zarr"] = None
            from memdata import _memh5, MemGroup
            assert _memh5.zarr_available is False
            assert isinstance(MemGroup(), _memh5.GroupLike)
            """
        )

    def test_they_can_be_put_together_in_annotations(self):
        optional = _memh5.GroupLike | None
        assert isinstance(None, optional)
        assert isinstance(MemGroup(), optional)

    def test_nothing_heavy_is_imported_before_they_are_asked_for(self):
        run_python(
            """
            import sys
            from memdata import _io, _memh5
            _memh5.zarr_available
            assert not {"h5py", "zarr", "mpi4py"} & set(sys.modules)
            """
        )


def test_logger_is_the_one_that_memdata_writes_to():
    assert _memh5.logger is logging.getLogger("memdata")


def test_get_h5py_file(tmp_path):
    file, opened = _memh5.get_h5py_File(tmp_path / "no_ending", mode="w")
    assert opened
    with file:
        assert isinstance(file, h5py.File)
        assert _memh5.get_h5py_File(file) == (file, False)


def test_attrs2dict_is_a_plain_copy(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["a"] = np.arange(3)
        file.attrs["b"] = "text"
        found = _memh5.attrs2dict(file.attrs)
    assert type(found) is dict
    assert found["a"].tolist() == [0, 1, 2]
    assert found["b"] == "text"


def test_deep_copy_dataset():
    made = MemGroup().create_dataset("x", data=[1, 2])
    made.attrs["a"] = [1]
    copied = _memh5.deep_copy_dataset(made)
    copied[0] = 5
    copied.attrs["a"].append(2)
    assert made[0] == 1
    assert made.attrs["a"] == [1]


def test_format_abs_path():
    assert _memh5.format_abs_path("//a///b/") == "/a/b"
    with pytest.raises(ValueError, match="a/b"):
        _memh5.format_abs_path("a/b")


class TestOpenH5pyMpi:
    @pytest.mark.parametrize("kind", [str, lambda path: path, PathLike])
    def test_a_name_is_opened(self, tmp_path, kind):
        with _io.open_h5py_mpi(kind(tmp_path / "x.h5"), "w") as file:
            assert isinstance(file, h5py.File)
            assert file.opened is True
            assert file.is_mpi == (file.driver == "mpio")
            file["x"] = 1
        with _io.open_h5py_mpi(kind(tmp_path / "x.h5"), "r", use_mpi=False) as file:
            assert file.is_mpi is False
            assert file.mode == "r"
            assert file["x"][()] == 1

    def test_what_is_open_is_given_back(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            group = file.create_group("g")
            for one in (file, group):
                found = _io.open_h5py_mpi(one, "r")
                assert found is one
                assert (found.opened, found.is_mpi) == (False, False)

    @pytest.mark.parametrize("what", [None, 5, [], MemGroup(), b"x.h5"])
    def test_other_things_are_a_value_error(self, what):
        with pytest.raises(ValueError, match="expected a file name"):
            _io.open_h5py_mpi(what, "r")

    def test_an_error_names_the_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nothing"):
            _io.open_h5py_mpi(os.fspath(tmp_path / "nothing.h5"), "r")

    @pytest.mark.skipif(not h5py.get_config().mpi, reason="h5py without parallel HDF5")
    def test_with_mpi_io(self, tmp_path):
        from mpi4py import MPI

        with _io.open_h5py_mpi(tmp_path / "x.h5", "w", comm=MPI.COMM_SELF) as file:
            assert file.is_mpi
            assert file.driver == "mpio"
