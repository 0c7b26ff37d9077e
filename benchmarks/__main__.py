"""``python -m benchmarks``: measure, and print the table."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from pathlib import Path

from .harness import FULL, QUICK, Effort, NotHereError, Outcome, Row, Subject
from .report import Machine, MarkdownTable, TextTable, store_figures, write_json

#: The modules that declare rows, in the order of the table. Each has a `Subject` named ``subject``.
SUBJECTS = (
    "importing",
    "lookups",
    "creating",
    "copying",
    "arrays",
    "attributes",
    "files",
    "chunks",
    "distributed",
    "ranks",
)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure memdata against plain dicts, arrays and files. A ratio is our best "
        "time over the best time of the plain way, in the same run. Files are made in the folder "
        "for temporary files (set TMPDIR to choose).",
    )
    parser.add_argument(
        "-k", metavar="PATTERN", default="", help="only rows whose subject or name holds this text"
    )
    parser.add_argument("--quick", action="store_true", help="fewer samples: seconds, more noise")
    parser.add_argument("--markdown", action="store_true", help="print a table for the README")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all samples to FILE")
    parser.add_argument(
        "--store",
        metavar="FILE",
        type=Path,
        help="also put the figures into FILE, beside other rows: docs/speeds.json for the docs",
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    return parser


def select(pattern: str) -> list[tuple[Subject, list[Row]]]:
    """Subjects with those of their rows that the pattern asks for."""
    wanted = pattern.casefold()
    chosen = []
    for module in SUBJECTS:
        subject: Subject = importlib.import_module(f".{module}", __package__).subject
        where = f"{module} {subject.title}".casefold()
        rows = [row for row in subject.rows if wanted in f"{where} {row.name}".casefold()]
        if rows:
            chosen.append((subject, rows))
    return chosen


def measure(subject: Subject, row: Row, effort: Effort) -> Outcome:
    """Measure a row; one that fails does not hide the others."""
    try:
        return Outcome(subject, row, row.measure(effort))
    except NotHereError as reason:
        return Outcome(subject, row, None, f"not measured: {reason}")
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        return Outcome(subject, row, None, f"FAILED: {type(error).__name__}")


def main(argv: list[str] | None = None) -> int:
    options = arguments().parse_args(argv)
    chosen = select(options.k)
    if not chosen:
        print(f"no row holds {options.k!r}", file=sys.stderr)
        return 2
    machine = Machine.this()
    table = MarkdownTable() if options.markdown else TextTable(subject for subject, _ in chosen)
    outcomes: list[Outcome] = []
    if machine.warning:
        print(machine.warning, file=sys.stderr)
    print("\n".join(table.head(machine)), flush=True)
    for subject, rows in chosen:
        print("\n".join(table.title(subject)), flush=True)
        for row in rows:
            outcomes.append(measure(subject, row, QUICK if options.quick else FULL))
            print("\n".join(table.row(outcomes[-1])), flush=True)
    if options.json:
        write_json(options.json, machine, outcomes)
    if options.store:
        store_figures(options.store, machine, outcomes)
    measured = [outcome for outcome in outcomes if outcome.timing is not None]
    if not options.markdown:
        print(f"\n{sum(o.met for o in measured)} of {len(outcomes)} targets met")
    broken = any(outcome.trouble.startswith("FAILED") for outcome in outcomes)
    return int(broken or (options.check and not all(outcome.met for outcome in measured)))


if __name__ == "__main__":
    sys.exit(main())
