"""Errors of two kinds: what the interface promises, and what h5py's users catch."""

from __future__ import annotations

from memdata import _cmemdata

__all__ = [
    "ElementRefusedError",
    "IndexRefusedError",
    "NoShapeError",
    "NoSourceError",
    "ResizeRefusedError",
    "TooLongError",
    "ValueRefusedError",
]


class IndexRefusedError(IndexError, TypeError, ValueError):
    """An index that neither NumPy nor h5py takes: an error of each kind that either raises."""


class ValueRefusedError(ValueError, TypeError):
    """A value that does not fit its place; NumPy's ValueError, and h5py's TypeError."""


class ElementRefusedError(TypeError, ValueError):
    """A value that is no element of a dataset of arrays."""


class NoShapeError(ValueError, TypeError):
    """A new dataset with neither shape nor data; h5py's error is a TypeError."""


class NoSourceError(KeyError, ValueError):
    """There is nothing to move; h5py's error is a ValueError."""


class TooLongError(ValueError, RuntimeError):
    """More than `maxshape` allows; h5py's error is a RuntimeError or ValueError."""


class ResizeRefusedError(NotImplementedError, TypeError):
    """`resize` of a dataset that cannot grow; h5py's error is a TypeError."""


_cmemdata._bind(value_refused=ValueRefusedError)
