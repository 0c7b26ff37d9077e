"""What attributes become in files, and what comes back."""

import datetime
import json
import math
import uuid

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import copyattrs
from memdata.copying import attrs2dict
from memdata.formats.attributes import JSON_PREFIX

SOME_ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
MOMENT = datetime.datetime(2024, 2, 29, 12, 30, 15, tzinfo=datetime.UTC)


@pytest.fixture
def attrs(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        yield file.attrs


def raw_json(value):
    assert value.startswith(JSON_PREFIX)
    return json.loads(value[len(JSON_PREFIX) :])


def back(attrs, **options):
    target = {}
    copyattrs(attrs, target, **options)
    return target


def same(one, other):
    if isinstance(other, np.ndarray):
        return (
            isinstance(one, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
        )
    return type(one) is type(other) and one == other


PLAIN = [
    True,
    7,
    -(2**62),
    2**63 + 1,
    1.5,
    1 + 2j,
    "text",
    "grün",
    "",
    b"bytes",
    np.arange(3, dtype="i2"),
    np.array([[1.5, 2], [3, 4]], ">f4"),
    np.array([b"a", b"bc"]),
    np.array(5, "u1"),
    np.zeros((2, 0)),
    np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
    np.array(["a", "bü"], object),
    np.array(["2020", "1969"], "M8[s]"),
    np.array([[1], [-5]], ">m8[25us]"),
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_there_and_back(attrs, value):
    copyattrs({"x": value}, attrs)
    found = back(attrs)["x"]
    if isinstance(value, np.ndarray) and not value.ndim:
        assert found == value
    else:
        assert same(found, value)


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_h5py_reads_the_same(attrs, value):
    copyattrs({"x": value}, attrs)
    assert np.array_equal(attrs["x"], value)


@pytest.mark.parametrize(
    ("value", "python"),
    [
        (np.float32(1.5), 1.5),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.complex64(1j), 1j),
        (np.bytes_(b"a"), b"a"),
    ],
    ids=repr,
)
def test_numpy_scalars_become_python_scalars(attrs, value, python):
    copyattrs({"x": value}, attrs)
    assert same(back(attrs)["x"], python)
    assert same(back({"x": value})["x"], python)


@pytest.mark.parametrize("value", [["a", "bü"], ("a", "b"), [["a"], ["b"]]], ids=repr)
def test_lists_of_str_become_variable_length_strings(attrs, value):
    copyattrs({"x": value}, attrs)
    assert h5py.check_string_dtype(attrs.get_id("x").dtype).length is None
    found = back(attrs)["x"]
    assert found.dtype == object
    assert found.tolist() == [list(v) if isinstance(v, list) else v for v in value]


@pytest.mark.parametrize(
    "value", [np.array(["a", "bü"]), np.array("x"), np.array([["y"]])], ids=repr
)
def test_unicode_arrays_need_the_option(attrs, value):
    with pytest.raises(TypeError, match="'x'"):
        copyattrs({"x": value}, attrs)
    copyattrs({"x": value}, attrs, convert_strings=True)
    assert np.array_equal(back(attrs)["x"], value.astype(object))


JSON = [
    (2**70, 2**70),
    (-(10**100), -(10**100)),
    ({"a": 1, "b": [1, {"c": None}]}, {"a": 1, "b": [1, {"c": None}]}),
    ({}, {}),
    (MOMENT, MOMENT.isoformat()),
    ([1, MOMENT], [1, MOMENT.isoformat()]),
    ({"when": {"then": MOMENT}}, {"when": {"then": MOMENT.isoformat()}}),
    ([{"a": 1}], [{"a": 1}]),
    ({"b": b"bytes"}, {"b": "bytes"}),
    ({"a": np.arange(3)}, {"a": [0, 1, 2]}),
    ({"a": np.array([5])}, {"a": 5}),
    ({"a": np.array(5)}, {"a": 5}),
    ({"a": np.array([[5]])}, {"a": [[5]]}),
    ({"a": np.float32(0.5), "b": np.int16(3), "c": np.bool_(True)}, {"a": 0.5, "b": 3, "c": True}),
    ({"t": (1, 2)}, {"t": [1, 2]}),
]


@pytest.mark.parametrize(("value", "expected"), JSON, ids=repr)
def test_json(attrs, value, expected):
    copyattrs({"x": value}, attrs)
    assert raw_json(attrs["x"]) == expected
    assert back(attrs)["x"] == expected


RESTORED = [
    SOME_ID,
    [1, SOME_ID],
    {"id": SOME_ID, "z": [1 + 2j]},
    {"a": {"__memdata__": "uuid", "value": str(SOME_ID)}},
    {"__memdata__": 1},
    {"__memdata__": "dict", "value": []},
    [{"a": [{"b": -2j}]}],
]


@pytest.mark.parametrize("value", RESTORED, ids=repr)
def test_what_json_has_no_form_of_comes_back(attrs, value):
    copyattrs({"x": value}, attrs)
    raw_json(attrs["x"])
    assert same(back(attrs)["x"], value)


@pytest.mark.parametrize(
    "text", ['{"__memdata__": "uuid", "value": 5}', '{"__memdata__": "complex", "value": "x"}']
)
def test_objects_that_mean_nothing_are_dicts(attrs, text):
    attrs["x"] = JSON_PREFIX + text
    assert back(attrs)["x"] == json.loads(text)


def test_thousands_of_attributes(tmp_path):
    values = {f"a{number}": number for number in range(3500)}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        copyattrs(values, file.create_group("g").attrs)
        assert back(file["g"].attrs) == values


@pytest.mark.parametrize("value", [[1, "a"], [[1], [2, 3]], [1, "a", 2.5, True]], ids=repr)
def test_lists_that_numpy_would_change_are_kept(attrs, value):
    copyattrs({"x": value}, attrs)
    assert back(attrs)["x"] == value


@pytest.mark.parametrize("value", [JSON_PREFIX + "{}", JSON_PREFIX + "no json", JSON_PREFIX])
def test_text_that_looks_encoded_comes_back_as_it_is(attrs, value):
    copyattrs({"x": value}, attrs)
    assert back(attrs)["x"] == value


def test_damaged_json_is_shown_as_it_is(attrs):
    attrs["x"] = JSON_PREFIX + '{"a": '
    assert back(attrs)["x"] == JSON_PREFIX + '{"a": '


looped = []
looped.append(looped)
UNSTORABLE = [
    None,
    object(),
    {1, 2},
    len,
    [None, 1],
    [object()],
    {"a": object()},
    {(1, 2): 3},
    {"s": {1}},
    {"b": b"\xff"},
    "nul\0",
    b"nul\0",
    np.array([object()]),
    np.ma.masked_array([1, 2], [True, False]),
    looped,
    {"a": looped},
]


@pytest.mark.parametrize("value", UNSTORABLE, ids=lambda value: repr(value)[:40])
def test_what_cannot_be_written_is_a_type_error_and_nothing_is_written(attrs, value):
    attrs["z"] = "old"
    with pytest.raises(TypeError, match="'x'"):
        copyattrs({"a": 1, "x": value, "z": "new"}, attrs)
    assert dict(attrs) == {"z": "old"}


@pytest.mark.parametrize("name", ["", "a\0b", 5, None, b"x"], ids=repr)
def test_names_that_cannot_be_written(attrs, name):
    with pytest.raises((TypeError, ValueError)):
        copyattrs({name: 1}, attrs)
    assert len(attrs) == 0


def test_null_dataspaces(attrs):
    copyattrs({"x": h5py.Empty("f4")}, attrs)
    assert attrs["x"] == h5py.Empty("f4")
    assert back(attrs)["x"] == h5py.Empty("f4")


def test_attributes_that_are_there_are_replaced(attrs):
    attrs["x"] = np.arange(5)
    copyattrs({"x": "text"}, attrs)
    assert attrs["x"] == "text"


def test_from_file_to_file(attrs, tmp_path):
    copyattrs({"j": {"a": [1]}, "s": ["a", "b"], "n": 3, "b": b"x"}, attrs)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        copyattrs(attrs, file.attrs)
        assert dict(back(file.attrs), s=None) == {"j": {"a": [1]}, "s": None, "n": 3, "b": b"x"}
        assert raw_json(file.attrs["j"]) == {"a": [1]}


class TestIntoMemory:
    def test_order_is_sorted(self):
        assert list(back({"z": 1, "a": 2, "m": 3})) == ["a", "m", "z"]

    def test_values_are_copies(self):
        source = {"list": [1, [2]], "array": np.arange(3), "dict": {"a": [1]}, "none": None}
        target = back(source)
        source["list"][1].append(3)
        source["array"][0] = 9
        source["dict"]["a"].append(2)
        assert target["list"] == [1, [2]]
        assert target["array"].tolist() == [0, 1, 2]
        assert target["dict"] == {"a": [1]}

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (b"a", "a"),
            (np.bytes_(b"a"), "a"),
            (np.array([b"a", b"bc"]), np.array(["a", "bc"])),
            ([b"a", [b"b"]], ["a", ["b"]]),
            ((b"a", 1), ("a", 1)),
            ({b"a"}, {"a"}),
            ({b"k": b"v"}, {"k": "v"}),
            ({"k": [np.array([b"a"])]}, {"k": [np.array(["a"])]}),
            ("grün".encode(), "grün"),
        ],
        ids=repr,
    )
    def test_bytes_become_str_where_asked(self, value, text):
        found = back({"x": value}, convert_strings=True)["x"]
        if isinstance(text, np.ndarray):
            assert same(found, text)
        else:
            assert repr(found) == repr(text)
        assert type(back({"x": value})["x"]) is not str

    @pytest.mark.parametrize("value", [b"\xff\xfe", np.array([b"\xff"]), [b"\xff"]], ids=repr)
    def test_bytes_that_are_no_text_stay_bytes(self, value):
        assert repr(back({"x": value}, convert_strings=True)["x"]) == repr(value)

    def test_structured_scalars_stay(self):
        value = np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")])[0]
        assert back({"x": value})["x"] == value
        assert back({"x": value})["x"].dtype.names == ("a", "b")


def test_attrs2dict_decodes(attrs):
    copyattrs({"j": {"a": 1}, "n": 3}, attrs)
    assert attrs2dict(attrs) == {"j": {"a": 1}, "n": 3}
    assert type(attrs2dict(attrs)) is dict


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)))
)
json_values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_any_dict_of_what_json_has_comes_back(tmp_path_factory, value):
    with h5py.File(tmp_path_factory.mktemp("a") / "x.h5", "w") as file:
        copyattrs({"x": value}, file.attrs)
        assert back(file.attrs)["x"] == value


class TestZarr:
    @pytest.fixture(params=[2, 3])
    def attrs(self, tmp_path, request):
        zarr = pytest.importorskip("zarr")
        options = {"zarr_format": request.param} if zarr.__version__ >= "3" else {}
        return zarr.open_group(str(tmp_path / "x.zarr"), mode="w", **options).attrs

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (None, None),
            (True, True),
            (3, 3),
            ("text", "text"),
            ([1, "a", None], [1, "a", None]),
            (["a", "b"], ["a", "b"]),
            (np.arange(3), np.arange(3)),
            (np.array(["a", "b"]), ["a", "b"]),
            ({"a": [1]}, {"a": [1]}),
            (MOMENT, MOMENT.isoformat()),
            (np.float32(0.5), 0.5),
            (2**70, 2**70),
            (1 + 2j, 1 + 2j),
            ([1j, 2], [1j, 2]),
            (SOME_ID, SOME_ID),
            (math.inf, math.inf),
            ([1.5, -math.inf], [1.5, -math.inf]),
        ],
        ids=repr,
    )
    def test_there_and_back(self, attrs, value, expected):
        copyattrs({"x": value}, attrs)
        assert same(back(attrs)["x"], expected)

    def test_dicts_are_encoded_as_in_hdf5(self, attrs):
        copyattrs({"x": {"a": 1}}, attrs)
        assert raw_json(attrs["x"]) == {"a": 1}

    def test_bytes_need_the_option(self, attrs):
        with pytest.raises(TypeError, match="'x'"):
            copyattrs({"x": b"a"}, attrs)
        copyattrs({"x": b"a"}, attrs, convert_strings=True)
        assert attrs["x"] == "a"

    @pytest.mark.parametrize("value", [object(), {1}, len], ids=repr)
    def test_what_cannot_be_written(self, attrs, value):
        with pytest.raises(TypeError, match="'x'"):
            copyattrs({"a": 1, "x": value}, attrs)
        assert dict(attrs) == {}
