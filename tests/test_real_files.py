"""Files that other programs wrote are loaded and saved, and h5py finds nothing changed."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from h5compare import differences
from memdata import MemGroup

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "files"
FOUND = sorted(path for path in FOLDER.glob("*") if h5py.is_hdf5(path))


#: Why something may be left out; see "What cannot come back" in docs/types.md.
REASONS = (
    "needs the HDF5 filter",
    "h5py has no such type",
    "its elements are in other files",
    "a link of a kind that h5py does not know",
    "Unable to synchronously open object",
    "nothing has been written into it",
)

#: Filters whose values the library sets itself, by its release: shuffle, szip, lzf, Blosc, Blosc2.
OWN_VALUES = (2, 4, 32000, 32001, 32026)

#: Ragged arrays of texts that end with a NUL, of which h5py would cut the last byte.
CUT_TEXT = ("flavored_vlarrays-format1.6.h5", "oldflavor_numeric.h5")


def there_and_back(path, tmp_path, missing=(), own_values=()):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if missing else "error")
        MemGroup.from_hdf5(path).to_hdf5(tmp_path / "again.h5")
    with h5py.File(path) as first, h5py.File(tmp_path / "again.h5") as second:
        return differences(first, second, missing=missing, own_values=own_values)


def left_out(path):
    """The paths of what a load leaves out, each for one of the reasons."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        MemGroup.from_hdf5(path, max_bytes=1 << 28)
    lines = [line for item in caught for line in str(item.message).splitlines()[1:]]
    for line in lines:
        assert any(reason in line for reason in REASONS), line
    found = [re.match(r"  (/.*?(?:: attribute '.*?')?): ", line) for line in lines]
    return [match[1] for match in found if match]


def h5py_fails(path):
    """Whether h5py cannot read all of a file either."""

    def read(name, item):
        dict(item.attrs)
        if isinstance(item, h5py.Dataset):
            item[()]

    try:
        with h5py.File(path) as file:
            dict(file.attrs)
            file.visititems(read)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError):
        return True
    return False


@pytest.mark.skipif(not FOUND, reason="no files here: python tools/fetch_files.py fetches them")
@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_files_of_packages(path, tmp_path):
    try:
        missing = left_out(path)
    except MemoryError:
        return  # made to declare too much
    except OSError:
        assert h5py_fails(path)
        return
    try:
        found = there_and_back(path, tmp_path, missing, OWN_VALUES)
    except TypeError as error:
        if "arrays of arrays" not in str(error):
            raise
        return
    if path.name.endswith(CUT_TEXT):
        found = [line for line in found if not line.startswith("/vlarray2: type")]
    assert found == []


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


@pytest.mark.parametrize("shape", [(5,), (300_000,)])
def test_the_user_block_comes_along(tmp_path, shape):
    """MATLAB does not open a file without its words before HDF5's part."""
    path, again = tmp_path / "x.mat", tmp_path / "again.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("x", data=np.ones(shape))
        file.create_dataset("chunks", data=np.arange(3000), chunks=(1000,), compression="gzip")
    words = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" ")
    with path.open("r+b") as raw:
        raw.write(words)
    assert there_and_back(path, tmp_path) == []
    MemGroup.from_hdf5(path).to_hdf5(again)
    assert again.read_bytes()[:512] == words
    with h5py.File(again) as file:
        assert file.userblock_size == 512
    tree = MemGroup.from_hdf5(again)
    tree.to_hdf5(tmp_path / "other.h5", userblock_size=1024)
    with h5py.File(tmp_path / "other.h5") as file:
        assert file.userblock_size == 1024
    tree["group"] = 1
    tree.to_hdf5(again, mode="w")
    assert again.read_bytes()[:512] == words
