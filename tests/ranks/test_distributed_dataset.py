"""Part 8 of the behaviour page: datasets that are cut over the ranks."""

from __future__ import annotations

import copy
import pickle
import weakref

import numpy as np
import pytest
from whole import DTYPES, check, distribute, numbered, part, same, size_and_rank

from memdata import MemDataset, MemDatasetCommon, MemDatasetDistributed, MemGroup
from memdata.mpiarray import AxisException, MPIArray


@pytest.fixture
def whole():
    return numbered((9, 4))


@pytest.fixture
def group(comm):
    if comm is None:
        pytest.skip("no MPI here: a tree cannot be distributed")
    return MemGroup(distributed=True, comm=comm)


@pytest.fixture
def stored(group, comm, whole):
    """A distributed dataset in a tree."""
    return group.create_dataset("sky/map", data=distribute(whole, 0, comm), distributed=True)


class TestMaking:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_new_data_are_zero(self, any_comm, dtype):
        d = MemDatasetDistributed((5, 3), dtype, 1, any_comm)
        check(d.data, np.zeros((5, 3), dtype), 1, any_comm)

    def test_the_default_is_axis_0_of_the_world(self, comm):
        d = MemDatasetDistributed((5, 3), "i4")
        assert d.distributed_axis == 0
        assert d.comm == comm

    def test_keywords(self, comm):
        d = MemDatasetDistributed(
            shape=(50, 3),
            dtype="f4",
            axis=1,
            comm=comm,
            chunks=(10, 9),
            compression="gzip",
            compression_opts=4,
        )
        assert d.chunks == (10, 3)
        assert d.compression == "gzip"
        assert d.compression_opts == 4

    def test_around_an_array(self, comm, whole):
        array = distribute(whole, 1, comm)
        d = MemDatasetDistributed.from_mpi_array(array, chunks=(3, 2), compression="lzf")
        assert d.data is array
        assert d.chunks == (3, 2)
        assert d.compression == "lzf"
        d[...] = 5
        assert (array.local_array == 5).all()

    @pytest.mark.parametrize("data", [np.zeros(3), [1, 2], None, 5])
    def test_around_anything_else(self, data):
        with pytest.raises(TypeError, match="MPIArray"):
            MemDatasetDistributed.from_mpi_array(data)

    def test_a_missing_axis(self, comm):
        with pytest.raises(AxisException):
            MemDatasetDistributed((5, 3), "f8", axis=2)

    @pytest.mark.parametrize("chunks", [(1,), (0, 1), (1, 2, 3), "ab"])
    def test_chunks_that_do_not_fit(self, comm, chunks):
        with pytest.raises((ValueError, TypeError)):
            MemDatasetDistributed((5, 3), "f8", chunks=chunks)


class TestProperties:
    def test_what_it_is(self, stored, comm, whole):
        assert isinstance(stored, MemDataset)
        assert not isinstance(stored, MemDatasetCommon)
        assert stored.common is False
        assert stored.distributed is True
        assert stored.comm == comm
        assert stored.shape == stored.global_shape == (9, 4)
        assert stored.dtype == np.float64
        assert stored.distributed_axis == 0
        check(stored.data, whole, 0, comm)
        assert type(stored.local_data) is np.ndarray
        same(stored.local_data, part(whole, 0, comm))
        assert stored.local_shape == stored.local_data.shape
        assert stored.local_offset == stored.data.local_offset
        assert stored.name == "/sky/map"

    def test_local_data_is_shared(self, stored):
        stored.local_data[...] = 5
        assert (stored.data.local_array == 5).all()

    def test_chunks_are_checked_against_the_global_shape(self, stored):
        stored.chunks = (8, 100)
        assert stored.chunks == (8, 4)
        with pytest.raises(ValueError):
            stored.chunks = (8,)
        stored.chunks = None
        assert stored.chunks is None

    def test_repr(self, stored):
        text = "global_shape (9, 4), dist_axis 0, type 'float64'>"
        assert repr(stored) == f"<memh5 distributed dataset '/sky/map': {text}"

    def test_len_and_iteration_are_over_the_local_part(self, stored, comm, whole):
        mine = part(whole, 0, comm)
        assert len(stored) == len(mine)
        rows = list(stored)
        assert len(rows) == len(mine)
        for row, expected in zip(rows, mine, strict=True):
            same(row, expected)


class TestIndices:
    """`d[...]` takes global indices, as MPIArray.global_slice."""

    def test_the_whole_axis(self, stored, comm, whole):
        check(stored[:], whole, 0, comm)
        check(stored[...], whole, 0, comm)
        check(stored[:, 1:3], whole[:, 1:3], 0, comm)

    def test_a_part(self, stored, comm, whole):
        start, stop = stored.data.local_bounds.start, stored.data.local_bounds.stop
        found = stored[2:6]
        if max(start, 2) < min(stop, 6):
            same(found, whole[max(start, 2) : min(stop, 6)])
        else:
            assert found is None
        found = stored[-1, 2]
        assert found == whole[-1, 2] if start <= 8 < stop else found is None

    def test_setting(self, stored, comm, whole):
        stored[3:7, 0] = -1
        stored[8] = np.arange(4)
        stored[:, 3] = 9
        whole[3:7, 0] = -1
        whole[8] = np.arange(4)
        whole[:, 3] = 9
        check(stored.data, whole, 0, comm)

    def test_out_of_range_on_all_ranks(self, stored):
        with pytest.raises(IndexError):
            stored[9]
        with pytest.raises(IndexError):
            stored[9] = 1


class TestCopies:
    def test_view_is_shallow(self, stored, comm, whole):
        for shallow in (stored.view(), stored.copy(shallow=True)):
            assert np.shares_memory(shallow.local_data, stored.local_data) or not stored.data.size
            shallow.attrs["note"] = 1
            assert stored.attrs["note"] == 1
            assert shallow == stored

    @pytest.mark.parametrize("make", [lambda d: d.copy(), copy.deepcopy], ids=["copy", "deepcopy"])
    def test_copy_is_deep(self, stored, comm, whole, make):
        stored.attrs["list"] = [1]
        stored.chunks = (2, 2)
        copied = make(stored)
        assert isinstance(copied, MemDatasetDistributed)
        assert copied == stored
        assert copied.name == stored.name
        assert copied.chunks == (2, 2)
        copied.attrs["list"].append(2)
        copied.local_data[...] = -1
        assert stored.attrs["list"] == [1]
        check(stored.data, whole, 0, comm)

    def test_a_copy_with_another_distribution_is_on_its_own(self, stored, group, comm, whole):
        copied = stored.copy()
        copied.redistribute(1)
        check(copied.data, whole, 1, comm)
        assert stored.distributed_axis == group["sky/map"].distributed_axis == 0

    def test_deep_copies_of_objects(self, comm):
        elements = np.empty(9, object)
        elements[:] = [[n] for n in range(9)]
        array = distribute(elements, 0, comm)
        d = MemDatasetDistributed.from_mpi_array(array)
        copied = d.copy()
        for one, other in zip(copied.local_data, array.local_array, strict=True):
            assert one == other
            assert one is not other

    def test_pickle(self, comm, whole):
        d = MemDatasetDistributed.from_mpi_array(distribute(whole, 1, comm), chunks=(2, 2))
        d.attrs["a"] = "b"
        again = pickle.loads(pickle.dumps(d))
        check(again.data, whole, 1, comm)
        assert again.chunks == (2, 2)
        assert dict(again.attrs) == {"a": "b"}

    def test_resize_is_not_implemented(self, stored):
        with pytest.raises(NotImplementedError):
            stored.resize((3, 3))


class TestRedistribute:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_all_views_see_the_new_array(self, group, comm, dtype):
        whole = numbered((5, 4), dtype)
        group.create_dataset("x", data=distribute(whole, 0, comm))
        before = group["x"]
        before.attrs["a"] = 1
        view = before.view()
        before.redistribute(1)
        for handle in (before, view, group["x"]):
            check(handle.data, whole, 1, comm)
            assert handle.distributed_axis == 1
            assert dict(handle.attrs) == {"a": 1}

    def test_chunks_and_compression_stay(self, group, comm, whole):
        d = group.create_dataset(
            "x", data=distribute(whole, 0, comm), chunks=(3, 3), compression="gzip"
        )
        d.redistribute(axis=-1)
        assert (d.chunks, d.compression, d.distributed_axis) == ((3, 3), "gzip", 1)

    def test_a_missing_axis(self, stored, comm, whole):
        with pytest.raises(AxisException):
            stored.redistribute(2)
        check(stored.data, whole, 0, comm)


class TestEquality:
    def test_the_same_and_different_data(self, group, comm, whole):
        d = group.create_dataset("x", data=distribute(whole, 0, comm))
        assert d == group["x"]
        other = d.copy()
        assert d == other
        if other.local_data.size:
            other.local_data[0, 0] = -1
            assert d != other

    def test_common_and_distributed_are_not_equal(self, comm, whole):
        common = MemDatasetCommon.from_numpy_array(part(whole, 0, comm).copy())
        assert MemDatasetDistributed.from_mpi_array(distribute(whole, 0, comm)) != common

    def test_another_axis_is_not_equal(self, comm, whole):
        d = MemDatasetDistributed.from_mpi_array(distribute(whole, 0, comm))
        other = d.copy()
        other.redistribute(1)
        assert d != other


class TestLife:
    def test_a_dataset_keeps_its_tree_alive(self, comm, whole):
        if comm is None:
            pytest.skip("no MPI here")
        group = MemGroup(distributed=True, comm=comm)
        group.create_dataset("a", data=distribute(whole, 0, comm))
        group.create_dataset("b", data=distribute(whole, 1, comm))
        d = group["a"]
        del group
        assert "b" in d.parent

    def test_dropping_it_frees_the_array_at_once(self, comm, whole):
        array = distribute(whole, 0, comm)
        d = MemDatasetDistributed.from_mpi_array(array)
        gone = weakref.ref(array)
        del array
        assert gone() is not None
        del d
        assert gone() is None

    def test_redistribution_frees_the_old_array(self, group, comm, whole):
        array = distribute(whole, 0, comm)
        group.create_dataset("x", data=array)
        gone = weakref.ref(array)
        del array
        group["x"].redistribute(1)
        assert gone() is None

    def test_attributes_can_be_set(self, comm):
        d = MemDatasetDistributed((3, 2), "f8")
        d.note = 1
        assert d.note == 1

    def test_np_asarray_is_the_local_part(self, stored, comm, whole):
        same(np.asarray(stored), part(whole, 0, comm))

    def test_data_is_an_mpiarray_that_computes(self, stored, comm, whole):
        assert isinstance(stored.data, MPIArray)
        check(stored.data * 2, whole * 2, 0, comm)
        assert size_and_rank(comm)[0] == stored.data.sum().global_shape[0]
