"""Pictures of datasets with matplotlib: lines, waterfalls and histograms."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from memdata.suggesting import installed_by
from memdata.xarrays.origin import text

__all__ = ["plot"]

Array = np.ndarray[Any, Any]

_MOST_POINTS = 20_000  # of a line: more than a screen shows
_MOST_CELLS = 2_000  # of each axis of a waterfall
_MOST_VALUES = 10_000_000  # of a histogram


class _Axis(NamedTuple):
    """What lies along an axis: numbers or texts, and what to write beside it."""

    values: Array
    label: str


class _Quantity(NamedTuple):
    """What is drawn."""

    name: str
    units: str  # in brackets, or empty

    def shown(self, data: Any) -> tuple[Any, str]:
        """Real numbers to draw, and what they are."""
        if data.dtype.kind == "c":
            return np.abs(data), f"|{self.name}|{self.units}"
        return (data.astype("u1") if data.dtype.kind == "b" else data), self.name + self.units


def plot(
    dataset: Any,
    index: Any = (),
    *,
    kind: str | None = None,
    ax: Any = None,
    log: bool = False,
    **kw: Any,
) -> Any:
    """See `memdata.plot`."""
    with installed_by("plot"):
        from matplotlib import pyplot

    name, data, axes = _selected(dataset, index)
    chosen = kind or {1: "line", 2: "waterfall"}.get(data.ndim, "histogram")
    if chosen not in _DRAW:
        raise ValueError(f"kind must be line, waterfall or histogram, not {kind!r}")
    wanted, draw = _DRAW[chosen]
    if wanted is not None and data.ndim != wanted:
        raise ValueError(
            f"{name}: a {chosen} needs {wanted} axes, not {data.ndim} of shape {data.shape}: "
            "choose with index="
        )
    if ax is None:
        _, ax = pyplot.subplots(layout="constrained")
    draw(ax, _Quantity(name, _units(dataset)), data, axes, log, kw)
    ax.set_title(_title(dataset, name), fontsize="medium")
    return ax


# ---- what is shown -------------------------------------------------------------------------------


def _selected(dataset: Any, index: Any) -> tuple[str, Any, list[_Axis]]:
    """The data, thinned out to what a picture shows, and what lies along their axes."""
    name = str(getattr(dataset, "name", None) or "").rpartition("/")[2] or "data"
    array = getattr(dataset, "local_data", dataset)
    array = getattr(array, "local_array", array)
    shape = getattr(array, "shape", None)
    if shape is None:
        raise TypeError(f"{name}: there is nothing to plot in {dataset!r:.80}")
    if array.dtype.kind not in "biufcmM":
        hint = f": choose a field, {array.dtype.names}" if array.dtype.names else ""
        raise TypeError(f"{name}: {array.dtype} cannot be plotted{hint}")
    parts = _parts(name, index, shape)
    rest = [length for part, length in zip(parts, shape, strict=True) if isinstance(part, slice)]
    most = {1: _MOST_POINTS, 2: _MOST_CELLS}.get(len(rest))
    if most is None:
        most = max(1, int(_MOST_VALUES ** (1 / max(1, len(rest)))))
    parts = [
        part if isinstance(part, int) else _thinned(part, length, most)
        for part, length in zip(parts, shape, strict=True)
    ]
    axes = [
        _along(dataset, number, part, length)
        for number, (part, length) in enumerate(zip(parts, shape, strict=True))
        if isinstance(part, slice)
    ]
    return name, np.asarray(array[tuple(parts)]), axes


def _parts(name: str, index: Any, shape: tuple[int, ...]) -> list[int | slice]:
    """One integer or slice for each axis."""
    from memdata.mpiarray import sanitize_slice

    parts = list(sanitize_slice(index, len(shape)))
    checked: list[int | slice] = []
    for part, length in zip(parts, shape, strict=True):
        if isinstance(part, slice):
            checked.append(part)
        elif isinstance(part, int | np.integer) and -length <= part < length:
            checked.append(int(part) % length)
        else:
            raise IndexError(
                f"{name}: index= takes integers and slices inside the shape {shape}, not {part!r}"
            )
    return checked


def _thinned(part: slice, length: int, most: int) -> slice:
    """A slice with fewer elements, evenly spread."""
    start, stop, step = part.indices(length)
    step *= max(1, math.ceil(len(range(start, stop, step)) / most))
    return slice(start, stop if stop >= 0 else None, step)


def _along(dataset: Any, number: int, part: slice, length: int) -> _Axis:
    """What lies along an axis: its scale, the entry of the index map, or the numbers."""
    name, scale = _scale(dataset, number)
    offset = getattr(dataset, "local_offset", None)
    start = int(offset[number]) if offset is not None else 0
    label = name or f"axis {number}"
    if scale is None:
        return _Axis(np.arange(start, start + length)[part], label)
    values = np.asarray(scale[()])
    if values.ndim != 1 or len(values) < start + length:
        return _Axis(np.arange(start, start + length)[part], label)
    values = values[start : start + length][part]
    if values.dtype.names:
        field = _best_field(values.dtype)
        values, label = values[field], f"{label} ({field})"
    return _Axis(values, label + _units(scale))


def _units(dataset: Any) -> str:
    """The units of a dataset, in brackets; empty where nothing is said."""
    units = getattr(dataset, "attrs", {}).get("units")
    return f" [{text(units)}]" if isinstance(units, str | bytes) and units else ""


def _scale(dataset: Any, number: int) -> tuple[str, Any]:
    """The name of an axis, and the dataset along it."""
    dims = getattr(dataset, "dims", None)
    if dims is not None and len(dims) > number and len(dims[number]):
        scale = dims[number][0]
        return str(scale.name).rpartition("/")[2], scale
    names = getattr(dataset, "attrs", {}).get("axis")
    if names is None or isinstance(names, str | bytes) or len(names) <= number:
        return (dims[number].label if dims is not None and len(dims) > number else ""), None
    name = text(names[number])
    group = getattr(dataset, "parent", None)
    while group is not None:
        path = f"index_map/{name}"
        if path in group:
            return name, group[path]
        group = None if group.name == "/" else group.parent
    return name, None


def _best_field(dtype: Any) -> str:
    """The field of a structured axis to show: of floating point if there is one."""
    names = list(dtype.names)
    return str(next((name for name in names if dtype[name].kind == "f"), names[0]))


def _title(dataset: Any, name: str) -> str:
    where = str(getattr(dataset, "name", None) or name)
    comm = getattr(dataset, "comm", None)
    if getattr(dataset, "distributed", False) and comm is not None and comm.size > 1:
        where += f", rank {comm.rank} of {comm.size}"
    return where


# ---- how -----------------------------------------------------------------------------------------


def _line(
    ax: Any, quantity: _Quantity, data: Any, axes: list[_Axis], log: bool, kw: dict[str, Any]
) -> None:
    (axis,) = axes
    along = _positions(ax.xaxis, axis)
    if data.dtype.kind == "c":
        ax.plot(along, data.real, **{"label": "real", **kw})
        ax.plot(along, data.imag, **{"label": "imaginary", **kw})
        ax.legend()
    else:
        ax.plot(along, data, **kw)
    ax.set_xlabel(axis.label)
    ax.set_ylabel(quantity.name + quantity.units)
    if log:
        ax.set_yscale("log")


def _waterfall(
    ax: Any, quantity: _Quantity, data: Any, axes: list[_Axis], log: bool, kw: dict[str, Any]
) -> None:
    values, label = quantity.shown(data)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if log:
        kw.setdefault("norm", "log")
    elif finite.size and values.dtype.kind == "f":  # a spike or two do not hide the rest
        low, high = np.percentile(finite, [1, 99])
        kw.setdefault("vmin", low)
        kw.setdefault("vmax", high)
    vertical, horizontal = axes
    mesh = ax.pcolormesh(
        _positions(ax.xaxis, horizontal),
        _positions(ax.yaxis, vertical),
        values,
        **{"shading": "nearest", "rasterized": True, **kw},
    )
    ax.set_xlabel(horizontal.label)
    ax.set_ylabel(vertical.label)
    ax.figure.colorbar(mesh, ax=ax, label=label)


def _histogram(
    ax: Any, quantity: _Quantity, data: Any, _axes: list[_Axis], log: bool, kw: dict[str, Any]
) -> None:
    values, label = quantity.shown(data)
    values = np.ravel(values)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    ax.hist(values, **{"bins": 100, "log": log, "histtype": "stepfilled", **kw})
    ax.set_xlabel(label)
    ax.set_ylabel("number of values")


def _positions(side: Any, axis: _Axis) -> Any:
    """Where the elements are along an axis; texts stand at 0, 1, 2 ..."""
    values = axis.values
    if values.dtype.kind in "biufmM" and len(np.unique(values)) == len(values):
        return values
    places = np.arange(len(values))
    if values.dtype.kind not in "biufmM":
        shown = places[:: max(1, math.ceil(len(places) / 12))]
        side.set_ticks(shown, [text(values[place]) for place in shown])
    return places


_DRAW = {"line": (1, _line), "waterfall": (2, _waterfall), "histogram": (None, _histogram)}
