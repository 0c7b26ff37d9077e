"""Distributed arrays where nothing is communicated, against plain ones of the local shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memdata.mpiarray import MPIArray

from .harness import Names, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

subject = Subject("Distributed arrays, against ndarray")


def distributed_and_array() -> Iterator[Names]:
    array = np.arange(200.0).reshape(10, 20)
    distributed = MPIArray(array.shape, axis=0, comm=None, dtype=array.dtype)
    distributed.local_array[...] = array
    assert distributed[:, 3:5].global_shape == (10, 2)
    assert np.array_equal(distributed.T.local_array, array.T)
    yield {
        "np": np,
        "array": array,
        "distributed": distributed,
        "MPIArray": MPIArray,
        "comm": distributed.comm,
        "view": array.view,
        "ndarray": np.ndarray,
    }


for _anchor, _ours, _target in (
    ("array[:, 3:5]", "distributed[:, 3:5]", 3),
    ("array + array", "distributed + distributed", 4),
    ("view(ndarray)", "distributed.local_array", 2),
    ("np.empty((10, 20))", "MPIArray((10, 20), 0, comm)", 8),
    ("array.T", "distributed.T", 6),
    ("array[1:3]", "distributed.global_slice[1:3]", 6),
):
    subject.row(_ours, anchor=_anchor, ours=_ours, target=_target)(distributed_and_array)
