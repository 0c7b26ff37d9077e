"""The examples in docs/ run as written, links between pages lead somewhere, no page is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import memdata
import pages
from memdata import comparing, compat, fileformats, mpiarray, mpitools, testing
from memdata.testing import strategies

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs"
DOCS = sorted(page for page in FOLDER.rglob("*.md") if "_build" not in page.parts)
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FENCE = re.compile(r"^(`{3,}|:{3,}).*?^\1$", re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in DOCS if any(pages.blocks(page))], ids=name_of)
def test_examples_run(page, tmp_path):
    """All blocks of a page, one after the other, in an empty folder."""
    commands = "".join(block.text for block in pages.blocks(page) if block.kind == "console")
    if "mpiexec" in commands:
        pytest.importorskip("mpi4py")
        if not shutil.which("mpiexec", path=os.path.dirname(sys.executable)):
            pytest.skip("no mpiexec here")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", pages.__file__, str(page)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *DOCS], ids=name_of)
def test_links_to_files_lead_somewhere(page):
    text = FENCE.sub("", page.read_text())
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text):
        assert (page.parent / target).exists(), target


def entries(page: Path) -> set[Path]:
    """The pages that a page's tables of contents name."""
    found = set()
    for block in TOCTREE.findall(page.read_text()):
        for line in block.splitlines():
            entry = re.sub(r"^.*<(.*)>$", r"\1", line.strip())
            if entry and not entry.startswith(":"):
                found.add((page.parent / f"{entry}.md").resolve())
    return found


def test_every_page_is_in_a_table_of_contents():
    """A page that is in none cannot be found; docs/explanation.md is the place for most."""
    named = set().union(*map(entries, DOCS))
    assert set(DOCS) - named == {FOLDER / "index.md"}
    assert named <= set(DOCS)


PRIVATE = {"BACKENDS", "H5FILTER", "H5_COMPRESS_LZ4", "SelectionLike", "SelectionTupleLike"}
WORLD = {"world", "rank", "size", "rank0"}


@pytest.mark.parametrize(
    "module",
    [memdata, comparing, compat, fileformats, mpiarray, mpitools, testing, strategies],
    ids=lambda module: module.__name__,
)
def test_the_reference_has_every_public_name(module):
    reference = " ".join(page.read_text() for page in (FOLDER / "reference").glob("*.md"))
    public = {name for name in module.__all__ if not name.startswith("_")} - PRIVATE - WORLD
    listed = set(re.findall(r"^   (?:\w+\.)?(\w+)$", reference, re.MULTILINE))
    assert public - listed == {"fileformats", "mpiarray"} & public


def test_each_change_says_its_kind():
    """Files that towncrier would not find, or not know, are a mistake in their name."""
    for page in (ROOT / "changes").iterdir():
        assert page.name == "README.md" or re.fullmatch(
            r"\+[\w-]+\.(added|changed|fixed|removed)\.md", page.name
        ), page.name
