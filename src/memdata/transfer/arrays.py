"""Loading and saving single distributed arrays: the engine of `MPIArray`'s file methods."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from memdata import _cmemdata, fileformats
from memdata.axes import Axis, axis_number
from memdata.formats.memory import MemorySource
from memdata.formats.selections import followed_axis, normalised
from memdata.formats.tree import DatasetNode, Options
from memdata.progress import Progress
from memdata.transfer.load import Job, file_name, opener_of_file, run, source_of_group
from memdata.transfer.mpio import ParallelParts, chosen_mover, is_parallel
from memdata.transfer.parts import gather_part
from memdata.transfer.plain import exchanges, write_parts
from memdata.transfer.ranks import Ranks, plan_facts
from memdata.transfer.save import save_source, target_of_group
from memdata.transfer.tiles import transfer_tiles

__all__ = ["load_array", "save_array"]

_NOT_IN_PARALLEL = (
    "chunks with filters, variable length and types that HDF5 converts cannot be written into a"
    " file that is open in parallel; give the file's name instead"
)


def load_array(
    f: Any,
    dataset: str,
    comm: Any = None,
    axis: Axis = 0,
    sel: Any = None,
    file_format: type[fileformats.FileFormat] | None = None,
    mover: str | None = None,
    follow_external: bool = False,
) -> Any:
    """Load one dataset as a distributed array. Collective.

    Parameters
    ----------
    f : str, os.PathLike or group
        A file, or an open group of h5py or zarr; with several ranks each passes its own.
    dataset : str
        Its path in the file or group.
    comm : mpi4py.MPI.Comm or None
        None is the world.
    axis : int or str
        The axis of the dataset along which it is cut: its number, or its name in ``attrs["axis"]``.
    sel : object
        A NumPy index, applied before the cut; only what it selects is read.
    file_format : FileFormat, optional
        None guesses from the name.
    mover : {"direct", "mpio"} or None
        As for `memdata.transfer.save_file`; for a file, not an open group.
    follow_external : bool
        As for `memdata.transfer.load_file`.

    Returns
    -------
    MPIArray

    Raises
    ------
    KeyError
        There is no such dataset.
    AxisException
        It has no such axis, or `sel` takes it away.
    ValueError
        `sel` does not fit; the mover is unknown, or not for this.
    OSError
        It cannot be read, or has its elements in other files, and `follow_external` is not said.
    """
    from memdata import mpitools
    from memdata.mpiarray import AxisException, MPIArray

    comm = mpitools.world if comm is None else comm
    path = _path(dataset)
    hdf5 = False
    if hasattr(f, "create_group"):
        source = source_of_group(f)
        name = f"{f.name}"
        opener: Any = lambda: contextlib.nullcontext(source)  # noqa: E731
    else:
        name = file_name(f)
        chosen = file_format or fileformats.guess_file_format(name)
        hdf5 = chosen is not fileformats.Zarr
        opener = opener_of_file(name, chosen, {})
    options = Options(
        selections=normalised({path: sel}),
        convert_attribute_strings=False,
        mover=mover,
        follow_external=follow_external,
    )
    hints = {path: {"distributed": True, "axis": axis}}
    storage = _cmemdata._Storage()
    job = Job(opener, options, name, comm is not None, hints, comm, only=path, hdf5=hdf5)
    plan = run(storage, job, None)
    loaded = storage[path.rpartition("/")[2]]
    if loaded.distributed:
        return loaded.data
    if comm is not None:
        raise AxisException(
            f"{path}: the selection {sel!r} takes the distributed axis {axis!r} away"
        )
    number = _axis_left(next(iter(plan.datasets())), axis)
    return MPIArray._from_local(loaded.data, number, None, loaded.shape[number], 0)


def _axis_left(node: DatasetNode, wanted: Axis) -> int:
    """Where an axis of a dataset is in what was selected of it."""
    from memdata.mpiarray import AxisException

    index, shape = node.selected or (None, node.shape or ())
    number = axis_number(node.attrs, len(shape), wanted)
    if number is None:
        raise AxisException(f"{node.path}: there is no axis {wanted!r} in the shape {shape}")
    left = followed_axis(index, shape, number, node.path)
    if left is None:
        raise AxisException(f"{node.path}: the selection takes the axis {wanted!r} away")
    return left


def save_array(
    array: Any,
    f: Any,
    dataset: str,
    create: bool = False,
    chunks: Any = None,
    compression: Any = None,
    compression_opts: Any = None,
    file_format: type[fileformats.FileFormat] | None = None,
    mover: str | None = None,
) -> None:
    """Save a distributed array as one dataset. Collective over the array's communicator.

    Parameters
    ----------
    array : MPIArray
        The array.
    f : str, os.PathLike or group
        A file, replaced in one step when the new one is complete; or an open group of h5py or
        zarr, through which rank 0 writes (other ranks may pass anything that is a group). Into
        an HDF5 file that all ranks have open with h5py's driver "mpio" each writes its own part.
    dataset : str
        Its path; missing groups are made. A dataset that is there takes the new content.
    create : bool
        Make the file new. Else it must exist, and what it holds stays.
    chunks, compression, compression_opts
        As h5py takes them; of no meaning for a dataset that is there.
    file_format : FileFormat, optional
        None guesses from the name.
    mover : {"direct", "mpio"} or None
        As for `memdata.transfer.save_file`; for a file, not an open group.

    Raises
    ------
    RuntimeError
        The dataset that is there has another shape or dtype; `mover` is "mpio", and h5py has no
        MPI.
    ValueError
        The mover is unknown, or not for this.
    TypeError
        The format cannot hold the dtype, or a file that is open in parallel the filters.
    """
    ranks = Ranks(array.comm)
    path = _path(dataset)
    node = storage = _cmemdata._Storage()
    *groups, name = path.strip("/").split("/")
    for group in groups:
        node[group] = node = _cmemdata._Storage()
    node[name] = _cmemdata.MemDatasetDistributed.from_mpi_array(
        array, chunks=chunks, compression=compression, compression_opts=compression_opts
    )
    source = MemorySource(storage)
    options = Options(comm=ranks.comm, hints=False, mover=mover)
    if not hasattr(f, "create_group"):
        filename = file_name(f)
        chosen = file_format or fileformats.guess_file_format(filename)
        mode = "w" if create else "r+"
        save_source(source, os.fspath(filename), mode, chosen, options, ranks, replace=True)
        return
    if ranks.comm is not None and is_parallel(f):
        _save_in_parallel(array, source, f, path, options, ranks)
    else:
        _save_through_first(array, source, f, path, options, ranks)


def _save_through_first(
    array: Any, source: MemorySource, f: Any, path: str, options: Options, ranks: Ranks
) -> None:
    """Save into an open group: rank 0 writes what it is sent."""
    target = target_of_group(f, replace=True)
    what = f"saving {path}"
    with ranks.together(what) as step:
        options.mover = chosen_mover(options.mover, ranks, hdf5=False)
        plan = source.plan(options)
        if not ranks.first:
            target.group = None
        target.prepare(plan, options)
        if ranks.comm is not None:
            step.facts(parallel=False, **plan_facts(plan))
    parts = [one for one in plan.datasets() if one.part is not None]
    ranks.bounds(parts)
    with Progress(what, array.nbytes, False) as bar:
        with ranks.together(what):
            if ranks.first:
                for one in target.lay_out(plan):
                    if one.part is None:
                        transfer_tiles(one, target, bar)
        for one in parts:
            gather_part(one, target, ranks, bar)
        with ranks.together(what):
            if ranks.first:
                target.finish(plan)


def _save_in_parallel(
    array: Any, source: MemorySource, f: Any, path: str, options: Options, ranks: Ranks
) -> None:
    """Save into a group that all ranks have open: all make the dataset, each writes its part."""
    from memdata.formats.hdf5_write import HDF5Target

    target = HDF5Target(f, direct=True, replace=True)
    what = f"saving {path}"
    with ranks.together(what) as step:
        options.mover = chosen_mover("mpio", ranks)
        plan = source.plan(options)
        target.prepare(plan, options)
        step.facts(parallel=True, **plan_facts(plan))
        parts = [one for one in plan.datasets() if one.part is not None]
        if not all(target.by_all(one) for one in parts):
            raise TypeError(f"{path}: {_NOT_IN_PARALLEL}")
    ranks.bounds(parts)
    with Progress(what, array.nbytes, False) as bar:
        with ranks.together(what):
            target.lay_out(plan)
            ways = {target.ways[one.path].name for one in parts}
            if "gather" in ways:
                raise TypeError(f"{path}: {_NOT_IN_PARALLEL}")
        exchanged = {one.path for one in parts if "direct" in ways and exchanges(one, ranks)}
        write_parts(ParallelParts(f, bar), parts, exchanged, ranks, bar)


def _path(dataset: Any) -> str:
    if not isinstance(dataset, str) or not dataset.strip("/"):
        raise ValueError(f"the name of a dataset is a path, not {dataset!r}")
    return "/" + "/".join(part for part in dataset.split("/") if part)
