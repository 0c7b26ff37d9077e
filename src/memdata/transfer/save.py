"""Saving: from a tree in memory, or from an open group, into a file."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from memdata import fileformats, mpitools
from memdata.formats import is_zarr
from memdata.formats.selections import normalised
from memdata.formats.tree import Options, Plan, Source, Target
from memdata.locking import AtomicFile, durable_by_default
from memdata.progress import Progress, ProgressLike
from memdata.transfer.errors import named_errors, named_memory
from memdata.transfer.load import file_name, report_skipped, source_of_group
from memdata.transfer.movers import write_box, write_direct
from memdata.transfer.mpio import ParallelFile, chosen_mover
from memdata.transfer.parts import gather_part, write_chunks
from memdata.transfer.plain import DirectFile, Errors, PartFile, exchanges, write_parts
from memdata.transfer.ranks import Ranks, plan_facts
from memdata.transfer.tiles import (
    read_tile,
    tiles_of,
    transfer_tiles,
    write_shared,
    write_shared_chunks,
)

if TYPE_CHECKING:
    from memdata.formats.hdf5_write import HDF5Target, Way
    from memdata.formats.tree import DatasetNode
    from memdata.transfer.ranks import Bounds

__all__ = ["save_file", "save_source", "write_group"]

_MODES = ("w", "w-", "x", "a", "r+")


def save_file(
    source: Any,
    filename: str | os.PathLike[str],
    *,
    mode: str = "w",
    file_format: type[fileformats.FileFormat] | None = None,
    hints: bool | Mapping[str, Any] = True,
    convert_dataset_strings: bool = False,
    convert_attribute_strings: bool = True,
    extra_attrs: Mapping[str, Any] | None = None,
    durable: bool | None = None,
    progress: ProgressLike = None,
    comm: Any = None,
    mover: str | None = None,
    checksum: bool = False,
    follow_external: bool = False,
    **open_kw: Any,
) -> None:
    """Save a tree as a file, which appears complete or not at all.

    Parameters
    ----------
    source : _Storage, h5py.Group or zarr.Group
        What is saved. It is not changed.
    filename : str or os.PathLike
        The file. An existing one is replaced when the new one is complete.
    mode : {"w", "w-", "x", "a", "r+"}
        ``w-`` and ``x`` refuse an existing file; ``a`` and ``r+`` add to what it holds, and
        ``r+`` wants it to exist.
    file_format : FileFormat, optional
        None guesses from the name.
    hints : bool
        Whether a save of a distributed tree writes attributes that say which datasets are
        distributed, and along which axis. Those of an older file never stay.
    convert_dataset_strings : bool
        Store unicode arrays, as byte strings.
    convert_attribute_strings : bool
        Store unicode arrays among the attributes, as variable-length strings.
    extra_attrs : mapping, optional
        Attributes that the root has in the file only.
    durable : bool, optional
        Wait until the file is on the disk; None asks ``MEMDATA_DURABLE``.
    progress : bool, callable or None
        See `memdata.progress.Progress`.
    comm : mpi4py.MPI.Comm or None
        The communicator of a distributed tree: collective. Rank 0 lays the file out and writes
        what is common, each rank writes its own part of distributed datasets. A tree that is not
        distributed is saved by the rank that calls, whatever the communicator.
    mover : {"direct", "mpio"} or None
        How the ranks move their parts of distributed datasets: "direct" past HDF5, with any h5py;
        "mpio" those without filters through parallel HDF5, for which h5py must have been built.
        None asks ``MEMDATA_MOVER``. The data in the file are the same.
    checksum : bool
        Whether datasets get checksums of their chunks, for `memdata.verify`. What was written is
        read again for them before the file gets its name. The members of a zip file have
        checksums anyway.
    follow_external : bool
        Of an open HDF5 file: save what its external links lead to, and datasets whose elements are
        in other files; else links stay links, and those datasets are left out with a warning.
    **open_kw
        Given to the opener of the format. Zarr takes `zarr_format` (2 or 3; a new store has the
        library's default) and `consolidated` (whether the metadata of all members are written in
        one place as well; a store that has that keeps it).

    Raises
    ------
    TypeError
        A dataset or attribute that the format cannot hold; the message names it.
    ValueError
        A name that no file can hold, an unknown mode or mover, a dataset that is there already.
    RuntimeError
        `mover` is "mpio", and h5py has no MPI.
    OSError
        The file cannot be written: no folder, no space, write-protected, being saved by another
        program.

    Notes
    -----
    With several ranks an error of one is raised on all; the old file stays, too.

    A tree is saved as it is when the save begins: its groups, datasets, attributes, and which
    array each dataset has. What other threads change of these meanwhile is not seen. Arrays are
    not copied: elements that are written during the save may be in the file or not.
    """
    name = file_name(filename)
    if mode not in _MODES:
        raise ValueError(f"{name}: saving takes the mode {', '.join(_MODES)}, not {mode!r}")
    chosen = file_format or fileformats.guess_file_format(name)
    options = Options(
        convert_dataset_strings=convert_dataset_strings,
        convert_attribute_strings=convert_attribute_strings,
        extra_attrs=extra_attrs,
        sort=not open_kw.get("track_order"),
        mover=mover,
        follow_external=follow_external,
    )
    # Only the root of a tree knows whether it is distributed.
    together = comm is not None and bool(getattr(source, "distributed", True))
    ranks = Ranks(comm if together else None)
    options.comm = ranks.comm
    options.keep_links = True
    options.checksum = bool(checksum)
    options.packed = chosen is not fileformats.Zarr
    if together or getattr(source, "distributed", False):
        options.hints = bool(hints)
    save_source(_source_of(source), name, mode, chosen, options, ranks, durable, progress, open_kw)


def save_source(
    source: Source,
    name: str,
    mode: str,
    file_format: type[fileformats.FileFormat],
    options: Options,
    ranks: Ranks,
    durable: bool | None = None,
    show: ProgressLike = None,
    open_kw: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> None:
    """Plan, agree, lay out, move, commit; see `save_file`.

    With `replace`, datasets that are there take the new content if they have its shape and type.
    """
    open_kw = dict(open_kw or {})
    save = _save_hdf5
    if file_format is fileformats.Zarr:
        from memdata.transfer.zarr_save import save_zarr as save
    with named_memory(name, "saving"):
        save(source, name, mode, options, durable, show, ranks, open_kw, replace)


def _source_of(source: Any) -> Source:
    from memdata import _cmemdata

    if isinstance(source, _cmemdata._Storage):
        from memdata.formats.memory import MemorySource

        # Other threads may change the tree meanwhile: what is saved is the tree of this moment.
        moment = _cmemdata._Storage()
        _cmemdata.copy_tree(source, moment, fork=True)
        return MemorySource(moment)
    return source_of_group(source, copying=True)


def planned(
    source: Source,
    target: Target,
    what: str,
    mode: str,
    options: Options,
    ranks: Ranks,
    *,
    hdf5: bool = True,
) -> tuple[Plan, list[DatasetNode], dict[str, Bounds]]:
    """The plan of all ranks, its distributed datasets, and where everybody's parts are.

    Datasets that ranks share are among the distributed ones, and have no parts.
    """
    with ranks.together(what) as step:
        options.mover = chosen_mover(options.mover, ranks, hdf5=hdf5)
        plan = source.plan(options)
        target.prepare(plan, options)
        if ranks.comm is not None:
            agreed = {"mode": mode, "hints": options.hints, "mover": options.mover}
            step.facts(**agreed, **plan_facts(plan))
    parts = [node for node in plan.datasets() if node.part is not None]
    shared = [node for node in plan.datasets() if node.sharing > 1]
    return plan, parts + shared, ranks.bounds(parts)


def _save_hdf5(
    source: Source,
    name: str,
    mode: str,
    options: Options,
    durable: bool | None,
    show: ProgressLike,
    ranks: Ranks,
    open_kw: dict[str, Any],
    replace: bool,
) -> None:
    from memdata.formats.hdf5_write import HDF5Target

    what = f"saving {name}"
    track_order = bool(open_kw.get("track_order"))
    target = HDF5Target(direct="driver" not in open_kw, track_order=track_order, replace=replace)
    plan, parts, bounds = planned(source, target, what, mode, options, ranks)
    temporary: AtomicFile | None = None
    total = sum(node.moved for node in plan.datasets())
    try:
        with (
            contextlib.ExitStack() as stack,
            Progress(f"saving {os.path.basename(name)}", total, ranks.shown(show)) as bar,
        ):
            with ranks.together(what):
                if ranks.first:
                    keep = mode in {"a", "r+"} and (mode == "r+" or os.path.exists(name))
                    if mode == "r+" and not os.path.exists(name):
                        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
                    exclusive = mode in {"w-", "x"}
                    temporary = AtomicFile(name, keep=keep, exclusive=exclusive, durable=durable)
                    stack.enter_context(temporary)
                    file = stack.enter_context(contextlib.ExitStack())
                    memory = options.memory
                    _lay_out(plan, target, temporary, file, keep, open_kw, bar, memory)
            shared = (target.ways, None if temporary is None else temporary.path)
            ways, path = ranks.share(shared)
            for node in parts:
                if ways[node.path].name == "gather":
                    gather_part(node, target, ranks, bar)
            with ranks.together(what):
                if temporary is not None:
                    with named_errors(name, temporary.path):
                        target.finish(plan)
                        file.close()
                        block = None if keep else _user_block(plan, open_kw)
                        if block is not None:
                            os.pwrite(temporary.fd, block, 0)
                    descriptor = temporary.fd
                else:
                    descriptor = _open_part(path, stack)
            writer = _PartWriter(name, path, descriptor, ranks, bar, options.memory)
            writer.chunks(parts, ways, bounds)
            with ranks.together(what), named_errors(name, path):
                for node, offset in target.extents:
                    _write_extent(node, offset, descriptor, bar, options.memory)
            writer.plain(parts, ways, bounds, options.mover or "direct")
            if options.checksum:
                _add_checksums(plan, name, path, temporary, ranks, what)
            with ranks.together(what):
                if temporary is None and _durable(durable):
                    os.fsync(descriptor)
            with ranks.together(what):
                stack.close()  # renames
    except BaseException:
        if temporary is not None:
            temporary.discard()  # Ctrl-C may come as early as the first step of a context
        raise
    report_skipped(plan, name)


def _add_checksums(
    plan: Plan, name: str, path: str, temporary: AtomicFile | None, ranks: Ranks, what: str
) -> None:
    """Add checksums of what is in the temporary file. Collective."""
    from memdata.checksums import Checksums, add_checksums
    from memdata.formats.hdf5 import opened
    from memdata.formats.hdf5_output import written
    from memdata.formats.hdf5_read import HDF5Source

    @contextlib.contextmanager
    def reader() -> Iterator[Source]:
        with opened(path, "r", locking=False) as file:
            yield HDF5Source(file)

    def write(sums: dict[str, Checksums]) -> None:
        assert temporary is not None
        with written(temporary.fd, path, "r+", name, locking=False) as (file, _output):
            for dataset, found in sums.items():
                file[dataset].attrs.update(found.attributes())

    add_checksums(plan, ranks, what, functools.partial(named_errors, name, path), reader, write)


def _open_part(path: str, stack: contextlib.ExitStack) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _durable(durable: bool | None) -> bool:
    return durable_by_default() if durable is None else bool(durable)


def _lay_out(
    plan: Plan,
    target: HDF5Target,
    temporary: AtomicFile,
    stack: contextlib.ExitStack,
    keep: bool,
    open_kw: dict[str, Any],
    bar: Progress,
    memory: int | None,
) -> None:
    """Make everything in the temporary file, and write what goes through the library."""
    from memdata.formats.hdf5 import opened
    from memdata.formats.hdf5_output import written
    from memdata.formats.hdf5_write import needs_dense_root

    settings = dict(open_kw)
    block = None if keep else _user_block(plan, open_kw)
    if block is not None:
        settings["userblock_size"] = len(block)
    elif not open_kw.get("userblock_size"):  # HDF5 wants its size to be a multiple of the alignment
        settings = {"alignment_threshold": 1 << 20, "alignment_interval": 1 << 12, **open_kw}
    settings["locking"] = False  # the temporary file has a lock of ours
    if needs_dense_root(plan) and not keep:
        settings["track_order"] = True
    mode = "r+" if keep else "w"
    check: Callable[[], None] | None = None
    with named_errors(temporary.filename, temporary.path):
        if "driver" in settings:
            file = stack.enter_context(opened(temporary.path, mode, **settings))
        else:
            context = written(temporary.fd, temporary.path, mode, temporary.filename, **settings)
            file, output = stack.enter_context(context)
            check = output.check
        target.open(file)
    if keep:
        target.check_room(plan)
    with named_errors(temporary.filename, temporary.path):
        for node in target.lay_out(plan):
            transfer_tiles(node, target, bar, memory)
            if check is not None:
                check()


def _user_block(plan: Plan, open_kw: dict[str, Any]) -> bytes | None:
    """The bytes that stood before HDF5's part of the file which the tree was loaded from."""
    block: bytes | None = plan.nodes[0].creation.get("userblock")
    return None if "userblock_size" in open_kw or "driver" in open_kw else block


class _PartWriter:
    """Writes the parts of distributed datasets into a file that HDF5 has closed."""

    def __init__(
        self,
        name: str,
        path: str,
        descriptor: int,
        ranks: Ranks,
        bar: Progress,
        memory: int | None,
    ) -> None:
        self._name = name
        self._path = path
        self._descriptor = descriptor
        self._ranks = ranks
        self._bar = bar
        self._memory = memory

    def chunks(
        self, parts: list[DatasetNode], ways: dict[str, Way], bounds: dict[str, Bounds]
    ) -> None:
        """Write what is chunked. Collective."""
        from memdata.formats.hdf5_chunks import ChunkPlacer

        chunked = [node for node in parts if ways[node.path].name == "chunks"]
        if not chunked:
            return
        ranks, what = self._ranks, f"saving {self._name}"
        with contextlib.ExitStack() as stack:
            placer = None
            with ranks.together(what), named_errors(self._name, self._path):
                if ranks.first:
                    placer = stack.enter_context(ChunkPlacer(self._descriptor))
            for node in chunked:
                if node.part is None:
                    shape = ways[node.path].chunks
                    descriptor, memory = self._descriptor, self._memory
                    write_shared_chunks(node, shape, placer, descriptor, ranks, self._bar, memory)
                    continue
                write_chunks(
                    node,
                    ways[node.path].chunks,
                    bounds[node.path],
                    placer,
                    self._descriptor,
                    ranks,
                    self._bar,
                )
            with ranks.together(what), named_errors(self._name, self._path):
                stack.close()

    def plain(
        self, parts: list[DatasetNode], ways: dict[str, Way], bounds: dict[str, Bounds], mover: str
    ) -> None:
        """Write what lies in the file as in memory. Collective."""
        nodes = [node for node in parts if ways[node.path].name in {"direct", "allocated"}]
        if not nodes:
            return
        ranks, bar = self._ranks, self._bar
        exchanged = {node.path for node in nodes if self._in_whole_rows(node, ways, bounds)}
        errors = functools.partial(named_errors, self._name, self._path)
        if mover == "mpio" and ranks.comm is not None:
            with ParallelFile(self._path, "r+", ranks, bar, errors) as parallel:
                self._to(parallel, nodes, ways, exchanged, errors)
            return
        offsets = {node.path: ways[node.path].offset for node in nodes}
        file = DirectFile(self._descriptor, offsets, ranks, bar)
        self._to(file, nodes, ways, exchanged, errors)

    def _to(
        self,
        file: PartFile,
        nodes: list[DatasetNode],
        ways: dict[str, Way],
        exchanged: set[str],
        errors: Errors,
    ) -> None:
        """Write parts, and the tiles of shared datasets. Collective."""
        ranks, what = self._ranks, self._bar.what
        parts = [node for node in nodes if node.part is not None]
        write_parts(file, parts, exchanged, ranks, self._bar, errors)
        for node in nodes:
            if node.part is None:
                assert node.shape is not None
                units = ways[node.path].chunks or (1,) * len(node.shape)
                write_shared(file.write_block, node, units, ranks, what, self._memory, errors)

    def _in_whole_rows(
        self, node: DatasetNode, ways: dict[str, Way], bounds: dict[str, Bounds]
    ) -> bool:
        if node.part is None or ways[node.path].name != "direct":
            return False
        if not exchanges(node, self._ranks):
            return False
        assert node.shape is not None
        _counts, starts, _stops = mpitools.split_all(node.shape[node.part.axis], self._ranks.comm)
        return bool([start for start, _stop in bounds[node.path]] == starts.tolist())


def _write_extent(
    node: DatasetNode, offset: int, descriptor: int, bar: Progress, memory: int | None
) -> None:
    if node.array is not None:
        write_direct(descriptor, offset, node.array, bar)
        return
    shape = node.shape
    assert shape
    for box in tiles_of(node, (1,) * len(shape), memory):
        write_box(descriptor, offset, shape, box, read_tile(node, box), bar)


def _move(plan: Plan, target: Target, bar: Progress) -> None:
    """Lay out, move what goes through the library, and finish."""
    for node in target.lay_out(plan):
        transfer_tiles(node, target, bar)
    target.finish(plan)


def write_group(
    source: Any,
    target: Any,
    *,
    selections: Mapping[str, Any] | None = None,
    convert_dataset_strings: bool = False,
    convert_attribute_strings: bool = True,
    skip_distributed: bool = False,
    postprocess: Callable[[str], object] | None = None,
    progress: ProgressLike = None,
    follow_external: bool = False,
) -> list[str]:
    """Write a tree, or an open group, into an open h5py or zarr group.

    Parameters
    ----------
    source : _Storage, h5py.Group or zarr.Group
        What is written.
    target : h5py.Group or zarr.Group
        Where; what it holds already stays.
    selections : mapping, optional
        NumPy indexes by dataset path.
    convert_dataset_strings, convert_attribute_strings
        As for `save_file`.
    skip_distributed : bool
        Create distributed datasets empty, instead of refusing them.
    postprocess : callable, optional
        Called with the path of each node, parents first, when all is written.
    progress : bool, callable or None
        See `memdata.progress.Progress`.
    follow_external : bool
        As for `save_file`.

    Returns
    -------
    list of str
        Paths of the distributed datasets.

    Raises
    ------
    TypeError, ValueError
        Something that cannot be stored; nothing has been written then.
    """
    options = Options(
        selections=normalised(selections),
        convert_dataset_strings=convert_dataset_strings,
        convert_attribute_strings=convert_attribute_strings,
        skip_distributed=skip_distributed,
        keep_links=True,
        packed=not is_zarr(target),
        follow_external=follow_external,
    )
    plan = _source_of(source).plan(options)
    writer = target_of_group(target)
    writer.prepare(plan, options)
    total = sum(node.nbytes for node in plan.datasets())
    with Progress("copying", total, progress) as bar:
        _move(plan, writer, bar)
    report_skipped(plan, str(target.name))
    if postprocess is not None:
        for node in plan.nodes:
            if not is_zarr(target) or node.place is not None:  # links are no members of a store
                postprocess(node.path)
    return plan.distributed


def target_of_group(group: Any, *, replace: bool = False) -> Any:
    """A target around an open group of h5py or zarr."""
    if type(group).__module__.partition(".")[0] == "zarr":
        from memdata.formats.zarr_write import ZarrTarget

        return ZarrTarget(group, replace=replace)
    from memdata.formats.hdf5_write import HDF5Target

    return HDF5Target(group, replace=replace)
