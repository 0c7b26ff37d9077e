"""MPI's calls for objects: any value, cut into pieces or not, and nobody waits for ever."""

from __future__ import annotations

import numpy as np
import pytest

from memdata.ranks import calls


@pytest.fixture(params=[7, 64 << 20])
def piece(request, monkeypatch):
    """Pieces of a few bytes stand for messages beyond 2 GiB: the same loops."""
    monkeypatch.setattr(calls, "_PIECE", request.param)


def value_of(rank):
    """Values of very different lengths."""
    return [None, "text " * 40, {"n": np.arange(50)}, b"", 3][rank % 5]


def same(found, expected):
    np.testing.assert_equal(found, expected)


class TestValues:
    def test_bcast(self, several, piece):
        for root in range(several.size):
            value = value_of(root) if several.rank == root else "not this"
            same(calls.bcast(several, value, "x", root), value_of(root))

    @pytest.mark.parametrize("shape", [(0,), (5, 3)])
    def test_bcast_array(self, several, piece, shape):
        array = np.arange(15.0)[: np.prod(shape)].reshape(shape) + several.rank
        calls.bcast_array(several, array, "x", 1)
        same(array, np.arange(15.0)[: np.prod(shape)].reshape(shape) + 1)

    def test_allgather(self, several, piece):
        expected = [value_of(rank) for rank in range(several.size)]
        same(calls.allgather(several, value_of(several.rank), "x"), expected)

    def test_gather(self, several, piece):
        root = several.size - 1
        found = calls.gather(several, value_of(several.rank), "x", root)
        expected = [value_of(rank) for rank in range(several.size)]
        same(found, expected if several.rank == root else None)

    def test_scatter(self, several, piece):
        values = [value_of(rank) for rank in range(several.size)]
        root = several.size - 1
        found = calls.scatter(several, values if several.rank == root else None, "x", root)
        same(found, value_of(several.rank))

    def test_from_one_to_another(self, several, piece):
        size, rank = several.size, several.rank
        sending = calls.Sending(several, value_of(rank), (rank + 1) % size)
        same(calls.receive_from(several, (rank - 1) % size, "x"), value_of((rank - 1) % size))
        sending.end("x")


CALLS = {
    "bcast": lambda comm: calls.bcast(comm, 1, "load /vis"),
    "bcast_array": lambda comm: calls.bcast_array(comm, np.ones(3), "load /vis"),
    "allgather": lambda comm: calls.allgather(comm, 1, "load /vis"),
    "scatter": lambda comm: calls.scatter(comm, None, "load /vis"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_rank_that_does_not_come(several, monkeypatch, name):
    part = several.Split(0, key=several.rank)  # broken afterwards, and so never freed
    several.barrier()
    if part.rank != 0:
        monkeypatch.setenv("MEMDATA_TIMEOUT", "0.2")
        message = rf"rank {part.rank} of {part.size}, load /vis: waited 0.2 s .* for "
        with pytest.raises(TimeoutError, match=message):
            CALLS[name](part)
    several.barrier()


def test_gathering_names_the_rank_that_does_not_come(several, monkeypatch):
    part = several.Split(0, key=several.rank)
    last = part.size - 1
    several.barrier()
    if part.rank == 0:
        monkeypatch.setenv("MEMDATA_TIMEOUT", "0.2")
        with pytest.raises(TimeoutError, match=f"for rank {last}$"):
            calls.gather(part, 1, "x")
    elif part.rank != last:
        calls.gather(part, 1, "x")
    several.barrier()
