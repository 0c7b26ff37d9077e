"""Attributes in zarr: strict JSON, from which every value comes back as it was.

Most values are JSON already, or have a form there that other programs of this family write
(`memdata.formats.attributes.JSON_PREFIX`: dicts and dates). What JSON has no type for is written
as something that a reader understands, and what it was stands in one more attribute, `TYPES`::

    value                     written as              said of it
    ------------------------  ----------------------  -----------------------------------
    nan, inf                  "NaN", "Infinity"       "float"
    complex                   [real, imaginary]       "complex"
    bytes that are no text    base 64                 "bytes"
    UUID                      text                    "uuid"
    array                     list                    {"array": type, "shape": [...]}
    long double, timedelta64  number or text          {"array": ..., "scalar": true}
    array of structures       base 64                 {"raw": type, "shape": [...]}
    h5py.Empty                null                    {"empty": type}
    reference                 path                    "reference"
    ragged arrays, references list                    {"elements": type, "shape": [...]}
    list with such values     list                    {"items": {index: what}}
"""

from __future__ import annotations

import base64
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from memdata.formats import zarr_library, zarr_objects
from memdata.formats.attributes import UnstorableAttribute, to_json_value, to_memory
from memdata.formats.tagged import NOT_UNDERSTOOD, TAG
from memdata.formats.zarr_types import described, from_description

__all__ = [
    "CHUNKED",
    "CREATION",
    "HIDDEN",
    "LINKS",
    "ORDER",
    "TYPES",
    "decoded",
    "decoded_creation",
    "encoded",
    "encoded_creation",
    "read_attributes",
    "update",
]

Array = np.ndarray[Any, Any]

#: What the values of attributes were, by name.
TYPES = "__memdata_types"

#: On a group: members that are links, by name.
LINKS = "__memdata_links"

#: On an array of one chunk without filters, which is how arrays without chunks are stored: it has.
CHUNKED = "__memdata_chunked"

#: On an array: how it is made, as far as zarr has no place for it.
CREATION = "__memdata_creation"

#: Among a group's creation properties: the names of its members, where their order counts.
ORDER = "order"

#: Attributes in a store that are none in memory.
HIDDEN = frozenset({TAG, TYPES, LINKS, CHUNKED, CREATION})

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


# ---- writing ----


def encoded(attrs: Mapping[str, Any], where: str, *, convert_strings: bool) -> dict[str, Any]:
    """Attributes as a store has them.

    Parameters
    ----------
    attrs : mapping
        As memory has them.
    where : str
        Their owner, for messages.
    convert_strings : bool
        Bytes, and arrays of them, become str; without it they are refused.

    Raises
    ------
    TypeError
        Names the attribute that JSON cannot hold.
    """
    result: dict[str, Any] = {}
    types: dict[str, Any] = {}
    for name, value in attrs.items():
        if type(name) is not str or name in HIDDEN:
            raise TypeError(f"{where}an attribute cannot have the name {name!r}")
        try:
            result[name], what = _encoded(value, convert_strings)
            json.dumps(result[name], allow_nan=False)
        except (TypeError, UnstorableAttribute) as error:
            raise UnstorableAttribute(f"{where}attribute {name!r}: {error}") from None
        except (RecursionError, ValueError) as error:
            raise UnstorableAttribute(
                f"{where}attribute {name!r} holds itself, or is nested too deeply: {error}"
            ) from None
        if what is not None:
            types[name] = what
    if types:
        result[TYPES] = types
    return result


def _encoded(value: Any, convert: bool) -> tuple[Any, Any]:
    """JSON, and what the value was where JSON does not say."""
    if isinstance(value, np.generic) and value.dtype.kind not in "MV":
        plain = value.item()
        if isinstance(plain, np.generic) or value.dtype.kind == "m":  # Python has no such type
            form, what = _encoded_array(np.asarray(value), convert)
            return form, {**what, "scalar": True}
        value = plain
    if isinstance(value, float) and not math.isfinite(value):
        return _spelt(float(value)), "float"
    if isinstance(value, complex):
        return [_finite(value.real), _finite(value.imag)], "complex"
    if isinstance(value, uuid.UUID):
        return str(value), "uuid"
    if isinstance(value, bytes) and convert and b"\0" not in value:
        try:
            return to_json_value(value, convert_strings=True), None
        except UnstorableAttribute:
            pass  # no text
    if isinstance(value, bytes) and convert:
        return base64.b64encode(value).decode(), "bytes"
    if isinstance(value, (np.ndarray, np.void)) and not isinstance(value, np.ma.MaskedArray):
        return _encoded_array(np.asarray(value), convert)
    if isinstance(value, list | tuple) and _has_plain_form(value, convert):
        return _encoded_list(value, convert)
    if type(value).__module__.partition(".")[0] == "h5py":
        import h5py

        if isinstance(value, h5py.Empty):
            return None, {"empty": described(value.dtype, objects=True)}
    from memdata.formats.references import ObjectReference, RegionReference

    if isinstance(value, RegionReference):
        return _encoded_array(value.as_array().reshape(1), convert)
    if isinstance(value, ObjectReference):
        return value.path, "reference"
    return to_json_value(value, convert_strings=convert), None


def _has_plain_form(value: Sequence[Any], convert: bool) -> bool:
    """Whether a list is written as one: those with dicts or dates inside are text."""
    try:
        return not isinstance(to_json_value(value, convert_strings=convert), str)
    except UnstorableAttribute:
        return True  # an item of it may have a form of its own


def _encoded_list(value: Sequence[Any], convert: bool) -> tuple[Any, Any]:
    pairs = [_encoded(item, convert) for item in value]
    items = {str(index): what for index, (_, what) in enumerate(pairs) if what is not None}
    return [item for item, _ in pairs], {"items": items} if items else None


def _encoded_array(value: Array, convert: bool) -> tuple[Any, Any]:
    kind = value.dtype.kind
    if value.dtype.hasobject and (kind == "V" or _says_what(value.dtype)):
        items = [zarr_objects.to_json(item, value.dtype) for item in value.reshape(-1)]
        return items, {
            "elements": described(value.dtype, objects=True),
            "shape": list(value.shape),
        }
    if kind in "OUTS" or (kind == "V" and value.dtype.isbuiltin == 2):
        return to_json_value(value, convert_strings=convert), None  # lists, as the others write
    shape = list(value.shape)
    if kind == "V":
        raw = np.asarray(value, order="C").tobytes()
        return base64.b64encode(raw).decode(), {"raw": described(value.dtype), "shape": shape}
    what = {"array": described(value.dtype), "shape": shape}
    if kind in "mM":
        return value.astype("i8" if kind == "m" else "U").tolist(), what
    if kind == "c":
        real = value.real.dtype
        pairs = np.stack([value.real, value.imag], axis=-1).astype(real)
        return _nested(pairs), what
    if kind == "f":
        return _nested(value), what
    return value.tolist(), what


def _says_what(dtype: np.dtype[Any]) -> bool:
    """Whether objects are references or ragged arrays; those of text are written as lists."""
    metadata: Any = dtype.metadata or {}
    return "ref" in metadata or metadata.get("vlen") not in (None, str, bytes)


def _nested(value: Array) -> Any:
    """Floats as lists: what JSON has no number for is text."""
    if value.dtype.itemsize > 8:
        return _for_each(value, str)
    plain = value.astype(np.float64)
    return plain.tolist() if np.isfinite(plain).all() else _for_each(plain, _finite)


def _for_each(value: Array, make: Any) -> Any:
    """Lists as deep as the array, of what `make` makes of each element."""
    result = np.empty(value.shape, object)
    for index, item in np.ndenumerate(value):
        result[index] = make(item)
    return result.tolist()


def _finite(value: float) -> Any:
    return value if math.isfinite(value) else _spelt(value)


def _spelt(value: float) -> str:
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


# ---- reading ----


def decoded(stored: Mapping[str, Any], *, convert_strings: bool = False) -> dict[str, Any]:
    """Attributes as memory has them, from those of a store."""
    types = stored.get(TYPES)
    if not isinstance(types, Mapping):
        types = {}
    result = {}
    for name, value in stored.items():
        if name in HIDDEN:
            continue
        what = types.get(name)
        if what is not None:
            try:
                result[name] = _decoded(value, what)
                continue
            except NOT_UNDERSTOOD:
                pass  # another program has changed the value: it is shown as it is
        result[name] = to_memory(value, convert_strings=convert_strings)
    return result


def read_attributes(member: Any, *, convert_strings: bool = False) -> dict[str, Any]:
    """The attributes of a group or array of a store."""
    return decoded(dict(member.attrs), convert_strings=convert_strings)


def _decoded(value: Any, what: Any) -> Any:
    if what == "float":
        return _NOT_FINITE[value]
    if what == "complex":
        real, imaginary = value
        return complex(_number(real), _number(imaginary))
    if what == "bytes":
        return base64.b64decode(value, validate=True)
    if what == "uuid":
        return uuid.UUID(value)
    if what == "reference":
        from memdata.formats.references import ObjectReference

        return ObjectReference(value)
    if "items" in what:
        items = {int(index): inner for index, inner in what["items"].items()}
        return [
            _decoded(item, items[index]) if index in items else to_memory(item)
            for index, item in enumerate(value)
        ]
    if "empty" in what:
        import h5py

        return h5py.Empty(from_description(what["empty"]))
    if "elements" in what:
        dtype = from_description(what["elements"])
        array = np.zeros(len(value), dtype)
        for index, item in enumerate(value):
            array[index] = zarr_objects.from_json(item, dtype)
        return array.reshape(what["shape"])
    if "raw" in what:
        raw = base64.b64decode(value, validate=True)
        array = np.frombuffer(raw, from_description(what["raw"])).reshape(what["shape"]).copy()
        return array if array.ndim else array[()]
    array = _decoded_array(value, from_description(what["array"]), tuple(what["shape"]))
    return array[()] if what.get("scalar") else array


def _number(value: Any) -> float:
    return _NOT_FINITE[value] if isinstance(value, str) else float(value)


def _decoded_array(value: Any, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
    if dtype.kind in "fc":
        part = np.empty(0, dtype).real.dtype
        array = np.asarray(np.array(value, dtype=object), dtype=object)
        flat = np.array([_as_float(item, part) for item in array.flat], dtype=part)
        result = flat.view(dtype) if dtype.kind == "c" else flat
        return result.reshape(shape)
    # Without a type NumPy makes floats of integers above 2**63.
    known = {"m": np.dtype("i8"), "i": dtype, "u": dtype, "b": dtype}
    array = np.asarray(value, known.get(dtype.kind))
    with np.errstate(invalid="raise"):  # numbers that the type does not have
        return array.astype(dtype).reshape(shape)


def _as_float(item: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(item, str) and item in _NOT_FINITE:
        return _NOT_FINITE[item]
    return dtype.type(item)


# ---- how nodes are made ----

#: Creation properties that are kept in a store; see `memdata.formats.hdf5_creation`.
_KEPT = frozenset(
    {
        *("maxshape", "fillvalue", "fill_time", "scaleoffset", "track_order", "track_times"),
        *("chunks", "layout", "named_type", "filters", "type", "inner_axes"),
        ORDER,
    }
)

#: Of attributes: HDF5's types, where memory forgets them.
_ATTRIBUTES = "attributes"


def encoded_creation(creation: Mapping[str, Any]) -> dict[str, Any]:
    """Creation properties as JSON; those that have no form there are left out."""
    kept: dict[str, Any] = {}
    for name in _KEPT & creation.keys():
        try:
            one = encoded({name: creation[name]}, "", convert_strings=True)
            kept[TYPES] = {**kept.get(TYPES, {}), **one.pop(TYPES, {})}
            kept.update(one)
        except UnstorableAttribute:
            continue
    if _ATTRIBUTES in creation:
        exact = _encoded_exact(creation[_ATTRIBUTES])
        if exact["values"]:
            kept[_ATTRIBUTES] = exact
    return kept


def _encoded_exact(as_read: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers among attributes as HDF5 had them; see `hdf5_attributes.AsRead`."""
    values, types = {}, {}
    for name, item in as_read.items():
        if not isinstance(item.value, np.ndarray) or item.value.dtype.kind not in "biufc":
            continue
        values[name] = item.value
        if item.type is not None:
            types[name] = base64.b64encode(item.type).decode()
    return {"values": encoded(values, "", convert_strings=True), "types": types}


def _decoded_exact(stored: Any) -> dict[str, Any]:
    from memdata.formats.hdf5_attributes import AsRead

    try:
        types = {name: base64.b64decode(text) for name, text in stored["types"].items()}
        values = decoded(stored["values"])
    except (TypeError, ValueError, LookupError, AttributeError):
        return {}  # another program has changed it
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    return {name: AsRead(value, types.get(name)) for name, value in arrays.items()}


def decoded_creation(stored: Any) -> dict[str, Any]:
    """Creation properties from JSON."""
    if not isinstance(stored, Mapping):
        return {}
    found = {name: _tuples(value) for name, value in decoded(stored).items() if name in _KEPT}
    exact = _decoded_exact(stored[_ATTRIBUTES]) if _ATTRIBUTES in stored else None
    return {**found, _ATTRIBUTES: exact} if exact else found


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


# ---- open stores ----


def update(attrs: Any, values: Mapping[str, Any], *, convert_strings: bool) -> None:
    """Write values into the ``attrs`` of an open group or array; others stay.

    Raises
    ------
    TypeError
        A value that JSON cannot hold. Nothing has been written then.
    """
    merge(attrs, encoded(values, "", convert_strings=convert_strings))


def merge(attrs: Any, new: Mapping[str, Any]) -> None:
    """Add what `encoded` has made to the ``attrs`` of an open group or array."""
    there = attrs.get(TYPES)
    types = dict(there) if isinstance(there, Mapping) else {}
    kept = {name: what for name, what in types.items() if name not in new}
    kept.update(new.get(TYPES, {}))
    changed = {name: value for name, value in new.items() if name != TYPES}
    if kept or types:
        changed[TYPES] = kept
    if changed:
        with zarr_library.quiet():
            attrs.update(changed)
