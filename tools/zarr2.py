"""Make the environment of `make test-zarr2`: .venv-zarr2, with zarr-python 2.

The tests of zarr run there once more; nothing else of memdata knows which version is installed.
"""

import os
import subprocess
import sys
from pathlib import Path

from environment import complete_interpreter, identity, pip_install, requirements, say

VENV = Path(".venv-zarr2")
PYTHON = VENV / "bin" / "python"


def make():
    """Make the environment."""
    complete_interpreter()
    say(f"making {VENV} with {sys.executable}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    # No MPI, which is slow to get; and zarr 2 itself says which numcodecs fits.
    others = ("zarr", "numcodecs", "mpi", "tqdm")
    wanted = {*requirements("base"), *requirements("test")}
    wanted = {line for line in wanted if not line.startswith(others)}
    pip_install("zarr>=2.18,<3", *sorted(wanted), python=PYTHON)
    pip_install("--no-build-isolation", "--no-deps", "--editable", ".", python=PYTHON)


def main():
    """Make the environment if there is none, and build memdata's C extension."""
    os.chdir(Path(__file__).resolve().parent.parent)
    stamp = VENV / identity()
    if not stamp.exists():
        make()
        stamp.touch()
    subprocess.run([PYTHON, "setup.py", "--quiet", "build_ext", "--inplace"], check=True)


if __name__ == "__main__":
    main()
