"""Numbers, shapes, types and values as short words on one line, safe to show on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = [
    "amount",
    "joined",
    "one_line",
    "plural",
    "printable",
    "shape_words",
    "size",
    "type_words",
    "value",
]

#: Characters of an attribute's value that are shown.
LONGEST = 60

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def printable(text: str) -> str:
    """`text` with what a terminal would obey, or hide, written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def size(count: float) -> str:
    """Bytes as people say it.

    Examples
    --------
    >>> size(17), size(2048), size(3 << 40)
    ('17 B', '2.0 KiB', '3.0 TiB')
    """
    unit = 0
    number = float(count)
    while number >= 1024 and unit < len(_UNITS) - 1:
        number /= 1024
        unit += 1
    return f"{number:.0f} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def amount(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    Examples
    --------
    >>> amount(1, "group"), amount(3, "child", "children")
    ('1 group', '3 children')
    """
    return f"{count} {plural(count, one, many)}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """The noun for `count` things."""
    return one if count == 1 else many or one + "s"


def shape_words(shape: tuple[int, ...] | None) -> str:
    """A shape: ``(3, 4)``, ``scalar``, or ``null`` where there are no elements at all."""
    if shape is None:
        return "null"
    return str(tuple(int(length) for length in shape)) if shape else "scalar"


def type_words(dtype: Any) -> str:
    """A dtype in few letters.

    Examples
    --------
    >>> type_words(np.dtype("c8")), type_words(np.dtype([("t", "f8"), ("n", "i4")]))
    ('complex64', '{t: float64, n: int32}')
    """
    metadata = getattr(dtype, "metadata", None) or {}
    if "vlen" in metadata:
        inner = metadata["vlen"]
        if inner in {str, bytes}:
            return "string" if inner is str else "bytes"
        return f"variable length of {type_words(np.dtype(inner))}"
    if "enum" in metadata:
        return f"enum of {np.dtype(dtype.str)}"
    if "ref" in metadata:
        return "reference"
    if getattr(dtype, "names", None):
        fields = [f"{printable(str(name))}: {type_words(dtype[name])}" for name in dtype.names]
        return "{" + joined(fields, 6) + "}"
    if getattr(dtype, "subdtype", None):
        base, shape = dtype.subdtype
        return f"{type_words(base)}{list(shape)}"
    kind = getattr(dtype, "kind", "")
    if kind == "S":
        return f"bytes of {dtype.itemsize}"
    if kind == "U":
        return f"text of {dtype.itemsize // 4}"
    name = str(dtype)
    if getattr(dtype, "byteorder", "=") == ">" and kind in "iufc":
        return f"{dtype.newbyteorder('=')} big-endian"
    return printable(name)


def joined(words: Iterable[str], most: int) -> str:
    """Words with commas between them; of more than `most` the rest is counted."""
    found = list(words)
    more = len(found) - most
    return ", ".join(found[:most]) + (f", and {more} more" if more > 0 else "")


def one_line(text: str, longest: int = LONGEST) -> str:
    """`text` on one line, cut to a length, safe to show."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= longest else text[: max(longest - 1, 1)] + "…"


def value(found: Any, longest: int = LONGEST) -> str:
    """The value of an attribute, or an element, in short."""
    try:
        return one_line(_value(found, longest), longest)
    except Exception as error:  # noqa: BLE001 - the repr of somebody's object may do anything
        return f"<{type(found).__name__}: {type(error).__name__}>"


def _value(found: Any, longest: int) -> str:
    if isinstance(found, str):
        return found[: 4 * longest]
    if isinstance(found, bytes):
        return repr(found[: 4 * longest])
    if isinstance(found, np.ndarray):
        if found.ndim == 0:
            return _value(found[()], longest) if found.dtype.kind != "V" else str(found)
        if found.dtype.kind in "OSUT" and found.size <= 8:
            return "[" + ", ".join(_value(item, longest) for item in found.ravel()) + "]"
        shown = np.array2string(found, threshold=8, edgeitems=2, precision=6, separator=", ")
        return f"{shown}" if found.size <= 8 else f"{shape_words(found.shape)} {shown}"
    if isinstance(found, np.generic):
        return str(found)
    if isinstance(found, list | tuple):
        head = ", ".join(_value(item, longest) for item in found[:16])
        more = ", …" if len(found) > 16 else ""
        return f"[{head}{more}]"
    if isinstance(found, dict) and len(found) > 16:
        return f"a dict of {len(found)} items"
    return repr(found)
