"""Find damage in files: read everything, and check what the file keeps checksums of."""

from __future__ import annotations

import argparse
from typing import Any

from memdata.cli.output import print_json, wants_progress
from memdata.cli.targets import Target, opened

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("files", nargs="+", metavar="FILE[/PATH]", help="HDF5 files or zarr stores")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the exit code")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    found = []
    for text in options.files:
        try:
            with opened(text) as (item, target):
                damage, datasets = _read_all(item, target, wants_progress(options.quiet))
        except FileNotFoundError:
            raise
        except OSError as error:
            damage, datasets = [("/", str(error))], 0
        found.append({"file": text, "datasets": datasets, "damage": [*map(_pair, damage)]})
        if options.json or options.quiet:
            continue
        from memdata.show.words import amount, printable

        for path, reason in damage:
            print(f"{text}: {printable(path)}: {printable(reason)}")
        if not damage:
            print(f"{text}: {amount(datasets, 'dataset')}, all can be read")
    if options.json:
        print_json(found)
    return int(any(one["damage"] for one in found))


def _pair(one: tuple[str, str]) -> dict[str, str]:
    return {"path": one[0], "reason": one[1]}


def _read_all(item: Any, target: Target, show: bool) -> tuple[list[tuple[str, str]], int]:
    """Read every element; what cannot be read, and how many datasets there are."""
    import numpy as np

    from memdata.formats.tree import Options
    from memdata.progress import Progress
    from memdata.transfer.load import source_of_group

    if hasattr(item, "dtype"):
        return _read_one(item, target)
    plan = source_of_group(item, copying=True).plan(Options(keep_links=True))
    damage = list(plan.skipped)
    nodes = list(plan.datasets())
    total = sum(node.nbytes for node in nodes)
    with Progress(f"reading {target.file}", total, show) as bar:
        for node in nodes:
            if node.stored is None:
                bar.advance(node.nbytes)
                continue
            try:
                rows, length = node.stored.piece_rows(), node.shape[0] if node.shape else 1
                for start in range(0, length, rows):
                    stop = min(start + rows, length)
                    shape = (stop - start, *node.shape[1:]) if node.shape else ()
                    part = np.zeros(shape, node.dtype)
                    node.stored.read_rows(start, stop, part)
                    bar.advance(part.nbytes)
            except (OSError, RuntimeError, ValueError) as error:
                damage.append((node.path, str(error)))
    return damage, len(nodes)


def _read_one(item: Any, target: Target) -> tuple[list[tuple[str, str]], int]:
    try:
        for start in range(max(1, item.shape[0] if item.shape else 1)):
            item[start : start + 1] if item.shape else item[()]
    except (OSError, RuntimeError, ValueError) as error:
        return [(target.path, str(error))], 1
    return [], 1
