"""Run by test_faults.py in a namespace of its own: a file system that is really full.

    full_disk.py FOLDER

Mounts a small one, and saves trees into it that do not fit. Prints one line of JSON.
"""

import json
import os
import subprocess
import sys

import numpy as np
from trees import KINDS, tree, which

from memdata import MemGroup


def main(folder: str) -> None:
    """One save of each kind of storage, each on an empty disk with an old file."""
    found = {}
    for kind, name in KINDS.items():
        if kind != "hdf5":
            try:
                import zarr  # noqa: F401
            except ImportError:
                continue
        mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", folder]
        subprocess.run(mount, check=True)
        path = os.path.join(folder, name)
        tree(1).to_file(path)
        large = MemGroup()
        large.create_dataset("fits", data=np.zeros(10_000))
        large.create_dataset("large", data=np.random.default_rng(0).random(1_000_000))
        try:
            large.to_file(path)
            raised = None
        except OSError as error:
            raised = [error.errno, str(error)]
        found[kind] = {
            "raised": raised,
            "state": which(path, {1: tree(1)}),
            "left": sorted(set(os.listdir(folder)) - {name}),
            "path": path,
        }
        subprocess.run(["umount", folder], check=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
