"""Running programs and test suites with memdata in place of caput, from the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import zipfile

import pytest

from memdata.compat.__main__ import main

CHECK = """
from caput import memdata
from caput.memdata import MemGroup
assert MemGroup.__module__.startswith("memdata"), MemGroup
"""


def python(*arguments, cwd, code=0, env=None):
    """Run Python; what it printed, and its complaints."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout, done.stderr


TELL = """
import json, sys, __main__
print(json.dumps([
    __name__, __file__, sys.argv, sys.path[0], __main__.TELLS, __package__, __spec__ is None,
    sys.modules[__name__].__dict__ is globals(),
]))
"""


def write(path, source):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("TELLS = 'marked'\n" + textwrap.dedent(source))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "there" / "tell.py", TELL)
    write(tmp_path / "there" / "pack" / "__main__.py", TELL)
    write(tmp_path / "there" / "folder" / "__main__.py", TELL)
    with zipfile.ZipFile(tmp_path / "there" / "zipped.pyz", "w") as file:
        file.write(tmp_path / "there" / "tell.py", "__main__.py")
    (tmp_path / "link.py").symlink_to(tmp_path / "there" / "tell.py")
    return tmp_path


@pytest.mark.parametrize(
    ("cwd", "call"),
    [
        (".", ["there/tell.py", "-x", "--help"]),
        (".", ["link.py", "1"]),
        (".", ["there/folder", "a b"]),
        (".", ["there/zipped.pyz"]),
        ("there", ["-m", "tell", "-m", "1"]),
        ("there", ["-m", "pack"]),
    ],
)
def test_a_program_sees_what_it_sees_with_python(folder, cwd, call):
    """Python itself is the oracle."""
    expected, _ = python(*call, cwd=folder / cwd)
    found, complaints = python("-m", "memdata.compat", *call, cwd=folder / cwd)
    assert found == expected
    assert not complaints


def test_code_from_the_command_line(tmp_path):
    code = CHECK + "import sys; print(sys.argv, repr(sys.path[0]), __name__)"
    found, _ = python("-m", "memdata.compat", "-c", code, "-x", cwd=tmp_path)
    assert found == "['-c', '-x'] '' __main__\n"


@pytest.mark.parametrize(
    ("ending", "code"),
    [("", 0), ("sys.exit(7)", 7), ("sys.exit('bye')", 1), ("1 / 0", 1)],
)
def test_exit_codes_and_complaints_are_pythons(tmp_path, ending, code):
    write(tmp_path / "ends.py", f"import sys\ndef end():\n    {ending or 'pass'}\nend()")
    _, expected = python("ends.py", cwd=tmp_path, code=code)
    _, found = python("-m", "memdata.compat", "ends.py", cwd=tmp_path, code=code)
    assert found == expected


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_it_as_it_ends_python(tmp_path):
    write(tmp_path / "ends.py", "raise KeyboardInterrupt")
    _, expected = python("ends.py", cwd=tmp_path, code=-2)
    _, found = python("-m", "memdata.compat", "ends.py", cwd=tmp_path, code=-2)
    assert found == expected


def test_a_syntax_error_is_shown_as_python_shows_it(tmp_path):
    write(tmp_path / "ends.py", "x = = 1")
    _, expected = python("ends.py", cwd=tmp_path, code=1)
    _, found = python("-m", "memdata.compat", "ends.py", cwd=tmp_path, code=1)
    assert found == expected


def test_classes_of_the_script_can_be_pickled_until_the_end(tmp_path):
    write(
        tmp_path / "script.py",
        CHECK
        + """
import atexit, pickle
class Container(memdata.MemDiskGroup):
    pass
@atexit.register
def last():
    print(type(pickle.loads(pickle.dumps(Container()))).__name__)
""",
    )
    found, _ = python("-m", "memdata.compat", "script.py", cwd=tmp_path)
    assert found == "Container\n"


@pytest.mark.parametrize("call", [[], ["-x"], ["-m"], ["-c"]])
def test_a_wrong_call_says_how(call, capsys):
    assert main(call) == 2
    assert "usage: python -m memdata.compat" in capsys.readouterr().err


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "usage: python -m memdata.compat" in capsys.readouterr().out


def test_a_script_that_is_not_there(capsys, tmp_path):
    assert main([str(tmp_path / "none.py")]) == 2
    assert "none.py" in capsys.readouterr().err


def test_a_test_suite_runs_on_memdata(tmp_path):
    """The plugin comes before conftest.py, and the fake caput that is there is not touched."""
    caput = tmp_path / "caput"
    write(caput / "__init__.py", "")
    write(caput / "memdata.py", "raise AssertionError('the old module was imported')")
    write(caput / "containers.py", "from caput import memdata")
    write(tmp_path / "conftest.py", CHECK)
    write(
        tmp_path / "test_it.py",
        CHECK + "import caput.containers\ndef test(): assert caput.containers.memdata is memdata",
    )
    call = ["-m", "pytest", "-p", "no:cacheprovider", "-p", "memdata.compat.pytest_plugin"]
    found, _ = python(*call, cwd=tmp_path, env={"PYTHONPATH": os.pathsep.join(sys.path)})
    assert "stands in for caput.memdata" in found
    assert "1 passed" in found


def test_the_plugin_leaves_a_process_as_it_was(tmp_path):
    write(tmp_path / "test_it.py", CHECK + "def test(): pass")
    code = """
        import sys, pytest, memdata.compat
        for _ in range(2):
            assert pytest.main(["-q", "-p", "memdata.compat.pytest_plugin", "test_it.py"]) == 0
            assert not memdata.compat.is_installed()
            assert "caput" not in sys.modules
            del sys.modules["test_it"]
        with memdata.compat.install():
            assert pytest.main(["-q", "-p", "memdata.compat.pytest_plugin", "test_it.py"]) == 0
            assert memdata.compat.is_installed()
        """
    python("-c", textwrap.dedent(code), cwd=tmp_path)
