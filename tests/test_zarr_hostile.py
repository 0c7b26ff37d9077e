"""zarr stores that are broken or mean harm, names that no folder holds, saves that are stopped."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest

from memdata import MemGroup
from memdata.atomic_folder import AtomicFolder
from memdata.cli import main
from memdata.formats import zarr_write
from memdata.formats.tree import Options
from memdata.formats.zarr_read import opened_source
from support import assert_same_tree, leftovers
from zarr_support import FORMATS, MAJOR, open_plain, plain_array

STORES = [(number, suffix) for number in FORMATS for suffix in (".zarr", ".zarr.zip")]


@pytest.fixture(params=FORMATS)
def zarr_format(request) -> int:
    return request.param


@pytest.fixture(params=STORES, ids=lambda store: f"{store[0]}{store[1]}")
def store(request, tmp_path) -> tuple[Path, int]:
    number, suffix = request.param
    return tmp_path / f"store{suffix}", number


def metadata_file(folder: Path, zarr_format: int) -> Path:
    return folder / (".zarray" if zarr_format == 2 else "zarr.json")


def chunk_file(folder: Path, zarr_format: int) -> Path:
    return folder / "0" if zarr_format == 2 else folder / "c" / "0"


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["x" * 256, "é" * 200, ".zarray", "zarr.json", ".zgroup", "a\\b", "\udc80"],
        ids=lambda name: repr(name[:9]),
    )
    def test_what_a_folder_cannot_hold(self, tree, tmp_path, zarr_format, name):
        tree.create_dataset(f"sky/{name}", data=[1])
        with pytest.raises(ValueError, match="/sky/"):
            tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        assert leftovers(tmp_path) == set()

    @pytest.mark.parametrize("length", [300, 70_000])
    def test_long_names_in_a_zip_file(self, tmp_path, zarr_format, length):
        tree = MemGroup()
        tree.create_dataset("x" * length, data=[1])
        name = tmp_path / "x.zarr.zip"
        if length == 300:
            tree.to_file(name, zarr_format=zarr_format)
            assert_same_tree(MemGroup.from_file(name), tree)
        else:
            with pytest.raises(ValueError, match="70001 characters"):
                tree.to_file(name, zarr_format=zarr_format)
            assert leftovers(tmp_path) == set()

    def test_a_path_that_is_too_long_for_the_system(self, tmp_path, zarr_format):
        tree = MemGroup()
        tree.create_dataset("/".join(["x" * 200] * 25), data=[1])
        with pytest.raises(ValueError, match="too long"):
            tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        assert leftovers(tmp_path) == set()

    @pytest.mark.parametrize("bad", ["..", ".", "a\0b", "", "/etc/x"])
    def test_names_that_only_the_stored_tree_can_have(self, tmp_path, zarr_format, bad):
        tree = MemGroup()
        tree.create_dataset("x", data=[1])
        root: Any = tree._get_storage()
        dict.__setitem__(root, bad, root["x"])
        with pytest.raises(ValueError, match="name"):
            tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        assert leftovers(tmp_path) == set()

    @pytest.mark.parametrize("name", ["C:", "NUL", "a b", "é", "-rf", "*", "~", "0.0", "c", "__x"])
    def test_odd_names_that_are_allowed(self, store, name):
        tree = MemGroup()
        tree.create_dataset(f"{name}/{name}", data=[1, 2])
        tree.to_file(store[0], zarr_format=store[1])
        assert_same_tree(MemGroup.from_file(store[0]), tree)

    def test_twins_that_differ_in_case(self, tmp_path, zarr_format, monkeypatch):
        tree = MemGroup()
        tree.create_dataset("g/Name", data=[1])
        tree.create_dataset("g/name", data=[2])
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        assert_same_tree(MemGroup.from_file(tmp_path / "x.zarr"), tree)
        monkeypatch.setattr(zarr_write, "_folds_case", lambda folder: True)
        with pytest.raises(ValueError, match="/g/name and /g/Name"):
            tree.to_file(tmp_path / "y.zarr", zarr_format=zarr_format)
        assert leftovers(tmp_path, "x.zarr") == set()

    def test_names_in_a_zip_file_that_lead_out(self, tree, tmp_path, zarr_format):
        name = tmp_path / "x.zarr.zip"
        tree.to_file(name, zarr_format=zarr_format)
        with zipfile.ZipFile(name, "a") as file:
            for bad in ("../evil", "/evil"):
                member = ".zgroup" if zarr_format == 2 else "zarr.json"
                text = {"zarr_format": zarr_format, "node_type": "group", "attributes": {}}
                file.writestr(f"{bad}/{member}", json.dumps(text))
        with pytest.warns(UserWarning, match="evil|'..'|cannot be the name"):
            loaded = MemGroup.from_file(name)
        assert_same_tree(loaded, tree)
        assert leftovers(tmp_path, "x.zarr.zip") == set()


class TestSymbolicLinks:
    @pytest.fixture
    def outside(self, tmp_path, zarr_format) -> Path:
        folder = tmp_path / "outside.zarr"
        tree = MemGroup()
        tree.create_dataset("secret", data=np.arange(5, dtype="u1"))
        tree.to_file(folder, zarr_format=zarr_format)
        return folder

    @pytest.mark.parametrize("what", ["array", "group"])
    def test_members_elsewhere_are_left_out(self, tree, tmp_path, zarr_format, outside, what):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format)
        os.symlink(outside / "secret" if what == "array" else outside, name / "sky" / "link")
        with pytest.warns(UserWarning, match="/sky/link.*leads out of the store"):
            loaded = MemGroup.from_file(name)
        assert_same_tree(loaded, tree)

    def test_chunks_elsewhere(self, tree, tmp_path, zarr_format, outside):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format)
        chunk = chunk_file(name / "time", zarr_format)
        chunk.unlink()
        os.symlink(chunk_file(outside / "secret", zarr_format), chunk)
        with pytest.warns(UserWarning, match="/time.*leads out"):
            assert "time" not in MemGroup.from_file(name)

    def test_links_inside_are_followed(self, tree, tmp_path, zarr_format):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format)
        os.symlink("time", name / "again")
        loaded = MemGroup.from_file(name)
        np.testing.assert_array_equal(loaded["again"][:], tree["time"][:])

    def test_nothing_is_written_through_them(self, tree, tmp_path, zarr_format, outside):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format)
        os.symlink(outside, name / "link")
        before = sorted(path.name for path in outside.rglob("*"))
        more = MemGroup()
        more.create_dataset("link/new", data=[1])
        with pytest.raises(OSError, match="/link leads out of the store"):
            more.to_file(name, mode="a")
        assert sorted(path.name for path in outside.rglob("*")) == before
        assert leftovers(tmp_path, "x.zarr", "outside.zarr") == set()

    def test_replacing_a_store_leaves_what_they_lead_to(self, tree, tmp_path, zarr_format, outside):
        name = tmp_path / "x.zarr"
        tree.to_file(name, zarr_format=zarr_format)
        os.symlink(outside, name / "link")
        tree.to_file(name, zarr_format=zarr_format)
        assert MemGroup.from_file(outside)["secret"][:].tolist() == [0, 1, 2, 3, 4]
        assert not (name / "link").exists()


class TestBrokenData:
    @pytest.fixture(params=["plain", "gzip", "blosc"])
    def broken(self, request, tmp_path, zarr_format) -> Path:
        """A store of one array, of which the test breaks the first chunk."""
        packing = {"plain": (None, None), "gzip": ("gzip", 1), "blosc": ("bitshuffle", (0, "lz4"))}
        compression, options = packing[request.param]
        tree = MemGroup()
        tree.create_dataset(
            "x",
            data=np.arange(20_000.0),
            chunks=(5000,),
            compression=compression,
            compression_opts=options,
        )
        tree.to_file(tmp_path / "x.zarr", zarr_format=zarr_format)
        return tmp_path / "x.zarr"

    @pytest.mark.parametrize("how", ["cut", "shorter", "longer", "garbage", "empty"])
    def test_a_chunk_of_another_size(self, broken, zarr_format, how):
        chunk = chunk_file(broken / "x", zarr_format)
        content = chunk.read_bytes()
        if how in {"shorter", "longer"}:
            other = MemGroup()
            length = 2500 if how == "shorter" else 10_000
            found = MemGroup.from_file(broken)["x"]
            other.create_dataset(
                "x",
                data=np.arange(float(length)),
                chunks=(length,),
                compression=found.compression,
                compression_opts=found.compression_opts,
            )
            other.to_file(broken.parent / "y.zarr", zarr_format=zarr_format)
            content = chunk_file(broken.parent / "y.zarr" / "x", zarr_format).read_bytes()
        else:
            half = len(content) // 2
            content = {"cut": content[:half], "garbage": b"\x07" * 333, "empty": b""}[how]
        chunk.write_bytes(content)
        with pytest.raises(OSError, match="cannot read /x"):
            MemGroup.from_file(broken)

    def test_a_size_that_no_memory_holds(self, broken, zarr_format):
        path = metadata_file(broken / "x", zarr_format)
        text = json.loads(path.read_text())
        text["shape"] = [10**15]
        path.write_text(json.dumps(text))
        with pytest.raises((MemoryError, ValueError)):
            MemGroup.from_file(broken)

    def test_more_elements_than_a_chunk_has_bytes(self, tmp_path, zarr_format):
        tree = MemGroup()
        tree.create_dataset("x", data=np.array(["a", "bcd"], object), dtype=h5py.string_dtype())
        path = tmp_path / "x.zarr"
        tree.to_file(path, zarr_format=zarr_format)
        chunk = chunk_file(path / "x", zarr_format)
        told = (10**9).to_bytes(4, "little")
        chunk.write_bytes(told + numcodecs.VLenUTF8().encode(np.array(["a"], object))[4:])
        if zarr_format == 2:
            metadata = json.loads((path / "x" / ".zarray").read_text())
            (path / "x" / ".zarray").write_text(json.dumps({**metadata, "compressor": None}))
        with pytest.raises(OSError, match="declares 1000000000 elements"):
            MemGroup.from_file(path)

    @pytest.mark.parametrize("limit", [100, 30_000, 159_999])
    def test_max_bytes(self, broken, limit):
        with opened_source(str(broken)) as source:
            with pytest.raises(MemoryError, match=f"/x.*max_bytes={limit}"):
                source.plan(Options(max_bytes=limit))
            assert len(source.plan(Options(max_bytes=160_000)).nodes) == 2

    def test_a_broken_member_hides_no_others_from_lists(self, broken, zarr_format, capsys):
        metadata_file(broken / "x", zarr_format).write_text("{")
        open_plain(broken, "a").create_group("good")
        assert main(["ls", str(broken)]) == 0
        drawn = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in drawn] == ["good", "x"]
        assert "cannot be read" in drawn[1]

    def test_strict(self, broken):
        os.symlink("/etc", broken / "x" / "outside")
        with (
            opened_source(str(broken)) as source,
            pytest.raises(OSError, match="/x/outside leads out"),
        ):
            source.plan(Options(strict=True))

    @pytest.mark.parametrize(
        "tag",
        ["", "{", "[]", "1", '{"type": "O"}', '{"type": "<f4"}', '{"fields": []}', '"object"'],
    )
    def test_tags_that_do_not_fit(self, broken, tag):
        open_plain(broken, "r+")["x"].attrs["__memdata_dtype"] = tag
        with pytest.warns(UserWarning, match="/x: the tag"):
            assert dict(MemGroup.from_file(broken)) == {}

    def test_a_file_that_is_no_store(self, tmp_path):
        (tmp_path / "x.zarr").write_bytes(b"hello")
        with pytest.raises(OSError, match=r"x\.zarr"):
            MemGroup.from_file(tmp_path / "x.zarr")
        with pytest.raises(OSError, match=r"y\.zarr"):
            MemGroup.from_file(tmp_path / "y.zarr")


class TestReplacing:
    def test_a_folder_that_is_no_store_is_left_alone(self, tree, tmp_path, zarr_format):
        folder = tmp_path / "papers"
        folder.mkdir()
        (folder / "thesis.tex").write_text("five years")
        from memdata.fileformats import Zarr

        with pytest.raises(FileExistsError, match="papers"):
            tree.to_file(folder, file_format=Zarr, zarr_format=zarr_format)
        assert (folder / "thesis.tex").read_text() == "five years"
        assert leftovers(tmp_path, "papers") == set()

    def test_a_file_is_left_alone(self, tree, tmp_path):
        name = tmp_path / "x.zarr"
        name.write_text("text")
        with pytest.raises(NotADirectoryError, match=r"x\.zarr"):
            tree.to_file(name)
        assert name.read_text() == "text"

    @pytest.mark.parametrize("mode", ["w-", "x"])
    def test_exclusive_modes(self, tree, store, mode):
        tree.to_file(store[0], mode=mode, zarr_format=store[1])
        with pytest.raises(FileExistsError):
            tree.to_file(store[0], mode=mode, zarr_format=store[1])

    def test_what_is_missing(self, tree, store):
        with pytest.raises(FileNotFoundError, match="store"):
            tree.to_file(store[0], mode="r+")
        with pytest.raises(FileNotFoundError, match="nowhere"):
            tree.to_file(store[0].parent / "nowhere" / store[0].name)

    @pytest.mark.parametrize("mode", ["w", "a"])
    def test_a_save_that_fails_leaves_the_old_store(self, tree, store, monkeypatch, mode):
        name, zarr_format = store
        tree.to_file(name, zarr_format=zarr_format)

        def fail(*args: Any) -> None:
            raise OSError(28, "No space left on device")

        more = MemGroup()
        more.create_dataset("new", data=[1])
        monkeypatch.setattr(zarr_write.ZarrTarget, "write_block", fail)
        with pytest.raises(OSError, match=f"No space left.*{name.name}"):
            more.to_file(name, mode=mode)
        monkeypatch.undo()
        assert_same_tree(MemGroup.from_file(name), tree)
        assert leftovers(name.parent, name.name) == set()

    PROGRAM = textwrap.dedent(
        """
        import os, signal, sys
        import numpy as np
        from memdata import MemGroup
        from memdata.formats import zarr_write

        write_block, count = zarr_write.ZarrTarget.write_block, [0]
        def counting(*args):
            write_block(*args)
            count[0] += 1
            if count[0] == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        zarr_write.ZarrTarget.write_block = counting
        group = MemGroup()
        for name in "abc":
            group.create_dataset(name, data=np.arange(10))
        group.to_file(sys.argv[1])
        """
    )

    @pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
    def test_a_save_that_is_killed_leaves_the_old_store(self, tree, tmp_path, suffix):
        name = tmp_path / f"x{suffix}"
        tree.to_file(name)
        done = subprocess.run([sys.executable, "-c", self.PROGRAM, str(name)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert leftovers(tmp_path, name.name) == {f".{name.name}.memdata"}
        assert_same_tree(MemGroup.from_file(name), tree)
        tree.to_file(name)  # removes what the dead program left
        assert leftovers(tmp_path, name.name) == set()


class TestAtomicFolder:
    @pytest.fixture
    def target(self, tmp_path) -> Path:
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "old").write_text("old")
        return folder

    def write(self, target: Path, **options: Any) -> None:
        with AtomicFolder(target, **options) as folder:
            assert os.listdir(target) == ["old"]
            Path(folder.path, "new").write_text("new")

    @pytest.mark.parametrize("exchange", [True, False])
    def test_the_new_one_takes_its_place(self, target, monkeypatch, exchange):
        from memdata import atomic_folder

        if not exchange:
            monkeypatch.setattr(atomic_folder, "_renameat2", lambda: None)
        self.write(target)
        assert os.listdir(target) == ["new"]
        assert leftovers(target.parent, "folder") == set()

    def test_keep(self, target):
        self.write(target, keep=True)
        assert sorted(os.listdir(target)) == ["new", "old"]

    def test_an_exception_leaves_the_old_one(self, target):
        def interrupted() -> None:
            with AtomicFolder(target) as folder:
                Path(folder.path, "new").write_text("new")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert os.listdir(target) == ["old"]
        assert leftovers(target.parent, "folder") == set()

    def test_two_at_once(self, target):
        with AtomicFolder(target), pytest.raises(BlockingIOError, match="saving this now"):
            AtomicFolder(target).__enter__()
        assert leftovers(target.parent, "folder") == set()

    def test_what_is_being_replaced_is_not_taken_for_left_behind(self, target, monkeypatch):
        from memdata import atomic_folder

        seen = []

        def removing(path: str) -> None:
            with pytest.raises(BlockingIOError):
                AtomicFolder(target).__enter__()
            seen.append(path)
            remove(path)

        remove = atomic_folder.remove
        monkeypatch.setattr(atomic_folder, "remove", removing)
        self.write(target)
        assert len(seen) == 1
        assert os.listdir(target) == ["new"]
        assert leftovers(target.parent, "folder") == set()

    def test_the_old_content_goes_when_the_new_name_is_on_the_disk(self, target, monkeypatch):
        from memdata import atomic_folder

        done = []
        for name in ("sync_folder", "remove"):
            real = getattr(atomic_folder, name)

            def noting(path: str, name: str = name, real: Any = real) -> None:
                done.append((name, path))
                real(path)

            monkeypatch.setattr(atomic_folder, name, noting)
        self.write(target, durable=True)
        parent = str(target.parent)
        assert done[-2:] == [("sync_folder", parent), ("remove", f"{parent}/.folder.memdata")]

    def test_permissions_stay(self, target):
        os.chmod(target, 0o750)
        self.write(target)
        assert target.stat().st_mode & 0o777 == 0o750

    def test_of_a_link_the_target_is_replaced(self, target):
        link = target.parent / "link"
        link.symlink_to(target)
        with AtomicFolder(link) as folder:
            Path(folder.path, "new").write_text("new")
        assert link.is_symlink()
        assert os.listdir(target) == ["new"]

    def test_durable(self, target, monkeypatch):
        synced = []
        fsync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd)))
        self.write(target)
        assert synced == []
        target.joinpath("new").rename(target / "old")
        self.write(target, durable=True)
        assert len(synced) == 3  # the file, its folder, the folder of that


class TestWithoutExchange:
    """File systems that cannot exchange two folders in one step: two renames."""

    @pytest.fixture
    def between(self, tree, tmp_path, monkeypatch) -> Path:
        """A store whose replacement was killed between the two renames."""
        from memdata import atomic_folder

        monkeypatch.setattr(atomic_folder, "_renameat2", lambda: None)
        name = tmp_path / "x.zarr"
        tree.to_file(name)
        program = """
            import os, sys
            from memdata import MemGroup, atomic_folder

            def renaming(source, target, rename=os.rename):
                if target == sys.argv[1]:
                    os._exit(3)
                rename(source, target)

            os.rename = renaming
            atomic_folder._renameat2 = lambda: None
            MemGroup().to_file(sys.argv[1])
            """
        command = [sys.executable, "-c", textwrap.dedent(program), str(name)]
        assert subprocess.run(command, check=False).returncode == 3
        assert leftovers(tmp_path) == {".x.zarr.memdata", ".x.zarr.memdata-old"}
        return name

    def test_a_load_finds_the_old_tree(self, tree, between):
        assert_same_tree(MemGroup.from_file(between), tree)

    @pytest.mark.parametrize("mode", ["w", "a"])
    def test_the_next_save_puts_it_in_order(self, tree, between, mode):
        more = MemGroup()
        more.create_dataset("more", data=[1])
        more.to_file(between, mode=mode)
        assert leftovers(between.parent, "x.zarr") == set()
        assert set(MemGroup.from_file(between)) == {"more", *(tree if mode == "a" else ())}

    def test_a_save_that_runs_is_left_alone(self, between):
        held = os.open(between.parent / ".x.zarr.memdata-old", os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            with pytest.raises(BlockingIOError, match="saving this now"):
                MemGroup().to_file(between)
        finally:
            os.close(held)


@pytest.mark.skipif(MAJOR < 3, reason="zarr 2 has no shards")
def test_codecs_inside_of_shards_are_checked(tmp_path):
    group = open_plain(tmp_path / "x.zarr", "w", zarr_format=3)
    plain_array(group, "x", np.arange(8), (2,), shards=(4,))
    path = tmp_path / "x.zarr" / "x" / "zarr.json"
    text = json.loads(path.read_text())
    codecs = text["codecs"][0]["configuration"]["codecs"]
    codecs.append({"name": "numcodecs.pickle", "configuration": {}})
    path.write_text(json.dumps(text))
    with pytest.warns(UserWarning, match="/x.*pickle"):
        assert dict(MemGroup.from_file(tmp_path / "x.zarr")) == {}
