"""Loading: from a file into a tree in memory."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

from memdata import fileformats
from memdata.formats.memory import MemoryTarget
from memdata.formats.selections import normalised
from memdata.formats.tree import Options, Plan, Source
from memdata.progress import Progress, ProgressLike
from memdata.transfer.agree import agree
from memdata.transfer.movers import read_into

__all__ = ["file_name", "load_file", "load_group", "report_skipped", "source_of_group"]

logger = logging.getLogger("memdata")


def load_file(
    target: Any,
    filename: str | os.PathLike[str],
    *,
    file_format: type[fileformats.FileFormat] | None = None,
    selections: Mapping[str, Any] | None = None,
    convert_dataset_strings: bool = False,
    convert_attribute_strings: bool = True,
    distributed: bool = False,
    hints: bool | Mapping[str, Any] = True,
    comm: Any = None,
    progress: ProgressLike = None,
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
    distributed, hints, comm
        Reserved for loading with several ranks.
    progress : bool, callable or None
        See `memdata.progress.Progress`.
    **open_kw
        Given to the opener of the format.

    Raises
    ------
    OSError
        The file is missing, locked, empty, cut off, or of another format.
    ValueError
        A selection of what is not there, or that does not fit.
    """
    del distributed, hints
    name = file_name(filename)
    chosen = file_format or fileformats.guess_file_format(name)
    options = Options(
        selections=normalised(selections),
        convert_dataset_strings=convert_dataset_strings,
        convert_attribute_strings=convert_attribute_strings,
    )
    if chosen is fileformats.Zarr:
        from memdata.formats.zarr import opened_source

        with opened_source(name, **open_kw) as source:
            _load(target, source, options, name, comm, progress)
        return
    from memdata.formats.hdf5 import opened
    from memdata.formats.hdf5_read import HDF5Source

    mode = open_kw.pop("mode", "r")
    with opened(name, mode, **open_kw) as file:
        _load(target, HDF5Source(file), options, name, comm, progress)


def load_group(
    target: Any,
    source: Any,
    *,
    selections: Mapping[str, Any] | None = None,
    convert_dataset_strings: bool = False,
    convert_attribute_strings: bool = True,
    distributed: bool = False,
    hints: bool | Mapping[str, Any] = True,
    comm: Any = None,
    progress: ProgressLike = None,
) -> None:
    """Load an open h5py or zarr group, with all below it, into a tree.

    Parameters
    ----------
    target : _Storage
        What the group holds is added to it.
    source : h5py.Group or zarr.Group
        Data not yet flushed are loaded as they are.
    selections, convert_dataset_strings, convert_attribute_strings
    distributed, hints, comm, progress
        As for `load_file`; the paths of selections start at `source`.
    """
    del distributed, hints
    options = Options(
        selections=normalised(selections),
        convert_dataset_strings=convert_dataset_strings,
        convert_attribute_strings=convert_attribute_strings,
    )
    _load(target, source_of_group(source), options, str(source.name), comm, progress)


def source_of_group(group: Any, *, copying: bool = False) -> Source:
    """A source around an open group of h5py or zarr.

    Raises
    ------
    TypeError
        `group` is neither.
    """
    package = type(group).__module__.partition(".")[0]
    if package == "zarr":
        from memdata.formats.zarr import ZarrSource

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


def _load(
    target: Any, source: Source, options: Options, name: str, comm: Any, show: ProgressLike
) -> None:
    """Plan, agree, lay out, move, commit."""
    memory = MemoryTarget(target)
    plan = source.plan(options)
    memory.prepare(plan, options)
    plan = agree(plan, comm)
    remaining = memory.lay_out(plan)
    with Progress(
        f"loading {os.path.basename(name)}", sum(n.nbytes for n in remaining), show
    ) as bar:
        for node in remaining:
            read_into(node, bar)
    memory.finish(plan)
    report_skipped(plan, name)


def report_skipped(plan: Plan, name: str) -> None:
    """One warning that lists what could not be loaded."""
    if not plan.skipped:
        return
    lines = "".join(f"\n  {path}: {reason}" for path, reason in plan.skipped[:50])
    more = len(plan.skipped) - 50
    if more > 0:
        lines += f"\n  and {more} more"
    warnings.warn(f"{name}: not everything was loaded:{lines}", UserWarning, stacklevel=5)
