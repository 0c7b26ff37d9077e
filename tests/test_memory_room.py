"""How much memory there is, by what the system says; the system is made of files here."""

from __future__ import annotations

import math
import os

import pytest

from memdata import memory, mpitools
from support import run_python


@pytest.fixture
def system(tmp_path, monkeypatch):
    """Write files of /proc and /sys/fs/cgroup: system({"proc/meminfo": "..."})."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_the_machine(system):
    assert memory.machine_room() == math.inf
    system({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   7 kB\n"})
    assert memory.machine_room() == 7 << 10
    assert mpitools.can_allocate(7 << 10) is True
    assert mpitools.can_allocate((7 << 10) + 1) is False


def test_no_control_groups(system):
    assert memory.group_room() == ("", math.inf)
    system({"proc/self/cgroup": "0::/\n"})
    assert memory.group_room() == ("/", math.inf)


def test_version_2_with_a_tighter_group_around(system):
    system(
        {
            "proc/self/cgroup": "0::/job/step\n",
            "groups/job/memory.max": "1000",
            "groups/job/memory.current": "900",
            "groups/job/memory.stat": "anon 1\ninactive_file 50\n",
            "groups/job/step/memory.max": "max",
            "groups/job/step/memory.current": "300",
        }
    )
    assert memory.group_room() == ("/job/step", 150)


def test_version_1(system):
    system(
        {
            "proc/self/cgroup": "5:cpu:/other\n3:memory,hugetlb:/job\n",
            "groups/memory/memory.limit_in_bytes": str((1 << 63) - 4096),
            "groups/memory/memory.usage_in_bytes": "5",
            "groups/memory/job/memory.limit_in_bytes": "400",
            "groups/memory/job/memory.usage_in_bytes": "100",
        }
    )
    assert memory.group_room() == ("/job", 300)


def test_a_container_whose_group_is_the_root_here(system):
    system(
        {
            "proc/self/cgroup": "0::/of/the/host\n",
            "groups/memory.max": "100",
            "groups/memory.current": "130",
        }
    )
    assert memory.group_room() == ("/of/the/host", 0)
    assert mpitools.can_allocate(1) is False


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer reserves terabytes"
)
@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_limits_of_the_process(limit):
    pytest.importorskip("resource")
    run_python(
        f"""
        import resource
        from memdata import memory, mpitools
        assert memory.process_room() > 1 << 40
        resource.setrlimit(resource.{limit}, (4 << 30, resource.RLIM_INFINITY))
        assert 1 << 30 < memory.process_room() < 4 << 30
        assert mpitools.can_allocate(1 << 20)
        assert not mpitools.can_allocate(4 << 30)
        """
    )
