"""zarr folders whose groups have lost their metadata: their members are still there.

zarr opens no group without its metadata, nor anything below. `mended_copy` makes a folder with the
same files, in which such groups have metadata that say nothing.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

__all__ = ["damaged_groups", "mended_copy"]

#: The files with metadata of format 2: of groups, of arrays, and of both.
_GROUP, _ARRAY, _ATTRIBUTES, _CONSOLIDATED = ".zgroup", ".zarray", ".zattrs", ".zmetadata"
_BOTH = "zarr.json"  # format 3

#: What it says of a group.
_KEYS = {"zarr_format", "node_type", "attributes", "consolidated_metadata"}


def _read(path: str) -> Any:
    """What a file of metadata says; None where that is no JSON, or the file is not there."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError):
        return None


def _format_of(folder: str, names: set[str]) -> int | None:
    """The format of the group that a folder was; None for arrays, and what is not zarr's."""
    if _BOTH in names:
        found = _read(os.path.join(folder, _BOTH))
        told = found.get("node_type") if isinstance(found, dict) else None
        # Chunks are in folders and files that are numbered, or below one with the name "c".
        return None if told == "array" or "c" in names else 3
    return 2 if _GROUP in names and _ARRAY not in names else None


def _problem(folder: str, names: set[str], zarr_format: int) -> str | None:
    """What is wrong with the metadata of a group."""
    if zarr_format == 3:
        found = _read(os.path.join(folder, _BOTH))
        good = (
            isinstance(found, dict)
            and (found.get("zarr_format"), found.get("node_type")) == (3, "group")
            and isinstance(found.get("attributes", {}), dict)
            and set(found) <= _KEYS
        )
        return None if good else "the metadata of the group, its attributes among them"
    found = _read(os.path.join(folder, _GROUP))
    if not isinstance(found, dict) or found.get("zarr_format") != 2:
        return "the metadata of the group"
    if _ATTRIBUTES in names and not isinstance(_read(os.path.join(folder, _ATTRIBUTES)), dict):
        return "the attributes of the group"
    if _CONSOLIDATED in names and not _is_consolidated(os.path.join(folder, _CONSOLIDATED)):
        return "the consolidated metadata; those of each member are read"
    return None


def _is_consolidated(path: str) -> bool:
    found = _read(path)
    return isinstance(found, dict) and isinstance(found.get("metadata"), dict)


def damaged_groups(store: str) -> dict[str, str]:
    """The groups of a folder that zarr does not open, by path, and what of each is lost."""
    found = {}
    for folder, folders, files in os.walk(store):
        names = {*folders, *files}
        zarr_format = _format_of(folder, names)
        if zarr_format is None:
            folders[:] = []
            continue
        problem = _problem(folder, names, zarr_format)
        if problem is not None:
            path = os.path.relpath(folder, store)
            found["/" if path == "." else f"/{path}"] = problem
    return found


def mended_copy(store: str, groups: dict[str, str], target: str) -> str:
    """Make a folder with the files of a store, and metadata that say nothing for some groups.

    Returns
    -------
    str
        `target`.
    """
    shutil.copytree(store, target, symlinks=True, copy_function=_link)
    for path in groups:
        folder = os.path.join(target, path.lstrip("/"))
        names = set(os.listdir(folder))
        zarr_format = _format_of(folder, names)
        if zarr_format == 3:
            empty = {"zarr_format": 3, "node_type": "group", "attributes": {}}
            _replace(os.path.join(folder, _BOTH), empty)
            continue
        if not isinstance(_read(os.path.join(folder, _ATTRIBUTES)), dict):
            _unlink(os.path.join(folder, _ATTRIBUTES))
        _unlink(os.path.join(folder, _CONSOLIDATED))  # it would say what is in the group
        _replace(os.path.join(folder, _GROUP), {"zarr_format": 2})
    return target


def _link(source: str, target: str) -> None:
    """Another name of a file; where the file system has none, a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _unlink(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _replace(path: str, content: dict[str, Any]) -> None:
    """A new file: the old one is that of the damaged store, under another name."""
    _unlink(path)
    with open(path, "x", encoding="utf-8") as file:
        json.dump(content, file)
