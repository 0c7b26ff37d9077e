"""Nobody is left behind: what one rank does differently, or fails at, all ranks raise."""

from __future__ import annotations

import errno

import numpy as np
import pytest
from whole import size_and_rank

from memdata.mpiarray import AxisException, MPIArray
from memdata.ranks import meeting, private
from memdata.ranks.collective import CollectiveError, agree, check_communicator, together
from memdata.ranks.waiting import time_limit


@pytest.fixture(params=["at once", "by letters", "with a time limit"])
def way(request, comm, monkeypatch):
    """The ways in which the ranks meet."""
    if request.param == "with a time limit":
        monkeypatch.setenv("MEMDATA_TIMEOUT", "20")
    if comm is not None:
        private.forget(comm)
        if request.param != "at once":
            private.private(comm, "test")
    return request.param


def everyones(comm, error):
    """The messages and types that the ranks have; must be one."""
    return set(comm.allgather((type(error).__name__, str(error))))


class TestAgree:
    def test_the_same_everywhere_is_fine(self, any_comm, way):
        agree(any_comm, "load /x", shape=(3, 4), dtype=np.dtype("f4"), axis=0, names=["a", "b"])

    def test_equal_numbers_of_other_types_are_the_same(self, several, way):
        axis = np.int64(1) if several.rank else 1
        agree(several, "redistribute", axis=axis, shape=(axis, axis))

    def test_no_communicator_is_one_rank(self):
        agree(None, "anything", axis=1)

    def test_a_fact_that_differs_is_told_on_all_ranks(self, several, way):
        last = several.size - 1
        with pytest.raises(CollectiveError) as raised:
            agree(several, "redistribute /vis", axis=int(several.rank == last), shape=(2, 3))
        ((_, message),) = everyones(several, raised.value)
        assert message.startswith("redistribute /vis: the ranks do not agree")
        assert f"rank {last}: axis=1" in message
        assert "shape" not in message

    def test_the_type_of_the_error_can_be_chosen(self, several):
        with pytest.raises(AxisException, match="axis=1"):
            agree(several, "wrap", error=AxisException, axis=several.rank % 2)

    def test_other_operations_are_told(self, several, way):
        what = "save /x" if several.rank == 0 else "load /x"
        with pytest.raises(CollectiveError, match=r"rank 0: save /x; ranks? 1.*: load /x"):
            agree(several, what)

    def test_afterwards_the_ranks_go_on(self, several, way):
        for axis in range(3):
            with pytest.raises(CollectiveError):
                agree(several, "x", axis=axis + several.rank)
            agree(several, "x", axis=axis)

    def test_a_freed_communicator(self, several):
        part = several.Split(0)
        part.Free()
        for call in (agree, together):
            with pytest.raises(ValueError, match="communicator was freed"):
                call(part, "x")
        with pytest.raises(ValueError, match="communicator was freed"):
            check_communicator(part)


FAILURES = [
    ValueError("bad value"),
    KeyError("name"),
    IndexError("beyond"),
    AxisException("no axis 3"),
    MemoryError("no memory"),
    KeyboardInterrupt(),
    RuntimeError("as it is"),
    ZeroDivisionError("1/0"),
]


def step(comm, rank, failure, what="step"):
    """All come together; one of them has failed."""
    with together(comm, what):
        if comm.rank == rank:
            raise failure


class TestTogether:
    def test_success_everywhere(self, any_comm, way):
        with together(any_comm, "allocate") as allocation:
            allocation.facts(size=3)

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
    def test_the_failure_of_one_rank_is_raised_by_all(self, several, failure):
        last = several.size - 1
        with pytest.raises(type(failure)) as raised:
            step(several, last, failure, "read /x")
        ((name, message),) = everyones(several, raised.value)
        assert name == type(failure).__name__
        assert f"rank {last} of {several.size}, read /x: " in message
        assert str(failure).strip("'") in message

    def test_a_failure_with_a_time_limit(self, several, way):
        with pytest.raises(ValueError, match=r"rank 0 of .*, step: bad"):
            step(several, 0, ValueError("bad"))

    def test_an_oserror_keeps_its_number_and_file(self, several):
        failure = FileNotFoundError(errno.ENOENT, "No such file or directory", "x.h5")
        with pytest.raises(FileNotFoundError) as raised:
            step(several, 1, failure)
        assert raised.value.errno == errno.ENOENT
        assert raised.value.filename == "x.h5"
        assert f"rank 1 of {several.size}, step: No such file" in str(raised.value)

    def test_a_type_that_others_may_not_have_becomes_the_nearest_that_all_have(self, several):
        class Odd(LookupError):
            def __init__(self, a, b):
                super().__init__(a, b)

        with pytest.raises(LookupError) as raised:
            step(several, 0, Odd("this", "that"))
        assert type(raised.value) is LookupError
        assert "this" in str(raised.value)

    def test_what_is_no_more_than_an_exception_becomes_a_collective_error(self, several):
        with pytest.raises(CollectiveError, match="only this"):
            step(several, 0, Exception("only this"))

    def test_several_failures_name_the_first_and_the_others(self, several):
        with pytest.raises(ValueError, match=r"rank 0 of .* bad \(and ranks? 1.* failed too\)"):
            step(several, several.rank, ValueError("bad"))

    def test_the_others_are_told_where_it_happened(self, several):
        with pytest.raises(ValueError) as raised:
            step(several, 0, ValueError("bad"))
        if several.rank == 0:
            assert isinstance(raised.value.__cause__, ValueError)
        else:
            assert "in step" in raised.value.__notes__[0]

    def test_facts_are_compared_at_the_end(self, several):
        def allocate():
            with together(several, "allocate") as allocation:
                allocation.facts(size=several.rank)

        with pytest.raises(CollectiveError, match=r"allocate: .* rank 0: size=0"):
            allocate()

    def test_one_rank_raises_its_own_error_unchanged(self):
        failure = ValueError("mine")
        with pytest.raises(ValueError) as raised, together(None, "step"):
            raise failure
        assert raised.value is failure

    def test_a_rank_at_another_step_is_noticed(self, several):
        with pytest.raises(CollectiveError, match="not at the same operation"):
            agree(several, "save") if several.rank == 0 else step(several, None, None)


class TestTimeLimit:
    def test_a_rank_that_does_not_come_is_named(self, several, monkeypatch):
        part = several.Split(0, key=several.rank)  # broken afterwards, and so never freed
        several.barrier()
        if part.rank != 0:
            monkeypatch.setenv("MEMDATA_TIMEOUT", "0.3")
            with pytest.raises(TimeoutError) as raised:
                agree(part, "redistribute /vis")
            message = str(raised.value)
            assert f"rank {part.rank} of {part.size}, redistribute /vis" in message
            assert "waited 0.3 s (MEMDATA_TIMEOUT) for rank 0" in message
        several.barrier()

    @pytest.mark.parametrize(("text", "seconds"), [("", None), ("0", None), ("2.5", 2.5)])
    def test_its_value(self, monkeypatch, text, seconds):
        monkeypatch.setenv("MEMDATA_TIMEOUT", text)
        assert time_limit() == seconds

    @pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
    def test_nonsense_is_refused(self, monkeypatch, text):
        monkeypatch.setenv("MEMDATA_TIMEOUT", text)
        with pytest.raises(ValueError, match="MEMDATA_TIMEOUT must be a number of seconds"):
            time_limit()


def test_agreeing_does_not_disturb_messages_of_the_user(several):
    """A receive of anything from anybody, posted before, gets the user's message."""
    size, rank = size_and_rank(several)
    box = np.zeros(1)
    request = several.Irecv(box, tag=11)
    agree(several, "x", axis=1)
    several.Send(np.full(1, float(rank)), dest=(rank + 1) % size, tag=11)
    request.Wait()
    assert box[0] == (rank - 1) % size


class TestBlocksThatGoWithAMeeting:
    """Small arrays are moved by the exchange in which the ranks agree to do so."""

    @pytest.fixture
    def array(self, several):
        private.private(several, "test")
        array = MPIArray((several.size * 3, several.size * 2), 0, several)
        array.local_array[...] = several.rank
        return array

    def test_one_exchange_is_all(self, array, several, monkeypatch):
        exchanges = []
        wait = meeting.wait

        def counted(*arguments):
            exchanges.append(arguments)
            wait(*arguments)

        monkeypatch.setattr(meeting, "wait", counted)
        moved = array.redistribute(1)
        assert len(exchanges) == 1
        assert moved.local_array[:, 0].tolist() == np.repeat(np.arange(several.size), 3).tolist()

    @pytest.mark.parametrize("other", ["axis", "shape", "dtype", "operation", "too large"])
    def test_one_rank_does_something_else(self, array, several, other):
        if several.rank == several.size - 1:
            if other == "shape":
                array = MPIArray((several.size * 30, several.size * 2), 0, several)
            elif other == "dtype":
                array = array.astype("S7")
            elif other == "too large":
                array = MPIArray((several.size * 3, 1 << 20), 0, several)
        call = array.redistribute
        arguments = [1]
        if several.rank == several.size - 1:
            call, arguments = {"operation": (array.allgather, []), "axis": (call, [0])}.get(
                other, (call, arguments)
            )
        for _ in range(2):  # and it goes on
            with pytest.raises(CollectiveError) as raised:
                call(*arguments)
            assert len(everyones(several, raised.value)) == 1

    def test_one_rank_fails(self, array, several):
        with pytest.raises(AxisException, match=r"rank 1 of .*axis 5"):
            array.redistribute(5 if several.rank == 1 else 1)
        assert array.redistribute(1).axis == 1

    @pytest.mark.parametrize("size", [100, (16 << 10) - 1, 16 << 10, (16 << 10) + 1])
    def test_up_to_and_beyond_what_there_is_room_for(self, several, size):
        array = MPIArray((several.size, several.size * size), 0, several, dtype="u1")
        array.local_array[...] = np.arange(several.size * size) % 251 + several.rank
        whole = np.arange(several.size * size) % 251 + np.arange(several.size)[:, np.newaxis]
        whole = whole.astype("u1")
        moved = array.redistribute(1)
        np.testing.assert_array_equal(moved.local_array, whole[:, moved.local_bounds])
        np.testing.assert_array_equal(array.allgather(), whole)
        found = array.gather(several.size - 1)
        assert (found is None) == (several.rank != several.size - 1)
        if found is not None:
            np.testing.assert_array_equal(found, whole)
