"""`File`: a tree in memory that is loaded from a file when opened, and saved when closed."""

from __future__ import annotations

import os
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from memdata import _cmemdata
from memdata.group import FileName, MemGroup

if TYPE_CHECKING:
    from memdata.fileformats import FileFormat

__all__ = ["File"]

_MODES = {"w-": "x"}


class FileGroup(MemGroup):
    """A group of a `File`: it knows its file, and can be changed only where that may be."""

    @property
    def file(self) -> Any:
        """The `File` while somebody has it, else the root as a group."""
        opened = getattr(self._storage_root, "_file", None)
        found = None if opened is None else opened()
        if found is not None and found._storage_root is not self._storage_root:
            found = None  # closed
        return MemGroup._from_storage_root(self._storage_root, "/") if found is None else found

    def _check_writable(self) -> None:
        if getattr(self._storage_root, "_read_only", False):
            raise ValueError(f"{self.name} cannot be changed: the file was opened with mode 'r'")

    def create_group(self, name: str, *args: Any, **kw: Any) -> Any:
        """As `MemGroup.create_group`; ValueError in a file opened for reading."""
        self._check_writable()
        return super().create_group(name, *args, **kw)

    def _create_common(self, *args: Any) -> Any:
        self._check_writable()
        return super()._create_common(*args)

    def _insert_dataset(self, name: str | bytes, dataset: Any) -> Any:
        self._check_writable()
        return super()._insert_dataset(name, dataset)

    def _insert_node(self, name: str | bytes, node: Any) -> Any:
        self._check_writable()
        return super()._insert_node(name, node)

    def __delitem__(self, name: str | bytes) -> None:
        if getattr(self._storage_root, "_read_only", False):
            raise KeyError(f"{name!r} cannot be deleted: the file was opened with mode 'r'")
        super().__delitem__(name)


class File(FileGroup):
    """The content of a file in memory: loaded on opening, saved as a whole on closing.

    It stands where ``h5py.File`` stood, ``with memdata.File(...) as f:``. Between opening and
    closing the file on disk is as it was: reading and writing have the speed of memory, a failure
    leaves the old file, and two programs that write the same file do not see each other (the last
    to close wins).

    Parameters
    ----------
    name : str or path-like
        The file.
    mode : {"r", "r+", "w", "w-", "x", "a"}
        As h5py's: read, change, replace, create (twice), change or create. With "r" nothing is
        saved, and groups and data cannot be changed (attributes can, in memory).
    save_on_close : bool or None
        None saves when something was changed (and new files always); True always; False never.
        Changes are found by comparing with a copy, which costs as much memory as the content, for
        "r+" and "a" only.
    file_format : FileFormat or None
        HDF5 or Zarr; None guesses from the name.
    **kw
        For `MemGroup.from_file`; h5py's keywords for opening are among them.

    Raises
    ------
    FileNotFoundError
        There is no such file, with "r" and "r+".
    FileExistsError
        There is one, with "w-" and "x".
    ValueError
        Another mode.

    Examples
    --------
    >>> import os, tempfile
    >>> import memdata
    >>> folder = tempfile.TemporaryDirectory()
    >>> name = os.path.join(folder.name, "file.h5")
    >>> with memdata.File(name, "w") as f:
    ...     f["a/x"] = [1, 2, 3]
    >>> with memdata.File(name) as f:
    ...     f["a/x"][1:]
    array([2, 3])
    >>> folder.cleanup()
    """

    def __init__(
        self,
        name: FileName,
        mode: str = "r",
        *,
        save_on_close: bool | None = None,
        file_format: type[FileFormat] | None = None,
        **kw: Any,
    ) -> None:
        super().__init__()
        filename = os.fsdecode(name)
        mode = _MODES.get(mode, mode)
        if mode not in {"r", "r+", "w", "x", "a"}:
            raise ValueError(
                f'{filename}: mode must be "r", "r+", "w", "w-", "x" or "a", not {mode!r}'
            )
        there = os.path.exists(filename)
        if mode == "x" and there:
            raise FileExistsError(
                f"{filename} is there already, and mode {mode!r} makes a new file"
            )
        if not there and mode in {"r", "r+"}:
            raise FileNotFoundError(f"there is no file {filename}")
        self._filename = filename
        self._mode = "r" if mode == "r" else "r+"
        self._format = file_format
        self._save = save_on_close
        self._original: Any = None
        self._open = True
        if mode not in {"w", "x"} and there:
            loaded = MemGroup.from_file(filename, file_format=file_format, **kw)
            self._storage_root = loaded._storage_root
            if self._mode == "r+" and save_on_close is None:
                self._original = MemGroup.from_group(loaded)._storage_root
        if mode == "r":
            _freeze(self._storage_root)
        self._storage_root._read_only = mode == "r"
        self._storage_root._file = weakref.ref(self)

    @property
    def _group_class(self) -> type[Any]:
        return FileGroup

    @property
    def file(self) -> Any:
        """Itself."""
        return self

    @property
    def filename(self) -> str:
        """The name of the file."""
        return self._filename

    @property
    def mode(self) -> str:
        """What may be done with it: "r" or "r+", as h5py says it."""
        return self._mode

    def __bool__(self) -> bool:
        """Whether it is open."""
        return self._open

    def flush(self) -> None:
        """Save now, if something was changed."""
        if not self._open:
            raise ValueError(f"{self._filename} is closed")
        if self._must_save():
            self.to_file(self._filename, file_format=self._format)
            if self._save is None:
                self._original = MemGroup.from_group(self)._storage_root

    def _must_save(self) -> bool:
        if self._mode == "r" or self._save is False:
            return False
        if self._save or self._original is None:
            return True
        return not _same(self._original, self._storage_root)

    def close(self) -> None:
        """Save if something was changed (see `save_on_close`), and let go of the content.

        What was taken from it (groups, datasets) keeps the tree in memory alive.
        """
        if not self._open:
            return
        if self._must_save():
            self.to_file(self._filename, file_format=self._format)
        self._open = False
        self._original = self._storage_root = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; after an exception without saving, so that the file stays as it was."""
        if kind is not None and self._save is not True:
            self._save = False
        self.close()

    def __repr__(self) -> str:
        if not self._open:
            return "<closed memdata file>"
        return f'<memdata file "{os.path.basename(self._filename)}" (mode {self._mode})>'


def _freeze(root: Any) -> None:
    """Make the data of a tree read-only."""
    stack, seen = [root], set()
    while stack:
        node = stack.pop()
        if isinstance(node, _cmemdata._Storage):
            if id(node) not in seen:
                seen.add(id(node))
                stack.extend(node.values())
        elif isinstance(getattr(node, "data", None), np.ndarray):
            node.data.flags.writeable = False


def _same(a: Any, b: Any) -> bool:
    """Whether two trees would be saved alike: content, how it is made, and order."""
    stack = [(a, b)]
    seen = set()
    while stack:
        left, right = stack.pop()
        if (id(left), id(right)) in seen:
            continue
        seen.add((id(left), id(right)))
        made = isinstance(left, _cmemdata._Storage | _cmemdata.MemDataset)
        if type(left) is not type(right) or (
            made and not _cmemdata.values_equal(left._creation, right._creation)
        ):
            return False
        if isinstance(left, _cmemdata._Storage):
            if list(left) != list(right):
                return False
            stack.extend((left[name], right[name]) for name in left)
        elif isinstance(left, _cmemdata.MemDataset) and left.dtype != right.dtype:
            return False
    return bool(a == b)
