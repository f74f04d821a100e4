"""Who else works on this machine: load averages, and the processor time of everything but this process."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

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


def read_times() -> ProcessorTimes:
    """Now. In a container the machine's figure is usually the host's, which is what disturbs."""
    times = os.times()
    own = times.user + times.system + times.children_user + times.children_system
    return ProcessorTimes(times.elapsed, _machine_s(), own)


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


def _machine_s() -> float | None:
    try:
        times = psutil.cpu_times()._asdict()
    except (OSError, psutil.Error):
        return None
    return float(sum(seconds for name, seconds in times.items() if name in BUSY))
