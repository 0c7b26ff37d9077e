"""The one exchange of a collective job, after planning and before anything is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memdata.formats.tree import Plan

__all__ = ["agree"]


def agree(plan: Plan, comm: Any = None) -> Plan:
    """Make sure that all ranks are about to do the same.

    Every rank contributes a digest of its plan, or the exception that kept it from making one;
    if they differ, all ranks raise the same error. One rank has nobody to ask.

    Parameters
    ----------
    plan : Plan
        This rank's plan.
    comm : communicator or None
        None: not collective.

    Returns
    -------
    Plan
        The plan that all ranks carry out.
    """
    if comm is None or comm.size == 1:
        return plan
    raise NotImplementedError("loading and saving with several ranks")
