"""Reading trees from open HDF5 files, through h5py's low-level interface.

The high-level objects of h5py cost more than moving a small dataset. Here one visit of an object
reads its header, attributes and, when it is small, its elements; types are translated once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5, h5a, h5d, h5f, h5fd, h5g, h5i, h5l, h5o, h5p, h5s, h5t

from memdata.formats import references, strings
from memdata.formats.attributes import to_memory
from memdata.formats.hdf5_filters import filters_of, require_filter
from memdata.formats.hdf5_tiles import ChunkedTiles, PlainTiles
from memdata.formats.hdf5_types import KnownType, known_type
from memdata.formats.regions import Region, whole_region
from memdata.formats.selections import Run, Selection, check_used, resolve
from memdata.formats.tree import (
    NO_FILTERS,
    SMALL,
    DatasetNode,
    GroupNode,
    LinkNode,
    Node,
    Options,
    Plan,
    rows_together,
)

__all__ = ["HDF5Source", "StoredHDF5", "read_attributes"]

Array = np.ndarray[Any, Any]


class _Frame(NamedTuple):
    """A group whose children are being visited."""

    node: GroupNode
    group: Any
    links: Iterator[tuple[bytes, int, int]]
    key: tuple[int, int]


class HDF5Source:
    """A group of an open HDF5 file, with all below it.

    Parameters
    ----------
    group : h5py.Group
        The root of what is read.
    copying : bool
        The tree goes to another file: NumPy scalars among the attributes keep their type.
    """

    def __init__(self, group: Any, *, copying: bool = False) -> None:
        self.group = h5g.open(group.id, b".")  # for a file: its root group
        self.file = h5i.get_file_id(group.id)
        self.prefix: str = group.name or "/"
        self.copying = copying
        self.file_name = str(group.file.filename)
        self._user_block = self.file.get_create_plist().get_userblock()
        self._descriptor = _descriptor(self.file)
        _flush(self.file)

    def close(self) -> None:
        """The group belongs to the caller: nothing to close."""

    def plan(self, options: Options) -> Plan:
        """Walk the group; see `memdata.formats.tree.Source`."""
        walk = _Walk(self, options)
        walk.run()
        check_used(options.selections, walk.dataset_paths)
        plan = Plan("loading", walk.nodes)
        plan.skipped = walk.skipped
        return plan

    def plan_dataset(self, path: str, options: Options) -> Plan:
        """A plan of the one dataset at `path`, an absolute path from the group.

        Raises
        ------
        KeyError
            There is no dataset.
        """
        walk = _Walk(self, options)
        root = GroupNode("/", "", None, {})
        try:
            target = h5o.open(self.group, _relative(path))
            if not isinstance(target, h5d.DatasetID):
                raise KeyError(path)
            name = path.rpartition("/")[2]
            node = walk._dataset(target, path, name, root)
        except KeyError:
            raise KeyError(f"{self.file_name}: there is no dataset {path}") from None
        except _Unreadable as error:
            raise OSError(f"{self.file_name}: cannot read {path}: {error}") from None
        return Plan("loading", [root, node])

    def stored(self, node: DatasetNode, index: Any, options: Options) -> StoredHDF5:
        """The elements that an index selects; see `memdata.formats.tree.Source`."""
        try:
            target = h5o.open(self.group, _relative(node.path))
            known = known_type(target.get_type())
            shape = target.get_space().get_simple_extent_dims()
        except (KeyError, OSError, RuntimeError) as error:
            raise OSError(f"{self.file_name}: cannot read {node.path}: {error}") from error
        selection = None
        if index is not None:
            gap = node.filters.chunks or (1,) * len(shape)
            selection = resolve(index, shape, known.dtype.itemsize, node.path, gap)
        base, inner = known.dtype.subdtype or (known.dtype, ())
        result = (shape if selection is None else selection.shape) + inner
        part = DatasetNode(node.path, node.name, None, {}, result, base, node.filters)
        convert = options.convert_dataset_strings and not self.copying
        return StoredHDF5(self, target, known, shape, selection, part, convert)


def _descriptor(file: Any) -> int | None:
    """The file's descriptor, where HDF5 uses ordinary system calls on one ordinary file."""
    if file.get_access_plist().get_driver() != h5fd.SEC2:
        return None
    descriptor: int = file.get_vfd_handle()
    return descriptor


def _relative(path: str) -> bytes:
    return path.strip("/").encode("utf-8", "surrogateescape")


def _flush(file: Any) -> None:
    """Bring what HDF5 still holds back into the file, so that its bytes can be read directly."""
    if file.get_intent() & h5f.ACC_RDWR:
        h5f.flush(file)


class _Walk:
    """One walk over a source: depth first, without recursion, each object once."""

    def __init__(self, source: HDF5Source, options: Options) -> None:
        self.source = source
        self.options = options
        self.nodes: list[Node] = []
        self.skipped: list[tuple[str, str]] = []
        self.dataset_paths: set[str] = set()
        self.seen: dict[tuple[int, int], Node] = {}
        self.entered: set[tuple[int, int]] = set()

    def run(self) -> None:
        info = h5o.get_info(self.source.group)
        root = GroupNode("/", "", None, self._attributes(self.source.group, None, "/"))
        stack = [self._enter(root, self.source.group, (info.fileno, info.addr))]
        while stack:
            frame = stack[-1]
            for name, kind, address in frame.links:
                below = self._visit(frame, name, kind, address)
                if below is not None:
                    stack.append(below)
                    break
            else:
                self.entered.discard(frame.key)
                stack.pop()

    def _enter(self, node: GroupNode, group: Any, key: tuple[int, int]) -> _Frame:
        node.source = group
        self.nodes.append(node)
        self.seen[key] = node
        self.entered.add(key)
        links: list[tuple[bytes, int, int]] = []
        order = group.get_create_plist().get_link_creation_order()
        index = h5.INDEX_CRT_ORDER if order & h5p.CRT_ORDER_TRACKED else h5.INDEX_NAME
        # h5py changes one and the same info object from call to call.
        group.links.iterate(
            lambda name, info: links.append((name, info.type, info.u)), idx_type=index, info=True
        )
        return _Frame(node, group, iter(links), key)

    def _visit(self, frame: _Frame, name: bytes, kind: int, address: int) -> _Frame | None:
        """Make the node of one link; returns the frame of a group."""
        text = name.decode("utf-8", "surrogateescape")
        parent = frame.node
        path = "/" + text if parent.parent is None else f"{parent.path}/{text}"
        target = None
        if kind == h5l.TYPE_HARD:
            key = (frame.key[0], address)
        else:
            try:
                target = h5o.open(frame.group, name)
            except (KeyError, OSError, RuntimeError, ValueError):
                self.skipped.append((path, "a link that leads nowhere"))
                return None
            info = h5o.get_info(target)
            key = (info.fileno, info.addr)
        known = self.seen.get(key)
        if known is not None and not self._selected_apart(known, path):
            self._link_again(known, key, path, text, parent)
            return None
        try:
            target = h5o.open(frame.group, name) if target is None else target
            if isinstance(target, h5d.DatasetID):
                node = self._dataset(target, path, text, parent)
                self.seen[key] = node
                self.nodes.append(node)
                return None
            if isinstance(target, h5g.GroupID):
                attrs = self._attributes(target, None, path)
                return self._enter(GroupNode(path, text, parent, attrs), target, key)
            self.skipped.append((path, "a named type"))
        except _Unreadable as error:
            self.skipped.append((path, str(error)))
        except (KeyError, OSError, RuntimeError) as error:
            raise OSError(f"{self.source.file_name}: cannot read {path}: {error}") from error
        return None

    def _selected_apart(self, known: Node, path: str) -> bool:
        """Whether one of two names of a dataset has a selection, so that they differ in memory."""
        selections = self.options.selections
        return isinstance(known, DatasetNode) and (path in selections or known.path in selections)

    def _link_again(
        self, known: Node, key: tuple[int, int], path: str, text: str, parent: GroupNode
    ) -> None:
        if key in self.entered:
            self.skipped.append((path, f"a link back to the group {known.path} around it"))
            return
        if isinstance(known, DatasetNode):
            self.dataset_paths.add(path)
        self.nodes.append(LinkNode(path, text, parent, known))

    def _attributes(self, target: Any, plist: Any, path: str) -> dict[str, Any]:
        try:
            return read_attributes(
                target,
                plist,
                convert_strings=self.options.convert_attribute_strings,
                prefix=self.source.prefix,
                keep_scalars=self.source.copying,
                skip=lambda name, why: self.skipped.append((f"{path}: attribute {name!r}", why)),
            )
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"{self.source.file_name}: cannot read the attributes of {path}: {error}"
            ) from error

    def _dataset(self, target: Any, path: str, name: str, parent: GroupNode) -> DatasetNode:
        self.dataset_paths.add(path)
        type_id = target.get_type()
        try:
            known = known_type(type_id)
        except (TypeError, ValueError) as error:
            raise _Unreadable(f"h5py has no such type: {error}") from None
        space = target.get_space()
        kind = space.get_simple_extent_type()
        if kind == h5s.NULL:
            return self._empty(target, path, name, parent, known)
        shape = () if kind == h5s.SCALAR else space.get_simple_extent_dims()
        # Only plain contiguous storage has an offset; with a user block, "none" is not None.
        plist = None
        filters = NO_FILTERS
        codes: list[int] = []
        if self.source._user_block or target.get_offset() is None:
            plist = target.get_create_plist()
            filters, codes = filters_of(plist)
            for code in codes:
                try:
                    require_filter(code, "this dataset")
                except ValueError as error:
                    raise _Unreadable(str(error)) from None
        node = DatasetNode(
            path, name, parent, self._attributes(target, plist, path), shape, known.dtype, filters
        )
        node.source = target
        if known.dtype.subdtype is not None:  # an array of arrays: NumPy knows one array only
            base, inner = known.dtype.subdtype
            node.shape, node.dtype = shape + inner, base
        self._content(node, target, known, shape)
        return node

    def _empty(
        self, target: Any, path: str, name: str, parent: GroupNode, known: KnownType
    ) -> DatasetNode:
        if path in self.options.selections:
            resolve(self.options.selections[path], None, 0, path, ())
        attrs = self._attributes(target, None, path)
        node = DatasetNode(path, name, parent, attrs, None, known.dtype)
        node.array = h5py.Empty(known.dtype)
        node.source = target
        return node

    def _content(
        self, node: DatasetNode, target: Any, known: KnownType, shape: tuple[int, ...]
    ) -> None:
        """Read the elements now where they are few, else say how they will be read."""
        options = self.options
        inner = node.shape[len(shape) :] if node.shape else ()
        selection = None
        if node.path in options.selections:
            gap = node.filters.chunks or (1,) * len(shape)
            selection = resolve(
                options.selections[node.path], shape, known.dtype.itemsize, node.path, gap
            )
            node.shape = selection.shape + inner
            node.selected = (options.selections[node.path], shape)
        convert = options.convert_dataset_strings and not self.source.copying
        stored = StoredHDF5(self.source, target, known, shape, selection, node, convert)
        node.dtype = stored.dtype
        if node.nbytes <= SMALL:
            node.array = np.empty(node.shape or (), node.dtype)
            stored.read_rows(0, node.shape[0] if node.shape else 1, node.array)
        else:
            node.stored = stored


class _Unreadable(Exception):  # noqa: N818
    """A dataset that h5py cannot read; the rest of the file still can be."""


class StoredHDF5:
    """The elements of an HDF5 dataset; see `memdata.formats.tree.StoredData`."""

    __slots__ = (
        "_base",
        "_convert",
        "_dataset",
        "_known",
        "_path",
        "_selection",
        "_source",
        "_space_shape",
        "_tiles",
        "chunks",
        "dtype",
        "file_name",
        "shape",
    )

    def __init__(
        self,
        source: HDF5Source,
        dataset: Any,
        known: KnownType,
        space_shape: tuple[int, ...],
        selection: Selection | None,
        node: DatasetNode,
        convert: bool,
    ) -> None:
        self._source = source
        self.file_name = source.file_name
        self._dataset = dataset
        self._known = known
        self._space_shape = space_shape
        self._selection = selection
        self._path = node.path
        self._tiles: tuple[ChunkedTiles | None] | None = None
        self.shape = node.shape or ()
        self.chunks = node.filters.chunks
        self._base = node.dtype
        self._convert = convert and (strings.has_bytes(self._base) or self._base.hasobject)
        self.dtype = strings.unicode_dtype(self._base) if self._convert else self._base

    def piece_rows(self) -> int:
        """Rows of about 16 MiB, whole chunks."""
        if not self.shape or not self.shape[0]:
            return 1
        if self._selection is not None and (
            self._selection.region is not None or not _by_rows(self._selection)
        ):
            return self.shape[0]
        row = self.dtype.itemsize * math.prod(self.shape[1:])
        chunks = self.chunks
        if chunks is not None:  # arrays in an array are not cut
            chunks += self.shape[len(chunks) :]
        return rows_together(self.shape, row, chunks)

    def extent(self) -> tuple[int, int] | None:
        """Descriptor and offset of the elements; see `memdata.formats.tree.StoredData`."""
        if self._selection is not None or self._convert:
            return None
        return self._extent()

    def _extent(self) -> tuple[int, int] | None:
        """Where the bytes of all elements lie, whatever is selected or converted."""
        source = self._source
        if source._descriptor is None or not self._known.same or self.chunks is not None:
            return None
        dataset = self._dataset
        points = dataset.get_space().get_simple_extent_npoints()
        if dataset.get_storage_size() != points * self._known.dtype.itemsize:
            return None  # nothing was ever written: the fill value stands for it
        plist = dataset.get_create_plist()
        if plist.get_layout() != h5d.CONTIGUOUS or plist.get_external_count():
            return None
        if self._elsewhere():
            return None
        offset: int | None = dataset.get_offset()
        return None if offset is None else (source._descriptor, offset)

    def _elsewhere(self) -> bool:
        """Whether the dataset is in another file, behind an external link."""
        return bool(h5i.get_file_id(self._dataset).fileno != self._source.file.fileno)

    def _tiles_for(self, region: Region | None) -> ChunkedTiles | PlainTiles | None:
        """What reads a region past HDF5; None where HDF5 has to."""
        if not self._known.same or not self._space_shape:
            return None
        if self.chunks is not None:
            if self._tiles is None:
                own = not self._source._user_block and not self._elsewhere()
                descriptor = self._source._descriptor if own else None
                found = ChunkedTiles.of(self._dataset, self._known.dtype, descriptor)
                self._tiles = (found,)
            return self._tiles[0]
        extent = None if region is None else self._extent()
        if extent is None or region is None:
            return None
        return PlainTiles(self._space_shape, self._known.dtype, *extent, region)

    def in_plain_chunks(self) -> bool:
        """Whether all elements lie in unfiltered chunks of this file, as they are in memory."""
        source, dataset = self._source, self._dataset
        if source._descriptor is None or self._selection is not None or self._convert:
            return False
        plist = dataset.get_create_plist()
        if plist.get_layout() != h5d.CHUNKED or plist.get_nfilters() or not self._known.same:
            return False
        return not self._elsewhere()

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        """Read a part along the first axis into `out`; all of it for a scalar."""
        try:
            if self._convert:
                raw = np.empty(out.shape, self._base)
                self._read_raw(start, stop, raw)
                out[...] = self._converted(raw)
            else:
                self._read_raw(start, stop, out)
        except UnicodeDecodeError as error:
            raise ValueError(f"{self._path}: bytes that are not text: {error}") from None
        except (OSError, RuntimeError) as error:
            raise OSError(f"{self._source.file_name}: cannot read {self._path}: {error}") from error

    def _converted(self, raw: Array) -> Array:
        result = strings.to_unicode(raw) if strings.has_bytes(raw.dtype) else raw
        return strings.decode_objects(result) if result.dtype.hasobject else result

    def _read_raw(self, start: int, stop: int, out: Array) -> None:
        if not out.size:
            return
        if out.dtype.hasobject:
            out.fill(0) if out.dtype.names is None else out.__setitem__(
                ..., np.zeros((), out.dtype)
            )
        if self._read_tiles(start, stop, out):
            pass
        elif self._selection is not None:
            _read_selection(self._dataset, self._known, self._selection, out, start, stop)
        elif not self._space_shape or (start == 0 and stop == self._space_shape[0]):
            self._dataset.read(h5s.ALL, h5s.ALL, out, self._known.memory)
        else:
            rest = self._space_shape[1:]
            space = self._dataset.get_space()
            space.select_hyperslab((start,) + (0,) * len(rest), (stop - start, *rest))
            memory = h5s.create_simple((stop - start, *rest))
            self._dataset.read(memory, space, out, self._known.memory)
        if references.holds_references(out.dtype):
            file = h5i.get_file_id(self._dataset)
            out[...] = references.from_file(out, file, self._source.prefix)

    def _read_tiles(self, start: int, stop: int, out: Array) -> bool:
        """Read past HDF5, tile by tile; False where that cannot be."""
        selection = self._selection
        if selection is None:
            if self.chunks is None or not self._space_shape:
                return False
            region: Region | None = whole_region(self._space_shape, start, stop)
        else:
            region = selection.region
        everything = region is None
        if everything:
            region = whole_region(self._space_shape, 0, self._space_shape[0])
        tiles = self._tiles_for(region)
        if tiles is None or region is None:
            return False
        if not everything:
            tiles.read(region, out)
            return True
        assert selection is not None
        base, inner = self._known.dtype.subdtype or (self._known.dtype, ())
        cover = np.empty(self._space_shape + inner, base)
        tiles.read(region, cover)
        out[...] = cover[selection.index]
        return True


def _by_rows(selection: Selection) -> bool:
    """Whether parts of the result along its first axis can be read one by one."""
    return selection.rest is None and len(selection.runs[0]) == 1


def _read_selection(
    dataset: Any, known: KnownType, selection: Selection, out: Array, start: int, stop: int
) -> None:
    """Read the cover of a selection, and pick the result from it."""
    if selection.rest is None:
        runs = selection.runs
        if _by_rows(selection):
            first = runs[0][0]
            part = Run(first.start + start * first.step, first.step, stop - start)
            runs = ([part], *runs[1:])
        _read_runs(dataset, known, runs, out)
        return
    base, inner = known.dtype.subdtype or (known.dtype, ())
    cover = np.zeros(selection.cover + inner, base)
    _read_runs(dataset, known, selection.runs, cover)
    out[...] = cover[selection.rest]


def _read_runs(dataset: Any, known: KnownType, runs: tuple[list[Any], ...], out: Array) -> None:
    """Read regular pieces; along at most one axis there are several."""
    if not out.size:
        return
    split = next((axis for axis, parts in enumerate(runs) if len(parts) > 1), 0)
    offset = 0
    space = dataset.get_space()
    for run in runs[split]:
        block = [run if axis == split else parts[0] for axis, parts in enumerate(runs)]
        shape = tuple(part.length for part in block)
        space.select_hyperslab(
            tuple(part.start for part in block), shape, tuple(part.step for part in block)
        )
        if len(runs[split]) == 1:
            dataset.read(h5s.create_simple(shape), space, out, known.memory)
            return
        memory = h5s.create_simple(tuple(sum(part.length for part in parts) for parts in runs))
        begin = tuple(offset if axis == split else 0 for axis in range(len(runs)))
        memory.select_hyperslab(begin, shape)
        dataset.read(memory, space, out, known.memory)
        offset += run.length


# Attributes


def read_attributes(
    target: Any,
    plist: Any = None,
    *,
    convert_strings: bool,
    prefix: str = "/",
    keep_scalars: bool = False,
    skip: Callable[[str, str], object] | None = None,
) -> dict[str, Any]:
    """The attributes of an HDF5 object as memory holds them.

    Parameters
    ----------
    target : h5py.h5g.GroupID or h5py.h5d.DatasetID
        The object.
    plist : property list, optional
        Its creation properties, where the caller has them already.
    convert_strings : bool
        Byte strings become str.
    prefix : str
        Path in the file of the root in memory, for references.
    keep_scalars : bool
        Keep NumPy scalars, whose types say what the file has.
    skip : callable, optional
        Told of each attribute that h5py cannot read. Without it those are an error.
    """
    names: list[bytes] = []
    h5a.iterate(target, lambda name, *_info: _append(names, name))
    if not names:
        return {}
    if len(names) > 1:
        plist = target.get_create_plist() if plist is None else plist
        if plist.get_attr_creation_order() & h5p.CRT_ORDER_TRACKED:
            names.clear()
            h5a.iterate(
                target,
                lambda name, *_info: _append(names, name),
                index_type=h5.INDEX_CRT_ORDER,
            )
    attrs = {}
    for name in names:
        text = name.decode("utf-8", "surrogateescape")
        try:
            value = _read_attribute(target, name, prefix)
        except (TypeError, ValueError) as error:
            if skip is None:
                raise
            skip(text, f"h5py has no such type: {error}")
            continue
        if keep_scalars and isinstance(value, np.generic):
            attrs[text] = value
        else:
            attrs[text] = to_memory(value, convert_strings=convert_strings)
    return attrs


def _append(names: list[bytes], name: bytes) -> None:
    names.append(name)  # and None, which tells HDF5 to go on


def _read_attribute(target: Any, name: bytes, prefix: str) -> Any:
    """One attribute, as h5py's high-level interface gives it; references as paths."""
    attribute = h5a.open(target, name)
    known = known_type(attribute.get_type())
    space = attribute.get_space()
    kind = space.get_simple_extent_type()
    if kind == h5s.NULL:
        return h5py.Empty(known.dtype)
    shape = () if kind == h5s.SCALAR else space.get_simple_extent_dims()
    dtype = known.dtype
    if dtype.subdtype is not None:
        dtype, inner = dtype.subdtype
        shape += inner
    array = np.zeros(shape, dtype)
    if array.size:
        attribute.read(array, known.memory)
    if not dtype.hasobject:
        return array if shape else array[()]
    if h5t.check_string_dtype(dtype) is not None:
        array[...] = _decode_strings(array)
    elif references.holds_references(dtype):
        array = references.from_file(array, h5i.get_file_id(target), prefix)
    return array if shape else array[()]


_decode_strings = np.frompyfunc(
    lambda item: item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item, 1, 1
)
