"""Parts 7, 9 and 12 of the behaviour page: trees with distributed datasets."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from whole import DTYPES, check, distribute, numbered, part, same, size_and_rank

from memdata import (
    MemDatasetCommon,
    MemDatasetDistributed,
    MemDiskGroup,
    MemGroup,
    deep_group_copy,
)
from memdata.mpiarray import AxisException
from memdata.ranks.collective import CollectiveError


@pytest.fixture(params=["group", "container"])
def make(request, comm):
    """A function that makes a distributed tree of either kind."""
    if comm is None:
        pytest.skip("no MPI here: a tree cannot be distributed")
    kind = MemGroup if request.param == "group" else MemDiskGroup
    return lambda c=comm: kind(distributed=True, comm=c)


@pytest.fixture
def tree(make):
    return make()


@pytest.fixture
def whole():
    return numbered((6, 5, 4))


class TestTree:
    def test_it_knows_its_communicator(self, any_comm):
        if any_comm is None:
            pytest.skip("no MPI here")
        for tree in (MemGroup(True, any_comm), MemDiskGroup(distributed=True, comm=any_comm)):
            assert tree.distributed is True
            assert tree.comm == any_comm
            assert tree.create_group("a/b").comm == any_comm
            assert tree["a/b"].distributed is True

    def test_the_default_is_the_world(self, comm):
        if comm is None:
            pytest.skip("no MPI here")
        assert MemGroup(distributed=True).comm == comm

    def test_groups_and_common_datasets_are_as_ever(self, tree):
        tree.create_dataset("a/b", data=np.arange(3))
        assert tree["a/b"].common
        same(tree["a/b"][:], np.arange(3))


class TestCreateDataset:
    def test_an_mpiarray_makes_a_distributed_dataset(self, make, any_comm, whole):
        for keywords in ({}, {"distributed": True}, {"shape": whole.shape, "dtype": whole.dtype}):
            array = distribute(whole, 1, any_comm)
            made = make(any_comm).create_dataset("x/y", data=array, **keywords)
            assert isinstance(made, MemDatasetDistributed)
            check(made.data, whole, 1, any_comm)
            assert np.shares_memory(made.local_data, array) or not array.size

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_new_data_are_zero(self, tree, comm, dtype):
        made = tree.create_dataset(
            "x", shape=(5, 3), dtype=dtype, distributed=True, distributed_axis=1
        )
        check(made.data, np.zeros((5, 3), dtype), 1, comm)

    def test_the_default_dtype_is_float64(self, tree, comm):
        made = tree.create_dataset("x", (5, 3), distributed=True, distributed_axis=0)
        check(made.data, np.zeros((5, 3)), 0, comm)

    def test_distributed_axis_redistributes_an_mpiarray(self, tree, comm, whole):
        made = tree.create_dataset("x", data=distribute(whole, 0, comm), distributed_axis=2)
        check(made.data, whole, 2, comm)
        made = tree.create_dataset(
            "y", data=distribute(whole, 0, comm), distributed=True, distributed_axis=-2
        )
        check(made.data, whole, 1, comm)

    def test_another_dtype_is_cast(self, tree, comm, whole):
        made = tree.create_dataset("x", data=distribute(whole, 0, comm), dtype="f4")
        check(made.data, whole.astype("f4"), 0, comm)

    def test_chunks_and_compression(self, tree, comm):
        made = tree.create_dataset(
            "x",
            shape=(50, 3),
            distributed=True,
            distributed_axis=0,
            chunks=(10, 9),
            compression="gzip",
            compression_opts=3,
        )
        assert (made.chunks, made.compression, made.compression_opts) == ((10, 3), "gzip", 3)

    def test_a_distributed_dataset_replaces_a_common_one(self, tree, comm, whole):
        tree.create_dataset("x", data=np.zeros(3))
        tree.create_dataset("x", data=distribute(whole, 0, comm))
        check(tree["x"].data, whole, 0, comm)
        tree.create_dataset("x", data=np.zeros(3))
        assert tree["x"].common

    def test_over_a_group(self, tree, comm, whole):
        tree.create_group("x")
        with pytest.raises(ValueError, match="/x"):
            tree.create_dataset("x", data=distribute(whole, 0, comm))

    def test_in_a_tree_that_is_not_distributed(self, comm, whole):
        if comm is None:
            pytest.skip("no MPI here")
        for tree in (MemGroup(comm=comm), MemDiskGroup()):
            with pytest.raises(RuntimeError, match="/x"):
                tree.create_dataset("x", data=distribute(whole, 0, comm))
            with pytest.raises(RuntimeError, match="/x"):
                tree.create_dataset("x", shape=(3,), distributed=True, distributed_axis=0)
            assert "x" not in tree

    def test_an_array_on_another_communicator(self, tree, comm, whole):
        other = comm.Dup()
        try:
            with pytest.raises(RuntimeError, match="/x"):
                tree.create_dataset("x", data=distribute(whole, 0, other))
        finally:
            other.Free()
        assert "x" not in tree

    def test_data_that_are_not_distributed(self, tree):
        with pytest.raises(TypeError, match="/x"):
            tree.create_dataset("x", data=np.zeros((6, 4)), distributed=True)
        with pytest.raises(TypeError, match="/x"):
            tree.create_dataset(
                "x", (6, 4), "f8", np.zeros((6, 4)), distributed=True, distributed_axis=0
            )
        assert "x" not in tree

    def test_neither_data_nor_axis(self, tree):
        with pytest.raises(RuntimeError, match="/x"):
            tree.create_dataset("x", shape=(6, 4), distributed=True)
        assert "x" not in tree

    def test_a_missing_axis(self, tree, comm, whole):
        with pytest.raises(AxisException):
            tree.create_dataset("x", shape=(6, 4), distributed=True, distributed_axis=2)
        with pytest.raises(AxisException):
            tree.create_dataset("x", data=distribute(whole, 0, comm), distributed_axis=3)
        assert "x" not in tree

    def test_a_shape_that_does_not_fit(self, tree, comm, whole):
        with pytest.raises(ValueError, match="/x"):
            tree.create_dataset("x", shape=(6, 5), data=distribute(whole, 0, comm))

    def test_require_dataset_finds_it(self, tree, comm, whole):
        tree.create_dataset("x", data=distribute(whole, 0, comm))
        if isinstance(tree, MemGroup):
            check(tree.require_dataset("x", whole.shape, "f8").data, whole, 0, comm)


class TestConversions:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("axis", [0, 1, 2, -1])
    def test_common_to_distributed(self, tree, comm, dtype, axis):
        whole = numbered((6, 5, 4), dtype)
        made = tree.create_dataset(
            "a/x", data=whole, chunks=(2, 2, 2), compression="gzip", compression_opts=2
        )
        made.attrs["axis"] = ("freq", "time", "pol")
        tree.dataset_common_to_distributed("a/x", axis)
        found = tree["a/x"]
        check(found.data, whole, axis % 3, comm)
        assert dict(found.attrs) == {"axis": ("freq", "time", "pol")}
        assert (found.chunks, found.compression, found.compression_opts) == ((2, 2, 2), "gzip", 2)

    def test_the_default_axis_is_0(self, tree, comm, whole):
        tree.create_dataset("x", data=whole)
        tree.dataset_common_to_distributed("x")
        check(tree["x"].data, whole, 0, comm)
        tree.create_dataset("y", data=whole)
        tree.dataset_common_to_distributed(name="/y", distributed_axis=1)
        check(tree["y"].data, whole, 1, comm)

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_distributed_to_common(self, tree, comm, dtype, axis):
        whole = numbered((6, 5, 1), dtype)
        made = tree.create_dataset("a/x", data=distribute(whole, axis, comm), chunks=(2, 2, 1))
        made.attrs["a"] = 1
        tree.dataset_distributed_to_common("a/x")
        found = tree["a/x"]
        assert isinstance(found, MemDatasetCommon)
        same(found.data, whole)
        assert dict(found.attrs) == {"a": 1}
        assert found.chunks == (2, 2, 1)

    def test_distributed_to_distributed_warns_and_redistributes(self, tree, comm, whole):
        tree.create_dataset("x", data=distribute(whole, 0, comm))
        with pytest.warns(UserWarning, match="/x"):
            tree.dataset_common_to_distributed("x", 2)
        check(tree["x"].data, whole, 2, comm)

    def test_common_to_common_warns(self, tree, whole):
        tree.create_dataset("x", data=whole)
        with pytest.warns(UserWarning, match="/x"):
            tree.dataset_distributed_to_common("x")
        same(tree["x"].data, whole)

    def test_the_common_array_is_not_shared_with_the_part(self, tree, comm, whole):
        tree.create_dataset("x", data=whole)
        tree.dataset_common_to_distributed("x")
        whole[...] = -1
        check(tree["x"].data, numbered((6, 5, 4)), 0, comm)

    def test_missing_axes_and_names(self, tree, whole):
        tree.create_dataset("x", data=whole)
        with pytest.raises(AxisException):
            tree.dataset_common_to_distributed("x", 3)
        with pytest.raises(KeyError):
            tree.dataset_common_to_distributed("y")
        with pytest.raises(KeyError):
            tree.dataset_distributed_to_common("y")
        same(tree["x"].data, whole)

    def test_in_a_tree_that_is_not_distributed(self, comm, whole):
        if comm is None:
            pytest.skip("no MPI here")
        tree = MemGroup(comm=comm)
        tree.create_dataset("x", data=whole)
        with pytest.raises(RuntimeError, match="/x"):
            tree.dataset_common_to_distributed("x")


class TestContainerRedistribute:
    @pytest.fixture
    def container(self, comm, whole):
        if comm is None:
            pytest.skip("no MPI here")
        container = MemDiskGroup(distributed=True, comm=comm)
        for name, axes in {
            "vis": ("freq", "time", "pol"),
            "deep/weight": ["time", "pol", "freq"],
            "other": np.array(["a", "b", "c"]),
        }.items():
            made = container.create_dataset(name, data=distribute(whole, 1, comm))
            made.attrs["axis"] = axes
        container.create_dataset("no_names", data=distribute(whole, 1, comm))
        container.create_dataset("common", data=whole).attrs["axis"] = ("freq", "time", "pol")
        return container

    def axes(self, container):
        names = ("vis", "deep/weight", "other", "no_names")
        return [container[name].distributed_axis for name in names]

    def test_every_dataset_that_has_that_axis(self, container, comm, whole):
        container.redistribute("freq")
        assert self.axes(container) == [0, 2, 1, 1]
        check(container["vis"].data, whole, 0, comm)
        check(container["deep/weight"].data, whole, 2, comm)
        same(container["common"].data, whole)

    def test_a_list_takes_the_first_that_there_is(self, container):
        container.redistribute(["beam", "pol", "b", "time"])
        assert self.axes(container) == [2, 1, 1, 1]

    def test_a_number(self, container):
        container.redistribute(2)
        assert self.axes(container) == [2, 2, 2, 2]

    def test_a_number_of_numpy(self, container):
        container.redistribute(np.int64(-1))
        assert self.axes(container) == [2, 2, 2, 2]

    def test_names_that_can_be_read_once(self, container):
        container.redistribute(iter(["pol", "c"]))
        assert self.axes(container) == [2, 1, 2, 1]

    def test_an_axis_attribute_that_is_one_name(self, container, comm):
        made = container.create_dataset("line", data=distribute(np.arange(5), 0, comm))
        made.attrs["axis"] = "freq"
        container.redistribute("f")
        container.redistribute("freq")
        assert self.axes(container) == [0, 2, 1, 1]

    def test_a_name_that_no_dataset_has(self, container):
        container.redistribute("nothing")
        assert self.axes(container) == [1, 1, 1, 1]

    def test_ranks_with_different_names(self, several, container):
        name = "freq" if several.rank else "nothing"
        with pytest.raises(CollectiveError, match=r"rank 0: redistribute / along 'nothing'; rank"):
            container.redistribute(name)
        assert self.axes(container) == [1, 1, 1, 1]

    def test_ranks_with_different_names_of_axes(self, several, container):
        if several.rank == several.size - 1:
            container["other"].attrs["axis"] = ("freq", "b", "c")
        match = r"along 'freq': the ranks do not agree: ranks? .*: axis of /other=None; rank .*=0"
        with pytest.raises(CollectiveError, match=match):
            container.redistribute("freq")
        assert self.axes(container) == [1, 1, 1, 1]

    def test_a_container_that_is_not_distributed_needs_nobody(self, comm):
        if comm is not None and comm.rank > 0:
            return
        MemDiskGroup().redistribute("freq")


class TestCopies:
    @pytest.fixture
    def full(self, tree, comm, whole):
        tree.attrs["title"] = "t"
        made = tree.create_dataset("a/x", data=distribute(whole, 1, comm), chunks=(2, 2, 2))
        made.attrs["list"] = [1]
        tree.create_dataset("b", data=np.arange(3))
        return tree

    @pytest.mark.parametrize(
        "make_copy",
        [
            copy.deepcopy,
            lambda g: type(g).from_group(g),
            lambda g: g.copy() if isinstance(g, MemDiskGroup) else MemGroup.from_group(g),
        ],
        ids=["deepcopy", "from_group", "copy"],
    )
    def test_a_copy_keeps_the_distribution_and_is_on_its_own(self, full, comm, whole, make_copy):
        copied = make_copy(full)
        assert copied.distributed is True
        assert copied.comm == comm
        check(copied["a/x"].data, whole, 1, comm)
        assert copied["a/x"].chunks == (2, 2, 2)
        if isinstance(full, MemDiskGroup) and make_copy is not copy.deepcopy:
            return  # from_group of a container shares
        copied["a/x"].local_data[...] = -1
        copied["a/x"].attrs["list"].append(2)
        check(full["a/x"].data, whole, 1, comm)
        assert full["a/x"].attrs["list"] == [1]

    def test_container_copy_is_deep(self, comm, whole):
        if comm is None:
            pytest.skip("no MPI here")
        container = MemDiskGroup(distributed=True, comm=comm)
        container.create_dataset("x", data=distribute(whole, 1, comm))
        copied = container.copy()
        copied["x"].local_data[...] = -1
        check(container["x"].data, whole, 1, comm)
        shared = container.copy(shared=["x"])
        shared["x"].local_data[...] = -2
        assert (container["x"].local_data == -2).all()

    def test_deep_group_copy_in_memory(self, full, comm, whole):
        target = MemGroup(distributed=True, comm=comm)
        deep_group_copy(full, target)
        check(target["a/x"].data, whole, 1, comm)
        target["a/x"].local_data[...] = -1
        check(full["a/x"].data, whole, 1, comm)

    def test_deep_group_copy_shallow(self, full, comm, whole):
        target = MemGroup(distributed=True, comm=comm)
        deep_group_copy(full, target, shallow=True)
        target["a/x"].local_data[...] = -1
        assert (full["a/x"].local_data == -1).all()


class TestContainer:
    def test_around_a_distributed_group(self, comm):
        if comm is None:
            pytest.skip("no MPI here")
        group = MemGroup(True, comm)
        container = MemDiskGroup(group, distributed=True, comm=comm)
        assert container.distributed is True
        assert container.comm == comm

    def test_around_a_group_with_another_communicator(self, comm):
        if comm is None:
            pytest.skip("no MPI here")
        other = comm.Dup()
        try:
            with pytest.raises(ValueError, match="communicator"):
                MemDiskGroup(MemGroup(True, comm), distributed=True, comm=other)
        finally:
            other.Free()

    def test_to_disk_of_a_distributed_container(self, comm, tmp_path, whole):
        if comm is None:
            pytest.skip("no MPI here")
        container = MemDiskGroup(distributed=True, comm=comm)
        container.create_dataset("x", data=distribute(whole, 0, comm))
        with pytest.raises(NotImplementedError):
            container.to_disk(str(tmp_path / "x.h5"))

    def test_in_memory_and_made_from_nothing_it_has_the_world(self, comm):
        assert MemDiskGroup().comm == comm
        assert MemDiskGroup().distributed is False


def test_every_rank_has_its_part(comm, whole):
    """What the parts are together is the whole array, once."""
    if comm is None:
        pytest.skip("no MPI here")
    tree = MemGroup(True, comm)
    made = tree.create_dataset("x", data=distribute(whole, 1, comm))
    parts = comm.allgather(made.local_data)
    same(np.concatenate(parts, axis=1), whole)
    assert len(parts) == size_and_rank(comm)[0]
    same(parts[comm.rank], part(whole, 1, comm))
