"""Run the examples of a page of Markdown, as a reader would: `python pages.py PAGE`, in a folder.

What a block is for is said by its language:

``python``
    A program; the blocks of a page are one. What stands after ``print(...)  #`` is
    what is printed.
``pycon``
    A session, as doctest knows them, in the same names.
``{code-block} python`` with ``:caption: NAME``
    A file of that name.
``console``
    Commands after ``$ ``, with what they print below; ``...`` stands for anything. Those of
    ``memdata`` alone run in this process, which takes a tenth of the time.

Other blocks are for reading. A block that imports an optional package is left out where that
is not installed, and so is a page called like one.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib.util
import io
import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^(`{3,})(\S[^\n]*)\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"^:(\w+): *(.*)\n", re.MULTILINE)
PROMISE = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """An example: where it begins, what it is for, and its text."""

    line: int
    kind: str
    text: str
    caption: str = ""


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that are run."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        kind, body = match[2].strip(), match[3]
        if kind in ("python", "pycon", "console"):
            yield Block(line, kind, body)
        elif kind == "{code-block} python":
            options = dict(OPTION.findall(body))
            if "caption" in options:
                yield Block(line, "file", OPTION.sub("", body).lstrip("\n"), options["caption"])


OPTIONAL = ("anndata", "dask", "matplotlib", "pandas", "xarray")


def can_run(block: Block, page: Path) -> bool:
    """Whether the optional packages that a block uses are installed."""
    needed = [name for name in OPTIONAL if f"import {name}" in block.text or name == page.stem]
    return all(importlib.util.find_spec(name) for name in needed)


def _check(wanted: str, got: str) -> None:
    if not doctest.OutputChecker().check_output(wanted, got, FLAGS):
        raise AssertionError(f"promised:\n{wanted}\nprinted:\n{got}")


def run_program(block: Block, page: Path, names: dict[str, object]) -> None:
    printed = io.StringIO()
    # Line numbers in tracebacks are those of the page.
    code = compile("\n" * block.line + block.text, str(page), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    promised = PROMISE.findall(block.text)
    if promised:
        _check("\n".join([*promised, ""]), printed.getvalue())


def run_session(block: Block, page: Path, names: dict[str, object]) -> None:
    parser = doctest.DocTestParser()
    test = parser.get_doctest(block.text, names, page.name, str(page), block.line)
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS, verbose=False)
    failed = runner.run(test, out=report.write, clear_globs=False).failed
    names.update(test.globs)
    if failed:
        raise AssertionError(report.getvalue())


def run_here(command: str) -> subprocess.CompletedProcess[str]:
    from memdata.cli import main as memdata

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = memdata(shlex.split(command)[1:])
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def run_commands(block: Block) -> None:
    folder = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": os.pathsep.join([folder, os.environ["PATH"]])}
    for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
        if command.startswith("memdata ") and not re.search(r"[|<>&;`$]", command):
            done = run_here(command)
        else:
            done = subprocess.run(
                command, shell=True, env=environment, capture_output=True, text=True, check=False
            )
        if done.returncode > 1 or (done.returncode and not wanted):  # 1 may be an answer
            raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stderr}")
        if wanted:
            _check(wanted, done.stdout + done.stderr)


def main() -> None:
    page = Path(sys.argv[1])
    program = sys.modules["__main__"] = types.ModuleType("__main__")
    names = vars(program)
    for block in blocks(page):
        if not can_run(block, page):
            continue
        try:
            if block.kind == "python":
                run_program(block, page, names)
            elif block.kind == "pycon":
                run_session(block, page, names)
            elif block.kind == "file":
                Path(block.caption).write_text(block.text, encoding="utf-8")
            else:
                run_commands(block)
        except AssertionError as error:
            sys.exit(f"{page.name}, line {block.line}: {error}")


if __name__ == "__main__":
    main()
