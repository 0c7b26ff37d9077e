"""Random histories of a distributed array, against the plain global array that every rank has.

Hypothesis draws the same on all ranks (see conftest.py). Each step's outcome is compared on all
ranks before the next, so that an error of one does not leave the others in a collective operation.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from whole import check, distribute, numbered, part, same

from memdata import MemGroup
from memdata.mpiarray import MPIArray

DTYPES: list[Any] = ["f8", "i4", ">f4", "c8", "S4", "U3", "?", "f2", "M8[s]", "O"]
DTYPES.append(np.dtype([("a", "i2"), ("b", ">f8", (2,)), ("c", "S70")]))
LENGTH = st.integers(0, 8)


class Machine(RuleBasedStateMachine):
    """`self.array` is distributed, `self.whole` is what it should be."""

    comm: Any = None

    def together(self, step: Callable[[], None]) -> None:
        """Take a step; when one rank fails in it all do."""
        problem: Exception | AssertionError | None = None
        try:
            step()
        except (Exception, AssertionError) as error:  # noqa: BLE001
            problem = error
        failed = [problem is not None]
        if self.comm is not None:
            failed = self.comm.allgather(problem is not None)
        if problem is not None:
            raise problem
        assert not any(failed), f"ranks {np.flatnonzero(failed).tolist()} failed"

    @initialize(
        shape=st.lists(LENGTH, min_size=1, max_size=4),
        dtype=st.sampled_from(DTYPES),
        data=st.data(),
    )
    def begin(self, shape, dtype, data):
        self.whole = numbered(tuple(shape), dtype)
        self.cut = data.draw(st.integers(0, len(shape) - 1))
        self.array = distribute(self.whole, self.cut, self.comm)

    def an_axis(self, data: st.DataObject, *, other: bool = False) -> int:
        axes = [n for n in range(self.whole.ndim) if not (other and n == self.cut)]
        return data.draw(st.sampled_from(axes), label="axis")

    def take(self, array: Any, whole: np.ndarray, cut: int) -> None:
        """Go on with these, if they are not too big."""

        def step() -> None:
            check(array(), whole, cut, self.comm)
            self.array, self.whole, self.cut = array(), whole.copy(), cut

        if whole.size <= 5000 and whole.ndim <= 5:
            self.together(step)

    @rule(data=st.data())
    def redistribute(self, data):
        axis = self.an_axis(data)
        budget = data.draw(st.sampled_from([1, 64, 2**28]), label="budget")
        moved = self.array.redistribute(axis, budget=budget)
        self.take(lambda: moved, self.whole, axis)

    @rule(data=st.data())
    def transpose(self, data):
        order = data.draw(st.permutations(range(self.whole.ndim)), label="order")
        self.take(
            lambda: self.array.transpose(order),
            self.whole.transpose(order),
            order.index(self.cut),
        )

    @rule(data=st.data())
    def select(self, data):
        if self.whole.ndim < 2:
            return
        axis = self.an_axis(data, other=True)
        length = self.whole.shape[axis]
        kind = data.draw(st.sampled_from(["slice", "int", "list", "mask"]), label="kind")
        item: Any
        if kind == "int" and length:
            item = data.draw(st.integers(-length, length - 1))
        elif kind == "list" and length:
            item = data.draw(st.lists(st.integers(-length, length - 1), min_size=1, max_size=8))
        elif kind == "mask":
            item = np.array(data.draw(st.lists(st.booleans(), min_size=length, max_size=length)))
            item = item.astype(bool)
        else:
            ends = st.none() | st.integers(-9, 9)
            item = slice(data.draw(ends), data.draw(ends), data.draw(st.sampled_from([1, 2, -1])))
        index = (slice(None),) * axis + (item,)
        cut = self.cut - (isinstance(item, int) and axis < self.cut)
        self.take(lambda: self.array[index], self.whole[index], cut)

    @rule(data=st.data())
    def add_an_axis(self, data):
        at = data.draw(st.integers(0, self.whole.ndim))
        index = (slice(None),) * at + (None,)
        self.take(lambda: self.array[index], self.whole[index], self.cut + (at <= self.cut))

    @rule(data=st.data())
    def set_globally(self, data):
        ends = st.none() | st.integers(-9, 9)
        step = data.draw(st.sampled_from([None, 1, 2, -1, -3]))
        item = slice(data.draw(ends), data.draw(ends), step)
        index = (slice(None),) * self.cut + (item,)
        value = numbered(self.whole[index].shape, self.whole.dtype, first=7)

        def assign() -> None:
            self.array.global_slice[index] = value
            self.whole[index] = value

        self.together(assign)

    @rule(data=st.data())
    def read_globally(self, data):
        length = self.whole.shape[self.cut]
        if not length:
            return
        place = data.draw(st.integers(-length, length - 1))
        index = (slice(None),) * self.cut + (place,)

        def look() -> None:
            found = self.array.global_slice[index]
            bounds = self.array.local_bounds
            if bounds.start <= place % length < bounds.stop:
                same(found, self.whole[index])
            else:
                assert found is None

        self.together(look)

    @rule()
    def add_to_itself(self):
        if self.whole.dtype.kind in "fic":
            with np.errstate(all="ignore"):
                self.take(lambda: self.array + self.array, self.whole + self.whole, self.cut)

    @rule(data=st.data())
    def reduce(self, data):
        if self.whole.ndim < 2 or self.whole.dtype.kind not in "i?":
            return
        axis = self.an_axis(data, other=True)
        keepdims = data.draw(st.booleans())
        cut = self.cut if keepdims else self.cut - (axis < self.cut)
        self.take(
            lambda: self.array.sum(axis=axis, keepdims=keepdims),
            self.whole.sum(axis=axis, keepdims=keepdims),
            cut,
        )

    @rule(data=st.data())
    def reduce_globally(self, data):
        if self.whole.dtype.kind not in "i?" or self.whole.size == 0:
            return
        axes = data.draw(
            st.none() | st.lists(st.integers(0, self.whole.ndim - 1), min_size=1, unique=True)
        )
        axis = None if axes is None else tuple(axes)
        operation = data.draw(st.sampled_from(["sum", "max", "any"]))
        keepdims = data.draw(st.booleans())
        expected = getattr(np, operation)(self.whole, axis=axis, keepdims=keepdims)
        found = self.array.reduce_global(operation, axis, keepdims)
        if axis is None or self.cut in axis:
            self.together(lambda: same(found, expected))
        else:
            cut = self.cut if keepdims else self.cut - sum(n < self.cut for n in axis)
            self.together(lambda: check(found, expected, cut, self.comm))

    @rule(data=st.data())
    def gather_on_one(self, data):
        size = 1 if self.comm is None else self.comm.size
        root = data.draw(st.integers(0, size - 1))
        whole = self.array.gather(root)
        here = self.comm is None or self.comm.rank == root

        def look() -> None:
            if here:
                same(whole, self.whole)
            else:
                assert whole is None

        self.together(look)

    @rule(data=st.data())
    def combine(self, data):
        """With a number, with a row, into itself: `out=` too."""
        if self.whole.dtype.kind not in "fi" or self.whole.size == 0:
            return
        other: Any = data.draw(st.integers(0, 9))
        if self.cut != self.whole.ndim - 1 and data.draw(st.booleans()):
            other = np.arange(self.whole.shape[-1])
        into = data.draw(st.booleans())

        def step() -> None:
            out = {"out": self.array, "casting": "unsafe"} if into else {}
            found = np.maximum(self.array, other, **out)
            expected = np.maximum(self.whole, other, **({**out, "out": self.whole} if into else {}))
            check(found, expected, self.cut, self.comm)

        self.together(step)

    @rule()
    def merge_axes(self):
        cut, shape = self.cut, self.whole.shape
        before, after = int(np.prod(shape[:cut])), int(np.prod(shape[cut + 1 :]))
        self.take(
            lambda: self.array.reshape(before, None, after),
            self.whole.reshape(before, shape[cut], after),
            1,
        )

    @rule(dtype=st.sampled_from(["f8", ">i2", "c16"]))
    def cast(self, dtype):
        if self.whole.dtype.kind in "fi":
            with np.errstate(all="ignore"):
                self.take(lambda: self.array.astype(dtype), self.whole.astype(dtype), self.cut)

    @rule(how=st.sampled_from([copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]))
    def copy(self, how):
        # NumPy's pickles come back in native byte order.
        self.take(lambda: how(self.array), how(self.whole), self.cut)

    @rule()
    def gather(self):
        whole = self.array.allgather()
        self.together(lambda: same(whole, self.whole))

    @rule()
    def wrap_again(self):
        local = part(self.whole, self.cut, self.comm).copy()
        array = MPIArray.wrap(local, self.cut, self.comm)
        self.take(lambda: array, self.whole, self.cut)

    @rule(data=st.data())
    def through_a_tree(self, data):
        if self.comm is None:
            return
        axis = self.an_axis(data)
        tree = MemGroup(True, self.comm)
        tree.create_dataset("a/x", data=self.array)
        tree["a/x"].redistribute(axis)
        tree.dataset_distributed_to_common("a/x")
        tree.dataset_common_to_distributed("a/x", self.cut)
        self.take(lambda: tree["a/x"].data, self.whole, self.cut)

    @invariant()
    def it_is_the_whole_array(self):
        if hasattr(self, "array"):
            self.together(lambda: check(self.array, self.whole, self.cut, self.comm))


@pytest.mark.timeout(120)
def test_random_histories(comm):
    size = 1 if comm is None else comm.size
    of_this = type("OfThisWorld", (Machine,), {"comm": comm})
    limits = settings(
        settings.get_profile("ranks"), max_examples=40 // size + 4, stateful_step_count=20
    )
    test = of_this.TestCase
    test.settings = limits
    test("runTest").runTest()
