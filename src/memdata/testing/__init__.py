"""For tests of code that uses memdata.

`assert_tree_equal` compares trees; `example_tree` makes one with every ordinary kind of node.
`memdata.testing.fixtures` is a plugin of pytest, `memdata.testing.strategies` has what hypothesis
draws; nothing of memdata needs either.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import memdata

__all__ = ["assert_tree_equal", "example_tree"]


def assert_tree_equal(
    actual: Any, expected: Any, *, comm: Any = None, most: int = 20, **rules: Any
) -> None:
    """Raise AssertionError if two trees, or two datasets, differ.

    Parameters
    ----------
    actual, expected : group, dataset, array or file name
        As for `memdata.diff`: in memory, in HDF5 files, in zarr stores, any with any.
    comm : mpi4py.MPI.Comm or None
        Each of its ranks compares trees of its own; if they differ on one rank, all raise.
        Trees that are distributed need none: comparing them is collective in any case.
    most : int
        How many differences the message lists.
    **rules
        For `memdata.diff`: `rtol`, `atol`, `types`, `attributes`, `links`, `filters`.

    Raises
    ------
    AssertionError
        They differ; the message says where and how.
    TypeError
        One of them is nothing that can be compared, or there is no such rule.

    See Also
    --------
    memdata.diff : what is compared, and how

    Examples
    --------
    >>> from memdata.testing import assert_tree_equal, example_tree
    >>> a, b = example_tree(), example_tree()
    >>> assert_tree_equal(a, b)
    >>> b["sky/map"][1, 2] = 0
    >>> b.attrs["title"] = "another"
    >>> assert_tree_equal(a, b)
    Traceback (most recent call last):
        ...
    AssertionError: 2 differences
    --- a group in memory
    +++ a group in memory
    /: attribute 'title': 'a tree' and 'another'
    /sky/map: 1 of 12 elements differs, at (1, 2): 6.0 and 0.0; largest difference 6.0
    """
    __tracebackhide__ = True  # pytest shows the line that called
    from memdata.ranks.collective import together

    with together(comm, "assert_tree_equal"):
        found = memdata.diff(actual, expected, **rules)
        if found:
            count = f"{len(found)} difference{'s' * (len(found) != 1)}"
            lines = [count, f"--- {found.a}", f"+++ {found.b}", *map(str, found[:most])]
            if len(found) > most:
                lines.append(f"... and {len(found) - most} more")
            raise AssertionError("\n".join(lines))


def example_tree(group: Any = None) -> Any:
    """Put a small tree with every ordinary kind of node into an empty group.

    Parameters
    ----------
    group : group or None
        In memory, of a container, or of a file opened with h5py; None makes a `memdata.MemGroup`.

    Returns
    -------
    group
        The same, or the new one::

            /            attrs: title
            ├─ time      (4,) float64, attrs: units
            ├─ sky       attrs: survey
            │  ├─ map    (3, 4) float32, attrs: axis
            │  └─ deep
            │     └─ mask (4,) bool
            ├─ empty     (group)
            └─ answer    () int32

    Examples
    --------
    >>> from memdata.testing import example_tree
    >>> sorted(example_tree())
    ['answer', 'empty', 'sky', 'time']
    """
    group = memdata.MemGroup() if group is None else group
    group.attrs["title"] = "a tree"
    time = group.create_dataset("time", data=np.linspace(0.0, 1.5, 4))
    time.attrs["units"] = "s"
    sky = group.create_group("sky")
    sky.attrs["survey"] = 7
    sky_map = sky.create_dataset("map", data=np.arange(12, dtype="f4").reshape(3, 4))
    sky_map.attrs["axis"] = np.array([10, 20])
    sky.create_dataset("deep/mask", data=np.array([True, False, True, True]))
    group.create_group("empty")
    group.create_dataset("answer", data=np.array(42, dtype="i4"))
    return group
