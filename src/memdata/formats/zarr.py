"""Zarr stores, through zarr-python 2 and 3.

The same steps as for HDF5 with fewer kinds of movers: zarr reads and writes whole chunks itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np

from memdata.fileformats import Zarr
from memdata.formats import strings
from memdata.formats.attributes import UnstorableAttribute, to_json_value, to_memory
from memdata.formats.names import check_name
from memdata.formats.selections import Selection, check_used, resolve
from memdata.formats.tree import (
    NO_FILTERS,
    SMALL,
    DatasetNode,
    Filters,
    GroupNode,
    LinkNode,
    Options,
    Plan,
)

__all__ = ["ZarrSource", "ZarrTarget", "create_array", "opened_source", "writing"]

Array = np.ndarray[Any, Any]


def _major() -> int:
    return int(Zarr.module.__version__.partition(".")[0])


@contextlib.contextmanager
def opened_source(filename: str, **kwargs: Any) -> Iterator[ZarrSource]:
    """A zarr store, open for reading inside the block.

    Raises
    ------
    OSError
        Missing (`FileNotFoundError`), or not a zarr group.
    """
    kwargs.setdefault("mode", "r")
    if not os.path.exists(filename):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), filename)
    try:
        group = Zarr.open(filename, **kwargs)
    except ImportError:
        raise
    except Exception as error:
        raise OSError(f"{filename}: cannot be opened as a zarr group: {error}") from error
    try:
        yield ZarrSource(group)
    finally:
        close(group)


def close(group: Any) -> None:
    """Close a store that wants closing (a zip file)."""
    finish = getattr(group.store, "close", None)
    if finish is not None:
        finish()


class ZarrSource:
    """An open zarr group with all below it."""

    def __init__(self, group: Any) -> None:
        self.group = group

    def close(self) -> None:
        """The group belongs to the caller."""

    def plan(self, options: Options) -> Plan:
        """Walk the group; see `memdata.formats.tree.Source`."""
        root = GroupNode("/", "", None, _attributes(self.group, options))
        root.source = self.group
        plan = Plan("loading", [root])
        paths: set[str] = set()
        stack: list[tuple[GroupNode, Iterator[Any]]] = [(root, _members(self.group))]
        while stack:
            parent, members = stack[-1]
            for name, member in members:
                path = "/" + name if parent.parent is None else f"{parent.path}/{name}"
                if hasattr(member, "create_group"):
                    node = GroupNode(path, name, parent, _attributes(member, options))
                    node.source = member
                    plan.nodes.append(node)
                    stack.append((node, _members(member)))
                    break
                paths.add(path)
                plan.nodes.append(_array_node(member, path, name, parent, options))
            else:
                stack.pop()
        check_used(options.selections, paths)
        return plan

    def plan_dataset(self, path: str, options: Options) -> Plan:
        """A plan of the one array at `path`, an absolute path from the group."""
        key = path.strip("/")
        if key not in self.group or hasattr(self.group[key], "create_group"):
            raise KeyError(f"{self.group.store}: there is no dataset {path}")
        root = GroupNode("/", "", None, {})
        node = _array_node(self.group[key], path, key.rpartition("/")[2], root, options)
        return Plan("loading", [root, node])

    def stored(self, node: DatasetNode, index: Any, options: Options) -> StoredZarr:
        """The elements that an index selects; see `memdata.formats.tree.Source`."""
        member = self.group[node.path.strip("/")]
        selection = None
        if index is not None:
            gap = node.filters.chunks or (1,) * len(member.shape)
            selection = resolve(index, member.shape, member.dtype.itemsize, node.path, gap)
        shape = member.shape if selection is None else selection.shape
        convert = options.convert_dataset_strings and strings.has_bytes(member.dtype)
        return StoredZarr(member, selection, shape, convert)


def _members(group: Any) -> Iterator[Any]:
    """Names and members, groups and arrays together, in sorted order."""
    return iter(sorted([*group.groups(), *group.arrays()], key=lambda item: item[0]))


def _attributes(member: Any, options: Options) -> dict[str, Any]:
    convert = options.convert_attribute_strings
    return {
        name: to_memory(value, convert_strings=convert)
        for name, value in dict(member.attrs).items()
    }


def _array_node(
    member: Any, path: str, name: str, parent: GroupNode, options: Options
) -> DatasetNode:
    filters = _filters_of(member)
    node = DatasetNode(
        path, name, parent, _attributes(member, options), member.shape, member.dtype, filters
    )
    node.source = member
    selection = None
    if path in options.selections:
        gap = filters.chunks or (1,) * len(member.shape)
        selection = resolve(
            options.selections[path], member.shape, member.dtype.itemsize, path, gap
        )
        node.shape = selection.shape
        node.selected = (options.selections[path], tuple(member.shape))
    convert = options.convert_dataset_strings and strings.has_bytes(member.dtype)
    stored = StoredZarr(member, selection, node.shape or (), convert)
    node.dtype = stored.dtype
    if node.nbytes <= SMALL:
        node.array = np.zeros(node.shape or (), node.dtype)
        stored.read_rows(0, node.shape[0] if node.shape else 1, node.array)
    else:
        node.stored = stored
    return node


class StoredZarr:
    """The elements of a zarr array; see `memdata.formats.tree.StoredData`."""

    def __init__(
        self, member: Any, selection: Selection | None, shape: tuple[int, ...], convert: bool
    ) -> None:
        self._member = member
        self.file_name = str(member.store)
        self._selection = selection
        self._convert = convert
        self.shape = shape
        self.dtype: np.dtype[Any] = strings.unicode_dtype(member.dtype) if convert else member.dtype

    def piece_rows(self) -> int:
        """Rows of about 16 MiB, whole chunks."""
        if not self.shape:
            return 1
        if self._selection is not None:
            return max(1, self.shape[0])
        row = max(1, self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=object)))
        chunk = int(self._member.chunks[0])
        return max((16 << 20) // row // chunk, 1) * chunk

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        """Read a part along the first axis, or all of a scalar."""
        if not out.size:
            return
        if self._selection is not None:
            part = _selected(self._member, self._selection)
        elif self.shape:
            part = np.asarray(self._member[start:stop])
        else:
            part = np.asarray(self._member[()])
        out[...] = strings.to_unicode(part) if self._convert else part

    def extent(self) -> tuple[int, int] | None:
        """Chunks are never in one piece."""
        return None


def _selected(member: Any, selection: Selection) -> Array:
    slices = []
    rest = selection.rest
    for runs in selection.runs:
        first, last = runs[0], runs[-1]
        if len(runs) > 1:  # several pieces: the whole range, and NumPy picks from it
            slices.append(slice(first.start, last.start + last.length))
        else:
            slices.append(
                slice(first.start, first.start + (first.length - 1) * first.step + 1, first.step)
                if first.length
                else slice(0, 0)
            )
    if any(len(runs) > 1 for runs in selection.runs):
        return np.asarray(np.asarray(member[...])[selection.index])
    part = np.asarray(member[tuple(slices)])
    return part if rest is None else np.asarray(part[rest])


def _filters_of(member: Any) -> Filters:
    """Chunks and compression of an array in h5py's words, where they have words for it."""
    chunks = tuple(member.chunks) if member.shape else None
    compressors = getattr(member, "compressors", None)
    if compressors is None:
        compressor = getattr(member, "compressor", None)
        compressors = () if compressor is None else (compressor,)
    for compressor in compressors:
        named = _named(_config(compressor))
        if named is not None:
            return Filters(chunks, *named)
    return Filters(chunks) if chunks else NO_FILTERS


def _config(compressor: Any) -> dict[str, Any]:
    if hasattr(compressor, "get_config"):
        return dict(compressor.get_config())
    described = compressor.to_dict()
    return {"id": described.get("name"), **described.get("configuration", {})}


def _named(config: dict[str, Any]) -> tuple[Any, Any] | None:
    kind = str(config.get("id")).rpartition(".")[2]
    if kind in {"gzip", "zlib"}:
        return "gzip", int(config.get("level", 4))
    if kind == "blosc":
        shuffle = config.get("shuffle")
        if shuffle in (2, "bitshuffle") and config.get("cname") in ("lz4", "zstd"):
            return "bitshuffle", (int(config.get("blocksize", 0)) or None, config["cname"])
    return None


class ZarrTarget:
    """An open zarr group that a plan is carried out in."""

    def __init__(self, group: Any = None, *, replace: bool = False) -> None:
        self.group = group
        self.replace = replace

    def prepare(self, plan: Plan, options: Options) -> None:
        """Find for each node how it will be stored; see `memdata.formats.tree.Target`."""
        for node in plan.nodes:
            attrs = node.attrs
            if node.parent is None:
                attrs = {**node.attrs, **options.extra_attrs}
            else:
                check_name(node.name, node.path)
            if isinstance(node, LinkNode):
                if isinstance(node.target, DatasetNode) and node.target.part is not None:
                    raise ValueError(
                        f"{node.path}: zarr has no second names, and copies of "
                        "distributed datasets are not made"
                    )
                continue
            node.recipe = _encoded(attrs, node.path, options.convert_attribute_strings)
            if isinstance(node, DatasetNode):
                _check_array(node, options)
        if self.group is not None:
            self.check_room(plan)

    def check_room(self, plan: Plan) -> None:
        """Refuse names that are taken by something else."""
        for node in plan.nodes[1:]:
            key = node.path.lstrip("/")
            if self.replace and isinstance(node, DatasetNode) and key in self.group:
                there = self.group[key]
                if getattr(there, "shape", None) == node.shape and there.dtype == node.dtype:
                    continue
                raise RuntimeError(
                    f"{node.path}: the target has {there!r}, expected {node.shape} of {node.dtype}"
                )
            if key in self.group and not (
                type(node) is GroupNode and hasattr(self.group[key], "create_group")
            ):
                raise ValueError(f"{node.path}: the target has this name already")

    def lay_out(self, plan: Plan) -> list[DatasetNode]:
        """Make groups, attributes and arrays; see `memdata.formats.tree.Target`."""
        remaining = []
        for node in plan.nodes:
            source = node
            if isinstance(node, LinkNode):  # zarr has no links: a second copy
                source = node.target
            if isinstance(source, DatasetNode):
                node.place = self._make_array(node, source)
                if source.nbytes:
                    remaining.append(node if node is source else _again(node, source))
            elif node.parent is None:
                node.place = self.group
            else:
                node.place = node.parent.place.require_group(node.name)
            if source.recipe:
                node.place.attrs.update(source.recipe)
        return remaining

    def _make_array(self, node: GroupNode, source: DatasetNode) -> Any:
        parent: Any = node.parent
        if self.replace and node.name in parent.place:
            return parent.place[node.name]
        filters = source.filters
        return create_array(
            parent.place,
            node.name,
            source.shape,
            source.dtype,
            None,
            filters.chunks,
            filters.compression,
            filters.compression_opts,
            None,
            {},
        )

    def write_rows(self, node: DatasetNode, start: int, stop: int, part: Array) -> None:
        """Write a part along the first axis, or all of a scalar."""
        node.place[slice(start, stop) if node.shape else ()] = part

    def finish(self, plan: Plan) -> None:
        """Nothing is left to do."""


def _again(node: GroupNode, source: DatasetNode) -> DatasetNode:
    """A node with the content of another."""
    copy = DatasetNode(
        node.path, node.name, node.parent, None, source.shape, source.dtype, source.filters
    )
    copy.array, copy.stored, copy.place = source.array, source.stored, node.place
    return copy


def _encoded(attrs: Any, path: str, convert: bool) -> dict[str, Any]:
    result = {}
    for name, value in attrs.items():
        try:
            result[name] = to_json_value(value, convert_strings=convert)
        except (TypeError, UnstorableAttribute) as error:
            raise TypeError(f"{path}: attribute {name!r}: {error}") from None
    return result


def _check_array(node: DatasetNode, options: Options) -> None:
    if node.shape is None:
        raise TypeError(f"{node.path}: zarr has no null dataspace")
    if isinstance(node.array, np.ma.MaskedArray):
        raise TypeError(f"{node.path}: a masked array would lose its mask")
    if strings.has_unicode(node.dtype):
        if not options.convert_dataset_strings:
            raise TypeError(
                f"{node.path}: {node.dtype} is not stored; convert_dataset_strings=True stores it "
                "as byte strings"
            )
        assert node.array is not None
        try:
            node.array = strings.to_bytes(node.array)
        except UnicodeEncodeError as error:
            raise ValueError(f"{node.path}: text that is not ASCII: {error}") from None
        node.dtype = node.array.dtype
    if node.dtype.hasobject:
        raise TypeError(f"{node.path}: zarr cannot hold Python objects ({node.dtype})")


def create_array(
    group: Any,
    name: str,
    shape: Any,
    dtype: Any,
    data: Any,
    chunks: Any,
    compression: Any,
    compression_opts: Any,
    compressor: Any,
    kwargs: dict[str, Any],
) -> Any:
    """Make an array in a group of zarr 2 or 3; see `memdata.formats.create_dataset_in`."""
    if data is not None:
        data = np.asarray(data, dtype=dtype)
        shape = data.shape if shape is None else shape
        dtype = data.dtype
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    dtype = np.dtype("f8" if dtype is None else dtype)
    settings: dict[str, Any] = {"shape": shape, "dtype": dtype, **kwargs}
    if chunks is not None and shape:
        settings["chunks"] = tuple(
            max(1, min(int(c), n)) for c, n in zip(chunks, shape, strict=True)
        )
    if _major() < 3:
        chosen = Zarr.compression_kwargs(compression, compression_opts, compressor)
        array = group.create_dataset(name, **settings, **chosen)
    else:
        settings["compressors"] = _codecs(group, compression, compression_opts, compressor)
        array = group.create_array(name, **settings)
    if data is not None and data.size:
        array[...] = data
    return array


def _codecs(group: Any, compression: Any, options: Any, compressor: Any) -> Any:
    """What zarr 3 calls the compressors of an array."""
    if compression is None and compressor is None:
        return None
    chosen = Zarr.compression_kwargs(compression, options, compressor)["compressor"]
    if group.metadata.zarr_format == 2:
        return [chosen]
    from zarr.codecs import BloscCodec, GzipCodec

    config = _config(chosen)
    if config["id"] == "gzip":
        return [GzipCodec(level=config["level"])]
    if config["id"] == "blosc":
        shuffles: dict[int, Any] = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
        return [
            BloscCodec(
                cname=config["cname"],
                clevel=config["clevel"],
                shuffle=shuffles[config["shuffle"]],
                blocksize=config["blocksize"],
            )
        ]
    return [compressor]


@contextlib.contextmanager
def writing(filename: str, mode: str, **kwargs: Any) -> Iterator[Any]:
    """A zarr group to be filled inside the block; it appears under its name when complete.

    A folder is made beside the target and renamed over it; of an existing one, a copy is
    extended.
    """
    target = os.path.realpath(filename)
    folder, base = os.path.split(target)
    there = os.path.lexists(target)
    if mode in {"w-", "x"} and there:
        raise FileExistsError(errno.EEXIST, "the file exists already", filename)
    if mode == "r+" and not there:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), filename)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "cannot save, there is no such folder", folder)
    suffix = ".zip" if base.endswith(".zip") else ""
    temporary = os.path.join(folder, f".{base}.memdata{suffix}")
    old = os.path.join(folder, f".{base}.memdata-old{suffix}")
    _remove(temporary)
    try:
        keep = there and mode in {"a", "r+"}
        if keep:
            copy = shutil.copytree if os.path.isdir(target) else shutil.copyfile
            copy(target, temporary)
        group = Zarr.open(temporary, mode="a" if keep else "w", **kwargs)
        try:
            yield group
        finally:
            close(group)
        _exchange(temporary, target, old)
    except BaseException:
        _remove(temporary)
        raise


def _exchange(temporary: str, target: str, old: str) -> None:
    """Put the new store in the place of the old one."""
    if not os.path.isdir(target):
        os.replace(temporary, target)
        return
    _remove(old)
    os.rename(target, old)
    try:
        os.rename(temporary, target)
    except BaseException:
        os.rename(old, target)
        raise
    _remove(old)


def _remove(path: str) -> None:
    from memdata.fileformats import remove_file_or_dir

    remove_file_or_dir(path)
