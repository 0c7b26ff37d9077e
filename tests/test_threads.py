"""Part 12: a copy is of one moment, and threads share a tree without harm."""

from __future__ import annotations

import copy
import sys
import threading

import h5py
import numpy as np
import pytest

from memdata import MemGroup, deep_group_copy


@pytest.fixture(autouse=True)
def _switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def run(*workers):
    """Run all workers at once; the first exception of any of them is raised here."""
    errors = []
    start = threading.Barrier(len(workers))

    def guarded(worker):
        start.wait()
        try:
            worker()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize(
    "duplicate",
    [
        MemGroup.from_group,
        copy.deepcopy,
        lambda tree: deep_group_copy(tree, made := MemGroup()) or made,
        lambda tree: deep_group_copy(tree, made := MemGroup(), shallow=True) or made,
    ],
    ids=["from_group", "deepcopy", "deep_group_copy", "shallow"],
)
def test_a_copy_is_of_one_moment(duplicate):
    """One thread adds number n first to `a`, then to `b`; every copy has a's or one less."""
    tree = MemGroup()
    first, second = tree.create_group("b"), tree.create_group("a")
    done = threading.Event()

    def write():
        for number in range(3000):
            first.create_dataset(f"{number}", data=[number])
            second.create_dataset(f"{number}", data=[number])
            if number >= 50:
                del first[f"{number - 50}"]
                del second[f"{number - 50}"]
        done.set()

    def read():
        while not done.is_set():
            again = duplicate(tree)
            in_first = {int(name) for name in again["b"]}
            in_second = {int(name) for name in again["a"]}
            assert len(in_first ^ in_second) <= 1
            for numbers in (in_first, in_second):
                assert numbers == set(range(min(numbers, default=0), max(numbers, default=-1) + 1))

    run(write, read)


@pytest.mark.parametrize("name", ["x.h5", "x.zarr"])
def test_a_save_is_of_one_moment(tmp_path, name):
    """As above: a number is first in `b`, then in `a`, and one attribute follows the other."""
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    tree = MemGroup()
    first, second = tree.create_group("b"), tree.create_group("a")
    done = threading.Event()

    def write():
        number = 0
        while not done.is_set():
            number += 1
            first.create_dataset(f"{number}", data=[number])
            second.create_dataset(f"{number}", data=[number])
            first.attrs["n"] = number
            second.attrs["n"] = number
            if number > 8:
                del first[f"{number - 8}"]
                del second[f"{number - 8}"]

    def save():
        try:
            for _ in range(8 if name == "x.h5" else 3):
                tree.to_file(tmp_path / name)
                again = MemGroup.from_file(tmp_path / name)
                assert len(set(again["b"]) ^ set(again["a"])) <= 1
                assert again["b"].attrs.get("n", 0) - again["a"].attrs.get("n", 0) in {0, 1}
        finally:
            done.set()

    run(write, save)


def test_a_dataset_gets_another_array_while_it_is_saved(tmp_path):
    """Progress is shown in the middle of a save; what happens there is not in the file."""
    tree = MemGroup()
    tree.create_dataset("x", data=np.arange(100_000))
    tree.create_dataset("y", data=np.arange(100_000))

    def act(*_):
        if "late" not in tree:
            del tree["y"]
            tree.create_dataset("y", data=[1])
        tree.attrs["late"] = 1
        tree.require_group("late")

    tree.to_hdf5(tmp_path / "x.h5", progress=act)
    assert tree.attrs["late"] == 1
    again = MemGroup.from_hdf5(tmp_path / "x.h5")
    assert set(again) == {"x", "y"}
    assert dict(again.attrs) == {}
    assert again["y"].shape == (100_000,)


def test_a_save_while_others_write_is_a_whole_file(tmp_path):
    tree = MemGroup()
    tree.create_dataset("x", data=np.arange(100))
    done = threading.Event()

    def write():
        try:
            for number in range(3000):
                tree.create_group(f"g{number % 20}/deep{number}")
                if number % 5 == 0:
                    del tree[f"g{number % 20}"]
        finally:
            done.set()

    def save():
        while not done.is_set():
            tree.to_hdf5(tmp_path / "x.h5")
            with h5py.File(tmp_path / "x.h5", "r") as file:
                assert file["x"][99] == 99

    run(write, save)


def test_many_threads_on_one_tree():
    tree = MemGroup()

    def work(mine):
        def act():
            for number in range(400):
                name = f"{mine}/{number % 10}/x"
                tree.create_dataset(name, data=np.full(3, number))
                assert tree[name][1] == number
                tree[name].attrs["n"] = number
                shared = tree.require_group("shared")
                shared.attrs[f"{mine}"] = number
                list(tree.items())
                for node in list(tree.values()):
                    len(node)
                if number % 7 == 0:
                    del tree[f"{mine}/{number % 10}"]

        return act

    run(*(work(f"thread{number}") for number in range(6)))
    assert set(tree) == {"shared"} | {f"thread{number}" for number in range(6)}
    assert len(tree["shared"].attrs) == 6


def test_require_group_in_many_threads_makes_one_group():
    tree = MemGroup()
    made = []

    def act():
        for number in range(300):
            group = tree.require_group(f"a/{number}")
            group.attrs.setdefault("who", threading.get_ident())
            made.append((number, group))

    run(*[act] * 4)
    assert len(tree["a"]) == 300
    for number, group in made:
        assert group == tree[f"a/{number}"]
        assert group.attrs is tree[f"a/{number}"].attrs


def test_one_dataset_changed_and_copied_by_many():
    tree = MemGroup()
    view = tree.create_dataset("x", data=np.zeros((50, 4)))

    def write():
        for number in range(1000):
            view.chunks = (1 + number % 50, 4)
            view.compression = ("gzip", None)[number % 2]
            view.attrs[f"k{number % 30}"] = number
            view.attrs.pop(f"k{number % 17}", None)

    def read():
        for _ in range(500):
            again = tree["x"].copy()
            assert again.shape == (50, 4)
            assert len(again.chunks or (1, 4)) == 2
            assert len(again.attrs) <= 30
            tree["x"] == again  # noqa: B015

    run(write, read, read)


def test_files_in_many_threads(tmp_path):
    def work(number):
        def act():
            tree = MemGroup()
            tree.create_dataset("x", data=np.full(50_000, number))
            path = tmp_path / f"{number}.h5"
            for _ in range(10):
                tree.to_hdf5(path)
                again = MemGroup.from_hdf5(path)
                assert (again["x"][:] == number).all()

        return act

    run(*(work(number) for number in range(4)))
    assert {path.name for path in tmp_path.iterdir()} == {f"{number}.h5" for number in range(4)}
