"""The filters of hdf5plugin: files that have them are loaded and saved with the same filters."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from memdata import MemGroup, deep_group_copy

hdf5plugin = pytest.importorskip("hdf5plugin")

FILTERS = {
    "bitshuffle": ("Bitshuffle", {}),
    "bitshuffle zstd": ("Bitshuffle", {"cname": "zstd", "clevel": 9}),
    "blosc": ("Blosc", {"cname": "zstd", "clevel": 7, "shuffle": 2}),
    "blosc2": ("Blosc2", {"cname": "lz4", "clevel": 3}),
    "bzip2": ("BZip2", {"blocksize": 5}),
    "lz4": ("LZ4", {"nbytes": 1024}),
    "sperr": ("Sperr", {"absolute": 0.1, "missing_value_mode": 1}),
    "sperr psnr": ("Sperr", {"peak_signal_to_noise_ratio": 40}),
    "sz": ("SZ", {"absolute": 0.1}),
    "sz3": ("SZ3", {"relative": 0.01}),
    "zfp rate": ("Zfp", {"rate": 8}),
    "zfp accuracy": ("Zfp", {"accuracy": 0.01}),
    "zstd": ("Zstd", {"clevel": 7}),
}


def pipeline(path):
    with h5py.File(path) as file:
        plist = file["x"].id.get_create_plist()
        return [plist.get_filter(index) for index in range(plist.get_nfilters())]


@pytest.fixture(params=FILTERS)
def path(request, tmp_path):
    name, options = FILTERS[request.param]
    if not hasattr(hdf5plugin, name):
        pytest.skip("not in this hdf5plugin")
    data = np.linspace(0, 9, 64 * 64).reshape(64, 64).cumsum(0)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        chosen = getattr(hdf5plugin, name)(**options)
        file.create_dataset("x", data=data, chunks=(32, 64), **chosen)
    return tmp_path / "x.h5"


def test_saved_with_the_same_filter(path):
    loaded = MemGroup.from_hdf5(path)
    again = path.with_name("again.h5")
    loaded.to_hdf5(again)
    assert pipeline(again) == pipeline(path)
    np.testing.assert_allclose(MemGroup.from_hdf5(again)["x"][:], loaded["x"][:], rtol=0.1)


def test_named_alike_for_a_new_dataset(path):
    """What a dataset says of its compression makes another with the same."""
    loaded = MemGroup.from_hdf5(path)["x"]
    tree = MemGroup()
    how = {"compression": loaded.compression, "compression_opts": loaded.compression_opts}
    tree.create_dataset("x", data=loaded[:], chunks=loaded.chunks, **how)
    tree.to_hdf5(path.with_name("new.h5"))
    assert pipeline(path.with_name("new.h5")) == pipeline(path)


def test_copied_between_files_as_it_is(path):
    with h5py.File(path) as source, h5py.File(path.with_name("copy.h5"), "w") as target:
        deep_group_copy(source, target)
        for index in range(2):
            chunks = [file["x"].id.read_direct_chunk((32 * index, 0)) for file in (source, target)]
            assert chunks[0] == chunks[1]
    assert pipeline(path.with_name("copy.h5")) == pipeline(path)


def test_the_level_of_bitshuffle_goes_to_zarr_and_back(tmp_path):
    pytest.importorskip("zarr")
    tree = MemGroup()
    how = {"compression": "bitshuffle", "compression_opts": (None, "zstd", 9)}
    tree.create_dataset("x", data=np.arange(1000.0), chunks=(100,), **how)
    tree.to_hdf5(tmp_path / "x.h5")
    assert pipeline(tmp_path / "x.h5")[0][2][3:] == (0, 3, 9)
    MemGroup.from_hdf5(tmp_path / "x.h5").to_file(tmp_path / "x.zarr")
    import zarr

    array = zarr.open_group(str(tmp_path / "x.zarr"), mode="r")["x"]
    (codec,) = getattr(array, "compressors", None) or (array.compressor,)
    config = (
        codec.get_config() if hasattr(codec, "get_config") else codec.to_dict()["configuration"]
    )
    assert config["clevel"] == 9
