"""Print the first rows of a dataset, or the part that an index selects."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from memdata.cli.output import print_json
from memdata.cli.selecting import index_of
from memdata.cli.targets import opened

__all__ = ["configure", "run"]

#: Elements that are read at most, unless they are asked for.
MOST = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("files", nargs="+", metavar="FILE/PATH", help="a dataset in a file")
    parser.add_argument("-n", "--lines", type=int, default=10, metavar="N", help="rows (10)")
    parser.add_argument(
        "-s", "--select", metavar="INDEX", help="a part instead, as in NumPy: 0:10,::2,-1"
    )
    parser.add_argument("-a", "--all", action="store_true", help="do not shorten long rows")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    if options.lines < 0:
        raise ValueError(f"-n takes a number of rows, not {options.lines}")
    found = []
    for text in options.files:
        with opened(text) as (item, target):
            if not hasattr(item, "dtype") or not hasattr(item, "shape"):
                raise ValueError(f"{text} is a group; `memdata ls {text}` lists the datasets in it")
            array = _read(item, options)
        if options.json:
            about = {"file": target.file, "path": target.path, "shape": item_shape(array)}
            found.append({**about, "values": array})
            continue
        if len(options.files) > 1:
            print(f"==> {text} <==")
        for line in _lines(array, options.all):
            print(line)
    if options.json:
        print_json(found)
    return 0


def item_shape(array: Any) -> Any:
    """The shape of what was read."""
    return getattr(array, "shape", None)


def _read(item: Any, options: argparse.Namespace) -> Any:
    import numpy as np

    if item.shape is None:
        return np.array([])
    if options.select is not None:
        return np.asarray(item[index_of(options.select)])
    if not item.shape:
        return np.asarray(item[()])
    index: tuple[slice, ...] = (slice(0, options.lines),)
    row = 1
    for length in item.shape[1:]:  # of very long rows the beginning
        most = max(1, MOST // max(row * max(options.lines, 1), 1))
        index += (slice(0, length if options.all else min(length, most)),)
        row *= min(length, most)
    return np.asarray(item[index])


def _lines(array: Any, whole: bool) -> Iterator[str]:
    """The array as text, a row of the first axis after the other."""
    import numpy as np

    from memdata.show.words import printable

    if array.dtype.kind == "O":
        shown = np.empty(array.shape, object)
        shown[...] = array
        for place, one in np.ndenumerate(array):
            if isinstance(one, bytes):
                shown[place] = one.decode("utf-8", "backslashreplace")
        array = shown
    small = whole or array.size <= 60
    for row in [array] if small or array.ndim < 2 else array:
        threshold = array.size + 1 if whole or array.ndim == 1 else 60 if small else 12
        text = np.array2string(row, threshold=threshold, edgeitems=4, max_line_width=100)
        yield from (printable(line) for line in text.split("\n"))
