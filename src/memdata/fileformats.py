"""The file formats that trees are stored in, and how compression is spelt in each.

The classes here are never instantiated; they name a format (``file_format=HDF5``) and answer what
the library behind it needs. Libraries are imported on first use.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, ClassVar

__all__ = [
    "BACKENDS",
    "H5FILTER",
    "H5_COMPRESS_LZ4",
    "HDF5",
    "FileFormat",
    "Zarr",
    "ZarrProcessSynchronizer",
    "check_file_format",
    "guess_file_format",
    "remove_file_or_dir",
]

#: HDF5's number of the bitshuffle filter.
H5FILTER = 32008

#: What the bitshuffle filter calls LZ4 among its options.
H5_COMPRESS_LZ4 = 2

_H5_COMPRESS_ZSTD = 3
_BITSHUFFLE_CODES = {"lz4": H5_COMPRESS_LZ4, "zstd": _H5_COMPRESS_ZSTD}


def is_bitshuffle(compression: Any) -> bool:
    """Whether `compression` is one of the spellings of the bitshuffle filter."""
    return compression in ("bitshuffle", H5FILTER, str(H5FILTER))


def bitshuffle_options(compression_opts: Any) -> tuple[int, ...]:
    """Block size (0: the filter's own choice), compressor code and, if given, level of bitshuffle.

    Parameters
    ----------
    compression_opts : tuple
        ``(blocksize or None, "lz4", "zstd" or code)``, for zstd also with a level behind.

    Raises
    ------
    ValueError
        Options that are missing or of another form.

    Examples
    --------
    >>> bitshuffle_options((None, "lz4"))
    (0, 2)
    >>> bitshuffle_options((None, "zstd", 9))
    (0, 3, 9)
    """
    try:
        blocksize, compressor, *level = compression_opts
        code = _BITSHUFFLE_CODES.get(compressor, compressor)
        if len(level) > 1 or (level and code != _H5_COMPRESS_ZSTD):
            raise ValueError(level)
        return int(blocksize or 0), int(code), *map(int, level)
    except (TypeError, ValueError):
        raise ValueError(
            "bitshuffle needs compression_opts=(blocksize or None, 'lz4' or code), "
            f"got {compression_opts!r}"
        ) from None


class _Lazy:
    """A class attribute that is a module, imported on first use; None where `optional`."""

    def __init__(self, *names: str, extra: str = "", optional: bool = False) -> None:
        self.names = names
        self.extra = extra
        self.optional = optional

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        for name in self.names:
            try:
                return importlib.import_module(name)
            except ImportError as error:
                failure = error
        if self.optional:
            return None
        raise ImportError(
            f"{self.names[0]} is needed for this; it comes with: pip install memdata[{self.extra}]"
        ) from failure


class FileFormat:
    """What all formats answer. The base class of `HDF5` and `Zarr`.

    Attributes
    ----------
    module : module
        The library behind the format (h5py, zarr).
    compression : module or None
        The library of additional compressors, where it is installed.
    """

    module: ClassVar[Any] = None
    compression: ClassVar[Any] = None

    @staticmethod
    def open(*args: Any, **kwargs: Any) -> Any:
        """Open a file. Takes the arguments of the library's own opener."""
        raise NotImplementedError("use HDF5 or Zarr")

    @staticmethod
    def compression_kwargs(
        compression: Any = None, compression_opts: Any = None, compressor: Any = None
    ) -> dict[str, Any]:
        """Keywords for ``create_dataset`` of the library behind the format.

        Parameters
        ----------
        compression, compression_opts
            h5py's way to name a filter: ``"gzip"``, ``"lzf"``, ``"szip"``, ``"bitshuffle"`` or a
            filter number, and its options.
        compressor
            zarr's way: an object of numcodecs.
        """
        raise NotImplementedError("use HDF5 or Zarr")


class HDF5(FileFormat):
    """HDF5 files, through h5py."""

    module = _Lazy("h5py")
    compression = _Lazy("hdf5plugin", extra="compression", optional=True)

    @staticmethod
    def open(*args: Any, **kwargs: Any) -> Any:
        """Open an HDF5 file: ``h5py.File(*args, **kwargs)``.

        Returns
        -------
        h5py.File
            The open file.
        """
        import h5py

        return h5py.File(*args, **kwargs)

    @staticmethod
    def compression_kwargs(
        compression: Any = None, compression_opts: Any = None, compressor: Any = None
    ) -> dict[str, Any]:
        """Keywords for h5py's ``create_dataset``.

        Raises
        ------
        ValueError
            Bitshuffle without valid options.
        NotImplementedError
            A `compressor` of numcodecs.

        Examples
        --------
        >>> HDF5.compression_kwargs("bitshuffle", (None, "lz4"))
        {'compression': 32008, 'compression_opts': (0, 2)}
        """
        if compressor is not None:
            raise NotImplementedError(f"HDF5 cannot use a numcodecs compressor: {compressor!r}")
        if is_bitshuffle(compression):
            compression, compression_opts = H5FILTER, bitshuffle_options(compression_opts)
        return {"compression": compression, "compression_opts": compression_opts}


class Zarr(FileFormat):
    """Zarr stores, through zarr-python 2 or 3 (``pip install memdata[zarr]``)."""

    module = _Lazy("zarr", extra="zarr")
    compression = _Lazy("numcodecs", extra="zarr", optional=True)

    #: Names of the codecs that may be decoded, a set. A program that registers a codec of its own
    #: with numcodecs or zarr adds its name. ``pickle`` is not among them: it runs what it reads.
    safe_codecs: ClassVar[set[str]] = {
        *("blosc", "bz2", "gzip", "lz4", "lzma", "zlib", "zstd", "pcodec", "zfpy"),
        *("astype", "bitround", "categorize", "delta", "fixedscaleoffset", "packbits", "quantize"),
        *("shuffle", "adler32", "crc32", "crc32c", "fletcher32", "jenkins_lookup3"),
        *("base64", "json2", "msgpack2", "vlen-array", "vlen-bytes", "vlen-utf8"),
        *("bytes", "endian", "transpose", "sharding_indexed", "cast_value", "scale_offset"),
    }

    @staticmethod
    def open(*args: Any, **kwargs: Any) -> Any:
        """Open a zarr group: ``zarr.open_group(*args, **kwargs)``.

        A path that ends in ``.zip``, or is a file, is that of a zip store. `zarr_format` is taken
        with both versions of the library.

        Returns
        -------
        zarr.Group
            The open store.
        """
        from memdata.formats.zarr_library import open_group

        return open_group(*args, **kwargs)

    @staticmethod
    def compression_kwargs(
        compression: Any = None, compression_opts: Any = None, compressor: Any = None
    ) -> dict[str, Any]:
        """Keywords for the ``create_dataset`` of zarr 2 (and of format 2 with zarr 3).

        Raises
        ------
        ValueError
            A filter that zarr does not have, bitshuffle without valid options, or both
            `compression` and `compressor`.

        Examples
        --------
        >>> Zarr.compression_kwargs("gzip", 4)
        {'compressor': GZip(level=4)}
        """
        if compression is None:
            return {"compressor": compressor}
        if compressor is not None:
            raise ValueError(
                f"both compression={compression!r} and compressor={compressor!r} are given"
            )
        from memdata.formats.zarr_codecs import compressor_of

        numcodecs = _numcodecs()
        config = compressor_of(compression, compression_opts)
        if config is None:
            raise ValueError(f"zarr has no filter {compression!r}")
        return {"compressor": numcodecs.get_codec(config)}


def _numcodecs() -> Any:
    if Zarr.compression is None:
        raise ImportError("numcodecs is needed for this; it comes with: pip install memdata[zarr]")
    return Zarr.compression


#: The formats by name.
BACKENDS: dict[str, type[FileFormat]] = {"HDF5": HDF5, "Zarr": Zarr}


class ZarrProcessSynchronizer:
    """Locks for zarr 2's chunks among processes, removed when the block is left.

    Parameters
    ----------
    name : str or os.PathLike
        Folder for the lock files.
    comm : communicator, optional
        Only rank 0 removes the folder, after all ranks have left the block.

    Notes
    -----
    zarr 3 has no synchronizers: entering the block gives None there, which its functions take.
    """

    def __init__(self, name: str | os.PathLike[str], comm: Any = None) -> None:
        self.name = os.fspath(name)
        self.comm = comm

    def __enter__(self) -> Any:
        synchronizer = getattr(Zarr.module, "ProcessSynchronizer", None)
        return None if synchronizer is None else synchronizer(self.name)

    def __exit__(self, *exc_info: object) -> None:
        from memdata import mpitools

        if self.comm is not None:
            mpitools.barrier(self.comm)
        if self.comm is None or self.comm.rank == 0:
            remove_file_or_dir(self.name)


def remove_file_or_dir(name: str | os.PathLike[str]) -> None:
    """Remove a file, a link, or a folder with all its content; nothing there is no error."""
    try:
        if os.path.isdir(name) and not os.path.islink(name):
            import shutil

            shutil.rmtree(name)
        else:
            os.unlink(name)
    except FileNotFoundError:
        pass


def guess_file_format(
    name: str | os.PathLike[str], default: type[FileFormat] = HDF5
) -> type[FileFormat]:
    """The format that a file name stands for.

    Parameters
    ----------
    name : str or os.PathLike
        ``*.zarr``, ``*.zarr.zip`` or an existing folder: Zarr. ``*.h5``, ``*.hdf5``: HDF5.
    default : FileFormat
        The answer for all other names.

    Examples
    --------
    >>> guess_file_format("day3.zarr").__name__, guess_file_format("day3.dat").__name__
    ('Zarr', 'HDF5')
    """
    text = os.fsdecode(name)
    if text.rstrip("/").endswith((".zarr", ".zarr.zip")) or os.path.isdir(text):
        return Zarr
    if text.endswith((".h5", ".hdf5")):
        return HDF5
    return default


def check_file_format(
    filename: str | os.PathLike[str], file_format: type[FileFormat] | None, data: Any
) -> type[FileFormat]:
    """The format to write `filename` in, after checking that all parties agree.

    Parameters
    ----------
    filename : str or os.PathLike
        The target.
    file_format : FileFormat or None
        What the caller asked for; None takes the format that the name stands for.
    data : object
        What will be written. An open h5py or zarr group has a format of its own.

    Raises
    ------
    ValueError
        The name, the argument or the data stand for different formats.
    """
    of_name = _format_of_name(filename)
    of_data = _format_of_data(data)
    chosen = file_format or of_name or of_data or HDF5
    for what, found in (("the file name", of_name), ("the data", of_data)):
        if found is not None and found is not chosen:
            raise ValueError(
                f"{os.fspath(filename)!r}: {what} stands for {found.__name__}, "
                f"not for {chosen.__name__}"
            )
    return chosen


def _format_of_name(filename: str | os.PathLike[str]) -> type[FileFormat] | None:
    """The format a name stands for, or None where it says nothing."""
    first = guess_file_format(filename, HDF5)
    return first if guess_file_format(filename, Zarr) is first else None


def _format_of_data(data: Any) -> type[FileFormat] | None:
    package = type(data).__module__.partition(".")[0]
    return {"h5py": HDF5, "zarr": Zarr}.get(package)
