"""The oracle of the tests with ranks: the whole array, which every rank has as a plain ndarray.

What an operation gives on a distributed array must be each rank's part of what NumPy gives on the
whole one. Nothing in here calls memdata but to make the arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata.mpiarray import MPIArray

DTYPES = [
    "f8",
    "f4",
    "f2",
    ">i4",
    "c16",
    "?",
    "S3",
    "U2",
    "M8[s]",
    np.dtype([("a", "i2"), ("b", ">f8", (2,)), ("c", "S2")]),
]


def size_and_rank(comm: Any) -> tuple[int, int]:
    return (1, 0) if comm is None else (comm.size, comm.rank)


def bounds(length: int, comm: Any) -> tuple[int, int]:
    """Where this rank's part begins and ends: the first ranks have one more."""
    size, rank = size_and_rank(comm)
    each, more = divmod(length, size)
    start = rank * each + min(rank, more)
    return start, start + each + (rank < more)


def part(whole: np.ndarray, axis: int, comm: Any) -> np.ndarray:
    """This rank's part of the whole array, a view."""
    start, stop = bounds(whole.shape[axis], comm)
    return whole[(slice(None),) * (axis % whole.ndim) + (slice(start, stop),)]


def numbered(shape: tuple[int, ...], dtype: Any = "f8", first: int = 0) -> np.ndarray:
    """A whole array whose elements differ, as far as the dtype can tell them apart."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    numbers = np.arange(first, first + count)
    if dtype.names:
        whole = np.zeros(count, dtype)
        for name in dtype.names:
            base, extra = dtype[name].base, dtype[name].shape
            whole[name] = (numbers % 90).reshape(-1, *[1] * len(extra)).astype(base)
    elif dtype.kind == "b":
        whole = numbers % 3 == 0
    elif dtype.kind == "O":
        whole = np.empty(count, object)
        whole[:] = [{"n": n} if n % 2 else f"text {n}" for n in numbers.tolist()]
    elif dtype.kind == "U":
        whole = np.array([chr(0x391 + n % 25) + chr(97 + n % 26) for n in numbers], dtype)
    elif dtype.kind == "c":
        whole = (numbers - 1j * numbers).astype(dtype)
    else:
        whole = numbers.astype(dtype)
    return whole.reshape(shape)


def distribute(whole: np.ndarray, axis: int = 0, comm: Any = None) -> MPIArray:
    """The whole array as an MPIArray; its memory is not shared. Never communicates."""
    array = MPIArray(whole.shape, axis, comm, dtype=whole.dtype)
    array.local_array[...] = part(whole, axis, comm)
    return array


def check(array: Any, whole: Any, axis: int, comm: Any, *, exact: bool = True) -> None:
    """Is `array` the whole array, cut along the axis? Never communicates.

    Not `exact`: sums may be summed in another order where a part has other strides.
    """
    whole = np.asarray(whole)
    axis %= whole.ndim
    start, stop = bounds(whole.shape[axis], comm)
    assert isinstance(array, MPIArray), type(array)
    assert array.axis == axis
    assert array.comm == comm
    assert array.global_shape == whole.shape
    assert array.local_offset == tuple(start * (i == axis) for i in range(whole.ndim))
    assert array.local_bounds == slice(start, stop)
    assert type(array.local_array) is np.ndarray
    if exact:
        same(array.local_array, part(whole, axis, comm))
    else:
        np.testing.assert_allclose(array.local_array, part(whole, axis, comm), rtol=1e-12)
    assert array.local_shape == array.local_array.shape == array.shape


def same(actual: Any, expected: Any) -> None:
    """The same plain array: dtype, shape, values; NaN equals NaN."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if expected.dtype.names:
        for name in expected.dtype.names:
            same(actual[name], expected[name])
    elif expected.dtype.kind == "O":
        assert actual.tolist() == expected.tolist()
    else:
        np.testing.assert_array_equal(actual, expected)
