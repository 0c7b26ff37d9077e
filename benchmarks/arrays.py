"""Using a dataset as an array, against the ndarray itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memdata import MemGroup

from .harness import Names, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

subject = Subject("Datasets, against their ndarray")


def dataset_and_array() -> Iterator[Names]:
    array = np.arange(200.0).reshape(10, 20)
    group = MemGroup()
    group.create_dataset("data", data=array)
    dataset = group["data"]
    assert np.shares_memory(np.asarray(dataset), array)
    assert np.shares_memory(dataset[:], array)
    assert dataset.shape == array.shape
    yield {"np": np, "array": array, "dataset": dataset}


for _statement, _target in (
    ("np.asarray({})", 5),
    ("{}[:]", 1.5),
    ("{}[1, 2]", 1.5),
    ("{}.shape", 1.5),
):
    subject.row(
        _statement.format("dataset"),
        anchor=_statement.format("array"),
        ours=_statement.format("dataset"),
        target=_target,
    )(dataset_and_array)
