"""Trees in memory, as the source or the target of a plan."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

import numpy as np

from memdata import _cmemdata, links
from memdata.formats import strings
from memdata.formats.hints import hinted, hinted_file
from memdata.formats.names import check_name
from memdata.formats.selections import check_used, resolve
from memdata.formats.tree import (
    MOST_DEEP,
    NO_FILTERS,
    DatasetNode,
    Filters,
    GroupNode,
    LinkNode,
    Node,
    Options,
    Part,
    Plan,
    PointerNode,
    TypeNode,
    too_deep,
)

__all__ = ["MemorySource", "MemoryTarget"]

Array = np.ndarray[Any, Any]


class MemorySource:
    """A `_Storage` with all below it.

    The plan shares the arrays with the tree; nothing is copied.
    """

    def __init__(self, storage: Any) -> None:
        self.storage = storage

    def close(self) -> None:
        """Nothing was opened."""

    def stored(self, node: DatasetNode, index: Any, options: Options) -> Any:
        """Not needed: everything is in memory."""
        raise NotImplementedError

    def plan(self, options: Options) -> Plan:
        """Walk the tree; see `memdata.formats.tree.Source`."""
        storage_type, dataset_type = _cmemdata._Storage, _cmemdata.MemDataset
        attrs = self.storage.attrs
        if options.hints is not None:
            attrs = hinted_file(attrs, options.hints)
        root = GroupNode("/", "", None, attrs)
        root.source = self.storage
        root.creation = self.storage._creation
        plan = Plan("saving", [root])
        seen: dict[int, Node] = {id(self.storage): root}
        paths: set[str] = set()
        stack: list[tuple[GroupNode, Iterator[tuple[str, Any]]]] = [
            (root, _children(self.storage, options.sort))
        ]
        around = {id(self.storage)}
        while stack:
            parent, children = stack[-1]
            for name, child in children:
                path = "/" + name if parent.parent is None else f"{parent.path}/{name}"
                check_name(name, path)
                if links.is_link(child):
                    if options.keep_links:
                        plan.nodes.append(PointerNode(path, name, parent, child))
                        continue
                    child = self._followed(child, path)
                    if child is None:
                        plan.skipped.append((path, "a link that leads out of the tree"))
                        continue
                is_group = isinstance(child, storage_type)
                is_type = isinstance(child, links.NamedType)
                if not is_group and not is_type and not isinstance(child, dataset_type):
                    raise TypeError(
                        f"{path}: neither a group nor a dataset but a {type(child).__name__}"
                    )
                key = id(child) if is_group else id(child.attrs)
                known = seen.get(key)
                if known is not None and key in around and not options.keep_links:
                    raise ValueError(f"{path}: the group {known.path} holds itself")
                if is_type and not options.keep_links:
                    plan.skipped.append((path, "a named type"))
                    continue
                if known is not None and not options.selections:
                    plan.nodes.append(LinkNode(path, name, parent, known))
                    continue
                if is_group:
                    if len(stack) > MOST_DEEP:
                        raise ValueError(too_deep(path))
                    node = GroupNode(path, name, parent, child.attrs)
                    node.source = child
                    node.creation = child._creation
                    seen[key] = node
                    around.add(key)
                    plan.nodes.append(node)
                    stack.append((node, _children(child, options.sort)))
                    break
                if is_type:
                    named = TypeNode(path, name, parent, child.attrs, child.dtype)
                    named.creation = child._creation
                    seen[key] = named
                    plan.nodes.append(named)
                    continue
                dataset = _dataset(child, path, name, parent, options, plan)
                dataset.creation = child._creation
                paths.add(path)
                seen[key] = dataset
                plan.nodes.append(dataset)
            else:
                around.discard(id(parent.source))
                stack.pop()
        check_used(options.selections, paths)
        return plan

    def _followed(self, link: Any, path: str) -> Any:
        """The group or dataset that a soft link leads to; None where it leads nowhere."""
        for _hop in range(_MOST_LINKS):
            if not links.is_soft(link):
                return None
            target = link.path
            at = posixpath.dirname(path)
            path = posixpath.normpath(posixpath.join(at, target))
            found: Any = self.storage
            for part in path.strip("/").split("/") if path != "/" else ():
                found = found.get(part) if isinstance(found, _cmemdata._Storage) else None
            if not links.is_link(found):
                return found
            link = found
        return None


#: Soft links that are followed one after the other: as many as HDF5 follows.
_MOST_LINKS = 16


def _children(storage: Any, sort: bool) -> Iterator[tuple[str, Any]]:
    """The children as they are now: later changes of the tree do not matter.

    Groups whose file kept an order keep it.
    """
    items = list(storage.items())
    if sort and not storage._creation.get("track_order"):
        try:
            items.sort(key=_first)
        except TypeError:  # names that are not str are refused when their turn comes
            items.sort(key=lambda item: str(item[0]))
    return iter(items)


def _first(item: tuple[str, Any]) -> str:
    return item[0]


def _dataset(
    child: Any, path: str, name: str, parent: GroupNode, options: Options, plan: Plan
) -> DatasetNode:
    chunks = child.chunks
    compression = child.compression
    if chunks is None and compression is None:
        filters = NO_FILTERS
    else:
        filters = Filters(chunks, compression, child.compression_opts)
    if child.distributed:
        return _distributed(child, path, name, parent, options, plan, filters)
    data = child.data
    attrs = child.attrs
    if options.hints is not None:
        attrs = hinted(attrs, options.hints, None)
    node = DatasetNode(path, name, parent, attrs, data.shape, data.dtype, filters)
    node.source = child
    if path in options.selections:
        selection = resolve(options.selections[path], data.shape, data.itemsize, path, ())
        data = data[selection.index]
        data = data if isinstance(data, np.ndarray) else np.asarray(data)
        node.shape = data.shape
    node.array = data
    return node


def _distributed(
    child: Any,
    path: str,
    name: str,
    parent: GroupNode,
    options: Options,
    plan: Plan,
    filters: Filters,
) -> DatasetNode:
    """A distributed dataset: this rank's part, or nothing where the caller fills it."""
    attrs = child.attrs
    if options.hints is not None:
        attrs = hinted(attrs, options.hints, child.distributed_axis)
    node = DatasetNode(path, name, parent, attrs, child.shape, child.dtype, filters)
    node.source = child
    if options.skip_distributed:
        plan.distributed.append(path)
        return node
    if options.hints is None:
        raise ValueError(f"{path}: a distributed dataset cannot be written by one rank alone")
    part = child.local_data
    whole = part.shape == child.shape
    if options.comm is None and not whole:
        raise ValueError(
            f"{path}: a distributed dataset cannot be written by one rank alone; it has "
            f"{part.shape} of {child.shape}"
        )
    if options.comm is not None and not same_ranks(child.comm, options.comm):
        raise ValueError(f"{path}: the dataset is distributed over another communicator")
    node.array = part
    if options.comm is not None:
        axis = child.distributed_axis
        start = child.local_offset[axis]
        node.part = Part(axis, start, start + part.shape[axis])
    return node


def same_ranks(comm: Any, other: Any) -> bool:
    """Whether two communicators hold the same ranks in the same order."""
    if comm is None or other is None or comm == other:
        return comm is other or bool(comm == other)
    compared = type(other).Compare(comm, other)
    from mpi4py import MPI

    return compared in (MPI.IDENT, MPI.CONGRUENT)


class MemoryTarget:
    """A `_Storage` that a plan is carried out in.

    The new nodes are made apart from the tree, and put into it in one step at the end.
    """

    def __init__(self, storage: Any, comm: Any = None) -> None:
        self.storage = storage
        self._comm = comm
        self._convert = False

    def prepare(self, plan: Plan, options: Options) -> None:
        """Check that the new nodes fit into what is there."""
        self._convert = options.convert_dataset_strings
        for node in plan.nodes[1:]:
            check_name(node.name, node.path)
            if self._convert and isinstance(node, DatasetNode) and node.stored is None:
                self._convert_small(node)
        self._check_room(plan)

    def _check_room(self, plan: Plan) -> None:
        there: dict[int, Any] = {id(plan.nodes[0]): self.storage}
        for node in plan.nodes[1:]:
            parent = there.get(id(node.parent))
            old = None if parent is None else parent.get(node.name)
            if old is None:
                continue
            is_group = isinstance(old, _cmemdata._Storage)
            if is_group and type(node) is GroupNode:
                there[id(node)] = old
            elif is_group or type(node) is GroupNode:
                what = "group" if is_group else "dataset"
                raise ValueError(f"{node.path}: there is a {what} of this name already")

    @staticmethod
    def _convert_small(node: DatasetNode) -> None:
        array = node.array
        if not isinstance(array, np.ndarray):
            return
        try:
            if strings.has_bytes(array.dtype):
                node.array = array = strings.to_unicode(array)
                node.dtype = array.dtype
            if array.dtype.hasobject:
                node.array = strings.decode_objects(array)
        except UnicodeDecodeError as error:
            raise ValueError(f"{node.path}: bytes that are not text: {error}") from None

    def lay_out(self, plan: Plan) -> list[DatasetNode]:
        """Make the nodes, apart from the tree; see `memdata.formats.tree.Target`."""
        remaining = []
        new_storage, new_dataset = _cmemdata._Storage, _cmemdata.MemDatasetCommon.from_numpy_array
        place: Any
        for node in plan.nodes:
            if isinstance(node, DatasetNode):
                array = node.array
                if array is None:
                    array = node.array = _new_array(node)
                    if node.stored is not None:
                        remaining.append(node)
                filters = node.filters
                if node.part is not None:
                    place = self._distributed(node, node.part, array)
                elif filters is NO_FILTERS or not node.shape:
                    place = new_dataset(array)
                else:
                    place = new_dataset(array, **_packing(node))
            elif isinstance(node, LinkNode):
                place = node.target.place
            elif isinstance(node, PointerNode):
                place = node.link
            elif isinstance(node, TypeNode):
                place = links.NamedType(node.dtype)
            else:
                place = new_storage()
            if node.attrs:
                place.attrs.update(node.attrs)
            if node.creation:
                place._creation.update(node.creation)
                if "inner_axes" in node.creation and isinstance(node, DatasetNode):
                    chunks = node.filters.chunks
                    place.chunks = None if chunks is None else chunks[: len(place.shape)]
            node.place = place
            if node.parent is not None:
                node.parent.place[node.name] = place
        return remaining

    def _distributed(self, node: DatasetNode, part: Part, array: Array) -> Any:
        from memdata.mpiarray import MPIArray

        assert node.shape is not None
        data = MPIArray._from_local(array, part.axis, self._comm, node.shape[part.axis], part.start)
        return _cmemdata.MemDatasetDistributed.from_mpi_array(data, **_packing(node))

    def grid(self, node: DatasetNode) -> tuple[int, ...]:
        """Not needed: the content is read into its place."""
        raise NotImplementedError

    def reads_zero(self, node: DatasetNode) -> bool:
        """Not needed: the content is read into its place."""
        raise NotImplementedError

    def write_block(self, node: DatasetNode, index: tuple[slice, ...], part: Array) -> None:
        """Not needed: the content is read into its place."""
        raise NotImplementedError

    def finish(self, plan: Plan) -> None:
        """Put everything into the tree."""
        root = plan.nodes[0].place
        for node in plan.nodes:
            if isinstance(node, LinkNode) and node.target is plan.nodes[0]:
                assert node.parent is not None
                node.parent.place[node.name] = self.storage
        self.storage.attrs.update(root.attrs)
        self.storage._creation.update(root._creation)
        _merge(root, self.storage, set())


def _packing(node: DatasetNode) -> dict[str, Any]:
    """Chunks and compression, as datasets in memory take them."""
    filters, shape = node.filters, node.shape or ()
    chunks = filters.chunks
    if chunks is not None and len(chunks) != len(shape):
        chunks = None  # a selection took an axis away, or they are set later
    return {
        "chunks": chunks,
        "compression": filters.compression,
        "compression_opts": filters.compression_opts,
    }


def _new_array(node: DatasetNode) -> Array:
    shape = node.shape or ()
    try:
        if node.part is not None:
            shape = node.part.shape(shape)
        make = np.zeros if node.dtype.hasobject else np.empty
        return make(shape, node.dtype)
    except (MemoryError, ValueError):  # a ValueError above 2**63 bytes
        raise MemoryError(
            f"{node.path}: no memory for an array of {shape} and {node.dtype}, {node.moved} bytes"
        ) from None


def _merge(source: Any, target: Any, seen: set[int]) -> None:
    """Put the children of one group into another; groups that both have are merged."""
    seen.add(id(source))
    for name, child in source.items():
        old = target.get(name)
        if isinstance(old, _cmemdata._Storage) and isinstance(child, _cmemdata._Storage):
            if id(child) in seen:
                continue  # a link back
            old.attrs.update(child.attrs)
            old._creation.update(child._creation)
            _merge(child, old, seen)
        else:
            target[name] = child
