"""Ctrl-C stops a load or save, wherever in the libraries below it arrives."""

import os
import signal
import threading
import weakref

import numpy as np
import pytest

from memdata import MemGroup
from memdata.interrupt import DeferredInterrupt


@pytest.fixture(autouse=True)
def ctrl_c_raises():
    """A shell starts what it runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def tree():
    """A tree that is moved in several pieces."""
    group = MemGroup()
    data = np.arange(3 << 20, dtype=np.float64)
    group.create_dataset("x", data=data, chunks=(1 << 18,), compression="gzip")
    group.create_dataset("y", data=data)
    return group


class Thing:
    """Something that can be weakly referenced."""


def press_ctrl_c_in_a_weakref_callback(done, total):
    """A KeyboardInterrupt raised there is printed and lost."""
    thing = Thing()
    callback = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
    del thing
    assert callback() is None


def test_is_not_lost_while_saving(tree, tmp_path):
    name = tmp_path / "file.h5"
    name.write_bytes(b"the old file")
    with pytest.raises(KeyboardInterrupt):
        tree.to_hdf5(name, progress=press_ctrl_c_in_a_weakref_callback)
    assert name.read_bytes() == b"the old file"
    assert os.listdir(tmp_path) == ["file.h5"]


def test_is_not_lost_while_loading(tree, tmp_path):
    name = tmp_path / "file.h5"
    tree.to_hdf5(name)
    with pytest.raises(KeyboardInterrupt):
        MemGroup.from_hdf5(name, progress=press_ctrl_c_in_a_weakref_callback)


def test_the_handler_is_put_back(tree, tmp_path):
    tree.to_hdf5(tmp_path / "file.h5")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_one_is_not_deferred():
    presses = []
    with pytest.raises(KeyboardInterrupt), DeferredInterrupt():  # noqa: PT012 - the point of it
        while len(presses) < 3:
            presses.append("Ctrl-C")
            os.kill(os.getpid(), signal.SIGINT)
    assert len(presses) == 2


def test_a_handler_of_the_program_stays():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with DeferredInterrupt():
            os.kill(os.getpid(), signal.SIGINT)
            assert seen == [1]
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_do_not_touch_signals():
    errors = []

    def work():
        try:
            with DeferredInterrupt() as interrupt:
                interrupt.check()
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []
