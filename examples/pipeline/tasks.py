"""The tasks of the pipeline. Each takes a container and gives one.

Every task works through the part of the axis that this rank has, one index at a time: what it
computes does not depend on how many ranks there are.
"""

import numpy as np
from caput import memdata, mpiarray
from containers import Spectrum, Visibilities

DELAY = 0.02  # microseconds: how far the clock of the telescope is off at most


class Simulate:
    """Visibilities of one source, seen by a telescope whose clock drifts.

    Parameters
    ----------
    channels, feeds, times : int
        Size of the data.
    """

    def __init__(self, channels, feeds, times):
        self.channels, self.feeds, self.times = channels, feeds, times

    def process(self):
        """Make the container, cut along frequency."""
        freq = np.zeros(self.channels, dtype=[("centre", "f8"), ("width", "f8")])
        freq["centre"] = np.linspace(800.0, 400.0, self.channels, endpoint=False)
        freq["width"] = 400.0 / self.channels
        pairs = [(i, j) for i in range(self.feeds) for j in range(i, self.feeds)]
        pair = np.array(pairs, dtype=[("feed_a", "u2"), ("feed_b", "u2")])
        data = Visibilities(
            axes={"freq": freq, "pair": pair, "time": np.arange(self.times) * 10.0},
            distributed=True,
        )
        data.attrs["telescope"] = {"name": "simulated", "feeds": self.feeds}
        vis, weight = data.add_dataset("vis", "freq"), data.add_dataset("weight", "freq")
        separation = pair["feed_b"].astype(float) - pair["feed_a"]
        clock = DELAY * np.sin(2 * np.pi * np.arange(self.times) / self.times)
        for local, channel in vis[:].enumerate(0):
            random = np.random.default_rng(channel)
            mhz = data.freq[channel]
            sky = (400.0 / mhz) ** 0.7 * np.exp(2j * np.pi * separation * mhz / 3000.0)
            noise = random.normal(scale=0.05, size=(2, len(pair), self.times))
            measured = sky[:, np.newaxis] * np.exp(2j * np.pi * mhz * clock)
            vis[:].local_array[local] = measured + noise[0] + 1j * noise[1]
            weight[:].local_array[local] = np.where(random.random(self.times) < 0.05, 0.0, 200.0)
        return data


class Calibrate:
    """Take out the clock: its delay is a slope of the phase along frequency, at each time."""

    def process(self, data):
        """Work on the container that is given; add the gains that were found."""
        data.redistribute("time")  # now each rank has all channels of some times
        gain = data.add_dataset("gain", "time")
        vis, weight = data.vis[:].local_array, data.weight[:].local_array
        freq = data.freq
        trial = np.linspace(-1.5 * DELAY, 1.5 * DELAY, 601)
        waves = np.exp(-2j * np.pi * trial[:, np.newaxis] * freq)
        alone = data["index_map/pair"][:]["feed_a"] == data["index_map/pair"][:]["feed_b"]
        for local, _ in gain[:].enumerate(1):
            # A feed paired with itself sees the source without a phase of its own.
            seen = (vis[:, :, local] * weight[:, :, local])[:, alone].sum(axis=1)
            delay = trial[np.argmax(np.abs((waves * seen).sum(axis=1).real))]
            found = np.exp(2j * np.pi * freq * delay)
            gain[:].local_array[:, local] = found
            vis[:, :, local] /= found[:, np.newaxis]
        return data


class Average:
    """The mean over time, with its error."""

    def process(self, data):
        """Make a container of means from one of visibilities."""
        data.redistribute("freq")  # now each rank has all times of some channels
        result = Spectrum(
            axes={axis: data.index_map[axis] for axis in ("freq", "pair")},
            distributed=True,
            comm=data.comm,
        )
        memdata.copyattrs(data.attrs, result.attrs)
        result.attrs.pop("__memh5_subclass", None)  # the other's class, from its file
        mean, error = result.add_dataset("mean", "freq"), result.add_dataset("error", "freq")
        shape = mean[:].local_shape
        means, errors = np.zeros(shape, complex), np.zeros(shape)
        for local, _ in data.vis[:].enumerate(0):
            vis = data.vis[:].local_array[local].astype(complex)
            weight = data.weight[:].local_array[local].astype(float)
            total = weight.sum(axis=1)
            means[local] = (vis * weight).sum(axis=1) / total
            errors[local] = 1.0 / np.sqrt(total)
        mean[:] = mpiarray.MPIArray.wrap(means, axis=0, comm=data.comm)
        error[:] = mpiarray.MPIArray.wrap(errors, axis=0, comm=data.comm)
        return result
