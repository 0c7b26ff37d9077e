"""Files that claim too much, lack a codec, or are damaged."""

from __future__ import annotations

import time
import warnings

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t, h5z
from hypothesis import given, settings
from hypothesis import strategies as st

from memdata import MemDiskGroup, MemGroup, deep_group_copy
from memdata.mpiarray import MPIArray
from odd_files import WRITERS, outside

UNKNOWN = 399  # a filter that nobody has


def write_unknown(path):
    """A dataset behind a filter that is not installed, beside one that can be read."""
    with h5py.File(path, "w") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(UNKNOWN, h5z.FLAG_OPTIONAL, (1, 2))
        made = h5d.create(file.id, b"packed", h5t.STD_I32LE, h5s.create_simple((8,)), plist)
        for at in (0, 4):
            made.write_direct_chunk((at,), bytes([at]) * 11)
        file["packed"].attrs["unit"] = "K"
        file["good"] = np.arange(3)
        file["type"] = np.dtype("i4")
        h5d.create(file.id, b"time", h5t.UNIX_D32LE, h5s.create_simple((2,)))
        h5py.h5a.create(file["good"].id, b"when", h5t.UNIX_D32LE, h5s.create(h5s.SCALAR))
    return path


@pytest.fixture
def unknown(tmp_path):
    return write_unknown(tmp_path / "unknown.h5")


LOADERS = {
    "from_hdf5": MemGroup.from_hdf5,
    "from_file": MemGroup.from_file,
    "from_group": MemGroup.from_group,
    "container": MemDiskGroup.from_file,
}


@pytest.fixture(params=list(LOADERS))
def load(request):
    return LOADERS[request.param]


def test_what_h5py_cannot_read_is_left_out_with_one_warning(load, unknown):
    with pytest.warns(UserWarning, match="not everything") as caught:
        loaded = load(unknown)
    assert len(caught) == 1
    for part in ("/packed: ", str(UNKNOWN), "/time: ", "/good: attribute 'when'"):
        assert part in str(caught[0].message)
    assert set(loaded) >= {"good"}
    assert "packed" not in loaded


@pytest.mark.parametrize("name", [b"..", b"."])
def test_names_that_lead_elsewhere_are_left_out(load, tmp_path, name):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["good"] = 1
        try:
            h5py.h5g.create(file.id, name)
        except ValueError:
            pytest.skip("HDF5 refuses it")
    with pytest.warns(UserWarning, match="a name that no path can hold"):
        assert list(load(path)) == ["good"]


def test_strict_makes_it_an_error(load, unknown):
    with pytest.raises(OSError, match="/packed") as caught:
        load(unknown, strict=True)
    assert "/time" in str(caught.value)
    assert str(unknown) in str(caught.value)


def test_strict_loads_what_is_whole(load, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(3)
    assert load(tmp_path / "x.h5", strict=True)["x"][:].tolist() == [0, 1, 2]


def kind_of_link(file):
    """A link of a kind that a program registered with HDF5, as only C can."""
    file["link"] = h5py.ExternalLink("some", "/thing")


def regions(file):
    ragged = h5t.vlen_create(h5t.STD_REF_DSETREG)
    h5d.create(file.id, b"regions", ragged, h5s.create_simple((3,)))
    h5py.h5a.create(file.id, b"regions", ragged, h5s.create_simple((2,)))


def axes(file):
    """A dataspace that says that it has 33 axes, one more than HDF5 has."""
    file["axes"] = np.zeros((1,) * 32, "u1")


PATCHES = {
    kind_of_link: (b"\x01\x08\x40\x04link", b"\x01\x08\xbb\x04link"),
    axes: (b"\x01\x20\x01" + bytes(5), b"\x01\x21\x01" + bytes(5)),
}


@pytest.mark.parametrize("write", [kind_of_link, regions, axes])
def test_what_h5py_does_not_know_does_not_stop_the_rest(load, tmp_path, write):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver=("earliest", "latest")) as file:
        file["good"] = np.arange(3)
        write(file)
    if write in PATCHES:
        before, after = PATCHES[write]
        content = path.read_bytes()
        assert content.count(before) == 1
        path.write_bytes(content.replace(before, after))
    with pytest.warns(UserWarning, match="not everything") as caught:
        loaded = load(path)
    assert len(caught) == 1
    assert loaded["good"][:].tolist() == [0, 1, 2]
    loaded.to_hdf5(tmp_path / "y.h5") if isinstance(loaded, MemGroup) else None
    with pytest.raises(OSError, match="not everything"):
        load(path, strict=True)


@pytest.mark.parametrize("more", [{}, {"chunks": (100,)}, {"maxshape": (None,)}])
@pytest.mark.parametrize("selected", [slice(None), slice(3, 900, 7)])
def test_elements_that_nobody_wrote_are_zero(tmp_path, more, selected):
    """HDF5 leaves what was in memory, where it shall write no fill values."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (1000,), "f8", fill_time="never", **more)
    for _ in range(5):
        used = [np.full(length, 7.5) for length in (1000, 1000, 129)]
        del used  # what is freed is given out again
        loaded = MemGroup.from_hdf5(tmp_path / "x.h5", selections={"/x": (selected,)})
        assert not loaded["x"][:].any()


def test_chunks_that_nobody_wrote_where_there_is_no_fill_value(tmp_path):
    WRITERS["without fill value"](tmp_path / "x.h5")
    loaded = MemGroup.from_hdf5(tmp_path / "x.h5")
    assert loaded["few chunks"][145:165].tolist() == [0.0] * 5 + [1.0] * 10 + [0.0] * 5


def test_ragged_arrays_of_arrays_are_loaded_and_not_saved(load, tmp_path):
    pairs = np.dtype(("<u4", (2,)))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        ragged = h5t.vlen_create(h5t.array_create(h5t.STD_U32LE, (2,)))
        h5d.create(file.id, b"x", ragged, h5s.create_simple((3,)))
    tree = MemGroup.from_hdf5(tmp_path / "x.h5")
    assert h5py.check_vlen_dtype(tree["x"].dtype) == pairs
    with pytest.raises(TypeError, match=r"/x: .*arrays of arrays"):
        tree.to_hdf5(tmp_path / "y.h5")
    assert not (tmp_path / "y.h5").exists()


def test_chunks_of_an_unknown_filter_are_copied_between_files(unknown, tmp_path):
    with h5py.File(unknown) as source, h5py.File(tmp_path / "y.h5", "w") as target:
        with pytest.warns(UserWarning, match="/time"):
            deep_group_copy(source, target)
        for name in ("packed", "good"):
            assert name in target
        made = target["packed"]
        assert made.attrs["unit"] == "K"
        plists = [group["packed"].id.get_create_plist() for group in (source, target)]
        assert plists[0].get_filter(0) == plists[1].get_filter(0)
        assert made.id.read_direct_chunk((4,)) == (0, bytes([4]) * 11)


def test_packed_chunks_are_copied_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "x.h5", "w") as source, h5py.File(tmp_path / "y.h5", "w") as target:
        data = rng.integers(0, 9, (400, 100))
        made = source.create_dataset(
            "x", data=data, chunks=(64, 64), compression="gzip", compression_opts=9
        )
        deep_group_copy(source, target)
        for place in ((0, 0), (64, 64), (384, 64)):
            assert target["x"].id.read_direct_chunk(place) == made.id.read_direct_chunk(place)
        assert np.array_equal(target["x"][:], data)
        deep_group_copy(source, target.create_group("part"), selections={"x": np.s_[5:300, ::2]})
        assert np.array_equal(target["part/x"][:], data[5:300, ::2])


def claims(path, name="x", shape=(10**15,), chunks=(1000,), dtype="f8"):
    with h5py.File(path, "w") as file:
        file.create_dataset(name, shape, dtype, chunks=chunks)
    return path


@pytest.mark.parametrize("limit", [10**6, None])
@pytest.mark.parametrize("shape", [(10**15,), (2**40, 2**40)], ids=str)
def test_a_file_that_declares_too_much_costs_nothing(load, tmp_path, limit, shape):
    path = claims(tmp_path / "x.h5", "a/x", shape, (1000,) * len(shape))
    start = time.process_time()
    with pytest.raises(MemoryError, match="/a/x"):
        load(path, max_bytes=limit)
    assert time.process_time() - start < 5


def test_max_bytes_counts_everything_together(load, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name in "abc":
            file[name] = np.zeros(1000)
    assert len(load(tmp_path / "x.h5", max_bytes=24_000)) == 3
    with pytest.raises(MemoryError, match=r"/c takes 8000 bytes beside 16000.*max_bytes=23999"):
        load(tmp_path / "x.h5", max_bytes=23_999)


def test_max_bytes_of_attributes(load, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("g").attrs["large"] = np.zeros(5000)
    with pytest.raises(MemoryError, match="/g: attribute 'large'"):
        load(tmp_path / "x.h5", max_bytes=30_000)


POINTING = {
    "text": (h5py.string_dtype(), b"x" * 1000),
    "ragged": (h5py.vlen_dtype("f8"), np.zeros(125)),
    "record": (
        np.dtype([("n", "i1"), ("t", h5py.string_dtype()), ("v", h5py.vlen_dtype("i2"), 2)]),
        (1, b"x" * 600, [np.zeros(150, "i2"), np.zeros(50, "i2")]),
    ),
}


@pytest.mark.parametrize("how", [{}, {"chunks": (3,)}, {"chunks": (5,), "compression": "gzip"}])
@pytest.mark.parametrize("name", POINTING)
def test_max_bytes_counts_what_elements_point_to(load, tmp_path, name, how):
    dtype, element = POINTING[name]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_dataset("x", (10,), dtype, **how)
        value = np.zeros((), dtype)
        if value.dtype.names is None:
            value[()] = element
        else:
            for field, part in zip(dtype.names, element, strict=True):
                if dtype[field].shape:
                    value[field][0], value[field][1] = part
                else:
                    value[field] = part
        for index in range(10):
            made[index] = value[()]
    plain = MemGroup.from_hdf5(tmp_path / "x.h5")["x"].data.nbytes
    assert len(load(tmp_path / "x.h5", max_bytes=10_000 + plain)) == 1
    with pytest.raises(MemoryError, match="/x: text or arrays of variable length takes 10000"):
        load(tmp_path / "x.h5", max_bytes=9_999 + plain)


def test_a_small_file_that_points_to_one_place_very_often_is_refused(load, tmp_path):
    """Bytes of its descriptors changed so that all name the one long text."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        made = file.create_dataset("x", (100_000,), h5py.string_dtype())
        made[0] = b"x" * 1_000_000
        offset = made.id.get_offset()
    content = bytearray((tmp_path / "x.h5").read_bytes())
    content[offset : offset + 1_600_000] = content[offset : offset + 16] * 100_000
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(MemoryError, match=r"/x: text or arrays .* takes 100000000000 bytes"):
        load(tmp_path / "x.h5", max_bytes=10**9)


def test_max_bytes_counts_text_among_attributes(load, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["long"] = ["x" * 6000] * 10
    with pytest.raises(MemoryError, match="attribute 'long' takes 60000 bytes"):
        load(tmp_path / "x.h5", max_bytes=50_000)


def test_max_bytes_of_a_chunk(load, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", (4,), "f4", maxshape=(None,), chunks=(10**7,), compression="gzip")
    with pytest.raises(MemoryError, match=r"/x: one chunk takes 40000000 bytes"):
        load(tmp_path / "x.h5", max_bytes=10**6)


@pytest.mark.parametrize("wrong", [-1, 1.5, "1", [1]], ids=repr)
def test_max_bytes_is_a_number(load, tmp_path, wrong):
    with pytest.raises((TypeError, ValueError), match="max_bytes"):
        load(claims(tmp_path / "x.h5", shape=(3,), chunks=(3,)), max_bytes=wrong)


def test_external_links_are_followed_where_asked(load, tmp_path):
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["y"] = np.arange(5)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["near"] = h5py.ExternalLink("far.h5", "/y")
    with pytest.raises(KeyError, match="far"):
        load(tmp_path / "x.h5")["near"]
    loaded = load(tmp_path / "x.h5", follow_external=True)
    assert loaded["near"][:].tolist() == [0, 1, 2, 3, 4]


#: What `odd_files.outside` writes that has elements in other files.
OUTSIDE = {
    *("external", "virtual", "absolute"),
    *("of external", "of virtual", "through a link", "through two links"),
}


def test_elements_in_other_files_are_read_where_asked(load, tmp_path):
    outside(tmp_path / "x.h5")
    with pytest.warns(UserWarning, match="other files") as caught:
        loaded = load(tmp_path / "x.h5")
    assert len(caught) == 1
    assert set(loaded) == {"inside", "far", "way"}
    for name in OUTSIDE:
        assert f"/{name}: " in str(caught[0].message)
    with pytest.raises(OSError, match=r"/through two links: .*part.h5"):
        load(tmp_path / "x.h5", strict=True)
    loaded = load(tmp_path / "x.h5", follow_external=True)
    with h5py.File(tmp_path / "x.h5") as file:
        for name in OUTSIDE:
            assert loaded[name][:].tolist() == file[name][:].tolist(), name


def test_one_array_with_elements_in_other_files(tmp_path):
    outside(tmp_path / "x.h5")
    for read in (MPIArray.from_hdf5, MPIArray.from_file):
        with pytest.raises(OSError, match=r"/external: .*outside.bin.*follow_external=True"):
            read(tmp_path / "x.h5", "external")
        array = read(tmp_path / "x.h5", "external", follow_external=True)
        assert array.local_array.tolist() == list(range(10))


def test_elements_in_other_files_are_not_copied(tmp_path):
    outside(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file, h5py.File(tmp_path / "y.h5", "w") as target:
        with pytest.warns(UserWarning, match="other files"):
            deep_group_copy(file, target)
        assert not OUTSIDE & set(target)
        with pytest.warns(UserWarning, match="other files"):
            MemDiskGroup(file).save(tmp_path / "z.h5")
    with h5py.File(tmp_path / "z.h5") as saved:
        assert not OUTSIDE & set(saved)


def test_a_virtual_dataset_may_name_its_own_file(load, tmp_path):
    for name in ("x.h5", tmp_path / "x.h5", "./x.h5"):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = np.arange(5)
        plist = h5p.create(h5p.DATASET_CREATE)
        space = h5s.create_simple((5,))
        plist.set_virtual(space, str(name).encode(), b"/x", space)
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            h5d.create(file.id, b"virtual", h5t.NATIVE_INT64, space, plist)
        assert load(tmp_path / "x.h5", strict=True)["virtual"][:].tolist() == [0, 1, 2, 3, 4]


def test_virtual_datasets_of_each_other_end(load, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, other in (("a", "b"), ("b", "a"), ("self", "self")):
            layout = h5py.VirtualLayout((3,), "i8")
            layout[:] = h5py.VirtualSource(".", other, (3,))
            file.create_virtual_dataset(name, layout, fillvalue=-1)
        file["round"] = h5py.SoftLink("round")
        layout = h5py.VirtualLayout((3,), "i8")
        layout[:] = h5py.VirtualSource(".", "round", (3,))
        file.create_virtual_dataset("c", layout, fillvalue=-1)
    for asked in (False, True):
        with pytest.warns(UserWarning, match="each other as sources") as caught:
            loaded = load(tmp_path / "x.h5", follow_external=asked)
        assert set(loaded) == {"round"}
        for name in ("a", "b", "self", "c"):
            assert f"/{name}: " in str(caught[0].message)


def test_sources_that_a_pattern_names_are_read_where_asked(load, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["part-0"] = np.arange(3)
        file["part-1"] = np.arange(3)
        space = h5s.create_simple((0,), (h5s.UNLIMITED,))
        space.select_hyperslab((0,), (h5s.UNLIMITED,), (3,), (3,))
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_virtual(space, b".", b"/part-%b", h5s.create_simple((3,)))
        space.select_all()
        h5d.create(file.id, b"virtual", h5t.NATIVE_INT64, space, plist)
    with pytest.warns(UserWarning, match="/virtual: .*pattern"):
        assert "virtual" not in load(tmp_path / "x.h5")
    loaded = load(tmp_path / "x.h5", follow_external=True)
    assert loaded["virtual"][:].tolist() == [0, 1, 2, 0, 1, 2]


# ---- damage -------------------------------------------------------------------------------------


class Contents(dict[str, bytes]):
    """Bytes by name; hypothesis prints what a test is given."""

    def __repr__(self) -> str:
        return "<contents>"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of some files, made once."""
    folder = tmp_path_factory.mktemp("sound")
    contents = Contents()
    for name in ("creation properties", "links of all kinds", "attributes with types"):
        WRITERS[name](folder / "x.h5")
        contents[name] = (folder / "x.h5").read_bytes()
    return contents


def error_of_loading(path):
    """The error in our words, or None; an error of another kind goes on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            MemGroup.from_hdf5(path, max_bytes=10**8)
        except (OSError, MemoryError, ValueError) as error:
            return error
    return None


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_an_error(sound, tmp_path, part):
    for content in sound.values():
        path = tmp_path / "x.h5"
        path.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(OSError, match=r"x\.h5"):
            MemGroup.from_hdf5(path)


@settings(max_examples=80, deadline=None)
@given(
    name=st.sampled_from(["creation properties", "links of all kinds", "attributes with types"]),
    flips=st.lists(
        st.tuples(st.integers(0, 10**6) | st.integers(0, 4000), st.integers(0, 7)),
        min_size=1,
        max_size=4,
    ),
)
def test_flipped_bits_are_an_error_or_data(sound, tmp_path_factory, name, flips):
    content = bytearray(sound[name])
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "x.h5"
    path.write_bytes(content)
    error = error_of_loading(path)
    assert error is None or str(path) in str(error)


def deep_file(path, depth):
    with h5py.File(path, "w", libver="latest") as file:
        group = file.id
        for _ in range(depth):
            group = h5py.h5g.create(group, b"n")
    return path


def test_groups_without_end_are_an_error(load, tmp_path):
    path = deep_file(tmp_path / "x.h5", 6_000)
    with pytest.raises(OSError, match=r"x\.h5.*nested more than 4096 deep"):
        load(path)


@pytest.mark.parametrize("name", ["x.h5", "x.zarr.zip"])
def test_groups_without_end_are_not_saved(tmp_path, name):
    if name != "x.h5":
        pytest.importorskip("zarr")
    tree = MemGroup()
    tree.create_group("/".join("n" * 6_000))
    with pytest.raises(ValueError, match="nested more than 4096 deep"):
        tree.to_file(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_json_without_end_is_text(tmp_path):
    text = "!!_memh5_json:" + "[" * 100_000 + "]" * 100_000
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.attrs["deep"] = text
    assert MemGroup.from_file(tmp_path / "x.h5").attrs["deep"] == text
