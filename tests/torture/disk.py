"""A model of a disk that loses power: what is on it, when not everything has been synced.

It is told the calls that a program made (`Shim.record`), up to some moment. What was not synced by
then may be on the disk or not: each write, of which also only some sectors, and each change of a
folder for itself. No file system loses more: a save that is safe here is safe.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["LOSSES", "Call", "Disk", "calls"]

#: What a disk writes as one.
_SECTOR = 512


@dataclass(frozen=True)
class Call:
    """One call of the record."""

    name: str
    path: str
    other: str
    offset: int
    data: bytes


def calls(lines: str, data: str) -> list[Call]:
    """What `Shim.record` has written down."""
    found = []
    with open(lines) as file, open(data, "rb") as contents:
        for line in file:
            name, path, other, offset, length = line.rstrip("\n").split("\t")
            found.append(Call(name, path, other, int(offset), contents.read(int(length))))
    return found


@dataclass(eq=False)
class _File:
    """The bytes of a file that are on the disk."""

    content: bytearray = field(default_factory=bytearray)

    def put(self, offset: int, data: bytes) -> None:
        self.resize(max(len(self.content), offset + len(data)))
        self.content[offset : offset + len(data)] = data

    def resize(self, length: int) -> None:
        del self.content[length:]
        self.content.extend(bytes(length - len(self.content)))


@dataclass(eq=False)
class _Folder:
    """The entries of a folder: as programs see them, and those that are on the disk."""

    seen: dict[str, _File | _Folder] = field(default_factory=dict)
    kept: dict[str, _File | _Folder] = field(default_factory=dict)

    def drop(self, name: str, what: _File | _Folder) -> None:
        """Take a name off the disk, if it still means this there."""
        if self.kept.get(name) is what:
            del self.kept[name]


_Node = _File | _Folder


@dataclass(eq=False)
class _Change:
    """A change that may be lost, until one of those that it concerns is synced."""

    concerns: tuple[_Node, ...]
    apply: Callable[[], None]
    file: _File | None = None  # of writes
    offset: int = 0
    data: bytes = b""

    def tear(self, chance: random.Random) -> None:
        """Apply some of the sectors of a write."""
        assert self.file is not None
        for start in range(0, len(self.data), _SECTOR):
            if chance.random() < 0.5:
                self.file.put(self.offset + start, self.data[start : start + _SECTOR])


#: What a disk may lose of the changes that were not synced.
LOSSES = ("all", "data", "folders", "some", "nothing")


class Disk:
    """A folder on a disk, and the changes of it that may still be lost.

    Parameters
    ----------
    folder : pathlib.Path
        What is on the disk in the beginning.
    """

    def __init__(self, folder: Path) -> None:
        self._name = str(folder)
        self._top = self._read(folder)
        self._pending: list[_Change] = []

    def _read(self, path: Path) -> _Folder:
        folder = _Folder()
        for entry in path.iterdir():
            whole = self._read(entry) if entry.is_dir() else _File(bytearray(entry.read_bytes()))
            folder.seen[entry.name] = folder.kept[entry.name] = whole
        return folder

    # ---- calls ----

    def __call__(self, call: Call) -> None:
        """Take notice of a call."""
        getattr(self, "_" + call.name)(call)

    def _place(self, path: str) -> tuple[_Folder, str]:
        """The folder that a path's last name is in, and that name."""
        folder = self._top
        *above, name = path.removeprefix(self._name).strip("/").split("/")
        for part in above:
            below = folder.seen[part]
            assert isinstance(below, _Folder)
            folder = below
        return folder, name

    def _file(self, path: str) -> _File:
        folder, name = self._place(path)
        file = folder.seen[name]
        assert isinstance(file, _File)
        return file

    def _later(self, change: Callable[[], None], *concerns: _Node) -> None:
        self._pending.append(_Change(concerns, change))

    def _enter(self, path: str, node: _Node) -> None:
        folder, name = self._place(path)
        folder.seen[name] = node
        self._later(lambda: folder.kept.__setitem__(name, node), folder)

    def _creating(self, call: Call) -> None:
        folder, name = self._place(call.path)
        if name not in folder.seen:
            self._enter(call.path, _File())

    def _truncating(self, call: Call) -> None:
        self._creating(call)
        file = self._file(call.path)
        self._later(lambda: file.resize(0), file)

    def _mkdir(self, call: Call) -> None:
        self._enter(call.path, _Folder())

    def _write(self, call: Call) -> None:
        file = self._file(call.path)
        self._pending.append(
            _Change((file,), lambda: file.put(call.offset, call.data), file, call.offset, call.data)
        )

    def _ftruncate(self, call: Call) -> None:
        file = self._file(call.path)
        self._later(lambda: file.resize(call.offset), file)

    def _unlink(self, call: Call) -> None:
        folder, name = self._place(call.path)
        node = folder.seen.pop(name)
        self._later(lambda: folder.drop(name, node), folder)

    _rmdir = _unlink

    def _rename(self, call: Call) -> None:
        source, old = self._place(call.path)
        target, new = self._place(call.other)
        node = source.seen.pop(old)
        target.seen[new] = node

        def both() -> None:
            source.drop(old, node)
            target.kept[new] = node

        self._later(both, source, target)

    def _exchange(self, call: Call) -> None:
        source, old = self._place(call.path)
        target, new = self._place(call.other)
        one, two = source.seen[old], target.seen[new]
        source.seen[old], target.seen[new] = two, one

        def both() -> None:
            source.kept[old], target.kept[new] = two, one

        self._later(both, source, target)

    def _link(self, call: Call) -> None:
        folder, name = self._place(call.path)
        self._enter(call.other, folder.seen[name])

    def _fsync(self, call: Call) -> None:
        node: _Node = self._top
        if call.path.strip("/") != self._name.strip("/"):
            folder, name = self._place(call.path)
            node = folder.seen[name]
        for change in self._pending:
            if node in change.concerns:
                change.apply()
        self._pending = [change for change in self._pending if node not in change.concerns]

    # ---- the loss ----

    def lose_power(self, loss: str, chance: random.Random) -> None:
        """Apply what is not lost of the changes; only then is there something to `restore`."""
        for change in self._pending:
            of_data = change.file is not None
            if loss == "some":
                lucky = chance.random()
                if lucky < 0.4:
                    change.apply()
                elif lucky < 0.7 and of_data:
                    change.tear(chance)
            elif loss == "nothing" or loss == ("folders" if of_data else "data"):
                change.apply()
        self._pending = []

    def restore(self, folder: Path) -> None:
        """Make the files that are on the disk, in an empty folder."""
        self._write_out(self._top, folder)

    def _write_out(self, node: _Folder, path: Path) -> None:
        for name, entry in node.kept.items():
            if isinstance(entry, _Folder):
                (path / name).mkdir()
                self._write_out(entry, path / name)
            else:
                (path / name).write_bytes(entry.content)
