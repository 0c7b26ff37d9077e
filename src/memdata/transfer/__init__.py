"""Loading, saving and copying trees: plan, agree, lay out, move, commit.

``load``, ``save``
    the jobs, step by step
``ranks``
    the ranks of a job: what they compare and share
``movers``, ``parts``
    how the elements of large datasets, and each rank's part of distributed ones, get from one
    place to the other
``arrays``
    single distributed arrays

The page ``docs/transfer.md`` tells the whole story.
"""

from memdata.transfer.arrays import load_array, save_array
from memdata.transfer.load import load_file, load_group
from memdata.transfer.save import save_file, write_group

__all__ = ["load_array", "load_file", "load_group", "save_array", "save_file", "write_group"]
