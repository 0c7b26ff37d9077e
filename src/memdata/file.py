"""`File`: a tree in memory that is loaded from a file when opened, and saved when closed."""

from __future__ import annotations

import atexit
import copy
import os
import shutil
import sys
import tempfile
import warnings
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np

from memdata import _cmemdata
from memdata.group import FileName, MemGroup, _StorageRoot
from memdata.h5api import creation
from memdata.suggesting import no_such_file

if TYPE_CHECKING:
    from memdata.fileformats import FileFormat

__all__ = ["File"]

_MODES = {"w-": "x"}

#: h5py's keywords that say how the bytes are laid out, used whenever the file is saved.
_LAYOUT = (
    "libver",
    "userblock_size",
    "fs_strategy",
    "fs_persist",
    "fs_threshold",
    "fs_page_size",
    "alignment_threshold",
    "alignment_interval",
    "meta_block_size",
)
#: Those that tune an open file: used while it is loaded.
_TUNING = (
    "locking",
    "swmr",
    "rdcc_nslots",
    "rdcc_nbytes",
    "rdcc_w0",
    "page_buf_size",
    "min_meta_keep",
    "min_raw_keep",
)
#: memdata's own: of a load, of a save, of both.
_LOADING = ("distributed", "comm", "selections", "strict", "max_bytes", "follow_external")
_SAVING = ("durable", "zarr_format", "consolidated")
_BOTH = ("progress", "mover", "hints", "convert_attribute_strings", "convert_dataset_strings")

#: Drivers of h5py whose files are files; with "core" and no `backing_store` there is none.
_DRIVERS = (None, "sec2", "stdio", "windows", "core", "fileobj")


class _FileRoot(_StorageRoot):
    """The root of a `File`'s tree: it knows where that is saved, and saves what nobody closed."""

    def __init__(self, distributed: bool = False, comm: Any = None) -> None:
        super().__init__(distributed, comm)
        self._handle_class = FileGroup
        self.filename = ""
        self.driver = "sec2"
        self.fileobj: BinaryIO | None = None
        self.mode = "r+"
        self.open = False
        self.save_on_close: bool | None = None
        self.saving: dict[str, Any] = {}
        self.original: Any = None
        self.handle: weakref.ref[File] | None = None
        self.process = os.getpid()
        self.failed = False  # somebody tried to save, and knows of the error

    def file(self) -> File:
        """The `File` of an open tree: the one that somebody has, or another."""
        found = None if self.handle is None else self.handle()
        if found is None:
            found = File.__new__(File)
            found._storage_root, found._name = self, "/"
            self.handle = weakref.ref(found)
        return found

    def must_save(self) -> bool:
        """Whether there is anything to save."""
        if self.mode == "r" or self.save_on_close is False:
            return False
        if self.save_on_close or self.original is None:
            return True
        return not _same(self.original, self)

    def save(self) -> None:
        """Save the tree, in one step."""
        tree = MemGroup._from_storage_root(self, "/")
        if self.fileobj is None:
            tree.to_file(self.filename, **self.saving)
            return
        with tempfile.TemporaryDirectory(prefix="memdata-") as folder:
            name = os.path.join(folder, "file.h5")
            tree.to_file(name, **self.saving)
            self.fileobj.seek(0)
            with open(name, "rb") as file:
                shutil.copyfileobj(file, self.fileobj, 1 << 20)
        self.fileobj.truncate()
        self.fileobj.flush()

    def end(self) -> None:
        """Nothing is saved any more."""
        self.open = False
        self.original = self.fileobj = None
        handle = None if self.handle is None else self.handle()
        if handle is not None:
            handle._storage_root = None
        _opened.pop(id(self), None)

    def abandoned(self) -> None:
        """Save what nobody closed, as h5py does, unless ranks would have to do it together."""
        if not self.open or os.getpid() != self.process:
            return
        try:
            if not self.failed and self.must_save():
                warnings.warn(f"{self.filename} was not closed", ResourceWarning, stacklevel=2)
                if not self.distributed:
                    self.save()
        finally:
            self.end()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A pickled tree is one in memory; the file stays here."""
        attrs, _, *rest = self.__getstate__()
        state = (attrs, None, *rest)
        return _StorageRoot, (), state, None, iter(self.items())

    def __del__(self) -> None:
        if getattr(self, "open", False):
            self.abandoned()


_opened: weakref.WeakValueDictionary[int, _FileRoot] = weakref.WeakValueDictionary()


@atexit.register
def _close_all() -> None:
    """At the end of the program save what is open; after an error that ended it, nothing."""
    failed = getattr(sys, "last_value", None) is not None
    for root in list(_opened.values()):
        if failed:
            root.end()
        else:
            root.abandoned()


class FileGroup(MemGroup):
    """A group of a `File`: it knows its file, and can be changed only where that may be."""

    @property
    def file(self) -> Any:
        """The `File`; when that is closed, the root as a group."""
        root = self._storage_root
        if isinstance(root, _FileRoot) and root.open:
            return root.file()
        return MemGroup._from_storage_root(root, "/")

    @property
    def _group_class(self) -> type[Any]:
        return FileGroup

    def _in_memory(self) -> MemGroup:
        """The same group, as if there were no file."""
        return MemGroup._from_storage_root(self._storage_root, self.name)

    def __reduce__(self) -> Any:
        return self._in_memory().__reduce__()

    def __copy__(self) -> Self:
        return type(self)._from_storage_root(self._storage_root, self.name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self._in_memory(), memo)

    def _is_read_only(self) -> bool:
        root = self._storage_root
        return isinstance(root, _FileRoot) and root.open and root.mode == "r"

    def _check_writable(self) -> None:
        if self._is_read_only():
            raise ValueError(
                f"{self.name} cannot be changed: the file was opened with mode 'r'; "
                "'r+' lets it be changed"
            )

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

    def _get_kind(self, name: str, default: Any, getclass: bool, getlink: bool) -> Any:
        found = super()._get_kind(name, default, getclass, getlink)
        return MemGroup if found is FileGroup else found

    def __delitem__(self, name: str | bytes) -> None:
        if self._is_read_only():
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
    name : str, path-like or file object
        The file. An object that can be read, written and sought is copied when opened, and written
        over when closed; unlike a file with a name, it is not as before when writing fails.
    mode : {"r", "r+", "w", "w-", "x", "a"}
        As h5py's: read, change, replace, create (twice), change or create. With "r" nothing is
        saved, and groups and data cannot be changed (attributes can, in memory).
    driver : str, optional
        h5py's name for a way to files, which memory does not need: None, "sec2", "stdio",
        "fileobj", or "core", which with ``backing_store=False`` is never saved.
    save_on_close : bool or None
        None saves when something was changed (and new files always); True always; False never.
        Changes are found by comparing with a copy, which costs as much memory as the content, for
        "r+" and "a" only.
    file_format : FileFormat or None
        HDF5 or Zarr; None guesses from the name.
    track_order : bool, optional
        Whether the root keeps the order of its names in the file.
    **kw
        h5py's other keywords: those for the layout of a file (`libver`, `userblock_size`, `fs_*`,
        `alignment_*`, `meta_block_size`) are used when it is saved, those that tune an open one
        (`locking`, `swmr`, `rdcc_*` ...) when it is loaded. And those of `MemGroup.from_file` and
        `MemGroup.to_file`.

    Raises
    ------
    FileNotFoundError
        There is no such file, with "r" and "r+".
    FileExistsError
        There is one, with "w-" and "x".
    PermissionError
        It may not be written to, with "r+" and "a".
    ValueError
        Another mode or driver.
    TypeError
        A keyword that neither h5py nor memdata knows.

    Warns
    -----
    ResourceWarning
        It was changed and not closed: it is saved when nobody has it any more, or at the end of a
        program that no error ended.

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
        name: FileName | BinaryIO,
        mode: str = "r",
        driver: str | None = None,
        *,
        save_on_close: bool | None = None,
        file_format: type[FileFormat] | None = None,
        track_order: bool | None = None,
        backing_store: bool = True,
        **kw: Any,
    ) -> None:
        filename = _name_of(name)
        mode = _MODES.get(mode, mode)
        if mode not in {"r", "r+", "w", "x", "a"}:
            raise ValueError(
                f'{filename}: mode must be "r", "r+", "w", "w-", "x" or "a", not {mode!r}'
            )
        loading, saving = _sorted_keywords(kw, filename)
        fileobj: Any = None if isinstance(name, str | bytes | os.PathLike) else name
        _check_driver(driver, fileobj is None, filename)
        if fileobj is not None:
            there = fileobj.seek(0, os.SEEK_END) > 0
        else:
            there = os.path.exists(filename) and (backing_store or mode not in {"w", "x"})
        if mode == "x" and there:
            raise FileExistsError(
                f"{filename} is there already, and mode {mode!r} makes a new file"
            )
        if not there and mode in {"r", "r+"}:
            raise no_such_file(filename)
        if there and fileobj is None and mode in {"r+", "a"} and not os.access(filename, os.W_OK):
            raise PermissionError(f"{filename} may not be written to")
        if mode not in {"w", "x"} and there:
            tree = _loaded(filename, fileobj, file_format, loading)
        else:
            tree = _FileTree(loading.get("distributed", False), loading.get("comm"))
        super().__init__()
        root = self._storage_root = tree._storage_root
        root.filename, root.fileobj = filename, fileobj
        root.driver = driver or ("sec2" if fileobj is None else "fileobj")
        root.mode = "r" if mode == "r" else "r+"
        root.save_on_close = save_on_close if backing_store else False
        root.saving = saving if file_format is None else {**saving, "file_format": file_format}
        if track_order is not None and not (there and mode in {"r", "r+", "a"}):
            root._creation.update(creation.normalised_group({"track_order": track_order}, filename))
        if mode in {"r+", "a"} and there and save_on_close is None and backing_store:
            root.original = MemGroup.from_group(tree)._storage_root
        if mode == "r":
            _freeze(root)
        root.handle = weakref.ref(self)
        root.open = True
        _opened[id(root)] = root

    @property
    def file(self) -> Any:
        """Itself."""
        return self

    def _root(self) -> Any:
        root = self._storage_root
        if root is None:
            raise ValueError("the file is closed")
        return root

    @property
    def filename(self) -> str:
        """The name of the file."""
        return str(self._root().filename)

    @property
    def mode(self) -> str:
        """What may be done with it: "r" or "r+", as h5py says it."""
        return str(self._root().mode)

    @property
    def driver(self) -> str:
        """Which way leads to the file, in h5py's words: "sec2", "fileobj" or what was asked for."""
        return str(self._root().driver)

    @property
    def meta_block_size(self) -> int | None:
        """The `meta_block_size` with which it is saved, as given; None is HDF5's."""
        size: int | None = self._root().saving.get("meta_block_size")
        return size

    @property
    def swmr_mode(self) -> bool:
        """False: nobody writes to what was loaded."""
        self._root()
        return False

    @property
    def libver(self) -> Any:
        """The oldest and newest version of HDF5 for which it is saved, as given; None is h5py's."""
        return self._root().saving.get("libver")

    @property
    def userblock_size(self) -> int:
        """The bytes before the HDF5 content of the file, when it is saved."""
        return int(self._root().saving.get("userblock_size") or 0)

    def __bool__(self) -> bool:
        """Whether it is open."""
        root = self._storage_root
        return root is not None and bool(root.open)

    def __contains__(self, name: Any) -> bool:
        """Whether there is something of that name; never in a closed file."""
        return self._storage_root is not None and super().__contains__(name)

    def flush(self) -> None:
        """Save now, if something was changed."""
        root = self._root()
        if root.must_save():
            root.save()
            if root.save_on_close is None:
                root.original = MemGroup.from_group(self)._storage_root

    def close(self) -> None:
        """Save if something was changed (see `save_on_close`), and let go of the content.

        What was taken from it (groups, datasets) keeps the tree in memory alive. After an error
        while saving it is still open.
        """
        root = self._storage_root
        if root is None or not root.open:
            return
        root.failed = True
        if root.must_save():
            root.save()
        root.end()
        self._storage_root = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; after an exception without saving, so that the file stays as it was."""
        root = self._storage_root
        if root is None:
            return
        if kind is not None and root.save_on_close is not True:
            root.save_on_close = False
        self.close()

    def __repr__(self) -> str:
        if not self:
            return "<closed memdata file>"
        return f'<memdata file "{os.path.basename(self.filename)}" (mode {self.mode})>'


class _FileTree(MemGroup):
    """What a file is loaded into."""

    def __init__(self, distributed: bool = False, comm: Any = None) -> None:
        super().__init__()
        self._storage_root = _FileRoot(distributed, comm)


def _loaded(
    filename: str, fileobj: Any, file_format: type[FileFormat] | None, keywords: dict[str, Any]
) -> _FileTree:
    if fileobj is None:
        return _FileTree.from_file(filename, file_format=file_format, **keywords)
    with tempfile.TemporaryDirectory(prefix="memdata-") as folder:
        copy = os.path.join(folder, "file.h5")
        fileobj.seek(0)
        with open(copy, "wb") as file:
            shutil.copyfileobj(fileobj, file, 1 << 20)
        return _FileTree.from_file(copy, **keywords)


def _name_of(name: Any) -> str:
    if isinstance(name, str | bytes | os.PathLike):
        return os.fsdecode(name)
    if not all(hasattr(name, method) for method in ("read", "write", "seek", "truncate")):
        raise TypeError(
            "a file name or a binary file object is needed, "
            f"not {type(name).__name__}: {name!r:.80}"
        )
    return repr(name)


def _check_driver(driver: str | None, named: bool, filename: str) -> None:
    if driver not in _DRIVERS:
        raise ValueError(
            f"{filename}: Unknown driver type {driver!r}; memory knows "
            f"{', '.join(name for name in _DRIVERS if name)}"
        )
    if driver is not None and (driver == "fileobj") == named:
        raise ValueError(f'{filename}: driver="fileobj" is for file objects, and for them only')


def _sorted_keywords(kw: dict[str, Any], filename: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keywords for loading and for saving.

    Raises
    ------
    TypeError
        An unknown one.
    """
    unknown = set(kw) - {*_LAYOUT, *_TUNING, *_LOADING, *_SAVING, *_BOTH}
    if unknown:
        raise TypeError(f"{filename}: unexpected keywords: {', '.join(sorted(unknown))}")
    given = {key: value for key, value in kw.items() if value is not None}
    loading = {key: given[key] for key in (*_TUNING, *_LOADING, *_BOTH) if key in given}
    saving = {key: given[key] for key in (*_LAYOUT, *_SAVING, *_BOTH) if key in given}
    if "hints" in saving:
        saving["hints"] = bool(saving["hints"])
    return loading, saving


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
        groups = [isinstance(node, _cmemdata._Storage) for node in (left, right)]
        made = all(groups) or isinstance(left, _cmemdata.MemDataset)
        if (not all(groups) and type(left) is not type(right)) or (
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
