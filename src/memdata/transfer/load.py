"""Loading: from a file into a tree in memory."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import operator
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from memdata import fileformats
from memdata.formats.hints import Hints, HintsLike
from memdata.formats.memory import MemoryTarget
from memdata.formats.selections import followed_axis, narrowed, normalised
from memdata.formats.tree import DatasetNode, Options, Part, Plan, Source, lines_of
from memdata.progress import Progress, ProgressLike
from memdata.transfer.errors import named_memory
from memdata.transfer.movers import read_into
from memdata.transfer.mpio import ParallelFile, chosen_mover
from memdata.transfer.plain import DirectFile, exchanges, read_parts
from memdata.transfer.ranks import Cut, Ranks, share_plan

__all__ = [
    "Job",
    "file_name",
    "load_file",
    "load_group",
    "opener_of_file",
    "report_skipped",
    "run",
    "source_of_group",
]

logger = logging.getLogger("memdata")

Opener = Callable[[], contextlib.AbstractContextManager[Any]]


#: How often a load is tried, where what it reads is replaced meanwhile.
_MOST_REPLACED = 10


def load_file(
    target: Any,
    filename: str | os.PathLike[str],
    *,
    file_format: type[fileformats.FileFormat] | None = None,
    selections: Mapping[str, Any] | None = None,
    convert_dataset_strings: bool = False,
    convert_attribute_strings: bool = True,
    distributed: bool = False,
    hints: HintsLike = True,
    comm: Any = None,
    progress: ProgressLike = None,
    mover: str | None = None,
    strict: bool = False,
    max_bytes: int | None = None,
    follow_external: bool = False,
    **open_kw: Any,
) -> None:
    """Load a whole file into a tree.

    Parameters
    ----------
    target : _Storage
        What the file holds is added to it, in one step at the end: it is unchanged when the load
        fails.
    filename : str or os.PathLike
        The file.
    file_format : FileFormat, optional
        None guesses from the name.
    selections : mapping, optional
        NumPy indexes by dataset path; only what they select is read.
    convert_dataset_strings, convert_attribute_strings : bool
        Byte strings become str.
    distributed : bool
        Load together with the other ranks of `comm`: collective. Rank 0 reads what is common and
        sends it to all; each rank reads its own part of distributed datasets.
    hints : bool, str, list of str or mapping
        Which datasets become distributed. True: those of which the file says so; False: none. Names
        of axes: those with such an axis (``attrs["axis"]``), along the first that they have, and
        the others as the file says. A mapping ``{path: {"distributed": bool, "axis": int or str}}``
        overrides what the file says. A selection comes first; what it leaves is cut.
    comm : mpi4py.MPI.Comm or None
        The communicator. None: there is one rank, and everything is common.
    progress : bool, callable or None
        See `memdata.progress.Progress`; rank 0 shows it.
    mover : {"direct", "mpio"} or None
        How the ranks move their parts of distributed datasets; see `memdata.transfer.save_file`.
    strict : bool
        What cannot be read (types that h5py does not know, filters that are not installed) is an
        error. Otherwise it is left out, and one warning lists it.
    max_bytes : int or None
        The most that datasets and attributes together may take in memory, and that one chunk may
        take while it is read; checked before anything is allocated. What variable-length elements
        point to is not counted.
    follow_external : bool
        Load what external links lead to; otherwise they stay links. Read datasets with external
        storage and virtual ones of other files; otherwise they are left out, as what cannot be
        read.
    **open_kw
        Given to the opener of the format.

    Raises
    ------
    OSError
        The file is missing, locked, empty, cut off, or of another format; with `strict`, something
        in it cannot be read.
    MemoryError
        More than `max_bytes`, or than the machine gives; the message names the path.
    ValueError
        A selection or hint of what is not there, or that does not fit; an unknown mover.
    RuntimeError
        `mover` is "mpio", and h5py has no MPI.

    Notes
    -----
    With several ranks an error of one is raised on all.
    """
    name = file_name(filename)
    chosen = file_format or fileformats.guess_file_format(name)
    options = Options(
        selections=normalised(selections),
        convert_dataset_strings=convert_dataset_strings,
        convert_attribute_strings=convert_attribute_strings,
        mover=mover,
        keep_links=True,
        strict=strict,
        max_bytes=checked_limit(max_bytes),
        follow_external=follow_external,
    )
    opener = opener_of_file(name, chosen, open_kw)
    hdf5 = chosen is not fileformats.Zarr
    job = Job(opener, options, name, distributed, hints, comm, hdf5=hdf5)
    with named_memory(name, "loading"):
        for number in range(_MOST_REPLACED):
            try:
                run(target, job, progress)
                break
            except OSError as error:
                last = number == _MOST_REPLACED - 1
                if error.errno != errno.ESTALE or last or job.comm is not None:
                    raise


def checked_limit(max_bytes: Any) -> int | None:
    """`max_bytes` as an int.

    Raises
    ------
    TypeError, ValueError
        It is no whole number, or negative.
    """
    if max_bytes is None:
        return None
    try:
        limit = operator.index(max_bytes)
    except TypeError:
        raise TypeError(f"max_bytes is a whole number of bytes, not {max_bytes!r}") from None
    if limit < 0:
        raise ValueError(f"max_bytes is {limit}, expected 0 or more")
    return limit


def opener_of_file(
    name: str, file_format: type[fileformats.FileFormat], open_kw: dict[str, Any]
) -> Opener:
    """What opens a source around a file, and closes it."""
    if file_format is fileformats.Zarr:
        from memdata.formats.zarr_read import opened_source

        return lambda: opened_source(name, **open_kw)

    @contextlib.contextmanager
    def opened_hdf5() -> Iterator[Source]:
        from memdata.formats.hdf5 import opened
        from memdata.formats.hdf5_read import HDF5Source

        settings = dict(open_kw)
        with opened(name, settings.pop("mode", "r"), **settings) as file:
            yield HDF5Source(file)

    return opened_hdf5


def load_group(
    target: Any,
    source: Any,
    *,
    selections: Mapping[str, Any] | None = None,
    convert_dataset_strings: bool = False,
    convert_attribute_strings: bool = True,
    distributed: bool = False,
    hints: HintsLike = True,
    comm: Any = None,
    progress: ProgressLike = None,
    mover: str | None = None,
    strict: bool = False,
    max_bytes: int | None = None,
    follow_external: bool = False,
) -> None:
    """Load an open h5py or zarr group, with all below it, into a tree.

    Parameters
    ----------
    target : _Storage
        What the group holds is added to it.
    source : h5py.Group or zarr.Group
        Data not yet flushed are loaded as they are.
    selections, convert_dataset_strings, convert_attribute_strings
    distributed, hints, comm, progress, strict, max_bytes, follow_external
        As for `load_file`; the paths of selections start at `source`. With several ranks each
        passes the group as it has opened it.
    mover : {"direct"} or None
        An open group is read as it was opened.
    """
    options = Options(
        selections=normalised(selections),
        convert_dataset_strings=convert_dataset_strings,
        convert_attribute_strings=convert_attribute_strings,
        mover=mover,
        keep_links=True,
        strict=strict,
        max_bytes=checked_limit(max_bytes),
        follow_external=follow_external,
    )
    opened = source_of_group(source)
    job = Job(
        lambda: contextlib.nullcontext(opened), options, str(source.name), distributed, hints, comm
    )
    run(target, job, progress)


def source_of_group(group: Any, *, copying: bool = False) -> Source:
    """A source around an open group of h5py or zarr.

    Raises
    ------
    TypeError
        `group` is neither.
    """
    package = type(group).__module__.partition(".")[0]
    if package == "zarr":
        from memdata.formats.zarr_read import ZarrSource

        return ZarrSource(group)
    if hasattr(group, "id") and hasattr(group, "create_group"):
        from memdata.formats.hdf5_read import HDF5Source

        return HDF5Source(group, copying=copying)
    raise TypeError(f"neither an h5py nor a zarr group: {group!r}")


def file_name(filename: Any) -> str:
    """A file name as str.

    Raises
    ------
    TypeError
        It is neither a str nor a path.
    """
    try:
        return os.fsdecode(filename)
    except TypeError:
        raise TypeError(
            f"a file name is a str or a path, not {type(filename).__name__}: {filename!r}"
        ) from None


class Job:
    """What is loaded, and by whom.

    Parameters
    ----------
    opener : callable
        Opens the source; a context manager. Ranks that have nothing to read do not call it.
    options : Options
        What the caller asked for.
    name : str
        The file's or group's, for messages.
    distributed, hints, comm
        As for `load_file`.
    only : str or None
        The path of the one dataset to load.
    hdf5 : bool
        Whether `name` is an HDF5 file, which all ranks can open.
    """

    def __init__(
        self,
        opener: Opener,
        options: Options,
        name: str,
        distributed: bool = False,
        hints: HintsLike = False,
        comm: Any = None,
        only: str | None = None,
        hdf5: bool = False,
    ) -> None:
        self.opener = opener
        self.options = options
        self.name = name
        self.comm = comm if distributed else None
        self.ranks = Ranks(self.comm)
        self.hints = hints
        self.only = only
        self.hdf5 = hdf5

    def facts(self) -> dict[str, Any]:
        """What must be the same on all ranks."""
        options = self.options
        chosen = hashlib.blake2b(digest_size=8)
        for path, index in sorted(options.selections.items()):
            chosen.update(pickle.dumps((path, index)))
        return {
            "selections": f"{sorted(options.selections)} {chosen.hexdigest()}",
            "hints": repr(self.hints),
            "convert_dataset_strings": options.convert_dataset_strings,
            "convert_attribute_strings": options.convert_attribute_strings,
            "only": self.only,
            "mover": options.mover,
        }


def run(target: Any, job: Job, show: ProgressLike) -> Plan:
    """Plan, agree, lay out, move, commit; what was loaded."""
    ranks, what = job.ranks, f"loading {job.name}"
    memory = MemoryTarget(target, job.comm)
    plan: Plan | None = None
    source: Source | None = None
    cuts: dict[str, Cut] = {}
    with contextlib.ExitStack() as stack:
        with ranks.together(what) as step:
            job.options.mover = chosen_mover(job.options.mover, ranks, hdf5=job.hdf5)
            if ranks.comm is not None:
                step.facts(**job.facts())
            if job.comm is not None:
                hints = Hints(job.hints)
            if ranks.first:
                source = stack.enter_context(job.opener())
                plan = _planned(source, job)
                memory.prepare(plan, job.options)
                cuts = {} if job.comm is None else _cuts(plan, job, hints)
        plan, cuts = share_plan(plan, cuts, ranks)
        with ranks.together(what):
            if not ranks.first:
                memory.prepare(plan, job.options)
            if job.comm is not None:
                _cut(plan, cuts, job.comm)
            remaining = [node for node in plan.datasets() if node.array is None]
            memory.lay_out(plan)
        total = sum(node.moved for node in remaining)
        label = f"loading {os.path.basename(job.name)}"
        with Progress(label, total, ranks.shown(show)) as bar:
            _move(remaining, cuts, job, source, stack, bar)
        with ranks.together(what):
            stack.close()  # a source may find only now that it was replaced meanwhile
    memory.finish(plan)
    report_skipped(plan, job.name)
    return plan


def _planned(source: Any, job: Job) -> Plan:
    if job.only is None:
        plan: Plan = source.plan(job.options)
    else:
        plan = source.plan_dataset(job.only, job.options)
    return plan


def _cuts(plan: Plan, job: Job, hints: Hints) -> dict[str, Cut]:
    """How each distributed dataset is cut; rank 0 decides."""
    cuts: dict[str, Cut] = {}
    hints.check(plan)
    for node in plan.datasets():
        if node.shape is None:
            continue
        index, shape = node.selected or (None, node.shape)
        axis = hints.axis(node.path, node.attrs, shape)
        if axis is None:
            continue
        result_axis = followed_axis(index, shape, axis, node.path)
        if result_axis is None:
            continue  # the selection took the axis away: the rest is common
        extent = None if node.stored is None else node.stored.extent()
        cut = cuts[node.path] = Cut(axis, result_axis)
        if extent is not None and node.stored is not None:
            cut.file, cut.offset = os.path.abspath(node.stored.file_name), extent[1]
        cut.plain = extent is not None or (job.options.mover == "mpio" and _in_plain_chunks(node))
    return cuts


def _in_plain_chunks(node: DatasetNode) -> bool:
    from memdata.formats.hdf5_stored import StoredHDF5

    return isinstance(node.stored, StoredHDF5) and node.stored.in_plain_chunks()


def _cut(plan: Plan, cuts: dict[str, Cut], comm: Any) -> None:
    """Give each distributed dataset this rank's part; small ones are there already."""
    from memdata import mpitools

    for node in plan.datasets():
        cut = cuts.get(node.path)
        if cut is None:
            continue
        assert node.shape is not None
        _count, start, stop = mpitools.split_local(node.shape[cut.result_axis], comm)
        node.part = Part(cut.result_axis, start, stop)
        if node.array is not None:
            node.array = np.array(node.array[node.part.where()], order="C")


def _move(
    remaining: list[DatasetNode],
    cuts: dict[str, Cut],
    job: Job,
    source: Source | None,
    stack: contextlib.ExitStack,
    bar: Progress,
) -> None:
    """Read common datasets on rank 0 for all, and every rank's own parts."""
    ranks, what = job.ranks, f"loading {job.name}"
    common = [node for node in remaining if node.part is None]
    parts = [node for node in remaining if node.part is not None]
    plain = [node for node in parts if cuts[node.path].plain and ranks.comm is not None]
    reader = _PartReader(job, source, stack)
    with ranks.together(what):
        if ranks.first:
            for node in common:
                read_into(node, bar)
        for node in parts:
            if node not in plain:
                reader.read(node, cuts[node.path], bar)
    if plain:
        _read_plain(plain, cuts, job, bar)
    for node in common:
        assert node.array is not None
        ranks.share_array(node.array)


def _read_plain(nodes: list[DatasetNode], cuts: dict[str, Cut], job: Job, bar: Progress) -> None:
    """Read what lies in the file as in memory. Collective."""
    ranks, name = job.ranks, job.name
    offsets = {}
    for node in nodes:
        offset = cuts[node.path].offset
        if offset is not None:
            offsets[node.path] = offset
    exchanged = {node.path for node in nodes if node.path in offsets and exchanges(node, ranks)}
    if job.options.mover == "mpio":
        with ParallelFile(name, "r", ranks, bar) as parallel:
            read_parts(parallel, nodes, exchanged, name, ranks, bar)
        return
    with contextlib.ExitStack() as stack:
        with ranks.together(f"loading {name}"):
            descriptor = os.open(cuts[nodes[0].path].file, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
        file = DirectFile(descriptor, offsets, ranks, bar)
        read_parts(file, nodes, exchanged, name, ranks, bar)


class _PartReader:
    """Reads this rank's parts; opens what it needs of the file when it first needs it."""

    def __init__(self, job: Job, source: Any, stack: contextlib.ExitStack) -> None:
        self._job = job
        self._source = source
        self._stack = stack

    def read(self, node: DatasetNode, cut: Cut, bar: Progress) -> None:
        """Read the part of one dataset."""
        part, job = node.part, self._job
        assert part is not None
        assert node.array is not None
        if not node.array.size:
            return
        if job.ranks.size == 1:
            read_into(node, bar)
            return
        if self._source is None:
            self._source = self._stack.enter_context(job.opener())
        index, shape = node.selected or (None, node.shape)
        assert shape is not None
        index = narrowed(index, shape, cut.axis, part.start, part.stop, node.path)
        node.stored = self._source.stored(node, index, job.options)
        read_into(node, bar)


def report_skipped(plan: Plan, name: str) -> None:
    """One warning that lists what could not be loaded, and one of filters that were replaced."""
    # Mostly there is nothing to say, and then nothing can fail: a save is over by now.
    for found, what in (
        (plan.skipped, "not everything was loaded"),
        (plan.replaced, "filters without a counterpart were replaced"),
    ):
        if found:
            warnings.warn(f"{name}: {what}:{lines_of(found)}", UserWarning, stacklevel=5)
