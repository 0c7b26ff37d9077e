"""Start pytest on one rank, with its output in a file of its own.

    mpiexec -n 4 python tests/ranks/run_rank.py FOLDER [argument of pytest ...]

Rank 2 writes to ``FOLDER/rank2.txt``. Output of several ranks in one stream cannot be read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

# How the launchers number the processes: MPICH's, Open MPI's, and those that speak PMIx.
NUMBERS = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK")


def main() -> int:
    folder, *arguments = sys.argv[1:]
    rank = next((os.environ[name] for name in NUMBERS if name in os.environ), "0")
    with Path(folder, f"rank{rank}.txt").open("wb") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)

    import pytest

    return int(pytest.main([f"--basetemp={folder}/tmp{rank}", *arguments]))


if __name__ == "__main__":
    sys.exit(main())
