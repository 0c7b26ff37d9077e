"""Part 10 of the behaviour page: indexing with local and with global indices.

The oracle is NumPy's indexing of the whole array. An array of numbers that are all different, so
that an element in a wrong place is seen. Nothing here communicates.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whole import bounds, check, distribute, numbered, part, same

from memdata.mpiarray import MPIArray

SHAPE = (9, 4, 5)

# Index, and the axis (or None) that axis 1 of SHAPE, taken whole, becomes.
WHOLE = [
    (slice(None), 1),
    (Ellipsis, 1),
    ((), 1),
    (2, 0),
    (np.int64(2), 0),
    (-1, 0),
    ((slice(None), slice(None), 3), 1),
    ((Ellipsis, 3), 1),
    ((3, Ellipsis), 0),
    ((2, slice(None), 3), 0),
    (None, 2),
    ((None, Ellipsis, None), 2),
    ((2, None, Ellipsis), 1),
    (slice(1, 3), 1),
    (slice(None, None, -1), 1),
    (slice(5, 5), 1),
    ([0, 2], 1),
    ([], 1),
    (np.array([[0, 2], [1, 1]]), 2),
    ((slice(None), slice(None), [0, 2]), 1),
    ((slice(None), slice(None), np.array([[0, 2]])), 1),
    (([0, 2], slice(None), [1, 3]), 1),
    ((2, slice(None), [1, 3]), 1),
    (([0, 2], slice(None), 3), 1),
    (([True] * 2 + [False] * 7), 1),
    (np.arange(9) % 2 == 0, 1),
    ((slice(None), slice(None), np.arange(5) > 2), 1),
    ((None, [0, 2], None), 3),
    ((slice(1, 5), slice(None), slice(4, None, -2)), 1),
    ((2, slice(None, None), None, 3), 0),
]


def wrong(array: MPIArray, index: object) -> None:
    with pytest.raises(IndexError) as caught:
        array[index]
    with pytest.raises(IndexError):
        array.local_array[index]
    assert str(caught.value)


class TestWholeAxis:
    """Indexing that leaves the distributed axis whole gives an MPIArray."""

    @pytest.mark.parametrize(("index", "axis"), WHOLE, ids=repr)
    def test_the_axis_number_follows(self, any_comm, index, axis):
        whole = numbered(SHAPE)
        array = distribute(whole, 1, any_comm)
        check(array[index], whole[index], axis, any_comm)
        check(array.global_slice[index], whole[index], axis, any_comm)

    @pytest.mark.parametrize("cut", [0, 1, 2])
    def test_a_slice_is_a_view(self, comm, cut):
        array = distribute(numbered((8, 8, 8)), cut, comm)
        others = [n for n in range(3) if n != cut]
        key = tuple(slice(1, 3) if n == others[0] else slice(None) for n in range(3))
        array[key].local_array[...] = -1
        assert (array.local_array[key] == -1).all()

    def test_a_mask_of_the_other_axes(self, comm):
        whole = numbered(SHAPE)
        mask = whole[:, 0, :] % 3 == 0
        array = distribute(whole.transpose(1, 0, 2).copy(), 0, comm)
        check(array[:, mask], whole.transpose(1, 0, 2)[:, mask], 0, comm)
        array = distribute(whole.transpose(0, 2, 1).copy(), 2, comm)
        check(array[mask], whole.transpose(0, 2, 1)[mask], 1, comm)

    def test_an_axis_of_length_0_or_1(self, comm):
        for length in (0, 1):
            whole = numbered((3, length))
            array = distribute(whole, 1, comm)
            check(array[1], whole[1], 0, comm)
            check(array[:, :], whole, 1, comm)

    def test_fields(self, comm):
        whole = numbered((5, 3), [("a", "i4"), ("b", "f8")])
        array = distribute(whole, 1, comm)
        check(array["a"], whole["a"], 1, comm)
        check(array[["b"]], whole[["b"]], 1, comm)

    def test_a_field_with_axes_of_its_own(self, comm):
        whole = numbered((5, 3), [("a", "i4"), ("b", "f8", (2,))])
        check(distribute(whole, 1, comm)["b"], whole["b"], 1, comm)

    @pytest.mark.parametrize(
        "index",
        [(0, slice(None), 0, 0), (Ellipsis, Ellipsis), 9, -10, (0, slice(None), 5), 1.5, "x"],
        ids=repr,
    )
    def test_what_numpy_refuses_is_refused(self, comm, index):
        wrong(distribute(numbered(SHAPE), 1, comm), index)

    def test_a_mask_of_the_wrong_length(self, comm):
        wrong(distribute(numbered(SHAPE), 1, comm), np.ones(8, bool))


class TestLocal:
    """Indexing into the distributed axis gives a local ndarray, and warns."""

    @pytest.mark.parametrize(
        "index",
        [
            slice(0, 1),
            slice(None, None, 2),
            slice(None, None, -1),
            (slice(0, 1), 2),
            (Ellipsis, slice(0, 1), slice(None), slice(None)),
            [],
            (slice(0, 0), [0, 1]),
        ],
        ids=repr,
    )
    def test_a_part_of_it(self, comm, index):
        array = distribute(numbered(SHAPE), 0, comm)
        with pytest.warns(UserWarning, match="axis 0"):
            found = array[index]
        assert type(found) is np.ndarray
        same(found, array.local_array[index])

    def test_an_element(self, comm):
        array = distribute(numbered((40, 2)), 0, comm)
        with pytest.warns(UserWarning, match="distributed axis"):
            found = array[-1]
        same(found, array.local_array[-1])
        with pytest.warns(UserWarning, match="distributed axis"):
            assert array[-1, 0] == array.local_array[-1, 0]

    def test_a_mask_of_the_local_part(self, comm):
        array = distribute(numbered(SHAPE), 0, comm)
        mask = array.local_array > 50
        with pytest.warns(UserWarning, match="distributed axis"):
            same(array[mask], array.local_array[mask])

    def test_the_warning_names_the_callers_line(self, comm):
        array = distribute(numbered(SHAPE), 0, comm)
        with pytest.warns(UserWarning, match="distributed axis") as caught:
            array[:1]
        assert caught[0].filename == __file__

    def test_what_is_not_here_is_an_index_error(self, comm):
        wrong(distribute(numbered(SHAPE), 0, comm), 9)

    def test_setting_is_local(self, comm):
        array = distribute(numbered(SHAPE), 0, comm)
        array[:] = 5
        check(array, np.full(SHAPE, 5.0), 0, comm)
        array[:, 1:3] = 6
        assert (array.local_array[:, 1:3] == 6).all()
        array[...] = array * 2
        assert (array.local_array[:, 1:3] == 12).all()

    def test_setting_a_part_is_local_too_and_does_not_warn(self, comm):
        array = distribute(numbered((20, 2)), 0, comm)
        array[:1] = -1
        assert (array.local_array[:1] == -1).all()
        assert not (array.local_array[1:] == -1).any()


INDICES = st.integers(-6, 6) | st.none()


@st.composite
def slices(draw) -> slice:
    return slice(draw(INDICES), draw(INDICES), draw(st.integers(-4, 4).filter(bool) | st.none()))


@st.composite
def basic(draw, shape: tuple[int, ...]) -> tuple[object, ...]:
    """A basic index that NumPy takes, for any shape."""
    items: list[object] = []
    for length in shape[: draw(st.integers(0, len(shape)))]:
        if draw(st.booleans()) or length == 0:
            items.append(draw(slices()))
        else:
            items.append(draw(st.integers(-length, length - 1)))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()) and len(items) - items.count(None) < len(shape):
        items.append(Ellipsis)
    return tuple(items)


@st.composite
def layouts(draw) -> tuple[tuple[int, ...], int]:
    shape = tuple(draw(st.lists(st.integers(0, 6), min_size=1, max_size=3)))
    return shape, draw(st.integers(0, len(shape) - 1))


def item_of(index: tuple[object, ...], cut: int, ndim: int) -> object:
    """The item of a basic index that stands for the axis `cut`."""
    items = [item for item in index if item is not None]
    if Ellipsis in items:
        at = items.index(Ellipsis)
        items[at : at + 1] = [slice(None)] * (ndim - len(items) + 1)
    items += [slice(None)] * (ndim - len(items))
    return items[cut]


def axis_after(index: tuple[object, ...], cut: int, ndim: int) -> int:
    """The axis that `cut` becomes: found on an array whose strides tell the axes apart."""
    probe = np.lib.stride_tricks.as_strided(
        np.empty(0), (1,) * ndim, [8 * (n == cut) for n in range(ndim)], writeable=False
    )
    key = tuple(
        0 if isinstance(i, int) else slice(None) if isinstance(i, slice) else i for i in index
    )
    return [bool(stride) for stride in probe[key].strides].index(True)


class TestGlobalSlice:
    """Indices of the whole array: NumPy's meaning, each rank what it holds."""

    @given(st.data())
    def test_basic_indices(self, comm, data):
        shape, cut = data.draw(layouts())
        index = data.draw(basic(shape))
        whole = numbered(shape)
        array = distribute(whole, cut, comm)
        item = item_of(index, cut, len(shape))
        found = array.global_slice[index]
        start, stop = bounds(shape[cut], comm)
        if isinstance(item, int):
            if start <= item % shape[cut] < stop:
                assert not isinstance(found, MPIArray)
                same(found, whole[index])
            else:
                assert found is None
            return
        axis = axis_after(index, cut, len(shape))
        if item == slice(None):
            check(found, whole[index], axis, comm)
            return
        chosen = np.arange(shape[cut])[item]
        mine = (chosen >= start) & (chosen < stop)
        if mine.any():
            assert type(found) is np.ndarray
            same(found, np.compress(mine, whole[index], axis))
        else:
            assert found is None

    @given(st.data())
    def test_setting_a_number(self, comm, data):
        shape, cut = data.draw(layouts())
        index = data.draw(basic(shape))
        whole = numbered(shape)
        array = distribute(whole, cut, comm)
        array.global_slice[index] = -1
        whole[index] = -1
        check(array, whole, cut, comm)

    @given(st.data())
    def test_setting_an_array_of_the_selections_shape(self, comm, data):
        shape, cut = data.draw(layouts())
        index = data.draw(basic(shape))
        whole = numbered(shape)
        value = -numbered(np.shape(whole[index]), first=1)
        if data.draw(st.booleans()) and value.ndim:
            value = value[:1]  # broadcasts
            if whole[index].shape[0] == 0:
                return
        array = distribute(whole, cut, comm)
        array.global_slice[index] = value
        whole[index] = value
        check(array, whole, cut, comm)

    @given(st.data())
    def test_lists_and_masks_on_the_distributed_axis(self, comm, data):
        shape, cut = data.draw(layouts().filter(lambda layout: layout[0][layout[1]] > 0))
        length = shape[cut]
        if data.draw(st.booleans()):
            item = data.draw(st.lists(st.integers(-length, length - 1), max_size=6))
        else:
            item = np.array(data.draw(st.lists(st.booleans(), min_size=length, max_size=length)))
        index = (slice(None),) * cut + (item,)
        whole = numbered(shape)
        array = distribute(whole, cut, comm)
        if isinstance(item, list) and not item:
            index = (slice(None),) * cut + (np.array(item, int),)
        start, stop = bounds(length, comm)
        chosen = np.arange(length)[index[cut]]
        mine = (chosen >= start) & (chosen < stop)
        found = array.global_slice[index]
        if mine.any():
            assert type(found) is np.ndarray
            same(found, np.compress(mine, whole[index], cut))
        else:
            assert found is None
        values = -numbered(whole[index].shape, first=1)
        if len(set(chosen.tolist())) == len(chosen):
            array.global_slice[index] = values
            whole[index] = values
            check(array, whole, cut, comm)

    @pytest.mark.parametrize("index", [(slice(None), [0, 2]), (slice(None), [True, False, True])])
    def test_lists_on_other_axes_leave_it_distributed(self, comm, index):
        whole = numbered((6, 3))
        check(distribute(whole, 0, comm).global_slice[index], whole[index], 0, comm)

    def test_explicit_full_bounds_are_a_part(self, any_comm):
        whole = numbered((9, 2))
        found = distribute(whole, 0, any_comm).global_slice[0:9]
        start, stop = bounds(9, any_comm)
        if stop > start:
            assert type(found) is np.ndarray
            same(found, part(whole, 0, any_comm))
        else:
            assert found is None

    def test_a_selection_is_a_view(self, comm):
        array = distribute(numbered((20, 2)), 0, comm)
        found = array.global_slice[3:17:2]
        if found is not None:
            found[...] = -1
        expected = numbered((20, 2))
        expected[3:17:2] = -1
        check(array, expected, 0, comm)

    @pytest.mark.parametrize(
        "index",
        [9, -10, (0, 4), (slice(None), 4), (0, 0, 0, 0), (Ellipsis, Ellipsis), [9]],
        ids=repr,
    )
    def test_what_numpy_refuses_is_an_index_error_on_all_ranks(self, comm, index):
        array = distribute(numbered(SHAPE), 0, comm)
        with pytest.raises(IndexError):
            array.global_slice[index]
        with pytest.raises(IndexError):
            array.global_slice[index] = 1
        check(array, numbered(SHAPE), 0, comm)

    def test_a_value_of_the_wrong_shape(self, comm):
        array = distribute(numbered((8, 3)), 0, comm)
        if comm is not None and comm.size > 1:
            pytest.skip("a rank cannot tell what the others hold")
        with pytest.raises(ValueError):
            array.global_slice[1:4] = np.zeros((5, 3))

    def test_a_value_with_the_length_of_the_global_selection_is_cut(self, any_comm):
        whole = numbered((10, 3))
        array = distribute(whole, 0, any_comm)
        values = -numbered((4, 3), first=1)
        array.global_slice[8:0:-2] = values
        whole[8:0:-2] = values
        check(array, whole, 0, any_comm)

    def test_a_value_that_is_distributed_alike(self, comm):
        whole = numbered((10, 3))
        array = distribute(whole, 0, comm)
        array.global_slice[:, 1] = distribute(-whole[:, 0].copy(), 0, comm)
        whole[:, 1] = -whole[:, 0]
        check(array, whole, 0, comm)

    def test_deleting_is_refused(self, comm):
        with pytest.raises((TypeError, ValueError)):
            del distribute(numbered((3, 2)), 0, comm).global_slice[0]

    def test_it_never_communicates(self, comm):
        """One rank alone may ask."""
        if comm is None or comm.rank == comm.size - 1:
            array = distribute(numbered((9, 4)), 0, comm)
            array.global_slice[2:7, 1] = 5
            array.global_slice[3]
            array.global_slice[:, 1:]
            array[:, 1:]

    def test_no_warning(self, comm):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            distribute(numbered((9, 4)), 0, comm).global_slice[2:5]


def test_len_and_iteration_are_of_the_local_part(comm):
    whole = numbered((9, 4))
    array = distribute(whole, 0, comm)
    assert len(array) == len(array.local_array)
    rows = list(array)
    assert len(rows) == len(array)
    for row, expected in zip(rows, array.local_array, strict=True):
        same(row, expected)
    for row, expected in zip(distribute(whole, 1, comm), whole, strict=True):
        check(row, expected, 0, comm)
