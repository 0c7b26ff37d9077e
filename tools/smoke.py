"""Does an installed memdata work? Run by `make dist` and cibuildwheel, with what pip installed.

It stands alone, and imports memdata from where it is installed, not from a checkout.
"""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

import memdata
from memdata.mpiarray import MPIArray
from memdata.testing import assert_tree_equal, example_tree


def check(folder: Path) -> None:
    """Make a tree, save it, load it, copy it, compare."""
    assert version("memdata") == memdata.__version__, "the version is written twice"
    assert (Path(memdata.__file__).parent / "py.typed").exists(), "py.typed is not installed"
    tree = example_tree()
    packed = tree.create_dataset(
        "packed", data=np.arange(4000.0), chunks=(500,), compression="gzip"
    )
    packed.attrs["nested"] = {"a": [1, 2.5, None]}
    tree.to_hdf5(folder / "tree.h5")
    assert_tree_equal(memdata.MemGroup.from_hdf5(folder / "tree.h5"), tree)
    with h5py.File(folder / "tree.h5") as file:
        assert file["packed"][-1] == 3999.0
    assert_tree_equal(copy.deepcopy(tree), tree)
    assert_tree_equal(pickle.loads(pickle.dumps(tree)), tree)
    array = MPIArray((4, 3), axis=0)
    array[:] = 2.0
    assert (array * 2).allgather().sum() == 48.0
    command = [sys.executable, "-m", "memdata", "diff", "tree.h5", "tree.h5"]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0


def main() -> None:
    """Check, and say with what."""
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder))
    print(
        f"memdata {memdata.__version__} works: Python {sys.version.split()[0]}, "
        f"numpy {np.__version__}, h5py {h5py.__version__}"
    )


if __name__ == "__main__":
    main()
