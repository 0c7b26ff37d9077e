"""Part 1 of the behaviour page: the little of MPI that needs no other rank."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import mpitools
from support import FakeComm, comm_world, run_python

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
    world = comm_world()
    assert mpitools.world == world
    assert mpitools.rank == world.rank
    assert mpitools.size == world.size
    assert mpitools.rank0 is (world.rank == 0)


def test_with_one_rank_or_none_nobody_has_to_be_waited_for():
    mpitools.barrier()
    assert mpitools.bcast({"a": 1}) == {"a": 1}
    assert mpitools.allreduce(5) == 5


def test_can_allocate():
    assert mpitools.can_allocate(1) is True
    assert mpitools.can_allocate(0) is True


def test_cannot_allocate_more_than_any_machine_has():
    if not Path("/proc/meminfo").exists():
        pytest.skip("the system does not say how much memory there is")
    assert mpitools.can_allocate(2**60) is False


def test_an_mpi4py_without_an_mpi_library_counts_as_none(tmp_path):
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").touch()
    (tmp_path / "mpi4py" / "MPI.py").write_text("raise RuntimeError('cannot load MPI library')")
    run_python(
        f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from memdata import MemDiskGroup, mpitools
        assert mpitools.world is None
        container = MemDiskGroup()
        assert container.comm is None
        container.create_dataset("x", data=[1, 2])
        """
    )


@pytest.mark.parametrize("n", [-1, 1.5, "3", None])
def test_a_length_that_is_none_is_refused(n):
    with pytest.raises((TypeError, ValueError)):
        mpitools.split_local(n, FakeComm())
