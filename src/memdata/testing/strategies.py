"""What hypothesis draws for tests of code that uses memdata: arrays, attributes, whole trees.

All of it can be saved in HDF5 files and zarr stores, and comes back equal.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import memdata

__all__ = ["arrays", "attributes", "dtypes", "names", "trees"]

#: Numbers that every file format has, in the machine's byte order.
_PLAIN = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16")


def names() -> st.SearchStrategy[str]:
    """Names of nodes and attributes: few and short, so that they meet.

    Examples
    --------
    >>> from memdata.testing import strategies
    >>> len(strategies.names().example()) > 0  # doctest: +SKIP
    True
    """
    return st.sampled_from(["a", "b", "c", "über", "a name"])


def dtypes(*, structured: bool = False) -> st.SearchStrategy[np.dtype[Any]]:
    """Types of numbers.

    Parameters
    ----------
    structured : bool
        Other byte orders and structured types too, which zarr does not keep as they are.
    """
    more = [">i4", ">f8", "i2,f4"] if structured else []
    return st.sampled_from([np.dtype(kind) for kind in [*_PLAIN, *more]])


@st.composite
def arrays(
    draw: st.DrawFn, *, max_dims: int = 3, max_side: int = 4, structured: bool = False
) -> np.ndarray[Any, Any]:
    """Arrays of such types; NaN, infinities, axes without elements, no axes are among them.

    Parameters
    ----------
    max_dims, max_side : int
        So many axes, so long.
    structured : bool
        As for `dtypes`.
    """
    dtype = draw(dtypes(structured=structured))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=max_side))
    found: np.ndarray[Any, Any] = draw(hnp.arrays(dtype, shape))
    return found


def attributes(*, finite: bool = True) -> st.SearchStrategy[Any]:
    """Values of attributes: numbers, text, truth, small arrays, nested lists and dicts.

    Parameters
    ----------
    finite : bool
        Without NaN and infinities, which the JSON of zarr stores does not have.
    """
    # Few letters: it takes seconds to set up all of Unicode.
    text = st.text('ab Zé漢🔭\n"', max_size=5)
    number = st.floats(allow_nan=not finite, allow_infinity=not finite)
    plain = st.booleans() | st.integers(-(2**60), 2**60) | number | text
    nested = st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
        max_leaves=5,
    )
    return st.one_of(
        plain,
        hnp.arrays("i4", st.integers(1, 3)),
        st.dictionaries(text, nested, max_size=3),
    )


@st.composite
def trees(
    draw: st.DrawFn,
    *,
    max_nodes: int = 5,
    structured: bool = False,
    finite: bool = True,
) -> memdata.MemGroup:
    """Trees in memory, of groups, datasets and attributes.

    Parameters
    ----------
    max_nodes : int
        So many nodes at the second level.
    structured, finite : bool
        As for `dtypes` and `attributes`.
    """
    tree = memdata.MemGroup()
    paths = st.lists(st.tuples(names(), names()), max_size=max_nodes, unique=True)
    for path in map("/".join, draw(paths)):
        node: Any = (
            tree.create_dataset(path, data=draw(arrays(structured=structured)))
            if draw(st.booleans())
            else tree.require_group(path)
        )
        for name in draw(st.lists(names(), max_size=2)):
            node.attrs[name] = draw(attributes(finite=finite))
    return tree
