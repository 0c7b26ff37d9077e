"""Writing trees into open HDF5 files, through h5py's low-level interface."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5d, h5g, h5i, h5o, h5p, h5s, h5t

from memdata.formats import references, strings, tagged
from memdata.formats.dimension_names import labels_of
from memdata.formats.hdf5_attributes import (
    Attribute,
    encoded,
    needs_dense,
    write_attribute,
    write_late,
)
from memdata.formats.hdf5_chunks import Packer
from memdata.formats.hdf5_copy import chunk_copier, whole_copier
from memdata.formats.hdf5_creation import (
    dataspace,
    new_creation,
    set_creation,
    wanted_filters,
)
from memdata.formats.hdf5_objects import object_array
from memdata.formats.hdf5_types import (
    TypePair,
    kept_type,
    subarray_type,
    tag_of,
    type_pair,
)
from memdata.formats.names import check_name
from memdata.formats.tree import (
    NO_FILTERS,
    NOTHING,
    SMALL,
    DatasetNode,
    GroupNode,
    LinkNode,
    Node,
    Options,
    Plan,
    PointerNode,
    TypeNode,
)

__all__ = ["HDF5Target", "Way"]

Array = np.ndarray[Any, Any]

#: Datasets of at most so many bytes lie in their header: one write, and one read, less for each.
_COMPACT = 4096

_SCALAR_SPACE = h5s.create(h5s.SCALAR)
_NULL_SPACE = h5s.create(h5s.NULL)


class _Recipe(NamedTuple):
    """How a node will be written."""

    name: bytes
    attributes: list[Attribute]
    creation: Any = None  # property list
    types: TypePair | None = None
    space: Any = None
    when: int = 0
    named: str | None = None  # path of a named type


_NOW, _LATER, _DIRECT, _REFERENCES, _CHUNKS, _ALLOCATED, _GATHER = range(7)


class Way(NamedTuple):
    """How the parts of a distributed dataset get into the file; rank 0 decides.

    Attributes
    ----------
    name : {"nothing", "direct", "chunks", "allocated", "gather"}
        Nothing where there are no elements; direct: every rank writes its bytes behind `offset`;
        chunks: every rank packs its chunks, of the shape `chunks`; allocated: the chunks have
        their places, into which all write through parallel HDF5; gather: rank 0 writes.
    """

    name: str
    offset: int = 0
    chunks: tuple[int, ...] = ()


class HDF5Target:
    """A group of an open HDF5 file that a plan is carried out in.

    Parameters
    ----------
    group : h5py.Group or None
        The root of what is written. It may come after planning, see `open`; then the file is new
        and empty.
    direct : bool
        The caller will write large plain datasets itself, where `extents` says.
    track_order : bool
        New groups remember in which order their members and attributes were made.
    replace : bool
        Datasets that are there take the new content, if they have its shape and type.
    """

    def __init__(
        self,
        group: Any = None,
        *,
        direct: bool = False,
        track_order: bool = False,
        replace: bool = False,
    ) -> None:
        self.direct = direct
        self.track_order = track_order
        self.replace = replace
        self.group: Any = None
        self.extents: list[tuple[DatasetNode, int]] = []
        self.ways: dict[str, Way] = {}
        self._parallel = False
        self._recipes: dict[Any, tuple[TypePair, Any, Any, int]] = {}
        self._late: list[tuple[Any, Attribute]] = []
        self._types: dict[str, Any] = {}
        self._types_name = b".memdata-types"
        self._references: list[DatasetNode] = []
        self._packing: tuple[DatasetNode, Packer | None] | None = None
        if group is not None:
            self.open(group)

    def open(self, group: Any) -> None:
        """Say where to write."""
        self.group = h5g.open(group.id, b".")  # for a file: its root group
        self.file = h5i.get_file_id(group.id)
        self.prefix: str = group.name or "/"

    # Planning

    def prepare(self, plan: Plan, options: Options) -> None:
        """Find for each node how it will be stored; see `memdata.formats.tree.Target`."""
        self._parallel = options.mover == "mpio" and options.comm is not None
        for node in plan.nodes:
            if node.parent is None:
                attrs = {**node.attrs, **options.extra_attrs}
                node.recipe = _Recipe(b"/", self._attributes(attrs, node, options))
                continue
            name = check_name(node.name, node.path)
            if isinstance(node, DatasetNode):
                node.recipe = self._dataset(name, node, options)
            elif isinstance(node, LinkNode | PointerNode):
                node.recipe = _Recipe(name, [])
            elif isinstance(node, TypeNode):
                node.recipe = self._named_type(name, node, options)
            else:
                track_order = self.track_order or bool(node.creation.get("track_order"))
                attributes = self._attributes(node.attrs, node, options)
                by_age = bool(node.creation.get("track_attributes"))
                creation = _group_creation(attributes, track_order, by_age)
                node.recipe = _Recipe(name, attributes, creation)
        if self.group is not None:
            self.check_room(plan)

    def check_room(self, plan: Plan) -> None:
        """Refuse names that are taken by something else."""
        taken: dict[int, Any] = {id(plan.nodes[0]): self.group}
        for node in plan.nodes[1:]:
            parent = taken.get(id(node.parent))
            name = node.recipe.name
            if parent is None or name not in parent:
                continue
            there = _kind_at(parent, name)
            if there == h5i.GROUP and type(node) is GroupNode:
                taken[id(node)] = h5g.open(parent, name)
                continue
            what = _KINDS.get(there, "link or type")
            if self.replace and there == h5i.DATASET and isinstance(node, DatasetNode):
                _check_same(node, h5d.open(parent, name))
                continue
            raise ValueError(f"{node.path}: there is a {what} of this name in the target already")

    def _attributes(
        self, attrs: Mapping[str, Any], node: Node, options: Options
    ) -> list[Attribute]:
        if not attrs:
            return []
        as_read = node.creation.get("attributes", NOTHING) if node.creation else NOTHING
        return encoded(attrs, node.path, options.convert_attribute_strings, as_read)

    def _named_type(self, name: bytes, node: TypeNode, options: Options) -> _Recipe:
        kept = node.creation.get("type")
        try:
            how = tag_of(node.dtype, None)
            types = None if kept is None else kept_type(kept, node.dtype)
            text = how is not None and how.dtype.kind == "T"
            types = types or type_pair(how.storage if how is not None and text else node.dtype)
        except TypeError as error:
            raise TypeError(f"{node.path}: {error}") from None
        attributes = self._attributes(node.attrs, node, options)
        if how is not None:
            attributes += encoded({tagged.TAG: how.tag}, node.path, False)
        return _Recipe(name, attributes, types=types)

    def _dataset(self, name: bytes, node: DatasetNode, options: Options) -> _Recipe:
        node.copy = whole_copier(node)
        if node.copy is not None:  # it comes with its type, space and filters
            node.sharing = 1
            attributes = self._attributes(node.attrs, node, options)
            return _Recipe(name, attributes, types=TypePair(None, None))
        tag: list[Attribute] = []
        try:
            if not self._is_plain(node.dtype):
                tag = self._prepare_elements(node, options)
            types, space, creation, when = self._known_recipe(node)
        except UnicodeEncodeError as error:
            raise ValueError(f"{node.path}: text that is not ASCII: {error}") from None
        except (TypeError, ValueError) as error:
            raise type(error)(f"{node.path}: {error}") from None
        if creation.get_layout() == h5d.CHUNKED:
            # As the file will have them: they may have been guessed or cut.
            node.filters = node.filters._replace(chunks=tuple(creation.get_chunk()))
        attributes = [*self._attributes(node.attrs, node, options), *tag]
        labels = labels_of(node)
        if labels is not None:
            attributes += encoded({"DIMENSION_LABELS": labels}, node.path, True)
        if needs_dense(attributes):
            creation = creation.copy()
            creation.set_attr_creation_order(h5p.CRT_ORDER_TRACKED)
            creation.set_attr_phase_change(0, 0)
        named = node.creation.get("named_type") if node.creation else None
        recipe = _Recipe(name, attributes, creation, types, space, when, named)
        if node.stored is not None and when != _REFERENCES:
            node.copy = chunk_copier(node, recipe)
        return recipe

    @staticmethod
    def _prepare_elements(node: DatasetNode, options: Options) -> list[Attribute]:
        """Bring elements into a type that HDF5 has; returns the tag, where one is needed."""
        array = node.array
        if isinstance(array, np.ndarray):
            node.array = array = _storable(array, options.convert_dataset_strings)
            node.dtype = array.dtype
        elif node.shape is None:
            return []
        # Of a part nobody knows what texts the others have: their tags have to be the same.
        how = tag_of(node.dtype, array if node.part is None else None)
        if how is None:
            return []
        if how.dtype.kind == "T":
            assert array is not None
            node.array = object_array(tagged.pack(array, how))
            node.dtype = how.storage
        return encoded({tagged.TAG: how.tag}, node.path, False)

    @staticmethod
    def _is_plain(dtype: np.dtype[Any]) -> bool:
        return dtype.kind in "biufcS" and dtype.isbuiltin != 2  # nor of another package

    def _known_recipe(self, node: DatasetNode) -> tuple[TypePair, Any, Any, int]:
        """Type, dataspace, creation properties and time of writing; many datasets share them."""
        dtype = node.dtype
        by_ranks = node.part is not None or node.sharing > 1
        if by_ranks or dtype.metadata is not None or not self._is_plain(dtype):
            return self._new_recipe(node)
        in_memory = node.array is not None
        creation: Any = node.creation
        if creation:
            creation = tuple(item for item in creation.items() if item[0] != "attributes")
        else:
            creation = ()
        try:
            key = (dtype, node.shape, node.filters, in_memory, creation)
            known = self._recipes.get(key)
        except TypeError:  # filter options and fill values may have no hash
            return self._new_recipe(node)
        if known is None:
            known = self._recipes[key] = self._new_recipe(node)
        return known

    def _new_recipe(self, node: DatasetNode) -> tuple[TypePair, Any, Any, int]:
        dtype, shape, known = node.dtype, node.shape, node.creation
        types, within = _types_of(node)
        creation = new_creation(known)
        if self.track_order:
            creation.set_attr_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
        if shape is None:
            set_creation(creation, NO_FILTERS, known, (), dtype)
            return types, _NULL_SPACE, creation, _NOW
        shape = shape[: len(shape) - within]
        filters = node.filters
        if within and filters.chunks is not None and len(filters.chunks) != len(shape):
            filters = NO_FILTERS
        filters = wanted_filters(filters, known, shape)
        chunked = bool(shape) and filters != NO_FILTERS
        space = dataspace(shape, known, chunked) if shape else _SCALAR_SPACE
        if chunked or known:
            set_creation(creation, filters, known, shape, dtype)
        small = _NOW if node.nbytes <= SMALL or within else _LATER
        if references.holds_references(dtype):
            if node.part is not None:
                raise TypeError("HDF5 references cannot be distributed")
            return types, space, creation, _REFERENCES
        if node.part is not None or node.sharing > 1:
            when = self._when_distributed(node, types, space, creation)
            if node.part is not None or when != _GATHER:
                return types, space, creation, when
            node.sharing = 1  # it goes through the library, which only one can use
        if chunked or dtype.hasobject or (node.array is None and node.stored is None):
            return types, space, creation, small
        if node.nbytes <= _COMPACT:
            creation.set_layout(h5d.COMPACT)
        elif small == _LATER and self.direct and types.file == types.memory:
            creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
            return types, space, creation, _DIRECT
        return types, space, creation, small

    def _when_distributed(
        self, node: DatasetNode, types: TypePair, space: Any, creation: Any
    ) -> int:
        if not node.nbytes:
            return _NOW
        if not self.direct or node.dtype.hasobject:
            return _GATHER
        when = _DIRECT
        if creation.get_layout() == h5d.CHUNKED:
            if not self._parallel or types.file != types.memory or _needs_fill(space, creation):
                return _CHUNKS
            when = _ALLOCATED
            creation.set_fill_time(h5d.FILL_TIME_NEVER)  # every element will be written
        elif types.file != types.memory:
            return _GATHER
        creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        return when

    def by_all(self, node: DatasetNode) -> bool:
        """Whether all ranks can write their parts of a planned dataset through parallel HDF5."""
        when: int = node.recipe.when
        return when in {_NOW, _DIRECT, _ALLOCATED}

    # Laying out

    def lay_out(self, plan: Plan) -> list[DatasetNode]:
        """Make everything, and write what is small; see `memdata.formats.tree.Target`."""
        remaining: list[DatasetNode] = []
        self._commit_types(plan)
        for node in plan.nodes:
            if isinstance(node, DatasetNode):
                self._make_dataset(node, remaining)
            elif isinstance(node, LinkNode):
                self._make_link(node)
            elif isinstance(node, PointerNode):
                self._make_pointer(node)
            elif isinstance(node, TypeNode):
                self._make_type(node)
            else:
                self._make_group(node)
        if self._types:
            self.group.unlink(self._types_name)
        return remaining

    def _commit_types(self, plan: Plan) -> None:
        """Make the named types that datasets use: they may come before them in the plan.

        Until the types get their names they are in a group of their own.
        """
        self._types = {}
        used = {name: types.file for name, types in _named_types(plan)}
        there = {node.path: node for node in plan.nodes if isinstance(node, TypeNode)}
        for name in list(used):
            if name in there:
                used[name] = there[name].recipe.types.file
            elif name.startswith("/"):  # it is not saved
                del used[name]
        if not used:
            return
        while self._types_name in self.group:
            self._types_name += b"-"
        folder = h5g.create(self.group, self._types_name)
        for number, (name, type_id) in enumerate(used.items()):
            made = type_id.copy()
            made.commit(folder, str(number).encode())
            self._types[name] = made

    def _committed(self, type_id: Any, named: str | None) -> Any:
        """The named type that stands for a type, if it still is the same."""
        found = None if named is None else self._types.get(named)
        return type_id if found is None or found != type_id else found

    def _make_type(self, node: TypeNode) -> None:
        recipe: _Recipe = node.recipe
        parent: Any = node.parent
        assert recipe.types is not None
        there = self._types.get(node.path)
        if there is None:
            there = recipe.types.file.copy()
            there.commit(parent.place, recipe.name, _link_list(recipe.name))
        else:
            h5o.link(there, parent.place, recipe.name, lcpl=_link_list(recipe.name))
        self._write_attributes(there, recipe.attributes, replace=False)

    def _make_pointer(self, node: PointerNode) -> None:
        parent: Any = node.parent
        name, link = node.recipe.name, node.link
        path = link.path
        links = parent.place.links
        if isinstance(link, h5py.ExternalLink):
            file = os.fsencode(link.filename)
            links.create_external(name, file, _encoded_path(path), lcpl=_link_list(name))
            return
        if path.startswith("/") and self.prefix != "/":
            path = self.prefix.rstrip("/") + path
        links.create_soft(name, _encoded_path(path), lcpl=_link_list(name))

    def _make_group(self, node: Node) -> None:
        recipe: _Recipe = node.recipe
        there = True
        if node.parent is None:
            node.place = self.group
        elif recipe.name in node.parent.place:
            node.place = h5g.open(node.parent.place, recipe.name)
        else:
            there = False
            node.place = h5g.create(
                node.parent.place, recipe.name, lcpl=_link_list(recipe.name), gcpl=recipe.creation
            )
        self._write_attributes(node.place, recipe.attributes, replace=there)

    def _make_link(self, node: LinkNode) -> None:
        parent: Any = node.parent
        target = node.target
        if target.parent is None:
            source, name = self.group, b"."
        else:
            source, name = target.parent.place, target.recipe.name
        parent.place.links.create_hard(
            node.recipe.name, source, name, lcpl=_link_list(node.recipe.name)
        )

    def _make_dataset(self, node: DatasetNode, remaining: list[DatasetNode]) -> None:
        recipe: _Recipe = node.recipe
        name, types, when = recipe.name, recipe.types, recipe.when
        assert types is not None
        parent: Any = node.parent
        if self.replace and name in parent.place:
            place = h5d.open(parent.place, name)
            when = _when_replaced(place, types, when)
            node.copy = None
        elif node.copy is not None and node.copy.whole:
            place = node.copy.make(parent.place, name, _link_list(name))
        else:
            file_type = self._committed(types.file, recipe.named)
            place = h5d.create(
                parent.place, name, file_type, recipe.space, recipe.creation, _link_list(name)
            )
        if node.part is not None or node.sharing > 1:
            self.ways[node.path] = _way(place, when)
            node.place = place
            self._write_attributes(place, recipe.attributes, replace=False)
            return
        array = node.array
        if when == _NOW and array is not None:
            if node.shape is not None and array.size:
                place.write(h5s.ALL, h5s.ALL, np.asarray(array, order="C"), types.memory)
        elif when == _DIRECT:
            self.extents.append((node, place.get_offset()))
        elif when == _REFERENCES:
            self._references.append(node)
        elif node.array is not None or node.stored is not None:
            remaining.append(node)
        if recipe.attributes:
            self._write_attributes(place, recipe.attributes, replace=False)
        if when != _NOW or node.stored is not None:
            node.place = place

    def _write_attributes(self, place: Any, attributes: list[Attribute], replace: bool) -> None:
        for attribute in attributes:
            if attribute.late:
                self._late.append((place, attribute))  # its place among the others is kept
            if attribute.named is not None:
                file_type = self._committed(attribute.types.file, attribute.named)
                types = TypePair(file_type, attribute.types.memory)
                attribute = attribute._replace(types=types)
            write_attribute(place, attribute, replace)

    # Moving

    def grid(self, node: DatasetNode) -> tuple[int, ...]:
        """Lengths of a chunk; see `memdata.formats.tree.Target`."""
        shape = node.shape or ()
        chunks = node.filters.chunks or (1,) * len(shape)
        return (*chunks, *shape[len(chunks) :])

    def reads_zero(self, node: DatasetNode) -> bool:
        """Whether HDF5 stands for what is not written with zero; see `memdata.formats.tree`."""
        if self.replace or node.dtype.hasobject:
            return False
        plist = node.place.get_create_plist()
        default = plist.fill_value_defined() == h5d.FILL_VALUE_DEFAULT
        return bool(default and plist.get_fill_time() != h5d.FILL_TIME_NEVER)

    def write_block(self, node: DatasetNode, index: tuple[slice, ...], part: Array) -> None:
        """Write a part; see `memdata.formats.tree.Target`."""
        recipe: _Recipe = node.recipe
        shape = node.shape
        assert recipe.types is not None
        data = np.asarray(part, order="C")
        if not data.size:
            return
        if shape and self._write_packed(node, index, data):
            return
        if not shape or data.shape == shape:
            node.place.write(h5s.ALL, h5s.ALL, data, recipe.types.memory)
            return
        space = recipe.space.copy()
        space.select_hyperslab(tuple(cut.start for cut in index), data.shape)
        node.place.write(h5s.create_simple(data.shape), space, data, recipe.types.memory)

    def _write_packed(self, node: DatasetNode, index: tuple[slice, ...], data: Array) -> bool:
        """Write whole chunks, packed by threads; False where HDF5 has to pack."""
        packer = self._packer(node)
        if packer is None or not packer.fits(index, node.shape or ()):
            return False
        for chunk in packer.pack(data, tuple(cut.start for cut in index)):
            node.place.write_direct_chunk(chunk.origin, chunk.content, chunk.mask)
        return True

    def _packer(self, node: DatasetNode) -> Packer | None:
        """What packs the chunks of a dataset past HDF5; None where HDF5 has to."""
        if self._packing is None or self._packing[0] is not node:
            plist = node.place.get_create_plist()
            self._packing = node, Packer.of(plist, node.recipe.types, node.dtype)
        return self._packing[1]

    def finish(self, plan: Plan) -> None:
        """Write references, whose targets exist by now; see `memdata.formats.tree.Target`."""
        del plan
        for node in self._references:
            array = node.array
            if array is None and node.stored is not None:
                array = np.zeros(node.shape or (), node.dtype)
                node.stored.read_rows(0, node.shape[0] if node.shape else 1, array)
            if array is not None and array.size:
                data = references.to_file(array, self.file, self.prefix)
                node.place.write(
                    h5s.ALL, h5s.ALL, np.asarray(data, order="C"), node.recipe.types.memory
                )
        for place, attribute in self._late:
            assert attribute.array is not None
            data = references.to_file(attribute.array, self.file, self.prefix)
            write_late(place, attribute._replace(array=data))


_KINDS = {h5i.GROUP: "group", h5i.DATASET: "dataset"}


def _named_types(plan: Plan) -> Iterator[tuple[str, TypePair]]:
    """The names of named types that datasets and attributes use, and what they are there."""
    for node in plan.nodes:
        recipe: _Recipe = node.recipe
        if recipe.named is not None and recipe.types is not None:
            yield recipe.named, recipe.types
        for attribute in recipe.attributes:
            if attribute.named is not None:
                yield attribute.named, attribute.types


def _kind_at(parent: Any, name: bytes) -> int:
    """What stands under a name; -1 for a link that leads nowhere."""
    try:
        return int(h5i.get_type(h5o.open(parent, name)))
    except (KeyError, OSError, RuntimeError):
        return -1


def _encoded_path(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _types_of(node: DatasetNode) -> tuple[TypePair, int]:
    """The types, and how many axes of the array are inside of the type (`h5py` calls it array)."""
    kept = node.creation.get("type") if node.creation else None
    if kept is not None:
        types = kept_type(kept, node.dtype)
        if types is not None:
            return types, 0
        if node.array is not None and node.part is None and node.shape is not None:
            found = subarray_type(kept, node.dtype, node.shape)
            if found is not None:
                return found
    return type_pair(node.dtype), 0


def _check_same(node: DatasetNode, there: Any) -> None:
    """Whether a dataset in the file can take the content of a node."""
    shape = tuple(there.shape)
    types: TypePair = node.recipe.types
    if shape != node.shape or there.get_type() not in (types.file, types.memory):
        raise RuntimeError(
            f"{node.path}: the dataset that is there has the shape {shape} and the type "
            f"{there.dtype}, expected {node.shape} and {node.dtype}"
        )


def _needs_fill(space: Any, creation: Any) -> bool:
    """Whether chunks hold, or may come to hold, more than the elements that will be written."""
    return bool(
        creation.get_nfilters()
        or creation.fill_value_defined() == h5d.FILL_VALUE_USER_DEFINED
        or space.get_simple_extent_dims(True) != space.get_simple_extent_dims()
    )


def _when_replaced(place: Any, types: TypePair, when: int) -> int:
    """When to write a dataset that was there before: its storage decides."""
    if when == _NOW:
        return when
    plist = place.get_create_plist()
    plain = plist.get_layout() == h5d.CONTIGUOUS and not plist.get_external_count()
    by_rank = when in {_DIRECT, _CHUNKS, _ALLOCATED}
    if by_rank and plain and types.file == types.memory:
        whole = place.get_space().get_simple_extent_npoints() * types.file.get_size()
        if place.get_storage_size() == whole and place.get_offset() is not None:
            return _DIRECT
    return _GATHER if by_rank or when == _GATHER else _LATER


def _way(place: Any, when: int) -> Way:
    if when == _DIRECT:
        return Way("direct", place.get_offset())
    if when == _ALLOCATED:
        return Way("allocated", 0, place.get_create_plist().get_chunk())
    if when == _CHUNKS:
        return Way("chunks", 0, place.get_create_plist().get_chunk())
    return Way("gather" if when == _GATHER else "nothing")


@cache
def _utf8_links() -> Any:
    plist = h5p.create(h5p.LINK_CREATE)
    plist.set_char_encoding(h5t.CSET_UTF8)
    return plist


def _link_list(name: bytes) -> Any:
    return None if name.isascii() else _utf8_links()


def _storable(array: Array, convert_strings: bool) -> Array:
    """`array` in a type that HDF5 has."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask; store data and mask apart")
    if convert_strings and strings.has_unicode(array.dtype):
        array = strings.to_bytes(array)
    return object_array(array) if array.dtype.hasobject and array.dtype.kind != "T" else array


def _group_creation(attributes: list[Attribute], track_order: bool, by_age: bool) -> Any:
    dense = needs_dense(attributes)
    if not (dense or track_order or by_age):
        return _plain_group_list()
    plist = h5p.create(h5p.GROUP_CREATE)
    plist.set_obj_track_times(False)
    order = h5p.CRT_ORDER_TRACKED
    if track_order:
        order |= h5p.CRT_ORDER_INDEXED
        plist.set_link_creation_order(order)
    plist.set_attr_creation_order(order)
    if dense:
        plist.set_attr_phase_change(0, 0)
    return plist


@cache
def _plain_group_list() -> Any:
    return h5p.create(h5p.GROUP_CREATE)


def needs_dense_root(plan: Plan) -> bool:
    """Whether the root has attributes that an ordinary object header cannot hold, or keeps order.

    h5py makes both with ``track_order=True``.
    """
    root = plan.nodes[0]
    return needs_dense(root.recipe.attributes) or bool(root.creation.get("track_order"))
