"""Part 7 of the behaviour page: creating groups and datasets in memory."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import MemDatasetCommon, MemDiskGroup, MemGroup, _StorageRoot
from support import (
    FakeComm,
    PathLike,
    assert_same_array,
    assert_same_tree,
    comm_world,
    fill,
)

SCALAR_DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?"),
    hnp.complex_number_dtypes(endianness="?"),
    hnp.byte_string_dtypes(max_len=5),
    hnp.unicode_string_dtypes(max_len=5),
    hnp.datetime64_dtypes(),
)


class TestRoot:
    def test_is_the_root_of_a_new_tree(self):
        group = MemGroup()
        assert group.name == "/"
        assert group.mode == "r+"
        assert len(group) == 0
        assert type(group._storage_root) is _StorageRoot
        assert group != MemGroup()

    def test_takes_distributed_and_a_communicator(self):
        comm = FakeComm()
        group = MemGroup(True, comm)
        assert group.distributed is True
        assert group.comm is comm
        group = MemGroup(distributed=False, comm=comm)
        assert group.distributed is False
        assert group.comm is comm

    def test_distributed_without_a_communicator_takes_the_world(self):
        assert MemGroup(distributed=True).comm == comm_world()

    def test_mode_of_a_subgroup(self, tree):
        assert tree["sky"].mode == "r+"


class TestFromGroup:
    def test_is_a_deep_copy(self, tree):
        copy = MemGroup.from_group(tree)
        assert_same_tree(copy, tree)
        copy["sky/map"][0, 0] = 99
        copy["sky"].attrs["survey"] = 8
        copy["sky/map"].attrs["axis"][0] = 99
        assert tree["sky/map"][0, 0] == 0
        assert tree["sky"].attrs["survey"] == 7
        assert tree["sky/map"].attrs["axis"][0] == 10

    def test_of_a_subgroup_is_a_tree_of_its_own(self, tree):
        copy = MemGroup.from_group(tree["sky"])
        assert copy.name == "/"
        assert copy.attrs == {"survey": 7}
        assert set(copy) == {"map", "deep"}
        assert copy["deep/mask"].name == "/deep/mask"

    def test_of_a_file_name_loads_it(self, h5_tree, tree):
        assert_same_tree(MemGroup.from_group(str(h5_tree)), tree)
        assert_same_tree(MemGroup.from_group(h5_tree), tree)
        assert_same_tree(MemGroup.from_group(PathLike(h5_tree)), tree)

    def test_of_an_open_h5py_group(self, h5_tree, tree):
        with h5py.File(h5_tree, "r") as file:
            assert_same_tree(MemGroup.from_group(file), tree)
            assert_same_tree(MemGroup.from_group(file["sky"]), tree["sky"])

    def test_of_a_container(self, tree, h5_tree):
        assert_same_tree(MemGroup.from_group(MemDiskGroup(tree)), tree)
        with MemDiskGroup.from_file(h5_tree, ondisk=True) as container:
            assert_same_tree(MemGroup.from_group(container["sky"]), tree["sky"])

    def test_keeps_the_distribution_of_the_tree(self):
        comm = FakeComm()
        copy = MemGroup.from_group(MemGroup(distributed=True, comm=comm))
        assert copy.distributed is True
        assert copy.comm is comm
        copy = MemGroup.from_group(MemGroup(distributed=False, comm=comm))
        assert copy.distributed is False

    def test_is_of_the_class_that_was_asked(self, tree):
        class Special(MemGroup):
            pass

        assert type(Special.from_group(tree)) is Special


class TestCreateGroup:
    def test_gives_the_new_group(self, any_tree):
        made = any_tree.create_group("new")
        assert made.name == "/new"
        assert len(made) == 0
        assert any_tree["new"] == made

    def test_makes_missing_parents(self, any_tree):
        made = any_tree.create_group("sky/a/b/c")
        assert made.name == "/sky/a/b/c"
        assert list(any_tree["sky/a"]) == ["b"]

    def test_with_an_absolute_name_starts_at_the_root(self, any_tree):
        made = any_tree["sky"].create_group("/top/x")
        assert made.name == "/top/x"
        assert "top" in any_tree

    @pytest.mark.parametrize("name", ["new//x/", "/new///x"])
    def test_ignores_extra_slashes(self, any_tree, name):
        assert any_tree.create_group(name).name == "/new/x"

    @pytest.mark.parametrize("name", ["sky", "/sky/deep", "time", "sky/map", "sky/"])
    def test_something_already_there_is_a_value_error(self, any_tree, name):
        with pytest.raises(ValueError):
            any_tree.create_group(name)
        assert any_tree["sky/map"].shape == (3, 4)

    @pytest.mark.parametrize("name", ["", "/", "//"])
    def test_an_empty_name_or_the_root_is_a_value_error(self, any_tree, name):
        with pytest.raises(ValueError):
            any_tree.create_group(name)

    @pytest.mark.parametrize("name", ["time/x", "sky/map/x/y", "/answer/x"])
    def test_a_dataset_on_the_way_is_a_value_error(self, any_tree, name):
        before = set(any_tree)
        with pytest.raises(ValueError):
            any_tree.create_group(name)
        assert set(any_tree) == before

    def test_names_may_hold_anything_else(self, any_tree):
        for name in ["with space", "ä\N{SNOWMAN}\N{GRINNING FACE}", "a.b", "...", "x\n", "-1"]:
            any_tree.create_group(name)
            assert name in any_tree
            assert any_tree[name].name == "/" + name

    def test_bytes_are_names_in_utf_8(self, tree):
        tree.create_group("ü".encode())
        assert "ü" in tree
        tree.create_dataset(b"sky/bytes", data=[1])
        assert "sky/bytes" in tree


class TestCreateDataset:
    def test_gives_a_view_of_the_new_dataset(self, any_tree):
        made = any_tree.create_dataset("sky/new", data=np.arange(3))
        assert made.name == "/sky/new"
        assert any_tree["sky/new"] == made
        made[0] = 9
        assert any_tree["sky/new"][0] == 9

    def test_makes_missing_parents(self, any_tree):
        any_tree.create_dataset("a/b/c", data=np.arange(3))
        assert any_tree["a/b/c"].shape == (3,)
        assert list(any_tree["a"]) == ["b"]

    @pytest.mark.parametrize("name", ["/x", "//x/"])
    def test_with_an_absolute_name_starts_at_the_root(self, tree, name):
        assert tree["sky"].create_dataset(name, data=[1]).name == "/x"
        assert "x" in tree

    def test_is_of_the_common_class(self, tree):
        assert type(tree.create_dataset("x", shape=(2,))) is MemDatasetCommon

    def test_default_dtype_is_float64(self, tree):
        assert tree.create_dataset("x", shape=(2,)).dtype == np.float64
        assert tree.create_dataset("x", (2,)).dtype == np.float64

    @given(SCALAR_DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
    def test_new_data_are_zero(self, dtype, shape):
        made = MemGroup().create_dataset("x", shape, dtype)
        assert_same_array(made[...], np.zeros(shape, dtype))

    @pytest.mark.parametrize(
        "dtype", [[("a", "i4"), ("b", [("c", "f8"), ("d", "S3", (2,))])], "V7", [("a", "O")]]
    )
    def test_new_structured_data_are_zero(self, dtype):
        made = MemGroup().create_dataset("x", (2, 2), dtype)
        assert_same_array(made[...], np.zeros((2, 2), dtype))

    def test_large_new_data_are_zero_though_memory_was_used_before(self):
        group = MemGroup()
        for _ in range(4):
            made = group.create_dataset("x", shape=(300, 1000))
            assert not made[...].any()
            made[...] = 7
            del group["x"], made

    def test_an_int_is_a_shape(self, any_tree):
        assert any_tree.create_dataset("x", shape=5, dtype="f4").shape == (5,)

    @given(hnp.arrays(SCALAR_DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
    def test_data_of_any_type_are_kept(self, data):
        made = MemGroup().create_dataset("x", data=data)
        assert_same_array(made[...], data)

    @pytest.mark.parametrize(
        "asked",
        [
            {},
            {"shape": (3, 4)},
            {"dtype": np.float64},
            {"shape": (3, 4), "dtype": "f8"},
            {"shape": [3, 4], "dtype": float},
        ],
        ids=str,
    )
    def test_with_data_that_match_wraps_the_array_without_copying(self, tree, asked):
        data = np.arange(12.0).reshape(3, 4)
        made = tree.create_dataset("x", data=data, **asked)
        assert np.shares_memory(made.data, data)
        data[1, 1] = -5
        assert tree["x"][1, 1] == -5
        tree["x"][2, 2] = -6
        assert data[2, 2] == -6

    @pytest.mark.parametrize(
        "make",
        [
            lambda: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
            lambda: np.arange(24.0)[::2],
            lambda: np.arange(24.0)[::-3],
            lambda: np.zeros((0, 3)),
            lambda: np.array(5.0),
            lambda: np.arange(3, dtype=">i2"),
            lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "O")]),
        ],
        ids=["fortran", "strided", "negative", "no elements", "0-d", "big-endian", "structured"],
    )
    def test_any_layout_is_wrapped(self, make):
        data = make()
        made = MemGroup().create_dataset("x", data=data)
        assert made.data.__array_interface__["data"] == data.__array_interface__["data"]
        assert made.data.strides == data.strides
        assert_same_array(made[()], data)

    def test_another_dtype_copies_with_casting(self, tree):
        data = np.array([1.7, 2.2])
        made = tree.create_dataset("x", data=data, dtype="i4")
        assert made.dtype == np.int32
        assert list(made) == [1, 2]
        data[0] = 9
        assert made[0] == 1

    def test_another_byte_order_copies_with_casting(self, tree):
        data = np.arange(3, dtype="<i4")
        made = tree.create_dataset("x", data=data, dtype=">i4")
        assert made.dtype == np.dtype(">i4")
        assert list(made) == [0, 1, 2]
        assert not np.shares_memory(made.data, data)

    def test_another_shape_of_as_many_elements_is_reshaped(self, any_tree):
        data = np.arange(6.0).reshape(2, 3)
        made = any_tree.create_dataset("x", shape=(6,), data=data)
        assert made.shape == (6,)
        assert list(made) == [0, 1, 2, 3, 4, 5]

    @pytest.mark.parametrize("shape", [(7,), (2, 2), (), (6, 0), (3, 1), (1, 2, 3, 2)])
    def test_a_shape_that_does_not_fit_the_data_is_a_value_error(self, any_tree, shape):
        with pytest.raises(ValueError):
            any_tree.create_dataset("x", shape=shape, data=np.arange(6.0).reshape(2, 3))
        assert "x" not in any_tree

    @pytest.mark.parametrize("data", [5, [1, 2], (1.5, 2), [[1], [2]], range(3), b"abc", 1j, True])
    def test_any_array_like_is_taken(self, tree, data):
        expected = np.asarray(data)
        assert_same_array(tree.create_dataset("x", data=data)[()], expected)

    def test_an_object_with_array_interface_is_taken(self, tree):
        class Thing:
            def __array__(self, dtype=None, copy=None):
                return np.arange(4, dtype=dtype)

        assert list(tree.create_dataset("x", data=Thing())) == [0, 1, 2, 3]

    def test_a_dataset_is_taken_as_an_array(self, tree):
        made = tree.create_dataset("x", data=tree["sky/map"])
        assert_same_array(made[...], tree["sky/map"][...])

    def test_an_array_like_with_dtype_is_cast(self, tree):
        made = tree.create_dataset("x", data=[1, 2], dtype="f4")
        assert made.dtype == np.float32
        assert made.shape == (2,)

    def test_neither_shape_nor_data_is_a_value_error(self, tree):
        with pytest.raises(ValueError, match=r"shape.*data|data.*shape"):
            tree.create_dataset("x")
        with pytest.raises(ValueError, match="/x"):
            tree.create_dataset("x", dtype="f8")
        assert "x" not in tree

    def test_unknown_keywords_are_a_type_error(self, tree):
        with pytest.raises(TypeError, match="wrong_keyword"):
            tree.create_dataset("x", data=[1], wrong_keyword=1)
        assert "x" not in tree

    def test_chunks_and_compression_are_kept(self, tree):
        made = tree.create_dataset(
            "x", data=np.zeros((8, 6)), chunks=(4, 9), compression="gzip", compression_opts=5
        )
        for view in (made, tree["x"], tree._storage_root["/x"]):
            assert view.chunks == (4, 6)
            assert view.compression == "gzip"
            assert view.compression_opts == 5

    @pytest.mark.parametrize("chunks", [(2,), (2, 2, 2), (0, 2), (-1, 2)])
    def test_chunks_that_do_not_fit_are_a_value_error(self, tree, chunks):
        with pytest.raises(ValueError):
            tree.create_dataset("x", data=np.zeros((4, 4)), chunks=chunks)
        assert "x" not in tree

    def test_a_dataset_may_be_replaced(self, tree):
        old = tree["time"]
        old_place = list(tree).index("time")
        tree.create_dataset("time", data=np.array([1, 2, 3]))
        assert list(tree["time"]) == [1, 2, 3]
        assert tree["time"].attrs == {}
        assert old.shape == (4,)
        assert len(tree) == 4
        assert list(tree).index("time") in (old_place, 3)

    @pytest.mark.parametrize("name", ["sky", "sky/deep", "/empty/", "/"])
    def test_over_an_existing_group_is_a_value_error(self, any_tree, name):
        with pytest.raises(ValueError):
            any_tree.create_dataset(name, data=np.arange(3))
        assert any_tree["sky/deep/mask"].shape == (4,)
        assert len(any_tree["empty"]) == 0

    @pytest.mark.parametrize("name", ["time/x", "sky/map/a/b"])
    def test_a_dataset_on_the_way_is_a_value_error(self, any_tree, kind, name):
        with pytest.raises((ValueError, TypeError) if kind == "h5py" else ValueError):
            any_tree.create_dataset(name, data=np.arange(3))
        assert any_tree["time"].shape == (4,)

    def test_a_failed_call_leaves_no_parents_behind(self, tree):
        with pytest.raises(ValueError):
            tree.create_dataset("new/parent/x", data=np.zeros((2, 2)), chunks=(1,))
        with pytest.raises(TypeError):
            tree.create_dataset("new/parent/x", shape=(2,), dtype="no such dtype")
        with pytest.raises(ValueError):
            tree.create_group("new/../x")
        assert "new" not in tree

    def test_a_masked_array_is_a_type_error(self, tree):
        with pytest.raises(TypeError, match="mask"):
            tree.create_dataset("x", data=np.ma.masked_array([1, 2], mask=[False, True]))
        assert "x" not in tree

    def test_other_subclasses_are_taken_as_plain_arrays_sharing_memory(self, tree):
        class Special(np.ndarray):
            pass

        data = np.arange(4.0).view(Special)
        made = tree.create_dataset("x", data=data)
        assert type(made.data) is np.ndarray
        assert np.shares_memory(made.data, data)

    def test_a_read_only_array_stays_read_only(self, tree):
        data = np.arange(4.0)
        data.flags.writeable = False
        made = tree.create_dataset("x", data=data)
        with pytest.raises(ValueError, match="read-only"):
            made[0] = 5

    @pytest.mark.parametrize("dtype", ["f4", "i8", "S4"])
    def test_a_null_dataspace(self, tree, dtype):
        made = tree.create_dataset("x", data=h5py.Empty(dtype))
        assert made.shape is None
        assert made.dtype == np.dtype(dtype)
        assert made[()] == h5py.Empty(np.dtype(dtype))
        assert tree["x"].shape is None
        assert isinstance(tree["x"][()], h5py.Empty)

    def test_a_scalar(self, any_tree):
        made = any_tree.create_dataset("x", data=2.5)
        assert made.shape == ()
        assert made[()] == 2.5
        made[()] = 3.5
        assert any_tree["x"][()] == 3.5

    def test_distributed_without_any_communicator_warns_and_makes_a_common_dataset(self):
        group = MemGroup()
        assert group.comm is None
        with pytest.warns(UserWarning, match="(?i)common"):
            made = group.create_dataset("x", shape=(4,), distributed=True)
        assert made.common
        assert type(made) is MemDatasetCommon
        with pytest.warns(UserWarning, match="(?i)common"):
            made = group.create_dataset(
                "y", shape=(4,), dtype="i4", distributed=True, distributed_axis=0
            )
        assert made.dtype == np.int32

    def test_distributed_in_a_tree_that_is_not_is_a_runtime_error(self):
        group = MemGroup(distributed=False, comm=FakeComm())
        with pytest.raises(RuntimeError, match="/x"):
            group.create_dataset("x", shape=(4,), distributed=True, distributed_axis=0)
        assert "x" not in group

    def test_creating_common_data_does_not_warn(self, tree):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree.create_dataset("x", shape=(4,), distributed=False, distributed_axis=None)

    def test_dataset_distributed_to_common_of_a_common_dataset_warns(self, tree):
        before = tree["sky/map"][...].copy()
        with pytest.warns(UserWarning, match="/sky/map"):
            tree.dataset_distributed_to_common("sky/map")
        assert_same_array(tree["sky/map"][...], before)


def test_the_order_of_positional_arguments():
    made = MemGroup().create_dataset("x", (2, 3), "i2", None, False, None, (1, 3), "gzip", 5)
    assert made.shape == (2, 3)
    assert made.dtype == np.int16
    assert made.chunks == (1, 3)
    assert made.compression == "gzip"
    assert made.compression_opts == 5


def test_two_trees_share_an_array_they_both_wrap():
    data = np.zeros(3)
    one, other = MemGroup(), MemGroup()
    one.create_dataset("x", data=data)
    other.create_dataset("y", data=data)
    one["x"][1] = 5
    assert other["y"][1] == 5


def test_a_tree_of_a_subclass_with_arguments_of_its_own():
    class Named(MemGroup):
        def __init__(self, label):
            super().__init__()
            self.label = label

    group = fill(Named("mine"))
    assert group.label == "mine"
    assert type(group.create_group("new")) is Named
    assert not hasattr(group["new"], "label")
