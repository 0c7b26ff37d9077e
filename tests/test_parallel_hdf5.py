"""Runs the tests of distributed files where h5py knows MPI: `make test-parallel-hdf5`.

h5py of the package index does not, so `make test` skips this file.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import pytest

from test_rank_killed import check_killed
from test_ranks import JOB_LIMIT, RANKS, open_mpi, report, run_pytest, summary

#: What runs with the mover of the environment; `test_mpio.py` and `test_file_faults.py` ask for
#: both by argument.
FILES = {
    "direct": ["test_mpio.py", "test_file_faults.py", "test_parallel_files.py"],
    "mpio": ["test_parallel_files.py", "test_distributed_group.py"],
}


pytestmark = pytest.mark.skipif(
    not h5py.get_config().mpi, reason="h5py was built without MPI: make test-parallel-hdf5"
)


@pytest.mark.slow
@pytest.mark.timeout(JOB_LIMIT + 90)
@pytest.mark.parametrize("mover", FILES)
@pytest.mark.parametrize("ranks", [2, 3])
def test_files(ranks: int, mover: str, tmp_path: Path) -> None:
    tests = [str(RANKS / name) for name in FILES[mover]]
    job = tmp_path / "job"
    ended, outputs = run_pytest(open_mpi(), ranks, job, tests, MEMDATA_MOVER=mover)
    if ended.code != 0:
        pytest.fail(report(ended, outputs), pytrace=False)
    assert "passed" in summary(outputs[0])
    assert len({summary(text) for text in outputs}) == 1, [summary(text) for text in outputs]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("what", ["save", "load"])
def test_a_rank_that_is_killed(tmp_path: Path, what: str) -> None:
    check_killed(open_mpi(), tmp_path, what, 1, "mpio")
