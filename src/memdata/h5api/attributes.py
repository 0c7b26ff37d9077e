"""What h5py's attributes can do beside being a mapping, for attributes in memory.

They become methods of the native `MemAttrs` when memdata is imported; see `_cmemdata._extend`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata import _cmemdata, links
from memdata.h5api import texts

__all__: list[str] = []

_TYPED = np.ndarray | np.generic | bool | int | float | complex


def create(self: Any, name: str, data: Any, shape: Any = None, dtype: Any = None) -> None:
    """Set an attribute, with a shape and a type.

    Parameters
    ----------
    name : str
        Its name.
    data : array-like
        Its value. Where neither `shape` nor `dtype` is given, sequences become arrays, of text an
        array of str; all else is kept as it is.
    shape : tuple of int or int, optional
        Another shape with as many elements.
    dtype : data-type, optional
        Another type.

    Raises
    ------
    TypeError
        The name is no str.
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
    name = _name(name)
    dtype = links.type_of(dtype)
    if dtype is None and isinstance(data, list | tuple):
        data = _array_of(data)
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


def _name(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode("utf-8", "surrogateescape")
    if not isinstance(name, str):
        raise TypeError(f"the name of an attribute must be a str, not {name!r:.80}")
    return name


def _array_of(data: Any) -> Any:
    """A sequence as h5py reads it back: an array, of text one of str objects."""
    text = texts.guessed_type(data)
    if text is not None and texts.is_text(text):
        return texts.as_elements(data, text, str)
    try:
        array = np.asarray(data)
    except ValueError:  # of several lengths
        return data
    return data if array.dtype.kind in "OU" else array


def modify(self: Any, name: str, value: Any) -> None:
    """Change an attribute and keep its type; set it where it is missing.

    Raises
    ------
    TypeError
        The value has another shape.
    OSError
        The attribute is an `h5py.Empty`.
    """
    name = _name(name)
    if name not in self:
        create(self, name, value)
        return
    old = self[name]
    if getattr(old, "shape", ()) is None:
        raise OSError(f"attribute {name!r} is empty and cannot be modified")
    kept = np.asarray(old) if isinstance(old, _TYPED) else None
    if kept is None or kept.dtype.hasobject:
        self[name] = value
        return
    new = value if isinstance(value, np.ndarray | np.generic) else np.asarray(value, kept.dtype)
    new = np.asarray(new).astype(kept.dtype)
    if new.shape != kept.shape:
        if new.size != 1 or kept.size != 1:
            raise TypeError(f"attribute {name!r} has the shape {kept.shape}, not {new.shape}")
        new = new.reshape(kept.shape)
    if not isinstance(old, np.ndarray | np.generic):
        self[name] = new.item()
    else:
        self[name] = new if new.ndim else new[()]


def _completions(self: Any) -> list[str]:
    """What IPython offers after ``attrs["``."""
    return sorted(self)


_cmemdata._extend(
    _cmemdata.MemAttrs,
    {"create": create, "modify": modify, "_ipython_key_completions_": _completions},
)
