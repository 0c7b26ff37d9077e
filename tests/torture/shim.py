"""Makes system calls fail, or records them: the Python side of shim.c."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
_built: dict[str, str] = {}


def library() -> str:
    """Path of the compiled shim; built once a session."""
    if "shim" not in _built:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None or not sys.platform.startswith("linux"):
            pytest.skip("no C compiler here, or not Linux")
        target = os.path.join(tempfile.mkdtemp(prefix="memdata-shim-"), "shim.so")
        flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
        subprocess.run([compiler, *flags, "-o", target, HERE / "shim.c", "-ldl"], check=True)
        _built["shim"] = target
    return _built["shim"]


class Shim:
    """The shim in this process, which must have been started with it preloaded."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.shim_stop.restype = ctypes.c_long

    def fail(self, call: str, folder: str, number: int, error: int) -> None:
        """Let the `number`-th `call` below `folder` fail with `error`; 0: do half of the work."""
        self._library.shim_fail(
            call.encode(), os.fsencode(folder) + b"/", ctypes.c_long(number), error
        )

    def record(self, folder: str, lines: str, data: str) -> None:
        """Write down all calls below `folder`: one line each, what they wrote beside it."""
        self._library.shim_record(os.fsencode(folder) + b"/", os.fsencode(lines), os.fsencode(data))

    def watch(self) -> None:
        """Say on stderr in which library this process crashes, should it."""
        self._library.shim_watch()

    def stop(self) -> int:
        """Leave the calls alone; how many of the chosen kind there were."""
        return int(self._library.shim_stop())


def run(script: str, *arguments: str, timeout: float) -> str:
    """Run a script of this folder with the shim preloaded; its output, or a failure."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(HERE / script), *arguments],
        env={**os.environ, "LD_PRELOAD": library()},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode != 0:
        pytest.fail(f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout
