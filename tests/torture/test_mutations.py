"""Damaged files and attributes: data, or an error that names the file; nothing else."""

import signal

import pytest

from torture.scale import figure, rounds
from torture.scripts import found_by

#: Kinds of files, what is done with them, and how many are tried.
JOBS = [
    ("hdf5", "load", 800, 100_000),
    ("hdf5", "verify", 150, 20_000),
    ("hdf5", "rescue", 100, 20_000),
    ("hdf5", "ask", 60, 10_000),
    ("zarr", "load", 150, 100_000),
    ("zarr", "verify", 30, 10_000),
    ("zarr", "rescue", 30, 10_000),
    ("zarr", "ask", 30, 5000),
    ("zip", "load", 150, 60_000),
]


@pytest.mark.timeout(20_000)
@pytest.mark.parametrize(("kind", "job", "short", "full"), JOBS)
def test_damaged_files(kind, job, short, full):
    if kind != "hdf5":
        pytest.importorskip("zarr")
    number = rounds(short=short, full=full)
    found = found_by("mutated_files.py", kind, job, 0, number, timeout=19_000)
    by_signal = {}
    for _, code in found["died"]:
        by_signal[signal.Signals(code).name] = by_signal.get(signal.Signals(code).name, 0) + 1
    figure(f"{kind}: damaged files, {job}", f"{found['counts']}, died: {by_signal}")
    assert found["wrong"] == []
    assert sum(found["counts"].values()) + len(found["died"]) == number
    assert len(found["counts"]) > 1  # some are still good, others are not
    if kind == "hdf5":  # libhdf5 itself loops for ever, or crashes: see SECURITY.md
        assert len(found["died"]) <= 1 + number / 200
    else:
        assert found["died"] == []


@pytest.mark.timeout(7200)
def test_damaged_attributes():
    pytest.importorskip("zarr")
    number = rounds(short=20_000, full=1_000_000)
    found = found_by("mutated_strings.py", 0, number)
    figure("damaged strings of attributes", str(found["counts"]))
    assert found["wrong"] == []
    assert found["died"] == []
    assert sum(found["counts"].values()) == number
