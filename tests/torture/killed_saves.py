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

import numpy as np

from memdata import MemGroup


def tree(number):
    """A tree with all kinds of content, whose values tell which one it is."""
    group = MemGroup()
    group.attrs["number"] = number
    group.create_dataset("large", data=np.full(200_000, number, "f8"))
    group.create_dataset(
        "packed", data=np.full((300, 300), number), chunks=(100, 100), compression="gzip"
    )
    for index in range(20):
        group.create_group(f"groups/{index}").attrs["number"] = number
        group.create_dataset(f"small/{index}", data=np.full(10, number))
    return group


def number_of(path):
    """Which tree the file holds; AssertionError if it is not one whole tree."""
    found = MemGroup.from_file(path)
    number = int(found.attrs["number"])
    assert np.array_equal(found["large"][:], np.full(200_000, number, "f8"))
    assert np.array_equal(found["packed"][:], np.full((300, 300), number))
    for index in range(20):
        assert found[f"groups/{index}"].attrs["number"] == number
        assert np.array_equal(found[f"small/{index}"][:], np.full(10, number))
    return number


def killed(group, path, delay):
    """Save in another process, and kill that after `delay` seconds; whether it came to its end."""
    process = os.fork()
    if process == 0:
        group.to_file(path)
        os._exit(0)
    time.sleep(delay)
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return os.WIFEXITED(status)


def main(path, rounds, seed):
    """All rounds; what was found."""
    chance = random.Random(seed)
    folder, name = os.path.split(path)
    tree(0).to_file(path)
    start = time.perf_counter()
    for _ in range(3):
        tree(0).to_file(path)
    duration = (time.perf_counter() - start) / 3
    counts = {"old": 0, "new": 0, "left behind": 0, "finished": 0}
    held = 0
    for number in range(1, rounds + 1):
        finished = killed(tree(number), path, chance.uniform(0, 1.5 * duration))
        left = [entry for entry in os.listdir(folder) if entry != name]
        assert len(left) <= 1, left
        found = number_of(path)
        assert found in {held, number}, (found, held, number)
        assert not finished or found == number
        counts["new" if found == number else "old"] += 1
        counts["left behind"] += len(left)
        counts["finished"] += finished
        held = found
    tree(-1).to_file(path)
    assert os.listdir(folder) == [name], os.listdir(folder)
    assert number_of(path) == -1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
