"""Loading, saving and copying trees: plan, agree, lay out, move, commit.

``load``, ``save``
    the jobs, step by step
``ranks``
    the ranks of a job: what they compare and share
``movers``
    how the elements of large datasets get from one place to the other
``plain``, ``mpio``, ``parts``
    how the ranks' parts of distributed datasets do: those that lie in the file as in memory, past
    HDF5 or through parallel HDF5; all others
``arrays``
    single distributed arrays

The page ``docs/transfer.md`` tells the whole story.
"""

from memdata.transfer.arrays import load_array, save_array
from memdata.transfer.load import load_file, load_group
from memdata.transfer.save import save_file, write_group

__all__ = ["load_array", "load_file", "load_group", "save_array", "save_file", "write_group"]
