"""Elements that hold Python objects, as JSON: references, text and ragged arrays, also in fields.

What an element is is told by its type; see `memdata.formats.zarr_types.described`. Numbers are
JSON's, text is text, bytes are ``{"base64": ...}``, a region ``{"path": ..., "region": base 64}``,
structures and subarrays are lists.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

__all__ = ["from_json", "to_json"]

Dtype = np.dtype[Any]

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def to_json(item: Any, dtype: Dtype) -> Any:
    """JSON for an element of a type.

    Raises
    ------
    TypeError
        It is not what the type says.
    """
    if dtype.fields is not None:
        return [to_json(item[name], dtype.fields[name][0]) for name in dtype.names or ()]
    if dtype.subdtype is not None:
        base = dtype.subdtype[0]
        return [to_json(one, base) for one in _flat(np.asarray(item), dtype.subdtype[1])]
    if dtype.kind == "O":
        return _object_to_json(item, dtype)
    value = np.asarray(item, dtype)[()]
    if dtype.kind in "biu":
        return value.item()
    if dtype.kind == "f" and dtype.itemsize <= 8:
        number = float(value)
        if math.isfinite(number):
            return number
        return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
    return _base64(np.asarray(value, dtype).tobytes())


def _flat(array: Any, shape: tuple[int, ...]) -> list[Any]:
    return [array[index] for index in np.ndindex(*shape)]


def _base64(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


def _object_to_json(item: Any, dtype: Dtype) -> Any:
    from memdata.formats.references import ObjectReference, RegionReference

    metadata: Any = dtype.metadata or {}
    kind = metadata.get("vlen")
    if item is None or (type(item) is int and item == 0):  # a new array of objects
        return None
    if isinstance(item, RegionReference):
        return {"path": item.path, "region": base64.b64encode(item.selection).decode()}
    if isinstance(item, ObjectReference):
        return item.path
    if kind in (str, bytes) and isinstance(item, str):
        return str(item)
    if kind in (str, bytes) and isinstance(item, bytes):
        return _base64(item)
    if kind is not None and kind not in (str, bytes):
        return [to_json(one, np.dtype(kind)) for one in np.asarray(item, kind)]
    raise TypeError(f"a {type(item).__name__} among elements of {dtype}")


def from_json(value: Any, dtype: Dtype) -> Any:
    """The element of a type that `to_json` has written."""
    if dtype.fields is not None:
        fields = [dtype.fields[name][0] for name in dtype.names or ()]
        return tuple(from_json(one, field) for one, field in zip(value, fields, strict=True))
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        result = np.zeros(shape, base)
        for index, one in zip(np.ndindex(*shape), value, strict=True):
            result[index] = from_json(one, base)
        return result
    if dtype.kind == "O":
        return _object_from_json(value, dtype)
    if isinstance(value, dict):
        return np.frombuffer(base64.b64decode(value["base64"]), dtype)[0]
    if isinstance(value, str):
        value = _NOT_FINITE[value]
    return np.asarray(value, dtype)[()]


def _object_from_json(value: Any, dtype: Dtype) -> Any:
    from memdata.formats.references import ObjectReference, RegionReference

    metadata: Any = dtype.metadata or {}
    kind = metadata.get("vlen")
    if kind is None:
        if isinstance(value, dict):
            return RegionReference(value["path"], base64.b64decode(value["region"]))
        return ObjectReference(value)
    if kind in (str, bytes):
        if isinstance(value, dict):
            return base64.b64decode(value["base64"])
        return "" if value is None else str(value)
    items = np.zeros(len(value or ()), kind)
    for index, one in enumerate(value or ()):
        items[index] = from_json(one, items.dtype)
    return items
