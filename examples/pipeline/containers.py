"""The containers of the pipeline: which datasets they hold, and what the axes of those are."""

import numpy as np
from caput import memdata


class Container(memdata.MemDiskGroup):
    """Datasets with named axes. ``index_map`` holds the values along each axis.

    Parameters
    ----------
    axes : dict of str to ndarray, optional
        Values along the axes of a new container.
    **kwargs
        As for `MemDiskGroup`.
    """

    datasets = {}  # name: (axes, dtype, keywords of create_dataset)

    def __init__(self, *args, axes=None, **kwargs):
        super().__init__(*args, **kwargs)
        for name, values in (axes or {}).items():
            self.create_dataset(f"index_map/{name}", data=values)

    @property
    def index_map(self):
        """The values along all axes, by the name of the axis."""
        return {name: values[:] for name, values in self["index_map"].items()}

    @property
    def freq(self):
        """Centres of the channels in MHz."""
        return self["index_map/freq"][:]["centre"]

    def add_dataset(self, name, axis):
        """Make one of the datasets that the class knows, cut along an axis over the ranks."""
        axes, dtype, options = self.datasets[name]
        dataset = self.create_dataset(
            name,
            shape=tuple(len(self["index_map"][each]) for each in axes),
            dtype=dtype,
            distributed=True,
            distributed_axis=axes.index(axis),
            **options,
        )
        dataset.attrs["axis"] = np.array(axes)
        return dataset

    def redistribute(self, axis):
        """Cut all datasets that have this axis along it. All ranks have to call it."""
        for name, (axes, _, _) in self.datasets.items():
            if name in self and axis in axes:
                self[name].redistribute(axes.index(axis))

    @classmethod
    def _make_selections(cls, sel_args):
        """Turn ``freq_sel=...`` of `from_file` into what is read of each dataset."""
        selections = {f"/index_map/{axis}": selection for axis, selection in sel_args.items()}
        for name, (axes, _, _) in cls.datasets.items():
            selections[f"/{name}"] = tuple(sel_args.get(axis, slice(None)) for axis in axes)
        return selections

    @staticmethod
    def group_name_allowed(name):
        """Containers have no groups but this."""
        return name.strip("/") == "index_map"


class Visibilities(Container):
    """What the correlator measures for each channel, pair of feeds and time."""

    datasets = {
        "vis": (
            ("freq", "pair", "time"),
            np.complex64,
            {"chunks": (4, 4, 32), "compression": "gzip", "compression_opts": 1},
        ),
        "weight": (("freq", "pair", "time"), np.float32, {}),
        "gain": (("freq", "time"), np.complex128, {}),
    }

    @property
    def vis(self):
        """The visibilities."""
        return self["vis"]

    @property
    def weight(self):
        """Their inverse variances; zero marks what cannot be used."""
        return self["weight"]


class Spectrum(Container):
    """Mean visibilities for each channel and pair of feeds."""

    datasets = {
        "mean": (("freq", "pair"), np.complex128, {}),
        "error": (("freq", "pair"), np.float64, {}),
    }
