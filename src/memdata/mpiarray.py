"""`MPIArray`: one array, cut along one axis over the ranks of a communicator."""

from __future__ import annotations

import math
import operator
import typing
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from memdata import _cmemdata, globalindex, indexing
from memdata.fileformats import HDF5, FileFormat, Zarr
from memdata.indexing import SelectionLike, SelectionTupleLike, sanitize_slice

__all__ = [
    "AxisException",
    "MPIArray",
    "SelectionLike",
    "SelectionTupleLike",
    "UnsupportedOperation",
    "ones",
    "sanitize_slice",
    "zeros",
]

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    _Shape_co = TypeVar("_Shape_co", bound=tuple[Any, ...], default=tuple[Any, ...], covariant=True)
    _DType_co = TypeVar("_DType_co", bound=np.dtype[Any], default=np.dtype[Any], covariant=True)
else:  # defaults are known from Python 3.13 on
    _Shape_co, _DType_co = (
        typing.TypeVar(name, covariant=True) for name in ("_Shape_co", "_DType_co")
    )

Array = np.ndarray[Any, Any]

# What programs know under these names.
_apply_sel = indexing.apply_selection
_expand_sel = indexing.expand_selection
_len_slice = indexing.length_of_slice
_reslice = indexing.slice_of_slice
_partition_sel = indexing.partition_selection
_global_resolver = _cmemdata._GlobalSlice

#: Memory that `MPIArray.redistribute` may use besides its result, on each rank (bytes).
DEFAULT_BUDGET = 256 << 20


class AxisException(ValueError, IndexError):  # noqa: N818 - a name users know
    """An axis that does not exist, or is distributed where it must not be.

    Attributes
    ----------
    message : str
        What is wrong.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnsupportedOperation(ValueError):  # noqa: N818 - a name users know
    """An operation that distributed arrays do not have.

    Attributes
    ----------
    message : str
        What is wrong.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class MPIArray(_cmemdata._MPIArray[_Shape_co, _DType_co]):
    """An array that is cut along one axis over the ranks of a communicator.

    An `MPIArray` is an `numpy.ndarray` that holds this rank's part and knows where that is in the
    whole. Indexing and ufuncs work on the local part and never communicate; methods that do
    are collective and say so. The first ``n % size`` ranks hold one element more than ``n // size``
    along the distributed axis.

    Parameters
    ----------
    global_shape : tuple of int
        Shape of the whole array.
    axis : int
        The distributed axis.
    comm : mpi4py.MPI.Comm or None
        The communicator; None is the world, where there is MPI.
    *args, **kwargs
        For `numpy.ndarray`, of the local part: `dtype` and others. The elements are not
        initialised; see `zeros`.

    Raises
    ------
    AxisException
        The axis does not exist.

    Examples
    --------
    >>> import numpy as np
    >>> from memdata.mpiarray import MPIArray
    >>> a = MPIArray((4, 3), axis=0, dtype=np.float32)
    >>> a[:] = 1.0
    >>> a.global_shape, a.axis
    ((4, 3), 0)
    >>> (a + a)[:, 1:].global_shape
    (4, 2)
    """

    # -- making one ------------------------------------------------------------------------------

    @classmethod
    def wrap(cls, array: np.ndarray[_Shape_co, _DType_co], axis: int, comm: Any = None) -> Self:
        """Every rank's ndarray becomes its part of one array. Collective.

        Parameters
        ----------
        array : numpy.ndarray
            This rank's part; its memory is shared, nothing is copied. The lengths along `axis` must
            be the standard split, all else must be alike on all ranks.
        axis : int
            The distributed axis.
        comm : mpi4py.MPI.Comm or None
            The communicator; None is the world.

        Returns
        -------
        MPIArray

        Raises
        ------
        AxisException
            On all ranks: there is no such axis, the lengths are not the standard split, or dtypes
            or other axes differ.

        Examples
        --------
        >>> import numpy as np
        >>> from memdata.mpiarray import MPIArray
        >>> MPIArray.wrap(np.zeros((2, 5)), axis=1).axis
        1
        """
        from memdata import mpitools
        from memdata.ranks import calls
        from memdata.ranks.collective import together

        comm = mpitools.world if comm is None else comm
        with together(comm, "MPIArray.wrap"):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"expected an ndarray, got {type(array).__name__}")
            dtype = repr(array.dtype)
            mine = (dtype, array.shape, operator.index(axis))
        alone = comm is None or comm.size == 1
        ranks = [mine] if alone else calls.allgather(comm, mine, "MPIArray.wrap")
        problem = _wrap_problem(ranks)
        if problem:
            raise AxisException(problem)
        axis %= array.ndim
        lengths = [shape[axis] for _, shape, _ in ranks]
        rank = 0 if comm is None else comm.rank
        return cls._from_local(array, axis, comm, sum(lengths), sum(lengths[:rank]))

    # -- parts and indices -------------------------------------------------------------------------

    def enumerate(self, axis: int) -> Iterator[tuple[int, int]]:
        """Pairs of local and global index along an axis.

        Examples
        --------
        >>> from memdata.mpiarray import zeros
        >>> list(zeros((2, 3)).enumerate(1))
        [(0, 0), (1, 1), (2, 2)]
        """
        axis = self._normal_axis(axis)
        start = self.local_offset[axis]
        return ((i, start + i) for i in range(self.shape[axis]))

    def _normal_axis(self, axis: int) -> int:
        axis = operator.index(axis)
        if not -self.ndim <= axis < self.ndim:
            raise AxisException(f"axis {axis} does not exist in an array of {self.ndim} axes")
        return axis % self.ndim

    def _like(self, local: Array, axis: int | None = None) -> Self:
        """A local array, distributed as this one but for the number of the axis."""
        here = self.axis
        return self._from_local(
            local,
            here if axis is None else axis,
            self.comm,
            self.global_shape[here],
            self.local_offset[here],
        )

    # -- axes ------------------------------------------------------------------------------------

    def reshape(self, *shape: Any, order: str = "C") -> Self:  # type: ignore[override]
        """Regroup the axes; the distributed axis stays whole.

        Parameters
        ----------
        *shape : int or None, or one tuple of them
            The new shape, with None for the distributed axis. One -1 on each side of it is
            worked out. The axes before and after the distributed one may be regrouped only on
            their own side.
        order : {"C"}
            Only the order of the last axis running fastest.

        Returns
        -------
        MPIArray
            A view where NumPy can make one.

        Raises
        ------
        ValueError
            The shape does not fit, or has not one None.

        Examples
        --------
        >>> from memdata.mpiarray import zeros
        >>> zeros((6, 4, 2)).reshape(None, -1).global_shape
        (6, 8)
        """
        if order != "C":
            raise ValueError(f"a distributed array can be reshaped in order 'C', not {order!r}")
        new = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        if sum(length is None for length in new) != 1:
            raise ValueError(
                f"the distributed axis must be None, and no other, in the new shape; got {new}"
            )
        axis, at = self.axis, new.index(None)
        before = _fill_wildcard(new[:at], self.shape[:axis], new)
        after = _fill_wildcard(new[at + 1 :], self.shape[axis + 1 :], new)
        local = self.local_array.reshape(*before, self.shape[axis], *after)
        return self._like(local, at)

    def ravel(self, order: Any = "C") -> Any:
        """Not there: a distributed array cannot become flat."""
        raise NotImplementedError("a distributed array cannot be made flat: use local_array")

    def flatten(self, order: Any = "C") -> Any:
        """Not there: a distributed array cannot become flat."""
        return self.ravel(order)

    def swapaxes(self, axis1: int, axis2: int, /) -> Self:  # type: ignore[override]
        """A view with two axes exchanged; the distributed axis is followed."""
        order = list(range(self.ndim))
        first, second = self._normal_axis(axis1), self._normal_axis(axis2)
        order[first], order[second] = order[second], order[first]
        return self.transpose(order)

    def squeeze(self, axis: Any = None) -> Self:
        """A view without axes of length 1; the distributed axis is kept.

        Raises
        ------
        AxisException
            `axis` names the distributed axis.
        """
        here = self.axis
        if axis is None:
            drop = {i for i, n in enumerate(self.shape) if n == 1 and i != here}
        else:
            given = axis if isinstance(axis, tuple) else (axis,)
            drop = {self._normal_axis(i) for i in given}
        if here in drop:
            raise AxisException(f"the distributed axis {here} cannot be removed")
        local = self.local_array.squeeze(tuple(drop))
        return self._like(local, here - sum(i < here for i in drop))

    # -- along axes, without ufuncs --------------------------------------------------------------

    def _along(self, function: Any, axis: Any, keepdims: bool, *args: Any, **kwargs: Any) -> Self:
        """Apply a NumPy function along axes that are not distributed."""
        here = self.axis
        if axis is None:
            given: tuple[int, ...] = tuple(range(self.ndim))
        else:
            given = tuple(
                self._normal_axis(i) for i in (axis if isinstance(axis, tuple) else (axis,))
            )
        if here in given:
            raise AxisException(
                f"{function.__name__} along the distributed axis {here} needs communication: "
                "redistribute first"
            )
        if keepdims:
            kwargs["keepdims"] = True
        local = function(self.local_array, *args, axis=axis, **kwargs)
        lost = 0 if local.ndim == self.ndim else sum(i < here for i in given)
        return self._like(local, here - lost)

    def _refuse_distributed(self, what: str, axis: Any) -> None:
        """AxisException if `axis` names the distributed axis, before NumPy counts its elements."""
        if axis is None:
            return
        given = axis if isinstance(axis, tuple) else (axis,)
        if self.axis in {self._normal_axis(i) for i in given}:
            raise AxisException(
                f"{what} along the distributed axis {self.axis} needs communication: redistribute "
                "first, or use reduce_global"
            )

    def mean(self, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Means along axes that are not distributed; see `reduce_global`."""
        self._refuse_distributed("mean", axis)
        return super().mean(axis, *args, **kwargs)

    def std(self, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Standard deviations along axes that are not distributed; see `reduce_global`."""
        self._refuse_distributed("std", axis)
        return super().std(axis, *args, **kwargs)

    def var(self, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Variances along axes that are not distributed; see `reduce_global`."""
        self._refuse_distributed("var", axis)
        return super().var(axis, *args, **kwargs)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        """Indices of the maxima along an axis that is not distributed."""
        return self._without_out("argmax", out)._along(np.argmax, axis, keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        """Indices of the minima along an axis that is not distributed."""
        return self._without_out("argmin", out)._along(np.argmin, axis, keepdims)

    def argsort(self, axis: Any = -1, kind: Any = None, order: Any = None, **kwargs: Any) -> Any:
        """Indices that sort along an axis that is not distributed."""
        return self._along(np.argsort, axis, False, kind=kind, order=order, **kwargs)

    def sort(self, axis: Any = -1, kind: Any = None, order: Any = None, **kwargs: Any) -> None:
        """Sort in place along an axis that is not distributed."""
        if self._normal_axis(axis) == self.axis:
            raise AxisException(f"cannot sort along the distributed axis {self.axis}")
        self.local_array.sort(axis, kind, order, **kwargs)

    def round(self, decimals: int = 0, out: Any = None) -> Any:  # type: ignore[override]
        """The elements rounded to a number of decimals."""
        return self._without_out("round", out)._like(self.local_array.round(decimals))

    def _without_out(self, what: str, out: Any) -> Self:
        if out is not None:
            raise UnsupportedOperation(f"{what}: out= does not work on distributed arrays")
        return self

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from memdata import arrayfunctions

        if func in arrayfunctions.BY_METHOD:
            return super().__array_function__(func, types, args, kwargs)
        return arrayfunctions.apply(func, args, kwargs)

    # -- communication ----------------------------------------------------------------------------

    def redistribute(self, axis: int, *, budget: int = DEFAULT_BUDGET) -> Self:
        """The same array cut along another axis. Collective.

        Parameters
        ----------
        axis : int
            The new distributed axis.
        budget : int
            Memory to use besides the result, on each rank (bytes); the data move in rounds.

        Returns
        -------
        MPIArray
            C-contiguous; itself if the axis is the same.

        Raises
        ------
        AxisException
            There is no such axis.
        MemoryError
            On all ranks: the result and the budget do not fit on one of them.
        """
        from memdata.ranks import exchange

        moved: Self = exchange.redistribute(self, axis, budget)
        return moved

    def gather(self, rank: int = 0) -> np.ndarray[_Shape_co, _DType_co] | None:
        """The whole array as an ndarray on one rank, None on the others. Collective."""
        from memdata.ranks import exchange

        return exchange.gather(self, rank)

    def allgather(self) -> np.ndarray[_Shape_co, _DType_co]:
        """The whole array as an ndarray on every rank. Collective.

        Examples
        --------
        >>> from memdata.mpiarray import ones
        >>> ones((2, 2)).allgather()
        array([[1., 1.],
               [1., 1.]])
        """
        from memdata.ranks import exchange

        return exchange.allgather(self)

    def allreduce(self, op: Any = None) -> Any:
        """Put together one element per rank, on every rank. Collective.

        Parameters
        ----------
        op : mpi4py.MPI.Op or None
            None is the sum.

        Raises
        ------
        ValueError
            On all ranks: the local shape is not ``(1,)`` on one of them.
        """
        from memdata.ranks import exchange

        return exchange.allreduce(self, op)

    def reduce_global(
        self, operation: str, axis: Any = None, keepdims: bool = False, dtype: Any = None
    ) -> Any:
        """Reduce along the distributed axis too, as NumPy does the whole array. Collective.

        Parameters
        ----------
        operation : str
            "sum", "prod", "min", "max", "mean", "std", "var", "all", "any", "argmin", "argmax".
        axis : int, tuple of int or None
            Axes of the whole array; None is all.
        keepdims, dtype
            As in NumPy.

        Returns
        -------
        numpy.ndarray, scalar or MPIArray
            The same on all ranks; an `MPIArray` where the distributed axis stays.

        Examples
        --------
        >>> from memdata.mpiarray import ones
        >>> print(ones((3, 2)).reduce_global("sum", axis=0))
        [3. 3.]
        """
        from memdata.ranks import exchange

        return exchange.reduce_global(self, operation, axis, keepdims, dtype)

    # -- files ----------------------------------------------------------------------------------

    @classmethod
    def from_hdf5(
        cls,
        f: Any,
        dataset: str,
        comm: Any = None,
        axis: int | str = 0,
        sel: Any = None,
        *,
        mover: str | None = None,
        follow_external: bool = False,
    ) -> Self:
        """Read a dataset of an HDF5 file distributed; see `from_file`."""
        return cls.from_file(
            f,
            dataset,
            comm=comm,
            axis=axis,
            sel=sel,
            file_format=HDF5,
            mover=mover,
            follow_external=follow_external,
        )

    @classmethod
    def from_file(
        cls,
        f: Any,
        dataset: str,
        comm: Any = None,
        axis: int | str = 0,
        sel: SelectionTupleLike | SelectionLike | None = None,
        file_format: type[FileFormat] | None = HDF5,
        *,
        mover: str | None = None,
        follow_external: bool = False,
    ) -> Self:
        """Read a dataset of a file distributed. Collective.

        Parameters
        ----------
        f : file name or open group
            Where to read.
        dataset : str
            Name of the dataset.
        comm : mpi4py.MPI.Comm or None
            The communicator; None is the world.
        axis : int or str
            The axis to distribute: its number, or its name in the dataset's ``attrs["axis"]``.
        sel : tuple of slice, list or None, optional
            Selection, one item per axis, applied before the distribution.
        file_format : FileFormat or None
            HDF5 or Zarr; None guesses from the name.
        mover : {"direct", "mpio"} or None
            How the ranks move their parts, as in `MemGroup.from_file`.
        follow_external : bool
            Read external storage, and virtual datasets of other files; an `OSError` otherwise.

        Returns
        -------
        MPIArray
        """
        from memdata import transfer

        array: Self = transfer.load_array(
            f,
            dataset,
            comm=comm,
            axis=axis,
            sel=sel,
            file_format=file_format,
            mover=mover,
            follow_external=follow_external,
        )
        return array

    def to_hdf5(
        self,
        f: Any,
        dataset: str,
        create: bool = False,
        chunks: Any = None,
        compression: Any = None,
        compression_opts: Any = None,
        *,
        mover: str | None = None,
    ) -> None:
        """Write the array into an HDF5 file; see `to_file`."""
        self.to_file(f, dataset, create, chunks, compression, compression_opts, HDF5, mover=mover)

    def to_zarr(
        self,
        f: Any,
        dataset: str,
        create: bool = False,
        chunks: Any = None,
        compression: Any = None,
        compression_opts: Any = None,
    ) -> None:
        """Write the array into a zarr store; see `to_file`."""
        self.to_file(f, dataset, create, chunks, compression, compression_opts, Zarr)

    def to_file(
        self,
        f: Any,
        dataset: str,
        create: bool = False,
        chunks: Any = None,
        compression: Any = None,
        compression_opts: Any = None,
        file_format: type[FileFormat] | None = HDF5,
        *,
        mover: str | None = None,
    ) -> None:
        """Write the array as a dataset of a file. Collective.

        Parameters
        ----------
        f : file name or open group
            Where to write.
        dataset : str
            Name of the dataset; one that is there must have the same shape and dtype.
        create : bool
            Make the file, replacing one that is there.
        chunks, compression, compression_opts
            As h5py takes them.
        file_format : FileFormat or None
            HDF5 or Zarr; None guesses from the name.
        mover : {"direct", "mpio"} or None
            How the ranks move their parts, as in `MemGroup.to_file`.

        Raises
        ------
        RuntimeError
            A dataset of another shape or dtype is there; `mover` is "mpio", and h5py has no MPI.
        """
        from memdata import transfer

        transfer.save_array(
            self,
            f,
            dataset,
            create=create,
            chunks=chunks,
            compression=compression,
            compression_opts=compression_opts,
            file_format=file_format,
            mover=mover,
        )

    # -- Python's protocols ---------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        if self.axis == 0:
            return iter(self.local_array)
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return "MPIArray" + repr(self.local_array).removeprefix("array")

    def __str__(self) -> str:
        return str(self.local_array)

    def describe(self) -> Any:
        """Shape, type, ranks, memory, values of this rank; see `memdata.show.describe`.

        Not collective.
        """
        from memdata import show

        return show.describe(self)

    def plot(self, index: Any = (), **kw: Any) -> Any:
        """Draw the part of this rank; see `memdata.plot`. Not collective."""
        from memdata import show

        return show.plot(self, index, **kw)

    def _repr_html_(self) -> str:
        from memdata import show

        return show.html(self)

    def __reduce__(self) -> Any:
        """Pickle the local part; of the communicators, only the world is kept."""
        from memdata import mpitools

        axis = self.axis
        place = (axis, self.global_shape[axis], self.local_offset[axis])
        is_world = self.comm is not None and self.comm == mpitools.world
        # The state is a tuple, as ndarray's is: subclasses add to it what they know.
        return _unpickle, (type(self), self.local_array, is_world, *place), (self.__dict__,)

    def __setstate__(self, state: Any) -> None:
        (attributes,) = state
        self.__dict__.update(attributes)


def zeros(
    global_shape: Any, axis: int = 0, comm: Any = None, *args: Any, **kwargs: Any
) -> MPIArray:
    """A distributed array of zeros; the arguments are those of `MPIArray`.

    Examples
    --------
    >>> from memdata.mpiarray import zeros
    >>> zeros((4, 2), axis=1, dtype="i4").global_shape
    (4, 2)
    """
    array = MPIArray(global_shape, axis, comm, *args, **kwargs)
    array[...] = np.zeros((), array.dtype)  # of strings and structured types, zero bytes
    return array


def ones(global_shape: Any, axis: int = 0, comm: Any = None, *args: Any, **kwargs: Any) -> MPIArray:
    """A distributed array of ones; the arguments are those of `MPIArray`.

    Examples
    --------
    >>> from memdata.mpiarray import ones
    >>> ones((4, 2)).axis
    0
    """
    array = MPIArray(global_shape, axis, comm, *args, **kwargs)
    array.fill(1)
    return array


def _unpickle(
    cls: type[MPIArray], local: Array, is_world: bool, axis: int, length: int, offset: int
) -> MPIArray:
    from memdata import mpitools

    return cls._from_local(local, axis, mpitools.world if is_world else None, length, offset)


def _wrap_problem(ranks: Sequence[tuple[str, tuple[int, ...], int]]) -> str:
    """Why the ranks' arrays are not parts of one; the same on all ranks, "" where they are."""
    for rank, (dtype, shape, axis) in enumerate(ranks):
        if not -len(shape) <= axis < len(shape):
            return f"rank {rank}: axis {axis} does not exist in an array of shape {shape}"
        first_dtype, first_shape, first_axis = ranks[0]
        if dtype != first_dtype:
            return f"rank {rank} has the dtype {dtype}, rank 0 has {first_dtype}"
        cut = first_axis % len(first_shape)
        if len(shape) != len(first_shape) or axis % len(shape) != cut:
            return f"rank {rank} has {shape} along axis {axis}, rank 0 {first_shape} along {cut}"
        if any(a != b for i, (a, b) in enumerate(zip(shape, first_shape, strict=True)) if i != cut):
            return (
                f"rank {rank} has the shape {shape}, rank 0 {first_shape}: not alike but for {cut}"
            )
    lengths = [shape[axis] for _, shape, axis in ranks]
    base, more = divmod(sum(lengths), len(ranks))
    split = [base + (rank < more) for rank in range(len(ranks))]
    if lengths != split:
        return f"the ranks have the lengths {lengths}, expected the standard split {split}"
    return ""


def _fill_wildcard(new: Sequence[Any], old: Sequence[int], shape: Any) -> list[int]:
    """The axes on one side of the distributed one, with a -1 worked out."""
    lengths = [operator.index(length) for length in new]
    size, known = math.prod(old), math.prod(n for n in lengths if n != -1)
    if lengths.count(-1) > 1:
        raise ValueError(f"more than one -1 on one side of the distributed axis: {shape}")
    if -1 in lengths and known and size % known == 0:
        lengths[lengths.index(-1)] = size // known
    if -1 in lengths or math.prod(lengths) != size:
        raise ValueError(
            f"{shape} does not fit: the axes {tuple(old)} cannot become {tuple(new)} on their side "
            "of the distributed axis"
        )
    return lengths


def _core_ufunc(ufunc: np.ufunc, *operands: Any, **kwargs: Any) -> Any:
    """A ufunc that works along axes of matrices, of which one is distributed."""
    from memdata import arrayfunctions

    return arrayfunctions.apply_core(ufunc, operands, kwargs)


def _world() -> Any:
    from memdata import mpitools

    return mpitools.world


_cmemdata._bind(
    array_class=MPIArray,
    axis_exception=AxisException,
    unsupported_operation=UnsupportedOperation,
    world=_world,
    global_get=globalindex.get,
    global_set=globalindex.assign,
    core_ufunc=_core_ufunc,
)
