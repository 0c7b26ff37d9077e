"""What the tests of zarr share: the formats and kinds of store that are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

zarr = pytest.importorskip("zarr")

MAJOR = int(zarr.__version__.partition(".")[0])
FORMATS = [2] if MAJOR < 3 else [2, 3]

needs_format_3 = pytest.mark.skipif(MAJOR < 3, reason="zarr 2 has no format 3")


def open_plain(path: Path, mode: str = "r", **options: Any) -> Any:
    """A folder, opened by zarr itself."""
    if MAJOR < 3:
        options.pop("zarr_format", None)
    return zarr.open_group(str(path), mode=mode, **options)


def plain_array(group: Any, name: str, data: Any, chunks: Any = None, **options: Any) -> Any:
    """An array made by zarr itself."""
    if MAJOR < 3:
        return group.create_dataset(name, data=data, chunks=chunks, **options)
    return group.create_array(name, data=data, chunks=chunks or "auto", **options)


def metadata(path: Path) -> dict[str, Any]:
    """What a folder's metadata say, read as strict JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{path}: {name} is no JSON")

    found: dict[str, Any] = {}
    for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs"):
        if (path / name).exists():
            text = (path / name).read_text(encoding="utf-8")
            found.update(json.loads(text, parse_constant=refuse))
    return found
