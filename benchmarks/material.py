"""What the rows work on."""

from __future__ import annotations

from typing import Any

import numpy as np

from memdata import MemGroup


def both(paths: list[str]) -> tuple[dict[str, Any], MemGroup]:
    """Make nested dicts, and a group, with the same small array at each path."""
    nested: dict[str, Any] = {}
    group = MemGroup()
    for path in paths:
        *parents, name = path.split("/")
        here = nested
        for parent in parents:
            here = here.setdefault(parent, {})
        here[name] = np.zeros(10)
        group.create_dataset(path, data=here[name])
    return nested, group


#: The leaves of `both` for a tree of 100 datasets in 10 groups.
HUNDRED = [f"group{i}/dataset{j}" for i in range(10) for j in range(10)]


def big_array() -> np.ndarray:
    """Make 256 MiB that are not zeros: untouched zeros are one page, which stays in the cache."""
    return np.arange(2**25, dtype=np.float64).reshape(8192, 4096)
