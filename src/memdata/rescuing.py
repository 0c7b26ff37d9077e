"""Getting out of a damaged file what can still be read."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata import fileformats
from memdata.checksums import NAMES, block_shape, blocks_of, read_block
from memdata.formats.tree import run_shape
from memdata.verifying import Damage, left_out, lines_of, options_for_damaged, verified

if TYPE_CHECKING:
    from memdata.fileformats import FileFormat
    from memdata.formats.tree import DatasetNode, Options, Plan, Source
    from memdata.progress import ProgressLike

__all__ = ["Rescue", "rescue"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Block = tuple[slice, ...]

#: Bytes of the pieces in which the elements of a dataset without chunks are tried: those of a
#: block of a disk.
_PIECE = 4096


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

    Notes
    -----
    Of an HDF5 file that was cut off, HDF5 opens nothing. A copy beside `out`, as long as the file
    was, is read then; what lay behind the cut is lost.

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
    from memdata.transfer.load import file_name
    from memdata.transfer.ranks import Ranks
    from memdata.transfer.save import save_source

    name, new = file_name(filename), file_name(out)
    os.stat(name)
    if os.path.exists(new) and os.path.samefile(name, new):
        raise FileExistsError(f"{new}: a file is not rescued into itself")
    chosen = file_format or fileformats.guess_file_format(name)
    with _opened(name, chosen, new) as (source, end):
        tolerant = _Tolerant(source, end)
        target = fileformats.guess_file_format(new)
        mode = "w" if overwrite else "w-"
        save_source(tolerant, new, mode, target, options_for_damaged(), Ranks(), show=progress)
        changed = [d for d in verified(source, name).damages if d.what == "changed"]
    lost = [*left_out(tolerant.skipped), *tolerant.lost]
    return Rescue(name, new, tuple(lost), tuple(changed), tolerant.datasets)


@contextlib.contextmanager
def _opened(
    name: str, file_format: type[FileFormat], out: str
) -> Iterator[tuple[Source, int | None]]:
    """The damaged file; where a longer copy of it is read, the length that it has."""
    from memdata.transfer.load import opener_of_file

    with contextlib.ExitStack() as stack:
        end = None
        try:
            source = stack.enter_context(opener_of_file(name, file_format, {})())
        except OSError as error:
            length = _length_told(error)
            if length is None:
                raise
            end = os.path.getsize(name)
            folder = os.path.dirname(os.path.abspath(out))
            copy = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, suffix=".h5"))
            shutil.copyfile(name, copy.name)
            os.truncate(copy.name, length)
            source = stack.enter_context(opener_of_file(copy.name, file_format, {})())
        yield source, end


def _length_told(error: BaseException) -> int | None:
    """How long a file was that is shorter now, where HDF5 says so."""
    told: BaseException | None = error
    while told is not None:
        found = re.search(r"truncated file.*stored_eof = (\d+)", str(told))
        if found is not None:
            return int(found[1])
        told = told.__cause__
    return None


class _Tolerant:
    """A source whose damaged elements are fill values.

    Attributes
    ----------
    lost : list of Damage
        Which elements those are.
    skipped : list of (path, reason)
        What the plan had to leave out.
    datasets : int
        How many it has.
    """

    def __init__(self, source: Source, end: int | None) -> None:
        self._source = source
        self._end = end
        self.lost: list[Damage] = []
        self.skipped: list[tuple[str, str]] = []
        self.datasets = 0

    def plan(self, options: Options) -> Plan:
        plan = self._source.plan(options)
        for node in plan.datasets():
            self.datasets += 1
            if node.stored is not None:
                node.stored = _TolerantStored(self._source, node, options, self._end, self.lost)
        self.skipped, plan.skipped = plan.skipped, []
        for node in plan.datasets():  # the new file's elements are others, or may be
            node.attrs = {key: value for key, value in node.attrs.items() if key not in NAMES}
        return plan

    def stored(self, node: DatasetNode, index: Any, options: Options) -> Any:
        return self._source.stored(node, index, options)

    def close(self) -> None:
        self._source.close()


class _TolerantStored:
    """The elements of a dataset; fill values where they cannot be read."""

    def __init__(
        self,
        source: Source,
        node: DatasetNode,
        options: Options,
        end: int | None,
        lost: list[Damage],
    ) -> None:
        inner = node.stored
        assert inner is not None
        assert node.shape is not None
        self.shape = inner.shape
        self.dtype = inner.dtype
        self.file_name = inner.file_name
        self._inner: Any = inner
        self._source = source
        self._node = node
        self._whole: Shape = node.shape
        self._options = options
        self._end = end
        self._lost = lost

    def piece_rows(self) -> int:
        rows: int = self._inner.piece_rows()
        return rows

    def extent(self) -> None:
        """Elements are read one piece after the other, never as they lie in the file."""

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        try:
            if self._end is None:
                self._inner.read_rows(start, stop, out)
                return
        except (OSError, RuntimeError, ValueError):
            pass
        if not self._whole:
            self._read(out, ())
            return
        chunks = self._node.filters.chunks
        step = chunks
        if chunks is None:
            step = run_shape(self._whole, self.dtype.itemsize, _PIECE)
        shape = block_shape((stop - start, *self._whole[1:]), self.dtype.itemsize, step)
        for block in blocks_of(out.shape, shape):
            rows = slice(block[0].start + start, block[0].stop + start)
            self._read(out[block], (rows, *block[1:]))

    def _read(self, out: Array, block: Block) -> None:
        node = self._node
        stored, node.stored = node.stored, self._inner  # a scalar is read through it
        try:
            if self._end is not None and _end_of(node, block) > self._end:
                raise OSError("the file was cut off before it")
            out[...] = read_block(self._source, node, block, self._options)
        except (OSError, RuntimeError, ValueError) as error:
            out[...] = _fill_of(node)
            _add(self._lost, Damage(node.path, "unreadable", str(error), block))
        finally:
            node.stored = stored


def _add(lost: list[Damage], new: Damage) -> None:
    """Note a damage; one that goes on where the last one ended is one with it."""
    while lost and (joined := _joined(lost[-1], new)) is not None:
        lost.pop()
        new = joined
    lost.append(new)


def _joined(last: Damage, new: Damage) -> Damage | None:
    """Two damages as one, where they are neighbours along one axis."""
    if not last.index or not new.index or (last.path, last.text) != (new.path, new.text):
        return None
    apart = [axis for axis, part in enumerate(new.index) if part != last.index[axis]]
    if len(apart) != 1 or last.index[apart[0]].stop != new.index[apart[0]].start:
        return None
    index = list(new.index)
    index[apart[0]] = slice(last.index[apart[0]].start, new.index[apart[0]].stop)
    return Damage(new.path, new.what, new.text, tuple(index))


def _fill_of(node: DatasetNode) -> Any:
    value = node.creation.get("fillvalue")
    if value is not None:
        return value
    return np.zeros((), node.dtype)[()] if not node.dtype.hasobject else 0


def _end_of(node: DatasetNode, block: Block) -> int:
    """Where elements of an HDF5 dataset end in the file; 0 where they have no place there."""
    dataset = node.source
    if not hasattr(dataset, "get_offset"):
        return 0
    if node.filters.chunks is not None:
        origin = tuple(
            part.start // step * step
            for part, step in zip(block, node.filters.chunks, strict=False)
        )
        info = dataset.get_chunk_info_by_coord(origin)
        return 0 if info.byte_offset is None else int(info.byte_offset + info.size)
    offset = dataset.get_offset()
    if offset is None:
        return 0
    assert node.shape is not None
    last = 0
    for part, length in zip(block, node.shape, strict=True):
        last = last * length + part.stop - 1
    return int(offset + (last + 1) * node.dtype.itemsize)
