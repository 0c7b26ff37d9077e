"""Datasets whose elements are arrays themselves, of a type like ``"(3,)f4"``.

NumPy has no arrays of such types: it puts the axes of the type behind those of the array. Such a
dataset has that array as its data; how many of its axes belong to the type is in its `_creation`,
under ``"inner_axes"``. Shape, type and indexes are those of the axes before them, as in h5py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata.h5api.errors import ElementRefusedError, IndexRefusedError

__all__ = ["create", "element", "inner_shape"]

Array = np.ndarray[Any, Any]


def inner_shape(dataset: Any) -> tuple[int, ...]:
    """The shape of the elements of a dataset, () for ordinary ones."""
    count = dataset._creation.get("inner_axes", 0)
    shape: tuple[int, ...] = dataset.data.shape
    return shape[len(shape) - count :]


def create(
    shape: Any, dtype: np.dtype[Any], data: Any, path: str
) -> tuple[tuple[int, ...], Array | None, dict[str, Any]]:
    """What to make a dataset of, and what it has to keep.

    Parameters
    ----------
    shape : int, tuple of int or None
        Of the dataset, without the axes of the type.
    dtype : numpy.dtype
        With a `subdtype`.
    data : array-like or None
        Its last axes are those of the type.
    path : str
        For messages.

    Returns
    -------
    shape : tuple of int
        With the axes of the type.
    data : ndarray or None
        The same, of the type's base type.
    kept : dict
        For the dataset's `_creation`.

    Raises
    ------
    ValueError
        The data do not fit the type, or the shape.
    """
    from h5py import h5t

    base, inner = dtype.base, dtype.shape
    outer = None if shape is None else (shape,) if np.ndim(shape) == 0 else tuple(shape)
    if data is not None:
        data = np.ascontiguousarray(data, base)
        if data.ndim < len(inner) or data.shape[data.ndim - len(inner) :] != inner:
            raise ValueError(f"{path}: data of shape {data.shape} do not fit the type {dtype}")
        outer = data.shape[: data.ndim - len(inner)] if outer is None else outer
        if data.size != np.prod(outer + inner, dtype=object):
            raise ValueError(f"{path}: data of shape {data.shape} do not fit the shape {outer}")
        data = data.reshape(outer + inner)
    kept = {"inner_axes": len(inner), "type": h5t.py_create(dtype, logical=True).encode()}
    return (*(int(n) for n in outer or ()), *inner), data, kept


def element(dataset: Any, index: Any, *value: Any) -> Any:
    """``dataset[index]``, or ``dataset[index] = value``, where the index counts elements.

    Raises
    ------
    IndexError
        The index does not fit; as for h5py a ValueError too.
    TypeError
        The value has not the elements' shape: they are not filled with one number.
    """
    data, inner = dataset.data, inner_shape(dataset)
    outer = data.shape[: data.ndim - len(inner)]
    places = np.broadcast_to(np.empty((), np.uint8), outer)  # one for each element, of one byte
    try:
        chosen = places[index].shape
        index = _with_inner(index, len(inner))
    except IndexError as error:
        raise IndexRefusedError(f"{dataset.name}: {error}") from None
    if not value:
        return data[index]
    given = np.asarray(value[0])
    if given.shape[max(given.ndim - len(inner), 0) :] != inner:
        raise ElementRefusedError(
            f"{dataset.name}: a value of shape {given.shape} for elements of shape {inner}"
        )
    data[index] = np.broadcast_to(given, chosen + inner)
    return None


def _with_inner(index: Any, inner: int) -> Any:
    """The index with all of the type's axes behind it."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(part is Ellipsis for part in parts):
        return (*parts, *(slice(None),) * inner)
    return index
