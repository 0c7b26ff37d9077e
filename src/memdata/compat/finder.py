"""The import machinery: which module stands in for which, and how it comes about.

A module that is replaced whole gets a module object of its own, with its own ``__spec__``, filled
with the names of one of ours::

    sys.modules["caput.mpiarray"]  ── MPIArray, zeros, ... ──>  the objects of memdata.mpiarray

So it can be reloaded, and never reloads ours. A name that it does not hold, private or worked out
when needed, is looked up in ours. A module of which only some names are replaced is loaded as it
would be without us, and then gets them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["PARTLY", "WHOLE", "Finder", "is_ours", "namespace", "replacements"]

PACKAGE = "caput"

#: Modules that are replaced: the one of ours that stands in for each.
WHOLE = {
    "caput.memdata": "memdata",
    "caput.memdata._io": "memdata._io",
    "caput.memdata._memh5": "memdata._memh5",
    "caput.memdata.fileformats": "memdata.fileformats",
    "caput.mpiarray": "memdata.mpiarray",
    "caput.memh5": "memdata._memh5",
    "caput.fileformats": "memdata.fileformats",
}

#: Modules that hold other things too: where the names come from that are replaced in them.
PARTLY = {
    "caput.misc": ("memdata.locking", ("lock_file",)),
    "caput.mpiutil": (
        "memdata.mpitools",
        ("allreduce", "barrier", "bcast", "can_allocate", "split_all", "split_local"),
    ),
}

#: What more there is where caput is missing.
_INSTEAD = {"caput.mpiutil": "memdata.mpitools", "caput.util.mpitools": "memdata.mpitools"}

#: Packages without names of their own, where caput is missing.
_PARENTS = ("caput", "caput.util")

_CHILDREN = {"caput.memdata": ("_io", "_memh5", "fileformats")}


def replacements(name: str) -> dict[str, Any]:
    """The names that are replaced in a module of `PARTLY`, and by what."""
    source, names = PARTLY[name]
    module = importlib.import_module(source)
    return {name: getattr(module, name) for name in names}


def is_ours(module: object) -> bool:
    """Whether a module stands in for one of caput's."""
    spec = namespace(module).get("__spec__")
    return isinstance(getattr(spec, "loader", None), StandIn)


def namespace(module: object) -> dict[str, Any]:
    """The names in a module, without loading a lazy one; none of what is not a module."""
    if not issubclass(type(module), ModuleType):
        return {}
    found: dict[str, Any] = ModuleType.__getattribute__(module, "__dict__")
    return found


class StandIn(Loader):
    """Fills a module with the names of one of ours.

    Parameters
    ----------
    source : str
        Our module; "" for a package that has no names of its own.
    names : sequence of str or None
        The names; None takes those of ``__all__``, and looks up others when they are asked for.
    """

    def __init__(self, source: str, names: Sequence[str] | None = None) -> None:
        self.source = source
        self.names = names

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave making the module to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module; again when it is reloaded."""
        scope = module.__dict__
        if not self.source:
            scope["__doc__"] = f"memdata's stand-in for `{module.__name__}`, which is missing."
            return
        source = importlib.import_module(self.source)
        scope["__doc__"] = f"memdata's stand-in for `{module.__name__}`.\n\n{source.__doc__}"
        names = [name for name in self.names or source.__all__ if not name.startswith("__")]
        scope["__all__"] = names
        # What is worked out when it is asked for (MPI's world) is not asked for here.
        scope.update((name, vars(source)[name]) for name in names if name in vars(source))
        if self.names is None:
            scope["__getattr__"] = partial(_look_up, module.__name__, source)
            scope["__dir__"] = partial(_list, scope, source)
        for child in _CHILDREN.get(module.__name__, ()):
            importlib.import_module(f"{module.__name__}.{child}")


def _look_up(module: str, source: ModuleType, name: str) -> Any:
    if not (name.startswith("__") and name.endswith("__")):
        try:
            return getattr(source, name)
        except AttributeError:
            pass
    raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)


def _list(scope: dict[str, Any], source: ModuleType) -> list[str]:
    return sorted({*scope, *source.__all__} - {"__getattr__", "__dir__"})


class Overlay(Loader):
    """Loads a module of caput as its own loader does, then replaces some names in it.

    Parameters
    ----------
    loader : Loader
        The module's own.
    replace : callable
        Called with the module when it is loaded.
    """

    def __init__(self, loader: Any, replace: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._replace = replace

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        """As the module's own loader does; then the names."""
        self._loader.exec_module(module)
        self._replace(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # get_source and whatever else tools ask for


class Finder(MetaPathFinder):
    """Finds what stands in for caput's modules; stands first in `sys.meta_path`.

    Parameters
    ----------
    replace : callable
        Called with a module of `PARTLY` that was loaded.
    """

    def __init__(self, replace: Callable[[ModuleType], None]) -> None:
        self._replace = replace

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What stands in for a module; None: not our business.

        Raises
        ------
        ModuleNotFoundError
            Caput is not installed, and the module is not one of those that have a stand-in.
        """
        if fullname.partition(".")[0] != PACKAGE:
            return None
        missing = is_ours(sys.modules.get(PACKAGE))
        named = fullname in WHOLE or fullname in PARTLY
        if not (named or missing or fullname == PACKAGE):
            return None
        theirs = self._elsewhere(fullname, path, target)
        if fullname in WHOLE:
            # Modules beside those that we know are found where they are.
            inside = theirs.submodule_search_locations if theirs is not None else None
            return _spec(fullname, StandIn(WHOLE[fullname]), inside)
        if theirs is not None:
            if fullname in PARTLY and hasattr(theirs.loader, "exec_module"):
                theirs.loader = Overlay(theirs.loader, self._replace)
            return theirs
        if fullname in _INSTEAD:
            return _spec(fullname, StandIn(_INSTEAD[fullname]))
        if fullname in PARTLY:
            return _spec(fullname, StandIn(*PARTLY[fullname]))
        if fullname in _PARENTS:
            return _spec(fullname, StandIn(""))
        raise ModuleNotFoundError(
            f"No module named {fullname!r}: caput is not installed. memdata.compat stands in for "
            f"no more than {', '.join(sorted({*WHOLE, *PARTLY, *_INSTEAD}))}",
            name=PACKAGE,  # as without memdata.compat
            path=fullname,
        )

    def _elsewhere(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        """What the other finders find."""
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(fullname, path, target)
            if spec is not None:
                return spec
        return None


def _spec(fullname: str, loader: StandIn, inside: Sequence[str] | None = None) -> ModuleSpec:
    is_package = fullname in _PARENTS or fullname in _CHILDREN
    spec = ModuleSpec(fullname, loader, is_package=is_package)
    if is_package and inside is not None:
        spec.submodule_search_locations = list(inside)
    if loader.source:
        # Tools that show where code is shall show ours.
        spec.origin = importlib.import_module(loader.source).__file__
        spec.has_location = True
    return spec
