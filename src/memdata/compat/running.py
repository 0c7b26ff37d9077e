"""Running a program as ``python`` would, inside a process that is running already."""

from __future__ import annotations

import builtins
import io
import os
import runpy
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from types import ModuleType, TracebackType
from typing import Any

__all__ = ["check_script", "run_code", "run_module", "run_script"]


def check_script(script: str) -> None:
    """Check that there is a script to run.

    Raises
    ------
    OSError
        It cannot be read.
    """
    if not os.path.isdir(script):
        with open(script, "rb"):
            pass


def run_script(script: str, arguments: list[str]) -> None:
    """Run a script, or a folder or zip file with a ``__main__``, as ``python SCRIPT ...`` would.

    Parameters
    ----------
    script : str
        Its path.
    arguments : list of str
        What stands after it in `sys.argv`.

    Raises
    ------
    BaseException
        What the script raises, `SystemExit` too; without our frames where Python prints it.
    """
    if os.path.isdir(script) or _is_archive(script):
        _prepare([script, *arguments], os.path.abspath(script), always=True)
        _run_main_of("__main__", False)
        return
    with io.open_code(os.path.abspath(script)) as file:
        source = file.read()
    folder = os.path.dirname(os.path.realpath(script))
    _prepare([script, *arguments], folder)
    main = _new_main()
    main.__file__ = os.path.abspath(script)
    main.__loader__ = SourceFileLoader("__main__", script)
    vars(main)["__cached__"] = None
    _execute(source, main.__file__, main)


def run_module(module: str, arguments: list[str]) -> None:
    """Run a module as ``python -m MODULE ...`` would; see `run_script`."""
    _prepare([module, *arguments], os.getcwd())
    _run_main_of(module, True)


def run_code(code: str, arguments: list[str]) -> None:
    """Run code as ``python -c CODE ...`` would; see `run_script`."""
    _prepare(["-c", *arguments], "")
    _execute(code, "<string>", _new_main())


def _is_archive(path: str) -> bool:
    import zipfile

    return zipfile.is_zipfile(path)


def _prepare(argv: list[str], folder: str, always: bool = False) -> None:
    """Set what programs look at: `sys.argv`, the first folder that modules come from."""
    sys.argv[:] = argv
    if not sys.flags.safe_path:
        sys.path[0] = folder
    elif always:
        sys.path.insert(0, folder)
    sys.excepthook = _Excepthook(sys.excepthook)


def _new_main() -> ModuleType:
    """A ``__main__`` of its own, which stays until the interpreter ends."""
    main = ModuleType("__main__")
    vars(main)["__builtins__"] = builtins
    sys.modules["__main__"] = main
    return main


def _run_main_of(module: str, name_it: bool) -> None:
    """What the interpreter itself calls for ``python -m`` and for folders."""
    _new_main()
    runpy._run_module_as_main(module, name_it)  # type: ignore[attr-defined]


def _execute(source: str | bytes, filename: str, main: ModuleType) -> None:
    code = compile(source, filename, "exec", dont_inherit=True)
    exec(code, vars(main))


class _Excepthook:
    """Leaves our frames out of a traceback, then does what was done before."""

    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        first = next((one for one in _each(traceback) if not _is_ours(one)), None)
        error.__traceback__ = first
        self._before(kind, error, first)


def _each(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_ours(traceback: TracebackType) -> bool:
    name = traceback.tb_frame.f_code.co_filename
    return name == "<frozen runpy>" or os.path.dirname(name) == os.path.dirname(__file__)
