"""What `selections=` reads is what NumPy selects, however the dataset lies in the file."""

import contextlib
from unittest import mock

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import MemGroup
from memdata.formats import hdf5_chunks, hdf5_tiles, regions, selections


@contextlib.contextmanager
def small_tiles(nbytes):
    """Tiles of some bytes; chunks of any size."""
    with (
        mock.patch.object(hdf5_tiles, "SMALLEST", 0),
        mock.patch.object(hdf5_tiles, "BATCH", 1),
        mock.patch.object(hdf5_chunks, "BATCH", 1),
        mock.patch.object(hdf5_tiles, "_DENSE", nbytes),
        mock.patch.object(hdf5_tiles, "_SPARSE", nbytes),
        mock.patch.object(selections, "_LARGE", nbytes),
        mock.patch.dict("os.environ", {"MEMDATA_THREADS": "2"}),
    ):
        yield


@st.composite
def one_axis(draw, length):
    kind = draw(st.sampled_from(["slice", "int", "list", "mask", "array"]))
    if kind == "int" and length:
        return draw(st.integers(-length, length - 1))
    if kind == "list":
        return draw(st.lists(st.integers(-length, length - 1), max_size=6)) if length else []
    if kind == "mask":
        return draw(hnp.arrays(bool, (length,)))
    if kind == "array" and length:
        shape = draw(hnp.array_shapes(max_dims=2, max_side=4))
        return draw(hnp.arrays("i4", shape, elements=st.integers(-length, length - 1)))
    return draw(st.slices(length))


@st.composite
def indexes(draw, shape):
    """An index of every kind that NumPy has but new axes and fields."""
    parts = []
    axis = 0
    while axis < len(shape):
        together = draw(st.integers(1, len(shape) - axis))
        if together > 1 and draw(st.booleans()):
            fill = st.just(draw(st.booleans()))
            parts.append(draw(hnp.arrays(bool, shape[axis : axis + together], fill=fill)))
            axis += together
        else:
            parts.append(draw(one_axis(shape[axis])))
            axis += 1
    parts = parts[: draw(st.integers(0, len(parts)))]
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), ...)
    return tuple(parts) if len(parts) != 1 or draw(st.booleans()) else parts[0]


def for_numpy(index):
    """The index as NumPy wants it: an empty list is one of floats there."""
    if isinstance(index, tuple):
        return tuple(for_numpy(part) for part in index)
    return np.array(index, int) if isinstance(index, list) else index


@settings(max_examples=150, deadline=None)
@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=8),
    dtype=st.sampled_from(["i4", ">f8", "i2,(2,)f4"]),
    layout=st.sampled_from(["plain", "chunks", "gzip", "lzf"]),
    tile=st.sampled_from([1, 16, 100]),
    point=st.sampled_from([0, 16, 10**9]),
    data=st.data(),
)
def test_a_selection_is_numpys(tmp_path_factory, shape, dtype, layout, tile, point, data):
    array = np.zeros(shape, dtype)
    content = array.reshape(-1).view("u1")
    content[:] = np.random.default_rng(0).integers(0, 99, content.size)
    given = {}
    if layout != "plain":
        given = {"chunks": tuple(data.draw(st.integers(1, max(1, length))) for length in shape)}
        given |= {"maxshape": (None,) * len(shape)}
        given |= {"compression": layout} if layout != "chunks" else {}
    path = tmp_path_factory.mktemp("selection") / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array, **given)
    index = data.draw(indexes(shape))
    try:
        expected = array[for_numpy(index)]
    except IndexError:
        with pytest.raises(ValueError, match="/x"):
            MemGroup.from_hdf5(path, selections={"x": index})
        return
    # A mask over several axes becomes a list of points, or stays one.
    with small_tiles(tile), mock.patch.object(regions, "_POINT", point):
        found = MemGroup.from_hdf5(path, selections={"x": index})["x"]
    assert found.shape == np.shape(expected)
    assert found.dtype == array.dtype
    assert np.asarray(found.data).tobytes() == np.asarray(expected, array.dtype).tobytes()


@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=8),
    tile=st.tuples(*[st.integers(1, 9)] * 3),
    point=st.sampled_from([0, 10**9]),
    data=st.data(),
)
def test_tiles_hold_each_selected_element_once(shape, tile, point, data):
    array = np.arange(np.prod(shape)).reshape(shape)
    index = for_numpy(data.draw(indexes(shape)))
    try:
        expected = array[index]
    except IndexError:
        return
    with mock.patch.object(regions, "_POINT", point):
        region = regions.region_of(index if isinstance(index, tuple) else (index,), shape)
    if region is None:
        return
    assert region.shape == expected.shape
    if not region.fits(tile, shape):
        return
    out = np.full(region.shape, -1)
    if not out.size:
        assert not list(regions.tiles(region, tile, shape))
        return
    view = region.canonical(out)
    places = set()
    for part in regions.tiles(region, tile[: len(shape)], shape):
        lengths = zip(part.place, tile, strict=False)
        there = array[tuple(slice(at * step, (at + 1) * step) for at, step in lengths)]
        content = np.full(tile[: len(shape)], -2)
        content[tuple(slice(length) for length in there.shape)] = there
        order = (*region.points, *region.ranges)
        assert np.all(view[part.target] == -1)
        view[part.target] = content.transpose(order)[part.source]
        assert part.place not in places
        places.add(part.place)
    assert np.array_equal(out, expected)


@pytest.mark.parametrize("layout", ["plain", "chunks"])
def test_a_few_rows_are_read_without_the_rest(tmp_path, layout):
    array = np.arange(4_000_000.0).reshape(4000, 1000)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        chunks = (50, 1000) if layout == "chunks" else None
        file.create_dataset("x", data=array, chunks=chunks)
    read = []
    into = hdf5_tiles.read_into

    def noted(descriptor, offset, content):
        read.append(content.size)
        return into(descriptor, offset, content)

    rows = [3999, 5, 5, -3990]
    with mock.patch.object(hdf5_tiles, "read_into", noted):
        found = MemGroup.from_hdf5(tmp_path / "x.h5", selections={"x": rows})["x"]
    assert np.array_equal(found, array[rows])
    assert 0 < sum(read) < 2_000_000  # of 32 million
