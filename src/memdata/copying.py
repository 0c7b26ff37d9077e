"""Copying groups, datasets and attributes between memory, HDF5 and zarr."""

from __future__ import annotations

import posixpath
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from memdata import _cmemdata, fileformats
from memdata.formats.attributes import attrs2dict, copyattrs, to_memory
from memdata.formats.memory import MemorySource
from memdata.formats.selections import check_used, normalised, resolve
from memdata.formats.tree import DatasetNode, Options

__all__ = [
    "attrs2dict",
    "copyattrs",
    "deep_copy_dataset",
    "deep_group_copy",
    "get_file",
    "get_h5py_File",
    "is_group",
]


def is_group(obj: Any) -> bool:
    """Whether `obj` is a group, in memory or of an open file: it can create groups.

    Examples
    --------
    >>> is_group({}), is_group(_cmemdata.MemDatasetCommon((2,), "f8"))
    (False, False)
    """
    return hasattr(obj, "create_group")


def get_file(
    f: Any, file_format: type[fileformats.FileFormat] | None = None, **kwargs: Any
) -> tuple[Any, bool]:
    """An open group for what may be a file name or an open group.

    Parameters
    ----------
    f : str, os.PathLike or group
        A file name is opened; a group is returned as it is.
    file_format : FileFormat, optional
        None guesses from the name.
    **kwargs
        Given to the opener, `mode` for instance.

    Returns
    -------
    group
        The open group.
    opened : bool
        Whether it was opened here, so that the caller should close it.

    Raises
    ------
    OSError
        The file cannot be opened; the message names it.
    """
    if is_group(f):
        return f, False
    from memdata.transfer.load import file_name

    name = file_name(f)
    chosen = file_format or fileformats.guess_file_format(name)
    if chosen is fileformats.HDF5:
        from memdata.formats.hdf5 import open_group

        return open_group(name, kwargs.pop("mode", "r"), **kwargs), True
    return chosen.open(name, **kwargs), True


def get_h5py_File(f: Any, **kwargs: Any) -> tuple[Any, bool]:  # noqa: N802 - a name users know
    """`get_file` for HDF5."""
    return get_file(f, file_format=fileformats.HDF5, **kwargs)


def _node_of(group: Any) -> Any:
    """The `_Storage` of a group in memory, or the open group of one on disk."""
    if isinstance(group, _cmemdata._Storage):
        return group
    if isinstance(group, _cmemdata._BaseGroup):
        node = group._get_storage()
        return _node_of(node) if isinstance(node, _cmemdata._BaseGroup) else node
    if is_group(group):
        return group
    raise TypeError(f"not a group but a {type(group).__name__}: {group!r:.80}")


def deep_group_copy(
    g1: Any,
    g2: Any,
    selections: Mapping[str, Any] | None = None,
    convert_dataset_strings: bool = False,
    convert_attribute_strings: bool = True,
    file_format: type[fileformats.FileFormat] = fileformats.HDF5,
    skip_distributed: bool = False,
    postprocess: Callable[[Any, Any], object] | None = None,
    shallow: bool = False,
    shared: Iterable[str] | None = None,
    *,
    follow_external: bool = False,
) -> list[str]:
    """Copy all groups, attributes and datasets below one group into another.

    Parameters
    ----------
    g1, g2 : group
        Source and target: in memory, or open groups of h5py or zarr, in any combination.
    selections : mapping, optional
        NumPy indexes by dataset path (from `g1`); what they select is copied.
    convert_dataset_strings : bool
        To disk: unicode arrays become ASCII byte strings (else they are refused). To memory from
        disk: byte strings become unicode.
    convert_attribute_strings : bool
        To disk: unicode arrays are accepted. To memory: bytes become str.
    file_format : FileFormat
        Kept for callers that pass it: an open group has its own format.
    skip_distributed : bool
        To disk: create distributed datasets empty instead of refusing them.
    postprocess : callable, optional
        Called with (source, target) for every group and dataset.
    shallow : bool
        In memory: the datasets of the copy are those of the original.
    shared : iterable of str, optional
        In memory: the paths (from `g1`) of datasets that are not copied.
    follow_external : bool
        From an open HDF5 file: copy what its external links lead to, and datasets whose elements
        are in other files; else links stay links, and those datasets are left out with a warning.

    Returns
    -------
    list of str
        The paths of the distributed datasets that were created empty (see `skip_distributed`).

    Raises
    ------
    ValueError
        A selection that does not fit or is of a shared dataset; a name that the target has
        already; a distributed dataset on its way to a file.
    TypeError
        What the target cannot hold. Nothing has been written then.

    Examples
    --------
    >>> import memdata
    >>> source, target = memdata.MemGroup(), memdata.MemGroup()
    >>> vis = source.create_dataset("obs/vis", data=np.arange(6.0).reshape(2, 3))
    >>> deep_group_copy(source, target, selections={"obs/vis": np.s_[:, 1:]})
    []
    >>> target["obs/vis"][:]
    array([[1., 2.],
           [4., 5.]])
    """
    del file_format
    shared = [shared] if isinstance(shared, str) else list(shared or ())
    source, target = _node_of(g1), _node_of(g2)
    in_memory = isinstance(target, _cmemdata._Storage)
    if in_memory and isinstance(source, _cmemdata._Storage):
        _copy_in_memory(source, target, selections, convert_attribute_strings, shallow, shared)
        if postprocess is not None:
            _postprocess(g1, g2, source, postprocess)
        return []
    if shallow or shared:
        warnings.warn(
            "shallow and shared copies are possible in memory only; everything is copied",
            UserWarning,
            stacklevel=2,
        )
    from memdata import transfer

    if in_memory:
        transfer.load_group(
            target,
            source,
            selections=selections,
            convert_dataset_strings=convert_dataset_strings,
            convert_attribute_strings=convert_attribute_strings,
            follow_external=follow_external,
        )
        skipped: list[str] = []
        if postprocess is not None:
            _postprocess(g1, g2, target, postprocess)
    else:
        skipped = transfer.write_group(
            source,
            target,
            selections=selections,
            convert_dataset_strings=convert_dataset_strings,
            convert_attribute_strings=convert_attribute_strings,
            skip_distributed=skip_distributed,
            follow_external=follow_external,
            postprocess=None
            if postprocess is None
            else lambda path: _call_postprocess(g1, g2, path, postprocess),
        )
    return skipped


def _copy_in_memory(
    source: Any,
    target: Any,
    selections: Mapping[str, Any] | None,
    convert_strings: bool,
    shallow: bool,
    shared: list[str],
) -> None:
    wanted = normalised(selections)
    same = {_absolute(path) for path in shared}
    clash = sorted(same & set(wanted)) or (sorted(wanted) if shallow else [])
    if clash:
        raise ValueError(f"a shared dataset cannot have a selection: {', '.join(clash)}")
    replaced = _selected(source, wanted) if wanted else None
    for path in same:
        _check_dataset(source, path)
    copies = _cmemdata.copy_tree(
        source, target, sort=True, shallow=shallow, shared=same or None, replaced=replaced
    )
    for attrs in copies:
        for name, value in attrs.items():
            attrs[name] = to_memory(value, convert_strings=convert_strings, decode=False)


def _check_dataset(source: Any, path: str) -> None:
    """Refuse a path in `shared` that is not a dataset: it would be copied without a word."""
    try:
        found = _at(source, path) if path != "/" else source
    except KeyError:
        found = None
    if not isinstance(found, _cmemdata.MemDataset):
        raise ValueError(f"shared names {path}, where the source has no dataset")


def _absolute(path: str) -> str:
    return posixpath.join("/", *[part for part in path.split("/") if part])


def _selected(source: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    """The selected data, copied, by path."""
    replaced = {}
    datasets = {}
    for node in MemorySource(source).plan(Options(skip_distributed=True)).nodes:
        if isinstance(node, DatasetNode) and node.path in wanted:
            datasets[node.path] = node
    check_used(wanted, set(datasets))
    for path, node in datasets.items():
        if node.array is None:
            raise ValueError(f"{path}: a selection of a distributed dataset")
        selection = resolve(wanted[path], node.shape, node.dtype.itemsize, path, ())
        part = np.asarray(node.array[selection.index])
        replaced[path] = part.copy() if np.may_share_memory(part, node.array) else part
    return replaced


def _postprocess(g1: Any, g2: Any, tree: Any, postprocess: Callable[[Any, Any], object]) -> None:
    """Call `postprocess` on every node of a tree in memory that was just copied."""
    options = Options(skip_distributed=True)
    for node in MemorySource(tree).plan(options).nodes:
        _call_postprocess(g1, g2, node.path, postprocess)


def _call_postprocess(
    g1: Any, g2: Any, path: str, postprocess: Callable[[Any, Any], object]
) -> None:
    if path == "/":
        postprocess(g1, g2)
    else:
        postprocess(_at(g1, path), _at(g2, path))


def _at(group: Any, path: str) -> Any:
    """The object at a path below a group; a `_Storage` is walked step by step."""
    if isinstance(group, _cmemdata._Storage):
        for part in path.strip("/").split("/"):
            if not isinstance(group, _cmemdata._Storage):
                raise KeyError(path)
            group = group[part]
        return group
    return group[path.lstrip("/")]


def deep_copy_dataset(dset: Any, order: str = "A") -> Any:
    """A copy of a dataset that shares nothing with it.

    Parameters
    ----------
    dset : MemDataset
        A dataset in memory.
    order : {"C", "F", "A", "K"}
        Layout of the copy's elements, as for `numpy.ndarray.copy`.

    Returns
    -------
    MemDataset
    """
    return dset.copy(order=order)
