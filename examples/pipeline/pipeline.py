"""A pipeline that was written for caput.memdata: simulate, calibrate, average.

    python -m memdata.compat examples/pipeline/pipeline.py FOLDER
    mpiexec -n 2 python -m memdata.compat examples/pipeline/pipeline.py FOLDER

No line here or beside knows of memdata; docs/switching.md says how that works. The files that it
writes do not depend on the number of ranks.
"""

import argparse
from pathlib import Path

from containers import Visibilities
from tasks import Average, Calibrate, Simulate


def main():
    """Run the tasks, one after the other."""
    parser = argparse.ArgumentParser(description="Simulate, calibrate and average visibilities.")
    parser.add_argument("folder", type=Path, help="where the results are written")
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--feeds", type=int, default=4)
    parser.add_argument("--times", type=int, default=96)
    arguments = parser.parse_args()
    raw, calibrated, spectrum = (
        str(arguments.folder / name) for name in ("raw.h5", "calibrated.h5", "spectrum.h5")
    )

    data = Simulate(arguments.channels, arguments.feeds, arguments.times).process()
    if data.comm is None or data.comm.rank == 0:
        arguments.folder.mkdir(parents=True, exist_ok=True)
    data.save(raw)

    # The channels at the edges of the band are of no use: they are not even read.
    inner = slice(2, arguments.channels - 2)
    data = Visibilities.from_file(raw, distributed=True, freq_sel=inner)
    data = Calibrate().process(data)
    mean = Average().process(data)
    data.save(calibrated)
    mean.save(spectrum)

    if data.comm is None or data.comm.rank == 0:
        print(f"{len(mean.freq)} channels of {tuple(data.vis.shape)} in {spectrum}")


if __name__ == "__main__":
    main()
