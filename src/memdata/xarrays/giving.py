"""`to_xarray`: a group as a DataTree, its arrays shared."""

from __future__ import annotations

import os
import posixpath
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata import links
from memdata._cmemdata import MemDataset, MemDatasetDistributed, _BaseGroup
from memdata.h5api.dims import is_scale
from memdata.suggesting import installed_by
from memdata.xarrays.naming import Axis, Scope, axes_of, scales_of
from memdata.xarrays.origin import AXES, KEY, ONLY_DIMENSION, SCALE, Origin, text, text_names

if TYPE_CHECKING:
    import xarray

__all__ = ["to_xarray"]

_MAP = "index_map"


def to_xarray(group: Any, *, local: bool = False) -> xarray.DataTree:
    """A group and all below it as an `xarray.DataTree`; the arrays are shared, not copied.

    Groups become nodes, datasets variables. The dimensions have the names of the dimension scales
    that are attached to a dataset (as in netCDF-4), or those in its attribute ``axis`` (or zarr's
    ``_ARRAY_DIMENSIONS``), or its labels; an axis without a name is ``unnamed_`` and its length.
    Coordinates are the scales, and the entries of the group ``index_map`` where the names are in
    ``axis``; a structured entry gives one coordinate a field, ``freq_centre`` and ``freq_width``. A
    name that would clash gets a number behind it, as ``freq_2``.

    Parameters
    ----------
    group : MemGroup, MemDiskGroup, open h5py or zarr group, or file name
        What is in a file is loaded.
    local : bool
        Of distributed datasets, and of all that lies along the same axis, take this rank's part.
        Without it, data that are spread over several ranks are refused.

    Returns
    -------
    xarray.DataTree
        ``to_dataset()`` of a node is its `xarray.Dataset`. Writing into a variable writes into the
        dataset. Copies are: coordinates that have an index (pandas relies on them not to change),
        attributes, and times in units that xarray does not have.

    Raises
    ------
    ValueError
        Distributed data without `local`; with it, data cut along different axes.
    ModuleNotFoundError
        xarray is not installed.

    Warns
    -----
    UserWarning
        Something was left out: a link, a named type, a second name of a group.

    See Also
    --------
    from_xarray : the way back.

    Examples
    --------
    >>> import numpy as np
    >>> import memdata
    >>> g = memdata.MemGroup()
    >>> d = g.create_dataset("index_map/freq", data=np.array([400.0, 500.0, 600.0]))
    >>> vis = g.create_dataset("vis", data=np.arange(6.0).reshape(3, 2))
    >>> vis.attrs["axis"] = ("freq", "time")
    >>> tree = memdata.to_xarray(g)  # doctest: +SKIP
    >>> float(tree["vis"].sel(freq=500.0)[1])  # doctest: +SKIP
    3.0
    """
    with installed_by("xarray"):
        import xarray

    source = _in_memory(group)
    walk = _Walk(source, _distributed_axis(source, local))
    walk.group(source, None)
    if walk.left_out:
        warnings.warn(
            f"left out, for xarray has nothing like it: {', '.join(walk.left_out)}", stacklevel=2
        )
    return xarray.DataTree.from_dict(walk.nodes)


def _in_memory(group: Any) -> Any:
    from memdata.diskgroup import MemDiskGroup
    from memdata.group import MemGroup

    if isinstance(group, str | os.PathLike):
        return MemGroup.from_file(group)
    if isinstance(group, MemDataset) or not hasattr(group, "create_group"):
        raise TypeError(f"a group or a file name is needed, not {type(group).__name__}")
    if not isinstance(group, _BaseGroup):
        return MemGroup.from_group(group)
    return group.to_memory() if isinstance(group, MemDiskGroup) else group


# ---- distributed data ----------------------------------------------------------------------------


def _distributed_axis(group: Any, local: bool) -> tuple[str, int, slice] | None:
    """Name, length and this rank's part of the one axis that is cut."""
    found: dict[tuple[str, int], tuple[slice, str]] = {}
    for dataset in _distributed(group):
        if dataset.comm.size > 1 and not local:
            raise ValueError(
                f"{dataset.name} is distributed over {dataset.comm.size} ranks; "
                "to_xarray(group, local=True) takes this rank's part"
            )
        axis = axes_of(dataset, {})[dataset.distributed_axis]
        if not axis.name.startswith("unnamed_"):
            start = dataset.local_offset[dataset.distributed_axis]
            part = slice(start, start + dataset.local_shape[dataset.distributed_axis])
            found.setdefault((axis.name, axis.length), (part, dataset.name))
    if len(found) > 1:
        told = ", ".join(f"{path} along {name!r}" for (name, _), (_, path) in found.items())
        raise ValueError(f"data are distributed along different axes: {told}; redistribute first")
    return next(((*key, part) for key, (part, _) in found.items()), None)


def _distributed(group: Any) -> list[Any]:
    found: list[Any] = []

    def note(_name: str, child: Any) -> None:
        if isinstance(child, MemDatasetDistributed):
            found.append(child)

    group.visititems(note)
    return found


# ---- the walk ------------------------------------------------------------------------------------


class _Walk:
    """Makes a Dataset of each group, from the top down."""

    def __init__(self, top: Any, cut: tuple[str, int, slice] | None) -> None:
        self.nodes: dict[str, Any] = {}
        self.left_out: list[str] = []
        self.group_names: set[str] = set()  # an index is seen in all nodes below, so it has none
        top.visititems(
            lambda path, child: (
                self.group_names.add(posixpath.basename(path))
                if isinstance(child, _BaseGroup)
                else None
            )
        )
        self._top = top.name.rstrip("/")
        self._cut = cut
        self._seen: set[int] = set()

    def group(self, group: Any, above: Scope | None, path: str = "/") -> None:
        """Make the node of a group, and those below."""
        self._seen.add(id(group.attrs))
        groups, datasets = self._members(group)
        scope = Scope(above, [*groups, *datasets])
        node = _Node(self, group, path, scope)
        index_map = groups.get(_MAP)
        node.coordinates(datasets, index_map)
        for name, dataset in datasets.items():
            node.dataset(name, dataset)
        self.nodes[path] = node.finished()
        for name, child in groups.items():
            child_path = posixpath.join(path, name)
            if child is index_map and node.mapped:
                self._rest_of_map(child, scope, child_path, node.mapped)
            else:
                self.group(child, scope, child_path)

    def _rest_of_map(self, group: Any, above: Scope, path: str, mapped: set[str]) -> None:
        """A node for what an index map has beside coordinates, if it has anything."""
        groups, datasets = self._members(group)
        rest = {name: dataset for name, dataset in datasets.items() if name not in mapped}
        if not (rest or groups or group.attrs):
            return
        scope = Scope(above, [*groups, *rest])
        node = _Node(self, group, path, scope)
        for name, dataset in rest.items():
            node.dataset(name, dataset)
        self.nodes[path] = node.finished()
        for name, child in groups.items():
            self.group(child, scope, posixpath.join(path, name))

    def _members(self, group: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The groups and datasets in a group; a group is in one place only."""
        groups: dict[str, Any] = {}
        datasets: dict[str, Any] = {}
        storage = group._get_storage()
        for name in group:
            child = None if links.is_link(storage.get(name)) else group.get(name)
            if isinstance(child, MemDataset):
                datasets[name] = child
            elif isinstance(child, _BaseGroup) and id(child.attrs) not in self._seen:
                self._seen.add(id(child.attrs))
                groups[name] = child
            else:
                self.left_out.append(posixpath.join(group.name, name))
        return groups, datasets

    def relative(self, path: str, node: str) -> str:
        """A path in the tree as seen from a node."""
        inside = path[len(self._top) :] if path.startswith(self._top + "/") else path
        return posixpath.relpath(inside, node)

    def part(self, axis: Axis) -> slice | None:
        """The part of an axis that is on this rank; None for all."""
        cut = self._cut
        return cut[2] if cut is not None and (axis.name, axis.length) == cut[:2] else None


class _Node:
    """The Dataset of one group, in the making."""

    def __init__(self, walk: _Walk, group: Any, path: str, scope: Scope) -> None:
        self._walk = walk
        self._group = group
        self._path = path
        self._scope = scope
        self._data: dict[str, Any] = {}
        self._coords: dict[str, Any] = {}
        self._done: set[str] = set()  # names of datasets
        self._empty: dict[str, Any] = {}  # scales without values
        self.mapped: set[str] = set()  # names in the index map

    def coordinates(self, datasets: dict[str, Any], index_map: Any) -> None:
        """What lies along the axes, before what has them."""
        scope = self._scope
        own = []
        for name, dataset in datasets.items():
            if dataset.shape is None or len(dataset.shape) != 1:
                continue
            (axis,) = axes_of(dataset, {})
            if axis.name == name and axis.source in {None, dataset.name}:
                scope.sources[name] = Axis(name, axis.length, dataset.name)
                own.append((name, dataset))
        for name, dataset in own:
            if text(dataset.attrs.get("NAME", "")).startswith(ONLY_DIMENSION):
                dim = scope.dimension(scope.sources[name], name)
                self._empty[name] = (
                    dim,
                    dataset.shape,
                    dataset.dtype,
                    deepcopy(dict(dataset.attrs)),
                )
                self._done.add(name)
                continue
            self._coordinate(scope.sources[name], dataset, name)
            self._done.add(name)
        if index_map is None:
            return
        storage = index_map._get_storage()
        for name in index_map:
            dataset = None if links.is_link(storage.get(name)) else index_map.get(name)
            if not isinstance(dataset, MemDataset) or len(dataset.shape or ()) != 1:
                continue
            axis = Axis(name, dataset.shape[0], dataset.name)
            scope.sources[name] = axis
            self.mapped.add(name)
            if _splits(dataset.dtype):
                self._fields(axis, dataset)
            else:
                self._coordinate(axis, dataset)

    def _coordinate(
        self, axis: Axis, dataset: Any, own: str | None = None, guest: bool = False
    ) -> None:
        name = self._scope.dimension(axis, own)
        if name in self._coords or name in self._data:
            return  # another name of the same dataset
        if self._scope.is_members(
            name, own
        ):  # the dimension is from above, its name a group's here
            if guest:
                return
            name = self._scope.variable(own or axis.name, own is not None)
        self._coords[name] = self._variable(name, dataset, [axis], guest=guest)
        self._scope.used.add(name)

    def _fields(self, axis: Axis, dataset: Any) -> None:
        self._scope.dimension(axis)
        for field in dataset.dtype.names:
            name = self._scope.variable(f"{axis.name}_{field}", own=False)
            self._coords[name] = self._variable(name, dataset, [axis], field)

    def dataset(self, name: str, dataset: Any) -> None:
        """Make a variable of a dataset; and of what lies along its axes in some other place."""
        if name in self._done:
            return
        axes = axes_of(dataset, self._scope.sources)
        if len(axes) == 1 and axes[0].source == dataset.name:  # another name of a scale
            axes = [Axis(f"unnamed_{axes[0].length}", axes[0].length)]
        wanted = self._scope.variable(name, own=True)
        for scales, axis in zip(scales_of(dataset), axes, strict=bool(axes)):
            known = {dim.source for dim in self._scope.dims.values()}
            if axis.source is not None and axis.source not in known and scales:
                self._coordinate(axis, scales[0], guest=True)
        self._data[wanted] = self._variable(wanted, dataset, axes)

    def _variable(
        self,
        name: str,
        dataset: Any,
        axes: list[Axis],
        field: str | None = None,
        guest: bool = False,
    ) -> Any:
        import xarray

        null = dataset.shape is None
        data = np.empty(0, dataset.dtype) if null else self._array(dataset, axes)
        if null:
            axes = [Axis("unnamed_0", 0)]
        if field is not None:
            data = data[field]
        dims = [
            self._dimension(axis, length) for axis, length in zip(axes, data.shape, strict=True)
        ]
        variable = xarray.Variable(dims, data)
        hidden = (*AXES, *SCALE) if is_scale(dataset) else AXES
        attrs = {key: deepcopy(value) for key, value in dataset.attrs.items()}
        variable.attrs = {key: value for key, value in attrs.items() if key not in hidden}
        variable.encoding = _encoding(dataset)
        variable.encoding[KEY] = Origin(
            name=name,
            path=self._walk.relative(dataset.name, self._path),
            dims=tuple(dims),
            shape=data.shape,
            dtype=dataset.dtype,
            given=variable.dtype,
            scales=tuple(
                tuple(self._walk.relative(scale.name, self._path) for scale in scales)
                for scales in scales_of(dataset)
            ),
            attrs={
                key: attrs[key]
                for key in (*SCALE, "DIMENSION_LABELS")
                if key in hidden and key in attrs
            },
            creation=_creation(dataset),
            field=field,
            null=null,
            guest=guest,
        )
        return variable

    def _dimension(self, axis: Axis, length: int) -> str:
        if axis.name.startswith("unnamed_") and axis.length != length:
            axis = Axis(f"unnamed_{length}", length)  # a part of a distributed axis
        return self._scope.dimension(axis)

    def _array(self, dataset: Any, axes: list[Axis]) -> Any:
        """The data as a plain array, cut down to this rank's part."""
        data = dataset.local_data
        cut = dataset.distributed_axis if isinstance(dataset, MemDatasetDistributed) else None
        index = [
            (None if number == cut else self._walk.part(axis)) or slice(None)
            for number, axis in enumerate(axes)
        ]
        return np.asarray(data).view(np.ndarray)[tuple(index)]

    def finished(self) -> Any:
        """The Dataset."""
        import xarray

        attrs = {key: deepcopy(value) for key, value in self._group.attrs.items()}
        names = text_names(attrs.get("coordinates"))
        encoding = {KEY: self._empty} if self._empty else {}
        if names and len(set(names)) == len(names) and set(names) <= set(self._data):
            encoding["coordinates"] = attrs.pop("coordinates")
            for name in names:
                self._coords[name] = self._data.pop(name)
        indexed = {}
        for name, variable in list(self._coords.items()):
            if variable.dims != (name,) or name in self._walk.group_names:
                continue
            if _can_index(variable):
                variable.data = variable.data.copy()  # pandas relies on it not to change
                indexed[name] = self._coords.pop(name)
                self._scope.coordinates.add(name)
        dataset = xarray.Dataset(self._data, attrs=attrs)
        dataset = dataset.assign_coords(xarray.Coordinates(self._coords, indexes={}))
        dataset = dataset.assign_coords(indexed)
        dataset.encoding = encoding
        return dataset


def _splits(dtype: Any) -> bool:
    """Whether a type is a structure of plain fields."""
    return bool(dtype.names) and all(
        dtype[name].names is None and dtype[name].subdtype is None for name in dtype.names
    )


def _can_index(variable: Any) -> bool:
    """Whether pandas has an index for such values that gives them back as they were."""
    dtype = variable.dtype
    if dtype.kind == "O":
        return all(isinstance(item, str | bytes) for item in variable.data)
    return dtype.kind in "biuUSM" or (dtype.kind == "f" and dtype.itemsize in {4, 8})


# ---- how a file stores it ------------------------------------------------------------------------


def _creation(dataset: Any) -> dict[str, Any]:
    kept = dict(dataset._creation)
    for key in ("chunks", "compression", "compression_opts"):
        value = getattr(dataset, key)
        if value is not None:
            kept[key] = value
    return kept


def _encoding(dataset: Any) -> dict[str, Any]:
    """The same in the words of xarray's netCDF backends, as far as they have words."""
    encoding: dict[str, Any] = {}
    if dataset.chunks is None:
        return encoding
    encoding["chunksizes"] = tuple(dataset.chunks)
    if dataset.compression == "gzip":
        level = dataset.compression_opts
        encoding.update(zlib=True, complevel=4 if level is None else int(level))
    for key in ("shuffle", "fletcher32"):
        if dataset._creation.get(key):
            encoding[key] = True
    return encoding
