"""The sound files and stores that `mutated_files.py` damages; small, so that much can be tried."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from memdata import MemGroup

#: Whether the filters of hdf5plugin are here: bitshuffle, zstd.
PLUGIN = importlib.util.find_spec("hdf5plugin") is not None


def simple() -> MemGroup:
    """Attributes of any kind, and what is stored in one piece."""
    group = MemGroup()
    group.attrs["dict"] = {"a": [1, None], "when": "2020-01-01"}
    group.attrs["numbers"] = np.arange(3.0)
    group.create_dataset("plain", data=np.arange(20, dtype="i4").reshape(4, 5))
    return group


def typed() -> MemGroup:
    """Text, records, dates: what has a type that files spell in their own way."""
    group = MemGroup()
    group.create_dataset("text", data=np.array(["a", "bcd"], h5py.string_dtype()))
    group.create_dataset("record", data=np.zeros(3, [("a", "f4"), ("b", "i2", (2,))]))
    group.create_dataset("dates", data=np.array(["2020-01-01"], "M8[D]"))
    return group


def chunked() -> MemGroup:
    """What lies in chunks, packed or not."""
    group = MemGroup()
    filters: dict[str, Any] = {"packed": "gzip", "chunked": None}
    for name, compression in filters.items():
        group.create_dataset(
            f"deep/{name}", data=np.arange(60.0), chunks=(25,), compression=compression
        )
    group["deep/packed"].attrs["unit"] = "K"
    return group


def content() -> MemGroup:
    """All of these in one tree."""
    group = simple()
    for more in (typed(), chunked()):
        for name in more:
            group[name] = more[name]
    return group


def _by_memdata(path: str) -> list[bytes]:
    """Files as HDF5 has written them since 1.0, the newest form, and with checksums."""
    made = []
    for libver in ("earliest", "latest"):
        content().to_hdf5(path, libver=libver)
        made.append(Path(path).read_bytes())
    group = chunked()
    if PLUGIN:
        for name, options in (("lz4", (0, "lz4")), ("zstd", (0, "zstd", 3))):
            group.create_dataset(
                name,
                data=np.arange(500).reshape(20, 25),
                chunks=(8, 25),
                compression="bitshuffle",
                compression_opts=options,
            )
    group.to_hdf5(path, checksum=True)
    made.append(Path(path).read_bytes())
    return made


def _by_h5py(path: str, libver: str) -> bytes:
    """What memdata itself does not write, or seldom: links, references, ragged, virtual."""
    with h5py.File(path, "w", libver=libver, track_order=libver == "latest") as file:
        file["x"] = np.arange(5)
        file["soft"] = h5py.SoftLink("/x")
        file["far"] = h5py.ExternalLink("none.h5", "/x")
        file["type"] = np.dtype([("a", "i4"), ("b", "S3")])
        file["ref"] = np.array([file["x"].ref], h5py.ref_dtype)
        file["region"] = np.array([file["x"].regionref[1:3]], h5py.regionref_dtype)
        file.create_dataset(
            "g/packed",
            data=np.arange(100).reshape(10, 10),
            chunks=(3, 4),
            maxshape=(None, 10),
            compression="gzip",
            shuffle=True,
            fletcher32=True,
        )
        ragged = np.array([np.arange(3), np.arange(2)], h5py.vlen_dtype("i4"))
        file["g"].attrs["vlen"] = ragged
        file["ragged"] = ragged
        file.create_dataset("texts", data=["a", "bc"] * 9, chunks=(5,), compression="gzip")
        layout = h5py.VirtualLayout((5,), "i8")
        layout[:] = h5py.VirtualSource(".", "x", (5,))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", (4,), "i4", external=[("none.bin", 0, 16)])
        file.create_dataset("compact", data=np.arange(3), dtype="i2")
        file.create_dataset("scaled", data=np.arange(40), chunks=(9,), scaleoffset=0)
    return Path(path).read_bytes()


def hdf5_files() -> list[bytes]:
    """HDF5 files."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.h5")
        return [*_by_memdata(path), *(_by_h5py(path, ver) for ver in ("earliest", "latest"))]


def zip_file(path: Path) -> bytes:
    """A zarr store in one file."""
    content().to_file(path, zarr_format=2)
    return path.read_bytes()


def stores(folder: Path) -> list[Path]:
    """zarr folders of a few members each, so that what was damaged is most of what is loaded."""
    import zarr

    made = []
    for zarr_format in (2, 3) if zarr.__version__ >= "3" else (2,):
        for make in (simple, typed, chunked):
            path = folder / f"{make.__name__}{zarr_format}.zarr"
            make().to_file(
                path,
                zarr_format=zarr_format,
                consolidated=zarr_format == 2,
                checksum=make is chunked,
            )
            made.append(path)
    if zarr.__version__ >= "3":
        path = folder / "sharded3.zarr"
        zarr.open_group(path, mode="w").create_array(
            "x", data=np.arange(64.0).reshape(8, 8), chunks=(2, 4), shards=(4, 8), fill_value=1
        )
        made.append(path)
    return made
