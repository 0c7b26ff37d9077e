"""The example written for caput alone runs on memdata, on any number of ranks alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from support import assert_same_file, run_python
from test_ranks import mpich

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "pipeline"
FILES = ("raw.h5", "calibrated.h5", "spectrum.h5")


def run_example(folder, *launcher):
    """Run the example as its heading says; the folder with its files."""
    command = ["-W", "error", "-m", "memdata.compat", str(EXAMPLE / "pipeline.py"), str(folder)]
    done = subprocess.run(
        [*launcher, sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "28 channels" in done.stdout
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process without a launcher makes."""
    pytest.importorskip("mpi4py", reason="the example distributes its data")
    return run_example(tmp_path_factory.mktemp("alone") / "new folder")


def test_it_names_nothing_of_memdata():
    for path in EXAMPLE.glob("*.py"):
        lines = path.read_text().splitlines()
        imports = [line for line in lines if line.startswith(("import ", "from "))]
        assert not [line for line in imports if "memdata" in line and "caput" not in line]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_several_ranks_write_the_same_files(alone, tmp_path, ranks):
    folder = run_example(tmp_path / "out", *mpich().command, "-n", str(ranks))
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    for name in FILES:
        assert_same_file(folder / name, alone / name)


def test_the_files_are_those_of_a_distributed_save(alone):
    with h5py.File(alone / "calibrated.h5") as file:
        assert file.attrs["__memh5_subclass"] == "containers.Visibilities"
        assert file.attrs["__memh5_distributed_file"]
        assert file.attrs["telescope"] == '!!_memh5_json:{"name": "simulated", "feeds": 4}'
        assert dict(file["vis"].attrs, axis=None) == {
            "__memh5_distributed_dset": True,
            "__memh5_distributed_axis": 0,
            "axis": None,
        }
        assert file["vis"].attrs["axis"].tolist() == ["freq", "pair", "time"]
        assert file["vis"].chunks == (4, 4, 32)
        assert file["vis"].compression == "gzip"
        assert file["vis"].shape == (28, 10, 96)


def test_the_source_is_found_again(alone):
    """The clock is taken out: what is left is the source, within the noise."""
    with h5py.File(alone / "spectrum.h5") as file:
        mhz = file["index_map/freq"]["centre"][:, np.newaxis]
        pair = file["index_map/pair"]
        separation = pair["feed_b"].astype(float) - pair["feed_a"]
        expected = (400.0 / mhz) ** 0.7 * np.exp(2j * np.pi * separation * mhz / 3000.0)
        found, error = file["mean"][:], file["error"][:]
    assert (np.abs(found - expected) < 6 * error + 2e-3).all()
    assert 0 < error.max() < 0.02


def test_other_programs_read_its_files_with_its_classes(alone):
    """And without them: a file imports nothing by itself."""
    out = run_python(
        f"""
        import sys, warnings
        import memdata
        warnings.simplefilter("ignore")
        name = {str(alone / "spectrum.h5")!r}
        print(type(memdata.MemDiskGroup.from_file(name)).__name__, "containers" in sys.modules)
        sys.path.insert(0, {str(EXAMPLE)!r})
        import memdata.compat
        with memdata.compat.install():
            memdata.trust("containers")
            spectrum = memdata.MemDiskGroup.from_file(name)
            print(type(spectrum).__name__, len(spectrum.freq))
        """
    )
    assert out.split() == ["MemDiskGroup", "False", "Spectrum", "28"]
