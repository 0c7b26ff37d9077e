"""Run by test_mutations.py: HDF5 files or zarr stores, damaged.

    mutated_files.py KIND FIRST COUNT

KIND is hdf5, zarr or zip. Prints one line of JSON: what came of loading them, and what must not
have been.
"""

import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from mutations import mutated_bytes, mutated_text, tried

from memdata import MemGroup

#: What a load may take, and what its process may take besides: HDF5's own memory, threads.
MAX_BYTES, BESIDE = 10 << 20, 512 << 20

#: What one load may take; sound files take some milliseconds.
SECONDS = 4


def content() -> MemGroup:
    """A small tree of many kinds of content."""
    group = MemGroup()
    group.attrs["dict"] = {"a": [1, None], "when": "2020-01-01"}
    group.attrs["numbers"] = np.arange(3.0)
    group.create_dataset("plain", data=np.arange(20, dtype="i4").reshape(4, 5))
    group.create_dataset("text", data=np.array(["a", "bcd"], h5py.string_dtype()))
    group.create_dataset("record", data=np.zeros(3, [("a", "f4"), ("b", "i2", (2,))]))
    group.create_dataset("dates", data=np.array(["2020-01-01"], "M8[D]"))
    for name, compression in (("packed", "gzip"), ("chunked", None)):
        group.create_dataset(
            f"deep/{name}", data=np.arange(60.0), chunks=(25,), compression=compression
        )
    group["deep/packed"].attrs["unit"] = "K"
    return group


def hdf5_files() -> list[bytes]:
    """Sound files: as HDF5 has written them since 1.0, and the newest form; memdata's, h5py's."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.h5")
        for libver in ("earliest", "latest"):
            content().to_hdf5(path, libver=libver)
            made.append(Path(path).read_bytes())
        for libver in ("earliest", "latest"):
            with h5py.File(path, "w", libver=libver, track_order=libver == "latest") as file:
                file["x"] = np.arange(5)
                file["soft"] = h5py.SoftLink("/x")
                file["far"] = h5py.ExternalLink("none.h5", "/x")
                file["type"] = np.dtype([("a", "i4"), ("b", "S3")])
                file["ref"] = np.array([file["x"].ref], h5py.ref_dtype)
                file.create_dataset(
                    "g/packed",
                    data=np.arange(100).reshape(10, 10),
                    chunks=(3, 4),
                    maxshape=(None, 10),
                    compression="gzip",
                    shuffle=True,
                    fletcher32=True,
                )
                file["g"].attrs["vlen"] = np.array(
                    [np.arange(3), np.arange(2)], h5py.vlen_dtype("i4")
                )
                layout = h5py.VirtualLayout((5,), "i8")
                layout[:] = h5py.VirtualSource(".", "x", (5,))
                file.create_virtual_dataset("virtual", layout)
                file.create_dataset("compact", data=np.arange(3), dtype="i2")
            made.append(Path(path).read_bytes())
    return made


class Stores:
    """Damages one file of a zarr folder at a time."""

    def __init__(self, folder: Path) -> None:
        import zarr

        formats = (2, 3) if zarr.__version__ >= "3" else (2,)
        self.stores = []
        for zarr_format in formats:
            path = folder / f"{zarr_format}.zarr"
            content().to_file(path, zarr_format=zarr_format, consolidated=zarr_format == 2)
            files = sorted(file for file in path.rglob("*") if file.is_file())
            texts = [file for file in files if file.read_bytes()[:1] == b"{"]
            self.stores.append((path, [*texts, *texts, *files]))

    def damaged(self, number: int) -> tuple[str, Callable[[], object]]:
        """The path of a damaged store, and what mends it."""
        path, files = self.stores[number % len(self.stores)]
        file = files[number // 2 % len(files)]
        before = file.read_bytes()
        if before[:1] == b"{":
            text = mutated_text(before.decode(), number)
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
        else:
            file.write_bytes(mutated_bytes(before, number))
        return str(path), lambda: file.write_bytes(before)


class Files:
    """Damages one of some files."""

    def __init__(self, sound: list[bytes], path: str) -> None:
        self.sound = sound
        self.path = path

    def damaged(self, number: int) -> tuple[str, Callable[[], object]]:
        """The path of a damaged file, and what is done afterwards."""
        changed = mutated_bytes(self.sound[number % len(self.sound)], number)
        Path(self.path).write_bytes(changed)
        return self.path, lambda: None


def damager(kind: str, folder: Path) -> Stores | Files:
    """What makes the damaged files of this kind."""
    if kind == "hdf5":
        return Files(hdf5_files(), str(folder / "x.h5"))
    if kind == "zarr":
        return Stores(folder)
    content().to_file(folder / "x.zarr.zip", zarr_format=2)
    return Files([(folder / "x.zarr.zip").read_bytes()], str(folder / "x.zarr.zip"))


def loaded(path: str) -> tuple[str, str | None]:
    """What came of a load, and what must not have been."""
    before = sorted(os.listdir(os.path.dirname(path)))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            MemGroup.from_file(path, max_bytes=MAX_BYTES)
        except (OSError, MemoryError, ValueError) as error:
            what = type(error).__name__
            wrong = None if path in str(error) else f"no name: {type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001 - any other is the finding
            what = type(error).__name__
            wrong = f"{what}: {error}"
        else:
            what = "loaded with a warning" if said else "loaded"
            wrong = None
    if sorted(os.listdir(os.path.dirname(path))) != before:
        wrong = "it made files"
    return what, None if wrong is None else wrong[:300]


def main(kind: str, first: int, count: int) -> None:
    """All trials."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as above:
        folder = Path(above)
        harm = damager(kind, folder)

        def trial(number: int) -> tuple[str, str | None]:
            path, mend = harm.damaged(number)
            result = loaded(path)
            mend()
            return result

        keep = folder.parent / (folder.name + "-keep")
        shutil.copytree(folder, keep)
        try:
            found = tried(
                trial,
                range(first, first + count),
                more_memory=MAX_BYTES + BESIDE,
                seconds=SECONDS,
                after_death=lambda: shutil.copytree(keep, folder, dirs_exist_ok=True),
            )
        finally:
            shutil.rmtree(keep)
    print(json.dumps(found.summary()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
