"""File formats: one module each, behind the small interface of `memdata.formats.tree`.

``tree``
    the words they share: nodes, plans, sources and targets
``memory``
    trees in memory
``hdf5``, ``hdf5_read``, ``hdf5_stored``, ``hdf5_write``, ``hdf5_copy``, ``hdf5_types``,
``hdf5_creation``, ``hdf5_attributes``, ``hdf5_filters``
    HDF5 through h5py
``hdf5_chunks``, ``hdf5_codecs``, ``hdf5_tiles``
    its chunks past it: packing, filters, reading
``zarr_library``, ``zarr_folder``, ``zarr_read``, ``zarr_write``, ``zarr_codecs``, ``zarr_types``,
``zarr_attributes``, ``zarr_links``
    zarr stores; the first is all that knows whether zarr-python 2 or 3 is there
``tagged``
    types that a format has not: what is stored instead, and how it comes back
``attributes``, ``strings``, ``references``, ``selections``, ``regions``, ``names``
    what an attribute, a string, a reference, an index, a name means in memory and on disk
"""

from __future__ import annotations

from typing import Any

__all__ = ["create_dataset_in", "is_zarr"]


def is_zarr(obj: object) -> bool:
    """Whether an object is one of zarr's."""
    return type(obj).__module__.partition(".")[0] == "zarr"


def create_dataset_in(
    group: Any,
    name: str,
    shape: Any = None,
    dtype: Any = None,
    data: Any = None,
    *,
    chunks: Any = None,
    compression: Any = None,
    compression_opts: Any = None,
    compressor: Any = None,
    **kwargs: Any,
) -> Any:
    """Make a dataset in an open group of a file, with compression named in either library's way.

    Parameters
    ----------
    group : h5py.Group or zarr.Group
        Where.
    name : str
        Path below the group; missing parents are made.
    shape, dtype, data, chunks
        As for h5py's ``create_dataset``.
    compression, compression_opts
        h5py's way to name a filter; see `memdata.fileformats.FileFormat.compression_kwargs`.
    compressor
        zarr's way.
    **kwargs
        Given to the library.

    Returns
    -------
    h5py.Dataset or zarr.Array
    """
    if is_zarr(group):
        from memdata.formats.zarr_write import create_array

        return create_array(
            group,
            name,
            shape,
            dtype,
            data,
            chunks,
            compression,
            compression_opts,
            compressor,
            kwargs,
        )
    from memdata.fileformats import H5FILTER, HDF5
    from memdata.formats.hdf5_filters import require_filter

    filters = HDF5.compression_kwargs(compression, compression_opts, compressor)
    if filters["compression"] == H5FILTER:
        require_filter(H5FILTER, "compression='bitshuffle'")
    return group.create_dataset(name, shape, dtype, data, chunks=chunks, **filters, **kwargs)
