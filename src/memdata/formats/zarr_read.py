"""Reading trees from zarr stores."""

from __future__ import annotations

import contextlib
import errno
import heapq
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from memdata import checksums
from memdata.atomic_folder import standing
from memdata.formats import strings, zarr_library, zarr_types
from memdata.formats.dimension_names import ATTRIBUTE, KEPT, KEY, MADE
from memdata.formats.names import check_name
from memdata.formats.selections import (
    Selection,
    check_used,
    chunks_of_result,
    index_of_box,
    resolve,
)
from memdata.formats.tagged import TAG, TagError
from memdata.formats.tree import (
    MOST_DEEP,
    NOTHING,
    SMALL,
    DatasetNode,
    GroupNode,
    LinkNode,
    Options,
    Plan,
    PointerNode,
    TypeNode,
    rows_together,
    too_deep,
)
from memdata.formats.zarr_attributes import (
    CHUNKED,
    CREATION,
    LINKS,
    NAMES,
    ORDER,
    decoded,
    decoded_creation,
    in_order,
    read_missing_value,
)
from memdata.formats.zarr_careful import careful
from memdata.formats.zarr_codecs import check_codecs
from memdata.formats.zarr_layout import NULL_FILL, creation_of, words_of
from memdata.formats.zarr_links import escaping_links
from memdata.formats.zarr_types import BYTES, TEXT
from memdata.suggesting import no_such_file

__all__ = ["ReplacedError", "ZarrSource", "opened_source"]

Array = np.ndarray[Any, Any]


@contextlib.contextmanager
def opened_source(filename: str, **kwargs: Any) -> Iterator[ZarrSource]:
    """A zarr store, open for reading inside the block.

    Raises
    ------
    OSError
        Missing (`FileNotFoundError`), not a zarr group, or a folder that was replaced inside the
        block (`ReplacedError`).
    """
    mode = kwargs.pop("mode", "r")
    filename = standing(filename)
    if not os.path.exists(filename):
        raise no_such_file(filename)
    with _held(filename) as replaced:
        try:
            group = zarr_library.open_group(filename, mode, **kwargs)
        except ImportError:
            raise
        except Exception as error:
            if replaced():
                raise ReplacedError(filename) from error
            raise OSError(f"{filename}: cannot be opened as a zarr group: {error}") from error
        try:
            yield ZarrSource(group)
        except Exception as error:
            if replaced():
                raise ReplacedError(filename) from error
            raise
        else:
            if replaced():
                raise ReplacedError(filename)
        finally:
            zarr_library.close(group)


class ReplacedError(OSError):
    """A folder was replaced by another while it was read: what was read may be of both."""

    def __init__(self, filename: str) -> None:
        super().__init__(errno.ESTALE, "another program replaced it while it was read", filename)


@contextlib.contextmanager
def _held(path: str) -> Iterator[Callable[[], bool]]:
    """Tells whether another folder has got this name inside the block; files are held open anyway.

    The folder is held open, so that its number is not given to another.
    """
    if not os.path.isdir(path):
        yield lambda: False
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)

        def replaced() -> bool:
            try:
                return not os.path.samestat(before, os.stat(path))
            except OSError:
                return True

        yield replaced
    finally:
        os.close(descriptor)


class ZarrSource:
    """An open zarr group with all below it."""

    def __init__(self, group: Any) -> None:
        self.group = group

    def close(self) -> None:
        """The group belongs to the caller."""

    def plan(self, options: Options) -> Plan:
        """Walk the group; see `memdata.formats.tree.Source`."""
        walk = _Walk(self.group, options)
        walk.run()
        check_used(options.selections, walk.datasets)
        if options.strict and walk.plan.skipped:
            missing = walk.plan.what_is_missing()
            raise OSError(f"{self.group.store}: not everything can be loaded:{missing}")
        return walk.plan

    def plan_dataset(self, path: str, options: Options) -> Plan:
        """A plan of the one array at `path`, an absolute path from the group."""
        member = self._member(path)
        if member is None or zarr_library.is_group(member):
            raise KeyError(f"{self.group.store}: there is no dataset {path}")
        root = GroupNode("/", "", None, {})
        plan = Plan("loading", [root])
        name, budget = path.rpartition("/")[2], _Budget(options.max_bytes)
        plan.nodes.append(_array_node(member, path, name, root, options, plan, budget))
        return plan

    def _member(self, path: str) -> Any:
        try:
            for name in path.strip("/").split("/"):
                check_name(name, path)
            return self.group[path.strip("/")]
        except (KeyError, ValueError):
            return None

    def stored(self, node: DatasetNode, index: Any, options: Options) -> StoredZarr:
        """The elements that an index selects; see `memdata.formats.tree.Source`."""
        member = self._member(node.path)
        if member is None:
            raise KeyError(f"{self.group.store}: there is no dataset {node.path}")
        how = _Kind(member)
        selection = None
        if index is not None:
            gap = node.filters.chunks or (1,) * len(member.shape)
            selection = resolve(index, member.shape, how.dtype.itemsize, node.path, gap)
        return StoredZarr(member, how, selection, node.path, options.convert_dataset_strings)


class _Budget:
    """Counts what is going to be allocated; see `memdata.formats.tree.Options`."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._taken = 0

    def take(self, what: str, size: int, chunk: int) -> None:
        """Count the elements of an array, and look at the size of a chunk.

        Raises
        ------
        MemoryError
            They are too many.
        """
        if self._limit is None:
            return
        before, self._taken = self._taken, self._taken + size
        more = f" beside {before} bytes of what comes before" if before else ""
        if self._taken > self._limit:
            raise MemoryError(f"{what} takes {size} bytes{more}, more than max_bytes={self._limit}")
        if chunk > self._limit:
            raise MemoryError(
                f"{what}: one chunk takes {chunk} bytes, more than max_bytes={self._limit}"
            )


class _Walk:
    """One walk through a group."""

    def __init__(self, group: Any, options: Options) -> None:
        self.options = options
        self.datasets: set[str] = set()
        self._budget = _Budget(options.max_bytes)
        root = GroupNode("/", "", None, {})
        self._read_group(root, group)
        self.plan = Plan("loading", [root])
        self._known = {"/": root}
        self._ahead: list[tuple[str, str, GroupNode, Any]] = []  # hard links, met before the target
        folder = zarr_library.store_folder(group)
        self._outside: dict[str, tuple[str, str]] = {}
        if folder is not None:
            self._outside = escaping_links(folder, os.path.join(folder, group.path))
        if "" in self._outside:
            raise OSError(f"{folder}: its metadata are a symbolic link to {self._outside[''][1]}")

    def run(self) -> None:
        """Fill the plan."""
        root = self.plan.nodes[0]
        stack = [(root, self._members(root))]
        while stack:
            parent, members = stack[-1]
            for name, member in members:
                path = "/" + name if parent.parent is None else f"{parent.path}/{name}"
                try:
                    node = self._node(name, member, path, parent)
                except (TypeError, ValueError) as error:
                    self.plan.skipped.append((path, str(error)))
                    continue
                if node is None:
                    continue
                self._add(node)
                if type(node) is not GroupNode:
                    continue
                if len(stack) > MOST_DEEP:
                    raise OSError(f"{self.plan.nodes[0].source.store}: {too_deep(path)}")
                stack.append((node, self._members(node)))
                break
            else:
                stack.pop()
        for path, name, parent, link in self._ahead:
            self._add_link(path, name, parent, link)

    def _members(self, node: GroupNode) -> Iterator[tuple[str, Any]]:
        """The members of a group, in the order of a file that kept one, or by name."""
        links, node.recipe = node.recipe or {}, None
        described = sorted((name, _Link(link)) for name, link in links.items())
        members = heapq.merge(zarr_library.members(node.source), described, key=_name)
        order = node.creation.get(ORDER)
        if not order:
            return members
        node.creation = {key: value for key, value in node.creation.items() if key != ORDER}
        if not isinstance(order, tuple):
            return members  # another program has changed it
        place = {name: number for number, name in enumerate(map(str, order))}
        return iter(sorted(members, key=lambda item: place.get(item[0], len(place))))

    def _add(self, node: GroupNode) -> None:
        self.plan.nodes.append(node)
        self._known[node.path] = node
        if isinstance(node, DatasetNode):
            self.datasets.add(node.path)

    def _node(self, name: str, member: Any, path: str, parent: GroupNode) -> GroupNode | None:
        """The node of a member; None where there is nothing to add, or not yet."""
        check_name(name, path)
        if isinstance(member, _Link):
            if not isinstance(member.described, dict):
                raise ValueError(f"no description of a link: {member.described!r:.80}")
            if member.described.get("hard", "/") in self._known:
                self._add_link(path, name, parent, member.described)
            else:
                self._ahead.append((path, name, parent, member.described))
            return None
        link = self._outside.get(path)
        if link is not None and not (zarr_library.is_group(member) and link[0] != path):
            raise ValueError(f"the symbolic link {link[0]} leads out of the store, to {link[1]}")
        if isinstance(member, Exception):
            raise ValueError(f"cannot be opened: {member}")
        if not zarr_library.is_group(member):
            return _array_node(member, path, name, parent, self.options, self.plan, self._budget)
        node = GroupNode(path, name, parent, {})
        self._read_group(node, member)
        return node

    def _read_group(self, node: GroupNode, group: Any) -> None:
        node.source = group
        stored = dict(group.attrs)
        node.attrs = decoded(stored, convert_strings=self.options.convert_attribute_strings)
        links = stored.get(LINKS)
        if isinstance(links, dict):
            node.recipe = links  # for `_members`
        creation = decoded_creation(stored.get(CREATION))
        node.attrs = in_order(node.attrs, creation)
        node.creation = creation or NOTHING

    def _add_link(self, path: str, name: str, parent: GroupNode, link: Any) -> None:
        """Add a second name of what the plan has, or a name that leads somewhere else."""
        if path in self._known:
            return
        try:
            self._add(self._linked(path, name, parent, link))
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            self.plan.skipped.append((path, f"a link that cannot be followed: {error}"))

    def _linked(self, path: str, name: str, parent: GroupNode, link: Any) -> GroupNode:
        """What a group says of a member that zarr has no kind of."""
        if "hard" in link:
            target = self._known.get(link["hard"])
            if target is None:
                raise ValueError(f"there is no {link['hard']}")
            if not self.options.keep_links and _is_below(parent, target):
                raise ValueError(f"the group {target.path} is around it")
            return LinkNode(path, name, parent, target)
        if "type" in link:
            attrs = decoded(link["attributes"])
            named = TypeNode(path, name, parent, attrs, zarr_types.from_description(link["type"]))
            creation = decoded_creation(link.get("creation"))
            named.attrs = in_order(attrs, creation)
            named.creation = creation or NOTHING
            return named
        import h5py

        if "soft" in link:
            return PointerNode(path, name, parent, h5py.SoftLink(str(link["soft"])))
        filename, inside = link["external"]
        return PointerNode(path, name, parent, h5py.ExternalLink(str(filename), str(inside)))


class _Link(NamedTuple):
    """What a group says of a member that zarr has no kind of."""

    described: Any


def _name(item: tuple[str, Any]) -> str:
    return item[0]


def _is_below(node: GroupNode, other: GroupNode) -> bool:
    above: GroupNode | None = node
    while above is not None:
        if above is other:
            return True
        above = above.parent
    return False


class _Kind:
    """What an array of a store is in memory.

    Attributes
    ----------
    dtype : numpy.dtype
        Type in memory.
    storage : numpy.dtype
        Type that is read; `TEXT` or `BYTES` for objects.
    tag : str or None
        What turns one into the other.
    layout : Layout
        Chunks and codecs.
    null : bool
        It stands for a null dataspace.
    """

    def __init__(self, member: Any) -> None:
        self.layout = zarr_library.describe(member)
        self.storage = _storage_of(member.dtype, self.layout)
        tag = member.attrs.get(TAG)
        self.tag: str | None = tag if isinstance(tag, str) else None
        self.null = False
        self.dtype = self.storage
        if self.tag is not None:
            self.null, self.dtype = zarr_types.restored(self.tag, self.storage)

    def unpacked(self, part: Array) -> Array:
        """Elements as memory has them."""
        if part.dtype.kind == "T":
            part = part.astype(object)
        return part if self.tag is None else zarr_types.unpacked(part, self.dtype, self.tag)


def _storage_of(dtype: np.dtype[Any], layout: zarr_library.Layout) -> np.dtype[Any]:
    if dtype.kind == "T":
        return TEXT
    if dtype.kind != "O":
        return dtype
    names = {str(config.get("id") or config.get("name")) for config in layout.codecs}
    if "vlen-utf8" in names:
        return TEXT
    return BYTES if "vlen-bytes" in names else dtype


def _array_node(
    member: Any,
    path: str,
    name: str,
    parent: GroupNode,
    options: Options,
    plan: Plan,
    budget: _Budget,
) -> DatasetNode:
    how = _Kind(member)
    check_codecs(how.layout.codecs, path)
    attrs = decoded(dict(member.attrs), convert_strings=options.convert_attribute_strings)
    if not options.keep_checksums:
        attrs = {name: value for name, value in attrs.items() if name not in checksums.NAMES}
    shape = None if how.null else tuple(member.shape)
    filters, replaced = words_of(how.layout, member.shape, bool(member.attrs.get(CHUNKED)))
    plan.replaced.extend((path, text) for text in replaced)
    node = DatasetNode(path, name, parent, attrs, shape, how.dtype, filters)
    node.source = member
    creation = decoded_creation(member.attrs.get(CREATION))
    node.attrs = in_order(attrs, creation)
    made = creation_of(how.layout, filters, member.shape, how.storage)
    if how.layout.zarr_format == 2 and NAMES in creation:
        for key in (NULL_FILL, "fillvalue"):  # what is missing, to xarray
            made.pop(key, None)
    node.creation = {**made, **creation}
    _take_names(node, how.layout)
    if strings.has_unicode(how.dtype):
        node.creation["unicode"] = True  # zarr has such arrays, HDF5 does not
    if shape is None:
        import h5py

        node.array = h5py.Empty(how.dtype)
        return node
    selection = None
    if path in options.selections:
        gap = filters.chunks or (1,) * len(shape)
        selection = resolve(options.selections[path], shape, how.dtype.itemsize, path, gap)
        node.shape = selection.shape
        node.selected = (options.selections[path], shape)
    stored = StoredZarr(member, how, selection, path, options.convert_dataset_strings)
    node.dtype = stored.dtype
    chunk = how.storage.itemsize * math.prod(how.layout.chunks)
    budget.take(f"{stored.file_name}: {path}", node.nbytes, chunk)
    if node.nbytes <= SMALL and not options.tolerant:
        node.array = np.zeros(node.shape or (), node.dtype)
        stored.read_rows(0, node.shape[0] if node.shape else 1, node.array)
    else:
        node.stored = stored
    return node


def _take_names(node: DatasetNode, layout: zarr_library.Layout) -> None:
    """Take the names of the axes from what makes them for xarray; see `dimension_names`."""
    creation = dict(node.creation)
    origin = creation.pop(NAMES, None)
    names = layout.extra.get(KEY)
    if layout.zarr_format == 2 and origin in {MADE, KEPT}:
        names = node.attrs.pop(ATTRIBUTE, None)
    if names is not None and origin != MADE:
        creation[KEY] = tuple(names)
    if layout.zarr_format == 3 and names is not None and "_FillValue" in node.attrs:
        missing = node.attrs["_FillValue"]
        node.attrs["_FillValue"] = read_missing_value(missing, node.dtype)
    node.creation = creation


class StoredZarr:
    """The elements of a zarr array; see `memdata.formats.tree.StoredData`."""

    def __init__(
        self, member: Any, how: _Kind, selection: Selection | None, path: str, convert: bool
    ) -> None:
        self._member = careful(member)
        self._how = how
        self._selection = selection
        self._path = path
        self._convert = convert and strings.has_bytes(how.dtype)
        self.file_name = str(member.store)
        self.shape: tuple[int, ...] = member.shape if selection is None else selection.shape
        self.dtype: np.dtype[Any] = strings.unicode_dtype(how.dtype) if self._convert else how.dtype

    def piece_rows(self) -> int:
        """Rows of some MiB, whole chunks, which zarr 3 unpacks in threads."""
        if not self.shape:
            return 1
        if self._selection is not None:
            return max(1, self.shape[0])
        row = max(1, self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=object)))
        return rows_together(self.shape, row, self._how.layout.grid)

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        """Read a part along the first axis, or all of a scalar."""
        if not out.size:
            return
        try:
            if self._selection is not None:
                self._give(self._selected(self._selection), out)
            else:
                index = (slice(start, stop),) if self.shape else ()
                self._read(index, out)
        except (MemoryError, TagError):
            raise
        except Exception as error:
            reason = f"cannot read {self._path}: {str(error) or type(error).__name__}"
            raise OSError(f"{self.file_name}: {reason}") from error

    def grid(self) -> tuple[int, ...]:
        """Lengths of a chunk or shard, as far as an index leaves them; see `StoredData`."""
        grid: tuple[int, ...] = self._how.layout.grid
        if self._selection is None:
            return grid
        return chunks_of_result(self._selection.index, self._member.shape, grid, self._path)

    def read_box(self, box: tuple[slice, ...], out: Array) -> None:
        """Read a part of all axes; see `StoredData`."""
        shape, how, path = self._member.shape, self._how, self._path
        index = None if self._selection is None else self._selection.index
        index = index_of_box(index, shape, box, path)
        selection = resolve(index, shape, how.dtype.itemsize, path, how.layout.grid)
        StoredZarr(self._member, how, selection, path, self._convert).read_rows(
            0, out.shape[0], out
        )

    def _read(self, index: tuple[slice, ...], out: Array) -> None:
        how = self._how
        if how.tag is None and not self._convert and not how.dtype.hasobject:
            zarr_library.read(self._member, index, out)
        else:
            self._give(np.asarray(self._member[index]), out)

    def _give(self, part: Array, out: Array) -> None:
        """Elements as they are stored, into `out`."""
        part = self._how.unpacked(np.asarray(part))
        out[...] = strings.to_unicode(part) if self._convert else part

    def _selected(self, selection: Selection) -> Array:
        """What the index selects, as it is stored."""
        split = next((axis for axis, runs in enumerate(selection.runs) if len(runs) > 1), 0)
        index = [_slice(runs[0]) for runs in selection.runs]
        parts = []
        for run in selection.runs[split] if selection.runs else ():
            index[split] = _slice(run)
            parts.append(np.asarray(self._member[tuple(index)]))
        if not selection.runs:
            parts.append(np.asarray(self._member[()]))
        cover = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=split)
        return cover if selection.rest is None else np.asarray(cover[selection.rest])

    def extent(self) -> tuple[int, int] | None:
        """Chunks are never in one piece."""
        return None

    def written(self) -> int:
        """How many bytes were written; see `memdata.formats.tree.StoredData`."""
        count = zarr_library.count_keys(self._member)
        return count * self._how.storage.itemsize * math.prod(self._how.layout.grid)


def _slice(run: Any) -> slice:
    if not run.length:
        return slice(0, 0)
    return slice(run.start, run.start + (run.length - 1) * run.step + 1, run.step)
