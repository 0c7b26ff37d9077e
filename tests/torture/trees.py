"""The trees that the scripts of this folder save: two of them are never mistaken for each other."""

from __future__ import annotations

import os

import h5py
import numpy as np

import memdata
from memdata import MemDiskGroup, MemGroup

__all__ = ["KINDS", "blank", "tree", "tree_of_ranks", "which"]

#: File names of the three kinds of storage.
KINDS = {"hdf5": "x.h5", "zarr": "x.zarr", "zip": "x.zarr.zip"}


def tree(number: int, groups: int = 5) -> MemGroup:
    """A tree with all kinds of content, all of which says `number`."""
    group = MemGroup()
    group.attrs["number"] = number
    group.create_dataset("a/large", data=np.full(100_000, number, "f8"))
    group.create_dataset("a/small", data=np.full(10, number))
    group.create_dataset(
        "a/packed", data=np.full((200, 200), number), chunks=(100, 100), compression="gzip"
    )
    group.create_dataset("a/text", data=np.array([str(number)] * 5, h5py.string_dtype()))
    for index in range(groups):
        group.create_group(f"groups/{index}").attrs["numbers"] = [number, {"n": number}]
    return group


def tree_of_ranks(number: int, comm: object) -> MemDiskGroup:
    """A distributed tree, all of whose content says `number`; collective."""
    group = MemDiskGroup(distributed=True, comm=comm)
    group.attrs["number"] = number
    for name, keywords in (
        ("plain", {}),
        ("packed", {"chunks": (5, 1000), "compression": "gzip"}),
        ("columns", {"distributed_axis": 1}),
    ):
        made = group.create_dataset(
            name,
            shape=(23, 5000),
            dtype="f8",
            distributed=True,
            **{"distributed_axis": 0, **keywords},
        )
        made.local_data[:] = number
    group.create_dataset("common", data=np.full(10, number))
    return group


def which(path: str | os.PathLike[str], trees: dict[int, object]) -> int | str:
    """The number of the tree, of these, that a file holds; or, as text, what is wrong with it."""
    try:
        found = MemGroup.from_file(path)
    except Exception as error:  # noqa: BLE001 - any is the finding
        return f"{type(error).__name__}: {error}"
    number = found.attrs.get("number")
    if number not in trees:
        return f"tree {number}"
    different = memdata.diff(path, trees[number])
    return int(number) if not different else str(different)


def blank(number: int) -> MemGroup:
    """What a file of `tree_of_ranks` holds, for one rank."""
    group = MemGroup()
    group.attrs["number"] = number
    for name in ("plain", "packed", "columns"):
        keywords = {"chunks": (5, 1000), "compression": "gzip"} if name == "packed" else {}
        group.create_dataset(name, data=np.full((23, 5000), number, "f8"), **keywords)
    group.create_dataset("common", data=np.full(10, number))
    return group
