"""Make the golden files: what older programs wrote, said with h5py and zarr alone.

    python tests/golden/make.py [FOLDER]

The files are checked in; tests/test_golden.py compares what memdata reads from them, and writes,
with what is said here. Nothing here may import memdata: every attribute is spelt out.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FOLDER = Path(__file__).resolve().parent
JSON = "!!_memh5_json:"
TEXT = h5py.string_dtype()
FREQ = np.array(
    [(800.0, 0.5), (799.5, 0.5), (799.0, 0.5), (798.5, 0.5)], [("centre", "f8"), ("width", "f8")]
)
VIS = (np.arange(24.0) * (1 - 0.5j)).reshape(4, 6).astype("c8")
WEIGHT = np.linspace(0.0, 1.0, 24, dtype="f4").reshape(4, 6)
NAMES = np.array([b"east", b"west", b"a longer one"])
INPUTS = np.array([(0, b"FCC0"), (1, b"FCC1")], [("chan_id", "u2"), ("correlator_input", "S32")])


def texts(*values: str) -> np.ndarray[Any, Any]:
    """Variable-length strings."""
    return np.array(values, dtype=TEXT)


def attributes(attrs: Any) -> None:
    """One attribute of every kind, encoded as the files have them."""
    attrs["text"] = "grün"
    attrs["integer"] = 7
    attrs["real"] = 2.5
    attrs["complex"] = 1 - 2j
    attrs["truth"] = True
    attrs["numbers"] = np.arange(3, dtype="i4")
    attrs["matrix"] = np.eye(2)
    attrs["texts"] = texts("one", "zwölf")
    attrs["dict"] = JSON + '{"name": "small", "dishes": [1, 2], "none": null, "deep": {"x": 1.5}}'
    attrs["dates"] = JSON + '{"start": "2024-02-29T12:30:15", "list": ["2024-03-01T00:00:00"]}'
    attrs["date"] = JSON + '"2024-02-29T12:30:15"'
    attrs["list_of_dicts"] = JSON + '[{"a": 1}, {"b": [true, false]}]'
    attrs["empty_dict"] = JSON + "{}"


def plain(path: Path) -> None:
    """What `save` of a container wrote."""
    with h5py.File(path, "w") as file:
        file.attrs["__memh5_subclass"] = "caput.memdata.MemDiskGroup"
        attributes(file.attrs)
        file.create_dataset("vis", data=VIS, chunks=(2, 3))
        file["vis"].attrs["axis"] = texts("freq", "time")
        file.create_dataset(
            "weight", data=WEIGHT, chunks=(4, 2), compression="gzip", compression_opts=3
        )
        file["weight"].attrs["axis"] = texts("freq", "time")
        index_map = file.create_group("index_map")
        index_map.attrs["order"] = JSON + '{"axes": ["freq", "time"]}'
        index_map["freq"] = FREQ
        index_map["time"] = np.arange(6) * 10.0
        index_map["pol"] = NAMES
        index_map["input"] = INPUTS
        file["flags/good"] = np.array([True, False, True, True])
        file["count"] = np.int64(42)
        file.create_group("empty")


def strings(path: Path) -> None:
    """Strings of all kinds, as files of many ages have them."""
    with h5py.File(path, "w") as file:
        file.attrs["bytes"] = np.bytes_(b"some text")
        file.attrs["list_of_bytes"] = np.array([b"east", b"west"])
        file.attrs["text"] = "text"
        file["fixed"] = NAMES
        file["inside"] = INPUTS
        file["variable"] = texts("east", "grün", "")
        file["scalar"] = np.bytes_(b"one")


def bitshuffled(path: Path) -> None:
    """The filter 32008 with the options (0, 2): blocks as it likes, LZ4."""
    import hdf5plugin  # registers the filter

    assert hdf5plugin.BSHUF_ID == 32008
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "vis", data=VIS, chunks=(4, 3), compression=32008, compression_opts=(0, 2)
        )
        file.create_dataset(
            "blocks", data=WEIGHT, chunks=(4, 6), compression=32008, compression_opts=(1024, 2)
        )


def distributed(path: Path) -> None:
    """What a distributed save wrote."""
    with h5py.File(path, "w") as file:
        file.attrs["__memh5_subclass"] = "caput.memdata.MemDiskGroup"
        file.attrs["__memh5_distributed_file"] = True
        file["vis"] = VIS
        file["vis"].attrs["__memh5_distributed_dset"] = True
        file["vis"].attrs["__memh5_distributed_axis"] = 1
        file["vis"].attrs["axis"] = texts("freq", "time")
        file["weight"] = WEIGHT
        file["weight"].attrs["__memh5_distributed_dset"] = True
        file["weight"].attrs["__memh5_distributed_axis"] = 0
        file["index_map/freq"] = FREQ
        file["index_map/freq"].attrs["__memh5_distributed_dset"] = False


def zarr_tree(path: Path) -> None:
    """What `save` wrote as zarr, format 2."""
    import numcodecs
    import zarr

    shutil.rmtree(path, ignore_errors=True)
    root = zarr.open_group(str(path), mode="w", zarr_format=2)
    root.attrs.update(
        {
            "__memh5_subclass": "caput.memdata.MemDiskGroup",
            "text": "grün",
            "integer": 7,
            "real": 2.5,
            "truth": True,
            "nothing": None,
            "numbers": [0, 1, 2],
            "texts": ["one", "zwölf"],
            "dict": JSON + '{"name": "small", "dishes": [1, 2]}',
        }
    )
    shuffled = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE)
    for name, data, chunks, compressor in (
        ("vis", VIS, (2, 3), shuffled),
        ("weight", WEIGHT, (4, 2), numcodecs.GZip(level=3)),
        ("index_map/time", np.arange(6) * 10.0, (6,), None),
        ("index_map/pol", NAMES, (3,), None),
    ):
        group = root.require_group("index_map") if "/" in name else root
        array = group.create_array(
            name.rpartition("/")[2],
            shape=data.shape,
            dtype=data.dtype,
            chunks=chunks,
            compressors=compressor,
        )
        array[...] = data
        if data.ndim == 2:
            array.attrs["axis"] = ["freq", "time"]
    root.create_group("empty")


FILES = {
    "plain.h5": plain,
    "strings.h5": strings,
    "bitshuffled.h5": bitshuffled,
    "distributed.h5": distributed,
    "tree.zarr": zarr_tree,
}


def main(folder: Path) -> None:
    for name, make in FILES.items():
        make(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
