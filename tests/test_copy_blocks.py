"""The kernel that packs and unpacks blocks of arrays, against NumPy's own copying."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata._cmemdata import copy_blocks, counter_post, counter_wait

DTYPES = ["u1", "u2", "f4", "f8", "c16", "S3", "S17", "S300"]


@st.composite
def strided(draw, shape, dtype):
    """An array of that shape, cut out of a larger one: steps, other orders of axes."""
    order = draw(st.permutations(range(len(shape))))
    steps = [draw(st.sampled_from([1, 1, 1, 2, -1, -3])) for _ in shape]
    larger = [shape[axis] * abs(steps[axis]) + draw(st.integers(0, 2)) for axis in order]
    base = np.zeros(larger, dtype).transpose(np.argsort(order))
    stepped = base[(*(slice(None, None, step) for step in steps), ...)]
    return stepped[(*map(slice, shape), ...)]


@st.composite
def blocks(draw):
    """Targets and sources of equal shapes, all of the same ndim."""
    ndim = draw(st.integers(0, 4))
    dtype = draw(st.sampled_from(DTYPES))
    targets, sources = [], []
    for _ in range(draw(st.integers(0, 3))):
        shape = tuple(draw(st.integers(0, 5)) for _ in range(ndim))
        targets.append(draw(strided(shape, dtype)))
        sources.append(draw(strided(shape, dtype)))
    return targets, sources


def fill(array, first):
    count = array.size * array.itemsize
    array[...] = np.ndarray(
        array.shape, array.dtype, (np.arange(first, first + count) % 251 + 1).astype("u1")
    )


@given(blocks())
def test_any_layout(case):
    targets, sources = case
    for at, source in enumerate(sources):
        fill(source, at)
    copy_blocks(targets, sources)
    for target, source in zip(targets, sources, strict=True):
        np.testing.assert_array_equal(target, source)


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(DTYPES[:5]))
def test_larger_transpositions(rows, columns, dtype):
    source = np.empty((rows, columns), dtype)
    fill(source, 7)
    target = np.zeros((columns, rows), dtype)
    copy_blocks([target.T], [source])
    np.testing.assert_array_equal(target.T, source)


@pytest.mark.parametrize("columns", [3, 64, 200, 5000])
def test_parts_of_the_same_rows(columns):
    source = np.arange(70.0 * 3 * columns).reshape(70, 3 * columns)
    parts = [source[:, i * columns : (i + 1) * columns] for i in range(3)]
    targets = [np.zeros((70, columns)) for _ in parts]
    copy_blocks(targets, parts)
    np.testing.assert_array_equal(np.hstack(targets), source)


def test_nothing_but_the_target_is_written():
    whole = np.full((9, 10), -1.0)
    copy_blocks([whole[1:8:2, 2:5]], [np.ones((4, 3))])
    assert whole.sum() == 12 - (90 - 12)


@pytest.mark.parametrize(
    ("target", "source", "error"),
    [
        (np.zeros(3), np.zeros(4), ValueError),
        (np.zeros(3), np.zeros(3, "f4"), ValueError),
        (np.zeros(3), [1.0, 2.0, 3.0], TypeError),
        (np.zeros(3, "O"), np.zeros(3, "O"), TypeError),
    ],
)
def test_what_does_not_fit_is_refused(target, source, error):
    with pytest.raises(error, match="copy_blocks"):
        copy_blocks([target], [source])


def test_read_only_targets_are_refused():
    target = np.zeros(3)
    target.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        copy_blocks([target], [np.ones(3)])


def test_as_many_targets_as_sources():
    with pytest.raises(ValueError, match="as many targets as sources"):
        copy_blocks([np.zeros(3)], [])


class TestCounters:
    def test_what_is_there_is_not_waited_for(self):
        counters = np.zeros(3, np.int64)
        counter_post(counters, 1, 1 << 40)
        assert counters.tolist() == [0, 1 << 40, 0]
        assert counter_wait(counters, 1, 5, 100.0) == 1 << 40

    def test_time_is_over(self):
        assert counter_wait(np.full(1, 3), 0, 4, 1e-3) == 3

    @pytest.mark.parametrize("index", [-1, 3])
    def test_no_such_counter(self, index):
        with pytest.raises(IndexError, match="counters"):
            counter_post(np.zeros(3, np.int64), index, 1)

    def test_other_arrays_are_refused(self):
        with pytest.raises(TypeError, match="int64"):
            counter_wait(np.zeros(3), 0, 1, 0)
