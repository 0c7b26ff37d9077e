"""Comparing trees: in memory, in HDF5 files, in zarr stores, any with any.

Both sides are planned as for a copy (`memdata.formats.tree`), so what is compared is what would be
copied. Elements are read in pieces, the same piece of both sides at a time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memdata import _cmemdata, fileformats
from memdata.formats import differing
from memdata.formats.differing import Count
from memdata.formats.selections import narrowed

if TYPE_CHECKING:
    from memdata.formats.tree import Node, Plan

__all__ = ["Difference", "Differences", "diff", "equal"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

#: What a file says of how it was saved, and no tree has of its own.
_HINTS = ("__memh5_distributed_file", "__memh5_distributed_dset", "__memh5_distributed_axis")
_SUBCLASS = "__memh5_subclass"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between two trees.

    Attributes
    ----------
    path : str
        Where: a path from the root of what is compared.
    what : str
        ``"missing"``, ``"kind"`` (a group here, a dataset there), ``"link"``, ``"shape"``,
        ``"dtype"``, ``"values"``, ``"attribute"``, ``"filters"``, ``"unreadable"``.
    text : str
        The difference for a reader, without the path.
    count : int
        Of values: how many elements differ; else 1.
    first : tuple of int or None
        Of values: the index of the first element that differs.
    largest : float or int or None
        Of numbers: the largest absolute difference; None where none has one (NaN beside a number).

    Examples
    --------
    >>> import memdata
    >>> for found in memdata.diff(np.array([1, 2, 3]), np.array([1, 5, 5])):
    ...     print(found.path, found.what, found.count, found.first, found.largest)
    / values 2 (1,) 3
    """

    path: str
    what: str
    text: str
    count: int = 1
    first: Shape | None = None
    largest: Any = None

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Differences(Sequence[Difference]):
    """What `diff` has found; true if there is any difference.

    Parameters
    ----------
    a, b : str
        Names of the two sides.
    found : sequence of Difference
        In the order of the tree.

    Examples
    --------
    >>> import memdata
    >>> tree, other = memdata.MemGroup(), memdata.MemGroup()
    >>> _ = tree.create_dataset("obs/vis", data=np.arange(3.0))
    >>> _ = other.create_dataset("obs/vis", data=np.array([0.0, 1.5, 2.0]))
    >>> differences = memdata.diff(tree, other)
    >>> bool(differences), len(differences), differences[0].first
    (True, 1, (1,))
    >>> print(differences)
    --- a group in memory
    +++ a group in memory
    /obs/vis: 1 of 3 elements differs, at (1,): 1.0 and 1.5; largest difference 0.5
    """

    __slots__ = ("_found", "a", "b")

    def __init__(self, a: str, b: str, found: Sequence[Difference] = ()) -> None:
        self.a = a
        self.b = b
        self._found = tuple(found)

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, index: Any) -> Any:
        return self._found[index]

    def __str__(self) -> str:
        if not self._found:
            return f"{self.a} and {self.b} are equal"
        return "\n".join([f"--- {self.a}", f"+++ {self.b}", *map(str, self._found)])

    def __repr__(self) -> str:
        count = len(self._found)
        return f"<{count} difference{'s' * (count != 1)} between {self.a} and {self.b}>"


class _Rules(NamedTuple):
    """What counts as a difference; see `diff`."""

    rtol: float
    atol: float
    types: bool
    attributes: bool
    links: bool
    filters: bool


def diff(
    a: Any,
    b: Any,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    types: bool = True,
    attributes: bool = True,
    links: bool = True,
    filters: bool = False,
) -> Differences:
    """Compare two trees, or two datasets.

    Parameters
    ----------
    a, b : group, dataset or file name
        Each a group or dataset in memory, an array, a container, the name of an HDF5 file or zarr
        store, an open h5py group or dataset, or an open zarr group.
    rtol, atol : float
        Numbers x and y are equal if ``abs(x - y) <= atol + rtol * abs(y)``. NaN is equal to NaN,
        NaT to NaT.
    types : bool
        Whether dtypes, byte order too, have to be the same. Attributes of two trees of one kind
        have to have the same type then; between kinds those are the same that one becomes in the
        other (a list in memory is an array in HDF5).
    attributes, links : bool
        Whether attributes are compared, and which names are links to what.
    filters : bool
        Whether chunks and compression are compared.

    Returns
    -------
    Differences
        A sequence of `Difference`, empty if there is none. What is missing on one side is one
        difference, with all below it. The order of names does not matter, nor whether and how
        datasets are distributed.

    Raises
    ------
    TypeError
        `a` or `b` is nothing that can be compared.
    OSError
        A file that cannot be read.
    ValueError
        Trees that are distributed over different ranks.

    Notes
    -----
    Elements are read in pieces of some 16 MiB; neither side is loaded whole. If a side is
    distributed the comparison is collective: each rank compares its parts, and all ranks get the
    same answer.

    Examples
    --------
    >>> import tempfile, memdata
    >>> tree = memdata.MemGroup()
    >>> tree.create_dataset("vis", data=np.arange(4.0)).attrs["units"] = "Jy"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tree.to_hdf5(folder + "/x.h5")
    ...     print(len(memdata.diff(tree, folder + "/x.h5")))
    ...     tree["vis"][1] = 7.0
    ...     tree["vis"].attrs["units"] = "K"
    ...     for difference in memdata.diff(tree, folder + "/x.h5"):
    ...         print(difference)
    0
    /vis: attribute 'units': 'K' and 'Jy'
    /vis: 1 of 4 elements differs, at (1,): 7.0 and 1.0; largest difference 6.0
    """
    rules = _Rules(float(rtol), float(atol), types, attributes, links, filters)
    found = list(_compare(a, b, rules))
    return Differences(_label(a), _label(b), found)


def equal(a: Any, b: Any, **rules: Any) -> bool:
    """Whether two trees, or two datasets, are equal.

    Parameters
    ----------
    a, b, **rules
        As for `diff`.

    Returns
    -------
    bool
        False where `diff` would find a difference.

    Notes
    -----
    On one rank it stops at the first difference.

    Examples
    --------
    >>> import memdata
    >>> memdata.equal(np.array([1.0, np.nan]), np.array([1.001, np.nan]), rtol=0.01)
    True
    """
    known = {name: rules.pop(name) for name in _Rules._fields if name in rules}
    if rules:
        raise TypeError(f"equal() takes no {', '.join(sorted(rules))}")
    defaults = _Rules(0.0, 0.0, True, True, True, False)
    return next(_compare(a, b, defaults._replace(**known)), None) is None


def _label(side: Any) -> str:
    if isinstance(side, str | bytes | os.PathLike):
        return os.fsdecode(side)
    name = getattr(side, "name", None)
    file = getattr(getattr(side, "file", None), "filename", None)
    if isinstance(file, str):
        return file if name == "/" else f"{file}: {name}"
    kind = "a dataset" if hasattr(side, "dtype") else "a group"
    store = getattr(side, "store", None)
    if store is not None:
        return f"{store}: {name}"
    where = f" {name}" if isinstance(name, str) and name not in {"", "/"} else ""
    return f"{kind} in memory{where}"


# ---- the two sides ----


class _Side:
    """A tree, planned.

    Attributes
    ----------
    kind : str
        ``"memory"``, ``"hdf5"`` or ``"zarr"``.
    nodes : dict of str to Node
        By path.
    """

    def __init__(self, kind: str, source: Any, plan: Plan, nodes: list[tuple[str, Node]]) -> None:
        self.kind = kind
        self.source = source
        self.nodes = dict(nodes)
        self.skipped = dict(plan.skipped)

    def target(self, path: str) -> Node:
        """The node, of a further name that which it is a name of."""
        node: Any = self.nodes[path]
        while _kind(node) == "hard link":
            node = node.target
        found: Node = node
        return found

    def names(self) -> dict[str, str]:
        """For each path the first of all names of the same node."""
        first: dict[int, str] = {}
        for path in self.nodes:
            key = id(self.target(path))
            first[key] = min(first.get(key, path), path)
        return {path: first[id(self.target(path))] for path in self.nodes}


def _kind(node: Node) -> str:
    from memdata.formats.tree import DatasetNode, LinkNode

    if isinstance(node, DatasetNode):
        return "dataset"
    if isinstance(node, LinkNode):
        return "hard link"
    link = getattr(node, "link", None)
    if link is not None:
        return "external link" if hasattr(link, "filename") else "soft link"
    return "named type" if hasattr(node, "dtype") else "group"


def _options(comm: Any) -> Any:
    from memdata.formats.tree import Options

    # Hints: those of the attributes stay away, and distributed datasets are planned as parts.
    return Options(convert_attribute_strings=False, comm=comm, hints=False, keep_links=True)


@contextlib.contextmanager
def _opened(side: Any, comm: Any) -> Iterator[_Side]:
    options = _options(comm)
    if isinstance(side, str | bytes | os.PathLike):
        from memdata.transfer.load import file_name, opener_of_file

        name = file_name(side)
        chosen = fileformats.guess_file_format(name)
        with opener_of_file(name, chosen, {})() as source:
            kind = "zarr" if chosen is fileformats.Zarr else "hdf5"
            yield _planned(kind, source, options)
    elif isinstance(side, _cmemdata._Storage | _cmemdata._BaseGroup) or hasattr(
        side, "create_group"
    ):
        yield _group_side(side, options)
    else:
        yield _dataset_side(side, options)


def _planned(kind: str, source: Any, options: Any) -> _Side:
    plan = source.plan(options)
    return _Side(kind, source, plan, [(node.path, node) for node in plan.nodes])


def _group_side(side: Any, options: Any) -> _Side:
    from memdata.copying import _node_of
    from memdata.formats.memory import MemorySource
    from memdata.transfer.load import source_of_group

    node = _node_of(side)
    if isinstance(node, _cmemdata._Storage):
        return _planned("memory", MemorySource(node), options)
    kind = "zarr" if type(node).__module__.partition(".")[0] == "zarr" else "hdf5"
    return _planned(kind, source_of_group(node), options)


def _dataset_side(side: Any, options: Any) -> _Side:
    from memdata.formats.memory import MemorySource

    if type(side).__module__.partition(".")[0] == "h5py" and hasattr(side, "parent"):
        from memdata.formats.hdf5_read import HDF5Source

        source = HDF5Source(side.parent)
        plan = source.plan_dataset("/" + side.name.rpartition("/")[2], options)
        return _Side("hdf5", source, plan, [("/", plan.nodes[1])])
    if isinstance(side, np.ndarray | np.generic):
        side = _cmemdata.MemDatasetCommon.from_numpy_array(np.asarray(side))
    if not isinstance(side, _cmemdata.MemDataset):
        raise TypeError(
            f"not a group, dataset, array or file name but a {type(side).__name__}: {side!r:.80}"
        )
    storage = _cmemdata._Storage()
    storage["dataset"] = side
    memory = MemorySource(storage)
    plan = memory.plan(options)
    return _Side("memory", memory, plan, [("/", plan.nodes[1])])


def _communicator(a: Any, b: Any) -> Any:
    """The communicator of the side that is distributed; None where none is."""
    from memdata.formats.memory import same_ranks

    comms = [
        side.comm
        for side in (a, b)
        if getattr(side, "distributed", False) and getattr(side, "comm", None) is not None
    ]
    if len(comms) == 2 and not same_ranks(*comms):
        raise ValueError("the two sides are distributed over different communicators")
    return comms[0] if comms else None


# ---- comparing ----


def _compare(a: Any, b: Any, rules: _Rules) -> Iterator[Difference]:
    from memdata.transfer.ranks import Ranks

    ranks = Ranks(_communicator(a, b))
    with contextlib.ExitStack() as stack:
        with ranks.together("comparing"):
            left = stack.enter_context(_opened(a, ranks.comm))
            right = stack.enter_context(_opened(b, ranks.comm))
        steps = _structure(left, right, rules)
        if ranks.comm is None:
            for step in steps:
                if isinstance(step, Difference):
                    yield step
                else:
                    yield from _values(step, left, right, rules)
        else:
            yield from _together(list(steps), left, right, rules, ranks)


def _together(
    steps: list[Difference | str], left: _Side, right: _Side, rules: _Rules, ranks: Any
) -> Iterator[Difference]:
    """The differences that rank 0 has found, and those of the parts of all ranks. Collective."""
    for step in ranks.share(steps):
        if isinstance(step, Difference):
            yield step
            continue
        x: Any = left.target(step)
        y: Any = right.target(step)
        count = None
        if x.part is None and y.part is None:
            with ranks.together(f"comparing {step}"):
                if ranks.first:
                    count = _counted(left, x, right, y, rules)
            count = ranks.share(count)
        else:
            x, y = _cut_alike(x, y, ranks)
            with ranks.together(f"comparing {step}"):
                count = _counted(left, x, right, y, rules)
            count = differing.merged(ranks.allgather(count))
        if count.differing:
            yield _value_difference(step, count)


def _cut_alike(x: Any, y: Any, ranks: Any) -> tuple[Any, Any]:
    """The two datasets, cut alike; one of them is redistributed if it has to be. Collective."""
    if x.part is None or y.part is None:
        return x, y
    if all(ranks.allgather(x.part == y.part)):
        return x, y
    axis = x.part.axis
    if all(ranks.allgather(y.part.axis == axis)):
        axis = (axis + 1) % len(x.shape)  # cut in unusual places: there and back again
        x = _redistributed(x, axis, ranks)
    y = _redistributed(y, axis, ranks)
    if not all(ranks.allgather(x.part == y.part)):
        y = _redistributed(_redistributed(y, (axis + 1) % len(x.shape), ranks), axis, ranks)
        x = _redistributed(_redistributed(x, (axis + 1) % len(x.shape), ranks), axis, ranks)
    return x, y


def _redistributed(node: Any, axis: int, ranks: Any) -> Any:
    from memdata.formats.tree import DatasetNode, Part
    from memdata.mpiarray import MPIArray
    from memdata.ranks import exchange

    part = node.part
    array = MPIArray._from_local(
        node.array, part.axis, ranks.comm, node.shape[part.axis], part.start
    )
    array = exchange.redistribute(array, axis)
    result = DatasetNode(node.path, node.name, None, node.attrs, node.shape, node.dtype)
    start = array.local_offset[axis]
    result.part = Part(axis, start, start + array.local_shape[axis])
    result.array = array.local_array
    return result


def _structure(left: _Side, right: _Side, rules: _Rules) -> Iterator[Difference | str]:
    """All but the values; the paths of datasets whose values can be compared."""
    names = (left.names(), right.names()) if rules.links else ({}, {})
    gone: list[str] = []
    for path in _paths(left, right):
        if any(path.startswith(above) for above in gone):
            continue
        missing = _missing(path, left, right)
        if missing is not None:
            gone.append(path.rstrip("/") + "/")
            yield missing
            continue
        if path not in left.nodes:  # what neither side could read
            continue
        if names[0].get(path) != names[1].get(path):
            texts = [_named_text(side.get(path), path) for side in names]
            yield Difference(path, "link", f"{texts[0]} and {texts[1]}")
        x, y = left.target(path), right.target(path)
        kinds = _kind(x), _kind(y)
        if kinds[0] != kinds[1]:
            gone.append(path.rstrip("/") + "/")
            yield Difference(path, "kind", f"a {kinds[0]} and a {kinds[1]}")
            continue
        if kinds[0] == "group" and names[0].get(path, path) != path != "/":
            gone.append(path.rstrip("/") + "/")  # compared under its first name
            continue
        yield from _node_differences(
            path, x, y, left.kind if left.kind == right.kind else "", rules
        )


def _paths(left: _Side, right: _Side) -> list[str]:
    paths = {**left.nodes, **left.skipped}
    paths.update({path: None for path in [*right.nodes, *right.skipped] if path not in paths})
    return sorted(paths, key=lambda path: path.split("/") if path != "/" else [])


def _named_text(first: str | None, path: str) -> str:
    return "a node of its own" if first == path else f"another name of {first}"


def _missing(path: str, left: _Side, right: _Side) -> Difference | None:
    here, there = path in left.nodes, path in right.nodes
    if here and there:
        return None
    reasons = left.skipped.get(path), right.skipped.get(path)
    if not here and not there and reasons[0] == reasons[1]:
        return None
    sides = []
    for side, reason in zip((left, right), reasons, strict=True):
        if path in side.nodes:
            kind = _kind(side.nodes[path])
            sides.append(f"a{'n' * (kind[0] in 'aeiou')} {kind}")
        else:
            sides.append("nothing" if reason is None else f"unreadable ({reason})")
    what = "missing" if reasons == (None, None) else "unreadable"
    below = sum(other.startswith(path + "/") for other in {**left.nodes, **right.nodes})
    more = f", with {below} below" if below else ""
    return Difference(path, what, f"{sides[0]} and {sides[1]}{more}")


def _node_differences(
    path: str, x: Any, y: Any, both: str, rules: _Rules
) -> Iterator[Difference | str]:
    if rules.attributes and x.attrs is not None and y.attrs is not None:
        level = differing.EXACT if both else differing.BETWEEN_KINDS
        level = level if rules.types else differing.VALUES
        here, there = x.attrs, y.attrs
        if both == "hdf5" and level == differing.EXACT:
            here, there = _attributes_of_file(x), _attributes_of_file(y)
        yield from _attribute_differences(path, here, there, level)
    kind = _kind(x)
    if kind in {"soft link", "external link"} and rules.links:
        texts = [_link_text(node.link) for node in (x, y)]
        if texts[0] != texts[1]:
            yield Difference(path, "link", f"{texts[0]} and {texts[1]}")
    if kind not in {"dataset", "named type"}:
        return
    if rules.types and not differing.same_type(x.dtype, y.dtype, bool(both)):
        texts = [differing.type_text(node.dtype) for node in (x, y)]
        yield Difference(path, "dtype", f"dtype {texts[0]} and {texts[1]}")
    if kind == "named type":
        return
    if rules.filters and x.filters != y.filters:
        yield Difference(path, "filters", _filters_text(x.filters, y.filters))
    if x.shape != y.shape:
        texts = ["empty" if node.shape is None else f"shape {node.shape}" for node in (x, y)]
        yield Difference(path, "shape", f"{texts[0]} and {texts[1]}")
    elif x.shape is not None and differing.comparable(x.dtype, y.dtype):
        yield path


def _attributes_of_file(node: Any) -> dict[str, Any]:
    """The attributes of a node, with the types that the file has."""
    attrs = dict(node.attrs)
    attrs.update({name: found.item for name, found in node.creation.get("attributes", {}).items()})
    return attrs


def _link_text(link: Any) -> str:
    file = getattr(link, "filename", None)
    return f"a link to {link.path}" if file is None else f"a link to {file}: {link.path}"


def _filters_text(x: Any, y: Any) -> str:
    fields = [name for name in x._fields if getattr(x, name) != getattr(y, name)]
    return "; ".join(f"{name} {getattr(x, name)} and {getattr(y, name)}" for name in fields)


def _attribute_differences(
    path: str, x: Mapping[str, Any], y: Mapping[str, Any], level: int
) -> Iterator[Difference]:
    for name in sorted({**x, **y}, key=str):
        if name in _HINTS or (name == _SUBCLASS and (name in x) != (name in y)):
            continue
        texts = [differing.short(side[name]) if name in side else "nothing" for side in (x, y)]
        if name in x and name in y:
            if differing.same_value(x[name], y[name], level):
                continue
            if texts[0] == texts[1]:
                texts = [f"{texts[0]} ({differing.kind_text(side[name])})" for side in (x, y)]
        yield Difference(path, "attribute", f"attribute {name!r}: {texts[0]} and {texts[1]}")


# ---- values ----


def _values(path: str, left: _Side, right: _Side, rules: _Rules) -> Iterator[Difference]:
    x: Any = left.target(path)
    y: Any = right.target(path)
    count = _counted(left, x, right, y, rules)
    if count.differing:
        yield _value_difference(path, count)


def _value_difference(path: str, count: Count) -> Difference:
    verb = "element differs" if count.total == 1 else "elements differ"
    if count.differing == 1:
        text = f"1 of {count.total} elements differs, at {count.first}"
    else:
        text = f"{count.differing} of {count.total} {verb}, first at {count.first}"
    text += f": {count.texts[0]} and {count.texts[1]}"
    if count.largest is not None:
        text += f"; largest difference {count.largest}"
    return Difference(path, "values", text, count.differing, count.first, count.largest)


def _counted(left: _Side, x: Any, right: _Side, y: Any, rules: _Rules) -> Count:
    """Compare the elements of two datasets, or of this rank's parts of them, piece by piece."""
    part = x.part or y.part
    shape = x.shape if part is None else part.shape(x.shape)
    offset = [0] * len(shape)
    if part is not None:
        offset[part.axis] = part.start
    fetch_x, rows_x = _fetcher(left, x, part)
    fetch_y, rows_y = _fetcher(right, y, part)
    result = Count()
    itemsize = max(x.dtype.itemsize, y.dtype.itemsize)
    for block in differing.blocks(shape, itemsize, max(rows_x, rows_y)):
        start = tuple(begin + cut.start for begin, cut in zip(offset, block, strict=True))
        found = differing.counted(fetch_x(block), fetch_y(block), start, rules.rtol, rules.atol)
        result = differing.merged([result, found])
    return result


def _fetcher(side: _Side, node: Any, part: Any) -> tuple[Callable[[Any], Array], int]:
    """What gives a block of a dataset, or of a part of it; and how many rows it likes to give."""
    if node.array is not None:
        array = node.array
        if part is not None and node.part is None:
            array = array[part.where()]
        return (lambda block: np.asarray(array[block])), 1
    options = _options(None)
    stored = node.stored
    base: tuple[slice, ...] | None = None
    if part is not None:
        base = narrowed(None, node.shape, part.axis, part.start, part.stop, node.path)
        stored = side.source.stored(node, base, options)

    def fetch(block: tuple[slice, ...]) -> Array:
        lengths = tuple(cut.stop - cut.start for cut in block)
        out = np.zeros(lengths, node.dtype)
        if lengths[1:] == tuple(stored.shape[1:]):
            stored.read_rows(block[0].start, block[0].stop, out)
        else:
            index = list(block)
            if part is not None:
                cut = block[part.axis]
                index[part.axis] = slice(cut.start + part.start, cut.stop + part.start)
            side.source.stored(node, tuple(index), options).read_rows(0, lengths[0], out)
        return out

    return fetch, stored.piece_rows()
