"""Moving the elements of large datasets between memory and files.

*direct*
    The bytes lie in the file in one piece as they lie in memory: ``pread`` and ``pwrite`` at their
    offset, past the file format's library.
*serial*
    Everything else, through the library, in pieces (saving: `memdata.transfer.tiles`).

Both move in pieces of some MiB, so that Ctrl-C stops them soon and progress can be shown. The
parts of distributed datasets are moved in `memdata.transfer.plain` and `memdata.transfer.parts`.
"""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata.threads import thread_count
from memdata.unwritten import written_parts

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode
    from memdata.progress import Progress

__all__ = ["PIECE", "read_direct", "read_into", "write_box", "write_direct"]

Array = np.ndarray[Any, Any]

#: Bytes of one system call. Larger ones are not faster; smaller ones stop sooner.
PIECE = 16 << 20

#: Threads that read one dataset; more gain nothing on the machines measured.
_THREADS = 4


def _bytes_of(array: Array) -> memoryview:
    """The bytes of a C-contiguous array, of any type."""
    return array.reshape(-1).view(np.uint8).data


def read_direct(
    descriptor: int, offset: int, out: Array, progress: Progress, sharing: int = 1
) -> None:
    """Fill `out`, a C-contiguous array, with the bytes at `offset`.

    As many processes as `sharing` says do so at the same time, and share the processors.

    Raises
    ------
    OSError
        The file ends too early, or cannot be read.
    """
    view = _bytes_of(out)
    pieces = range(0, len(view), PIECE)
    workers = min(_THREADS, thread_count(sharing), len(pieces))
    if workers < 2:
        for start in pieces:
            _read_piece(descriptor, offset + start, view[start : start + PIECE])
            progress.advance(min(PIECE, len(view) - start))
        return
    # Most of the time goes into the first touch of fresh memory, which threads share.
    with ThreadPoolExecutor(workers, "memdata-read") as pool:
        reads = [
            pool.submit(_read_piece, descriptor, offset + start, view[start : start + PIECE])
            for start in pieces
        ]
        try:
            for start, read in zip(pieces, reads, strict=True):
                read.result()
                progress.advance(min(PIECE, len(view) - start))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _read_piece(descriptor: int, offset: int, view: memoryview) -> None:
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            raise OSError(errno.EIO, "the file ends before the data do")
        done += count


def write_direct(descriptor: int, offset: int, array: Array, progress: Progress) -> None:
    """Write the bytes of an array, of any layout in memory, at `offset`.

    Where the file has a hole, which reads as zero, what nobody has written to stays one.
    """
    if array.flags.c_contiguous:
        parts = written_parts(array)
        if parts is None:
            parts = [(0, array.nbytes)]
        else:
            parts = _outside_hole(parts, descriptor, offset, array.nbytes)
        _write_bytes(descriptor, offset, array, parts, progress)
        return
    row = array.nbytes // len(array)
    if row > PIECE and array.ndim > 1:
        for index in range(len(array)):
            write_direct(descriptor, offset + index * row, array[index], progress)
        return
    rows = max(1, PIECE // row)
    for start in range(0, len(array), rows):
        part = np.ascontiguousarray(array[start : start + rows])
        _write_bytes(descriptor, offset + start * row, part, [(0, part.nbytes)], progress)


def write_box(
    descriptor: int,
    offset: int,
    shape: tuple[int, ...],
    box: tuple[slice, ...],
    array: Array,
    progress: Progress,
) -> None:
    """Write a box of a contiguous dataset of the shape `shape` that begins at `offset`."""
    run = len(shape)  # from this axis on the elements of the box lie in one piece
    while run and (run == len(shape) or array.shape[run] == shape[run]):
        run -= 1
    strides = [array.itemsize] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    start = offset + sum(cut.start * step for cut, step in zip(box, strides, strict=True))
    for place in np.ndindex(array.shape[:run]):
        at = start + sum(a * b for a, b in zip(place, strides, strict=False))
        write_direct(descriptor, at, array[place], progress)


def _outside_hole(
    parts: list[tuple[int, int]], descriptor: int, offset: int, length: int
) -> list[tuple[int, int]]:
    """`parts` of what is `length` bytes at `offset`, and all behind where the file's hole ends."""
    try:
        hole = min(os.lseek(descriptor, offset, os.SEEK_DATA) - offset, length)
    except OSError as error:
        hole = length if error.errno == errno.ENXIO else 0  # no data behind the offset
    if os.fstat(descriptor).st_size < offset + hole:
        os.ftruncate(descriptor, offset + hole)
    within = [(start, min(stop, hole)) for start, stop in parts if start < hole]
    return [*within, (hole, length)] if hole < length else within


def _write_bytes(
    descriptor: int, offset: int, array: Array, parts: list[tuple[int, int]], progress: Progress
) -> None:
    """Write some parts of an array's bytes, each at its place; the others count as done."""
    view = _bytes_of(array)
    done = 0
    for start, stop in parts:
        progress.advance(start - done)
        done = start
        while done < stop:
            count = os.pwrite(descriptor, view[done : min(done + PIECE, stop)], offset + done)
            done += count
            progress.advance(count)
    progress.advance(len(view) - done)


def read_into(node: DatasetNode, progress: Progress) -> None:
    """Read a dataset's stored elements into ``node.array``."""
    stored, out = node.stored, node.array
    assert stored is not None
    assert out is not None
    extent = stored.extent()
    if extent is not None:
        try:
            read_direct(*extent, out, progress)
        except OSError as error:
            reason = f"cannot read {node.path}: {error.strerror}"
            raise OSError(error.errno, reason, stored.file_name) from error
        return
    if not out.ndim:
        stored.read_rows(0, 1, out)
        progress.advance(out.nbytes)
        return
    rows = stored.piece_rows()
    for start in range(0, len(out), rows):
        part = out[start : start + rows]
        stored.read_rows(start, start + len(part), part)
        progress.advance(part.nbytes)
