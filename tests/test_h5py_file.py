"""`memdata.File` stands where `h5py.File` stood."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import tempfile
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


def test_everything_in_a_file_knows_it(opened: Any, name: Path) -> None:
    with opened(name, "r+") as file:
        dataset = file["a/x"]
        assert dataset.file == file
        assert dataset.file.filename == str(name)
        assert dataset.parent.file.mode == "r+"
        assert file.get("a", getclass=True) in type(file["a"]).__mro__
        dataset[0] = 5
        dataset.file.close()
        assert not file
        assert "a" not in file
        assert not file.id
    with opened(name) as file:
        assert file["a/x"][0] == 5


def test_containers_around_a_file(name: Path) -> None:
    with memdata.File(name, "r+") as file:
        container = memdata.MemDiskGroup(file)
        assert container["a/x"].file is file
        container["b"] = [1, 2]
    with h5py.File(name) as file:
        assert file["b"][1] == 2


@pytest.mark.parametrize("make", [io.BytesIO, tempfile.TemporaryFile], ids=["BytesIO", "file"])
def test_file_objects(opened: Any, make: Any) -> None:
    with make() as target:
        with opened(target, "w") as file:
            file["x"] = np.arange(5)
            file["long"] = np.zeros(5000)
            assert file.driver == "fileobj"
        with opened(target, "a") as file:
            del file["long"]
            file["y"] = "text"
        with opened(target, "r") as file:
            assert (list(file), file["x"][3], file["y"][()]) == (["x", "y"], 3, b"text")
        target.seek(0)
        assert target.read(8) == b"\x89HDF\r\n\x1a\n"


def test_what_is_no_file_is_refused(opened: Any, name: Path) -> None:
    for bad in (3, None):
        with pytest.raises((TypeError, AttributeError)):
            opened(bad, "w")
    with pytest.raises((TypeError, ValueError, AttributeError)):
        opened(name, "r", driver="fileobj")
    with pytest.raises(ValueError, match="Unknown driver"):
        opened(name, "r", driver="nonsense")
    with pytest.raises(TypeError):
        opened(name, "r", nonsense=1)


@pytest.mark.parametrize(
    "keywords",
    [
        {"libver": "latest"},
        {"userblock_size": 1024},
        {"fs_strategy": "page", "fs_page_size": 4096},
        {"alignment_threshold": 1, "alignment_interval": 4096},
        {"driver": "stdio", "locking": False, "rdcc_nbytes": 1024},
        {"driver": "core"},
    ],
    ids=lambda keywords: next(iter(keywords)),
)
def test_keywords_for_files(opened: Any, tmp_path: Path, keywords: dict[str, Any]) -> None:
    path = tmp_path / "new.h5"
    with opened(path, "w", **keywords) as file:
        file["x"] = np.arange(100_000)
        file.create_dataset("y", data=np.arange(100), chunks=(7,), compression="gzip")
    for reader in (h5py.File, memdata.File):
        with reader(path, "r") as file:
            assert file["x"][99_999] == 99_999
            assert file["y"][99] == 99
            if reader is h5py.File:
                assert file.userblock_size == keywords.get("userblock_size", 0)


def test_a_file_without_backing_store_is_nowhere(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.h5"
    with opened(path, "w", driver="core", backing_store=False) as file:
        file["x"] = 1
    assert not path.exists()


def test_the_order_of_names_is_kept_where_asked_for(opened: Any, tmp_path: Path) -> None:
    with opened(tmp_path / "new.h5", "w", track_order=True) as file:
        for i in range(12):
            file[str(i)] = i
    with opened(tmp_path / "new.h5", "r") as file:
        assert list(file) == [str(i) for i in range(12)]


def test_what_nobody_closed_is_saved(opened: Any, name: Path) -> None:
    file = opened(name, "r+")
    file["a/x"][0] = 9
    if opened is memdata.File:
        with pytest.warns(ResourceWarning, match="not closed"):
            del file
    else:
        del file
    with h5py.File(name) as again:
        assert again["a/x"][0] == 9


@pytest.mark.parametrize(("end", "saved"), [("", 9), ("; raise RuntimeError", 0)])
def test_at_the_end_of_the_program(name: Path, end: str, saved: int) -> None:
    code = f"import memdata; f = memdata.File({str(name)!r}, 'r+'); f['a/x'][0] = 9{end}"
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60)
    with h5py.File(name) as again:
        assert again["a/x"][0] == saved


def test_a_failed_save_keeps_the_content(name: Path) -> None:
    before = name.read_bytes()
    file = memdata.File(name, "r+")
    file["bad"] = np.array(["text"])
    with pytest.raises(TypeError, match="/bad"):
        file.close()
    assert file
    assert name.read_bytes() == before
    del file["bad"]
    file["good"] = 1
    file.close()
    with h5py.File(name) as again:
        assert again["good"][()] == 1


def test_copies_are_in_memory(name: Path) -> None:
    with memdata.File(name, "r+") as file:
        copies = [copy.deepcopy(file), pickle.loads(pickle.dumps(file))]
        assert copy.copy(file["a"]).file is file
    for tree in copies:
        assert type(tree) is memdata.MemGroup
        assert tree["a/x"][:].tolist() == [0, 1, 2]
        tree["a"].create_group("new")
        assert tree["a/x"].file == tree
