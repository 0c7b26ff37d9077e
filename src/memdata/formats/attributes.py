"""What an attribute value becomes in memory, in an HDF5 file and in a zarr store.

Memory holds any Python object. A file does not, so a value is *encoded* when it is written and
*decoded* when it is read::

    memory                          HDF5                          zarr (JSON)
    ------------------------------  ----------------------------  ----------------------
    bool, int, float, complex       scalar of that type           the value
    str                             variable-length string        the value
    list, tuple or array of str     array of such strings         list
    ndarray of anything else        array                         list
    dict, datetime (inside, too)    JSON_PREFIX + JSON, a string  JSON_PREFIX + JSON
    UUID, int above 64 bits         the same                      the same
    complex                         scalar of that type           JSON_PREFIX + JSON
    NaN, infinity                   scalar of that type           JSON_PREFIX + JSON
    None                            refused                       null

What JSON has no form of (complex numbers, UUIDs) is an object of `_KIND` and ``"value"`` in it.

Encoding never touches a file: every ``TypeError`` is raised while a save is still being planned.
"""

from __future__ import annotations

import copy
import datetime
import json
import math
import uuid
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

import numpy as np

from memdata.formats import strings

__all__ = [
    "JSON_PREFIX",
    "UnstorableAttribute",
    "attrs2dict",
    "copyattrs",
    "same_value",
    "to_array",
    "to_json_value",
    "to_memory",
]

#: What a string attribute starts with when the rest of it is JSON.
JSON_PREFIX = "!!_memh5_json:"

#: The key of JSON objects that stand for something else than a dict.
_KIND = "__memdata__"

_PLAIN = frozenset({bool, int, float, complex, str, type(None)})
_DATES = (datetime.datetime, datetime.date, datetime.time, np.datetime64)


class UnstorableAttribute(TypeError):  # noqa: N818 - users see and catch it as a TypeError
    """An attribute value that the target cannot hold."""


# Values inside JSON


def _one_element(array: np.ndarray[Any, Any]) -> bool:
    """Whether `array` is written as its only element: 0-d, or 1-d with length one."""
    return array.ndim == 0 or array.shape == (1,)


def _jsonable(value: Any) -> Any:
    """`value` built of what JSON has; raises `UnstorableAttribute` where it cannot be."""
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if isinstance(value, Mapping):
        found = {_json_key(key): _jsonable(item) for key, item in value.items()}
        if _KIND in found:  # a dict that looks like one of our own objects
            return {_KIND: "dict", "value": [list(item) for item in found.items()]}
        return found
    if isinstance(value, uuid.UUID):
        return {_KIND: "uuid", "value": str(value)}
    if isinstance(value, complex):
        return {_KIND: "complex", "value": [value.real, value.imag]}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.datetime64):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "M":
            return _jsonable(value.astype("U").tolist())
        return _jsonable(value.item() if _one_element(value) else value.tolist())
    if isinstance(value, np.generic):
        plain = value.item()
        if isinstance(plain, np.generic):  # longdouble: Python has no type as wide
            if isinstance(plain, np.floating):
                return float(plain)
        else:
            return _jsonable(plain)
    elif isinstance(value, str):
        return str(value)
    elif isinstance(value, int):
        return int(value)
    elif isinstance(value, float):
        return float(value)
    raise UnstorableAttribute(f"a {kind.__name__} has no JSON form: {_short(value)}")


def _json_key(key: Any) -> str:
    """The JSON name for a dict's key: text, or the JSON spelling of a simple value."""
    key = _jsonable(key)
    if isinstance(key, str):
        return key
    if isinstance(key, list | dict):
        raise UnstorableAttribute(f"a dict with the key {_short(key)} has no JSON form")
    return json.dumps(key)


def _dump(value: Any) -> str:
    try:
        return JSON_PREFIX + json.dumps(_jsonable(value))
    except RecursionError:
        raise UnstorableAttribute(
            "the value holds itself, or is nested too deeply for JSON"
        ) from None


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise UnstorableAttribute(f"these bytes are not UTF-8 text: {_short(value)}") from None


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a hostile repr must not hide the message
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."


def _holds_mapping_or_date(value: Any) -> bool:
    """Whether a list or tuple has a dict or a date somewhere inside."""
    todo: list[Any] = [value]
    seen: set[int] = set()
    while todo:
        item = todo.pop()
        if isinstance(item, (Mapping, uuid.UUID, *_DATES)):
            return True
        if isinstance(item, list | tuple) and id(item) not in seen:
            seen.add(id(item))
            todo.extend(item)
        elif isinstance(item, np.ndarray) and item.dtype.kind == "O":
            todo.extend(item.flat)
    return False


# Memory


def to_memory(value: Any, *, convert_strings: bool = False, decode: bool = True) -> Any:
    """A copy of `value` as memory holds it.

    NumPy scalars become Python scalars where Python has the type.

    Parameters
    ----------
    value : object
        An attribute's value, from memory or as h5py or zarr reads it.
    convert_strings : bool
        Bytes and arrays of byte strings become str, in lists, tuples, sets and dicts too.
    decode : bool
        The value comes from a file: a string of JSON is decoded (its dates stay text).

    Returns
    -------
    object
        Nothing of it is shared with `value`.

    Examples
    --------
    >>> to_memory(np.float32(1.5)), to_memory('!!_memh5_json:{"a": [1, 2]}')
    (1.5, {'a': [1, 2]})
    >>> to_memory([b"x", b"y"], convert_strings=True)
    ['x', 'y']
    """
    kind = type(value)
    if kind is str:
        return _decode_json(value) if decode and value.startswith("!!_") else value
    if kind in _PLAIN:
        return value
    if isinstance(value, np.generic):
        value = _python_scalar(value)
        if isinstance(value, str):
            return _decode_json(value) if decode else value
    if isinstance(value, bytes):
        if decode and value.startswith(JSON_PREFIX.encode()):
            return _decode_json(value.decode("utf-8", "surrogateescape"))
        return strings.decode_bytes(value) if convert_strings else value
    if isinstance(value, np.ndarray):
        if convert_strings:
            try:
                if strings.has_bytes(value.dtype):
                    return strings.to_unicode(value)
                if value.dtype.kind == "O":
                    return strings.decode_objects(copy.deepcopy(value))
            except UnicodeDecodeError:
                pass  # not text: kept as bytes, as a single bytes value is
        return copy.deepcopy(value) if value.dtype.hasobject else value.copy()
    if convert_strings and isinstance(value, list | tuple | set | frozenset | Mapping):
        return _convert_container(value)
    if _is_h5py_value(value):  # h5py.Empty and references have no state that changes
        return value
    return copy.deepcopy(value)


def _convert_container(value: Any) -> Any:
    """A container whose elements all went through `to_memory`."""
    if isinstance(value, Mapping):
        pairs = {
            to_memory(key, convert_strings=True, decode=False): to_memory(
                item, convert_strings=True, decode=False
            )
            for key, item in value.items()
        }
        return pairs if type(value) is dict else _rebuilt(value, pairs)
    items = [to_memory(item, convert_strings=True, decode=False) for item in value]
    if type(value) is list:
        return items
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*items)
    return _rebuilt(value, items)


def _rebuilt(value: Any, content: Any) -> Any:
    """An object of the type of `value` around `content`; a plain one where that is refused."""
    try:
        return type(value)(content)
    except TypeError:
        return content


def _python_scalar(value: np.generic) -> Any:
    if value.dtype.kind == "V" and value.dtype.names is not None:
        return copy.deepcopy(value)  # .item() would lose the field names
    if value.dtype.kind in "mM":
        return value  # .item() would lose the unit, and turn nanoseconds into an int
    return value.item()


def _decode_json(text: str) -> Any:
    if not text.startswith(JSON_PREFIX):
        return text
    try:
        return json.loads(text[len(JSON_PREFIX) :], object_hook=_restored)
    except (ValueError, RecursionError):
        return text  # not ours after all; what is there is shown as it is


def _restored(found: dict[str, Any]) -> Any:
    """What an object in JSON stands for."""
    if found.keys() != {_KIND, "value"}:
        return found
    value = found["value"]
    try:
        if found[_KIND] == "uuid":
            return uuid.UUID(value)
        if found[_KIND] == "complex":
            return complex(*value)
        if found[_KIND] == "dict":
            return dict(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        pass  # not ours
    return found


def _is_h5py_value(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "h5py"


def same_value(one: Any, other: Any) -> bool:
    """Whether two attribute values are the same in type and content, down to the bits of floats.

    Examples
    --------
    >>> same_value(1, 1.0), same_value([float("nan"), "a"], [float("nan"), "a"])
    (False, True)
    """
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if isinstance(one, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        if one.dtype.names is not None:  # the bytes between fields mean nothing
            return all(same_value(one[name], other[name]) for name in one.dtype.names)
        if one.dtype.hasobject:
            return same_value(one.tolist(), other.tolist())
        return bool(one.tobytes() == other.tobytes())
    if isinstance(one, dict):
        return list(one) == list(other) and all(same_value(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, np.generic):
        return one.dtype == other.dtype and same_value(np.asarray(one), np.asarray(other))
    if kind is float or kind is complex:
        return bool(np.asarray(one).tobytes() == np.asarray(other).tobytes())
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - what cannot be compared is not the same
        return False


# HDF5


def to_array(value: Any, *, convert_strings: bool = False) -> Any:
    """`value` as the array that an HDF5 attribute stores.

    Parameters
    ----------
    value : object
        An attribute's value in memory.
    convert_strings : bool
        Accept NumPy's unicode arrays, stored as variable-length strings.

    Returns
    -------
    ndarray, str or h5py.Empty
        A str stands for one variable-length string, and so does each element of an object
        array. Object arrays carry h5py's metadata (`h5py.string_dtype`, ...).

    Raises
    ------
    UnstorableAttribute
        A `TypeError`: HDF5 has no type for the value.
    """
    kind = type(value)
    if kind is str:
        return _string(value)
    if kind is int:
        return _integer(value)
    if kind is float or kind is bool or kind is complex:
        return np.asarray(value)
    if isinstance(value, np.ma.MaskedArray):
        raise UnstorableAttribute("a masked array would lose its mask; store data and mask apart")
    if isinstance(value, np.ndarray):
        return _array(value, convert_strings)
    if isinstance(value, str):
        return _string(str(value))
    if isinstance(value, (Mapping, uuid.UUID, *_DATES)):
        return _dump(value)
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, list | tuple):
        return _sequence(value, convert_strings)
    if isinstance(value, np.generic):
        return _array(np.asarray(value), convert_strings)
    if isinstance(value, int):  # IntEnum and the like
        return _integer(int(value))
    if isinstance(value, float | complex):
        return np.asarray(value)
    if _is_h5py_value(value):
        return _h5py_value(value)
    from memdata.formats.references import ObjectReference, RegionReference

    if isinstance(value, ObjectReference | RegionReference):
        return value.as_array()
    if hasattr(value, "__array__"):
        return _array(np.asarray(value), convert_strings)
    raise UnstorableAttribute(f"HDF5 cannot hold a value of type {kind.__name__}: {_short(value)}")


def _integer(value: int) -> Any:
    array = np.asarray(value)
    return _dump(value) if array.dtype.kind == "O" else array  # more than 64 bits


def _string(value: str) -> str:
    if "\0" in value:
        raise UnstorableAttribute(f"HDF5's strings cannot hold a NUL character: {_short(value)}")
    # A plain string that looks like encoded JSON is wrapped, so that it comes back as it is.
    return JSON_PREFIX + json.dumps(value) if value.startswith(JSON_PREFIX) else value


def _bytes(value: bytes) -> Any:
    if value.endswith(b"\0"):
        raise UnstorableAttribute(
            f"HDF5 cuts NUL bytes at the end of a byte string: {_short(value)}; "
            "numpy.void(value) keeps them"
        )
    return np.asarray(bytes(value))


def _sequence(value: Any, convert_strings: bool) -> Any:
    if _holds_mapping_or_date(value):
        return _dump(value)
    try:
        array = np.asarray(value)
    except ValueError:  # ragged: NumPy has no array of it, JSON has
        return _ragged(value)
    except RecursionError:
        raise UnstorableAttribute("the value holds itself") from None
    if array.dtype.kind == "U":
        leaves = _leaves(value)
        if all(isinstance(item, str) or _is_text_array(item) for item in leaves):
            return _string_array(array.astype(object))
        return _dump(value)  # [1, "a"]: NumPy would turn the number into text
    if array.dtype.kind == "O":
        return _ragged(value)
    if array.dtype.kind == "S" and not all(isinstance(x, bytes) for x in _leaves(value)):
        return _ragged(value)
    return _array(array, convert_strings)


def _ragged(value: Any) -> str:
    if any(item is None for item in _leaves(value)):
        raise UnstorableAttribute(f"HDF5 has nothing that stands for None: {_short(value)}")
    return _dump(value)


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _is_text_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "U"


def _array(value: np.ndarray[Any, Any], convert_strings: bool) -> Any:
    kind = value.dtype.kind
    if kind == "U":
        if not convert_strings:
            raise UnstorableAttribute(
                f"HDF5 has no type for {value.dtype}; convert_attribute_strings=True stores "
                "variable-length strings"
            )
        return _string_array(value.astype(object))
    if kind == "O":
        return _object_array(value)
    if kind == "T":
        return _string_array(value.astype(object))
    return _object_array(value) if value.dtype.hasobject else value


def _object_array(value: np.ndarray[Any, Any]) -> Any:
    if value.dtype.metadata or value.dtype.names is not None:
        from memdata.formats.hdf5_objects import check_objects

        return check_objects(value)
    kinds = {type(item) for item in value.flat}
    if all(issubclass(item, str) for item in kinds):
        return _string_array(value)
    if all(issubclass(item, bytes) for item in kinds):
        return _string_array(value, "ascii")
    if any(issubclass(item, Mapping | datetime.date | datetime.time) for item in kinds):
        return _dump(value)
    names = ", ".join(sorted(item.__name__ for item in kinds))
    raise UnstorableAttribute(f"HDF5 cannot hold an object array of {names}")


def _string_array(value: np.ndarray[Any, Any], encoding: str = "utf-8") -> np.ndarray[Any, Any]:
    from memdata.formats.hdf5_objects import check_objects
    from memdata.formats.hdf5_types import string_dtype

    array = value.astype(string_dtype(encoding))
    check_objects(array)
    return array


def _h5py_value(value: Any) -> Any:
    import h5py

    if isinstance(value, h5py.Empty):
        return value
    raise UnstorableAttribute(
        f"a {type(value).__name__} is only valid in the file that it was read from"
    )


# zarr


def to_json_value(value: Any, *, convert_strings: bool = False) -> Any:
    """`value` as a zarr attribute stores it: what JSON has.

    Parameters
    ----------
    value : object
        An attribute's value in memory.
    convert_strings : bool
        Bytes, and arrays of them, become str; without it they are refused.

    Returns
    -------
    object
        None, bool, int, float, str, or a list of these.

    Raises
    ------
    UnstorableAttribute
        A `TypeError`: JSON has no form of the value.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = str(value)
        return JSON_PREFIX + json.dumps(text) if text.startswith(JSON_PREFIX) else text
    if isinstance(value, np.ma.MaskedArray):
        raise UnstorableAttribute("a masked array would lose its mask; store data and mask apart")
    if isinstance(value, (Mapping, uuid.UUID, complex, *_DATES)):
        return _dump(value)
    if isinstance(value, float) and not math.isfinite(value):
        return _dump(value)  # JSON has no such number, though Python writes one
    if isinstance(value, list | tuple) and _needs_json(value):
        return _dump(value)
    if isinstance(value, np.ndarray):
        value = value.astype("U") if value.dtype.kind == "M" else value
        return to_json_value(value.tolist(), convert_strings=convert_strings)
    if isinstance(value, list | tuple):
        return [to_json_value(item, convert_strings=convert_strings) for item in value]
    if isinstance(value, bytes) and not convert_strings:
        raise UnstorableAttribute(f"JSON has no byte strings: {_short(value)}")
    return _jsonable(value)


def _needs_json(value: Any) -> bool:
    """Whether a list holds what zarr's own JSON has no form of."""
    if _holds_mapping_or_date(value):
        return True
    return any(
        isinstance(item, complex) or (isinstance(item, float) and not math.isfinite(item))
        for item in _leaves(value)
    )


# Whole sets of attributes


def _is_zarr(attrs: Any) -> bool:
    return type(attrs).__module__.partition(".")[0] == "zarr"


def _is_on_disk(attrs: Any) -> bool:
    return _is_zarr(attrs) or _is_h5py_value(attrs)


def attrs2dict(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as a dict of decoded copies.

    Parameters
    ----------
    attrs : mapping
        Attributes in memory, of an HDF5 object, or of a zarr object.

    Returns
    -------
    dict
        In the order of `attrs`.
    """
    if _is_zarr(attrs):
        from memdata.formats.zarr_attributes import decoded

        return decoded(attrs)
    return {name: to_memory(value) for name, value in attrs.items()}


def copyattrs(a1: Mapping[str, Any], a2: Any, convert_strings: bool = False) -> None:
    """Copy every attribute of `a1` into `a2`, in sorted order.

    Parameters
    ----------
    a1 : mapping
        The source: a dict, `MemAttrs`, or the ``attrs`` of an h5py or zarr object.
    a2 : mutable mapping
        The target: the same kinds. Attributes already there with the same name are replaced.
    convert_strings : bool
        Into memory: bytes become str. Into a file: unicode arrays become variable-length strings.

    Raises
    ------
    TypeError
        A value that the target cannot hold. Nothing has been written then.

    Examples
    --------
    >>> target = {}
    >>> copyattrs({"b": np.int32(2), "a": b"text"}, target, convert_strings=True)
    >>> target
    {'a': 'text', 'b': 2}
    """
    decode = _is_on_disk(a1)
    if _is_zarr(a1):
        a1, decode = attrs2dict(a1), False
    names = sorted(a1, key=str)
    values: dict[str, Any]
    if _is_h5py_value(a2):
        from memdata.formats.hdf5_attributes import write_attributes

        values = {name: to_memory(a1[name], decode=decode) for name in names}
        write_attributes(a2._id, values, convert_strings=convert_strings)
        return
    values = {
        name: to_memory(a1[name], convert_strings=convert_strings, decode=decode) for name in names
    }
    if _is_zarr(a2):
        from memdata.formats.zarr_attributes import update

        update(a2, values, convert_strings=convert_strings)
        return
    target: MutableMapping[str, Any] = a2
    target.update(values)
