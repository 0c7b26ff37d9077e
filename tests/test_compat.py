"""memdata.compat: standing in for caput's modules, be caput installed, absent or imported already.

The "caput" here is a fake one, which the tests write into a folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
import textwrap
import threading
import types

import h5py
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup, compat, mpitools
from memdata.compat import finder, installing
from memdata.trust import _trusted

WHOLE = finder.WHOLE
ALONE = {
    **WHOLE,
    "caput.misc": "memdata.locking",
    "caput.mpiutil": "memdata.mpitools",
    "caput.util.mpitools": "memdata.mpitools",
}

FAKE = {
    "__init__.py": "version = 'fake'",
    "memdata/__init__.py": """
        from ._memh5 import MemDiskGroup, MemGroup
        from . import fileformats
        """,
    "memdata/_memh5.py": """
        class MemGroup: pass
        class MemDiskGroup: pass
        """,
    "memdata/fileformats.py": "class HDF5: pass",
    "memdata/more.py": "from ._memh5 import MemGroup",
    "memh5.py": "class MemGroup: pass",
    "fileformats.py": "class HDF5: pass",
    "mpiarray.py": "class MPIArray: pass",
    "containers.py": """
        from caput import memdata
        class Container(memdata.MemDiskGroup): pass
        """,
    "pipeline.py": """
        from .mpiarray import MPIArray
        from .util import mpitools
        """,
    "other.py": "from . import misc",
    "misc.py": """
        class lock_file: pass
        def listize(): return "theirs"
        """,
    "mpiutil.py": """
        size = "theirs"
        def split_local(): pass
        def mpirange(): return split_local
        """,
    "util/__init__.py": "",
    "util/mpitools.py": "def split_local(): return 'theirs'",
}


def of_caput():
    return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "caput"}


@pytest.fixture(autouse=True)
def _as_if_new():
    """No caput is imported before, and nothing is left installed after."""
    before, trusted = of_caput(), set(_trusted)
    for name in before:
        del sys.modules[name]
    yield
    compat.uninstall()
    for name in of_caput():
        del sys.modules[name]
    sys.modules.update(before)
    assert _trusted == trusted
    assert not any(isinstance(one, finder.Finder) for one in sys.meta_path)


def write(folder, files):
    for name, source in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """An installed caput."""
    write(tmp_path / "caput", FAKE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    return tmp_path / "caput"


@pytest.fixture(params=["absent", "installed", "imported before"])
def any_caput(request):
    """The three states a machine may be in, with memdata installed in place of it."""
    if request.param != "absent":
        request.getfixturevalue("fake")
    if request.param == "imported before":
        for name in ["caput.memdata", "caput.mpiarray", "caput.memh5", "caput.fileformats"]:
            importlib.import_module(name)
    compat.install()
    return request.param


@pytest.mark.parametrize("name", list(WHOLE))
class TestEachModule:
    def test_has_our_names(self, any_caput, name):
        ours = importlib.import_module(WHOLE[name])
        module = importlib.import_module(name)
        for public in ours.__all__:
            if public not in {"__version__", "fileformats"}:
                assert getattr(module, public) is getattr(ours, public)

    def test_is_itself(self, any_caput, name):
        module = importlib.import_module(name)
        assert module.__name__ == name
        assert module.__spec__.name == name
        assert sys.modules[name] is module
        assert module is not importlib.import_module(WHOLE[name])
        assert name in module.__doc__
        package, _, child = name.rpartition(".")
        assert getattr(importlib.import_module(package), child) is module
        assert module.__package__ == (name if hasattr(module, "__path__") else package)

    def test_is_found(self, any_caput, name):
        spec = importlib.util.find_spec(name)
        assert spec.name == name
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        assert made.__file__ == importlib.import_module(WHOLE[name]).__file__

    def test_can_be_reloaded(self, any_caput, name):
        module = importlib.import_module(name)
        public = module.__all__[0]
        found = getattr(module, public)
        setattr(module, public, None)
        assert importlib.reload(module) is module
        assert getattr(module, public) is found

    def test_exports_by_star(self, any_caput, name):
        scope = {}
        exec(f"from {name} import *", scope)
        module = importlib.import_module(name)
        assert {*module.__all__, "__builtins__"} == set(scope)
        assert set(module.__all__) <= set(dir(module))

    def test_an_unknown_name_is_an_attribute_error(self, any_caput, name):
        module = importlib.import_module(name)
        with pytest.raises(AttributeError, match=rf"{name}.*no_such_name"):
            _ = module.no_such_name
        with pytest.raises(ImportError, match="no_such_name"):
            exec(f"from {name} import no_such_name")


class TestImporting:
    def test_in_every_spelling(self, any_caput):
        import caput.memdata
        import caput.memdata as one
        import caput.memdata._memh5 as inner
        from caput import memdata as two
        from caput.memdata import MemGroup as Group
        from caput.memdata import fileformats

        assert caput.memdata is one is two
        assert inner is caput.memdata._memh5
        assert Group is MemGroup
        assert fileformats is caput.memdata.fileformats

    def test_submodules_come_with_the_package(self, any_caput):
        import caput.memdata

        assert caput.memdata._memh5.get_file is memdata.get_file
        assert caput.memdata._io.open_h5py_mpi is memdata._io.open_h5py_mpi
        assert caput.memdata.fileformats.HDF5 is memdata.fileformats.HDF5

    def test_private_names_of_mpiarray(self, any_caput):
        from caput import mpiarray

        assert mpiarray._world is memdata.mpiarray._world

    def test_names_made_when_they_are_needed(self, any_caput):
        from caput.memdata._memh5 import GroupLike, zarr_available

        assert isinstance(MemGroup(), GroupLike)
        assert isinstance(zarr_available, bool)

    def test_pickles_that_name_the_old_modules(self, any_caput):
        for module in ["caput.memdata", "caput.memdata._memh5", "caput.memh5"]:
            assert pickle.loads(f"c{module}\nMemGroup\n.".encode()) is MemGroup

    def test_a_file_that_names_a_class_of_caput(self, any_caput, tmp_path):
        for module in ["caput.memdata", "caput.memdata._memh5", "caput.memh5"]:
            with h5py.File(tmp_path / "x.h5", "w") as file:
                file.attrs["__memh5_subclass"] = f"{module}.MemDiskGroup"
            assert type(MemDiskGroup.from_file(tmp_path / "x.h5")) is MemDiskGroup

    def test_lock_file(self, any_caput):
        from caput.misc import lock_file

        assert lock_file is memdata.lock_file

    def test_mpiutil(self, any_caput):
        from caput import mpiutil

        assert mpiutil.split_local is mpitools.split_local


@pytest.mark.usefixtures("fake")
def test_files_of_plain_containers_are_ours_also_beside_caput(tmp_path):
    """Without `install`: both packages are in use, each with classes of its own."""
    import caput.memdata

    MemDiskGroup().save(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["__memh5_subclass"] == "caput.memdata.MemDiskGroup"
    assert type(MemDiskGroup.from_file(tmp_path / "x.h5")) is MemDiskGroup
    assert caput.memdata.MemDiskGroup is not MemDiskGroup


class TestWithoutCaput:
    def test_there_is_a_package(self):
        with compat.install():
            import caput

            assert list(caput.__path__) == []
            assert caput.__spec__.name == "caput"
            assert "memdata" in caput.__doc__
            assert importlib.reload(caput) is caput

    @pytest.mark.parametrize("name", list(ALONE))
    def test_it_has_these_modules(self, name):
        with compat.install():
            module = importlib.import_module(name)
            ours = importlib.import_module(ALONE[name])
            for public in module.__all__:
                if not isinstance(getattr(ours, public), types.ModuleType):
                    assert getattr(module, public) is getattr(ours, public)

    @pytest.mark.parametrize(
        "statement",
        ["import caput.pipeline", "from caput import pipeline", "import caput.memdata.other"],
    )
    def test_what_is_missing_is_said(self, statement):
        name = "caput.memdata.other" if "other" in statement else "caput.pipeline"
        with compat.install():
            with pytest.raises(ModuleNotFoundError, match=f"{name}.*caput is not installed") as it:
                exec(statement)
            assert it.value.name == "caput"  # as Python says it without us

    def test_mpi_is_not_started(self):
        from support import run_python

        run_python(
            """
            import sys, memdata.compat
            memdata.compat.install()
            import caput.memdata, caput.mpiarray, caput.memh5, caput.mpiutil, caput.misc
            import caput.util.mpitools
            heavy = {"h5py", "zarr", "mpi4py"} & set(sys.modules)
            assert not heavy, heavy
            assert caput.mpiutil.size >= 1
            """
        )


@pytest.mark.usefixtures("fake")
class TestWithCaput:
    def test_its_own_modules_run_on_ours(self):
        with compat.install():
            import caput
            from caput.containers import Container
            from caput.pipeline import MPIArray

            assert caput.version == "fake"
            assert issubclass(Container, MemDiskGroup)
            assert MPIArray is memdata.mpiarray.MPIArray

    def test_a_module_of_a_replaced_package_that_we_do_not_know(self):
        with compat.install():
            from caput.memdata import more

            assert more.MemGroup is MemGroup

    def test_of_some_modules_only_our_names_are_replaced(self):
        with compat.install():
            from caput import misc, mpiutil

            assert misc.lock_file is memdata.lock_file
            assert misc.listize() == "theirs"
            assert mpiutil.mpirange() is mpitools.split_local
            assert mpiutil.size == "theirs"
            assert importlib.reload(misc).lock_file is memdata.lock_file

    def test_its_util_stays(self):
        with compat.install():
            from caput.util import mpitools as theirs

            assert theirs.split_local() == "theirs"

    def test_tools_find_its_source(self):
        import inspect

        with compat.install():
            from caput import misc

            assert "listize" in inspect.getsource(misc)
            assert "theirs" in misc.__loader__.get_source("caput.misc")

    def test_what_it_lacks_is_pythons_own_error(self):
        with compat.install():
            with pytest.raises(ModuleNotFoundError, match=r"^No module named 'caput.nothing'$"):
                import caput.nothing  # noqa: F401
            assert importlib.util.find_spec("caput.nothing") is None


@pytest.mark.usefixtures("fake")
class TestImportedBefore:
    def keepers(self, *before):
        for name in before:
            importlib.import_module(name)
        with pytest.warns(UserWarning, match="keep the classes") as caught:
            compat.install()
        assert caught[0].filename == __file__
        return str(caught[0].message).partition("taken from there: ")[2].partition(". ")[0]

    def test_who_keeps_a_class_is_named(self):
        assert self.keepers("caput.pipeline") == "caput.pipeline"

    def test_a_class_derived_from_an_old_one_counts(self):
        import caput.containers

        del caput.containers.memdata
        assert self.keepers() == "caput.containers"

    def test_a_module_that_holds_the_module_counts(self):
        import caput.containers

        del caput.containers.Container
        assert self.keepers() == "caput.containers"

    def test_only_one_name_of_a_module_is_replaced(self):
        module = types.ModuleType("holder")
        import caput.misc

        module.lock = caput.misc.lock_file
        sys.modules["holder"] = module
        try:
            assert self.keepers("caput.other") == "holder"
        finally:
            del sys.modules["holder"]
        assert caput.misc.lock_file is memdata.lock_file

    def test_nobody_keeps_anything(self, recwarn):
        import caput.memdata

        old = caput.memdata
        del caput.memdata
        compat.install()
        assert not recwarn.list
        assert old.MemGroup is not MemGroup
        assert caput.memdata.MemGroup is MemGroup

    def test_strange_things_in_sys_modules_are_left_alone(self):
        class Touchy(types.ModuleType):
            def __getattribute__(self, name):
                raise AssertionError("was asked for " + name)

        import caput.mpiarray  # noqa: F401

        sys.modules["touchy"] = Touchy("touchy")
        sys.modules["none"], sys.modules["number"] = None, 5
        try:
            compat.install()
        finally:
            for name in ["touchy", "none", "number"]:
                del sys.modules[name]


class TestUninstalling:
    def state(self):
        modules = of_caput()
        names = {name: dict(vars(module)) for name, module in modules.items()}
        return modules, names, list(sys.meta_path), set(_trusted)

    @pytest.mark.parametrize("before", [[], ["caput"], ["caput.memh5", "caput.misc"], list(WHOLE)])
    def test_everything_is_as_before(self, fake, before):
        before = [name for name in before if name != "caput.memdata._io"]
        for name in before:
            importlib.import_module(name)
        was = self.state()
        compat.install()
        compat.uninstall()
        assert self.state() == was

    def test_what_was_imported_meanwhile_goes(self, fake):
        import caput

        was = self.state()
        with compat.install():
            for name in [*WHOLE, "caput.memdata.more"]:
                importlib.import_module(name)
            from caput import misc
        assert misc.lock_file is not memdata.lock_file
        assert set(of_caput()) == {"caput", "caput.misc"}
        del caput.misc, sys.modules["caput.misc"]
        assert self.state() == was
        from caput.memdata import MemGroup as Theirs

        assert Theirs is not MemGroup

    def test_without_caput_there_is_none_again(self):
        with compat.install():
            for name in ALONE:
                importlib.import_module(name)
        assert not of_caput()
        with pytest.raises(ModuleNotFoundError, match=r"^No module named 'caput'$"):
            import caput  # noqa: F401

    def test_names_that_were_changed_meanwhile_are_left(self, fake):
        import caput.misc

        with compat.install():
            caput.misc.lock_file = "mine"
        assert caput.misc.lock_file == "mine"

    def test_what_the_user_trusted_stays_trusted(self, monkeypatch):
        monkeypatch.setattr(installing, "TRUSTED", ("memdata", "os"))
        memdata.trust("memdata")
        try:
            with compat.install():
                assert {"memdata", "os"} <= _trusted
            assert "memdata" in _trusted
            assert "os" not in _trusted
        finally:
            _trusted.discard("memdata")

    def test_a_failure_leaves_nothing(self, fake, monkeypatch):
        import caput.memdata

        was = self.state()
        monkeypatch.setattr(finder.StandIn, "exec_module", lambda self, module: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compat.install()
        monkeypatch.undo()
        assert not compat.is_installed()
        assert self.state() == was
        assert caput.memdata.MemGroup is not MemGroup


class TestInstallingTwice:
    def test_changes_nothing(self):
        compat.install()
        was = list(sys.meta_path), of_caput()
        compat.install()
        assert (list(sys.meta_path), of_caput()) == was
        compat.uninstall()
        assert not compat.is_installed()
        compat.uninstall()

    def test_the_inner_block_does_not_end_the_outer(self):
        with compat.install():
            with compat.install():
                pass
            assert compat.is_installed()
        assert not compat.is_installed()

    def test_by_many_threads(self, fake):
        barrier = threading.Barrier(8)
        began, errors = [], []

        def work():
            try:
                barrier.wait()
                began.append(compat.install().began)
                for name in WHOLE:
                    importlib.import_module(name)
                from caput.memdata import MemGroup as Group

                assert Group is MemGroup
            except Exception as error:  # noqa: BLE001
                errors.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert began.count(True) == 1
        assert sum(isinstance(one, finder.Finder) for one in sys.meta_path) == 1


def test_trusts_who_writes_for_caput():
    with compat.install():
        assert {"caput", "draco", "ch_util", "ch_pipeline", "cora", "tlpipe"} <= _trusted
