"""Writing a folder, a zarr store for instance, so that nobody ever sees half of it.

As `memdata.locking.AtomicFile` for files: what is written lies beside the target under another
name, and takes the target's place in one step when it is complete.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Callable
from functools import cache
from typing import Any

from memdata.locking import NO_LOCKS, Atomic, remove, sync_folder, temporary_name

__all__ = ["AtomicFolder", "standing"]

logger = logging.getLogger("memdata")

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2


class AtomicFolder(Atomic):
    """A folder that appears under its name complete, or not at all.

    A context manager. Inside, `path` is the temporary folder, which exists and is empty (or is a
    copy of the target, with ``keep=True``). Leaving the block without an exception puts it in the
    place of the target; any exception removes it.

    Parameters
    ----------
    filename : str or os.PathLike
        The target. Of a symbolic link, what it points to is replaced.
    keep : bool
        Start with a copy of the target, when there is one. Symbolic links are copied as links.
    exclusive : bool
        An existing target is a ``FileExistsError``.
    durable : bool, optional
        Wait until all is on the disk. None asks ``MEMDATA_DURABLE``.
    replaceable : callable, optional
        Asked with the path of an existing folder that is not empty: whether it may be replaced.

    Raises
    ------
    BlockingIOError
        Another program, or thread, is writing this folder now.
    OSError
        The target is a file, a folder that may not be replaced or written, or its own folder is
        missing.

    Notes
    -----
    The temporary folder is ``DIR/.NAME.memdata``. It is locked (``flock``) as long as it is
    written, so one left behind by a dead program is recognised: the next save removes it. Where
    the system can, old and new folder are exchanged in one step; elsewhere the old one is renamed
    to ``DIR/.NAME.memdata-old`` first. A program killed just then leaves it there: `standing` finds
    it, and the next save puts it back before it begins.
    """

    def __init__(
        self,
        filename: str | os.PathLike[str],
        *,
        keep: bool = False,
        exclusive: bool = False,
        durable: bool | None = None,
        replaceable: Callable[[str], bool] | None = None,
    ) -> None:
        super().__init__(filename, keep=keep, exclusive=exclusive, durable=durable)
        self._replaceable = replaceable
        self._descriptor: int | None = None
        self._old: int | None = None  # of what is replaced, while it is
        self._aside: str | None = None  # where that lies then

    def _check_target(self) -> os.stat_result | None:
        """What the target is now; refuses what must not be replaced."""
        self._put_back()
        try:
            old = os.stat(self.target)
        except FileNotFoundError:
            if not os.path.isdir(self.folder):
                raise FileNotFoundError(
                    errno.ENOENT, "cannot save, there is no such folder; make it first", self.folder
                ) from None
            return None
        if self.exclusive:
            raise FileExistsError(errno.EEXIST, "it exists already", self.filename)
        if not stat.S_ISDIR(old.st_mode):
            raise NotADirectoryError(
                errno.ENOTDIR, "cannot save a folder over a file", self.filename
            )
        if not os.access(self.target, os.W_OK):
            raise PermissionError(errno.EACCES, "the folder is write-protected", self.filename)
        if self._replaceable is not None:
            with os.scandir(self.target) as entries:
                empty = next(entries, None) is None
            if not empty and not self._replaceable(self.target):
                raise FileExistsError(
                    errno.EEXIST,
                    "this folder holds something else, and is left alone",
                    self.filename,
                )
        return old

    def _create(self) -> None:
        """Make the temporary folder, empty and locked."""
        while True:
            self._making = True
            try:
                os.mkdir(self.path)
            except FileExistsError:
                self._making = False
                # Being written just now, or left behind by a program that died?
                self._remove_left()
                continue
            self._descriptor = self._locked(self.path)
            if self._descriptor is not None:
                return

    def _like(self, old: os.stat_result) -> None:
        if self.keep:
            try:
                shutil.copytree(self.target, self.path, symlinks=True, dirs_exist_ok=True)
            except shutil.Error as error:
                raise OSError(f"{self.filename}: cannot be copied: {error}") from None
        os.chmod(self.path, stat.S_IMODE(old.st_mode))

    def _put_back(self) -> None:
        """Give an old folder its name again, if a program died between taking and giving it."""
        aside = old_name(self.path)
        if os.path.lexists(self.target) or not os.path.isdir(aside):
            return
        descriptor = self._locked(aside)
        if descriptor is not None:
            try:
                os.rename(aside, self.target)
            finally:
                os.close(descriptor)

    def _locked(self, path: str) -> int | None:
        """A descriptor of a temporary folder with the lock; None when it has gone."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            self._making = False
            raise BlockingIOError(
                errno.EAGAIN, "another program or thread is saving this now", self.filename
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(descriptor)
                raise
            logger.debug("%s: the file system has no locks: %s", self.filename, error)
        if self._is_still(descriptor, path):
            return descriptor
        os.close(descriptor)
        return None

    def _is_still(self, descriptor: int, path: str) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.lstat(path))
        except FileNotFoundError:
            return False

    def _remove_left(self) -> None:
        """Remove a temporary folder, or file, that nobody has locked."""
        if os.path.islink(self.path) or not os.path.isdir(self.path):
            remove(self.path)
            return
        descriptor = self._locked(self.path)
        if descriptor is not None:
            try:
                remove(self.path)
            finally:
                os.close(descriptor)

    def _commit(self) -> None:
        if self.durable:
            _sync_tree(self.path)
        if not os.path.lexists(self.target):
            _rename(self.path, self.target, _RENAME_NOREPLACE if self.exclusive else 0)
        elif self.exclusive:
            raise FileExistsError(errno.EEXIST, "it exists already", self.filename)
        else:
            self._exchange()
        self._making = False
        try:
            if (
                self.durable
            ):  # before the old content goes: the name may still mean that on the disk
                sync_folder(self.folder)
        finally:
            self._let_go()

    def _exchange(self) -> None:
        """Put the new folder in the place of the old one, which stays aside."""
        # Locked, so that no other program takes it for one left behind while it is removed.
        self._old = _opened(self.target)
        if _rename(self.path, self.target, _RENAME_EXCHANGE):
            self._aside = self.path
            return
        aside = old_name(self.path)
        remove(aside)
        os.rename(self.target, aside)
        try:
            os.rename(self.path, self.target)
        except BaseException:
            os.rename(aside, self.target)
            raise
        self._aside = aside

    def _let_go(self) -> None:
        """Remove what was replaced, and give the locks back."""
        aside, self._aside = self._aside, None
        try:
            if aside is not None:
                remove(aside)
        except OSError as failure:  # the new content is there: that is what counts
            logger.warning("cannot remove what was replaced, %s: %s", aside, failure)
        finally:
            descriptors = (self._descriptor, self._old)
            self._descriptor = self._old = None
            for descriptor in descriptors:
                if descriptor is not None:
                    os.close(descriptor)

    def discard(self) -> None:
        """Remove the temporary folder, where there is one of ours; nothing else is an error."""
        try:
            if self._descriptor is not None:
                if self._making and self._is_still(self._descriptor, self.path):
                    remove(self.path)
            elif self._making:  # interrupted between making and locking it
                self._remove_left()
        except BlockingIOError:
            pass  # it is another program's
        except OSError as failure:
            logger.warning("cannot remove the temporary folder %s: %s", self.path, failure)
        self._making = False
        self._let_go()


def old_name(temporary: str) -> str:
    """Where the old folder lies between two renames."""
    return temporary + "-old"


def standing(path: str) -> str:
    """The folder that holds what a name stands for.

    That is the name itself but where a program is replacing it, or was killed while it did, on a
    file system that cannot exchange two folders in one step.
    """
    if os.path.lexists(path):
        return path
    folder, base = os.path.split(os.path.realpath(path))
    aside = old_name(os.path.join(folder, temporary_name(base)))
    return aside if os.path.isdir(aside) and not os.path.lexists(path) else path


def _opened(folder: str) -> int | None:
    """A descriptor of a folder with a lock, where there can be one."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


@cache
def _renameat2() -> Any:
    """The function of the C library; None where it has none."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        function = ctypes.CDLL(None, use_errno=True).renameat2
        function.argtypes = [
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_uint,
        ]
        return function
    return None


def _rename(source: str, target: str, flags: int) -> bool:
    """Rename, or exchange; False where the file system cannot exchange."""
    function = _renameat2() if flags else None
    if function is not None:
        done = function(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags)
        if done == 0:
            return True
        number = ctypes.get_errno()
        if number not in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}:
            raise OSError(number, os.strerror(number), target)
    if flags == _RENAME_EXCHANGE:
        return False
    os.rename(source, target)
    return True


def _sync_tree(path: str) -> None:
    """Wait until a folder with all below it is on the disk."""
    for folder, _folders, files in os.walk(path):
        for name in files:
            full = os.path.join(folder, name)
            if os.path.islink(full):
                continue
            descriptor = os.open(full, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_folder(folder)
