"""Whether two HDF5 files hold the same, asked of h5py alone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import h5py
import numpy as np
from h5py import h5o, h5p, h5s


def differences(
    one: Any,
    other: Any,
    *,
    storage: bool = True,
    missing: Collection[str] = (),
    own_values: Collection[int] = (),
) -> list[str]:
    """What differs between two open groups, a line each; empty if nothing does.

    Compared are names and their order, links, attributes with their types, shapes, maximal shapes,
    types and values; with `storage` also chunks, filters and fill values. `missing` are paths (of
    attributes: ``path: attribute 'name'``) that the other file has not, `own_values` the numbers of
    filters whose values are the library's own.
    """
    found: list[str] = []
    comparer = _Comparer(found, storage)
    comparer.missing = frozenset(missing)
    comparer.own_values = frozenset(own_values)
    comparer.groups(one, other)
    return found


class _Comparer:
    def __init__(self, found: list[str], storage: bool) -> None:
        self.found = found
        self.storage = storage
        self.addresses: dict[int, int] = {}
        self.missing: frozenset[str] = frozenset()
        self.own_values: frozenset[int] = frozenset()

    def same(self, where: str, one: Any, other: Any) -> bool:
        if not _equal(one, other):
            self.found.append(f"{where}: {one!r:.200} != {other!r:.200}")
            return False
        return True

    def again(self, path: str, one: Any, other: Any) -> bool:
        """Whether an object was met before; then both files met it under the same name."""
        key, twin = h5o.get_info(one.id).addr, h5o.get_info(other.id).addr
        known = self.addresses.get(key)
        self.addresses[key] = twin
        if known is None:
            return False
        self.same(f"{path}: hard link", twin, known)
        return True

    def groups(self, one: Any, other: Any) -> None:
        if self.again(one.name, one, other):
            return
        self.attributes(one, other)
        tracked = [
            bool(group.id.get_create_plist().get_link_creation_order() & h5p.CRT_ORDER_TRACKED)
            for group in (one, other)
        ]
        self.same(f"{one.name}: track_order", *tracked)
        above = one.name.rstrip("/")
        names = [name for name in one if f"{above}/{name}" not in self.missing]
        if not self.same(f"{one.name}: names", names, list(other)):
            return
        for name in names:
            path = f"{above}/{name}"
            links = one.get(name, getlink=True), other.get(name, getlink=True)
            if not self.same(f"{path}: link", *map(_described_link, links)):
                continue
            if isinstance(links[0], h5py.HardLink):
                self.objects(path, one, other, name)

    def objects(self, path: str, one: Any, other: Any, name: str) -> None:
        kinds = [h5o.get_info(h5o.open(g.id, name.encode())).type for g in (one, other)]
        if not self.same(f"{path}: kind", *kinds):
            return
        first, second = one[name], other[name]
        if kinds[0] == h5o.TYPE_GROUP:
            self.groups(first, second)
        elif kinds[0] == h5o.TYPE_NAMED_DATATYPE:
            if not self.again(path, first, second):
                self.same(f"{path}: named type", first.id, second.id)
                self.attributes(first, second)
        elif not self.again(path, first, second):
            self.datasets(path, first, second)

    def attributes(self, one: Any, other: Any) -> None:
        where = one.name
        tracked = not isinstance(one, h5py.Datatype) and bool(
            one.id.get_create_plist().get_attr_creation_order() & h5p.CRT_ORDER_TRACKED
        )
        names = [
            [name for name in one.attrs if f"{where}: attribute {name!r}" not in self.missing],
            list(other.attrs),
        ]
        if not self.same(f"{where}: attributes", *(names if tracked else map(sorted, names))):
            return
        for name in names[0]:
            first, second = one.attrs.get_id(name), other.attrs.get_id(name)
            label = f"{where}: attribute {name!r}"
            self.same(f"{label}: type", *map(_described_type, (first, second)))
            self.same(f"{label}: shape", first.shape, second.shape)
            space = [item.get_space().get_simple_extent_type() for item in (first, second)]
            self.same(f"{label}: space", *space)
            values = [_attribute(owner, name) for owner in (one, other)]
            self.same(label, *values)

    def datasets(self, path: str, one: Any, other: Any) -> None:
        self.same(f"{path}: type", _described_type(one.id), _described_type(other.id))
        spaces = [item.id.get_space().get_simple_extent_type() for item in (one, other)]
        if not self.same(f"{path}: space", *spaces):
            return
        if spaces[0] != h5s.NULL:
            if not self.same(f"{path}: shape", one.shape, other.shape):
                return
            values = [_elements(item) for item in (one, other)]
            self.same(f"{path}: values", *values)
        virtual = one.is_virtual or one.external
        if self.storage and not virtual and spaces[0] != h5s.NULL:
            self.same(f"{path}: maxshape", one.maxshape, other.maxshape)
            self.stored(path, one, other)
        self.attributes(one, other)

    def filter(self, plist: Any, number: int) -> tuple[Any, ...]:
        code, flags, values, name = plist.get_filter(number)
        return code, flags, () if code in self.own_values else values, name

    def stored(self, path: str, one: Any, other: Any) -> None:
        first, second = one.id.get_create_plist(), other.id.get_create_plist()
        self.same(f"{path}: chunks", one.chunks, other.chunks)
        pipelines = [
            [self.filter(plist, n) for n in range(plist.get_nfilters())]
            for plist in (first, second)
        ]
        self.same(f"{path}: filters", *pipelines)
        self.same(f"{path}: fill time", first.get_fill_time(), second.get_fill_time())
        defined = first.fill_value_defined(), second.fill_value_defined()
        if self.same(f"{path}: fill value defined", *defined) and defined[0] == 2:
            self.same(f"{path}: fill value", one.fillvalue, other.fillvalue)


def _described_link(link: Any) -> tuple[Any, ...]:
    return (type(link).__name__, getattr(link, "filename", None), getattr(link, "path", None))


def _described_type(item: Any) -> Any:
    """An HDF5 type as its encoding, committed or not."""
    type_id = item.get_type()
    committed = None
    if type_id.committed():
        committed = "committed"
        type_id = type_id.copy()
    return (committed, _Type(type_id))


class _Type:
    def __init__(self, type_id: Any) -> None:
        self.type_id = type_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Type) and bool(self.type_id == other.type_id)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"<{type(self.type_id).__name__} {self.type_id.get_size()} {self.type_id.dtype!r}>"


def _elements(dataset: Any) -> Any:
    try:
        return _value(dataset, dataset[()])
    except OSError as error:
        if "no appropriate function for conversion path" not in str(error):
            raise
        return _raw(dataset.id.get_type(), dataset.shape, dataset.id.read, h5s.ALL, h5s.ALL)


def _attribute(owner: Any, name: str) -> Any:
    try:
        return _value(owner, owner.attrs[name])
    except OSError as error:
        if "no appropriate function for conversion path" not in str(error):
            raise
        attribute = owner.attrs.get_id(name)
        return _raw(attribute.get_type(), attribute.shape, attribute.read)


def _raw(type_id: Any, shape: Any, read: Any, *spaces: Any) -> Any:
    """What h5py's high-level interface does not read: opaque bytes with a mark."""
    array = np.empty((*shape, *type_id.dtype.shape), type_id.dtype.base)
    read(*spaces, array, type_id)
    return array


def _value(owner: Any, value: Any) -> Any:
    """A value whose references are the paths that they lead to."""
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        if value.dtype.names is not None:
            return [[_value(owner, row[name]) for name in value.dtype.names] for row in value.flat]
        return [value.shape, [_value(owner, item) for item in value.flat]]
    if isinstance(value, np.void) and value.dtype.hasobject:
        return [_value(owner, value[name]) for name in value.dtype.names]
    if isinstance(value, h5py.RegionReference):
        if not value:
            return ("region", None)
        target = owner.file[value]
        return (target.name, target[value].tolist())
    if isinstance(value, h5py.Reference):
        return ("reference", owner.file[value].name if value else None)
    return value


def _equal(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, np.ndarray | np.generic):
        one, other = np.asarray(one), np.asarray(other)
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        if one.dtype.hasobject:
            return _equal(one.tolist(), other.tolist())
        # The bytes, without those between fields.
        return _bits(one) == _bits(other)
    if isinstance(one, float) and one != one:
        return other != other
    return bool(one == other)


def _bits(array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.names is not None:
        return [_bits(array[name]) for name in array.dtype.names]
    if array.dtype == np.longdouble or array.dtype == np.clongdouble:
        return [repr(item) for item in array.flat]  # six bytes of each say nothing
    return array.tobytes()


def same_bits(one: Any, other: Any) -> bool:
    """Whether two arrays have the same type, shape and bits; objects are compared by value."""
    return _equal(one, other)
