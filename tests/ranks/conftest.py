"""What keeps several ranks that run the same tests together.

Every test in this folder runs on all ranks alike. `tests/test_ranks.py` starts them with 1, 2, 3, 4
and 7 ranks; by hand it is ``mpiexec -n 4 python -m pytest tests/ranks -k something``.

* A test passes when it passes on all ranks: each ends with a small exchange of how it went, on a
  communicator of its own, so that one rank's failure is known to all.
* A rank that waits too long in a test or in that exchange makes every rank write down where it
  stands (``faulthandler``), and ends the job. A hang is a failure, never a hang.
* Hypothesis draws the same examples on all ranks: it is not random here, and keeps no database.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import pkgutil
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

import memdata

try:
    from mpi4py import MPI

    WORLD: Any = MPI.COMM_WORLD
except (ImportError, RuntimeError):
    WORLD = None

SIZE = 1 if WORLD is None else WORLD.size

FOLDER = Path(__file__).resolve().parent
TEST_LIMIT = float(os.environ.get("RANKS_TEST_LIMIT", "60"))  # seconds, for one test
WAIT_LIMIT = float(os.environ.get("RANKS_WAIT_LIMIT", "15"))  # for the others to end it as well

# All ranks together do about as much as one alone would. No shrinking: it may take longer than a
# test may. To shrink, add the phase and raise the limit.
settings.register_profile(
    "ranks",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=max(10, int(os.environ.get("RANKS_EXAMPLES", "60")) // SIZE),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Watch:
    """Ends the job when this rank has not come on in time, with the stacks of all ranks."""

    def __init__(self) -> None:
        self._errors = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        self._condition = threading.Condition()
        self._deadline = float("inf")
        self._what = ""
        faulthandler.enable(self._errors)
        faulthandler.register(signal.SIGUSR1, self._errors, all_threads=True)
        pid = os.getpid()
        self._pids = [pid] if WORLD is None else WORLD.allgather(pid)
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def say(self, text: str) -> None:
        """Write at once, past pytest's capturing: what is kept for later may be lost."""
        print(text, file=self._errors, flush=True)

    def limit(self, seconds: float, what: str) -> None:
        """From now on this rank may take so long for `what`."""
        with self._condition:
            self._deadline = time.monotonic() + seconds
            self._what = what
            self._condition.notify()
        # When something keeps the GIL our thread cannot run; this one needs none.
        faulthandler.dump_traceback_later(seconds + 10, exit=True, file=self._errors)

    def _run(self) -> None:
        with self._condition:
            while (left := self._deadline - time.monotonic()) > 0:
                self._condition.wait(None if left == float("inf") else left)
        self.end(f"took longer than it may: {self._what}")

    def end(self, why: str) -> None:
        """Have all ranks write their stacks down, then end the job."""
        self.say(f"\n{'!' * 30}\n{why}\n")
        for pid in self._pids:
            try:
                os.kill(pid, signal.SIGUSR1)
            except OSError:
                self.say(f"process {pid} is gone")
        time.sleep(1.0)  # for them to write
        os._exit(70)


class Together:
    """Compares the ranks' outcomes, test by test."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._comm = None if WORLD is None else WORLD.Dup()
        self._failed = False
        self._skipped = False

    def exchange(self, *values: int) -> np.ndarray:
        """Every rank's `values`, one row a rank; ends the job when some do not come."""
        mine = np.array(values, dtype=np.int64)
        if self._comm is None:
            return mine[np.newaxis]
        everyones = np.empty((self._comm.size, len(values)), dtype=np.int64)
        request = self._comm.Iallgather(mine, everyones)
        while not request.Test():
            time.sleep(1e-4)
        return everyones

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        names = "\n".join(item.nodeid for item in session.items)
        found = self.exchange(zlib.crc32(names.encode()), len(session.items))
        if (found != found[0]).any():
            raise pytest.UsageError(f"the ranks have different tests: {found.tolist()}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self._failed = self._skipped = False
        marker = item.get_closest_marker("timeout")
        self.watch.limit(marker.args[0] if marker else TEST_LIMIT, item.nodeid)
        try:
            return (yield)
        finally:
            self.watch.limit(TEST_LIMIT, "what is between the tests")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report: pytest.TestReport = yield
        self._failed = self._failed or report.failed
        self._skipped = self._skipped or report.skipped
        if report.failed:
            self.watch.say(f"\n{item.nodeid} failed in its {call.when}:\n{report.longreprtext}")
        if call.when != "teardown":
            return report
        self.watch.limit(WAIT_LIMIT, f"waiting for the other ranks at the end of {item.nodeid}")
        found = self.exchange(self._failed, self._skipped, zlib.crc32(item.nodeid.encode()))
        others = None
        if (found[:, 2] != found[0, 2]).any():
            others = "the ranks run different tests"
        elif found[:, 0].any() and not self._failed:
            others = f"passed here, failed on ranks {np.flatnonzero(found[:, 0]).tolist()}"
        elif (found[:, 1] != found[0, 1]).any():
            others = f"skipped on ranks {np.flatnonzero(found[:, 1]).tolist()} only"
        if others is not None and not self._failed:
            report.outcome = "failed"
            report.longrepr = others
        return report

    def pytest_sessionfinish(self) -> None:
        self.watch.limit(30, "the end of the session")


def _asked_for(config: pytest.Config) -> bool:
    """Was this folder, or something in it, named in the call? The outer run leaves it out."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    return FOLDER in named or any(FOLDER in path.parents for path in named)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if _asked_for(config) else True


def pytest_configure(config: pytest.Config) -> None:
    if not (_asked_for(config) or config.pluginmanager.has_plugin("conftest")):
        return
    settings.load_profile("ranks")
    # Hypothesis draws constants that it finds in the modules that are there, so the same modules
    # have to be there on all ranks, although rank 0 does more with files than others.
    for module in pkgutil.walk_packages(memdata.__path__, "memdata."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)
    config.pluginmanager.register(Together(Watch()), "together")


@pytest.fixture(scope="session")
def comm() -> Any:
    """The world communicator; None where there is no MPI."""
    return WORLD


@pytest.fixture
def several(comm: Any) -> Any:
    """The world, where it has at least two ranks."""
    if comm is None or comm.size < 2:
        pytest.skip("needs two ranks")
    return comm


@pytest.fixture(params=["world", "part of the world"])
def any_comm(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The world, and for each rank a communicator with every second of the others."""
    if request.param == "world":
        yield WORLD
        return
    if WORLD is None:
        pytest.skip("no MPI here")
    part = WORLD.Split(WORLD.rank % 2, key=WORLD.rank)
    yield part
    part.Free()


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """One folder for all ranks; it is rank 0's."""
    return tmp_path if WORLD is None else WORLD.bcast(tmp_path)
