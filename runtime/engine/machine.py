"""Describes this machine for a report: processor and cores, no names of hosts or users."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
"""The folder in which a container sees its own limits."""
BOARD = Path("/proc/device-tree/model")
"""The firmware's name of an Arm board (Jetson, IGX), whose /proc/cpuinfo names no processor."""


def usable_cores() -> int:
    """Count the cores that this process may use; a container's quota or taskset may allow only some."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota_cores()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota_cores() -> float | None:
    """Read a container's processor quota, in cores; None where nothing limits it.

    Source: cgroup-v2 ``cpu.max`` and v1 ``cpu.cfs_quota_us`` (Linux, Documentation/admin-guide/cgroup-v2.rst).
    """
    words = _text(CGROUP / "cpu.max").split() or [
        _text(CGROUP / "cpu" / "cpu.cfs_quota_us").strip(),
        _text(CGROUP / "cpu" / "cpu.cfs_period_us").strip(),
    ]
    quota, period = [*words, ""][:2]
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def describe_machine() -> str:
    """Name the processor (or board) and count usable cores: ``Xeon E5-2680, 8 usable cores``."""
    cores = usable_cores()
    return f"{_processor()}, {cores} usable core{'' if cores == 1 else 's'}"


def instruction_sets() -> frozenset[str]:
    """Read the processor's flags by Linux's names (``avx512_vnni``, on Arm ``asimddp``); else none."""
    for line in _text(CPUINFO).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


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
