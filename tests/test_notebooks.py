"""The notebooks in examples/notebooks run, and print what is stored in them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "notebooks"
NEEDS = {"distributed": ["mpi4py"], "from_xarray": ["xarray"]}

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")


def seen(cell):
    """What a reader sees below a cell: text as it is, of pictures that they are there."""
    found = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if output.output_type == "stream":
            found.append((output.name, output.text))
        elif "image/png" in data:
            found.append(("picture", len(data["image/png"]) > 1000))
        else:
            found.append((output.output_type, data.get("text/plain")))
    return found


@pytest.mark.filterwarnings("ignore")  # of the kernel's machinery
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_print_what_is_stored(path, tmp_path, monkeypatch):
    for name in NEEDS.get(path.stem, []):
        pytest.importorskip(name)
    if path.stem == "distributed" and not shutil.which(
        "mpiexec", path=str(Path(sys.executable).parent)
    ):
        pytest.skip("no mpiexec here")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    stored = nbformat.read(path, as_version=4)
    run = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        run, timeout=50, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    for before, after in zip(stored.cells, run.cells, strict=True):
        assert seen(after) == seen(before), before.source


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_tell_nothing_of_the_machine_they_ran_on(path):
    text = path.read_text()
    assert not [word for word in ("/home/", "/root", "/tmp/", "site-packages") if word in text]


def test_there_are_notebooks():
    assert len(list(FOLDER.glob("*.ipynb"))) == 5
