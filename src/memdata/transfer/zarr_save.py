"""Saving into zarr stores: folders, in which every rank writes whole chunks, and zip files."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from memdata import fileformats
from memdata.atomic_folder import AtomicFolder, standing
from memdata.locking import AtomicFile
from memdata.progress import Progress, ProgressLike
from memdata.transfer.errors import named_errors
from memdata.transfer.load import report_skipped
from memdata.transfer.parts import gather_part, owned_blocks
from memdata.transfer.tiles import transfer_tiles, write_shared

if TYPE_CHECKING:
    from memdata.formats.tree import DatasetNode, Options, Plan, Source
    from memdata.formats.zarr_write import ZarrTarget
    from memdata.transfer.ranks import Bounds, Ranks

__all__ = ["save_zarr", "write_blocks"]


class _Store:
    """Where a store is written, and how; rank 0 decides.

    Attributes
    ----------
    as_zip : bool
        One file, written by rank 0.
    keep : bool
        What is there already stays.
    zarr_format : int
        Of the groups and arrays.
    consolidated : bool
        Whether the metadata of all members are written in one place as well.
    """

    def __init__(self, name: str, mode: str, open_kw: dict[str, Any]) -> None:
        from memdata.formats import zarr_library

        now = standing(name)
        there = os.path.exists(now)
        if mode == "r+" and not there:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        self.as_zip = name.rstrip("/").endswith(".zip")
        self.keep = there and mode in {"a", "r+"}
        wanted = zarr_library.check_format(open_kw.pop("zarr_format", None))
        consolidated = open_kw.pop("consolidated", None)
        self.zarr_format = wanted or zarr_library.default_format()
        if self.keep:
            group = self.opened(now, "r")
            try:
                self.zarr_format = zarr_library.format_of(group)
                if consolidated is None:
                    consolidated = zarr_library.is_consolidated(group)
            finally:
                zarr_library.close(group)
            if wanted not in (None, self.zarr_format):
                raise ValueError(
                    f"{name}: zarr_format={wanted}, but the store has the format {self.zarr_format}"
                )
        self.consolidated = bool(consolidated)

    def opened(self, path: str, mode: str, **open_kw: Any) -> Any:
        """The store's group."""
        from memdata.formats import zarr_library

        if mode != "r":
            open_kw |= {"zarr_format": self.zarr_format, "temporary": True}
        try:
            return zarr_library.open_group(
                path, mode, as_zip=self.as_zip, use_consolidated=False, **open_kw
            )
        except (ImportError, TypeError, OSError):
            raise
        except Exception as error:
            raise OSError(f"{path}: cannot be opened as a zarr group: {error}") from error


def save_zarr(
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
    """Plan, agree, lay out, move, commit; see `memdata.transfer.save.save_file`."""
    from memdata.formats.zarr_write import ZarrTarget
    from memdata.transfer.save import planned

    what = f"saving {name}"
    store: _Store | None = None
    with ranks.together(what):
        if ranks.first:
            store = _Store(name, mode, open_kw)
    store = ranks.share(store)
    assert store is not None
    target = ZarrTarget(
        zarr_format=store.zarr_format,
        replace=replace,
        folder=None if store.as_zip else os.path.realpath(name),
    )
    plan, parts, bounds = planned(source, target, what, mode, options, ranks, hdf5=False)
    if store.as_zip:  # only one can write
        for node in parts:
            node.sharing = 1
        parts = [node for node in parts if node.part is not None]
    total = sum(node.moved for node in plan.datasets())
    with (
        contextlib.ExitStack() as stack,
        Progress(f"saving {os.path.basename(name)}", total, ranks.shown(show)) as bar,
    ):
        path = ""
        with ranks.together(what):
            if ranks.first:
                path = stack.enter_context(_temporary(store, name, mode, durable))
                opened = stack.enter_context(contextlib.ExitStack())
                remaining = _lay_out(plan, target, store, name, path, opened, open_kw)
                with named_errors(name, path):
                    for node in remaining:
                        if node.part is None and node.sharing == 1:
                            transfer_tiles(node, target, bar, options.memory)
        path = ranks.share(path)
        _move_parts(parts, target, store, path, name, bounds, ranks, bar, options.memory)
        if options.checksum and not store.as_zip:
            _add_checksums(plan, target, name, path, ranks, what)
        with ranks.together(what):
            if ranks.first:
                with named_errors(name, path):
                    if store.consolidated:
                        from memdata.formats import zarr_library

                        zarr_library.consolidate(target.group)
                    opened.close()
                stack.close()  # puts it into its place
    report_skipped(plan, name)


@contextlib.contextmanager
def _temporary(store: _Store, name: str, mode: str, durable: bool | None) -> Iterator[str]:
    """The name to write to; at the end of the block the store gets its own."""
    from memdata.formats import zarr_library
    from memdata.formats.zarr_links import escaping_links

    exclusive = mode in {"w-", "x"}
    if store.as_zip:
        with AtomicFile(name, keep=store.keep, exclusive=exclusive, durable=durable) as file:
            yield file.path
        return
    with AtomicFolder(
        name,
        keep=store.keep,
        exclusive=exclusive,
        durable=durable,
        replaceable=zarr_library.is_store,
    ) as folder:
        for path, target in escaping_links(folder.path).values():
            raise OSError(
                f"{name}: the symbolic link {path} leads out of the store, to {target}; "
                "nothing is written through it"
            )
        yield folder.path


def _close(group: Any, name: str, path: str) -> None:
    """Close a store; what a zip file has not written yet may fail here, too."""
    from memdata.formats import zarr_library

    with named_errors(name, path):
        zarr_library.close(group)


def _lay_out(
    plan: Plan,
    target: ZarrTarget,
    store: _Store,
    name: str,
    path: str,
    stack: contextlib.ExitStack,
    open_kw: dict[str, Any],
) -> list[DatasetNode]:
    """Make everything in the temporary store; returns the datasets without content."""
    with named_errors(name, path):
        if store.keep:
            group = store.opened(path, "r+", **open_kw)
        else:
            # "w" would have zarr make the folder anew, and the lock on it would be lost.
            new = "w" if store.as_zip else "a"
            group = store.opened(path, new, attributes=plan.nodes[0].recipe, **open_kw)
        stack.callback(_close, group, name, path)
        target.open(group, new=not store.keep)
    if store.keep:
        target.check_room(plan)
    with named_errors(name, path):
        return target.lay_out(plan)


def _add_checksums(
    plan: Plan, target: ZarrTarget, name: str, path: str, ranks: Ranks, what: str
) -> None:
    """Add checksums of what is in the temporary store. Collective."""
    from memdata.checksums import Checksums, add_checksums
    from memdata.transfer.load import opener_of_file

    def write(sums: dict[str, Checksums]) -> None:
        for dataset, found in sums.items():
            values = {key: value.tolist() for key, value in found.attributes().items()}
            target.group[dataset.strip("/")].attrs.update(values)

    errors = functools.partial(named_errors, name, path)
    add_checksums(plan, ranks, what, errors, opener_of_file(path, fileformats.Zarr, {}), write)


def _move_parts(
    parts: list[DatasetNode],
    target: ZarrTarget,
    store: _Store,
    path: str,
    name: str,
    bounds: dict[str, Bounds],
    ranks: Ranks,
    bar: Progress,
    memory: int | None,
) -> None:
    """Write distributed datasets: in a folder each rank its chunks, in a zip file rank 0."""
    from memdata.formats import zarr_library

    for node in parts:
        if store.as_zip:
            gather_part(node, target, ranks, bar)
            continue
        grid = ranks.share(target.grid(node) if ranks.first else None)  # of one that was there
        with ranks.together(f"{bar.what}: {node.path}"), named_errors(name, path):
            if not ranks.first:
                node.place = zarr_library.reopened(path, node.path)
        if node.part is None:

            def write(node: DatasetNode, box: tuple[slice, ...], part: Any) -> None:
                target.write_block(node, box, part)
                bar.advance(part.nbytes)

            write_shared(write, node, grid, ranks, bar.what, memory)
        elif node.nbytes:
            write_blocks(node, target, grid, bounds[node.path], ranks, bar)


def write_blocks(
    node: DatasetNode,
    target: ZarrTarget,
    grid: tuple[int, ...],
    bounds: Bounds,
    ranks: Ranks,
    bar: Progress,
) -> None:
    """Write the chunks of a distributed dataset, each by the rank that owns it. Collective."""
    for block, origin in owned_blocks(node, grid, bounds, ranks):
        with ranks.together(f"{bar.what}: {node.path}"):
            if block is not None:
                index = tuple(
                    slice(start, start + length)
                    for start, length in zip(origin, block.shape, strict=True)
                )
                target.write_block(node, index, block)
                bar.advance(block.nbytes)
