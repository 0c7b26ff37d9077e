"""Run by test_ranks.py on three ranks: one fails, is killed or stopped at one stage of a job.

    lost_ranks.py FOLDER JOB ACTION STAGE

JOB is "load", "save", "redistribute" or "copy". For ACTION "raise" the ranks do the job again and
again, and rank 1 fails at the first, second, third ... call that may fail, until there is none; for
"SIGKILL" and "SIGSTOP" rank 1 is lost before the exchange with the number STAGE. Each rank writes
into FOLDER what became of it.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VICTIM = 1
SHAPE = (600, 701)


def main(folder: Path, job: str, action: str, stage: int) -> None:
    # The launcher ends all when one of its processes has gone: the ranks are children of those.
    if child := os.fork():
        watch(child, folder)
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # MPICH's launcher says so that one is gone
    run = job_of(job, folder / "x.h5", comm)
    if action == "raise":
        fail_everywhere(run, folder, comm)
    else:
        lose(run, folder, comm, getattr(signal, action), stage)


def watch(child: int, folder: Path) -> None:
    """Wait for the rank, and, when it is lost, for what became of the others."""
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    while not all((folder / str(rank)).exists() for rank in (0, 2)):
        time.sleep(0.01)
    if os.WIFSTOPPED(status):
        os.kill(child, signal.SIGKILL)
    (folder / "lost").touch()
    os._exit(3)


def job_of(job: str, path: Path, comm: Any) -> Callable[[], object]:
    """What the ranks do together."""
    from memdata import MemGroup, deep_group_copy
    from memdata.mpiarray import MPIArray

    array = MPIArray(SHAPE, 0, comm)
    array.local_array[...] = 1.0
    group = MemGroup(distributed=True, comm=comm)
    group.create_dataset("x", data=array)
    group.create_dataset("packed", data=array, chunks=(50, 100), compression="gzip")
    group.create_dataset("common", data=np.arange(50_000.0))
    if job == "load":
        return lambda: MemGroup.from_hdf5(path, distributed=True, comm=comm)
    if job == "save":
        return lambda: group.to_hdf5(path)
    if job == "copy":
        return lambda: deep_group_copy(group, MemGroup(distributed=True, comm=comm))
    return lambda: array.redistribute(1)


def outcome(run: Callable[[], object]) -> str:
    """How it ended, in words."""
    try:
        run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the ranks have to agree
        return f"{type(error).__name__}: {error}"
    return "done"


def say(folder: Path, rank: int, text: str) -> None:
    (folder / f"new{rank}").write_text(text, encoding="utf-8")
    (folder / f"new{rank}").rename(folder / str(rank))


def fail_everywhere(run: Callable[[], object], folder: Path, comm: Any) -> None:
    """Fail at each call in turn; all ranks have to say the same, and go on."""
    from memdata.ranks import collective

    left = [0]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.EIO, "as the test wants it")
            return function(*args, **kwargs)

        return call

    if comm.rank == VICTIM:
        for name in ("open", "pwrite", "preadv"):
            setattr(os, name, counted(getattr(os, name)))
        collective._Together.facts = counted(collective._Together.facts)  # type: ignore[method-assign]
    failed = 0
    for stage in range(1, 1000):
        left[0] = stage
        found = comm.allgather(outcome(run))
        assert len(set(found)) == 1, found
        failed += found[0] != "done"
        if comm.bcast(left[0], VICTIM) > 0:
            break
    left[0] = 0
    say(folder, comm.rank, f"{failed} failures, at last: {found[0]}")


def lose(
    run: Callable[[], object], folder: Path, comm: Any, number: signal.Signals, stage: int
) -> None:
    """Lose rank 1 before an exchange; the others say what they find."""
    from memdata.ranks import waiting

    wait, left = waiting.wait, [stage]

    def counted(*args: Any, **kwargs: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), number)
        wait(*args, **kwargs)

    if comm.rank == VICTIM:
        for module in list(sys.modules.values()):
            if getattr(module, "wait", None) is wait:
                module.wait = counted  # type: ignore[attr-defined]
    say(folder, comm.rank, outcome(run))
    while True:
        if (folder / "lost").exists():
            os._exit(3)  # without MPI_Finalize, which waits for all
        if (folder / str(VICTIM)).exists():
            return
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
