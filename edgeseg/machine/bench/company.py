"""Who else works on this machine: load averages, and the processor time of everything but this process."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

BUSY_FIELDS = (0, 1, 2, 5, 6, 7)
"""Fields of the first line of /proc/stat that count as busy (proc_stat(5)): user, nice, system, irq, softirq, steal.
Waiting is not busy."""


@dataclass(frozen=True)
class ProcessorTimes:
    """Processor seconds spent since some moment."""

    at_s: float
    machine_s: float | None
    """Seconds that everything ran, in user and kernel mode; None where the system does not tell."""
    process_s: float
    """Seconds that this process and its ended children ran."""


def read_times(root: Path = Path("/")) -> ProcessorTimes:
    """Now. In a container the machine's figure is usually the host's, which is what disturbs."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return ProcessorTimes(times.elapsed, _machine_s(root), own)


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


def _machine_s(root: Path) -> float | None:
    try:
        first = (root / "proc/stat").read_text().partition("\n")[0].split()
        ticks = [int(field) for field in first[1:]]
        return sum(ticks[index] for index in BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
