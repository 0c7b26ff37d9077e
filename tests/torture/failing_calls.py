"""Run by test_faults.py with the shim preloaded: one operation, with kinds of calls failing.

    failing_calls.py KIND OPERATION CALL:ERRNO:LIMIT ...

The n-th such call fails, for n = 1, 2, ... until the operation meets no n-th call, each in a fresh
process. With a LIMIT, only so many n spread over all. Prints one line of JSON a run.
"""

import ctypes
import faulthandler
import gc
import itertools
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from shim import Shim
from trees import KINDS, tree, which

import memdata
from memdata import MemGroup

#: Calls whose failing lets libraries wait for ever: see docs/reliability.md.
MEMORY = {"malloc", "malloc-hdf5", "mmap"}

#: Seconds until a run counts as hanging; a busy machine may stop for a minute.
LIMIT, LIMIT_OF_MEMORY = 120, 30

TREES: dict[int, MemGroup] = {1: tree(1), 2: tree(2)}
MORE = MemGroup()
MORE.create_dataset("more", data=np.zeros(50_000))


def operation(name: str, path: str) -> MemGroup | None:
    """What is tried while a call fails; what was loaded."""
    match name:
        case "save":
            TREES[2].to_file(path)
        case "save-durably":
            TREES[2].to_file(path, durable=True)
        case "add":
            MORE.to_file(path, mode="a")
        case "load":
            return MemGroup.from_file(path, strict=True)
        case _:
            raise ValueError(name)
    return None


class _Mallinfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (*"abcd", "hblkhd", *"ef", "uordblks", "fordblks", "keepcost")
    ]


def memory() -> int:
    """Bytes that are in use now."""
    gc.collect()
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = _Mallinfo
    found = ask()
    return int(found.hblkhd + found.uordblks) + 64 * sys.getallocatedblocks()


def descriptors() -> set[str]:
    """The open descriptors of this process that lead to files."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the one that lists them
            continue
        if target.startswith("/") and not target.startswith("/dev"):
            found.add(number)
    return found


class Attempt:
    """Runs of one operation over one old file."""

    def __init__(self, kind: str, name: str, call: str, error: int, old: str) -> None:
        self._old = old  # the folder with the old file
        self._file = KINDS[kind]
        self._name = name
        self._call = call
        self._error = error

    def once(self, number: int, folder: str) -> tuple[BaseException | None, bool]:
        """Let the n-th call fail; what was raised, and whether there was an n-th call."""
        raised: BaseException | None = None
        loaded = None
        shim.fail(self._call, folder, number, self._error)
        try:
            loaded = operation(self._name, os.path.join(folder, self._file))
        except BaseException as caught:  # noqa: BLE001 - any is the finding
            raised = caught
        happened = 0 < number <= shim.stop()
        assert loaded is None or not memdata.diff(loaded, TREES[1]), "loaded something else"
        return raised, happened

    def report(self, number: int, folder: str) -> dict[str, Any]:
        """One run; what came of it."""
        path = os.path.join(folder, self._file)
        which(path, TREES)  # starts the threads of zarr, and reads what is read once
        before = descriptors()
        raised, happened = self.once(number, folder)
        found = {
            "number": number,
            "happened": happened,
            "raised": None if raised is None else str(raised),
            "kind": [base.__name__ for base in type(raised).__mro__],
            "path": path,
            "left": sorted(set(os.listdir(folder)) - {self._file}),
            "state": which(path, TREES),
            "source": all(not memdata.diff(TREES[number], tree(number)) for number in TREES),
        }
        del raised
        gc.collect()
        found["descriptors"] = sorted(descriptors() - before)
        found["memory"] = 0 if self._name.startswith("add") else self.growth(number, folder)
        TREES[2].to_file(path)
        found["next"] = which(path, TREES)
        return found

    def warm_up(self, folder: str) -> None:
        """Let zarr start its threads: CPython waits forever for one that finds no memory."""
        again = folder + "-again"
        shutil.copytree(folder, again)
        operation(self._name, os.path.join(again, self._file))
        shutil.rmtree(again)

    def growth(self, number: int, folder: str) -> int:
        """Bytes that each such failure leaves: libraries keep some, and give them back later."""
        sizes = []
        for _ in range(4):
            self.once(number, folder)
            sizes.append(memory())
        return min(after - before for before, after in itertools.pairwise(sizes))

    def in_a_process_of_its_own(self, number: int) -> dict[str, Any]:
        """As `report`, where a crash is no loss."""
        receiver, sender = os.pipe()
        with tempfile.TemporaryDirectory() as above:
            folder = os.path.join(above, "folder")
            shutil.copytree(self._old, folder)
            process = os.fork()
            if process == 0:
                try:
                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                    limit = LIMIT_OF_MEMORY if self._call in MEMORY else LIMIT
                    signal.alarm(limit)
                    faulthandler.dump_traceback_later(limit - 5)
                    shim.watch()
                    if self._call in MEMORY:
                        self.warm_up(folder)
                    warnings.simplefilter("ignore")
                    os.write(sender, json.dumps(self.report(number, folder)).encode())
                finally:
                    os._exit(1)
            os.close(sender)
            with os.fdopen(receiver) as stream:
                text = stream.read()
            _, status = os.waitpid(process, 0)
            if text:
                return json.loads(text)
            state = which(os.path.join(folder, self._file), TREES)
            return {"number": number, "crashed": status, "state": state}

    def count(self) -> int:
        """How many such calls the operation makes when none fails."""
        with tempfile.TemporaryDirectory() as above:
            folder = os.path.join(above, "folder")
            for _ in range(2):  # the first imports what is needed
                shutil.rmtree(folder, ignore_errors=True)
                shutil.copytree(self._old, folder)
                shim.fail(self._call, folder, -1, 0)
                operation(self._name, os.path.join(folder, self._file))
                seen = shim.stop()
        return seen

    def numbers(self, limit: int) -> Iterator[int]:
        """The calls that fail: `limit` spread over all; or all, and one more."""
        total = self.count()
        if not limit or limit >= total:
            yield from range(1, total + 2)
        else:
            yield from sorted(
                {1 + round(index * (total - 1) / max(1, limit - 1)) for index in range(limit)}
            )


def main(kind: str, name: str, *faults: str) -> None:
    """All runs."""
    with tempfile.TemporaryDirectory() as old:
        TREES[1].to_file(os.path.join(old, KINDS[kind]))
        for fault in faults:
            call, error, limit = fault.split(":")
            attempt = Attempt(kind, name, call, int(error), old)
            for number in attempt.numbers(int(limit)):
                found = attempt.in_a_process_of_its_own(number)
                print(json.dumps({"call": call, "error": int(error), **found}), flush=True)


if __name__ == "__main__":
    shim = Shim()
    main(*sys.argv[1:])
