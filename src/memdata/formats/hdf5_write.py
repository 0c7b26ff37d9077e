"""Writing trees into open HDF5 files, through h5py's low-level interface."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5i, h5p, h5s, h5t

from memdata.formats import references, strings
from memdata.formats.attributes import UnstorableAttribute, to_array
from memdata.formats.hdf5_chunks import Packer
from memdata.formats.hdf5_filters import creation_list, set_filters
from memdata.formats.hdf5_types import TypePair, object_array, string_dtype, type_pair
from memdata.formats.names import check_name
from memdata.formats.tree import (
    NO_FILTERS,
    SMALL,
    DatasetNode,
    GroupNode,
    LinkNode,
    Node,
    Options,
    Plan,
)

__all__ = ["HDF5Target", "Way", "write_attributes"]

Array = np.ndarray[Any, Any]

#: Object headers hold attributes up to this size; larger ones need dense storage.
_HEADER_LIMIT = 64_000

_SCALAR_SPACE = h5s.create(h5s.SCALAR)
_NULL_SPACE = h5s.create(h5s.NULL)


class _Attribute(NamedTuple):
    """An attribute as it will be written."""

    name: bytes
    types: TypePair
    space: Any
    array: Array | None  # None: a null dataspace
    late: bool = False  # a reference, which can be made only when its target exists


class _Recipe(NamedTuple):
    """How a node will be written."""

    name: bytes
    attributes: list[_Attribute]
    creation: Any = None  # property list
    types: TypePair | None = None
    space: Any = None
    when: int = 0


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
        self._late: list[tuple[Any, _Attribute]] = []
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
                node.recipe = _Recipe(b"/", self._attributes(attrs, node.path, options))
                continue
            name = check_name(node.name, node.path)
            if isinstance(node, DatasetNode):
                node.recipe = self._dataset(name, node, options)
            elif isinstance(node, LinkNode):
                node.recipe = _Recipe(name, [])
            else:
                attributes = self._attributes(node.attrs, node.path, options)
                creation = _group_creation(attributes, self.track_order)
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
            there = h5i.get_type(h5py.h5o.open(parent, name))
            if there == h5i.GROUP and type(node) is GroupNode:
                taken[id(node)] = h5g.open(parent, name)
                continue
            what = "group" if there == h5i.GROUP else "dataset"
            if self.replace and there == h5i.DATASET and isinstance(node, DatasetNode):
                _check_same(node, h5d.open(parent, name))
                continue
            raise ValueError(f"{node.path}: there is a {what} of this name in the target already")

    def _attributes(
        self, attrs: Mapping[str, Any], path: str, options: Options
    ) -> list[_Attribute]:
        if not attrs:
            return []
        return _encoded(attrs, path, options.convert_attribute_strings)

    def _dataset(self, name: bytes, node: DatasetNode, options: Options) -> _Recipe:
        try:
            array = node.array
            if array is not None and node.shape is not None and not self._is_plain(array.dtype):
                node.array = array = _storable(array, options.convert_dataset_strings)
                node.dtype = array.dtype
            types, space, creation, when = self._known_recipe(node)
        except UnicodeEncodeError as error:
            raise ValueError(f"{node.path}: text that is not ASCII: {error}") from None
        except (TypeError, ValueError) as error:
            raise type(error)(f"{node.path}: {error}") from None
        if node.filters is not NO_FILTERS and creation.get_layout() == h5d.CHUNKED:
            # As the file will have them: they may have been guessed or cut.
            node.filters = node.filters._replace(chunks=tuple(creation.get_chunk()))
        attributes = self._attributes(node.attrs, node.path, options)
        if _needs_dense(attributes):
            creation = creation.copy()
            creation.set_attr_creation_order(h5p.CRT_ORDER_TRACKED)
            creation.set_attr_phase_change(0, 0)
        return _Recipe(name, attributes, creation, types, space, when)

    @staticmethod
    def _is_plain(dtype: np.dtype[Any]) -> bool:
        return dtype.kind in "biufcS"

    def _known_recipe(self, node: DatasetNode) -> tuple[TypePair, Any, Any, int]:
        """Type, dataspace, creation properties and time of writing; many datasets share them."""
        dtype = node.dtype
        if node.part is not None or dtype.metadata is not None or not self._is_plain(dtype):
            return self._new_recipe(node)
        in_memory = node.array is not None
        try:
            key = (dtype, node.shape, node.filters, in_memory)
            known = self._recipes.get(key)
        except TypeError:  # filter options may be lists, which have no hash
            return self._new_recipe(node)
        if known is None:
            known = self._recipes[key] = self._new_recipe(node)
        return known

    def _new_recipe(self, node: DatasetNode) -> tuple[TypePair, Any, Any, int]:
        dtype, shape = node.dtype, node.shape
        types = type_pair(dtype)
        creation = creation_list()
        if self.track_order:
            creation.set_attr_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)
        if shape is None:
            return types, _NULL_SPACE, creation, _NOW
        space = h5s.create_simple(shape) if shape else _SCALAR_SPACE
        filters = node.filters
        if references.holds_references(dtype):
            if node.part is not None:
                raise TypeError("HDF5 references cannot be distributed")
            return types, space, creation, _REFERENCES
        if shape and (filters != NO_FILTERS):
            set_filters(creation, filters, shape, dtype)
        if node.part is not None:
            return types, space, creation, self._when_distributed(node, types, space, creation)
        if shape and (filters != NO_FILTERS):
            return types, space, creation, _NOW if node.nbytes <= SMALL else _LATER
        if dtype.hasobject or (node.array is None and node.stored is None):
            return types, space, creation, _NOW if node.nbytes <= SMALL else _LATER
        creation.set_fill_time(h5d.FILL_TIME_NEVER)  # every element will be written
        if node.nbytes <= SMALL:
            return types, space, creation, _NOW
        if self.direct and types.file == types.memory:
            creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
            return types, space, creation, _DIRECT
        return types, space, creation, _LATER

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
        elif types.file != types.memory:
            return _GATHER
        creation.set_fill_time(h5d.FILL_TIME_NEVER)
        creation.set_alloc_time(h5d.ALLOC_TIME_EARLY)
        return when

    # Laying out

    def lay_out(self, plan: Plan) -> list[DatasetNode]:
        """Make everything, and write what is small; see `memdata.formats.tree.Target`."""
        remaining: list[DatasetNode] = []
        for node in plan.nodes:
            if isinstance(node, DatasetNode):
                self._make_dataset(node, remaining)
            elif isinstance(node, LinkNode):
                self._make_link(node)
            else:
                self._make_group(node)
        return remaining

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
        else:
            place = h5d.create(
                parent.place, name, types.file, recipe.space, recipe.creation, _link_list(name)
            )
        if node.part is not None:
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

    def _write_attributes(self, place: Any, attributes: list[_Attribute], replace: bool) -> None:
        for attribute in attributes:
            if attribute.late:
                self._late.append((place, attribute))
            else:
                _write_attribute(place, attribute, replace)

    # Moving

    def write_rows(self, node: DatasetNode, start: int, stop: int, part: Array) -> None:
        """Write a part along the first axis; see `memdata.formats.tree.Target`."""
        recipe: _Recipe = node.recipe
        shape = node.shape
        assert recipe.types is not None
        data = np.asarray(part, order="C")
        if not data.size:
            return
        if shape and self._write_packed(node, shape, start, stop, data):
            return
        if not shape or (start == 0 and stop == shape[0]):
            node.place.write(h5s.ALL, h5s.ALL, data, recipe.types.memory)
            return
        space = recipe.space.copy()
        counts = (stop - start, *shape[1:])
        space.select_hyperslab((start,) + (0,) * (len(shape) - 1), counts)
        node.place.write(h5s.create_simple(counts), space, data, recipe.types.memory)

    def _write_packed(
        self, node: DatasetNode, shape: tuple[int, ...], start: int, stop: int, data: Array
    ) -> bool:
        """Write rows in whole chunks, packed by threads; False where HDF5 has to pack."""
        packer = self._packer(node)
        if packer is None or not packer.fits(start, stop, shape[0]):
            return False
        for chunk in packer.pack(data, (start,) + (0,) * (len(shape) - 1)):
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
            _write_attribute(place, attribute._replace(array=data), replace=True)


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
        return Way("allocated")
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
    return object_array(array) if array.dtype.hasobject else array


def _group_creation(attributes: list[_Attribute], track_order: bool) -> Any:
    dense = _needs_dense(attributes)
    if not (dense or track_order):
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
    """Whether the root has attributes that an ordinary object header cannot hold."""
    return _needs_dense(plan.nodes[0].recipe.attributes)


def _needs_dense(attributes: list[_Attribute]) -> bool:
    return any(item.array is not None and item.array.nbytes > _HEADER_LIMIT for item in attributes)


# Attributes

_string_types: TypePair = type_pair(string_dtype())
_SIMPLE = frozenset({bool, int, float, complex})


def _encoded(attrs: Mapping[str, Any], path: str, convert_strings: bool) -> list[_Attribute]:
    """The attributes as they will be written; raises TypeError naming path and attribute."""
    result = []
    for name, value in attrs.items():
        try:
            encoded = to_array(value, convert_strings=convert_strings)
            result.append(_attribute(_attribute_name(name, path), encoded))
        except RecursionError:
            raise TypeError(
                f"{path}: attribute {name!r} holds itself, or too many levels"
            ) from None
        except (TypeError, UnicodeError, UnstorableAttribute) as error:
            raise TypeError(f"{path}: attribute {name!r}: {error}") from None
    return result


def _attribute_name(name: Any, path: str) -> bytes:
    if type(name) is not str and not isinstance(name, str):
        raise TypeError("the name of an attribute is a str")
    if not name or "\0" in name:
        raise ValueError(f"{path}: {name!r} cannot be the name of an attribute")
    return name.encode("utf-8", "surrogateescape")


def _attribute(name: bytes, value: Any) -> _Attribute:
    if type(value) is str:
        # h5py writes variable-length strings from object arrays.
        array = np.empty((), object)
        array[()] = value.encode("utf-8", "surrogateescape")
        return _Attribute(name, _string_types, _SCALAR_SPACE, array)
    if isinstance(value, h5py.Empty):
        return _Attribute(name, type_pair(value.dtype), _NULL_SPACE, None)
    shape = value.shape
    space = h5s.create_simple(shape) if shape else _SCALAR_SPACE
    late = value.dtype.hasobject and references.holds_references(value.dtype)
    return _Attribute(name, type_pair(value.dtype), space, np.asarray(value, order="C"), late)


def _write_attribute(place: Any, attribute: _Attribute, replace: bool) -> None:
    name, types, space, array, _late = attribute
    if replace and h5a.exists(place, name):
        h5a.delete(place, name)
    identifier = h5a.create(place, name, types.file, space)
    if array is not None and array.size:
        identifier.write(array, types.memory)


def write_attributes(place: Any, attrs: Mapping[str, Any], *, convert_strings: bool) -> None:
    """Write attributes to an open HDF5 object, replacing those of the same names.

    Raises
    ------
    TypeError
        HDF5 cannot hold a value; nothing has been written then.
    """
    path = h5i.get_name(place)
    encoded = _encoded(attrs, path.decode("utf-8", "replace") if path else "?", convert_strings)
    file = h5i.get_file_id(place)
    for attribute in encoded:
        if attribute.late and attribute.array is not None:
            attribute = attribute._replace(array=references.to_file(attribute.array, file, "/"))
        _write_attribute(place, attribute, replace=True)
