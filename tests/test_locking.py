"""lock_file, and the atomic replacement that every save uses."""

# ruff: noqa: PT012 - what is tested is a block that writes and then raises

import errno
import os
import stat
import sys
import threading

import pytest

from memdata import lock_file
from memdata.locking import AtomicFile, durable_by_default
from support import FakeComm, run_python


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "data.h5"
    path.write_text("old")
    return path


def only(folder):
    return sorted(os.listdir(folder))


class TestLockFile:
    def test_gives_a_hidden_name_beside_the_target(self, target):
        with lock_file(target) as name:
            assert name == str(target.parent / ".data.h5")

    def test_names_are_properties(self, target):
        lock = lock_file(str(target))
        assert lock.tmpfile == str(target.parent / ".data.h5")
        assert lock.lockfile == str(target.parent / ".data.h5.lock")

    def test_a_name_without_a_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with lock_file("x") as name:
            assert name == ".x"
            (tmp_path / name).write_text("new")
        assert only(tmp_path) == ["x"]

    def test_the_lock_exists_while_the_block_runs(self, target):
        with lock_file(target):
            assert only(target.parent) == [".data.h5.lock", "data.h5"]
        assert only(target.parent) == ["data.h5"]

    def test_two_at_once(self, target):
        with (
            lock_file(target),
            pytest.raises(BlockingIOError, match=str(target)),
            lock_file(target),
        ):
            pass
        with lock_file(target):  # the first has ended
            pass

    @pytest.mark.parametrize("folder", [False, True])
    def test_what_a_dead_program_left_is_recognised(self, target, folder):
        run_python(
            f"""
            import os
            from memdata import lock_file
            name = lock_file({str(target)!r}).__enter__()
            if {folder}:
                os.mkdir(name)
            open(os.path.join(name, "half") if {folder} else name, "w").close()
            os._exit(0)
            """
        )
        assert only(target.parent) == [".data.h5", ".data.h5.lock", "data.h5"]
        with lock_file(target) as name:
            assert not os.path.lexists(name)
            with open(name, "w") as file:
                file.write("new")
        assert target.read_text() == "new"
        assert only(target.parent) == ["data.h5"]

    def test_success_renames(self, target):
        with lock_file(target) as name:
            with open(name, "w") as file:
                file.write("new")
            assert target.read_text() == "old"
        assert target.read_text() == "new"
        assert only(target.parent) == ["data.h5"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_exception_removes_the_temporary_file(self, target, error):
        with pytest.raises(error), lock_file(target) as name:
            with open(name, "w") as file:
                file.write("new")
            raise error
        assert target.read_text() == "old"
        assert only(target.parent) == ["data.h5"]

    def test_preserve_keeps_it(self, target):
        with pytest.raises(ValueError, match="mine"), lock_file(target, preserve=True) as name:
            with open(name, "w") as file:
                file.write("new")
            raise ValueError("mine")
        assert only(target.parent) == [".data.h5", "data.h5"]

    def test_the_blocks_own_exception_is_raised_when_nothing_was_written(self, target):
        with pytest.raises(ValueError, match="mine"), lock_file(target):
            raise ValueError("mine")
        assert only(target.parent) == ["data.h5"]

    def test_success_without_writing_changes_nothing(self, target):
        with lock_file(target):
            pass
        assert target.read_text() == "old"
        assert only(target.parent) == ["data.h5"]

    @pytest.mark.parametrize("old", [True, False])
    def test_a_folder(self, tmp_path, old):
        path = tmp_path / "store.zarr"
        if old:
            (path / "inner").mkdir(parents=True)
        with lock_file(path) as name:
            os.mkdir(name)
            with open(os.path.join(name, "new"), "w"):
                pass
        assert only(path) == ["new"]
        with pytest.raises(ValueError, match="mine"), lock_file(path) as name:
            os.mkdir(name)
            raise ValueError("mine")
        assert only(tmp_path) == ["store.zarr"]
        assert only(path) == ["new"]

    def test_only_rank_0_touches_files(self, target):
        with lock_file(target, comm=FakeComm(rank=1, size=2)) as name:
            assert only(target.parent) == ["data.h5"]
            with open(name, "w") as file:
                file.write("new")
        assert only(target.parent) == [".data.h5", "data.h5"]
        with lock_file(target, comm=FakeComm(rank=0, size=2)):
            assert ".data.h5.lock" in only(target.parent)
        assert target.read_text() == "new"

    @pytest.mark.parametrize("comm", [5, "world", object()], ids=str)
    def test_what_is_no_communicator(self, target, comm):
        with pytest.raises(ValueError, match="rank"):
            lock_file(target, comm=comm)


class TestAtomicFile:
    def write(self, path, text="new", **options):
        with AtomicFile(path, **options) as file:
            os.pwrite(file.fd, text.encode(), 0)

    def test_the_old_content_stands_until_the_end(self, target):
        with AtomicFile(target) as file:
            os.pwrite(file.fd, b"new", 0)
            assert target.read_text() == "old"
        assert target.read_text() == "new"
        assert only(target.parent) == ["data.h5"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, MemoryError])
    def test_an_exception_leaves_the_old_file_alone(self, target, error):
        with pytest.raises(error), AtomicFile(target) as file:
            os.pwrite(file.fd, b"new", 0)
            raise error
        assert target.read_text() == "old"
        assert only(target.parent) == ["data.h5"]

    @pytest.mark.parametrize("name", ["replace", "fsync"])
    def test_a_failing_end_leaves_the_old_file_alone(self, target, monkeypatch, name):
        def fail(*args):
            raise OSError(errno.EIO, "broken")

        monkeypatch.setattr(os, name, fail)
        with pytest.raises(OSError, match=r"data\.h5") as caught:
            self.write(target, durable=True)
        assert caught.value.errno == errno.EIO
        assert target.read_text() == "old"
        assert only(target.parent) == ["data.h5"]

    def test_keep_starts_with_a_copy(self, target):
        with AtomicFile(target, keep=True) as file:
            os.pwrite(file.fd, b"!", 3)
        assert target.read_text() == "old!"

    def test_keep_copies_large_files(self, target):
        content = os.urandom(3_000_000)
        target.write_bytes(content)
        self.write(target, "", keep=True)
        assert target.read_bytes() == content

    @pytest.mark.parametrize("code", [errno.EXDEV, errno.ENOSYS])
    def test_keep_works_where_the_system_cannot_copy(self, target, monkeypatch, code):
        def fail(*args):
            raise OSError(code, "not here")

        content = os.urandom(1_000_000)
        target.write_bytes(content)
        monkeypatch.setattr(os, "copy_file_range", fail)
        self.write(target, "", keep=True)
        assert target.read_bytes() == content

    def test_a_new_file_has_ordinary_permissions(self, tmp_path):
        old = os.umask(0o027)
        try:
            self.write(tmp_path / "x")
        finally:
            os.umask(old)
        assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640

    @pytest.mark.parametrize("mode", [0o600, 0o664, 0o640])
    def test_permissions_of_the_old_file_stay(self, target, mode):
        target.chmod(mode)
        self.write(target)
        assert stat.S_IMODE(target.stat().st_mode) == mode

    @pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
    def test_the_owner_of_the_old_file_stays(self, target):
        os.chown(target, 1234, 1235)
        self.write(target)
        assert (target.stat().st_uid, target.stat().st_gid) == (1234, 1235)

    @pytest.mark.parametrize("relative", [True, False])
    def test_of_a_link_the_target_is_replaced(self, tmp_path, target, relative):
        folder = tmp_path / "links"
        folder.mkdir()
        link = folder / "link"
        link.symlink_to("../data.h5" if relative else target)
        self.write(link)
        assert link.is_symlink()
        assert target.read_text() == "new"
        assert only(folder) == ["link"]

    def test_a_dangling_link_gets_its_target(self, tmp_path):
        (tmp_path / "link").symlink_to("there")
        self.write(tmp_path / "link")
        assert (tmp_path / "there").read_text() == "new"
        assert (tmp_path / "link").is_symlink()

    def test_exclusive(self, target, tmp_path):
        with pytest.raises(FileExistsError, match=r"data\.h5"):
            self.write(target, exclusive=True)
        self.write(tmp_path / "x", exclusive=True)
        assert (tmp_path / "x").read_text() == "new"

    def test_exclusive_when_the_name_comes_into_being_meanwhile(self, tmp_path):
        path = tmp_path / "x"
        with pytest.raises(FileExistsError), AtomicFile(path, exclusive=True):
            path.write_text("other")
        assert path.read_text() == "other"
        assert only(tmp_path) == ["x"]

    def test_two_at_once_is_an_error_for_the_second(self, target):
        with AtomicFile(target) as file:
            with pytest.raises(BlockingIOError, match=r"data\.h5"):
                self.write(target, "second")
            os.pwrite(file.fd, b"first", 0)
        assert target.read_text() == "first"
        self.write(target, "third")
        assert target.read_text() == "third"

    def test_many_threads_leave_one_whole_file(self, target):
        done = []

        def work(text):
            for _ in range(30):
                try:
                    self.write(target, text)
                    done.append(text)
                except BlockingIOError:
                    pass

        threads = [threading.Thread(target=work, args=(c * 1000,)) for c in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done
        assert target.read_text() in {c * 1000 for c in "abcd"}
        assert only(target.parent) == ["data.h5"]

    def test_what_a_dead_program_left_is_removed(self, tmp_path):
        path = tmp_path / "x.h5"
        run_python(
            f"""
            import os
            from memdata.locking import AtomicFile
            file = AtomicFile({str(path)!r}).__enter__()
            os.pwrite(file.fd, b"half", 0)
            os._exit(0)
            """
        )
        assert len(only(tmp_path)) == 1
        self.write(path)
        assert only(tmp_path) == ["x.h5"]
        assert path.read_text() == "new"

    def test_a_user_file_with_a_hidden_name_is_safe(self, tmp_path):
        (tmp_path / ".bashrc").write_text("mine")
        self.write(tmp_path / "bashrc")
        assert (tmp_path / ".bashrc").read_text() == "mine"

    def test_the_longest_name_there_can_be(self, tmp_path):
        path = tmp_path / ("x" * 255)
        self.write(path)
        assert only(tmp_path) == ["x" * 255]

    def test_durable_waits_for_file_and_folder(self, target, monkeypatch):
        synced = []
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd)), real(fd)))
        self.write(target)
        assert not synced
        self.write(target, durable=True)
        assert os.path.samestat(synced[0], target.stat())
        assert os.path.samestat(synced[1], target.parent.stat())

    @pytest.mark.parametrize(
        ("value", "wanted"), [("1", True), ("true", True), ("0", False), ("", False)]
    )
    def test_the_environment_can_ask_for_it(self, monkeypatch, value, wanted):
        monkeypatch.setenv("MEMDATA_DURABLE", value)
        assert durable_by_default() is wanted
        assert AtomicFile("x").durable is wanted
        assert AtomicFile("x", durable=False).durable is False

    def test_what_is_no_ordinary_file(self, tmp_path):
        with pytest.raises(IsADirectoryError):
            self.write(tmp_path)
        os.mkfifo(tmp_path / "pipe")
        for path in (tmp_path / "pipe", "/dev/null"):
            with pytest.raises(OSError, match="device"):
                self.write(path)
        with pytest.raises(FileNotFoundError, match="nowhere"):
            self.write(tmp_path / "nowhere" / "x")

    @pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
    def test_a_write_protected_file(self, target):
        target.chmod(0o400)
        with pytest.raises(PermissionError):
            self.write(target)


class Stop(Exception):
    """What a signal handler of the user raises."""


class Stopper:
    """Raises `Stop` before the n-th byte code of memdata.locking; a context manager."""

    def __init__(self, number):
        self.left = number

    def trace(self, frame, event, argument):
        if frame.f_globals.get("__name__") != "memdata.locking":
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise Stop
        return self.trace

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self.trace)
        return self

    def __exit__(self, *error):
        sys.settrace(self.before)


# A file object that never got a name says so while it closes itself.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("keep", [False, True])
def test_an_exception_at_any_byte_code_leaves_one_whole_file(tmp_path, keep):
    target = tmp_path / "x"
    with Stopper(0), AtomicFile(target):  # CPython 3.12 counts from the second time on
        pass
    for number in range(1, 5000):
        target.write_bytes(b"old")
        stopper = Stopper(number)
        file = AtomicFile(target, keep=keep)
        try:
            with stopper, file:
                os.ftruncate(file.fd, 0)
                os.write(file.fd, b"new")
        except Stop:
            file.discard()
        assert os.listdir(tmp_path) == ["x"]
        assert target.read_bytes() in {b"old", b"new"}
        if stopper.left > 0:
            break
    assert number > 100
    assert target.read_bytes() == b"new"
