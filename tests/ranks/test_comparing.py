"""Comparing distributed trees: all ranks get the answer that one rank gets from the whole."""

import numpy as np
import pytest

import memdata
from memdata import MemGroup
from memdata.mpiarray import MPIArray
from memdata.ranks.collective import CollectiveError

SHAPE = (7, 5, 3)


def whole():
    return np.arange(np.prod(SHAPE), dtype="f8").reshape(SHAPE)


def tree_of(comm, array, axis):
    tree = MemGroup(distributed=True, comm=comm)
    tree.create_dataset("common", data=np.arange(4))
    part = tree.create_dataset(
        "vis", shape=SHAPE, dtype=array.dtype, distributed=True, distributed_axis=axis
    )
    start = part.local_offset[axis]
    where = (slice(None),) * axis + (slice(start, start + part.local_shape[axis]),)
    part.local_data[:] = array[where]
    return tree


def changed():
    array = whole()
    array[6, 1, 2] += 2
    array[2, 4, 0] = np.nan
    array[2, 4, 1] -= 3
    return array


def told(differences):
    return [(one.path, one.what, one.count, one.first, one.largest) for one in differences]


EXPECTED = [("/vis", "values", 3, (2, 4, 0), 3.0)]


@pytest.mark.parametrize("axes", [(0, 0), (0, 1), (2, 1), (1, 1)], ids=str)
def test_two_distributed_trees(comm, axes):
    x = tree_of(comm, whole(), axes[0])
    y = tree_of(comm, changed(), axes[1])
    assert told(memdata.diff(x, y)) == EXPECTED
    text = str(memdata.diff(x, y))
    assert comm is None or text == comm.bcast(text)
    assert memdata.equal(x, tree_of(comm, whole(), axes[1]))
    assert not memdata.equal(x, y)
    assert x["vis"].distributed_axis == axes[0]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_distributed_tree_and_one_that_is_not(comm, axis):
    common = MemGroup()
    common.create_dataset("common", data=np.arange(4))
    common.create_dataset("vis", data=changed())
    assert told(memdata.diff(tree_of(comm, whole(), axis), common)) == EXPECTED
    assert memdata.equal(common, tree_of(comm, changed(), axis))


@pytest.mark.parametrize("chunks", [None, (2, 2, 2)], ids=str)
def test_a_distributed_tree_and_its_file(comm, tmp_path, chunks):
    tree = tree_of(comm, whole(), 1)
    tree["vis"].chunks = chunks
    path = tmp_path / "x.h5"
    tree.to_hdf5(path)
    assert memdata.equal(tree, path)
    assert told(memdata.diff(tree_of(comm, changed(), 0), path)) == EXPECTED


def test_a_side_that_one_rank_cannot_read(comm, tmp_path):
    with pytest.raises((OSError, CollectiveError)):
        memdata.diff(tree_of(comm, whole(), 0), tmp_path / "nothing.h5")


def test_a_difference_of_one_rank_only_is_told_by_all(comm):
    array = MPIArray.wrap(np.zeros((2, 3)), 0, comm)
    trees = [MemGroup(distributed=True, comm=comm) for _ in range(2)]
    for tree in trees:
        tree.create_dataset("x", data=array.copy(), distributed=True)
    rank, size = (0, 1) if comm is None else (comm.rank, comm.size)
    if rank == size - 1:
        trees[1]["x"].local_data[1, 1] = 5
    (one,) = memdata.diff(*trees)
    assert one.first == (2 * size - 1, 1)
    assert one.largest == 5
