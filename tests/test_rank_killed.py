"""A rank that is killed while it loads or saves: the others end, and the old file is whole."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from test_ranks import Launcher, mpich, run

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    import numpy as np
    from mpi4py import MPI
    from memdata import MemGroup
    from memdata.mpiarray import MPIArray
    from memdata.transfer.mpio import ParallelFile
    from memdata.transfer.plain import DirectFile

    filename, victim, what, mover = sys.argv[1:]
    comm = MPI.COMM_WORLD
    part = MPIArray((3000, 40), 0, comm)
    part[...] = float(victim)
    group = MemGroup(distributed=True, comm=comm)
    group.create_dataset("x", data=part)
    if comm.rank == int(victim):
        kill = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
        for file in (DirectFile, ParallelFile):
            file.write = file.read = kill
    if what == "save":
        group.to_hdf5(filename, mover=mover)
    else:
        MemGroup.from_hdf5(filename, distributed=True, comm=comm, mover=mover)
    """
)


def check_killed(
    launcher: Launcher, tmp_path: Path, what: str, victim: int, mover: str = "direct"
) -> None:
    """Kill one of three ranks while it moves its part; then do the same with nobody killed."""
    old = np.arange(120_000.0).reshape(3000, 40)
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as f:
        f["x"] = old
        f["x"].attrs["__memh5_distributed_dset"] = True
    ended = run(launcher, 3, ["-c", PROGRAM, str(path), str(victim), what, mover], 30)
    assert ended.code is not None, ended.text
    assert ended.code != 0, ended.text
    with h5py.File(path) as f:
        np.testing.assert_array_equal(f["x"][()], old)
    ended = run(launcher, 3, ["-c", PROGRAM, str(path), "7", what, mover], 30)
    assert ended.code == 0, ended.text
    assert os.listdir(tmp_path) == ["f.h5"]


@pytest.mark.parametrize("what", ["save", "load"])
@pytest.mark.parametrize("victim", [0, 1])
def test_the_others_end_and_the_old_file_is_whole(tmp_path, what, victim):
    check_killed(mpich(), tmp_path, what, victim)
