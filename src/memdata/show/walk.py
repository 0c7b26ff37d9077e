"""Walking a tree for a picture of it: a part of it, if it is large, and circles only once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from memdata.show.facts import Facts, children_of, facts_of, identity

__all__ = ["Entry", "Limits", "walk"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a tree is shown.

    Attributes
    ----------
    depth : int or None
        Levels below the root.
    each : int or None
        Children of one group.
    all : int or None
        Nodes together.
    """

    depth: int | None = None
    each: int | None = None
    all: int | None = None


@dataclass(slots=True)
class Entry:
    """A node of the picture.

    Attributes
    ----------
    facts : Facts
    children : list of Entry
    hidden : int
        Children that are there and not shown.
    """

    facts: Facts
    children: list[Entry] = field(default_factory=list)
    hidden: int = 0

    def all(self) -> Iterator[Entry]:
        """Itself and everything below, in order."""
        stack = [self]
        while stack:
            entry = stack.pop()
            yield entry
            stack.extend(reversed(entry.children))


def walk(item: Any, limits: Limits | None = None, name: str = "", path: str = "/") -> Entry:
    """The picture's nodes.

    A group that is met a second time, under another name or inside itself, is a reference to
    where it was shown first.
    """
    limits = limits or Limits()
    root = Entry(facts_of(item, name, path))
    if root.facts.kind != "group":
        return root
    seen = {identity(item): path}
    left = limits.all
    level = [root]
    depth = 0
    while level and (limits.depth is None or depth < limits.depth):
        below: list[Entry] = []
        for entry in level:
            at = entry.facts.path.rstrip("/")
            for number, (child_name, child) in enumerate(children_of(entry.facts.item)):
                if (limits.each is not None and number >= limits.each) or left == 0:
                    entry.hidden = entry.facts.children - len(entry.children)
                    break
                found = Entry(facts_of(child, child_name, f"{at}/{child_name}"))
                entry.children.append(found)
                left = None if left is None else left - 1
                if found.facts.kind == "group":
                    first = seen.setdefault(identity(child), found.facts.path)
                    if first == found.facts.path:
                        below.append(found)
                    else:
                        found.facts.words = f"same as {first}"
        level = below
        depth += 1
    for entry in level:
        entry.hidden = entry.facts.children
    return root
