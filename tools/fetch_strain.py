"""Fetch the data file of examples/gravitational_waves.py and print where it is.

One second of strain from three gravitational-wave detectors is part of the `gwpy` package's test
data. Its wheel is taken from the package index, the one file unpacked into .cache/ and checked.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

NAME = "HLV-HW100916-968654552-1.hdf"
SHA256 = "e5879dbe3bb83d41456b5eec65522205d6d2c0594b4cc17a520ac1ed0bcc253c"
REQUIREMENT = "gwpy>=3.0.8,<5"
CACHE = Path(__file__).resolve().parent.parent / ".cache"


def is_right(data: bytes) -> bool:
    """Tell whether these are the bytes that the example was written for."""
    return hashlib.sha256(data).hexdigest() == SHA256


def download() -> bytes:
    """Return the file's content, out of the wheel on the package index."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        options = ["--no-deps", "--only-binary", ":all:", "--dest", folder]
        subprocess.run([*pip, *options, REQUIREMENT], check=True)
        (wheel,) = Path(folder).glob("gwpy-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(f"gwpy/testing/data/{NAME}")


def main() -> None:
    """Make sure that the file is there, and print its name."""
    path = CACHE / NAME
    if not (path.exists() and is_right(path.read_bytes())):
        data = download()
        if not is_right(data):
            sys.exit(f"memdata: {NAME} from {REQUIREMENT} is not the file that was expected")
        CACHE.mkdir(exist_ok=True)
        path.write_bytes(data)
    print(path)


if __name__ == "__main__":
    main()
