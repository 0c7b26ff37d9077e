"""NumPy types that a file format has no type for: what is stored instead, and how it comes back.

Such a type is *stored* as another of the same bytes (or, for variable-length text, of the same
text), and *tagged*: the dataset has the attribute `TAG`, a text of JSON that says what it was. A
program that knows nothing of tags sees the stored type. ::

    NumPy                                stored, where the format has not the type itself
    ----------------------------------   ------------------------------------------------
    datetime64, timedelta64              int64 (NaT is the smallest)
    types of ml_dtypes (bfloat16 ...)    unsigned integers of the same bits
    StringDType                          the format's variable-length text; a text that does not
                                         occur stands for missing values
    structured, with such fields         structured, the fields stored as above
    structured, with titles              structured, without them

The JSON is ``null`` (the type is as it is stored), a text (``"<M8[ns]"``,
``"ml_dtypes.bfloat16"``), or an object:
``{"fields": [[name, title, offset, type], ...], "itemsize": n, "aligned": bool}``,
``{"base": type, "shape": [n, ...]}``, ``{"text": "StringDType", "missing": object, "as": text}``.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["TAG", "TagError", "Tagged", "is_extension", "pack", "restored", "tagged", "unpack"]

Array = np.ndarray[Any, Any]
Dtype = np.dtype[Any]

#: The attribute that holds the tag. It is not among the attributes in memory.
TAG = "__memdata_dtype"

_EXTENSIONS = "ml_dtypes"


class TagError(ValueError):
    """A tag that says nothing which can be understood here, or does not fit what is stored."""


#: What is raised where a tag, or part of it, is not what it should be.
NOT_UNDERSTOOD = (
    *(TypeError, ValueError, LookupError, AttributeError),
    *(ImportError, ArithmeticError, RecursionError),
)

#: NumPy's names of types that are neither structured nor subarrays, as `numpy.dtype.str` has them.
#: What `numpy.dtype` takes besides is a language of its own.
_PLAIN = re.compile(r"[<>|=]?[biufcSUVOmM]\d{0,10}(\[\d{0,9}[a-zA-Z]{1,7}\])?")


def plain_type(name: Any) -> Dtype:
    """The type of this name.

    Raises
    ------
    TagError
        It is no name of a type that is neither structured nor a subarray.
    """
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        raise TagError(f"the tag names {name!r:.80}, which is no type")
    return np.dtype(name)


class Tagged(NamedTuple):
    """How a type is stored.

    Attributes
    ----------
    dtype : numpy.dtype
        The type in memory.
    storage : numpy.dtype
        The type that is stored.
    tag : str
        JSON; the value of the attribute `TAG`.
    """

    dtype: Dtype
    storage: Dtype
    tag: str


def is_extension(dtype: Dtype) -> bool:
    """Whether a type is one of ml_dtypes', such as bfloat16."""
    return dtype.isbuiltin == 2 and dtype.type.__module__.partition(".")[0] == _EXTENSIONS


def tagged(
    dtype: Dtype,
    holds: Callable[[Dtype], bool],
    text: Dtype | None = None,
    array: Array | None = None,
) -> Tagged | None:
    """How `dtype` is stored in a format that does not have it.

    Parameters
    ----------
    dtype : numpy.dtype
        The type in memory.
    holds : callable
        Whether the format has a type that is neither structured nor a subarray.
    text : numpy.dtype, optional
        What the format stores variable-length text as. Without it StringDType is refused.
    array : ndarray, optional
        The elements, of which StringDType with missing values chooses what stands for those.
        Without them it is the text ``<NA>``, and `pack` refuses elements that are this text.

    Returns
    -------
    Tagged or None
        None if the format has the type itself.

    Raises
    ------
    TypeError
        Nothing can be stored for the type.

    Examples
    --------
    >>> tagged(np.dtype(">M8[ms]"), lambda leaf: leaf.kind in "iufcS")
    Tagged(dtype=dtype('>M8[ms]'), storage=dtype('>i8'), tag='">M8[ms]"')
    """
    storage, description = _stored(dtype, holds, text, array)
    if description is None:
        return None
    return Tagged(dtype, storage, json.dumps(description))


def _stored(
    dtype: Dtype, holds: Callable[[Dtype], bool], text: Dtype | None, array: Array | None = None
) -> tuple[Dtype, Any]:
    """The stored type, and the description of the type in memory; None where they are the same."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        storage, description = _stored(base, holds, text)
        if description is None:
            return dtype, None
        return np.dtype((storage, shape)), {"base": description, "shape": list(shape)}
    if dtype.fields is not None:
        return _stored_fields(dtype, holds, text)
    if holds(dtype):
        return dtype, None
    order = dtype.byteorder if dtype.byteorder in "<>" else "="
    if dtype.kind in "mM":
        return np.dtype(f"{order}i8"), dtype.str
    if is_extension(dtype):
        name = f"{_EXTENSIONS}.{dtype.type.__name__}"
        swapped = "" if dtype.isnative else dtype.byteorder
        return np.dtype(f"{order}u{dtype.itemsize}"), swapped + name
    if dtype.kind == "T" and text is not None:
        return text, _described_text(dtype, array)
    raise TypeError(f"there is nothing that {dtype!r} can be stored as")


def _stored_fields(
    dtype: Dtype, holds: Callable[[Dtype], bool], text: Dtype | None
) -> tuple[Dtype, Any]:
    assert dtype.fields is not None
    assert dtype.names is not None
    formats, offsets, described = [], [], []
    same = True
    for name in dtype.names:
        field, offset, *title = dtype.fields[name]
        storage, description = _stored(field, holds, text)
        formats.append(storage)
        offsets.append(offset)
        if title and not isinstance(title[0], str):
            raise TypeError(f"the title of the field {name!r} is not text: {title[0]!r}")
        described.append([name, title[0] if title else None, offset, description])
        same = same and description is None and not title
    if same:
        return dtype, None
    storage = np.dtype(
        {
            "names": list(dtype.names),
            "formats": formats,
            "offsets": offsets,
            "itemsize": dtype.itemsize,
        }
    )
    aligned = bool(dtype.isalignedstruct)
    return storage, {"fields": described, "itemsize": dtype.itemsize, "aligned": aligned}


# Back


def restored(tag: str, storage: Dtype) -> Dtype:
    """The type that a tag describes.

    Parameters
    ----------
    tag : str
        The value of the attribute `TAG`.
    storage : numpy.dtype
        The type that is stored; what the tag leaves open is taken from it.

    Raises
    ------
    TagError
        The tag cannot be understood, does not fit the stored type, or needs a package that is
        not installed.

    Examples
    --------
    >>> restored('"<m8[s]"', np.dtype("<i8"))
    dtype('<m8[s]')
    """
    try:
        dtype = _restored(json.loads(tag), storage)
    except TagError:
        raise
    except NOT_UNDERSTOOD as error:
        raise TagError(f"the tag {tag!r:.80} cannot be understood: {error}") from None
    if dtype.kind != "T" and dtype.itemsize != storage.itemsize:
        raise TagError(f"the tag {tag!r:.80} does not fit the type {storage}")
    return dtype


def _restored(description: Any, storage: Dtype) -> Dtype:
    if description is None:
        return storage
    if isinstance(description, str):
        return _restored_name(description)
    if "text" in description:
        return _restored_text(description)
    if "base" in description:
        base, shape = storage.subdtype or (storage, ())
        if list(shape) != description["shape"]:
            raise TagError(f"the tag says the shape {description['shape']}, stored is {shape}")
        return np.dtype((_restored(description["base"], base), shape))
    fields = storage.fields
    entries = description["fields"]
    if fields is None or [entry[0] for entry in entries] != list(storage.names or ()):
        raise TagError(f"the tag's fields are not those of {storage}")
    for name, _title, offset, _type in entries:
        if fields[name][1] != offset:
            raise TagError(f"the tag has the field {name!r} at {offset}, not {fields[name][1]}")
    return np.dtype(
        {
            "names": [entry[0] for entry in entries],
            "formats": [_restored(entry[3], fields[entry[0]][0]) for entry in entries],
            "offsets": [entry[2] for entry in entries],
            "titles": [entry[1] for entry in entries],
            "itemsize": description["itemsize"],
        },
        align=bool(description["aligned"]),
    )


def _restored_name(name: str) -> Dtype:
    """A type by its name: NumPy's or, from a fixed package, another's."""
    order: Any = name[0] if name[:1] in {"<", ">"} else ""
    name = name[len(order) :]
    package, _, attribute = name.rpartition(".")
    if not package:
        dtype = plain_type(order + name)
        if dtype.kind not in "mM":
            raise TagError(f"the tag names the type {name!r}")
        return dtype
    if package != _EXTENSIONS:
        raise TagError(f"the tag names a type of {package!r}, which is not known")
    try:
        import ml_dtypes
    except ImportError:
        raise TagError(f"the type {name} needs the package {_EXTENSIONS}") from None
    dtype = np.dtype(getattr(ml_dtypes, attribute, None))
    if not is_extension(dtype):
        raise TagError(f"the tag names {name}, which is no type")
    return dtype.newbyteorder(order) if order else dtype


def pack(array: Array, how: Tagged) -> Array:
    """The elements as they are stored: the same memory where the bytes are the same.

    Raises
    ------
    TypeError
        A text of StringDType stands for missing values, for `how` was made without the array.
    """
    if how.dtype.kind == "T":
        return _packed_text(array, how)
    return _viewed(array, how.storage)


def unpack(array: Array, dtype: Dtype, tag: str) -> Array:
    """The elements as memory has them, from those stored; see `pack`."""
    if dtype.kind == "T":
        return _unpacked_text(array, dtype, json.loads(tag))
    return _viewed(array, dtype)


def _viewed(array: Array, dtype: Dtype) -> Array:
    """`array` as another type of the same bytes."""
    if not array.dtype.hasobject:
        return array.view(dtype)
    result = np.zeros(array.shape, dtype)  # NumPy views no objects
    for name in dtype.names or ():
        field = array[name]
        result[name] = _viewed(field, result[name].dtype) if field.dtype != dtype[name] else field
    return result


# Variable-length text


def _described_text(dtype: Dtype, array: Array | None) -> dict[str, Any]:
    description: dict[str, Any] = {"text": "StringDType"}
    if not getattr(dtype, "coerce", True):
        description["coerce"] = False
    if not hasattr(dtype, "na_object"):
        return description
    missing: Any = dtype.na_object
    description["missing"] = _described_missing(missing)
    if isinstance(missing, str):
        return description
    if array is None:
        description["as"] = _STAND_IN
    else:
        texts = array.astype(object)
        if not all(isinstance(text, str) for text in texts.flat):
            description["as"] = _unused(set(texts.flat))
    return description


def _described_missing(missing: Any) -> Any:
    if missing is None or isinstance(missing, str):
        return missing
    if isinstance(missing, float) and math.isnan(missing):
        return {"float": "nan"}
    if type(missing).__name__ == "NAType":
        return {"pandas": "NA"}
    raise TypeError(f"there is nothing that the missing value {missing!r} can be stored as")


#: Stands for missing values, where no element is this text.
_STAND_IN = "<NA>"


def _unused(texts: set[Any]) -> str:
    """A text for missing values that is none of `texts`."""
    candidate, number = _STAND_IN, 0
    while candidate in texts:
        number += 1
        candidate = f"{_STAND_IN[:-1]} {number}>"
    return candidate


def _restored_text(description: dict[str, Any]) -> Dtype:
    options: dict[str, Any] = {"coerce": bool(description.get("coerce", True))}
    if "missing" in description:
        missing = description["missing"]
        if isinstance(missing, dict):
            missing = _pandas_missing() if "pandas" in missing else math.nan
        options["na_object"] = missing
    return np.dtypes.StringDType(**options)


def _pandas_missing() -> Any:
    if "pandas" not in sys.modules:
        try:
            import pandas  # noqa: F401
        except ImportError:
            raise TagError("missing values of this type need the package pandas") from None
    return sys.modules["pandas"].NA


def _packed_text(array: Array, how: Tagged) -> Array:
    texts = array.astype(object)
    stand_in = json.loads(how.tag).get("as")
    absent = _is_missing(texts)
    if stand_in is not None and (texts == stand_in).any():
        raise TypeError(f"an element is the text {stand_in!r}, which stands for missing values")
    if absent.any():
        texts[absent] = stand_in
    return texts.astype(how.storage)


def _unpacked_text(array: Array, dtype: Dtype, description: dict[str, Any]) -> Array:
    texts = array.astype(object)
    for index, text in enumerate(texts.flat):
        if isinstance(text, bytes):
            texts.flat[index] = text.decode("utf-8")
    if "as" in description:
        texts[texts == description["as"]] = dtype.na_object  # type: ignore[attr-defined]
    return texts.astype(dtype)


def _is_missing(texts: Array) -> Array:
    found: Array = np.frompyfunc(lambda text: not isinstance(text, str), 1, 1)(texts)
    return np.asarray(found, bool)
