"""Making datasets around arrays that exist, against views of the arrays in a dict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memdata import MemGroup

from .harness import Names, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

subject = Subject("Creating, against views in a dict")


@subject.row(
    "100 datasets around arrays",
    anchor="{name: array.view() for name, array in arrays}",
    ours="""
        group = MemGroup()
        for name, array in arrays:
            group.create_dataset(name, data=array)
        """,
    target=8,
)
def around_arrays() -> Iterator[Names]:
    arrays = [(f"dataset{i}", np.zeros(10)) for i in range(100)]
    group = MemGroup()
    for name, array in arrays:
        group.create_dataset(name, data=array)
        assert np.shares_memory(group[name][:], array)
    yield {"arrays": arrays, "MemGroup": MemGroup}
