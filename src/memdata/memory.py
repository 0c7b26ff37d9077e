"""How much memory there is: of the machine, within a control group, for this process.

Containers and batch systems limit memory with control groups (cgroups, version 1 or 2); a process
that goes beyond is killed without a message. ``ulimit -v`` and ``ulimit -d`` limit one process.
"""

from __future__ import annotations

import math
from pathlib import Path

from memdata._cmemdata import recycled_bytes

__all__ = ["Room", "group_room", "machine_room", "process_room"]

#: Bytes; infinite where the system does not say.
Room = float

_PROC = Path("/proc")
_GROUPS = Path("/sys/fs/cgroup")

#: "No limit" of cgroups version 1 is a number near 2**63.
_UNLIMITED = 1 << 60


def machine_room() -> Room:
    """What all processes of this machine together may still take."""
    try:
        text = (_PROC / "meminfo").read_text(encoding="ascii")
        lines = dict(line.split(":", 1) for line in text.splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return math.inf


def process_room() -> Room:
    """What this process may still take, by its resource limits.

    Memory that is kept for the next arrays is theirs to take.
    """
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    try:
        text = (_PROC / "self" / "status").read_text(encoding="ascii", errors="replace")
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        used = {name: int(lines[name].split()[0]) * 1024 for name in ("VmSize", "VmData")}
    except (OSError, KeyError, ValueError, IndexError):
        return math.inf
    room = math.inf
    for limit, name in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        soft, _hard = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            room = min(room, max(0, soft - used[name] + recycled_bytes()))
    return room


def group_room() -> tuple[str, Room]:
    """The control group of this process by name, and what its processes may still take.

    The limits of the groups around it count too. Pages of files are not counted as taken: the
    system gives them up first.
    """
    try:
        lines = (_PROC / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "", math.inf
    name, room = "", math.inf
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            root, files = _GROUPS, _VERSION_2
        elif "memory" in controllers.split(","):
            root, files = _GROUPS / "memory", _VERSION_1
        else:
            continue
        name += path
        # In a container the path may be one of the host's: the group is then mounted as the root.
        place = root / path.lstrip("/")
        places = [place, *place.parents] if place.is_dir() else [root]
        for group in places:
            room = min(room, _room_in(group, *files))
            if group == root:
                break
    return name, room


#: Files of the limit and the use, and the entry of `memory.stat` that says what can be given up.
_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_VERSION_2 = ("memory.max", "memory.current", "inactive_file")


def _room_in(group: Path, limit_file: str, used_file: str, idle: str) -> Room:
    try:
        limit = int((group / limit_file).read_text(encoding="ascii"))
        used = int((group / used_file).read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf
    if limit >= _UNLIMITED:
        return math.inf
    try:
        stat = (group / "memory.stat").read_text(encoding="ascii")
        used -= int(dict(line.split() for line in stat.splitlines())[idle])
    except (OSError, ValueError, KeyError):
        pass
    return max(0, limit - used)
