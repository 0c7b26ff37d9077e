"""Filters between h5py's words, numcodecs' and those of zarr 3: kept where both have them."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import pytest

from memdata import MemGroup, deep_group_copy
from memdata.fileformats import HDF5, Zarr
from support import assert_same_array
from zarr_support import FORMATS, MAJOR, needs_format_3, open_plain, plain_array

numcodecs = pytest.importorskip("numcodecs")
hdf5plugin = pytest.importorskip("hdf5plugin")

# zarr gives it to whoever opens an array; memdata knows.
pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3")

DATA = np.arange(600, dtype="f4").reshape(30, 20) % 17


@pytest.fixture(params=FORMATS)
def zarr_format(request) -> int:
    return request.param


def plain(path: Any, zarr_format: int, **options: Any) -> Any:
    return plain_array(open_plain(path, "w", zarr_format=zarr_format), "x", DATA, (8, 8), **options)


#: Name and options as h5py takes them; the same in every format.
KEPT = [
    ("gzip", 7),
    ("bitshuffle", (None, "lz4")),
    ("bitshuffle", (None, "zstd")),
    ("bitshuffle", (256, "lz4")),
    (32001, (0, 0, 0, 0, 3, 1, 5)),
    (32001, (0, 0, 0, 0, 9, 0, 2)),
    (32015, (5,)),
    (32015, ((1 << 32) - 3,)),
    (32004, (0,)),
    (307, (4,)),
]


class TestKept:
    @pytest.mark.parametrize(("compression", "options"), KEPT, ids=str)
    def test_in_memory(self, tmp_path, zarr_format, compression, options):
        tree = MemGroup()
        tree.create_dataset(
            "x", data=DATA, chunks=(8, 8), compression=compression, compression_opts=options
        )
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        found = MemGroup.from_file(tmp_path / "x.zarr")["x"]
        assert (found.chunks, found.compression) == ((8, 8), compression)
        assert found.compression_opts == options
        assert_same_array(found[:], DATA)
        np.testing.assert_array_equal(open_plain(tmp_path / "x.zarr")["x"][:], DATA)

    @pytest.mark.parametrize(
        ("plugin", "expected"),
        [
            (hdf5plugin.Bitshuffle(), ("bitshuffle", (None, "lz4"))),
            (hdf5plugin.Blosc(cname="zstd", clevel=3, shuffle=1), (32001, (0, 0, 0, 0, 3, 1, 5))),
            (hdf5plugin.Blosc2(cname="lz4", clevel=3), (32001, (0, 0, 0, 0, 3, 1, 1))),
            (hdf5plugin.Zstd(clevel=7), (32015, (7,))),
            (hdf5plugin.LZ4(), (32004, (0,))),
            (hdf5plugin.BZip2(blocksize=5), (307, (5,))),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_from_hdf5_and_back(self, tmp_path, zarr_format, plugin, expected):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("x", data=DATA, chunks=(8, 8), **plugin)
        MemGroup.from_file(tmp_path / "x.h5").to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        found = MemGroup.from_file(tmp_path / "x.zarr")
        assert (found["x"].compression, found["x"].compression_opts) == expected
        found.to_file(tmp_path / "y.h5")
        with h5py.File(tmp_path / "y.h5") as file:
            assert file["x"].chunks == (8, 8)
            assert file["x"].id.get_create_plist().get_nfilters() == 1
            assert_same_array(file["x"][:], DATA)

    @pytest.mark.parametrize(("compression", "options"), KEPT[1:], ids=str)
    def test_chunks_that_do_not_get_smaller_in_hdf5(self, tmp_path, compression, options):
        tree = MemGroup()
        tree.create_dataset(
            "x", data=DATA[0], chunks=(1,), compression=compression, compression_opts=options
        )
        tree.to_file(tmp_path / "x.h5")
        assert_same_array(MemGroup.from_file(tmp_path / "x.h5")["x"][:], DATA[0])

    def test_shuffle_and_checksum(self, tmp_path, zarr_format):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("x", data=DATA, compression="gzip", shuffle=True, fletcher32=True)
            target = open_plain(tmp_path / "x.zarr", "w", zarr_format=zarr_format)
            deep_group_copy(file, target)
        np.testing.assert_array_equal(target["x"][:], DATA)
        with h5py.File(tmp_path / "y.h5", "w") as file:
            deep_group_copy(target, file)
            assert (file["x"].compression, file["x"].shuffle) == ("gzip", True)
            assert file["x"].fletcher32
            assert_same_array(file["x"][:], DATA)

    @pytest.mark.skipif(MAJOR < 3, reason="zarr 2 has one format")
    @pytest.mark.parametrize(("source", "target"), [(2, 3), (3, 2)])
    def test_between_the_formats(self, tmp_path, source, target):
        codec: Any = numcodecs.Blosc("zstd", 7, 2) if source == 2 else None
        if codec is None:
            from zarr.codecs import BloscCodec

            codec = BloscCodec(cname="zstd", clevel=7, shuffle="bitshuffle")
        plain(tmp_path / "a.zarr", source, compressors=codec)
        copy = open_plain(tmp_path / "b.zarr", "w", zarr_format=target)
        deep_group_copy(open_plain(tmp_path / "a.zarr"), copy)
        assert "zstd" in repr(copy["x"].compressors[0])
        np.testing.assert_array_equal(copy["x"][:], DATA)

    @needs_format_3
    def test_codecs_that_only_zarr_has_are_kept_between_stores(self, tmp_path):
        from zarr.codecs import Crc32cCodec, TransposeCodec

        source = plain(
            tmp_path / "a.zarr",
            3,
            filters=[TransposeCodec(order=(1, 0))],
            compressors=[Crc32cCodec()],
            fill_value=5.0,
            dimension_names=["time", "freq"],
        )
        copy = open_plain(tmp_path / "b.zarr", "w", zarr_format=3)
        deep_group_copy(open_plain(tmp_path / "a.zarr"), copy)
        assert copy["x"].metadata.codecs == source.metadata.codecs
        assert copy["x"].metadata.dimension_names == ("time", "freq")
        assert copy["x"].fill_value == 5.0
        np.testing.assert_array_equal(copy["x"][:], DATA)


class TestReplaced:
    @pytest.mark.parametrize("compression", ["lzf", "szip", 32017], ids=str)
    def test_what_zarr_does_not_have(self, tmp_path, zarr_format, compression):
        tree = MemGroup()
        tree.create_dataset("g/x", data=DATA, chunks=(8, 8), compression=compression)
        with pytest.warns(UserWarning, match=f"/g/x: the filter {compression!r}"):
            tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        found = MemGroup.from_file(tmp_path / "x.zarr")["g/x"]
        assert found.compression is not None
        assert_same_array(found[:], DATA)

    def test_scaleoffset(self, tmp_path, zarr_format):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("x", data=np.arange(10), scaleoffset=0)
            target = open_plain(tmp_path / "x.zarr", "w", zarr_format=zarr_format)
            with pytest.warns(UserWarning, match="/x: scaleoffset"):
                deep_group_copy(file, target)
        assert target["x"][:].tolist() == list(range(10))

    def test_what_hdf5_does_not_have(self, tmp_path):
        option = "compressor" if MAJOR < 3 else "compressors"
        plain(tmp_path / "x.zarr", 2, **{option: numcodecs.LZMA()})
        with pytest.warns(UserWarning, match="/x: the codec 'lzma'"):
            found = MemGroup.from_file(tmp_path / "x.zarr")["x"]
        assert (found.compression, found.compression_opts) == ("gzip", 4)
        assert_same_array(found[:], DATA)

    def test_zfp(self, tmp_path, zarr_format):
        pytest.importorskip("zfpy")
        tree = MemGroup()
        options = dict(hdf5plugin.Zfp(accuracy=0.25))
        tree.create_dataset("x", data=DATA, chunks=(8, 8), **options)
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        found = MemGroup.from_file(tmp_path / "x.zarr")["x"]
        assert found.compression_opts == options["compression_opts"]
        np.testing.assert_allclose(found[:], DATA, atol=0.25)


class TestSafe:
    def test_pickles_are_not_decoded(self, tmp_path):
        array = np.array(["a", 1], dtype=object)
        group = open_plain(tmp_path / "x.zarr", "w", zarr_format=2)
        if MAJOR < 3:
            group.create_dataset("x", data=array, object_codec=numcodecs.Pickle())
        else:
            plain_array(group, "x", np.arange(3, dtype="u1"), filters=[numcodecs.Pickle()])
        with pytest.warns(UserWarning, match="/x: .*'pickle'"):
            assert dict(MemGroup.from_file(tmp_path / "x.zarr")) == {}

    def test_a_codec_of_ones_own(self, tmp_path, monkeypatch):
        class Invert(numcodecs.abc.Codec):
            codec_id = "test-invert"

            def encode(self, buf: Any) -> Any:
                return 255 - np.frombuffer(buf, "u1")

            def decode(self, buf: Any, out: Any = None) -> Any:
                return numcodecs.compat.ndarray_copy(255 - np.frombuffer(buf, "u1"), out)

        numcodecs.register_codec(Invert)
        option = "compressor" if MAJOR < 3 else "compressors"
        plain(tmp_path / "x.zarr", 2, **{option: Invert()})
        with pytest.warns(UserWarning, match="'test-invert', which is not decoded"):
            MemGroup.from_file(tmp_path / "x.zarr")
        monkeypatch.setattr(Zarr, "safe_codecs", {*Zarr.safe_codecs, "test-invert"})
        with pytest.warns(UserWarning, match="'test-invert' is left out"):
            assert_same_array(MemGroup.from_file(tmp_path / "x.zarr")["x"][:], DATA)


class TestKeywords:
    def test_numbers_of_hdf5_filters(self):
        assert Zarr.compression_kwargs(32015, (5,)) == {"compressor": numcodecs.Zstd(5)}
        expected = numcodecs.Blosc("zstd", 3, 1)
        found = Zarr.compression_kwargs(**hdf5plugin.Blosc("zstd", 3, 1))
        assert found == {"compressor": expected}

    @pytest.mark.parametrize("name", ["lzf", "szip", "32017", 32024])
    def test_what_there_is_not(self, name):
        with pytest.raises(ValueError, match=str(name)):
            Zarr.compression_kwargs(name)

    def test_hdf5_has_no_compressors_of_numcodecs(self):
        with pytest.raises(NotImplementedError):
            HDF5.compression_kwargs(compressor=numcodecs.Zstd())
