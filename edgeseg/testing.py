"""Assertions on a verdict, for test suites: a failure says what was measured, the limit, where to look, what to type.

They want no pytest. Its plugin (`pytest --edgeseg-engine ENGINE --edgeseg-data DIR`) gives the verdict as the fixture
`edgeseg_verdict`, `edgeseg.verify` gives it anywhere else.
"""

from __future__ import annotations

from typing import NoReturn

from edgeseg.artifacts import Verdict
from edgeseg.proof.ci.verdict_figures import outcome_of, rules_of, worst_in_words

__all__ = ["assert_dice", "assert_dice_drop", "assert_latency", "assert_lost_polyps", "assert_passed"]


def assert_passed(verdict: Verdict) -> None:
    """Demand that every rule of the verdict passed.

    Raises:
        AssertionError: It failed or is undecided; the message has the reasons.
    """
    __tracebackhide__ = True
    if verdict.passed is not True:
        broken = [reason for _, rule in rules_of(verdict) if rule.passed is not True for reason in rule.reasons]
        _fail(verdict, f"the verdict is: {outcome_of(verdict)}", *(broken or verdict.reasons))


def assert_dice(verdict: Verdict, *, at_least: float) -> None:
    """Demand a mean Dice of the engine.

    Raises:
        AssertionError: It is lower.
    """
    __tracebackhide__ = True
    if not verdict.mean_dice >= at_least:
        reference = f"{verdict.reference_precision} reference {verdict.reference_mean_dice:.4f}"
        _fail(verdict, f"mean Dice {verdict.mean_dice:.4f} is below {at_least:g} ({reference})")


def assert_dice_drop(verdict: Verdict, *, at_most: float) -> None:
    """Limit the mean Dice drop against the reference.

    Raises:
        AssertionError: It is larger.
    """
    __tracebackhide__ = True
    if not verdict.mean_dice_drop <= at_most:
        interval = verdict.confidence_interval
        figures = f"95 % interval {interval.low:+.4f} to {interval.high:+.4f}, {verdict.image_count} images"
        _fail(verdict, f"mean Dice drop {verdict.mean_dice_drop:.4f} is beyond {at_most:g} ({figures})")


def assert_lost_polyps(verdict: Verdict, *, at_most: int = 0) -> None:
    """Limit the polyps that the reference finds and the engine loses.

    Raises:
        AssertionError: There are more, or the verdict is from before they were counted.
    """
    __tracebackhide__ = True
    if verdict.polyps is None:
        _fail(verdict, "polyps were not counted when this verdict was reached")
    lost = verdict.polyps.lost
    if lost.count > at_most:
        _fail(verdict, f"{lost.count} of {lost.of} polyps that the reference finds are lost, {at_most} may be")


def assert_latency(verdict: Verdict, *, p50_ms: float | None = None, p99_ms: float | None = None) -> None:
    """Limit the time of one image from frame to mask, in milliseconds.

    Raises:
        AssertionError: A percentile is beyond its limit.
    """
    __tracebackhide__ = True
    times = verdict.latency.end_to_end
    measured = (("p50", times.p50_ms, p50_ms), ("p99", times.p99_ms, p99_ms))
    beyond = [
        f"{name} {value:.2f} ms is beyond {limit:g} ms"
        for name, value, limit in measured
        if limit is not None and not value <= limit
    ]
    if beyond:
        place = f"{verdict.latency.inferences} images on {verdict.latency.machine}"
        _fail(verdict, f"{', '.join(beyond)} ({place})", images=False)


def _fail(verdict: Verdict, sentence: str, *details: str, images: bool = True) -> NoReturn:
    __tracebackhide__ = True
    worst = worst_in_words(verdict) if images else []
    lines = [sentence, *(f"  - {detail}" for detail in details)]
    lines += ["worst images:", *(f"  {image}" for image in worst)] if worst else []
    lines += [] if verdict.next_command is None else [f"next: {verdict.next_command}"]
    raise AssertionError("\n".join(lines))
