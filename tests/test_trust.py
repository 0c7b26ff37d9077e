"""Opening a file runs nothing that the file chose; who is trusted, and who says so."""

from __future__ import annotations

import sys

import h5py
import pytest

import memdata
from memdata import MemDiskGroup, MemGroup
from support import run_python

CLASS = """
from memdata import MemDiskGroup

class Thing(MemDiskGroup):
    class Inner(MemDiskGroup):
        pass
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on `sys.path` to install things in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def trusting():
    """`memdata.trust`, undone at the end."""
    from memdata.trust import _trusted

    before = set(_trusted)
    yield memdata.trust
    _trusted.clear()
    _trusted.update(before)


def module(site, name, source=CLASS):
    path = site.joinpath(*name.split("."))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".py").write_text(source)
    for folder in path.relative_to(site).parents:
        if folder.name:
            (site / folder / "__init__.py").touch()


def distribution(site, name, entry_points):
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(entry_points)


def naming(name):
    """A group in memory that names a class, as a loaded file does."""
    group = MemGroup()
    group.attrs["__memh5_subclass"] = name
    return group


def resolved(name):
    return type(MemDiskGroup.from_group(naming(name)))


def refused(name):
    with pytest.warns(UserWarning, match=r"memdata\.trust"):
        return resolved(name) is MemDiskGroup


class TestAFileRunsNothing:
    NAMES = (
        "os.system",
        "subprocess.Popen",
        "antigravity.anything",
        "wsgiref.simple_server.WSGIServer",
        "never.installed.Class",
        "this.s",
        "__main__.Class",
        "memdata.__main__.Class",
        "builtins.exec",
        "memdata.no_such_module.Class",
        "a" * 5000 + ".b",
        ".".join("a" * 500),
    )

    @pytest.mark.parametrize("ondisk", [False, True])
    def test_whatever_it_names(self, tmp_path, ondisk):
        """Neither `sys.modules` nor Python's audit events show an import or a call."""
        for number, name in enumerate(self.NAMES):
            with h5py.File(tmp_path / f"{number}.h5", "w") as file:
                file.attrs["__memh5_subclass"] = name
        with h5py.File(tmp_path / "plain.h5", "w") as file:
            file["x"] = 1
        run_python(
            f"""
            import sys, warnings
            import memdata
            warnings.simplefilter("ignore")
            from memdata import MemDiskGroup
            folder = {str(tmp_path)!r}
            MemDiskGroup.from_file(folder + "/plain.h5", ondisk={ondisk}).close()
            try:  # reads the entry points of what is installed, which imports what that needs
                MemDiskGroup._resolve_subclass("never.heard.of")
            except RuntimeError:
                pass
            events = []
            def hook(event, args):
                if event in ("import", "exec", "compile", "os.system", "subprocess.Popen"):
                    events.append((event, args))
            before = set(sys.modules)
            sys.addaudithook(hook)
            for number in range({len(self.NAMES)}):
                try:
                    MemDiskGroup.from_file(f"{{folder}}/{{number}}.h5", ondisk={ondisk}).close()
                except RuntimeError as error:
                    assert "not a subclass" in str(error), error
            hook = lambda event, args: None
            imported = {{args[0] for event, args in events if event == "import"}}
            named = {{name.split(".")[0] for name in {self.NAMES!r}}} - {{"memdata", "os"}}
            assert not [name for name in imported if name.split(".")[0] in named], imported
            assert not [event for event in events if event[0] != "import"], events
            assert set(sys.modules) == before, set(sys.modules) - before
            """
        )

    def test_a_modules_own_attributes_are_looked_up_without_running_code(self, site):
        module(site, "lively", "def __getattr__(name):\n    raise SystemExit(name)\n")
        __import__("lively")
        assert refused("lively.Thing")

    def test_properties_of_a_class_are_not_run(self, site):
        source = """
class Meta(type):
    @property
    def Thing(cls):
        raise SystemExit
    def __getattr__(cls, name):
        raise SystemExit

class Outer(metaclass=Meta):
    pass
"""
        module(site, "lively", source)
        __import__("lively")
        assert refused("lively.Outer.Thing")

    def test_a_program_inside_a_trusted_package_is_not_started(self, site, trusting):
        module(site, "trusty.__main__", "raise SystemExit")
        trusting("trusty")
        assert refused("trusty.__main__.Thing")
        assert "trusty.__main__" not in sys.modules


class TestTrusted:
    def test_by_a_call(self, site, trusting):
        module(site, "trusty.inner")
        assert refused("trusty.inner.Thing")
        assert "trusty" not in sys.modules
        trusting("trusty")
        assert resolved("trusty.inner.Thing").__module__ == "trusty.inner"

    def test_one_module_of_a_package(self, site, trusting):
        module(site, "trusty.inner")
        module(site, "trusty.other")
        trusting("trusty.inner")
        assert refused("trusty.other.Thing")
        assert resolved("trusty.inner.Thing").__name__ == "Thing"

    def test_nested_classes(self, site, trusting):
        module(site, "trusty")
        trusting("trusty")
        assert resolved("trusty.Thing.Inner").__qualname__ == "Thing.Inner"

    def test_a_module_that_does_not_import_says_why(self, site, trusting):
        module(site, "trusty", "import something_that_is_missing")
        trusting("trusty")
        with pytest.warns(UserWarning, match="something_that_is_missing"):
            assert resolved("trusty.Thing") is MemDiskGroup

    def test_a_module_that_is_missing(self, site, trusting):
        trusting("trusty")
        assert refused("trusty.Thing")

    def test_by_the_environment(self, site, monkeypatch):
        module(site, "trusty")
        monkeypatch.setenv("MEMDATA_TRUSTED", "first, trusty ,")
        assert resolved("trusty.Thing").__module__ == "trusty"

    @pytest.mark.parametrize("value", ["", ",", " , ", "trust", "trusty_too", "trusty.inner"])
    def test_by_the_environment_only_what_it_names(self, site, monkeypatch, value):
        module(site, "trusty")
        monkeypatch.setenv("MEMDATA_TRUSTED", value)
        assert refused("trusty.Thing")


class TestInstalledDistributions:
    @pytest.mark.parametrize(
        "line",
        ["any name = trusty", "x=trusty.inner", "x = trusty.inner:Thing", "x = trusty [extra]"],
    )
    def test_speak_for_packages(self, site, line):
        module(site, "trusty.inner")
        distribution(site, "some", f"[memdata.containers]\n{line}\n")
        assert resolved("trusty.inner.Thing").__module__ == "trusty.inner"

    def test_several_in_one(self, site):
        module(site, "one")
        module(site, "two")
        distribution(site, "some", "[memdata.containers]\na = one\nb = two\n")
        assert resolved("one.Thing").__module__ == "one"
        assert resolved("two.Thing").__module__ == "two"

    def test_other_groups_say_nothing(self, site):
        module(site, "trusty")
        distribution(site, "some", "[console_scripts]\nx = trusty:main\n[memdata]\ny = trusty\n")
        assert refused("trusty.Thing")

    def test_what_is_written_wrongly_keeps_no_file_from_opening(self, site):
        module(site, "trusty")
        distribution(site, "bad", "[memdata.containers]\nx = !!! no module !!!\ny =\n")
        distribution(site, "good", "[memdata.containers]\nx = trusty\n")
        assert refused("untrusty.Thing")
        assert resolved("trusty.Thing").__module__ == "trusty"

    def test_one_installed_later_is_seen(self, site):
        """As in a notebook: `pip install` in a process that has looked before."""
        module(site, "trusty")
        assert refused("trusty.Thing")
        distribution(site, "some", "[memdata.containers]\nx = trusty\n")
        assert resolved("trusty.Thing").__module__ == "trusty"

    def test_they_are_read_once(self, site, monkeypatch):
        import importlib.metadata

        assert refused("trusty.Thing")
        calls = []
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **kw: calls.append(kw) or [])
        for _ in range(3):
            assert refused("trusty.Thing")
        assert len(calls) <= 1  # 1: a folder on the path has changed meanwhile

    def test_they_are_not_read_for_a_class_that_is_imported(self):
        out = run_python(
            """
            import sys
            import memdata
            class Own(memdata.MemDiskGroup): pass
            group = memdata.MemGroup()
            group.attrs["__memh5_subclass"] = "__main__.Own"
            assert type(memdata.MemDiskGroup.from_group(group)) is Own
            print("importlib.metadata" in sys.modules)
            """
        )
        assert out.strip() == "False"


@pytest.mark.parametrize(
    "name",
    ["caput.memdata.MemDiskGroup", "caput.memdata._memh5.MemDiskGroup", "caput.memh5.MemDiskGroup"],
)
def test_plain_containers_of_older_files_are_plain_containers(name):
    assert resolved(name) is MemDiskGroup


@pytest.mark.parametrize("bad", ["a b", "a.", ".a", "a..b", "a/b", "1a", "a:b"])
def test_what_is_no_name_of_a_package(bad):
    with pytest.raises(ValueError, match="package"):
        memdata.trust(bad)
