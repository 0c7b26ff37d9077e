"""Writing trees into zarr stores."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memdata import links
from memdata.fileformats import Zarr
from memdata.formats import strings, zarr_attributes, zarr_library, zarr_types
from memdata.formats.dimension_names import ATTRIBUTE, KEY, MADE, Named, named_axes
from memdata.formats.hdf5_creation import wanted_filters
from memdata.formats.hdf5_objects import check_objects
from memdata.formats.names import check_name
from memdata.formats.tagged import TAG
from memdata.formats.tree import (
    DatasetNode,
    Filters,
    GroupNode,
    LinkNode,
    Options,
    Plan,
    PointerNode,
    TypeNode,
)
from memdata.formats.zarr_codecs import check_codecs
from memdata.formats.zarr_layout import (
    is_one_chunk,
    layout_for,
    layout_of_codecs,
    with_fill_value,
    written_before,
)

if TYPE_CHECKING:
    from memdata.formats.zarr_library import Layout
    from memdata.formats.zarr_types import Stored

__all__ = ["ZarrTarget", "create_array"]

Array = np.ndarray[Any, Any]

#: The attribute that says which elements are missing, by the conventions of netCDF.
_MISSING = "_FillValue"

#: What the file system makes of a name: bytes of one, and of a whole path.
_NAME_BYTES, _PATH_BYTES = 255, 4000


class _Recipe(NamedTuple):
    """How an array is stored."""

    shape: tuple[int, ...]
    kind: Stored
    layout: Layout
    attrs: dict[str, Any]


class ZarrTarget:
    """A zarr group that a plan is carried out in.

    Parameters
    ----------
    group : zarr.Group or None
        The root of what is written. It may come after planning, see `open`.
    zarr_format : {2, 3}, optional
        What the group will have, where it comes later.
    replace : bool
        Arrays that are there take the new content, if they have its shape and type.
    folder : str or None
        Where the store will be, when it is a folder: the names have to fit there.
    """

    def __init__(
        self,
        group: Any = None,
        *,
        zarr_format: int | None = None,
        replace: bool = False,
        folder: str | None = None,
    ) -> None:
        self.group = group
        self.replace = replace
        self._folder = folder
        self._new = False
        self._named: dict[str, Named] = {}
        self._format = zarr_format or zarr_library.default_format()
        if group is not None:
            self.open(group)

    def open(self, group: Any, *, new: bool = False) -> None:
        """Say where to write; a `new` group has the attributes of the root already."""
        self.group = group
        self._new = new
        self._format = zarr_library.format_of(group)

    # ---- planning ----

    def prepare(self, plan: Plan, options: Options) -> None:
        """Find for each node how it will be stored; see `memdata.formats.tree.Target`."""
        self._named = named_axes(plan.datasets())
        tags: dict[int, dict[str, Any]] = {}
        twins: dict[str, str] = {}
        members: dict[int, list[str]] = {}
        for node in plan.nodes:
            if node.parent is not None:
                members.setdefault(id(node.parent), []).append(node.name)
                self._check_name(node, twins)
            link = _described_link(node, options, plan)
            if link is not None:
                tags.setdefault(id(node.parent), {})[node.name] = link
        for node in plan.nodes:
            if isinstance(node, LinkNode | PointerNode | TypeNode):
                continue
            attrs = node.attrs
            if node.parent is None:
                attrs = {**node.attrs, **options.extra_attrs}
            stored = zarr_attributes.encoded(
                attrs, f"{node.path}: ", convert_strings=options.convert_attribute_strings
            )
            if isinstance(node, DatasetNode):
                node.recipe = self._recipe(node, stored, options, plan)
                continue
            if id(node) in tags:
                stored[zarr_attributes.LINKS] = tags[id(node)]
            creation = zarr_attributes.encoded_creation(node.creation, node.attrs)
            if node.creation.get("track_order"):
                creation[zarr_attributes.ORDER] = members.get(id(node), [])
            if creation:
                stored[zarr_attributes.CREATION] = creation
            node.recipe = stored
        if self.group is not None:
            self.check_room(plan)

    def _check_name(self, node: GroupNode, twins: dict[str, str]) -> None:
        """Refuse names that mean something else to zarr, or that a folder cannot hold."""
        name, path = node.name, node.path
        check_name(name, path)
        if "\\" in name or name in zarr_library.METADATA or name.startswith("__zarr"):
            raise ValueError(f"{path!r:.200}: {name!r:.100} cannot be a name in a zarr store")
        try:
            size = len(name.encode("utf-8"))
        except UnicodeEncodeError:
            raise ValueError(f"{path!r:.200}: the name is no text (not UTF-8)") from None
        if self._folder is None:
            if len(path) > 60_000:
                raise ValueError(f"{path!r:.100}...: a path of {len(path)} characters")
            return
        if size > _NAME_BYTES:
            raise ValueError(
                f"{path!r:.100}...: a name of {size} bytes; folders hold names of {_NAME_BYTES}"
            )
        if len(os.fsencode(self._folder)) + len(path.encode()) > _PATH_BYTES:
            raise ValueError(f"{path!r:.100}...: the path is too long for a folder")
        other = twins.setdefault(path.casefold(), path)
        if other != path and _folds_case(os.path.dirname(self._folder)):
            raise ValueError(f"{path} and {other} are one name for the file system")

    def _recipe(
        self, node: DatasetNode, attrs: dict[str, Any], options: Options, plan: Plan
    ) -> _Recipe:
        if isinstance(node.array, np.ma.MaskedArray):
            raise TypeError(f"{node.path}: a masked array would lose its mask")
        try:
            if node.shape is None:
                shape: tuple[int, ...] = (0,)
                kind = zarr_types.stored_null(node.dtype)
            else:
                _convert_text(node, options)
                if node.array is not None and node.dtype.hasobject and node.dtype.kind != "T":
                    node.array = check_objects(node.array, only_ragged=True)
                shape = node.shape
                is_part = node.part is not None
                kind = zarr_types.stored(node.dtype, node.array, self._format, is_part=is_part)
        except UnicodeEncodeError as error:
            raise ValueError(f"{node.path}: text that is not ASCII: {error}") from None
        except TypeError as error:
            raise TypeError(f"{node.path}: {error}") from None
        if kind.tag is not None:
            attrs[TAG] = kind.tag
        layout, replaced = self._layout(node, shape, kind)
        plan.replaced.extend((node.path, text) for text in replaced)
        if node.filters.chunks and not any(node.filters[1:]) and is_one_chunk(layout, shape):
            attrs[zarr_attributes.CHUNKED] = True
        layout, filled = self._with_names(node, layout, attrs)
        made = node.creation
        if kind.tag is None and not filled:
            layout, held = with_fill_value(layout, made, node.dtype)
            if held:
                made = {key: value for key, value in made.items() if key != "fillvalue"}
        creation = zarr_attributes.encoded_creation(made, node.attrs)
        named = self._named.get(node.path)
        if named is not None and (filled or (self._format == 3 and named.how == MADE)):
            creation[zarr_attributes.NAMES] = named.how
        if creation:
            attrs[zarr_attributes.CREATION] = creation
        return _Recipe(shape, kind, layout, attrs)

    def _with_names(
        self, node: DatasetNode, layout: Layout, attrs: dict[str, Any]
    ) -> tuple[Layout, bool]:
        """Put what xarray has to know into layout and attributes; tells whether of filling, too."""
        named = self._named.get(node.path)
        if self._format == 3:
            if named is None:
                return layout._replace(extra={}), False
            if _MISSING in attrs:
                zarr_attributes.write_missing_value(attrs, node.attrs[_MISSING], node.dtype)
            return layout._replace(extra={KEY: named.names}), False
        if named is None or ATTRIBUTE in attrs:
            return layout, False
        attrs[ATTRIBUTE] = list(named.names)
        # To xarray the fill value of format 2 says which elements are missing.
        missing = zarr_attributes.missing_value(node.attrs.get(_MISSING), node.dtype)
        return layout._replace(fill_value=missing, null_fill=missing is None), True

    def _layout(
        self, node: DatasetNode, shape: tuple[int, ...], kind: Stored
    ) -> tuple[Layout, list[str]]:
        source = node.source
        if type(source).__module__.partition(".")[0] == "zarr" and source.shape == shape:
            kept = zarr_library.describe(source)  # between stores nothing is translated
            check_codecs(kept.codecs, node.path)
            if kept.zarr_format == self._format:
                return kept, []
        before = written_before(node.creation, node.filters, self._format, kind.dtype)
        if before is not None and len(before.chunks) == len(shape):
            return before, []
        chunks = node.filters.chunks
        if chunks is not None and node.creation.get("inner_axes"):
            node.filters = node.filters._replace(chunks=chunks + shape[len(chunks) :])
        try:
            return layout_for(
                shape,
                kind.dtype,
                wanted_filters(node.filters, node.creation, shape),
                self._format,
                axis=0 if node.part is None else node.part.axis,
            )
        except ValueError as error:
            raise ValueError(f"{node.path}: {error}") from None

    def check_room(self, plan: Plan) -> None:
        """Refuse names that are taken by something else."""
        for node in plan.nodes[1:]:
            key = node.path.lstrip("/")
            if key not in self.group:
                continue
            there = self.group[key]
            if self.replace and isinstance(node, DatasetNode) and not zarr_library.is_group(there):
                dtype = node.recipe.kind.dtype
                if there.shape == node.shape and there.dtype == dtype:
                    continue
                raise RuntimeError(
                    f"{node.path}: the dataset that is there has the shape {there.shape} and the "
                    f"type {there.dtype}, expected {node.shape} and {node.dtype}"
                )
            if type(node) is not GroupNode or not zarr_library.is_group(there):
                what = "group" if zarr_library.is_group(there) else "dataset"
                raise ValueError(
                    f"{node.path}: there is a {what} of this name in the target already"
                )

    # ---- laying out ----

    def lay_out(self, plan: Plan) -> list[DatasetNode]:
        """Make groups, attributes and arrays; see `memdata.formats.tree.Target`."""
        remaining = []
        for node in plan.nodes:
            if isinstance(node, LinkNode | PointerNode | TypeNode):
                continue
            if isinstance(node, DatasetNode):
                self._make_array(node)
                if node.nbytes and (node.array is not None or node.stored is not None):
                    remaining.append(node)
            else:
                self._make_group(node)
        return remaining

    def _make_group(self, node: GroupNode) -> None:
        if node.parent is None:
            node.place = self.group
            if self._new:
                return
        elif node.name in node.parent.place:
            node.place = node.parent.place[node.name]
        else:
            node.place = zarr_library.make_group(node.parent.place, node.name, node.recipe)
            return
        there = node.place.attrs.get(zarr_attributes.LINKS)
        if there and zarr_attributes.LINKS in node.recipe:
            node.recipe[zarr_attributes.LINKS] = {**there, **node.recipe[zarr_attributes.LINKS]}
        zarr_attributes.merge(node.place.attrs, node.recipe)

    def _make_array(self, node: DatasetNode) -> None:
        recipe: _Recipe = node.recipe
        parent: Any = node.parent
        if self.replace and node.name in parent.place:
            node.place = parent.place[node.name]
            node.recipe = recipe._replace(layout=zarr_library.describe(node.place))
            zarr_attributes.merge(node.place.attrs, recipe.attrs)
            return
        node.place = zarr_library.make_array(
            parent.place, node.name, recipe.shape, recipe.kind.dtype, recipe.layout, recipe.attrs
        )

    # ---- moving ----

    def grid(self, node: DatasetNode) -> tuple[int, ...]:
        """What of a dataset has to be written as a whole: the shape of a chunk, or of a shard."""
        layout: Layout = node.recipe.layout
        return layout.grid or (1,) * len(node.shape or ())

    def reads_zero(self, node: DatasetNode) -> bool:
        """Whether chunks that are missing read as zero; see `memdata.formats.tree.Target`."""
        fill = node.place.fill_value
        if self.replace or node.dtype.hasobject or fill is None:
            return False
        stored = np.asarray(fill)
        return stored.dtype.kind in "biufcSV" and not any(stored.tobytes())

    def write_block(self, node: DatasetNode, index: tuple[slice, ...], part: Array) -> None:
        """Write a part; see `memdata.formats.tree.Target`."""
        zarr_library.write(node.place, index, node.recipe.kind.pack(part))

    def finish(self, plan: Plan) -> None:
        """Nothing is left to do."""


def _described_link(node: GroupNode, options: Options, plan: Plan) -> dict[str, Any] | None:
    """What stands on a group for a member that zarr has no kind of; None for all others."""
    if isinstance(node, LinkNode):
        return {"hard": node.target.path}
    if isinstance(node, PointerNode):
        if links.is_soft(node.link):
            return {"soft": str(node.link.path)}
        return {"external": [os.fspath(node.link.filename), str(node.link.path)]}
    if isinstance(node, TypeNode):
        try:
            what: dict[str, Any] = {"type": zarr_types.described(node.dtype)}
        except TypeError as error:
            plan.skipped.append((node.path, f"a named type: {error}"))
            return {}
        attrs = zarr_attributes.encoded(
            node.attrs, f"{node.path}: ", convert_strings=options.convert_attribute_strings
        )
        creation = zarr_attributes.encoded_creation(node.creation, node.attrs)
        return {**what, "attributes": attrs, "creation": creation}
    return None


def _folds_case(folder: str) -> bool:
    """Whether a file system takes capital and small letters for the same."""
    name = os.path.basename(folder.rstrip("/"))
    other = os.path.join(os.path.dirname(folder.rstrip("/")), name.swapcase())
    return name.swapcase() != name and os.path.exists(other) and os.path.samefile(folder, other)


def _convert_text(node: DatasetNode, options: Options) -> None:
    """Refuse unicode arrays, or make byte strings of them; those of a store stay what they are."""
    if not strings.has_unicode(node.dtype):
        return
    if not options.convert_dataset_strings:
        if node.creation.get("unicode"):
            return
        raise TypeError(
            f"{node.dtype} is not stored; convert_dataset_strings=True stores it as byte strings"
        )
    if node.array is not None:
        node.array = strings.to_bytes(node.array)
    node.dtype = strings.bytes_dtype(node.dtype)


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
    chosen = Zarr.compression_kwargs(compression, compression_opts, compressor)["compressor"]
    configs = [] if chosen is None else [dict(chosen.get_config())]
    if isinstance(chunks, int | np.integer) and not isinstance(chunks, bool):
        chunks = (int(chunks),) * len(shape)
    filters = Filters(None if chunks is None or chunks is True else tuple(chunks))
    zarr_format = zarr_library.format_of(group)
    kind = zarr_types.stored(dtype, data, zarr_format)
    kwargs = dict(kwargs)
    more = {key: kwargs.pop(key, None) for key in ("shuffle", "fletcher32", "scaleoffset")}
    for key in ("maxshape", "fill_time", "track_order", "track_times"):
        kwargs.pop(key, None)  # all may grow; the rest means nothing here
    if kwargs.get("fillvalue") is not None:
        kwargs["fill_value"] = kwargs["fillvalue"]
    kwargs.pop("fillvalue", None)
    if any(value not in {None, False} for value in more.values()):
        filters = Filters(
            filters.chunks,
            compression,
            compression_opts,
            bool(more["shuffle"]),
            bool(more["fletcher32"]),
            more["scaleoffset"],
        )
        layout, _ = layout_for(shape, kind.dtype, filters, zarr_format)
    else:
        layout, _ = layout_for(shape, kind.dtype, filters, zarr_format)
        layout = layout_of_codecs(kind.dtype, layout.chunks, configs, zarr_format)
    attrs = {} if kind.tag is None else {TAG: kind.tag}
    array = zarr_library.make_array(group, name, shape, kind.dtype, layout, attrs, kwargs)
    if data is not None and data.size:
        zarr_library.write(array, (slice(None),) if shape else (), kind.pack(data))
    return array
