"""`memdata.File` stands where `h5py.File` stood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import memdata


@pytest.fixture(params=[h5py.File, memdata.File], ids=["h5py", "memdata"])
def opened(request: pytest.FixtureRequest) -> Any:
    """The opener."""
    return request.param


@pytest.fixture
def name(tmp_path: Path) -> Path:
    """A file with one dataset."""
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["a/x"] = np.arange(3)
    return path


@pytest.mark.parametrize("mode", ["r+", "a"])
def test_changes_are_in_the_file_when_it_is_closed(opened: Any, name: Path, mode: str) -> None:
    with opened(name, mode) as file:
        file["a/x"][0] = 9
        file["a"].attrs["unit"] = "K"
        assert (file.mode, bool(file), file.filename) == ("r+", True, str(name))
        assert file["a"].file.filename == str(name)
    assert not file
    with opened(name) as file:
        assert file.mode == "r"
        assert file["a/x"][:].tolist() == [9, 1, 2]
        assert file["a"].attrs["unit"] == "K"


@pytest.mark.parametrize("mode", ["w", "w-", "x", "a"])
def test_new_files(opened: Any, tmp_path: Path, mode: str) -> None:
    with opened(tmp_path / "new.h5", mode) as file:
        file.create_dataset("x", data=1.5)
    with h5py.File(tmp_path / "new.h5") as file:
        assert file["x"][()] == 1.5


def test_an_old_file_is_replaced_or_kept(opened: Any, name: Path) -> None:
    for mode in ("w-", "x"):
        with pytest.raises(FileExistsError):
            opened(name, mode)
    with opened(name, "w") as file:
        assert list(file) == []
    with opened(name) as file:
        assert list(file) == []


def test_what_cannot_be_opened(opened: Any, tmp_path: Path, name: Path) -> None:
    for mode in ("r", "r+"):
        with pytest.raises(FileNotFoundError):
            opened(tmp_path / "missing.h5", mode)
    with pytest.raises(ValueError):
        opened(name, "sideways")


def test_a_file_for_reading_cannot_be_changed(opened: Any, name: Path) -> None:
    before = name.read_bytes()
    with opened(name, "r") as file:
        with pytest.raises((ValueError, OSError)):
            file["a/x"][0] = 5
        with pytest.raises((ValueError, OSError)):
            file.create_group("new")
        with pytest.raises((ValueError, OSError)):
            file["a"].create_dataset("new", data=1)
        with pytest.raises((ValueError, OSError)):
            file["new"] = 1
        with pytest.raises(KeyError):
            del file["a"]
    assert name.read_bytes() == before


def test_nothing_works_after_closing(opened: Any, name: Path) -> None:
    file = opened(name)
    file.close()
    file.close()
    with pytest.raises((ValueError, KeyError)):
        file["a/x"]


def test_a_file_that_was_not_changed_is_not_written(name: Path) -> None:
    stamp = name.stat().st_mtime_ns
    with memdata.File(name, "r+") as file:
        assert file["a/x"][1] == 1
    assert name.stat().st_mtime_ns == stamp


def test_an_exception_leaves_the_file_as_it_was(name: Path) -> None:
    before = name.read_bytes()

    def fail() -> None:
        with memdata.File(name, "r+") as file:
            file["a/x"][0] = 5
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert name.read_bytes() == before


def test_saving_can_be_asked_for_and_forbidden(name: Path) -> None:
    before = name.read_bytes()
    with memdata.File(name, "r+", save_on_close=False) as file:
        file["a/x"][0] = 5
    assert name.read_bytes() == before
    with memdata.File(name, "r+") as file:
        file["a/x"][0] = 7
        file.flush()
        assert memdata.MemGroup.from_hdf5(name)["a/x"][0] == 7


def test_groups_know_their_file(name: Path) -> None:
    with memdata.File(name) as file:
        assert file["a"].file is file
        group = file["a"]
    assert list(group) == ["x"]
    assert group.file == group.parent


def test_a_zarr_file(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    with memdata.File(tmp_path / "x.zarr", "w") as file:
        file["a"] = np.arange(4)
    with memdata.File(tmp_path / "x.zarr", "r") as file:
        assert file["a"][2:].tolist() == [2, 3]
