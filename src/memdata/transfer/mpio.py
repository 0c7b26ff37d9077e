"""Moving the parts of distributed datasets through parallel HDF5: the mover ``mpio``.

All ranks open a file together, move their parts through HDF5 and MPI-IO, and close it together.
The transfers themselves are independent. A rank that waits in a collective call of MPI-IO cannot be
told that another has failed; Open MPI's collective write never ends when the disk refuses what one
rank writes. What such calls are for is to join the short runs in which parts lie that are cut
along a late axis. `memdata.transfer.plain` does so for both movers: the ranks exchange elements in
memory, where nobody is left behind, and then move whole rows of the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from memdata.ranks.blocks import pieces

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode
    from memdata.progress import Progress
    from memdata.transfer.ranks import Ranks

__all__ = ["MOVERS", "ParallelFile", "ParallelParts", "chosen_mover", "is_parallel"]

Array = np.ndarray[Any, Any]
Box = tuple[slice, ...]

#: What users may ask for.
MOVERS = ("direct", "mpio")

#: Bytes a rank moves in one round. MPI counts in C ints: a call of 2 GiB or more may fail.
PIECE = 16 << 20


def chosen_mover(mover: str | None, ranks: Ranks, *, hdf5: bool = True) -> str:
    """The mover of a job: by argument, or else by ``MEMDATA_MOVER``, or else "direct".

    Parameters
    ----------
    mover : {"direct", "mpio"} or None
        The argument.
    ranks : Ranks
        Who does the job. The environment's wish has no meaning for one rank alone.
    hdf5 : bool
        Whether it is about an HDF5 file. The environment's wish has no meaning for other formats
        and for open groups.

    Raises
    ------
    ValueError
        There is no such mover, or not for this format.
    RuntimeError
        h5py was built without MPI.
    """
    name = os.environ.get("MEMDATA_MOVER") or MOVERS[0] if mover is None else mover
    if name not in MOVERS:
        where = "MEMDATA_MOVER" if mover is None else "mover"
        raise ValueError(f"{where} must be one of {', '.join(MOVERS)}, not {name!r}")
    if name != "mpio":
        return name
    if mover is None and (ranks.comm is None or not hdf5):
        return MOVERS[0]
    if not hdf5:
        raise ValueError(
            "the mover 'mpio' is for HDF5 files: by name, or open with h5py's driver 'mpio' to"
            " write arrays into"
        )
    import h5py

    if not h5py.get_config().mpi:
        raise RuntimeError(
            "the mover 'mpio' needs an h5py that was built for parallel HDF5, and this one was not"
            " (h5py.get_config().mpi is False). To build one: CC=mpicc HDF5_MPI=ON HDF5_DIR=<where"
            " parallel HDF5 is> pip install --no-binary=h5py h5py. The mover 'direct', which is the"
            " default, works with any h5py"
        )
    return name


def is_parallel(group: Any) -> bool:
    """Whether an open group is of an HDF5 file that several ranks have open together."""
    return getattr(getattr(group, "file", None), "driver", None) == "mpio"


class ParallelParts:
    """Moves parts through what all ranks have open; a `memdata.transfer.plain.PartFile`.

    Parameters
    ----------
    group : h5py.Group or None
        The root of what is moved, as this rank has it open.
    bar : Progress
        Advanced by the bytes that this rank moves.
    """

    def __init__(self, group: Any, bar: Progress) -> None:
        self._group = group
        self._bar = bar

    def write(self, node: DatasetNode) -> None:
        """Write this rank's part of a dataset that has its place in the file."""
        array = node.array
        assert array is not None
        assert node.part is not None
        if not array.size:
            return
        dataset = _Dataset(self._group, node)
        for box in pieces(array.shape, array.itemsize, PIECE):
            piece = np.asarray(array[box], order="C")
            dataset.write(_starts(box, node.part.axis, node.part.start), piece)
            self._bar.advance(piece.nbytes)

    def read(self, node: DatasetNode) -> None:
        """Read this rank's part of a dataset into ``node.array``."""
        array = node.array
        assert array is not None
        assert node.part is not None
        if not array.size:
            return
        dataset = _Dataset(self._group, node)
        for box in pieces(array.shape, array.itemsize, PIECE):
            place = array[box]
            piece = place if place.flags.c_contiguous else np.empty(place.shape, place.dtype)
            dataset.read(_starts(box, node.part.axis, node.part.start), piece)
            if piece is not place:
                place[...] = piece
            self._bar.advance(piece.nbytes)

    def write_rows(self, node: DatasetNode, start: int, rows: Array) -> None:
        """Write bytes of whole rows: those of the axes before the distributed one, as one axis."""
        dataset = _Dataset(self._group, node)
        for starts, piece in _row_pieces(node, start, rows):
            dataset.write(starts, piece)
            self._bar.advance(piece.nbytes)

    def read_rows(self, node: DatasetNode, start: int, rows: Array) -> None:
        """Read bytes of whole rows; see `write_rows`."""
        dataset = _Dataset(self._group, node)
        for starts, piece in _row_pieces(node, start, rows):
            dataset.read(starts, piece)
            self._bar.advance(piece.nbytes)

    def write_block(self, node: DatasetNode, index: tuple[slice, ...], part: Array) -> None:
        """Write a box of a dataset that ranks share."""
        dataset = _Dataset(self._group, node)
        for box in pieces(part.shape, part.itemsize, PIECE):
            piece = np.asarray(part[box], order="C")
            starts = tuple(a.start + b.start for a, b in zip(index, box, strict=True))
            dataset.write(starts, piece)
            self._bar.advance(piece.nbytes)


class ParallelFile(ParallelParts):
    """A file that all ranks have open together; a context manager.

    Opening and closing are collective. What may fail on one rank inside the block stands in
    ``ranks.together``, so that all come to close the file.

    Parameters
    ----------
    name : str
        The file.
    mode : {"r", "r+"}
        As for `h5py.File`.
    ranks : Ranks
        Several.
    bar : Progress
        Says what is done; advanced by the bytes that this rank moves.
    errors : callable, optional
        Gives a context manager that makes of HDF5's errors what the user is told.
    """

    def __init__(
        self,
        name: str,
        mode: str,
        ranks: Ranks,
        bar: Progress,
        errors: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext,
    ) -> None:
        super().__init__(None, bar)
        self._name = name
        self._mode = mode
        self._ranks = ranks
        self._errors = errors

    @contextlib.contextmanager
    def _step(self) -> Iterator[None]:
        with self._ranks.together(self._bar.what), self._errors():
            yield

    def __enter__(self) -> Self:
        with self._step():  # opening waits for all ranks
            self.check()
        try:
            with self._step():
                self._group = _open(self._name, self._mode, self._ranks.comm)
        except BaseException:
            _half_open.append(self._group)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, TimeoutError):
            _half_open.append(self._group)  # the ranks that have not come will not come to close it
            return
        if kind is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._close()
            return
        with self._step():
            self._close()

    def _close(self) -> None:
        self._group.close()

    def check(self) -> None:
        """Fail where this rank cannot open the file at all."""
        from h5py import h5f

        flags = os.O_RDONLY if self._mode == "r" else os.O_RDWR
        os.close(os.open(self._name, flags | os.O_CLOEXEC))
        if not h5f.is_hdf5(os.fsencode(self._name)):
            raise OSError(errno.EIO, "not an HDF5 file, as this rank sees it", self._name)


#: Files that not all ranks have open, or will close: closing one would wait for ever.
_half_open: list[Any] = []


def _open(name: str, mode: str, comm: Any) -> Any:
    import h5py

    return h5py.File(name, mode, driver="mpio", comm=comm)


class _Dataset:
    """A dataset in a file that all ranks have open, of a type that HDF5 does not convert."""

    def __init__(self, group: Any, node: DatasetNode) -> None:
        from h5py import h5d

        from memdata.formats.hdf5_types import type_pair

        self._dataset = h5d.open(group.id, _relative(node.path))
        self._space = self._dataset.get_space()
        self._type = type_pair(node.dtype).memory

    def _select(self, starts: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        from h5py import h5s

        self._space.select_hyperslab(starts, shape)
        return h5s.create_simple(shape)

    def write(self, starts: tuple[int, ...], piece: Array) -> None:
        """Write a block that begins at `starts`."""
        memory = self._select(starts, piece.shape)
        self._dataset.write(memory, self._space, piece, self._type)

    def read(self, starts: tuple[int, ...], piece: Array) -> None:
        """Read a block that begins at `starts`."""
        memory = self._select(starts, piece.shape)
        self._dataset.read(memory, self._space, piece, self._type)


def _relative(path: str) -> bytes:
    return path.strip("/").encode("utf-8", "surrogateescape")


def _starts(box: Box, axis: int, first: int) -> tuple[int, ...]:
    """Where a box of a part begins in the whole dataset."""
    return tuple(cut.start + first * (at == axis) for at, cut in enumerate(box))


def _row_pieces(
    node: DatasetNode, start: int, rows: Array
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Cut whole rows into blocks of the dataset: where each begins, and its elements."""
    assert node.part is not None
    assert node.shape is not None
    outer, inner = node.shape[: node.part.axis], node.shape[node.part.axis :]
    elements = rows.reshape(-1).view(node.dtype).reshape(-1, *inner)
    for first, count, block in _blocks(outer, start, start + len(rows)):
        part = elements[first - start : first - start + count].reshape(*block, *inner)
        begin = np.unravel_index(first, outer)
        for box in pieces(part.shape, part.itemsize, PIECE):
            places = [int(at) for at in begin] + [0] * len(inner)
            yield tuple(p + cut.start for p, cut in zip(places, box, strict=True)), part[box]


def _blocks(
    shape: tuple[int, ...], start: int, stop: int
) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Cut a range of indices, in C order, into blocks: first index, how many, shape."""
    while start < stop:
        axis, step = len(shape) - 1, 1  # the outermost axis along which a block can begin here
        while axis and start % (step * shape[axis]) == 0 and stop - start >= step * shape[axis]:
            step *= shape[axis]
            axis -= 1
        count = min((stop - start) // step, shape[axis] - start // step % shape[axis])
        yield start, count * step, (1,) * axis + (count, *shape[axis + 1 :])
        start += count * step
