"""Saving and loading HDF5, against h5py and against plain reads and writes.

Every save makes a new file: writing over an old one would also time the freeing of its blocks, and
some file systems push data to the disk when a file is replaced. What is read was written by h5py,
and is read by both sides from the same file: how fast cached bytes are read depends on how they
were written.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

import memdata
from memdata import MemGroup

from .harness import Names, Subject
from .material import big_array

if TYPE_CHECKING:
    from collections.abc import Iterator

subject = Subject("HDF5 files, against h5py, write and pread")


def small_datasets() -> dict[str, tuple[np.ndarray, str | float]]:
    """400 arrays of 80 bytes, each with an attribute: text and numbers by turns."""
    return {f"dataset{i}": (np.arange(i, i + 10.0), "K" if i % 2 else float(i)) for i in range(400)}


def h5py_save(path: Path, content: dict[str, tuple[np.ndarray, str | float]]) -> None:
    with h5py.File(path, "w") as file:
        for name, (array, value) in content.items():
            file.create_dataset(name, data=array).attrs["value"] = value


def h5py_load(path: Path) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    with h5py.File(path, "r") as file:
        return {name: (dataset[()], dict(dataset.attrs)) for name, dataset in file.items()}


@subject.row(
    "saving 400 small datasets",
    before="new.unlink(missing_ok=True)",
    anchor="h5py_save(new, content)",
    ours="group.to_hdf5(new)",
    target=0.4,
)
def save_small() -> Iterator[Names]:
    content = small_datasets()
    group = MemGroup()
    for name, (array, value) in content.items():
        group.create_dataset(name, data=array).attrs["value"] = value
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder, "new.h5")
        group.to_hdf5(new)
        for name, (array, attrs) in h5py_load(new).items():
            assert np.array_equal(array, content[name][0])
            assert attrs == {"value": content[name][1]}
        yield {"new": new, "content": content, "h5py_save": h5py_save, "group": group}


@subject.row(
    "loading 400 small datasets",
    anchor="h5py_load(path)",
    ours="MemGroup.from_hdf5(path)",
    target=0.7,
)
def load_small() -> Iterator[Names]:
    content = small_datasets()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "small.h5")
        h5py_save(path, content)
        group = MemGroup.from_hdf5(path)
        for name, (array, value) in content.items():
            assert np.array_equal(group[name], array)
            assert group[name].attrs == {"value": value}
        yield {"path": path, "h5py_load": h5py_load, "MemGroup": MemGroup}


def plain_write(path: Path, array: np.ndarray, *, durable: bool = False) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        rest = array.data.cast("B")
        while rest:
            rest = rest[os.write(file, rest) :]
        if durable:
            os.fsync(file)
    finally:
        os.close(file)


def save_big() -> Iterator[Names]:
    array = big_array()
    group = MemGroup()
    group.create_dataset("big", data=array)
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder, "new.h5")
        group.to_hdf5(new)
        with h5py.File(new, "r") as file:
            assert np.array_equal(file["big"][()], array)
        yield {"new": new, "array": array, "plain_write": plain_write, "group": group}


subject.row(
    "saving 256 MiB",
    before="new.unlink(missing_ok=True)",
    anchor="plain_write(new, array)",
    ours="group.to_hdf5(new)",
    target=1.1,
)(save_big)

subject.row(
    "saving 256 MiB, fsync",
    before="new.unlink(missing_ok=True)",
    anchor="plain_write(new, array, durable=True)",
    ours="group.to_hdf5(new, durable=True)",
    target=1.1,
)(save_big)


def write_and_check(path: Path, array: np.ndarray) -> list[int]:
    """Write, and read again what was written for the checksum of each MiB."""
    plain_write(path, array)
    with path.open("rb", buffering=0) as file:
        piece = bytearray(1 << 20)
        return [zlib.crc32(piece) for _ in iter(lambda: file.readinto(piece), 0)]


def save_checked() -> Iterator[Names]:
    for names in save_big():
        names["new"].unlink()
        names["group"].to_hdf5(names["new"], checksum=True)
        assert memdata.verify(names["new"]).checked == 1
        yield {**names, "write_and_check": write_and_check}


subject.row(
    "saving 256 MiB with checksums",
    before="new.unlink(missing_ok=True)",
    anchor="write_and_check(new, array)",
    ours="group.to_hdf5(new, checksum=True)",
    target=1.6,
)(save_checked)


def one_pread(path: Path, offset: int, shape: tuple[int, ...]) -> np.ndarray:
    array = np.empty(shape)
    file = os.open(path, os.O_RDONLY)
    try:
        if os.preadv(file, [array.data.cast("B")], offset) != array.nbytes:
            raise OSError(f"{path}: short read")
    finally:
        os.close(file)
    return array


@subject.row(
    "loading 256 MiB",
    anchor="one_pread(path, offset, shape)",
    ours="MemGroup.from_hdf5(path)",
    target=1.05,
)
def load_big() -> Iterator[Names]:
    array = big_array()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "big.h5")
        with h5py.File(path, "w") as file:
            offset = file.create_dataset("big", data=array).id.get_offset()
        assert np.array_equal(one_pread(path, offset, array.shape), array)
        assert np.array_equal(MemGroup.from_hdf5(path)["big"], array)
        shape = array.shape
        del array
        yield {
            "path": path,
            "offset": offset,
            "shape": shape,
            "one_pread": one_pread,
            "MemGroup": MemGroup,
        }
