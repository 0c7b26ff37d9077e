"""What h5py's groups can do, for all groups: those in memory, and containers of files."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import numpy as np

from memdata import _cmemdata, links
from memdata.h5api import creation
from memdata.h5api.errors import NoSourceError

__all__ = ["GroupWords", "copy_into", "identity"]


class GroupWords:
    """h5py's methods of groups that need nothing but look-ups and making things."""

    __slots__ = ()

    # what the class that this is mixed into has
    name: str
    file: Any
    create_dataset: Callable[..., Any]
    create_group: Callable[..., Any]
    require_group: Callable[..., Any]
    get: Callable[..., Any]
    _absolute: Callable[[str], str]
    _storage_root: Any
    _get_storage: Callable[[], Any]

    # -- seeing what is there ----------------------------------------------------------------------

    def tree(self, *, depth: int | None = None, max_children: int | None = None) -> Any:
        """A picture of all that is below: ``print(group.tree())``; see `memdata.show.tree`."""
        from memdata import show

        return show.tree(self, depth=depth, max_children=max_children)

    def describe(self) -> Any:
        """What one wants to know first of a group; see `memdata.show.describe`."""
        from memdata import show

        return show.describe(self)

    def _repr_html_(self) -> str:
        from memdata import show

        return show.html(self)

    # -- a mapping that can be changed -------------------------------------------------------------

    def pop(self, name: str, *default: Any) -> Any:
        """Take a name away; what it led to, or `default` where there is nothing."""
        group: Any = self
        try:
            found = group[name]
        except KeyError:
            if not default:
                raise
            return default[0]
        del group[name]
        return found

    def popitem(self) -> tuple[str, Any]:
        """Take a name away, the last; the name and what it led to."""
        group: Any = self
        for name in reversed(list(group)):
            return name, self.pop(name)
        raise KeyError(f"the group {self.name} is empty")

    def clear(self) -> None:
        """Take all names away."""
        group: Any = self
        for name in list(group):
            del group[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Put in the items of a mapping, or of pairs, each as ``group[name] = value`` does."""
        group: Any = self
        MutableMapping.update(group, *args, **kwargs)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """What a name leads to; where there is nothing, `default` is put there first."""
        group: Any = self
        return MutableMapping.setdefault(group, name, default)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self))  # type: ignore[call-overload]

    def _ipython_key_completions_(self) -> list[str]:
        """What IPython offers after ``group["``."""
        return sorted(self)  # type: ignore[call-overload, no-any-return]

    # -- references --------------------------------------------------------------------------------

    @property
    def ref(self) -> Any:
        """A reference to the group: ``group[reference]`` gives what it is to."""
        from memdata.formats.references import ObjectReference

        return ObjectReference(self.name)

    @property
    def id(self) -> Any:
        """What h5py's identifier of the group tells, as far as memory knows it."""
        storage = None if self._storage_root is None else self._get_storage()
        if isinstance(storage, _cmemdata._Storage) or storage is None:
            from memdata.h5api.lowlevel import GroupID

            return GroupID(self)
        return getattr(storage, "id", None)

    def _dereference(self, key: Any) -> str:
        """The path that a look-up by something else than a path means."""
        from memdata.formats.references import ObjectReference

        if isinstance(key, ObjectReference):
            if key.path is None:
                raise ValueError("a null reference leads nowhere")
            return key.path
        if links.is_h5py(key, "Reference"):
            return str(self._get_storage()[key].name)
        raise TypeError(f"a path must be str or bytes, not {type(key).__name__}: {key!r:.80}")

    # -- making things -----------------------------------------------------------------------------

    def create_dataset_like(self, name: str, other: Any, **kw: Any) -> Any:
        """Make a dataset with the shape, type, chunks, filters ... of another, without its data.

        Parameters
        ----------
        name : str
            Relative or absolute path.
        other : MemDataset, h5py.Dataset
            The model.
        **kw
            As for `create_dataset`; they go before what `other` has.
        """
        for key in (
            "shape",
            "dtype",
            "chunks",
            "compression",
            "compression_opts",
            "scaleoffset",
            "shuffle",
            "fletcher32",
        ):
            kw.setdefault(key, getattr(other, key, None))
        kept = getattr(other, "_creation", None)
        if kept is None:
            kept = {"fillvalue": getattr(other, "fillvalue", None)}
            if getattr(other, "maxshape", other.shape) != other.shape:
                kept["maxshape"] = other.maxshape
        for key in creation.KEPT:
            if key in kept:
                kw.setdefault(key, kept[key])
        return self.create_dataset(name, **kw)

    def create_virtual_dataset(self, name: str, layout: Any, fillvalue: Any = None) -> Any:
        """Make a dataset of what an `h5py.VirtualLayout` puts together, read from its files now.

        Parameters
        ----------
        name : str
            Relative or absolute path.
        layout : h5py.VirtualLayout
            Which parts come from which files.
        fillvalue : scalar, optional
            What is where there is no source.
        """
        storage = self._get_storage()
        if not isinstance(storage, _cmemdata._Storage) and hasattr(
            storage, "create_virtual_dataset"
        ):
            return storage.create_virtual_dataset(name, layout, fillvalue)
        import h5py

        with h5py.File("virtual", "w", driver="core", backing_store=False) as file:
            data = file.create_virtual_dataset("data", layout, fillvalue)[()]
        return self.create_dataset(name, data=data)

    @contextmanager
    def build_virtual_dataset(
        self, name: str, shape: Any, dtype: Any, maxshape: Any = None, fillvalue: Any = None
    ) -> Iterator[Any]:
        """As `create_virtual_dataset`, of a layout that is filled in a ``with`` block."""
        import h5py

        layout = h5py.VirtualLayout(shape, dtype, maxshape)
        yield layout
        self.create_virtual_dataset(name, layout, fillvalue)

    # -- moving and copying ------------------------------------------------------------------------

    def move(self, source: str, dest: str) -> None:
        """Give what is at one path another one; links are moved, not followed.

        Raises
        ------
        KeyError
            There is nothing at `source`; as for h5py a ValueError too.
        ValueError
            There is something at `dest`, or it is below `source`.
        """
        group: Any = self
        storage = self._get_storage()
        if not isinstance(storage, _cmemdata._Storage):
            storage.move(source, dest)
            return
        try:
            stored = group._get_stored(source)
        except KeyError as error:
            raise NoSourceError(error.args[0]) from None
        old, new = self._absolute(source), self._absolute(dest)
        if old == new:
            return
        if new.startswith(old.rstrip("/") + "/"):
            raise ValueError(f"{old} cannot be moved into itself, to {new}")
        if dest in group:
            raise ValueError(f"{old} cannot be moved to {new}: that is already there")
        if isinstance(stored, _cmemdata.MemDataset):
            group._insert_dataset(new, stored)
        else:
            group._insert_node(new, stored)
        del group[old]

    # -- walking -----------------------------------------------------------------------------------

    def visit(self, func: Callable[[str], Any]) -> Any:
        """Call ``func(name)`` for everything below, once for each object; links are not followed.

        In the order of names, as h5py does.

        Returns
        -------
        object
            The first value that is not None, which ends the walk; else None.
        """
        return self._walk(lambda path, _link, _child: func(path), links_too=False)

    def visititems(self, func: Callable[[str, Any], Any]) -> Any:
        """Call ``func(name, object)``; else as `visit`.

        Examples
        --------
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> g["a/x"] = [1, 2]
        >>> g.visititems(lambda name, child: print(name, child))
        a <MemGroup '/a': 1 child>
        a/x <memh5 common dataset '/a/x': shape (2,), type "dtype('int64')">
        """
        return self._walk(lambda path, _link, child: func(path, child), links_too=False)

    def visit_links(self, func: Callable[[str], Any]) -> Any:
        """Call ``func(name)`` for every name below, also of links and of what has several."""
        return self._walk(lambda path, _link, _child: func(path), links_too=True)

    def visititems_links(self, func: Callable[[str, Any], Any]) -> Any:
        """Call ``func(name, link)``, with an h5py link object; else as `visit_links`."""
        return self._walk(lambda path, link, _child: func(path, link), links_too=True)

    def _walk(self, call: Callable[[str, Any, Any], Any], links_too: bool) -> Any:
        seen = {identity(self)}
        stack: list[tuple[str, Iterator[Any]]] = [("", _children(self, links_too))]
        while stack:
            prefix, children = stack[-1]
            for name, link, child in children:
                path = prefix + name
                known = child is not None and identity(child) in seen
                if child is not None:
                    seen.add(identity(child))
                if links_too or (child is not None and not known):
                    answer = call(path, link, child)
                    if answer is not None:
                        return answer
                if isinstance(child, GroupWords) and not known:
                    stack.append((path + "/", _children(child, links_too)))
                    break
            else:
                stack.pop()
        return None


def _children(group: Any, links_too: bool) -> Iterator[tuple[str, Any, Any]]:
    """Name, link and child (None of what is only a link) of each child."""
    storage = group._get_storage()
    in_memory = isinstance(storage, _cmemdata._Storage)
    for name in sorted(group, key=lambda name: name.encode("utf-8", "surrogateescape")):
        link = None
        if links_too or not in_memory:
            link = group.get(name, getlink=True) if hasattr(storage, "copy") else None
        kept = storage.get(name) if in_memory else link
        yield name, link, None if links.is_link(kept) else group.get(name)


def identity(item: Any) -> Any:
    """The same for all handles on one object."""
    if isinstance(item, _cmemdata._BaseGroup):
        storage = item._get_storage()
        return id(storage) if isinstance(storage, _cmemdata._Storage) else identity(storage)
    if isinstance(item, _cmemdata.MemDataset | links.NamedType):
        return id(item.attrs)
    return item.id if hasattr(item, "id") else item.name


# ---- copying -------------------------------------------------------------------------------------


def copy_into(
    group: Any,
    source: Any,
    dest: Any,
    name: str | None = None,
    shallow: bool = False,
    expand_soft: bool = False,
    expand_external: bool = False,
    expand_refs: bool = False,
    without_attrs: bool = False,
) -> None:
    """What ``group.copy(source, dest, name)`` does, as h5py's `copy`."""
    own = group._get_storage()
    files = [_in_file(item) for item in (own, source, dest)]
    if all(item is not None for item in files) and hasattr(own, "copy"):
        own.copy(
            *files[1:],
            name,
            shallow=shallow,
            expand_soft=expand_soft,
            expand_external=expand_external,
            expand_refs=expand_refs,
            without_attrs=without_attrs,
        )
        return
    if isinstance(source, str | bytes):
        source = group[source]
    if hasattr(dest, "create_group"):
        path = name if name is not None else posixpath.basename(source.name)
    elif isinstance(dest, str | bytes):
        dest, path = group, dest if isinstance(dest, str) else dest.decode()
    else:
        raise TypeError(f"the destination must be a path or a group, not {type(dest).__name__}")
    if not path or path in dest:
        raise ValueError(f"cannot copy to {path!r}: that is already there, or no name")
    if not isinstance(dest, _cmemdata._BaseGroup) or not isinstance(
        dest._get_storage(), _cmemdata._Storage
    ):
        _copy_to_file(source, dest, path, without_attrs)
        return
    if hasattr(source, "create_group"):
        dest._insert_node(path, _copied_group(source, shallow, expand_soft, without_attrs))
        return
    links.assign_copy(dest, path, source)
    if without_attrs:
        dest[path].attrs.clear()


def _copied_group(source: Any, shallow: bool, expand_soft: bool, without_attrs: bool) -> Any:
    from memdata.copying import deep_group_copy

    new = _cmemdata._Storage()
    if shallow:
        for name in source:
            kept = source.get(name, getlink=True)
            child = None if links.is_link(kept) else source[name]
            new[name] = kept if child is None else _copied_member(child)
        new.attrs.update(deepcopy(dict(source.attrs)))
    elif isinstance(source, _cmemdata._BaseGroup):
        node = source._get_storage()
        if isinstance(node, _cmemdata._Storage):
            _cmemdata.copy_tree(node, new)
        else:
            deep_group_copy(node, new, convert_attribute_strings=False)
    else:
        deep_group_copy(source, new, convert_attribute_strings=False)
    if expand_soft:
        _expand(new, source, set())
    if without_attrs:
        _drop_attrs(new, set())
    return new


def _copied_member(child: Any) -> Any:
    """An object without what is below it."""
    if not hasattr(child, "create_group"):
        copy = deepcopy(child)
        copy._storage_root = None
        return copy
    new = _cmemdata._Storage()
    new.attrs.update(deepcopy(dict(child.attrs)))
    return new


def _expand(new: Any, source: Any, seen: set[int]) -> None:
    """Put copies of what soft links lead to in their place."""
    seen.add(id(new))
    for name, child in list(new.items()):
        if links.is_soft(child):
            found = source.get(name)
            if isinstance(found, _cmemdata._BaseGroup):
                new[name] = _copied_group(found, False, False, False)
            elif found is not None:
                copy = deepcopy(found)
                copy._storage_root = None
                new[name] = copy
        elif isinstance(child, _cmemdata._Storage) and id(child) not in seen:
            _expand(child, source[name], seen)


def _drop_attrs(node: Any, seen: set[int]) -> None:
    if id(node) in seen or links.is_link(node):
        return
    seen.add(id(node))
    node.attrs.clear()
    if isinstance(node, _cmemdata._Storage):
        for child in node.values():
            _drop_attrs(child, seen)


def _in_file(item: Any) -> Any:
    """What h5py's own `copy` takes: a path, or an object of a file; None for what is in memory."""
    if isinstance(item, _cmemdata._BaseGroup):
        item = item._get_storage()
    return item if isinstance(item, str | bytes) or links.is_h5py(item, "HLObject") else None


def _copy_to_file(source: Any, dest: Any, path: str, without_attrs: bool) -> None:
    from memdata.copying import copyattrs, deep_group_copy

    if hasattr(source, "create_group"):
        made = dest.create_group(path)
        deep_group_copy(source, made, postprocess=_without_attrs if without_attrs else None)
        return
    made = dest.create_dataset(path, data=np.asarray(source[()]))
    if not without_attrs:
        copyattrs(source.attrs, made.attrs)


def _without_attrs(_source: Any, target: Any) -> None:
    for name in list(target.attrs):
        del target.attrs[name]
