"""Attributes in memory, against a dict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memdata import MemGroup

from .harness import Names, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

subject = Subject("Attributes, against a dict")


def attributes_and_dict() -> Iterator[Names]:
    group = MemGroup()
    group.create_dataset("data", data=np.zeros(10))
    attrs = group["data"].attrs
    plain = {"units": "K", "axis": ("freq", "time")}
    attrs.update(plain)
    yield {"d": plain, "attrs": attrs}


subject.row("get", anchor='d["units"]', ours='attrs["units"]', target=1.5)(attributes_and_dict)
subject.row("set", anchor='d["units"] = "Jy"', ours='attrs["units"] = "Jy"', target=2.5)(
    attributes_and_dict
)
