"""A program killed in the middle of a save: the file is the old one or the new one, whole."""

import json
import subprocess
import sys

import pytest

from torture.scale import figure, rounds
from torture.shim import HERE


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["x.h5"])
def test_a_killed_save_leaves_the_old_file_or_the_new_one(tmp_path, name):
    number = rounds(short=25, full=1000)
    result = subprocess.run(
        [sys.executable, HERE / "killed_saves.py", tmp_path / name, str(number), "1"],
        capture_output=True,
        text=True,
        timeout=3500,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    counts = json.loads(result.stdout)
    figure(f"{name}: saves that were killed", str(counts))
    assert counts["old"] + counts["new"] == number
    assert counts["old"] > 0
