"""Many threads on one tree, and programs that fork while threads read."""

import pytest

from torture.scale import figure, rounds
from torture.scripts import found_by


@pytest.mark.timeout(3600)
def test_16_threads_on_one_tree():
    number = rounds(short=1500, full=100_000)
    found = found_by("many_threads.py", 16, number, timeout=3500)
    figure("operations of 16 threads on one tree", str(found["operations"]))
    assert found["operations"] == 16 * number
    assert found["wrong"] == []


@pytest.mark.timeout(3600)
def test_forks_while_threads_read(tmp_path):
    number = rounds(short=25, full=500)
    found = found_by("forks.py", tmp_path, number, timeout=3500)
    figure("forks while threads read", str(found["forks"]))
    assert found["forks"] == number
    assert found["wrong"] == []
