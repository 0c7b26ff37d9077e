"""Run by test_faults.py with the shim preloaded: one operation, with one kind of call failing.

    failing_calls.py OPERATION CALL ERRNO LIMIT

The n-th such call fails, for n = 1, 2, ... until the operation meets no n-th call, each in a fresh
process. With a LIMIT, only so many n spread over all. Prints one line of JSON a run.
"""

import gc
import json
import os
import resource
import sys
import tempfile

import numpy as np
from shim import Shim

from memdata import MemGroup


def tree(number):
    """A tree with all kinds of content, whose values tell which one it is."""
    group = MemGroup()
    group.attrs["number"] = number
    group.create_dataset("a/large", data=np.full(100_000, number, "f8"))
    group.create_dataset("a/small", data=np.full(10, number))
    group.create_dataset(
        "a/packed", data=np.full((200, 200), number), chunks=(100, 100), compression="gzip"
    )
    for index in range(5):
        group.create_group(f"groups/{index}").attrs["number"] = number
    return group


OLD, NEW = tree(1), tree(2)


def read(path):
    """Which tree a file holds; or, as text, what is wrong with it."""
    try:
        found = MemGroup.from_hdf5(path)
    except Exception as error:  # noqa: BLE001 - any is the finding
        return f"{type(error).__name__}: {error}"
    for number, expected in ((1, OLD), (2, NEW)):
        if found.attrs["number"] == number:
            same = all(
                np.array_equal(found[name][()], expected[name][()])
                for name in ("a/large", "a/small", "a/packed")
            )
            return number if same else "mixed"
    return "no tree"


def operation(name, path):
    """What is tried while a call fails."""
    match name:
        case "save":
            NEW.to_hdf5(path)
        case "save-durably":
            NEW.to_hdf5(path, durable=True)
        case "add":
            more = MemGroup()
            more.create_dataset("more", data=np.zeros(50_000))
            more.to_hdf5(path, mode="a")
        case "load":
            assert MemGroup.from_hdf5(path).attrs["number"] == 1
        case _:
            raise ValueError(name)


def descriptors():
    """The open descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))


def attempt(name, call, number, error, folder):
    """One run; what came of it."""
    path = os.path.join(folder, "x.h5")
    OLD.to_hdf5(path)
    before = descriptors()
    shim.fail(call, folder, number, error)
    raised = kind = None
    try:
        operation(name, path)
    except BaseException as caught:  # noqa: BLE001 - any is the finding
        raised, kind = str(caught), [base.__name__ for base in type(caught).__mro__]
    seen = shim.stop()
    gc.collect()
    found = {
        "number": number,
        "happened": seen >= number,
        "raised": raised,
        "kind": kind,
        "path": path,
        "left": sorted(set(os.listdir(folder)) - {"x.h5"}),
        "descriptors": len(descriptors() - before),
        "state": read(path),
        "source": bool(NEW._storage_root == tree(2)._storage_root),
    }
    NEW.to_hdf5(path)
    found["next"] = read(path)
    return found


def in_a_process_of_its_own(*arguments):
    """As `attempt`, where a crash is no loss."""
    receiver, sender = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        process = os.fork()
        if process == 0:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.write(sender, json.dumps(attempt(*arguments, folder)).encode())
            os._exit(0)
        os.close(sender)
        with os.fdopen(receiver) as stream:
            text = stream.read()
        _, status = os.waitpid(process, 0)
    return json.loads(text) if text else {"number": arguments[2], "crashed": status}


def numbers(limit, total):
    """The calls that fail, of `total`: all, or `limit` spread over them."""
    if not limit or limit >= total:
        return range(1, total + 1)
    return sorted({1 + round(index * (total - 1) / (limit - 1)) for index in range(limit)})


def count(name, call):
    """How many such calls the operation makes when none fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.h5")
        OLD.to_hdf5(path)
        shim.fail(call, folder, -1, 0)
        operation(name, path)
        return shim.stop()


if __name__ == "__main__":
    shim = Shim()
    chosen, failing, code, most = sys.argv[1:]
    for which in numbers(int(most), count(chosen, failing)):
        print(json.dumps(in_a_process_of_its_own(chosen, failing, which, int(code))))
