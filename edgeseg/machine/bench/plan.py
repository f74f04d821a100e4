"""The measurements that a bench is to make."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from edgeseg.errors import UsageError
from edgeseg.proof.timing.stability import StabilityRule

RATES_HZ = (Fraction(25), Fraction(30), Fraction(50), Fraction(60))
"""Rates of endoscopy cameras: PAL and NTSC systems, and their doubles."""
LANES = (1, 2, 3, 4)
BATCHES = (1, 2, 4, 8)


@dataclass(frozen=True)
class BenchPlan:
    """The measurements that are wanted; none of a kind where its tuple is empty."""

    rates: tuple[Fraction, ...] = RATES_HZ
    budget_ms: float | None = None
    """Time that a frame may take; None gives it the time until the next one."""
    lanes: tuple[int, ...] = LANES
    batches: tuple[int, ...] = BATCHES
    threads: int = 0
    """Inside one inference on a CPU, in all that runs one frame at a time; 0: every usable core."""
    roofline: bool = True
    rule: StabilityRule = field(default_factory=StabilityRule)


def rule_within(seconds: float) -> StabilityRule:
    """The rule with another bound of one measurement; its windows shrink so that some fit.

    Raises:
        UsageError: Not a positive number.
    """
    if not math.isfinite(seconds) or seconds <= 0:
        raise UsageError("--seconds bounds each measurement", found=seconds, expected="a positive number")
    usual = StabilityRule()
    return StabilityRule(window_s=min(usual.window_s, seconds / 8), max_s=seconds)


def parse_rates(text: str) -> tuple[Fraction, ...]:
    """``25,29.97,60`` or ``30000/1001`` as frames a second; ``none`` is no rate.

    Raises:
        UsageError: Something else.
    """
    if text.strip().lower() == "none":
        return ()
    try:
        rates = tuple(Fraction(part.strip()) for part in text.split(","))
    except (ValueError, ZeroDivisionError):
        rates = ()
    if not rates or not all(0 < rate <= 1000 for rate in rates):
        raise UsageError("--rate is not a list of frames a second", found=text, expected="for example 25,30,50,60")
    return tuple(dict.fromkeys(rates))


def parse_counts(text: str, option: str, most: int) -> tuple[int, ...]:
    """``1,2,4`` as counts; ``none`` is none.

    Raises:
        UsageError: Something else, or a count beyond `most`.
    """
    if text.strip().lower() == "none":
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 1 <= int(part) <= most for part in parts):
        raise UsageError(f"{option} is not a list of counts", found=text, expected=f"1 to {most}, for example 1,2,4")
    return tuple(dict.fromkeys(int(part) for part in parts))
