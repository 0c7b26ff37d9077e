"""Memory runs out at any moment: MemoryError, and the tree is as it was."""

import pytest

from torture.scale import figure
from torture.scripts import found_by


def test_every_allocation_may_fail():
    pytest.importorskip("_testcapi", reason="this Python has no module _testcapi")
    found = found_by("failing_allocations.py", timeout=50)
    figure("allocations that failed", str(sum(failures for failures, _ in found.values())))
    assert {name: wrong for name, (_, wrong) in found.items() if wrong} == {}
    assert sum(failures for failures, _ in found.values()) > 100
