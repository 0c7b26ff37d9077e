"""What there is to say about one group, dataset or link, wherever it is stored.

Nothing here communicates between ranks, and nothing raises because of what a file holds: pictures
are drawn when a session shows an object, and there an error or a wait would be worse than a gap.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from memdata import _cmemdata, links
from memdata.axes import names_of_axes
from memdata.formats import is_zarr
from memdata.formats.tree import NO_FILTERS, Filters
from memdata.show import words

__all__ = [
    "Facts",
    "Spread",
    "attributes_of",
    "children_of",
    "facts_of",
    "identity",
    "is_dataset",
    "is_group",
]

Shape = tuple[int, ...]

_UNITS = ("units", "unit")
_HINT = ("__memh5_distributed_dset", "__memh5_distributed_axis")

#: What HDF5's filters are called that h5py has no word for.
FILTER_NAMES = {
    1: "gzip",
    4: "szip",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstd",
    32017: "sz",
    32026: "blosc2",
    32028: "sperr",
    307: "bzip2",
}


class Spread(NamedTuple):
    """How a dataset is cut over ranks.

    Attributes
    ----------
    axis, length : int
        The axis that is cut, and how long it is.
    ranks, rank : int
        How many ranks there are, and which one this is.
    """

    axis: int
    length: int
    ranks: int
    rank: int

    def bounds(self, rank: int) -> tuple[int, int]:
        """Where the part of a rank begins and ends."""
        share, more = divmod(self.length, self.ranks)
        start = rank * share + min(rank, more)
        return start, start + share + (rank < more)


@dataclass(slots=True)
class Facts:
    """What there is to say about a node.

    Attributes
    ----------
    name, path : str
        The last part of the path, and all of it.
    kind : {"group", "dataset", "link", "type", "unreadable"}
    words : str
        What stands in place of a shape: where a link leads, why something cannot be read.
    shape, maxshape : tuple of int or None
    dtype : numpy.dtype or None
    nbytes : int
        Of the elements, unpacked, on all ranks together.
    stored : int or None
        Bytes in the file, where that is known.
    attrs : dict
    axes : tuple of str
        Names of axes; empty where nothing says.
    units : str
    filters : Filters
    spread : Spread or None
        None of what is not distributed.
    hinted : int or None
        The axis along which a file says that the dataset was distributed.
    children : int
        Of a group.
    item : object
        The object itself.
    """

    name: str
    path: str
    kind: str
    words: str = ""
    shape: Shape | None = None
    maxshape: tuple[int | None, ...] | None = None
    dtype: Any = None
    nbytes: int = 0
    stored: int | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[str, ...] = ()
    units: str = ""
    filters: Filters = NO_FILTERS
    spread: Spread | None = None
    hinted: int | None = None
    children: int = 0
    item: Any = None

    @property
    def packing(self) -> str:
        """The compression in short: ``gzip 4``, ``shuffle, lz4``; empty without."""
        filters = self.filters
        found = ["shuffle"] if filters.shuffle else []
        if filters.compression is not None:
            name = filters.compression
            name = (
                FILTER_NAMES.get(int(name), f"filter {name}") if str(name).isdigit() else str(name)
            )
            options = filters.compression_opts
            if isinstance(options, tuple) and len(options) == 1:
                options = options[0]
            found.append(f"{name} {options}" if isinstance(options, int) else name)
        if filters.scaleoffset is not None:
            found.append(f"scale-offset {filters.scaleoffset}")
        if filters.fletcher32:
            found.append("fletcher32")
        return words.printable(", ".join(found))

    @property
    def ranks(self) -> str:
        """How it is distributed, in short; empty where it is not."""
        if self.spread is not None:
            axis = self.axis_name(self.spread.axis)
            return f"{words.amount(self.spread.ranks, 'rank')} along {axis}"
        if self.hinted is not None:
            return f"saved by ranks along {self.axis_name(self.hinted)}"
        return ""

    def axis_name(self, axis: int) -> str:
        """The name of an axis, or its number."""
        named = 0 <= axis < len(self.axes) and self.axes[axis]
        return str(named) if named else f"axis {axis}"


def is_dataset(item: Any) -> bool:
    """Whether an object is a dataset, in memory or in a file, or an array."""
    return hasattr(item, "dtype") and hasattr(item, "shape")


def is_group(item: Any) -> bool:
    """Whether an object is a group, in memory or in a file."""
    return hasattr(item, "create_group") or isinstance(item, _cmemdata._Storage)


def identity(item: Any) -> Any:
    """What is the same for two handles of one group, and only for these."""
    if isinstance(item, _cmemdata._BaseGroup):
        try:
            item = item._get_storage()
        except (KeyError, RuntimeError, ValueError):
            return id(item)
    h5py = sys.modules.get("h5py")
    if h5py is not None and isinstance(item, h5py.Group):
        info = h5py.h5o.get_info(item.id)
        return info.fileno, info.addr
    return id(item)


def children_of(group: Any) -> Iterator[tuple[str, Any]]:
    """The names in a group and what they lead to; a link or an exception where that is nothing."""
    try:
        names = _names(group)
    except Exception as error:  # noqa: BLE001 - a damaged file raises what it likes
        yield "?", error
        return
    for name in names:
        try:
            yield name, _child(group, name)
        except Exception as error:  # noqa: BLE001
            yield name, error


def _names(group: Any) -> list[str]:
    if is_zarr(group):
        from memdata.formats import zarr_library

        return [name for name, _member in zarr_library.members(group)]
    return list(group)


def _child(group: Any, name: str) -> Any:
    if isinstance(group, _cmemdata._Storage):
        return dict.__getitem__(group, name)
    if is_zarr(group) or is_zarr(getattr(group, "_data", None)):
        from memdata.formats import zarr_library

        with zarr_library.quiet():
            return group[name]
    if hasattr(group, "get"):
        link = group.get(name, getlink=True)
        if _is_link(link):
            return link
    return group[name]


def _is_link(item: Any) -> bool:
    return links.is_soft(item) or links.is_external(item)


def facts_of(item: Any, name: str = "", path: str = "/") -> Facts:
    """What there is to say about an object; see `Facts`."""
    try:
        return _facts_of(item, name, path)
    except Exception as error:  # noqa: BLE001 - see above
        return Facts(name, path, "unreadable", words.one_line(_reason(error)), item=item)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _facts_of(item: Any, name: str, path: str) -> Facts:
    if isinstance(item, Exception):
        return Facts(name, path, "unreadable", words.one_line(_reason(item)), item=item)
    if links.is_soft(item):
        return Facts(name, path, "link", f"→ {words.printable(str(item.path))}", item=item)
    if links.is_external(item):
        where = f"→ {words.printable(str(item.filename))} : {words.printable(str(item.path))}"
        return Facts(name, path, "link", where, item=item)
    if is_group(item):
        attrs = attributes_of(item)
        count = len(_names(item)) if is_zarr(item) else len(item)  # zarr counts no broken members
        return Facts(name, path, "group", attrs=attrs, children=count, item=item)
    if not is_dataset(item):
        dtype = getattr(item, "dtype", None)
        text = "" if dtype is None else words.type_words(dtype)
        return Facts(name, path, "type", text, attrs=attributes_of(item), item=item)
    return _dataset(item, name, path)


def _dataset(item: Any, name: str, path: str) -> Facts:
    array = getattr(item, "data", None) if isinstance(item, _cmemdata.MemDataset) else item
    attrs = attributes_of(item)
    spread = None
    shape: Shape | None = item.shape
    if isinstance(array, _cmemdata._MPIArray):
        spread = _spread(array)
        shape = array.global_shape if spread is not None else array.shape
    if shape is not None:
        shape = tuple(int(length) for length in shape)
    most = getattr(item, "maxshape", None)
    facts = Facts(
        name,
        path,
        "dataset",
        shape=shape,
        maxshape=None if most is None or shape is None or tuple(most) == shape else tuple(most),
        dtype=item.dtype,
        nbytes=0 if shape is None else item.dtype.itemsize * math.prod(shape),
        attrs=attrs,
        axes=_axes(item, attrs, shape),
        units=_first_text(attrs, _UNITS),
        spread=spread,
        item=item,
    )
    facts.filters, facts.stored = _packing(item, shape)
    if spread is None and attrs.get(_HINT[0]) and _HINT[1] in attrs:
        facts.hinted = int(attrs[_HINT[1]])
    return facts


def _spread(array: Any) -> Spread | None:
    try:
        axis = int(array.axis)
        comm = array.comm
        ranks, rank = (1, 0) if comm is None else (int(comm.size), int(comm.rank))
        return Spread(axis, int(array.global_shape[axis]), ranks, rank)
    except ValueError:  # an array whose distribution is not known
        return None


def attributes_of(item: Any) -> dict[str, Any]:
    """The attributes of an object; an exception stands for one that cannot be read."""
    attrs = getattr(item, "attrs", None)
    if attrs is None:
        return {}
    if isinstance(attrs, dict):
        return dict(attrs)
    found: dict[str, Any] = {}
    for name in attrs:
        try:
            found[name] = attrs[name]
        except Exception as error:  # noqa: BLE001 - see above
            found[name] = error
    return found


def _text(found: Any) -> str:
    if isinstance(found, np.ndarray) and found.size == 1:
        found = found.reshape(-1)[0]
    if isinstance(found, bytes):
        found = found.decode("utf-8", "backslashreplace")
    return words.one_line(str(found), 30)


def _first_text(attrs: Mapping[str, Any], names: tuple[str, ...]) -> str:
    for name in names:
        found = attrs.get(name)
        if isinstance(found, str | bytes | np.ndarray) and np.size(found) == 1:
            return _text(found)
    return ""


def _axes(item: Any, attrs: Mapping[str, Any], shape: Shape | None) -> tuple[str, ...]:
    if not shape:
        return ()
    known = names_of_axes(attrs, len(shape))
    if known is not None:
        return known
    names = getattr(getattr(item, "metadata", None), "dimension_names", None)
    if names and len(names) == len(shape):
        return tuple(_text(axis or "") for axis in names)
    return ()


def _packing(item: Any, shape: Shape | None) -> tuple[Filters, int | None]:
    """Chunks and filters in h5py's words, and the bytes in the file."""
    package = type(item).__module__.partition(".")[0]
    if package == "h5py" and hasattr(item, "id"):
        from memdata.formats.hdf5_filters import filters_of

        plist = item.id.get_create_plist()
        filters = filters_of(plist)[0]
        stored = None if shape is None or item.is_virtual else int(item.id.get_storage_size())
        return filters, stored
    if is_zarr(item) and shape is not None:
        from memdata.formats import zarr_layout, zarr_library

        return zarr_layout.words_of(zarr_library.describe(item), shape, True)[0], None
    if isinstance(item, _cmemdata.MemDataset):
        return Filters(
            item.chunks,
            item.compression,
            item.compression_opts,
            bool(getattr(item, "shuffle", False)),
            bool(getattr(item, "fletcher32", False)),
            getattr(item, "scaleoffset", None),
        ), None
    return NO_FILTERS, None
