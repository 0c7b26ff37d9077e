"""Make the virtual environment that `make` works in; called by the Makefile.

    python3 tools/environment.py id             print what tells environments apart
    python3 tools/environment.py base           interpreter, build tools, memdata (editable)
    python3 tools/environment.py test|lint|...  also what this extra or dependency group asks for

It needs the standard library only, and an old Python can run it far enough to be told its age.
On Debian and its relatives the header files and `ensurepip` are packages of their own: where one
is missing it is installed with apt-get by root; anybody else is told what to install.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zlib
from pathlib import Path

OLDEST = (3, 11)
VERSION = "{}.{}".format(*sys.version_info)
VENV = Path(".venv")
VENV_PYTHON = VENV / "bin" / "python"


def say(text):
    """Print `text` so that it stands before what a command prints next."""
    print("memdata: " + text, flush=True)


def fail(text):
    """End with a message and no traceback."""
    sys.exit("memdata: " + text)


def identity():
    """Return a name that changes with the interpreter and with the checkout's place."""
    place = zlib.crc32(os.getcwd().encode())
    return f"{sysconfig.get_config_var('SOABI')}-{place:08x}"


def missing_parts():
    """Return (what is missing, Debian's package with it) for each thing the build lacks."""
    debian = f"python{VERSION}"
    missing = []
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        missing.append(("Python's venv and ensurepip", debian + "-venv"))
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append(("the header file Python.h", debian + "-dev"))
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "gcc", "gcc", "cc")):
        missing.append(("a C compiler", "gcc"))
    return missing


def complete_interpreter():
    """Install what is missing with apt-get, or say what to install and end."""
    if sys.version_info < OLDEST:
        fail(
            f"{sys.executable} is Python {VERSION}; {OLDEST[0]}.{OLDEST[1]} or later is needed:"
            " make PYTHON=/path/to/python3"
        )
    missing = missing_parts()
    if not missing:
        return
    things = ", ".join(thing for thing, _ in missing)
    packages = [package for _, package in missing]
    is_debians = sys.executable.startswith("/usr/bin/") and shutil.which("apt-get")
    if not is_debians:
        fail(f"{sys.executable} lacks {things}: install it, or choose make PYTHON=...")
    if os.geteuid() != 0:
        fail(f"missing: {things}; as root run: apt-get install {' '.join(packages)}")
    say(f"missing: {things}; installing {' '.join(packages)}")
    apt_install(packages)


def apt_install(packages):
    """Install Debian packages, as root."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "--quiet"], install):
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode != 0:
            sys.stdout.buffer.write(done.stdout)
            fail(f"this failed: {' '.join(command)}")


def pip_install(*arguments, python=VENV_PYTHON):
    """Run pip inside the environment."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if subprocess.call([*command, *arguments]) != 0:
        fail(f"pip install {' '.join(arguments)} failed")


def requirements(purpose):
    """Return what pyproject.toml asks for under `purpose`; memdata's own extras are resolved."""
    import tomllib  # Python 3.11

    settings = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    if purpose == "base":
        return settings["build-system"]["requires"] + settings["project"]["dependencies"]
    named = {**settings["project"]["optional-dependencies"], **settings["dependency-groups"]}
    if purpose not in named:
        fail(f"pyproject.toml knows no extra or group {purpose!r}, only {sorted(named)}")
    found = []
    for requirement in named[purpose]:
        own = re.fullmatch(r"memdata\[(.*)\]", requirement)
        if own:
            for extra in own[1].split(","):
                found += requirements(extra.strip())
        else:
            found.append(requirement)
    return found


def make_base():
    """Make the environment and install memdata into it, editable."""
    complete_interpreter()
    say(f"making {VENV} with {sys.executable} (Python {VERSION})")
    # A new process: this one does not see the modules that apt-get has just installed.
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=True)
    pip_install(*requirements("base"))
    say("building the C extension")
    pip_install("--no-build-isolation", "--no-deps", "--editable", ".")


def main():
    """Do what the command line asks for."""
    if len(sys.argv) != 2:
        fail("usage: python3 tools/environment.py id|base|EXTRA|GROUP")
    os.chdir(Path(__file__).resolve().parent.parent)
    purpose = sys.argv[1]
    if purpose == "id":
        print(identity())
    elif purpose == "base":
        make_base()
    else:
        say(f"installing what '{purpose}' needs into {VENV}")
        pip_install(*requirements(purpose))


if __name__ == "__main__":
    main()
