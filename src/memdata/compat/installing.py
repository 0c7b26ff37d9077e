"""Beginning and ending to stand in for caput's modules."""

from __future__ import annotations

import importlib
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from types import FunctionType, ModuleType
from typing import Any, Self

from memdata.compat.finder import PACKAGE, PARTLY, WHOLE, Finder, is_ours, namespace, replacements
from memdata.trust import _trusted, trust

__all__ = ["TRUSTED", "Installation", "install", "is_installed", "uninstall"]

#: Packages whose container classes files may name: caput, and those that are written for it.
TRUSTED = ("caput", "draco", "ch_util", "ch_pipeline", "cora", "tlpipe")

_MISSING: Any = object()
_lock = threading.RLock()
_current: _Standing | None = None


class Installation:
    """What `install` returns; as a context manager it ends what that call began.

    Attributes
    ----------
    began : bool
        Whether it was that call that installed.
    """

    def __init__(self, began: bool) -> None:
        self.began = began

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.began:
            uninstall()


def install() -> Installation:
    """Stand in for `caput.memdata` and the modules around it, from now on.

    Call it before anything imports them. What was imported before is replaced in `sys.modules`,
    but a module that has taken classes from it keeps those. The packages caput, draco, ch_util,
    ch_pipeline, cora and tlpipe are trusted (`memdata.trust`): files may name their classes.

    Returns
    -------
    Installation
        For use in a ``with`` block, at whose end `uninstall` is called. To install again changes
        nothing, and the end of such a block then neither.

    Warns
    -----
    UserWarning
        Modules that keep classes of what was imported before; it names them.

    Examples
    --------
    >>> import memdata.compat
    >>> with memdata.compat.install():
    ...     from caput import mpiarray
    >>> mpiarray.MPIArray is memdata.mpiarray.MPIArray
    True
    """
    global _current  # noqa: PLW0603 - there is one sys.modules
    with _lock:
        if _current is not None:
            return Installation(False)
        standing = _Standing()
        try:
            standing.begin()
        except BaseException:
            standing.end()
            raise
        _current = standing
        replaced, keepers = standing.replaced(), sorted(standing.keepers())
    if keepers:
        warnings.warn(
            f"memdata.compat.install() was called after {', '.join(replaced)} had been imported. "
            f"These modules keep the classes they have taken from there: {', '.join(keepers)}. "
            "Install before they are imported",
            UserWarning,
            stacklevel=2,
        )
    return Installation(True)


def uninstall() -> None:
    """Undo `install`.

    Modules, attributes of packages and trust are again what they were. Modules of others that
    were imported meanwhile keep memdata's classes. Without an `install` nothing happens.

    Examples
    --------
    >>> import memdata.compat
    >>> memdata.compat.uninstall()
    """
    global _current
    with _lock:
        if _current is not None:
            standing, _current = _current, None
            standing.end()


def is_installed() -> bool:
    """Whether memdata stands in for caput's modules now.

    Examples
    --------
    >>> import memdata.compat
    >>> with memdata.compat.install():
    ...     memdata.compat.is_installed()
    True
    """
    return _current is not None


class _Standing:
    """What one installation has changed.

    Attributes
    ----------
    modules : dict
        Modules of caput that were imported before, and are out of `sys.modules` meanwhile.
    """

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}
        self._finder = Finder(self._overlay)
        self._attributes: dict[str, Any] = {}
        self._overlaid: list[tuple[ModuleType, str, Any, Any]] = []
        self._trusted: set[str] = set()

    def begin(self) -> None:
        """Take caput's modules away, put ours in place of those that are imported already."""
        sys.meta_path.insert(0, self._finder)
        self._trusted = set(TRUSTED) - _trusted
        for package in self._trusted:
            trust(package)
        for name in [name for name in sys.modules if _is_replaced(name)]:
            self.modules[name] = sys.modules.pop(name)
        scope = namespace(sys.modules.get(PACKAGE))
        for child in _children(WHOLE):
            if child in scope:
                self._attributes[child] = scope.pop(child)
        for name in WHOLE:
            if self.modules.get(name) is not None:
                importlib.import_module(name)
        for name in PARTLY:
            if name in sys.modules:
                self._overlay(sys.modules[name])

    def _overlay(self, module: ModuleType) -> None:
        """Replace some names in a module. Without a lock: it is called while Python imports."""
        scope = vars(module)
        for name, ours in replacements(module.__name__).items():
            if scope.get(name) is not ours:
                self._overlaid.append((module, name, scope.get(name, _MISSING), ours))
                scope[name] = ours

    def end(self) -> None:
        """Put everything back."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for name, module in _of_caput():
            if not (is_ours(module) or _is_replaced(name)):
                continue
            del sys.modules[name]
            above, _, child = name.rpartition(".")
            parent = sys.modules.get(above)
            if namespace(parent).get(child) is module:
                delattr(parent, child)
        sys.modules.update(self.modules)
        if PACKAGE in sys.modules:
            namespace(sys.modules[PACKAGE]).update(self._attributes)
        for module, name, before, ours in reversed(self._overlaid):
            scope = vars(module)
            if scope.get(name) is not ours:
                continue  # somebody has set it since
            if before is _MISSING:
                del scope[name]
            else:
                scope[name] = before
        _trusted.difference_update(self._trusted)

    def replaced(self) -> list[str]:
        """Names of the modules that were imported before, and of those changed in part."""
        return sorted({*self.modules, *(module.__name__ for module, *_ in self._overlaid)})

    def keepers(self) -> Iterator[str]:
        """Names of the modules that hold, or derive from, classes of the modules taken away."""
        old = set(_defined(self.modules.values()))
        old.update(id(before) for _, _, before, _ in self._overlaid if isinstance(before, type))
        for name, module in list(sys.modules.items()) if old else ():
            held = list(namespace(module).values())
            if not is_ours(module) and any(_is_of(value, old) for value in held):
                yield name


def _is_replaced(name: str) -> bool:
    """Modules below caput.memdata that we do not know go and come with it."""
    return name in WHOLE or name.startswith("caput.memdata.")


def _children(names: Iterable[str]) -> list[str]:
    return [name.rpartition(".")[2] for name in names if name.count(".") == 1]


def _of_caput() -> list[tuple[str, ModuleType]]:
    return [
        (name, module)
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == PACKAGE
    ]


def _defined(modules: Iterable[ModuleType | None]) -> Iterator[int]:
    """The modules, and the classes and functions that they define; by identity."""
    found = [module for module in modules if module is not None]
    names = {module.__name__ for module in found}
    for module in found:
        yield id(module)
        for value in list(namespace(module).values()):
            # `type()`, because asking proxies for their class may run anything.
            if issubclass(type(value), type | FunctionType) and value.__module__ in names:
                yield id(value)


def _is_of(value: Any, old: set[int]) -> bool:
    if id(value) in old:
        return True
    return issubclass(type(value), type) and any(id(base) in old for base in value.__mro__)
