"""Trees, containers of one's own, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import numpy as np

import memdata
from memdata import MemDiskGroup, MemGroup
from memdata.comparing import Difference, Differences


class Night(MemDiskGroup):
    """A container as users write them."""

    @property
    def vis(self) -> Any:
        return self["vis"]


def groups(tree: MemGroup) -> None:
    assert_type(tree.create_group("a"), MemGroup)
    assert_type(tree.require_group("a"), MemGroup)
    assert_type(list(tree), list[str])
    assert_type(len(tree), int)
    assert_type("a" in tree, bool)
    assert_type([name for name, _ in tree.items()], list[str])
    assert_type(tree["a/x"], Any)  # a group or a dataset: only the program knows
    assert_type(tree.create_dataset("x", data=np.zeros(3)), Any)
    assert_type(tree.name, str)


def loaded(path: Path) -> None:
    assert_type(MemGroup.from_file(path), MemGroup)
    assert_type(MemGroup.from_hdf5(str(path)), MemGroup)
    assert_type(Night.from_file(path), Night)
    with Night.from_file(path, ondisk=True) as opened:
        assert_type(opened, Night)
    with memdata.File(path) as file:
        assert_type(file, memdata.File)
    with memdata.lock_file(path) as name:
        assert_type(name, str)


def compared(path: Path, tree: MemGroup) -> None:
    found = memdata.diff(path, tree, rtol=1e-6)
    assert_type(found, Differences)
    for one in found:
        assert_type(one, Difference)
        assert_type(one.path, str)
    assert_type(memdata.equal(path, tree), bool)


def read_only() -> None:
    assert_type(memdata.ro_dict({"a": 1}), memdata.ro_dict[str, int])
    assert_type(memdata.ro_dict({"a": 1})["a"], int)


def refused(tree: MemGroup) -> None:
    tree.create_group(3)  # type: ignore[arg-type]
    tree.no_such_method()  # type: ignore[attr-defined]
    memdata.ro_dict({"a": 1})["a"] = 2  # type: ignore[index]
    tree.to_hdf5()  # type: ignore[call-arg]
