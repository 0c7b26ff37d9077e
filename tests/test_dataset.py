"""Part 8 of the behaviour page: `MemDataset` and `MemDatasetCommon`."""

from __future__ import annotations

import copy
import operator

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import MemAttrs, MemDataset, MemDatasetCommon, MemGroup
from support import assert_same_array

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
COPIES = {
    "copy()": lambda d: d.copy(),
    "copy.deepcopy": copy.deepcopy,
    "copy(shallow=False)": lambda d: d.copy(shallow=False),
    "copy(order='C')": lambda d: d.copy(order="C"),
}
VIEWS = {"view()": lambda d: d.view(), "copy(shallow=True)": lambda d: d.copy(shallow=True)}


@pytest.fixture(params=list(COPIES))
def deep_copy(request):
    return COPIES[request.param]


@pytest.fixture(params=list(VIEWS))
def shallow_copy(request):
    return VIEWS[request.param]


def numbered(*shape, dtype="f8"):
    return np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)


def wrap(array, **options):
    return MemDatasetCommon.from_numpy_array(array, **options)


class TestAbstractBase:
    @pytest.mark.parametrize(
        "name", ["shape", "dtype", "chunks", "compression", "compression_opts"]
    )
    def test_properties_raise_not_implemented(self, name):
        with pytest.raises(NotImplementedError):
            getattr(MemDataset(), name)

    def test_indexing_and_len_raise_not_implemented(self):
        with pytest.raises(NotImplementedError):
            MemDataset()[0]
        with pytest.raises(NotImplementedError):
            MemDataset()[0] = 1
        with pytest.raises(NotImplementedError):
            len(MemDataset())

    def test_is_the_base_of_common_datasets(self):
        assert issubclass(MemDatasetCommon, MemDataset)

    def test_attrs(self):
        assert type(MemDataset().attrs) is MemAttrs


class TestConstructor:
    @given(SHAPES, st.sampled_from(["f8", ">i2", "?", "S3", "c8", "M8[s]"]))
    def test_makes_zero_data_of_shape_and_dtype(self, shape, dtype):
        d = MemDatasetCommon(shape, dtype)
        assert d.shape == shape
        assert d.dtype == np.dtype(dtype)
        assert_same_array(d.data, np.zeros(shape, dtype))

    def test_storage_keywords(self):
        d = MemDatasetCommon(
            (8, 4), "f4", chunks=(4, 9), compression="gzip", compression_opts=2, name="/x"
        )
        assert d.chunks == (4, 4)
        assert d.compression == "gzip"
        assert d.compression_opts == 2
        assert d.name == "/x"

    def test_default_storage_is_none(self):
        d = MemDatasetCommon((8, 4), "f4")
        assert d.chunks is None
        assert d.compression is None
        assert d.compression_opts is None
        assert d.name == ""

    def test_storage_root_and_name(self, tree):
        d = MemDatasetCommon((2,), "f4", storage_root=tree._storage_root, name="/sky/new")
        assert d.name == "/sky/new"
        assert d.parent == tree["sky"]

    def test_unknown_keywords_are_a_type_error(self):
        with pytest.raises(TypeError, match="wrong"):
            MemDatasetCommon((2,), "f4", wrong=1)
        with pytest.raises(TypeError, match="wrong"):
            MemDatasetCommon.from_numpy_array(np.zeros(2), wrong=1)


class TestFromNumpyArray:
    def test_shares_memory_with_the_array(self):
        array = numbered(3, 4)
        d = wrap(array)
        array[1, 1] = -1
        assert d[1, 1] == -1
        d[2, 2] = -2
        assert array[2, 2] == -2

    def test_storage_keywords(self):
        d = wrap(numbered(6), chunks=(10,), compression="lzf", compression_opts=None, name="/y")
        assert d.chunks == (6,)
        assert d.compression == "lzf"
        assert d.name == "/y"

    @pytest.mark.parametrize("bad", [[1, 2], 5, "text", None, range(3)], ids=repr)
    def test_what_is_no_ndarray_is_a_type_error(self, bad):
        with pytest.raises(TypeError, match=type(bad).__name__):
            wrap(bad)

    def test_a_masked_array_is_a_type_error(self):
        with pytest.raises(TypeError, match="mask"):
            wrap(np.ma.masked_array([1, 2], mask=[True, False]))

    def test_is_of_the_class_it_is_called_on(self):
        class Special(MemDatasetCommon):
            pass

        assert type(Special.from_numpy_array(numbered(2))) is Special


class TestProperties:
    def test_of_a_common_dataset(self):
        array = numbered(4, 5, dtype="f4")
        d = wrap(array)
        assert d.comm is None
        assert d.common is True
        assert d.distributed is False
        assert type(d.data) is np.ndarray
        assert np.shares_memory(d.data, array)
        assert np.shares_memory(d.local_data, array)
        assert d.shape == (4, 5)
        assert d.dtype is array.dtype

    @given(SHAPES, st.sampled_from(["f8", "i2", "S3"]))
    def test_ndim_size_and_nbytes_are_numpys(self, shape, dtype):
        array = np.zeros(shape, dtype)
        d = wrap(array)
        assert (d.ndim, d.size, d.nbytes) == (array.ndim, array.size, array.nbytes)

    def test_attrs_are_mem_attrs(self):
        d = wrap(numbered(2))
        d.attrs["x"] = [1]
        assert type(d.attrs) is MemAttrs
        assert d.attrs == {"x": [1]}

    @pytest.mark.parametrize("name", ["common", "distributed", "comm", "shape", "dtype"])
    def test_facts_cannot_be_assigned(self, name):
        with pytest.raises((AttributeError, TypeError, NotImplementedError)):
            setattr(wrap(numbered(2)), name, 1)

    def test_attributes_may_be_set_freely(self):
        d = wrap(numbered(2))
        d.note = "mine"
        assert d.note == "mine"
        assert vars(d) == {"note": "mine"}

    @pytest.mark.parametrize(
        ("shape", "dtype", "text"),
        [
            ((4, 5), "f4", "shape (4, 5), type \"dtype('float32')\""),
            ((3,), ">i2", "shape (3,), type \"dtype('>i2')\""),
            ((), "S3", "shape (), type \"dtype('S3')\""),
        ],
    )
    def test_repr(self, shape, dtype, text):
        d = MemGroup().create_dataset("x", shape=shape, dtype=dtype)
        assert repr(d) == f"<memh5 common dataset '/x': {text}>"


class TestChunks:
    def test_default_is_none(self):
        assert wrap(numbered(3, 4)).chunks is None

    @given(
        st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=4),
        st.booleans(),
    )
    def test_each_is_cut_down_to_the_axis_length(self, pairs, in_constructor):
        shape = tuple(length for length, _ in pairs)
        chunks = tuple(chunk for _, chunk in pairs)
        if in_constructor:
            d = MemDatasetCommon(shape, "i1", chunks=chunks)
        else:
            d = MemDatasetCommon(shape, "i1")
            d.chunks = chunks
        assert d.chunks == tuple(map(min, shape, chunks))
        assert all(type(chunk) is int for chunk in d.chunks)

    def test_may_be_set_to_none(self):
        d = wrap(numbered(4), chunks=(2,))
        d.chunks = None
        assert d.chunks is None

    def test_a_list_or_array_of_lengths_is_taken(self):
        d = wrap(numbered(4, 4))
        d.chunks = [2, 3]
        assert d.chunks == (2, 3)
        d.chunks = np.array([1, 2])
        assert d.chunks == (1, 2)

    @pytest.mark.parametrize("bad", [(2,), (2, 2, 2), (), (0, 2), (2, -1)])
    def test_what_does_not_fit_is_a_value_error_and_changes_nothing(self, bad):
        d = wrap(numbered(4, 4), chunks=(3, 3), name="/sky/x")
        with pytest.raises(ValueError, match="/sky/x"):
            d.chunks = bad
        assert d.chunks == (3, 3)
        with pytest.raises(ValueError):
            MemDatasetCommon((4, 4), "f8", chunks=bad)

    @pytest.mark.parametrize("bad", ["ab", (1.5, 2), object()])
    def test_what_is_no_length_is_an_error(self, bad):
        with pytest.raises((TypeError, ValueError)):
            wrap(numbered(4, 4)).chunks = bad

    def test_may_be_longer_than_any_number_of_the_machine(self):
        d = wrap(numbered(4, 3), chunks=(2**70, 2))
        assert d.chunks == (4, 2)
        with pytest.raises((ValueError, OverflowError)):
            d.chunks = (-(2**70), 2)
        assert d.chunks == (4, 2)

    @pytest.mark.parametrize("chunks", [None, ()])
    def test_of_a_scalar_are_none_or_empty(self, chunks):
        d = MemDatasetCommon((), "f8", chunks=chunks)
        assert d.chunks in (None, ())
        with pytest.raises(ValueError):
            d.chunks = (1,)

    def test_compression_is_settable(self):
        d = wrap(numbered(4))
        d.compression = "gzip"
        d.compression_opts = 7
        assert d.compression == "gzip"
        assert d.compression_opts == 7
        d.compression = d.compression_opts = None
        assert d.compression is None
        assert d.compression_opts is None


class TestIndexing:
    @given(st.data(), SHAPES)
    def test_reading_is_numpys(self, data, shape):
        array = numbered(*shape)
        index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
        found = wrap(array)[index]
        assert_same_array(found, array[index])
        assert type(found) is type(array[index])

    @given(st.data(), hnp.array_shapes(max_dims=3, max_side=4))
    def test_reading_with_index_arrays_is_numpys(self, data, shape):
        array = numbered(*shape)
        index = data.draw(hnp.integer_array_indices(shape))
        assert_same_array(wrap(array)[index], array[index])

    @given(st.data(), SHAPES)
    def test_writing_is_numpys(self, data, shape):
        array, expected = numbered(*shape), numbered(*shape)
        index = data.draw(hnp.basic_indices(shape))
        wrap(array)[index] = -7
        expected[index] = -7
        assert_same_array(array, expected)

    def test_masks_and_lists(self):
        array = numbered(3, 4)
        d = wrap(array.copy())
        assert_same_array(d[array > 5], array[array > 5])
        assert_same_array(d[[0, 2], 1:], array[[0, 2], 1:])
        d[array > 5] = 0
        array[array > 5] = 0
        assert_same_array(d[...], array)

    @pytest.mark.parametrize("index", [np.s_[:], np.s_[1:3], np.s_[::-1, 1], np.s_[...], 1])
    def test_a_basic_slice_is_a_view_of_the_stored_data(self, tree, index):
        part = tree["sky/map"][index]
        part[...] = 99
        assert (tree["sky/map"][index] == 99).all()

    def test_fields_of_a_structured_dataset(self):
        array = np.zeros(3, dtype=[("a", "i4"), ("b", "f8")])
        d = wrap(array)
        d["b"] = [1, 2, 3]
        d[0] = (5, 6.5)
        assert list(d["a"]) == [5, 0, 0]
        assert list(array["b"]) == [6.5, 2, 3]

    def test_values_are_broadcast_and_cast(self):
        d = wrap(np.zeros((2, 3), "i4"))
        d[:] = [1.9, 2.9, 3.9]
        assert d[...].tolist() == [[1, 2, 3], [1, 2, 3]]

    @pytest.mark.parametrize("index", [5, (0, 0, 0), "field", -4, [7], np.s_[..., ...]])
    def test_what_numpy_refuses_is_refused_alike(self, index):
        array = numbered(3, 4)
        with pytest.raises(Exception) as numpys:
            array[index]
        with pytest.raises(numpys.type):
            wrap(array)[index]

    def test_a_value_that_does_not_fit_is_a_value_error(self):
        with pytest.raises(ValueError):
            wrap(numbered(3, 4))[:] = np.zeros(5)

    def test_deleting_items_is_impossible(self):
        with pytest.raises((TypeError, ValueError)):
            del wrap(numbered(3))[0]

    def test_a_scalar(self):
        d = wrap(np.array(2.5))
        assert d[()] == 2.5
        d[...] = 3.5
        assert d[()] == 3.5
        with pytest.raises(IndexError):
            d[0]


class TestLenAndIteration:
    @given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
    def test_are_those_of_the_array(self, shape):
        array = numbered(*shape)
        d = wrap(array)
        assert len(d) == len(array)
        for row, expected in zip(d, array, strict=True):
            assert_same_array(row, expected)

    def test_rows_are_views(self):
        d = wrap(numbered(3, 2))
        for row in d:
            row[0] = -1
        assert d[:, 0].tolist() == [-1, -1, -1]

    def test_of_a_scalar_are_a_type_error(self):
        d = wrap(np.array(1.0))
        with pytest.raises(TypeError):
            len(d)
        with pytest.raises(TypeError):
            iter(d)

    def test_membership(self):
        assert 2.0 in wrap(numbered(3))
        assert 7.0 not in wrap(numbered(3))


class TestNumpy:
    def test_asarray_does_not_copy(self):
        array = numbered(3, 4)
        assert np.shares_memory(np.asarray(wrap(array)), array)
        assert np.shares_memory(np.asarray(wrap(array), copy=False), array)
        assert_same_array(np.asarray(wrap(array)), array)

    def test_asarray_does_not_iterate(self):
        class Watched(MemDatasetCommon):
            def __iter__(self):
                raise AssertionError("iterated")

            def __getitem__(self, index):
                raise AssertionError("indexed")

            def __len__(self):
                raise AssertionError("asked for len")

        assert_same_array(np.asarray(Watched.from_numpy_array(numbered(5))), numbered(5))

    def test_array_protocol_takes_what_numpys_takes(self):
        array = numbered(3)
        d = wrap(array)
        assert d.__array__() is not None
        assert d.__array__(np.float32).dtype == np.float32
        assert d.__array__(dtype="i2", copy=True).dtype == np.int16
        assert np.shares_memory(d.__array__(None, copy=None), array)
        assert not np.shares_memory(d.__array__(copy=True), array)
        with pytest.raises(TypeError):
            d.__array__(None, None, None, None)
        with pytest.raises(TypeError):
            d.__array__(no_such=1)

    def test_array_copies(self):
        array = numbered(3, 4)
        copied = np.array(wrap(array))
        assert_same_array(copied, array)
        assert not np.shares_memory(copied, array)

    def test_asarray_with_another_dtype(self):
        array = numbered(3, 4)
        assert_same_array(np.asarray(wrap(array), dtype="i2"), array.astype("i2"))
        with pytest.raises(ValueError):
            np.asarray(wrap(array), dtype="i2", copy=False)

    def test_of_a_scalar(self):
        assert_same_array(np.asarray(wrap(np.array(5))), np.array(5))

    @pytest.mark.parametrize("function", [np.sum, np.mean, np.sort, np.isnan, np.transpose])
    def test_numpy_functions_take_datasets(self, function):
        array = numbered(3, 4)
        assert_same_array(function(wrap(array)), function(array))

    def test_a_dataset_may_be_assigned_from(self):
        array = np.zeros((3, 4))
        array[...] = wrap(numbered(3, 4))
        assert_same_array(array, numbered(3, 4))


class TestCopy:
    def test_is_deep(self, deep_copy):
        d = wrap(numbered(3, 4), chunks=(2, 2), compression="gzip", compression_opts=3)
        d.attrs["list"] = [1, [2]]
        d.attrs["array"] = numbered(2)
        again = deep_copy(d)
        assert_same_array(again[...], d[...])
        assert not np.shares_memory(again.data, d.data)
        assert (again.chunks, again.compression, again.compression_opts) == ((2, 2), "gzip", 3)
        again.attrs["list"][1].append(3)
        again.attrs["array"][0] = 9
        again.chunks = (1, 1)
        again.compression = None
        assert d.attrs["list"] == [1, [2]]
        assert d.attrs["array"][0] == 0
        assert d.chunks == (2, 2)
        assert d.compression == "gzip"

    def test_reaches_object_elements(self, deep_copy):
        inner = [1, {"a": [2]}]
        array = np.empty(2, dtype=object)
        array[0] = inner
        again = deep_copy(wrap(array))
        assert again[0] == inner
        assert again[0] is not inner
        assert again[0][1] is not inner[1]
        assert again[1] is None

    def test_reaches_object_fields_of_structured_dtypes_on_all_levels(self, deep_copy):
        dtype = np.dtype(
            [("n", "i4"), ("o", "O"), ("in", [("p", "O"), ("deep", [("q", "O", (2,))])])]
        )
        array = np.zeros(2, dtype=dtype)
        one, two, three = [1], [2], [3]
        array["o"][1] = one
        array["in"]["p"][1] = two
        array["in"]["deep"]["q"][1, 0] = three
        array["n"] = [7, 8]
        again = deep_copy(wrap(array))
        assert again.dtype == dtype
        assert list(again["n"]) == [7, 8]
        for found, original in [
            (again["o"][1], one),
            (again["in"]["p"][1], two),
            (again["in"]["deep"]["q"][1, 0], three),
        ]:
            assert found == original
            assert found is not original

    def test_an_object_met_twice_is_copied_once_each_time_or_shared_but_never_the_original(
        self, deep_copy
    ):
        inner = [1]
        array = np.empty(2, dtype=object)
        array[:] = [inner, inner]
        again = deep_copy(wrap(array))
        assert again[0] == again[1] == [1]
        assert again[0] is not inner
        assert again[1] is not inner

    @pytest.mark.parametrize(
        "make",
        [
            lambda: np.asfortranarray(numbered(3, 4)),
            lambda: numbered(6, 4)[::2],
            lambda: numbered(3, 4)[::-1, ::-1],
            lambda: np.broadcast_to(numbered(4), (3, 4)),
            lambda: numbered(2, 3, 4).transpose(1, 2, 0),
            lambda: numbered(3, 4).astype(">f4"),
            lambda: np.array(3.5),
            lambda: np.zeros((0, 4)),
        ],
        ids=["fortran", "strided", "negative", "broadcast", "permuted", "big", "0-d", "none"],
    )
    @pytest.mark.parametrize("order", ["A", "C", "F", "K"])
    def test_order_is_that_of_ndarray_copy(self, make, order):
        array = make()
        again, expected = wrap(array).copy(order=order), array.copy(order=order)
        assert_same_array(again[()], expected[()])
        assert again.data.strides == expected.strides
        assert again.data.flags.writeable

    def test_default_order_is_a(self):
        assert wrap(np.asfortranarray(numbered(3, 4))).copy().data.flags.f_contiguous
        assert wrap(numbered(3, 4)).copy().data.flags.c_contiguous

    def test_keeps_name_and_root_so_that_a_fresh_copy_equals_its_original(self, tree, deep_copy):
        original = tree["sky/map"]
        again = deep_copy(original)
        assert again.name == "/sky/map"
        assert again.file == tree
        assert again == original

    def test_with_nan_equals_its_original(self, tree, deep_copy):
        d = tree.create_dataset("nan", data=np.array([np.nan, 1.0, np.inf]))
        d.attrs["nan"] = np.nan
        assert deep_copy(d) == d

    def test_is_not_put_into_the_tree(self, tree, deep_copy):
        again = deep_copy(tree["sky/map"])
        again[...] = 99
        again.attrs["new"] = 1
        assert tree["sky/map"][0, 0] == 0
        assert "new" not in tree["sky/map"].attrs
        assert again != tree["sky/map"]

    def test_of_a_null_dataspace(self, deep_copy):
        d = MemGroup().create_dataset("x", data=h5py.Empty("f4"))
        d.attrs["a"] = 1
        again = deep_copy(d)
        assert again.shape is None
        assert again.attrs == {"a": 1}
        assert again == d

    def test_large_data(self, deep_copy):
        array = np.arange(3_000_001, dtype="f8")
        again = deep_copy(wrap(array))
        assert_same_array(again.data, array)
        assert not np.shares_memory(again.data, array)


class TestShallowCopy:
    def test_shares_data_and_attributes(self, shallow_copy):
        d = wrap(numbered(3, 4), chunks=(2, 2))
        d.attrs["a"] = 1
        again = shallow_copy(d)
        assert again is not d
        again[0, 0] = 99
        again.attrs["b"] = 2
        assert d[0, 0] == 99
        assert d.attrs == {"a": 1, "b": 2}
        assert again.chunks == (2, 2)

    def test_keeps_name_and_root(self, tree, shallow_copy):
        again = shallow_copy(tree["sky/map"])
        assert again.name == "/sky/map"
        assert again.parent == tree["sky"]
        assert again == tree["sky/map"]

    def test_copy_copy_shares_data_too(self, tree):
        again = copy.copy(tree["sky/map"])
        again[0, 0] = 99
        assert tree["sky/map"][0, 0] == 99


class TestResize:
    @pytest.mark.parametrize("arguments", [(), ((5,),), (5, 0)])
    def test_raises_not_implemented(self, arguments):
        with pytest.raises(NotImplementedError):
            wrap(numbered(3)).resize(*arguments)
        with pytest.raises(NotImplementedError):
            MemDataset().resize(*arguments)


class TestEquality:
    def make(self, **changes):
        array = changes.pop("array", None)
        array = numbered(3, 4) if array is None else array
        attrs = changes.pop("attrs", {"units": "m", "axis": np.array([1, 2])})
        options = {"chunks": (2, 2), "compression": "gzip", "compression_opts": 3, **changes}
        d = wrap(array, **options)
        d.attrs.update(attrs)
        return d

    def test_equal_when_identity_attributes_data_and_storage_are(self):
        assert self.make() == self.make()
        assert not self.make() != self.make()  # noqa: SIM202 - `!=` is under test

    @pytest.mark.parametrize(
        "changes",
        [
            {"name": "/other"},
            {"array": numbered(3, 4) + 1},
            {"array": numbered(3, 4).astype("f4") + 0.5},
            {"array": numbered(4, 3), "chunks": (2, 2)},
            {"attrs": {"units": "km", "axis": np.array([1, 2])}},
            {"attrs": {"units": "m", "axis": np.array([1, 3])}},
            {"attrs": {}},
            {"chunks": (1, 2)},
            {"chunks": None},
            {"compression": "lzf"},
            {"compression_opts": 4},
        ],
        ids=str,
    )
    def test_not_equal_when_any_of_them_differs(self, changes):
        assert self.make() != self.make(**changes)
        assert not self.make() == self.make(**changes)  # noqa: SIM201 - `==` is under test

    def test_the_same_content_elsewhere_is_not_equal(self, tree):
        again = MemGroup.from_group(tree)
        assert again["sky/map"] != tree["sky/map"]
        other_name = tree.create_dataset("copy", data=tree["time"][...].copy())
        assert other_name != tree["time"]

    @pytest.mark.parametrize("other", [None, 5, "text", {}, object()], ids=repr)
    def test_not_equal_to_another_thing(self, other):
        assert (self.make() == other) is False
        assert (self.make() != other) is True

    @pytest.mark.parametrize("compare", [operator.lt, operator.gt, operator.le, operator.ge])
    def test_order_is_that_of_the_elements(self, compare):
        d = self.make()
        assert np.array_equal(compare(d, d), compare(d.data, d.data))

    @given(hnp.arrays(st.sampled_from(["f8", "c8", "M8[s]", "S2", "O"]), (3,), fill=st.nothing()))
    def test_a_dataset_always_equals_itself(self, array):
        assert wrap(array) == wrap(array)
        assert wrap(array) == wrap(array.copy())

    def test_null_dataspaces(self):
        group = MemGroup()
        null = group.create_dataset("x", data=h5py.Empty("f4"))
        assert group["x"] == null
        group.create_dataset("x", data=np.zeros(0, "f4"))
        assert group["x"] != null


class TestNullDataspace:
    @pytest.fixture
    def null(self):
        return MemGroup().create_dataset("x", data=h5py.Empty("f4"))

    def test_has_no_shape(self, null):
        assert null.shape is None
        assert null.dtype == np.float32
        assert null.chunks is None

    @pytest.mark.parametrize("index", [(), ...])
    def test_reading_it_whole_gives_the_empty(self, null, index):
        assert null[index] == h5py.Empty(np.dtype("f4"))

    def test_has_no_elements(self, null):
        with pytest.raises((ValueError, IndexError, TypeError)):
            null[0]
        with pytest.raises((ValueError, IndexError, TypeError)):
            null[...] = 5
        with pytest.raises(TypeError):
            len(null)
        with pytest.raises((ValueError, TypeError)):
            null.chunks = (1,)

    def test_has_a_repr(self, null):
        assert "'/x'" in repr(null)
        assert "float32" in repr(null)


class TestSubclass:
    def test_a_class_derived_at_run_time_overrides_indexing(self, tree):
        found = tree["sky/map"]
        derived = type("Doubling", (type(found),), {"__getitem__": lambda self, index: index})
        d = derived.from_numpy_array(found.data)
        d._name = found.name
        assert d.name == "/sky/map"
        assert d["anything"] == "anything"
        assert np.shares_memory(d.data, found.data)

    def test_a_subclass_with_arguments_of_its_own(self):
        class Labelled(MemDatasetCommon):
            def __init__(self, label, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.label = label

            def __new__(cls, label, *args, **kwargs):
                return super().__new__(cls, *args, **kwargs)

        d = Labelled("mine", (2, 3), "f4")
        assert d.label == "mine"
        assert d.shape == (2, 3)
