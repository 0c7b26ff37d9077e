"""`MemGroup`: a tree of groups and datasets in memory."""

from __future__ import annotations

import os
import warnings
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from memdata import _cmemdata, links
from memdata.h5api import arraytypes, creation, texts
from memdata.h5api.errors import NoShapeError
from memdata.h5api.groups import GroupWords, copy_into

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from memdata.fileformats import FileFormat
    from memdata.formats.hints import HintsLike

__all__ = ["MemGroup", "_BaseGroup", "_StorageRoot"]

FileName = str | os.PathLike[str]


class _StorageRoot(_cmemdata._StorageRoot):
    """The root node of a tree in memory; it owns the whole tree.

    Indexing it with an absolute path walks the tree, with a plain name it is a dict.

    Parameters
    ----------
    distributed : bool
        Whether the tree may hold distributed datasets.
    comm : mpi4py.MPI.Comm or None
        The communicator they are distributed over. None with ``distributed=True`` is the world
        communicator, where there is MPI.

    Raises
    ------
    KeyError
        Nothing has that name.
    ValueError
        A relative path with a slash in it.

    Examples
    --------
    >>> from memdata import _Storage, _StorageRoot
    >>> root = _StorageRoot()
    >>> root["a"] = _Storage(b=_Storage())
    >>> root["/a/b"] is root["a"]["b"], root["/"] is root
    (True, True)
    """

    #: Of the groups that `parent` and `file` of a dataset give; None: `MemGroup`.
    _handle_class: type[Any] | None = None

    def __init__(self, distributed: bool = False, comm: Any = None) -> None:
        if distributed and comm is None:
            from memdata import mpitools

            comm = mpitools.world
        super().__init__(distributed, comm)


class _BaseGroup(GroupWords, _cmemdata._BaseGroup):
    """A handle on a group: a mapping of names and paths to groups and datasets.

    Look-ups, iteration, membership and deletion work in memory and, for containers, on open
    files alike. A handle keeps its tree alive; the tree does not know its handles.

    Parameters
    ----------
    storage_root : object or None
        The tree, or an open group of a file.
    name : str
        Absolute name in the tree.
    """

    # -- making things ---------------------------------------------------------------------

    def create_group(self, name: str, **kw: Any) -> Self:
        """Make a group, with the parents that are missing.

        Collective if the tree is distributed.

        Parameters
        ----------
        name : str
            Relative or absolute path.
        **kw
            `track_order`, `track_times`: for saving, as h5py takes them; in memory the order is
            always that of creation.

        Returns
        -------
        MemGroup
            A handle on the new group.

        Raises
        ------
        ValueError
            Something has that name, a dataset is on the way, or the name is empty, the root,
            or has a component ``.`` or ``..`` or a NUL character.

        Examples
        --------
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> g.create_group("a/b").name
        '/a/b'
        """
        if not kw:
            return self._create_group(name)
        kept = creation.normalised_group(kw, name)
        group = self._create_group(name)
        group._get_storage()._creation.update(kept)
        return group

    def create_dataset(
        self,
        name: str | None,
        shape: Any = None,
        dtype: DTypeLike | None = None,
        data: ArrayLike | Any = None,
        distributed: bool = False,
        distributed_axis: int | None = None,
        chunks: tuple[int, ...] | None = None,
        compression: Any = None,
        compression_opts: Any = None,
        **kw: Any,
    ) -> Any:
        """Make a dataset, with the parents that are missing; one that is there is replaced.

        Parameters
        ----------
        name : str
            Relative or absolute path.
        shape : int or tuple of int, optional
            Shape; needed without `data`. Data of another shape but as many elements are reshaped.
        dtype : data-type, optional
            Type of the elements: float64, or that of `data`.
        data : array-like, optional
            An ndarray of the shape and dtype asked for is not copied: writing to it shows in the
            dataset and the other way round. Anything else is copied, with casting; str, bytes and
            lists of them become HDF5's strings, which read as bytes. An ``h5py.Empty`` makes a null
            dataspace. Without data the elements are zero.
        distributed, distributed_axis
            Distribute the dataset over the communicator, along that axis. An `MPIArray` as data
            always makes a distributed dataset, redistributed (which is collective) if
            `distributed_axis` is given. In a tree without communicator the dataset is common, with
            a warning.
        chunks : tuple of int, optional
            Chunk shape for saving: one length per axis, cut down to it.
        compression, compression_opts
            Filter and options for saving, as h5py takes them.
        **kw
            h5py's other keywords: `maxshape` (allows `resize`), `fillvalue`, `fill_time`,
            `shuffle`, `fletcher32`, `scaleoffset`, `track_order`, `track_times`, kept for saving.
            Those that tune an open file (`rdcc_nbytes`, `efile_prefix` ...) are ignored.

        Returns
        -------
        MemDataset
            A handle that shares data and attributes with the stored dataset.

        Raises
        ------
        ValueError
            A group has that name or a dataset is on the way; the name is not valid; neither shape
            nor data (a TypeError too); data or chunks that do not fit the shape; a filter that HDF5
            has not.
        TypeError
            An unknown keyword; a masked array.
        RuntimeError
            A distributed dataset in a tree that is not, on another communicator, or without data
            and `distributed_axis`.

        Examples
        --------
        >>> import numpy as np
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> a = np.zeros(3)
        >>> d = g.create_dataset("x", data=a)
        >>> d[0] = 5.0
        >>> a
        array([5., 0., 0.])
        """
        if data is None:
            if shape is None:
                raise NoShapeError(self._no_shape(name, dtype))
        elif data.__class__ is not np.ndarray and dtype is None:
            dtype = texts.guessed_type(data)
        if kw or name is None or _is_more(dtype, chunks, compression, compression_opts):
            return self._create_with(
                kw,
                name,
                (shape, dtype, data, distributed, distributed_axis),
                (chunks, compression, compression_opts),
            )
        if distributed or distributed_axis is not None or isinstance(data, _cmemdata._MPIArray):
            if self._can_distribute(name, data):
                array = self._distributed_array(name, shape, dtype, data, distributed_axis)
                return self._store_distributed(name, array, chunks, compression, compression_opts)
            data = getattr(data, "local_array", data)
        try:
            return self._create_common(
                name, shape, dtype, data, chunks, compression, compression_opts
            )
        except MemoryError:
            if data is not None or shape is None:
                raise
            data = self._reserved(name, shape, dtype)
            return self._create_common(
                name, None, None, data, chunks, compression, compression_opts
            )

    def _no_shape(self, name: str | None, dtype: Any) -> str:
        path = "a dataset" if name is None else self._absolute(name)
        return (
            f"{path}: a new dataset needs a shape or data; data=h5py.Empty(dtype) makes a null "
            f"dataspace (asked for: shape None, dtype {dtype})"
        )

    def _reserved(self, name: str, shape: Any, dtype: Any) -> Any:
        """Memory for more than there is, which costs some only where it is written."""
        try:
            return creation.reserved(shape, dtype)
        except (MemoryError, OSError) as error:
            raise MemoryError(f"cannot create {self._absolute(name)}: {error}") from None

    def _create_with(
        self,
        kw: dict[str, Any],
        name: str | None,
        content: tuple[Any, ...],
        packing: tuple[Any, ...],
    ) -> Any:
        """`create_dataset` with h5py's other keywords and ways to say things.

        The dataset is made apart from the tree, and put into it when all is known to fit.
        """
        shape, dtype, data, distributed, axis = content
        chunks, compression, options = packing
        path = "/dataset" if name is None else self._absolute(name)
        kept = creation.normalised(kw, path)
        compression, options = creation.compression_of(compression, options, path)
        kept |= links.type_in_files(dtype)
        dtype = links.type_of(dtype)
        if dtype is not None and np.dtype(dtype).subdtype is not None:
            shape, data, more = arraytypes.create(shape, np.dtype(dtype), data, path)
            dtype, kept = np.dtype(dtype).base, {**kept, **more}
        data = creation.elements(data, dtype, path)
        if name is not None and (
            distributed or axis is not None or isinstance(data, _cmemdata._MPIArray)
        ):
            if self._can_distribute(name, data):
                array = self._distributed_array(name, shape, dtype, data, axis)
                made: Any = _cmemdata.MemDatasetDistributed.from_mpi_array(array, name=path)
                creation.attach(made, kept, chunks, path)
                made.compression, made.compression_opts = compression, options
                return self._insert_dataset(name, made)
            data = getattr(data, "local_array", data)
        apart = MemGroup()
        try:
            made = apart._create_common(path, shape, dtype, data, None, compression, options)
        except MemoryError:
            if data is not None or shape is None:
                raise
            made = apart._create_common(
                path, None, None, self._reserved(path, shape, dtype), None, compression, options
            )
        creation.attach(made, kept, chunks, path)
        if data is None:
            creation.clear(made.data)
            if kept.get("fill_time") != "never":
                creation.filled(made.data, kept.get("fillvalue"))
        if name is not None:
            return self._insert_dataset(name, made)
        made._name, made._storage_root = "", None
        return made

    def _can_distribute(self, name: str, data: Any = None) -> bool:
        """Whether the tree has a communicator; RuntimeError where it must not be distributed."""
        path = self._absolute(name)
        foreign = getattr(data, "comm", None)
        if self.comm is None and foreign is None:
            warnings.warn(
                f"there is no MPI communicator: {path} becomes a common dataset", stacklevel=3
            )
            return False
        if not self.distributed:
            raise RuntimeError(f"{path} cannot be distributed: its tree is not")
        if isinstance(data, _cmemdata._MPIArray) and foreign != self.comm:
            raise RuntimeError(f"{path}: the array has another communicator than the tree")
        return True

    def _distributed_array(
        self, name: str, shape: Any, dtype: Any, data: Any, axis: int | None
    ) -> Any:
        """The array of a new distributed dataset."""
        from memdata.mpiarray import MPIArray, zeros

        path = self._absolute(name)
        if data is None:
            if axis is None:
                raise RuntimeError(f"{path}: a distributed dataset needs distributed_axis or data")
            if shape is None:
                raise ValueError(f"{path}: a new dataset needs a shape or data")
            return zeros(shape, axis, self.comm, dtype=np.float64 if dtype is None else dtype)
        if not isinstance(data, MPIArray):
            raise TypeError(
                f"{path}: the data of a distributed dataset must be an MPIArray, not "
                f"{type(data).__name__}; see MPIArray.wrap and dataset_common_to_distributed"
            )
        wanted = (shape,) if isinstance(shape, int | np.integer) else shape
        if wanted is not None and tuple(wanted) != data.global_shape:
            raise ValueError(
                f"{path}: data of shape {data.global_shape} do not fit the shape {tuple(wanted)}"
            )
        if dtype is not None and data.dtype != np.dtype(dtype):
            data = data.astype(dtype)
        return data if axis is None else data.redistribute(axis)

    def _store_distributed(
        self, name: str, array: Any, chunks: Any, compression: Any, compression_opts: Any
    ) -> Any:
        stored = _cmemdata.MemDatasetDistributed.from_mpi_array(
            array, chunks, compression, compression_opts, name=self._absolute(name)
        )
        return self._insert_dataset(name, stored)

    def dataset_common_to_distributed(self, name: str, distributed_axis: int = 0) -> Any:
        """Distribute a common dataset over the communicator, keeping all else.

        Collective for a dataset that is distributed already: that is redistributed, with a warning.

        Parameters
        ----------
        name : str
            Relative or absolute path of a dataset; the same data on every rank.
        distributed_axis : int
            Axis to cut it along.

        Returns
        -------
        MemDataset
            A handle on the dataset. Each rank keeps a copy of its part. Without a communicator it
            stays common, with a warning.

        Raises
        ------
        RuntimeError
            The tree is not distributed.
        AxisException
            The dataset has no such axis.
        """
        from memdata.mpiarray import MPIArray

        old = self._dataset(name)
        if isinstance(old, _cmemdata.MemDatasetDistributed):
            warnings.warn(f"{old.name} is a distributed dataset already", stacklevel=2)
            old.redistribute(distributed_axis)
            return old
        if not self._can_distribute(name):
            return old
        array = MPIArray(old.shape, distributed_axis, self.comm, dtype=old.dtype)
        array[...] = old.data[(slice(None),) * array.axis + (array.local_bounds,)]
        new = self._store_distributed(
            name, array, old.chunks, old.compression, old.compression_opts
        )
        new.attrs.update(old.attrs)
        return new

    def dataset_distributed_to_common(self, name: str) -> Any:
        """Gather a distributed dataset on every rank, keeping all else. Collective.

        Parameters
        ----------
        name : str
            Relative or absolute path of a dataset; a common one stays, with a warning.

        Returns
        -------
        MemDataset
            A handle on the dataset.
        """
        old = self._dataset(name)
        if not isinstance(old, _cmemdata.MemDatasetDistributed):
            warnings.warn(f"{old.name} is a common dataset already", stacklevel=2)
            return old
        new = self._create_common(
            name,
            None,
            None,
            old.data.allgather(),
            old.chunks,
            old.compression,
            old.compression_opts,
        )
        new.attrs.update(old.attrs)
        return new

    def _dataset(self, name: str) -> Any:
        found = self[name]
        if not isinstance(found, _cmemdata.MemDataset):
            raise TypeError(f"{self._absolute(name)} is a group, expected a dataset")
        return found

    def require_group(self, name: str) -> Self:
        """The group of that name, made where it is missing.

        Parameters
        ----------
        name : str
            Relative or absolute path.

        Returns
        -------
        _BaseGroup
            Of the same class as this one.

        Raises
        ------
        TypeError
            A dataset has that name.

        Examples
        --------
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> g.require_group("a/b") == g.require_group("a/b")
        True
        """
        found = self.get(name)
        if found is None:
            try:
                return self.create_group(name)
            except ValueError:
                found = self.get(name)  # another thread may have been faster
                if found is None:
                    raise
        if not isinstance(found, _cmemdata._BaseGroup):
            raise TypeError(f"{self._absolute(name)} is a dataset, expected a group")
        return found  # type: ignore[return-value]

    def require_dataset(self, name: str, shape: Any, dtype: DTypeLike, **kw: Any) -> Any:
        """The dataset of that name, made where it is missing.

        Parameters
        ----------
        name : str
            Relative or absolute path.
        shape : int or tuple of int
            Shape that it must have.
        dtype : data-type
            Type that it must be able to hold.
        **kw
            ``exact=True``: the dtype must be the very same. ``maxshape``: that must be the same,
            and the shape may be another. All else for `create_dataset`, when it is made.

        Returns
        -------
        MemDataset
            A handle, sharing data with the stored dataset.

        Raises
        ------
        TypeError
            A group has that name, or a dataset of another shape, or of a type that `dtype`
            cannot be cast to safely.

        Examples
        --------
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> g.require_dataset("x", (2,), "f8").shape
        (2,)
        """
        exact = kw.pop("exact", False)
        found = self.get(name)
        if found is None:
            return self.create_dataset(name, shape=shape, dtype=dtype, **kw)
        path = self._absolute(name)
        if isinstance(found, _cmemdata._BaseGroup):
            raise TypeError(f"{path} is a group, expected a dataset")
        wanted = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        most = kw.get("maxshape")
        if most is not None and found.maxshape != most:
            raise TypeError(f"{path} has the maxshape {found.maxshape}, expected {most}")
        if most is None and found.shape != wanted:
            raise TypeError(f"{path} has the shape {found.shape}, expected {wanted}")
        asked = np.dtype(dtype)
        if exact and asked != found.dtype:
            raise TypeError(f"{path} has the dtype {found.dtype}, expected {asked}")
        if not np.can_cast(asked, found.dtype, casting="safe"):
            raise TypeError(f"{path} has the dtype {found.dtype}, which cannot hold {asked}")
        return found

    # -- links ---------------------------------------------------------------------------------

    def _assign(self, name: str, value: Any) -> None:
        """``self[name] = value``; the native type calls it."""
        links.assign(self, name, value)

    def _get_kind(self, name: str, default: Any, getclass: bool, getlink: bool) -> Any:
        """``self.get(name, default, getclass, getlink)``; the native type calls it."""
        return links.kind_of(self, name, default, getclass, getlink)

    def _absolute(self, name: str) -> str:
        """The absolute path that `name` means in this group."""
        return _cmemdata.format_abs_path(name if name[:1] == "/" else f"{self.name}/{name}")

    def __repr__(self) -> str:
        try:
            children = len(self)
        except (KeyError, RuntimeError, ValueError):
            return f"<{type(self).__name__} {self.name!r}: not there>"
        count = "1 child" if children == 1 else f"{children} children"
        return f"<{type(self).__name__} {self.name!r}: {count}{self._where()}>"

    def _where(self) -> str:
        """What `repr` says of the place of the data; never asks other ranks, nor starts MPI."""
        storage = self._get_storage()
        if isinstance(storage, _cmemdata._Storage):
            root = getattr(self._storage_root, "_storage_root", self._storage_root)
            comm = getattr(root, "comm", None) if getattr(root, "distributed", False) else None
            return "" if comm is None else f", distributed over {comm.size} ranks"
        file = getattr(getattr(storage, "file", None), "filename", None)
        return (
            f", in the file {file!r}"
            if file
            else f", in a {type(storage).__module__.partition('.')[0]} store"
        )


def _is_more(dtype: Any, chunks: Any, compression: Any, options: Any) -> bool:
    """Whether something is said in a way that needs more than a look: the ordinary takes none."""
    if chunks.__class__ is bool:
        return True
    if compression is None:
        more = options is not None
    elif isinstance(compression, str):
        more = compression == "gzip" or (options is not None and compression == "lzf")
    else:
        more = compression.__class__ is not int or compression < 256
    if more:
        return True
    if isinstance(dtype, np.dtype):
        return dtype.hasobject or dtype.subdtype is not None
    if dtype.__class__ is str:
        return dtype[:1] in "(0123456789"  # of arrays
    return dtype.__class__ is tuple or (
        dtype is not None and dtype.__class__ is not type and hasattr(dtype, "dtype")
    )


MutableMapping.register(_cmemdata._BaseGroup)
Mapping.register(_cmemdata.ro_dict)
KeysView.register(_cmemdata._GroupKeys)
ValuesView.register(_cmemdata._GroupValues)
ItemsView.register(_cmemdata._GroupItems)


class MemGroup(_BaseGroup):
    """A group in memory; made by itself, the root of a new tree.

    Parameters
    ----------
    distributed : bool
        Whether the tree may hold distributed datasets.
    comm : mpi4py.MPI.Comm or None
        The communicator they are distributed over; None with ``distributed=True`` is the world.

    Examples
    --------
    >>> import numpy as np
    >>> import memdata
    >>> g = memdata.MemGroup()
    >>> d = g.create_dataset("a/x", data=np.arange(3))
    >>> d.attrs["unit"] = "K"
    >>> g["a"], g["a/x"]
    (<MemGroup '/a': 1 child>, <memh5 common dataset '/a/x': shape (3,), type "dtype('int64')">)
    """

    def __init__(self, distributed: bool = False, comm: Any = None) -> None:
        super().__init__(_StorageRoot(distributed=distributed, comm=comm), "/")

    @property
    def mode(self) -> str:
        """Always "r+": trees in memory can be changed."""
        return "r+"

    def copy(
        self,
        source: Any,
        dest: Any,
        name: str | None = None,
        shallow: bool = False,
        expand_soft: bool = False,
        expand_external: bool = False,
        expand_refs: bool = False,
        without_attrs: bool = False,
    ) -> None:
        """Copy a group or dataset, with all that is below it, as h5py's `copy`.

        Parameters
        ----------
        source : str, group or dataset
            What to copy: a path in this group, or an object of any tree or file.
        dest : str or group
            A path in this group, or a group of any tree or file to copy into.
        name : str, optional
            The name in the group `dest`; else that of the source.
        shallow : bool
            Of a group, only its own members; subgroups stay empty.
        expand_soft : bool
            Copy what soft links lead to; else the links.
        expand_external, expand_refs : bool
            Taken for h5py's sake: external links and references are copied as they are.
        without_attrs : bool
            Leave attributes out.

        Raises
        ------
        KeyError
            There is nothing at `source`.
        ValueError
            The new name is taken.

        Examples
        --------
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> g["a/x"] = [1, 2]
        >>> g.copy("a", "b")
        >>> list(g["b"])
        ['x']
        """
        copy_into(
            self,
            source,
            dest,
            name,
            shallow,
            expand_soft,
            expand_external,
            expand_refs,
            without_attrs,
        )

    # -- loading -----------------------------------------------------------------------------

    @classmethod
    def from_group(
        cls,
        group: Any,
        *,
        strict: bool = False,
        max_bytes: int | None = None,
        follow_external: bool = False,
    ) -> Self:
        """A new tree in memory with all that is in a group.

        Parameters
        ----------
        group : MemGroup, MemDiskGroup, open h5py or zarr group, or file name
            It becomes the root of the new tree. Data and attributes are copied.
        strict, max_bytes, follow_external
            As for `from_file`, where the group is one of a file.

        Returns
        -------
        MemGroup
            The root of the new tree, on the same communicator.

        Examples
        --------
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> d = g.create_dataset("a/x", (2,))
        >>> memdata.MemGroup.from_group(g["a"])["x"].shape
        (2,)
        """
        if isinstance(group, str | os.PathLike):
            return cls.from_file(
                group, strict=strict, max_bytes=max_bytes, follow_external=follow_external
            )
        source = group._get_storage() if isinstance(group, _cmemdata._BaseGroup) else group
        self = cls(
            distributed=bool(getattr(group, "distributed", False)),
            comm=getattr(group, "comm", None),
        )
        if isinstance(source, _cmemdata._Storage):
            _cmemdata.copy_tree(source, self._get_storage())
        else:
            from memdata import transfer

            transfer.load_group(
                self._get_storage(),
                source,
                strict=strict,
                max_bytes=max_bytes,
                follow_external=follow_external,
            )
        return self

    @classmethod
    def from_file(
        cls,
        filename: FileName,
        distributed: bool = False,
        hints: HintsLike = True,
        comm: Any = None,
        selections: Mapping[str, Any] | None = {},
        convert_dataset_strings: bool = False,
        convert_attribute_strings: bool = True,
        file_format: type[FileFormat] | None = None,
        **kw: Any,
    ) -> Self:
        """Load a whole file into a new tree.

        Collective over `comm` if distributed.

        Parameters
        ----------
        filename : str or path-like
            The file; with the file it is only read.
        distributed : bool
            Make a distributed tree, and with `hints` distribute the datasets that say so.
        hints : bool, str, list of str or dict
            Whether to follow what the file says of distribution. The name of an axis (or several)
            distributes every dataset that has it, as its ``attrs["axis"]`` tells, along it; a dict
            ``{path: {"distributed": bool, "axis": int or str}}`` says it of each dataset.
        comm : mpi4py.MPI.Comm or None
            Communicator of the new tree.
        selections : dict
            Dataset path to NumPy index (slice, list of int, mask, tuple of these); only what is
            selected is read.
        convert_dataset_strings, convert_attribute_strings : bool
            Turn byte strings into str.
        file_format : FileFormat or None
            HDF5 or Zarr; None guesses from the name.
        **kw
            `progress` (True: show a bar; or a callable of bytes done and bytes in all); `mover`
            ("direct" or "mpio": how the ranks move their parts of distributed datasets; None asks
            ``MEMDATA_MOVER``; "mpio" is parallel HDF5, for which h5py must have been built);
            `strict` (True: what h5py cannot read is an error; otherwise it is left out, and a
            warning lists it); `max_bytes` (the most that may be allocated); `follow_external`
            (True: load what external links lead to; otherwise they stay links; and read external
            storage and virtual datasets of other files, which are left out otherwise); all else
            goes to the opener of the file.

        Returns
        -------
        MemGroup
            The root of the new tree.

        Raises
        ------
        FileNotFoundError
            There is no such file.
        OSError
            It cannot be read as its format; with `strict`, not all of it.
        MemoryError
            More than `max_bytes`, or than the machine has; the message names the path.
        ValueError
            A selection that names no dataset or does not fit.
        """
        from memdata import transfer

        self = cls(distributed=distributed, comm=comm)
        transfer.load_file(
            self._get_storage(),
            filename,
            file_format=file_format,
            selections=selections,
            convert_dataset_strings=convert_dataset_strings,
            convert_attribute_strings=convert_attribute_strings,
            distributed=distributed,
            hints=hints,
            comm=self.comm if distributed else None,
            **kw,
        )
        return self

    @classmethod
    def from_hdf5(
        cls,
        filename: FileName,
        distributed: bool = False,
        hints: HintsLike = True,
        comm: Any = None,
        selections: Mapping[str, Any] | None = {},
        convert_dataset_strings: bool = False,
        convert_attribute_strings: bool = True,
        **kw: Any,
    ) -> Self:
        """Load a whole HDF5 file into a new tree; see `from_file`.

        Examples
        --------
        >>> import os, tempfile
        >>> import h5py
        >>> import memdata
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     name = os.path.join(folder, "file.h5")
        ...     with h5py.File(name, "w") as f:
        ...         f["a/x"] = [[1, 2], [3, 4]]
        ...     g = memdata.MemGroup.from_hdf5(name, selections={"a/x": (slice(None), 1)})
        >>> g["a/x"][:]
        array([2, 4])
        """
        from memdata.fileformats import HDF5

        return cls.from_file(
            filename,
            distributed=distributed,
            hints=hints,
            comm=comm,
            selections=selections,
            convert_dataset_strings=convert_dataset_strings,
            convert_attribute_strings=convert_attribute_strings,
            file_format=HDF5,
            **kw,
        )

    # -- saving ------------------------------------------------------------------------------

    def to_file(
        self,
        filename: FileName,
        mode: str = "w",
        hints: bool = True,
        convert_attribute_strings: bool = True,
        convert_dataset_strings: bool = False,
        file_format: type[FileFormat] | None = None,
        **kw: Any,
    ) -> None:
        """Save the group and all below it.

        The file appears, or replaces an old one, only when all is written: after any failure the
        old file is as it was. Collective if distributed.

        Parameters
        ----------
        filename : str or path-like
            The file.
        mode : {"w", "w-", "x", "a", "r+"}
            "w" replaces a file that is there, "w-" and "x" refuse to, "a" and "r+" add to it.
        hints : bool
            Whether to write which datasets are distributed.
        convert_attribute_strings, convert_dataset_strings : bool
            Turn unicode arrays into what the format can hold.
        file_format : FileFormat or None
            HDF5 or Zarr; None guesses from the name.
        **kw
            `progress` and `mover` as in `from_file`; `durable` (True: on the disk before it
            returns); `checksum` (True: with checksums for `memdata.verify`); all else goes to the
            opener of the file.

        Raises
        ------
        TypeError
            Something that the format cannot hold; nothing was written.
        OSError
            The file cannot be written.
        """
        from memdata import transfer

        transfer.save_file(
            self._get_storage(),
            filename,
            mode=mode,
            file_format=file_format,
            hints=hints,
            convert_dataset_strings=convert_dataset_strings,
            convert_attribute_strings=convert_attribute_strings,
            comm=self.comm if self.distributed else None,
            **kw,
        )

    def to_hdf5(
        self,
        filename: FileName,
        mode: str = "w",
        hints: bool = True,
        convert_attribute_strings: bool = True,
        convert_dataset_strings: bool = False,
        **kw: Any,
    ) -> None:
        """Save the group and all below it as HDF5; see `to_file`.

        Examples
        --------
        >>> import os, tempfile
        >>> import memdata
        >>> g = memdata.MemGroup()
        >>> d = g.create_dataset("x", data=[1, 2, 3])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     name = os.path.join(folder, "file.h5")
        ...     g.to_hdf5(name)
        ...     memdata.MemGroup.from_hdf5(name)["x"][:]
        array([1, 2, 3])
        """
        from memdata.fileformats import HDF5

        self.to_file(
            filename,
            mode=mode,
            hints=hints,
            convert_attribute_strings=convert_attribute_strings,
            convert_dataset_strings=convert_dataset_strings,
            file_format=HDF5,
            **kw,
        )


_cmemdata._bind(group_class=MemGroup)
