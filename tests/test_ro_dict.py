"""Part 2 of the behaviour page: `ro_dict`."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Mapping, MutableMapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata import ro_dict

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
DICTS = st.dictionaries(st.text(max_size=4) | st.integers(), VALUES, max_size=5)


def test_is_a_mapping_and_not_a_mutable_one():
    assert isinstance(ro_dict(), Mapping)
    assert not isinstance(ro_dict(), MutableMapping)


def test_without_argument_is_empty():
    assert len(ro_dict()) == 0
    assert len(ro_dict(None)) == 0
    assert list(ro_dict()) == []


@given(DICTS)
def test_answers_as_the_dict_it_copied(d):
    r = ro_dict(d)
    assert len(r) == len(d)
    assert list(r) == list(d)
    assert list(r.keys()) == list(d.keys())
    assert list(r.values()) == list(d.values())
    assert list(r.items()) == list(d.items())
    assert dict(r) == d
    for key, value in d.items():
        assert key in r
        assert r[key] == value
        assert r.get(key) == value


@given(DICTS)
def test_equality_is_that_of_the_dicts(d):
    assert ro_dict(d) == ro_dict(copy.deepcopy(d))
    assert not ro_dict(d) != ro_dict(copy.deepcopy(d))  # noqa: SIM202 - `!=` is under test


@given(DICTS, DICTS)
def test_different_content_is_different(one, other):
    assert (ro_dict(one) == ro_dict(other)) == (one == other)
    assert (ro_dict(one) != ro_dict(other)) == (one != other)


def test_copies_the_dict_it_is_given():
    d = {"a": 1}
    r = ro_dict(d)
    d["a"] = 2
    d["b"] = 3
    assert dict(r) == {"a": 1}


def test_takes_another_ro_dict():
    assert ro_dict(ro_dict({"a": 1})) == ro_dict({"a": 1})


def test_missing_key_is_a_key_error_and_get_gives_the_default():
    r = ro_dict({"a": 1})
    with pytest.raises(KeyError, match="b"):
        r["b"]
    assert r.get("b") is None
    assert r.get("b", 5) == 5
    assert "b" not in r


def test_item_assignment_raises_type_error():
    r = ro_dict({"a": 1})
    with pytest.raises(TypeError):
        r["a"] = 2
    with pytest.raises(TypeError):
        r["b"] = 2
    assert dict(r) == {"a": 1}


def test_item_deletion_raises_type_error():
    r = ro_dict({"a": 1})
    with pytest.raises(TypeError):
        del r["a"]
    assert dict(r) == {"a": 1}


@pytest.mark.parametrize("method", ["clear", "pop", "popitem", "setdefault", "update"])
def test_has_no_method_that_changes_it(method):
    assert not hasattr(ro_dict({"a": 1}), method)


@pytest.mark.parametrize("other", [{"a": 1}, [("a", 1)], None, 1, "a"])
def test_is_equal_only_to_another_ro_dict(other):
    r = ro_dict({"a": 1})
    assert r != other
    assert not r == other  # noqa: SIM201 - `==` is under test


def test_array_values_are_compared_by_value():
    a = np.arange(6.0).reshape(2, 3)
    b = a.copy()
    assert ro_dict({"x": a}) == ro_dict({"x": b})
    b[1, 2] = -1
    assert ro_dict({"x": a}) != ro_dict({"x": b})


def test_arrays_that_broadcast_are_not_equal():
    one = ro_dict({"x": np.ones((1, 3))})
    other = ro_dict({"x": np.ones((2, 3))})
    assert one != other
    assert ro_dict({"x": np.ones(())}) != ro_dict({"x": np.ones(3)})


def test_arrays_that_do_not_fit_are_not_equal_and_do_not_warn():
    assert ro_dict({"x": np.ones(2)}) != ro_dict({"x": np.ones(3)})
    assert ro_dict({"x": np.array(["a", "b"])}) != ro_dict({"x": np.arange(2)})


def test_nested_arrays_are_compared_by_value():
    def content(last):
        return {"d": {"l": [1, (np.arange(3), {"deep": np.array([1, last])})]}}

    assert ro_dict(content(2)) == ro_dict(content(2))
    assert ro_dict(content(2)) != ro_dict(content(3))


def test_nested_ro_dicts_are_compared_by_value():
    assert ro_dict({"r": ro_dict({"x": np.arange(3)})}) == ro_dict(
        {"r": ro_dict({"x": np.arange(3)})}
    )
    assert ro_dict({"r": ro_dict({"x": np.arange(3)})}) != ro_dict(
        {"r": ro_dict({"x": np.arange(4)})}
    )


def test_structured_and_object_arrays_are_compared_by_value():
    dtype = np.dtype([("a", "i4"), ("b", "S3")])
    one = np.array([(1, b"x"), (2, b"y")], dtype)
    other = one.copy()
    assert ro_dict({"x": one}) == ro_dict({"x": other})
    other["b"][1] = b"z"
    assert ro_dict({"x": one}) != ro_dict({"x": other})
    strings = np.array(["a", None, 3], dtype=object)
    assert ro_dict({"x": strings}) == ro_dict({"x": strings.copy()})
    assert ro_dict({"x": strings}) != ro_dict({"x": np.array(["a", None, 4], dtype=object)})


def test_an_array_is_not_equal_to_a_list_of_its_elements():
    assert ro_dict({"x": np.array([[1, 2], [3, 4]])}) != ro_dict({"x": "text"})
    assert ro_dict({"x": np.arange(2)}) != ro_dict({"x": None})


def test_a_subclass_may_add_methods():
    class Axes(ro_dict):
        def names(self):
            return sorted(self)

    axes = Axes({"b": 1, "a": 2})
    assert axes.names() == ["a", "b"]
    assert axes == ro_dict({"a": 2, "b": 1})


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_can_be_copied(duplicate):
    r = ro_dict({"a": [1, 2], "b": np.arange(3)})
    again = duplicate(r)
    assert type(again) is ro_dict
    assert again == r


def test_can_be_pickled():
    r = ro_dict({"a": [1, 2], "b": np.arange(3)})
    assert pickle.loads(pickle.dumps(r)) == r


def test_repr_shows_the_content():
    text = repr(ro_dict({"freq": 1.5}))
    assert "freq" in text
    assert "1.5" in text


def test_a_subclass_keeps_attributes_of_its_own_through_copies():
    r = Noted({"a": 1})
    r.note = "mine"
    for again in (copy.copy(r), copy.deepcopy(r), pickle.loads(pickle.dumps(r))):
        assert type(again) is Noted
        assert again == r
        assert again.note == "mine"


class Noted(ro_dict):
    """At the level of the module, where pickle finds it."""


def test_one_that_holds_itself_has_a_repr_and_can_be_collected():
    inner = []
    r = ro_dict({"self": inner})
    inner.append(r)
    assert "..." in repr(r)
    watch = weakref.ref(r)
    del r, inner
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize("arguments", [(), ("a", 1, 2)])
def test_get_takes_a_key_and_a_default(arguments):
    with pytest.raises(TypeError):
        ro_dict().get(*arguments)


@pytest.mark.parametrize("bad", [5, "abc", [1, 2]])
def test_refuses_what_is_no_dict(bad):
    with pytest.raises((TypeError, ValueError)):
        ro_dict(bad)
