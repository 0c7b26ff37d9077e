"""Part 10 of the behaviour page: making, wrapping, properties, axes, communication."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from whole import DTYPES, bounds, check, distribute, numbered, part, same, size_and_rank

from memdata import mpitools
from memdata.mpiarray import AxisException, MPIArray, UnsupportedOperation, ones, zeros

SHAPES = [(6, 4), (1, 3), (0, 2), (3, 7, 2), (15,), (2, 0, 3)]
LAYOUTS = [(shape, axis) for shape in SHAPES for axis in range(len(shape))]


@pytest.fixture(params=LAYOUTS, ids=str)
def layout(request):
    """A shape and the distributed axis: shorter than the ranks, empty, not the first."""
    return request.param


class TestMaking:
    def test_each_rank_gets_its_part(self, any_comm, layout):
        shape, axis = layout
        array = MPIArray(shape, axis, any_comm, dtype="i4")
        assert array.global_shape == shape
        assert array.axis == axis
        assert array.dtype == np.int32
        start, stop = bounds(shape[axis], any_comm)
        assert array.local_bounds == slice(start, stop)
        assert array.local_shape == tuple(
            stop - start if i == axis else n for i, n in enumerate(shape)
        )
        assert array.local_offset == tuple(start * (i == axis) for i in range(len(shape)))
        assert array.comm == any_comm

    def test_the_default_is_axis_0_of_the_world_in_float64(self, comm):
        array = MPIArray((5, 2))
        assert array.axis == 0
        assert array.comm == comm
        assert array.dtype == np.float64

    def test_further_arguments_go_to_ndarray(self, comm):
        assert MPIArray((5, 2), 0, comm, "i2").dtype == np.int16
        array = MPIArray((5, 2, 3), 1, comm, order="F", dtype="f4")
        assert array.flags.f_contiguous

    def test_a_buffer_is_shared(self, comm):
        start, stop = bounds(5, comm)
        buffer = np.arange(2 * (stop - start), dtype="f8")
        array = MPIArray((5, 2), 0, comm, dtype="f8", buffer=buffer)
        assert np.shares_memory(array, buffer) or stop == start

    def test_a_negative_axis_is_counted_from_the_end(self, comm):
        assert MPIArray((3, 4, 5), axis=-1).axis == 2
        assert MPIArray((3, 4, 5), axis=-3).axis == 0

    @pytest.mark.parametrize("axis", [2, -3, 100])
    def test_a_missing_axis(self, comm, axis):
        with pytest.raises(AxisException, match=str(axis)) as caught:
            MPIArray((3, 4), axis=axis)
        assert isinstance(caught.value, ValueError)
        assert isinstance(caught.value, IndexError)
        assert str(axis) in caught.value.message

    def test_a_negative_length(self, comm):
        with pytest.raises(ValueError, match="-3"):
            MPIArray((-3, 4))

    def test_zeros_and_ones_take_the_same_arguments(self, any_comm, layout):
        shape, axis = layout
        check(zeros(shape, axis, any_comm, dtype="c8"), np.zeros(shape, "c8"), axis, any_comm)
        check(ones(shape, axis, any_comm, dtype=">i2"), np.ones(shape, ">i2"), axis, any_comm)

    def test_a_subclass_stays_itself(self, comm):
        class Other(MPIArray):
            pass

        array = Other.wrap(part(np.zeros((5, 2)), 0, comm).copy(), 0, comm)
        assert type(array) is Other
        assert type(array[:, 1]) is Other
        assert type(array + array) is Other
        assert type(array.T) is Other

    def test_attributes_can_be_set(self, comm):
        array = zeros((3, 2))
        array.note = "hello"
        assert array.note == "hello"

    def test_comm_is_settable(self, comm):
        array = zeros((3, 2))
        array.comm = None
        assert array.comm is None
        array.comm = comm
        assert array.comm == comm


class TestWrap:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_every_ranks_array_becomes_its_part(self, any_comm, dtype):
        whole = numbered((3, 5), dtype)
        array = MPIArray.wrap(part(whole, 1, any_comm), 1, any_comm)
        check(array, whole, 1, any_comm)

    def test_any_layout(self, any_comm, layout):
        shape, axis = layout
        array = MPIArray.wrap(part(numbered(shape), axis, any_comm), axis, any_comm)
        check(array, numbered(shape), axis, any_comm)

    def test_memory_is_shared(self, comm):
        local = part(numbered((20, 2)), 0, comm).copy()
        array = MPIArray.wrap(local, 0, comm)
        local[...] = 7
        assert (array.local_array == 7).all()
        array.local_array[...] = 8
        assert (local == 8).all()

    def test_the_default_is_the_world(self, comm):
        array = MPIArray.wrap(part(numbered((5, 2)), 0, comm), 0)
        assert array.comm == comm

    def test_a_negative_axis(self, comm):
        whole = numbered((3, 5))
        check(MPIArray.wrap(part(whole, 1, comm), -1, comm), whole, 1, comm)

    def test_lengths_that_are_not_the_standard_split(self, comm):
        size, rank = size_and_rank(comm)
        if size == 1:
            pytest.skip("one rank has everything")
        with pytest.raises(AxisException, match="split"):
            MPIArray.wrap(np.zeros((3 + 2 * (rank == size - 1), 2)), 0, comm)

    @pytest.mark.parametrize("axis", [2, -3])
    def test_a_missing_axis(self, comm, axis):
        with pytest.raises(AxisException, match=str(axis)):
            MPIArray.wrap(np.zeros((3, 2)), axis, comm)

    def test_an_array_without_axes(self, comm):
        with pytest.raises(AxisException):
            MPIArray.wrap(np.array(5.0), 0, comm)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (np.zeros((2, 3)), np.zeros((2, 4))),
            (np.zeros((2, 3)), np.zeros((2, 3), "f4")),
            (np.zeros((2, 3)), np.zeros((2, 3), ">f8")),
            (np.zeros((2, 3)), np.zeros((2, 3, 1))),
            (np.zeros((2, 3)), np.zeros(2)),
            (np.zeros(2, [("a", "i4")]), np.zeros(2, [("b", "i4")])),
        ],
        ids=["other axis", "dtype", "byte order", "more axes", "fewer axes", "fields"],
    )
    def test_ranks_that_do_not_fit_each_other(self, comm, one, other):
        size, rank = size_and_rank(comm)
        if size == 1:
            pytest.skip("one rank is always of one mind")
        with pytest.raises(AxisException) as caught:
            MPIArray.wrap(other if rank == size - 1 else one, 0, comm)
        assert f"rank {size - 1}" in str(caught.value)
        assert len(set(comm.allgather(str(caught.value)))) == 1

    def test_a_rank_with_another_axis(self, comm):
        size, rank = size_and_rank(comm)
        if size == 1:
            pytest.skip("one rank is always of one mind")
        with pytest.raises(AxisException):
            MPIArray.wrap(np.zeros((2, 2)), int(rank == 0), comm)

    def test_what_is_no_array(self, comm):
        with pytest.raises(TypeError, match="list"):
            MPIArray.wrap([1, 2], 0, comm)


class TestAxes:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_transpose(self, comm, axis):
        whole = numbered((3, 4, 5))
        array = distribute(whole, axis, comm)
        check(array.T, whole.T, 2 - axis, comm)
        check(array.transpose(), whole.T, 2 - axis, comm)
        check(array.transpose(None), whole.T, 2 - axis, comm)
        for order in [(0, 1, 2), (1, 2, 0), (2, 0, 1), (-1, 0, -2), [0, 2, 1]]:
            at = [n % 3 for n in order].index(axis)
            check(array.transpose(order), whole.transpose(order), at, comm)
            check(array.transpose(*order), whole.transpose(order), at, comm)
            check(np.transpose(array, order), whole.transpose(order), at, comm)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("pair", [(0, 1), (1, 2), (0, -1), (-3, -2), (1, 1)])
    def test_swapaxes(self, comm, axis, pair):
        whole = numbered((3, 4, 5))
        order = [0, 1, 2]
        order[pair[0]], order[pair[1]] = order[pair[1]], order[pair[0]]
        array = distribute(whole, axis, comm)
        check(array.swapaxes(*pair), whole.swapaxes(*pair), order.index(axis), comm)
        check(np.swapaxes(array, *pair), whole.swapaxes(*pair), order.index(axis), comm)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_moveaxis(self, comm, axis):
        whole = numbered((3, 4, 5))
        check(
            np.moveaxis(distribute(whole, axis, comm), axis, 0),
            np.moveaxis(whole, axis, 0),
            0,
            comm,
        )

    def test_transposed_is_a_view(self, comm):
        array = distribute(numbered((8, 9)), 0, comm)
        array.T[...] = 5
        assert (array.local_array == 5).all()

    def test_a_wrong_order_is_a_value_error(self, comm):
        array = distribute(numbered((3, 4)), 0, comm)
        for order in [(0, 0), (0,), (0, 1, 2), (0, 5)]:
            with pytest.raises(ValueError):
                array.transpose(order)

    @pytest.mark.parametrize(
        ("shape", "axis", "new", "full"),
        [
            ((6, 4, 2), 0, (None, -1), (6, 8)),
            ((6, 4, 2), 0, (None, 8), (6, 8)),
            ((6, 4, 2), 0, (None, 2, -1, 2), (6, 2, 2, 2)),
            ((6, 4, 2), 2, (-1, None), (24, 2)),
            ((6, 4, 2), 2, (3, 8, None), (3, 8, 2)),
            ((6, 4, 2), 1, (-1, None, -1), (6, 4, 2)),
            ((6, 4, 2), 1, (2, 3, None, 1, -1), (2, 3, 4, 1, 2)),
            ((6, 5), 0, (1, None, -1), (1, 6, 5)),
            ((7,), 0, (None,), (7,)),
            ((7,), 0, (1, None, 1), (1, 7, 1)),
        ],
    )
    def test_reshape(self, comm, shape, axis, new, full):
        whole = numbered(shape)
        array = distribute(whole, axis, comm)
        check(array.reshape(*new), whole.reshape(full), new.index(None), comm)
        check(array.reshape(new), whole.reshape(full), new.index(None), comm)
        check(array.reshape(list(new)), whole.reshape(full), new.index(None), comm)

    @pytest.mark.parametrize(
        "new",
        [
            (6, 8),
            (None, 7),
            (None, None),
            (-1,),
            (None, -1, -1),
            (8, None),
            (None,),
            (2, None, 8),
            (),
        ],
    )
    def test_a_reshape_that_does_not_fit(self, comm, new):
        with pytest.raises(ValueError):
            distribute(numbered((6, 4, 2)), 0, comm).reshape(*new)

    def test_ravel_is_not_implemented(self, comm):
        for flat in (lambda a: a.ravel(), lambda a: a.flatten(), np.ravel):
            with pytest.raises(NotImplementedError):
                flat(zeros((3, 2)))

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_squeeze_keeps_the_distributed_axis(self, comm, axis):
        whole = numbered(tuple(4 if n == axis else 1 for n in range(3)))
        check(distribute(whole, axis, comm).squeeze(), whole.reshape(4), 0, comm)
        with pytest.raises(AxisException):
            distribute(whole, axis, comm).squeeze(axis)

    def test_enumerate_gives_local_and_global_indices(self, any_comm):
        array = distribute(numbered((9, 4)), 0, any_comm)
        start, stop = bounds(9, any_comm)
        assert list(array.enumerate(0)) == list(enumerate(range(start, stop)))
        assert list(array.enumerate(axis=1)) == [(n, n) for n in range(4)]
        assert list(array.enumerate(-2)) == list(array.enumerate(0))
        with pytest.raises(AxisException):
            array.enumerate(2)


class TestCopies:
    @pytest.mark.parametrize(
        "make",
        [lambda a: a.copy(), copy.copy, copy.deepcopy, lambda a: np.copy(a, subok=True)],
        ids=["copy", "copy.copy", "copy.deepcopy", "numpy.copy"],
    )
    def test_copy_is_on_its_own(self, comm, make):
        whole = numbered((5, 3))
        array = distribute(whole, 1, comm)
        copied = make(array)
        array.local_array[...] = -1
        check(copied, whole, 1, comm)

    def test_astype_and_view_keep_the_distribution(self, comm):
        whole = numbered((5, 3))
        array = distribute(whole, 1, comm)
        check(array.astype("f4"), whole.astype("f4"), 1, comm)
        check(array.view(), whole, 1, comm)
        assert type(array.view(np.ndarray)) is np.ndarray
        assert np.shares_memory(array.view(np.ndarray), array) or array.size == 0

    def test_zeros_like_and_friends(self, comm):
        array = distribute(numbered((5, 3)), 1, comm)
        check(np.zeros_like(array), np.zeros((5, 3)), 1, comm)
        check(np.full_like(array, 3, dtype="i4"), np.full((5, 3), 3, "i4"), 1, comm)
        assert np.empty_like(array).global_shape == (5, 3)

    def test_local_array_shares_memory(self, comm):
        array = distribute(numbered((9, 3)), 0, comm)
        assert type(array.local_array) is np.ndarray
        array.local_array[...] = 3
        assert (np.asarray(array) == 3).all()

    def test_pickle_keeps_the_local_part_and_where_it_was(self, comm):
        whole = numbered((5, 3))
        array = distribute(whole, 1, comm)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(array, protocol))
            check(again, whole, 1, comm)

    def test_pickle_with_another_communicator(self, any_comm):
        whole = numbered((5, 3))
        again = pickle.loads(pickle.dumps(distribute(whole, 1, any_comm)))
        same(again.local_array, part(whole, 1, any_comm))
        assert again.global_shape == (5, 3)
        assert again.comm in (any_comm, None)

    def test_repr_and_str_show_the_local_part(self, comm):
        array = distribute(numbered((9, 2)), 0, comm)
        assert str(array) == str(array.local_array)
        assert repr(array.local_array).removeprefix("array") in repr(array)


class TestRedistribute:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_any_dtype(self, any_comm, dtype):
        whole = numbered((5, 8), dtype)
        moved = distribute(whole, 0, any_comm).redistribute(1)
        check(moved, whole, 1, any_comm)
        assert moved.flags.c_contiguous

    def test_objects(self, any_comm):
        whole = numbered((4, 3), object)
        array = distribute(whole, 0, any_comm)
        check(array.redistribute(1), whole, 1, any_comm)

    def test_any_layout(self, any_comm, layout):
        shape, axis = layout
        whole = numbered(shape)
        array = distribute(whole, axis, any_comm)
        for to in range(len(shape)):
            moved = array.redistribute(to)
            check(moved, whole, to, any_comm)
            check(moved.redistribute(axis), whole, axis, any_comm)
            assert moved.flags.c_contiguous or to == axis

    def test_the_same_axis_gives_itself(self, comm):
        array = distribute(numbered((4, 5)), 0, comm)
        assert array.redistribute(0) is array
        assert array.redistribute(-2) is array

    def test_a_negative_axis(self, comm):
        check(distribute(numbered((4, 5)), 0, comm).redistribute(-1), numbered((4, 5)), 1, comm)

    def test_a_view_that_is_not_contiguous(self, any_comm):
        whole = numbered((6, 8, 5))
        array = distribute(whole, 0, any_comm)
        check(array[:, ::2].redistribute(2), whole[:, ::2], 2, any_comm)
        check(array.T.redistribute(0), whole.T, 0, any_comm)
        check(array[:, ::-1, 1:].redistribute(1), whole[:, ::-1, 1:], 1, any_comm)

    def test_in_many_rounds(self, any_comm):
        whole = numbered((9, 50, 7))
        array = distribute(whole, 0, any_comm)
        for budget in (1, 100, 5000):
            check(array.redistribute(1, budget=budget), whole, 1, any_comm)

    @pytest.mark.parametrize("axis", [2, -3])
    def test_a_missing_axis(self, comm, axis):
        with pytest.raises(AxisException, match=str(axis)):
            distribute(numbered((4, 5)), 0, comm).redistribute(axis)

    def test_ranks_that_want_different_axes(self, comm):
        size, rank = size_and_rank(comm)
        if size == 1:
            pytest.skip("one rank is always of one mind")
        array = distribute(numbered((4, 5, 6)), 0, comm)
        with pytest.raises((RuntimeError, ValueError)) as caught:
            array.redistribute(1 + (rank == size - 1))
        assert len(set(comm.allgather(str(caught.value)))) == 1

    def test_one_rank_that_wants_another_array(self, comm):
        size, rank = size_and_rank(comm)
        if size == 1:
            pytest.skip("one rank is always of one mind")
        array = distribute(numbered((4, 5 + (rank > -1))), 0, comm)
        other = distribute(numbered((4, 5)), 0, comm)
        with pytest.raises((RuntimeError, ValueError)):
            (other if rank == 0 else array).redistribute(1)

    def test_a_subclass_stays_itself(self, comm):
        class Other(MPIArray):
            pass

        array = Other.wrap(part(np.zeros((5, 2)), 0, comm).copy(), 0, comm)
        assert type(array.redistribute(1)) is Other

    def test_the_source_is_left_as_it_was(self, comm):
        whole = numbered((4, 5))
        array = distribute(whole, 0, comm)
        array.redistribute(1).local_array[...] = -1
        check(array, whole, 0, comm)

    def test_a_freed_communicator(self, comm):
        if comm is None:
            pytest.skip("no MPI here")
        part_of_world = comm.Dup()
        array = distribute(numbered((4, 5)), 0, part_of_world)
        part_of_world.Free()
        with pytest.raises(ValueError, match="freed"):
            array.redistribute(1)


class TestGather:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_allgather_gives_the_whole_array(self, any_comm, dtype):
        for axis in (0, 1):
            whole = numbered((5, 3), dtype)
            found = distribute(whole, axis, any_comm).allgather()
            assert type(found) is np.ndarray
            same(found, whole)

    def test_any_layout(self, any_comm, layout):
        shape, axis = layout
        array = distribute(numbered(shape), axis, any_comm)
        same(array.allgather(), numbered(shape))
        size, rank = size_and_rank(any_comm)
        for root in range(size):
            found = array.gather(root)
            if rank == root:
                assert type(found) is np.ndarray
                same(found, numbered(shape))
            else:
                assert found is None

    def test_gather_is_to_rank_0(self, comm):
        found = distribute(numbered((5, 3)), 0, comm).gather()
        assert (found is None) == (size_and_rank(comm)[1] != 0)
        assert found is None or np.array_equal(found, numbered((5, 3)))

    def test_of_views(self, comm):
        whole = numbered((6, 7, 4))
        array = distribute(whole, 1, comm)
        same(array.T.allgather(), whole.T)
        same(array[::2, :, ::-1].allgather(), whole[::2, :, ::-1])

    def test_changing_what_was_gathered_changes_nothing(self, comm):
        array = distribute(numbered((5, 3)), 0, comm)
        array.allgather()[...] = -1
        check(array, numbered((5, 3)), 0, comm)

    def test_a_rank_that_is_not_there(self, comm):
        size, _ = size_and_rank(comm)
        for rank in (size, -1):
            with pytest.raises((ValueError, IndexError)):
                distribute(numbered((5, 3)), 0, comm).gather(rank)


class TestAllreduce:
    def test_sum_is_the_default(self, any_comm):
        size, rank = size_and_rank(any_comm)
        array = MPIArray.wrap(np.array([rank + 1.5]), 0, any_comm)
        assert float(np.asarray(array.allreduce()).reshape(())) == sum(n + 1.5 for n in range(size))

    def test_of_a_full_reduction(self, any_comm):
        whole = numbered((9, 3), "i8")
        array = distribute(whole, 0, any_comm)
        assert int(np.asarray(array.sum().allreduce()).reshape(())) == whole.sum()

    def test_another_operation(self, comm):
        if comm is None:
            pytest.skip("no MPI here")
        from mpi4py import MPI

        array = MPIArray.wrap(np.array([comm.rank], "i4"), 0, comm)
        assert int(np.asarray(array.allreduce(MPI.MAX)).reshape(())) == comm.size - 1
        assert int(np.asarray(array.allreduce(op=MPI.MIN)).reshape(())) == 0

    def test_more_than_one_element_per_rank(self, comm):
        size, _ = size_and_rank(comm)
        for shape in [(2 * size,), (size, 1)]:
            with pytest.raises(ValueError, match="shape"):
                zeros(shape).allreduce()


OPERATIONS = ["sum", "prod", "min", "max", "mean", "std", "var", "all", "any", "argmin", "argmax"]


class TestReduceGlobal:
    """Reductions with communication: NumPy's on the whole array, on all ranks."""

    @pytest.mark.parametrize("operation", OPERATIONS)
    @pytest.mark.parametrize("cut", [0, 1])
    def test_as_numpy_on_the_whole_array(self, any_comm, operation, cut):
        whole = np.random.default_rng(5).normal(size=(5, 4, 3)).round(1)
        array = distribute(whole, cut, any_comm)
        axes = [None, 0, 1, 2, -1] + [(0, 1), (1, 2), (-1, 0)] * (not operation.startswith("arg"))
        for axis in axes:
            for keepdims in (False, True):
                found = array.reduce_global(operation, axis=axis, keepdims=keepdims)
                expected = getattr(np, operation)(whole, axis=axis, keepdims=keepdims)
                self.compare(found, expected, any_comm, cut, axis, keepdims)

    def compare(self, found, expected, comm, cut, axis, keepdims):
        gone = range(3) if axis is None else [n % 3 for n in np.atleast_1d(axis)]
        if cut in gone:
            assert not isinstance(found, MPIArray)
        else:
            assert isinstance(found, MPIArray)
            assert found.axis == (cut if keepdims else cut - sum(n < cut for n in gone))
            assert found.global_shape == expected.shape
            expected = part(expected, found.axis, comm)
            found = found.local_array
        found, expected = np.asarray(found), np.asarray(expected)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
        else:
            np.testing.assert_array_equal(found, expected)

    @pytest.mark.parametrize("operation", [*OPERATIONS[:9]])
    @pytest.mark.parametrize("dtype", ["i2", "u1", "f4", "?", "c16", ">i4"])
    def test_dtypes(self, comm, operation, dtype):
        whole = (numbered((7, 2), "i4") % 5).astype(dtype)
        try:
            expected = getattr(np, operation)(whole, axis=0)
        except TypeError:
            pytest.skip("NumPy does not do that")
        found = distribute(whole, 0, comm).reduce_global(operation, axis=0)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_nan(self, comm, operation):
        whole = np.arange(24.0).reshape(8, 3)
        whole[5, 1] = whole[2, 1] = np.nan
        found = distribute(whole, 0, comm).reduce_global(operation, axis=0)
        np.testing.assert_allclose(found, getattr(np, operation)(whole, axis=0), rtol=1e-12)

    @pytest.mark.parametrize("operation", ["min", "max", "argmin", "argmax"])
    def test_no_elements_at_all_is_numpys_error(self, comm, operation):
        with pytest.raises(ValueError):
            distribute(np.zeros((0, 3)), 0, comm).reduce_global(operation, axis=0)

    @pytest.mark.parametrize("operation", ["sum", "prod", "all", "any"])
    def test_no_elements_at_all(self, comm, operation):
        found = distribute(np.zeros((0, 3)), 0, comm).reduce_global(operation, axis=0)
        same(found, getattr(np, operation)(np.zeros((0, 3)), axis=0))

    @pytest.mark.parametrize("operation", ["min", "max", "argmin", "argmax", "mean"])
    def test_ranks_with_nothing_break_nothing(self, comm, operation):
        whole = np.array([[-5.0, 2.0]])
        found = distribute(whole, 0, comm).reduce_global(operation, axis=0)
        same(found, getattr(np, operation)(whole, axis=0))

    @pytest.mark.parametrize("operation", ["argmin", "argmax"])
    def test_the_first_of_equals(self, comm, operation):
        whole = np.array([1, 7, 1, 7, 7, 1, 1, 7, 1])
        found = distribute(whole, 0, comm).reduce_global(operation)
        assert found == getattr(np, operation)(whole)

    def test_dtype(self, comm):
        whole = np.full((9, 2), 100, "i1")
        found = distribute(whole, 0, comm).reduce_global("sum", axis=0, dtype="i2")
        same(found, whole.sum(axis=0, dtype="i2"))

    def test_the_mean_of_float16_does_not_overflow(self, comm):
        whole = np.full((9, 2), 60000, "f2")
        same(distribute(whole, 0, comm).reduce_global("mean", axis=0), whole.mean(axis=0))

    def test_what_is_no_operation(self, comm):
        with pytest.raises(ValueError, match="median"):
            zeros((3, 2)).reduce_global("median")

    def test_a_missing_axis(self, comm):
        with pytest.raises(AxisException, match="5"):
            zeros((3, 2)).reduce_global("sum", axis=5)


def test_exceptions_are_value_errors_with_a_message():
    for kind in (AxisException, UnsupportedOperation):
        error = kind("what is wrong")
        assert isinstance(error, ValueError)
        assert error.message == "what is wrong"
        assert str(error) == "what is wrong"


def test_mpitools_agree_with_the_split(comm):
    count, start, end = mpitools.split_local(10, comm)
    assert (start, end) == bounds(10, comm)
    assert count == end - start
    assert mpitools.bcast(size_and_rank(comm)[1], 0) == 0
    assert mpitools.allreduce(1) == size_and_rank(comm)[0]
    mpitools.barrier()
