"""Run by test_mutations.py: HDF5 files or zarr stores, damaged.

    mutated_files.py KIND JOB FIRST COUNT

KIND is hdf5, zarr or zip; JOB what is done with each damaged file: load, verify, rescue, or ask
(the commands that show a file). Prints one line of JSON: what came of it, and what must not have
been.
"""

import contextlib
import io
import json
import os
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from mutations import mutated_bytes, mutated_text, tried
from sound_files import hdf5_files, stores, zip_file

import memdata
from _memdata_cli.listing import listed
from memdata import MemGroup
from memdata.cli import main as command

#: What a load may take, and what its process may take besides: HDF5's own memory, threads.
MAX_BYTES, BESIDE = 10 << 20, 512 << 20

#: What one trial may take; sound files take some milliseconds.
SECONDS = 4

#: What a damaged file may raise; memdata promises no other.
ERRORS = (OSError, MemoryError, ValueError)


class Stores:
    """Damages one file of a zarr folder at a time."""

    def __init__(self, folder: Path) -> None:
        self.stores = []
        for path in stores(folder):
            files = sorted(file for file in path.rglob("*") if file.is_file())
            texts = [file for file in files if file.read_bytes()[:1] == b"{"]
            self.stores.append((path, [*texts, *texts, *files]))

    def damaged(self, number: int) -> tuple[str, Callable[[], object]]:
        """The path of a damaged store, and what mends it."""
        path, files = self.stores[number % len(self.stores)]
        file = files[number // len(self.stores) % len(files)]
        before = file.read_bytes()
        if before[:1] == b"{":
            text = mutated_text(before.decode(), number)
            file.write_bytes(text.encode("utf-8", "surrogatepass"))
        else:
            file.write_bytes(mutated_bytes(before, number))
        return str(path), lambda: file.write_bytes(before)


class Files:
    """Damages one of some files."""

    def __init__(self, sound: list[bytes], path: str) -> None:
        self.sound = sound
        self.path = path

    def damaged(self, number: int) -> tuple[str, Callable[[], object]]:
        """The path of a damaged file, and what is done afterwards."""
        changed = mutated_bytes(self.sound[number % len(self.sound)], number)
        Path(self.path).write_bytes(changed)
        return self.path, lambda: None


def damager(kind: str, folder: Path) -> Stores | Files:
    """What makes the damaged files of this kind."""
    if kind == "hdf5":
        return Files(hdf5_files(), str(folder / "x.h5"))
    if kind == "zarr":
        return Stores(folder)
    path = folder / "x.zarr.zip"
    return Files([zip_file(path)], str(path))


def load(path: str) -> str:
    """Load it; in a word what came of that."""
    MemGroup.from_file(path, max_bytes=MAX_BYTES)
    return "loaded"


def verify(path: str) -> str:
    """Verify it."""
    return "good" if memdata.verify(path).ok else "damage found"


def rescue(path: str) -> str:
    """Rescue it; what comes out has to be sound."""
    out = path + "-rescued.h5"
    try:
        found = memdata.rescue(path, out)
        sound = memdata.verify(out)
        assert sound.ok, str(sound)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(out)
    return "rescued whole" if found.complete else "rescued in part"


def ask(path: str) -> str:
    """Ask the commands about it; that of lists reads HDF5 files itself."""
    by_library = answer("ls", "-r", path)
    answer("tree", path)
    answer("info", path)
    answer("head", f"{path}/{first_dataset(by_library)}")
    by_itself = listed([path], recursive=True)
    if by_itself is not None and by_itself != by_library:
        assert_same_where_readable(by_itself, by_library or "")
        return "more listed than the library can open"
    return "not shown" if by_library is None else "shown"


def answer(*words: str) -> str | None:
    """What a command prints; None where it says in a line why it does not."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        code = command(words)
    assert code == (2 if complained.getvalue() else 0), f"{words}: {code}, {complained.getvalue()}"
    return said.getvalue() if code == 0 else None


def assert_same_where_readable(lines: str, by_library: str) -> None:
    """Compare lists, but for what is at, or below, a name that the library cannot read."""
    known = set(by_library.splitlines())
    lost = [line.split()[0].rstrip("?") for line in known if " cannot be read: " in line]
    for line in lines.splitlines() if known else ():
        name = line.split()[0]
        assert line in known or any(name.startswith(one) for one in lost), line


def first_dataset(lines: str | None) -> str:
    """The name of a dataset among the lines that `memdata ls` printed."""
    found = re.search(r"^/(.*?) +Dataset", lines or "", re.MULTILINE)
    return found[1] if found else "x"


JOBS = {job.__name__: job for job in (load, verify, rescue, ask)}


def outcome(job: Callable[[str], str], path: str) -> tuple[str, str | None]:
    """What came of a job with a damaged file, and what must not have been."""
    before = sorted(os.listdir(os.path.dirname(path)))
    wrong = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            what = job(path)
            what = f"{what} with a warning" if said else what
        except ERRORS as error:
            what = type(error).__name__
            wrong = None if path in str(error) else f"no name: {type(error).__name__}: {error}"
        except BaseException as error:  # noqa: BLE001 - any other is the finding
            what = type(error).__name__
            wrong = f"{what}: {error}"
    if sorted(os.listdir(os.path.dirname(path))) != before:
        wrong = "it made files"
    return what, None if wrong is None else wrong[:300]


def main(kind: str, job: str, first: int, count: int) -> None:
    """All trials."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as above:
        folder = Path(above)
        harm = damager(kind, folder)

        def trial(number: int) -> tuple[str, str | None]:
            path, mend = harm.damaged(number)
            result = outcome(JOBS[job], path)
            mend()
            return result

        keep = folder.parent / (folder.name + "-keep")
        shutil.copytree(folder, keep)
        try:
            found = tried(
                trial,
                range(first, first + count),
                more_memory=MAX_BYTES + BESIDE,
                seconds=SECONDS,
                patient=kind != "hdf5",  # libhdf5 does loop
                after_death=lambda: (shutil.rmtree(folder), shutil.copytree(keep, folder)),
            )
        finally:
            shutil.rmtree(keep)
    print(json.dumps(found.summary()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
