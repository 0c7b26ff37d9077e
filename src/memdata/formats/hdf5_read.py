"""Reading trees from open HDF5 files, through h5py's low-level interface.

The high-level objects of h5py cost more than moving a small dataset. Here one visit of an object
reads its header, attributes and, when it is small, its elements; types are translated once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5, h5a, h5d, h5f, h5fd, h5g, h5i, h5l, h5o, h5p, h5s

from memdata import checksums
from memdata.formats.hdf5_attributes import AsRead, read_attributes
from memdata.formats.hdf5_creation import CreationReader, maximal_shape
from memdata.formats.hdf5_filters import Pipeline, require_filter
from memdata.formats.hdf5_outside import reason_not_to_read
from memdata.formats.hdf5_pointed import pointed_bytes
from memdata.formats.hdf5_stored import StoredHDF5
from memdata.formats.hdf5_types import KnownType, known_type, tagged_type, without_axes
from memdata.formats.selections import check_used, resolve
from memdata.formats.tagged import TAG, TagError, restored
from memdata.formats.tree import (
    MOST_DEEP,
    NOTHING,
    SMALL,
    DatasetNode,
    Filters,
    GroupNode,
    LinkNode,
    Node,
    Options,
    Plan,
    PointerNode,
    TypeNode,
    too_deep,
)

__all__ = ["HDF5Source", "StoredHDF5"]

Array = np.ndarray[Any, Any]
Text = tuple[np.dtype[Any], str]


#: A user block larger than this (bytes) does not come along: it may be a file of its own.
_LARGEST_BLOCK = 1 << 20


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
        The tree goes to another file.
    """

    def __init__(self, group: Any, *, copying: bool = False) -> None:
        self.copying = copying
        self.file_name = str(group.file.filename)
        with damaged(self.file_name, lambda: "/"):
            self.group = h5g.open(group.id, b".")  # for a file: its root group
            self.file = h5i.get_file_id(group.id)
            self.prefix: str = group.name or "/"
        self._user_block = self.file.get_create_plist().get_userblock()
        self._descriptor = _descriptor(self.file)
        _flush(self.file)

    def user_block(self) -> bytes | None:
        """What stands before HDF5's part of a file that is read from its root; None for nothing."""
        if not self._user_block or self.prefix != "/" or self._descriptor is None:
            return None
        if self._user_block > _LARGEST_BLOCK:
            return None
        block = os.pread(self._descriptor, self._user_block, 0)
        return block if len(block) == self._user_block else None

    def close(self) -> None:
        """The group belongs to the caller: nothing to close."""

    def plan(self, options: Options) -> Plan:
        """Walk the group; see `memdata.formats.tree.Source`."""
        walk = _Walk(self, options)
        with damaged(self.file_name, lambda: walk.at):
            walk.run()
        check_used(options.selections, walk.dataset_paths)
        plan = Plan("loading", walk.nodes)
        plan.skipped = walk.skipped
        if options.strict and plan.skipped:
            raise OSError(
                f"{self.file_name}: not everything can be loaded:{plan.what_is_missing()}"
            )
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
            known, text = self._untagged(target, known)
        except (KeyError, OSError, RuntimeError) as error:
            raise OSError(f"{self.file_name}: cannot read {node.path}: {error}") from error
        selection = None
        if index is not None:
            gap = node.filters.chunks or (1,) * len(shape)
            selection = resolve(index, shape, known.dtype.itemsize, node.path, gap)
        base, inner = without_axes(known.dtype)
        result = (shape if selection is None else selection.shape) + inner
        part = DatasetNode(node.path, node.name, None, {}, result, base, node.filters)
        convert = options.convert_dataset_strings and not self.copying
        return StoredHDF5(self, target, known, shape, selection, part, convert, text)

    def _untagged(self, target: Any, known: KnownType) -> tuple[KnownType, Text | None]:
        if not h5a.exists(target, TAG.encode()):
            return known, None
        tag = read_attributes(target, convert_strings=True, names=[TAG.encode()]).values.get(TAG)
        found = self.untagged(known, tag)
        return (known, None) if found is None else found

    def untagged(self, known: KnownType, tag: Any) -> tuple[KnownType, Text | None] | None:
        """What a tag makes of a type; None where it means nothing here.

        NumPy's text is not read as such by HDF5: its type and tag are told apart.
        """
        if known.dtype.kind != "O" or not isinstance(tag, str):
            found = tagged_type(known, tag)
            return None if found is None else (found, None)
        if self.copying:
            return None
        try:
            dtype = restored(tag, known.dtype)
        except TagError:
            return None
        return (known, (dtype, tag)) if dtype.kind == "T" else None


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


@contextlib.contextmanager
def damaged(file_name: str, path: Callable[[], str]) -> Iterator[None]:
    """Errors of HDF5 in the block, whatever their type, are an OSError that names the path."""
    try:
        yield
    except (KeyError, RuntimeError, TypeError) as error:
        raise OSError(f"{file_name}: cannot read {path()}: {error}") from error
    except (OSError, ValueError) as error:
        if file_name in str(error) or (isinstance(error, ValueError) and path() in str(error)):
            raise  # one of ours
        raise OSError(f"{file_name}: cannot read {path()}: {error}") from error


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
        self.creations = CreationReader()
        self.typed: list[tuple[DatasetNode, tuple[int, int]]] = []
        self.typed_attributes: list[tuple[dict[str, AsRead], str, tuple[int, int]]] = []
        self.taken = 0
        self.at = "/"
        self.packed = source.copying and options.packed  # into another HDF5 file

    def run(self) -> None:
        info = h5o.get_info(self.source.group)
        root = GroupNode("/", "", None, None)
        stack = [self._enter(root, self.source.group, (info.fileno, info.addr))]
        block = self.source.user_block()
        if block is not None:
            self._take("the user block", len(block))
            root.creation = {**root.creation, "userblock": block}
        while stack:
            frame = stack[-1]
            for name, kind, address in frame.links:
                below = self._visit(frame, name, kind, address)
                if below is not None:
                    if len(stack) > MOST_DEEP:
                        path = below.node.path
                        raise OSError(f"{self.source.file_name}: {too_deep(path)}")
                    stack.append(below)
                    break
            else:
                self.entered.discard(frame.key)
                stack.pop()
        for node, key in self.typed:
            node.creation = {**node.creation, "named_type": self._name_of_type(key)}
        for attributes, attribute, key in self.typed_attributes:
            named = self._name_of_type(key)
            attributes[attribute] = attributes[attribute]._replace(named=named)

    def _name_of_type(self, key: tuple[int, int]) -> str:
        """The path of a named type; something else for one whose name has been deleted."""
        named = self.seen.get(key)
        return f"type {key[1]}" if named is None else named.path

    def _enter(self, node: GroupNode, group: Any, key: tuple[int, int]) -> _Frame:
        plist = group.get_create_plist()
        order = plist.get_link_creation_order()
        tracked = order & h5p.CRT_ORDER_TRACKED
        creation: Mapping[str, Any] = {"track_order": True} if tracked else NOTHING
        if not tracked and plist.get_attr_creation_order() & h5p.CRT_ORDER_TRACKED:
            creation = {"track_attributes": True}
        self._attributes(node, group, plist, creation)
        node.source = group
        self.nodes.append(node)
        self.seen[key] = node
        self.entered.add(key)
        links: list[tuple[bytes, int, int]] = []
        index = h5.INDEX_CRT_ORDER if tracked else h5.INDEX_NAME
        # h5py changes one and the same info object from call to call.
        try:
            group.links.iterate(
                lambda name, info: links.append((name, info.type, info.u)),
                idx_type=index,
                info=True,
            )
        except (OSError, RuntimeError) as error:
            if not self.options.tolerant:
                raise
            self.skipped.append((f"{node.path}: some members", str(error)))
        return _Frame(node, group, iter(links), key)

    def _visit(self, frame: _Frame, name: bytes, kind: int, address: int) -> _Frame | None:
        """Make the node of one link; returns the frame of a group."""
        text = name.decode("utf-8", "surrogateescape")
        parent = frame.node
        path = "/" + text if parent.parent is None else f"{parent.path}/{text}"
        self.at = path
        if name in _NO_NAMES:
            self.skipped.append((path, "a name that no path can hold"))
            return None
        target = None
        if kind not in _KINDS_OF_LINKS:
            self.skipped.append((path, "a link of a kind that h5py does not know"))
            return None
        if kind == h5l.TYPE_HARD:
            key = (frame.key[0], address)
        else:
            followed = path in self.options.selections or (
                kind == h5l.TYPE_EXTERNAL and self.options.follow_external
            )
            if self.options.keep_links and not followed:
                self._keep_link(frame, name, kind, path, text)
                return None
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
                node: Node = self._dataset(target, path, text, parent)
            elif isinstance(target, h5g.GroupID):
                return self._enter(GroupNode(path, text, parent, None), target, key)
            elif self.options.keep_links:
                node = self._named_type(target, path, text, parent)
            else:
                self.skipped.append((path, "a named type"))
                return None
            self.seen[key] = node
            self.nodes.append(node)
        except _Unreadable as error:
            self.skipped.append((path, str(error)))
        except (KeyError, OSError, RuntimeError) as error:
            if self.options.tolerant or _is_unknown(error):
                self.skipped.append((path, str(error)))
                return None
            raise OSError(f"{self.source.file_name}: cannot read {path}: {error}") from error
        return None

    def _keep_link(self, frame: _Frame, name: bytes, kind: int, path: str, text: str) -> None:
        """Make the node of a soft or external link."""
        link: Any
        try:
            value = frame.group.links.get_val(name)
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            raise OSError(f"{self.source.file_name}: cannot read {path}: {error}") from error
        if kind == h5l.TYPE_SOFT:
            link = h5py.SoftLink(self._inside(value.decode("utf-8", "surrogateescape")))
        else:
            file, inner = value
            link = h5py.ExternalLink(
                file.decode("utf-8", "surrogateescape"), inner.decode("utf-8", "surrogateescape")
            )
        self.nodes.append(PointerNode(path, text, frame.node, link))

    def _inside(self, path: str) -> str:
        """An absolute path in the file as one from the root of what is read."""
        root = self.source.prefix.rstrip("/")
        if root and (path == root or path.startswith(root + "/")):
            return path[len(root) :] or "/"
        return path

    def _named_type(self, target: Any, path: str, name: str, parent: GroupNode) -> TypeNode:
        known = _known_type(target)
        node = TypeNode(path, name, parent, None, known.dtype)
        creation = NOTHING if known.kept is None else {"type": known.kept}
        self._attributes(node, target, None, creation)
        if isinstance(node.attrs.get(TAG), str):
            with contextlib.suppress(TagError):
                node.dtype = restored(node.attrs[TAG], known.dtype)
                del node.attrs[TAG]
        return node

    def _selected_apart(self, known: Node, path: str) -> bool:
        """Whether one of two names of a dataset has a selection, so that they differ in memory."""
        selections = self.options.selections
        return isinstance(known, DatasetNode) and (path in selections or known.path in selections)

    def _link_again(
        self, known: Node, key: tuple[int, int], path: str, text: str, parent: GroupNode
    ) -> None:
        if key in self.entered and not self.options.keep_links:
            self.skipped.append((path, f"a link back to the group {known.path} around it"))
            return
        if isinstance(known, DatasetNode):
            self.dataset_paths.add(path)
        self.nodes.append(LinkNode(path, text, parent, known))

    def _attributes(self, node: Node, target: Any, plist: Any, creation: Mapping[str, Any]) -> None:
        """Read a node's attributes, and note how it was made."""
        path = node.path
        try:
            node.attrs, as_read, named = read_attributes(
                target,
                plist,
                convert_strings=self.options.convert_attribute_strings,
                prefix=self.source.prefix,
                check=None
                if self.options.max_bytes is None
                else lambda name, size: self._take(f"{path}: attribute {name!r}", size),
                skip=lambda name, why: self.skipped.append((f"{path}: attribute {name!r}", why)),
            )
        except (OSError, RuntimeError) as error:
            if self.options.tolerant:
                self.skipped.append((f"{path}: attributes", str(error)))
                node.attrs, as_read, named = {}, {}, {}
            else:
                raise OSError(
                    f"{self.source.file_name}: cannot read the attributes of {path}: {error}"
                ) from error
        if not self.options.keep_checksums:
            for name in checksums.NAMES:
                node.attrs.pop(name, None)
                as_read.pop(name, None)
        node.creation = {**creation, "attributes": as_read} if as_read else creation
        for name, key in named.items():
            if name in as_read:
                self.typed_attributes.append((as_read, name, key))

    def _take(self, what: str, size: int) -> None:
        """Count bytes that are going to be allocated; raises when they are too many."""
        limit = self.options.max_bytes
        if limit is None:
            return
        self.taken += size
        if self.taken > limit:
            before = self.taken - size
            more = f" beside {before} bytes of what comes before" if before else ""
            raise MemoryError(
                f"{self.source.file_name}: {what} takes {size} bytes{more}, more than "
                f"max_bytes={limit}"
            )

    def _take_pointed(self, path: str, target: Any) -> None:
        """Count what variable-length elements point to, as far as the file tells."""
        source = self.source
        here = h5i.get_file_id(target).fileno == source.file.fileno
        address, _length = source.file.get_create_plist().get_sizes()
        pointed = pointed_bytes(target, source._descriptor if here else None, address)
        if pointed:
            self._take(f"{path}: text or arrays of variable length", pointed)

    def _dataset(self, target: Any, path: str, name: str, parent: GroupNode) -> DatasetNode:
        self.dataset_paths.add(path)
        type_id = target.get_type()
        known = _known_type(type_id)
        space = target.get_space()
        kind = space.get_simple_extent_type()
        plist = target.get_create_plist()
        filters, creation, pipeline = self.creations.read(plist, known.dtype)
        shape: Any = ()
        readable = True
        more: dict[str, Any] = {}
        if kind == h5s.NULL:
            shape = None
        elif kind == h5s.SIMPLE:
            shape = space.get_simple_extent_dims()
        if filters.chunks is None and shape is not None:
            reason = reason_not_to_read(target, plist, self.options.follow_external)
            if reason is None and "fill_undefined" in creation and _is_nothing(target):
                reason = "nothing has been written into it, and there is no fill value"
            if reason is not None:
                raise _Unreadable(reason)
        if filters.chunks is not None:
            readable = self._check_chunked(path, filters, pipeline, known)
            maximum = maximal_shape(space, shape)
            if maximum is not None and path not in self.options.selections:
                more["maxshape"] = maximum
            if any(chunk > n for chunk, n in zip(filters.chunks, shape, strict=True)):
                more["chunks"] = filters.chunks
        if known.kept is not None:
            more["type"] = known.kept
        node = DatasetNode(path, name, parent, None, shape, known.dtype, filters)
        self._attributes(node, target, plist, {**creation, **more} if more else creation)
        node.source = target
        if type_id.committed():
            info = h5o.get_info(type_id)
            self.typed.append((node, (info.fileno, info.addr)))
        if shape is None:
            return self._empty(node, known)
        text = None
        if TAG in node.attrs:
            found = self.source.untagged(known, node.attrs[TAG])
            if found is not None:
                known, text = found
                node.dtype = known.dtype
                node.attrs = {key: value for key, value in node.attrs.items() if key != TAG}
                node.creation = {
                    key: value
                    for key, value in node.creation.items()
                    if key != "type" or text is not None
                }
        base, inner = without_axes(known.dtype)
        if inner:  # an array of arrays: NumPy knows one array only
            node.shape, node.dtype = shape + inner, base
            if path not in self.options.selections:
                node.creation = {**node.creation, "inner_axes": len(inner)}
        # Packed chunks are better copied: a filter may lose something each time it packs.
        now = readable and not (self.packed and pipeline and not known.dtype.hasobject)
        self._content(node, target, known, shape, text, now)
        return node

    def _check_chunked(
        self, path: str, filters: Filters, pipeline: Pipeline, known: KnownType
    ) -> bool:
        """Check the size of chunks; returns whether they can be unpacked."""
        for code, *_rest in pipeline:
            try:
                require_filter(code, "this dataset")
            except ValueError as error:
                # Between files the chunks can be copied as they are.
                if (
                    self.packed
                    and path not in self.options.selections
                    and not known.dtype.hasobject
                ):
                    return False
                raise _Unreadable(str(error)) from None
        if self.options.max_bytes is not None and filters.chunks is not None:
            size = int(np.prod(filters.chunks, dtype=object)) * known.dtype.itemsize
            if size > self.options.max_bytes:
                raise MemoryError(
                    f"{self.source.file_name}: {path}: one chunk takes {size} bytes, more than "
                    f"max_bytes={self.options.max_bytes}"
                )
        return True

    def _empty(self, node: DatasetNode, known: KnownType) -> DatasetNode:
        if node.path in self.options.selections:
            resolve(self.options.selections[node.path], None, 0, node.path, ())
        node.array = h5py.Empty(known.dtype)
        return node

    def _content(
        self,
        node: DatasetNode,
        target: Any,
        known: KnownType,
        shape: tuple[int, ...],
        text: Text | None,
        now: bool = True,
    ) -> None:
        """Read the elements `now` where they are few, else say how they will be read."""
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
        made = node.creation
        gaps = made.get("fill_time") == "never" or "fill_undefined" in made if made else False
        stored = StoredHDF5(self.source, target, known, shape, selection, node, convert, text, gaps)
        node.dtype = stored.dtype
        self._take(node.path, node.nbytes)
        if options.max_bytes is not None and known.dtype.hasobject and selection is None:
            self._take_pointed(node.path, target)
        if node.nbytes <= SMALL and now and not options.tolerant:
            make = np.zeros if node.dtype.hasobject else np.empty
            node.array = make(node.shape or (), node.dtype)
            stored.read_rows(0, node.shape[0] if node.shape else 1, node.array)
        else:
            node.stored = stored


#: What HDF5 itself takes for a name, and other programs than memdata for a way out.
_NO_NAMES = {b".", b".."}


def _is_nothing(target: Any) -> bool:
    """Whether a dataset has elements, but no place in the file."""
    elements = target.get_space().get_simple_extent_npoints()
    return bool(elements and target.get_space_status() == h5d.SPACE_STATUS_NOT_ALLOCATED)


def _known_type(type_id: Any) -> KnownType:
    try:
        return known_type(type_id)
    except (TypeError, ValueError) as error:
        raise _Unreadable(f"h5py has no such type: {error}") from None


_KINDS_OF_LINKS = frozenset({h5l.TYPE_HARD, h5l.TYPE_SOFT, h5l.TYPE_EXTERNAL})

#: What HDF5 says of sound objects that it, or this release of it, does not open.
_UNKNOWN = (
    "unknown message with 'fail if unknown' flag",
    "dimensionality is too large",
    "unusually large # of unused bits",
)


def _is_unknown(error: Exception) -> bool:
    """Whether an object is not damaged, but one that HDF5 does not know."""
    return any(words in str(error) for words in _UNKNOWN)


class _Unreadable(Exception):  # noqa: N818
    """A dataset that h5py cannot read; the rest of the file still can be."""
