"""Distributed arrays keep the shapes and types that NumPy's annotations know."""

from __future__ import annotations

from typing import Any, TypeAlias, assert_type

import numpy as np

from memdata.mpiarray import MPIArray, ones, zeros

Shape: TypeAlias = tuple[int, int]
Float32: TypeAlias = np.dtype[np.float32]
Matrix: TypeAlias = MPIArray[Shape, Float32]


def made(local: np.ndarray[Shape, Float32]) -> None:
    assert_type(MPIArray[Shape, Float32].wrap(local, axis=0), Matrix)
    inferred = MPIArray.wrap(local, axis=0)  # pyright takes a bare class for one of anything
    assert_type(inferred, Matrix)  # pyright: ignore[reportAssertTypeFailure]
    annotated: Matrix = MPIArray((3, 4), axis=0, dtype=np.float32)
    assert_type(annotated, Matrix)
    assert_type(zeros((3, 4)), MPIArray)
    assert_type(ones((3, 4)), MPIArray)


def kept(array: Matrix) -> None:
    assert_type(array.dtype, Float32)
    assert_type(array.shape, Shape)
    assert_type(array.local_array, np.ndarray[Shape, Float32])
    assert_type(array.redistribute(1), Matrix)
    assert_type(array.gather(), np.ndarray[Shape, Float32] | None)
    assert_type(array.allgather(), np.ndarray[Shape, Float32])
    assert_type(array.global_shape, tuple[int, ...])
    assert_type(array.axis, int)


def takes_any(array: MPIArray) -> Any:
    return array[0]


def takes_arrays(array: np.ndarray[Any, Any]) -> None: ...


def passed_on(array: Matrix) -> None:
    takes_any(array)
    takes_arrays(array)


def refused(array: Matrix) -> None:
    array.axis = 1  # type: ignore[misc]
    array.redistribute("time")  # type: ignore[arg-type]
    another: MPIArray[Shape, np.dtype[np.int8]] = array  # type: ignore[assignment]
    takes_any(another)
