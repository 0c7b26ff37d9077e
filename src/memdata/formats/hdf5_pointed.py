"""How many bytes the elements of an HDF5 dataset point to: variable-length text, ragged arrays.

Such an element is a length and the place of the rest, which lies elsewhere in the file. Many
elements may name one place, so that a small file can stand for any amount of memory. Reading the
lengths alone, past HDF5, tells how much before anything is allocated.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from h5py import h5d, h5t

from memdata.formats.hdf5_codecs import BadChunkError, pipeline_of

__all__ = ["pointed_bytes"]

Array = np.ndarray[Any, Any]

#: Bytes of the elements that are looked at together.
_PIECE = 1 << 22

#: Elements of arrays in a type that are looked at one by one.
_MOST = 10_000


class _Layout(NamedTuple):
    """Elements as the file has them: their size, and where lengths are, of what size each."""

    size: int
    lengths: list[tuple[int, int]]


def pointed_bytes(dataset: Any, descriptor: int | None, address: int) -> int | None:
    """Bytes that the elements of a dataset point to; None where only HDF5 can tell.

    What ragged arrays of ragged arrays point to in turn is not looked at.

    Parameters
    ----------
    dataset : h5py.h5d.DatasetID
        Its type holds variable-length elements; nothing of it is held back by HDF5.
    descriptor : int or None
        Of the file, where its bytes can be read.
    address : int
        Bytes of an address in the file.
    """
    layout = _layout(dataset.get_type(), address)
    if layout is None:
        return None
    if not layout.lengths:
        return 0
    plist = dataset.get_create_plist()
    kind = plist.get_layout()
    total = 0
    if kind == h5d.CHUNKED:
        pieces = _chunks(dataset, plist, layout.size)
    elif kind == h5d.CONTIGUOUS and descriptor is not None and not plist.get_external_count():
        pieces = _run(dataset, descriptor, layout.size)
    else:
        return None
    for raw in pieces:
        if raw is None:
            return None
        total += _sum(raw, layout)
    return total


def _layout(type_id: Any, address: int) -> _Layout | None:
    """Where the lengths are in an element; None where that is not known."""
    pointer = 4 + address + 4  # length, place of a collection, number in it
    if isinstance(type_id, h5t.TypeStringID) and type_id.is_variable_str():
        return _Layout(pointer, [(0, 1)])
    if isinstance(type_id, h5t.TypeVlenID):
        return _Layout(pointer, [(0, type_id.get_super().get_size())])
    if isinstance(type_id, h5t.TypeArrayID):
        base = _layout(type_id.get_super(), address)
        count = math.prod(type_id.get_array_dims())
        if base is None or count > _MOST:
            return None
        lengths = [(n * base.size + at, size) for n in range(count) for at, size in base.lengths]
        return _Layout(count * base.size, lengths)
    if isinstance(type_id, h5t.TypeCompoundID):
        return _compound(type_id, address)
    return _Layout(type_id.get_size(), [])


def _compound(type_id: Any, address: int) -> _Layout | None:
    """The layout of a structure: what is longer in the file moves the fields behind it."""
    moved = 0
    lengths = []
    order = sorted(range(type_id.get_nmembers()), key=type_id.get_member_offset)
    for number in order:
        field = type_id.get_member_type(number)
        inner = _layout(field, address)
        if inner is None:
            return None
        start = type_id.get_member_offset(number) + moved
        lengths += [(start + at, size) for at, size in inner.lengths]
        moved += inner.size - field.get_size()
    return _Layout(type_id.get_size() + moved, lengths)


def _run(dataset: Any, descriptor: int, size: int) -> Iterator[bytes | None]:
    """The elements of a contiguous dataset, in pieces."""
    whole = dataset.get_space().get_simple_extent_npoints() * size
    stored = dataset.get_storage_size()
    if not stored:
        return
    offset = dataset.get_offset()
    if offset is None or stored != whole:
        yield None
        return
    step = max(1, _PIECE // size) * size
    for start in range(0, whole, step):
        yield os.pread(descriptor, min(step, whole - start), offset + start)


def _chunks(dataset: Any, plist: Any, size: int) -> Iterator[bytes | None]:
    """The elements of each chunk that was written."""
    pipeline = pipeline_of(plist)
    nbytes = math.prod(plist.get_chunk()) * size
    for number in range(dataset.get_num_chunks()):
        if pipeline is None:
            yield None
            return
        mask, content = dataset.read_direct_chunk(dataset.get_chunk_info(number).chunk_offset)
        raw = np.empty(nbytes, np.uint8)
        try:
            yield bytes(pipeline.decode(np.frombuffer(content, np.uint8), mask, raw))
        except BadChunkError:
            yield None
            return


def _sum(raw: bytes, layout: _Layout) -> int:
    total = 0
    rows = len(raw) // layout.size
    table = np.frombuffer(raw, np.uint8, rows * layout.size).reshape(rows, layout.size)
    for at, size in layout.lengths:
        lengths = np.ascontiguousarray(table[:, at : at + 4]).view("<u4")
        total += int(lengths.sum(dtype=np.uint64)) * size
    return total
