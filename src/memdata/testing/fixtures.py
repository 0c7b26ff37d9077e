"""Fixtures of pytest for code that uses memdata.

A test suite takes them with ``pytest_plugins = ["memdata.testing.fixtures"]`` in its outermost
``conftest.py``, or with ``pytest -p memdata.testing.fixtures``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import memdata
from memdata.testing import example_tree

__all__ = [
    "memdata_comm",
    "memdata_mpiexec",
    "memdata_shared_path",
    "memdata_store",
    "memdata_tree",
    "memdata_variables",
]


@pytest.fixture
def memdata_tree() -> Any:
    """A small tree in memory; see `memdata.testing.example_tree`."""
    return example_tree()


@pytest.fixture(params=["memory", "hdf5", "zarr"])
def memdata_store(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[..., memdata.MemDiskGroup]]:
    """A function that puts a tree into a container: in memory, an HDF5 file, a zarr store.

    A test that asks for it is run with each. ``memdata_store(tree, cls=MemDiskGroup)`` gives a
    container of class `cls` with a copy of the tree; what is open is closed after the test.
    """
    kind = request.param
    if kind == "zarr":
        pytest.importorskip("zarr")
    made: list[memdata.MemDiskGroup] = []

    def store(tree: Any, cls: type[memdata.MemDiskGroup] = memdata.MemDiskGroup) -> Any:
        if kind == "memory":
            return cls.from_group(memdata.MemGroup.from_group(tree))
        path = tmp_path / f"tree{len(made)}.{'h5' if kind == 'hdf5' else 'zarr'}"
        memdata.MemGroup.from_group(tree).to_file(path)
        made.append(cls.from_file(path, ondisk=True, mode="r+"))
        return made[-1]

    yield store
    for container in reversed(made):
        container.close()


@pytest.fixture
def memdata_comm() -> Iterator[Any]:
    """A communicator of all ranks for this test alone; None where there is no MPI.

    One body of a test runs with any number of ranks: ``mpiexec -n 3 python -m pytest``.
    """
    from memdata import mpitools

    world = mpitools.world
    if world is None:
        yield None
        return
    comm = world.Dup()
    yield comm
    comm.Free()


@pytest.fixture
def memdata_shared_path(memdata_comm: Any, tmp_path: Path) -> Path:
    """A new folder, the same on all ranks; collective."""
    if memdata_comm is None:
        return tmp_path
    shared: Path = memdata_comm.bcast(tmp_path)
    return shared


@pytest.fixture
def memdata_mpiexec(tmp_path: Path) -> Callable[..., str]:
    """A function that runs a program on several ranks, in a new folder.

    ``memdata_mpiexec(program, ranks=2, *arguments, timeout=50)`` takes Python's text or the path of
    a file, and gives what was printed; the test fails where the program does. It is skipped where
    nothing starts ranks.
    """
    pytest.importorskip("mpi4py")
    command = shutil.which("mpiexec", path=os.path.dirname(sys.executable))
    command = command or shutil.which("mpiexec")
    if command is None:
        pytest.skip("no mpiexec here")

    def run(program: str | Path, ranks: int = 2, *arguments: str, timeout: float = 50) -> str:
        code = [str(program)] if isinstance(program, Path) else ["-c", program]
        done = subprocess.run(
            [command, "-n", str(ranks), sys.executable, *code, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    return run


@pytest.fixture
def memdata_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``MEMDATA_*`` variable of the environment changes what the test sees."""
    for name in [name for name in os.environ if name.startswith("MEMDATA_")]:
        monkeypatch.delenv(name)
