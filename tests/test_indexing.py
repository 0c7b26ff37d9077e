"""What indices and selections mean: NumPy's own indexing is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import mpiarray, mpitools
from memdata.mpiarray import MPIArray, sanitize_slice

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=6)


def numbered(shape):
    return np.arange(np.prod(shape)).reshape(shape)


def slices(length):
    """Any slice of an axis; hypothesis' own never go far beyond its ends."""
    bound = st.none() | st.integers(-2 * length - 2, 2 * length + 2)
    return st.builds(slice, bound, bound, st.none() | st.integers(-4, 4).filter(bool))


@st.composite
def selections(draw):
    """A shape, and a selection of it with at most one list or mask."""
    shape = draw(SHAPES)
    items = []
    for length in shape:
        index = st.integers(-length, length - 1)
        kinds = [slices(length), index]
        if not any(isinstance(item, list | np.ndarray) for item in items):
            kinds.append(st.lists(index, max_size=8))
            kinds.append(hnp.arrays(bool, length))
        items.append(draw(st.one_of(kinds)))
    start, stop = sorted(draw(st.tuples(*[st.integers(0, len(items))] * 2)))
    if draw(st.booleans()):
        return shape, (*items[:start], ..., *items[stop:])
    if stop == 1 and not isinstance(items[0], list):
        return shape, items[0]
    return shape, tuple(items[:stop])


def taken(array, sel):
    """NumPy's answer; an empty list is no index to NumPy, it takes it for floats."""
    sel = sel if isinstance(sel, tuple) else (sel,)
    return array[tuple(np.array(i, int) if isinstance(i, list) else i for i in sel)]


class TestSanitizeSlice:
    @given(
        SHAPES.flatmap(
            lambda shape: st.tuples(st.just(shape), hnp.basic_indices(shape, allow_newaxis=True))
        )
    )
    def test_means_the_same_and_names_every_axis(self, case):
        shape, index = case
        array = numbered(shape)
        found = sanitize_slice(index, array.ndim)
        assert np.array_equal(array[found], array[index])
        assert np.shape(array[found]) == np.shape(array[index])
        named = [item for item in found if item is not None and item is not ...]
        assert len(named) == array.ndim
        assert all(type(item) in {int, slice} for item in named)

    @given(selections())
    def test_of_lists_and_masks(self, case):
        shape, sel = case
        array = numbered(shape)
        found = array[sanitize_slice(sel, array.ndim)]
        assert np.array_equal(found, taken(array, sel))

    @pytest.mark.parametrize(
        "index",
        [
            np.array([[True, False], [False, True]]),
            (np.array([[0], [1]]), [0, 1]),
            ([0], None, [1]),
        ],
    )
    def test_of_stranger_arrays(self, index):
        array = numbered((2, 2, 3))
        assert np.array_equal(array[sanitize_slice(index, 3)], array[index])

    @pytest.mark.parametrize(
        ("index", "match"),
        [
            ((..., ...), "single ellipsis"),
            ((0, 1, 2), "too many indices"),
            (np.ones((2, 2, 2), bool), "too many indices"),
            (1.5, "whole numbers or a mask, not float64"),
            ("x", "whole numbers or a mask"),
        ],
    )
    def test_what_is_no_index(self, index, match):
        with pytest.raises(IndexError, match=match):
            sanitize_slice(index, 2)

    def test_an_ellipsis_between_lists_parts_them_on_every_path(self):
        """It stands for no axis, and yet NumPy puts what the lists take first."""
        whole = numbered((3, 4, 5))
        index = (slice(None), [0, 1], ..., [0, 1])
        assert whole[index].shape == (2, 3)
        assert np.array_equal(whole[sanitize_slice(index, 3)], whole[index])
        array = MPIArray.wrap(whole.copy(), 1)
        if mpitools.size == 1:
            assert np.array_equal(array.global_slice[index], whole[index])
            array.global_slice[index] = whole[index] + 100
            whole[index] += 100
            assert np.array_equal(array.local_array, whole)


class TestExpandSel:
    @given(selections())
    def test_one_item_for_each_axis_that_means_the_same(self, case):
        shape, sel = case
        array = numbered(shape)
        found = mpiarray._expand_sel(sel, array.ndim)
        assert len(found) == array.ndim
        if isinstance(sel, tuple) and len(sel) > array.ndim:
            sel = tuple(item for item in sel if item is not ...)
        assert np.array_equal(array[found], taken(array, sel))

    def test_none_takes_all(self):
        assert mpiarray._expand_sel(None, 2) == (slice(None), slice(None))
        assert mpiarray._expand_sel(None, 0) == ()

    @pytest.mark.parametrize("sel", [None, np.ones((2, 2), bool), (slice(None),) * 3])
    def test_what_is_no_selection(self, sel):
        with pytest.raises(IndexError):
            mpiarray._expand_sel((sel,) if sel is None else sel, 2)


class TestApplySel:
    @given(selections())
    def test_is_numpys(self, case):
        shape, sel = case
        array = numbered(shape)
        assert np.array_equal(mpiarray._apply_sel(array, sel), taken(array, sel))

    @given(SHAPES, st.data())
    def test_along_one_axis_is_take(self, shape, data):
        array = numbered(shape)
        axis = data.draw(st.integers(-array.ndim, array.ndim - 1))
        length = array.shape[axis]
        kinds = st.lists(st.integers(0, length - 1)) | slices(length) | st.integers(0, length - 1)
        sel = data.draw(kinds)
        indices = np.arange(length)[np.array(sel, int) if isinstance(sel, list) else sel]
        assert np.array_equal(
            mpiarray._apply_sel(array, sel, axis), np.take(array, indices, axis=axis)
        )

    def test_all_of_it(self):
        array = numbered((2, 3))
        assert np.shares_memory(mpiarray._apply_sel(array, None), array)

    def test_a_slice_of_an_array_is_a_view_of_it(self):
        array = numbered((2, 3))
        assert np.shares_memory(mpiarray._apply_sel(array, slice(1), 1), array)

    def test_of_the_local_part_of_a_distributed_array_without_a_warning(self):
        array = MPIArray.wrap(numbered((2, 3)), 0)
        found = mpiarray._apply_sel(array, slice(0, 1), 0)
        assert type(found) is np.ndarray
        assert found.tolist() == [[0, 1, 2]]

    @pytest.mark.parametrize("axis", [2, -3])
    def test_an_axis_that_is_not_there(self, axis):
        with pytest.raises(IndexError, match="out of bounds"):
            mpiarray._apply_sel(numbered((2, 3)), slice(1), axis)


LENGTH_AND_SLICES = st.integers(0, 12).flatmap(
    lambda n: st.tuples(st.just(n), slices(n), slices(n))
)


class TestSlices:
    @given(LENGTH_AND_SLICES)
    def test_len_slice(self, case):
        length, index, _ = case
        assert mpiarray._len_slice(index, length) == len(np.arange(length)[index])

    @given(LENGTH_AND_SLICES)
    def test_reslice_is_a_slice_of_a_slice(self, case):
        length, index, part = case
        axis = np.arange(length)
        found = mpiarray._reslice(index, length, part)
        assert np.array_equal(axis[found], axis[index][part])


class TestPartitionSel:
    @given(selections(), st.data())
    def test_the_parts_of_all_ranks_make_the_whole(self, case, data):
        """In the order of the ranks, cut by the standard split."""
        shape, sel = case
        array = numbered(shape)
        full = mpiarray._expand_sel(sel, array.ndim)
        axes = [n for n, item in enumerate(full) if not isinstance(item, int)]
        assume(axes)
        axis = data.draw(st.sampled_from(axes))
        whole = taken(array, sel)
        # Where the axis is in the result: a list goes first where a number stands apart from it.
        lengths = [len(np.arange(n)[item]) for n, item in zip(shape, full, strict=False)
                   if not isinstance(item, int)]  # fmt: skip
        count = lengths[axes.index(axis)]
        ranks = data.draw(st.integers(1, 5))
        counts = [count // ranks + (rank < count % ranks) for rank in range(ranks)]
        ends = np.cumsum(counts)
        parts = [
            mpiarray._partition_sel(sel, axis, shape, slice(int(end - n), int(end)))
            for n, end in zip(counts, ends, strict=True)
        ]
        found = [array[part] for part in parts]
        if any(isinstance(item, np.ndarray) for item in full) and any(
            isinstance(item, int) for item in full
        ):
            assert sorted(np.concatenate([one.ravel() for one in found])) == sorted(whole.ravel())
        else:
            assert np.array_equal(np.concatenate(found, axis=axes.index(axis)), whole)

    def test_lists_that_go_together_are_cut_together(self):
        array = numbered((4, 5))
        sel = ([0, 1, 3], [4, 2, 0])
        for axis in (0, 1):
            part = mpiarray._partition_sel(sel, axis, (4, 5), slice(1, 3))
            assert np.array_equal(array[part], array[sel][1:3])

    def test_all_is_taken_without_a_selection(self):
        found = mpiarray._partition_sel(None, 1, (2, 9), slice(3, 5))
        assert np.array_equal(numbered((2, 9))[found], numbered((2, 9))[:, 3:5])

    @pytest.mark.parametrize(
        ("sel", "axis"), [(0, 0), ((slice(None), [True, False]), 1), (slice(None), 2)]
    )
    def test_what_does_not_fit(self, sel, axis):
        with pytest.raises(IndexError):
            mpiarray._partition_sel(sel, axis, (2, 3), slice(0, 1))


class TestGlobalResolver:
    def test_is_what_global_slice_is(self):
        array = MPIArray.wrap(numbered((4, 3)), 0)
        assert type(array.global_slice) is mpiarray._global_resolver
        resolver = mpiarray._global_resolver(array)
        if mpitools.size == 1:
            assert resolver[2, 1] == 7
            resolver[2, 1] = -1
            assert array.local_array[2, 1] == -1

    def test_keeps_the_array_alive(self):
        assert mpiarray._global_resolver(MPIArray.wrap(numbered((4, 3)), 0))[:, 0].shape == (4,)

    @pytest.mark.parametrize("array", [np.zeros(3), None, [1, 2]])
    def test_of_other_things_there_is_none(self, array):
        with pytest.raises(TypeError, match="expected an MPIArray"):
            mpiarray._global_resolver(array)
        with pytest.raises(TypeError):
            mpiarray._global_resolver()


def test_true_is_no_index_of_a_distributed_array():
    array = MPIArray.wrap(numbered((4, 3)), 0)
    with pytest.raises(IndexError):
        array.global_slice[True] = 1
