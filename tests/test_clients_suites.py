"""A test suite that knows only caput's names passes, unchanged, with the plugin in front."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = Path(__file__).resolve().parent / "client_suite"


def run_suite(tmp_path):
    command = [
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "memdata.compat.pytest_plugin",
        "-p",
        "no:cacheprovider",
        f"--rootdir={SUITE}",
        f"--confcutdir={SUITE}",
        "-c",
        os.devnull,
        "-o",
        "python_files=check_*.py",
        str(SUITE),
    ]
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        cwd=tmp_path,
    )


def test_the_suite(tmp_path):
    pytest.importorskip("mpi4py", reason="part of the suite is about distributed data")
    done = run_suite(tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in SUITE.glob("*.py")))
def test_it_names_nothing_of_memdata(name):
    text = (SUITE / name).read_text()
    assert "import memdata" not in text.replace("from caput import memdata", "")
    assert "from memdata" not in text
