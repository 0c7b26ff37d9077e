"""Run by test_threads.py: many threads do all kinds of things to one tree.

    python many_threads.py THREADS OPERATIONS

Each thread has names of its own, of which it knows what must be there, and touches what all share.
Prints one line of JSON. Needs neither h5py nor pytest: it is also for interpreters without the GIL.
"""

import copy
import json
import random
import sys
import threading

import numpy as np

from memdata import MemGroup


class Worker:
    """One thread: `model` holds what it has made and not deleted."""

    def __init__(self, tree, number):
        self.tree = tree
        self.mine = f"thread{number}"
        self.random = random.Random(number)
        self.model = {}
        self.actions = [getattr(self, name) for name in dir(self) if name.startswith("act_")]

    def name(self):
        return f"{self.mine}/{self.random.randrange(4)}/{self.random.randrange(8)}"

    def act_create(self):
        name = self.name()
        value = self.random.randrange(1000)
        if name in self.model:
            try:
                self.tree.create_group(name)
            except ValueError:
                return
            raise AssertionError(f"{name} was made twice")
        self.tree.create_dataset(name, data=np.full(3, value))
        self.model[name] = value

    def act_look_up(self):
        name = self.name()
        found = self.tree.get(name)
        assert (found is not None) == (name in self.model) == (name in self.tree), name
        if found is not None:
            assert found[1] == self.model[name]
            assert found.name == "/" + name

    def act_delete(self):
        name = self.name()
        if name in self.model:
            del self.tree[name], self.model[name]

    def act_write(self):
        name = self.name()
        if name in self.model:
            value = self.random.randrange(1000)
            self.tree[name][...] = value
            self.model[name] = value

    def act_attributes(self):
        shared = self.tree.require_group("shared")
        shared.attrs[self.mine] = value = self.random.randrange(1000)
        assert shared.attrs[self.mine] == value
        shared.attrs.pop(f"{self.mine}-{value % 3}", None)
        shared.attrs[f"{self.mine}-{value % 3}"] = [value]

    def act_shared_dataset(self):
        data = self.tree["data"]
        data.chunks = (self.random.randrange(1, 9), 2)
        assert len(data.chunks) == 2
        data.attrs.setdefault("x", 1)
        assert self.tree["data"].attrs is data.attrs

    def act_iterate(self):
        group = self.tree.get(f"{self.mine}/{self.random.randrange(4)}")
        if group is not None:
            prefix = group.name[1:] + "/"
            mine = {name for name in self.model if name.startswith(prefix)}
            assert {prefix + name for name in group} == mine
            assert len(list(group.values())) == len(group.items()) == len(mine)

    def act_shared_groups(self):
        number = self.random.randrange(20)
        group = self.tree.require_group(f"common/{number}")
        group.require_group("below").attrs["who"] = self.mine
        if number < 2:
            try:
                del self.tree[f"common/{number}"]
            except KeyError:
                pass  # another thread was faster

    def act_copy(self):
        if self.random.random() < 0.05:
            again = copy.deepcopy(self.tree)
            mine = again.get(self.mine, {})
            assert sum(len(mine[name]) for name in mine) == len(self.model)

    def run(self, operations):
        for _ in range(operations):
            self.random.choice(self.actions)()


def main():
    threads, operations = map(int, sys.argv[1:])
    sys.setswitchinterval(1e-5)
    tree = MemGroup()
    tree.create_dataset("data", data=np.zeros((9, 4)))
    workers = [Worker(tree, number) for number in range(threads)]
    wrong = []
    done = [0] * threads
    start = threading.Barrier(threads)

    def work(number):
        start.wait()
        try:
            workers[number].run(operations)
            done[number] = operations
        except BaseException as error:  # noqa: BLE001 - any is the finding
            wrong.append(f"{workers[number].mine}: {error!r}")

    started = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    for worker in workers:
        for name, value in worker.model.items():
            if tree[name][2] != value:
                wrong.append(f"{name} is not {value}")
    free = not getattr(sys, "_is_gil_enabled", lambda: True)()
    json.dump({"operations": sum(done), "wrong": wrong, "without the GIL": free}, sys.stdout)


main()
