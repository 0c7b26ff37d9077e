"""What distributed arrays need of other ranks: redistributing, gathering, reducing.

Everything here is collective. Each function first makes sure that all ranks call it, with arrays
that are parts of one, and that there is memory for the result (`memdata.ranks.collective`); only
then the elements move (`memdata.ranks.moving`).
"""

from __future__ import annotations

import math
import operator
import pickle
from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Any, cast

import numpy as np

from memdata import memory
from memdata._cmemdata import empty_recycled
from memdata.interrupt import deferred
from memdata.ranks import calls, moving, private
from memdata.ranks.blocks import as_block, pieces, raw
from memdata.ranks.collective import together

__all__ = ["allgather", "allreduce", "gather", "redistribute", "reduce_global"]

Array = np.ndarray[Any, Any]

#: Memory that redistributing may use besides its result, on each rank (bytes).
DEFAULT_BUDGET = 256 << 20

#: Elements that are Python objects: so many are pickled for one rank at a time.
_OBJECTS = 1 << 14

#: What a pickled element may take besides its bytes.
_PICKLE = 2048

#: From so many bytes on a rank on, ask the system whether there is memory.
_ASK_FROM = 8 << 20


@deferred
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
        dtype, local = array.dtype, array.local_array
        largest = list(shape)
        for at in (old, new):
            largest[at] = -(-shape[at] // size)
        sends = [local[_along(new, a, b)] for a, b in zip(starts, ends, strict=True)]
        carried = _carry(step, sends, dtype, largest)
    local_shape = list(shape)
    local_shape[new] = ends[rank] - starts[rank]
    result = _allocate(tuple(local_shape), dtype, comm, shape, size, budget, "redistribute")
    starts_old, ends_old = _bounds(shape[old], size)
    receives = [result[_along(old, a, b)] for a, b in zip(starts_old, ends_old, strict=True)]
    if carried:
        _unload(step.arrived, sends, receives, rank)
    else:
        mine = math.prod(shape) * dtype.itemsize // size
        _move(comm, sends, receives, "redistribute", dtype, largest, mine, budget)
    return type(array)._from_local(result, new, comm, shape[new], starts[rank])


@deferred
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
        carried = _carry_whole(step, array, [rank])
    return _collect(array, [rank], "gather", step if carried else None)


@deferred
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
    everybody = range(_size_rank(comm)[0])
    with together(comm, "allgather") as step:
        check_split(array)
        step.facts(**facts(array))
        carried = _carry_whole(step, array, everybody)
    return cast("Array", _collect(array, everybody, "allgather", step if carried else None))


@deferred
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
        fits = not array.dtype.hasobject and array.dtype.itemsize + _PICKLE <= step.room
        if fits:
            step.carry([mine] * comm.size)
    texts: Sequence[Any]
    if not comm or comm.size == 1:
        texts = [mine]
    elif fits:
        texts = [mine if at == comm.rank else one.data for at, one in enumerate(step.arrived)]
    else:
        texts = calls.allgather(comm, mine, "allreduce")
    with together(comm, "allreduce"):
        elements = [pickle.loads(text) for text in texts]
        add = operator.add if op is None else op
        return reduce(add, elements)


@deferred
def reduce_global(
    array: Any, operation: str, axis: Any = None, keepdims: bool = False, dtype: Any = None
) -> Any:
    """Reduce along any axes, the distributed one too. Collective; see `memdata.ranks.reducing`."""
    from memdata.ranks import reducing

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
            scratch = moving.needed_bytes(budget) if size > 1 else 0
            _check_memory(needed + scratch, comm, local_shape, dtype, what)
        try:
            result = empty_recycled(local_shape, dtype)
        except (MemoryError, ValueError) as failure:
            raise MemoryError(
                f"no memory for the result: shape {local_shape}, {dtype}, {needed} bytes"
            ) from failure
    return result


def _check_memory(
    needed: int, comm: Any, local_shape: tuple[int, ...], dtype: np.dtype[Any], what: str
) -> None:
    """Raise MemoryError when there is not enough for this rank and its neighbours. Collective."""
    group, group_room = memory.group_room()
    machine = private.kernel()
    mine = (machine, group, needed)
    everyones = [mine] if not comm or comm.size == 1 else calls.allgather(comm, mine, what)
    here = [bytes_ for there, _, bytes_ in everyones if there == machine]
    in_group = [bytes_ for *place, bytes_ in everyones if place == [machine, group]]
    for room, wanted, whose in (
        (memory.machine_room(), here, "of this machine"),
        (group_room, in_group, f"of the control group {group}"),
        (memory.process_room(), [needed], "of this process, by its resource limits"),
    ):
        if sum(wanted) > room:
            raise MemoryError(
                f"not enough memory: the result here has the shape {local_shape}, {dtype}; with "
                f"its buffers it needs {needed} bytes, all {len(wanted)} rank(s) {sum(wanted)}; "
                f"the memory {whose} has room for {room:.0f}"
            )


# ---- moving ----


def _collect(array: Any, to: Sequence[int], what: str, carrier: Any = None) -> Array | None:
    """The whole array on some of the ranks, None on the others; `carrier`: what carried it."""
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
    if carrier is not None:
        _unload(carrier.arrived, sends, receives, rank)
        return result if here else None
    total = math.prod(shape) * array.dtype.itemsize
    largest = list(shape)
    largest[axis] = -(-shape[axis] // size)
    _move(comm, sends, receives, what, array.dtype, largest, total, DEFAULT_BUDGET)
    return result if here else None


def _carry_whole(step: Any, array: Any, to: Sequence[int]) -> bool:
    """`_carry` for the local array to some of the ranks."""
    shape, axis, size = array.global_shape, array.axis, _size_rank(array.comm)[0]
    largest = [*shape[:axis], -(-shape[axis] // size), *shape[axis + 1 :]]
    local = array.local_array
    sends = [local if other in to else None for other in range(size)]
    return _carry(step, sends, array.dtype, largest)


def _carry(
    step: Any, sends: Sequence[Array | None], dtype: np.dtype[Any], largest: Sequence[int]
) -> bool:
    """Have small blocks travel with the meeting; on all ranks, or on none."""
    if dtype.hasobject or not 0 < math.prod(largest) * dtype.itemsize <= step.room:
        return False
    step.carry([b"" if block is None else raw(block).tobytes() for block in sends])
    return True


def _unload(
    arrived: Sequence[Array],
    sends: Sequence[Array | None],
    receives: Sequence[Array | None],
    rank: int,
) -> None:
    """Put blocks that have come with a meeting, and this rank's own, to their places."""
    for peer, block in enumerate(receives):
        if block is None or not block.size:
            continue
        source = sends[rank] if peer == rank else as_block(arrived[peer], block)
        if source is not None:
            np.copyto(raw(block), raw(source))


def _move(
    comm: Any,
    sends: Sequence[Array | None],
    receives: Sequence[Array | None],
    what: str,
    dtype: np.dtype[Any],
    largest: Sequence[int],
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
        moving.move(comm, sends, receives, what, largest=largest, total=total, budget=budget)


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
    rounds = calls.allgather(comm, max(map(len, cuts_out)), what)
    for turn in range(max(rounds)):
        with together(comm, what):
            out = [
                pickle.dumps(block[cuts[turn]], protocol=5)
                if block is not None and turn < len(cuts)
                else b""
                for block, cuts in zip(sends, cuts_out, strict=True)
            ]
        lengths = calls.allgather(comm, [len(text) for text in out], what)
        with together(comm, what):
            into = [np.empty(row[mine], np.uint8) for row in lengths]
        moving.move(
            comm,
            [np.frombuffer(text, np.uint8) for text in out],
            into,
            what,
            largest=[max(map(max, lengths))],
            total=max(map(sum, lengths)),
            budget=budget,
        )
        with together(comm, what):
            for block, cuts, text in zip(receives, cuts_in, into, strict=True):
                if block is not None and turn < len(cuts):
                    block[cuts[turn]] = pickle.loads(text.data)


def _object_pieces(block: Array | None) -> list[tuple[slice, ...]]:
    return [] if block is None else list(pieces(block.shape, 1, _OBJECTS))
