"""Loading, saving and copying trees: plan, agree, lay out, move, commit.

``load``, ``save``
    the jobs, step by step
``agree``
    where ranks compare their plans
``movers``
    how the elements of large datasets get from one place to the other

The page ``docs/transfer.md`` tells the whole story.
"""

from memdata.transfer.load import load_file, load_group
from memdata.transfer.save import save_file, write_group

__all__ = ["load_file", "load_group", "save_file", "write_group"]
