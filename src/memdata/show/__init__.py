"""Seeing what is there: trees and datasets as text, in colours, and as HTML for notebooks.

No function here communicates between ranks or loads more of a file than a corner of an array.
"""

from __future__ import annotations

from typing import Any

__all__ = ["describe", "html", "plot", "tree"]


def tree(
    item: Any,
    *,
    depth: int | None = None,
    max_children: int | None = None,
    name: str | None = None,
) -> Any:
    """A picture of all that is in a group: shapes, types, sizes, units, ranks, compression.

    Parameters
    ----------
    item : group
        In memory, of an open HDF5 file (h5py) or of a zarr store; a container.
    depth : int, optional
        Levels below the group; None shows all.
    max_children : int, optional
        Children of one group; the rest is counted.
    name : str, optional
        What the first line calls it; else its own name.

    Returns
    -------
    memdata.show.text.Picture
        ``print`` shows it, in colours on a terminal where rich is installed; notebooks show a tree
        that folds. Its `plain` method gives the text alone.

    Notes
    -----
    Sizes are those of the elements, unpacked, on all ranks together. Not collective.

    Examples
    --------
    >>> import numpy as np
    >>> import memdata
    >>> night = memdata.MemGroup()
    >>> vis = night.create_dataset("obs/vis", data=np.zeros((4, 100), "c8"), compression="gzip")
    >>> vis.attrs["axis"], vis.attrs["units"] = ("freq", "time"), "Jy"
    >>> night["obs/flag"] = np.zeros(100, bool)
    >>> print(night.tree())
    /  2 datasets, 1 group, 3.2 KiB
    └── obs/
        ├── vis   (freq 4, time 100)  complex64  3.1 KiB  Jy  gzip 4
        └── flag  (100,)              bool       100 B
    """
    from memdata.show.text import Picture
    from memdata.show.treetext import tree_lines
    from memdata.show.walk import Limits, walk

    path = getattr(item, "name", None) or "/"
    root = walk(item, Limits(depth, max_children), path=path if path.startswith("/") else "/")
    if name is not None:
        root.facts.name = name
    return Picture(tree_lines(root), lambda: html(item))


def describe(item: Any) -> Any:
    """What one wants to know first of a dataset, an array or a group.

    Shape, type, axes, units, ranks, memory, chunks and compression, attributes; the range of the
    values where it is cheap: of at most a million numbers in memory, those of this rank.

    Parameters
    ----------
    item : dataset, MPIArray, ndarray or group
        In memory or of an open file.

    Returns
    -------
    memdata.show.text.Picture
        As of `tree`.

    Notes
    -----
    Not collective; what is said of values is said of this rank's part.

    Examples
    --------
    >>> import numpy as np
    >>> import memdata
    >>> night = memdata.MemGroup()
    >>> vis = night.create_dataset("vis", data=np.arange(12.0).reshape(3, 4), chunks=(1, 4))
    >>> vis.attrs["units"] = "Jy"
    >>> print(memdata.describe(vis))
    /vis  MemDatasetCommon
      shape       (3, 4)
      type        float64
      units       Jy
      memory      96 B
      chunks      3 of (1, 4), 32 B each
      values      0 to 11, mean 5.5
      attributes  1
        units  Jy
    """
    from memdata.show.describing import describe as make

    return make(item)


def html(item: Any) -> str:
    """The HTML of a group, dataset or array for a notebook.

    Names and values are escaped. At most 1000 nodes are shown, 100 of one group.
    """
    from memdata.show.page import page

    return page(item)


def plot(
    dataset: Any,
    index: Any = (),
    *,
    kind: str | None = None,
    ax: Any = None,
    log: bool = False,
    **kw: Any,
) -> Any:
    """Draw a dataset: a line, a waterfall or a histogram, with axes that say what they are.

    What lies along an axis are the values of its dimension scale, or, where ``attrs["axis"]`` names
    it, those of the entry of the nearest ``index_map``; of a structured entry a field of floating
    point. Units come from their attribute ``units``.

    Parameters
    ----------
    dataset : dataset, MPIArray or ndarray
        In memory or of an open file, of numbers, truth values or times. Of distributed data, the
        part of this rank is drawn. Complex numbers are drawn as real and imaginary part in a
        line, else as their modulus.
    index : int, slice or tuple of them
        What to draw: integers and slices.
    kind : {"line", "waterfall", "histogram"}, optional
        None takes a line for one axis, a waterfall for two, a histogram for other numbers of axes.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None makes a new figure.
    log : bool
        Make the scale of the values logarithmic (of a histogram, that of the numbers of values).
    **kw
        For matplotlib's ``plot``, ``pcolormesh`` or ``hist``.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn into.

    Raises
    ------
    TypeError
        Text or structures, which have nothing to draw.
    ValueError
        An unknown kind, or one for another number of axes.
    IndexError
        An index outside the data, or of another kind.
    ModuleNotFoundError
        matplotlib is not installed.

    Notes
    -----
    Large data are thinned out to what a screen shows, before they are read from a file. The colours
    of a waterfall leave out the lowest and the highest hundredth, so that a spike does not hide
    the rest; ``vmin`` and ``vmax`` set them. Not collective.

    Examples
    --------
    >>> import numpy as np
    >>> import memdata
    >>> night = memdata.MemGroup()
    >>> vis = night.create_dataset("vis", data=np.random.default_rng(1).random((64, 100)))
    >>> vis.attrs["axis"] = ("freq", "time")
    >>> ax = vis.plot()  # doctest: +SKIP
    >>> ax = memdata.plot(vis, np.s_[3], color="black")  # doctest: +SKIP
    """
    from memdata.show import plotting

    return plotting.plot(dataset, index, kind=kind, ax=ax, log=log, **kw)
