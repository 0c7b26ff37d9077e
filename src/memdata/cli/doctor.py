"""Say what is installed and works, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

from memdata.cli.output import add_color, print_json, print_picture

__all__ = ["Finding", "configure", "findings", "run"]


class Finding(NamedTuple):
    """One thing looked at.

    Attributes
    ----------
    name : str
    state : {"good", "missing", "broken"}
        *missing* is what one can do without.
    text : str
        What was found.
    advice : str
        What to do; empty where nothing is to be done.
    """

    name: str
    state: str
    text: str
    advice: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "folder", nargs="?", default=".", help="where files are to be saved: is it fit for that?"
    )
    add_color(parser)


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata.show.text import Picture

    found = list(findings(options.folder))
    if options.json:
        print_json([one._asdict() for one in found])
    else:
        styles = {
            "good": ("shape", "ok"),
            "missing": ("note", "--"),
            "broken": ("unreadable", "!!"),
        }
        lines = []
        for one in found:
            style, mark = styles[one.state]
            lines.append([(style, f"{mark}  "), ("label", f"{one.name:14}  "), ("", one.text)])
            if one.advice:
                lines.append([("note", f"{'':20}{one.advice}")])
        print_picture(Picture(lines), options.color)
    return int(any(one.state == "broken" for one in found))


def findings(folder: str) -> Iterator[Finding]:
    """Everything that is looked at, in order."""
    yield _python()
    yield _memdata()
    yield _numpy()
    yield from _h5py()
    yield from _mpi()
    yield from _movers()
    yield _filters()
    for package, extra, what in (
        ("zarr", "zarr", "zarr stores"),
        ("numcodecs", "zarr", "codecs of zarr"),
        ("hdf5plugin", "compression", "filters of HDF5 beside gzip, lzf and szip"),
        ("tqdm", "progress", "progress bars"),
        ("rich", "show", "colours"),
    ):
        yield _optional(package, extra, what)
    yield _memory()
    yield _folder(folder)


def _python() -> Finding:
    text = f"{platform.python_implementation()} {platform.python_version()}, {sys.executable}"
    return Finding("Python", "good", text)


def _memdata() -> Finding:
    import memdata

    return Finding("memdata", "good", f"{memdata.__version__}, {os.path.dirname(memdata.__file__)}")


def _numpy() -> Finding:
    import numpy as np

    return Finding("NumPy", "good", np.__version__)


def _h5py() -> Iterator[Finding]:
    try:
        import h5py
    except Exception as error:  # noqa: BLE001 - a library that does not fit raises what it likes
        advice = "pip install --force-reinstall h5py"
        yield Finding("h5py", "broken", f"cannot be imported: {error}", advice)
        return
    parallel = bool(h5py.get_config().mpi)
    kind = "parallel" if parallel else "serial"
    yield Finding("h5py", "good", f"{h5py.__version__}, {kind}, HDF5 {h5py.version.hdf5_version}")


def _mpi() -> Iterator[Finding]:
    try:
        from mpi4py import MPI
    except ImportError as error:
        if "libmpi" in str(error):
            text = f"mpi4py is there, but no MPI library for it: {error}"
            advice = "pip install mpich, or load the module of your site's MPI"
            yield Finding("MPI", "broken", text, advice)
            return
        yield Finding("MPI", "missing", "no mpi4py: one process", "pip install memdata[mpi]")
        return
    except RuntimeError as error:
        yield Finding("MPI", "broken", str(error), "pip install mpich, or load your site's MPI")
        return
    library = MPI.Get_library_version().split("\n")[0].strip("\0 ")[:70]
    version = importlib.metadata.version("mpi4py")
    ranks = MPI.COMM_WORLD.size
    text = f"mpi4py {version}, {library}, {ranks} {'rank' if ranks == 1 else 'ranks'}"
    yield Finding("MPI", "good", text)


def _movers() -> Iterator[Finding]:
    yield Finding("mover direct", "good", "always there")
    try:
        import h5py

        parallel = bool(h5py.get_config().mpi)
    except Exception:  # noqa: BLE001 - said above
        return
    if parallel:
        yield Finding("mover mpio", "good", "h5py is built for parallel HDF5")
        return
    advice = "not needed; else: CC=mpicc HDF5_MPI=ON pip install --no-binary=h5py h5py"
    yield Finding("mover mpio", "missing", "h5py is not built for parallel HDF5", advice)


def _filters() -> Finding:
    try:
        from memdata.formats.hdf5_filters import available
        from memdata.show.facts import FILTER_NAMES
    except ImportError as error:
        return Finding("filters", "broken", str(error))
    there = [name for code, name in sorted(FILTER_NAMES.items()) if available(code)]
    gone = [name for code, name in sorted(FILTER_NAMES.items()) if not available(code)]
    advice = f"not there: {', '.join(gone)}; pip install memdata[compression]" if gone else ""
    return Finding("filters", "good", ", ".join(there), advice)


def _optional(package: str, extra: str, what: str) -> Finding:
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name == package:
            return Finding(package, "missing", f"no {what}", f"pip install memdata[{extra}]")
        return _broken(package, error)
    except Exception as error:  # noqa: BLE001
        return _broken(package, error)
    return Finding(package, "good", f"{importlib.metadata.version(package)}: {what}")


def _broken(package: str, error: Exception) -> Finding:
    advice = f"pip install --force-reinstall {package}"
    return Finding(package, "broken", f"cannot be imported: {error}", advice)


def _memory() -> Finding:
    from memdata import threads
    from memdata.show.words import size

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = f"{threads.thread_count()} threads, {size(total)} of memory"
    return Finding("machine", "good", text)


def _folder(folder: str) -> Finding:
    """Whether files can be replaced in one step and locked there."""
    from memdata.show.words import size

    name = f"folder {folder}"[:14] if len(folder) < 8 else "folder"
    try:
        _save_and_load(folder)
    except OSError as error:
        return Finding(name, "broken", f"{folder}: {error}", "choose a folder that can be written")
    where: Any = os.statvfs(folder)
    free = size(where.f_bavail * where.f_frsize)
    return Finding(name, "good", f"a file was saved, replaced and loaded; {free} free")


def _save_and_load(folder: str) -> None:
    import memdata

    group = memdata.MemGroup()
    group["x"] = [1, 2, 3]
    with tempfile.TemporaryDirectory(prefix=".memdata-doctor-", dir=folder) as inside:
        path = os.path.join(inside, "x.h5")
        for _again in range(2):
            group.to_hdf5(path)
        if memdata.diff(group, path):
            raise OSError("what was saved is not what comes back")
