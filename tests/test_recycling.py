"""Memory of large arrays, kept for the next ones."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

from memdata._cmemdata import empty_recycled, recycled_bytes
from support import run_python

MEBI = 1 << 20
BYTES = np.dtype("u1")

keeps = pytest.mark.skipif(
    not sys.platform.startswith(("linux", "darwin")), reason="nothing is kept there"
)


@pytest.fixture(autouse=True)
def nothing_kept():
    gc.collect()
    recycled_bytes(drop=True)
    yield
    recycled_bytes(drop=True)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((), "f8"),
        ((0, 3), "f8"),
        ((7, 5), ">i2"),
        ((1025, 1024), "f8"),
        ((3 * MEBI, 2), "S3"),
        ((MEBI,), [("a", "f4"), ("b", "u1")]),
        ((MEBI,), "O"),
    ],
)
def test_as_numpy_makes_it(shape, dtype):
    array, like = empty_recycled(shape, np.dtype(dtype)), np.empty(shape, dtype)
    assert type(array) is np.ndarray
    assert (array.shape, array.dtype, array.strides) == (like.shape, like.dtype, like.strides)
    assert array.flags.owndata
    assert array.flags.writeable
    assert array.flags.aligned
    array[...] = like
    if dtype == "O":
        assert set(array.tolist()) == {None}


@keeps
def test_the_next_array_has_the_memory_of_the_last():
    array = empty_recycled((8 * MEBI,), BYTES)
    place = array.ctypes.data
    del array
    assert recycled_bytes() >= 8 * MEBI
    again = empty_recycled((8 * MEBI - 100,), BYTES)
    assert again.ctypes.data == place
    assert recycled_bytes() == 0


@keeps
def test_memory_in_use_is_nobody_elses():
    view = empty_recycled((8 * MEBI,), BYTES)[3:9]
    view[:] = 7
    other = empty_recycled((8 * MEBI,), BYTES)
    other[:] = 1
    assert view.tolist() == [7] * 6


@keeps
def test_not_for_an_array_of_quite_another_size():
    array = empty_recycled((16 * MEBI,), BYTES)
    del array
    for mebibytes in (12, 20):
        other = empty_recycled((mebibytes * MEBI,), BYTES)
        assert recycled_bytes() >= 16 * MEBI
        del other
        assert recycled_bytes() >= (16 + mebibytes) * MEBI
        recycled_bytes(drop=True)
        array = empty_recycled((16 * MEBI,), BYTES)
        del array


@keeps
def test_not_more_than_a_limit_is_kept():
    sizes = [(50 + 10 * i) * MEBI for i in range(4)]
    arrays = [empty_recycled((size,), BYTES) for size in sizes]
    while arrays:
        arrays.pop(0)
    assert sum(sizes) > 224 * MEBI
    assert sum(sizes[1:]) <= recycled_bytes() <= 224 * MEBI
    array = empty_recycled((300 * MEBI,), BYTES)
    del array
    assert recycled_bytes() <= 224 * MEBI
    assert recycled_bytes(drop=True) > 0
    assert recycled_bytes() == 0


@keeps
def test_not_more_than_a_number_of_blocks_is_kept():
    arrays = [empty_recycled((4 * MEBI,), BYTES) for _ in range(20)]
    del arrays
    assert 16 * 4 * MEBI <= recycled_bytes() < 17 * 4 * MEBI


def test_resize():
    array = empty_recycled((MEBI,), np.dtype("u8"))
    array[:] = np.arange(MEBI)
    for length in (3 * MEBI, 2 * MEBI, 10):
        array.resize(length, refcheck=False)
        least = min(length, MEBI)
        np.testing.assert_array_equal(array[:least], np.arange(least))
        assert not array[least:].any()


def test_arrays_made_meanwhile_are_numpys():
    from numpy._core.multiarray import get_handler_name

    array = empty_recycled((8 * MEBI,), BYTES)
    assert get_handler_name(array) == "memdata_recycling"
    assert get_handler_name(np.empty(8 * MEBI)) == "default_allocator"
    assert get_handler_name(empty_recycled((10,), BYTES)) == "default_allocator"


@pytest.mark.parametrize("shape", [(1 << 62,), (-1, 5), (MEBI, MEBI, MEBI, MEBI)])
def test_what_cannot_be(shape):
    with pytest.raises((ValueError, MemoryError)):
        empty_recycled(shape, np.dtype("f8"))
    from numpy._core.multiarray import get_handler_name

    assert get_handler_name(np.empty(8 * MEBI)) == "default_allocator"


def test_arguments():
    with pytest.raises(TypeError):
        empty_recycled([3], np.dtype("f8"))
    with pytest.raises(TypeError):
        empty_recycled((3,), "no dtype")
    with pytest.raises(TypeError):
        recycled_bytes(True)


@keeps
def test_what_is_kept_counts_as_room_of_a_limited_process():
    run_python(
        """
        import resource
        import numpy as np
        from memdata import memory
        from memdata._cmemdata import empty_recycled, recycled_bytes

        def status(name):
            with open("/proc/self/status") as lines:
                return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))

        limit = status("VmSize") + (160 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        array = empty_recycled((100 << 20,), np.dtype("u1"))
        before = memory.process_room()
        del array
        assert recycled_bytes() >= 100 << 20
        assert memory.process_room() >= before + (99 << 20)
        array = empty_recycled((130 << 20,), np.dtype("u1"))  # it goes where it stands in the way
        assert recycled_bytes() == 0
        try:
            empty_recycled((100 << 20,), np.dtype("u1"))
        except MemoryError:
            pass
        else:
            raise AssertionError
        """
    )


@keeps
def test_a_forked_child_has_its_own():
    run_python(
        """
        import os
        import numpy as np
        from memdata._cmemdata import empty_recycled

        array = empty_recycled((8 << 20,), np.dtype("u1"))
        array[:] = 1
        mine = empty_recycled((8 << 20,), np.dtype("u1"))
        del mine
        child = os.fork()
        if child == 0:
            assert array.all()
            array[:] = 2
            other = empty_recycled((8 << 20,), np.dtype("u1"))
            other[:] = 3
            os._exit(0 if (array == 2).all() else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert array.all() and array.max() == 1
        """
    )
