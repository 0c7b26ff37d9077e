"""Memory runs out at any moment: MemoryError, and the tree is as it was."""

import json
import subprocess
import sys

import pytest

from torture.scale import figure
from torture.shim import HERE


def test_every_allocation_may_fail():
    pytest.importorskip("_testcapi", reason="this Python has no module _testcapi")
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", HERE / "failing_allocations.py"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    figure("allocations that failed", str(sum(failures for failures, _ in found.values())))
    assert {name: wrong for name, (_, wrong) in found.items() if wrong} == {}
    assert sum(failures for failures, _ in found.values()) > 100
