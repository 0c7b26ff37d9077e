"""Getting out of a damaged file what can still be read."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from memdata import fileformats
from memdata.verifying import Damage, left_out, lines_of, options_for_damaged

if TYPE_CHECKING:
    from memdata.fileformats import FileFormat
    from memdata.formats.tree import Source
    from memdata.progress import ProgressLike

__all__ = ["Rescue", "rescue"]

#: Bytes of a file, at most.
_LONGEST = (1 << 63) - 1


@dataclass(frozen=True)
class Rescue:
    """What `rescue` could do.

    Attributes
    ----------
    filename, out : str
        The damaged file, and the new one.
    lost : tuple of Damage
        What could not be read: members and attributes that are missing in the new file, and
        elements that are fill values there.
    changed : tuple of Damage
        Elements that are in the new file, but whose checksums are wrong.
    datasets : int
        How many datasets the new file has.
    """

    filename: str
    out: str
    lost: tuple[Damage, ...]
    changed: tuple[Damage, ...]
    datasets: int

    @property
    def complete(self) -> bool:
        """Whether all was read, and nothing is known to have changed."""
        return not self.lost and not self.changed

    def __str__(self) -> str:
        lines = lines_of((*self.lost, *self.changed))
        whole = "all of it" if self.complete else "not everything is good:"
        return f"{self.out}: {self.datasets} datasets rescued from {self.filename}, {whole}{lines}"


def rescue(
    filename: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    file_format: type[FileFormat] | None = None,
    progress: ProgressLike = None,
) -> Rescue:
    """Copy every group, attribute, dataset and chunk of a damaged file that can be read.

    Parameters
    ----------
    filename : str or path-like
        An HDF5 file or a zarr store. It is only read.
    out : str or path-like
        The new file; its name says in which format. Types, chunks, filters and links are those of
        the damaged file; chunks that cannot be read are fill values.
    overwrite : bool
        Whether `out` may be there already.
    file_format : FileFormat or None
        Of the damaged file; None guesses from the name.
    progress : bool, callable or None
        See `memdata.progress.Progress`.

    Returns
    -------
    Rescue
        What was lost, and what is there but has changed since it was saved with checksums.

    Raises
    ------
    FileExistsError
        `out` is there.
    OSError
        Nothing can be read: the file's root is lost.
    ValueError
        `out` has another format, which cannot hold what is in the file.

    Notes
    -----
    Of an HDF5 file that was cut off, HDF5 opens nothing, as zarr of a group whose metadata are
    damaged. A copy beside `out` is read then: as long as the file was, or with metadata that say
    nothing.

    Datasets that declare far more than was ever written into them are left out.

    Examples
    --------
    >>> import os, tempfile
    >>> import memdata
    >>> g = memdata.MemGroup()
    >>> d = g.create_dataset("x", data=[1, 2, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "file.h5")
    ...     g.to_file(name)
    ...     memdata.rescue(name, os.path.join(folder, "new.h5")).complete
    True
    """
    from memdata.tolerant import TolerantSource
    from memdata.transfer.load import file_name
    from memdata.transfer.ranks import Ranks
    from memdata.transfer.save import save_source

    name, new = file_name(filename), file_name(out)
    os.stat(name)
    if os.path.exists(new) and os.path.samefile(name, new):
        raise FileExistsError(f"{new}: a file is not rescued into itself")
    chosen = file_format or fileformats.guess_file_format(name)
    target = fileformats.guess_file_format(new)
    mode = "w" if overwrite else "w-"
    with _opened(name, chosen, new) as damaged:
        source = TolerantSource(damaged.source, damaged.end)
        try:
            save_source(source, new, mode, target, options_for_damaged(), Ranks(), show=progress)
        except (TypeError, ValueError) as error:
            text = f"{name}: {new} cannot hold what is in it: {error}"
            raise ValueError(text) from error
    lost = [*damaged.lost, *left_out(source.skipped), *source.lost]
    if damaged.copy:
        lost = [dataclasses.replace(one, text=one.text.replace(damaged.copy, name)) for one in lost]
    return Rescue(name, new, tuple(lost), tuple(source.changed), source.datasets)


class _Opened(NamedTuple):
    """A damaged file that is open.

    Attributes
    ----------
    source : Source
    copy : str
        The name of a copy of it that is read instead; empty where there is none.
    end : int or None
        The length that the file has, where the copy is longer.
    lost : list of Damage
        What was mended in the copy.
    """

    source: Source
    copy: str
    end: int | None
    lost: list[Damage]


@contextlib.contextmanager
def _opened(name: str, file_format: type[FileFormat], out: str) -> Iterator[_Opened]:
    """The damaged file, or a copy beside `out` of what its library does not open as it is."""
    from memdata.transfer.load import opener_of_file

    folder = os.path.dirname(os.path.abspath(out))
    with contextlib.ExitStack() as stack:
        copy, end, lost = "", None, []
        if file_format is fileformats.Zarr and os.path.isdir(name):
            from memdata.formats.zarr_mending import damaged_groups, mended_copy

            groups = damaged_groups(name)
            if groups:
                above = stack.enter_context(tempfile.TemporaryDirectory(dir=folder))
                copy = mended_copy(name, groups, os.path.join(above, "mended.zarr"))
                lost = [Damage(path, "unreadable", text) for path, text in groups.items()]
        try:
            try:
                source = stack.enter_context(opener_of_file(copy or name, file_format, {})())
            except OSError as error:
                length = _length_told(error)
                if length is None or length > _LONGEST or copy:
                    raise
                end = os.path.getsize(name)
                file = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, suffix=".h5"))
                copy = file.name
                shutil.copyfile(name, copy)
                os.truncate(copy, length)
                source = stack.enter_context(opener_of_file(copy, file_format, {})())
            yield _Opened(source, copy, end, lost)
        except OSError as error:
            if not copy or copy not in str(error):
                raise
            raise OSError(str(error).replace(copy, name)) from error


def _length_told(error: BaseException) -> int | None:
    """How long a file was that is shorter now, where HDF5 says so."""
    told: BaseException | None = error
    while told is not None:
        found = re.search(r"truncated file.*stored_eof = (\d+)", str(told))
        if found is not None:
            return int(found[1])
        told = told.__cause__
    return None
