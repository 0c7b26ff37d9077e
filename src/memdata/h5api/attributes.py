"""What h5py's attributes can do beside being a mapping, for attributes in memory.

They become methods of the native `MemAttrs` when memdata is imported; see `_cmemdata._extend`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata import _cmemdata, links

__all__: list[str] = []


def create(self: Any, name: str, data: Any, shape: Any = None, dtype: Any = None) -> None:
    """Set an attribute, with a shape and a type.

    Parameters
    ----------
    name : str
        Its name.
    data : array-like
        Its value; kept as it is where neither `shape` nor `dtype` is given.
    shape : tuple of int or int, optional
        Another shape with as many elements.
    dtype : data-type, optional
        Another type.

    Raises
    ------
    ValueError
        The shape does not fit.

    Examples
    --------
    >>> import memdata
    >>> attrs = memdata.MemAttrs()
    >>> attrs.create("channels", [1, 2, 3], dtype="i2")
    >>> attrs["channels"]
    array([1, 2, 3], dtype=int16)
    """
    dtype = links.type_of(dtype)
    if (shape is None and dtype is None) or getattr(data, "shape", ()) is None:
        self[name] = data
        return
    wanted = None if dtype is None else np.dtype(dtype)
    if wanted is not None and wanted.subdtype is not None:
        base, inner = wanted.subdtype
        array = np.asarray(data, base)
        outer = array.shape if shape is None else _shape(shape)
        if outer[len(outer) - len(inner) :] != inner:
            raise ValueError(f"attribute {name!r}: the type's shape {inner} does not fit {outer}")
    else:
        array = np.asarray(data, wanted)
        outer = array.shape if shape is None else _shape(shape)
    if array.shape != outer:
        if array.size != np.prod(outer, dtype=np.intp):
            raise ValueError(f"attribute {name!r}: data of shape {array.shape} do not fit {outer}")
        array = array.reshape(outer)
    self[name] = array[()] if array.ndim == 0 else array


def _shape(shape: Any) -> tuple[int, ...]:
    return (int(shape),) if isinstance(shape, int | np.integer) else tuple(shape)


def modify(self: Any, name: str, value: Any) -> None:
    """Change an attribute and keep its type; set it where it is missing.

    Raises
    ------
    TypeError
        The value has another shape.
    OSError
        The attribute is an `h5py.Empty`.
    """
    if name not in self:
        self[name] = value
        return
    old = self[name]
    if getattr(old, "shape", ()) is None:
        raise OSError(f"attribute {name!r} is empty and cannot be modified")
    if not isinstance(old, np.ndarray | np.generic):
        self[name] = value
        return
    new = np.asarray(value).astype(old.dtype)
    if new.shape != old.shape:
        if new.size != 1 or old.size != 1:
            raise TypeError(f"attribute {name!r} has the shape {old.shape}, not {new.shape}")
        new = new.reshape(old.shape)
    self[name] = new if new.ndim else new[()]


def _completions(self: Any) -> list[str]:
    """What IPython offers after ``attrs["``."""
    return sorted(self)


_cmemdata._extend(
    _cmemdata.MemAttrs,
    {"create": create, "modify": modify, "_ipython_key_completions_": _completions},
)
