"""Part 1 of the behaviour page: the little of MPI that needs no other rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import mpitools
from support import FakeComm

RANKS = st.integers(1, 9)
LENGTHS = st.integers(0, 50)


@given(LENGTHS, RANKS)
def test_the_first_ranks_get_one_more(n, ranks):
    counts = [mpitools.split_local(n, FakeComm(rank, ranks))[0] for rank in range(ranks)]
    assert counts == [n // ranks + (rank < n % ranks) for rank in range(ranks)]


@given(LENGTHS, RANKS)
def test_parts_follow_one_another_without_gap(n, ranks):
    place = 0
    for rank in range(ranks):
        count, start, end = mpitools.split_local(n, FakeComm(rank, ranks))
        assert (start, end) == (place, place + count)
        place = end
    assert place == n


@given(LENGTHS, RANKS)
def test_split_all_is_split_local_of_every_rank(n, ranks):
    found = np.asarray(mpitools.split_all(n, FakeComm(0, ranks)))
    assert found.shape == (3, ranks)
    for rank in range(ranks):
        assert tuple(found[:, rank]) == tuple(mpitools.split_local(n, FakeComm(rank, ranks)))


def test_without_a_communicator_one_rank_has_everything():
    assert tuple(mpitools.split_local(7, None)) == (7, 0, 7)


def test_world_is_comm_world():
    mpi = pytest.importorskip("mpi4py.MPI")
    assert mpitools.world == mpi.COMM_WORLD
    assert mpitools.rank == mpi.COMM_WORLD.rank
    assert mpitools.size == mpi.COMM_WORLD.size
    assert mpitools.rank0 is (mpi.COMM_WORLD.rank == 0)


@pytest.mark.parametrize("n", [-1, 1.5, "3", None])
def test_a_length_that_is_none_is_refused(n):
    with pytest.raises((TypeError, ValueError)):
        mpitools.split_local(n, FakeComm())
