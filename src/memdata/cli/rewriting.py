"""Writing a tree anew, in other chunks, with other filters, or a part of it.

A `Rewritten` source stands between what reads a file and what writes one (`memdata.formats.tree`):
the plan goes through its hands, the elements do not. They are moved tile by tile, so that files
larger than the memory of the machine can be converted.
"""

from __future__ import annotations

import argparse
import fnmatch
import math
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from memdata.cli.output import bytes_of, wants_progress
from memdata.formats.tree import (
    NO_FILTERS,
    DatasetNode,
    GroupNode,
    LinkNode,
    Options,
    Plan,
)

__all__ = ["Changes", "Rewritten", "add_options", "changes_of", "write"]

#: Filters by the names people know; HDF5 knows most of them by number only.
_NUMBERS = {
    "blosc": 32001,
    "lz4": 32004,
    "zfp": 32013,
    "zstd": 32015,
    "blosc2": 32026,
    "bzip2": 307,
}
_NAMES = ("gzip", "lzf", "szip", "bitshuffle", *_NUMBERS, "none")

#: Datasets of less than so many bytes are not shared by ranks.
_SHARED = 1 << 20


class Changes(NamedTuple):
    """What is changed on the way.

    Attributes
    ----------
    compression : list of (glob, (compression, options) or None)
        None takes compression away. The last that matches a path counts, here and below.
    chunks : list of (glob, tuple of int, "auto" or "none")
    shuffle, fletcher32 : bool or None
        None leaves them.
    only, exclude : list of glob
        Which datasets are written.
    """

    compression: list[tuple[str, Any]]
    chunks: list[tuple[str, Any]]
    shuffle: bool | None = None
    fletcher32: bool | None = None
    only: list[str] = []  # noqa: RUF012 - never changed
    exclude: list[str] = []  # noqa: RUF012

    def wants(self, path: str) -> bool:
        """Whether a dataset is written."""
        if self.only and not any(matches(path, glob) for glob in self.only):
            return False
        return not any(matches(path, glob) for glob in self.exclude)

    def apply(self, node: DatasetNode) -> None:
        """Change how a dataset is cut and packed."""
        if not node.shape or not all(node.shape):
            return
        chunks, packing = _last(self.chunks, node.path), _last(self.compression, node.path)
        if chunks is None and packing is None and self.shuffle is None and self.fletcher32 is None:
            return
        filters = node.filters
        if packing is not None:
            name, opts = packing[0] or (None, None)
            filters = filters._replace(compression=name, compression_opts=opts)
            if name is None:
                filters = filters._replace(shuffle=False, scaleoffset=None)
        if chunks is not None:
            filters = filters._replace(chunks=_chunks(chunks[0], node))
        if self.shuffle is not None:
            filters = filters._replace(shuffle=self.shuffle)
        if self.fletcher32 is not None:
            filters = filters._replace(fletcher32=self.fletcher32)
        if chunks is not None and chunks[0] == "none":
            if filters._replace(chunks=None) != NO_FILTERS:
                raise ValueError(f"{node.path}: what is not chunked has no filters; add -c none")
            filters = NO_FILTERS
        node.filters = filters
        kept = ("filters", "chunks", "shuffle", "fletcher32", "scaleoffset", "zarr")
        node.creation = {key: value for key, value in node.creation.items() if key not in kept}


def matches(path: str, glob: str) -> bool:
    """Whether a glob means a path: all of it, its last part, or a group above."""
    glob = glob.strip("/")
    plain = path.strip("/")
    return (
        fnmatch.fnmatchcase(plain, glob)
        or fnmatch.fnmatchcase(plain, f"{glob}/*")
        or ("/" not in glob and fnmatch.fnmatchcase(plain.rpartition("/")[2], glob))
    )


def _last(rules: list[tuple[str, Any]], path: str) -> tuple[Any] | None:
    """The value of the last rule that means a path, in a tuple; None where none does."""
    found = None
    for glob, value in rules:
        if matches(path, glob):
            found = (value,)
    return found


def _chunks(wanted: Any, node: DatasetNode) -> tuple[int, ...] | None:
    shape = node.shape
    assert shape is not None
    if isinstance(wanted, str):
        return None if wanted == "none" else _guessed(shape, node.dtype.itemsize)
    if len(wanted) != len(shape):
        return node.filters.chunks
    return tuple(min(chunk or n, n) for chunk, n in zip(wanted, shape, strict=True))


def _guessed(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks of about a MiB, of the form of the whole: equally good along each axis."""
    cells = max(1, (1 << 20) // max(itemsize, 1))
    if math.prod(shape) <= cells:
        return shape
    shrink = (cells / math.prod(shape)) ** (1 / len(shape))
    return tuple(max(1, round(length * shrink)) for length in shape)


class Rewritten:
    """A source whose datasets are chosen, cut and packed as `Changes` says.

    Several ranks share large datasets; see `memdata.formats.tree.Source`.
    """

    def __init__(self, source: Any, changes: Changes) -> None:
        self._source = source
        self._changes = changes
        self.count = 0

    def plan(self, options: Options) -> Plan:
        """The plan of the source, changed."""
        plan: Plan = self._source.plan(options)
        plan.nodes = self._chosen(plan)
        for node in plan.datasets():
            self._changes.apply(node)
            self.count += 1
            if options.comm is not None and node.stored is not None and node.nbytes >= _SHARED:
                node.sharing = options.comm.size
        return plan

    def _chosen(self, plan: Plan) -> list[GroupNode]:
        """The nodes without datasets that are not wanted, and without links to them."""
        changes = self._changes
        if not changes.only and not changes.exclude:
            return plan.nodes
        names: dict[int, list[GroupNode]] = {id(node): [node] for node in plan.datasets()}
        for node in plan.nodes:
            if isinstance(node, LinkNode) and id(node.target) in names:
                names[id(node.target)].append(node)
        kept: dict[int, GroupNode] = {}
        holders: set[int] = set()
        for found in names.values():
            wanted = [name for name in found if changes.wants(name.path)]
            kept.update((id(name), name) for name in wanted)
            for name in wanted:
                above = name.parent
                while above is not None:
                    holders.add(id(above))
                    above = above.parent
            if wanted and wanted[0] is not found[0]:  # by its second name only
                node, name = found[0], wanted[0]
                node.path, node.name, node.parent = name.path, name.name, name.parent
                kept[id(name)] = node
        if not kept:
            raise ValueError("no dataset is left; `memdata tree` shows what there is")
        chosen: list[GroupNode] = []
        for node in plan.nodes:
            if id(node) in kept:
                chosen.append(kept[id(node)])
            elif isinstance(node, LinkNode):  # of a group
                if id(node.target) in holders and id(node.parent) in holders:
                    chosen.append(node)
            elif id(node) in holders or node.parent is None:
                chosen.append(node)
        return chosen

    def stored(self, node: DatasetNode, index: Any, options: Options) -> Any:
        """The elements that an index selects; see `memdata.formats.tree.Source`."""
        return self._source.stored(node, index, options)

    def close(self) -> None:
        """Close the source."""
        self._source.close()


# ---- options -------------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of commands that write a file."""
    parser.add_argument(
        "-c",
        "--compression",
        action="append",
        default=[],
        metavar="[GLOB=]NAME[:LEVEL]",
        help=f"{', '.join(_NAMES)}, or a number of HDF5's; of datasets that GLOB means",
    )
    parser.add_argument(
        "--chunks",
        action="append",
        default=[],
        metavar="[GLOB=]A,B,...",
        help="chunks of datasets with so many axes (0: the whole axis); auto; none",
    )
    for name, what in (
        ("shuffle", "shuffle bytes before packing"),
        ("fletcher32", "HDF5's checksums of chunks, which every program checks on reading"),
    ):
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=what)
    parser.add_argument(
        "--only", action="append", default=[], metavar="GLOB", help="only these datasets"
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="GLOB", help="not these datasets"
    )
    parser.add_argument("--to", choices=("hdf5", "zarr"), help="the format; else the name says it")
    parser.add_argument("--zarr-format", type=int, choices=(2, 3), help="of a zarr store")
    parser.add_argument(
        "--consolidated", action="store_true", help="zarr: metadata in one place, too"
    )
    parser.add_argument(
        "--checksum", action="store_true", help="keep checksums of all chunks, for memdata verify"
    )
    parser.add_argument(
        "--follow-external",
        action="store_true",
        help="copy what links to other files lead to, and data that are in other files",
    )
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        help="what elements on their way may take, of each rank: 512M, 4G (1G, or a quarter "
        "of what is free)",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace a file that is there")
    parser.add_argument(
        "--durable", action="store_true", default=None, help="wait until the disk has it"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar, no last line")


def changes_of(options: argparse.Namespace) -> Changes:
    """What the options change.

    Raises
    ------
    ValueError
        Names and numbers that mean nothing.
    """
    return Changes(
        [_rule(text, _compression) for text in options.compression],
        [_rule(text, _chunk_lengths) for text in options.chunks],
        options.shuffle,
        options.fletcher32,
        options.only,
        options.exclude,
    )


def _rule(text: str, meaning: Callable[[str], Any]) -> tuple[str, Any]:
    glob, equals, value = text.rpartition("=")
    return (glob if equals else "*"), meaning(value)


def _compression(text: str) -> Any:
    name, _colon, level = text.partition(":")
    if name == "none":
        return None
    try:
        values = [int(one) for one in level.split(",") if one]
        number = int(name) if name.isdecimal() else _NUMBERS.get(name)
    except ValueError:
        raise ValueError(f"compression {text!r}: the level is a number, as in gzip:4") from None
    if number is not None:
        return number, tuple(values)
    if name == "bitshuffle":
        return "bitshuffle", (None, "lz4")
    if name not in _NAMES:
        raise ValueError(f"there is no compression {name!r}; there are: {', '.join(_NAMES)}")
    return name, (values[0] if values else None)


def _chunk_lengths(text: str) -> Any:
    if text in {"auto", "none"}:
        return text
    try:
        lengths = tuple(int(one) for one in text.split(","))
    except ValueError:
        lengths = (-1,)
    if min(lengths) < 0:
        raise ValueError(
            f"chunks {text!r}: expected lengths with commas between them, auto or none"
        )
    return lengths


# ---- writing -------------------------------------------------------------------------------------


def write(
    source: Any, name: str, options: argparse.Namespace, selections: Any = None, same: bool = False
) -> dict[str, Any]:
    """Write what a source has into a new file; collective where several ranks run.

    Parameters
    ----------
    source : Source
        What is written.
    name : str
        The file.
    options : argparse.Namespace
        Of `add_options`.
    selections : dict, optional
        NumPy indices by path.
    same : bool
        The source is of the same format, so that packed chunks may stay as they are.

    Returns
    -------
    dict
        What was done.
    """
    from memdata import fileformats
    from memdata.cli.ranks import world
    from memdata.formats.selections import normalised
    from memdata.transfer.ranks import Ranks
    from memdata.transfer.save import save_source

    comm = world()
    chosen = format_of(name, options)
    keywords: dict[str, Any] = {}
    if chosen is fileformats.Zarr:
        if options.zarr_format:
            keywords["zarr_format"] = options.zarr_format
        if options.consolidated:
            keywords["consolidated"] = True
    elif options.zarr_format or options.consolidated:
        raise ValueError(f"{name} becomes an HDF5 file; add --to zarr, or call it NAME.zarr")
    job = Options(
        selections=normalised(selections),
        comm=comm,
        keep_links=True,
        packed=same,
        mover=None,
        follow_external=options.follow_external,
    )
    job.checksum = options.checksum
    if options.memory is not None:
        job.memory = bytes_of(options.memory, "--memory")
    started = time.monotonic()
    mode = "w" if options.force else "w-"
    show = wants_progress(options.quiet)
    try:
        save_source(source, name, mode, chosen, job, Ranks(comm), options.durable, show, keywords)
    except FileExistsError as error:
        raise FileExistsError(error.errno, "is there already; -f replaces it", name) from None
    return {
        "target": name,
        "format": chosen.__name__,
        "seconds": round(time.monotonic() - started, 3),
        "target_bytes": _bytes_of(name),
        "ranks": 1 if comm is None else comm.size,
    }


def format_of(name: str, options: argparse.Namespace) -> Any:
    """The format to write."""
    from memdata import fileformats

    if options.to:
        return fileformats.Zarr if options.to == "zarr" else fileformats.HDF5
    return fileformats.guess_file_format(name)


def is_first() -> bool:
    """Whether this process is the one that says what was done."""
    from memdata.cli.ranks import world

    comm = world()
    return comm is None or comm.rank == 0


def _bytes_of(name: str) -> int:
    if os.path.isfile(name):
        return os.path.getsize(name)
    return sum(
        os.path.getsize(os.path.join(folder, one))
        for folder, _folders, files in os.walk(name)
        for one in files
    )
