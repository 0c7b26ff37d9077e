"""What commands print: pictures with or without colours, and JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from memdata.verifying import Damage

__all__ = [
    "add_color",
    "as_json",
    "bytes_of",
    "damage_as_json",
    "facts_as_json",
    "print_damage",
    "print_json",
    "print_picture",
    "wants_progress",
]


def add_color(parser: argparse.ArgumentParser) -> None:
    """The option ``--color``, as many tools have it."""
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours (rich, where installed): on a terminal, always, never",
    )


def bytes_of(text: str, option: str) -> int:
    """The bytes that an option's value means.

    Raises
    ------
    ValueError
        It is no size.

    Examples
    --------
    >>> bytes_of("1.5K", "--size")
    1536
    """
    unit = {"K": 10, "M": 20, "G": 30, "T": 40}.get(text[-1:].upper(), 0)
    try:
        count = int(float(text[:-1] if unit else text) * 2**unit)
    except (ValueError, OverflowError):
        count = 0
    if count < 8:
        raise ValueError(f"{option} takes bytes as 512K, 64M or 2G, not {text!r}")
    return count


def print_picture(picture: Any, color: str = "auto") -> None:
    """Print a picture of `memdata.show`."""
    if color == "auto":
        print(picture)
    else:
        print(picture.ansi() if color == "always" else picture.plain())


def print_json(value: Any) -> None:
    """Print a value as strict JSON."""
    print(json.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False))


def as_json(value: Any) -> Any:
    """The value in JSON's words: NaN and infinity are text, arrays lists, complex numbers pairs."""
    if isinstance(value, dict):
        return {str(name): as_json(one) for name, one in value.items()}
    if isinstance(value, np.void) and value.dtype.names:
        return {name: as_json(value[name]) for name in value.dtype.names}
    if isinstance(value, np.ndarray):
        return (
            as_json(value.tolist() if not value.dtype.names else list(value))
            if value.ndim
            else as_json(value[()])
        )
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item() if value.dtype.kind not in "mMV" else str(value)
    if isinstance(value, complex):
        return [as_json(value.real), as_json(value.imag)]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, bool | int):
        return value
    text = value if isinstance(value, str) else str(value)
    return text.encode("utf-8", "backslashreplace").decode()


def facts_as_json(facts: Any) -> dict[str, Any]:
    """What `memdata.show.facts` found of a node, for programs."""
    found: dict[str, Any] = {"path": facts.path, "kind": facts.kind}
    if facts.words:
        found["text"] = facts.words
    if facts.kind == "group":
        found["children"] = facts.children
    if facts.kind == "dataset":
        filters = facts.filters
        found.update(
            shape=facts.shape,
            maxshape=facts.maxshape,
            dtype=str(facts.dtype),
            bytes=facts.nbytes,
            stored_bytes=facts.stored,
            axes=facts.axes or None,
            units=facts.units or None,
            chunks=filters.chunks,
            compression=filters.compression,
            compression_opts=filters.compression_opts,
            shuffle=filters.shuffle,
            fletcher32=filters.fletcher32,
            distributed_axis=facts.hinted,
        )
    found["attributes"] = facts.attrs
    return found


def print_damage(text: str, damages: Iterable[Damage]) -> None:
    """Print what `memdata.verify` or `memdata.rescue` found in the file `text`, a line each."""
    from memdata.show.words import printable

    for damage in damages:
        print(f"{text}: {printable(str(damage))}")


def damage_as_json(damage: Damage) -> dict[str, Any]:
    """Damage for programs; its index as pairs of start and stop."""
    index = damage.index
    return {
        "path": damage.path,
        "what": damage.what,
        "text": damage.text,
        "index": None if index is None else [(part.start, part.stop) for part in index],
    }


def wants_progress(quiet: bool) -> bool:
    """Whether a bar is shown: somebody looks at standard error, and did not ask for quiet."""
    if os.environ.get("MEMDATA_PROGRESS"):
        return not quiet
    return not quiet and sys.stderr.isatty()
