"""Saving: from a tree in memory, or from an open group, into a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from typing import Any

from memdata import fileformats
from memdata.formats.selections import normalised
from memdata.formats.tree import Options, Plan, Source, Target
from memdata.locking import AtomicFile
from memdata.progress import Progress, ProgressLike
from memdata.transfer.agree import agree
from memdata.transfer.load import file_name, report_skipped, source_of_group
from memdata.transfer.movers import transfer_rows, write_direct

__all__ = ["save_file", "write_group"]

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
    hints
        Reserved for distributed data.
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
    comm
        Reserved for saving with several ranks.
    **open_kw
        Given to the opener of the format.

    Raises
    ------
    TypeError
        A dataset or attribute that the format cannot hold; the message names it.
    ValueError
        A name that no file can hold, an unknown mode, a dataset that is there already.
    OSError
        The file cannot be written: no folder, no space, write-protected, being saved by another
        program.
    """
    del hints
    name = file_name(filename)
    if mode not in _MODES:
        raise ValueError(f"{name}: saving takes the mode {', '.join(_MODES)}, not {mode!r}")
    chosen = file_format or fileformats.guess_file_format(name)
    options = Options(
        convert_dataset_strings=convert_dataset_strings,
        convert_attribute_strings=convert_attribute_strings,
        extra_attrs=extra_attrs,
        sort=not open_kw.get("track_order"),
    )
    if chosen is fileformats.Zarr:
        _save_zarr(_source_of(source), name, mode, options, progress, comm, open_kw)
        return
    plan = _source_of(source).plan(options)
    _save_hdf5(plan, name, mode, options, durable, progress, comm, open_kw)
    report_skipped(plan, name)


def _source_of(source: Any) -> Source:
    from memdata import _cmemdata

    if isinstance(source, _cmemdata._Storage):
        from memdata.formats.memory import MemorySource

        return MemorySource(source)
    return source_of_group(source, copying=True)


def _save_hdf5(
    plan: Plan,
    name: str,
    mode: str,
    options: Options,
    durable: bool | None,
    show: ProgressLike,
    comm: Any,
    open_kw: dict[str, Any],
) -> None:
    from memdata.formats.hdf5 import opened
    from memdata.formats.hdf5_write import HDF5Target, needs_dense_root

    keep = mode in {"a", "r+"} and (mode == "r+" or os.path.exists(name))
    if mode == "r+" and not os.path.exists(name):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
    track_order = bool(open_kw.get("track_order"))
    target = HDF5Target(direct="driver" not in open_kw, track_order=track_order)
    target.prepare(plan, options)
    plan = agree(plan, comm)
    settings = dict(open_kw)
    if not open_kw.get("userblock_size"):  # HDF5 wants its size to be a multiple of the alignment
        settings = {"alignment_threshold": 1 << 20, "alignment_interval": 1 << 12, **open_kw}
    settings["locking"] = False  # the temporary file has a lock of ours
    if needs_dense_root(plan) and not keep:
        settings["track_order"] = True
    total = sum(node.nbytes for node in plan.datasets())
    temporary = AtomicFile(name, keep=keep, exclusive=mode in {"w-", "x"}, durable=durable)
    try:
        with temporary, Progress(f"saving {os.path.basename(name)}", total, show) as bar:
            try:
                with opened(temporary.path, "r+" if keep else "w", **settings) as file:
                    target.open(file)
                    if keep:
                        target.check_room(plan)
                    _move(plan, target, bar)
                for node, offset in target.extents:
                    _write_extent(node, offset, temporary.fd, bar)
            except (OSError, RuntimeError) as error:  # h5py raises both when the disk refuses
                raise _named(error, name, temporary.path) from error
    except BaseException:
        temporary.discard()  # Ctrl-C may come as early as the first step of the with statement
        raise


def _save_zarr(
    source: Source,
    name: str,
    mode: str,
    options: Options,
    show: ProgressLike,
    comm: Any,
    open_kw: dict[str, Any],
) -> None:
    from memdata.formats.zarr import ZarrTarget, writing

    plan = source.plan(options)
    target = ZarrTarget()
    target.prepare(plan, options)
    plan = agree(plan, comm)
    total = sum(node.nbytes for node in plan.datasets())
    with (
        writing(name, mode, **open_kw) as group,
        Progress(f"saving {os.path.basename(name)}", total, show) as bar,
    ):
        target.group = group
        target.check_room(plan)
        _move(plan, target, bar)
    report_skipped(plan, name)


def _write_extent(node: Any, offset: int, descriptor: int, bar: Progress) -> None:
    if node.array is not None:
        write_direct(descriptor, offset, node.array, bar)
        return
    rows = node.stored.piece_rows()
    import numpy as np

    for start in range(0, node.shape[0], rows):
        stop = min(start + rows, node.shape[0])
        part = np.empty((stop - start, *node.shape[1:]), node.dtype)
        node.stored.read_rows(start, stop, part)
        write_direct(descriptor, offset, part, bar)
        offset += part.nbytes


def _move(plan: Plan, target: Target, bar: Progress) -> None:
    """Lay out, move what goes through the library, and finish."""
    for node in target.lay_out(plan):
        transfer_rows(node, target, bar)
    target.finish(plan)


def _named(error: OSError | RuntimeError, name: str, temporary: str) -> OSError:
    """An error that names the user's file, with the cause that HDF5 hides in its text."""
    text = str(error)
    number = getattr(error, "errno", None)
    if number is None:
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG):
            if f"errno = {code}," in text:
                number = code
    if number is not None:
        return OSError(number, f"saving failed: {os.strerror(number)}", name)
    return OSError(f"{name}: saving failed: {text.replace(temporary, name)}")


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
    )
    plan = _source_of(source).plan(options)
    writer = target_of_group(target)
    writer.prepare(plan, options)
    plan = agree(plan)
    total = sum(node.nbytes for node in plan.datasets())
    with Progress("copying", total, progress) as bar:
        _move(plan, writer, bar)
    report_skipped(plan, str(target.name))
    if postprocess is not None:
        for node in plan.nodes:
            postprocess(node.path)
    return plan.distributed


def target_of_group(group: Any) -> Target:
    """A target around an open group of h5py or zarr."""
    if type(group).__module__.partition(".")[0] == "zarr":
        from memdata.formats.zarr import ZarrTarget

        return ZarrTarget(group)
    from memdata.formats.hdf5_write import HDF5Target

    return HDF5Target(group)
