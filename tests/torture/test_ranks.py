"""One of three ranks fails, is killed or stopped: nobody waits for ever, the file is whole."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from test_ranks import mpich, run
from torture.lost_ranks import SHAPE
from torture.scale import FULL, figure
from torture.shim import HERE

JOBS = ["load", "save", "redistribute", "copy"]
LIMIT = 120  # seconds, of one run; a busy machine takes ten times longer than an idle one


def make_file(path: Path) -> None:
    """The old file, whose numbers are 0 where those of the new are 1."""
    with h5py.File(path, "w") as f:
        for name in ("x", "packed"):
            f[name] = np.zeros(SHAPE)
            f[name].attrs["__memh5_distributed_dset"] = True
        f["common"] = np.zeros(50_000)


def number_of(folder: Path) -> int:
    """Whether it is the old file or the new one; it is one of them, and nothing is beside it."""
    with h5py.File(folder / "x.h5") as f:
        number = int(f["x"][0, 0])
        assert np.array_equal(f["x"], np.full(SHAPE, float(number)))
        assert np.array_equal(f["packed"], np.full(SHAPE, float(number)))
        assert f["common"][-1] == number * 49_999
    return number


def said(folder: Path) -> list[str]:
    """What the ranks wrote, without the one that was lost."""
    return [(folder / rank).read_text() for rank in "012" if (folder / rank).exists()]


@pytest.mark.timeout(LIMIT + 30)
@pytest.mark.parametrize("job", JOBS)
def test_where_one_rank_fails_all_raise_the_same_and_go_on(tmp_path, job):
    make_file(tmp_path / "x.h5")
    script = str(HERE / "lost_ranks.py")
    ended = run(mpich(), 3, [script, str(tmp_path), job, "raise", "0"], LIMIT)
    assert ended.code == 0, ended.text
    (one,) = set(said(tmp_path))
    assert one.endswith("at last: done")
    figure(f"{job}: calls that failed on one rank", one.split()[0])
    assert number_of(tmp_path) == (job == "save")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("action", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("job", JOBS)
def test_where_one_rank_is_lost_the_others_end_and_the_file_is_whole(tmp_path, job, action):
    errors = 0
    stages = range(1, 200) if FULL else [4]
    for stage in stages:
        folder = tmp_path / str(stage)
        folder.mkdir()
        make_file(folder / "x.h5")
        arguments = [str(HERE / "lost_ranks.py"), str(folder), job, action, str(stage)]
        ended = run(mpich(), 3, arguments, LIMIT, MEMDATA_TIMEOUT="1")
        assert ended.code is not None, f"stage {stage} hangs: {ended.text}"
        assert number_of(folder) in ((0, 1) if job == "save" else (0,))
        texts = said(folder)
        if len(texts) == 3:  # the job is over: there are no more stages
            assert texts == ["done"] * 3
            break
        assert len(texts) == 2, ended.text
        for text in texts:
            assert text == "done" or text.startswith("RankTimeoutError: rank "), text
        errors += sum(text != "done" for text in texts)
        # A rank that has gone on may wait for one that still waits for the lost one.
        whom = [text.rpartition(" for ")[2] for text in texts if text != "done"]
        assert not whom or any("1" in ranks or ranks == "the other ranks" for ranks in whom), texts
    figure(f"{job}, {action}: ranks that waited in vain", str(errors))
