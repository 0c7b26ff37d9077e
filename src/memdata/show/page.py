"""HTML for notebooks: a tree that folds, attributes, corners of arrays, who holds what.

Everything that comes from data is escaped, and nothing here is a script. Colours are taken from the
notebook's own where it has names for them, and otherwise from the browser's light or dark theme.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from html import escape
from typing import Any

import numpy as np

from memdata.show import words
from memdata.show.describing import array_of, kind_words, rank_words, rows_of
from memdata.show.facts import Facts, facts_of
from memdata.show.treetext import shape_of
from memdata.show.walk import Entry, Limits, walk

__all__ = ["page"]

_LIMITS = Limits(each=100, all=1000)

#: Previews are made for so many datasets; more would make the notebook large.
_PREVIEWS = 100
_ATTRIBUTES = 50
_RANKS = 64

#: Colours that read well on white and on black.
_LIGHT = """--md-group:#0b5fc2;--md-shape:#1a7f37;--md-type:#8a5a00;--md-rank:#8250df;
--md-here:rgba(130,80,223,.3);--md-bad:#cf222e;--md-dim:rgba(110,118,129,.95)"""
_DARK = """--md-group:#79b8ff;--md-shape:#7ee787;--md-type:#e3b341;--md-rank:#d2a8ff;
--md-here:rgba(210,168,255,.3);--md-bad:#ff7b72;--md-dim:rgba(160,168,179,.95)"""

#: Notebooks and documentation say in these ways which theme they show; else the browser does.
_STYLE = f"""
.memdata{{{_LIGHT};--md-line:rgba(127,127,127,.35);--md-box:rgba(127,127,127,.1);
color:var(--jp-content-font-color1,inherit);font-size:13px;line-height:1.5;text-align:left}}
@media (prefers-color-scheme:dark){{.memdata{{{_DARK}}}}}
[data-jp-theme-light="true"] .memdata,html[data-theme="light"] .memdata,
body[data-theme="light"] .memdata,html[theme="light"] .memdata,.vscode-light .memdata{{{_LIGHT}}}
[data-jp-theme-light="false"] .memdata,html[data-theme="dark"] .memdata,
body[data-theme="dark"] .memdata,html[theme="dark"] .memdata,.vscode-dark .memdata{{{_DARK}}}
"""
_STYLE += """
.memdata ul{list-style:none;margin:0 0 0 .45em;padding:0 0 0 .9em;
border-left:1px solid var(--md-line)}
.memdata li{margin:0;padding:0}
.memdata summary{cursor:pointer}
.memdata li.md-leaf{padding-left:1.05em}
.memdata .md-group{color:var(--md-group);font-weight:600}
.memdata .md-name{font-weight:600}
.memdata .md-shape{color:var(--md-shape);font-family:monospace}
.memdata .md-type{color:var(--md-type);font-family:monospace}
.memdata .md-rank{color:var(--md-rank)}
.memdata .md-bad{color:var(--md-bad)}
.memdata .md-dim{color:var(--md-dim)}
.memdata .md-more{margin:.1em 0 .4em 1.2em}
.memdata table{border-collapse:collapse;margin:.1em 0;background:transparent;
color:inherit;font:inherit}
.memdata tr,.memdata tr:nth-child(even){background:transparent}
.memdata td{text-align:left;vertical-align:top;padding:0 .8em 0 0;border:0;white-space:normal;
overflow-wrap:anywhere}
.memdata td:first-child{color:var(--md-dim);white-space:nowrap}
.memdata pre{margin:.3em 0;padding:.3em .6em;background:var(--md-box);color:inherit;overflow-x:auto;
font-size:12px;line-height:1.35;border:0}
.memdata .md-ranks{display:flex;max-width:36em;margin:.3em 0;border:1px solid var(--md-rank)}
.memdata .md-ranks>span{border-right:1px solid var(--md-rank);text-align:center;overflow:hidden;
font-size:11px;white-space:nowrap;min-width:0;box-sizing:border-box}
.memdata .md-ranks>span:last-child{border-right:0}
.memdata .md-ranks>.md-here{background:var(--md-here);font-weight:600}
"""


def page(item: Any) -> str:
    """The HTML of a group, dataset or array."""
    path = getattr(item, "name", None) or ""
    root = walk(item, _LIMITS, path=path if path.startswith("/") else "/")
    previews = iter(range(_PREVIEWS))
    if root.facts.kind == "group":
        body = _group_page(root, item, previews)
    else:
        facts = facts_of(item, path.rpartition("/")[2], path)
        title = f'<span class="md-name">{_safe(path)}</span> ' if path else ""
        head = f'{title}<span class="md-dim">{escape(kind_words(item))}</span>'
        body = f"<div>{head}</div>{_details(facts, previews)}"
    return f'<div class="memdata"><style>{_STYLE}</style>{body}</div>'


def _safe(text: str) -> str:
    return escape(words.printable(text))


def _group_page(root: Entry, item: Any, previews: Iterator[int]) -> str:
    facts = root.facts
    entries = [entry.facts for entry in root.all()][1:]
    total = words.size(sum(one.nbytes for one in entries))
    said = f"{kind_words(item)}, {words.amount(facts.children, 'child', 'children')}, {total}"
    if any(entry.hidden for entry in root.all()):
        said += " shown"
    name = f'<span class="md-group">{_safe(facts.path)}</span>'
    head = f'{name} <span class="md-dim">{escape(said)}</span>'
    return (
        f"<details open><summary>{head}</summary>{_attributes(facts)}"
        f"{_children(root, previews, 0)}</details>"
    )


def _children(entry: Entry, previews: Iterator[int], depth: int) -> str:
    """The list of what is in a group; of deep trees the upper levels, browsers nest no more."""
    if depth > 60:
        count = words.amount(len(entry.children), "child", "children")
        return f'<ul><li class="md-dim">{count}</li></ul>'
    rows = [_child(child, previews, depth) for child in entry.children]
    if entry.hidden:
        what = words.plural(entry.hidden, "child", "children")
        text = f"… and {entry.hidden} more {what}" if rows else f"{entry.hidden} {what}"
        rows.append(f'<li class="md-leaf md-dim">{text}</li>')
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _child(entry: Entry, previews: Iterator[int], depth: int) -> str:
    facts = entry.facts
    name = _safe(facts.name)
    if facts.kind == "dataset":
        head = f'<span class="md-name">{name}</span> {_dataset_words(facts)}'
        return f"<li><details><summary>{head}</summary>{_details(facts, previews)}</details></li>"
    if facts.kind == "group" and not facts.words:
        inner = _attributes(facts) + _children(entry, previews, depth + 1)
        head = f'<span class="md-group">{name}/</span>'
        if not inner:
            return f'<li class="md-leaf">{head} <span class="md-dim">empty</span></li>'
        shown = " open" if depth < 1 and len(entry.children) <= 20 else ""
        count = words.amount(facts.children, "child", "children")
        head += f' <span class="md-dim">{count}</span>'
        return f"<li><details{shown}><summary>{head}</summary>{inner}</details></li>"
    style = "md-bad" if facts.kind == "unreadable" else "md-dim"
    label = {"type": "named type ", "unreadable": "cannot be read: "}.get(facts.kind, "")
    text = f'<span class="{style}">{label}{_safe(facts.words)}</span>'
    return f'<li class="md-leaf"><span class="md-name">{name}</span> {text}</li>'


def _dataset_words(facts: Facts) -> str:
    found = [("md-shape", shape_of(facts)), ("md-type", words.type_words(facts.dtype))]
    if facts.shape is not None:
        found.append(("md-dim", words.size(facts.nbytes)))
    found.append(("", facts.units))
    found.append(("md-rank", facts.ranks))
    found.append(("md-dim", facts.packing))
    return " ".join(f'<span class="{style}">{_safe(text)}</span>' for style, text in found if text)


def _details(facts: Facts, previews: Iterator[int]) -> str:
    said = [row for row in rows_of(facts) if row[0] != "attributes"]
    made = f'<div class="md-more">{_table(said)}{_ranks(facts)}'
    if next(previews, None) is not None:
        made += _preview(facts)
    return f"{made}</div>{_attributes(facts)}"


def _attributes(facts: Facts) -> str:
    shown = itertools.islice(facts.attrs.items(), _ATTRIBUTES)
    rows = [(words.one_line(str(name), 40), words.value(found, 200)) for name, found in shown]
    more = len(facts.attrs) - len(rows)
    if more > 0:
        rows.append(("…", f"and {words.amount(more, 'attribute')} more"))
    if not rows:
        return ""
    return f'<div class="md-more"><span class="md-dim">attributes</span>{_table(rows)}</div>'


def _table(rows: list[tuple[str, str]]) -> str:
    cells = (f"<tr><td>{_safe(name)}</td><td>{_safe(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(cells)}</table>"


def _preview(facts: Facts) -> str:
    """The corners of an array."""
    try:
        array = array_of(facts)
        if array is None or array.ndim == 0 or array.size == 0:
            return ""
        text = np.array2string(array, threshold=40, edgeitems=3, precision=5, max_line_width=88)
    except Exception:  # noqa: BLE001 - `values` says what is wrong
        return ""
    if len(text) > 4000:
        text = text[:4000] + " …"
    lines = "\n".join(words.printable(line) for line in text.split("\n"))
    return f"<pre>{escape(lines)}</pre>"


def _ranks(facts: Facts) -> str:
    """A bar for the distributed axis, cut as it is cut over the ranks."""
    spread = facts.spread
    if spread is None or not spread.length:
        return ""
    shown = min(spread.ranks, _RANKS)
    groups = [(k * spread.ranks // shown, (k + 1) * spread.ranks // shown) for k in range(shown)]
    cells = []
    for first, end in groups:
        start, stop = spread.bounds(first)[0], spread.bounds(end - 1)[1]
        if start == stop:
            continue
        here = ' class="md-here"' if first <= spread.rank < end else ""
        who = f"rank {first}" if end == first + 1 else f"ranks {first} to {end - 1}"
        text = f"{first}: {start}:{stop}" if shown <= 8 else str(first) if shown <= 16 else "&nbsp;"
        width = 100 * (stop - start) / spread.length
        cells.append(
            f'<span{here} style="width:{width:.3f}%" title="{who}: {start}:{stop}">{text}</span>'
        )
    label = f'<span class="md-rank">{_safe(rank_words(facts))}</span>'
    return f'{label}<div class="md-ranks">{"".join(cells)}</div>'
