"""A pytest plugin that runs a test suite of `caput.memdata` on memdata.

It installs memdata's stand-ins as soon as pytest knows it, before any ``conftest.py``::

    pytest -p memdata.compat.pytest_plugin

The workers of pytest-xdist install them too. (PYTEST_DONT_REWRITE: there is no assert in here.)
"""

from __future__ import annotations

from typing import Any

from memdata._version import __version__
from memdata.compat import install, uninstall

_began = False


def pytest_addoption(parser: Any) -> None:
    """Install: of pytest's hooks this one is called first, when a plugin becomes known."""
    del parser
    global _began  # noqa: PLW0603 - pytest's plugins are modules
    with_end = install()
    _began = _began or with_end.began


def pytest_report_header() -> str:
    """Say in the report what the tests ran on."""
    return f"memdata {__version__} stands in for caput.memdata"


def pytest_unconfigure() -> None:
    """Undo it, for programs that go on after pytest has ended."""
    global _began  # noqa: PLW0603
    if _began:
        _began = False
        uninstall()
