"""Parts 7, 11 and 12: loading and saving whole trees as HDF5, with h5py as the oracle."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import MemGroup, fileformats
from support import (
    PathLike,
    assert_same_array,
    assert_same_attrs,
    assert_same_tree,
    fill,
    leftovers,
    open_descriptors,
    run_python,
)

SAVERS = {"to_hdf5": MemGroup.to_hdf5, "to_file": MemGroup.to_file}
LOADERS = {"from_hdf5": MemGroup.from_hdf5, "from_file": MemGroup.from_file}


@pytest.fixture(params=list(SAVERS))
def save(request):
    return SAVERS[request.param]


@pytest.fixture(params=list(LOADERS))
def load(request):
    return LOADERS[request.param]


def written(path, name, data, **options):
    """A file that h5py wrote, with one dataset; chunks are cut to what HDF5 takes."""
    if options.get("chunks"):
        options["chunks"] = tuple(map(min, options["chunks"], np.shape(data)))
        if not all(options["chunks"]):
            options = {"maxshape": tuple(None for _ in np.shape(data)), "chunks": True}
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=data, **options)
    return path


class TestLoad:
    @pytest.mark.parametrize("kind", [str, Path, PathLike])
    def test_reads_a_whole_file(self, load, h5_tree, kind):
        loaded = load(kind(h5_tree))
        assert type(loaded) is MemGroup
        assert loaded.name == "/"
        assert loaded.mode == "r+"
        with h5py.File(h5_tree, "r") as file:
            assert_same_tree(loaded, file)

    def test_leaves_no_file_open(self, load, h5_tree):
        load(h5_tree)
        assert str(h5_tree) not in open_descriptors()

    def test_does_not_touch_the_file(self, load, h5_tree):
        h5_tree.chmod(stat.S_IRUSR)
        before = h5_tree.read_bytes(), h5_tree.stat().st_mtime_ns
        loaded = load(h5_tree)
        loaded["time"][:] = 0
        loaded.attrs["new"] = 1
        assert (h5_tree.read_bytes(), h5_tree.stat().st_mtime_ns) == before

    def test_is_of_the_class_that_was_asked(self, h5_tree):
        class Special(MemGroup):
            pass

        assert type(Special.from_hdf5(h5_tree)) is Special
        assert type(Special.from_hdf5(h5_tree)["sky"]) is Special

    def test_attributes_are_python_values(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.attrs["int"] = 3
            file.attrs["float"] = np.float32(1.5)
            file.attrs["text"] = "ü"
            file.attrs["array"] = np.arange(3)
            file.attrs["flag"] = True
        loaded = load(tmp_path / "x.h5")
        assert_same_attrs(
            loaded.attrs,
            {"int": 3, "float": 1.5, "text": "ü", "array": np.arange(3), "flag": True},
        )
        assert type(loaded.attrs["int"]) is int
        assert type(loaded.attrs["float"]) is float
        assert type(loaded.attrs["text"]) is str

    def test_children_keep_the_order_of_the_file(self, load, tmp_path):
        names = ["z", "a", "m", "b"]
        for track_order in (True, False):
            with h5py.File(tmp_path / "x.h5", "w", track_order=track_order) as file:
                for name in names:
                    file[name] = 1
                expected = list(file)
            assert list(load(tmp_path / "x.h5")) == expected

    def test_chunks_and_compression_are_kept(self, load, tmp_path):
        for compression, level in [("gzip", 7), ("lzf", None), (None, None)]:
            path = written(
                tmp_path / "x.h5",
                "x",
                np.zeros((100, 50)),
                chunks=(10, 25),
                compression=compression,
                compression_opts=level,
            )
            loaded = load(path)
            assert loaded["x"].chunks == (10, 25)
            assert loaded["x"].compression == compression
            assert loaded["x"].compression_opts == level

    def test_bitshuffle_is_kept_there_and_back(self, load, save, tmp_path):
        hdf5plugin = pytest.importorskip("hdf5plugin")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset(
                "x", data=np.arange(10_000), chunks=(1000,), **hdf5plugin.Bitshuffle()
            )
            expected = file["x"]._filters
        loaded = load(tmp_path / "x.h5")
        assert_same_array(loaded["x"][:], np.arange(10_000))
        assert loaded["x"].compression in ("bitshuffle", fileformats.H5FILTER)
        save(loaded, tmp_path / "y.h5")
        with h5py.File(tmp_path / "y.h5", "r") as file:
            assert file["x"]._filters.keys() == expected.keys()
            assert file["x"].chunks == (1000,)
            assert_same_array(file["x"][:], np.arange(10_000))

    def test_data_may_be_written_to(self, load, h5_tree):
        loaded = load(h5_tree)
        loaded["sky/map"][...] = 5
        loaded["sky/map"][0] += 1
        assert loaded["sky/map"][0, 0] == 6

    @pytest.mark.parametrize(
        "data",
        [
            np.arange(6, dtype="i1").reshape(2, 3),
            np.arange(6, dtype=">u8"),
            np.arange(6, dtype="f2"),
            np.arange(6, dtype=">f4"),
            np.arange(6, dtype="f8") * np.nan,
            np.arange(6, dtype="c8") * 1j,
            np.arange(6, dtype=">c16"),
            np.array([True, False]),
            np.array([b"abc", b""]),
            np.array((1, 2.5), dtype=[("a", ">i4"), ("b", "f8")]),
            np.zeros(3, dtype=[("a", "i4", (2, 2)), ("b", [("c", "S3"), ("d", "f4")])]),
            np.array([b"\0\1\2"], dtype="V3"),
            np.zeros((0,)),
            np.zeros((3, 0, 2), dtype="i2"),
            np.array(5),
            np.array(b"scalar"),
            h5py.Empty("f4"),
            h5py.Empty("S3"),
        ],
        ids=lambda data: f"{data.dtype}-{data.shape}",
    )
    @pytest.mark.parametrize("storage", ["contiguous", "chunked", "packed"])
    def test_types_there_and_back(self, load, save, tmp_path, data, storage):
        options = {}
        if storage != "contiguous" and data.shape:
            options["chunks"] = tuple(max(1, length // 2) for length in data.shape)
            options["compression"] = "gzip" if storage == "packed" else None
        path = written(tmp_path / "x.h5", "a/x", data, **options)
        with h5py.File(path, "r") as file:
            expected = file["a/x"][()]
        loaded = load(path)
        found = loaded["a/x"][()]
        assert_same_array(found, expected)
        save(loaded, tmp_path / "again.h5")
        with h5py.File(tmp_path / "again.h5", "r") as file, h5py.File(path, "r") as first:
            assert_same_array(file["a/x"][()], expected)
            assert file["a/x"].shape == first["a/x"].shape
            assert file["a/x"].id.get_type() == first["a/x"].id.get_type()
            if getattr(expected, "size", 0):  # chunks are cut to the shape, and there is none
                assert file["a/x"].chunks == first["a/x"].chunks
            assert file["a/x"].compression == first["a/x"].compression

    def test_data_never_written_are_the_fill_value(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("late", shape=(1000,), dtype="f4", fillvalue=7)
            file.create_dataset("chunked", shape=(100,), dtype="i2", chunks=(10,), fillvalue=3)
            file["chunked"][25:30] = 9
        loaded = load(tmp_path / "x.h5")
        assert (loaded["late"][:] == 7).all()
        assert (loaded["chunked"][:25] == 3).all()
        assert (loaded["chunked"][25:30] == 9).all()

    def test_a_user_block_does_not_disturb(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w", userblock_size=2048) as file:
            file["x"] = np.arange(100_000)
        assert_same_array(load(tmp_path / "x.h5")["x"][:], np.arange(100_000))

    def test_virtual_and_external_datasets(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["part"] = np.arange(10)
            layout = h5py.VirtualLayout(shape=(2, 10), dtype=file["part"].dtype)
            layout[0] = layout[1] = h5py.VirtualSource(file["part"])
            file.create_virtual_dataset("virtual", layout)
            file.create_dataset(
                "external",
                data=np.arange(5.0),
                external=[(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)],
            )
        loaded = load(tmp_path / "x.h5", follow_external=True)
        assert_same_array(loaded["virtual"][:], np.stack([np.arange(10)] * 2))
        assert_same_array(loaded["external"][:], np.arange(5.0))

    def test_large_contiguous_data(self, load, save, tmp_path):
        data = np.random.default_rng(1).integers(0, 255, 5_000_003, dtype="u1")
        path = written(tmp_path / "x.h5", "x", data)
        loaded = load(path)
        assert_same_array(loaded["x"][:], data)
        save(loaded, tmp_path / "y.h5")
        with h5py.File(tmp_path / "y.h5", "r") as file:
            assert_same_array(file["x"][:], data)

    @pytest.mark.parametrize("libver", ["earliest", "latest", "v110"])
    def test_any_version_of_the_library(self, load, tmp_path, libver):
        with h5py.File(tmp_path / "x.h5", "w", libver=libver) as file:
            fill(file)
            expected = MemGroup.from_group(file)
        assert_same_tree(load(tmp_path / "x.h5"), expected)

    def test_keywords_go_to_the_opener(self, load, h5_tree, tree):
        assert_same_tree(load(h5_tree, rdcc_nbytes=2**20), tree)
        assert_same_tree(load(h5_tree, driver="core", backing_store=False), tree)
        with pytest.raises(TypeError, match="no_such_option"):
            load(h5_tree, no_such_option=1)

    def test_a_file_format_may_be_named_or_guessed(self, h5_tree, tree, tmp_path):
        odd = tmp_path / "odd.name"
        odd.write_bytes(h5_tree.read_bytes())
        assert_same_tree(MemGroup.from_file(odd), tree)
        assert_same_tree(MemGroup.from_file(odd, file_format=fileformats.HDF5), tree)
        assert_same_tree(MemGroup.from_file(str(h5_tree), file_format=None), tree)

    def test_common_data_do_not_care_for_hints(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = np.arange(3)
            file["x"].attrs["__memh5_distributed_dset"] = False
        for hints in (True, False, {}):
            assert list(load(tmp_path / "x.h5", hints=hints)["x"]) == [0, 1, 2]


class TestLinks:
    def test_a_circle_of_hard_links_loads(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("a/b/x", data=np.arange(3))
            file["a/b/up"] = file["a"]
            file["a/self"] = file["a"]
        loaded = load(tmp_path / "x.h5")
        assert list(loaded["a/b/x"]) == [0, 1, 2]
        assert list(loaded["a/self/self/b/up/b/x"]) == [0, 1, 2]

    def test_two_names_of_one_dataset_both_load(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["one"] = np.arange(3)
            file["other/name"] = file["one"]
        loaded = load(tmp_path / "x.h5")
        assert list(loaded["one"]) == list(loaded["other/name"]) == [0, 1, 2]

    def test_a_link_that_leads_nowhere_stays_a_link(self, load, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["x"] = 1
            file["a/link"] = h5py.SoftLink("/nowhere")
        loaded = load(tmp_path / "x.h5")
        assert set(loaded) == {"a", "x"}
        with pytest.raises(KeyError):
            loaded["a/link"]
        assert loaded["a"].get("link", getlink=True).path == "/nowhere"

    def test_a_deep_tree_loads_and_saves(self, tmp_path):
        """Depth 3000, far beyond the interpreter's recursion limit, within the time limit."""
        run_python(
            """
            import h5py
            from memdata import MemGroup
            with h5py.File("deep.h5", "w") as file:
                group = file
                for level in range(3000):
                    group = group.create_group("n")
                group["x"] = 5
            tree = MemGroup.from_hdf5("deep.h5")
            assert tree["n/" * 3000 + "x"][()] == 5
            tree.to_hdf5("again.h5")
            del tree
            tree = MemGroup.from_hdf5("again.h5")
            assert tree["n/" * 3000 + "x"][()] == 5
            """,
            cwd=tmp_path,
        )


INDICES = [
    np.s_[1:3],
    np.s_[:, 1:3],
    np.s_[::2, ::-1, :],
    np.s_[-3:-1],
    np.s_[..., 1:],
    np.s_[[0, 2]],
    np.s_[:, [3, 1], :],
    np.s_[:, :, np.array([True, False, True])],
    np.s_[:0],
    (slice(1, 2), [0, 3], slice(None, None, 2)),
    slice(2, None),
    [2, 0],
    [-1],
    np.array([1, 1, 0]),
]


class TestSelections:
    data = np.arange(60).reshape(4, 5, 3)

    @pytest.mark.parametrize("storage", [{}, {"chunks": (2, 2, 2)}], ids=["plain", "chunked"])
    @pytest.mark.parametrize("index", INDICES, ids=repr)
    def test_are_numpys_of_what_h5py_reads(self, load, tmp_path, index, storage):
        path = written(tmp_path / "x.h5", "a/x", self.data, **storage)
        loaded = load(path, selections={"/a/x": index})
        assert_same_array(loaded["a/x"][...], self.data[index])

    @pytest.mark.parametrize("key", ["a/x", "/a/x", "//a/x/"])
    def test_the_leading_slash_is_optional(self, load, tmp_path, key):
        path = written(tmp_path / "x.h5", "a/x", self.data)
        assert load(path, selections={key: np.s_[1:2]})["a/x"].shape == (1, 5, 3)

    def test_an_integer_takes_its_axis_away(self, load, tmp_path):
        path = written(tmp_path / "x.h5", "x", self.data)
        loaded = load(path, selections={"x": np.s_[1, :, 2]})
        assert_same_array(loaded["x"][...], self.data[1, :, 2])

    def test_others_are_loaded_whole(self, load, h5_tree, tree):
        loaded = load(h5_tree, selections={"time": np.s_[:1]})
        assert loaded["time"].shape == (1,)
        assert loaded["time"].attrs == {"units": "s"}
        assert_same_tree(loaded["sky"], tree["sky"])

    def test_chunks_are_cut_to_the_new_shape(self, load, save, tmp_path):
        path = written(tmp_path / "x.h5", "x", self.data, chunks=(2, 5, 3), compression="gzip")
        loaded = load(path, selections={"x": np.s_[:1, :2]})
        assert loaded["x"].chunks == (1, 2, 3)
        save(loaded, tmp_path / "y.h5")
        with h5py.File(tmp_path / "y.h5", "r") as file:
            assert_same_array(file["x"][...], self.data[:1, :2])

    @given(hnp.array_shapes(min_dims=1, max_dims=3, max_side=5), st.booleans(), st.data())
    def test_any_basic_index(self, tmp_path_factory, shape, chunked, data):
        array = np.arange(np.prod(shape), dtype="i4").reshape(shape)
        index = data.draw(
            hnp.basic_indices(shape, allow_newaxis=False).filter(
                lambda index: isinstance(array[index], np.ndarray)
            )
        )
        path = tmp_path_factory.getbasetemp() / "any_basic_index.h5"
        written(path, "x", array, **({"chunks": (2,) * len(shape)} if chunked else {}))
        loaded = MemGroup.from_hdf5(path, selections={"x": index})
        assert_same_array(loaded["x"][...], array[index])

    @given(hnp.arrays(bool, (6,)), st.lists(st.integers(-4, 3), max_size=6), st.booleans())
    def test_any_mask_and_list(self, tmp_path_factory, mask, rows, chunked):
        array = np.arange(24).reshape(4, 6)
        path = tmp_path_factory.getbasetemp() / "any_mask_and_list.h5"
        written(path, "x", array, **({"chunks": (3, 4)} if chunked else {}))
        loaded = MemGroup.from_hdf5(path, selections={"x": np.s_[:, mask]})
        assert_same_array(loaded["x"][...], array[:, mask])
        loaded = MemGroup.from_hdf5(path, selections={"x": list(rows)})
        assert_same_array(loaded["x"][...], array[np.array(rows, dtype=int)])

    @pytest.mark.parametrize(
        "index",
        [np.s_[:, :, :, :], np.s_[9], np.s_[:, [7]], "name", np.s_[..., ...], 1.5],
        ids=repr,
    )
    def test_one_that_does_not_fit_is_a_value_error(self, load, tmp_path, index):
        path = written(tmp_path / "x.h5", "a/x", self.data)
        with pytest.raises(ValueError, match="/a/x"):
            load(path, selections={"/a/x": index})

    @pytest.mark.parametrize("key", ["/nothing", "a", "/"])
    def test_one_of_no_dataset_is_a_value_error(self, load, tmp_path, key):
        path = written(tmp_path / "x.h5", "a/x", self.data)
        with pytest.raises(ValueError, match=key):
            load(path, selections={key: np.s_[:1]})

    def test_only_what_is_selected_is_held(self, load, tmp_path):
        path = written(tmp_path / "x.h5", "x", np.zeros((1000, 1000)))
        loaded = load(path, selections={"x": np.s_[:2]})
        base = loaded["x"].data
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert base.nbytes == 2 * 1000 * 8


class TestSave:
    @pytest.mark.parametrize("kind", [str, Path, PathLike])
    def test_writes_everything(self, save, tree, tmp_path, kind):
        save(tree, kind(tmp_path / "x.h5"))
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert_same_tree(file, tree)
        assert not leftovers(tmp_path, "x.h5")

    def test_leaves_no_file_open(self, save, tree, tmp_path):
        save(tree, tmp_path / "x.h5")
        assert not any(str(tmp_path) in name for name in open_descriptors())

    def test_leaves_the_tree_untouched(self, save, tree, tmp_path):
        before = MemGroup.from_group(tree)
        save(tree, tmp_path / "x.h5")
        assert_same_tree(tree, before)
        assert list(tree) == ["time", "sky", "empty", "answer"]

    def test_of_a_subgroup_saves_that_subtree(self, save, tree, tmp_path):
        save(tree["sky"], tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert_same_tree(file, tree["sky"])

    def test_what_was_loaded_may_be_saved_over_its_own_file(self, save, h5_tree):
        loaded = MemGroup.from_hdf5(h5_tree)
        loaded["time"][0] = 99
        save(loaded, h5_tree)
        with h5py.File(h5_tree, "r") as file:
            assert file["time"][0] == 99
            assert_same_tree(file, loaded)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
            lambda: np.arange(24.0).reshape(6, 4)[::2, ::-1],
            lambda: np.broadcast_to(np.arange(4.0), (3, 4)),
            lambda: np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1),
        ],
        ids=["fortran", "strided", "broadcast", "permuted"],
    )
    def test_any_memory_layout(self, save, tmp_path, make):
        array = make()
        tree = MemGroup()
        tree.create_dataset("x", data=array)
        save(tree, tmp_path / "x.h5")
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert_same_array(file["x"][...], array)

    def test_hints_may_be_left_out_or_given(self, save, tree, tmp_path):
        for hints in (True, False):
            save(tree, tmp_path / "x.h5", hints=hints)
            again = MemGroup.from_hdf5(tmp_path / "x.h5", hints=False)
            assert_same_array(again["sky/map"][...], tree["sky/map"][...])

    def test_without_hints_none_are_written(self, save, tree, tmp_path):
        save(tree, tmp_path / "x.h5", hints=False)
        with h5py.File(tmp_path / "x.h5", "r") as file:
            names = list(file.attrs) + list(file["sky/map"].attrs)
        assert not any(name.startswith("__memh5") for name in names)

    def test_mode_w_replaces_a_file(self, save, tree, h5_tree):
        del tree["sky"]
        save(tree, h5_tree)
        save(tree, h5_tree, mode="w")
        with h5py.File(h5_tree, "r") as file:
            assert_same_tree(file, tree)

    @pytest.mark.parametrize("mode", ["w-", "x"])
    def test_modes_that_refuse_an_existing_file(self, save, tree, h5_tree, tmp_path, mode):
        before = h5_tree.read_bytes()
        with pytest.raises(FileExistsError, match=h5_tree.name):
            save(tree, h5_tree, mode=mode)
        assert h5_tree.read_bytes() == before
        save(tree, tmp_path / "new.h5", mode=mode)
        with h5py.File(tmp_path / "new.h5", "r") as file:
            assert_same_tree(file, tree)

    @pytest.mark.parametrize("mode", ["a", "r+"])
    def test_modes_that_add_to_a_file(self, save, h5_tree, mode):
        more = MemGroup()
        more.create_dataset("sky/more", data=np.arange(3))
        more.attrs["more"] = 1
        save(more, h5_tree, mode=mode)
        with h5py.File(h5_tree, "r") as file:
            assert set(file) == {"time", "sky", "empty", "answer"}
            assert set(file["sky"]) == {"map", "deep", "more"}
            assert file.attrs["title"] == "a tree"
            assert file.attrs["more"] == 1

    def test_mode_a_makes_a_missing_file(self, save, tree, tmp_path):
        save(tree, tmp_path / "x.h5", mode="a")
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert_same_tree(file, tree)

    def test_mode_r_plus_needs_a_file(self, save, tree, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"x\.h5"):
            save(tree, tmp_path / "x.h5", mode="r+")
        assert not leftovers(tmp_path)

    @pytest.mark.parametrize("mode", ["r", "nonsense", ""])
    def test_other_modes_are_a_value_error(self, save, tree, tmp_path, mode):
        with pytest.raises(ValueError, match="mode"):
            save(tree, tmp_path / "x.h5", mode=mode)
        assert not leftovers(tmp_path)

    def test_keywords_go_to_the_opener(self, save, tree, tmp_path):
        save(tree, tmp_path / "x.h5", userblock_size=512)
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert file.userblock_size == 512
            assert_same_tree(file, tree)
        with pytest.raises(TypeError, match="no_such_option"):
            save(tree, tmp_path / "y.h5", no_such_option=1)
        assert not leftovers(tmp_path, "x.h5")

    def test_keeps_the_permissions_of_the_file_it_replaces(self, save, tree, h5_tree):
        h5_tree.chmod(0o640)
        save(tree, h5_tree)
        assert stat.S_IMODE(h5_tree.stat().st_mode) == 0o640

    def test_a_new_file_has_ordinary_permissions(self, save, tree, tmp_path):
        (tmp_path / "plain").write_bytes(b"")
        save(tree, tmp_path / "x.h5")
        assert (tmp_path / "x.h5").stat().st_mode == (tmp_path / "plain").stat().st_mode

    def test_through_a_symbolic_link_the_file_is_replaced(self, save, tree, h5_tree, tmp_path):
        link = tmp_path / "link.h5"
        link.symlink_to(h5_tree)
        del tree["sky"]
        save(tree, link)
        assert link.is_symlink()
        with h5py.File(h5_tree, "r") as file:
            assert "sky" not in file

    def test_an_open_reader_keeps_the_old_file(self, save, tree, h5_tree):
        with h5py.File(h5_tree, "r") as reader:
            del tree["sky"]
            save(tree, h5_tree)
            assert reader["sky/map"][1, 1] == 5
        with h5py.File(h5_tree, "r") as file:
            assert "sky" not in file

    @pytest.mark.parametrize("how", ["argument", "environment"])
    def test_durable_syncs_file_and_folder(self, save, tree, tmp_path, monkeypatch, how):
        synced = []
        really = os.fsync

        def fsync(fd):
            synced.append(os.readlink(f"/proc/self/fd/{fd}"))
            really(fd)

        monkeypatch.setattr(os, "fsync", fsync)
        if how == "environment":
            monkeypatch.setenv("MEMDATA_DURABLE", "1")
            save(tree, tmp_path / "x.h5")
        else:
            save(tree, tmp_path / "x.h5", durable=True)
        assert str(tmp_path) in synced
        assert any(name != str(tmp_path) for name in synced)
        with h5py.File(tmp_path / "x.h5", "r") as file:
            assert_same_tree(file, tree)

    def test_ten_thousand_attributes_and_a_long_one(self, save, tmp_path):
        tree = MemGroup()
        tree.attrs["long"] = "x" * 200_000
        tree.attrs["wide"] = np.arange(100_000)
        for number in range(3000):
            tree.attrs[f"a{number}"] = number
        save(tree, tmp_path / "x.h5")
        assert_same_tree(MemGroup.from_hdf5(tmp_path / "x.h5"), tree)


class Failing:
    """An attribute value that cannot be stored."""


BREAKERS = {
    "an attribute": (lambda tree: tree["sky/map"].attrs.update(bad=Failing()), TypeError),
    "a dtype": (
        lambda tree: tree.create_dataset("sky/bad", data=np.array(["2020"])),
        TypeError,
    ),
    "objects": (
        lambda tree: tree.create_dataset("sky/bad", data=np.array([Failing()], dtype=object)),
        TypeError,
    ),
    "unicode": (
        lambda tree: tree.create_dataset("sky/bad", data=np.array(["ä", "b"])),
        TypeError,
    ),
}


class TestFailingSave:
    @pytest.mark.parametrize("breaker", list(BREAKERS))
    @pytest.mark.parametrize("mode", ["w", "a"])
    def test_leaves_the_old_file_and_nothing_else(self, save, tree, h5_tree, breaker, mode):
        spoil, error = BREAKERS[breaker]
        spoil(tree)
        before = h5_tree.read_bytes()
        with pytest.raises(error, match=r"/sky/(bad|map)"):
            save(tree, h5_tree, mode=mode)
        assert h5_tree.read_bytes() == before
        assert not leftovers(h5_tree.parent, h5_tree.name)

    @pytest.mark.parametrize("breaker", list(BREAKERS))
    def test_makes_no_file(self, save, tree, tmp_path, breaker):
        spoil, error = BREAKERS[breaker]
        spoil(tree)
        with pytest.raises(error):
            save(tree, tmp_path / "x.h5")
        assert not leftovers(tmp_path)

    def test_leaves_the_tree_usable(self, save, tree, tmp_path):
        tree.attrs["bad"] = Failing()
        with pytest.raises(TypeError, match="bad"):
            save(tree, tmp_path / "x.h5")
        del tree.attrs["bad"]
        save(tree, tmp_path / "x.h5")
        assert_same_tree(MemGroup.from_hdf5(tmp_path / "x.h5"), tree)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
    @pytest.mark.parametrize("mode", ["w", "a"])
    def test_interrupted_while_moving_leaves_the_old_file(self, save, h5_tree, error, mode):
        tree = MemGroup()
        tree.create_dataset("big", data=np.zeros(40_000_000, "u1"))
        before = h5_tree.read_bytes()

        def progress(done, total):
            raise error

        with pytest.raises(error):
            save(tree, h5_tree, mode=mode, progress=progress)
        assert h5_tree.read_bytes() == before
        assert not leftovers(h5_tree.parent, h5_tree.name)
        assert not any(str(h5_tree.parent) in name for name in open_descriptors())

    def test_ctrl_c_at_any_moment_leaves_one_whole_file(self, tmp_path):
        """Stopped after 0, 4, 8... ms of saving: the old tree or the new one, nothing else."""
        run_python(
            """
            import os, signal
            import h5py, numpy as np
            from memdata import MemGroup
            old, new = MemGroup(), MemGroup()
            old.create_dataset("x", data=np.zeros(1000))
            new.create_dataset("x", data=np.ones(3_000_000))
            new.create_dataset("y", data=np.ones(300_000), chunks=(1000,), compression="gzip")
            # Whoever started this may have made it deaf to Ctrl-C.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for round in range(20):
                old.to_hdf5("x.h5")
                finished = False
                signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.004 * round)
                    new.to_hdf5("x.h5")
                    finished = True
                    signal.signal(signal.SIGALRM, signal.SIG_IGN)
                except KeyboardInterrupt:
                    pass
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert os.listdir() == ["x.h5"], os.listdir()
                with h5py.File("x.h5") as file:
                    if "y" in file:
                        assert file["x"][:].sum() == 3_000_000
                        assert file["y"][:].sum() == 300_000
                    else:
                        assert not finished
                        assert file["x"].shape == (1000,)
            """,
            cwd=tmp_path,
        )

    def test_a_full_disk(self, tmp_path):
        """A limit on the size of files stands for a full disk: OSError, old file whole."""
        run_python(
            """
            import os, pathlib, resource, signal
            import h5py, numpy as np
            from memdata import MemGroup
            old, new = MemGroup(), MemGroup()
            old.create_dataset("x", data=np.arange(1000))
            old.to_hdf5("x.h5")
            before = pathlib.Path("x.h5").read_bytes()
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
            options = [{}, {"chunks": (1000,)}, {"chunks": (1000,), "compression": "gzip"}]
            noise = np.random.default_rng(1).integers(0, 2**60, 300_000)
            for option in options:
                new = MemGroup()
                new.create_dataset("big", data=noise, **option)
                for mode in "wa":
                    try:
                        new.to_hdf5("x.h5", mode=mode)
                    except OSError as error:
                        assert "x.h5" in str(error), error
                    else:
                        raise AssertionError(f"no error with {option}")
                    assert pathlib.Path("x.h5").read_bytes() == before
                    assert os.listdir() == ["x.h5"], os.listdir()
                assert (new["big"][:] == noise).all()
            """,
            cwd=tmp_path,
        )

    def test_a_folder_that_is_not_there(self, save, tree, tmp_path):
        with pytest.raises(FileNotFoundError, match="nowhere"):
            save(tree, tmp_path / "nowhere" / "x.h5")
        assert not leftovers(tmp_path)


class TestProgress:
    @pytest.fixture
    def big(self):
        tree = MemGroup()
        for number in range(4):
            tree.create_dataset(f"d{number}", data=np.zeros(10_000_000, "u1"))
        return tree

    def test_a_callable_hears_of_bytes_done_and_in_all(self, big, save, load, tmp_path):
        for act in (
            lambda hear: save(big, tmp_path / "x.h5", progress=hear),
            lambda hear: load(tmp_path / "x.h5", progress=hear),
        ):
            heard = []
            act(lambda done, total, heard=heard: heard.append((done, total)))
            assert heard
            assert heard[-1][0] == heard[-1][1] >= 40_000_000
            assert [done for done, _ in heard] == sorted(done for done, _ in heard)
            assert len({total for _, total in heard}) == 1

    def test_stopping_a_load_leaves_no_file_open(self, big, save, load, tmp_path):
        save(big, tmp_path / "x.h5")

        def stop(done, total):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            load(tmp_path / "x.h5", progress=stop)
        assert str(tmp_path / "x.h5") not in open_descriptors()

    @pytest.mark.parametrize("how", ["argument", "environment"])
    def test_can_be_asked_for(self, big, tmp_path, monkeypatch, how, capfd):
        given = {"progress": True} if how == "argument" else {}
        if how == "environment":
            monkeypatch.setenv("MEMDATA_PROGRESS", "1")
        big.to_hdf5(tmp_path / "x.h5", **given)
        assert_same_tree(MemGroup.from_hdf5(tmp_path / "x.h5", **given), big)

    def test_nothing_is_printed_unasked(self, big, tmp_path, capfd):
        big.to_hdf5(tmp_path / "x.h5")
        MemGroup.from_hdf5(tmp_path / "x.h5")
        assert capfd.readouterr() == ("", "")


def test_a_load_holds_no_more_memory_than_the_data(tmp_path):
    if sys.platform != "linux":
        pytest.skip("the peak of resident memory is measured through /proc")
    written(tmp_path / "x.h5", "x", np.ones(25_000_000))
    run_python(
        """
        import memdata, h5py, numpy
        def peak():
            for line in open("/proc/self/status"):
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
        memdata.MemGroup.from_hdf5("x.h5", selections={"x": slice(10)})
        before = peak()
        tree = memdata.MemGroup.from_hdf5("x.h5")
        assert tree["x"][:].sum() == 25_000_000
        grown = peak() - before
        assert grown < 230_000_000, grown
        """,
        cwd=tmp_path,
    )


def test_signatures_by_position(h5_tree, tree, tmp_path):
    loaded = MemGroup.from_hdf5(h5_tree, False, True, None, {"time": np.s_[:1]}, False, True)
    assert loaded["time"].shape == (1,)
    tree.to_hdf5(tmp_path / "x.h5", "w", True, True, False)
    assert_same_tree(MemGroup.from_hdf5(tmp_path / "x.h5"), tree)


def test_a_field_whose_name_hdf5_would_cut(tmp_path):
    tree = MemGroup()
    tree.create_dataset("d", data=np.zeros(2, [("a\0b", "i4")]))
    with pytest.raises(TypeError, match=r"/d: .*a\\x00b.*NUL"):
        tree.to_hdf5(tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())
