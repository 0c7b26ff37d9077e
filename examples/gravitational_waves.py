"""The noise of three gravitational-wave detectors: load, analyse, save, select, draw.

One second of strain from H1 (Hanford), L1 (Livingston) and V1 (Virgo), taken at 16384 Hz, becomes
whitened spectra and spectrograms: amplitude over that of the noise around it. What sounds all the
time stands out as lines: mains hum, and the mirrors' suspensions, ringing like violin strings.

    python examples/gravitational_waves.py STRAIN_FILE OUTPUT_FOLDER
"""

import sys
from pathlib import Path

import h5py
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from memdata import MemDiskGroup, mpitools

TOP = 2048  # Hz: what is kept of the spectra, in steps of 1 Hz
BAND = slice(30, 1400)  # Hz: what is looked at
SEGMENT, STEP = 4096, 256  # samples: length and distance of the spectrogram's pieces
MAINS = {"H1": 60, "L1": 60, "V1": 50}  # Hz, and multiples of it
SUSPENSION = {"H1": (340, 350), "L1": (340, 350), "V1": (445, 475)}  # Hz, likewise


class Strain(MemDiskGroup):
    """Samples as the detectors gave them: one dataset a channel, like ``H1:LDAS-STRAIN``."""

    @property
    def rate(self):
        """Samples per second."""
        return round(1 / next(iter(self.values())).attrs["dx"])


class Spectra(MemDiskGroup):
    """Spectra with their axes: a dataset's ``attrs["axis"]`` names its entries of ``index_map``."""

    convert_dataset_strings = True  # text is str in memory, bytes in the file

    AXES = {"whitened": ("detector", "freq"), "spectrogram": ("detector", "freq", "time")}

    @classmethod
    def _make_selections(cls, sel_args):
        """Apply the selection of an axis to every dataset that has this axis."""
        indices = {f"index_map/{axis}": (axis,) for axis in cls.AXES["spectrogram"]}
        return {
            name: tuple(sel_args.get(axis, slice(None)) for axis in axes)
            for name, axes in (cls.AXES | indices).items()
        }


def amplitudes(samples, n=None):
    """Return the spectrum of each row of `samples` up to TOP, padded to `n` samples."""
    window = np.hanning(samples.shape[-1])
    return np.abs(np.fft.rfft(samples * window, n))[..., : TOP + 1]


def running_median(spectrum, width=101):
    """Return the median of `width` values around each one: the noise without the lines."""
    return np.median(sliding_window_view(np.pad(spectrum, width // 2, "reflect"), width), axis=-1)


def analyse(strain):
    """Return the `Spectra` of a `Strain`. Among several ranks each takes its share of detectors."""
    rate, parallel = strain.rate, mpitools.size > 1
    spectra = Spectra(distributed=parallel)
    cut = {"distributed": True, "distributed_axis": 0} if parallel else {}
    starts = np.arange(0, rate - SEGMENT, STEP)
    index_map = {
        "detector": np.array([channel.partition(":")[0] for channel in strain]),
        "freq": np.arange(TOP + 1.0),
        "time": (starts + SEGMENT / 2) / rate,
    }
    for axis, values in index_map.items():
        spectra.create_dataset(f"index_map/{axis}", data=values).attrs["axis"] = (axis,)
    spectra["index_map/freq"].attrs["unit"] = "Hz"
    spectra["index_map/time"].attrs["unit"] = "s"
    for name, axes in Spectra.AXES.items():
        dataset = spectra.create_dataset(
            name, [len(index_map[axis]) for axis in axes], np.float32, **cut,
            chunks=(1, 512, 64)[: len(axes)], compression="gzip", compression_opts=4,
        )  # fmt: skip
        dataset.attrs["axis"] = axes

    whitened, spectrogram = (spectra[name].local_data for name in Spectra.AXES)
    _, first, last = mpitools.split_local(len(strain), mpitools.world)
    for i, channel in enumerate(list(strain)[first:last]):
        samples = strain[channel][:] - np.mean(strain[channel][:])
        spectrum = amplitudes(samples)
        whitened[i] = spectrum / running_median(spectrum)
        # Short pieces would let the shaking ground below 30 Hz leak into all the rest. It is quiet
        # in second differences, and the slope that they bring leaves with the median.
        pieces = np.diff(samples, 2)[starts[:, np.newaxis] + np.arange(SEGMENT)]
        spectrum = amplitudes(pieces, n=rate)
        spectrogram[i] = (spectrum / running_median(np.median(spectrum, axis=0))).T
    return spectra


def strongest_lines(detector, freqs, whitened, count=5):
    """Return (frequency, ratio, cause or "") of the highest peaks, the highest first."""
    peaks = np.flatnonzero(whitened == sliding_window_view(np.pad(whitened, 4), 9).max(axis=-1))
    lines = []
    for i in sorted(peaks, key=lambda i: -whitened[i])[:count]:
        freq, mains, (low, high) = round(freqs[i]), MAINS[detector], SUSPENSION[detector]
        if abs(freq - mains * round(freq / mains)) <= 1:
            cause = "mains"
        else:
            is_multiple = any(low * k <= freq <= high * k for k in (1, 2, 3))
            cause = "suspension" if is_multiple else ""
        lines.append((freq, float(whitened[i]), cause))
    return lines


def print_tree(group, indent="  "):
    """Print names, shapes, dtypes and attributes of all that is below `group`."""
    for name, item in group.items():
        is_group = isinstance(item, MemDiskGroup)
        print(f"{indent}{name}" + ("/" if is_group else f"  {item.shape} {item.dtype}"))
        for key, value in item.attrs.items():
            print(f"{indent}    @{key} = {list(value) if key == 'axis' else value}")
        if is_group:
            print_tree(item, indent + "    ")


def main(strain_file, folder):
    """Analyse `strain_file` and leave spectra.h5 and spectra.png in `folder`."""
    spectra_file = Path(folder, "spectra.h5")
    spectra_file.parent.mkdir(parents=True, exist_ok=True)
    strain = Strain.from_file(strain_file)
    analyse(strain).save(spectra_file)
    spectra = Spectra.from_file(spectra_file, freq_sel=BAND)
    if not mpitools.rank0:
        return

    with h5py.File(strain_file) as file:  # does h5py read the same?
        assert all(np.array_equal(strain[name][:], file[name][:]) for name in file)
    with h5py.File(spectra_file) as file:
        for name in Spectra.AXES:
            assert np.array_equal(spectra[name][:], file[name][:, BAND])
            assert file[name].compression == "gzip"

    print(f"{spectra_file}, from {BAND.start} to {BAND.stop} Hz:")
    print_tree(spectra)
    print("\nStrongest lines, and how far they stand above the noise:")
    freqs, lines = spectra["index_map/freq"][:], {}
    for detector, whitened in zip(spectra["index_map/detector"], spectra["whitened"], strict=True):
        lines[detector] = strongest_lines(detector, freqs, whitened)
        for freq, ratio, cause in lines[detector]:
            print(f"  {detector} {freq:5d} Hz {ratio:6.1f}x  {cause}")

    from gravitational_waves_picture import draw  # here, as matplotlib takes a second to import

    draw(spectra, lines, spectra_file.with_suffix(".png"))
    print(f"\nPicture: {spectra_file.with_suffix('.png')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
