"""Run by test_programs.py: several processes at one file.

    programs.py writers FILE ROUNDS
    programs.py reader FILE LOADS

Prints one line of JSON.
"""

import json
import os
import signal
import sys
from collections.abc import Callable

import numpy as np
from trees import tree, which

import memdata
from memdata import MemGroup


def started(work: Callable[[], int]) -> int:
    """A process that does something, and ends with what that returns."""
    process = os.fork()
    if process == 0:
        code = 99
        try:
            code = work()
        finally:
            os._exit(code)
    return process


def writers(path: str, rounds: int) -> dict[str, object]:
    """Two processes begin to save at the same moment, again and again."""
    folder, name = os.path.split(path)
    trees = {number: tree(number) for number in (1, 2)}
    counts: dict[str, object] = {"both": 0, "one": 0}
    wrong = []
    trees[1].to_file(path)
    for index in range(rounds):
        waiting, go = os.pipe()

        def save(number: int, waiting: int = waiting, go: int = go) -> int:
            os.close(go)
            os.read(waiting, 1)  # until the other end is closed
            try:
                trees[number].to_file(path)
            except BlockingIOError as error:
                return 1 if path in str(error) else 98
            return 0

        processes = [started(lambda number=number: save(number)) for number in trees]
        os.close(waiting)
        os.close(go)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        won = [number for number, code in zip(trees, codes, strict=True) if code == 0]
        found = which(path, trees)
        if not won or set(codes) - {0, 1} or found not in won or os.listdir(folder) != [name]:
            wrong.append((index, codes, found, os.listdir(folder)))
        counts["both" if len(won) == 2 else "one"] += 1
    return {**counts, "wrong": wrong}


def reader(path: str, loads: int) -> dict[str, object]:
    """One process saves all the time, this one loads."""
    tree(0).to_file(path)

    def save() -> int:
        number = 0
        while True:
            number += 1
            tree(number).to_file(path)

    process = started(save)
    wrong = []
    numbers = []
    try:
        for index in range(loads):
            try:
                found = MemGroup.from_file(path, strict=True)
            except OSError as error:
                wrong.append((index, str(error)))
                continue
            number = int(found.attrs["number"])
            different = memdata.diff(found, tree(number))
            if different or (numbers and number < numbers[-1]):
                wrong.append((index, str(different)))
            numbers.append(number)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    return {"loads": loads, "trees": len(np.unique(numbers)), "wrong": wrong}


if __name__ == "__main__":
    what = {"writers": writers, "reader": reader}[sys.argv[1]]
    print(json.dumps(what(sys.argv[2], int(sys.argv[3]))))
