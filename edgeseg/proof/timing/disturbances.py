"""Says what disturbed a measurement of time, from the conditions that were recorded beside it."""

from __future__ import annotations

from collections.abc import Iterator

from edgeseg.artifacts import Conditions

BUSY_CORES = 0.2
"""How many cores others may keep busy before a figure of a CPU is called an upper bound."""
HARMLESS_THROTTLE = frozenset({"idle"})
CLOCKS = ("sm", "gpu", "gpu-gpc-0", "cpu")
"""Clocks that set the speed, most telling first."""
CLOCK_MOVE = 0.1
"""How far a clock may move, as a share of its highest, before times at both ends are not of one machine."""


def disturbances(conditions: Conditions) -> tuple[str, ...]:
    """List what was seen to disturb, one clause each: other processes, throttling, clocks that moved.

    Empty means that nothing was seen; sensors that a machine does not show prove nothing.
    """
    return (*_company(conditions), *_throttling(conditions), *_moved_clock(conditions))


def throttle_reasons(conditions: Conditions) -> list[str]:
    """The reasons for lowered clocks that a sensor told, without the harmless ones."""
    return [reason for reason in conditions.throttle or {} if reason not in HARMLESS_THROTTLE]


def _company(conditions: Conditions) -> Iterator[str]:
    if (conditions.other_cores or 0) > BUSY_CORES:
        yield f"other processes kept {conditions.other_cores:.1f} cores busy"


def _throttling(conditions: Conditions) -> Iterator[str]:
    periods = conditions.throttled_periods or 0
    if periods:
        yield f"the processor quota made it wait in {periods} period{'' if periods == 1 else 's'}"
    for reason in throttle_reasons(conditions):
        yield f"clocks were lowered ({reason})"


def _moved_clock(conditions: Conditions) -> Iterator[str]:
    clocks = conditions.clocks_mhz or {}
    name = next((name for name in CLOCKS if name in clocks), None)
    if name is not None and clocks[name].minimum < (1 - CLOCK_MOVE) * clocks[name].maximum:
        yield f"the {name} clock moved from {clocks[name].minimum:.0f} to {clocks[name].maximum:.0f} MHz"
