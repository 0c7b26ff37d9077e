"""NumPy's indices as people write them on a command line: ``0:10, ::2, 3, ...``."""

from __future__ import annotations

from typing import Any

__all__ = ["index_of", "named_index"]


def index_of(text: str) -> tuple[Any, ...]:
    """The index that a text means.

    Parameters
    ----------
    text : str
        Slices, integers, ``...`` and lists in brackets, with commas between them.

    Raises
    ------
    ValueError
        It is none of these.

    Examples
    --------
    >>> index_of("0:10, ::2, -1")
    (slice(0, 10, None), slice(None, None, 2), -1)
    >>> index_of("[1, 3], ...")
    ([1, 3], Ellipsis)
    """
    parts, depth, start = [], 0, 0
    for place, char in enumerate(text + ","):
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            parts.append(text[start:place].strip())
            start = place + 1
    if parts and not parts[-1]:
        parts.pop()
    try:
        return tuple(_part(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"{text!r} is no index; write slices and integers as in NumPy, for example 0:10,::2,-1"
        ) from None


def _part(text: str) -> Any:
    if text == "...":
        return Ellipsis
    if text[:1] == "[" and text[-1:] == "]":
        return [int(number) for number in text[1:-1].split(",") if number.strip()]
    if ":" in text:
        numbers = [int(number) if number.strip() else None for number in text.split(":")]
        if len(numbers) > 3:
            raise ValueError(text)
        return slice(*numbers)
    return int(text)


def named_index(text: str) -> tuple[str, tuple[Any, ...]]:
    """Path and index of ``PATH=INDEX``."""
    path, equals, index = text.partition("=")
    if not equals or not path:
        raise ValueError(f"{text!r}: expected PATH=INDEX, for example vis=0:10,::2")
    return path, index_of(index)
