"""Copying datasets from one HDF5 file into another without unpacking them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from h5py import h5d, h5g, h5i, h5o, h5p

from memdata.formats.hdf5_filters import available
from memdata.formats.hdf5_stored import StoredHDF5

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode

__all__ = ["ChunkCopier", "chunk_copier", "whole_copier"]


class ChunkCopier:
    """Copies the packed chunks of a dataset; see `memdata.formats.tree.Copier`.

    Parameters
    ----------
    source : h5py.h5d.DatasetID
        The dataset.
    nbytes : int
        Size of the elements in memory, for progress.
    whole : bool
        A filter is not installed, so that only HDF5's own copy of the whole dataset is possible.
    """

    def __init__(self, source: Any, nbytes: int, whole: bool) -> None:
        self.source = source
        self.nbytes = nbytes
        self.whole = whole

    def make(self, parent: Any, name: bytes, link: Any) -> Any:
        """Let HDF5 copy the dataset; its attributes are written afterwards, as all others."""
        options = h5p.create(h5p.OBJECT_COPY)
        options.set_copy_object(h5o.COPY_WITHOUT_ATTR_FLAG)
        path = h5i.get_name(self.source)
        root = h5g.open(h5i.get_file_id(self.source), b"/")
        h5o.copy(root, path, parent, name, options, link)
        return h5d.open(parent, name)

    def run(self, place: Any, advance: Callable[[int], object]) -> None:
        """Copy chunk by chunk; those that were never written stay so."""
        count = 0 if self.whole else self.source.get_num_chunks()
        done = 0
        for index, origin in enumerate(self.origins() if count else ()):
            mask, content = self.chunk(origin)
            place.write_direct_chunk(origin, content, mask)
            advance((index + 1) * self.nbytes // count - done)
            done = (index + 1) * self.nbytes // count
        advance(self.nbytes - done)

    def origins(self) -> Iterator[tuple[int, ...]]:
        """Where the chunks begin that were ever written; see `memdata.formats.tree.Copier`."""
        return written_chunks(self.source)

    def chunk(self, origin: tuple[int, ...]) -> tuple[int, bytes]:
        """The mask and the packed bytes of a chunk."""
        found: tuple[int, bytes] = self.source.read_direct_chunk(origin)
        return found


def written_chunks(dataset: Any) -> Iterator[tuple[int, ...]]:
    """Where the chunks of a dataset begin that were ever written.

    HDF5 counts from the first chunk to find one by its number, and finds one by its place at once:
    so all places are tried, unless few of them have a chunk.
    """
    count = dataset.get_num_chunks()
    lengths = zip(dataset.shape, dataset.get_create_plist().get_chunk(), strict=True)
    steps = [range(0, length, step) for length, step in lengths]
    if count * 8 < math.prod(map(len, steps)) and count < 1 << 12:
        for index in range(count):
            yield dataset.get_chunk_info(index).chunk_offset
        return
    for origin in itertools.product(*steps):
        if dataset.get_chunk_info_by_coord(origin).byte_offset is not None:
            yield origin


def whole_copier(node: DatasetNode) -> ChunkCopier | None:
    """How a dataset is copied that nobody here can unpack; None where that is not so."""
    source = _packed(node)
    if source is None:
        return None
    plist = source.get_create_plist()
    codes = [plist.get_filter(index)[0] for index in range(plist.get_nfilters())]
    if all(available(code) for code in codes):
        return None
    return ChunkCopier(source, node.nbytes, whole=True)


def _packed(node: DatasetNode) -> Any:
    if not isinstance(node.stored, StoredHDF5) or node.part is not None:
        return None
    return node.stored.packed()


def chunk_copier(node: DatasetNode, recipe: Any) -> ChunkCopier | None:
    """How the chunks of a dataset are copied; None where they have to be unpacked.

    Packed chunks can be copied where the dataset in the target has the type, shape, chunks and
    filters of the one in the source.
    """
    source = _packed(node)
    if source is None:
        return None
    plist, wanted = source.get_create_plist(), recipe.creation
    pipeline = [plist.get_filter(index) for index in range(plist.get_nfilters())]
    if not pipeline or wanted.get_layout() != h5d.CHUNKED:
        return None
    codes = [wanted.get_filter(index)[0] for index in range(wanted.get_nfilters())]
    same = (
        wanted.get_chunk() == plist.get_chunk()
        and codes == [code for code, *_rest in pipeline]
        and recipe.space.get_simple_extent_dims() == source.get_space().get_simple_extent_dims()
        and recipe.types.file == source.get_type()
    )
    return ChunkCopier(source, node.nbytes, whole=False) if same else None
