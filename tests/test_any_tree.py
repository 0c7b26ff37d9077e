"""Trees of everything come back from every kind of file."""

from __future__ import annotations

import datetime
import math
import uuid

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import memdata
from h5compare import differences
from memdata import MemGroup
from test_dtype_matrix import CASES, HDF5, Zarr2, zarr_kinds

REFUSED = HDF5.refused | Zarr2.refused
SMALL_CASES = [name for name in CASES if name not in REFUSED and CASES[name].size < 1000]
KINDS = ["hdf5", *[kind.zarr_format for kind in zarr_kinds() if kind.name == "x.zarr"]]

names = st.text(
    st.characters(exclude_characters="/\\\0.", exclude_categories=["Cs"]), min_size=1, max_size=5
).filter(lambda name: not name.startswith("__"))

plain_dtypes = st.one_of(
    npst.boolean_dtypes(),
    npst.integer_dtypes(endianness="?"),
    npst.unsigned_integer_dtypes(endianness="?"),
    npst.floating_dtypes(endianness="?"),
    npst.complex_number_dtypes(endianness="?"),
    npst.byte_string_dtypes(endianness="?", min_len=1, max_len=4),
    npst.datetime64_dtypes(endianness="?"),
    npst.timedelta64_dtypes(endianness="?"),
)
#: HDF5 cuts names of fields at a NUL, which is refused.
dtypes = st.one_of(
    plain_dtypes,
    npst.array_dtypes(plain_dtypes, min_size=1, max_size=3, allow_subarrays=True).filter(
        lambda dtype: not any("\0" in name for name in dtype.names or ())
    ),
)
arrays = npst.arrays(dtypes, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
floats = st.floats(allow_nan=True)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10)

#: Values that both kinds of file hold.
values = st.one_of(
    st.booleans(),
    st.integers(),
    floats,
    st.complex_numbers(),
    text,
    st.binary(max_size=10).map(lambda value: b"\xff" + value.replace(b"\0", b"")),  # no text
    st.uuids(),
    st.lists(st.integers(-(2**40), 2**40), max_size=4),
    st.lists(text, min_size=1, max_size=4),
    st.dictionaries(text, st.one_of(st.none(), st.integers(), text, st.lists(text)), max_size=3),
    npst.arrays(plain_dtypes.filter(lambda dtype: dtype.kind != "S"), (3,)),
    st.sampled_from(
        [
            datetime.datetime(2020, 1, 2, 3, 4, 5, 6, datetime.UTC),
            uuid.UUID(int=5),
            np.float32(1.5),
            np.int8(-3),
            h5py.Empty("f4"),
            math.nan,
            "x" * 70_000,
            {"a": {"b": [1, {"c": None}]}},
        ]
    ),
)


@st.composite
def trees(draw):
    """A tree of groups, datasets, links and named types, each with attributes."""
    tree = MemGroup()
    groups = [tree]
    targets = ["/"]
    for _ in range(draw(st.integers(0, 7))):
        parent = draw(st.sampled_from(groups))
        name = draw(names)
        if name in parent:
            continue
        kind = draw(st.sampled_from(["group", "array", "array", "case", "link", "type"]))
        path = f"{parent.name.rstrip('/')}/{name}"
        if kind == "group":
            groups.append(parent.create_group(name))
        elif kind == "array":
            make_array(draw, parent, name, draw(arrays))
        elif kind == "case":
            make_array(draw, parent, name, CASES[draw(st.sampled_from(SMALL_CASES))])
        elif kind == "type":
            parent[name] = draw(dtypes)
        else:
            parent[name] = draw(links(tree, targets))
            continue
        targets.append(path)
        attributes = draw(st.dictionaries(names, values, max_size=3))
        for key, value in attributes.items():
            parent[name].attrs[key] = value
    for key, value in draw(st.dictionaries(names, values, max_size=2)).items():
        tree.attrs[key] = value
    return tree


def make_array(draw, parent, name, array):
    options = {}
    if array.ndim and array.size and draw(st.booleans()):
        options["chunks"] = tuple(draw(st.integers(1, length)) for length in array.shape)
        options["compression"] = draw(st.sampled_from([None, "gzip"]))
    parent.create_dataset(name, data=array.copy(), **options)


def links(tree, targets):
    return st.one_of(
        st.sampled_from(targets).map(lambda path: h5py.SoftLink(path)),
        names.map(lambda path: h5py.SoftLink("no where/" + path)),
        names.map(lambda path: h5py.ExternalLink("other.h5", "/" + path)),
        st.sampled_from(targets).map(lambda path: tree[path]),
    )


patient = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def save(tree, folder, name, kind):
    if kind == "hdf5":
        path = folder / f"{name}.h5"
        tree.to_hdf5(path)
    else:
        path = folder / f"{name}.zarr"
        tree.to_file(path, zarr_format=kind)
    return path


def same(one, other):
    found = memdata.diff(one, other)
    assert not found, str(found)


@pytest.mark.parametrize("kind", KINDS)
@given(tree=trees())
@patient
def test_a_tree_comes_back(tmp_path_factory, kind, tree):
    folder = tmp_path_factory.mktemp("any")
    path = save(tree, folder, "x", kind)
    # Between memory and a file attributes are what the file makes of them: lists are arrays ...
    same(tree, path)
    loaded = MemGroup.from_file(path)
    same(loaded, path)
    again = MemGroup.from_file(save(loaded, folder, "y", kind))
    same(loaded, again)


@given(tree=trees())
@patient
def test_a_file_is_saved_again_as_it_was(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("any")
    tree.to_hdf5(folder / "x.h5")
    MemGroup.from_hdf5(folder / "x.h5").to_hdf5(folder / "y.h5")
    with h5py.File(folder / "x.h5") as one, h5py.File(folder / "y.h5") as other:
        assert differences(one, other) == []
