"""A program killed while it saves, or the power going: the old file or the new one, whole."""

import json

import pytest

import test_ranks
from torture import shim
from torture.scale import FULL, figure, rounds
from torture.scripts import found_by
from torture.trees import KINDS


@pytest.fixture(params=KINDS)
def kind(request):
    if request.param != "hdf5":
        pytest.importorskip("zarr")
    return request.param


@pytest.mark.timeout(7200)
def test_a_killed_save_leaves_the_old_file_or_the_new_one(tmp_path, kind):
    number = rounds(short=12, full=1000)
    counts = found_by("killed_saves.py", tmp_path / KINDS[kind], number, 1)
    figure(f"{kind}: saves that were killed", str(counts))
    assert counts["old"] + counts["new"] == number
    assert counts["old"] > 0
    assert counts["left behind"] > 0


@pytest.mark.timeout(7200)
def test_killed_ranks_leave_the_old_file_or_the_new_one(tmp_path, kind):
    mpiexec = test_ranks.mpich().command[0]
    if kind == "zip" and not FULL:
        pytest.skip("only in the long form")
    number = rounds(short=4, full=1000)
    counts = found_by("killed_ranks.py", mpiexec, 4, tmp_path / KINDS[kind], number, 1)
    figure(f"{kind}: saves of 4 ranks that were killed", str(counts))
    assert counts["old"] + counts["new"] == number
    assert counts["old"] > 0


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("durable", [True, False])
def test_power_that_goes(kind, durable):
    number = rounds(short=10, full=200)
    text = shim.run(
        "power_loss.py", kind, "durable" if durable else "quick", str(number), "1", timeout=3500
    )
    found = json.loads(text)
    figure(f"{kind}: power lost, durable={durable}", str(found))
    during, after = found["during"], found["after"]
    assert during["old"] + during["new"] + during["something else"] == number
    if durable:
        assert during["something else"] == 0
        assert after == {"old": 0, "new": sum(after.values()), "something else": 0}
    else:  # what `durable` is for; and the model of the disk does lose things
        assert after["new"] < sum(after.values())
