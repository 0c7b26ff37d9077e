"""Part 4 of the behaviour page: `MemAttrs`, and attributes of groups and datasets."""

from __future__ import annotations

import copy
import datetime
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import MemAttrs, MemDatasetCommon, MemGroup

MARKER = object()
ANYTHING = [
    None,
    True,
    10**30,
    1.5,
    1j,
    "text",
    b"bytes",
    (1, "a"),
    [1, [2]],
    {"nested": {"dict": 1}},
    {1, 2},
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    np.float32(1.5),
    np.arange(3),
    np.array(["ä", "b"]),
    MARKER,
    len,
]


def test_is_a_dict():
    assert issubclass(MemAttrs, dict)
    attrs = MemAttrs(a=1)
    assert attrs == {"a": 1}
    attrs.update(b=2)
    assert attrs.pop("a") == 1
    assert list(attrs.items()) == [("b", 2)]


@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: type(value).__name__)
def test_holds_any_python_value_as_the_object_it_is(value):
    attrs = MemAttrs()
    attrs["key"] = value
    assert attrs["key"] is value


@given(st.dictionaries(st.text(), st.integers()))
def test_answers_as_a_dict(d):
    attrs = MemAttrs(d)
    assert attrs == d
    assert list(attrs) == list(d)
    assert len(attrs) == len(d)
    assert all(attrs.get(key) == value for key, value in d.items())


def test_missing_is_a_key_error():
    with pytest.raises(KeyError):
        MemAttrs()["a"]


def test_repr_shows_the_content():
    text = repr(MemAttrs(units="m"))
    assert "units" in text
    assert "'m'" in text


def test_has_a_type_of_its_own_after_pickle_and_deepcopy():
    attrs = MemAttrs(a=[1, 2])
    again = pickle.loads(pickle.dumps(attrs))
    assert type(again) is MemAttrs
    assert again == attrs
    deep = copy.deepcopy(attrs)
    assert type(deep) is MemAttrs
    assert deep == attrs
    assert deep["a"] is not attrs["a"]


def test_of_a_group_are_kept_by_the_tree(tree):
    tree["sky"].attrs["new"] = MARKER
    assert type(tree["sky"].attrs) is MemAttrs
    assert tree["sky"].attrs["new"] is MARKER
    assert tree["/sky/"].attrs is tree["sky"].attrs


def test_of_a_dataset_are_kept_by_the_tree(tree):
    tree["sky/map"].attrs["new"] = MARKER
    assert type(tree["sky/map"].attrs) is MemAttrs
    assert tree["sky/map"].attrs["new"] is MARKER


def test_of_different_nodes_are_different():
    group = MemGroup()
    group.create_group("a").attrs["x"] = 1
    group.create_dataset("b", data=[1]).attrs["x"] = 2
    assert group.attrs == {}
    assert group["a"].attrs["x"] == 1
    assert group["b"].attrs["x"] == 2
    assert MemDatasetCommon((1,), "f8").attrs == {}


def test_iterating_datasets_attributes_in_the_order_they_came(tree):
    attrs = tree["time"].attrs
    attrs.clear()
    for key in ["z", "a", "m"]:
        attrs[key] = 1
    assert list(attrs) == ["z", "a", "m"]
