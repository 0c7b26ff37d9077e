"""A rank that is killed, stopped or interrupted while elements move: the others end and say why."""

from __future__ import annotations

import textwrap

import pytest

from test_ranks import mpich, run

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys, time
    from pathlib import Path

    folder, way, what = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def wait_for(*names):
        while not all(Path(folder, name).exists() for name in names):
            time.sleep(0.01)

    # The launcher ends all when one of its processes has gone: the ranks are children of those.
    if child := os.fork():
        _, status = os.waitpid(child, os.WUNTRACED)
        if os.WIFEXITED(status):
            os._exit(os.WEXITSTATUS(status))
        wait_for("0", "2")
        if os.WIFSTOPPED(status):
            os.kill(child, signal.SIGKILL)
        Path(folder, "all").touch()
        os._exit(3)

    import numpy as np
    from mpi4py import MPI
    from memdata.ranks import sharing
    from memdata.ranks import messages
    from memdata.ranks import moving
    from memdata.mpiarray import MPIArray

    comm = MPI.COMM_WORLD
    module = sharing if way == "shared" else messages
    sharing.STAGING = sharing.LEAST = 1 << 17
    moving.SHARED = 0 if way == "shared" else 1 << 60
    messages._PIECE = 1 << 16
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # MPICH's launcher says so that one is gone
    whole = np.arange(600 * 700.0).reshape(600, 700)
    array = MPIArray(whole.shape, 0, comm)
    array.local_array[...] = whole[array.local_bounds]
    kept = module.copy_blocks
    calls = []

    def copy_blocks(targets, sources):
        calls.append(1)
        if len(calls) == 3:
            if what == "raise":
                raise ZeroDivisionError("in the middle")
            os.kill(os.getpid(), getattr(signal, what))
        return kept(targets, sources)

    if comm.rank == 1:
        module.copy_blocks = copy_blocks
    try:
        array.redistribute(1)
    except BaseException as error:
        Path(folder, f"new{comm.rank}").write_text(f"{type(error).__name__}: {error}")
        Path(folder, f"new{comm.rank}").rename(Path(folder, f"{comm.rank}"))
        if isinstance(error, TimeoutError):
            wait_for("all")
            os._exit(3)  # without MPI_Finalize, which waits for all
    else:
        sys.exit("no error")
    moved = array.redistribute(1)
    assert np.array_equal(moved.local_array, whole[:, moved.local_bounds])
    """
)
WAYS = pytest.mark.parametrize("way", ["shared", "messages"])


@WAYS
@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("SIGINT", "KeyboardInterrupt: rank 1 of 3, redistribute: KeyboardInterrupt"),
        ("raise", "ZeroDivisionError: rank 1 of 3, redistribute: in the middle"),
    ],
)
def test_what_one_rank_raises_all_raise_and_go_on(tmp_path, way, what, error):
    ended = run(mpich(), 3, ["-c", PROGRAM, str(tmp_path), way, what], 60)
    assert ended.code == 0, ended.text
    assert [(tmp_path / rank).read_text() for rank in "012"] == [error] * 3


@WAYS
@pytest.mark.parametrize("what", ["SIGKILL", "SIGSTOP"])
def test_a_rank_that_is_gone_is_named(tmp_path, way, what):
    ended = run(mpich(), 3, ["-c", PROGRAM, str(tmp_path), way, what], 60, MEMDATA_TIMEOUT="1")
    assert ended.code not in (0, None), ended.text
    assert not (tmp_path / "1").exists()
    named = []
    for rank in (0, 2):
        said = (tmp_path / str(rank)).read_text()
        assert said.startswith(f"RankTimeoutError: rank {rank} of 3, redistribute: waited 1 s")
        named.append(said.partition("(MEMDATA_TIMEOUT) for ")[2])
    if way == "shared":
        assert named == ["rank 1", "rank 1"]
    else:  # a rank cannot tell that the one it waits for waits itself
        assert any("1" in ranks for ranks in named)


WAITING = textwrap.dedent(
    """
    import os, signal, sys, threading, time
    from pathlib import Path
    from mpi4py import MPI
    from memdata.ranks.collective import agree

    done = Path(sys.argv[1], "done")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if MPI.COMM_WORLD.rank == 0:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            agree(MPI.COMM_WORLD, "wait for what does not come")
        except KeyboardInterrupt:
            done.touch()
    else:
        while not done.exists():
            time.sleep(0.01)
    os._exit(0)
    """
)


def test_ctrl_c_ends_a_wait_in_vain(tmp_path):
    ended = run(mpich(), 2, ["-c", WAITING, str(tmp_path)], 30)
    assert ended.code is not None, ended.text
    assert (tmp_path / "done").exists(), ended.text
