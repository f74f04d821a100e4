"""How much memory this process and its children hold, by Linux's own count."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def resident_bytes(root: Path = _PROC, pid: int | None = None) -> int:
    """Resident memory of a process and all its descendants; memory that they share is counted in each.

    Args:
        root: In place of ``/proc``.
        pid: The process; None is this one.
    """
    parents = _parents(root)
    family = {pid if pid is not None else os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(_resident(root / str(member)) for member in family)


def _parents(root: Path) -> dict[int, int]:
    """Process -> its parent."""
    parents = {}
    for folder in root.iterdir():
        if folder.name.isdigit():
            # The name before it is in brackets and may hold anything: proc(5).
            fields = _text(folder / "stat").rpartition(")")[2].split()
            if len(fields) > 1:
                parents[int(folder.name)] = int(fields[1])
    return parents


def _resident(folder: Path) -> int:
    for line in _text(folder / "status").splitlines():
        key, _, value = line.partition(":")
        if key == "VmRSS":
            return int(value.split()[0]) * 1024
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""
