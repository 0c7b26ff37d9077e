"""Run by test_crash.py with the shim preloaded: the power goes in the middle of a save.

    power_loss.py KIND DURABLE CUTS SEED

The calls of one save over a file are recorded. At each of CUTS moments the disk (disk.py) loses
what it may, and the file is looked at. Prints one line of JSON: how often it held the old tree,
the new one, or something else; and the same for the moment when the save had returned.
"""

import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from disk import LOSSES, Call, Disk, calls
from shim import Shim
from trees import KINDS, tree, which

TREES = {1: tree(1), 2: tree(2)}


def one_thread() -> None:
    """So that calls are recorded in the order in which they were made."""
    os.environ["MEMDATA_THREADS"] = "1"
    with contextlib.suppress(ImportError):
        import zarr

        if hasattr(zarr, "config"):
            zarr.config.set({"threading.max_workers": 1})


def recorded(name: str, durable: bool, folder: Path, notes: Path) -> list[Call]:
    """The calls of a save over an older file."""
    one_thread()
    shim = Shim()
    TREES[1].to_file(folder / name)
    TREES[2].to_file(notes / name)  # imports what is needed
    lines, data = str(notes / "lines"), str(notes / "data")
    before = notes / "before"
    shutil.copytree(folder, before)
    shim.record(str(folder), lines, data)
    TREES[2].to_file(folder / name, durable=durable)
    shim.stop()
    shutil.rmtree(folder)
    before.rename(folder)
    return calls(lines, data)


def lost(disk: Disk, name: str, loss: str, chance: random.Random) -> str:
    """What the file is after the power went; "old", "new" or what is wrong."""
    disk.lose_power(loss, chance)
    with tempfile.TemporaryDirectory() as folder:
        disk.restore(Path(folder))
        path = os.path.join(folder, name)
        found = {1: "old", 2: "new"}.get(which(path, TREES), "something else")
        left = set(os.listdir(folder)) - {name}
        if found != "something else":
            assert len(left) <= 1, left
            TREES[2].to_file(path)
            assert os.listdir(folder) == [name], os.listdir(folder)
            assert which(path, TREES) == 2
    return found


def main(kind: str, durable: bool, cuts: int, seed: int) -> None:
    """All cuts; what was found."""
    chance = random.Random(seed)
    counts = {"calls": 0, "old": 0, "new": 0, "something else": 0}
    returned = {"old": 0, "new": 0, "something else": 0}
    name = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as notes:
        made = recorded(name, durable, Path(folder), Path(notes))
        counts["calls"] = len(made)
        target = os.path.join(folder, name)
        replacing = next(index for index, call in enumerate(made) if call.other == target)
        for number in range(cuts):
            loss = LOSSES[number % len(LOSSES)]
            disk = Disk(Path(folder))
            cut = chance.randrange(len(made) + 1)
            if number % 2:  # near the moment that counts
                cut = max(0, min(len(made), replacing + chance.randint(-3, 8)))
            for call in made[:cut]:
                disk(call)
            counts[lost(disk, name, loss, chance)] += 1
        for loss in LOSSES:
            disk = Disk(Path(folder))
            for call in made:
                disk(call)
            returned[lost(disk, name, loss, chance)] += 1
    print(json.dumps({"during": counts, "after": returned}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "durable", int(sys.argv[3]), int(sys.argv[4]))
