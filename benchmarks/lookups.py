"""Finding things in a tree, against nested dicts of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memdata import MemDataset, MemGroup

from .harness import Names, Subject
from .material import HUNDRED, both

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

subject = Subject("Look-ups, against dicts in dicts")


@subject.row(
    "dataset, path of three parts", anchor='d["a"]["b"]["c"]', ours='g["a/b/c"]', target=3.5
)
def dataset_by_path() -> Iterator[Names]:
    nested, group = both(["a/b/c"])
    assert isinstance(group["a/b/c"], MemDataset)
    yield {"d": nested, "g": group}


@subject.row("group, path of three parts", anchor='d["a"]["b"]["c"]', ours='g["a/b/c"]', target=3.5)
def group_by_path() -> Iterator[Names]:
    nested, group = both(["a/b/c/d"])
    assert isinstance(group["a/b/c"], MemGroup)
    yield {"d": nested, "g": group}


@subject.row("in, path of three parts", anchor='"c" in d["a"]["b"]', ours='"a/b/c" in g', target=3)
def membership_of_path() -> Iterator[Names]:
    nested, group = both(["a/b/c"])
    yield {"d": nested, "g": group}


@subject.row("in, one name", anchor='"a" in d', ours='"a" in g', target=3)
def membership_of_name() -> Iterator[Names]:
    nested, group = both(["a"])
    yield {"d": nested, "g": group}


@subject.row(
    "10 children with .items()",
    anchor="for name, child in d.items(): pass",
    ours="for name, child in g.items(): pass",
    target=6,
)
def items() -> Iterator[Names]:
    nested, group = both([f"dataset{i}" for i in range(10)])
    assert list(group) == list(nested)
    yield {"d": nested, "g": group}


def walk_dicts(node: dict[str, Any]) -> Iterator[np.ndarray]:
    for child in node.values():
        if isinstance(child, dict):
            yield from walk_dicts(child)
        else:
            yield child


def walk_groups(node: MemGroup) -> Iterator[MemDataset]:
    for child in node.values():
        if isinstance(child, MemGroup):
            yield from walk_groups(child)
        else:
            yield child


@subject.row(
    "walking 100 datasets in 10 groups",
    anchor="for leaf in walk_dicts(d): pass",
    ours="for leaf in walk_groups(g): pass",
    target=8,
)
def walking() -> Iterator[Names]:
    nested, group = both(HUNDRED)
    assert sum(1 for _ in walk_groups(group)) == sum(1 for _ in walk_dicts(nested)) == 100
    yield {"d": nested, "g": group, "walk_dicts": walk_dicts, "walk_groups": walk_groups}
