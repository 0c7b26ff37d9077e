"""The file object that HDF5 writes through behaves like any, but no write fails."""

import errno
import io
import os

import h5py
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memdata._cmemdata import _Output
from memdata.formats.hdf5_output import written

STEPS = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 150_000)),
    st.tuples(st.just("seek"), st.integers(0, 200_000)),
    st.tuples(st.just("end"), st.just(0)),
    st.tuples(st.just("back"), st.integers(0, 10)),
    st.tuples(st.just("read"), st.integers(0, 100_000)),
    st.tuples(st.just("readinto"), st.integers(0, 100_000)),
    st.tuples(st.just("truncate"), st.integers(0, 150_000)),
    st.tuples(st.just("truncate here"), st.just(0)),
)


@pytest.fixture
def descriptor(tmp_path):
    number = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


def apply(file, step, number, fill):
    match step:
        case "write":
            return file.write(bytes([fill]) * number)
        case "seek":
            return file.seek(number)
        case "end":
            return file.seek(0, os.SEEK_END)
        case "back":
            return file.seek(-min(number, file.tell()), os.SEEK_CUR)
        case "read":
            return file.read(number)
        case "readinto":
            buffer = bytearray(number)
            return file.readinto(buffer), buffer
        case "truncate":
            return file.truncate(number)
        case "truncate here":
            return file.truncate()


@given(steps=st.lists(STEPS, max_size=30))
def test_is_like_a_file_in_memory(descriptor, steps):
    os.ftruncate(descriptor, 0)
    file, oracle = _Output(descriptor), io.BytesIO()
    for fill, (step, number) in enumerate(steps):
        if step.startswith("truncate"):
            # BytesIO does not grow.
            size = number if step == "truncate" else oracle.tell()
            oracle.write(b"")
            length = len(oracle.getvalue())
            if size > length:
                here = oracle.tell()
                oracle.seek(length)
                oracle.write(bytes(size - length))
                oracle.seek(here)
        assert apply(file, step, number, fill % 256) == apply(oracle, step, number, fill % 256)
        assert file.tell() == oracle.tell()
    file.flush()
    file.check()
    assert os.pread(descriptor, 10**7, 0) == oracle.getvalue()


def test_small_pieces_are_held_back_until_flush(descriptor):
    file = _Output(descriptor)
    file.write(b"abc")
    assert os.fstat(descriptor).st_size == 0
    file.flush()
    assert os.pread(descriptor, 10, 0) == b"abc"


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_a_failing_write_is_raised_by_check_alone_and_once(tmp_path, size):
    (tmp_path / "x").write_bytes(b"old")
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    try:
        file = _Output(descriptor)
        assert file.write(bytes(size)) == size
        assert file.truncate(7) == 7
        file.flush()
        with pytest.raises(OSError) as caught:
            file.check()
        assert caught.value.errno == errno.EBADF
        file.check()
    finally:
        os.close(descriptor)


def test_a_failing_read_gives_zeros_and_is_told_by_check(tmp_path):
    descriptor = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    try:
        os.write(descriptor, b"abc")
        buffer = bytearray(b"xyz")
        file = _Output(descriptor)
        assert file.readinto(buffer) == 3
        assert buffer == bytes(3)
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            file.check()
        file.check()
    finally:
        os.close(descriptor)


def test_hdf5_that_cannot_read_the_file_is_told_why(tmp_path):
    """HDF5 tries to read once more after a failure, which an exception must not meet."""
    path = str(tmp_path / "x.h5")
    with h5py.File(path, "w") as file:
        file["x"] = 1
    descriptor = os.open(path, os.O_WRONLY)
    try:
        with (
            pytest.raises(OSError, match=os.strerror(errno.EBADF)),
            written(descriptor, path, "r+"),
        ):
            pass
    finally:
        os.close(descriptor)


def test_nothing_is_written_after_an_error(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    reading, writing = os.open(path, os.O_RDONLY), os.open(path, os.O_RDWR)
    try:
        file = _Output(reading)
        file.write(b"new")
        file.flush()
        os.dup2(writing, reading)  # from here on it could be written
        file.seek(0)
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    finally:
        os.close(reading)
        os.close(writing)


def test_what_is_written_from_the_stand_in_is_only_noted(descriptor):
    blank = bytearray(100)
    file = _Output(descriptor)
    file.stand_in(blank)
    file.write(b"header")
    file.write(memoryview(blank)[:60])
    assert file.placed() == 6
    assert file.placed() == -1
    file.write(b"end")
    file.flush()
    assert os.pread(descriptor, 100, 0) == b"header" + bytes(60) + b"end"


@pytest.mark.parametrize("bad", [(-1,), (-5, os.SEEK_END)])
def test_no_seek_to_before_the_start(descriptor, bad):
    with pytest.raises(ValueError, match="start"):
        _Output(descriptor).seek(*bad)


def test_what_is_read_behind_the_end_is_zeros(descriptor):
    """HDF5 uses a buffer as a whole, whatever was read of it; old memory in it made HDF5 crash."""
    os.write(descriptor, b"abc")
    buffer = bytearray(b"\xff" * 8)
    assert _Output(descriptor).readinto(buffer) == 3
    assert buffer == b"abc" + bytes(5)
