"""Under ``mpiexec``: who does the work of a command.

MPI is started only where the environment says that several ranks run: importing it takes longer
than most commands.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["others_do_it", "world"]

#: What the launchers of MPICH, Open MPI, Slurm and PMIx set for each rank: number, and how many.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
_RANKS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")

#: Commands that all ranks do together.
_TOGETHER = {"convert", "cat"}


def _number(names: tuple[str, ...]) -> int | None:
    for name in names:
        text = os.environ.get(name, "")
        if text.isdecimal():
            return int(text)
    return None


def others_do_it(command: str) -> bool:
    """Whether this is a rank that has nothing to do: only the first looks, all convert."""
    if command in _TOGETHER or (_number(_SIZES) or 1) < 2:
        return False
    return bool(_number(_RANKS))


def world() -> Any:
    """The communicator of several ranks, or None where there is one process.

    Raises
    ------
    ImportError
        Several ranks were started, and mpi4py is missing.
    """
    if (_number(_SIZES) or 1) < 2:
        return None
    from memdata import mpitools

    if mpitools.world is None:
        raise ImportError(
            "several ranks were started, but mpi4py cannot be imported; it comes with: "
            "pip install memdata[mpi]"
        )
    return mpitools.world if mpitools.size > 1 else None
