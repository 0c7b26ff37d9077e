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

from memdata import MemDatasetCommon, MemDatasetDistributed, MemGroup, _cmemdata, _Storage, ro_dict
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
    """Name -> (operation, how to undo it).

    Of C all the way: frames of Python fail otherwise. Without NumPy's reductions, fancy indices and
    printing, which return an error and set none when memory runs out.
    """
    partial = functools.partial
    array = MPIArray((4, 5), axis=0)
    array[:] = 1
    data = np.zeros(3)
    again = tree()
    fixed = ro_dict({"a": data, "b": 2})
    spread = MemDatasetDistributed.from_mpi_array(MPIArray((4, 5), axis=0))
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
        "equal trees": partial(operator.eq, group._storage_root, again._storage_root),
        "sizes": partial(operator.attrgetter("shape", "dtype", "ndim", "size", "chunks"), x),
        "names": partial(operator.attrgetter("name", "parent", "file"), group["a/b"]),
        "reduce": group["a/b"].__reduce__,
        "reduce a dataset": x.__reduce__,
        "restore": partial(MemGroup._restore, group._storage_root, "/a"),
        "hash": partial(hash, x),
        "represent groups": partial(repr, group),
        "keys and sets": partial(operator.and_, group.keys(), {"a", "q"}),
        "keys or sets": partial(operator.or_, group.keys(), {"a", "q"}),
        "keys without": partial(operator.sub, group.keys(), {"a", "q"}),
        "keys or": partial(operator.xor, group.keys(), {"a", "q"}),
        "keys below": partial(operator.le, group.keys(), {"a", "c", "d"}),
        "keys disjoint": partial(group.keys().isdisjoint, {"q"}),
        "represent views": partial(repr, group.items()),
        "item in items": partial(operator.contains, group.items(), ("a", group["a"])),
        "value in values": partial(operator.contains, group.values(), x),
        "backwards": partial(list, reversed(list(group.keys()))),
        "add a dataset": partial(operator.add, x, 1.0),
        "negate": partial(operator.neg, x),
        "power": partial(pow, x, 2),
        "less": partial(operator.lt, x, 5.0),
        "iterate a dataset": partial(list, x),
        "an element": partial(operator.getitem, x, (1, 2)),
        "null index": partial(operator.getitem, x, ()),
        "bytes as a path": partial(operator.getitem, group, b"a/b"),
        "an absolute path": partial(operator.getitem, group["c"], "/a/b/x"),
        "the root's own look-up": partial(operator.getitem, group._storage_root, "/a/b/x"),
        "the root's get": partial(group._storage_root.get, "/a/b/x"),
        "storage": partial(operator.attrgetter("attrs", "_creation"), group._storage_root["a"]),
        "a state": group._storage_root.__getstate__,
        "a copied root": partial(copy.copy, group._storage_root),
        "a shallow copy": partial(_cmemdata.copy_tree, group._storage_root, _Storage(), fork=True),
        "sorted": partial(_cmemdata.copy_tree, group._storage_root, _Storage(), sort=True),
        "replaced": partial(
            _cmemdata.copy_tree,
            group._storage_root,
            _Storage(),
            shared={"/a/y"},
            replaced={"/a/b/x": np.zeros(2)},
        ),
        "format a path": partial(_cmemdata.format_abs_path, "/a//b/./c"),
        "copy blocks": partial(_cmemdata.copy_blocks, [np.zeros((3, 4)).T], [np.ones((4, 3))]),
        "read-only views": partial(list, fixed.items()),
        "read-only get": partial(fixed.get, "b", 1),
        "equal read-only": partial(operator.eq, fixed, {"a": data}),
        "of its array": partial(operator.attrgetter("global_shape", "local_shape"), array),
        "where": partial(operator.attrgetter("axis", "comm", "local_offset"), array),
        "global slice": partial(operator.getitem, array.global_slice, (slice(1, 3), slice(None))),
        "a global element": partial(
            operator.getitem, array.global_slice, (1, slice(None, None, -1))
        ),
        "into an array": partial(np.add, array, 1.0, out=array),
        "transpose": array.transpose,
        "a view": array.view,
        "an integer takes an axis": partial(operator.getitem, array, (slice(None), 2)),
        "a new axis": partial(operator.getitem, array, (None, Ellipsis)),
        "set a slice": partial(operator.setitem, array, (slice(None), 2), 1.0),
        "distributed": partial(MemDatasetDistributed, (4, 5), np.dtype(float), 0),
        "distributed attributes": partial(
            operator.attrgetter(
                "shape", "global_shape", "local_shape", "distributed_axis", "dtype"
            ),
            spread,
        ),
        "copy what is distributed": spread.copy,
        "compare what is distributed": partial(operator.eq, spread, spread.view()),
        "slice what is distributed": partial(operator.getitem, spread, (slice(None), 1)),
        "shuffle": partial(_cmemdata.shuffle_bytes, bytes(64), bytearray(64), 8),
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
    both["replace a dataset"] = (
        partial(group.create_dataset, "new/data", data=[1, "text"], chunks=(2,), dtype=object),
        partial(operator.delitem, group._storage_root, "new"),
    )
    both["another name"] = (
        partial(operator.setitem, group, "new", x),
        partial(operator.delitem, group._storage_root, "new"),
    )
    both["require a group"] = (
        partial(group.require_group, "new/group"),
        partial(operator.delitem, group._storage_root, "new"),
    )
    both["delete"] = (
        partial(operator.delitem, group, "c/d"),
        partial(group._storage_root["c"].setdefault, "d", _Storage()),
    )
    both["set chunks"] = (
        partial(setattr, x, "chunks", (3, 1)),
        partial(setattr, x, "chunks", (2, 2)),
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
