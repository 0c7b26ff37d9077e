"""The examples in docs/ run as written, and links between pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support import run_python

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize(
    "page", [page for page in DOCS if FENCE.search(page.read_text())], ids=lambda page: page.name
)
def test_python_blocks_run(page, tmp_path):
    """All blocks of a page, one after the other, in an empty folder."""
    run_python("\n".join(FENCE.findall(page.read_text())), cwd=tmp_path)


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *DOCS], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
