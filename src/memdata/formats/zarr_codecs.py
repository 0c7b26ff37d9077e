"""Filters in the words of h5py and of zarr, and what each becomes in the other's.

The words between the two are numcodecs' configurations (``{"id": "zstd", "level": 3}``), which is
also what the zarr format 2 writes. Format 3 has names of its own for some of them.

===================== ===================================== =============================
h5py                  numcodecs (format 2)                  format 3
===================== ===================================== =============================
``"gzip"``, level     ``gzip`` (``zlib`` is read, too)      ``gzip``
``"bitshuffle"``      ``blosc``, bits shuffled              ``blosc``
32001 (blosc)         ``blosc``                             ``blosc``
32026 (blosc2)        ``blosc``, comes back as 32001        ``blosc``
32015 (zstd)          ``zstd``                              ``zstd``
32004 (lz4)           ``lz4``                               ``numcodecs.lz4``
307 (bzip2)           ``bz2``                               ``numcodecs.bz2``
32013 (zfp)           ``zfpy``, where zfpy is installed     ``numcodecs.zfpy``
``shuffle=True``      ``shuffle``                           ``numcodecs.shuffle``
``fletcher32=True``   ``fletcher32``                        ``numcodecs.fletcher32``
===================== ===================================== =============================

What has no counterpart is replaced, with a warning: into zarr by zstd, ``"lzf"`` by LZ4 in Blosc;
into h5py's words by gzip. ``scaleoffset`` and checksums are left out.
"""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterable
from typing import Any

import numpy as np

from memdata.fileformats import Zarr, bitshuffle_options, is_bitshuffle
from memdata.formats.tree import Filters

__all__ = [
    "check_codecs",
    "codecs_of",
    "compressor_of",
    "filters_of",
    "in_format",
]

Config = dict[str, Any]

_GZIP, _BZIP2, _BLOSC, _LZ4, _BITSHUFFLE, _ZFP, _ZSTD, _BLOSC2 = (
    1,
    307,
    32001,
    32004,
    32008,
    32013,
    32015,
    32026,
)
_BLOSC_NAMES = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
_BLOSC2_NAMES = ("blosclz", "lz4", "lz4hc", None, "zlib", "zstd")
_SHUFFLES = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
_SHUFFLE_NUMBERS = {name: number for number, name in _SHUFFLES.items()}

#: Names that format 3 has itself; all else is called ``numcodecs.NAME`` there.
_CORE = {"blosc", "gzip", "zstd", "crc32c", "vlen-utf8", "vlen-bytes"}


def check_codecs(configs: Iterable[Config], path: str) -> None:
    """Refuse codecs that are not known to be safe.

    Raises
    ------
    ValueError
        Names the codec.
    """
    for config in configs:
        name = _name(config)
        if name not in Zarr.safe_codecs:
            raise ValueError(
                f"{path}: packed by the codec {name!r}, which is not decoded: it is not known to "
                "be safe (memdata.fileformats.Zarr.safe_codecs)"
            )
        inner = config.get("configuration", {})
        for key in ("codecs", "index_codecs"):
            check_codecs(inner.get(key, ()), path)


def _name(config: Config) -> str:
    name = str(config.get("id") or config.get("name"))
    return name.removeprefix("numcodecs.")


# ---- from h5py's words ----


def compressor_of(compression: Any, options: Any) -> Config | None:
    """Numcodecs' configuration for a compression in h5py's words; None where there is none.

    Raises
    ------
    ValueError
        Options of another form than the filter has.
    """
    if isinstance(compression, str) and compression.isdigit():
        compression = int(compression)
    if is_bitshuffle(compression):
        blocksize, code, *level = bitshuffle_options(options)
        names = {2: "lz4", 3: "zstd"}
        if code not in names:
            raise ValueError(f"zarr has no bitshuffle compressor with the code {code}")
        return _blosc(names[code], level[0] if level else 5, 2, blocksize)
    if isinstance(compression, int | np.integer) and 0 <= compression <= 9 and options is None:
        compression, options = "gzip", int(compression)  # h5py's short form: the level alone
    if compression is True or compression == "gzip":
        return {"id": "gzip", "level": 4 if options is None else int(options)}
    if not isinstance(compression, int | np.integer):
        return None
    values = tuple(int(value) for value in options or ())
    try:
        return _numbered(int(compression), values)
    except (IndexError, struct.error) as error:
        raise ValueError(f"the filter {compression} has the options {options!r}") from error


def _numbered(code: int, values: tuple[int, ...]) -> Config | None:
    if code in {_BLOSC, _BLOSC2}:
        level, shuffle, method = (*values, *(0, 0, 0, 0, 5, 1, 0)[len(values) :])[4:7]
        names = _BLOSC_NAMES if code == _BLOSC else _BLOSC2_NAMES
        name = names[method] if method < len(names) else None
        if name is None or shuffle not in _SHUFFLES:
            return None
        return _blosc(name, level, shuffle, 0)
    if code == _ZSTD:
        return {"id": "zstd", "level": _signed(values[0]) if values else 3}
    if code == _LZ4:
        return {"id": "lz4", "acceleration": 1}
    if code == _BZIP2:
        return {"id": "bz2", "level": values[0] if values else 9}
    if code == _ZFP and importlib.util.find_spec("zfpy") is not None:
        return _zfp(values)
    return None


def _signed(value: int) -> int:
    """Filter options are unsigned numbers of 32 bits; zstd has levels below zero."""
    return value - (1 << 32) if value >= 1 << 31 else value


def _blosc(name: str, level: int, shuffle: int, blocksize: int) -> Config:
    return {
        "id": "blosc",
        "cname": name,
        "clevel": level,
        "shuffle": shuffle,
        "blocksize": blocksize,
    }


#: zfp's modes, as the HDF5 filter counts them, and zfpy.
_ZFP_MODES = {1: (2, "rate"), 2: (3, "precision"), 3: (4, "tolerance")}


def _zfp(values: tuple[int, ...]) -> Config | None:
    if len(values) != 6 or values[0] not in _ZFP_MODES:
        return None  # reversible, expert, or what the filter itself has written into the file
    mode, keyword = _ZFP_MODES[values[0]]
    if keyword == "precision":
        number: float = values[2]
    else:
        number = struct.unpack("<d", struct.pack("<II", values[2], values[3]))[0]
    return {"id": "zfpy", "mode": mode, keyword: number}


def codecs_of(filters: Filters, dtype: np.dtype[Any]) -> tuple[list[Config], list[str]]:
    """Numcodecs' configurations for filters in h5py's words.

    Parameters
    ----------
    filters : Filters
        Chunks are not looked at.
    dtype : numpy.dtype
        What is packed.

    Returns
    -------
    codecs : list of dict
        In the order of packing.
    replaced : list of str
        What has no counterpart, and what stands for it.

    Raises
    ------
    ValueError
        Options of another form than the filter has.
    """
    codecs: list[Config] = []
    replaced: list[str] = []
    if filters.scaleoffset is not None:
        replaced.append("scaleoffset is left out")
    if filters.shuffle:
        codecs.append({"id": "shuffle", "elementsize": dtype.itemsize})
    if filters.compression not in (None, False):
        config = compressor_of(filters.compression, filters.compression_opts)
        if config is None or (config["id"] == "zfpy" and dtype.str[1:] not in {"f4", "f8"}):
            config, name = _stand_in(filters.compression)
            replaced.append(f"the filter {filters.compression!r} by {name}")
        codecs.append(config)
    if filters.fletcher32:
        codecs.append({"id": "fletcher32"})
    return codecs, replaced


def _stand_in(compression: Any) -> tuple[Config, str]:
    if compression == "lzf":
        return _blosc("lz4", 5, 0, 0), "LZ4 (in Blosc)"
    return {"id": "zstd", "level": 3}, "zstd"


# ---- into h5py's words ----


def filters_of(
    configs: Iterable[Config], chunks: tuple[int, ...] | None
) -> tuple[Filters, list[str]]:
    """Filters in h5py's words for numcodecs' configurations, or those of format 3.

    Returns
    -------
    filters : Filters
    replaced : list of str
        What has no counterpart, and what stands for it.
    """
    words: dict[str, Any] = {}
    replaced: list[str] = []
    for config in (_in_format2(config) for config in configs):
        name = config["id"]
        if name in {"shuffle", "fletcher32"}:
            words[name] = True
            continue
        named = _named(config)
        if named is not None:
            words["compression"], words["compression_opts"] = named
        elif name in {"lzma", "pcodec"}:
            words["compression"], words["compression_opts"] = "gzip", 4
            replaced.append(f"the codec {name!r} by gzip")
        elif name not in _LAYOUT_ONLY:
            replaced.append(f"the codec {name!r} is left out")
    return Filters(chunks, **words), replaced


#: Codecs that make bytes of elements: nothing is lost without them.
_LAYOUT_ONLY = {
    *("bytes", "endian", "transpose", "vlen-utf8", "vlen-bytes", "vlen-array", "sharding_indexed"),
    *("crc32c", "crc32", "adler32", "jenkins_lookup3", "delta", "packbits", "json2", "msgpack2"),
    "base64",
}


def _named(config: Config) -> tuple[Any, Any] | None:
    name = config["id"]
    if name in {"gzip", "zlib"}:
        return "gzip", int(config.get("level", 1))
    if name == "blosc":
        return _named_blosc(config)
    if name == "zstd":
        return _ZSTD, (int(config.get("level", 0)) % (1 << 32),)
    if name == "lz4":
        return _LZ4, (0,)
    if name == "bz2":
        return _BZIP2, (int(config.get("level", 1)),)
    if name == "zfpy":
        return _named_zfp(config)
    return None


def _named_blosc(config: Config) -> tuple[Any, Any] | None:
    method, shuffle = config.get("cname", "lz4"), config.get("shuffle", 1)
    level, blocksize = int(config.get("clevel", 5)), int(config.get("blocksize") or 0)
    if shuffle == 2 and method in {"lz4", "zstd"} and level == 5:
        return "bitshuffle", (blocksize or None, method)
    if method not in _BLOSC_NAMES:
        return None
    # Blosc's own choice shuffles bits of single bytes, else bytes; HDF5's filter has no such word.
    shuffle = 1 if shuffle not in _SHUFFLES else int(shuffle)
    return _BLOSC, (0, 0, 0, 0, level, shuffle, _BLOSC_NAMES.index(method))


def _named_zfp(config: Config) -> tuple[Any, Any] | None:
    for code, (mode, keyword) in _ZFP_MODES.items():
        if config.get("mode") == mode:
            number = config.get(keyword, -1)
            if keyword == "precision":
                return _ZFP, (code, 0, int(number), 0, 0, 0)
            low, high = struct.unpack("<II", struct.pack("<d", number))
            return _ZFP, (code, 0, low, high, 0, 0)
    return None


# ---- between the formats ----


def in_format(configs: Iterable[Config], zarr_format: int, dtype: np.dtype[Any]) -> list[Config]:
    """Configurations of either format in the words of one of them.

    Of format 3 the codec that makes bytes of elements is left out: the library chooses it.
    """
    common = [_in_format2(config) for config in configs]
    common = [config for config in common if config["id"] not in {"bytes", "endian", "transpose"}]
    if zarr_format == 2:
        return common
    return [_in_format3(config, dtype) for config in common]


def _in_format2(config: Config) -> Config:
    if "id" in config:
        return config
    name, settings = _name(config), dict(config.get("configuration") or {})
    if name == "blosc":
        settings.pop("typesize", None)
        settings["shuffle"] = _SHUFFLE_NUMBERS.get(settings.get("shuffle", ""), 1)
    if name == "zstd":
        settings.pop("checksum", None)
    return {"id": name, **settings}


def _in_format3(config: Config, dtype: np.dtype[Any]) -> Config:
    settings = {key: value for key, value in config.items() if key != "id"}
    name = config["id"]
    if name == "blosc":
        shuffle = settings.get("shuffle", 1)
        if shuffle not in _SHUFFLES:
            shuffle = 2 if dtype.itemsize == 1 else 1
        settings["shuffle"] = _SHUFFLES[shuffle]
        settings["typesize"] = max(1, min(dtype.itemsize, 255))
    elif name == "zstd":
        settings = {"level": settings.get("level", 0), "checksum": False}
    elif name == "zfpy":
        settings.pop("compression_kwargs", None)
    return {"name": name if name in _CORE else f"numcodecs.{name}", "configuration": settings}
