"""The disk refuses something in the middle: a clear error, and the old file is whole."""

import errno
import json

import pytest

from torture import shim
from torture.scale import FULL, figure, rounds

FAULTS = [
    ("open", errno.EIO),
    ("open", errno.EMFILE),
    ("write", errno.ENOSPC),
    ("write", errno.EIO),
    ("write", errno.EDQUOT),
    ("write", errno.EINTR),
    ("write", 0),
    ("read", errno.EIO),
    ("read", errno.EINTR),
    ("read", 0),
    ("ftruncate", errno.EIO),
    ("fsync", errno.EIO),
    ("close", errno.EIO),
    ("close", errno.ENOSPC),
    ("rename", errno.EIO),
    ("unlink", errno.EIO),
    ("flock", errno.ENOLCK),
    ("fchmod", errno.EPERM),
    ("mmap", errno.ENOMEM),
    ("copy_file_range", errno.EIO),
    ("copy_file_range", 0),
]


def name(error):
    return errno.errorcode.get(error, "half")


OPERATIONS = ["save", "add", "load"]
CASES = [(operation, *fault) for operation in OPERATIONS for fault in FAULTS]
# The other calls are the same as without fsync: only the long form tries them again.
CASES += [("save-durably", *fault) for fault in FAULTS if FULL or fault[0] == "fsync"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("operation", "call", "error"), CASES)
def test_every_call_may_fail(operation, call, error):
    text = shim.run(
        "failing_calls.py", operation, call, str(error), str(rounds(short=4, full=0)), timeout=500
    )
    found = [json.loads(line) for line in text.splitlines()]
    figure(f"{operation}: {call} fails with {name(error)}", f"{len(found)} runs")
    for run in found:
        check(operation, call, error, run)


def check(operation, call, error, run):
    assert "crashed" not in run, run
    assert run["happened"], run
    assert run["left"] == [], run
    assert run["descriptors"] == 0, run
    assert run["next"] == 2, run
    assert run["source"], run
    if run["raised"] is None:  # the call was done again, or was not needed
        assert run["state"] == (2 if operation.startswith("save") else 1), run
        return
    assert "OSError" in run["kind"], run
    assert run["path"] in run["raised"], run
    # After the rename only the durability of the folder's entry can be missing.
    replaced = operation == "save-durably" and call == "fsync" and run["number"] == 2
    assert run["state"] == (2 if replaced else 1), run
