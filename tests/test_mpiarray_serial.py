"""Distributed arrays in one process: without a communicator, without mpi4py, as one of many ranks.

What needs other ranks is in `tests/ranks`. An `MPIArray` never communicates unless it says so, so
one process can be each rank of a pretended communicator in turn.
"""

from __future__ import annotations

import gc
import inspect
import pickle
import sys
import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import MemGroup, mpiarray, mpitools
from memdata.mpiarray import AxisException, MPIArray, UnsupportedOperation, ones, zeros
from support import FakeComm, run_python

# mpi4py cannot be imported.
WITHOUT_MPI = """
    import sys
    sys.modules["mpi4py"] = None
"""


class TestWithoutMpi4py:
    def test_importing_starts_no_mpi(self):
        run_python("""
            import sys, memdata.mpiarray
            assert "mpi4py" not in sys.modules
        """)

    def test_arrays_are_those_of_one_rank(self):
        run_python(
            WITHOUT_MPI
            + """
    import numpy as np
    from memdata.mpiarray import MPIArray, zeros
    whole = np.arange(24.0).reshape(2, 3, 4)
    a = MPIArray.wrap(whole.copy(), 1)
    assert a.comm is None and a.axis == 1
    assert a.global_shape == a.local_shape == (2, 3, 4)
    assert a.local_offset == (0, 0, 0) and a.local_bounds == slice(0, 3)
    assert (a.global_slice[:, -1] == whole[:, -1]).all()
    assert (a + a).axis == 1
    assert a.sum(axis=0).axis == 0
    assert a[0].T.axis == 1
    assert list(a.enumerate(1)) == [(0, 0), (1, 1), (2, 2)]
    assert zeros((3, 2), axis=-1).axis == 1
    """
        )

    def test_collective_operations_are_those_of_one_rank(self):
        run_python(
            WITHOUT_MPI
            + """
    import numpy as np
    from memdata.mpiarray import MPIArray
    whole = np.arange(24.0).reshape(2, 3, 4)
    a = MPIArray.wrap(whole.copy(), 1)
    moved = a.redistribute(2)
    assert moved.axis == 2 and (moved.local_array == whole).all()
    assert (a.allgather() == whole).all() and (a.gather() == whole).all()
    assert np.asarray(a.sum().allreduce()).item() == whole.sum()
    assert (a.reduce_global("max", axis=1) == whole.max(axis=1)).all()
    """
        )

    def test_distributed_datasets_become_common_with_a_warning(self):
        run_python(
            WITHOUT_MPI
            + """
    import warnings
    import numpy as np
    from memdata import MemGroup, MemDiskGroup
    from memdata.mpiarray import MPIArray
    for group in (MemGroup(distributed=True), MemDiskGroup(distributed=True)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            made = group.create_dataset("x", data=MPIArray.wrap(np.arange(3), 0))
            other = group.create_dataset("y", shape=(3,), distributed=True, distributed_axis=0)
        assert [w.category for w in caught] == [UserWarning] * 2
        assert made.common and other.common
        assert made[:].tolist() == [0, 1, 2] and other[:].tolist() == [0, 0, 0]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            group.dataset_common_to_distributed("x")
            group.dataset_distributed_to_common("x")
        assert len(caught) == 2
        assert group["x"].common
    """
        )

    def test_pickle(self):
        run_python(
            WITHOUT_MPI
            + """
    import pickle
    import numpy as np
    from memdata.mpiarray import MPIArray
    a = pickle.loads(pickle.dumps(MPIArray.wrap(np.arange(6).reshape(2, 3), 1)))
    assert a.axis == 1 and a.comm is None and a.local_array.tolist() == [[0, 1, 2], [3, 4, 5]]
    """
        )

    def test_mpitools(self):
        run_python(
            WITHOUT_MPI
            + """
    from memdata import mpitools
    assert mpitools.world is None and mpitools.size == 1 and mpitools.rank0
    mpitools.barrier()
    assert mpitools.bcast(5) == mpitools.allreduce(5) == 5
    """
        )


def test_a_distributed_dataset_needs_no_import_of_the_array():
    run_python("""
        from memdata import MemDatasetDistributed
        assert MemDatasetDistributed((4, 2), "f8").global_shape == (4, 2)
    """)


class TestPublicNames:
    @pytest.mark.parametrize(
        "name",
        [
            "MPIArray",
            "zeros",
            "ones",
            "AxisException",
            "UnsupportedOperation",
        ],
    )
    def test_of_the_module(self, name):
        assert getattr(mpiarray, name).__doc__
        assert name in mpiarray.__all__

    def test_signatures(self):
        def parameters(function, skip=1):
            found = list(inspect.signature(function).parameters.values())[skip:]
            by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
            return [(p.name, p.default) for p in found if p.kind not in by_name]

        empty = inspect.Parameter.empty
        wrap = parameters(MPIArray.wrap, 0)
        assert wrap == [("array", empty), ("axis", empty), ("comm", None)]
        assert parameters(MPIArray.redistribute)[0] == ("axis", empty)
        assert parameters(MPIArray.gather) == [("rank", 0)]
        assert parameters(MPIArray.allgather) == []
        assert parameters(MPIArray.allreduce)[0][0] == "op"
        assert parameters(MPIArray.enumerate) == [("axis", empty)]
        assert parameters(MPIArray.from_hdf5, 0) == [
            ("f", empty),
            ("dataset", empty),
            ("comm", None),
            ("axis", 0),
            ("sel", None),
        ]
        assert parameters(MPIArray.to_hdf5) == [
            ("f", empty),
            ("dataset", empty),
            ("create", False),
            ("chunks", None),
            ("compression", None),
            ("compression_opts", None),
        ]

    def test_keywords_of_the_constructor(self):
        array = MPIArray(global_shape=(4, 3), axis=1, comm=FakeComm(1, 2), dtype="i2", order="F")
        assert array.local_shape == (4, 1)
        assert array.local_offset == (0, 2)
        assert array.dtype == np.int16
        with pytest.raises(TypeError):
            MPIArray()
        with pytest.raises(TypeError):
            MPIArray((3,), 0, axis=0)


class TestBadInput:
    @pytest.mark.parametrize("comm", [5, "world", object()])
    def test_what_is_no_communicator(self, comm):
        with pytest.raises((ValueError, AttributeError, TypeError)):
            MPIArray((3, 2), 0, comm)

    @pytest.mark.parametrize("shape", ["abc", None, (1.5,), (2, "a"), {}])
    def test_what_is_no_shape(self, shape):
        with pytest.raises((TypeError, ValueError)):
            MPIArray(shape)

    @pytest.mark.parametrize("axis", ["a", 1.0, None, (0,)])
    def test_what_is_no_axis(self, axis):
        with pytest.raises((TypeError, ValueError)):
            MPIArray((3, 2), axis)

    def test_no_axes_at_all(self):
        with pytest.raises(AxisException):
            MPIArray(())

    def test_a_shape_that_does_not_fit_into_memory(self):
        with pytest.raises((MemoryError, ValueError)):
            MPIArray((2**31, 2**31), dtype="f8")

    def test_a_dtype_that_is_none(self):
        with pytest.raises(TypeError):
            MPIArray((3, 2), dtype="no such type")

    def test_comm_that_raises(self):
        class Broken:
            @property
            def size(self):
                raise RuntimeError("gone")

        with pytest.raises(RuntimeError, match="gone"):
            MPIArray((3, 2), 0, Broken())


def everyones(whole: np.ndarray, cut: int, size: int) -> list[MPIArray]:
    """The array of each rank of a pretended communicator."""
    arrays = []
    for rank in range(size):
        array = MPIArray(whole.shape, cut, FakeComm(rank, size), dtype=whole.dtype)
        array.local_array[...] = np.take(whole, range(*array.local_bounds.indices(10**6)), cut)
        arrays.append(array)
    return arrays


@st.composite
def wholes(draw) -> tuple[np.ndarray, int, int]:
    """A whole array, the distributed axis, the number of ranks."""
    shape = tuple(draw(st.lists(st.integers(0, 7), min_size=1, max_size=4)))
    whole = np.arange(np.prod(shape, dtype=int), dtype="i8").reshape(shape)
    return whole, draw(st.integers(0, len(shape) - 1)), draw(st.integers(1, 9))


@given(wholes())
def test_the_parts_are_the_whole_once(layout):
    whole, cut, size = layout
    arrays = everyones(whole, cut, size)
    assert all(array.global_shape == whole.shape for array in arrays)
    np.testing.assert_array_equal(np.concatenate([a.local_array for a in arrays], cut), whole)
    for array in arrays:
        count, start, end = mpitools.split_local(whole.shape[cut], array.comm)
        assert array.local_bounds == slice(start, end)
        assert array.shape[cut] == count


ENDS = st.none() | st.integers(-9, 9)
STEPS = st.none() | st.integers(-4, 4).filter(bool)


@given(wholes(), st.builds(slice, ENDS, ENDS, STEPS))
def test_what_the_ranks_hold_of_a_global_slice_is_the_slice(layout, item):
    whole, cut, size = layout
    index = (slice(None),) * cut + (item,)
    found = [array.global_slice[index] for array in everyones(whole, cut, size)]
    parts = [np.asarray(part) for part in found if part is not None]
    expected = whole[index]
    if item.step is not None and item.step < 0:
        parts.reverse()
    if parts:
        np.testing.assert_array_equal(np.concatenate(parts, cut), expected)
    else:
        assert expected.shape[cut] == 0


@given(wholes(), st.data())
def test_exactly_one_rank_holds_an_element(layout, data):
    whole, cut, size = layout
    length = whole.shape[cut]
    if length == 0:
        return
    place = data.draw(st.integers(-length, length - 1))
    index = (slice(None),) * cut + (place,)
    found = [array.global_slice[index] for array in everyones(whole, cut, size)]
    held = [part for part in found if part is not None]
    assert len(held) == 1
    np.testing.assert_array_equal(held[0], whole[index])


@given(wholes(), st.data())
def test_setting_an_index_array_globally(layout, data):
    whole, cut, size = layout
    length = whole.shape[cut]
    if length == 0:
        return
    items = data.draw(st.lists(st.integers(-length, length - 1), max_size=6))
    items = [n for i, n in enumerate(items) if n % length not in [m % length for m in items[:i]]]
    index = (slice(None),) * cut + (np.array(items, int),)
    values = -1 - np.arange(whole[index].size).reshape(whole[index].shape)
    arrays = everyones(whole, cut, size)
    for array in arrays:
        array.global_slice[index] = values
    whole[index] = values
    np.testing.assert_array_equal(np.concatenate([a.local_array for a in arrays], cut), whole)


@given(wholes(), st.data())
def test_a_mask_of_the_whole_array(layout, data):
    whole, cut, size = layout
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=whole.size, max_size=whole.size)), bool
    ).reshape(whole.shape)
    arrays = everyones(whole, cut, size)
    for array in arrays:
        array.global_slice[mask] = -1
    whole[mask] = -1
    np.testing.assert_array_equal(np.concatenate([a.local_array for a in arrays], cut), whole)


class TestMemory:
    def test_dropping_an_array_frees_it_at_once(self, no_gc):
        array = zeros((1000, 10))
        array.note = "x"
        view = array[:, 1:]
        gone, gone_view = weakref.ref(array), weakref.ref(view)
        del array
        assert gone() is None or view.base is not None
        del view
        assert gone() is None
        assert gone_view() is None

    def test_a_circle_through_an_attribute_is_collected(self):
        array = zeros((10, 10))
        array.me = array
        gone = weakref.ref(array)
        del array
        gc.collect()
        assert gone() is None

    def test_views_leave_no_reference_behind(self):
        class Other(MPIArray):
            pass

        comm = FakeComm(0, 2)
        array = Other((20, 10), 0, comm)
        array[...] = 1.0

        def work():
            for _ in range(500):
                array[:, 3:5]
                array + array
                assert array.T.axis == 1
                assert array.local_array.base is not None
                array.global_slice[1:3]
                array.global_slice[1:3] = 2
                array.sum(axis=1)
                array.copy()
                array.reshape(None, 5, 2)
                pickle.dumps(array.local_bounds)

        work()
        gc.collect()
        counts = [sys.getrefcount(thing) for thing in (comm, Other, MPIArray, np.ndarray)]
        work()
        gc.collect()
        after = [sys.getrefcount(thing) for thing in (comm, Other, MPIArray, np.ndarray)]
        assert all(abs(b - a) < 20 for a, b in zip(counts, after, strict=True)), (counts, after)

    def test_errors_leave_no_memory_behind(self):
        one, other = zeros((6, 4), 0), zeros((4, 6), 1).T[:, :]
        plain = np.zeros((5, 4))

        def work():
            for _ in range(300):
                for wrong in (
                    lambda: one + plain,
                    lambda: one.sum(axis=0),
                    lambda: np.add.outer(one, other),
                    lambda: one[0, 0, 0],
                    lambda: one.global_slice[77],
                    lambda: one.reshape(5, None),
                    lambda: MPIArray((3,), 5),
                    lambda: np.add(one, 1, out=plain),
                ):
                    with pytest.raises((ValueError, IndexError, TypeError)):
                        wrong()

        work()
        gc.collect()
        tracemalloc.start()
        try:
            work()
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            work()
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert grown < 20_000

    def test_a_tree_with_distributed_datasets_is_freed_at_once(self, no_gc):
        comm = FakeComm(1, 3)
        group = MemGroup(distributed=True, comm=comm)
        array = ones((7, 3), 0, comm)
        gone = weakref.ref(array)
        group.create_dataset("a/b", data=array)
        handle = group["a/b"]
        del array, group
        assert gone() is not None
        assert handle.comm is comm
        del handle
        assert gone() is None


class TestUnknownDistribution:
    """Where NumPy changes axes behind our back the array says so, not something wrong."""

    @pytest.mark.parametrize(
        "change",
        [
            lambda a: np.ndarray.reshape(a, -1),
            lambda a: np.ndarray.ravel(a),
            lambda a: np.ndarray.transpose(a)[0],
            lambda a: a.repeat(2, axis=0),
            lambda a: a.take([0], axis=0),
            lambda a: a.diagonal(),
        ],
        ids=["reshape", "ravel", "transpose", "repeat", "take", "diagonal"],
    )
    def test_it_is_right_or_refused(self, change):
        array = zeros((5, 4), 0, FakeComm(1, 2))
        try:
            result = change(array)
        except (AxisException, UnsupportedOperation, NotImplementedError):
            return
        if not isinstance(result, MPIArray):
            return
        try:
            axis, length = result.axis, result.global_shape
        except AxisException:
            return
        assert result.shape[axis] == 2
        assert length[axis] == 5


def test_weakref_and_attributes():
    array = zeros((3, 2))
    array.note = 1
    assert weakref.ref(array)() is array
    assert vars(array) == {"note": 1}


@pytest.mark.parametrize("ufunc", [None, 3, "add", np.sum])
def test_only_ufuncs_are_applied(ufunc):
    array = ones((4, 5))
    with pytest.raises(TypeError, match="takes a ufunc"):
        array.__array_ufunc__(ufunc, "__call__", array)
