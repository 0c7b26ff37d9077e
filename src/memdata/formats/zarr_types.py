"""NumPy types in zarr: which are stored as they are, and what stands for the others.

What is stored instead is described in the attribute `memdata.formats.tagged.TAG`. To the
descriptions there, of types of the same bytes, zarr adds (JSON)::

    {"type": T}                   the whole type, where zarr has it not: other byte orders (format
                                  3 has only one) are stored as the same values; long doubles,
                                  and structures that are nested, padded or have subarrays, as raw
                                  bytes
    {"enum": {name: value}}       an enumeration of integers
    {"objects": "bytes"}          bytes objects in an array of variable-length text
    {"ragged": T}                 arrays of any length as variable-length bytes
    {"references": "object"}      HDF5 references as the paths they lead to
    {"json": T}                   structures with objects, and the like, each element a text of
                                  JSON; see `memdata.formats.zarr_objects`
    {"null": T}                   no element at all (`h5py.Empty`), as an array of length zero

``T`` is NumPy's name of a type, an object as in `memdata.formats.tagged`, or ``{"utf-8": name}``
for byte strings that h5py marks as UTF-8.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from memdata.formats import tagged, zarr_objects
from memdata.formats.tagged import TagError

__all__ = [
    "BYTES",
    "TEXT",
    "Stored",
    "described",
    "from_description",
    "restored",
    "stored",
    "stored_null",
    "unpacked",
]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]

#: Variable-length text and bytes; the metadata are those that h5py gives such types.
TEXT = np.dtype("O", metadata={"vlen": str})
BYTES = np.dtype("O", metadata={"vlen": bytes})


class Stored(NamedTuple):
    """How elements are stored.

    Attributes
    ----------
    dtype : numpy.dtype
        The type that zarr is given: a plain one, `TEXT` or `BYTES`.
    tag : str or None
        The value of the attribute that says what the type was; None where it is the same.
    pack : callable
        Makes of elements in memory those that are stored.
    """

    dtype: Dtype
    tag: str | None
    pack: Any


def _same(array: Array) -> Array:
    return array


def _holds(dtype: Dtype, zarr_format: int) -> bool:
    """Whether zarr has a type that is neither structured nor of objects."""
    if dtype.metadata is not None or dtype.isbuiltin == 2 or dtype.itemsize == 0:
        return False
    if zarr_format == 3 and not dtype.isnative:
        return False
    if dtype.kind in "mM":
        return np.datetime_data(dtype)[0] != "generic"
    sizes = {"f": (2, 4, 8), "c": (8, 16)}.get(dtype.kind)
    return dtype.kind in "biuSUV" if sizes is None else dtype.itemsize in sizes


def _is_flat(dtype: Dtype, zarr_format: int) -> bool:
    """Whether zarr has a structured type, but for the order of bytes."""
    assert dtype.fields is not None
    end = 0
    for name in dtype.names or ():
        field, offset, *title = dtype.fields[name]
        if title or offset != end or field.fields is not None or field.subdtype is not None:
            return False
        if field.hasobject or not _holds(field.newbyteorder("="), zarr_format):
            return False
        end += field.itemsize
    return end == dtype.itemsize > 0 and not dtype.isalignedstruct and dtype.metadata is None


def stored(dtype: Dtype, array: Array | None, zarr_format: int, *, is_part: bool = False) -> Stored:
    """How elements of a type are stored.

    Parameters
    ----------
    dtype : numpy.dtype
        The type in memory.
    array : ndarray or None
        The elements, where there are some: objects have to be looked at.
    zarr_format : {2, 3}
    is_part : bool
        Other ranks have more elements, and find how to store them on their own.

    Raises
    ------
    TypeError
        Nothing can be stored for the type.
    """
    if dtype.metadata and "enum" in dtype.metadata:
        return _stored_enum(dtype, zarr_format)
    if dtype.hasobject and dtype.kind != "T":
        return _stored_objects(dtype, array)
    if _is_utf8(dtype):
        tag = json.dumps({"type": described(dtype)})
        return Stored(np.dtype(dtype.str), tag, _same)
    if dtype.metadata and dtype.fields is None and dtype.kind != "T":
        dtype = np.dtype(dtype.str)  # what h5py says of its encoding
    if dtype.kind == "T":
        how = tagged.tagged(dtype, lambda _leaf: False, TEXT, None if is_part else array)
        assert how is not None
        if is_part and array is not None:
            tagged.pack(array, how)  # what cannot be stored is found before anything is written
        return Stored(TEXT, how.tag, lambda part: tagged.pack(part, how))
    if dtype.itemsize == 0:
        raise TypeError(f"zarr cannot hold the type {dtype}, which has no bytes")
    if dtype.fields is None and _holds(dtype, zarr_format):
        return Stored(_usual(dtype), None, _same)
    if dtype.kind in "mM" and not dtype.isnative and np.datetime_data(dtype)[0] == "generic":
        raise TypeError(f"NumPy makes no arrays of the type {dtype.str}, which has no unit")
    native = dtype.newbyteorder("=")
    if dtype.fields is None:
        if _holds(native, zarr_format) or (dtype.kind in "fc" and dtype.isbuiltin != 2):
            return _stored_whole(dtype, native if _holds(native, zarr_format) else None)
        how = tagged.tagged(dtype, lambda leaf: _holds(leaf, zarr_format))
        assert how is not None
        storage = how.storage if zarr_format == 2 else how.storage.newbyteorder("=")
        return Stored(storage, how.tag, lambda part: tagged.pack(part, how).astype(storage))
    if _is_flat(dtype, zarr_format):
        if zarr_format == 2 or native == dtype:
            return Stored(_usual(dtype), None, _same)
        return _stored_whole(dtype, native)
    return _stored_whole(dtype, None)


def _is_utf8(dtype: Dtype) -> bool:
    """Whether byte strings are marked as UTF-8 text, by h5py."""
    metadata: Any = dtype.metadata or {}
    return dtype.kind == "S" and metadata.get("h5py_encoding") == "utf-8"


def _usual(dtype: Dtype) -> Dtype:
    """The type that NumPy has for the same name: there are two of 64 bits, and zarr knows one."""
    return np.dtype(dtype.str if dtype.fields is None else dtype.descr)


def _stored_whole(dtype: Dtype, values: Dtype | None) -> Stored:
    """As the same values in another order of bytes, or as raw bytes."""
    tag = json.dumps({"type": described(dtype)})
    if values is not None:
        usual = _usual(values)
        return Stored(usual, tag, lambda part: part.astype(usual))
    raw = np.dtype(f"V{dtype.itemsize}")
    return Stored(raw, tag, lambda part: np.asarray(part, order="C").astype(dtype).view(raw))


def _stored_enum(dtype: Dtype, zarr_format: int) -> Stored:
    names = {str(name): int(value) for name, value in dtype.metadata["enum"].items()}  # type: ignore[index]
    plain = _usual(dtype)
    storage = plain if zarr_format == 2 else plain.newbyteorder("=")
    tag = json.dumps({"enum": names, "type": plain.str})
    return Stored(storage, tag, lambda part: part.astype(storage))


# ---- objects ----


def _stored_objects(dtype: Dtype, array: Array | None) -> Stored:
    if dtype.fields is not None or dtype.kind != "O":
        return _stored_json(dtype, array)
    metadata: Any = dtype.metadata or {}
    if "ref" in metadata:
        if _has_regions(array):
            return _stored_json(dtype, array)
        return _stored_references(array)
    kind = metadata.get("vlen")
    if kind not in (None, str, bytes):
        kind = np.dtype(kind)
        if kind.hasobject:
            return _stored_json(dtype, array)
        tag = json.dumps({"ragged": described(kind)})
        return Stored(BYTES, tag, lambda part: _each(part, lambda item: _raw(item, kind), BYTES))
    if array is None:
        return Stored(BYTES if kind is bytes else TEXT, None, _same)
    kinds = {type(item) for item in array.flat if not _is_blank(item)}
    if all(issubclass(one, str) for one in kinds):
        return Stored(TEXT, None, lambda part: _each(part, _text, TEXT))
    if not all(issubclass(one, bytes | str) for one in kinds):
        names = ", ".join(sorted(one.__name__ for one in kinds))
        raise TypeError(f"zarr cannot hold an object array of {names}")
    if kind is not str:
        if any(issubclass(one, str) for one in kinds):
            raise TypeError("zarr cannot hold str and bytes in one array")
        return Stored(BYTES, None, lambda part: _each(part, _bytes, BYTES))
    # As h5py reads variable-length text: bytes objects.
    tag = json.dumps({"objects": "bytes"})
    storage = TEXT if all(_is_text(item) for item in array.flat) else BYTES
    make = _text if storage is TEXT else _bytes
    return Stored(storage, tag, lambda part: _each(part, make, storage))


def _has_regions(array: Array | None) -> bool:
    from memdata.formats.references import RegionReference

    return any(isinstance(item, RegionReference) for item in (() if array is None else array.flat))


def _stored_json(dtype: Dtype, array: Array | None) -> Stored:
    def text(item: Any) -> str:
        return json.dumps(zarr_objects.to_json(item, dtype), allow_nan=False)

    def pack(part: Array) -> Array:
        return _each(part, text, TEXT)

    tag = json.dumps({"json": described(dtype, objects=True)})
    if array is not None:
        pack(array)  # what cannot be stored is found before anything is written
    return Stored(TEXT, tag, pack)


def _is_blank(item: Any) -> bool:
    """What new arrays of objects hold: it stands for an empty text."""
    return item is None or (type(item) is int and item == 0)


def _is_text(item: Any) -> bool:
    try:
        _text(item).encode("utf-8")
    except UnicodeError:
        return False
    return True


def _text(item: Any) -> str:
    if _is_blank(item):
        return ""
    return item.decode("utf-8") if isinstance(item, bytes) else str(item)


def _bytes(item: Any) -> bytes:
    if _is_blank(item):
        return b""
    return item.encode("utf-8") if isinstance(item, str) else bytes(item)


def _raw(item: Any, kind: Dtype) -> bytes:
    return b"" if _is_blank(item) else np.asarray(item, kind).tobytes()


def _each(array: Array, make: Any, dtype: Dtype) -> Array:
    result = np.empty(array.shape, dtype)
    for index, item in np.ndenumerate(array):
        result[index] = make(item)
    return result


def _stored_references(array: Array | None) -> Stored:
    from memdata.formats.references import ObjectReference

    for item in () if array is None else array.flat:
        if not (isinstance(item, ObjectReference) or _is_blank(item)):
            raise TypeError(f"zarr cannot hold a {type(item).__name__}")
    tag = json.dumps({"references": "object"})

    def path(item: Any) -> str:
        return "" if _is_blank(item) else str(item.path or "")

    return Stored(TEXT, tag, lambda part: _each(part, path, TEXT))


# ---- descriptions ----


def described(dtype: Dtype, *, objects: bool = False) -> Any:
    """A type in JSON, whole; of Python objects only where they are allowed.

    Raises
    ------
    TypeError
        There is no form of it.
    """
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": described(base, objects=objects), "shape": list(shape)}
    if dtype.kind == "O" and objects:
        return _described_objects(dtype)
    if (dtype.hasobject and not objects) or dtype.kind in "OT":
        raise TypeError(f"there is nothing that {dtype!r} can be stored as")
    if dtype.metadata and "enum" in dtype.metadata:
        names = {str(name): int(value) for name, value in dtype.metadata["enum"].items()}
        return {"enum": names, "type": dtype.str}
    if _is_utf8(dtype):
        return {"utf-8": dtype.str}
    if dtype.fields is None:
        if tagged.is_extension(dtype):
            order = "" if dtype.isnative else dtype.byteorder
            return f"{order}ml_dtypes.{dtype.type.__name__}"
        if dtype.isbuiltin == 2:
            raise TypeError(f"there is nothing that {dtype!r} can be stored as")
        return dtype.str
    fields = []
    for name in dtype.names or ():
        field, offset, *title = dtype.fields[name]
        if title and not isinstance(title[0], str):
            raise TypeError(f"the title of the field {name!r} is not text: {title[0]!r}")
        fields.append(
            [name, title[0] if title else None, offset, described(field, objects=objects)]
        )
    return {"fields": fields, "itemsize": dtype.itemsize, "aligned": bool(dtype.isalignedstruct)}


def _described_objects(dtype: Dtype) -> dict[str, Any]:
    metadata: Any = dtype.metadata or {}
    if "ref" in metadata:
        return {"ref": metadata["ref"].__name__}
    kind = metadata.get("vlen")
    if kind is None:
        raise TypeError(f"there is nothing that {dtype!r} can be stored as")
    if kind in (str, bytes):
        return {"vlen": kind.__name__}
    return {"vlen": {"of": described(np.dtype(kind), objects=True)}}


def _objects_from(description: dict[str, Any]) -> Dtype:
    if "ref" in description:
        import h5py

        names = {"Reference": h5py.ref_dtype, "RegionReference": h5py.regionref_dtype}
        reference: Dtype = names[description["ref"]]
        return reference
    kind = description["vlen"]
    if isinstance(kind, dict):
        return np.dtype("O", metadata={"vlen": from_description(kind["of"])})
    return {"str": TEXT, "bytes": BYTES}[kind]


def from_description(description: Any) -> Dtype:
    """The type that `described` has described."""
    if isinstance(description, str):
        if "ml_dtypes." in description:
            return tagged.restored(json.dumps(description), _extension_storage(description))
        dtype = tagged.plain_type(description)
        if dtype.hasobject:
            raise TagError(f"the tag names the type {dtype}, of Python objects")
    elif description.keys() & {"ref", "vlen"}:
        dtype = _objects_from(description)
    elif "utf-8" in description:
        plain = tagged.plain_type(description["utf-8"])
        dtype = np.dtype(plain, metadata={"h5py_encoding": "utf-8"})
    elif "base" in description:
        dtype = np.dtype((from_description(description["base"]), tuple(description["shape"])))
    elif "enum" in description:
        dtype = np.dtype(
            tagged.plain_type(description["type"]), metadata={"enum": dict(description["enum"])}
        )
    else:
        fields = description["fields"]
        dtype = np.dtype(
            {
                "names": [field[0] for field in fields],
                "titles": [field[1] for field in fields],
                "offsets": [field[2] for field in fields],
                "formats": [from_description(field[3]) for field in fields],
                "itemsize": description["itemsize"],
            },
            align=bool(description["aligned"]),
        )
    return dtype


def _extension_storage(name: str) -> Dtype:
    import ml_dtypes

    return np.dtype(f"u{np.dtype(getattr(ml_dtypes, name.rpartition('.')[2])).itemsize}")


def stored_null(dtype: Dtype) -> Stored:
    """How a null dataspace is stored."""
    return Stored(np.dtype("u1"), json.dumps({"null": described(dtype, objects=True)}), _same)


def restored(tag: str, storage: Dtype) -> tuple[bool, Dtype]:
    """What a tag describes, of elements stored as `storage`.

    Returns
    -------
    null : bool
        It is a null dataspace.
    dtype : numpy.dtype
        The type in memory.

    Raises
    ------
    TagError
        The tag cannot be understood or does not fit.
    """
    try:
        description = json.loads(tag)
    except tagged.NOT_UNDERSTOOD as error:
        raise TagError(f"the tag {tag!r:.80} cannot be understood: {error}") from None
    if not isinstance(description, dict):
        return False, tagged.restored(tag, storage)
    try:
        if "null" in description:
            return True, from_description(description["null"])
        return False, _restored(description, tag, storage)
    except TagError:
        raise
    except tagged.NOT_UNDERSTOOD as error:
        raise TagError(f"the tag {tag!r:.80} cannot be understood: {error}") from None


def _restored(description: dict[str, Any], tag: str, storage: Dtype) -> Dtype:
    if "enum" in description:
        _check_fits(storage.kind in "iu", tag, storage)
        return from_description(description)
    if "type" in description:
        dtype = from_description(description["type"])
        plain = not (storage.hasobject or dtype.hasobject)
        _check_fits(plain and dtype.itemsize == storage.itemsize, tag, storage)
        return dtype
    if not description.keys() & {"objects", "ragged", "references", "json"}:
        return tagged.restored(tag, storage)
    _check_fits(storage.kind in "OT", tag, storage)
    if "json" in description:
        return from_description(description["json"])
    if "ragged" in description:
        kind = from_description(description["ragged"])
        _check_fits(not kind.hasobject, tag, storage)
        return np.dtype("O", metadata={"vlen": kind})
    if "references" in description:
        import h5py

        reference: Dtype = h5py.ref_dtype
        return reference
    return TEXT


def _check_fits(fits: bool, tag: str, storage: Dtype) -> None:
    if not fits:
        raise TagError(f"the tag {tag!r:.80} does not fit the type {storage}")


def unpacked(array: Array, dtype: Dtype, tag: str) -> Array:
    """The elements as memory has them.

    Raises
    ------
    TagError
        What is stored cannot be such elements.
    """
    description = json.loads(tag)
    if not isinstance(description, dict) or "fields" in description or "text" in description:
        native = array if array.dtype.isnative == dtype.isnative else array.astype(_swapped(array))
        return tagged.unpack(native, dtype, tag)
    if "enum" in description or ("type" in description and array.dtype.kind != "V"):
        return array.astype(dtype)
    if "type" in description:
        if array.dtype.fields is not None:
            return array.astype(dtype)
        return np.ascontiguousarray(array).view(dtype).reshape(array.shape)
    if "json" in description:
        result = np.zeros(array.shape, dtype)
        for index, item in np.ndenumerate(array):
            result[index] = zarr_objects.from_json(json.loads(item or "null"), dtype)
        return result
    if "ragged" in description:
        metadata: Any = dtype.metadata
        kind = metadata["vlen"]
        return _each(array, lambda item: _unraw(item, kind), dtype)
    if "references" in description:
        from memdata.formats.references import ObjectReference

        return _each(array, lambda item: ObjectReference(str(item) or None), dtype)
    return _each(array, _bytes, dtype)


def _swapped(array: Array) -> Dtype:
    dtype: Dtype = array.dtype.newbyteorder("S")
    return dtype


def _unraw(item: Any, kind: Dtype) -> Array:
    try:
        return np.frombuffer(bytes(item), kind).copy()
    except ValueError as error:
        raise TagError(f"{len(item)} bytes are no array of {kind}: {error}") from None
