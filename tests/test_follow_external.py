"""What other files hold is copied where `follow_external=True` asks for it, whatever copies."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from memdata import MemDiskGroup, MemGroup, deep_group_copy
from memdata.cli import main
from odd_files import BIG, outside


@pytest.fixture
def outer(tmp_path):
    path = tmp_path / "outer.h5"
    outside(path)
    with h5py.File(tmp_path / "part.h5", "r+") as file:
        file["packed"] = np.zeros(1)
        file.create_dataset("g/packed", data=np.arange(BIG), compression="gzip", chunks=(1000,))
        file["g"].attrs["there"] = 1
    return path


def into_memory(path: Any, target: Any, **options: Any) -> Any:
    tree = MemGroup()
    with h5py.File(path) as file:
        deep_group_copy(file, tree, **options)
    return tree


def into_hdf5(path: Any, target: Any, **options: Any) -> Any:
    with h5py.File(path) as file, h5py.File(target / "copy.h5", "w") as copy:
        deep_group_copy(file, copy, **options)
    return MemGroup.from_file(target / "copy.h5")


def into_zarr(path: Any, target: Any, **options: Any) -> Any:
    zarr = pytest.importorskip("zarr")
    store = zarr.open_group(str(target / "copy.zarr"), mode="w")
    with h5py.File(path) as file:
        deep_group_copy(file, store, **options)
    return MemGroup.from_file(target / "copy.zarr")


def container(path: Any, target: Any, **options: Any) -> Any:
    with h5py.File(path) as file:
        MemDiskGroup(file).save(target / "copy.h5", **options)
    return MemGroup.from_file(target / "copy.h5")


def on_disk(path: Any, target: Any, **options: Any) -> Any:
    with h5py.File(path) as file:
        MemDiskGroup(file).to_disk(target / "copy.h5", **options).close()
    return MemGroup.from_file(target / "copy.h5")


def command(path: Any, target: Any, **options: Any) -> Any:
    asked = ["--follow-external"] if options.get("follow_external") else []
    assert main(["convert", str(path), str(target / "copy.h5"), "-q", *asked]) == 0
    return MemGroup.from_file(target / "copy.h5")


WAYS = [into_memory, into_hdf5, into_zarr, container, on_disk, command]


@pytest.mark.parametrize("copied", WAYS)
def test_followed_where_asked(outer, tmp_path, copied):
    (tmp_path / "elsewhere").mkdir()
    found = copied(outer, tmp_path / "elsewhere", follow_external=True)
    assert found["external"][:].tolist() == list(range(10))
    for name in ("virtual", "absolute", "of external", "through a link"):
        assert found[name][:].tolist() == [list(range(10))] * 2
    assert found["far/x"][:].tolist() == list(range(10))
    assert found["far/g"].attrs["there"] == 1
    assert found["far/g/packed"][:].tolist() == list(range(BIG))
    assert found["far/g/packed"].compression == "gzip"
    assert found["way"][:].tolist() == list(range(10))


@pytest.mark.filterwarnings("ignore:(?s).*not everything")
@pytest.mark.parametrize("copied", WAYS)
def test_left_alone_otherwise(outer, tmp_path, copied):
    (tmp_path / "elsewhere").mkdir()
    if copied is command:
        found = copied(outer, tmp_path / "elsewhere")
    else:
        with pytest.warns(UserWarning, match="(?s)external.*virtual"):
            found = copied(outer, tmp_path / "elsewhere")
    assert found.get("far", getlink=True).filename == "part.h5"
    assert "external" not in found
    assert "virtual" not in found
