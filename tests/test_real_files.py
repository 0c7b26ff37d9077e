"""Files that other programs wrote are loaded and saved, and h5py finds nothing changed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from h5compare import differences
from memdata import MemGroup

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "files"
FOUND = sorted(path for path in FOLDER.glob("*") if h5py.is_hdf5(path))


def there_and_back(path, tmp_path):
    MemGroup.from_hdf5(path, strict=True).to_hdf5(tmp_path / "again.h5")
    with h5py.File(path) as first, h5py.File(tmp_path / "again.h5") as second:
        return differences(first, second)


@pytest.mark.skipif(not FOUND, reason="no files here: python tools/fetch_files.py fetches them")
@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_files_of_packages(path, tmp_path):
    assert there_and_back(path, tmp_path) == []


def test_netcdf4(tmp_path):
    netcdf = pytest.importorskip("netCDF4")
    with netcdf.Dataset(tmp_path / "x.nc", "w") as file:
        file.createDimension("t", None)
        file.createDimension("x", 3)
        group = file.createGroup("g")
        group.createDimension("y", 2)
        values = file.createVariable("v", "f4", ("t", "x"), zlib=True, fill_value=-9)
        values[:] = np.ones((4, 3))
        values.units = "K"
        file.createVariable("s", str, ("x",))[:] = np.array(["a", "b", "ü"], object)
        record = file.createCompoundType(np.dtype([("a", "i4"), ("b", "f8")]), "record")
        file.createVariable("c", record, ("x",))
        enum = file.createEnumType(np.int8, "enum", {"A": 0, "B": 1})
        file.createVariable("e", enum, ("x",), fill_value=0)[:] = [0, 1, 0]
        group.createVariable("z", "u8", ("y", "x"), contiguous=True)[:] = 1
    assert there_and_back(tmp_path / "x.nc", tmp_path) == []


def test_pytables(tmp_path):
    tables = pytest.importorskip("tables")
    with tables.open_file(tmp_path / "x.h5", "w", title="a title") as file:
        columns = {"name": tables.StringCol(4, pos=0), "n": tables.IntCol(pos=1)}
        table = file.create_table("/", "table", columns)
        table.append([(b"full", 1), (b"x", 2)])
        rows = file.create_earray("/", "rows", tables.Float32Atom(), (0, 3))
        rows.append(np.ones((5, 3), "f4"))
        ragged = file.create_vlarray("/", "ragged", tables.Int32Atom())
        ragged.append([1, 2, 3])
        file.create_array("/", "array", np.arange(5)).attrs.d = {"x": 1}
        file.create_soft_link("/", "soft", "/array")
    assert there_and_back(tmp_path / "x.h5", tmp_path) == []
