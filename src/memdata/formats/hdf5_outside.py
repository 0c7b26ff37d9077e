"""Datasets whose elements HDF5 takes from other places: external storage and virtual sources.

HDF5 opens the files that a dataset names as soon as it is read, and goes round for ever, until the
stack is full, where virtual datasets have each other as sources. Whether it will is found here
without opening any file.
"""

from __future__ import annotations

import os
from typing import Any

from h5py import h5d, h5g, h5i, h5l, h5o

__all__ = ["reason_not_to_read"]

#: Virtual datasets one behind the other, before it is too much.
_MOST_STEPS = 64

#: Soft links that HDF5 follows for one path.
_MOST_LINKS = 16

Key = tuple[int, int]


def reason_not_to_read(dataset: Any, plist: Any, follow_external: bool) -> str | None:
    """Why reading a dataset would open other files, or would not end; None where it is safe.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
    plist : h5py.h5p.PropDCID
        Its creation properties.
    follow_external : bool
        Other files may be opened; what they hold is not looked at.
    """
    layout = plist.get_layout()
    if layout == h5d.CONTIGUOUS and plist.get_external_count():
        name = os.fsdecode(plist.get_external(0)[0])
        return None if follow_external else _other_files(name)
    if layout != h5d.VIRTUAL:
        return None
    return _Search(dataset, follow_external).reason(dataset, plist, ())


def _other_files(name: str) -> str:
    return f"its elements are in other files ({name!r:.200}), which follow_external=True reads"


class _Search:
    """What the sources of a virtual dataset in the same file lead to."""

    def __init__(self, dataset: Any, follow_external: bool) -> None:
        self._file = h5i.get_file_id(dataset)
        self._root = h5g.open(self._file, b"/")
        self._follow = follow_external
        self._safe: set[Key] = set()

    def reason(self, dataset: Any, plist: Any, above: tuple[Key, ...]) -> str | None:
        """Why not to read a dataset that those `above` it have as a source."""
        info = h5o.get_info(dataset)
        key = (info.fileno, info.addr)
        if key in self._safe:
            return None
        if key in above:
            return "virtual datasets have each other as sources"
        if len(above) >= _MOST_STEPS:
            return "too many virtual datasets of each other"
        found = None
        layout = plist.get_layout()
        if layout == h5d.VIRTUAL:
            found = self._of_sources(plist, (*above, key))
        elif layout == h5d.CONTIGUOUS and plist.get_external_count() and not self._follow:
            found = _other_files(os.fsdecode(plist.get_external(0)[0]))
        if found is None:
            self._safe.add(key)
        return found

    def _of_sources(self, plist: Any, above: tuple[Key, ...]) -> str | None:
        seen: set[str] = set()
        for index in range(plist.get_virtual_count()):
            filename = plist.get_virtual_filename(index)
            if not self._is_itself(filename):
                if self._follow:
                    continue
                return _other_files(filename)
            name = plist.get_virtual_dsetname(index)
            if name in seen:
                continue
            seen.add(name)
            if "%" in name:  # may stand for any number of names
                if self._follow:
                    continue
                return f"a pattern ({name!r:.200}) names its sources, see follow_external"
            found = self._of_source(os.fsencode(name), above)
            if found is not None:
                return found
        return None

    def _is_itself(self, filename: str) -> bool:
        """Whether the file of a source is the one that the virtual dataset is in."""
        if filename == ".":
            return True
        own = os.fsdecode(self._file.name)
        try:  # HDF5 looks beside the file first
            return os.path.samefile(os.path.join(os.path.dirname(own), filename), own)
        except (OSError, ValueError):
            return False

    def _of_source(self, path: bytes, above: tuple[Key, ...]) -> str | None:
        """Follow a path link by link, for none may lead into another file."""
        here, rest = b"", _parts(path)
        steps = _MOST_LINKS
        while rest:
            link = here + b"/" + rest.pop(0)
            try:
                kind = self._root.links.get_info(link).type
                if kind == h5l.TYPE_HARD:
                    here = link
                    continue
                value = self._root.links.get_val(link)
            except (KeyError, OSError, RuntimeError, ValueError):
                return None  # there is no source: HDF5 gives fill values
            if kind != h5l.TYPE_SOFT:
                if self._follow:
                    return None
                return _other_files(os.fsdecode(value[0] if kind == h5l.TYPE_EXTERNAL else link))
            steps -= 1
            if steps < 0:
                return f"its source {os.fsdecode(path)!r:.200} is behind too many soft links"
            here, rest = (b"" if value.startswith(b"/") else here), _parts(value) + rest
        target = h5o.open(self._root, here or b"/")
        if not isinstance(target, h5d.DatasetID):
            return None
        return self.reason(target, target.get_create_plist(), above)


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in (b"", b".")]
