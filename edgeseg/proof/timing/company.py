"""Who else works on this machine: load averages, and the processor time of everything but this process."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import psutil

from edgeseg.proof.timing.probes import text_in
from edgeseg.runtime.engine.machine import CGROUP

BUSY = frozenset({"user", "nice", "system", "irq", "softirq", "steal"})
"""The fields of `psutil.cpu_times` that count as busy: waiting does not, and a guest is in the user's already."""


@dataclass(frozen=True)
class ProcessorTimes:
    """Processor seconds spent since some moment."""

    at_s: float
    machine_s: float | None
    """Seconds that everything ran, in user and kernel mode; None where the system does not tell."""
    process_s: float
    """Seconds that this process and its ended children ran."""
    throttled_periods: int | None = None
    """Periods in which the quota of this control group made its processes wait; None where nothing tells."""


def read_times() -> ProcessorTimes:
    """Now. In a container the machine's figure is usually the host's, which is what disturbs."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return ProcessorTimes(times.elapsed, _machine_s(), own, throttled_periods())


def cores_busy(before: ProcessorTimes, after: ProcessorTimes) -> tuple[float | None, float | None]:
    """Cores that this process and that everything else kept busy between two readings; None where it is not known."""
    elapsed = after.at_s - before.at_s
    if elapsed <= 0:
        return None, None
    own = (after.process_s - before.process_s) / elapsed
    if before.machine_s is None or after.machine_s is None:
        return own, None
    return own, max(0.0, (after.machine_s - before.machine_s) / elapsed - own)


def load_average() -> tuple[float, float, float] | None:
    """Read the load averages of 1, 5 and 15 minutes."""
    try:
        return os.getloadavg()
    except OSError:
        return None


def throttled_periods(root: Path = CGROUP) -> int | None:
    """Read ``nr_throttled`` of cgroup-v2 or v1 (Linux, Documentation/admin-guide/cgroup-v2.rst); None without a quota.

    Args:
        root: The folder in which a container sees its own limits.
    """
    for path in (root / "cpu.stat", root / "cpu" / "cpu.stat"):
        found = re.search(r"^nr_throttled (\d+)$", text_in(path) or "", re.MULTILINE)
        if found is not None:
            return int(found[1])
    return None


def _machine_s() -> float | None:
    try:
        times = psutil.cpu_times()._asdict()
    except (OSError, psutil.Error):
        return None
    return float(sum(seconds for name, seconds in times.items() if name in BUSY))
