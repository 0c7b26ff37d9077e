"""zarr-python, versions 2 and 3, behind one set of functions.

Which version is installed is found when it is first needed; no other module asks. Version 2 knows
the zarr format 2, version 3 knows the formats 2 and 3.
"""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from memdata.fileformats import Zarr
from memdata.formats.zarr_folder import folder_store, settle
from memdata.suggesting import no_such_file

__all__ = [
    "Layout",
    "close",
    "consolidate",
    "default_format",
    "describe",
    "format_of",
    "is_consolidated",
    "is_group",
    "is_store",
    "major",
    "make_array",
    "make_group",
    "members",
    "open_group",
    "read",
    "reopened",
    "store_folder",
    "write",
]

Array = np.ndarray[Any, Any]

#: Files that say what a folder of a store is.
METADATA = frozenset({"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"})

#: What zarr warns of and we know: types and codecs without a final specification, files that are
#: not zarr's, metadata of a zip file written a second time.
_KNOWN_WARNINGS = (
    r".*does not have a Zarr V3 specification",
    r".*is currently not part in the Zarr format 3 specification",
    r"Numcodecs codecs are not in the Zarr version 3 specification",
    r".*is not recognized as a component of a Zarr hierarchy",
    r"Duplicate name:",
    r"The `compressor` argument is deprecated",
)
_quiet_lock = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that zarr gives of what is meant."""
    with _quiet_lock, warnings.catch_warnings():
        for message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message)
        yield


def major() -> int:
    """The major version of zarr-python."""
    return int(Zarr.module.__version__.partition(".")[0])


# ---- stores and groups ----


def default_format() -> int:
    """The zarr format of new stores."""
    if major() < 3:
        return 2
    return int(Zarr.module.config.get("default_zarr_format", 3))


def check_format(zarr_format: Any) -> int | None:
    """`zarr_format`, if the library can write it.

    Raises
    ------
    ValueError
        It is not 2 or 3, or needs zarr-python 3.
    """
    if zarr_format is None:
        return None
    if isinstance(zarr_format, bool) or zarr_format not in (2, 3):
        raise ValueError(f"zarr_format is 2 or 3, not {zarr_format!r}")
    if zarr_format == 3 and major() < 3:
        raise ValueError(
            f"zarr_format=3 needs zarr-python 3, installed is {Zarr.module.__version__}"
        )
    return int(zarr_format)


def open_group(
    store: Any = None,
    mode: str = "a",
    *,
    zarr_format: Any = None,
    as_zip: bool | None = None,
    attributes: dict[str, Any] | None = None,
    temporary: bool = False,
    **kwargs: Any,
) -> Any:
    """Open a group; `close` closes it.

    Parameters
    ----------
    store : str, os.PathLike or store
        Where; everything that zarr takes.
    mode : str
        As zarr's.
    zarr_format : {2, 3}, optional
        Of a new store; an old one must have it.
    as_zip : bool, optional
        Whether a path is that of a zip file. None: if it ends in ``.zip`` or is a file.
    attributes : dict, optional
        Of a new group.
    temporary : bool
        A path is that of a folder that is removed when a write fails: after that, and after
        `close`, zarr writes nothing more to it.
    **kwargs
        Given to ``zarr.open_group``.
    """
    chosen = check_format(zarr_format)
    if major() < 3:
        kwargs.pop("use_consolidated", None)
    elif chosen is not None:
        kwargs["zarr_format"] = chosen
    made = None
    if isinstance(store, str | os.PathLike):
        store = os.fspath(store)
        if mode in {"r", "r+"} and "://" not in str(store) and not os.path.exists(store):
            raise no_such_file(str(store))
        if as_zip is None:
            as_zip = str(store).endswith(".zip") or os.path.isfile(store)
        if as_zip:
            module = Zarr.module if major() < 3 else Zarr.module.storage
            store = made = module.ZipStore(store, mode="a" if mode == "r+" else mode)
        elif temporary and major() >= 3:
            store = made = folder_store(store)
    if attributes and major() >= 3:
        kwargs["attributes"] = attributes
    try:
        with quiet():
            # A zip file is new when it was opened with "w"; zarr would try to empty it.
            mode = "a" if as_zip and mode == "w" else mode
            group = Zarr.module.open_group(store, mode=mode, **kwargs)
            if attributes and major() < 3:
                group.attrs.put(attributes)
            return group
    except BaseException:
        _close_store(made)
        raise


def close(group: Any) -> None:
    """Close the store of a group, where it wants closing (a zip file)."""
    _close_store(group.store)


def _close_store(store: Any) -> None:
    settle(store)
    finish = getattr(store, "close", None)
    if finish is None or not getattr(store, "_is_open", True):
        return
    with quiet():
        finish()


def store_folder(group: Any) -> str | None:
    """The folder that holds a group's store; None where it is none."""
    store = group.store
    if major() >= 3:
        from zarr.storage import LocalStore

        return str(store.root) if isinstance(store, LocalStore) else None
    if type(store).__name__ in {"DirectoryStore", "NestedDirectoryStore"}:
        return str(store.path)
    return None


def is_store(path: str) -> bool:
    """Whether a folder holds a zarr group or array."""
    return any(os.path.lexists(os.path.join(path, name)) for name in METADATA)


def format_of(member: Any) -> int:
    """The zarr format of a group or array."""
    if major() < 3:
        return int(getattr(member, "_version", 2))
    return int(member.metadata.zarr_format)


def is_group(member: Any) -> bool:
    """Whether a member of a group is a group."""
    return hasattr(member, "create_group")


def members(group: Any) -> Iterator[tuple[str, Any]]:
    """Names and members in sorted order; of a member that cannot be opened the exception."""
    for name in sorted(_names(group)):
        try:
            with quiet():
                member = group[name]
        except KeyError:
            continue  # a file or folder that is not zarr's
        except Exception as error:  # noqa: BLE001 - one broken member must not hide the others
            member = error
        yield name, member


def _names(group: Any) -> set[str]:
    if major() < 3:
        from zarr.storage import listdir

        return set(listdir(group.store, group.path)) - METADATA
    known = group.metadata.consolidated_metadata
    if known is not None:
        return {name.partition("/")[0] for name in known.metadata}
    from zarr.core.sync import sync

    return set(sync(_listed(group.store, group.path))) - METADATA


async def _listed(store: Any, path: str) -> list[str]:
    return [name.rstrip("/") async for name in store.list_dir(path)]


def count_keys(array: Any) -> int:
    """How many keys an array has in its store beside its metadata: of its chunks, or shards."""
    prefix = array.path + "/" if array.path else ""
    if major() < 3:
        keys = [key for key in array.store if key.startswith(prefix)]
    else:
        from zarr.core.sync import sync

        keys = sync(_keys(array.store, prefix))
    return sum(key.rpartition("/")[2] not in METADATA for key in keys)


async def _keys(store: Any, prefix: str) -> list[str]:
    return [key async for key in store.list_prefix(prefix)]


def make_group(parent: Any, name: str, attrs: dict[str, Any]) -> Any:
    """A new group."""
    with quiet():
        if major() >= 3:
            return parent.create_group(name, attributes=attrs)
        group = parent.create_group(name)
        if attrs:
            group.attrs.put(attrs)
        return group


def reopened(folder: str, path: str) -> Any:
    """The array at a path of a store that another process is making."""
    group = open_group(folder, "r+", as_zip=False, use_consolidated=False, temporary=True)
    with quiet():
        return group[path.strip("/")]


def consolidate(group: Any) -> None:
    """Write the metadata of all members in one place as well."""
    with quiet():
        path = {"path": group.path} if group.path else {}
        Zarr.module.consolidate_metadata(group.store, **path)


def is_consolidated(group: Any) -> bool:
    """Whether a group's store has the metadata of all members in one place."""
    if major() < 3:
        return ".zmetadata" in group.store
    with quiet():
        again = Zarr.module.open_group(group.store, mode="r", zarr_format=format_of(group))
    return again.metadata.consolidated_metadata is not None


# ---- arrays ----


class Layout(NamedTuple):
    """How an array is cut and packed, as its metadata say.

    Attributes
    ----------
    zarr_format : {2, 3}
        The words that `codecs` are in.
    chunks : tuple of int
        What is packed as one; of a sharded array a piece of a shard.
    shards : tuple of int or None
        What is one file or key, where that is more than a chunk.
    codecs : tuple of dict
        In the order of packing. Format 2: numcodecs' configurations of filters and compressor.
        Format 3: ``{"name": ..., "configuration": ...}``; of a sharded array those of a chunk.
    fill_value : object
        What stands for chunks that are not there; None where nothing says.
    null_fill : bool
        The metadata say that nothing does (``null``, only in format 2), else zarr chooses.
    order : {"C", "F"}
        Of the elements in a chunk.
    separator : {".", "/"}
        Between the numbers in the name of a chunk.
    extra : dict
        What else format 3 knows: ``dimension_names``.
    """

    zarr_format: int
    chunks: tuple[int, ...]
    shards: tuple[int, ...] | None = None
    codecs: tuple[dict[str, Any], ...] = ()
    fill_value: Any = None
    order: str = "C"
    separator: str = "."
    null_fill: bool = False
    extra: dict[str, Any] = {}  # noqa: RUF012 - never changed

    @property
    def grid(self) -> tuple[int, ...]:
        """What has to be written by one process as a whole."""
        return self.shards or self.chunks


def describe(array: Any) -> Layout:
    """How an array is cut and packed."""
    if format_of(array) == 2:
        metadata = array if major() < 3 else array.metadata
        separator = getattr(metadata, "dimension_separator", None)
        if separator is None:
            separator = getattr(metadata, "_dimension_separator", None) or "."
        return Layout(
            2,
            tuple(array.chunks),
            None,
            tuple(_configuration(codec) for codec in _codecs2(metadata)),
            metadata.fill_value,
            metadata.order,
            separator,
            metadata.fill_value is None,
        )
    metadata = array.metadata
    codecs: Any = metadata.codecs
    if len(codecs) == 1 and hasattr(codecs[0], "chunk_shape"):  # sharding
        codecs = codecs[0].codecs
    encoding = metadata.chunk_key_encoding
    names = metadata.dimension_names
    return Layout(
        3,
        tuple(array.chunks),
        None if array.shards is None else tuple(array.shards),
        tuple(_configuration(codec) for codec in codecs),
        metadata.fill_value,
        "C",
        getattr(encoding, "separator", "/"),
        extra={} if names is None else {"dimension_names": tuple(names)},
    )


def _codecs2(metadata: Any) -> list[Any]:
    compressor = [] if metadata.compressor is None else [metadata.compressor]
    return [*(metadata.filters or ()), *compressor]


def _configuration(codec: Any) -> dict[str, Any]:
    """What a codec is, as JSON has it."""
    if hasattr(codec, "get_config"):
        return dict(codec.get_config())
    described = dict(codec.to_dict())
    described.setdefault("configuration", {})
    return described


def make_array(
    parent: Any,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    layout: Layout,
    attrs: dict[str, Any],
    more: dict[str, Any] | None = None,
) -> Any:
    """A new array in a group, of the same zarr format as the layout.

    Elements of objects are text or bytes, as the type's metadata say (``{"vlen": str}``). `more`
    are keywords of the library that come before what the layout says.
    """
    settings: dict[str, Any] = {"shape": shape, "dtype": dtype}
    if layout.zarr_format == 2:
        settings |= _settings2(dtype, layout)
    else:
        settings |= _settings3(layout)
    if dtype.kind == "O" and major() >= 3:
        from zarr.dtype import VariableLengthBytes, VariableLengthUTF8

        metadata: Any = dtype.metadata or {}
        of_bytes = metadata.get("vlen") is bytes
        settings["dtype"] = VariableLengthBytes() if of_bytes else VariableLengthUTF8()
    settings["chunks"] = layout.chunks
    settings |= more or {}
    with quiet():
        if major() < 3:
            array = parent.create_dataset(name, **settings)
            if attrs:
                array.attrs.put(attrs)
            return array
        return parent.create_array(name, attributes=attrs, **settings)


def _settings2(dtype: np.dtype[Any], layout: Layout) -> dict[str, Any]:
    from numcodecs import get_codec

    codecs = [get_codec(dict(config)) for config in layout.codecs]
    # What numcodecs calls filter and compressor differs in nothing but the place.
    filters, compressor = codecs[:-1], codecs[-1] if codecs else None
    if compressor is not None and is_object_codec(layout.codecs[-1]):
        filters, compressor = codecs, None
    settings: dict[str, Any] = {"filters": filters or None, "order": layout.order}
    if major() < 3:
        settings["compressor"] = compressor
        settings["dimension_separator"] = layout.separator
        settings["fill_value"] = layout.fill_value
        if dtype.kind == "O" and filters:
            settings["object_codec"], settings["filters"] = filters[0], filters[1:] or None
    else:
        settings["compressors"] = None if compressor is None else [compressor]
        settings["chunk_key_encoding"] = {"name": "v2", "separator": layout.separator}
        if layout.null_fill or layout.fill_value is not None:
            settings["fill_value"] = layout.fill_value
        if dtype.kind in "OT":
            settings["filters"] = filters[1:] or "auto"
    return settings


def is_object_codec(config: dict[str, Any]) -> bool:
    """Whether a codec of format 2 makes bytes of objects."""
    return str(config.get("id")) in {"vlen-utf8", "vlen-bytes", "vlen-array", "json2", "msgpack2"}


def _settings3(layout: Layout) -> dict[str, Any]:
    from zarr.abc.codec import ArrayArrayCodec, ArrayBytesCodec
    from zarr.registry import get_codec_class

    filters: list[Any] = []
    compressors: list[Any] = []
    settings: dict[str, Any] = {"filters": filters, "compressors": compressors, **layout.extra}
    for config in layout.codecs:
        codec = get_codec_class(config["name"])
        if issubclass(codec, ArrayArrayCodec):
            filters.append(config)
        elif issubclass(codec, ArrayBytesCodec):
            settings["serializer"] = config
        else:
            compressors.append(config)
    if layout.shards is not None:
        settings["shards"] = layout.shards
    if layout.fill_value is not None:
        settings["fill_value"] = layout.fill_value
    settings["chunk_key_encoding"] = {"name": "default", "separator": layout.separator}
    return settings


# ---- elements ----


def read(array: Any, index: tuple[slice, ...], out: Array) -> None:
    """Fill `out` with a part of an array."""
    if not out.size:
        return
    direct = out.flags.c_contiguous and out.dtype == array.dtype and out.ndim > 0
    if not direct or out.dtype.hasobject:
        out[...] = array[index]
    elif major() < 3:
        array.get_basic_selection(index, out=out)
    else:
        from zarr.core.buffer import default_buffer_prototype

        buffer = default_buffer_prototype().nd_buffer.from_ndarray_like(out)
        array.get_basic_selection(index, out=buffer)


def write(array: Any, index: tuple[slice, ...], part: Array) -> None:
    """Write a part of an array."""
    if major() >= 3 and _equal_without_being_same(array):
        array = array.with_config({"write_empty_chunks": True})
    try:
        # zarr-python 2 would make an array the one object of an array without axes.
        array[index] = part if part.ndim or not part.dtype.hasobject else part[()]
    except BaseException:
        settle(array.store)
        raise


def _equal_without_being_same(array: Any) -> bool:
    """Whether chunks that zarr leaves out, as equal to the fill value, may have other bits.

    It compares floats with zero bit by bit, but not complex numbers, fields of structures, nor
    NaN with NaN.
    """
    kind = array.dtype.kind
    if array.fill_value is None:  # what is read for a chunk that is not there is up to the reader
        return True
    return kind in "cV" or (kind == "f" and array.fill_value != 0)
