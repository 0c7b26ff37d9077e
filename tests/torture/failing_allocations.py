"""Run by test_allocations.py: each operation of the C side, with the n-th allocation failing.

For n = 0, 1, 2, ... until the operation succeeds several times in a row: it must raise MemoryError
or do its work, and leave the tree as it was or as it should be. Prints one line of JSON.
"""

import _testcapi
import copy
import functools
import json
import operator
import sys

import numpy as np

from memdata import MemDatasetCommon, MemGroup, ro_dict
from memdata.mpiarray import MPIArray


def tree():
    """What the operations work on."""
    group = MemGroup()
    group.create_dataset("a/b/x", data=np.arange(12.0).reshape(3, 4), chunks=(2, 2))
    group.create_dataset("a/y", data=np.array([1, "a", [2]], dtype=object))
    group.create_group("c/d")
    group.attrs["list"] = [1, 2, {"k": np.arange(3)}]
    group["a/b/x"].attrs["units"] = "K"
    return group


def operations(group):
    """Name -> (operation, how to undo it). Of C all the way: frames of Python fail otherwise."""
    partial = functools.partial
    array = MPIArray((4, 5), axis=0)
    array[:] = 1
    data = np.zeros(3)
    x = group["a/b/x"]
    reading = {
        "look up": partial(operator.getitem, group, "a/b/x"),
        "look up what is missing": partial(group.get, "a/b/q"),
        "contains": partial(operator.contains, group, "c/d"),
        "iterate": partial(list, group),
        "items": partial(list, group.items()),
        "values": partial(list, group.values()),
        "represent": partial(repr, x),
        "view": x.view,
        "copy a dataset": x.copy,
        "copy objects": group["a/y"].copy,
        "compare datasets": partial(operator.eq, x, tree()["a/b/x"]),
        "compare trees": partial(
            operator.eq, operator.attrgetter("_storage_root")(group), tree()._storage_root
        ),
        "slice": partial(operator.getitem, x, (slice(1, 3),)),
        "as an array": partial(np.asarray, x),
        "from a root": partial(MemGroup._from_storage_root, group._storage_root, "/a"),
        "make a dataset": partial(MemDatasetCommon, (3, 4), np.dtype(float)),
        "read-only dict": partial(ro_dict, {"a": data}),
        "slice an MPIArray": partial(operator.getitem, array, (slice(None), slice(1, 3))),
        "add MPIArrays": partial(operator.add, array, array),
        "copy everything": partial(copy.deepcopy, group._storage_root),
        "refuse a name": partial(group.create_group, "a/b"),
    }
    both = {name: (operation, None) for name, operation in reading.items()}
    both["create a group"] = (
        partial(group.create_group, "new/group"),
        partial(operator.delitem, group._storage_root, "new"),
    )
    both["create a dataset"] = (
        partial(group.create_dataset, "new/data", data=data),
        partial(operator.delitem, group._storage_root, "new"),
    )
    both["set attributes"] = (
        partial(operator.setitem, group.attrs, "new", 1),
        partial(operator.delitem, group.attrs, "new"),
    )
    return both


def fail_at_each(operation, undo, group, expected):
    """How many allocations failed, and what was wrong."""
    failures = good = 0
    number = -1
    wrong = []
    while good < 20:
        number += 1
        error = None
        _testcapi.set_nomemory(number, number + 1)
        try:
            operation()
        except BaseException as caught:  # noqa: BLE001 - any is the finding
            error = caught
        _testcapi.remove_mem_hooks()
        if error is None or (type(error) is ValueError and "already there" in str(error)):
            good += 1
        else:
            good = 0
            failures += 1
            if type(error) is not MemoryError:
                wrong.append(f"{number}: {error!r}")
        if undo is not None:
            try:
                undo()
            except KeyError:
                pass
        if group._storage_root != expected:
            wrong.append(f"{number}: the tree is another")
    return failures, wrong


def main():
    """All operations."""
    found = {}
    for name in operations(tree()):
        group = tree()
        expected = tree()._storage_root
        operation, undo = operations(group)[name]
        for _ in range(3):  # what is made on first use
            try:
                operation()
            except ValueError:
                pass
            if undo is not None:
                undo()
        found[name] = fail_at_each(operation, undo, group, expected)
    json.dump(found, sys.stdout)


main()
