"""Part 10 of the behaviour page: ufuncs on distributed arrays, against NumPy on the whole ones.

Nothing here communicates.
"""

from __future__ import annotations

import operator
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whole import bounds, check, distribute, numbered, part, size_and_rank

from memdata.mpiarray import AxisException, MPIArray, UnsupportedOperation, zeros

SHAPE = (5, 4, 9)


@pytest.fixture(params=[0, 1, 2])
def cut(request):
    """The distributed axis."""
    return request.param


class TestCall:
    @pytest.mark.parametrize(
        "ufunc", [np.add, np.multiply, np.greater, np.arctan2, np.fmod], ids=str
    )
    def test_two_arrays(self, any_comm, cut, ufunc):
        one, other = numbered(SHAPE), numbered(SHAPE, "f4", first=3)
        found = ufunc(distribute(one, cut, any_comm), distribute(other, cut, any_comm))
        with np.errstate(all="ignore"):
            check(found, ufunc(one, other), cut, any_comm)

    @pytest.mark.parametrize(
        "expression",
        [
            lambda a: a + 1,
            lambda a: 2.5 * a,
            lambda a: -a,
            lambda a: abs(a - 7),
            lambda a: a > 9,
            lambda a: (a > 9) & (a < 20),
            lambda a: np.sqrt(a),
            lambda a: a**2,
            lambda a: a // np.float32(3),
            lambda a: a == a,
            lambda a: np.isfinite(a),
            lambda a: a + np.array(4),
            lambda a: a.clip(3, 8),
            lambda a: (a / 7).round(1),
            lambda a: a.conj(),
        ],
    )
    def test_expressions(self, comm, cut, expression):
        whole = numbered(SHAPE)
        check(expression(distribute(whole, cut, comm)), expression(whole), cut, comm)

    def test_in_place(self, comm, cut):
        whole = numbered(SHAPE)
        array = distribute(whole, cut, comm)
        for change in (operator.iadd, operator.imul, operator.isub):
            same_object = change(array, 3.0)
            assert same_object is array
            change(whole, 3.0)
        array += array
        whole += whole
        check(array, whole, cut, comm)

    def test_several_outputs_come_back_as_a_tuple(self, comm, cut):
        whole = numbered(SHAPE) / 3
        found = np.modf(distribute(whole, cut, comm))
        assert type(found) is tuple
        for one, expected in zip(found, np.modf(whole), strict=True):
            check(one, expected, cut, comm)
        found = np.divmod(distribute(whole, cut, comm), 2.0)
        for one, expected in zip(found, np.divmod(whole, 2.0), strict=True):
            check(one, expected, cut, comm)

    def test_broadcasting_plain_arrays_that_have_length_1_there(self, comm, cut):
        whole = numbered(SHAPE)
        array = distribute(whole, cut, comm)
        shape = tuple(1 if n == cut else length for n, length in enumerate(SHAPE))
        plain = numbered(shape, first=5)
        check(array + plain, whole + plain, cut, comm)
        check(plain - array, plain - whole, cut, comm)

    def test_a_plain_array_without_that_axis(self, comm):
        whole = numbered(SHAPE)
        plain = numbered(SHAPE[1:])
        check(distribute(whole, 0, comm) * plain, whole * plain, 0, comm)
        check(plain[0] + distribute(whole, 1, comm), plain[0] + whole, 1, comm)
        check(distribute(whole, 0, comm) + list(range(9)), whole + list(range(9)), 0, comm)

    def test_a_plain_array_with_more_axes(self, comm):
        whole = numbered(SHAPE)
        plain = numbered((2, 1, 4, 1))
        found = distribute(whole, 0, comm) + plain
        check(found, whole + plain, 1, comm)

    def test_distributed_arrays_of_different_numbers_of_axes(self, comm):
        big, small = numbered((5, 4, 9)), numbered((4, 9))
        found = distribute(big, 1, comm) + distribute(small, 0, comm)
        check(found, big + small, 1, comm)
        found = distribute(small, 0, comm) + distribute(big, 1, comm)
        check(found, small + big, 1, comm)

    def test_distributed_arrays_that_broadcast_elsewhere(self, comm):
        big, small = numbered((5, 4, 9)), numbered((1, 4, 1))
        check(distribute(big, 1, comm) * distribute(small, 1, comm), big * small, 1, comm)

    def test_a_plain_array_of_the_local_length_works_with_a_warning(self, comm):
        whole = numbered((20, 3))
        array = distribute(whole, 0, comm)
        with pytest.warns(UserWarning, match="length"):
            found = array + part(whole, 0, comm)
        check(found, whole + whole, 0, comm)

    def test_a_plain_array_of_another_length(self, comm):
        size, _ = size_and_rank(comm)
        array = distribute(numbered((5 * size, 3)), 0, comm)
        with pytest.raises(AxisException, match="7"):
            array + np.zeros((7, 3))
        with pytest.raises(AxisException):
            np.zeros((7, 3)) * array

    def test_other_axes_that_do_not_broadcast_are_numpys_error(self, comm):
        array = distribute(numbered((5, 3)), 0, comm)
        with pytest.raises(ValueError, match="broadcast"):
            array + distribute(numbered((5, 4)), 0, comm)

    def test_different_axes(self, comm):
        with pytest.raises(AxisException):
            distribute(numbered((4, 4)), 0, comm) + distribute(numbered((4, 4)), 1, comm)

    def test_the_same_number_of_the_axis_but_not_after_broadcasting(self, comm):
        with pytest.raises(AxisException):
            distribute(numbered((4, 4)), 0, comm) + distribute(numbered((4, 4, 4)), 0, comm)

    def test_different_lengths(self, comm):
        with pytest.raises(AxisException):
            distribute(numbered((8, 2)), 0, comm) + distribute(numbered((9, 2)), 0, comm)

    def test_different_communicators(self, comm):
        if comm is None:
            pytest.skip("no MPI here")
        other = comm.Dup()
        try:
            with pytest.raises(ValueError, match="communicator") as caught:
                distribute(numbered((4, 4)), 0, comm) + distribute(numbered((4, 4)), 0, other)
            assert not isinstance(caught.value, AxisException)
        finally:
            other.Free()

    @pytest.mark.parametrize("length", [0, 1, 2])
    def test_ranks_with_nothing(self, comm, length):
        whole = numbered((length, 3))
        array = distribute(whole, 0, comm)
        check(array + array * 2, whole * 3, 0, comm)
        check(array + np.ones((1, 3)), whole + 1, 0, comm)

    def test_dtype_and_casting_are_numpys(self, comm):
        whole = numbered((5, 3), "i4")
        array = distribute(whole, 0, comm)
        check(np.add(array, 1, dtype="f4"), np.add(whole, 1, dtype="f4"), 0, comm)
        with pytest.raises(TypeError):
            np.add(array, 1.5, dtype="i2", casting="safe")

    def test_matmul_along_other_axes(self, comm):
        whole, matrix = numbered((6, 3, 4)), numbered((4, 2))
        check(distribute(whole, 0, comm) @ matrix, whole @ matrix, 0, comm)

    def test_matmul_along_the_distributed_axis(self, comm):
        with pytest.raises(UnsupportedOperation):
            distribute(numbered((3, 4)), 1, comm) @ numbered((4, 2))


class TestOut:
    def test_out_is_filled_and_returned(self, comm, cut):
        whole = numbered(SHAPE)
        array, out = distribute(whole, cut, comm), zeros(SHAPE, cut, comm)
        assert np.multiply(array, 2, out=out) is out
        check(out, whole * 2, cut, comm)
        assert np.add(array, 1, out) is out
        check(out, whole + 1, cut, comm)

    def test_several(self, comm):
        whole = numbered((5, 3)) / 4
        array, one, other = distribute(whole, 0, comm), zeros((5, 3)), zeros((5, 3))
        found = np.modf(array, out=(one, None))
        assert found[0] is one
        check(found[1], np.modf(whole)[1], 0, comm)
        np.modf(array, one, other)
        check(other, np.modf(whole)[1], 0, comm)

    def test_a_reduction(self, comm):
        whole = numbered((5, 3, 2))
        array, out = distribute(whole, 1, comm), zeros((3, 2), 0, comm)
        assert np.add.reduce(array, axis=0, out=out) is out
        check(out, whole.sum(axis=0), 0, comm)
        assert array.sum(axis=0, out=out) is out

    def test_a_plain_array(self, comm):
        array = distribute(numbered((5, 3)), 0, comm)
        with pytest.raises(TypeError, match="MPIArray"):
            np.add(array, 1, out=np.zeros(array.shape))
        with pytest.raises(TypeError):
            array.sum(axis=1, out=np.zeros(array.shape[0]))

    def test_another_distribution(self, comm):
        array = distribute(numbered((6, 6)), 0, comm)
        with pytest.raises(ValueError):
            np.add(array, 1, out=zeros((6, 6), 1, comm))
        with pytest.raises(ValueError):
            np.add.reduce(distribute(numbered((4, 6, 6)), 1, comm), axis=0, out=zeros((6, 6), 1))

    def test_another_length(self, comm):
        with pytest.raises(ValueError):
            np.add(distribute(numbered((6, 6)), 0, comm), 1, out=zeros((7, 6), 0, comm))


REDUCTIONS = ["sum", "prod", "min", "max", "all", "any", "mean", "std", "var"]


class TestReduce:
    @pytest.mark.parametrize("name", REDUCTIONS)
    def test_over_other_axes(self, comm, cut, name):
        whole = numbered(SHAPE) % 7
        array = distribute(whole, cut, comm)
        others = [n for n in range(3) if n != cut]
        for axis in [*others, others[0] - 3, tuple(others), (others[1] - 3, others[0])]:
            gone = [n % 3 for n in np.atleast_1d(axis)]
            at = cut - sum(n < cut for n in gone)
            expected = getattr(whole, name)(axis=axis)
            check(getattr(array, name)(axis=axis), expected, at, comm, exact=False)
            check(getattr(np, name)(array, axis=axis), expected, at, comm, exact=False)
            found = getattr(array, name)(axis=axis, keepdims=True)
            expected = getattr(whole, name)(axis=axis, keepdims=True)
            check(found, expected, cut, comm, exact=False)

    @pytest.mark.parametrize("name", REDUCTIONS)
    def test_over_the_distributed_axis(self, comm, cut, name):
        array = distribute(numbered(SHAPE), cut, comm)
        for axis in [cut, cut - 3, (cut, (cut + 1) % 3), (0, 1, 2)]:
            with pytest.raises(AxisException):
                getattr(array, name)(axis=axis)

    def test_an_empty_tuple_of_axes_reduces_nothing(self, comm, cut):
        whole = numbered(SHAPE)
        check(distribute(whole, cut, comm).sum(axis=()), whole.sum(axis=()), cut, comm)

    @pytest.mark.parametrize("name", ["sum", "prod", "all", "any"])
    def test_a_full_reduction_gives_one_element_per_rank(self, any_comm, cut, name):
        whole = numbered(SHAPE, "i8") % 2 + 1
        found = getattr(distribute(whole, cut, any_comm), name)()
        size, rank = size_and_rank(any_comm)
        assert isinstance(found, MPIArray)
        assert found.global_shape == (size,)
        assert found.axis == 0
        assert found.local_offset == (rank,)
        assert found.shape == (1,)
        expected = getattr(part(whole, cut, any_comm), name)()
        assert found.dtype == np.asarray(expected).dtype
        assert found.local_array[0] == expected

    def test_a_full_reduction_with_keepdims(self, comm, cut):
        found = np.add.reduce(distribute(numbered(SHAPE), cut, comm), axis=None, keepdims=True)
        size, _ = size_and_rank(comm)
        assert found.shape == (1, 1, 1)
        assert found.axis == cut
        assert found.global_shape == tuple(size if n == cut else 1 for n in range(3))

    def test_a_ufunc_without_an_axis_reduces_axis_0(self, comm):
        whole = numbered(SHAPE)
        check(np.add.reduce(distribute(whole, 1, comm)), np.add.reduce(whole), 0, comm)
        with pytest.raises(AxisException):
            np.add.reduce(distribute(whole, 0, comm))

    @pytest.mark.parametrize("axis", [3, -4, (0, 7)])
    def test_a_missing_axis(self, comm, axis):
        with pytest.raises(AxisException):
            distribute(numbered(SHAPE), 1, comm).sum(axis=axis)

    def test_dtype_and_initial(self, comm):
        whole = numbered(SHAPE, "i2")
        array = distribute(whole, 1, comm)
        check(array.sum(axis=0, dtype="f4"), whole.sum(axis=0, dtype="f4"), 0, comm)
        check(array.sum(axis=2, initial=5), whole.sum(axis=2, initial=5), 1, comm)
        check(array.max(axis=2, initial=50), whole.max(axis=2, initial=50), 1, comm)

    @pytest.mark.parametrize("name", ["argmin", "argmax"])
    def test_arg_reductions(self, comm, cut, name):
        whole = numbered(SHAPE) % 7
        array = distribute(whole, cut, comm)
        for axis in range(3):
            for number in (axis, axis - 3):
                if axis == cut:
                    with pytest.raises(AxisException):
                        getattr(array, name)(axis=number)
                    continue
                at = cut - (axis < cut)
                expected = getattr(whole, name)(axis=axis)
                check(getattr(array, name)(axis=number), expected, at, comm)
                check(getattr(np, name)(array, axis=number), expected, at, comm)
                check(
                    getattr(array, name)(axis=number, keepdims=True),
                    getattr(whole, name)(axis=axis, keepdims=True),
                    cut,
                    comm,
                )

    def test_median(self, comm, cut):
        whole = numbered(SHAPE) % 7
        array = distribute(whole, cut, comm)
        for axis in range(3):
            if axis == cut:
                with pytest.raises(AxisException):
                    np.median(array, axis=axis)
            else:
                at = cut - (axis < cut)
                check(np.median(array, axis=axis), np.median(whole, axis=axis), at, comm)
                found = np.median(array, axis=axis - 3, keepdims=True)
                check(found, np.median(whole, axis=axis, keepdims=True), cut, comm)

    @pytest.mark.parametrize(
        "function",
        [
            lambda a, axis: np.percentile(a, 30, axis=axis),
            lambda a, axis: np.ptp(a, axis=axis),
            lambda a, axis: np.sum(a, axis),
            lambda a, axis: np.mean(a, axis),
        ],
        ids=["percentile", "ptp", "sum", "mean"],
    )
    def test_other_functions(self, comm, cut, function):
        whole = numbered(SHAPE) % 7
        array = distribute(whole, cut, comm)
        for axis in {0, 1, 2} - {cut}:
            check(function(array, axis), function(whole, axis), cut - (axis < cut), comm)

    def test_sort(self, comm):
        whole = numbered(SHAPE) % 7
        array = distribute(whole, 1, comm)
        check(np.sort(array, axis=0), np.sort(whole, axis=0), 1, comm)
        check(array.argsort(axis=2), whole.argsort(axis=2), 1, comm)
        array.sort(axis=-1)
        whole.sort(axis=-1)
        check(array, whole, 1, comm)
        with pytest.raises(AxisException):
            array.sort(axis=1)


class TestAccumulate:
    @pytest.mark.parametrize("ufunc", [np.add, np.maximum, np.multiply], ids=str)
    def test_over_other_axes(self, comm, cut, ufunc):
        whole = numbered(SHAPE) % 5
        array = distribute(whole, cut, comm)
        for axis in {0, 1, 2} - {cut}:
            expected = ufunc.accumulate(whole, axis=axis)
            check(ufunc.accumulate(array, axis=axis), expected, cut, comm)
            check(ufunc.accumulate(array, axis=axis - 3), expected, cut, comm)

    def test_over_the_distributed_axis(self, comm, cut):
        array = distribute(numbered(SHAPE), cut, comm)
        for axis in (cut, cut - 3):
            with pytest.raises(AxisException):
                np.add.accumulate(array, axis=axis)

    def test_without_an_axis_it_is_axis_0(self, comm):
        whole = numbered(SHAPE)
        check(np.add.accumulate(distribute(whole, 1, comm)), np.add.accumulate(whole), 1, comm)
        with pytest.raises(AxisException):
            np.add.accumulate(distribute(whole, 0, comm))

    def test_cumsum(self, comm):
        whole = numbered(SHAPE)
        array = distribute(whole, 1, comm)
        check(array.cumsum(axis=2), whole.cumsum(axis=2), 1, comm)
        check(np.cumprod(array, axis=0), np.cumprod(whole, axis=0), 1, comm)
        with pytest.raises(AxisException):
            array.cumsum(axis=1)


class TestUnsupported:
    def test_outer(self, comm):
        array = distribute(numbered((5, 3)), 0, comm)
        with pytest.raises(UnsupportedOperation, match="outer"):
            np.add.outer(array, array)

    def test_at(self, comm):
        with pytest.raises(UnsupportedOperation, match="at"):
            np.add.at(distribute(numbered((5, 3)), 0, comm), 0, 1)

    def test_reduceat(self, comm):
        with pytest.raises(UnsupportedOperation, match="reduceat"):
            np.add.reduceat(distribute(numbered((5, 3)), 0, comm), [0, 1], axis=1)

    def test_where(self, comm):
        array = distribute(numbered((5, 3)), 0, comm)
        with pytest.raises(UnsupportedOperation, match="where"):
            np.add(array, 1, where=array.local_array > 3)
        with pytest.raises(UnsupportedOperation, match="where"):
            array.sum(axis=1, where=False)
        check(np.add(array, 1, where=True), numbered((5, 3)) + 1, 0, comm)

    def test_it_is_a_value_error_with_a_message(self, comm):
        array = distribute(numbered((5, 3)), 0, comm)
        with pytest.raises(ValueError) as caught:
            np.add.outer(array, array)
        assert caught.value.message == str(caught.value)


@st.composite
def operands(draw):
    """A whole array, its distributed axis, and another that fits it, plain or distributed."""
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    cut = draw(st.integers(0, len(shape) - 1))
    drop = draw(st.integers(0, len(shape) - 1))
    other = [draw(st.sampled_from([1, length])) for length in shape[drop:]]
    plain = draw(st.booleans()) or drop > cut
    if drop <= cut:
        other[cut - drop] = 1 if plain else shape[cut]
    return shape, cut, tuple(other), (None if plain else cut - drop)


@given(operands(), st.sampled_from([np.add, np.subtract, np.less, np.hypot]), st.booleans())
def test_any_operands_that_broadcast(comm, layout, ufunc, swapped):
    shape, cut, other_shape, other_cut = layout
    one, other = numbered(shape), numbered(other_shape, "f4", first=2)
    array = distribute(one, cut, comm)
    operand = other if other_cut is None else distribute(other, other_cut, comm)
    with warnings.catch_warnings():
        # A plain array of length 1 where this rank has one element too: both readings agree.
        warnings.simplefilter("error")
        found = ufunc(operand, array) if swapped else ufunc(array, operand)
    check(found, ufunc(other, one) if swapped else ufunc(one, other), cut, comm)


@given(st.data())
def test_any_reduction(comm, data):
    ndim = data.draw(st.integers(1, 4))
    shape = tuple(data.draw(st.integers(0, 4)) for _ in range(ndim))
    cut = data.draw(st.integers(0, ndim - 1))
    axes = tuple(data.draw(st.sets(st.integers(0, ndim - 1))))
    axes = tuple(n - ndim * data.draw(st.booleans()) for n in axes)
    keepdims = data.draw(st.booleans())
    whole = numbered(shape)
    array = distribute(whole, cut, comm)
    if cut in [n % ndim for n in axes]:
        with pytest.raises(AxisException):
            array.sum(axis=axes, keepdims=keepdims)
        return
    at = cut if keepdims else cut - sum(n % ndim < cut for n in axes)
    expected = whole.sum(axis=axes, keepdims=keepdims)
    check(array.sum(axis=axes, keepdims=keepdims), expected, at, comm)


def test_the_local_part_of_any_operation_is_where_it_was(comm):
    array = distribute(numbered((9, 2)), 0, comm)
    assert (array + 1).local_bounds == slice(*bounds(9, comm))
