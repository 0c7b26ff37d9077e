"""fileformats: names, guesses and the spelling of compression."""

import os
import subprocess
import sys
import types
from pathlib import Path

import h5py
import numpy as np
import pytest

from memdata import fileformats
from memdata.fileformats import (
    BACKENDS,
    H5_COMPRESS_LZ4,
    H5FILTER,
    HDF5,
    FileFormat,
    Zarr,
    ZarrProcessSynchronizer,
    check_file_format,
    guess_file_format,
    remove_file_or_dir,
)
from support import FakeComm


def test_constants():
    assert H5FILTER == 32008
    assert H5_COMPRESS_LZ4 == 2
    assert set(BACKENDS.values()) == {HDF5, Zarr}


def test_formats_are_file_formats():
    assert issubclass(HDF5, FileFormat)
    assert issubclass(Zarr, FileFormat)
    assert HDF5.module is h5py


@pytest.mark.parametrize("method", ["open", "compression_kwargs"])
def test_the_base_class_is_no_format(method):
    with pytest.raises(NotImplementedError):
        getattr(FileFormat, method)()


def test_hdf5_opens_with_h5pys_arguments(tmp_path):
    with HDF5.open(tmp_path / "x.h5", "w", libver="latest") as file:
        assert isinstance(file, h5py.File)
        file["x"] = 1
    with HDF5.open(tmp_path / "x.h5", mode="r") as file:
        assert file["x"][()] == 1


class TestHDF5Compression:
    @pytest.mark.parametrize("name", ["bitshuffle", 32008, "32008"])
    @pytest.mark.parametrize(
        ("options", "expected"),
        [((None, "lz4"), (0, 2)), ((0, 2), (0, 2)), ([64, "lz4"], (64, 2)), ((8, 3), (8, 3))],
        ids=str,
    )
    def test_all_spellings_of_bitshuffle(self, name, options, expected):
        assert HDF5.compression_kwargs(name, options) == {
            "compression": 32008,
            "compression_opts": expected,
        }

    @pytest.mark.parametrize("options", [None, 5, (1,), (1, 2, 3), "lz4", (None, "nonsense")])
    @pytest.mark.parametrize("file_format", [HDF5, Zarr])
    def test_bitshuffle_without_options(self, file_format, options):
        with pytest.raises(ValueError, match="bitshuffle"):
            file_format.compression_kwargs("bitshuffle", options)

    @pytest.mark.parametrize(
        ("compression", "options"), [("gzip", 5), ("lzf", None), (None, None)], ids=str
    )
    def test_h5py_takes_the_rest_as_it_is(self, tmp_path, compression, options):
        kwargs = HDF5.compression_kwargs(compression, options)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            dataset = file.create_dataset("x", data=np.arange(10), **kwargs)
            assert dataset.compression == compression
            assert dataset.compression_opts == options

    def test_a_numcodecs_compressor(self):
        with pytest.raises(NotImplementedError, match="GZip"):
            HDF5.compression_kwargs(compressor="GZip()")


class TestZarr:
    @pytest.fixture(autouse=True)
    def _zarr(self):
        pytest.importorskip("numcodecs")

    @pytest.mark.parametrize("name", ["bitshuffle", 32008, "32008"])
    def test_bitshuffle_is_blosc_with_shuffled_bits(self, name):
        from numcodecs import Blosc

        expected = Blosc(cname="lz4", shuffle=Blosc.BITSHUFFLE, blocksize=0)
        assert Zarr.compression_kwargs(name, (None, "lz4")) == {"compressor": expected}

    def test_gzip(self):
        from numcodecs import GZip

        assert Zarr.compression_kwargs("gzip", 7) == {"compressor": GZip(7)}

    def test_a_compressor_is_kept(self):
        from numcodecs import Zstd

        assert Zarr.compression_kwargs(compressor=Zstd(3)) == {"compressor": Zstd(3)}

    @pytest.mark.parametrize("name", ["szip", "nonsense", 31999])
    def test_unknown_filters(self, name):
        with pytest.raises(ValueError, match=str(name)):
            Zarr.compression_kwargs(name)

    def test_both_kinds_at_once(self):
        from numcodecs import GZip

        with pytest.raises(ValueError, match="both"):
            Zarr.compression_kwargs("gzip", 4, compressor=GZip(4))

    def test_open(self, tmp_path):
        pytest.importorskip("zarr")
        group = Zarr.open(tmp_path / "x.zarr", mode="w")
        assert group.create_group("a") is not None
        assert "a" in Zarr.open(str(tmp_path / "x.zarr"), mode="r")


@pytest.mark.parametrize("module", ["zarr", "numcodecs"])
def test_without_zarr_the_error_says_how_to_get_it(module):
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from memdata.fileformats import Zarr\n"
        "try:\n"
        "    Zarr.open('x.zarr') if sys.argv[1] == 'zarr' else Zarr.compression_kwargs('gzip')\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, module], capture_output=True, text=True, check=True
    )
    assert "pip install memdata[zarr]" in done.stdout


def test_without_hdf5plugin_the_error_says_how_to_get_it(tmp_path):
    code = """
import sys
sys.modules["hdf5plugin"] = None
import numpy as np
from memdata import MemGroup
group = MemGroup()
group.create_dataset("a/x", data=np.arange(9), chunks=(3,), compression="bitshuffle",
                     compression_opts=(None, "lz4"))
try:
    group.to_hdf5(sys.argv[1])
except ValueError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.h5")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "/a/x" in done.stdout
    assert "pip install memdata[compression]" in done.stdout
    assert os.listdir(tmp_path) == []


GUESSES = [
    ("x.zarr", Zarr),
    ("a/b.zarr/", Zarr),
    ("x.zarr.zip", Zarr),
    ("x.h5", HDF5),
    ("x.hdf5", HDF5),
    ("x.dat", None),
    ("x", None),
    ("x.zip", None),
]


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize(("name", "expected"), GUESSES)
def test_guessing(name, expected, kind):
    for default in (HDF5, Zarr):
        assert guess_file_format(kind(name), default) is (expected or default)
    assert guess_file_format(kind(name)) is (expected or HDF5)


def test_a_folder_is_zarr(tmp_path):
    assert guess_file_format(tmp_path) is Zarr


@pytest.mark.parametrize("kind", [str, Path])
def test_check_file_format(kind):
    assert check_file_format(kind("x.h5"), HDF5, None) is HDF5
    assert check_file_format(kind("x.h5"), None, None) is HDF5
    assert check_file_format(kind("x.zarr"), None, None) is Zarr
    assert check_file_format(kind("x"), Zarr, None) is Zarr
    assert check_file_format(kind("x"), None, None) is HDF5


@pytest.mark.parametrize(
    ("name", "file_format"), [("x.h5", Zarr), ("x.zarr", HDF5), (Path("x.zarr.zip"), HDF5)]
)
def test_disagreement(name, file_format):
    with pytest.raises(ValueError, match=str(name)):
        check_file_format(name, file_format, None)


def test_disagreement_with_the_data(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        assert check_file_format("x", None, file) is HDF5
        with pytest.raises(ValueError, match="data"):
            check_file_format("x", Zarr, file)


def test_remove_file_or_dir(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "file").write_text("x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to("outside")
    for name in ("file", "folder", "link", "nothing"):
        remove_file_or_dir(tmp_path / name)
    assert os.listdir(tmp_path) == ["outside"]


class TestZarrProcessSynchronizer:
    def test_leaves_nothing_behind(self, tmp_path):
        pytest.importorskip("zarr")
        name = tmp_path / "locks"
        with ZarrProcessSynchronizer(name):
            name.mkdir(exist_ok=True)
        assert os.listdir(tmp_path) == []

    def test_only_rank_0_removes(self, tmp_path):
        pytest.importorskip("zarr")

        class Comm(FakeComm):
            def Ibarrier(self):
                return types.SimpleNamespace(Test=lambda: True)

        (tmp_path / "locks").mkdir()
        with ZarrProcessSynchronizer(tmp_path / "locks", Comm(1, 2)):
            pass
        assert os.listdir(tmp_path) == ["locks"]


def test_importing_it_imports_no_library():
    code = (
        "import sys, memdata.fileformats; print([m for m in ('h5py', 'zarr') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in fileformats.__all__:
        assert hasattr(fileformats, name)
