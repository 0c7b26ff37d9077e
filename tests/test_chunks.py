"""Chunks that are packed and unpacked past HDF5, in threads: h5py is the oracle."""

import contextlib
import ctypes
import threading
from unittest import mock

import h5py
import hdf5plugin
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from memdata import MemGroup, deep_group_copy, threads
from memdata._cmemdata import fletcher32, shuffle_bytes, unpack_bitshuffled
from memdata.formats import hdf5_chunks, hdf5_codecs, hdf5_tiles

PIPELINES = {
    "none": {},
    "gzip": {"compression": "gzip", "compression_opts": 1},
    "shuffle-gzip": {"compression": "gzip", "shuffle": True},
    "gzip-fletcher": {"compression": "gzip", "fletcher32": True},
    "shuffle": {"shuffle": True},
    "shuffle-gzip-fletcher": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "bitshuffle-lz4": dict(hdf5plugin.Bitshuffle()),
    "bitshuffle-lz4-64": dict(hdf5plugin.Bitshuffle(nelems=64)),
    "bitshuffle-zstd": {"compression": 32008, "compression_opts": (0, 3)},
    "bitshuffle": dict(hdf5plugin.Bitshuffle(cname="none")),
    "zstd": dict(hdf5plugin.Zstd()),
    "zstd-fast": dict(hdf5plugin.Zstd(clevel=-5)),
    "shuffle-zstd-fletcher": {**hdf5plugin.Zstd(clevel=7), "shuffle": True, "fletcher32": True},
    "lz4": dict(hdf5plugin.LZ4()),
    "lz4-blocks": dict(hdf5plugin.LZ4(nbytes=256)),
    "blosc": dict(hdf5plugin.Blosc()),
    "blosc-zlib": dict(hdf5plugin.Blosc(cname="zlib", shuffle=hdf5plugin.Blosc.BITSHUFFLE)),
    "blosc-zstd": dict(hdf5plugin.Blosc(cname="zstd", clevel=3, shuffle=0)),
    "bitshuffle-lz4-fletcher": {**hdf5plugin.Bitshuffle(), "fletcher32": True},
}
#: Left to HDF5.
OTHERS = {
    "lzf": {"compression": "lzf", "shuffle": True},
    "scaleoffset": {"scaleoffset": 0},
    "blosc2": dict(hdf5plugin.Blosc2()),
    "bzip2": dict(hdf5plugin.BZip2()),
}


@contextlib.contextmanager
def small_chunks_too():
    """Let also chunks of some bytes take the way of large ones; notes what was read and packed."""
    done = []
    read, pack = hdf5_tiles.ChunkedTiles.read, hdf5_chunks.Packer.pack

    def noted_read(self, *args, **kwargs):
        done.append("read")
        return read(self, *args, **kwargs)

    def noted_pack(self, *args, **kwargs):
        done.append("packed")
        return pack(self, *args, **kwargs)

    with (
        mock.patch.object(hdf5_tiles, "SMALLEST", 0),
        mock.patch.object(hdf5_chunks, "SMALLEST", 0),
        mock.patch.object(hdf5_tiles, "BATCH", 64),
        mock.patch.object(hdf5_chunks, "BATCH", 64),
        mock.patch("memdata.formats.hdf5_read.SMALL", 0),
        mock.patch("memdata.formats.hdf5_write.SMALL", 0),
        mock.patch.object(hdf5_tiles.ChunkedTiles, "read", noted_read),
        mock.patch.object(hdf5_chunks.Packer, "pack", noted_pack),
        mock.patch.dict("os.environ", {"MEMDATA_THREADS": "3"}),
    ):
        yield done


def filters(dataset):
    plist = dataset.id.get_create_plist()
    return [plist.get_filter(index)[::2] for index in range(plist.get_nfilters())]


def packed_chunks(dataset):
    found = {}
    dataset.id.chunk_iter(lambda info: found.__setitem__(info.chunk_offset, None))
    return {origin: dataset.id.read_direct_chunk(origin) for origin in found}


@st.composite
def chunked(draw):
    """An array and the shape of its chunks."""
    dtype = draw(st.sampled_from(["u1", "i2", ">i4", "f4", "f8", "c16", "S3", "?", "i2,(3,)f4"]))
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=30))
    chunks = tuple(draw(st.integers(1, length)) for length in shape)
    seed = draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    content = rng.integers(0, 2 if dtype == "?" else draw(st.sampled_from([2, 100])), count, "u1")
    return content.view(dtype).reshape(shape), chunks


@settings(max_examples=120, deadline=None)
@given(given=chunked(), pipeline=st.sampled_from(sorted(PIPELINES)))
def test_chunks_are_read_as_h5py_wrote_them(tmp_path_factory, pipeline, given):
    array, chunks = given
    path = tmp_path_factory.mktemp("chunks") / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=array, chunks=chunks, **PIPELINES[pipeline])
        expected = file["x"][()]
    with small_chunks_too() as done:
        loaded = MemGroup.from_hdf5(path)["x"]
    assert "read" in done
    assert loaded.dtype == expected.dtype
    assert loaded.shape == expected.shape
    assert loaded[...].tobytes() == expected.tobytes()


@settings(max_examples=120, deadline=None)
@given(given=chunked(), pipeline=st.sampled_from(sorted(PIPELINES)))
def test_chunks_are_written_as_h5py_writes_them(tmp_path_factory, pipeline, given):
    array, chunks = given
    folder = tmp_path_factory.mktemp("chunks")
    with h5py.File(folder / "theirs.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=chunks, **PIPELINES[pipeline])
    with small_chunks_too() as done:
        MemGroup.from_hdf5(folder / "theirs.h5").to_hdf5(folder / "ours.h5")
    with h5py.File(folder / "theirs.h5") as theirs, h5py.File(folder / "ours.h5") as ours:
        assert ours["x"][()].tobytes() == array.tobytes()
        assert filters(ours["x"]) == filters(theirs["x"])
        assert ours["x"].chunks == chunks
        # The bytes of the others depend on the releases of zlib, Zstandard, LZ4 and Blosc.
        if pipeline.startswith(("none", "shuffle-f", "bitshuffle")):
            assert packed_chunks(ours["x"]) == packed_chunks(theirs["x"])
    assert "packed" in done


@pytest.mark.parametrize("pipeline", OTHERS)
def test_filters_that_are_not_known_are_left_to_hdf5(tmp_path, pipeline):
    array = np.arange(6000, dtype="i4").reshape(60, 100)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=(7, 30), **OTHERS[pipeline])
    with small_chunks_too() as done:
        MemGroup.from_hdf5(tmp_path / "x.h5").to_hdf5(tmp_path / "y.h5")
    assert not done
    with h5py.File(tmp_path / "y.h5") as file:
        assert np.array_equal(file["x"][()], array)


def test_chunks_never_written_are_fill_values(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", (100, 10), "i4", chunks=(9, 4), fillvalue=7)
        dataset[20:30, :3] = 1
        expected = dataset[()]
    with small_chunks_too() as done:
        loaded = MemGroup.from_hdf5(tmp_path / "x.h5")["x"]
    assert done
    assert np.array_equal(loaded, expected)


@pytest.mark.parametrize("mask", range(8))
def test_filters_that_a_chunk_leaves_out(tmp_path, mask):
    array = np.arange(32, dtype=">i4")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset(
            "x", (32,), ">i4", chunks=(32,), shuffle=True, compression="gzip", fletcher32=True
        )
        pipeline = hdf5_codecs.pipeline_of(dataset.id.get_create_plist())
        content = array.view("u1")
        for place, stage in enumerate(pipeline._stages):
            if not mask >> place & 1:
                content = stage.encode(content)
        dataset.id.write_direct_chunk((0,), content.tobytes(), mask)
    with small_chunks_too() as done:
        loaded = MemGroup.from_hdf5(tmp_path / "x.h5")["x"]
    assert done
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(loaded, file["x"][()])
        assert np.array_equal(loaded, array)


def test_chunks_at_the_edge_that_hdf5_was_told_to_leave_unpacked(tmp_path):
    array = np.random.default_rng(0).integers(0, 9, (50, 10))
    library = ctypes.CDLL(h5py.h5z.__file__)
    library.H5Pset_chunk_opts.argtypes = [ctypes.c_int64, ctypes.c_uint]
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_chunk((16, 10))
        plist.set_deflate(4)
        assert library.H5Pset_chunk_opts(plist.id, 2) == 0
        dataset = h5d.create(file.id, b"x", h5t.NATIVE_INT64, h5s.create_simple((50, 10)), plist)
        dataset.write(h5s.ALL, h5s.ALL, array)
        assert dataset.get_chunk_info_by_coord((48, 0)).size == 16 * 10 * 8
    with small_chunks_too() as done:
        assert np.array_equal(MemGroup.from_hdf5(tmp_path / "x.h5")["x"], array)
    assert done


@pytest.mark.parametrize("kind", ["userblock", "core", "fileobj", "unflushed"])
def test_files_whose_bytes_are_somewhere_else(tmp_path, kind):
    array = np.arange(4000.0).reshape(40, 100)
    path = tmp_path / "x.h5"
    given = {"userblock": {"userblock_size": 512}, "core": {"driver": "core"}}.get(kind, {})
    with contextlib.ExitStack() as stack:
        where = stack.enter_context(path.open("w+b")) if kind == "fileobj" else path
        file = stack.enter_context(h5py.File(where, "w", **given))
        file.create_dataset("x", data=array, chunks=(8, 30), compression="gzip")
        with small_chunks_too() as done:
            loaded = MemGroup()
            deep_group_copy(file, loaded)
        assert done
        assert np.array_equal(loaded["x"], array)


def test_many_chunks_are_looked_up_together(tmp_path):
    array = np.arange(6000.0).reshape(300, 20)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=(1, 20), compression="gzip")
    with small_chunks_too() as done:
        assert np.array_equal(MemGroup.from_hdf5(tmp_path / "x.h5")["x"], array)
    assert done


# ---- bad input ----------------------------------------------------------------------------------


def damaged(path, pipeline, change):
    """A file whose chunk at (10, 0) `change` was let loose on; returns the chunk's offset."""
    array = np.random.default_rng(0).integers(0, 50, (40, 64))
    with h5py.File(path, "w") as file:
        file.create_dataset("g/x", data=array, chunks=(10, 64), **PIPELINES[pipeline])
    with h5py.File(path, "r") as file:
        info = file["g/x"].id.get_chunk_info_by_coord((10, 0))
    with path.open("r+b") as file:
        file.seek(info.byte_offset)
        content = bytearray(file.read(info.size))
        change(content)
        file.seek(info.byte_offset)
        file.write(content)
    return info.byte_offset, array


@settings(max_examples=60, deadline=None)
@given(
    pipeline=st.sampled_from([name for name in PIPELINES if "fletcher" in name]),
    place=st.integers(0, 10**6),
    flipped=st.integers(1, 255),
)
def test_a_checksum_finds_what_has_changed(tmp_path_factory, pipeline, place, flipped):
    def change(content):
        content[place % len(content)] ^= flipped

    path = tmp_path_factory.mktemp("bad") / "x.h5"
    offset, _array = damaged(path, pipeline, change)
    with small_chunks_too(), pytest.raises(OSError, match=r"/g/x.*\(10, 0\).*byte") as caught:
        MemGroup.from_hdf5(path)
    assert str(offset) in str(caught.value)
    assert str(path) in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(
    pipeline=st.sampled_from(
        ["gzip", "bitshuffle-lz4", "bitshuffle-zstd", "zstd", "lz4", "lz4-blocks", "blosc"]
    ),
    place=st.integers(0, 10**6) | st.integers(0, 20),
    flipped=st.integers(1, 255),
)
def test_a_damaged_chunk_is_an_error_or_other_data(tmp_path_factory, pipeline, place, flipped):
    def change(content):
        content[place % len(content)] ^= flipped

    path = tmp_path_factory.mktemp("bad") / "x.h5"
    offset, array = damaged(path, pipeline, change)
    with small_chunks_too():
        try:
            loaded, message = MemGroup.from_hdf5(path), ""
        except OSError as error:
            loaded, message = None, str(error)
    if loaded is None:
        assert f"/g/x: the chunk at (10, 0), at byte {offset} " in message
    else:
        others = np.r_[0:10, 20:40]
        assert np.array_equal(loaded["g/x"][others], array[others])


@pytest.mark.parametrize(
    "pipeline", ["gzip", "bitshuffle-lz4", "bitshuffle-zstd", "none", "zstd", "lz4", "blosc"]
)
@pytest.mark.parametrize("size", [1, 63, 65, 10**6], ids=str)
def test_a_chunk_that_unpacks_to_another_size(tmp_path, pipeline, size):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        given = PIPELINES[pipeline]
        dataset = file.create_dataset("x", (128,), "u1", chunks=(64,), **given)
        wrong = file.create_dataset("w", data=np.zeros(size, "u1"), chunks=(size,), **given)
        content = wrong.id.read_direct_chunk((0,))[1]
        dataset.id.write_direct_chunk((64,), content)
    with small_chunks_too(), pytest.raises(OSError, match=r"/x: the chunk at \(64,\)"):
        MemGroup.from_hdf5(tmp_path / "x.h5")


def test_a_chunk_beyond_the_end_of_the_file(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.zeros((4, 100)), chunks=(1, 100))
        end = mock.Mock(st_size=dataset.id.get_chunk_info(0).byte_offset)
        with (
            small_chunks_too(),
            mock.patch.object(hdf5_tiles.os, "fstat", return_value=end),
            pytest.raises(OSError, match=r"/x: the chunk at \(0, 0\).*end of the file"),
        ):
            MemGroup.from_group(file)


# ---- the parts ----------------------------------------------------------------------------------


@given(data=st.binary(max_size=300), size=st.integers(1, 20))
def test_shuffling_is_a_transposition(data, size):
    shuffled, back = bytearray(len(data)), bytearray(len(data))
    shuffle_bytes(data, shuffled, size)
    whole = len(data) // size * size
    rows = np.frombuffer(data[:whole], "u1").reshape(-1, size)
    assert shuffled == rows.T.tobytes() + data[whole:]
    shuffle_bytes(shuffled, back, size, True)
    assert back == data


@pytest.mark.parametrize("sizes", [(3, 4), (0, 1)], ids=str)
def test_shuffling_wants_one_length(sizes):
    with pytest.raises(ValueError, match="shuffle_bytes"):
        shuffle_bytes(bytes(sizes[0]), bytearray(sizes[1]), 2)
    with pytest.raises(ValueError, match="shuffle_bytes"):
        shuffle_bytes(bytes(4), bytearray(4), 0)
    with pytest.raises((TypeError, BufferError)):
        shuffle_bytes(bytes(4), bytes(4), 2)


@settings(deadline=None)
@given(data=st.binary(min_size=1, max_size=300) | st.integers(1, 600_000))
def test_the_checksum_is_hdf5s(data):
    content = np.frombuffer(data, "u1") if isinstance(data, bytes) else np.full(data, 255, "u1")
    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("x", data=content, chunks=content.shape, fletcher32=True)
        stored = dataset.id.read_direct_chunk((0,))[1][-4:]
    assert fletcher32(content) == int.from_bytes(stored, "little")


class TestThreads:
    def test_the_environment_says_how_many(self, monkeypatch):
        monkeypatch.setenv("MEMDATA_THREADS", "5")
        assert threads.thread_count() == threads.thread_count(sharing=9) == 5

    @pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
    def test_other_values_are_refused(self, monkeypatch, value):
        monkeypatch.setenv("MEMDATA_THREADS", value)
        with pytest.raises(ValueError, match="MEMDATA_THREADS"):
            threads.thread_count()

    def test_processes_share_the_processors(self, monkeypatch):
        monkeypatch.delenv("MEMDATA_THREADS", raising=False)
        monkeypatch.setattr(threads, "_processors", lambda: 12)
        assert threads.thread_count(sharing=4) == 3
        assert threads.thread_count(sharing=99) == 1

    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_results_come_in_order(self, count):
        assert list(threads.in_order(lambda n: n * n, range(50), count)) == [
            n * n for n in range(50)
        ]

    @pytest.mark.parametrize("count", [1, 2, 4])
    def test_an_error_stops_the_rest(self, count):
        called = []

        def work(number):
            called.append(number)
            if number == 3:
                raise KeyError("three")
            return number

        results = threads.in_order(work, range(1000), count)
        with pytest.raises(KeyError, match="three"):
            list(results)
        assert len(called) < 100
        assert not [t for t in threading.enumerate() if t.name.startswith("memdata-")]

    def test_only_some_are_taken_ahead(self):
        taken = []

        def items():
            for number in range(1000):
                taken.append(number)
                yield number

        results = threads.in_order(abs, items(), 2)
        assert next(results) == 0
        assert len(taken) < 20
        results.close()
        assert not [t for t in threading.enumerate() if t.name.startswith("memdata-")]


class TestBitshuffled:
    """Chunks read and unpacked past HDF5 and without the interpreter's lock."""

    @pytest.fixture
    def stored(self, tmp_path):
        """An array, a file, where its four chunks lie, and the address of the function."""
        library = hdf5_codecs._bitshuffle()
        if library is None:
            pytest.skip("this hdf5plugin hides bitshuffle's functions")
        array = np.arange(64 * 96, dtype="i4").reshape(64, 96)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            dataset = file.create_dataset(
                "x", data=array, chunks=(32, 48), **hdf5plugin.Bitshuffle()
            ).id
            infos = [dataset.get_chunk_info(number) for number in range(4)]
        places = [(info.byte_offset, info.size, info.chunk_offset) for info in infos]
        function = ctypes.cast(library.bshuf_decompress_lz4, ctypes.c_void_p).value
        with open(tmp_path / "x.h5", "r+b") as file:
            yield array, file, places, function

    @staticmethod
    def unpack(file, jobs, function, itemsize=4):
        longest = max(size for _offset, size, _place in jobs)
        rooms = np.empty(longest, "u1"), np.empty(32 * 48 * 4, "u1")
        return unpack_bitshuffled(file.fileno(), jobs, *rooms, function, itemsize)

    @pytest.mark.parametrize("index", [np.s_[:, :], np.s_[::-1, :], np.s_[:, ::-1]], ids=str)
    def test_elements_go_to_their_places(self, stored, index):
        array, file, places, function = stored
        out = np.zeros((64, 96), "i4")[index]
        jobs = [(at, n, out[a : a + 32, b : b + 48]) for at, n, (a, b) in places]
        assert self.unpack(file, jobs, function) == 4
        assert np.array_equal(out, array)

    def test_it_stops_at_the_first_that_is_not_as_it_should_be(self, stored):
        array, file, places, function = stored
        out = np.zeros((4, 32, 48), "i4")
        jobs = [(at, n, out[i]) for i, (at, n, _origin) in enumerate(places)]
        file.seek(places[2][0] + 12)
        file.write(b"\xff\xff")  # the length of its first block
        file.flush()
        assert self.unpack(file, jobs, function) == 2
        assert np.array_equal(out[1], array[:32, 48:])
        assert not out[3].any()

    def test_the_end_of_the_file_is_no_chunk(self, stored):
        _array, file, places, function = stored
        out = np.zeros((32, 48), "i4")
        assert self.unpack(file, [(1 << 40, places[0][1], out)], function) == 0

    def test_rooms_too_small_are_refused(self, stored):
        _array, file, places, function = stored
        out, room = np.zeros((32, 48), "i4"), np.empty(10_000, "u1")
        at, n, _origin = places[0]
        for packed, unpacked in ((room[: n - 1], room), (room, room[: out.nbytes - 1])):
            with pytest.raises(ValueError, match="there is room for"):
                unpack_bitshuffled(file.fileno(), [(at, n, out)], packed, unpacked, function, 4)

    def test_places_that_cannot_be_written_are_refused(self, stored):
        _array, file, places, function = stored
        out = np.zeros((32, 48), "i4")
        out.flags.writeable = False
        with pytest.raises(ValueError, match="read-only"):
            self.unpack(file, [(*places[0][:2], out)], function)
        with pytest.raises(TypeError, match="objects"):
            self.unpack(file, [(*places[0][:2], np.empty((32, 48), "O"))], function)
