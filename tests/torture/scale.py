"""How long to go on: briefly within `make test`, for long within `make torture`."""

from __future__ import annotations

import os

#: Whether this is the long form. Asked here once: tests run without variables of MEMDATA_*.
FULL = bool(os.environ.get("MEMDATA_TORTURE"))

_figures: dict[str, str] = {}


def rounds(short: int, full: int) -> int:
    """How many rounds."""
    return full if FULL else short


def figure(what: str, value: str) -> None:
    """Note a figure that is printed at the end of the long form."""
    _figures[what] = value


def figures() -> dict[str, str]:
    """All figures noted so far."""
    return dict(_figures)
