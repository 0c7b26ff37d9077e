"""A chunk that cannot be written while zarr's threads write others: nothing is left of the save."""

import errno
import os
import threading
import time

import numpy as np
import pytest

from memdata import MemGroup
from zarr_support import MAJOR

pytestmark = pytest.mark.skipif(MAJOR < 3, reason="zarr 2 writes one chunk after another")

#: Seconds in which a save that did not wait would have removed its folder.
PATIENCE = 0.3


def test_a_save_that_fails_waits_for_writes_under_way(tmp_path, monkeypatch):
    from zarr.storage import _local

    put = _local._put
    failed = threading.Event()
    late = []

    def slow(path, *args, **kwargs):
        if path.name in {"zarr.json", ".zarray", ".zgroup", ".zattrs"}:
            return put(path, *args, **kwargs)
        if path.name.endswith("0"):
            failed.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        assert failed.wait(10)
        end = time.monotonic() + PATIENCE
        while folder.exists() and time.monotonic() < end:
            pass
        late.append(path)
        return put(path, *args, **kwargs)

    monkeypatch.setattr(_local, "_put", slow)
    folder = tmp_path / ".x.zarr.memdata"
    tree = MemGroup()
    tree.create_dataset("d", data=np.arange(1, 5), chunks=(1,))
    with pytest.raises(OSError, match="Input/output error"):
        tree.to_file(tmp_path / "x.zarr")
    assert late
    assert os.listdir(tmp_path) == []
