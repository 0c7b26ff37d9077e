"""Checksums of the elements of datasets, block by block, kept beside them as attributes.

A block is a chunk; where there are very many chunks several together, and of a dataset without
chunks some rows. The checksum is CRC-32 of the elements as memory holds them, so it does not depend
on filters. Programs that know nothing of this see two attributes of a dataset.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memdata.formats.tiling import boxes_of
from memdata.formats.tree import run_shape
from memdata.threads import in_order, thread_count

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode, Options, Plan, Source
    from memdata.transfer.ranks import Ranks

__all__ = [
    "NAMES",
    "Checksums",
    "add_checksums",
    "crc32",
    "found_in",
    "hollow",
    "read_block",
]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
Block = tuple[slice, ...]

#: The attributes: the checksums in the order of the blocks, and the lengths of a block.
NAMES = ("__memdata_crc32", "__memdata_crc32_block")

#: Bytes of a block of a dataset without chunks, and how many blocks there may be: HDF5 takes
#: attributes of up to 64 KiB everywhere.
_BLOCK_BYTES, _MOST_BLOCKS = 1 << 20, 8192

#: A dataset of more bytes, of which less than one in so many was ever written, is hollow.
_HOLLOW_BYTES, _HOLLOW_SHARE = 1 << 30, 64


class Checksums(NamedTuple):
    """The checksums of a dataset.

    Attributes
    ----------
    block : tuple of int
        Lengths of a block; those at the end may be shorter.
    values : ndarray of uint32
        One a block, in C order of the blocks.
    """

    block: Shape
    values: Array

    def attributes(self) -> dict[str, Array]:
        """What a dataset gets."""
        return dict(zip(NAMES, (self.values, np.array(self.block, np.int64)), strict=True))


def found_in(attributes: Any, shape: Shape) -> Checksums | None:
    """The checksums among a dataset's attributes; None where there are none that fit it."""
    values, block = (attributes.get(name) for name in NAMES)
    if values is None or block is None:
        return None
    try:
        lengths = tuple(int(length) for length in block)
        sums = np.array([int(value) for value in values], np.uint32)
    except (TypeError, ValueError, OverflowError):
        return None
    if len(lengths) != len(shape) or any(length < 1 for length in lengths):
        return None
    count = math.prod(-(-a // b) for a, b in zip(shape, lengths, strict=True))
    return Checksums(lengths, sums) if sums.shape == (count,) else None


def block_shape(shape: Shape, itemsize: int, chunks: Shape | None) -> Shape:
    """Lengths of the blocks of a dataset."""
    if chunks is not None:
        chunks = (*chunks, *shape[len(chunks) :])  # elements that are arrays stay whole
        block = [max(1, min(a, b)) for a, b in zip(chunks, shape, strict=True)]
    else:
        block = list(run_shape(shape, itemsize, _BLOCK_BYTES))
    for axis in range(len(shape) - 1, -1, -1):  # several together, until there are few enough
        count = math.prod(-(-a // b) for a, b in zip(shape, block, strict=True))
        if count <= _MOST_BLOCKS:
            break
        along = -(-shape[axis] // block[axis])
        others = count // along
        block[axis] *= -(-along // max(1, _MOST_BLOCKS // others))
    return tuple(block)


def crc32(array: Array, value: int = 0) -> int:
    """CRC-32 of the elements, in C order; of those of variable length with their lengths.

    Raises
    ------
    TypeError
        An element that has no bytes of its own, as a reference.

    Examples
    --------
    >>> import numpy as np
    >>> hex(crc32(np.frombuffer(b"123456789", "u1")))
    '0xcbf43926'
    """
    if array.dtype.names is not None:  # what is between the fields is anything
        for name in array.dtype.names:
            value = crc32(array[name], value)
        return value
    if array.dtype.kind == "T":
        array = array.astype(object)
    if array.dtype.hasobject:
        for element in array.flat:
            content = _bytes_of(element)
            value = zlib.crc32(content, zlib.crc32(len(content).to_bytes(8, "little"), value))
        return value
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, value)


def _bytes_of(element: Any) -> bytes:
    if isinstance(element, str):
        return element.encode("utf-8", "surrogateescape")
    if isinstance(element, bytes):
        return element
    if isinstance(element, np.ndarray) and not element.dtype.hasobject:
        return element.tobytes()
    if element is None or (isinstance(element, int) and element == 0):  # never written
        return b""
    raise TypeError(f"no checksum of a {type(element).__name__}")


def read_block(source: Source, node: DatasetNode, block: Block, options: Options) -> Array:
    """Read a block of a planned dataset."""
    if node.array is not None:
        return np.asarray(node.array)[block]
    shape = tuple(part.stop - part.start for part in block)
    part = np.empty(shape, node.dtype)
    if not block:
        assert node.stored is not None
        node.stored.read_rows(0, 1, part)
    else:
        assert node.shape is not None
        index = list(block)  # elements that are arrays have no index in the file
        while index and index[-1] == slice(0, node.shape[len(index) - 1]):
            index.pop()
        source.stored(node, tuple(index), options).read_rows(0, shape[0], part)
    return part


def checksummed(node: DatasetNode) -> bool:
    """Whether a dataset has elements."""
    return node.shape is not None and node.nbytes > 0


def hollow(node: DatasetNode) -> bool:
    """Whether a dataset in a file declares far more elements than were ever written."""
    if node.stored is None or node.nbytes <= _HOLLOW_BYTES:
        return False
    return node.nbytes > _HOLLOW_SHARE * node.stored.written()


def sums_of_blocks(
    source: Source, node: DatasetNode, blocks: Iterable[Block], options: Options
) -> Iterator[int]:
    """The checksums of some blocks: read in this thread, added up in others."""
    parts = (read_block(source, node, block, options) for block in blocks)
    return in_order(crc32, parts, thread_count(), "crc")


def checksums_of(
    source: Source, plan: Plan, paths: set[str], options: Options, ranks: Ranks, what: str
) -> dict[str, Checksums]:
    """The checksums of the datasets at `paths`, each rank reading its share. Collective.

    Datasets whose elements have no bytes of their own have none.
    """
    mine: dict[str, list[int] | None] = {}
    shapes: dict[str, Shape] = {}
    with ranks.together(what):
        for node in plan.datasets():
            if node.path not in paths or not checksummed(node):
                continue
            assert node.shape is not None
            shape = block_shape(node.shape, node.dtype.itemsize, node.filters.chunks)
            blocks = list(boxes_of(node.shape, shape))
            begin, end = (len(blocks) * (ranks.rank + more) // ranks.size for more in (0, 1))
            shapes[node.path] = shape
            try:
                mine[node.path] = list(sums_of_blocks(source, node, blocks[begin:end], options))
            except TypeError:
                mine[node.path] = None
    result: dict[str, Checksums] = {}
    everybody = ranks.allgather(mine)
    for path, shape in shapes.items():
        lists = [sums[path] for sums in everybody]
        if all(part is not None for part in lists):
            joined = [value for part in lists for value in part or ()]
            result[path] = Checksums(shape, np.array(joined, np.uint32))
    return result


def add_checksums(
    plan: Plan,
    ranks: Ranks,
    what: str,
    errors: Callable[[], contextlib.AbstractContextManager[None]],
    reader: Callable[[], contextlib.AbstractContextManager[Source]],
    write: Callable[[dict[str, Checksums]], object],
) -> None:
    """Read what was written, and add the checksums of it. Collective.

    Parameters
    ----------
    plan : Plan
        What was written; what the file had before has its checksums already.
    ranks : Ranks
    what : str
        What is being done, for errors.
    errors : callable
        Makes a context in which errors get the name of the user's file.
    reader : callable
        Opens the file.
    write : callable
        Given the checksums by path, on the first rank.
    """
    from memdata.formats.tree import Options

    paths = ranks.share({node.path for node in plan.datasets()})
    options = Options(convert_attribute_strings=False, keep_links=True)
    with ranks.together(what):
        pass  # all have written
    with contextlib.ExitStack() as stack:
        with ranks.together(what), errors():
            source = stack.enter_context(reader())
            written = source.plan(options)
        sums = checksums_of(source, written, paths, options, ranks, what)
    with ranks.together(what):
        if ranks.first:
            with errors():
                write(sums)
