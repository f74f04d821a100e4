"""Measures how much memory this process and its children hold, by the system's own count."""

from __future__ import annotations

import psutil


def resident_bytes() -> int:
    """Sum the resident memory of this process and its descendants; memory that they share counts in each."""
    process = psutil.Process()
    return sum(_resident(member) for member in (process, *process.children(recursive=True)))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:  # it has ended in the meantime
        return 0
