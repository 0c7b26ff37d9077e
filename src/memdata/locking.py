"""Writing a file so that nobody ever sees half of it.

Both tools here write to a temporary file in the folder of the target and rename it when it is
complete, which is one step for the file system: readers see the old content or the new one.

`lock_file`
    for any content, with the temporary name and a visible lock file;
`AtomicFile`
    what every save uses: it also keeps two programs from saving the same file at once, keeps
    the permissions of the file that it replaces, and can wait for the disk (``durable``).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import stat
from types import TracebackType
from typing import IO, Any, Self

__all__ = ["AtomicFile", "durable_by_default", "lock_file"]

logger = logging.getLogger("memdata")


def durable_by_default() -> bool:
    """Whether the environment variable ``MEMDATA_DURABLE`` asks to wait for the disk."""
    return os.environ.get("MEMDATA_DURABLE", "0").lower() not in {"", "0", "false", "no", "off"}


def remove(path: str) -> None:
    """Remove a file or a folder; that there is none is no error.

    What fails is tried once more: on a network it may be over by then, and a folder may have got
    an entry while it was being emptied.
    """
    for last in (False, True):
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        except FileNotFoundError:
            return
        except OSError:
            if last:
                raise
        else:
            return


def sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        with contextlib.suppress(OSError):  # there is nothing in it that could be lost
            os.close(descriptor)


class lock_file:  # noqa: N801 - the name that users know
    """A temporary name to write to, renamed to the real one on success.

    Parameters
    ----------
    filename : str or os.PathLike
        The file (or folder) to be made.
    preserve : bool
        Keep the temporary file when an exception ends the block.
    comm : communicator, optional
        Any object with a ``rank``; then only rank 0 touches files.

    Raises
    ------
    ValueError
        `comm` has no ``rank``.
    BlockingIOError
        Another program, or thread, is inside such a block for this file now.

    Notes
    -----
    The lock file is locked (``flock``) while the block runs, so that one that a dead program left
    behind is recognised: it, and what that program had written by then, are removed.

    Examples
    --------
    >>> import os, tempfile
    >>> name = os.path.join(tempfile.mkdtemp(), "result.txt")
    >>> with lock_file(name) as temporary:
    ...     with open(temporary, "w") as file:
    ...         _ = file.write("42")
    >>> os.listdir(os.path.dirname(name))
    ['result.txt']
    """

    def __init__(
        self, filename: str | os.PathLike[str], preserve: bool = False, comm: Any = None
    ) -> None:
        if comm is not None and not hasattr(comm, "rank"):
            raise ValueError(f"comm is not a communicator, it has no rank: {comm!r}")
        self.name = os.fspath(filename)
        self.preserve = preserve
        self.rank0 = comm is None or comm.rank == 0
        self._lock: IO[str] | None = None

    @property
    def tmpfile(self) -> str:
        """The name to write to: ``DIR/.NAME``."""
        folder, base = os.path.split(self.name.rstrip("/"))
        return os.path.join(folder, "." + base)

    @property
    def lockfile(self) -> str:
        """The file that exists while the block runs: ``DIR/.NAME.lock``."""
        return self.tmpfile + ".lock"

    def __enter__(self) -> str:
        if self.rank0:
            left = os.path.lexists(self.lockfile)
            lock = self._locked()
            try:
                lock.truncate(0)
                lock.write(f"{os.getpid()}\n")
                lock.flush()
                if left:
                    remove(self.tmpfile)
            except BaseException:
                lock.close()
                raise
            self._lock = lock
        return self.tmpfile

    def _locked(self) -> IO[str]:
        """The lock file, open and ours."""
        while True:
            lock = open(self.lockfile, "a")  # noqa: SIM115 - closed when the block ends
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _same_file(lock, self.lockfile):
                    return lock
            except BlockingIOError:
                lock.close()
                text = "another program or thread is writing this now"
                raise BlockingIOError(errno.EAGAIN, text, self.name) from None
            except OSError as error:
                if error.errno in NO_LOCKS:
                    return lock
                lock.close()
                raise
            lock.close()  # it was removed before it was locked

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self.rank0:
            return
        try:
            if kind is None:
                self._rename()
            elif not self.preserve:
                self._clean()
        finally:
            remove(self.lockfile)
            if self._lock is not None:
                self._lock.close()
                self._lock = None

    def _rename(self) -> None:
        if not os.path.lexists(self.tmpfile):
            return  # the block had nothing to write
        if os.path.isdir(self.tmpfile) and os.path.isdir(self.name):
            remove(self.name)  # a folder with content cannot be renamed over
        os.replace(self.tmpfile, self.name)

    def _clean(self) -> None:
        try:
            remove(self.tmpfile)
        except OSError as failure:  # the block's own exception is what the user must see
            logger.warning("cannot remove the temporary file %s: %s", self.tmpfile, failure)


class Atomic:
    """What `AtomicFile` and `AtomicFolder` share: the names, and the context around the making."""

    def __init__(
        self,
        filename: str | os.PathLike[str],
        *,
        keep: bool = False,
        exclusive: bool = False,
        durable: bool | None = None,
    ) -> None:
        self.filename = os.fspath(filename)
        self.target = os.path.realpath(self.filename)
        self.keep = keep
        self.exclusive = exclusive
        self.durable = durable_by_default() if durable is None else bool(durable)
        folder, base = os.path.split(self.target)
        self.folder = folder
        self.path = os.path.join(folder, temporary_name(base))
        self._making = False

    def __enter__(self) -> Self:
        old = self._check_target()
        try:
            self._create()
            if old is not None:
                self._like(old)
        except OSError as error:
            self.discard()
            raise self._named(error) from None
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.discard()
            return
        try:
            self._commit()
        except OSError as failure:
            self.discard()
            raise self._named(failure) from None
        except BaseException:
            self.discard()
            raise

    def _check_target(self) -> os.stat_result | None:
        """What the target is now; refuses what must not be replaced."""
        raise NotImplementedError

    def _create(self) -> None:
        """Make what is temporary, empty and locked."""
        raise NotImplementedError

    def _like(self, old: os.stat_result) -> None:
        """Give it what it takes over from the target: permissions, and with `keep` the content."""
        raise NotImplementedError

    def _commit(self) -> None:
        """Put it in the place of the target."""
        raise NotImplementedError

    def discard(self) -> None:
        """Remove it, where there is one of ours; nothing else is an error."""
        raise NotImplementedError

    def _named(self, error: OSError) -> OSError:
        """`error` with the user's name in it instead of the temporary one."""
        if error.errno is None or error.filename == self.filename:
            return error
        return OSError(error.errno, os.strerror(error.errno), self.filename)


class AtomicFile(Atomic):
    """A file that appears under its name complete, or not at all.

    A context manager. Inside, `path` is the temporary file, which exists and is empty (or is a
    copy of the target, with ``keep=True``); `fd` is a descriptor of it. Leaving the block
    without an exception renames it over the target; any exception removes it.

    Parameters
    ----------
    filename : str or os.PathLike
        The target. Of a symbolic link, what it points to is replaced.
    keep : bool
        Start with a copy of the target, when there is one.
    exclusive : bool
        An existing target is a ``FileExistsError``.
    durable : bool, optional
        Wait until file and folder are on the disk. None asks ``MEMDATA_DURABLE``.

    Raises
    ------
    BlockingIOError
        Another program, or thread, is saving this file now.
    OSError
        The target is a folder or a device, is write-protected, or its folder is missing.

    Notes
    -----
    The temporary file is ``DIR/.NAME.memdata``. It is locked (``flock``) as long as it is
    written, so one left behind by a dead program is recognised: the next save removes it.
    """

    _file: IO[bytes] | None = None

    @property
    def fd(self) -> int:
        """A descriptor of the temporary file."""
        if self._file is None:
            raise ValueError(f"{self.filename}: the temporary file is not open")
        return self._file.fileno()

    def _check_target(self) -> os.stat_result | None:
        """What the target is now; refuses what must not be replaced."""
        try:
            old = os.stat(self.target)
        except FileNotFoundError:
            if not os.path.isdir(self.folder):
                raise FileNotFoundError(
                    errno.ENOENT, "cannot save, there is no such folder; make it first", self.folder
                ) from None
            return None
        if stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(errno.EISDIR, "cannot save over a folder", self.filename)
        if not stat.S_ISREG(old.st_mode):
            raise OSError(
                errno.EINVAL, "cannot save, this is a device and not a file", self.filename
            )
        if self.exclusive:
            raise FileExistsError(errno.EEXIST, "the file exists already", self.filename)
        if not os.access(self.target, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is write-protected", self.filename)
        return old

    def _create(self) -> None:
        """Make the temporary file, empty and locked."""
        while True:
            self._making = True
            try:
                # An exception of a signal handler may come after any step. A file object closes
                # itself when it has no name yet; from then on `discard` knows it.
                self._file = open(self.path, "x+b", buffering=0)  # noqa: SIM115
            except FileExistsError:
                self._making = False
                # Being written just now, or left behind by a program that died?
                self._remove_left()
                continue
            try:
                self._lock(self._file)
            except OSError:  # another program has taken it for one left behind
                self._making = False
                file, self._file = self._file, None
                file.close()
                raise
            if _same_file(self._file, self.path):
                return
            file, self._file = self._file, None  # it was removed before it was locked
            file.close()

    def _like(self, old: os.stat_result) -> None:
        _like_old(self.fd, old)
        if self.keep:
            _copy_content(self.target, self.fd)

    def _remove_left(self) -> None:
        try:
            file = open(self.path, "r+b", buffering=0)  # noqa: SIM115
        except FileNotFoundError:
            return
        with file:
            self._lock(file)
            if _same_file(file, self.path):
                os.unlink(self.path)

    def _lock(self, file: IO[bytes]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                errno.EAGAIN, "another program or thread is saving this file now", self.filename
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            logger.debug("%s: the file system has no locks: %s", self.filename, error)

    def _commit(self) -> None:
        file = self._file
        assert file is not None
        if self.durable:
            os.fsync(file.fileno())
        # Network file systems tell of a full disk when a descriptor is closed: before the rename.
        os.close(os.dup(file.fileno()))
        _let_readers_in(file)
        if self.exclusive:
            # Unlike a rename, a link fails when the name has come into being meanwhile.
            os.link(self.path, self.target)
            os.unlink(self.path)
        else:
            os.replace(self.path, self.target)
        self._making = False
        self._file = None
        with contextlib.suppress(OSError):
            file.close()
        if self.durable:
            sync_folder(self.folder)

    def discard(self) -> None:
        """Remove the temporary file, where there is one of ours; nothing else is an error."""
        file, self._file = self._file, None
        try:
            if file is not None:
                with file:
                    if _same_file(file, self.path):
                        os.unlink(self.path)
            elif self._making:  # interrupted between making and naming it
                self._remove_left()
        except BlockingIOError:
            pass  # it is another program's
        except OSError as failure:
            logger.warning("cannot remove the temporary file %s: %s", self.path, failure)
        self._making = False


def temporary_name(base: str) -> str:
    name = f".{base}.memdata"
    if len(os.fsencode(name)) <= 255:
        return name
    return f".{hashlib.sha256(os.fsencode(base)).hexdigest()}.memdata"


NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


def _let_readers_in(file: IO[bytes]) -> None:
    """Share the lock: under its new name the file may be opened before the lock is given back."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


def _same_file(file: IO[Any], path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _like_old(fd: int, old: os.stat_result) -> None:
    """Give the new file the permissions and, where allowed, the owner of the old one."""
    new = os.fstat(fd)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(fd, old.st_uid, old.st_gid)
        except PermissionError:
            pass
    if stat.S_IMODE(new.st_mode) != stat.S_IMODE(old.st_mode):  # not all file systems have modes
        os.fchmod(fd, stat.S_IMODE(old.st_mode))


_FICLONE = 0x40049409  # ioctl of Linux: share the blocks of another file


def _copy_content(source: str, target_fd: int) -> None:
    """Copy a whole file, sharing its blocks where the file system can."""
    with open(source, "rb") as file:
        try:
            fcntl.ioctl(target_fd, _FICLONE, file.fileno())
            return
        except OSError:
            pass  # not on this file system
        _copy_range(file, target_fd, os.fstat(file.fileno()).st_size)


def _copy_range(file: IO[bytes], target_fd: int, size: int) -> None:
    done = 0
    try:
        while done < size:
            count = os.copy_file_range(
                file.fileno(), target_fd, min(size - done, 1 << 26), done, done
            )
            if count == 0:
                break
            done += count
    except AttributeError:
        pass  # not on this system
    except OSError as error:
        unsupported = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
        if error.errno not in unsupported:
            raise
    file.seek(done)
    while block := file.read(1 << 24):
        view = memoryview(block)
        while view:
            count = os.pwrite(target_fd, view, done)
            view = view[count:]
            done += count
