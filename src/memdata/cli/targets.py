"""What a command is given: a file, or a file and a path in it, as ``FILE`` or ``FILE/PATH``."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from memdata.suggesting import did_you_mean, no_such_file

if TYPE_CHECKING:
    from memdata.fileformats import FileFormat

__all__ = ["Target", "opened", "parsed"]


class Target(NamedTuple):
    """A file and a path in it.

    Attributes
    ----------
    file : str
    path : str
        Absolute; ``/`` is all of it.
    is_zarr : bool
    """

    file: str
    path: str
    is_zarr: bool

    @property
    def file_format(self) -> type[FileFormat]:
        """The format of the file."""
        from memdata import fileformats

        return fileformats.Zarr if self.is_zarr else fileformats.HDF5


def _is_store(name: str) -> bool:
    return os.path.isdir(name) and any(
        os.path.exists(os.path.join(name, one)) for one in ("zarr.json", ".zgroup", ".zarray")
    )


def parsed(text: str) -> Target:
    """The file, and the path in it, that an argument names.

    The file is the shortest part of the argument that is one; a folder only if it is a zarr store.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    IsADirectoryError
        A folder that is no zarr store.

    Examples
    --------
    >>> parsed(os.path.abspath(__file__) + "/group/data").path
    '/group/data'
    """
    end = 0
    while True:
        end = text.find("/", end + 1)
        name = text if end < 0 else text[:end]
        if os.path.isfile(name) or _is_store(name):
            inside = "" if end < 0 else text[end:]
            path = "/" + "/".join(part for part in inside.split("/") if part)
            return Target(name, path, not os.path.isfile(name) or name.endswith(".zip"))
        if end < 0:
            break
    if os.path.isdir(text):
        raise IsADirectoryError(errno.EISDIR, "a folder, and not a zarr store", text)
    raise no_such_file(text)


@contextlib.contextmanager
def opened(text: str) -> Iterator[tuple[Any, Target]]:
    """What an argument names, open for reading, and its name.

    Raises
    ------
    KeyError
        The file has nothing of that path; the message says what is near.
    """
    target = parsed(text)
    with contextlib.ExitStack() as stack:
        if target.is_zarr:
            from memdata.formats import zarr_library

            root = zarr_library.open_group(target.file, mode="r")
            stack.callback(zarr_library.close, root)
            stack.enter_context(zarr_library.quiet())
        else:
            from memdata.formats.hdf5 import opened as opened_hdf5

            root = stack.enter_context(opened_hdf5(target.file, "r"))
        yield (root if target.path == "/" else _found(root, target)), target


def _found(root: Any, target: Target) -> Any:
    here, names = root, target.path.strip("/").split("/")
    for depth, name in enumerate(names):
        try:
            here = here[name]
        except (KeyError, TypeError, IndexError, ValueError, OSError):
            at = "/" + "/".join(names[:depth])
            raise KeyError(f"{target.file}: {_nothing(here, at, name)}") from None
    return here


def _nothing(group: Any, at: str, name: str) -> str:
    if hasattr(group, "dtype"):
        return f"{at} is a dataset, so there is no {name!r} in it"
    hint = did_you_mean(name, group, 3) or "; `memdata ls` lists what is there"
    return f"there is no {name!r} in {at}{hint}"
