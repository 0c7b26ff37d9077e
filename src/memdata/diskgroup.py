"""`MemDiskGroup`: a group in memory or in a file, and the base of users' container classes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, overload

import numpy as np

from memdata import _cmemdata, links
from memdata._cmemdata import MemDatasetDistributed, check_new_path
from memdata.axes import Axis, axis_number
from memdata.fileformats import HDF5, FileFormat, Zarr, check_file_format
from memdata.formats import create_dataset_in, is_zarr
from memdata.group import FileName, MemGroup, _BaseGroup
from memdata.h5api.groups import copy_into
from memdata.trust import PLAIN, find_class

__all__ = ["MemDiskGroup"]

_SUBCLASS_ATTRIBUTE = "__memh5_subclass"


def _is_name(value: Any) -> bool:
    return isinstance(value, str | os.PathLike)


class MemDiskGroup(_BaseGroup):
    """A group whose data are in memory or in an open file; the base class of containers.

    A container class derives from it, may restrict names (`group_name_allowed`,
    `dataset_name_allowed`), translate ``<axis>_sel`` keywords of `from_file` into selections
    (`_make_selections`), and finish a load (`_finish_setup`). Subgroups are of the same class.

    Parameters
    ----------
    data_group : None, MemDiskGroup, MemGroup, open h5py or zarr group, or file name
        Where the data are: None makes a new tree in memory; a container or a group is shared, not
        copied; a file is opened with mode "a", and closed by `close`.
    distributed : bool
        Make the new tree distributed; with data given, demand that they are.
    comm : mpi4py.MPI.Comm or None
        Communicator of the new tree; None is the world.
    file_format : FileFormat or None
        Of the file to open; None guesses from the name.

    Raises
    ------
    ValueError
        `distributed` for data in a file, or for a tree that is not distributed or has another
        communicator.

    Examples
    --------
    >>> import numpy as np
    >>> import memdata
    >>> class Spectrum(memdata.MemDiskGroup):
    ...     @property
    ...     def freq(self):
    ...         return self["index_map/freq"][:]
    >>> s = Spectrum()
    >>> d = s.create_dataset("index_map/freq", data=np.array([400.0, 800.0]))
    >>> s.freq
    array([400., 800.])
    """

    def __init__(
        self,
        data_group: Any = None,
        distributed: bool = False,
        comm: Any = None,
        file_format: type[FileFormat] | None = None,
    ) -> None:
        self._opened = False
        if data_group is None:
            data = MemGroup(distributed=distributed, comm=comm)
            # Made from nothing it lives on the world communicator, which is looked up when
            # somebody asks: that starts MPI.
            data._comm_is_world = comm is None  # type: ignore[attr-defined]
        else:
            data = self._data_of(data_group, distributed, comm, file_format)
            self._opened = _is_name(data_group)
        super().__init__(data, "/")

    @staticmethod
    def _data_of(
        data_group: Any, distributed: bool, comm: Any, file_format: type[FileFormat] | None
    ) -> Any:
        """The group that holds the data of what the constructor was given."""
        if isinstance(data_group, MemDiskGroup):
            inner = data_group._data
            data_group = inner if data_group.name == "/" else inner[data_group.name]
        if isinstance(data_group, MemGroup):
            if distributed and not data_group.distributed:
                raise ValueError(f"distributed=True, but {data_group!r} is not distributed")
            if distributed and comm is not None and comm != data_group.comm:
                raise ValueError(f"{data_group!r} is distributed over another communicator")
            return data_group
        if distributed:
            raise ValueError(f"distributed=True, but the data are in a file: {data_group!r}")
        from memdata.copying import get_file, is_group

        if _is_name(data_group):
            return get_file(data_group, file_format=file_format, mode="a")[0]
        if not is_group(data_group):
            raise TypeError(
                "data_group must be None, a group, a container or a file name, "
                f"not {type(data_group).__name__}"
            )
        return data_group

    # -- what it is made of --------------------------------------------------------------------

    @property
    def _data(self) -> Any:
        """The group around which this is: a `MemGroup`, or an open group of a file."""
        return self._storage_root

    @property
    def ondisk(self) -> bool:
        """Whether the data are in a file."""
        return not isinstance(self._storage_root, MemGroup)

    @property
    def comm(self) -> Any:
        """The communicator of the data in memory, or None."""
        data = self._storage_root
        if getattr(data, "_comm_is_world", False):
            from memdata import mpitools

            return mpitools.world
        return super().comm

    def flush(self) -> None:
        """Write what an open file still buffers; nothing in memory."""
        if self.ondisk:
            file = getattr(self._data, "file", self._data)
            if hasattr(file, "flush"):
                file.flush()

    def close(self) -> None:
        """Close the file if this opened it."""
        if self._opened and self.ondisk:
            _close(self._data)
        self._opened = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # -- making one from a group or a file -----------------------------------------------------

    @classmethod
    def from_group(cls, data_group: Any = None, detect_subclass: bool = True) -> Self:
        """A container around a group, built without calling the class's ``__init__``.

        Parameters
        ----------
        data_group : None, MemDiskGroup, MemGroup, open h5py or zarr group, or file name
            Shared, not copied.
        detect_subclass : bool
            Return the class that the root attribute ``__memh5_subclass`` names, where it may be
            found (see `memdata.trust`).

        Returns
        -------
        MemDiskGroup
            Of this class, or of the one that the group names.

        Raises
        ------
        RuntimeError
            The group names something that is not a `MemDiskGroup` subclass.
        """
        opened = False
        if _is_name(data_group):
            from memdata.copying import get_file

            data_group, opened = get_file(data_group, mode="a")
        try:
            actual = cls
            if detect_subclass and data_group is not None:
                actual = cls._resolve_subclass(cls._detect_subclass_path(data_group))
            self: Self = actual.__new__(actual)
            MemDiskGroup.__init__(self, data_group=data_group)
        except BaseException:
            if opened:
                _close(data_group)
            raise
        self._opened = opened
        return self

    @classmethod
    def from_file(
        cls,
        file_: Any,
        ondisk: bool = False,
        distributed: bool = False,
        comm: Any = None,
        detect_subclass: bool = True,
        convert_attribute_strings: bool | None = None,
        convert_dataset_strings: bool | None = None,
        file_format: type[FileFormat] | None = None,
        **kw: Any,
    ) -> Self:
        """A container with the content of a file.

        The class's ``__init__`` is not called; `_finish_setup` is. Collective over `comm` if
        distributed.

        Parameters
        ----------
        file_ : str, path-like or open h5py or zarr group
            A file, or the group to load.
        ondisk : bool
            Leave the data in the file, which stays open: read-only unless `mode` says otherwise.
        distributed, comm
            As for `MemGroup.from_file`.
        detect_subclass : bool
            Return the class that the file names; see `from_group`.
        convert_attribute_strings, convert_dataset_strings : bool or None
            Turn byte strings into str. None asks the class attribute of that name, else True for
            attributes and False for datasets.
        file_format : FileFormat or None
            None guesses from the name.
        **kw
            ``<axis>_sel=selection``: what `_make_selections` of this class turns into selections
            of datasets. `progress`, `mover`, `strict`, `max_bytes` and `follow_external` as in
            `MemGroup.from_file`. All else goes to the opener.

        Returns
        -------
        MemDiskGroup
            Of this class, or of the one that the file names.

        Raises
        ------
        ValueError
            Selections that the class does not know, together with `ondisk`, or lists along
            several axes of one dataset.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np
        >>> import memdata
        >>> class Spectrum(memdata.MemDiskGroup):
        ...     @classmethod
        ...     def _make_selections(cls, sel_args):
        ...         return {"power": (sel_args.get("freq", slice(None)),)}
        >>> s = Spectrum()
        >>> d = s.create_dataset("power", data=np.arange(5.0))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     name = os.path.join(folder, "spectrum.h5")
        ...     s.save(name)
        ...     Spectrum.from_file(name, freq_sel=slice(1, 3), detect_subclass=False)["power"][:]
        array([1., 2.])
        """
        sel_args = {key[:-4]: kw.pop(key) for key in list(kw) if key.endswith("_sel")}
        if ondisk:
            if distributed:
                raise ValueError(f"distributed=True, but the data stay in the file: {file_!r}")
            if sel_args:
                raise ValueError(
                    f"data that stay in the file cannot be selected from: {_axes(sel_args)}"
                )
            from memdata.copying import get_file

            for name in ("strict", "max_bytes", "follow_external"):
                kw.pop(name, None)  # nothing is loaded
            kw.setdefault("mode", "r")
            data, opened = get_file(file_, file_format=file_format, **kw)
        else:
            opened = False
            data = cls._load(
                file_,
                distributed=distributed,
                comm=comm,
                selections=cls._selections(sel_args),
                convert_attribute_strings=cls._convert("attribute", convert_attribute_strings),
                convert_dataset_strings=cls._convert("dataset", convert_dataset_strings),
                file_format=file_format,
                **kw,
            )
        try:
            self = cls.from_group(data, detect_subclass=detect_subclass)
            self._opened = opened
            self._finish_setup()
        except BaseException:
            if opened:
                _close(data)
            raise
        return self

    @staticmethod
    def _load(file_: Any, distributed: bool, comm: Any, **options: Any) -> MemGroup:
        if _is_name(file_):
            return MemGroup.from_file(file_, distributed=distributed, comm=comm, **options)
        from memdata import transfer

        options.pop("file_format")
        data = MemGroup(distributed=distributed, comm=comm)
        transfer.load_group(
            data._get_storage(),
            file_,
            distributed=distributed,
            comm=data.comm if distributed else None,
            **options,
        )
        return data

    @classmethod
    def _selections(cls, sel_args: dict[str, Any]) -> Mapping[str, Any]:
        if not sel_args:
            return {}
        selections = cls._make_selections(sel_args)
        if selections is None:
            raise ValueError(
                f"{cls.__name__} cannot select along {_axes(sel_args)}: its _make_selections says "
                "along which axes; selections={path: index} selects of any dataset"
            )
        from memdata.formats.selections import IfThere

        for path, index in selections.items():
            # NumPy pairs the lists; what is selected along one axis has nothing to do with another.
            parts = index if isinstance(index, tuple) else ()
            if sum(np.ndim(part) > 0 for part in parts if not isinstance(part, slice)) > 1:
                raise ValueError(
                    f"{path}: lists along several axes ({_axes(sel_args)}) select point by point; "
                    "take slices, or select along one axis after loading"
                )
        return IfThere(selections)

    @classmethod
    def _make_selections(cls, sel_args: dict[str, Any]) -> Mapping[str, Any] | None:
        """Turn ``{axis: selection}`` into ``{dataset path: index}``; a subclass does.

        Parameters
        ----------
        sel_args : dict
            What was given as ``<axis>_sel=...`` to `from_file`.

        Returns
        -------
        dict or None
            As `MemGroup.from_file` takes it, but that it may name datasets that a file has not.
        """
        warnings.warn(
            f"{cls.__name__} does not define _make_selections: it cannot select along "
            f"{_axes(sel_args)}",
            stacklevel=2,
        )
        return None

    def _finish_setup(self) -> None:
        """Called when `from_file` has everything in place; for subclasses."""

    @classmethod
    def _detect_subclass_path(cls, group: Any) -> str | None:
        """The "package.module.Class" that a group names, or None."""
        path = group.attrs.get(_SUBCLASS_ATTRIBUTE)
        if isinstance(path, bytes):
            path = path.decode("utf-8", "replace")
        return None if path is None else str(path)

    @classmethod
    def _resolve_subclass(cls, path: str | None) -> type[Self]:
        """The class of that path; this class for None or, with a warning, where there is none.

        Raises
        ------
        RuntimeError
            What is there is not a subclass of `MemDiskGroup`.
        """
        if path is None:
            return cls
        why = "is neither imported nor in a package that is trusted (memdata.trust)"
        try:
            found = find_class(path)
        except ImportError as error:
            found, why = None, f"cannot be imported: {error}"
        if found is None:
            warnings.warn(f"the class {path!r} {why}: using {cls.__name__}", stacklevel=3)
            return cls
        if not isinstance(found, type) or not issubclass(found, MemDiskGroup):
            raise RuntimeError(f"{path} is not a subclass of MemDiskGroup: {found!r}")
        return found  # type: ignore[return-value]

    @classmethod
    def _convert(cls, what: str, given: bool | None) -> bool:
        if given is not None:
            return bool(given)
        return bool(getattr(cls, f"convert_{what}_strings", what == "attribute"))

    # -- making things in it ---------------------------------------------------------------------

    def _new_path(self, name: str, is_group: bool) -> str:
        """The absolute path for something new, after asking the hooks for all groups on the way."""
        check_new_path(name)
        path = self._absolute(name)
        cuts = [i for i, letter in enumerate(path) if letter == "/" and i > 0]
        for part, group in [*((path[:i], True) for i in cuts), (path, is_group)]:
            if not (self.group_name_allowed if group else self.dataset_name_allowed)(part):
                kind = "group" if group else "dataset"
                raise ValueError(
                    f"cannot create {path!r}: {part!r} is not a {kind} name that "
                    f"{type(self).__name__} allows"
                )
        return path

    def create_group(self, name: str, **kw: Any) -> Self:
        """Make a group, with the parents that are missing.

        Parameters
        ----------
        name : str
            Relative or absolute path.
        **kw
            As `MemGroup.create_group`, or for data in a file what its library takes.

        Raises
        ------
        ValueError
            The class does not allow the name, or as `MemGroup.create_group`.
        """
        if not self.ondisk:
            return super().create_group(name, **kw)
        path = self._new_path(name, is_group=True)
        _check_free(self._data, path)
        self._data.create_group(path[1:], **kw)
        return self[path]  # type: ignore[no-any-return]

    def create_dataset(self, name: str | None, *args: Any, **kw: Any) -> Any:
        """Make a dataset, with the parents that are missing.

        Parameters
        ----------
        name : str
            Relative or absolute path.
        *args, **kw
            As `MemGroup.create_dataset`, or for data in a file what its library takes;
            compression is translated to it.

        Returns
        -------
        MemDataset, h5py.Dataset or zarr.Array
            The new dataset.

        Raises
        ------
        ValueError
            The class does not allow the name, or as `MemGroup.create_dataset`.
        """
        if not self.ondisk:
            return super().create_dataset(name, *args, **kw)
        if name is None:
            raise TypeError("a dataset in a file needs a name")
        path = self._new_path(name, is_group=False)
        if kw.pop("distributed", False) or kw.pop("distributed_axis", None) is not None:
            raise RuntimeError(f"{path} cannot be distributed: it is in a file")
        _check_free(self._data, path)
        return _create_in_file(self._data, path[1:], *args, **kw)

    def _assign(self, name: str, value: Any) -> None:
        if not self.ondisk:
            return super()._assign(name, value)
        path = self._new_path(name, is_group=hasattr(value, "create_group"))
        _check_free(self._data, path)
        if is_zarr(self._data):
            _assign_in_store(self._data, path, value)
        else:
            self._data[path[1:]] = value._get_storage() if isinstance(value, _BaseGroup) else value
        return None

    def _get_kind(self, name: str, default: Any, getclass: bool, getlink: bool) -> Any:
        if not self.ondisk:
            return super()._get_kind(name, default, getclass, getlink)
        if getlink and is_zarr(self._data):
            import h5py

            if name not in self:
                return default
            return h5py.HardLink if getclass else h5py.HardLink()  # there are no others
        if getlink:
            return self._data.get(self._absolute(name)[1:], default, getclass, getlink)
        found = self.get(name)
        return default if found is None else type(found)

    def move(self, source: str, dest: str) -> None:
        """As `MemGroup.move`; in a zarr store, which cannot rename, by a copy that is then left."""
        if not self.ondisk:
            super().move(source, dest)
            return
        old = self._absolute(source).rstrip("/")
        if self.get(source, getlink=True) is None:
            raise KeyError(f"{old} is missing: the file has nothing of that name")
        found = self.get(source)
        new = self._new_path(dest, is_group=hasattr(found, "create_group"))
        if old == new:
            return
        if new.startswith(old + "/"):
            raise ValueError(f"{old} cannot be moved into itself, to {new}")
        if new in self:
            raise ValueError(f"{old} cannot be moved to {new}: that is already there")
        if is_zarr(self._data):
            _assign_in_store(self._data, new, found)
            del self._data[old[1:]]
        else:
            self._data.move(old, new)

    def dataset_common_to_distributed(self, name: str, distributed_axis: int = 0) -> Any:
        """As `MemGroup.dataset_common_to_distributed`; RuntimeError for data in a file."""
        self._check_in_memory(name)
        return super().dataset_common_to_distributed(name, distributed_axis)

    def dataset_distributed_to_common(self, name: str) -> Any:
        """As `MemGroup.dataset_distributed_to_common`; RuntimeError for data in a file."""
        self._check_in_memory(name)
        return super().dataset_distributed_to_common(name)

    def _check_in_memory(self, name: str) -> None:
        if self.ondisk:
            raise RuntimeError(f"{self._absolute(name)} is in a file: it cannot be distributed")

    def redistribute(self, dist_axis: Axis) -> None:
        """Cut all distributed datasets along the axis of that name. Collective.

        Parameters
        ----------
        dist_axis : str, int or list of str
            Name of an axis: each distributed dataset whose ``attrs["axis"]`` (the names of its
            axes) has it is cut along it; of several names the first that a dataset has. Or the
            number of an axis. Datasets without that axis stay as they are.

        Raises
        ------
        RuntimeError
            The data are in a file.
        CollectiveError
            On all ranks, before anything moves: they give different names, or would cut different
            datasets.
        """
        if self.ondisk:
            raise RuntimeError(f"the data are in a file and not distributed: {self!r}")
        from memdata.ranks.collective import together

        comm = self.comm if self.distributed else None
        if isinstance(dist_axis, np.integer):
            dist_axis = int(dist_axis)
        elif not isinstance(dist_axis, str | int):
            dist_axis = tuple(dist_axis)
        with together(comm, f"redistribute {self.name} along {dist_axis!r}") as step:
            found = [
                (dataset, axis_number(dataset.attrs, dataset.ndim, dist_axis))
                for dataset in _datasets(self)
            ]
            step.facts(**{f"axis of {dataset.name}": axis for dataset, axis in found})
        for dataset, axis in found:
            if axis is not None:
                dataset.redistribute(axis)

    # -- copies, memory and files ----------------------------------------------------------------

    def to_memory(self) -> Self:
        """A container of this class with the data in memory: itself where they are.

        Returns
        -------
        MemDiskGroup
            Its own tree if the data were in a file.
        """
        if not self.ondisk:
            return self
        return self._around(MemGroup.from_group(self))

    @overload
    def copy(self, shared: Iterable[str] = ..., shallow: bool = ...) -> Self: ...

    @overload
    def copy(self, shared: Any, shallow: Any) -> None: ...

    def copy(
        self,
        shared: Any = [],  # noqa: B006 - never changed
        shallow: Any = False,
    ) -> Any:
        """A container of this class around a copy, in memory, of this group and all below.

        With a path or a group as second argument it is h5py's, ``container.copy("a", "b")``: see
        `MemGroup.copy`.

        Parameters
        ----------
        shared : list of str
            Datasets (paths from this group, a leading slash is optional) that the copy shares
            with this container instead of copying them.
        shallow : bool
            Share all datasets. Groups and their attributes are always copied.

        Returns
        -------
        MemDiskGroup
            A new tree; None where it is h5py's `copy`.

        Examples
        --------
        >>> import memdata
        >>> c = memdata.MemDiskGroup()
        >>> c["a/x"] = [1, 2]
        >>> c.copy("a", "b")
        >>> list(c["b"]), list(c.copy())
        (['x'], ['a', 'b'])
        """
        if isinstance(shallow, str | bytes) or hasattr(shallow, "create_group"):
            return copy_into(self, shared, shallow)
        from memdata.copying import deep_group_copy

        new = MemGroup(distributed=bool(self.distributed), comm=super().comm)
        if getattr(self._data, "_comm_is_world", False):
            new._comm_is_world = True  # type: ignore[attr-defined]
        if self.ondisk:
            from memdata import transfer

            transfer.load_group(new._get_storage(), self._get_storage())
        else:
            deep_group_copy(
                self, new, convert_attribute_strings=False, shared=list(shared), shallow=shallow
            )
        return self._around(new)

    def _around(self, data: Any) -> Self:
        """A container of this very class around a group."""
        new: Self = type(self).__new__(type(self))
        MemDiskGroup.__init__(new, data_group=data)
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def save(
        self,
        filename: FileName,
        convert_attribute_strings: bool | None = None,
        convert_dataset_strings: bool | None = None,
        file_format: type[FileFormat] = HDF5,
        **kw: Any,
    ) -> None:
        """Save the group and all below it; the name of the class goes into the file.

        The file appears, or replaces an old one, only when all is written. Collective if
        distributed.

        Parameters
        ----------
        filename : str or path-like
            The file.
        convert_attribute_strings, convert_dataset_strings : bool or None
            Turn unicode arrays into what the format can hold. None asks the attribute of that
            name, else True for attributes and False for datasets.
        file_format : FileFormat
            HDF5 or Zarr.
        **kw
            `mode`, `progress`, `mover`, `durable` and others as in `MemGroup.to_file`.

        Raises
        ------
        ValueError
            The name and the format disagree.
        TypeError
            Something that the format cannot hold; nothing was written.

        Examples
        --------
        >>> import os, tempfile
        >>> import memdata
        >>> c = memdata.MemDiskGroup()
        >>> d = c.create_dataset("x", data=[1, 2, 3], chunks=(2,), compression="gzip")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     name = os.path.join(folder, "file.h5")
        ...     c.save(name)
        ...     memdata.MemDiskGroup.from_file(name)["x"].compression
        'gzip'
        """
        from memdata import transfer

        cls = type(self)
        extra = {}
        if _SUBCLASS_ATTRIBUTE not in self.attrs:
            plain = cls is MemDiskGroup
            extra[_SUBCLASS_ATTRIBUTE] = PLAIN if plain else f"{cls.__module__}.{cls.__qualname__}"
        transfer.save_file(
            self._get_storage(),
            filename,
            file_format=check_file_format(filename, file_format, self._data),
            convert_attribute_strings=self._convert_own("attribute", convert_attribute_strings),
            convert_dataset_strings=self._convert_own("dataset", convert_dataset_strings),
            extra_attrs=extra,
            comm=self._data.comm if self.distributed else None,
            **kw,
        )

    def _convert_own(self, what: str, given: bool | None) -> bool:
        if given is not None:
            return bool(given)
        return bool(getattr(self, f"convert_{what}_strings", what == "attribute"))

    def to_disk(self, filename: FileName, file_format: type[FileFormat] = HDF5, **kw: Any) -> Self:
        """Save, and return a container of this class around the open file.

        Parameters
        ----------
        filename : str or path-like
            The file; with `mode` as in `save`.
        file_format : FileFormat
            HDF5 or Zarr.
        **kw
            As in `save`.

        Returns
        -------
        MemDiskGroup
            Around the file, open for reading and writing; `close` closes it.

        Raises
        ------
        NotImplementedError
            The data are distributed.
        """
        if self.distributed:
            raise NotImplementedError(f"distributed data cannot be turned into a file: {self!r}")
        self.save(filename, file_format=file_format, **kw)
        from memdata.copying import get_file

        data, opened = get_file(filename, file_format=file_format, mode="r+")
        new = self._around(data)
        new._opened = opened
        return new


def _datasets(group: Any) -> list[Any]:
    """The distributed datasets below a group: in the same order on all ranks."""
    found = []
    for _, child in sorted(group.items()):
        if isinstance(child, MemDatasetDistributed):
            found.append(child)
        elif isinstance(child, _BaseGroup):
            found.extend(_datasets(child))
    return found


def _axes(sel_args: Mapping[str, Any]) -> str:
    return ", ".join(repr(axis) for axis in sorted(sel_args))


def _close(group: Any) -> None:
    """Close the file or store that an open group belongs to."""
    file: Any = getattr(group, "file", None)
    if file is None:
        file = getattr(group, "store", None)
    if hasattr(file, "close"):
        file.close()


def _foreign_dataset(found: Any) -> Any:
    """What a look-up in an open file gives for a dataset."""
    if is_zarr(found):
        from memdata.formats.zarr_datasets import dataset

        return dataset(found)
    return found


_cmemdata._bind(foreign_dataset=_foreign_dataset)


_STORED = ("chunks", "compression", "compression_opts", "shuffle", "fletcher32")


def _assign_in_store(group: Any, path: str, value: Any) -> None:
    """``group[path] = value`` in an open zarr group: copies of groups and datasets, new arrays."""
    from memdata.copying import copyattrs, deep_group_copy

    if links.is_link(value) or links.is_h5py(value, "HardLink"):
        raise TypeError(f"cannot create {path}: a zarr store has no links")
    if isinstance(value, np.dtype | links.NamedType):
        raise TypeError(f"cannot create {path}: a zarr store has no named types")
    if hasattr(value, "create_group"):
        deep_group_copy(value, group.create_group(path[1:]), file_format=Zarr)
    elif hasattr(value, "attrs") and hasattr(value, "shape"):
        kept = {key: getattr(value, key, None) for key in _STORED}
        array = create_dataset_in(group, path[1:], data=np.asarray(value[()]), **kept)
        copyattrs(value.attrs, array.attrs)
    else:
        create_dataset_in(group, path[1:], data=value)


def _create_in_file(
    group: Any,
    path: str,
    shape: Any = None,
    dtype: Any = None,
    data: Any = None,
    *,
    compression: Any = None,
    compression_opts: Any = None,
    **kw: Any,
) -> Any:
    """A new dataset in an open group, the filter named as memory names it."""
    if compression is None and compression_opts is not None:
        raise TypeError(f"/{path}: compression_opts={compression_opts!r} without compression")
    if shape is None and data is None:
        raise ValueError(f"/{path}: a new dataset needs a shape or data (dtype {dtype})")
    if is_zarr(group):
        kw.update(compression=compression, compression_opts=compression_opts)
        made = create_dataset_in(group, path.strip("/"), shape, dtype, data, **kw)
        return _foreign_dataset(made)
    if compression is not None:
        kw.update(HDF5.compression_kwargs(compression, compression_opts))
    given = {"shape": shape, "dtype": dtype, "data": data}
    kw.update((key, value) for key, value in given.items() if value is not None)
    return group.create_dataset(path, **kw)


def _check_free(data: Any, path: str) -> None:
    """ValueError where something is there already in an open file, or a dataset is on the way."""
    for cut in [*(i for i, letter in enumerate(path) if letter == "/" and i > 0), len(path)]:
        found = data.get(path[1:cut])
        if found is not None and (cut == len(path) or not hasattr(found, "create_group")):
            kind = "group" if hasattr(found, "create_group") else "dataset"
            raise ValueError(f"cannot create {path}: {path[:cut]} is already there, a {kind}")
