"""Fixtures and the hypothesis profiles of the whole suite."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import pytest
from hypothesis import HealthCheck, settings

from memdata import MemDiskGroup, MemGroup
from support import fill

pytest_plugins = ["memdata.testing.fixtures", "pytester"]

#: A suite of its own; test_clients_suites.py runs it.
collect_ignore = ["client_suite"]

_SLOW_OK = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]

settings.register_profile(
    "ci", deadline=None, print_blob=True, max_examples=60, suppress_health_check=_SLOW_OK
)
settings.register_profile(
    "quick", deadline=None, print_blob=True, max_examples=10, suppress_health_check=_SLOW_OK
)
settings.register_profile(
    "thorough", deadline=None, print_blob=True, max_examples=2000, suppress_health_check=_SLOW_OK
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True)
def _no_switches_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own MEMDATA_* variables must not change what the tests see."""
    for name in [name for name in os.environ if name.startswith("MEMDATA_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def no_gc() -> Iterator[None]:
    """The cyclic garbage collector is off: only reference counts free anything."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def tree() -> MemGroup:
    """The tree of `fill` in memory."""
    return fill(MemGroup())


@pytest.fixture
def h5_tree(tmp_path: Path) -> Path:
    """The tree of `fill` as a file that h5py wrote."""
    path = tmp_path / "written_by_h5py.h5"
    with h5py.File(path, "w", track_order=True) as file:
        fill(file)
    return path


KINDS = ["memory", "h5py", "container", "container-on-disk"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each implementation of the group interface; h5py is the oracle among them."""
    return str(request.param)


@pytest.fixture
def make_group(kind: str, tmp_path: Path) -> Iterator[Callable[[], Any]]:
    """A function that makes an empty root group of the present kind."""
    opened: list[Any] = []

    def make() -> Any:
        number = len(opened)
        if kind == "memory":
            group: Any = MemGroup()
        elif kind == "container":
            group = MemDiskGroup()
        else:
            path = tmp_path / f"group{number}.h5"
            group = h5py.File(path, "w", track_order=True)
            if kind == "container-on-disk":
                opened.append(group)
                group = MemDiskGroup(group)
        opened.append(group)
        return group

    yield make
    for group in reversed(opened):
        if hasattr(group, "close"):
            group.close()


@pytest.fixture
def any_tree(make_group: Callable[[], Any]) -> Any:
    """The tree of `fill`, in each implementation of the group interface."""
    return fill(make_group())


@pytest.fixture(params=["h5py", "memory", "container", "container of a file"])
def h5(request):
    """An empty tree that speaks h5py's language; the first is h5py's own, to compare with."""
    import h5py

    import memdata

    if request.param == "memory":
        yield memdata.MemGroup()
        return
    if request.param == "container":
        yield memdata.MemDiskGroup()
        return
    with h5py.File("tree.h5", "w", driver="core", backing_store=False) as file:
        yield file if request.param == "h5py" else memdata.MemDiskGroup(file)
