"""Deep copies, against copies of the arrays."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from memdata import MemGroup, deep_group_copy

from .harness import Names, Subject
from .material import HUNDRED, big_array, both

if TYPE_CHECKING:
    from collections.abc import Iterator

subject = Subject("Deep copies, against copies of the arrays")

_COPY_OF_DICTS = """
    {
        name: {key: array.copy() for key, array in child.items()}
        for name, child in d.items()
    }
    """


def small_tree() -> Iterator[Names]:
    nested, group = both(HUNDRED)
    yield {
        "d": nested,
        "g": group,
        "copy": copy,
        "MemGroup": MemGroup,
        "deep_group_copy": deep_group_copy,
    }


for _ours in ("copy.deepcopy(g)", "MemGroup.from_group(g)", "deep_group_copy(g, MemGroup())"):
    subject.row(
        f"100 small datasets, {_ours.partition('(')[0]}",
        anchor=_COPY_OF_DICTS,
        ours=_ours,
        target=6,
    )(small_tree)


def big_dataset() -> Iterator[Names]:
    array = big_array()
    group = MemGroup()
    dataset = group.create_dataset("big", data=array)
    duplicate = dataset.copy()
    assert not np.shares_memory(duplicate[:], array)
    assert np.array_equal(duplicate[:], array)
    del duplicate
    yield {"array": array, "dataset": dataset, "group": group, "copy": copy}


for _ours in ("dataset.copy()", "copy.deepcopy(group)"):
    subject.row(f"one of 256 MiB, {_ours}", anchor="array.copy()", ours=_ours, target=1.0)(
        big_dataset
    )
