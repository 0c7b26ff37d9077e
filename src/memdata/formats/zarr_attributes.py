"""Attributes in zarr: strict JSON, from which every value comes back as it was.

Most values are JSON already, or have a form there that other programs of this family write
(`memdata.formats.attributes.JSON_PREFIX`: dicts and dates). What JSON has no type for is written
as something that a reader understands, and what it was stands in one more attribute, `TYPES`::

    value                     written as              said of it
    ------------------------  ----------------------  -----------------------------------
    nan, inf                  "NaN", "Infinity"       "float"
    complex                   [real, imaginary]       "complex"
    bytes                     text                    "utf-8"
    bytes that are no text    base 64                 "bytes"
    array of bytes            list of text            {"utf-8": type, "shape": [...]}
    UUID                      text                    "uuid"
    array                     list                    {"array": type, "shape": [...]}
    long double, timedelta64  number or text          {"array": ..., "scalar": true}
    array of structures       base 64                 {"raw": type, "shape": [...]}
    h5py.Empty                null                    {"empty": type}
    reference                 path                    "reference"
    ragged arrays, references list                    {"elements": type, "shape": [...]}
    list with such values     list                    {"items": {index: what}}
    ``_FillValue`` (xarray)   number, base 64         {"written": that, "form": ..., "what": ...}
"""

from __future__ import annotations

import base64
import json
import math
import struct
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from memdata.formats import zarr_library, zarr_objects
from memdata.formats.attributes import UnstorableAttribute, to_json_value, to_memory
from memdata.formats.tagged import NOT_UNDERSTOOD, TAG
from memdata.formats.zarr_types import TEXT, described, from_description

__all__ = [
    "ATTRIBUTE_ORDER",
    "CHUNKED",
    "CREATION",
    "HIDDEN",
    "LINKS",
    "NAMES",
    "ORDER",
    "TYPES",
    "decoded",
    "decoded_creation",
    "encoded",
    "encoded_creation",
    "in_order",
    "missing_value",
    "read_attributes",
    "read_missing_value",
    "update",
    "write_missing_value",
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

#: Among creation properties: the names of the attributes, where their order counts: zarr-python 2
#: sorts them.
ATTRIBUTE_ORDER = "attribute_order"

#: Among creation properties of an array: where the names of its axes come from; see
#: `memdata.formats.dimension_names`.
NAMES = "dimensions"

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
            return to_json_value(value, convert_strings=True), "utf-8"
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
        return _encoded_elements(value)
    if kind == "S" and convert:
        return _encoded_bytes(value)
    if kind in "OUT" and not value.size and value.ndim:
        return _encoded_elements(np.empty(value.shape, TEXT))  # a list tells no type
    if kind in "OUTS" or (kind == "V" and value.dtype.isbuiltin == 2):
        return to_json_value(value, convert_strings=convert), None  # lists, as the others write
    shape = list(value.shape)
    if kind == "V":
        return _encoded_raw(value)
    what = {"array": described(value.dtype), "shape": shape}
    if kind in "mM":
        return value.astype("i8" if kind == "m" else "U").tolist(), what
    if kind not in "fc":
        return value.tolist(), what
    real = value.real.dtype
    parts = np.stack([value.real, value.imag], axis=-1).astype(real) if kind == "c" else value
    if real.itemsize > 8 and not _has_text(parts):
        return _encoded_raw(value)
    return _nested(parts), what


def _has_text(value: Array) -> bool:
    """Whether long doubles come back from text: nearly zero, or no numbers at all, they do not."""
    tiny = np.finfo(value.dtype).tiny
    if ((value != 0) & (abs(value) < tiny)).any():
        return False
    again = np.array([value.dtype.type(str(item)) for item in value.flat], value.dtype)
    return bool(np.array_equal(again, value.reshape(-1), equal_nan=True))


def _encoded_elements(value: Array) -> tuple[Any, Any]:
    """Elements that are objects, one after the other."""
    items = [zarr_objects.to_json(item, value.dtype) for item in value.reshape(-1)]
    return items, {"elements": described(value.dtype, objects=True), "shape": list(value.shape)}


def _encoded_raw(value: Array) -> tuple[Any, Any]:
    raw = np.asarray(value, order="C").tobytes()
    what = {"raw": described(value.dtype), "shape": list(value.shape)}
    return base64.b64encode(raw).decode(), what


def _encoded_bytes(value: Array) -> tuple[Any, Any]:
    try:
        text = np.strings.decode(value, "utf-8").tolist()
    except UnicodeDecodeError:
        return _encoded_raw(value)
    return text, {"utf-8": described(value.dtype), "shape": list(value.shape)}


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


_MISSING = "_FillValue"


def missing_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """The number that ``_FillValue`` is, of the type of the elements; None where it is none."""
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "iuf" or dtype.kind not in "iuf":
        return None
    with np.errstate(all="ignore"):
        found = number.reshape(-1).astype(dtype.newbyteorder("="))
    return found[0] if np.array_equal(found, number.reshape(-1), equal_nan=True) else None


def write_missing_value(stored: dict[str, Any], value: Any, dtype: np.dtype[Any]) -> None:
    """Write ``_FillValue`` among encoded attributes as xarray has it in zarr's format 3.

    That is base 64 for floats, and one number else, where netCDF has an array of one element.
    """
    number = missing_value(value, dtype)
    if number is None:
        return
    written: Any = number.item()
    if dtype.kind == "f":
        written = base64.b64encode(struct.pack("<d", float(number))).decode()
    if stored[_MISSING] == written:
        return
    types = stored.setdefault(TYPES, {})
    what = types.get(_MISSING)
    types[_MISSING] = {"written": written, "form": stored[_MISSING], "what": what}
    stored[_MISSING] = written


def read_missing_value(value: Any, dtype: np.dtype[Any]) -> Any:
    """The number for ``_FillValue`` as xarray writes it; `value` itself where it is none."""
    if dtype.kind != "f" or not isinstance(value, str):
        return value
    try:
        return struct.unpack("<d", base64.b64decode(value, validate=True))[0]
    except (ValueError, struct.error):
        return value


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
                result[name] = _decoded(value, what, convert_strings)
                continue
            except NOT_UNDERSTOOD:
                pass  # another program has changed the value: it is shown as it is
        result[name] = to_memory(value, convert_strings=convert_strings)
    return result


def read_attributes(member: Any, *, convert_strings: bool = False) -> dict[str, Any]:
    """The attributes of a group or array of a store."""
    return decoded(dict(member.attrs), convert_strings=convert_strings)


def _decoded(value: Any, what: Any, convert: bool) -> Any:
    if what == "utf-8" and isinstance(value, str):
        return to_memory(value.encode(), convert_strings=convert)
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
    if "written" in what:
        if value != what["written"]:
            raise ValueError("another program has changed it")
        form, inner = what["form"], what["what"]
        plain = to_memory(form, convert_strings=convert)
        return plain if inner is None else _decoded(form, inner, convert)
    if "items" in what:
        items = {int(index): inner for index, inner in what["items"].items()}
        return [
            _decoded(item, items[index], convert) if index in items else to_memory(item)
            for index, item in enumerate(value)
        ]
    if "utf-8" in what:
        return _decoded_bytes(value, what, convert)
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


def _decoded_bytes(value: Any, what: Any, convert: bool) -> Any:
    dtype, shape = from_description(what["utf-8"]), tuple(what["shape"])
    array = np.strings.encode(np.array(value, "U").reshape(shape), "utf-8").astype(dtype)
    if not convert:
        return array
    return to_memory(value) if array.size else to_memory(array, convert_strings=True)


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
        *("fill_undefined", "track_attributes"),
        *(ORDER, ATTRIBUTE_ORDER, NAMES),
    }
)

#: Of attributes: HDF5's types, where memory forgets them.
_ATTRIBUTES = "attributes"


def encoded_creation(creation: Mapping[str, Any], names: Iterable[str] = ()) -> dict[str, Any]:
    """Creation properties as JSON; those that have no form there are left out.

    `names` are those of the attributes, in order.
    """
    kept: dict[str, Any] = {}
    ordered = creation.get("track_order") or creation.get("track_attributes")
    if ordered and (names := list(names)):
        kept[ATTRIBUTE_ORDER] = names
    for name in _KEPT & creation.keys():
        try:
            one = encoded({name: creation[name]}, "", convert_strings=True)
            kept[TYPES] = {**kept.get(TYPES, {}), **one.pop(TYPES, {})}
            kept.update(one)
        except UnstorableAttribute:
            continue
    if _ATTRIBUTES in creation:
        exact = _encoded_exact(creation[_ATTRIBUTES])
        if exact:
            kept[_ATTRIBUTES] = exact
    return kept


def _encoded_exact(as_read: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as HDF5 had them; see `hdf5_attributes.AsRead`."""
    values, whats, types, named = {}, {}, {}, {}
    for name, item in as_read.items():
        value = item.value
        try:
            if isinstance(value, np.ndarray):
                has_objects = value.dtype.hasobject
                form, what = (
                    _encoded_elements(value) if has_objects else _encoded_array(value, True)
                )
            else:
                form, what = _encoded(value, True)
        except TypeError:
            continue
        values[name], whats[name] = form, what
        if item.type is not None:
            types[name] = base64.b64encode(item.type).decode()
        if item.named is not None:
            named[name] = item.named
    if not values:
        return {}
    kept = {"values": {**values, TYPES: whats}, "types": types}
    return {**kept, "named": named} if named else kept


def _decoded_exact(stored: Any) -> dict[str, Any]:
    from memdata.formats.hdf5_attributes import AsRead

    try:
        types = {name: base64.b64decode(text) for name, text in stored["types"].items()}
        named = {name: str(path) for name, path in stored.get("named", {}).items()}
        values, whats = stored["values"], stored["values"][TYPES]
        found = {name: _decoded(values[name], what, False) for name, what in whats.items()}
    except NOT_UNDERSTOOD:
        return {}  # another program has changed it
    return {
        name: AsRead(
            value if _is_empty(value) else np.asarray(value), types.get(name), named.get(name)
        )
        for name, value in found.items()
    }


def _is_empty(value: Any) -> bool:
    """Whether a value is h5py's for a null dataspace."""
    return type(value).__name__ == "Empty"


def decoded_creation(stored: Any) -> dict[str, Any]:
    """Creation properties from JSON."""
    if not isinstance(stored, Mapping):
        return {}
    found = {name: _tuples(value) for name, value in decoded(stored).items() if name in _KEPT}
    exact = _decoded_exact(stored[_ATTRIBUTES]) if _ATTRIBUTES in stored else None
    return {**found, _ATTRIBUTES: exact} if exact else found


def in_order(attrs: dict[str, Any], creation: dict[str, Any]) -> dict[str, Any]:
    """The attributes in the order that is kept, which is taken out of the creation properties."""
    order = creation.pop(ATTRIBUTE_ORDER, ())
    if not isinstance(order, tuple):
        return attrs  # another program has changed it
    first = {name: attrs[name] for name in map(str, order) if name in attrs}
    return {**first, **attrs}


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
