"""``memdata ls`` for ordinary HDF5 files."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct

from _memdata_cli.hdf5 import DATASET, GROUP, LINK, TYPE, Structure, Unusual

__all__ = ["listed"]

#: What launchers of MPI set; who prints then is decided by `memdata.cli`.
_LAUNCHED = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID")


def listed(names: list[str], recursive: bool) -> str | None:
    """The lines of all files, or None where somebody who knows more has to look."""
    if any(name in os.environ for name in _LAUNCHED):
        return None
    try:
        return "".join(_listed(name, recursive) for name in names)
    except (Unusual, OSError, ValueError, struct.error, IndexError, OverflowError):
        return None


def _listed(name: str, recursive: bool) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # nobody is writing it
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as view:
            structure = Structure(view)
            lines: list[str] = []
            if recursive:
                lines.append(f"{'/':24} Group\n")
                _walk(structure, structure.root, "/", {structure.root}, lines)
            else:
                _walk(structure, structure.root, None, set(), lines)
            return "".join(lines)
    finally:
        os.close(descriptor)


def _walk(
    structure: Structure, group: int, path: str | None, seen: set[int], lines: list[str]
) -> None:
    """The lines of a group's members; with a path, of all below it."""
    for raw, address, target in structure.members(group):
        name = raw.decode()
        if not name.isprintable() or len(seen) > 100_000:
            raise Unusual("a name that has to be escaped")
        if path is not None:
            name = path + name
        if address is None:
            lines.append(f"{name:24} {_link(target)}\n")
            continue
        kind, words = structure.described(address)
        if kind == DATASET:
            lines.append(f"{name:24} Dataset {{{words}}}\n")
        elif kind == TYPE:
            lines.append(f"{name:24} Type\n")
        else:
            assert kind == GROUP
            lines.append(f"{name:24} Group\n")
            if path is not None:
                if address in seen or path.count("/") > 100:
                    raise Unusual("a group under two names")
                seen.add(address)
                _walk(structure, address, name + "/", seen, lines)


def _link(target: tuple[str, bytes, bytes]) -> str:
    kind, file, path = target
    text = path.decode() if kind == LINK else f"{file.decode()}/{path.decode()}"
    if not text.isprintable():
        raise Unusual("a link that has to be escaped")
    return f"Soft Link {{{text}}}" if kind == LINK else f"External Link {{{text}}}"
