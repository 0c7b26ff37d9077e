"""Run by test_crash.py: saves over a file again and again, and is killed in the middle of each.

    killed_saves.py FILE ROUNDS SEED

The process that saves is a fresh copy of this one, killed with SIGKILL at a random moment of its
save. Prints one line of JSON: how often the file then held the old tree, how often the new one.
"""

import json
import os
import random
import signal
import sys
import time

from trees import tree, which

from memdata import MemGroup


def saving(group: MemGroup, path: str) -> int:
    """Start a process that saves; its number."""
    process = os.fork()
    if process == 0:
        try:
            group.to_file(path)
        except BaseException:  # noqa: BLE001 - the parent has to know of any
            os._exit(1)
        os._exit(0)
    return process


def killed(group: MemGroup, path: str, delay: float) -> bool:
    """Save in another process, and kill that after `delay` seconds; whether it came to its end."""
    process = saving(group, path)
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFEXITED(status)


def measured(path: str) -> float:
    """Seconds that such a save takes."""
    start = time.perf_counter()
    for _ in range(3):
        os.waitpid(saving(tree(0), path), 0)
    return (time.perf_counter() - start) / 3


def main(path: str, rounds: int, seed: int) -> None:
    """All rounds; what was found."""
    chance = random.Random(seed)
    folder, name = os.path.split(path)
    held = tree(0)
    held.to_file(path)
    duration = measured(path)
    counts = {"old": 0, "new": 0, "left behind": 0, "finished": 0}
    for number in range(1, rounds + 1):
        new = tree(number)
        finished = killed(new, path, chance.uniform(0, duration))
        left = [entry for entry in os.listdir(folder) if entry != name]
        assert len(left) <= (0 if finished else 1), left
        found = which(path, {number: new, int(held.attrs["number"]): held})
        assert found == number or (found == held.attrs["number"] and not finished), found
        counts["new" if found == number else "old"] += 1
        counts["left behind"] += len(left)
        counts["finished"] += finished
        duration *= 0.94 if finished else 1.02  # so that about one in four finishes
        held = new if found == number else held
    tree(-1).to_file(path)
    assert os.listdir(folder) == [name], os.listdir(folder)
    assert which(path, {-1: tree(-1)}) == -1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
