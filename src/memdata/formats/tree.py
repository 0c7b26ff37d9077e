"""The words in which file formats talk about trees: nodes, and plans made of them.

A plan is a list of nodes, parents before their children. A *source* (one per format) makes it
from what it holds. A *target* (one per format) adds, still without touching a file, how it will
store each node, and so finds what it cannot store. The steps that follow are in
`memdata.transfer`.

A new format is one module with a source and a target; see `Source` and `Target`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np

__all__ = [
    "NO_FILTERS",
    "SMALL",
    "DatasetNode",
    "Filters",
    "GroupNode",
    "LinkNode",
    "Node",
    "Options",
    "Plan",
    "Source",
    "StoredData",
    "Target",
]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

#: Datasets of at most so many bytes are read and written together with their header.
SMALL = 1 << 16


class Filters(NamedTuple):
    """How a dataset is cut and packed, in the words of h5py's ``create_dataset``."""

    chunks: tuple[int, ...] | None = None
    compression: Any = None
    compression_opts: Any = None
    shuffle: bool = False
    fletcher32: bool = False
    scaleoffset: int | None = None


NO_FILTERS = Filters()


class StoredData(Protocol):
    """The elements of a dataset that is still in a file."""

    shape: Shape
    dtype: np.dtype[Any]
    file_name: str

    def piece_rows(self) -> int:
        """How many steps along the first axis are read together."""

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        """Read a part along the first axis, or all of a scalar."""

    def extent(self) -> tuple[int, int] | None:
        """Descriptor and offset, where the bytes lie in one piece as memory holds them."""


class GroupNode:
    """A group.

    Attributes
    ----------
    path : str
        Absolute, from the root of what is loaded, saved or copied.
    name : str
        The last part of the path; empty for the root.
    parent : GroupNode or None
        None for the root.
    attrs : dict
        The attributes as memory holds them.
    source : object
        What the node was made from.
    recipe : object
        How the target will store it; made while planning.
    place : object
        Where the target stored it; made while laying out.
    """

    __slots__ = ("attrs", "name", "parent", "path", "place", "recipe", "source")

    def __init__(self, path: str, name: str, parent: GroupNode | None, attrs: Any) -> None:
        self.path = path
        self.name = name
        self.parent = parent
        self.attrs = attrs
        self.source: Any = None
        self.recipe: Any = None
        self.place: Any = None


class DatasetNode(GroupNode):
    """A dataset.

    Attributes
    ----------
    shape : tuple of int or None
        Shape after a selection; None is a null dataspace.
    dtype : numpy.dtype
        Type in memory.
    array : ndarray or None
        The elements where they are in memory already: of a tree in memory, and of a file where
        they are so few that they are read together with their header.
    stored : StoredData or None
        Else the elements in the file. None beside ``array=None``: created empty.
    filters : Filters
        Chunks, compression and the like.
    """

    __slots__ = ("array", "dtype", "filters", "shape", "stored")

    def __init__(
        self,
        path: str,
        name: str,
        parent: GroupNode | None,
        attrs: Any,
        shape: Shape | None,
        dtype: np.dtype[Any],
        filters: Filters = NO_FILTERS,
    ) -> None:
        super().__init__(path, name, parent, attrs)
        self.shape = shape
        self.dtype = dtype
        self.filters = filters
        self.array: Array | None = None
        self.stored: StoredData | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the elements in memory."""
        if self.shape is None:
            return 0
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


class LinkNode(GroupNode):
    """A second name of a node that comes earlier in the plan."""

    __slots__ = ("target",)

    def __init__(self, path: str, name: str, parent: GroupNode, target: GroupNode) -> None:
        super().__init__(path, name, parent, None)
        self.target = target


Node = GroupNode


class Options:
    """What the caller asked for."""

    __slots__ = (
        "convert_attribute_strings",
        "convert_dataset_strings",
        "extra_attrs",
        "selections",
        "skip_distributed",
        "sort",
    )

    def __init__(
        self,
        *,
        convert_dataset_strings: bool = False,
        convert_attribute_strings: bool = True,
        selections: dict[str, Any] | None = None,
        extra_attrs: Any = None,
        skip_distributed: bool = False,
        sort: bool = True,
    ) -> None:
        self.convert_dataset_strings = convert_dataset_strings
        self.convert_attribute_strings = convert_attribute_strings
        self.selections = selections or {}
        self.extra_attrs = dict(extra_attrs or {})
        self.skip_distributed = skip_distributed
        self.sort = sort


class Plan:
    """All nodes of one job, and what is left out.

    Attributes
    ----------
    nodes : list of Node
        The first is the root; parents come before children.
    skipped : list of (path, reason)
        What a file holds and cannot be loaded.
    distributed : list of str
        Paths of distributed datasets that will be created empty.
    """

    __slots__ = ("distributed", "nodes", "skipped", "what")

    def __init__(self, what: str, nodes: list[Node]) -> None:
        self.what = what
        self.nodes = nodes
        self.skipped: list[tuple[str, str]] = []
        self.distributed: list[str] = []

    def datasets(self) -> Iterable[DatasetNode]:
        """The datasets in order."""
        return (node for node in self.nodes if isinstance(node, DatasetNode))


class Source(Protocol):
    """A tree to be read, in memory or in an open file."""

    def plan(self, options: Options) -> Plan:
        """Walk the tree."""

    def close(self) -> None:
        """Let go of what the source opened."""


class Target(Protocol):
    """Where a plan is carried out, in memory or in an open file."""

    def prepare(self, plan: Plan, options: Options) -> None:
        """Write down how each node will be stored; raises for what cannot be."""

    def lay_out(self, plan: Plan) -> list[DatasetNode]:
        """Make groups, attributes and datasets; returns the datasets still without content."""

    def write_rows(self, node: DatasetNode, start: int, stop: int, part: Array) -> None:
        """Write a part along the first axis, or all of a scalar."""

    def finish(self, plan: Plan) -> None:
        """What can only be done when all content is there."""
