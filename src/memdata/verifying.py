"""Reading a file to the last byte, to know whether anything of it is damaged."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memdata import fileformats
from memdata.progress import Progress, ProgressLike

if TYPE_CHECKING:
    from memdata.fileformats import FileFormat
    from memdata.formats.tree import DatasetNode, Options, Source

__all__ = ["Damage", "Verification", "verify"]

Block = tuple[slice, ...]


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not as it was saved.

    Attributes
    ----------
    path : str
        Of the group or dataset.
    what : str
        ``"unreadable"`` (an error on reading) or ``"changed"`` (read, but its checksum is wrong).
    text : str
        For a reader, without the path.
    index : tuple of slice or None
        Which elements of a dataset; None where it is all of it, or no dataset.
    """

    path: str
    what: str
    text: str
    index: Block | None = None

    def __str__(self) -> str:
        where = ""
        if self.index:
            where = "[" + ", ".join(f"{part.start}:{part.stop}" for part in self.index) + "]"
        return f"{self.path}{where}: {self.what}: {self.text}"


#: Of more only the number is shown.
_SHOWN = 50


def lines_of(damages: Sequence[Damage]) -> str:
    """Damages for a reader, a line each."""
    lines = "".join(f"\n  {damage}" for damage in damages[:_SHOWN])
    more = len(damages) - _SHOWN
    return f"{lines}\n  and {more} more" if more > 0 else lines


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes
    ----------
    filename : str
        The file.
    damages : tuple of Damage
        All that is not as it should be.
    datasets, checked : int
        How many datasets were read, and how many of them have checksums.
    nbytes : int
        How many bytes were read, unpacked.
    """

    filename: str
    damages: tuple[Damage, ...] = ()
    datasets: int = 0
    checked: int = 0
    nbytes: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages

    def __str__(self) -> str:
        read = f"{self.datasets} datasets read, {self.checked} of them compared with checksums"
        if self.ok:
            return f"{self.filename}: good: {read}"
        places = "place is" if len(self.damages) == 1 else "places are"
        damaged = f"{len(self.damages)} {places} damaged"
        return f"{self.filename}: {damaged}: {read}{lines_of(self.damages)}"


def verify(
    filename: str | os.PathLike[str],
    *,
    file_format: type[FileFormat] | None = None,
    progress: ProgressLike = None,
) -> Verification:
    """Read all of a file, and compare it with the checksums that it was saved with.

    Parameters
    ----------
    filename : str or path-like
        An HDF5 file or a zarr store. It is only read.
    file_format : FileFormat or None
        HDF5 or Zarr; None guesses from the name.
    progress : bool, callable or None
        See `memdata.progress.Progress`.

    Returns
    -------
    Verification
        Its ``ok`` says whether all is good, its ``damages`` what is not. Datasets without checksums
        (see ``checksum=`` of `MemGroup.to_file`) are read only: what has changed and can still
        be read is not found then, unless a filter of the file has checksums (fletcher32).

    Raises
    ------
    FileNotFoundError, PermissionError, BlockingIOError
        There is no such file, it may not be read, or is being written.

    Notes
    -----
    Elements are read in blocks of a chunk, so memory for some of these is all that it takes. A
    program that changes a dataset in the file, and not its checksums, leaves it "changed".

    Examples
    --------
    >>> import os, tempfile
    >>> import memdata
    >>> g = memdata.MemGroup()
    >>> d = g.create_dataset("x", data=[1, 2, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     name = os.path.join(folder, "file.h5")
    ...     g.to_file(name, checksum=True)
    ...     found = memdata.verify(name)
    >>> found.ok, found.datasets, found.checked
    (True, 1, 1)
    """
    from memdata.transfer.load import file_name, opener_of_file

    name = file_name(filename)
    chosen = file_format or fileformats.guess_file_format(name)
    os.stat(name)
    try:
        with opener_of_file(name, chosen, {})() as source:
            return verified(source, name, progress)
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        if says_nothing(error):
            raise
        return Verification(name, (Damage("/", "unreadable", str(error)),))


#: Errors that are not about what is in a file.
_ELSEWHERE = {
    *(errno.EACCES, errno.EPERM, errno.EAGAIN, errno.ENOLCK, errno.ENOENT, errno.ESTALE),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}


def says_nothing(error: BaseException) -> bool:
    """Whether an error is none of a damaged file: no permission, locked, replaced meanwhile ..."""
    return isinstance(error, OSError) and error.errno in _ELSEWHERE


def options_for_damaged() -> Options:
    """A plan of all that can be read, as it is in the file."""
    from memdata.formats.tree import Options

    options = Options(convert_attribute_strings=False, keep_links=True)
    options.tolerant = options.keep_checksums = True
    return options


def left_out(skipped: Sequence[tuple[str, str]]) -> Iterator[Damage]:
    """What a tolerant plan had to leave out."""
    for path, why in skipped:
        yield Damage(path, "unreadable", why)


@dataclass
class _Found:
    damages: list[Damage] = field(default_factory=list)
    checked: int = 0
    nbytes: int = 0


def verified(source: Source, name: str, progress: ProgressLike = None) -> Verification:
    """Verify what an open source has."""
    from memdata.checksums import checksummed

    options = options_for_damaged()
    plan = source.plan(options)
    found = _Found(list(left_out(plan.skipped)))
    nodes = [node for node in plan.datasets() if checksummed(node)]
    total = sum(node.nbytes for node in nodes)
    with Progress(f"verifying {os.path.basename(name)}", total, progress) as bar:
        for node in nodes:
            _verify_dataset(source, node, options, found, bar)
    count = len(list(plan.datasets()))
    return Verification(name, tuple(found.damages), count, found.checked, found.nbytes)


def changed(path: str, block: Block, content: Any, told: int) -> list[Damage]:
    """What is wrong with a block, of which the checksum is told."""
    from memdata.checksums import crc32

    now = None
    with contextlib.suppress(TypeError):
        now = crc32(content)
    if now == told:
        return []
    text = f"its checksum was {told:08x} when it was saved"
    return [Damage(path, "changed", text, block)]


def _verify_dataset(
    source: Source, node: DatasetNode, options: Options, found: _Found, bar: Progress
) -> None:
    from memdata.checksums import block_shape, found_in, hollow, read_block
    from memdata.formats.tiling import boxes_of

    assert node.shape is not None
    sums = None if hollow(node) else found_in(node.attrs, node.shape)
    found.checked += sums is not None
    blocks: Iterable[Block]
    if hollow(node):
        blocks = _written_blocks(node)
    elif sums is not None:
        blocks = boxes_of(node.shape, sums.block)
    else:
        shape = block_shape(node.shape, node.dtype.itemsize, node.filters.chunks)
        blocks = boxes_of(node.shape, shape)
    for number, block in enumerate(blocks):
        try:
            part: Any = read_block(source, node, block, options)
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            text = str(error) or type(error).__name__
            found.damages.append(Damage(node.path, "unreadable", text, block))
            continue
        if sums is not None:
            found.damages += changed(node.path, block, part, int(sums.values[number]))
        found.nbytes += part.nbytes
        bar.advance(part.nbytes)


def _written_blocks(node: DatasetNode) -> Iterator[Block]:
    """The chunks of an HDF5 dataset that were written; nothing of others."""
    assert node.shape is not None
    chunks, dataset = node.filters.chunks, node.source
    if chunks is None or not hasattr(dataset, "get_chunk_info"):
        return
    rest = tuple(slice(0, length) for length in node.shape[len(chunks) :])
    for number in range(dataset.get_num_chunks()):
        start = dataset.get_chunk_info(number).chunk_offset
        ends = zip(start, chunks, node.shape, strict=False)
        yield (*(slice(a, min(a + step, n)) for a, step, n in ends), *rest)
