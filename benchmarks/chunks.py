"""Chunks packed in threads, and selections, against h5py reading and writing the same files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from memdata import MemGroup

from .harness import Names, NotHereError, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

subject = Subject("Chunks and selections, against h5py")


def packed_array() -> np.ndarray:
    """64 MiB of noise that packs to about a third."""
    return (np.random.default_rng(0).normal(size=(512, 1 << 14)) * 1000).round()


def filters_of(name: str) -> dict[str, Any]:
    given: dict[str, Any] = {"chunks": (16, 1 << 13)}
    if name == "gzip":
        return given | {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    try:
        import hdf5plugin
    except ImportError:
        raise NotHereError("hdf5plugin is not installed") from None
    return given | dict(hdf5plugin.Bitshuffle())


def h5py_load(path: Path, index: Any = ()) -> np.ndarray:
    with h5py.File(path, "r") as file:
        return file["x"][index]


def h5py_save(path: Path, array: np.ndarray, given: dict[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array, **given)


def packed(name: str) -> Callable[[], Iterator[Names]]:
    def setup() -> Iterator[Names]:
        array, given = packed_array(), filters_of(name)
        with tempfile.TemporaryDirectory() as folder:
            path, new = Path(folder, "x.h5"), Path(folder, "new.h5")
            h5py_save(path, array, given)
            group = MemGroup.from_hdf5(path)
            assert np.array_equal(group["x"], array)
            group.to_hdf5(new)
            assert np.array_equal(h5py_load(new), array)
            yield {
                "path": path,
                "new": new,
                "array": array,
                "given": given,
                "group": group,
                "MemGroup": MemGroup,
                "h5py_load": h5py_load,
                "h5py_save": h5py_save,
            }

    return setup


for title, name in (("bitshuffle-LZ4", "bitshuffle"), ("shuffle and gzip", "gzip")):
    subject.row(
        f"loading 64 MiB of {title}",
        anchor="h5py_load(path)",
        ours="MemGroup.from_hdf5(path)",
        target=0.65,
    )(packed(name))
    subject.row(
        f"saving 64 MiB of {title}",
        before="new.unlink(missing_ok=True)",
        anchor="h5py_save(new, array, given)",
        ours="group.to_hdf5(new)",
        target=0.65,
    )(packed(name))


# What is selected of 64 MiB, and the part that covers it.

ROWS = np.random.default_rng(1).permutation(np.arange(40, 480, 3))
COLUMNS = np.arange(1 << 14) % 5 == 2
POINTS = np.random.default_rng(2).random((512, 1 << 14)) < 0.3

SELECTIONS: dict[str, tuple[Any, Any]] = {
    "every third row, backwards": (np.s_[470:40:-3], np.s_[41:471]),
    "a list of rows out of order": (np.s_[ROWS], np.s_[40:480]),
    "every second row, every fifth column": (np.s_[40:480:2, ::5], np.s_[40:480]),
    "two columns far apart": (np.s_[:, [100, 16_000]], np.s_[:]),
}


def selected(index: Any, chunks: Any) -> Callable[[], Iterator[Names]]:
    def setup() -> Iterator[Names]:
        array = packed_array()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.h5")
            h5py_save(path, array, {"chunks": chunks} | ({"compression": 1} if chunks else {}))
            found = MemGroup.from_hdf5(path, selections={"x": index})["x"]
            assert np.array_equal(found, array[index])
            yield {
                "path": path,
                "index": index,
                "MemGroup": MemGroup,
                "h5py_load": h5py_load,
                "np": np,
            }

    return setup


for layout, chunks in (("contiguous", None), ("in chunks of gzip", (16, 1 << 13))):
    for title, (index, cover) in SELECTIONS.items():
        slices = f"({cover!r},)" if isinstance(cover, slice) else repr(cover)
        subject.row(
            f"{title}, {layout}",
            anchor=f"h5py_load(path, {slices})",
            ours="MemGroup.from_hdf5(path, selections={'x': index})",
            target=1.5,
        )(selected(index, chunks))
    subject.row(
        f"a mask over both axes, {layout}",
        anchor="h5py_load(path)[index]",
        ours="MemGroup.from_hdf5(path, selections={'x': index})",
        target=1.0,
    )(selected(POINTS, chunks))
    subject.row(
        f"a fifth of the columns by a mask, {layout}",
        anchor="h5py_load(path)[index]",
        ours="MemGroup.from_hdf5(path, selections={'x': index})",
        target=1.0,
    )(selected(np.s_[:, COLUMNS], chunks))
