"""The words in which file formats talk about trees: nodes, and plans made of them.

A plan is a list of nodes, parents before their children. A *source* (one per format) makes it
from what it holds. A *target* (one per format) adds, still without touching a file, how it will
store each node, and so finds what it cannot store. The steps that follow are in
`memdata.transfer`.

A new format is one module with a source and a target; see `Source` and `Target`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from memdata.threads import thread_count

__all__ = [
    "MOST_DEEP",
    "NOTHING",
    "NO_FILTERS",
    "SMALL",
    "Copier",
    "DatasetNode",
    "Filters",
    "GroupNode",
    "LinkNode",
    "Node",
    "Options",
    "Part",
    "Plan",
    "PointerNode",
    "Source",
    "StoredData",
    "Target",
    "TypeNode",
    "lines_of",
    "rows_together",
    "too_deep",
]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

#: Groups inside of each other that are loaded and saved. Each has its path, so the memory that
#: they take grows with the square of this.
MOST_DEEP = 4096


def too_deep(path: str) -> str:
    """What is wrong with a tree of more levels."""
    return f"{path[:60]}...: groups are nested more than {MOST_DEEP} deep"


#: What a file knows of how a node is made, where it says nothing special.
NOTHING: Mapping[str, Any] = MappingProxyType({})

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

    def grid(self) -> Shape:
        """Lengths along all axes of what is best read together: those of a chunk."""

    def read_box(self, box: tuple[slice, ...], out: Array) -> None:
        """Read a part with a beginning and an end along every axis."""

    def extent(self) -> tuple[int, int] | None:
        """Descriptor and offset, where the bytes lie in one piece as memory holds them."""

    def written(self) -> int:
        """How many bytes of elements were ever written, at most."""


class Copier(Protocol):
    """Copies packed elements from one file into another.

    With `whole`, the dataset itself is made by it: nobody here can read what is packed.
    """

    whole: bool

    def make(self, parent: Any, name: bytes, link: Any) -> Any:
        """Make the dataset, with its elements but without attributes."""

    def run(self, place: Any, advance: Callable[[int], object]) -> None:
        """Copy the elements into a dataset that has been made; tells how many bytes."""

    def origins(self) -> Iterable[Shape]:
        """Where the chunks begin that were ever written."""

    def chunk(self, origin: Shape) -> tuple[int, bytes]:
        """The mask and the packed bytes of a chunk."""


class Part(NamedTuple):
    """One rank's part of a distributed dataset.

    Attributes
    ----------
    axis : int
        The axis along which the dataset is cut.
    start, stop : int
        Where the part begins and ends along it.
    """

    axis: int
    start: int
    stop: int

    def shape(self, whole: Shape) -> Shape:
        """The shape of the part of an array of the shape `whole`."""
        return (*whole[: self.axis], self.stop - self.start, *whole[self.axis + 1 :])

    def where(self) -> tuple[slice, ...]:
        """NumPy index of the part in the whole array."""
        return (slice(None),) * self.axis + (slice(self.start, self.stop),)


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
    creation : mapping
        What files know and memory does not need, in the words of h5py's ``create_dataset``; see
        `memdata.formats.hdf5_creation`.
    source : object
        What the node was made from.
    recipe : object
        How the target will store it; made while planning.
    place : object
        Where the target stored it; made while laying out.
    """

    __slots__ = ("attrs", "creation", "name", "parent", "path", "place", "recipe", "source")

    def __init__(self, path: str, name: str, parent: GroupNode | None, attrs: Any) -> None:
        self.path = path
        self.name = name
        self.parent = parent
        self.attrs = attrs
        self.creation: Mapping[str, Any] = NOTHING
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
    part : Part or None
        Which part of a distributed dataset this rank has; then `array` is that part, and `shape`
        still the whole. None: every rank has it all.
    selected : (index, shape) or None
        The selection that `shape` is a result of, and the shape that it selects from.
    copy : Copier or None
        How the elements get from one file into another as they are, where source and target can.
    sharing : int
        So many ranks read the elements from their file and write them into another, each some
        tiles; 1 where one does it all. Such a dataset has no `part`.
    """

    __slots__ = (
        "array",
        "copy",
        "dtype",
        "filters",
        "part",
        "selected",
        "shape",
        "sharing",
        "stored",
    )

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
        self.part: Part | None = None
        self.selected: tuple[Any, Shape] | None = None
        self.copy: Copier | None = None
        self.sharing = 1

    @property
    def moved(self) -> int:
        """Bytes that this rank moves: of its part, or of all."""
        if self.part is None or self.shape is None:
            return self.nbytes // self.sharing
        return self.dtype.itemsize * math.prod(self.part.shape(self.shape))

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


class PointerNode(GroupNode):
    """A name that stands for a path, or for one in another file: a soft or external link.

    Attributes
    ----------
    link : h5py.SoftLink or h5py.ExternalLink
        Where it leads. Absolute paths start at the root of what is loaded, saved or copied.
    """

    __slots__ = ("link",)

    def __init__(self, path: str, name: str, parent: GroupNode, link: Any) -> None:
        super().__init__(path, name, parent, None)
        self.link = link


class TypeNode(GroupNode):
    """A named type.

    Attributes
    ----------
    dtype : numpy.dtype
        The type in memory; how the file has it is ``creation["type"]``.
    """

    __slots__ = ("dtype",)

    def __init__(
        self, path: str, name: str, parent: GroupNode, attrs: Any, dtype: np.dtype[Any]
    ) -> None:
        super().__init__(path, name, parent, attrs)
        self.dtype = dtype


Node = GroupNode


def rows_together(shape: Shape, row: int, chunks: Shape | None, limit: int = 16 << 20) -> int:
    """How many steps along the first axis are moved together.

    Some MiB, so that Ctrl-C stops a job soon and progress can be shown; of what is chunked whole
    chunks, some for each thread.

    Parameters
    ----------
    shape : tuple of int
        Not empty.
    row : int
        Bytes of a step.
    chunks : tuple of int or None
        Shape of a chunk.
    limit : int
        About so many bytes for each thread.
    """
    rows = max(1, limit // max(row, 1))
    if not chunks:
        return rows
    threads = thread_count()
    below = zip(shape[1:], chunks[1:], strict=True)
    across = max(1, math.prod(-(-length // max(chunk, 1)) for length, chunk in below))
    step = max(1, chunks[0])
    return max(rows * threads // step, -(-2 * threads // across), 1) * step


def run_shape(shape: Shape, itemsize: int, nbytes: int) -> Shape:
    """Lengths of a piece of about so many bytes that lies in one run."""
    tile = [1] * len(shape)
    for axis in range(len(shape) - 1, -1, -1):
        fitting = max(1, nbytes // max(itemsize, 1))
        tile[axis] = max(1, min(shape[axis], fitting))
        if tile[axis] < shape[axis]:
            break
        itemsize *= max(1, shape[axis])
    return tuple(tile)


class Options:
    """What the caller asked for.

    `comm` is the communicator of a job that several ranks do together, else None; `hints` says
    whether a save writes which datasets are distributed (None: the attributes stay as they are);
    `mover` how the parts of distributed datasets get there (see `memdata.transfer.mpio`).
    `strict` makes parts that cannot be loaded an error; `max_bytes` is how much a load may
    allocate, for datasets and attributes together, and the size of the largest chunk.
    `keep_links` says that the target has links: else soft and external ones are followed, or with
    `follow_external` only the external ones.
    `packed` says that the target has the source's format: what is packed may stay so.
    `tolerant` says that what is damaged is left out, as is what h5py cannot read; `keep_checksums`
    that the attributes with checksums are wanted, which are no part of a tree; `checksum` that a
    save adds them.
    `memory` is about how many bytes elements on their way from file to file may take in this
    process; None: see `memdata.transfer.tiles`.
    """

    __slots__ = (
        "checksum",
        "comm",
        "convert_attribute_strings",
        "convert_dataset_strings",
        "extra_attrs",
        "follow_external",
        "hints",
        "keep_checksums",
        "keep_links",
        "max_bytes",
        "memory",
        "mover",
        "packed",
        "selections",
        "skip_distributed",
        "sort",
        "strict",
        "tolerant",
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
        comm: Any = None,
        hints: bool | None = None,
        mover: str | None = None,
        strict: bool = False,
        max_bytes: int | None = None,
        keep_links: bool = False,
        packed: bool = False,
        follow_external: bool = False,
    ) -> None:
        self.convert_dataset_strings = convert_dataset_strings
        self.convert_attribute_strings = convert_attribute_strings
        self.selections = selections or {}
        self.extra_attrs = dict(extra_attrs or {})
        self.skip_distributed = skip_distributed
        self.sort = sort
        self.comm = comm
        self.hints = hints
        self.mover = mover
        self.strict = strict
        self.max_bytes = max_bytes
        self.keep_links = keep_links
        self.packed = packed
        self.follow_external = follow_external
        self.tolerant = False
        self.keep_checksums = False
        self.checksum = False
        self.memory: int | None = None


class Plan:
    """All nodes of one job, and what is left out.

    Attributes
    ----------
    nodes : list of Node
        The first is the root; parents come before children.
    skipped : list of (path, reason)
        What a file holds and cannot be loaded.
    replaced : list of (path, text)
        Filters that have no counterpart, and what stands for them.
    distributed : list of str
        Paths of distributed datasets that will be created empty.
    """

    __slots__ = ("distributed", "nodes", "replaced", "skipped", "what")

    def __init__(self, what: str, nodes: list[Node]) -> None:
        self.what = what
        self.nodes = nodes
        self.skipped: list[tuple[str, str]] = []
        self.replaced: list[tuple[str, str]] = []
        self.distributed: list[str] = []

    def what_is_missing(self) -> str:
        """What is left out and why, a line each."""
        return lines_of(self.skipped)

    def datasets(self) -> Iterable[DatasetNode]:
        """The datasets in order."""
        return (node for node in self.nodes if isinstance(node, DatasetNode))


def lines_of(found: list[tuple[str, str]]) -> str:
    """Paths and what is to be said of each, a line each."""
    lines = "".join(f"\n  {path}: {text}" for path, text in found[:50])
    more = len(found) - 50
    return f"{lines}\n  and {more} more" if more > 0 else lines


class Source(Protocol):
    """A tree to be read, in memory or in an open file."""

    def plan(self, options: Options) -> Plan:
        """Walk the tree."""

    def stored(self, node: DatasetNode, index: Any, options: Options) -> StoredData:
        """The elements that a NumPy index (None: all) selects of the dataset at ``node.path``."""

    def close(self) -> None:
        """Let go of what the source opened."""


class Target(Protocol):
    """Where a plan is carried out, in memory or in an open file."""

    def prepare(self, plan: Plan, options: Options) -> None:
        """Write down how each node will be stored; raises for what cannot be."""

    def lay_out(self, plan: Plan) -> list[DatasetNode]:
        """Make groups, attributes and datasets; returns the datasets still without content."""

    def grid(self, node: DatasetNode) -> Shape:
        """Lengths along all axes of what is best written together: those of a chunk."""

    def reads_zero(self, node: DatasetNode) -> bool:
        """Whether elements that are not written read as zero bytes afterwards."""

    def write_block(self, node: DatasetNode, index: tuple[slice, ...], part: Array) -> None:
        """Write a part: whole chunks, but at the end of an axis. All of a scalar."""

    def finish(self, plan: Plan) -> None:
        """What can only be done when all content is there."""
