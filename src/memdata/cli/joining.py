"""Several files as one: datasets put together along an axis, all else from the first.

The elements are read from their files when they are written; nothing is loaded whole.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from memdata.axes import axis_number
from memdata.cli.rewriting import matches
from memdata.formats.tree import DatasetNode, Options, Plan
from memdata.transfer.tiles import grid_of, read_tile, tiles_of

if TYPE_CHECKING:
    from memdata.formats.tiling import Box

__all__ = ["Joined"]

Array = np.ndarray[Any, Any]


class _Pieces:
    """The elements of a joined dataset; a `memdata.formats.tree.StoredData`."""

    def __init__(self, nodes: Sequence[DatasetNode], axis: int, shape: tuple[int, ...]) -> None:
        self._nodes = nodes
        self._axis = axis
        self.shape = shape
        self.dtype = nodes[0].dtype
        self.file_name = getattr(nodes[0].stored, "file_name", "")

    def piece_rows(self) -> int:
        """How many rows are read together: as many as the most careful of the files says."""
        rows = [node.stored.piece_rows() for node in self._nodes if node.stored is not None]
        return max(1, min([*rows, self.shape[0] or 1]))

    def grid(self) -> tuple[int, ...]:
        """Lengths of a chunk of the first file."""
        return grid_of(self._nodes[0])

    def extent(self) -> None:
        """None: the elements lie in several files."""

    def written(self) -> int:
        """As many bytes as the files declare."""
        return self.dtype.itemsize * math.prod(self.shape)

    def read_rows(self, start: int, stop: int, out: Array) -> None:
        """Read rows of all, or of those files that have them."""
        self.read_box((slice(start, stop), *(slice(0, n) for n in self.shape[1:])), out)

    def read_box(self, box: Box, out: Array) -> None:
        """Read a part from those files that have some of it."""
        axis, before = self._axis, 0
        for node in self._nodes:
            assert node.shape is not None
            length = node.shape[axis]
            first = max(box[axis].start - before, 0)
            last = min(box[axis].stop - before, length)
            if first < last:
                begin = before + first - box[axis].start
                place = (slice(None),) * axis + (slice(begin, begin + last - first),)
                out[place] = read_tile(node, (*box[:axis], slice(first, last), *box[axis + 1 :]))
            before += length


class Joined:
    """A source that is several others.

    Parameters
    ----------
    sources : list of Source
    names : list of str
        Of their files, for errors.
    axis : str or int
        A name of an axis, or a number.
    keep : list of glob
        Datasets that are not joined, whatever axes they have.
    check : bool
        Whether datasets that are not joined have to be equal in all files.
    wants : callable
        Whether a path is written at all.
    """

    def __init__(
        self,
        sources: Sequence[Any],
        names: Sequence[str],
        axis: str | int,
        keep: Sequence[str] = (),
        check: bool = True,
        wants: Callable[[str], bool] = lambda _path: True,
    ) -> None:
        self._sources = sources
        self._names = names
        self._axis = axis
        self._keep = keep
        self._check = check
        self._wants = wants
        self.joined: list[str] = []

    def plan(self, options: Options) -> Plan:
        """The plan of the first, with longer datasets."""
        plans = [source.plan(options) for source in self._sources]
        others = [{node.path: node for node in plan.datasets()} for plan in plans[1:]]
        first: Plan = plans[0]
        rest: list[list[DatasetNode]] = []
        for node in first.datasets():
            if not self._wants(node.path):
                continue
            same = [node]
            for name, found in zip(self._names[1:], others, strict=True):
                other = found.get(node.path)
                if other is None:
                    raise ValueError(
                        f"{name}: there is no dataset {node.path}, as in {self._names[0]}"
                    )
                same.append(other)
            axis = self._axis_of(node)
            if axis is None:
                rest.append(same)
            else:
                self._join(node, same, axis)
        if not self.joined:
            raise ValueError(
                f"no dataset has the axis {self._axis!r}; `memdata tree` shows names of axes, "
                "and --axis takes a number, too"
            )
        if self._check:
            comm = options.comm
            mine = rest if comm is None else rest[comm.rank :: comm.size]
            for same in mine:  # where it fails on one rank, all raise
                self._check_same(same, options.memory)
        return first

    def _axis_of(self, node: DatasetNode) -> int | None:
        """The axis along which a dataset is joined."""
        if not node.shape or any(matches(node.path, glob) for glob in self._keep):
            return None
        number = axis_number(node.attrs, len(node.shape), self._axis)
        if number is not None or isinstance(self._axis, int):
            return number
        group, _slash, name = node.path.rpartition("/")
        coordinate = name == self._axis and len(node.shape) == 1
        return 0 if coordinate and (group.endswith("index_map") or _is_scale(node)) else None

    def _join(self, node: DatasetNode, same: list[DatasetNode], axis: int) -> None:
        assert node.shape is not None
        for name, other in zip(self._names, same, strict=True):
            shape = other.shape
            fits = shape is not None and len(shape) == len(node.shape)
            rest = fits and [n for k, n in enumerate(shape or ()) if k != axis]
            if rest != [n for k, n in enumerate(node.shape) if k != axis]:
                raise ValueError(
                    f"{name}: {node.path} has the shape {shape}, which does not go with "
                    f"{node.shape} of {self._names[0]} along axis {axis}"
                )
            if other.dtype != node.dtype:
                raise ValueError(
                    f"{name}: {node.path} has the type {other.dtype}, expected {node.dtype}"
                )
        copies = [_copy_of(one) for one in same]
        total = sum(one.shape[axis] for one in copies)
        shape = (*node.shape[:axis], total, *node.shape[axis + 1 :])
        pieces = _Pieces(copies, axis, shape)
        node.shape, node.array, node.stored, node.selected = shape, None, pieces, None
        most = node.creation.get("maxshape") if node.creation else None
        if most is not None:  # what may grow may go on growing
            grown = (m if m is None else max(m, n) for m, n in zip(most, shape, strict=True))
            node.creation = {**node.creation, "maxshape": tuple(grown)}
        if all(one.array is not None for one in copies) and node.nbytes <= 1 << 16:
            node.array = np.empty(shape, node.dtype)
            pieces.read_rows(0, shape[0], node.array)
            node.stored = None
        self.joined.append(node.path)

    def _check_same(self, same: list[DatasetNode], memory: int | None) -> None:
        first = same[0]
        for name, other in zip(self._names[1:], same[1:], strict=True):
            if (
                other.shape != first.shape
                or other.dtype != first.dtype
                or not _equal(first, other, memory)
            ):
                raise ValueError(
                    f"{name}: {first.path} is not as in {self._names[0]}; --keep-first takes "
                    "that of the first file"
                )

    def stored(self, node: DatasetNode, index: Any, options: Options) -> Any:
        """Not needed: nothing is selected."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the sources."""
        with contextlib.ExitStack() as stack:
            for source in self._sources:
                stack.callback(source.close)


def _is_scale(node: DatasetNode) -> bool:
    found = node.attrs.get("CLASS")
    return found in ("DIMENSION_SCALE", b"DIMENSION_SCALE")


def _copy_of(node: DatasetNode) -> Any:
    """A node with the same elements, which stays when the first is changed."""
    made = DatasetNode(node.path, node.name, node.parent, None, node.shape, node.dtype)
    made.array, made.stored = node.array, node.stored
    return made


def _equal(first: DatasetNode, other: DatasetNode, memory: int | None) -> bool:
    from memdata.comparing import equal
    from memdata.formats.differing import EXACT, same_value

    if not first.shape:
        if first.array is None or other.array is None:
            return first.stored is None and other.stored is None
        return same_value(first.array, other.array, EXACT)
    return all(
        equal(read_tile(first, box), read_tile(other, box))
        for box in tiles_of(first, grid_of(other), memory)
    )
