"""Part 9 and 12: the class that a file names, and what a file must never do."""

from __future__ import annotations

import sys
import textwrap

import h5py
import numpy as np
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup
from support import run_python


class Base(MemDiskGroup):
    pass


class Derived(Base):
    finished = False

    def _finish_setup(self):
        self.finished = True


class Unrelated:
    pass


def path_of(cls):
    return f"{cls.__module__}.{cls.__qualname__}"


@pytest.fixture
def naming(tmp_path):
    """A function that makes a file naming a class."""

    def make(name):
        path = tmp_path / "names_a_class.h5"
        with h5py.File(path, "w") as file:
            file["x"] = np.arange(3)
            if name is not None:
                file.attrs["__memh5_subclass"] = name
        return path

    return make


class TestDetection:
    @pytest.mark.parametrize("ondisk", [False, True])
    def test_the_file_names_the_class_to_return(self, naming, ondisk):
        with MemDiskGroup.from_file(naming(path_of(Derived)), ondisk=ondisk) as container:
            assert type(container) is Derived
            assert container.finished
            assert list(container["x"][:]) == [0, 1, 2]

    def test_without_a_name_it_is_the_class_asked(self, naming):
        assert type(Base.from_file(naming(None))) is Base

    def test_the_name_may_be_bytes(self, naming):
        path = naming(np.bytes_(path_of(Derived)))
        assert type(MemDiskGroup.from_file(path)) is Derived

    def test_can_be_switched_off(self, naming):
        path = naming(path_of(Derived))
        assert type(Base.from_file(path, detect_subclass=False)) is Base
        assert type(Base.from_file(naming("no.such.Thing"), detect_subclass=False)) is Base

    def test_of_a_group_in_memory(self):
        group = MemGroup()
        group.attrs["__memh5_subclass"] = path_of(Derived)
        assert type(MemDiskGroup.from_group(group)) is Derived
        assert type(MemDiskGroup.from_group(group, detect_subclass=False)) is MemDiskGroup

    def test_of_an_open_file(self, naming):
        with h5py.File(naming(path_of(Derived)), "r") as file:
            assert type(MemDiskGroup.from_group(file)) is Derived
            assert type(MemDiskGroup.from_file(file)) is Derived

    def test_what_is_saved_comes_back_as_its_class(self, tmp_path):
        container = Derived()
        container.create_dataset("x", data=[1])
        container.save(tmp_path / "x.h5")
        assert type(MemDiskGroup.from_file(tmp_path / "x.h5")) is Derived
        assert type(Base.from_file(tmp_path / "x.h5")) is Derived

    @pytest.mark.parametrize(
        "name", [path_of(Unrelated), "os.path.join", "collections.OrderedDict", "os.system"]
    )
    def test_one_that_is_no_mem_disk_group_is_a_runtime_error(self, naming, name):
        with pytest.raises(RuntimeError, match=name.replace(".", r"\.")):
            MemDiskGroup.from_file(naming(name))

    @pytest.mark.parametrize(
        "name",
        [
            f"{__name__}.NoSuchClass",
            "no_such_package.module.Class",
            "NoModule",
            "",
            "..",
            "a..b",
            "nul\\x00.Class",
            "ünï.Class",
        ],
    )
    def test_an_unknown_one_warns_and_gives_the_class_asked(self, naming, name):
        with pytest.warns(UserWarning, match="class"):
            container = Base.from_file(naming(name))
        assert type(container) is Base
        assert list(container["x"][:]) == [0, 1, 2]


class TestHelpers:
    def test_detect_subclass_path(self, naming):
        with h5py.File(naming("a.b.C"), "r") as file:
            assert MemDiskGroup._detect_subclass_path(file) == "a.b.C"
        with h5py.File(naming(None), "r") as file:
            assert MemDiskGroup._detect_subclass_path(file) is None
        group = MemGroup()
        assert MemDiskGroup._detect_subclass_path(group) is None
        group.attrs["__memh5_subclass"] = "a.b.C"
        assert MemDiskGroup._detect_subclass_path(group) == "a.b.C"

    def test_resolve_subclass(self):
        assert MemDiskGroup._resolve_subclass(path_of(Derived)) is Derived
        assert Base._resolve_subclass(path_of(Derived)) is Derived

    def test_resolve_subclass_of_none_is_the_class_itself(self):
        assert MemDiskGroup._resolve_subclass(None) is MemDiskGroup
        assert Derived._resolve_subclass(None) is Derived

    def test_resolve_subclass_of_no_container_is_a_runtime_error(self):
        with pytest.raises(RuntimeError, match="Unrelated"):
            MemDiskGroup._resolve_subclass(path_of(Unrelated))


class TestTrust:
    @pytest.fixture
    def package(self, tmp_path, monkeypatch):
        """A package with a container class, that tells when it is imported."""
        folder = tmp_path / "strange_package"
        (folder / "inner").mkdir(parents=True)
        source = textwrap.dedent(
            f"""
            import pathlib
            from memdata import MemDiskGroup
            pathlib.Path({str(tmp_path / "imported")!r}).touch()

            class Thing(MemDiskGroup):
                pass
            """
        )
        (folder / "__init__.py").write_text("")
        (folder / "inner" / "__init__.py").write_text(source)
        (tmp_path / "strange_package_two.py").write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        yield tmp_path
        for name in [name for name in sys.modules if name.startswith("strange_package")]:
            del sys.modules[name]

    NAME = "strange_package.inner.Thing"

    def test_a_file_never_imports_what_is_not_trusted(self, naming, package):
        with pytest.warns(UserWarning, match="strange_package"):
            container = MemDiskGroup.from_file(naming(self.NAME))
        assert type(container) is MemDiskGroup
        assert not (package / "imported").exists()
        assert not any(name.startswith("strange_package") for name in sys.modules)

    def test_the_warning_says_how_to_trust(self, naming, package):
        with pytest.warns(UserWarning, match="memdata.trust"):
            MemDiskGroup.from_file(naming(self.NAME))

    def test_a_class_already_imported_is_found(self, naming, package):
        __import__("strange_package.inner")
        assert type(MemDiskGroup.from_file(naming(self.NAME))).__name__ == "Thing"

    def test_a_parent_package_already_imported_imports_no_submodule(self, naming, package):
        __import__("strange_package")
        with pytest.warns(UserWarning, match="strange_package"):
            MemDiskGroup.from_file(naming(self.NAME))
        assert not (package / "imported").exists()

    def test_a_package_trusted_by_a_call(self, naming, package):
        code = f"""
            import sys
            sys.path.insert(0, {str(package)!r})
            import memdata
            memdata.trust("strange_package")
            assert "strange_package" not in sys.modules
            container = memdata.MemDiskGroup.from_file({str(naming(self.NAME))!r})
            assert type(container).__name__ == "Thing", type(container)
            """
        run_python(code)
        assert (package / "imported").exists()

    def test_a_package_trusted_by_the_environment(self, naming, package):
        code = f"""
            import sys
            sys.path.insert(0, {str(package)!r})
            import memdata
            container = memdata.MemDiskGroup.from_file({str(naming(self.NAME))!r})
            assert type(container).__name__ == "Thing", type(container)
            """
        run_python(code, env={"MEMDATA_TRUSTED": "strange_package"})

    def test_a_package_that_an_installed_distribution_trusts(self, naming, package):
        metadata = package / "strange-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(
            "[memdata.containers]\nstrange = strange_package\n"
        )
        code = f"""
            import sys
            sys.path.insert(0, {str(package)!r})
            import memdata
            container = memdata.MemDiskGroup.from_file({str(naming(self.NAME))!r})
            assert type(container).__name__ == "Thing", type(container)
            """
        run_python(code)

    def test_trust_is_for_the_package_and_not_for_names_that_begin_alike(self, naming, package):
        code = f"""
            import sys, warnings
            warnings.simplefilter("ignore")
            sys.path.insert(0, {str(package)!r})
            import memdata
            memdata.trust("strange_package")
            container = memdata.MemDiskGroup.from_file(
                {str(naming("strange_package_two.Thing"))!r})
            assert type(container) is memdata.MemDiskGroup
            """
        run_python(code)
        assert not (package / "imported").exists()

    @pytest.mark.parametrize("bad", [5, None, ""])
    def test_what_is_no_package_name_cannot_be_trusted(self, bad):
        with pytest.raises((TypeError, ValueError)):
            memdata.trust(bad)
