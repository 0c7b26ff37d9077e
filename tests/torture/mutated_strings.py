"""Run by test_mutations.py: what attributes of a file may say, damaged.

    mutated_strings.py FIRST COUNT

Prints one line of JSON: what came of it, and what must not have been.
"""

import contextlib
import datetime
import json
import sys
import uuid

import h5py
import numpy as np
from mutations import mutated_text, tried

from memdata.formats import attributes, tagged, zarr_attributes, zarr_types

VALUES = {
    "dict": {"telescope": "small", "dishes": 4, "sizes": [1.5, None, True]},
    "nested": {"when": datetime.date(2020, 1, 2), "deep": {"a": {"b": [[1], {}]}}},
    "uuid": {"id": uuid.UUID(int=7)},
    "complex": {"z": 1 + 2j, "__memdata__": "mine"},
    "large": 2**100,
    "list": [1, "a", [2.5]],
}
#: In zarr all that JSON has no type for.
MORE = {
    **VALUES,
    "nan": float("nan"),
    "bytes": b"ab\xff",
    "id": uuid.UUID(int=9),
    "array": np.arange(6, dtype="u2").reshape(2, 3),
    "record": np.zeros(2, [("a", "f4"), ("b", "i2", (2,))]),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "z": np.array([1 + 1j]),
    "empty": h5py.Empty("f8"),
    "items": [1 + 1j, float("inf"), [b"x"]],
}
TEXTS = [str(attributes.to_array(value)) for value in VALUES.values()]
TYPES = [
    json.dumps(zarr_attributes.encoded({name: value}, "", convert_strings=True))
    for name, value in MORE.items()
]
KINDS_OF_TYPES = [
    *("M8[ns]", "m8[s]", ">M8[3D]", "g", "G", "V5"),
    np.dtypes.StringDType(na_object=None),
    [("a", "M8[s]"), ("b", [("c", "g"), ("d", "f4", (2, 3))])],
    np.dtype({"names": ["a"], "formats": ["M8[s]"], "offsets": [8], "itemsize": 32}),
    h5py.enum_dtype({"on": 1, "off": 0}),
    h5py.vlen_dtype("f4"),
    h5py.ref_dtype,
]
TAGS = [
    kind.tag
    for kind in (zarr_types.stored(np.dtype(dtype), None, 3) for dtype in KINDS_OF_TYPES)
    if kind.tag is not None
]
STORAGES = [
    *(zarr_types.stored(np.dtype(dtype), None, 3).dtype for dtype in KINDS_OF_TYPES),
    *(np.dtype(name) for name in ("f8", "i8", "V16", "S5", "u1", "O")),
]


def decoded(number: int) -> object:
    """What memdata makes of one damaged string."""
    source = (TEXTS, TAGS, TYPES)[number % 3]
    text = mutated_text(source[number // 3 % len(source)], number)
    if source is TEXTS:
        return attributes.to_memory(text)
    if source is TAGS:
        storage = STORAGES[number // 7 % len(STORAGES)]
        with contextlib.suppress(tagged.TagError):
            tagged.restored(text, storage)
        return zarr_types.restored(text, storage)
    stored = json.loads(text)
    zarr_attributes.decoded_creation(stored)
    return zarr_attributes.decoded(stored if isinstance(stored, dict) else {"a": stored})


def trial(number: int) -> tuple[str, str | None]:
    """One string: what came of it, and what must not have been."""
    try:
        decoded(number)
    except ValueError:
        return "refused", None
    except Exception as error:  # noqa: BLE001 - any other is the finding
        return type(error).__name__, f"{type(error).__name__}: {error}"[:300]
    return "decoded", None


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    result = tried(
        trial, range(first, first + count), more_memory=256 << 20, seconds=5, batch=50_000
    )
    print(json.dumps(result.summary()))
