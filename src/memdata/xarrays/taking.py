"""`from_xarray`: a DataTree, Dataset or DataArray as a group, its arrays shared."""

from __future__ import annotations

import posixpath
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from memdata.h5api.dims import make_scale
from memdata.xarrays.origin import AXES, KEY, UNNAMED, Origin, axis_names, text_names

if TYPE_CHECKING:
    import xarray

    from memdata.group import MemGroup

__all__ = ["from_xarray"]

_MAP = "index_map"


def from_xarray(
    tree: xarray.DataTree | xarray.Dataset | xarray.DataArray,
    *,
    axes: Literal["scales", "index_map"] | None = None,
) -> MemGroup:
    """What xarray holds as a group; arrays are shared where they are NumPy's.

    What came from `to_xarray` goes back to where it was. Of the rest, dimensions become dimension
    scales and labels, as netCDF-4 has them, or the attribute ``axis`` and a group ``index_map``.

    Parameters
    ----------
    tree : xarray.DataTree, xarray.Dataset or xarray.DataArray
        Nodes become groups, variables datasets; a DataArray without a name is called ``data``.
        Arrays of dask and the like are computed.
    axes : {"scales", "index_map"}, optional
        How the axes of what is new are written. None does it as the coordinates of its dimensions
        came, and by scales where they are new too.

    Returns
    -------
    MemGroup
        A new tree. Copies are: coordinates that have an index, attributes, and structures that
        `to_xarray` took apart. A MultiIndex becomes its levels. Coordinates that belong to no
        dimension are named in the group's attribute ``coordinates``, as netCDF files do it.

    Raises
    ------
    TypeError
        Something else was given, or names that are not str.
    ValueError
        Names that a tree cannot have, or another value of `axes`.

    See Also
    --------
    to_xarray : the other way.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray  # doctest: +SKIP
    >>> import memdata
    >>> ds = xarray.Dataset(
    ...     {"power": ("freq", np.ones(3))}, coords={"freq": [400.0, 500.0, 600.0]}
    ... )  # doctest: +SKIP
    >>> g = memdata.from_xarray(ds)  # doctest: +SKIP
    >>> g["power"].dims[0]["freq"][:]  # doctest: +SKIP
    array([400., 500., 600.])
    """
    from memdata.group import MemGroup

    if axes not in {None, "scales", "index_map"}:
        raise ValueError(f"axes must be 'scales', 'index_map' or None, not {axes!r}")
    nodes = _nodes(tree)
    group = MemGroup()
    taking = _Taking(group, axes)
    for path, dataset in nodes.items():
        taking.node(path, dataset)
    taking.finish()
    return group


def _nodes(tree: Any) -> dict[str, Any]:
    """The Datasets by path, each with its own coordinates only."""
    import xarray

    if isinstance(tree, xarray.DataArray):
        name = "data" if tree.name is None else tree.name
        tree = tree.to_dataset(name=name, promote_attrs=False)
    if isinstance(tree, xarray.Dataset):
        return {"/": tree}
    if not isinstance(tree, xarray.DataTree):
        raise TypeError(
            f"a DataTree, Dataset or DataArray of xarray is needed, not {type(tree).__name__}"
        )
    top = tree.path
    return {
        "/" + posixpath.relpath(node.path, top).removeprefix("."): node.to_dataset(inherit=False)
        for node in tree.subtree
    }


@dataclass
class _Placed:
    """A dataset that was made of a variable."""

    dataset: Any
    name: str
    variable: Any
    node: str
    origin: Origin | None


class _Taking:
    """Makes the datasets first, then what ties them together."""

    def __init__(self, group: MemGroup, axes: str | None) -> None:
        self._group = group
        self._axes = axes
        self._scales: dict[str, Any] = {}  # without values
        self._placed: dict[str, _Placed] = {}
        self._guests: list[tuple[str, str, Any]] = []
        self._dims: dict[str, dict[str, str]] = {}  # of each node: coordinates of dimensions
        self._parts: dict[str, dict[str, tuple[Origin, Any]]] = {}  # fields of structures

    # -- datasets ----------------------------------------------------------------------------------

    def node(self, path: str, dataset: Any) -> None:
        """Make a group of a Dataset."""
        for name in (*dataset.variables, *dataset.attrs):
            if not isinstance(name, str):
                raise TypeError(f"{path}: names must be str, not {name!r}")
        group = self._group if path == "/" else self._group.require_group(path)
        group.attrs.update(deepcopy(dict(dataset.attrs)))
        self._dims[path] = {}
        for name, (dim, shape, dtype, attrs) in dataset.encoding.get(KEY, {}).items():
            if (dataset.sizes.get(dim, shape[0]),) == shape and name not in dataset.variables:
                made = group.create_dataset(name, shape, dtype)
                made.attrs.update((key, attrs[key]) for key in attrs if key not in AXES)
                self._scales[made.name] = made
        beside = []
        for name, variable in dataset.variables.items():
            if type(dataset.xindexes.get(name)).__name__ == "PandasMultiIndex" and (
                variable.dims == (name,)
            ):
                continue  # tuples of what its levels hold
            origin = variable.encoding.get(KEY)
            origin = origin if isinstance(origin, Origin) and origin.name == name else None
            here = origin is None or "/" not in origin.path
            if here and name in dataset.coords and variable.dims != (name,):
                beside.append(name)
            self._variable(path, name, variable, origin)
        kept = dataset.encoding.get("coordinates")
        if beside and sorted(text_names(kept)) == sorted(beside):
            group.attrs["coordinates"] = kept
        elif beside:
            plain = not any(set(name) & set(" \t\n\r\f\v") for name in beside)
            group.attrs["coordinates"] = " ".join(beside) if plain else beside

    def _variable(self, node: str, name: str, variable: Any, origin: Origin | None) -> None:
        if origin is not None and origin.field is not None:
            place = posixpath.normpath(posixpath.join(node, origin.path))
            self._parts.setdefault(place, {})[origin.field] = (origin, (node, name, variable))
            return
        if origin is not None:
            if origin.guest:
                self._guests.append((node, name, variable))
                return
            relative = origin.path
        elif variable.dims == (name,) and self._axes == "index_map":
            relative = f"{_MAP}/{name}"
        else:
            relative = name
        self._make(posixpath.join(node, relative), node, name, variable, origin)

    def _make(self, path: str, node: str, name: str, variable: Any, origin: Origin | None) -> None:
        if path in self._group:
            raise ValueError(f"{path}: two variables, or a variable and a group, would be there")
        made = self._group.create_dataset(path, **_content(variable, origin))
        made.attrs.update(deepcopy(dict(variable.attrs)))
        if variable.dims == (name,):
            self._dims[node][name] = path
        self._placed[path] = _Placed(made, name, variable, node, origin)

    # -- what ties them together -------------------------------------------------------------------

    def finish(self) -> None:
        """Put in what has its place elsewhere, and tell of each dataset's axes."""
        for node, name, variable in self._guests:
            origin = variable.encoding[KEY]
            path = posixpath.normpath(posixpath.join(node, origin.path))
            if origin.path.count("../") > node.count("/", 1) + (node != "/"):
                path = posixpath.join(node, name)  # it was above all that is here
            if path not in self._group:
                self._make(path, node, name, variable, origin)
            else:
                self._dims[node][name] = path
        for path, parts in self._parts.items():
            self._structure(path, parts)
        for placed in self._placed.values():
            origin = placed.origin
            if origin is not None and origin.holds_for(placed.name, placed.variable):
                placed.dataset.attrs.update(deepcopy(origin.attrs))
        for placed in self._placed.values():
            origin = placed.origin
            if origin is not None and origin.holds_for(placed.name, placed.variable):
                self._axes_as_before(placed, origin)
            else:
                self._new_axes(placed)

    def _structure(self, path: str, parts: dict[str, tuple[Origin, Any]]) -> None:
        """Put the fields of a structure together again, if all are there."""
        origin = next(iter(parts.values()))[0]
        variables = [place[2] for _, place in parts.values()]
        whole = set(parts) == set(origin.dtype.names or ())
        if not whole or path in self._group or len({(v.dims, v.shape) for v in variables}) > 1:
            for node, name, variable in (place for _, place in parts.values()):
                self._make(posixpath.join(node, name), node, name, variable, None)
            return
        data = np.zeros(variables[0].shape, origin.dtype)
        for field, (_, place) in parts.items():
            data[field] = place[2].values
        made = self._group.create_dataset(path, data=data, **_stored(origin, data.shape))
        made.attrs.update(deepcopy(dict(variables[0].attrs)))
        made.attrs.update(deepcopy(origin.attrs))
        for node, _, variable in (place for _, place in parts.values()):
            for dim in variable.dims:
                self._dims[node].setdefault(dim, path)

    def _axes_as_before(self, placed: _Placed, origin: Origin) -> None:
        dataset = placed.dataset
        for number, scales in enumerate(origin.scales):
            missing = True
            for relative in scales:
                path = posixpath.normpath(posixpath.join(placed.node, relative))
                if self._can_be_scale(path):
                    dataset.dims[number].attach_scale(self._group[path])
                    missing = False
            if scales and missing and not dataset.dims[number].label:
                dataset.dims[number].label = origin.dims[number]

    def _can_be_scale(self, path: str) -> bool:
        placed = self._placed.get(path)
        scale = self._scales.get(path) if placed is None else placed.dataset
        return scale is not None and not any(len(d) for d in scale.dims)

    def _coordinate(self, node: str, dim: str) -> str | None:
        """The path of what lies along a dimension of a node."""
        while True:
            found = self._dims.get(node, {}).get(dim)
            if found is not None or node == "/":
                return found
            node = posixpath.dirname(node)

    def _new_axes(self, placed: _Placed) -> None:
        dataset, dims, attrs = placed.dataset, placed.variable.dims, placed.dataset.attrs
        along = [self._coordinate(placed.node, dim) for dim in dims]
        if along == [dataset.name]:  # the coordinate itself
            if not dataset.name.endswith(f"{_MAP}/{placed.name}"):
                make_scale(dataset, placed.name)
            return
        for key in ("axis", "_ARRAY_DIMENSIONS"):
            if key in attrs and axis_names(attrs[key], len(attrs[key])) is not None:
                attrs[key] = (
                    type(attrs[key])(dims)
                    if isinstance(attrs[key], list | tuple)
                    else np.array(dims)
                )
        mapped = any(path and posixpath.basename(posixpath.dirname(path)) == _MAP for path in along)
        if self._axes == "index_map" or (self._axes is None and mapped):
            if dims:
                attrs["axis"] = tuple(dims)
            return
        for number, (dim, path) in enumerate(zip(dims, along, strict=True)):
            if path is not None and self._can_be_scale(path):
                dataset.dims[number].attach_scale(self._group[path])
            elif not UNNAMED.fullmatch(dim):
                dataset.dims[number].label = dim


# ---- data ----------------------------------------------------------------------------------------


def _content(variable: Any, origin: Origin | None) -> dict[str, Any]:
    """The data of a dataset, and how a file is to store them."""
    if origin is not None and origin.null and variable.shape == (0,):
        import h5py

        return {"data": h5py.Empty(origin.dtype)}
    data = variable._data if isinstance(variable._data, np.ndarray) else np.array(variable.values)
    if origin is not None and variable.dtype == origin.given and data.dtype != origin.dtype:
        data = data.astype(origin.dtype)
    elif origin is not None and data.dtype.kind == "O" == origin.dtype.kind:
        data = data.view(origin.dtype)  # what the type says of its objects
    return {"data": data, **_stored(origin, data.shape, variable.encoding)}


def _stored(origin: Origin | None, shape: tuple[int, ...], encoding: Any = None) -> dict[str, Any]:
    if origin is not None:
        kept = dict(origin.creation)
        if shape != origin.shape:
            kept.pop("maxshape", None)
        if "chunks" in kept and (len(kept["chunks"]) != len(shape) or 0 in shape):
            kept.pop("chunks")
        return kept
    encoding = encoding or {}
    chunks = encoding.get("chunksizes")
    if not chunks or len(chunks) != len(shape) or 0 in shape:
        return {}
    kept = {"chunks": tuple(chunks)}
    if encoding.get("zlib") or encoding.get("compression") in {"gzip", "zlib"}:
        kept["compression"] = "gzip"
        kept["compression_opts"] = encoding.get("complevel", encoding.get("compression_opts", 4))
    for key in ("shuffle", "fletcher32"):
        if encoding.get(key):
            kept[key] = True
    return kept
