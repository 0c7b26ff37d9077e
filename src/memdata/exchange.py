"""What distributed arrays need of other ranks: redistributing, gathering, reducing.

Everything here is collective. Each function first makes sure that all ranks call it, with arrays
that are parts of one, and that there is memory for the result (`memdata.collective`); only then
the elements move (`memdata.moving`).
"""

from __future__ import annotations

import math
import operator
import pickle
from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any, cast

import numpy as np

from memdata import moving, mpitools
from memdata.collective import together

__all__ = ["allgather", "allreduce", "gather", "redistribute", "reduce_global"]

Array = np.ndarray[Any, Any]

#: Memory that redistributing may use besides its result, on each rank (bytes).
DEFAULT_BUDGET = 256 << 20

#: Elements that are Python objects: so many are pickled for one rank at a time.
_OBJECTS = 1 << 14

#: From so many bytes on a rank on, ask the system whether there is memory.
_ASK_FROM = 8 << 20


def redistribute(array: Any, axis: int, budget: int = DEFAULT_BUDGET) -> Any:
    """The same array cut along another axis. Collective.

    Parameters
    ----------
    array : MPIArray
        Of any dtype and layout.
    axis : int
        The new distributed axis.
    budget : int
        Bytes that may be used besides the result, on each rank: the elements move in rounds.

    Returns
    -------
    MPIArray
        A C-contiguous copy, of the type of `array`; `array` itself if the axis is the same.

    Raises
    ------
    AxisException
        There is no such axis.
    CollectiveError
        The ranks call this with different axes or budgets, or with arrays of different kinds.
    MemoryError
        On all ranks: the result does not fit on one of them.
    """
    comm = array.comm
    with together(comm, "redistribute") as step:
        old, shape = array.axis, array.global_shape
        new = normal_axis(axis, len(shape))
        budget = operator.index(budget)
        if budget <= 0:
            raise ValueError(f"budget: expected a number of bytes above 0, got {budget}")
        check_split(array)
        step.facts(axis=new, budget=budget, **facts(array))
    if new == old:
        return array
    size, rank = _size_rank(comm)
    starts, ends = _bounds(shape[new], size)
    local_shape = list(shape)
    local_shape[new] = ends[rank] - starts[rank]
    dtype = array.dtype
    result = _allocate(tuple(local_shape), dtype, comm, shape, size, budget, "redistribute")
    local = array.local_array
    starts_old, ends_old = _bounds(shape[old], size)
    sends = [local[_along(new, a, b)] for a, b in zip(starts, ends, strict=True)]
    receives = [result[_along(old, a, b)] for a, b in zip(starts_old, ends_old, strict=True)]
    mine = math.prod(shape) * dtype.itemsize // size
    _move(comm, sends, receives, "redistribute", dtype, mine, budget)
    return type(array)._from_local(result, new, comm, shape[new], starts[rank])


def gather(array: Any, rank: int = 0) -> Array | None:
    """The whole array on one rank. Collective.

    Parameters
    ----------
    array : MPIArray
        Of any dtype and layout.
    rank : int
        Where to gather it.

    Returns
    -------
    numpy.ndarray or None
        A copy of the whole array on `rank`, None on the others.

    Raises
    ------
    ValueError
        There is no such rank.
    MemoryError
        On all ranks: the array does not fit there.
    """
    comm = array.comm
    size, _ = _size_rank(comm)
    with together(comm, "gather") as step:
        rank = operator.index(rank)
        if not 0 <= rank < size:
            raise ValueError(f"expected a rank from 0 to {size - 1}, got {rank}")
        check_split(array)
        step.facts(rank=rank, **facts(array))
    return _collect(array, [rank], "gather") if size > 1 else _copy(array)


def allgather(array: Any) -> Array:
    """The whole array on every rank. Collective.

    Parameters
    ----------
    array : MPIArray
        Of any dtype and layout.

    Returns
    -------
    numpy.ndarray
        A copy of the whole array.

    Raises
    ------
    MemoryError
        On all ranks: the array does not fit on one of them.
    """
    comm = array.comm
    size, _ = _size_rank(comm)
    with together(comm, "allgather") as step:
        check_split(array)
        step.facts(**facts(array))
    if size == 1:
        return _copy(array)
    return cast("Array", _collect(array, range(size), "allgather"))


def allreduce(array: Any, op: Any = None) -> Any:
    """Put together one element per rank. Collective.

    Parameters
    ----------
    array : MPIArray
        Of the local shape ``(1,)`` on every rank, of any dtype.
    op : mpi4py.MPI.Op, callable of two values, or None
        None is the sum. Applied in the order of the ranks.

    Returns
    -------
    scalar
        The same on all ranks, of the dtype that `op` makes.

    Raises
    ------
    ValueError
        On all ranks: the local shape is another on one of them.
    """
    comm = array.comm
    with together(comm, "allreduce") as step:
        if array.shape != (1,):
            raise ValueError(f"expected one element per rank, shape (1,), got {array.shape}")
        step.facts(dtype=_dtype_fact(array.dtype))
        mine = pickle.dumps(array.local_array[0], protocol=5)
    texts = [mine] if comm is None else comm.allgather(mine)
    with together(comm, "allreduce"):
        elements = [pickle.loads(text) for text in texts]
        add = operator.add if op is None else op
        return reduce(add, elements)


def reduce_global(
    array: Any, operation: str, axis: Any = None, keepdims: bool = False, dtype: Any = None
) -> Any:
    """Reduce along any axes, the distributed one too. Collective; see `memdata.reducing`."""
    from memdata import reducing

    return reducing.reduce_global(array, operation, axis, keepdims, dtype)


# ---- what is checked before anything moves ----


def _size_rank(comm: Any) -> tuple[int, int]:
    return (1, 0) if not comm else (comm.size, comm.rank)


def normal_axis(axis: int, ndim: int) -> int:
    axis = operator.index(axis)
    if not -ndim <= axis < ndim:
        from memdata.mpiarray import AxisException

        raise AxisException(f"axis {axis} does not exist in an array of {ndim} axes")
    return axis % ndim


def _dtype_fact(dtype: np.dtype[Any]) -> str:
    return dtype.str if dtype.names is None and dtype.kind != "V" else repr(dtype)


def facts(array: Any) -> dict[str, Any]:
    """What has to be alike for the ranks' arrays to be parts of one."""
    return {
        "shape": array.global_shape,
        "distributed_axis": array.axis,
        "dtype": _dtype_fact(array.dtype),
    }


@lru_cache(maxsize=64)
def _bounds(length: int, size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Starts and ends of the standard split."""
    base, more = divmod(length, size)
    ends = tuple([(i + 1) * base + min(i + 1, more) for i in range(size)])
    return (0, *ends[:-1]), ends


def check_split(array: Any) -> None:
    size, rank = _size_rank(array.comm)
    axis = array.axis
    starts, ends = _bounds(array.global_shape[axis], size)
    mine = array.local_bounds
    if (mine.start, mine.stop) != (starts[rank], ends[rank]):
        raise ValueError(
            f"expected the standard split of length {array.global_shape[axis]} along axis {axis}, "
            f"elements {starts[rank]} to {ends[rank]}, got {mine.start} to {mine.stop}"
        )


def _along(axis: int, start: int, end: int) -> tuple[slice, ...]:
    return (slice(None),) * axis + (slice(start, end),)


def _allocate(
    local_shape: tuple[int, ...],
    dtype: np.dtype[Any],
    comm: Any,
    shape: Sequence[int],
    size: int,
    budget: int,
    what: str,
) -> Array:
    """Memory for a result, or MemoryError on all ranks."""
    whole = math.prod(shape) * dtype.itemsize
    if whole <= moving.SMALL:
        return np.empty(local_shape, dtype)
    with together(comm, what):
        needed = math.prod(local_shape) * dtype.itemsize
        if whole > _ASK_FROM:
            scratch = moving.scratch_bytes(budget) if size > 1 else 0
            _check_memory(needed + scratch, comm, local_shape, dtype)
        try:
            result = np.empty(local_shape, dtype)
        except (MemoryError, ValueError) as failure:
            raise MemoryError(
                f"no memory for the result: shape {local_shape}, {dtype}, {needed} bytes"
            ) from failure
    return result


def _check_memory(
    needed: int, comm: Any, local_shape: tuple[int, ...], dtype: np.dtype[Any]
) -> None:
    """Raise MemoryError when the ranks of this machine together need more than there is."""
    machine = moving.machine(comm) if comm is not None and comm.size > 1 else None
    together_needed = needed if machine is None else machine.allreduce(needed)
    if not mpitools.can_allocate(together_needed):
        ranks = 1 if machine is None else machine.size
        raise MemoryError(
            f"not enough memory: the result here has the shape {local_shape}, {dtype}; with its "
            f"buffers it needs {needed} bytes, and {together_needed} bytes for the {ranks} rank(s) "
            "of this machine"
        )


# ---- moving ----


def _copy(array: Any) -> Array:
    return np.array(array.local_array, order="C", copy=True, subok=False)


def _collect(array: Any, to: Sequence[int], what: str) -> Array | None:
    """The whole array on some of the ranks, None on the others."""
    comm, axis, shape = array.comm, array.axis, array.global_shape
    size, rank = _size_rank(comm)
    here = rank in to
    result = _allocate(
        shape if here else (0,), array.dtype, comm, shape, size, DEFAULT_BUDGET, what
    )
    local = array.local_array
    sends = [local if other in to else None for other in range(size)]
    receives: list[Array | None] = [None] * size
    if here:
        starts, ends = _bounds(shape[axis], size)
        receives = [result[_along(axis, a, b)] for a, b in zip(starts, ends, strict=True)]
    total = math.prod(shape) * array.dtype.itemsize
    _move(comm, sends, receives, what, array.dtype, total, DEFAULT_BUDGET)
    return result if here else None


def _move(
    comm: Any,
    sends: Sequence[Array | None],
    receives: Sequence[Array | None],
    what: str,
    dtype: np.dtype[Any],
    total: int,
    budget: int,
) -> None:
    """`moving.move`, or by pickling where elements are Python objects."""
    if comm is None or comm.size == 1:
        source, target = sends[0], receives[0]
        if source is not None and target is not None:
            np.copyto(target, source)
    elif dtype.hasobject:
        _move_objects(comm, sends, receives, what, budget)
    else:
        moving.move(comm, sends, receives, what, small=total <= moving.SMALL, budget=budget)


def _move_objects(
    comm: Any,
    sends: Sequence[Array | None],
    receives: Sequence[Array | None],
    what: str,
    budget: int,
) -> None:
    """Pickle and move, a limited number of objects at a time."""
    mine = comm.rank
    cuts_out = [_object_pieces(block) for block in sends]
    cuts_in = [_object_pieces(block) for block in receives]
    own, own_target = sends[mine], receives[mine]
    if own is not None and own_target is not None:
        np.copyto(own_target, own)
    cuts_out[mine] = cuts_in[mine] = []
    rounds = comm.allgather(max(map(len, cuts_out)))
    for turn in range(max(rounds)):
        with together(comm, what):
            out = [
                pickle.dumps(block[cuts[turn]], protocol=5)
                if block is not None and turn < len(cuts)
                else b""
                for block, cuts in zip(sends, cuts_out, strict=True)
            ]
        lengths = comm.alltoall([len(text) for text in out])
        into = [np.empty(length, np.uint8) for length in lengths]
        moving.move(
            comm,
            [np.frombuffer(text, np.uint8) for text in out],
            into,
            what,
            small=False,
            budget=budget,
        )
        with together(comm, what):
            for block, cuts, text in zip(receives, cuts_in, into, strict=True):
                if block is not None and turn < len(cuts):
                    block[cuts[turn]] = pickle.loads(text.data)


def _object_pieces(block: Array | None) -> list[tuple[slice, ...]]:
    return [] if block is None else list(moving.pieces(block.shape, 1, _OBJECTS))
