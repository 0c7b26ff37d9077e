"""Pictures of distributed data: each rank alone can make one, and says what it holds."""

from __future__ import annotations

import re

from memdata import MemDiskGroup


def test_a_rank_describes_without_the_others(comm):
    data = MemDiskGroup(distributed=True, comm=comm)
    vis = data.create_dataset("vis", shape=(8, 5), distributed=True, distributed_axis=0)
    vis.attrs["axis"] = ("freq", "time")
    vis.local_data[:] = comm.rank
    if comm.rank:
        return  # only rank 0 looks: had it to talk to others, it would wait for ever
    text = str(vis.describe())
    stop = vis.local_shape[0]
    assert f"rank 0 has 0:{stop} of 8" in text
    assert re.search(r"values +0 to 0, mean 0", text)
    assert f"{comm.size} rank" in str(data.tree())
    assert f"distributed over {comm.size} ranks" in repr(data)
    assert "md-here" in data._repr_html_()
    assert "md-here" in vis.data._repr_html_()
