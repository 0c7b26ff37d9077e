"""The page of speeds: tables and pictures of what `python -m benchmarks --store` has written.

In a page, the line ``<!-- speeds -->`` is replaced by a section for each subject. The pictures, one
for light pages and one for dark ones, go to ``_build/speeds`` and are drawn when figures change.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MARK = "<!-- speeds -->"
FIGURES = "speeds.json"
FOLDER = "_build/speeds"
COLOURS = {
    "light": {"text": "#1f2328", "grid": "#d0d7de", "met": "#0b6e99", "missed": "#c2410c"},
    "dark": {"text": "#ced6dd", "grid": "#3d444d", "met": "#58b6e0", "missed": "#ff9c5a"},
}


def put_speeds(app: Sphinx, _page: str, source: list[str]) -> None:
    """Replace the mark in a page that Sphinx is about to read."""
    if MARK not in source[0]:
        return
    figures = Path(app.srcdir, FIGURES)
    app.env.note_dependency(figures)
    content = json.loads(figures.read_text(encoding="utf-8"))
    folder = Path(app.srcdir, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_machine(content)]
    for subject, rows in itertools.groupby(content["rows"], lambda row: row["subject"]):
        parts.append(_section(subject, list(rows), folder, figures.stat().st_mtime))
    source[0] = source[0].replace(MARK, "\n\n".join(parts))


def _machine(content: dict[str, Any]) -> str:
    machine = content["machine"]
    return (
        f"Measured on {content['date']}: {machine['processor']}; {machine['system']}, files on "
        f"{machine['folder']}; {machine['versions']}."
    )


def _section(subject: str, rows: list[dict[str, Any]], folder: Path, changed: float) -> str:
    name = re.sub(r"\W+", "-", subject.casefold()).strip("-")
    lines = [f"## {subject}", ""]
    for mode, colours in COLOURS.items():
        picture = folder / f"{name}-{mode}.svg"
        if not picture.exists() or picture.stat().st_mtime < changed:
            _draw(rows, picture, colours)
        lines += [
            f"```{{image}} {FOLDER}/{picture.name}",
            f":alt: {subject}, as ratios; the table below has the numbers",
            f":class: only-{mode} speeds",
            "```",
            "",
        ]
    lines += ["| | anchor | memdata | ratio | target |", "|:--|--:|--:|--:|--:|"]
    lines += [_cells(row) for row in rows]
    lines += ["", ":::{dropdown} What is timed", "", "| | anchor | memdata |", "|:--|:--|:--|"]
    for row in rows:
        said = row["statements"]
        lines.append(f"| {row['name']} | {_code(said['anchor'])} | {_code(said['ours'])} |")
    return "\n".join([*lines, ":::"])


def _cells(row: dict[str, Any]) -> str:
    if "ratio" not in row:
        return f"| {row['name']} | | | | {row['trouble']} |"
    say = _bytes if row["unit"] == "bytes" else _seconds
    ratio = f"{row['ratio']:.2f}" if row["met"] else f"**{row['ratio']:.2f}**"
    target = f"≤ {row['target']:g}" + ("" if row["met"] else ", missed")
    return f"| {row['name']} | {say(row['anchor'])} | {say(row['ours'])} | {ratio} | {target} |"


def _code(statement: str) -> str:
    """A statement of a row, in a cell of a table."""
    line = "; ".join(line.strip() for line in statement.strip().splitlines())
    return "`" + line.replace("|", "\\|") + "`"


def _seconds(time: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if time >= size:
            return f"{time / size:.3g} {unit}"
    return f"{time / 1e-9:.3g} ns"


def _bytes(count: float) -> str:
    return f"{count / 2**20:.3g} MiB"


def _draw(rows: list[dict[str, Any]], picture: Path, colours: dict[str, str]) -> None:
    """A line for each row, from the anchor (1) to memdata's ratio; a tick is the target."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    shown = [row for row in rows if "ratio" in row][::-1]
    ink = colours["text"]
    settings = {"svg.fonttype": "none", "svg.hashsalt": picture.name, "font.size": 9}
    with mpl.rc_context({**settings, **dict.fromkeys(("text.color", "axes.labelcolor"), ink)}):
        figure, axes = plt.subplots(figsize=(8.4, 0.75 + 0.26 * len(shown)), layout="constrained")
        axes.set_xscale("log", base=2)
        for y, row in enumerate(shown):
            colour = colours["met" if row["met"] else "missed"]
            axes.plot([1, row["ratio"]], [y, y], color=colour, linewidth=4, solid_capstyle="butt")
            axes.plot(row["ratio"], y, "o", color=colour, markersize=6)
            axes.plot(row["target"], y, "|", color=ink, markersize=9, markeredgewidth=1.6)
        axes.axvline(1, color=ink, linewidth=0.8)
        ends = [value for row in shown for value in (row["ratio"], row["target"])]
        axes.set_xlim(min(0.5, *ends) / 1.15, max(2.0, *ends) * 1.15)
        axes.set_yticks(range(len(shown)), [row["name"] for row in shown])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("time or memory, as a multiple of the anchor's; | is the target")
        axes.grid(axis="x", color=colours["grid"], linewidth=0.5)
        axes.tick_params(colors=ink, length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        figure.savefig(picture, transparent=True, metadata={"Date": None})
        plt.close(figure)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.connect("source-read", put_speeds)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
