"""The machine's particulars, and outcomes as text, Markdown and JSON."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

import memdata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .harness import Outcome, Subject


@dataclass(frozen=True)
class Machine:
    """Where the numbers were taken: without it they mean nothing."""

    processor: str
    system: str
    versions: str
    folder: str
    load: float  # programs that wanted a core when we began

    @classmethod
    def this(cls) -> Machine:
        cores = len(os.sched_getaffinity(0))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        release = ".".join(platform.release().split(".")[:2])  # the rest names the machine
        return cls(
            processor=f"{_processor()}, {cores} core{'s' * (cores != 1)}, {memory:.0f} GiB",
            system=f"{platform.system()} {release} {platform.machine()}",
            versions=(
                f"memdata {memdata.__version__}, {platform.python_implementation()} "
                f"{platform.python_version()}, numpy {np.__version__}, h5py {h5py.__version__}, "
                f"HDF5 {h5py.version.hdf5_version}"
            ),
            folder=_file_system(Path(tempfile.gettempdir())),
            load=os.getloadavg()[0],
        )

    def lines(self) -> list[str]:
        return [
            f"machine   {self.processor}",
            f"system    {self.system}; files on {self.folder}",
            f"versions  {self.versions}",
        ]

    @property
    def warning(self) -> str:
        """Why the numbers may be wrong, or nothing."""
        if self.load < 0.5:
            return ""
        return (
            f"warning: other programs are running (load {self.load:.1f}); they slow the longer "
            "of two statements more often than the shorter"
        )


def _processor() -> str:
    """Name of the processor; ``platform.processor()`` is empty on most Linux systems."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    """Kind of file system that holds `folder`."""
    best, kind = "", "an unknown file system"
    try:
        for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
            _device, place, this_kind, *_ = line.split()
            if folder.resolve().is_relative_to(place) and len(place) >= len(best):
                best, kind = place, this_kind
    except OSError:
        pass
    return kind


def seconds(time: float) -> str:
    """Seconds with three digits and a unit: 0.0000123 is ``12.3 us``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if time >= size:
            return f"{_three_digits(time / size)} {unit}"
    return f"{_three_digits(time / 1e-9)} ns"


def mebibytes(count: float) -> str:
    """Bytes with three digits: 1000000 is ``0.95 MiB``."""
    return f"{_three_digits(count / 2**20)} MiB"


def _three_digits(number: float) -> str:
    for digits in (2, 1):
        if number < 10 ** (3 - digits):
            return f"{number:.{digits}f}"
    return f"{number:.0f}"


HEADINGS = ("", "anchor", "memdata", "ratio", "target", "")


def _cells(outcome: Outcome) -> tuple[str, str, str, str, str, str]:
    target = f"{outcome.row.target:g}"
    timing = outcome.timing
    if timing is None:
        return outcome.row.name, "", "", "", target, outcome.trouble
    verdict = "met" if outcome.met else "MISSED"
    if not outcome.certain:
        verdict += f" (median {timing.median_ratio:.2f})"
    said = mebibytes if outcome.row.unit == "bytes" else seconds
    return (
        outcome.row.name,
        said(timing.best_anchor),
        said(timing.best_ours),
        f"{timing.ratio:.2f}",
        target,
        verdict,
    )


class TextTable:
    """Aligned columns, line by line as the outcomes come in."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self._width = max((len(row.name) for s in subjects for row in s.rows), default=0) + 2

    def _line(self, cells: tuple[str, ...]) -> str:
        name, anchor, ours, ratio, target, verdict = cells
        return f"{name:<{self._width}}{anchor:>9}{ours:>9}{ratio:>8}{target:>8}  {verdict}".rstrip()

    def head(self, machine: Machine) -> list[str]:
        return [*machine.lines(), "", self._line(HEADINGS)]

    def title(self, subject: Subject) -> list[str]:
        return [subject.title]

    def row(self, outcome: Outcome) -> list[str]:
        name, *rest = _cells(outcome)
        return [self._line((f"  {name}", *rest))]


class MarkdownTable:
    """A table for the README."""

    def head(self, machine: Machine) -> list[str]:
        return [
            f"{machine.processor}; {machine.system}, files on {machine.folder};",
            f"{machine.versions}.",
            "",
            "| | anchor | memdata | ratio | target | |",
            "|---|---:|---:|---:|---:|---|",
        ]

    def title(self, subject: Subject) -> list[str]:
        return [f"| **{subject.title}** | | | | | |"]

    def row(self, outcome: Outcome) -> list[str]:
        name, anchor, ours, ratio, target, verdict = _cells(outcome)
        return [f"| {name} | {anchor} | {ours} | {ratio} | ≤ {target} | {verdict} |"]


def write_json(path: Path, machine: Machine, outcomes: Iterable[Outcome]) -> None:
    """Everything that was measured, each sample in its row's unit, for programs."""
    rows = []
    for outcome in outcomes:
        entry = _figures(outcome)
        if outcome.timing is not None:
            entry["samples"] = {"anchor": outcome.timing.anchor, "ours": outcome.timing.ours}
        rows.append(entry)
    content = {
        "machine": vars(machine),
        "time": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "rows": rows,
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def store_figures(path: Path, machine: Machine, outcomes: Iterable[Outcome]) -> None:
    """Put what was measured, without the samples, beside the other rows of a file.

    Rows that another machine, or other versions, gave are left out: a table is of one place.
    """
    where = {name: value for name, value in vars(machine).items() if name != "load"}
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    rows = old["rows"] if old.get("machine") == where else []
    found = {(row["subject"], row["name"]): row for row in rows}
    for outcome in outcomes:
        found[outcome.subject.title, outcome.row.name] = _figures(outcome)
    today = dt.datetime.now(dt.UTC).date().isoformat()
    content = {"machine": where, "date": today, "rows": list(found.values())}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _figures(outcome: Outcome) -> dict[str, object]:
    """A row's statements, and its figures in its unit or why there are none."""
    row, timing = outcome.row, outcome.timing
    entry: dict[str, object] = {
        "subject": outcome.subject.title,
        "name": row.name,
        "target": row.target,
        "unit": row.unit,
        "met": outcome.met,
        "statements": {"before": row.before, "anchor": row.anchor, "ours": row.ours},
    }
    if timing is None:
        entry["trouble"] = outcome.trouble
    else:
        entry |= {
            "anchor": timing.best_anchor,
            "ours": timing.best_ours,
            "ratio": timing.ratio,
            "median_ratio": timing.median_ratio,
        }
    return entry
