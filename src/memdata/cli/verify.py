"""Find damage in files: read everything, and compare it with the checksums that files keep.

Checksums are kept by ``convert --checksum`` and by saves with ``checksum=True``.
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from memdata.cli.output import damage_as_json, print_damage, print_json, wants_progress
from memdata.cli.targets import Target, opened, parsed

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode, Options, Plan
    from memdata.verifying import Verification

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("files", nargs="+", metavar="FILE[/PATH]", help="HDF5 files or zarr stores")
    parser.add_argument("-q", "--quiet", action="store_true", help="only the exit code")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata.show.words import amount

    found = []
    for text in options.files:
        result = _verified(text, wants_progress(options.quiet))
        found.append(result)
        if options.json or options.quiet:
            continue
        print_damage(text, result.damages)
        read = f"{amount(result.datasets, 'dataset')}, {result.checked} compared with checksums"
        damaged = "no damage" if result.ok else f"{amount(len(result.damages), 'place')} damaged"
        print(f"{text}: {read}: {damaged}")
    if options.json:
        print_json([*map(_as_json, found)])
    return int(not all(result.ok for result in found))


def _as_json(result: Verification) -> dict[str, Any]:
    return {
        "file": result.filename,
        "ok": result.ok,
        "datasets": result.datasets,
        "checked": result.checked,
        "nbytes": result.nbytes,
        "damages": [*map(damage_as_json, result.damages)],
    }


def _verified(text: str, show: bool) -> Verification:
    """Verify what an argument names."""
    from memdata import verify

    target = parsed(text)
    if target.path == "/":
        found = verify(target.file, file_format=target.file_format, progress=show)
    else:
        found = _part_verified(text, target, show)
    return dataclasses.replace(found, filename=text)


def _part_verified(text: str, target: Target, show: bool) -> Verification:
    """Verify a group with all below it, or a dataset."""
    from memdata.transfer.load import source_of_group
    from memdata.verifying import Damage, Verification, says_nothing, verified

    try:
        with opened(text) as (item, _target), opened(target.file) as (root, _target):
            if hasattr(item, "dtype"):
                return verified(_OneDataset(source_of_group(root), target.path), text, show)
            found = verified(source_of_group(item), text, show)
    except (OSError, RuntimeError, ValueError) as error:
        if says_nothing(error):
            raise
        return Verification(text, (Damage(target.path, "unreadable", str(error)),))
    damages = [
        dataclasses.replace(damage, path=target.path + damage.path.rstrip("/"))
        for damage in found.damages
    ]
    return dataclasses.replace(found, damages=tuple(damages))


class _OneDataset:
    """A source that has one dataset of another; see `memdata.formats.tree.Source`."""

    def __init__(self, source: Any, path: str) -> None:
        self._source = source
        self._path = path

    def plan(self, options: Options) -> Plan:
        plan: Plan = self._source.plan_dataset(self._path, options)
        return plan

    def stored(self, node: DatasetNode, index: Any, options: Options) -> Any:
        return self._source.stored(node, index, options)

    def close(self) -> None:
        self._source.close()
