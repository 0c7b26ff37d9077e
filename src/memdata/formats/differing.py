"""Whether two values are the same: types, attributes, elements of arrays."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "BETWEEN_KINDS",
    "EXACT",
    "VALUES",
    "Count",
    "blocks",
    "comparable",
    "counted",
    "kind_text",
    "merged",
    "same_type",
    "same_value",
    "short",
    "type_text",
]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]
Shape = tuple[int, ...]

_NUMBERS = "biufc"
_STRINGS = "SUT"

#: What has to be the same of single values: the type too; the type as far as one kind of tree keeps
#: that of the other (lists become arrays, NumPy's scalars Python's, dates text); only the value.
EXACT, BETWEEN_KINDS, VALUES = 2, 1, 0

#: Bytes that are compared at a time, and that a row may have to be read as one.
_PIECE, _ROW = 16 << 20, 128 << 20


class Count(NamedTuple):
    """How many elements differ.

    Attributes
    ----------
    differing, total : int
        Elements.
    first : tuple of int
        Index of the first that differs.
    texts : tuple of str
        It on both sides.
    largest : number or None
        The largest absolute difference of numbers.
    """

    differing: int = 0
    total: int = 0
    first: Shape = ()
    texts: tuple[str, str] = ("", "")
    largest: Any = None


def merged(counts: Iterable[Count]) -> Count:
    """The counts of several pieces as one."""
    differing = total = 0
    first: Count | None = None
    largest = None
    for count in counts:
        differing += count.differing
        total += count.total
        if count.differing and (first is None or count.first < first.first):
            first = count
        if count.largest is not None and (largest is None or count.largest > largest):
            largest = count.largest
    if first is None:
        return Count(0, total)
    return Count(differing, total, first.first, first.texts, largest)


def blocks(shape: Shape, itemsize: int, rows: int) -> Iterator[tuple[slice, ...]]:
    """Cut an array into pieces of some MiB.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    itemsize : int
        Bytes of an element.
    rows : int
        So many steps along the first axis are best read together.
    """
    if not math.prod(shape):
        return
    if not shape:
        yield ()
        return
    row = max(1, itemsize * math.prod(shape[1:]))
    if row <= _ROW:
        step = max(1, _PIECE // row)
        step = max(rows, step // rows * rows) if rows * row <= _ROW else step
        for start in range(0, shape[0], step):
            cut = slice(start, min(start + step, shape[0]))
            yield (cut, *(slice(0, length) for length in shape[1:]))
        return
    for start in range(shape[0]):
        for rest in blocks(shape[1:], itemsize, 1):
            yield (slice(start, start + 1), *rest)


def counted(x: Array, y: Array, start: Shape, rtol: float, atol: float) -> Count:
    """Compare a block of elements that begins at `start`."""
    with np.errstate(all="ignore"):
        unequal = np.asarray(_unequal(x, y, rtol, atol))
        number = int(np.count_nonzero(unequal))
        if not number:
            return Count(0, x.size)
        place = np.unravel_index(int(unequal.argmax()), unequal.shape) if x.shape else ()
        texts = (short(x[place]), short(y[place]))
        largest = _largest(x[unequal], y[unequal])
    first = tuple(int(a) + b for a, b in zip(place, start, strict=True))
    return Count(number, x.size, first, texts, largest)


def comparable(x: Dtype, y: Dtype) -> bool:
    """Whether elements of two types can be equal."""
    if x.names is not None or y.names is not None:
        return x.names == y.names and all(comparable(x[name], y[name]) for name in x.names or ())
    if x.subdtype is not None or y.subdtype is not None:
        shapes = x.shape == y.shape
        return shapes and comparable(x.base, y.base)
    kinds = {x.kind, y.kind}
    if x.kind == y.kind:
        return x.kind != "V" or x.itemsize == y.itemsize
    return kinds <= set(_NUMBERS) or kinds <= {*_STRINGS, "O"}


def _unequal(x: Array, y: Array, rtol: float, atol: float) -> Any:
    """A mask of the elements that differ."""
    if x.dtype.names is not None:
        result = np.zeros(x.shape, np.bool_)
        for name in x.dtype.names:
            field = np.asarray(_unequal(x[name], y[name], rtol, atol))
            result |= field.reshape(*x.shape, -1).any(axis=-1)
        return result
    kinds = {x.dtype.kind, y.dtype.kind}
    if "O" in kinds:
        return np.asarray(np.frompyfunc(_unequal_objects, 2, 1)(x, y), np.bool_)
    if kinds <= set(_STRINGS):
        return _text(x, kinds) != _text(y, kinds)
    if kinds == {"V"} and x.dtype.isbuiltin != 2:
        size = x.dtype.itemsize
        raw = [np.ascontiguousarray(side).reshape(-1).view(np.uint8) for side in (x, y)]
        rows = (raw[0] != raw[1]).reshape(*x.shape, size)
        return rows.any(axis=-1)
    if kinds <= {"M", "m"}:
        return (x != y) & ~(np.isnat(x) & np.isnat(y))
    if (rtol or atol) and kinds <= set(_NUMBERS):
        return ~np.isclose(
            x.astype(np.int8) if x.dtype.kind == "b" else x,
            y.astype(np.int8) if y.dtype.kind == "b" else y,
            rtol=rtol,
            atol=atol,
            equal_nan=True,
        )
    return (x != y) & ((x == x) | (y == y))  # noqa: PLR0124 - NaN is not itself


def _text(array: Array, kinds: set[str]) -> Any:
    """Strings that can be compared with those of the other side."""
    if len(kinds) == 1 or array.dtype.kind != "S":
        return array
    return np.strings.decode(array, "utf-8", "surrogateescape")


def _unequal_objects(x: Any, y: Any) -> bool:
    if isinstance(x, bytes) and isinstance(y, str):
        x = x.decode("utf-8", "surrogateescape")
    elif isinstance(y, bytes) and isinstance(x, str):
        y = y.decode("utf-8", "surrogateescape")
    elif isinstance(x, int) and x == 0 and isinstance(y, bytes | str):
        x = type(y)()  # new variable-length strings in memory are 0
    elif isinstance(y, int) and y == 0 and isinstance(x, bytes | str):
        y = type(x)()
    return not same_value(x, y, BETWEEN_KINDS)


def _largest(x: Array, y: Array) -> Any:
    """The largest absolute difference, where there are numbers to tell."""
    kinds = {x.dtype.kind, y.dtype.kind}
    if not kinds <= set(_NUMBERS):
        return None
    if kinds <= {"b", "i", "u"}:
        # Without overflow: the difference of two numbers fits into as many bits without sign.
        common = np.result_type(x, y)
        if common.kind in "biu":
            wide = np.dtype(f"u{max(common.itemsize, 1)}")
            low, high = (function(x, y) for function in (np.minimum, np.maximum))
            gap = high.astype(common).astype(wide) - low.astype(common).astype(wide)
            return int(gap.max())
    gaps = np.abs(np.subtract(x, y, dtype=np.result_type(x, y, np.float64)))
    known = gaps[~np.isnan(gaps)]
    return known.max().item() if known.size else None


# ---- single values ----


def same_type(x: Dtype, y: Dtype, strict: bool) -> bool:
    """Whether two types are the same; if not `strict`, objects may be of any kind."""
    if not strict and x.kind == y.kind == "O":
        return True
    return x == y and _metadata(x) == _metadata(y)


def _metadata(dtype: Dtype) -> Any:
    """What h5py says of a type, without what it says of every type of that kind."""
    metadata = dict(dtype.metadata or {})
    if metadata.get("h5py_encoding") == "ascii":
        del metadata["h5py_encoding"]
    kind = metadata.get("vlen")
    if kind is not None and kind is not str and kind is not bytes:
        metadata["vlen"] = np.dtype(kind)
    return metadata


def type_text(dtype: Dtype) -> str:
    """A type for a reader."""
    text = str(dtype) if dtype.byteorder != ">" else f"{dtype} (big-endian)"
    metadata = _metadata(dtype)
    return f"{text} {metadata}" if metadata else text


def kind_text(value: Any) -> str:
    """The type of a value for a reader."""
    name = type(value).__name__
    return f"{name} of {value.dtype}" if isinstance(value, np.ndarray) else name


def short(value: Any) -> str:
    """A value for a reader, on one line."""
    if isinstance(value, np.ndarray):
        text = np.array2string(
            value, threshold=6, edgeitems=2, separator=", ", max_line_width=10**6
        )
        text = " ".join(text.split())
    else:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def same_value(x: Any, y: Any, level: int) -> bool:
    """Whether two attributes, or elements, are the same; NaN is NaN.

    Parameters
    ----------
    x, y : object
        The values.
    level : {EXACT, BETWEEN_KINDS, VALUES}
        How much has to be the same.
    """
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        plain = x.dtype.kind not in "OSUT" and y.dtype.kind not in "OSUT"
        if x.shape != y.shape or (x.dtype != y.dtype and level == EXACT):
            return False
        if x.dtype == y.dtype or (plain and level == VALUES):
            same = comparable(x.dtype, y.dtype)
            return same and not np.any(_unequal(x, y, 0.0, 0.0))
        if plain:
            return False
    if level < EXACT:
        x, y = _plain(x), _plain(y)
    if isinstance(x, list | tuple) and type(x) is type(y):
        pairs = zip(x, y, strict=False)
        return len(x) == len(y) and all(same_value(a, b, level) for a, b in pairs)
    if isinstance(x, Mapping) and isinstance(y, Mapping):
        return x.keys() == y.keys() and all(same_value(x[key], y[key], level) for key in x)
    if level == EXACT and type(x) is not type(y):
        return False
    if getattr(x, "shape", ()) is None or getattr(y, "shape", ()) is None:  # h5py.Empty
        return getattr(x, "shape", ()) == getattr(y, "shape", ()) and x.dtype == y.dtype
    try:
        return bool(x == y) or bool(x != x and y != y)  # noqa: PLR0124 - NaN is not itself
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> Any:
    """A value as every kind of tree could give it back."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist()) if value.dtype.names is None else value
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        return _plain(value.item())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return value
