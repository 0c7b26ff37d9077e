"""Which names without a page of their own are none the less right; the others Sphinx warns of.

Single backticks name parameters, as numpydoc has it, and what the page of another package
describes. A parameter has to be one of the function whose docstring names it (of one that hands on
keywords, any), or an attribute of the class; a dotted name has to be there when it is imported. So
a name that was changed in the code and not in a text is found.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from sphinx import addnodes

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

ABSENT = frozenset({"caput", "xarray"})  # packages that this build need not have
MISSING = object()
OTHER = frozenset({"memdata.containers"})  # a group of entry points


def is_known(_app: Sphinx, _domain: Any, node: addnodes.pending_xref) -> bool | None:
    """True keeps Sphinx from warning of a reference that leads nowhere."""
    name: str = node["reftarget"]
    if name in OTHER or name.split(".", maxsplit=1)[0] in ABSENT or _found(name) is not MISSING:
        return True
    described = _described(node)
    if not described and "." not in name:
        return True  # a summary, whose words are looked at on the page of its object
    return any(_has(owner, name) for owner in described) or None


def _described(node: nodes.Node) -> list[str]:
    """Names of the objects whose descriptions hold this node, innermost first."""
    names = []
    while node := node.parent:
        if isinstance(node, addnodes.desc):
            signature = node[0]
            names.append(f"{signature['module']}.{signature['fullname']}")
    return names


def _found(name: str) -> Any:
    """What a dotted name stands for, or MISSING."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        for part in parts[count:]:
            found = getattr(found, part, MISSING)
        return found
    return MISSING


def _has(owner: str, name: str) -> bool:
    """Whether the first part of a name is a parameter, attribute or global of what is described."""
    first = name.split(".", maxsplit=1)[0]
    thing = _found(owner)
    if hasattr(thing, first) or hasattr(inspect.getmodule(thing), first):
        return True
    try:
        parameters = inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return False
    handed_on = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return first in parameters or handed_on


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.connect("warn-missing-reference", is_known)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
