"""Names that can stand in a path."""

from __future__ import annotations

__all__ = ["check_name"]


def check_name(name: object, path: str) -> bytes:
    """The name of a group or dataset as bytes.

    Raises
    ------
    ValueError
        A name that no path can hold: empty, ``.``, ``..``, with a slash or a NUL.
    """
    if not isinstance(name, str):
        raise ValueError(f"{path}: {name!r} is not a name")
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f"{path!r}: {name!r} cannot be the name of a group or dataset")
    return name.encode("utf-8", "surrogateescape")
