"""The picture of examples/gravitational_waves.py: spectra over spectrograms, lines labelled."""

import matplotlib as mpl

mpl.use("agg")  # a file, never a window

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import ScalarFormatter

TICKS = (30, 60, 120, 180, 345, 460, 700, 1000, 1400)  # Hz
COLOURS = {"mains": "tab:orange", "suspension": "tab:red", "": "dimgray"}
MEANINGS = {"mains": "mains", "suspension": "suspension (violin modes)", "": "not named here"}


def label_places(freqs, gap=0.022):
    """Return a frequency for each label: near its line, and `gap` decades from the next one."""
    places = np.log10(freqs)
    for _ in range(200):  # push apart those that are too close
        push = np.maximum(gap - np.diff(places), 0) / 2
        places[:-1] -= push
        places[1:] += push
    return 10**places


def draw_spectrum(panel, freqs, whitened, lines):
    """Draw one whitened spectrum with its `lines`: (frequency, ratio, cause)."""
    panel.plot(freqs, whitened, color="tab:blue", lw=0.8)
    lines = sorted(lines)
    places = label_places([freq for freq, _, _ in lines])
    for place, (freq, ratio, cause) in zip(places, lines, strict=True):
        colour = COLOURS[cause]
        panel.plot(freq, ratio, "o", ms=4, color=colour)
        panel.annotate(
            f"{freq} Hz", (freq, ratio), (place, 550), rotation=90, ha="center", va="bottom",
            color=colour, arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.7},
        )  # fmt: skip
    panel.set(yscale="log", ylim=(0.2, 9000), yticks=[1, 10, 100], ylabel="amplitude / noise")


def draw(spectra, lines, filename):
    """Draw each detector's whitened spectrum above its spectrogram, on one frequency axis."""
    freqs, times, detectors = (
        spectra["index_map"][axis][:] for axis in ("freq", "time", "detector")
    )
    figure, panels = plt.subplots(
        2 * len(detectors), sharex=True, figsize=(12, 4.2 * len(detectors)),
        height_ratios=[5, 3] * len(detectors), layout="constrained",
    )  # fmt: skip
    for i, detector in enumerate(detectors):
        above, below = panels[2 * i : 2 * i + 2]
        draw_spectrum(above, freqs, spectra["whitened"][i], lines[detector])
        above.set_title(detector, loc="left", fontweight="bold")
        image = below.pcolormesh(
            freqs, times, spectra["spectrogram"][i].T, norm="log", cmap="magma", rasterized=True
        )
        image.set_clim(1, 30)
        below.set_ylabel("time (s)")
    below.set(xscale="log", xlim=(freqs[0], freqs[-1]), xlabel="frequency (Hz)")
    below.set_xticks([tick for tick in TICKS if freqs[0] <= tick <= freqs[-1]])
    below.xaxis.set_major_formatter(ScalarFormatter())
    below.minorticks_off()
    bar = figure.colorbar(image, ax=list(panels), label="amplitude / noise", shrink=0.3, pad=0.01)
    bar.set_ticks([1, 3, 10, 30], labels=["1", "3", "10", "30"])
    dots = [
        plt.Line2D([], [], ls="", marker="o", color=colour, label=MEANINGS[cause])
        for cause, colour in COLOURS.items()
    ]
    panels[0].legend(
        handles=dots, loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, frameon=False
    )
    figure.suptitle("One second of strain: what is louder than the noise around it")
    figure.savefig(filename, dpi=100)
