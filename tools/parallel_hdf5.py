"""Make the environment of `make test-parallel-hdf5`: .venv-parallel, with h5py for parallel HDF5.

    python3 tools/parallel_hdf5.py          make it, or bring it up to date
    python3 tools/parallel_hdf5.py check    say why it cannot be made here, and fail; else nothing

h5py of the package index knows no MPI, so it is built here against Debian's parallel HDF5. That
takes minutes; the wheel stays in ~/.cache/memdata (or $XDG_CACHE_HOME/memdata), and the next
environment, of any checkout, takes it from there.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path

from environment import (
    apt_install,
    complete_interpreter,
    fail,
    identity,
    pip_install,
    requirements,
    say,
)

VENV = Path(".venv-parallel")
PYTHON = VENV / "bin" / "python"
PACKAGES = ["libhdf5-openmpi-dev", "openmpi-bin"]

# What h5py's build asks for; its own list would build an old mpi4py from source.
BUILD_TOOLS = ["Cython>=3.0,<4", "pkgconfig", "setuptools>=77", "wheel"]


def parallel_hdf5():
    """Return where Debian's HDF5 for Open MPI lies, or None."""
    for folder in sorted(Path("/usr/lib").glob("*/hdf5/openmpi")):
        if (folder / "include" / "hdf5.h").exists():
            return folder
    return None


def complete():
    """Say whether the system has all that is needed."""
    needed = ("mpiexec.openmpi", "mpicc.openmpi")
    return parallel_hdf5() is not None and all(shutil.which(command) for command in needed)


def check():
    """End with a message where something is missing that cannot be installed."""
    if complete():
        return
    if not shutil.which("apt-get"):
        fail("parallel HDF5 is missing, and there is no apt-get here to install it with")
    if os.geteuid() != 0:
        fail(f"parallel HDF5 is missing; as root run: apt-get install {' '.join(PACKAGES)}")


def complete_system():
    """Install HDF5 and Open MPI with apt-get, or say what to install and end."""
    check()
    if complete():
        return parallel_hdf5()
    say(f"parallel HDF5 is missing; installing {' '.join(PACKAGES)}")
    apt_install(PACKAGES)
    folder = parallel_hdf5()
    if folder is None:
        fail(f"no parallel HDF5 in /usr/lib after apt-get install {' '.join(PACKAGES)}")
    return folder


def h5py_wheel(folder):
    """Return the wheel of h5py for this interpreter and this HDF5; build it if there is none."""
    header = (folder / "include" / "H5pubconf.h").read_text(encoding="utf-8", errors="replace")
    place = f"{sysconfig.get_config_var('SOABI')}-{zlib.crc32(header.encode()):08x}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = home / "memdata" / "parallel-hdf5" / place
    for wheel in sorted(cache.glob("h5py-*.whl")):
        return wheel
    say("building h5py for parallel HDF5; this takes some minutes, once")
    building = cache / "building"
    command = [PYTHON, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    # pip's own cache would give this wheel to environments that have no MPI.
    command += ["--no-cache-dir", "--no-build-isolation", "--no-binary=h5py", "--no-deps"]
    command += ["--wheel-dir", str(building), *requirement("h5py")]
    building.mkdir(parents=True, exist_ok=True)
    in_parallel = building / "setup.cfg"
    in_parallel.write_text(f"[build_ext]\nparallel = {os.cpu_count()}\n", encoding="utf-8")
    variables = dict(
        os.environ,
        CC="mpicc.openmpi",
        CFLAGS="-O1",  # thin wrappers around HDF5: compiled in half the time, as fast
        DIST_EXTRA_CONFIG=str(in_parallel.resolve()),
        HDF5_MPI="ON",
        HDF5_DIR=str(folder),
    )
    if subprocess.call(command, env=variables) != 0:
        fail(f"h5py could not be built against {folder}")
    built = next(building.glob("h5py-*.whl"))
    wheel = built.rename(cache / built.name)
    shutil.rmtree(building)
    return wheel


def requirement(*names):
    """Return what pyproject.toml says of these packages."""
    known = requirements("base") + requirements("test")
    return [line for line in known if line.partition(">")[0] in names]


def make():
    """Make the environment."""
    complete_interpreter()
    folder = complete_system()
    say(f"making {VENV} with {sys.executable}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    tools = requirement("setuptools", "numpy", "mpi4py")
    pip_install(*BUILD_TOOLS, *tools, python=PYTHON)
    pip_install("--no-deps", str(h5py_wheel(folder)), python=PYTHON)
    # MPICH would stand in the way of Open MPI.
    tests = [line for line in requirements("test") if not line.startswith("mpich")]
    pip_install(*tests, python=PYTHON)
    pip_install("--no-build-isolation", "--no-deps", "--editable", ".", python=PYTHON)


def main():
    """Make the environment if there is none, and build memdata's C extension."""
    os.chdir(Path(__file__).resolve().parent.parent)
    if sys.argv[1:] == ["check"]:
        check()
        return
    stamp = VENV / identity()
    if not stamp.exists():
        make()
        stamp.touch()
    complete_system()  # an environment may be older than the system it is used on
    subprocess.run([PYTHON, "setup.py", "--quiet", "build_ext", "--inplace"], check=True)
    has_mpi = "import h5py, sys; sys.exit(not h5py.get_config().mpi)"
    if subprocess.call([PYTHON, "-c", has_mpi]) != 0:
        fail(f"h5py in {VENV} has no MPI")


if __name__ == "__main__":
    main()
