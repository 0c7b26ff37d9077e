"""Which classes a file may name.

A file says in the attribute ``__memh5_subclass`` which container class it was saved from. Opening
a file must not run code that the file chose: such a name is looked up among the modules that are
imported already; a module is imported for it only from a package that somebody trusts.
"""

from __future__ import annotations

import importlib
import os
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

__all__ = ["PLAIN", "find_class", "trust"]

_trusted: set[str] = set()

#: What files of plain containers say. It is an older name, which all programs know that read them;
#: for us there is no module to import.
PLAIN = "caput.memdata.MemDiskGroup"

# The same in files of other releases.
_PLAIN = {PLAIN, "caput.memdata._memh5.MemDiskGroup", "caput.memh5.MemDiskGroup"}


def trust(package: str) -> None:
    """Let files name container classes of a package, which are then imported when needed.

    The environment variable ``MEMDATA_TRUSTED`` (names with commas between) does the same. An
    installed distribution speaks for its own packages with an entry point in the group
    ``memdata.containers``, whose value is the package.

    Parameters
    ----------
    package : str
        Name of the package or module; all modules in it are trusted too.

    Raises
    ------
    ValueError
        Not the name of a package.

    Examples
    --------
    >>> import memdata
    >>> memdata.trust("mytelescope")
    """
    if not all(part.isidentifier() for part in str(package).split(".")) or package is None:
        raise ValueError(f"expected the name of a package, got {package!r}")
    _trusted.add(package)


def _installed() -> frozenset[str]:
    """The packages that installed distributions trust, as they are now."""
    return _installed_in(tuple((folder, _changed(folder)) for folder in sys.path))


def _changed(folder: str) -> int:
    """When something was installed there or removed; 0 where it cannot be known."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except (OSError, TypeError, ValueError):
        return 0


@lru_cache(maxsize=8)
def _installed_in(path: tuple[tuple[str, int], ...]) -> frozenset[str]:
    """Read all entry points once for each state of `sys.path`: that takes milliseconds."""
    from importlib.metadata import entry_points

    del path
    found = set()
    for point in entry_points(group="memdata.containers"):
        # What another distribution wrote wrongly must not keep files from opening.
        module = point.value.partition("[")[0].partition(":")[0].strip()
        if all(part.isidentifier() for part in module.split(".")):
            found.add(module)
    return frozenset(found)


def _is_trusted(module: str) -> bool:
    parts = module.split(".")
    if "__main__" in parts:
        return False  # to import one is to run a program
    names = {".".join(parts[: n + 1]) for n in range(len(parts))}
    environment = os.environ.get("MEMDATA_TRUSTED", "").split(",")
    return (
        not names.isdisjoint(_trusted)
        or not names.isdisjoint(name.strip() for name in environment)
        or not names.isdisjoint(_installed())
    )


def _module(name: str) -> ModuleType | None:
    """The module if it is imported, or may be; None where there is none."""
    module = sys.modules.get(name)
    if module is None and _is_trusted(name):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = error.name or ""
            if name != missing and not name.startswith(f"{missing}."):
                raise  # it is there, but not all that it needs
    return module


def find_class(path: str) -> Any:
    """What "package.module.Class" names, among what may be looked at; None where nothing is.

    Only what the module's own dictionary holds counts: a module's ``__getattr__`` could import.

    Raises
    ------
    ImportError
        A trusted module could not be imported.
    """
    if path in _PLAIN:
        from memdata.diskgroup import MemDiskGroup

        return MemDiskGroup
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        return None
    for cut in range(len(parts) - 1, 0, -1):
        found: Any = _module(".".join(parts[:cut]))
        if found is None:
            continue
        for part in parts[cut:]:
            found = vars(found).get(part) if hasattr(found, "__dict__") else None
        if found is not None:
            return found
    return None
