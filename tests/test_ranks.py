"""Runs the tests of `tests/ranks` with several numbers of ranks.

One job a number, not a test: starting MPI takes longer than most tests.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

HERE = Path(__file__).resolve().parent
RANKS = HERE / "ranks"
PROJECT = HERE.parent
JOB_LIMIT = 480  # seconds; a busy machine takes several times longer than an idle one


class Launcher(NamedTuple):
    """How processes are started together, and what must be set for it."""

    command: list[str]
    variables: dict[str, str]


def mpich() -> Launcher:
    """MPICH of the package index, which lies beside the interpreter."""
    pytest.importorskip("mpi4py", reason="no mpi4py here: nothing can run with several ranks")
    command = Path(sys.executable).with_name("mpiexec")
    if not command.exists():
        pytest.skip(f"no {command} here, which `pip install mpich` brings")
    return Launcher([str(command)], {})


def open_mpi() -> Launcher:
    """Open MPI of the system, where mpi4py can use it as well."""
    pytest.importorskip("mpi4py", reason="no mpi4py here: nothing can run with several ranks")
    command = shutil.which("mpiexec.openmpi")
    if command is None:
        pytest.skip("no mpiexec.openmpi here")
    launcher = Launcher(
        [command, "--oversubscribe"],
        {
            "MPI4PY_MPIABI": "openmpi",
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "OMPI_MCA_mpi_yield_when_idle": "1",
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none",  # containers forbid it
        },
    )
    code = "from mpi4py import MPI; print(MPI.Get_library_version())"
    found = run(launcher, 1, ["-c", code], 60)
    if "Open MPI" not in found.text:
        pytest.skip(f"mpi4py does not work with {command}: {found.text.strip()[-300:]}")
    return launcher


class Ended(NamedTuple):
    """What a job left: its exit code (None: it did not end in time) and its output."""

    code: int | None
    text: str


def run(
    launcher: Launcher, ranks: int, arguments: list[str], limit: float, **variables: str
) -> Ended:
    """Run Python on so many ranks; when the time is over the whole job is killed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("MEMDATA_")
    }
    with subprocess.Popen(
        [*launcher.command, "-n", str(ranks), sys.executable, *arguments],
        env={**environment, **launcher.variables, **variables},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as job:
        try:
            text, _ = job.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            text, _ = job.communicate()
            return Ended(None, text)
    return Ended(job.returncode, text)


def run_pytest(
    launcher: Launcher, ranks: int, folder: Path, arguments: list[str], **variables: str
) -> tuple[Ended, list[str]]:
    """Run pytest on so many ranks: how the job ended, and what each rank printed."""
    folder.mkdir()
    # zarr's plugin for pytest is nothing that is needed here, and slow to import.
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:zarr", "--timeout=0", *arguments]
    script = [str(RANKS / "run_rank.py"), str(folder), *options]
    ended = run(launcher, ranks, script, JOB_LIMIT, **variables)
    outputs = [folder / f"rank{rank}.txt" for rank in range(ranks)]
    return ended, [
        output.read_text(encoding="utf-8", errors="replace") if output.exists() else "(nothing)"
        for output in outputs
    ]


def summary(text: str) -> str:
    """Pytest's last line, without the time."""
    lines = text.strip().splitlines()
    return re.sub(r" in \d.*", "", lines[-1]) if lines else "(nothing)"


def report(ended: Ended, outputs: list[str]) -> str:
    """What one needs to see of a job that failed; what all ranks say is shown once."""
    how = f"exit code {ended.code}" if ended.code is not None else f"killed after {JOB_LIMIT} s"
    parts = [f"{how}\n{ended.text.strip()[-4000:]}"]
    for rank, text in enumerate(outputs):
        size = 20_000 if rank == 0 or "!!!!!!" in text else 4000
        parts.append(f"---------- rank {rank} of {len(outputs)} ----------\n{text[-size:]}")
    return "\n".join(parts)


def check(launcher: Launcher, ranks: int, folder: Path) -> None:
    ended, outputs = run_pytest(launcher, ranks, folder / "job", [str(RANKS)])
    if ended.code != 0:
        pytest.fail(report(ended, outputs), pytrace=False)
    assert "passed" in summary(outputs[0])
    assert len({summary(text) for text in outputs}) == 1, [summary(text) for text in outputs]


@pytest.mark.slow
@pytest.mark.timeout(JOB_LIMIT + 30)
@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_ranks(ranks: int, tmp_path: Path) -> None:
    check(mpich(), ranks, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(JOB_LIMIT + 90)
def test_ranks_of_open_mpi(tmp_path: Path) -> None:
    check(open_mpi(), 3, tmp_path)


class TestTheHarness:
    """A failure or a hang of one rank must be seen, and must not last."""

    def run(self, tmp_path: Path, code: str, **variables: str) -> tuple[Ended, list[str]]:
        test = tmp_path / "test_example.py"
        test.write_text(textwrap.dedent(code), encoding="utf-8")
        return run_pytest(
            mpich(),
            2,
            tmp_path / "job",
            ["-p", "conftest", f"--rootdir={tmp_path}", str(test)],
            PYTHONPATH=os.pathsep.join([str(RANKS), os.environ.get("PYTHONPATH", "")]),
            **variables,
        )

    def test_what_passes_everywhere_passes(self, tmp_path: Path) -> None:
        ended, outputs = self.run(tmp_path, "def test(comm): assert comm.allreduce(1) == 2")
        assert (ended.code, summary(outputs[0])) == (0, "1 passed"), report(ended, outputs)

    def test_one_rank_fails(self, tmp_path: Path) -> None:
        ended, outputs = self.run(
            tmp_path,
            """
            def test(comm): assert comm.rank != 1
            def test_after(comm): assert comm.allreduce(1) == 2
            """,
        )
        assert ended.code != 0
        assert "1 error" in summary(outputs[0]), report(ended, outputs)
        assert "1 failed" in summary(outputs[1])
        assert "passed here, failed on ranks [1]" in outputs[0]
        assert "assert comm.rank != 1" in outputs[1]

    def test_one_rank_fails_while_the_other_waits_for_it(self, tmp_path: Path) -> None:
        ended, outputs = self.run(
            tmp_path,
            """
            def test(comm):
                assert comm.rank != 1
                comm.barrier()
            """,
            RANKS_WAIT_LIMIT="1",
        )
        assert ended.code not in (0, None)
        assert "assert comm.rank != 1" in outputs[1]
        assert "waiting for the other ranks" in outputs[1]
        assert "test_example.py" in outputs[0], report(ended, outputs)  # the stack

    def test_a_rank_that_hangs(self, tmp_path: Path) -> None:
        ended, outputs = self.run(
            tmp_path,
            """
            import threading
            def wait_for_ever(): threading.Event().wait()
            def test(comm):
                if comm.rank == 0:
                    wait_for_ever()
                comm.barrier()
            """,
            RANKS_TEST_LIMIT="2",
        )
        assert ended.code not in (0, None)
        assert "in wait_for_ever" in outputs[0], report(ended, outputs)
        assert "took longer than it may" in "".join(outputs)
        assert 'test_example.py", line' in outputs[1]

    def test_ranks_with_different_tests(self, tmp_path: Path) -> None:
        ended, outputs = self.run(
            tmp_path,
            """
            import pytest
            from mpi4py import MPI
            @pytest.mark.parametrize("n", range(1 + MPI.COMM_WORLD.rank))
            def test(n): pass
            """,
        )
        assert ended.code not in (0, None)
        assert all("the ranks have different tests" in text for text in outputs)
