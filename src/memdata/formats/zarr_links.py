"""Symbolic links in a folder that holds a zarr store: none may lead out of it."""

from __future__ import annotations

import os

from memdata.formats.zarr_library import METADATA

__all__ = ["escaping_links"]


def escaping_links(root: str, start: str = "") -> dict[str, tuple[str, str]]:
    """Members of a store that are, or hold, symbolic links out of the store's folder.

    Parameters
    ----------
    root : str
        The store's folder.
    start : str
        The folder of a group in it; the paths count from there. Empty is the root.

    Returns
    -------
    dict
        By path: that of every member on the way to such a link, and of the link; with each the
        path of the link, and where it leads.
    """
    top = os.path.realpath(root)
    start = os.path.abspath(start or root)
    found: dict[str, tuple[str, str]] = {}
    stack = [(start, "")]
    while stack:
        folder, path = stack.pop()
        try:
            entries = os.scandir(folder)
        except OSError:  # it cannot be read: the library will say so
            continue
        with entries:
            for entry in entries:
                here = f"{path}/{entry.name}"
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if os.path.commonpath([top, target]) != top:
                        # What says what a member is counts as the member itself.
                        _note(found, path if entry.name in METADATA else here, target)
                elif entry.is_dir():
                    stack.append((entry.path, here))
    return found


def _note(found: dict[str, tuple[str, str]], path: str, target: str) -> None:
    above = path
    found[path] = (path, target)
    while above:
        found.setdefault(above, (path, target))
        above = above.rpartition("/")[0]
