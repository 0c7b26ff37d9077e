"""Checksums, and what is told and kept of damaged files."""

import fcntl
import json
import os
import zlib

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemGroup
from memdata.checksums import NAMES, crc32

KINDS = ["x.h5", "x.zarr"]


@pytest.fixture
def tree():
    rng = np.random.default_rng(3)
    group = MemGroup()
    group.create_dataset("a/packed", data=rng.random((60, 50)), chunks=(20, 25), compression="gzip")
    group.create_dataset("a/plain", data=rng.random(300_000))
    group.create_dataset("words", data=np.array(["é", "bc", ""], h5py.string_dtype()))
    group.create_dataset("one", data=7)
    group["a"].attrs["unit"] = "Jy"
    group["a/plain"].attrs["axis"] = "time"
    return group


def overwrite(path, offset, content):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(content)


def place(path, name, chunk=None):
    """Where the bytes of a dataset, or of its chunk, begin in a file."""
    with h5py.File(path) as file:
        dataset = file[name].id
        return dataset.get_offset() if chunk is None else dataset.get_chunk_info(chunk).byte_offset


def found(damages):
    return [(damage.path, damage.what, damage.index) for damage in damages]


class TestChecksums:
    @pytest.mark.parametrize("kind", [*KINDS, "x.zarr.zip"])
    def test_a_good_file_is_good(self, tree, tmp_path, kind):
        tree.to_file(tmp_path / kind, checksum=True)
        result = memdata.verify(tmp_path / kind)
        assert result.ok
        assert result.datasets == 4
        assert result.checked == (0 if kind.endswith("zip") else 4)
        assert result.nbytes >= 8 * 303_000

    @pytest.mark.parametrize("kind", KINDS)
    def test_they_are_no_part_of_the_tree(self, tree, tmp_path, kind):
        tree.to_file(tmp_path / kind, checksum=True)
        loaded = MemGroup.from_file(tmp_path / kind)
        assert memdata.equal(loaded, tree)
        assert list(loaded["a/plain"].attrs) == ["axis"]
        loaded.to_file(tmp_path / f"again{kind}")
        assert memdata.verify(tmp_path / f"again{kind}").checked == 0

    def test_h5py_sees_the_crc_of_each_chunk(self, tree, tmp_path):
        tree.to_file(tmp_path / "x.h5", checksum=True)
        with h5py.File(tmp_path / "x.h5") as file:
            data, attrs = file["a/packed"][:], dict(file["a/packed"].attrs)
        assert attrs[NAMES[1]].tolist() == [20, 25]
        assert attrs[NAMES[0]].tolist() == [
            zlib.crc32(data[i : i + 20, j : j + 25].tobytes()) for i in (0, 20, 40) for j in (0, 25)
        ]

    def test_many_chunks_share_one(self, tmp_path):
        group = MemGroup()
        group.create_dataset("x", data=np.arange(40_000), chunks=(2,))
        group.to_file(tmp_path / "x.h5", checksum=True)
        result = memdata.verify(tmp_path / "x.h5")
        assert (result.ok, result.checked) == (True, 1)

    @pytest.mark.parametrize("name", NAMES)
    def test_checksums_that_make_no_sense_count_for_nothing(self, tree, tmp_path, name):
        tree.to_file(tmp_path / "x.h5", checksum=True)
        with h5py.File(tmp_path / "x.h5", "r+") as file:
            file["a/plain"].attrs[name] = np.array([b"x"])
        result = memdata.verify(tmp_path / "x.h5")
        assert (result.ok, result.checked) == (True, 3)

    def test_saving_adds_to_those_that_are_there(self, tree, tmp_path):
        tree.to_file(tmp_path / "x.h5", checksum=True)
        more = MemGroup()
        more.create_dataset("more", data=[1, 2])
        more.to_file(tmp_path / "x.h5", mode="a", checksum=True)
        result = memdata.verify(tmp_path / "x.h5")
        assert (result.ok, result.checked) == (True, 5)

    def test_bytes_between_fields_do_not_count(self):
        a, b = (
            np.frombuffer(fill * 32, np.dtype("i1,i8", align=True)).copy()
            for fill in (b"\0", b"\1")
        )
        a["f0"] = b["f0"] = 1
        a["f1"] = b["f1"] = 2
        assert crc32(a) == crc32(b)

    def test_lengths_count(self):
        words = [np.array(each, object) for each in (["ab", "c"], ["a", "bc"])]
        assert crc32(words[0]) != crc32(words[1])


class TestVerify:
    def test_changed_elements_are_found(self, tree, tmp_path):
        path = tmp_path / "x.h5"
        tree.to_file(path, checksum=True)
        overwrite(path, place(path, "a/plain") + 8 * 200_000, b"\xff")
        result = memdata.verify(path)
        assert found(result.damages) == [("/a/plain", "changed", (slice(131072, 262144),))]
        assert not result.ok
        assert "/a/plain[131072:262144]" in str(result)

    def test_a_chunk_that_cannot_be_unpacked_is_found(self, tree, tmp_path):
        path = tmp_path / "x.h5"
        tree.to_file(path)
        overwrite(path, place(path, "a/packed", 3) + 2, b"\xff" * 40)
        assert found(memdata.verify(path).damages) == [
            ("/a/packed", "unreadable", (slice(20, 40), slice(25, 50)))
        ]

    def test_a_changed_chunk_of_a_store_is_found(self, tmp_path):
        group = MemGroup()
        group.create_dataset("x", data=np.arange(100), chunks=(10,))
        group.to_file(tmp_path / "x.zarr", checksum=True)
        (chunk,) = (p for p in (tmp_path / "x.zarr" / "x").rglob("3") if p.is_file())
        chunk.unlink()
        assert found(memdata.verify(tmp_path / "x.zarr").damages) == [
            ("/x", "changed", (slice(30, 40),))
        ]

    def test_what_is_no_file_of_its_format_is_damaged(self, tmp_path):
        (tmp_path / "x.h5").write_bytes(b"hello")
        (damage,) = memdata.verify(tmp_path / "x.h5").damages
        assert (damage.path, damage.what) == ("/", "unreadable")

    def test_what_was_never_written_takes_no_time(self, tmp_path):
        path = tmp_path / "x.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("one_piece", (10**15,), "f8")
            file.create_dataset("chunks", (10**15,), "f8", chunks=(10**4,), fletcher32=True)
            file["chunks"][:3] = 1
        result = memdata.verify(path)
        assert (result.ok, result.datasets) == (True, 2)
        overwrite(path, place(path, "chunks", 0), b"\xff")
        assert found(memdata.verify(path).damages) == [
            ("/chunks", "unreadable", (slice(0, 10**4),))
        ]

    def test_chunks_for_which_there_is_no_memory_are_damaged(self, tmp_path):
        zarr = pytest.importorskip("zarr")
        zarr.open_group(tmp_path / "x.zarr", mode="w")
        (tmp_path / "x.zarr" / "x").mkdir()
        metadata = {"shape": [10**15], "chunks": [10**15], "dtype": "<f8", "order": "C"}
        rest = {"zarr_format": 2, "compressor": None, "filters": None, "fill_value": 0}
        (tmp_path / "x.zarr" / "x" / ".zarray").write_text(json.dumps(metadata | rest))
        (tmp_path / "x.zarr" / "zarr.json").unlink(missing_ok=True)
        (tmp_path / "x.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
        (tmp_path / "x.zarr" / "x" / "0").write_bytes(b"few")
        damages = memdata.verify(tmp_path / "x.zarr").damages
        assert {(damage.path, damage.what) for damage in damages} == {("/x", "unreadable")}

    def test_a_file_that_is_being_written_is_not_damaged(self, tree, tmp_path):
        tree.to_file(tmp_path / "x.h5")
        with open(tmp_path / "x.h5") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does for writing
            with pytest.raises(BlockingIOError):
                memdata.verify(tmp_path / "x.h5")

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_file_must_be_there(self, tmp_path, kind):
        with pytest.raises(FileNotFoundError):
            memdata.verify(tmp_path / kind)


class TestRescue:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("new", KINDS)
    def test_a_good_file_is_copied_whole(self, tree, tmp_path, kind, new):
        tree.to_file(tmp_path / kind, checksum=True)
        result = memdata.rescue(tmp_path / kind, tmp_path / f"new{new}")
        assert result.complete
        assert result.datasets == 4
        assert memdata.equal(tmp_path / f"new{new}", tree)

    def test_damaged_chunks_are_fill_values(self, tree, tmp_path):
        path = tmp_path / "x.h5"
        tree["a"].create_dataset(
            "filled", data=np.ones(100), chunks=(10,), fletcher32=True, fillvalue=-1.0
        )
        tree.to_file(path)
        overwrite(path, place(path, "a/packed", 3) + 2, b"\xff" * 40)
        overwrite(path, place(path, "a/filled", 4), b"\xff")
        result = memdata.rescue(path, tmp_path / "new.h5")
        assert found(result.lost) == [
            ("/a/filled", "unreadable", (slice(40, 50),)),
            ("/a/packed", "unreadable", (slice(20, 40), slice(25, 50))),
        ]
        tree["a/packed"][20:40, 25:] = 0
        tree["a/filled"][40:50] = -1
        assert memdata.equal(tmp_path / "new.h5", tree)

    def test_changed_elements_are_kept_and_told(self, tree, tmp_path):
        path = tmp_path / "x.h5"
        tree.to_file(path, checksum=True)
        overwrite(path, place(path, "a/plain"), bytes(8))
        result = memdata.rescue(path, tmp_path / "new.h5")
        assert not result.lost
        assert found(result.changed) == [("/a/plain", "changed", (slice(0, 131072),))]
        tree["a/plain"][0] = 0
        assert memdata.equal(tmp_path / "new.h5", tree)

    def test_a_lost_group_does_not_take_the_others_along(self, tree, tmp_path):
        path = tmp_path / "x.h5"
        tree.to_file(path)
        with h5py.File(path) as file:
            address = h5py.h5o.get_info(file["words"].id).addr
        overwrite(path, address, b"\xff" * 16)
        result = memdata.rescue(path, tmp_path / "new.h5")
        assert [damage.path for damage in result.lost] == ["/words"]
        del tree["words"]
        assert memdata.equal(tmp_path / "new.h5", tree)

    @pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
    def test_a_file_cut_off_gives_what_lay_before(self, tmp_path, part):
        data = np.random.default_rng(0).random(200_000)
        with h5py.File(tmp_path / "x.h5", "w") as file:  # its metadata first
            file.create_dataset("x", data=data)
        path, begin = tmp_path / "x.h5", place(tmp_path / "x.h5", "x")
        os.truncate(path, begin + int(data.nbytes * part))
        result = memdata.rescue(path, tmp_path / "new.h5")
        (damage,) = result.lost
        (lost,) = damage.index
        assert 0 <= int(data.size * part) - lost.start <= 512  # a block of a disk
        data[lost] = 0
        assert np.array_equal(MemGroup.from_file(tmp_path / "new.h5")["x"], data)
        assert sorted(os.listdir(tmp_path)) == ["new.h5", "x.h5"]

    def test_a_chunk_of_a_small_array_does_not_take_the_store_along(self, tree, tmp_path):
        tree.create_dataset("small", data=np.arange(1, 7), chunks=(2,), compression="gzip")
        tree.to_file(tmp_path / "x.zarr")
        (chunk,) = (p for p in (tmp_path / "x.zarr" / "small").rglob("1") if p.is_file())
        chunk.write_bytes(b"hello")
        result = memdata.rescue(tmp_path / "x.zarr", tmp_path / "new.h5")
        assert found(result.lost) == [("/small", "unreadable", (slice(2, 4),))]
        assert found(memdata.verify(tmp_path / "x.zarr").damages) == found(result.lost)
        tree["small"][2:4] = 0
        assert memdata.equal(tmp_path / "new.h5", tree)

    @pytest.mark.parametrize("zarr_format", [2, 3])
    @pytest.mark.parametrize("path", ["", "a"])
    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"zarr_format": 9}'])
    def test_groups_without_metadata_still_have_members(
        self, tree, tmp_path, zarr_format, path, content
    ):
        if pytest.importorskip("zarr").__version__ < str(zarr_format):
            pytest.skip("zarr 2 has no format 3")
        store = tmp_path / "x.zarr"
        tree.to_file(store, zarr_format=zarr_format, consolidated=zarr_format == 2)
        metadata = store / path / (".zgroup" if zarr_format == 2 else "zarr.json")
        metadata.write_bytes(content)
        result = memdata.rescue(store, tmp_path / "new.h5")
        assert found(result.lost) == [(f"/{path}", "unreadable", None)]
        if path and zarr_format == 3:  # they were in the same file
            tree["a"].attrs.clear()
        assert memdata.equal(tmp_path / "new.h5", tree)
        assert metadata.read_bytes() == content
        assert sorted(os.listdir(tmp_path)) == ["new.h5", "x.zarr"]

    def test_metadata_in_one_place_are_not_needed(self, tree, tmp_path):
        pytest.importorskip("zarr")
        tree.to_file(tmp_path / "x.zarr", zarr_format=2, consolidated=True)
        (tmp_path / "x.zarr" / ".zmetadata").write_bytes(b"{")
        result = memdata.rescue(tmp_path / "x.zarr", tmp_path / "new.h5")
        assert [damage.path for damage in result.lost] == ["/"]
        assert memdata.equal(tmp_path / "new.h5", tree)

    def test_what_was_hardly_written_is_left_out(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("sparse", (10**15,), "f8", chunks=(10**4,))
            file["sparse"][:3] = 1
            file["again"] = file["sparse"]
            file["good"] = [1, 2]
        result = memdata.rescue(tmp_path / "x.h5", tmp_path / "new.h5")
        assert [damage.path for damage in result.lost] == ["/again"]
        assert list(MemGroup.from_file(tmp_path / "new.h5")) == ["good"]

    def test_elements_of_variable_length_that_are_lost(self, tmp_path):
        path = tmp_path / "x.h5"
        reference = h5py.ref_dtype
        both = np.dtype([("n", "i4"), ("text", h5py.string_dtype())])
        with h5py.File(path, "w") as file:
            for name, dtype in (("ragged", h5py.vlen_dtype("i4")), ("ref", reference), ("b", both)):
                made = file.create_dataset(name, (4,), dtype, chunks=(2,), compression="gzip")
                element = {
                    "ragged": np.arange(2, dtype="i4"),
                    "ref": file.ref,
                    "b": np.array((1, b"a"), both),
                }[name]
                for index in range(4):
                    made[index] = element
        for name in ("ragged", "ref", "b"):
            overwrite(path, place(path, name, 1), b"\xff" * 8)
        result = memdata.rescue(path, tmp_path / "new.h5")
        assert all(damage.index == (slice(2, 4),) for damage in result.lost)
        assert len(result.lost) == 3
        loaded = MemGroup.from_file(tmp_path / "new.h5")
        assert [len(row) for row in loaded["ragged"]] == [2, 2, 0, 0]
        assert loaded["b"]["n"].tolist() == [1, 1, 0, 0]

    def test_filters_that_make_no_sense_are_left_out(self, tmp_path):
        path = tmp_path / "x.h5"
        data = np.arange(100_000)
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=data, chunks=(10_000,), compression="gzip")
        content = path.read_bytes()
        at = content.index(b"deflate\0") + 8
        assert content[at] == 4  # the level
        overwrite(path, at, b"\x63")
        result = memdata.rescue(path, tmp_path / "new.h5")
        assert [damage.path for damage in result.lost] == ["/x"]
        assert np.array_equal(MemGroup.from_file(tmp_path / "new.h5")["x"], data)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("chunks", [(7, 11), (1000, 3)])
    def test_checksums_are_compared_whatever_the_pieces(self, tmp_path, kind, chunks, monkeypatch):
        tree = MemGroup()
        data = np.random.default_rng(0).random((100, 60))
        tree.create_dataset("x", data=data, chunks=chunks)
        path = tmp_path / kind
        tree.to_file(path, checksum=True)
        assert memdata.rescue(path, tmp_path / "new.h5").complete
        if kind == "x.h5":
            with h5py.File(path, "r+") as file:
                file["x"][50, 30] = 0
        else:
            import zarr

            zarr.open_group(path, mode="r+")["x"][50, 30] = 0
        changed = memdata.rescue(path, tmp_path / "new.h5", overwrite=True).changed
        assert found(changed) == found(memdata.verify(path).damages)
        assert len(changed) == 1

    def test_what_the_other_format_cannot_hold_is_an_error(self, tmp_path):
        pytest.importorskip("zarr")
        tree = MemGroup()
        tree.create_dataset("x", data=np.array(["a\0b"], object), dtype=h5py.string_dtype())
        tree.to_file(tmp_path / "x.zarr")
        with pytest.raises(ValueError, match=r"x\.zarr: .*new\.h5 cannot hold"):
            memdata.rescue(tmp_path / "x.zarr", tmp_path / "new.h5")
        assert sorted(os.listdir(tmp_path)) == ["x.zarr"]
        assert memdata.rescue(tmp_path / "x.zarr", tmp_path / "new.zarr").complete

    def test_links_stay_links(self, tree, tmp_path):
        tree["again"] = tree["a/plain"]
        tree["soft"] = h5py.SoftLink("/a")
        tree.to_file(tmp_path / "x.h5")
        assert memdata.rescue(tmp_path / "x.h5", tmp_path / "new.h5").complete
        with h5py.File(tmp_path / "new.h5") as file:
            assert file["again"] == file["a/plain"]
            assert file.get("soft", getlink=True).path == "/a"

    def test_files_that_are_there_stay(self, tree, tmp_path):
        tree.to_file(tmp_path / "x.h5")
        (tmp_path / "new.h5").write_bytes(b"mine")
        with pytest.raises(FileExistsError):
            memdata.rescue(tmp_path / "x.h5", tmp_path / "new.h5")
        assert (tmp_path / "new.h5").read_bytes() == b"mine"
        assert memdata.rescue(tmp_path / "x.h5", tmp_path / "new.h5", overwrite=True).complete
        with pytest.raises(FileExistsError, match="into itself"):
            memdata.rescue(tmp_path / "x.h5", tmp_path / "x.h5", overwrite=True)
