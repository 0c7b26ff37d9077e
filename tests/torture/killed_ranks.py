"""Run by test_crash.py: several ranks save over a file, and are killed in the middle.

    killed_ranks.py MPIEXEC RANKS FILE ROUNDS SEED

In every other round all ranks are killed at one random moment, else one of them, and the others
some time later, as mpiexec does it. Prints one line of JSON, as killed_saves.py.
"""

import ast
import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

import h5py  # noqa: F401 - so that it is there when the ranks begin
from trees import blank, tree_of_ranks, which

from memdata.fileformats import guess_file_format
from memdata.formats import hdf5_write, zarr_write  # noqa: F401 - as h5py

#: Seconds for all ranks to begin, or to end.
LIMIT = 60.0


def accepted(server: socket.socket) -> tuple[socket.socket, dict[str, str]]:
    """The next rank that mpiexec has started, and how MPI is to know it."""
    connection, _ = server.accept()
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 1)
    return connection, {**ast.literal_eval(text.decode()), "PMI_FD": str(descriptors[0])}


def rank(variables: dict[str, str], path: str, number: int, ready: int, go: int) -> None:
    """What one rank does; never returns."""
    code = 1
    try:
        os.environ.update(variables)
        from mpi4py import MPI

        group = tree_of_ranks(number, MPI.COMM_WORLD)
        MPI.COMM_WORLD.Barrier()
        os.write(ready, b"r")
        os.read(go, 1)
        group.save(path, file_format=guess_file_format(path))
        code = 0
        os.write(ready, b"d")
        MPI.Finalize()
    except BaseException:  # noqa: BLE001 - whoever runs this has to see any
        traceback.print_exc()
    finally:
        os._exit(code)


def shared_memory(process: int) -> set[str]:
    """The files of shared memory that a process has."""
    with open(f"/proc/{process}/maps") as lines:
        names = {line.split(maxsplit=5)[-1].strip() for line in lines}
    return {name for name in names if name.startswith("/dev/shm/")}


class Job:
    """One save by several ranks."""

    def __init__(self, mpiexec: str, size: int, path: str, number: int) -> None:
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
            name = os.path.join(folder, "ranks")
            server.bind(name)
            server.listen(size)
            launcher = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rank_launcher.py")
            command = [mpiexec, "-n", str(size), sys.executable, "-I", "-S", launcher, name]
            # It has much to say of ranks that are killed.
            self.mpiexec = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            server.settimeout(LIMIT)
            came = [accepted(server) for _ in range(size)]
        self.connections = [connection for connection, _ in came]
        self.ready, ready = os.pipe()
        go, self.go = os.pipe()
        self.processes = []
        for _, variables in came:
            process = os.fork()
            if process == 0:
                os.close(self.ready)
                os.close(self.go)
                rank(variables, path, number, ready, go)
            self.processes.append(process)
        for _, variables in came:
            os.close(int(variables["PMI_FD"]))
        os.close(ready)
        os.close(go)
        for _ in range(size):
            assert self.heard() == b"r", "a rank did not begin"
        self.shared = shared_memory(self.processes[0])

    def heard(self) -> bytes:
        """What the next rank says: that it is ready, or done."""
        assert select.select([self.ready], [], [], LIMIT)[0], "the ranks hang"
        return os.read(self.ready, 1)

    def begin(self) -> None:
        """Let all ranks save."""
        os.write(self.go, b"g" * len(self.processes))

    def kill(self, numbers: list[int]) -> None:
        """Kill some ranks."""
        for number in numbers:
            os.kill(self.processes[number], signal.SIGKILL)

    def end(self) -> list[int]:
        """Wait for all; their exit codes."""
        codes = [os.waitpid(process, 0)[1] for process in self.processes]
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.send(b"\0")
            connection.close()
        self.mpiexec.wait(LIMIT)
        os.close(self.ready)
        os.close(self.go)
        for name in self.shared:  # MPI leaves it when ranks are killed
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        return codes


def whole(mpiexec: str, size: int, path: str) -> float:
    """A save that nobody kills; how long it took."""
    job = Job(mpiexec, size, path, 0)
    start = time.perf_counter()
    job.begin()
    for _ in range(size):
        assert job.heard() == b"d"
    duration = time.perf_counter() - start
    assert job.end() == [0] * size
    return duration


def main(mpiexec: str, size: int, path: str, rounds: int, seed: int) -> None:
    """All rounds; what was found."""
    chance = random.Random(seed)
    folder, name = os.path.split(path)
    blank(0).to_file(path)  # also imports what is needed
    duration = min(whole(mpiexec, size, path) for _ in range(3))
    held, tree = 0, blank(0)
    counts = {"old": 0, "new": 0, "left behind": 0, "finished": 0}
    for number in range(1, rounds + 1):
        new = blank(number)
        job = Job(mpiexec, size, path, number)
        job.begin()
        time.sleep(chance.uniform(0, duration))
        if number % 2:
            job.kill(list(range(size)))
        else:
            job.kill([chance.randrange(size)])
            time.sleep(chance.uniform(0, 0.05))
            job.kill(list(range(size)))
        finished = job.end() == [0] * size
        left = [entry for entry in os.listdir(folder) if entry != name]
        assert len(left) <= (0 if finished else 1), left
        found = which(path, {number: new, held: tree})
        assert found == number or (found == held and not finished), found
        counts["new" if found == number else "old"] += 1
        counts["left behind"] += len(left)
        counts["finished"] += finished
        duration *= 0.94 if finished else 1.02  # so that about one in four finishes
        if found == number:
            held, tree = number, new
    whole(mpiexec, size, path)
    assert os.listdir(folder) == [name], os.listdir(folder)
    assert which(path, {0: blank(0)}) == 0
    print(json.dumps(counts))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
