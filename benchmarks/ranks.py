"""What several ranks do together, against what MPI and plain reads and writes do.

These rows run in jobs of their own: ``mpiexec -n 4 python -m benchmarks.ranks ROW EFFORT``. There
every rank measures in step with the others, and a sample is the time of the slowest rank.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata import MemGroup
from memdata.mpiarray import MPIArray
from memdata.ranks.collective import together

from .harness import Effort, Loop, Names, NotHereError, Row, Subject, Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

subject = Subject("Several ranks, the slowest of them, against MPI, pwrite and pread")

JOB_LIMIT = 300  # seconds
NOT_HERE = 77  # exit code of a job that lacks something


@dataclass(frozen=True)
class RanksRow(Row):
    """A row that several ranks measure together; `before` runs on all of them.

    Attributes
    ----------
    ranks
        How many.
    """

    ranks: int = 2

    def measure(self, effort: Effort) -> Timing:
        """Start the ranks and take what they found."""
        mpiexec = Path(sys.executable).with_name("mpiexec")
        if find_spec("mpi4py") is None or not mpiexec.exists():
            raise NotHereError("no mpi4py, or no mpiexec beside the interpreter")
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder, "timing.json")
            row = str(subject.rows.index(self))
            arguments = ["-m", "benchmarks.ranks", row, json.dumps(asdict(effort)), str(found)]
            job = subprocess.run(
                [str(mpiexec), "-n", str(self.ranks), sys.executable, *arguments],
                check=False,
                timeout=JOB_LIMIT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if job.returncode == NOT_HERE:
                raise NotHereError(job.stdout.strip())
            if job.returncode != 0:
                raise RuntimeError(f"exit code {job.returncode}\n{job.stdout[-3000:]}")
            return Timing(**json.loads(found.read_text(encoding="utf-8")))

    def measure_in_step(self, effort: Effort, comm: Any) -> Timing:
        """On each rank: time both sides in turns, with the others."""
        from mpi4py import MPI

        def slowest(value: float) -> float:
            return float(comm.allreduce(value, op=MPI.MAX))

        timing = Timing()
        with self.setup() as names:
            sides = {"anchor": Loop(self.anchor, names), "ours": Loop(self.ours, names)}
            prepare = Loop(self.before or "pass", names)
            rounds = dict.fromkeys(sides, 1)

            def sample(side: str) -> float:
                prepare.sample(1)
                comm.Barrier()
                return slowest(sides[side].sample(rounds[side]))

            for side in sides:
                sample(side)  # memory is there now, and connections
                once = sample(side)
                if not self.before:
                    rounds[side] = max(1, math.ceil(effort.sample / once))
            begin = time.perf_counter()
            while len(timing.ours) < effort.least or slowest(time.perf_counter() - begin) < 2.0:
                timing.anchor.append(sample("anchor"))
                timing.ours.append(sample("ours"))
                if slowest(time.perf_counter() - begin) > effort.seconds:
                    break
        return timing


class MemoryRow(RanksRow):
    """How much resident memory a statement takes at most, on the rank where that is most.

    Samples are bytes. The anchor is an expression of what it may take.
    """

    def measure_in_step(self, effort: Effort, comm: Any) -> Timing:
        """On each rank: the growth of the peak that the system counts."""
        from mpi4py import MPI

        with self.setup() as names:
            allowed = float(eval(self.anchor, dict(names)))
            ours = Loop(self.ours, names)
            timing = Timing()
            for _ in range(effort.least):
                comm.Barrier()
                try:
                    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
                except OSError as error:
                    raise NotHereError("the system does not measure peaks of memory") from error
                before = memory_entry("VmRSS")
                ours.sample(1)
                grown = memory_entry("VmHWM") - before
                timing.ours.append(float(comm.allreduce(grown, op=MPI.MAX)))
                timing.anchor.append(allowed)
        timing.ours = [max(timing.ours)] * len(timing.ours)
        return timing


def memory_entry(name: str) -> int:
    """Bytes, by an entry of /proc/self/status."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def row(
    name: str,
    ranks: int,
    target: float,
    anchor: str,
    ours: str,
    before: str = "",
    kind: type[RanksRow] = RanksRow,
    unit: str = "seconds",
) -> Callable[[Callable[[], Iterator[Names]]], Callable[[], Iterator[Names]]]:
    """Declare a row around the generator that sets it up on each rank."""

    def declare(setup: Callable[[], Iterator[Names]]) -> Callable[[], Iterator[Names]]:
        what = f"{name}, {ranks} ranks"
        made = kind(what, anchor, ours, target, contextmanager(setup), before, unit, ranks)
        subject.rows.append(made)
        return setup

    return declare


def world() -> Any:
    from mpi4py import MPI

    return MPI.COMM_WORLD


# ---- agreeing ----


def agree(comm: Any) -> None:
    with together(comm, "nothing"):
        pass


def agreeing() -> Iterator[Names]:
    yield {"comm": world(), "agree": agree}


for _ranks in (2, 4):
    row(
        "agreeing that nothing failed",
        _ranks,
        3,
        anchor="comm.allgather(None)",
        ours="agree(comm)",
    )(agreeing)


# ---- moving between ranks ----


def redistribution(bytes_per_rank: int) -> Callable[[], Iterator[Names]]:
    def setup() -> Iterator[Names]:
        comm = world()
        columns = 64 * comm.size if bytes_per_rank > 2**20 else 8 * comm.size
        rows = bytes_per_rank // 8 // columns * comm.size
        array = MPIArray((rows, columns), 0, comm, dtype=np.float64)
        array.local_array[...] = np.arange(*array.local_bounds.indices(rows))[:, np.newaxis]
        moved = array.redistribute(1)
        assert np.array_equal(moved.local_array[:, 0], np.arange(rows))
        del moved
        send = np.ascontiguousarray(array.local_array).view(np.uint8).reshape(-1)
        receive = np.ones_like(send)
        yield {"comm": comm, "send": send, "receive": receive, "array": array}

    return setup


for _ranks in (2, 4):
    row(
        "redistribute 128 MiB per rank",
        _ranks,
        2.5,
        anchor="comm.Alltoall(send, receive)",
        ours="array.redistribute(1)",
    )(redistribution(128 << 20))
    row(
        "redistribute 4 KiB per rank",
        _ranks,
        15,
        anchor="comm.Alltoall(send, receive)",
        ours="array.redistribute(1)",
    )(redistribution(4 << 10))


def fresh_redistribution() -> Iterator[Names]:
    """Without shared memory or buffers of an earlier call."""
    comm = world()
    array = MPIArray((comm.size << 14, 1024), 0, comm, dtype=np.float64)
    array.local_array[...] = 1
    yield {"array": array, "budget": 256 << 20}


for _ranks in (2, 4):
    row(
        "peak memory of redistribute, 128 MiB per rank",
        _ranks,
        1,
        anchor="array.nbytes + budget",
        ours="array.redistribute(1)",
        kind=MemoryRow,
        unit="bytes",
    )(fresh_redistribution)


# ---- files ----


@contextmanager
def shared_folder(comm: Any) -> Iterator[Path]:
    """One folder for all ranks."""
    if comm.rank == 0:
        with tempfile.TemporaryDirectory() as made:
            yield Path(comm.bcast(made))
            comm.Barrier()
    else:
        yield Path(comm.bcast(None))
        comm.Barrier()


def forget(comm: Any, path: Path) -> None:
    """Every save makes a new file."""
    comm.Barrier()
    if comm.rank == 0:
        path.unlink(missing_ok=True)
    comm.Barrier()


def pwrite_all(path: Path, array: np.ndarray, offset: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        rest = array.data.cast("B")
        while rest:
            written = os.pwrite(file, rest, offset)
            rest, offset = rest[written:], offset + written
    finally:
        os.close(file)


def pread_all(path: Path, shape: tuple[int, ...], offset: int) -> np.ndarray:
    array = np.empty(shape)
    file = os.open(path, os.O_RDONLY)
    try:
        rest = array.data.cast("B")
        while rest:
            count = os.preadv(file, [rest], offset)
            if count == 0:
                raise OSError(f"{path} is too short")
            rest, offset = rest[count:], offset + count
    finally:
        os.close(file)
    return array


def distributed_group(comm: Any, mebibytes: int) -> tuple[MemGroup, MPIArray]:
    group = MemGroup(distributed=True, comm=comm)
    array = MPIArray((mebibytes * comm.size * 32, 4096), 0, comm, dtype=np.float64)
    array.local_array[...] = np.arange(array.size).reshape(array.shape) // 7
    group.create_dataset("big", data=array)
    return group, array


def saving() -> Iterator[Names]:
    comm = world()
    group, array = distributed_group(comm, 128)
    with shared_folder(comm) as folder:
        new = folder / "new.h5"
        group.to_hdf5(new)
        again = MemGroup.from_hdf5(new, distributed=True, comm=comm)["big"]
        assert np.array_equal(again.local_data, array.local_array)
        del again
        yield {
            "comm": comm,
            "new": new,
            "group": group,
            "local": array.local_array,
            "offset": array.local_offset[0] * array.local_array[:1].nbytes,
            "pwrite_all": pwrite_all,
            "forget": forget,
        }


def loading() -> Iterator[Names]:
    import h5py

    comm = world()
    group, array = distributed_group(comm, 128)
    with shared_folder(comm) as folder:
        path = folder / "big.h5"
        group.to_hdf5(path)
        with h5py.File(path, "r") as file:
            offset = file["big"].id.get_offset()
        offset += array.local_offset[0] * array.local_array[:1].nbytes
        shape = array.local_shape
        assert np.array_equal(pread_all(path, shape, offset), array.local_array)
        del group, array
        yield {
            "comm": comm,
            "path": path,
            "shape": shape,
            "offset": offset,
            "pread_all": pread_all,
            "MemGroup": MemGroup,
        }


for _ranks in (2, 4):
    row(
        "saving 128 MiB per rank",
        _ranks,
        1.15,
        before="forget(comm, new)",
        anchor="pwrite_all(new, local, offset)",
        ours="group.to_hdf5(new)",
    )(saving)
    row(
        "loading 128 MiB per rank",
        _ranks,
        1.1,
        anchor="pread_all(path, shape, offset)",
        ours="MemGroup.from_hdf5(path, distributed=True, comm=comm)",
    )(loading)


CHUNKS = (32, 4096)


def compress_alone(local: np.ndarray) -> None:
    """What the filter costs: a file in memory, which nobody else writes to."""
    import h5py

    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        file.create_dataset(
            "x", data=local, chunks=CHUNKS, compression=32008, compression_opts=(0, 2)
        )


def compressing() -> Iterator[Names]:
    if find_spec("hdf5plugin") is None:
        raise NotHereError("no hdf5plugin, which brings the filter bitshuffle")
    import hdf5plugin  # noqa: F401

    comm = world()
    group, array = distributed_group(comm, 16)
    group["big"].chunks = CHUNKS
    group["big"].compression = "bitshuffle"
    group["big"].compression_opts = (None, "lz4")
    with shared_folder(comm) as folder:
        new = folder / "new.h5"
        group.to_hdf5(new)
        again = MemGroup.from_hdf5(new, distributed=True, comm=comm)["big"]
        assert np.array_equal(again.local_data, array.local_array)
        yield {
            "comm": comm,
            "new": new,
            "group": group,
            "local": array.local_array,
            "compress_alone": compress_alone,
            "forget": forget,
        }


row(
    "saving 16 MiB of bitshuffle-LZ4 per rank",
    2,
    1.5,
    before="forget(comm, new)",
    anchor="compress_alone(local)",
    ours="group.to_hdf5(new)",
)(compressing)


def main(arguments: list[str]) -> None:
    """On one rank of a job: measure a row with the others; rank 0 writes the samples down."""
    number, effort, found = arguments
    comm = world()
    chosen = subject.rows[int(number)]
    assert isinstance(chosen, RanksRow)
    try:
        timing = chosen.measure_in_step(Effort(**json.loads(effort)), comm)
    except NotHereError as reason:
        if comm.rank == 0:
            print(reason)
        sys.exit(NOT_HERE)
    if comm.rank == 0:
        samples = {"anchor": timing.anchor, "ours": timing.ours}
        Path(found).write_text(json.dumps(samples), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
