"""What memdata keeps with a user's communicator: made when first needed, freed with it.

A duplicate of the communicator, so that a receive of any message from any rank, posted by the
program, never gets one of ours; memory that the ranks share, where they are on one machine;
buffers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from memdata.ranks import calls
from memdata.ranks.waiting import wait

if TYPE_CHECKING:
    from memdata.ranks.sharing import Staging

__all__ = ["Private", "forget", "kept", "link", "private"]


class Private:
    """What is derived from a user's communicator. Made collectively: see `private`.

    Attributes
    ----------
    comm : mpi4py.MPI.Comm
        A duplicate.
    one_machine : bool
        Whether all ranks run under the same kernel.
    staging : Staging or None
        Memory that all ranks share; None where that is not possible, or nobody has asked yet.
    buffers
        Buffers of `memdata.ranks.messages`.
    broken : bool
        Whether messages may be under way that nobody will receive: never used or freed again.
    """

    def __init__(self, comm: Any, what: str) -> None:
        self.comm, request = comm.Idup()
        wait([request], (), comm, what)
        kernels = calls.allgather(self.comm, kernel(), what)
        self.one_machine = kernels.count(kernels[0]) == len(kernels)
        self.staging: Staging | None = None
        self.asked_for_staging = False
        self.buffers: Any = None
        self.broken = False


def kernel() -> str:
    """Name the running kernel: the same for two processes if they run on one machine."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        from mpi4py import MPI

        name: str = MPI.Get_processor_name()
        return name


_keyval: int | None = None

#: What is broken is neither freed nor collected: MPI may still use it.
_broken: list[Private] = []


def private(comm: Any, what: str) -> Private:
    """What belongs to a communicator. Collective when it is first asked for."""
    found = kept(comm)
    if found is None:
        from mpi4py import MPI

        global _keyval  # noqa: PLW0603 - one for the process, as MPI has it
        if _keyval is None:
            _keyval = MPI.Comm.Create_keyval(delete_fn=_delete)
        found = Private(comm, what)
        comm.Set_attr(_keyval, found)
    return found


def link(comm: Any) -> Any:
    """The communicator to send messages in: ours, once there is one. Never communicates."""
    found = kept(comm)
    return comm if found is None else found.comm


def forget(comm: Any) -> None:
    """Begin anew with the next call of `private`, since messages may be under way in this one."""
    found = kept(comm)
    if found is not None:
        found.broken = True
        _broken.append(found)
        comm.Delete_attr(_keyval)


def kept(comm: Any) -> Private | None:
    """What belongs to a communicator, once somebody has asked for it. Never communicates."""
    found: Private | None = None if _keyval is None else comm.Get_attr(_keyval)
    return found


def _delete(comm: Any, _keyval: int, found: Private) -> None:
    """Called by MPI when a communicator is freed; the predefined ones are while MPI ends."""
    from mpi4py import MPI

    if not found.broken and comm not in (MPI.COMM_WORLD, MPI.COMM_SELF):
        found.comm.Free()
