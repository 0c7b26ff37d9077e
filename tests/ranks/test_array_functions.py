"""NumPy's functions on distributed arrays: the part of what they make of the whole, or a word."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from whole import check, distribute, numbered, same

from memdata.mpiarray import AxisException, MPIArray, UnsupportedOperation

SHAPE = (5, 6, 4)
SQUARES = (5, 3, 3)
NEW_AXIS = np.ones((2, 1, 1, 1))

#: A call, and by the distributed axis of its argument that of its result; where there is none it
#: raises an AxisException.
TABLE = {
    # element by element
    "clip": (lambda a: np.clip(a, 20, 70), {0: 0, 1: 1, 2: 2}),
    "round": (lambda a: np.round(a / 7, 1), {0: 0, 1: 1, 2: 2}),
    "real": (lambda a: np.real(a * 1j), {0: 0, 1: 1, 2: 2}),
    "angle": (lambda a: np.angle(a + 1j), {0: 0, 1: 1, 2: 2}),
    "nan_to_num": (lambda a: np.nan_to_num(a), {0: 0, 1: 1, 2: 2}),
    "isclose": (lambda a: np.isclose(a, 30), {0: 0, 1: 1, 2: 2}),
    "where": (lambda a: np.where(a > 50, a, 0), {0: 0, 1: 1, 2: 2}),
    "where of new axes": (lambda a: np.where(NEW_AXIS > 0, a, 1), {0: 1, 1: 2, 2: 3}),
    "copy": (lambda a: np.copy(a), {0: 0, 1: 1, 2: 2}),
    "zeros_like": (lambda a: np.zeros_like(a, dtype="i2"), {0: 0, 1: 1, 2: 2}),
    "full_like": (lambda a: np.full_like(a, 3), {0: 0, 1: 1, 2: 2}),
    "isin": (lambda a: np.isin(a, [3, 50, 51]), {0: 0, 1: 1, 2: 2}),
    "digitize": (lambda a: np.digitize(a, [10.0, 50.0]), {0: 0, 1: 1, 2: 2}),
    "broadcast_arrays": (lambda a: np.broadcast_arrays(a, NEW_AXIS)[0], {0: 1, 1: 2, 2: 3}),
    # along an axis
    "sort": (lambda a: np.sort(-a, axis=1), {0: 0, 2: 2}),
    "argsort": (lambda a: np.argsort(-a), {0: 0, 1: 1}),
    "flip": (lambda a: np.flip(a, (0, -1)), {1: 1}),
    "roll": (lambda a: np.roll(a, 2, axis=1), {0: 0, 2: 2}),
    "diff": (lambda a: np.diff(a * a, axis=1), {0: 0, 2: 2}),
    "gradient": (lambda a: np.gradient(a * a, axis=1), {0: 0, 2: 2}),
    "unwrap": (lambda a: np.unwrap(a, axis=2), {0: 0, 1: 1}),
    "cumsum": (lambda a: np.cumsum(a, axis=1), {0: 0, 2: 2}),
    "nancumsum": (lambda a: np.nancumsum(a, axis=1), {0: 0, 2: 2}),
    "fft": (lambda a: np.fft.fft(a, axis=1), {0: 0, 2: 2}),
    "rfft": (lambda a: np.fft.rfft(a), {0: 0, 1: 1}),
    "fft2": (lambda a: np.fft.fft2(a), {0: 0}),
    "fftshift": (lambda a: np.fft.fftshift(a, axes=1), {0: 0, 2: 2}),
    "fftshift of all axes": (lambda a: np.fft.fftshift(a), {}),
    "repeat": (lambda a: np.repeat(a, 2, axis=1), {0: 0, 2: 2}),
    "delete": (lambda a: np.delete(a, 2, axis=1), {0: 0, 2: 2}),
    "compress": (lambda a: np.compress([1, 0, 1], a, axis=1), {0: 0, 2: 2}),
    # with fewer axes
    "median": (lambda a: np.median(a, axis=1), {0: 0, 2: 1}),
    "median of all": (lambda a: np.median(a), {}),
    "median, keepdims": (lambda a: np.median(a, axis=(0, 1), keepdims=True), {2: 2}),
    "quantile": (lambda a: np.quantile(a, 0.3, axis=0), {1: 0, 2: 1}),
    "quantiles": (lambda a: np.quantile(a, [0.2, 0.3], axis=0), {1: 1, 2: 2}),
    "percentiles": (lambda a: np.nanpercentile(a, [[20], [30]], axis=1), {0: 2, 2: 3}),
    "average": (lambda a: np.average(a, axis=1, weights=np.arange(1, 7)), {0: 0, 2: 1}),
    "ptp": (lambda a: np.ptp(a, axis=1), {0: 0, 2: 1}),
    "count_nonzero": (lambda a: np.count_nonzero(a, axis=(0, 2)), {1: 0}),
    "argmax": (lambda a: np.argmax(a, axis=1), {0: 0, 2: 1}),
    "nanmean": (lambda a: np.nanmean(a, axis=1), {0: 0, 2: 1}),
    "nansum": (lambda a: np.nansum(a, axis=0), {1: 0, 2: 1}),
    "nanmax, keepdims": (lambda a: np.nanmax(a, axis=0, keepdims=True), {1: 1, 2: 2}),
    "sum": (lambda a: np.sum(a, axis=0), {1: 0, 2: 1}),
    "norm": (lambda a: np.linalg.norm(a, axis=1), {0: 0, 2: 1}),
    "take": (lambda a: np.take(a, [3, 0], axis=1), {0: 0, 2: 2}),
    "take one": (lambda a: np.take(a, 3, axis=1), {0: 0, 2: 1}),
    "take a table": (lambda a: np.take(a, [[3, 0], [1, 1]], axis=1), {0: 0, 2: 3}),
    "diagonal": (lambda a: np.diagonal(a, axis1=0, axis2=1), {2: 0}),
    "trace": (lambda a: np.trace(a, axis1=1, axis2=2), {0: 0}),
    "tril": (lambda a: np.tril(a), {0: 0}),
    # other axes
    "expand_dims": (lambda a: np.expand_dims(a, -1), {0: 0, 1: 1, 2: 2}),
    "expand_dims, several": (lambda a: np.expand_dims(a, (0, 2)), {0: 1, 1: 3, 2: 4}),
    "moveaxis": (lambda a: np.moveaxis(a, 0, -1), {0: 2, 1: 0, 2: 1}),
    "rollaxis": (lambda a: np.rollaxis(a, 2), {0: 1, 1: 2, 2: 0}),
    "swapaxes": (lambda a: np.swapaxes(a, 0, 2), {0: 2, 1: 1, 2: 0}),
    "transpose": (lambda a: np.transpose(a, (1, 2, 0)), {0: 2, 1: 0, 2: 1}),
    "atleast_2d": (lambda a: np.atleast_2d(a), {0: 0, 1: 1, 2: 2}),
    "squeeze": (lambda a: np.squeeze(np.expand_dims(a, 1)), {0: 0, 1: 1, 2: 2}),
    "tile": (lambda a: np.tile(a, (1, 2)), {0: 0, 1: 1}),
    "tile, more axes": (lambda a: np.tile(a, (3, 2, 1, 1)), {1: 2, 2: 3}),
    "pad": (lambda a: np.pad(a, ((0, 0), (1, 2), (0, 0))), {0: 0, 2: 2}),
    "pad everywhere": (lambda a: np.pad(a, 1), {}),
    "split": (lambda a: np.split(a, 3, axis=1)[1], {0: 0, 2: 2}),
    "hsplit": (lambda a: np.hsplit(a, 2)[1], {0: 0, 2: 2}),
    "array_split": (lambda a: np.array_split(a, 3, axis=2)[0], {0: 0, 1: 1}),
    # several
    "concatenate": (lambda a: np.concatenate([a, -a], axis=1), {0: 0, 2: 2}),
    "stack": (lambda a: np.stack([a, -a], axis=1), {0: 0, 1: 2, 2: 3}),
    "stack at the end": (lambda a: np.stack([a, -a], axis=-1), {0: 0, 1: 1, 2: 2}),
    "vstack": (lambda a: np.vstack([a, -a]), {1: 1, 2: 2}),
    "hstack": (lambda a: np.hstack([a, -a]), {0: 0, 2: 2}),
    "dstack": (lambda a: np.dstack([a, -a]), {0: 0, 1: 1}),
    "column_stack": (lambda a: np.column_stack([a, -a]), {0: 0, 2: 2}),
    "append": (lambda a: np.append(a, -a, axis=2), {0: 0, 1: 1}),
    # products
    "a @ plain": (lambda a: a @ numbered((4, 3)), {0: 0, 1: 1}),
    "a @ vector": (lambda a: a @ numbered((4,)), {0: 0, 1: 1}),
    "plain @ a": (lambda a: numbered((3, 6)) @ a, {0: 0, 2: 2}),
    "vector @ a": (lambda a: numbered((6,)) @ a, {0: 0, 2: 1}),
    "dot": (lambda a: np.dot(a, numbered((4, 3))), {0: 0, 1: 1}),
    "dot from the left": (lambda a: np.dot(numbered((2, 6)), a), {0: 1, 2: 2}),
    "einsum": (lambda a: np.einsum("ijk,kl->lij", a, numbered((4, 3))), {0: 1, 1: 2}),
    "einsum of two": (lambda a: np.einsum("ijk,ijk->ik", a, a), {0: 0, 2: 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_the_part_of_what_numpy_makes_of_the_whole(comm, name):
    call, axes = TABLE[name]
    whole = numbered(SHAPE)
    expected = call(whole)
    for axis in range(3):
        array = distribute(whole, axis, comm)
        if axis in axes:
            check(call(array), expected, axes[axis], comm, exact=False)
        else:
            refused_or_local(call, array)


def refused_or_local(call, array):
    """What the distributed axis is in the way of: an error, or the part's result with a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*that of this rank's part")
        with pytest.raises(
            (AxisException, UnsupportedOperation, UserWarning), match="distributed ax"
        ):
            call(array)


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "eigh", "svd", "qr", "cholesky"])
def test_linear_algebra_of_many_matrices(comm, name):
    whole = numbered(SQUARES) % 7
    whole = whole @ whole.transpose(0, 2, 1) + 5 * np.eye(3)
    found = getattr(np.linalg, name)(distribute(whole, 0, comm))
    expected = getattr(np.linalg, name)(whole)
    assert type(found) is type(expected) or isinstance(found, MPIArray)
    if isinstance(found, MPIArray):
        found, expected = [found], [expected]
    for one, other in zip(found, expected, strict=True):
        check(one, other, 0, comm, exact=False)
    refused_or_local(getattr(np.linalg, name), distribute(whole, 1, comm))


def test_joining_vectors(comm):
    whole = numbered((7,))
    array = distribute(whole, 0, comm)
    check(np.vstack([array, array]), np.vstack([whole, whole]), 1, comm)
    check(np.column_stack([array, array]), np.column_stack([whole, whole]), 0, comm)
    check(np.dstack([array, array]), np.dstack([whole, whole]), 1, comm)
    refused_or_local(lambda a: np.hstack([a, a]), array)


def test_arrays_that_do_not_belong_together(comm):
    array = distribute(numbered((4, 6)), 0, comm)
    other = distribute(numbered((4, 6)), 1, comm)
    for call in (np.stack, np.concatenate, lambda both: np.where(array > 2, *both)):
        with pytest.raises(AxisException, match="distributed differently"):
            call([array, other])


#: Programs written for a plain subclass of ndarray call these, and mean this rank's part.
LOCAL = {
    "diff": lambda a: np.diff(a, axis=0),
    "searchsorted": lambda a: np.searchsorted(np.arange(9.0), a),
    "interp": lambda a: np.interp(a, [0, 9], [1, 2]),
    "histogram": lambda a: np.histogram(a, bins=3, range=(0, 9))[0],
    "count_nonzero": np.count_nonzero,
    "norm": np.linalg.norm,
    "outer": lambda a: np.outer(a, [1, 2]),
    "tensordot": lambda a: np.tensordot(a, np.ones((6, 2)), axes=1),
    "stack with a plain one": lambda a: np.stack([a, np.zeros_like(np.asarray(a))]),
    "concatenate along the axis": lambda a: np.concatenate([a, a], axis=0),
    "take": lambda a: np.take(a, [0], axis=0),
}


@pytest.mark.parametrize("name", LOCAL)
def test_others_answer_for_the_part_and_say_so(comm, name):
    array = distribute(numbered((8, 6)), 0, comm)
    if name == "interp":
        array = distribute(numbered((8,)), 0, comm)
    with pytest.warns(UserWarning, match="that of this rank's part"):
        found = LOCAL[name](array)
    assert not isinstance(found, MPIArray)
    same(np.asarray(found), np.asarray(LOCAL[name](array.local_array)))


@pytest.mark.parametrize("reduce", [np.median, np.ptp, np.nanmax, np.argmax, np.average])
def test_reductions_along_the_distributed_axis_are_refused(comm, reduce):
    with pytest.raises(AxisException, match="distributed axis 0"):
        reduce(distribute(numbered((8, 6)), 0, comm), axis=0)


def test_what_no_part_can_answer_is_refused(comm):
    array = distribute(numbered((8, 6)), 0, comm)
    with pytest.raises(UnsupportedOperation, match="local_array, or what allgather"):
        np.cross(array, array, axis=9)


def test_questions_about_the_part(comm):
    array = distribute(numbered((4, 6)), 0, comm)
    assert np.shape(array) == array.local_shape
    assert np.array_equal(array, array)
    part = array.local_array  # which may have no elements
    assert np.may_share_memory(array, part) == np.may_share_memory(part, part)
    same(np.array(np.nonzero(array)), np.array(np.nonzero(array.local_array)))
    assert np.result_type(array, "f4") == np.float64
