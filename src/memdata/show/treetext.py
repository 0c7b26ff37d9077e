"""A tree as text: a line for each node, with what one wants to know of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from memdata.show import words
from memdata.show.text import Line, Span, width_of

if TYPE_CHECKING:
    from memdata.show.facts import Facts
    from memdata.show.walk import Entry

__all__ = ["dataset_words", "tree_lines"]

_WIDEST = 40


def dataset_words(facts: Facts) -> list[Span]:
    """What a line says of a dataset behind its name."""
    found: list[Span] = [("shape", shape_of(facts)), ("dtype", words.type_words(facts.dtype))]
    if facts.shape is not None:
        found.append(("size", words.size(facts.nbytes)))
    if facts.units:
        found.append(("units", facts.units))
    if facts.ranks:
        found.append(("ranks", facts.ranks))
    if facts.packing:
        found.append(("packing", facts.packing))
    return found


def shape_of(facts: Facts) -> str:
    """The shape, with the names of axes where they are known."""
    if facts.shape is None or not any(facts.axes):
        return words.shape_words(facts.shape)
    named = (
        f"{axis} {n}" if axis else str(n) for axis, n in zip(facts.axes, facts.shape, strict=True)
    )
    return f"({', '.join(named)})"


def tree_lines(root: Entry) -> Iterator[Line]:
    """The lines of a tree."""
    yield _root_line(root)
    stack: list[tuple[Entry, str, int]] = []
    prefix, entry, index = "", root, 0
    widths = {id(root): _widths(root)}
    while True:
        shown = entry.children
        if index < len(shown) + bool(entry.hidden):
            last = index == len(shown) + bool(entry.hidden) - 1
            fork, rest = ("└── ", "    ") if last else ("├── ", "│   ")
            if index == len(shown):
                what = "child", "children"
                more = (
                    f"… and {entry.hidden} more {words.plural(entry.hidden, *what)}"
                    if shown
                    else (words.amount(entry.hidden, *what))
                )
                yield [("frame", prefix + fork), ("note", more)]
                index += 1
                continue
            child = shown[index]
            yield [("frame", prefix + fork), *_line(child, widths[id(entry)])]
            index += 1
            if child.children or child.hidden:
                stack.append((entry, prefix, index))
                widths[id(child)] = _widths(child)
                prefix, entry, index = prefix + rest, child, 0
        elif stack:
            widths.pop(id(entry))
            entry, prefix, index = stack.pop()
        else:
            return


def _root_line(root: Entry) -> Line:
    facts = root.facts
    name = words.printable(facts.name or facts.path)
    if facts.kind != "group":
        return _line(root, [])
    entries = [entry.facts for entry in root.all()][1:]
    groups = sum(one.kind == "group" for one in entries)
    datasets = [one for one in entries if one.kind == "dataset"]
    said = f"{words.amount(len(datasets), 'dataset')}, {words.amount(groups, 'group')}"
    total = words.size(sum(one.nbytes for one in datasets))
    hidden = any(entry.hidden for entry in root.all())
    return [("group", name), ("note", f"  {said}, {total}{' shown' if hidden else ''}")]


def _widths(entry: Entry) -> list[int]:
    """Columns of the datasets in one group: name, shape, type, size."""
    rows = [_cells(child)[:4] for child in entry.children if child.facts.kind == "dataset"]
    count = max((len(row) for row in rows), default=0)
    return [
        min(max(width_of(row[k][1]) for row in rows if k < len(row)), _WIDEST) for k in range(count)
    ]


def _cells(entry: Entry) -> list[Span]:
    facts = entry.facts
    return [("dataset", words.printable(facts.name or facts.path)), *dataset_words(facts)]


def _line(entry: Entry, widths: list[int]) -> list[Span]:
    facts = entry.facts
    name = words.printable(facts.name)
    if facts.kind == "dataset":
        spans: list[Span] = []
        for number, (style, text) in enumerate(_cells(entry)):
            if number:
                spans.append(("", "  "))
            spans.append((style, text))
            if number < len(widths):
                spans.append(("", " " * max(widths[number] - width_of(text), 0)))
        return spans
    if facts.kind == "group":
        same = [("note", f"  {words.printable(facts.words)}")] if facts.words else []
        empty = [("note", "  empty")] if not facts.children and not same else []
        return [("group", name + "/"), *same, *empty]
    label = {"type": "named type ", "unreadable": "cannot be read: "}.get(facts.kind, "")
    return [
        (facts.kind, name),
        ("note" if facts.kind != "link" else "link", f"  {label}{facts.words}"),
    ]
