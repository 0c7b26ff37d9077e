"""What one wants to know first of a dataset, an array or a group: rows of a label and a text."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from memdata import _cmemdata
from memdata.show import words
from memdata.show.facts import Facts, facts_of
from memdata.show.text import Line, Picture
from memdata.show.treetext import shape_of
from memdata.show.walk import Limits, walk

__all__ = ["describe", "kind_words", "rank_words", "rows_of", "values_of"]

#: The range of values is worked out for so many elements at most; it takes some milliseconds.
CHEAP = 1_000_000

#: Bytes of an array in a file that are read to show the first values.
CHEAP_BYTES = 1 << 20

Rows = list[tuple[str, str]]


def describe(item: Any) -> Picture:
    """See `memdata.show.describe`."""
    path = getattr(item, "name", None) or ""
    facts = facts_of(item, path.rpartition("/")[2], path or "/")
    title: Line = [(facts.kind, words.printable(path)), ("note", f"  {kind_words(item)}")]
    title = title if path else [("dataset", kind_words(item))]
    rows = rows_of(facts)
    width = max([len(label) for label, _text in rows] + [10])
    lines: list[Line] = [title]
    for label, text in rows:
        style = {"shape": "shape", "type": "dtype", "units": "units", "ranks": "ranks"}.get(
            label, ""
        )
        lines.append([("label", f"  {label:{width}}  "), (style, text)])
    shown = list(facts.attrs.items())[:20]
    names = [words.one_line(str(name), 30) for name, _value in shown]
    width = max(map(len, names), default=0)
    for name, (_name, found) in zip(names, shown, strict=True):
        lines.append([("label", f"    {name:{width}}  "), ("", words.value(found))])
    if len(facts.attrs) > len(shown):
        lines.append([("note", f"    … and {len(facts.attrs) - len(shown)} more")])

    def page() -> str:
        from memdata.show.page import page as made

        return made(item)

    return Picture(lines, page)


def kind_words(item: Any) -> str:
    """The class of an object; of a file's objects with the library's name."""
    package = type(item).__module__.partition(".")[0]
    name = type(item).__name__
    return f"{package}.{name}" if package in {"h5py", "zarr", "numpy"} else name


def rows_of(facts: Facts) -> Rows:
    """What there is to say, without the attributes themselves."""
    rows = {"dataset": _of_dataset, "group": _of_group}.get(facts.kind, _of_rest)(facts)
    if facts.attrs:
        rows.append(("attributes", str(len(facts.attrs))))
    return rows


def _of_rest(facts: Facts) -> Rows:
    return [(facts.kind, facts.words)]


def _of_group(facts: Facts) -> Rows:
    root = walk(facts.item, Limits(all=10_000), path=facts.path)
    below = [entry.facts for entry in root.all()][1:]
    more = "at least " if any(entry.hidden for entry in root.all()) else ""
    datasets = [one for one in below if one.kind == "dataset"]
    groups = sum(one.kind == "group" for one in below)
    total = sum(one.nbytes for one in datasets)
    rows = [
        ("children", str(facts.children)),
        (
            "below",
            f"{more}{words.amount(len(datasets), 'dataset')}, {words.amount(groups, 'group')}",
        ),
        ("size", f"{more}{words.size(total)}"),
    ]
    where = _file_of(facts.item)
    if where:
        rows.append(("file", where))
    spread = [one for one in datasets if one.spread is not None]
    if spread:
        ranks = spread[0].spread
        assert ranks is not None
        share = sum(_share(one) for one in datasets)
        rows.append(
            (
                "ranks",
                f"{words.amount(len(spread), 'dataset')} over {words.amount(ranks.ranks, 'rank')}",
            )
        )
        rows.append(("memory", f"{words.size(share)} on this rank, {ranks.rank}"))
    largest = sorted(datasets, key=lambda one: -one.nbytes)[:3]
    if len(datasets) > 1:
        named = ", ".join(
            f"{words.printable(one.path)} {words.size(one.nbytes)}" for one in largest
        )
        rows.append(("largest", named))
    return rows


def _file_of(item: Any) -> str:
    data = getattr(item, "_data", item)
    name = getattr(getattr(data, "file", None), "filename", None)
    if name is None and type(data).__module__.partition(".")[0] == "zarr":
        name = getattr(data, "store", None)
    return words.one_line(str(name), 200) if isinstance(name, str) or name is not None else ""


def _share(facts: Facts) -> int:
    """Bytes of a dataset on this rank."""
    spread = facts.spread
    if spread is None or facts.shape is None or not spread.length:
        return facts.nbytes
    start, stop = spread.bounds(spread.rank)
    return facts.nbytes // spread.length * (stop - start)


def _of_dataset(facts: Facts) -> Rows:
    rows: Rows = [("shape", words.shape_words(facts.shape))]
    if any(facts.axes):
        rows.append(("axes", shape_of(facts).strip("()")))
    if facts.maxshape is not None:
        most = ", ".join("any" if length is None else str(length) for length in facts.maxshape)
        rows.append(("may grow to", f"({most})"))
    rows.append(("type", words.type_words(facts.dtype)))
    if facts.units:
        rows.append(("units", facts.units))
    rows.extend(_memory(facts))
    if facts.spread is not None:
        rows.append(("ranks", rank_words(facts)))
    elif facts.hinted is not None:
        rows.append(("ranks", facts.ranks))
    rows.extend(_chunks(facts))
    if facts.packing:
        rows.append(("compression", facts.packing))
    found = values_of(facts)
    if found:
        rows.append(("values", found))
    return rows


def _memory(facts: Facts) -> Rows:
    if facts.shape is None:
        return []
    whole = words.size(facts.nbytes)
    if facts.spread is not None and facts.spread.ranks > 1:
        return [("memory", f"{words.size(_share(facts))} of {whole}")]
    if facts.stored is not None:
        ratio = (
            f", {facts.nbytes / facts.stored:.1f} times smaller"
            if 0 < facts.stored < facts.nbytes
            else ""
        )
        return [("size", f"{whole}, {words.size(facts.stored)} in the file{ratio}")]
    return [
        ("memory" if isinstance(facts.item, np.ndarray | _cmemdata.MemDataset) else "size", whole)
    ]


def rank_words(facts: Facts) -> str:
    """Which part of a distributed dataset is here."""
    spread = facts.spread
    assert spread is not None
    start, stop = spread.bounds(spread.rank)
    return f"{facts.ranks}; rank {spread.rank} has {start}:{stop} of {spread.length}"


def _chunks(facts: Facts) -> Rows:
    chunks = facts.filters.chunks
    if not chunks or not facts.shape:
        return []
    pairs = zip(facts.shape, chunks, strict=True)
    count = math.prod(-(-length // max(chunk, 1)) for length, chunk in pairs)
    each = words.size(facts.dtype.itemsize * math.prod(chunks))
    return [("chunks", f"{count} of {tuple(chunks)}, {each} each")]


# ---- values --------------------------------------------------------------------------------------


def values_of(facts: Facts) -> str:
    """The range of the values, where finding it is cheap; else nothing."""
    try:
        return _values(facts)
    except Exception as error:  # noqa: BLE001 - a damaged chunk, a codec that is not installed
        return f"cannot be read: {words.one_line(str(error))}"


def _values(facts: Facts) -> str:
    array = array_of(facts)
    if array is None or array.size == 0 or array.size > CHEAP:
        return ""
    here = " on this rank" if facts.spread is not None and facts.spread.ranks > 1 else ""
    if array.dtype.names or array.dtype.kind not in "biufcmM":
        return words.value(array[()] if array.ndim == 0 else array) if array.size <= 8 else ""
    if array.size == 1:
        return words.value(array.reshape(-1)[0])
    if array.dtype.kind == "b":
        count = int(array.sum())
        return f"{count} true, {array.size - count} false{here}"
    return _range(array) + here


def _range(array: Any) -> str:
    missing = (
        np.isnat(array)
        if array.dtype.kind in "mM"
        else np.isnan(array)
        if array.dtype.kind in "fc"
        else None
    )
    gone = 0 if missing is None else int(missing.sum())
    word = "NaT" if array.dtype.kind in "mM" else "NaN"
    note = f", {gone} {word}" if gone else ""
    if gone == array.size:
        return f"all {word}"
    found = array[~missing] if gone and missing is not None else array
    if array.dtype.kind in "mM":
        return f"{found.min()} to {found.max()}{note}"
    if array.dtype.kind == "c":
        size = np.abs(found)
        between = f"{_number(size.min())} to {_number(size.max())}"
        return f"absolute {between}, mean {_number(found.mean())}{note}"
    with np.errstate(all="ignore"):
        mean = found.mean(dtype=np.float64)
    return f"{_number(found.min())} to {_number(found.max())}, mean {_number(mean)}{note}"


def _number(found: Any) -> str:
    return str(found) if isinstance(found, np.integer) else f"{found:.6g}"


def array_of(facts: Facts) -> Any:
    """The elements that are in memory here, or few enough to read; else None."""
    item = facts.item
    if facts.shape is None:
        return None
    if isinstance(item, _cmemdata.MemDataset):
        item = getattr(item, "data", None)
    if isinstance(item, _cmemdata._MPIArray):
        return item.local_array
    if isinstance(item, np.ndarray):
        return item
    return np.asarray(item[()]) if _cheap_to_read(facts) else None


def _cheap_to_read(facts: Facts) -> bool:
    """Whether all of a dataset in a file is few bytes, and reading it asks no other rank."""
    if facts.nbytes > CHEAP_BYTES or not _is_open(facts.item):
        return False
    return not (facts.dtype.kind == "O" and facts.nbytes > 1 << 10)


def _is_open(item: Any) -> bool:
    if "h5py" not in sys.modules or type(item).__module__.partition(".")[0] != "h5py":
        return True
    return bool(item.id.valid) and item.file.driver != "mpio"
