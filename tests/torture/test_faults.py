"""The disk refuses something in the middle: a clear error, and the old file is whole."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from torture import shim
from torture.scale import FULL, figure, rounds
from torture.trees import KINDS

#: Calls, how they fail (0: they do half of their work), and how often that is tried in the short
#: form. Where that is 0 only the long form tries it.
FAULTS = [
    ("open", errno.EIO, 3),
    ("open", errno.EMFILE, 0),
    ("write", errno.ENOSPC, 4),
    ("write", errno.EIO, 0),
    ("write", errno.EDQUOT, 0),
    ("write", errno.EINTR, 2),
    ("write", 0, 2),
    ("read", errno.EIO, 8),
    ("read", errno.EINTR, 2),
    ("read", 0, 2),
    ("ftruncate", errno.EIO, 1),
    ("fsync", errno.EIO, 2),
    ("close", errno.EIO, 3),
    ("close", errno.ENOSPC, 0),
    ("rename", errno.EIO, 2),
    ("link", errno.EIO, 0),
    ("unlink", errno.EIO, 2),
    ("mkdir", errno.ENOSPC, 2),
    ("rmdir", errno.EIO, 2),
    ("flock", errno.ENOLCK, 1),
    ("fchmod", errno.EPERM, 1),
    ("copy_file_range", errno.EIO, 1),
    ("copy_file_range", 0, 1),
    ("mmap", errno.ENOMEM, 0),
    ("malloc", errno.ENOMEM, 4),
    ("malloc-hdf5", errno.ENOMEM, 2),
]
MEMORY = {"mmap", "malloc", "malloc-hdf5"}
OF_FOLDERS = {"mkdir", "rmdir", "unlink"}
OF_ADDING = {"copy_file_range", "read", "write"}

#: So many calls want memory that the long form tries some only.
MOST = 200

#: Bytes that a failure may leave: what libraries keep when they meet an error first.
KEPT = 100_000


def tried(kind, operation, call, short):
    """Whether the short form tries this."""
    if operation == "add":
        return kind == "hdf5" and call in OF_ADDING and short > 0
    if operation == "save-durably":
        return call == "fsync"
    if kind != "hdf5":
        zarrs = {"open", "write", "rename", *(OF_FOLDERS if kind == "zarr" else ())}
        return operation == "save" and call in zarrs and short > 1
    return short > 0 and call not in OF_FOLDERS


@pytest.mark.timeout(20_000)
@pytest.mark.parametrize("operation", ["save", "save-durably", "add", "load"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_call_may_fail(kind, operation):
    if kind != "hdf5":
        pytest.importorskip("zarr")
    faults = [
        f"{call}:{error}:{rounds(short=short, full=MOST if call in MEMORY else 0)}"
        for call, error, short in FAULTS
        if FULL or tried(kind, operation, call, short)
    ]
    if not faults:
        pytest.skip("only in the long form")
    text = shim.run("failing_calls.py", kind, operation, *faults, timeout=19_000)
    runs = [json.loads(line) for line in text.splitlines()]
    note(kind, operation, runs)
    wrong = []
    for run in runs:
        try:
            if "crashed" in run:
                check_crash(kind, operation, run["call"], run)
            else:
                check(operation, run["call"], run["error"], run)
        except AssertionError as error:
            wrong.append(f"{run}: {error}")
    assert not wrong, f"{len(wrong)} of {len(runs)}:\n" + "\n".join(wrong[:20])


def note(kind, operation, runs):
    """Figures: for each call how many runs, how many errors."""
    counts = {}
    for run in runs:
        how = errno.errorcode.get(run["error"], "half of it")
        count = counts.setdefault(f"{run['call']} {how}", [0, 0, 0])
        count[0] += 1
        count[1] += run.get("raised") is not None
        count[2] += "crashed" in run
    for what, (number, raised, crashed) in counts.items():
        more = f", {crashed} crashed" if crashed else ""
        figure(f"{kind}, {operation}: {what}", f"{number} runs, {raised} errors{more}")


def check_crash(kind, operation, call, run):
    """What libraries do when memory runs out; the file is whole all the same."""
    in_hdf5 = kind == "hdf5" and call in MEMORY  # HDF5, and h5py's driver, do not look
    starting = kind != "hdf5" and call in MEMORY and run["crashed"] == signal.SIGALRM
    assert in_hdf5 or starting, run  # CPython waits for ever for a thread that found no memory
    assert run["state"] in ((1, 2) if operation.startswith("save") else (1,)), run


def check(operation, call, error, run):
    """One run that came to its end."""
    new = 2 if operation.startswith("save") else 1
    assert run["left"] == [], run
    assert run["descriptors"] == [], run
    assert run["source"], run
    if call == "malloc-hdf5":  # whatever it says; HDF5 leaks and may refuse all that follows
        assert run["state"] in (1, new) or isinstance(run["state"], str), run
        return
    assert run["memory"] < KEPT, run
    assert run["next"] == 2, run
    if run["raised"] is None:  # the call was done again, or was not needed
        assert operation == "add" or run["state"] == new, run
        return
    assert run["happened"], run
    assert {"OSError", "MemoryError", "RuntimeError"} & set(run["kind"]), run
    assert "RuntimeError" not in run["kind"] or call == "malloc", run  # Python's for locks
    early = run["raised"] == "" and run["number"] <= 10  # Python's own, before the job begins
    assert run["path"] in run["raised"] or "RuntimeError" in run["kind"] or early, run
    hidden = "saving failed: read" in run["raised"]  # by zipfile, which tries another mode
    if call not in MEMORY and error != 0 and not hidden:
        assert os.strerror(error) in run["raised"], run
    # After the rename only the durability of the folder's entry can be missing.
    replaced = operation == "save-durably" and call == "fsync" and run["state"] == 2
    assert run["state"] == 1 or replaced, run


def test_a_disk_that_is_really_full(tmp_path):
    own = ["unshare", "--map-root-user", "--mount"]
    mount = ["mount", "-t", "tmpfs", "none", str(tmp_path)]
    try:
        allowed = subprocess.run([*own, *mount], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("nobody may mount a file system here")
    script = [sys.executable, shim.HERE / "full_disk.py", tmp_path]
    result = subprocess.run([*own, *script], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert "hdf5" in found
    for kind, run in found.items():
        number, text = run["raised"]
        assert number == errno.ENOSPC, (kind, run)
        assert run["path"] in text
        assert os.strerror(errno.ENOSPC) in text
        assert run["state"] == 1, (kind, run)
        assert run["left"] == [], (kind, run)
