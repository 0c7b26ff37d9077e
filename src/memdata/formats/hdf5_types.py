"""NumPy types in HDF5's words, and the other way round.

h5py translates. Added here are the memory of earlier translations (making or reading a type costs
more than moving a small dataset), types that h5py has no words for, and the refusal of what it
would store as something else.

=====================  ==========================================================================
datetime64, timedelta  opaque, with the tag that h5py writes and reads; also inside structured
                       types
bfloat16 and other     a float or integer of these bits: programs that know no tags read the
types of ml_dtypes     right numbers, except of floats that have no infinity, which are bits
                       (integers). See `memdata.formats.tagged`
StringDType            variable-length UTF-8 text, tagged
titles of fields       tagged
=====================  ==========================================================================
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import h5py
import numpy as np
from h5py import h5t

from memdata.formats.hdf5_leaves import can_read, can_write, cuts_text, same_bytes
from memdata.formats.tagged import TagError, Tagged, is_extension, restored, tagged

__all__ = [
    "TypePair",
    "described_type",
    "kept_type",
    "known_type",
    "string_dtype",
    "subarray_type",
    "tag_of",
    "tagged_type",
    "type_pair",
    "without_axes",
]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]

_CACHED = 512


class TypePair(NamedTuple):
    """A type as the file has it, and as h5py wants it named for arrays in memory."""

    file: Any
    memory: Any


@cache
def string_dtype(encoding: str = "utf-8") -> Dtype:
    """h5py's type for variable-length strings."""
    dtype: Dtype = h5py.string_dtype(encoding)
    return dtype


# From NumPy to HDF5

_pairs: dict[Dtype, TypePair] = {}


def type_pair(dtype: Dtype) -> TypePair:
    """The HDF5 types for arrays of `dtype`.

    Raises
    ------
    TypeError
        HDF5 has no type for it.
    """
    # Equal types may differ in their metadata, which says what an object or an enum is:
    # only types without fields and metadata are remembered.
    plain = dtype.kind in "biufcS" and dtype.metadata is None
    if plain:
        pair = _pairs.get(dtype)
        if pair is not None:
            return pair
    _check_dtype(dtype)
    try:
        if _needs_own(dtype):
            made = _created(dtype)
            pair = TypePair(made, _created(dtype, logical=False) if dtype.hasobject else made)
        else:
            pair = TypePair(h5t.py_create(dtype, logical=True), h5t.py_create(dtype))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"HDF5 cannot hold the type {dtype}: {error}") from None
    if plain:
        if len(_pairs) >= _CACHED:
            _pairs.clear()
        _pairs[dtype] = pair
    return pair


def _check_dtype(dtype: Dtype) -> None:
    if dtype.subdtype is not None:
        _check_dtype(dtype.subdtype[0])
    elif dtype.fields is not None:
        for name, field in dtype.fields.items():
            if "\0" in name:
                raise TypeError(
                    f"HDF5 cannot hold the field {name!r}: names of fields end at the first NUL"
                )
            _check_dtype(field[0])
    elif dtype.kind == "U" and not _is_opaque(dtype):
        raise TypeError(
            f"HDF5 cannot hold the type {dtype}; convert_dataset_strings=True stores it as byte "
            "strings"
        )
    elif dtype.char == "G" and not dtype.isnative:
        raise TypeError(f"h5py stores the type {dtype.str} in the byte order of the machine")
    elif dtype.kind in "mM" and not dtype.isnative and np.datetime_data(dtype)[0] == "generic":
        raise TypeError(f"NumPy makes no arrays of the type {dtype.str}, which has no unit")
    elif dtype.isbuiltin == 2 and not is_extension(dtype):
        # A type registered by another package: h5py sees only its bytes.
        raise TypeError(f"HDF5 cannot hold the type {dtype} of {dtype.type.__module__}")
    elif dtype.kind == "O" and not (dtype.metadata or {}).keys() & {"vlen", "ref"}:
        raise TypeError(
            "HDF5 cannot hold Python objects without a type; "
            "h5py.string_dtype, vlen_dtype or ref_dtype says what they are"
        )
    elif _holds_ragged(dtype, _is_region):
        raise TypeError("h5py crashes when it writes variable-length region references")
    elif _holds_ragged(dtype, lambda inner: inner.subdtype is not None):
        raise TypeError("h5py cannot write variable-length arrays of arrays")
    elif dtype.itemsize == 0:
        raise TypeError(f"HDF5 cannot hold the type {dtype}, which has no bytes")


def _holds_ragged(dtype: Dtype, of: Callable[[Dtype], bool]) -> bool:
    """Whether a type is, or holds, ragged arrays of elements that `of` tells."""
    if not dtype.hasobject:
        return False
    if dtype.subdtype is not None:
        return _holds_ragged(dtype.subdtype[0], of)
    if dtype.fields is not None:
        return any(_holds_ragged(field[0], of) for field in dtype.fields.values())
    metadata: Any = dtype.metadata or {}
    inner = metadata.get("vlen")
    if not isinstance(inner, np.dtype):
        return False
    return of(inner) or _holds_ragged(inner, of)


def _is_region(dtype: Dtype) -> bool:
    """Whether a type is, or has fields of, region references."""
    if dtype.subdtype is not None:
        return _is_region(dtype.subdtype[0])
    if dtype.fields is not None:
        return any(_is_region(field[0]) for field in dtype.fields.values())
    metadata: Any = dtype.metadata or {}
    return metadata.get("ref") is h5py.RegionReference


def _is_opaque(dtype: Dtype) -> bool:
    """Whether a type is marked by `h5py.opaque_dtype`: HDF5 stores its bytes."""
    metadata: Any = dtype.metadata
    return bool(metadata and metadata.get("h5py_opaque"))


def _needs_own(dtype: Dtype) -> bool:
    """Whether a type is, or holds, one that h5py translates only with a mark, or not at all."""
    if dtype.subdtype is not None:
        return _needs_own(dtype.subdtype[0])
    if dtype.fields is not None:
        return any(_needs_own(field[0]) for field in dtype.fields.values())
    return dtype.kind in "mM" or _is_opaque(dtype) or is_extension(dtype)


def _created(dtype: Dtype, *, logical: bool = True, inside: bool = False) -> Any:
    """The HDF5 type of a type of which h5py translates only parts.

    `logical` is h5py's word for types in files; `inside` says that it is of a field.
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return h5t.array_create(_created(base, logical=logical, inside=inside), shape)
    if dtype.fields is not None:
        made = h5t.create(h5t.COMPOUND, dtype.itemsize)
        for name in dtype.names or ():
            field, offset = dtype.fields[name][:2]
            made.insert(name.encode("utf-8"), offset, _created(field, logical=logical, inside=True))
        return made
    if is_extension(dtype):
        return _created_extension(dtype, inside)
    if dtype.kind in "mM" and not _is_opaque(dtype):
        dtype = h5py.opaque_dtype(dtype)
    return h5t.py_create(dtype, logical=logical or _is_opaque(dtype))


#: Floats of ml_dtypes that are built as IEEE's are: bits of the exponent and the mantissa.
_IEEE_LIKE = {
    "bfloat16": (8, 7),
    "float8_e3m4": (3, 4),
    "float8_e4m3": (4, 3),
    "float8_e5m2": (5, 2),
}


def _created_extension(dtype: Dtype, inside: bool) -> Any:
    name = dtype.type.__name__
    little = dtype.isnative == (sys.byteorder == "little")
    if name in _IEEE_LIKE and not inside:  # h5py widens them, for which a field has no room
        exponent, mantissa = _IEEE_LIKE[name]
        made = (h5t.IEEE_F32LE if little else h5t.IEEE_F32BE).copy()
        made.set_fields(exponent + mantissa, mantissa, exponent, 0, mantissa)
        made.set_size(dtype.itemsize)
        made.set_precision(8 * dtype.itemsize)
        made.set_ebias((1 << (exponent - 1)) - 1)
        return made
    if name.startswith("int"):
        made = h5t.STD_I8LE.copy()
        made.set_precision(int(name.removeprefix("int")))
        return made
    return h5t.py_create(np.dtype(f"{'<' if little else '>'}u{dtype.itemsize}"))


def _is_held(dtype: Dtype) -> bool:
    """Whether HDF5 itself, or h5py's marks in it, tell a type when it is read."""
    return dtype.kind in "biufcSVOmM" and not is_extension(dtype)


def tag_of(dtype: Dtype, array: Array | None) -> Tagged | None:
    """What a dataset's tag says, where HDF5 alone does not tell its type.

    Raises
    ------
    TypeError
        HDF5 cannot hold the type.
    """
    if dtype.kind in "biufcSmM" and dtype.isbuiltin != 2:
        return None
    if dtype.kind == "O" or _is_opaque(dtype):
        return None
    _check_dtype(dtype)
    return tagged(dtype, _is_held, string_dtype(), array)


# From HDF5 to NumPy


class KnownType(NamedTuple):
    """What is known of a type found in a file.

    Attributes
    ----------
    dtype : numpy.dtype
        The type in memory.
    file, memory : h5py.h5t.TypeID
        The type in the file, and the one for reading into arrays of `dtype`.
    same : bool
        The bytes in the file are the bytes of such an array.
    kept : bytes or None
        HDF5's encoding of the type, where `type_pair` would make another of `dtype`.
    """

    dtype: Dtype
    file: Any
    memory: Any
    same: bool
    kept: bytes | None


_known: dict[bytes, KnownType] = {}


def known_type(type_id: Any) -> KnownType:
    """The NumPy type for an HDF5 type.

    Raises
    ------
    TypeError
        h5py has no such type.
    """
    key: bytes = type_id.encode()
    known = _known.get(key)
    if known is None:
        if type_id.committed():
            type_id = type_id.copy()  # the named type itself is gone when its file is closed
        known = described_type(type_id, key)
        if len(_known) >= _CACHED:
            _known.clear()
        _known[key] = known
    return known


def described_type(type_id: Any, encoded: bytes) -> KnownType:
    """`known_type` without the memory."""
    try:
        dtype: Dtype = type_id.dtype
    except SyntaxError as error:  # a tag of h5py's for a type of NumPy
        raise ValueError(f"a tag that is no type: {error}") from None
    except KeyError as error:  # h5py's own words are the number of a byte order
        raise TypeError(f"numbers in a byte order that NumPy has not ({error})") from None
    if _holds_ragged(dtype, _is_region):
        raise TypeError("variable-length region references, which crash h5py")
    if dtype.kind in "iufc" and dtype.metadata is None and dtype.isnative:
        dtype = np.dtype(dtype.type)  # "=" where h5py says "<"
    elif dtype.kind in "mM":
        dtype = np.dtype(dtype.str)  # without h5py's mark
    try:
        pair = type_pair(dtype)
    except TypeError:
        pair = TypePair(None, h5t.py_create(dtype))
    ours = pair.file is not None and bool(pair.file == type_id)
    memory = pair.memory if ours else can_read(type_id, pair.memory)
    same = not dtype.hasobject and (ours or bool(memory == type_id))
    # Arrays in a type are more axes in memory.
    kept = None if ours and dtype.subdtype is None else encoded
    return KnownType(dtype, type_id, memory, same, kept)


def tagged_type(known: KnownType, tag: Any) -> KnownType | None:
    """What a dataset's tag makes of its type; None where the tag means nothing here."""
    if not isinstance(tag, str):
        return None
    # The stored type may be a float of any width, which h5py widens.
    size = known.file.get_size()
    storage = known.dtype
    if storage.itemsize != size and storage.fields is None:
        storage = np.dtype(f"V{size}")
    try:
        dtype = restored(tag, storage)
        pair = type_pair(dtype)
    except (TagError, TypeError):
        return None
    if pair.file != known.file:
        return None
    return KnownType(dtype, known.file, pair.memory, not dtype.hasobject, None)


def kept_type(encoded: bytes, dtype: Dtype) -> TypePair | None:
    """The types for arrays of `dtype` in a dataset whose type a file had encoded as `encoded`.

    None where that type is of other arrays: the dataset has another type by now.
    """
    try:
        type_id = h5t.decode(encoded)
        known = known_type(type_id)
    except (TypeError, ValueError, RuntimeError):
        return None
    if known.dtype != dtype or known.dtype.kind != dtype.kind:
        return None
    if dtype.kind == "O" and (known.dtype.metadata or {}) != (dtype.metadata or {}):
        return None
    if same_bytes(type_id, known.memory):
        return TypePair(type_id, type_id)
    return None if cuts_text(type_id) else TypePair(type_id, can_write(type_id, known.memory))


def subarray_type(
    encoded: bytes, dtype: Dtype, shape: tuple[int, ...]
) -> tuple[TypePair, int] | None:
    """The types of a dataset of arrays, and how many axes they take from the array in memory."""
    try:
        known = known_type(h5t.decode(encoded))
    except (TypeError, ValueError, RuntimeError):
        return None
    base, inner = without_axes(known.dtype)
    if not inner or base != dtype or shape[len(shape) - len(inner) :] != inner:
        return None
    return TypePair(known.file, can_write(known.file, known.memory)), len(inner)


def without_axes(dtype: Dtype) -> tuple[Dtype, tuple[int, ...]]:
    """The type of the elements of a type of arrays, and the axes that it adds to an array."""
    inner: tuple[int, ...] = ()
    while dtype.subdtype is not None:
        dtype, shape = dtype.subdtype
        inner += shape
    return dtype, inner
