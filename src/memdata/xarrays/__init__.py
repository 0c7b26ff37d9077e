"""Trees as xarray's, and back.

`naming` finds the names of axes and what lies along them, `giving` makes a DataTree of a group,
`taking` a group of a DataTree. What xarray has no place for travels in each variable's ``encoding``
(`origin`). xarray is imported when one of the functions is called.
"""

from memdata.xarrays.giving import to_xarray
from memdata.xarrays.taking import from_xarray

__all__ = ["from_xarray", "to_xarray"]
