"""Run by test_threads.py: fork again and again while threads read a tree, load and save.

    python forks.py FOLDER FORKS

Each child uses the tree, a large copy by several threads, and files; one that hangs is a finding.
Prints one line of JSON.
"""

import copy
import json
import os
import pathlib
import select
import signal
import sys
import threading
import traceback
import warnings

import numpy as np

from memdata import MemGroup

#: So long a child may take (seconds).
LIMIT = 60


def make_tree():
    tree = MemGroup()
    for number in range(20):
        tree.create_dataset(f"g{number % 4}/x{number}", data=np.full(1000, number))
    tree.create_dataset("large", data=np.ones((12 << 20) // 8))
    tree.create_dataset("packed", data=np.arange(200_000), chunks=(10_000,), compression="gzip")
    return tree


def use(tree, path):
    """What a child does."""
    assert tree["g3/x7"][5] == 7
    assert len(list(tree.values())) == 6
    tree.create_dataset("new/data", data=[1])
    tree["g1"].attrs["new"] = 1
    again = copy.deepcopy(tree)
    assert again["large"][-1] == 1
    again.to_hdf5(path)
    loaded = MemGroup.from_hdf5(path)
    assert loaded["packed"][-1] == 199_999
    assert loaded["new/data"][0] == 1


def child(tree, path, pipe):
    try:
        use(tree, path)
        text = "ok"
    except BaseException:  # noqa: BLE001 - any is the finding
        text = traceback.format_exc()[-3000:]
    os.write(pipe, text.encode())
    os._exit(0)


def fork(tree, path):
    """What was wrong with a child, or None."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(tree, path, theirs)
    os.close(theirs)
    ready, _, _ = select.select([ours], [], [], LIMIT)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    text = os.read(ours, 4096).decode() if ready else f"hung for {LIMIT} s"
    os.close(ours)
    os.waitpid(pid, 0)
    return None if text == "ok" else text or "died"


def main():
    folder, forks = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    warnings.simplefilter("ignore", DeprecationWarning)  # CPython's, of forking with threads
    os.environ["MEMDATA_THREADS"] = "4"
    tree = make_tree()
    # All is imported before the first fork: CPython leaves a module that another thread was just
    # importing locked in the child, for ever.
    use(copy.deepcopy(tree), folder / "child.h5")
    tree.to_hdf5(folder / "source.h5")
    stop = threading.Event()
    wrong = []

    def guarded(action):
        def act():
            try:
                while not stop.is_set():
                    action()
            except BaseException:  # noqa: BLE001 - any is the finding
                wrong.append(traceback.format_exc()[-3000:])

        return act

    def look_up():
        for number in range(20):
            assert tree[f"g{number % 4}/x{number}"][0] == number

    readers = [
        look_up,
        look_up,
        lambda: tree["large"].copy(),
        lambda: MemGroup.from_hdf5(folder / "source.h5")["packed"],
        lambda: tree.to_hdf5(folder / "saved.h5"),
    ]
    threads = [threading.Thread(target=guarded(reader)) for reader in readers]
    for thread in threads:
        thread.start()
    done = 0
    while done < forks and not wrong:
        found = fork(tree, folder / "child.h5")
        done += 1
        if found is not None:
            wrong.append(found)
    stop.set()
    for thread in threads:
        thread.join()
    json.dump({"forks": done, "wrong": wrong}, sys.stdout)


main()
