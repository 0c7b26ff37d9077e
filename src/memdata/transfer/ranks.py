"""The ranks that do a job together; one rank alone is the simplest case of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata.formats.tree import (
    DatasetNode,
    GroupNode,
    LinkNode,
    Node,
    Plan,
    PointerNode,
    TypeNode,
)
from memdata.ranks import calls, collective
from memdata.ranks.private import private

if TYPE_CHECKING:
    from memdata.progress import ProgressLike

__all__ = ["Cut", "Ranks", "described", "plan_facts", "share_plan"]

Array = np.ndarray[Any, Any]
Bounds = list[tuple[int, int]]

#: Bytes of objects that are pickled at once.
_PIECE = 64 << 20


class Ranks:
    """The ranks of a communicator, or one rank alone.

    Parameters
    ----------
    comm : communicator or None
        None, or one of one rank: nothing is exchanged.

    Attributes
    ----------
    comm : communicator or None
        None for one rank alone.
    rank, size : int
        This rank, and how many there are.
    first : bool
        Whether this is rank 0, which lays files out and plans what is read from them.
    """

    def __init__(self, comm: Any = None) -> None:
        alone = comm is None or collective.check_communicator(comm).size == 1
        self.comm = None if alone else comm
        self.rank = 0 if alone else comm.rank
        self.size = 1 if alone else comm.size
        self.first = self.rank == 0

    @property
    def link(self) -> Any:
        """A communicator of the same ranks for our own messages. Collective at first use."""
        return private(self.comm, "beginning").comm

    def together(self, what: str) -> Any:
        """A step that may fail on some ranks; then all raise. See `collective.together`."""
        return collective.together(self.comm, what)

    def share(self, value: Any) -> Any:
        """What rank 0 has, on all ranks."""
        if self.comm is None:
            return value
        return calls.bcast(self.link, value, "waiting for what rank 0 has")

    def allgather(self, value: Any) -> list[Any]:
        """The values of all ranks, on all ranks."""
        if self.comm is None:
            return [value]
        return calls.allgather(self.link, value, "waiting for what the other ranks have")

    def share_array(self, array: Array) -> None:
        """Fill the array on all ranks with what it is on rank 0; shapes and types are the same."""
        if self.comm is None or not array.size:
            return
        if array.dtype.hasobject:
            rows = array.reshape(-1)
            step = max(1, _PIECE // array.itemsize)
            for start in range(0, rows.size, step):
                rows[start : start + step] = self.share(rows[start : start + step])
            return
        calls.bcast_array(self.link, array, "waiting for what rank 0 has")

    def shown(self, show: ProgressLike) -> ProgressLike:
        """Whether this rank shows progress: rank 0 does for all."""
        return show if self.first else False

    def bounds(self, nodes: list[DatasetNode]) -> dict[str, Bounds]:
        """Where the part of every rank begins and ends, by path.

        Raises
        ------
        ValueError
            On all ranks: the parts leave gaps, overlap or do not follow the order of the ranks.
        """
        parts = [node.part for node in nodes]
        if self.comm is None or not nodes:
            return {}
        mine = [(part.start, part.stop) for part in parts if part is not None]
        everybody = self.allgather(mine)
        result = {}
        for node, part, all_parts in zip(nodes, parts, zip(*everybody, strict=True), strict=True):
            assert part is not None
            assert node.shape is not None
            edge = 0
            for start, stop in all_parts:
                if start != edge:
                    raise ValueError(
                        f"{node.path}: the parts of the ranks do not follow each other along axis "
                        f"{part.axis}: {list(all_parts)}"
                    )
                edge = stop
            if edge != node.shape[part.axis]:
                raise ValueError(
                    f"{node.path}: the parts of the ranks end at {edge}, the dataset at "
                    f"{node.shape[part.axis]}"
                )
            result[node.path] = list(all_parts)
        return result


def described(dtype: np.dtype[Any]) -> str:
    """A type as text that is the same on all ranks."""
    return str(dtype) if dtype.names is None else str(dtype.descr)


def plan_facts(plan: Plan) -> dict[str, Any]:
    """What must be the same in the plans of all ranks, by path."""
    facts: dict[str, Any] = {}
    for node in plan.nodes:
        if isinstance(node, DatasetNode):
            axis = None if node.part is None else node.part.axis
            filters = "" if not any(node.filters) else repr(tuple(node.filters))
            facts[node.path] = ("dataset", node.shape, described(node.dtype), axis, filters)
        elif isinstance(node, LinkNode):
            facts[node.path] = ("link", node.target.path)
        elif isinstance(node, PointerNode):
            link = node.link
            facts[node.path] = (type(link).__name__, getattr(link, "filename", ""), link.path)
        elif isinstance(node, TypeNode):
            facts[node.path] = ("type", described(node.dtype))
        else:
            facts[node.path] = "group"
    return facts


@dataclass(slots=True)
class Cut:
    """How a dataset of a file is distributed.

    Attributes
    ----------
    axis : int
        The axis in the file.
    result_axis : int
        The axis of what a selection makes of it.
    file : str
        The file, where the elements lie in it in one piece as in memory.
    offset : int or None
        Where they lie there; None where they do not.
    plain : bool
        Whether the elements lie in the file as in memory, so that each rank moves its own.
    """

    axis: int
    result_axis: int
    file: str = ""
    offset: int | None = None
    plain: bool = False


def share_plan(
    plan: Plan | None, cuts: dict[str, Cut], ranks: Ranks
) -> tuple[Plan, dict[str, Cut]]:
    """Rank 0's plan on all ranks, without what only rank 0 can have open."""
    if ranks.comm is None:
        assert plan is not None
        return plan, cuts
    records = _records(plan) if plan is not None else []
    records, cuts = ranks.share((records, cuts))
    return (_plan_of(records) if plan is None else plan), cuts


def _records(plan: Plan) -> list[tuple[Any, ...]]:
    number = {id(node): index for index, node in enumerate(plan.nodes)}
    records: list[tuple[Any, ...]] = []
    for node in plan.nodes:
        place = (node.path, node.name, number.get(id(node.parent)))
        if isinstance(node, DatasetNode):
            what = (node.attrs, dict(node.creation), node.shape, node.dtype, tuple(node.filters))
            records.append((*place, "dataset", *what, node.array, node.selected))
        elif isinstance(node, LinkNode):
            records.append((*place, "link", number[id(node.target)]))
        elif isinstance(node, PointerNode):
            records.append((*place, "pointer", node.link))
        elif isinstance(node, TypeNode):
            records.append((*place, "type", node.attrs, dict(node.creation), node.dtype))
        else:
            records.append((*place, "group", node.attrs, dict(node.creation)))
    return records


def _plan_of(records: list[tuple[Any, ...]]) -> Plan:
    from memdata.formats.tree import NO_FILTERS, Filters

    nodes: list[Node] = []
    for path, name, above, kind, *rest in records:
        parent = None if above is None else nodes[above]
        if kind == "dataset":
            attrs, creation, shape, dtype, filters, array, selected = rest
            chosen = Filters(*filters) if any(filters) else NO_FILTERS
            node = DatasetNode(path, name, parent, attrs, shape, dtype, chosen)
            node.array, node.selected, node.creation = array, selected, creation
            nodes.append(node)
        elif kind == "link":
            assert parent is not None
            nodes.append(LinkNode(path, name, parent, nodes[rest[0]]))
        elif kind == "pointer":
            assert parent is not None
            nodes.append(PointerNode(path, name, parent, rest[0]))
        else:
            if kind == "type":
                assert parent is not None
                other: Node = TypeNode(path, name, parent, rest[0], rest[2])
            else:
                other = GroupNode(path, name, parent, rest[0])
            other.creation = rest[1]
            nodes.append(other)
    return Plan("loading", nodes)
