"""Moving blocks in pieces: any dtype and layout, within the budget, or not at all."""

from __future__ import annotations

import contextlib
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whole import DTYPES, check, distribute, numbered, part, same, size_and_rank

from memdata import memory
from memdata._cmemdata import recycled_bytes
from memdata.mpiarray import AxisException, MPIArray
from memdata.ranks import exchange, moving, private, reducing, sharing
from memdata.ranks.blocks import pieces
from memdata.ranks.collective import CollectiveError

LARGE = ["O", np.dtypes.StringDType(), "V5", "S0", "m8[us]"]


@pytest.fixture(params=["packed", "in messages", "in shared memory", "with a time limit"])
def way(request, comm, monkeypatch):
    """The ways in which elements travel."""
    if request.param == "with a time limit":
        monkeypatch.setenv("MEMDATA_TIMEOUT", "20")
    elif request.param != "packed":
        monkeypatch.setattr(moving, "SMALL", 0)
    if request.param != "in shared memory":
        yield request.param
        return
    monkeypatch.setattr(moving, "worth_sharing", lambda *_: True)
    monkeypatch.setattr(sharing, "STAGING", 8192)
    monkeypatch.setattr(sharing, "LEAST", 8192)
    begin_anew(comm)
    yield request.param
    begin_anew(comm)


def begin_anew(comm):
    """What is kept with the communicator is made again."""
    if comm is not None:
        private.forget(comm)


def make(shape, dtype):
    dtype = np.dtype(dtype)
    if dtype.kind == "T":
        texts = [f"text {n} " * (n % 9) for n in range(math.prod(shape))]
        return np.array(texts, dtype).reshape(shape)
    if dtype.kind == "V" and dtype.names is None:
        return numbered(shape, "S5").view(dtype)
    return numbered(shape, dtype)


class PeakMemory:
    """How much resident memory grew at most; `bytes` is there at the end."""

    bytes = 0


@contextlib.contextmanager
def peak_memory():
    def entry(name):
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        pytest.skip("the system does not measure peaks")
    before, peak = entry("VmRSS"), PeakMemory()
    yield peak
    peak.bytes = entry("VmHWM") - before


class TestPieces:
    @given(
        st.lists(st.integers(0, 5), max_size=4).map(tuple),
        st.integers(1, 16),
        st.integers(1, 200),
    )
    def test_every_element_is_in_one_piece_of_bounded_size(self, shape, itemsize, limit):
        count = np.zeros(shape, int)
        order = np.arange(math.prod(shape)).reshape(shape)
        seen = []
        for piece in pieces(shape, itemsize, limit):
            count[piece] += 1
            seen += order[piece].ravel().tolist()
            assert count[piece].size * itemsize <= max(limit, itemsize)
            assert count[piece].size > 0
        assert (count == 1).all()
        assert seen == list(range(math.prod(shape)))

    def test_they_are_as_large_as_they_may_be(self):
        assert len(list(pieces((8, 4), 8, 64))) == 4


class TestRedistribute:
    @pytest.mark.parametrize("dtype", [*DTYPES, *LARGE], ids=str)
    def test_any_dtype(self, comm, way, dtype):
        whole = make((3, 5), dtype)
        array = distribute(whole, 0, comm)
        moved = exchange.redistribute(array, 1, budget=60)
        check(moved, whole, 1, comm)
        check(exchange.redistribute(moved, 0), whole, 0, comm)

    def test_any_axes_and_any_layout(self, comm, way):
        whole = numbered((3, 4, 7), ">i4")
        array = distribute(whole, 1, comm)
        check(exchange.redistribute(array, 2, 100), whole, 2, comm)
        check(exchange.redistribute(array.T, 0, 100), whole.T, 0, comm)
        check(exchange.redistribute(array[::-1, :, 1::2], 0, 100), whole[::-1, :, 1::2], 0, comm)

    def test_part_of_the_ranks(self, any_comm, way):
        whole = numbered((5, 6))
        check(exchange.redistribute(distribute(whole, 1, any_comm), 0, 64), whole, 0, any_comm)

    @pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (1, 9), (1, 1, 1)])
    def test_ranks_without_elements(self, comm, way, shape):
        whole = np.zeros(shape)
        check(exchange.redistribute(distribute(whole, 0, comm), 1), whole, 1, comm)

    def test_padding_of_structured_dtypes_travels(self, comm, way):
        dtype = np.dtype({"names": ["a"], "formats": ["u1"], "offsets": [3], "itemsize": 8})
        whole = numbered((4, 5), "u8").view(dtype)
        moved = exchange.redistribute(distribute(whole, 0, comm), 1)
        array = MPIArray.wrap(part(whole, 0, comm), 0, comm)
        moved = exchange.redistribute(array, 1)
        same(moved.local_array.view("u8"), part(whole.view("u8"), 1, comm))

    def test_the_result_is_a_contiguous_copy_of_the_same_type(self, comm):
        class Mine(MPIArray):
            pass

        whole = numbered((4, 6))
        array = Mine.wrap(part(whole, 0, comm).copy(), 0, comm)
        moved = exchange.redistribute(array, 1)
        assert type(moved) is Mine
        assert moved.flags.c_contiguous
        moved[...] = -1
        same(array.local_array, part(whole, 0, comm))

    def test_read_only_arrays(self, comm, way):
        whole = numbered((4, 6))
        array = distribute(whole, 0, comm)
        array.flags.writeable = False
        check(exchange.redistribute(array, 1), whole, 1, comm)

    def test_objects_in_many_rounds(self, comm, monkeypatch):
        monkeypatch.setattr(exchange, "_OBJECTS", 3)
        whole = numbered((5, 7), "O")
        check(exchange.redistribute(distribute(whole, 1, comm), 0), whole, 0, comm)

    def test_an_object_that_cannot_be_pickled(self, several):
        whole = np.empty((several.size, 8), object)
        whole[-1, :] = (lambda: None,) * 8
        with pytest.raises(Exception, match=rf"rank {several.size - 1} of .*redistribute.*pickle"):
            exchange.redistribute(distribute(whole, 0, several), 1)

    def test_memory_stays_within_the_result_and_the_budget(self, comm):
        size, _ = size_and_rank(comm)
        shape, budget = (8, 64 * size, 256), 1 << 19
        array = distribute(np.ones(shape), 1, comm)
        exchange.redistribute(array, 2, budget)  # what MPI and Python keep is there now
        tracemalloc.start()
        moved = exchange.redistribute(array, 2, budget)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak <= moved.nbytes + budget + (64 << 10)

    def test_peak_resident_memory_of_all_ways(self, several, way, monkeypatch):
        """What the system counts: memory of MPI and what ranks share too."""
        if way == "packed":
            return
        mebibyte = 1 << 20
        monkeypatch.setattr(sharing, "STAGING", 2 * mebibyte)
        size, budget = several.size, 2 * mebibyte * several.size
        exchange.redistribute(distribute(np.ones((size, 9 * size, 999)), 1, several), 0)
        # 36 MiB: so much the allocator always asks the system for.
        array = MPIArray((9 * size, 512, 1024), 0, several, dtype="f8")
        array.local_array[...] = 1
        recycled_bytes(drop=True)
        with peak_memory() as peak:
            moved = exchange.redistribute(array, 2, budget)
        assert moved.nbytes // 2 < peak.bytes <= moved.nbytes + budget + 3 * mebibyte

    def test_no_memory_on_one_rank_is_an_error_on_all(self, comm, monkeypatch):
        size, rank = size_and_rank(comm)
        array = distribute(np.ones((16 * size, 8 << 10)), 0, comm)
        monkeypatch.setattr(exchange, "_ASK_FROM", 0)
        monkeypatch.setattr(memory, "process_room", lambda: math.inf if rank < size - 1 else 9)
        with pytest.raises(MemoryError, match="not enough memory: the result here has the shape"):
            exchange.redistribute(array, 1)

    def test_the_estimate_counts_all_ranks_of_a_machine(self, comm, monkeypatch):
        size, _ = size_and_rank(comm)
        array = distribute(np.ones((16 * size, 8 * size, 1 << 10)), 0, comm)
        monkeypatch.setattr(exchange, "_ASK_FROM", 0)
        scratch = 4096 * size if size > 1 else 0
        needed = array.nbytes * size + scratch
        monkeypatch.setattr(memory, "machine_room", lambda: needed)
        check(exchange.redistribute(array, 1, 4096), np.ones(array.global_shape), 1, comm)
        monkeypatch.setattr(memory, "machine_room", lambda: needed - 1)
        with pytest.raises(MemoryError, match=f"{size} rank.s. {needed}; .* of this machine has"):
            exchange.redistribute(array, 1, 4096)


class TestRefused:
    def test_an_axis_that_one_rank_does_not_have(self, comm):
        size, rank = size_and_rank(comm)
        array = distribute(np.ones((4, 5)), 0, comm)
        with pytest.raises(AxisException, match="axis 2 does not exist"):
            exchange.redistribute(array, 2 if rank == size - 1 else 1)

    def test_different_axes(self, several):
        array = distribute(np.ones((4, 5, 6)), 0, several)
        with pytest.raises(CollectiveError, match=r"redistribute: .*axis=1.*axis=2"):
            exchange.redistribute(array, 1 + (several.rank == several.size - 1))

    def test_different_budgets(self, several):
        array = distribute(np.ones((4, 5)), 0, several)
        with pytest.raises(CollectiveError, match="budget=1000"):
            exchange.redistribute(array, 1, 1000 + several.rank)

    @pytest.mark.parametrize("budget", [0, -1])
    def test_no_budget(self, comm, budget):
        with pytest.raises(ValueError, match="budget: expected a number of bytes above 0"):
            exchange.redistribute(distribute(np.ones((4, 5)), 0, comm), 1, budget)

    def test_different_dtypes(self, several):
        dtype = "f4" if several.rank == 0 else "f8"
        with pytest.raises(CollectiveError, match="dtype='<f4'"):
            exchange.allgather(distribute(np.ones((4, 5), dtype), 0, several))

    def test_other_operations(self, several):
        array = distribute(np.ones((4, 5)), 0, several)
        with pytest.raises(CollectiveError, match=r"rank 0: allgather"):
            exchange.allgather(array) if several.rank == 0 else exchange.redistribute(array, 1)

    def test_a_part_that_is_not_the_standard_split(self, several):
        rank = several.rank
        array = MPIArray._from_local(np.ones((rank + 1, 3)), 0, several, 99, rank)
        with pytest.raises(ValueError, match=r"rank 0 of .* expected the standard split"):
            exchange.redistribute(array, 1)

    def test_a_freed_communicator(self, several):
        copied = several.Dup()
        array = distribute(np.ones((4, 5)), 0, copied)
        exchange.redistribute(array, 1, 8)
        copied.Free()
        with pytest.raises(ValueError, match="communicator was freed"):
            exchange.redistribute(array, 1)

    def test_a_rank_that_does_not_exist(self, comm):
        size, _ = size_and_rank(comm)
        for rank in (-1, size):
            with pytest.raises(ValueError, match=f"expected a rank from 0 to {size - 1}"):
                exchange.gather(distribute(np.ones((4, 5)), 0, comm), rank)


class TestGather:
    @pytest.mark.parametrize("dtype", [*DTYPES, *LARGE], ids=str)
    def test_any_dtype(self, comm, way, dtype):
        size, rank = size_and_rank(comm)
        whole = make((3, 5), dtype)
        array = distribute(whole, 1, comm)
        same(exchange.allgather(array), whole)
        gathered = exchange.gather(array, size - 1)
        if rank == size - 1:
            same(gathered, whole)
            assert type(gathered) is np.ndarray
        else:
            assert gathered is None


class TestAllreduce:
    def test_in_the_order_of_the_ranks(self, comm):
        size, _ = size_and_rank(comm)
        texts = np.array([f"{rank}," for rank in range(size)], object)
        found = exchange.allreduce(distribute(texts, 0, comm))
        assert found == "".join(texts)

    def test_another_shape_on_one_rank(self, several):
        array = distribute(np.ones(several.size + 1), 0, several)  # two on the first
        with pytest.raises(ValueError, match=r"rank 0 of .*expected one element per rank"):
            exchange.allreduce(array)

    def test_an_element_that_cannot_be_sent(self, several):
        whole = np.array([1] * (several.size - 1) + [lambda: None], object)
        with pytest.raises(Exception, match=rf"rank {several.size - 1} of .*allreduce.*pickle"):
            exchange.allreduce(distribute(whole, 0, several))


class TestReduceGlobal:
    """Against NumPy on the whole array, with many partial results and with few."""

    @pytest.mark.parametrize("few", [0, 1 << 20])
    @pytest.mark.parametrize("operation", reducing.OPERATIONS)
    def test_as_numpy(self, comm, monkeypatch, operation, few):
        monkeypatch.setattr(reducing, "_FEW", few)
        whole = numbered((3, 5, 4), "f8") % 7
        whole[1, 2, 3] = np.nan
        function = getattr(np, operation)
        array = distribute(whole, 1, comm)
        for axis in (1, None):
            for keepdims in (False, True):
                found = exchange.reduce_global(array, operation, axis, keepdims)
                expected = function(whole, axis=axis, keepdims=keepdims)
                assert type(found) is type(expected)
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, rtol=1e-12)

    def test_ties_go_to_the_first_in_the_whole_array(self, comm):
        whole = np.zeros((4, 6))
        whole[1, 5] = whole[2, 0] = whole[1, 3] = 1
        array = distribute(whole, 1, comm)
        assert exchange.reduce_global(array, "argmax") == np.argmax(whole) == 9

    def test_ranks_without_elements_do_not_count(self, comm):
        whole = np.array([[4.0, -5.0, 6.0]])
        array = distribute(whole, 0, comm)
        for operation in reducing.OPERATIONS:
            np.testing.assert_allclose(
                exchange.reduce_global(array, operation, 0), getattr(np, operation)(whole, axis=0)
            )

    def test_nothing_at_all(self, comm):
        array = distribute(np.empty((0, 3)), 0, comm)
        same(exchange.reduce_global(array, "sum", 0), np.zeros(3))
        with pytest.raises(ValueError, match="zero-size array"):
            exchange.reduce_global(array, "min", 0)

    def test_objects_and_times(self, comm):
        whole = np.array([3, 1, 10**30, 7], object)
        assert exchange.reduce_global(distribute(whole, 0, comm), "sum") == whole.sum()
        times = np.arange(9).astype("m8[s]")
        same(exchange.reduce_global(distribute(times, 0, comm), "sum"), times.sum())
        same(exchange.reduce_global(distribute(times, 0, comm), "mean"), times.mean())

    def test_bad_arguments_on_one_rank(self, comm):
        size, rank = size_and_rank(comm)
        array = distribute(np.ones((4, 5)), 0, comm)
        with pytest.raises(ValueError, match="no operation 'total': expected one of sum"):
            exchange.reduce_global(array, "total")
        with pytest.raises(AxisException):
            exchange.reduce_global(array, "sum", 7 if rank == size - 1 else 0)
        with pytest.raises(TypeError, match="takes no dtype"):
            exchange.reduce_global(array, "max", 0, False, "f4")


def test_messages_of_the_user_are_left_alone(several, monkeypatch):
    """A receive of any message from any rank, posted before, gets the user's."""
    from mpi4py import MPI

    monkeypatch.setattr(moving, "SMALL", 0)
    whole = numbered((6, 7))
    box = np.zeros(1)
    request = several.Irecv(box, MPI.ANY_SOURCE, MPI.ANY_TAG)
    check(exchange.redistribute(distribute(whole, 0, several), 1), whole, 1, several)
    several.Send(np.full(1, 5.0), dest=(several.rank + 1) % several.size, tag=3)
    request.Wait()
    assert box[0] == 5.0
