"""Helpers that several test modules use; nothing in here knows memdata's inside."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from memdata.testing import example_tree


class FakeComm:
    """As much of an MPI communicator as code that never communicates may ask for."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank = rank
        self.size = size

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.size


def comm_world() -> Any:
    """MPI's world communicator; skips the test where there is no MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no MPI here: {error}")
    return MPI.COMM_WORLD


class PathLike:
    """Neither str nor Path, but something that `os.fspath` takes."""

    def __init__(self, path: object) -> None:
        self.path = str(path)

    def __fspath__(self) -> str:
        return self.path


def run_python(
    code: str, *, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 50
) -> str:
    """Run `code` in a fresh interpreter, warnings as errors; its output, or a failure."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if result.returncode != 0:
        pytest.fail(f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def fill(group: Any) -> Any:
    """Put a small tree of every ordinary kind of node into an empty group-like."""
    return example_tree(group)


def is_dataset(node: Any) -> bool:
    return hasattr(node, "shape") and hasattr(node, "dtype")


def values(dataset: Any) -> Any:
    """Everything in a dataset of any kind: an ndarray, or `h5py.Empty`."""
    content = dataset[()]
    return content if isinstance(content, h5py.Empty) else np.asarray(content)


def assert_same_array(actual: Any, expected: Any) -> None:
    """Same dtype (byte order too), shape and values; NaN equals NaN."""
    if isinstance(expected, h5py.Empty):
        assert isinstance(actual, h5py.Empty)
        assert actual.dtype == expected.dtype
        return
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    if expected.dtype.hasobject or expected.dtype.names:
        assert_same_value(actual.tolist(), expected.tolist())
    else:
        np.testing.assert_array_equal(actual, expected)


def assert_same_value(actual: Any, expected: Any) -> None:
    """Equal Python values; arrays inside are compared whole, NumPy scalars as Python's."""
    if isinstance(expected, np.generic) and not isinstance(expected, np.void):
        expected = expected.item()
    if isinstance(actual, np.generic) and not isinstance(actual, np.void):
        actual = actual.item()
    if isinstance(expected, np.ndarray | h5py.Empty):
        assert_same_array(actual, expected)
    elif isinstance(expected, Mapping):
        assert isinstance(actual, Mapping)
        assert list(actual) == list(expected)
        for key in expected:
            assert_same_value(actual[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert type(actual) is type(expected)
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same_value(one, other)
    elif isinstance(expected, float) and expected != expected:
        assert isinstance(actual, float)
        assert actual != actual
    else:
        assert type(actual) is type(expected)
        assert actual == expected


def assert_same_attrs(actual: Any, expected: Any, *, ignore: tuple[str, ...] = ()) -> None:
    assert set(actual) - set(ignore) == set(expected) - set(ignore)
    for key in expected:
        if key not in ignore:
            assert_same_value(actual[key], expected[key])


def assert_same_tree(
    actual: Any, expected: Any, *, storage: bool = True, ignore: tuple[str, ...] = ()
) -> None:
    """Same nodes, attributes, values, and with `storage` chunks and compression."""
    assert_same_attrs(actual.attrs, expected.attrs, ignore=ignore)
    assert set(actual) == set(expected)
    for name in expected:
        one, other = actual[name], expected[name]
        assert is_dataset(one) == is_dataset(other), name
        if not is_dataset(other):
            assert_same_tree(one, other, storage=storage, ignore=ignore)
            continue
        assert_same_array(values(one), values(other))
        assert_same_attrs(one.attrs, other.attrs, ignore=ignore)
        if storage:
            assert one.chunks == other.chunks
            assert one.compression == other.compression
            assert one.compression_opts == other.compression_opts


def raw_attrs(attrs: Any) -> dict[str, Any]:
    """Every attribute as it is in the file: type, shape and value."""
    found = {}
    for name in attrs:
        stored = attrs.get_id(name)
        text = h5py.check_string_dtype(stored.dtype)
        found[name] = (text or stored.dtype, stored.shape, np.asarray(attrs[name]).tolist())
    return found


def _nodes(file: Any) -> dict[str, Any]:
    found = {"/": file}
    file.visititems(lambda name, node: found.update({name: node}))
    return found


def filters(dataset: Any) -> list[tuple[int, tuple[int, ...]]]:
    """Number and options of the filters of an HDF5 dataset."""
    plist = dataset.id.get_create_plist()
    return [plist.get_filter(i)[:3:2] for i in range(plist.get_nfilters())]


def assert_same_file(actual: Path, expected: Path) -> None:
    """Two HDF5 files with the same nodes, types, filters and raw attributes."""
    with h5py.File(actual) as one, h5py.File(expected) as other:
        found, wanted = _nodes(one), _nodes(other)
        assert set(found) == set(wanted)
        for name, node in wanted.items():
            assert raw_attrs(found[name].attrs) == raw_attrs(node.attrs)
            if isinstance(node, h5py.Dataset):
                assert found[name].dtype == node.dtype
                assert found[name].chunks == node.chunks
                assert filters(found[name]) == filters(node)
                assert_same_array(found[name][()], node[()])


def leftovers(folder: Path, *expected: str) -> set[str]:
    """Names in a folder other than the expected ones: what a save left behind."""
    return {entry.name for entry in folder.iterdir()} - set(expected)


def open_descriptors() -> set[str]:
    """What files this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("no /proc here to count open files")
    found = set()
    for entry in folder.iterdir():
        try:
            found.add(os.readlink(entry))
        except OSError:
            continue
    return found
