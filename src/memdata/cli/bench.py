"""Measure how fast files are saved and loaded in a folder, against plain write and read.

Each is done several times, by turns; the best counts. Files are removed afterwards. Loads come from
the system's cache, as after any save.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

from memdata.cli.output import bytes_of, print_json

__all__ = ["configure", "run"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("folder", nargs="?", default=".", help="where the files are written")
    parser.add_argument("--size", default="64M", help="of the array: 64M, 2G (64M)")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="times each is done (5)")
    parser.add_argument(
        "-c", "--compression", action="append", default=[], metavar="NAME", help="with these, too"
    )


def run(options: argparse.Namespace) -> int:
    """Do it."""
    from memdata.show.words import size

    if options.repeat < 1:
        raise ValueError(f"--repeat takes a number above 0, not {options.repeat}")
    count = bytes_of(options.size, "--size")
    with tempfile.TemporaryDirectory(prefix=".memdata-bench-", dir=options.folder) as folder:
        rows = _measured(folder, count, options)
    if options.json:
        print_json({"folder": options.folder, "bytes": count, "rows": rows})
        return 0
    print(f"{size(count)} in {options.folder}, best of {options.repeat}")
    print(f"{'':32}{'plain':>12}{'h5py':>12}{'memdata':>12}   GB/s")
    for row in rows:
        cells = (row.get(who) for who in ("plain", "h5py", "memdata"))
        speeds = "".join(
            "           -" if cell is None else f"{count / cell / 1e9:12.2f}" for cell in cells
        )
        print(f"{row['what']:32}{speeds}")
    return 0


def _measured(folder: str, count: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds by row and who does it."""
    import numpy as np

    rng = np.random.default_rng(1)
    columns = min(4096, count // 8)
    data = rng.integers(0, 1000, (count // 8 // columns, columns)).astype("f8")
    names = {who: os.path.join(folder, who) for who in ("plain", "h5py", "memdata")}

    def remove(who: str) -> None:
        """A new file each time: replacing one makes some file systems wait for the disk."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(names[who])

    rows = []
    for packing in [None, *options.compression]:
        save, load = _jobs(names, data, packing)
        with_what = f", {packing}" if packing else ""
        rows.append({"what": f"save{with_what}", **_best(save, options.repeat, remove)})
        rows.append({"what": f"load{with_what}", **_best(load, options.repeat, lambda _who: None)})
    return rows


def _jobs(names: dict[str, str], data: Any, packing: str | None) -> Any:
    import h5py

    import memdata

    rows = min(len(data), max(1, (1 << 20) // data[0].nbytes))
    chunks = (rows, data.shape[1]) if packing else None
    kw: dict[str, Any] = {"compression": packing, "chunks": chunks} if packing else {}
    tree = memdata.MemGroup()
    tree.create_dataset("x", data=data, **kw)

    def h5py_save() -> None:
        with h5py.File(names["h5py"], "w") as file:
            file.create_dataset("x", data=data, **kw)

    def h5py_load() -> Any:
        with h5py.File(names["h5py"], "r") as file:
            return file["x"][()]

    def plain_save() -> None:
        with open(names["plain"], "wb") as file:
            file.write(data.data)

    def plain_load() -> Any:
        with open(names["plain"], "rb") as file:
            return file.read()

    save: dict[str, Callable[[], Any]] = {
        "h5py": h5py_save,
        "memdata": lambda: tree.to_hdf5(names["memdata"]),
    }
    load: dict[str, Callable[[], Any]] = {
        "h5py": h5py_load,
        "memdata": lambda: memdata.MemGroup.from_hdf5(names["memdata"]),
    }
    if not packing:
        save, load = {"plain": plain_save, **save}, {"plain": plain_load, **load}
    return save, load


def _best(
    jobs: dict[str, Callable[[], Any]], repeat: int, before: Callable[[str], object]
) -> dict[str, float]:
    """The least time of each job, in seconds."""
    best: dict[str, float] = {}
    for _round in range(repeat):
        for who, job in jobs.items():
            before(who)
            start = time.perf_counter()
            job()
            took = time.perf_counter() - start
            best[who] = min(took, best.get(who, took))
    return best
