"""What this machine is, in words for a report: processor and cores, no names of hosts or users."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")
"""On Arm boards (Jetson, IGX) the firmware's name of the board; their /proc/cpuinfo names no processor."""


def usable_cores() -> int:
    """Cores that this process may use (a container or taskset may allow fewer than the machine has)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine() -> str:
    """Processor (or board) and the cores this process may use: ``Xeon E5-2680, 8 usable cores``."""
    cores = usable_cores()
    return f"{_processor()}, {cores} usable core{'' if cores == 1 else 's'}"


def _processor() -> str:
    for line in _text(CPUINFO).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    return _text(BOARD).strip("\0 \n") or platform.processor() or platform.machine() or "unknown processor"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
