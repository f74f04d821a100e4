"""The times of a verdict as sentences: what a p99 rests on, what the machine did meanwhile, two engines in turns."""

from __future__ import annotations

from edgeseg.artifacts import BaselineTiming, Conditions, LatencyEvidence, Percentiles, Verdict
from edgeseg.proof.timing.disturbances import CLOCKS
from edgeseg.proof.timing.latency_evidence import LEAST_FOR_P99_9
from edgeseg.proof.verdict.latency_rules import interval_in_words


def latency_lines(verdict: Verdict) -> list[str]:
    """One sentence without a full stop for each thing that the verdict knows of time."""
    lines = [f"one image: {_distribution(verdict.latency.end_to_end)} on {verdict.latency.machine}"]
    return [*lines, *evidence_lines(verdict.latency_evidence), *baseline_lines(verdict.baseline_timing)]


def evidence_lines(evidence: LatencyEvidence | None) -> list[str]:
    """Say how far p99, p99.9 and the maximum can be trusted, and what the machine did while they were measured."""
    if evidence is None:
        return []
    told = f"over {evidence.samples} images: p99's 95 % interval is {interval_in_words(evidence.p99_interval_ms)} ms"
    if evidence.p99_9_ms is None:
        told += f"; for a p99.9 at least {LEAST_FOR_P99_9:,} are needed, so the maximum of these is no p99.9"
    else:
        told += f", p99.9 {evidence.p99_9_ms:.2f} ms"
    return [told, *_conditions_lines(evidence.conditions, evidence.disturbances)]


def baseline_lines(timing: BaselineTiming | None) -> list[str]:
    """Say how the engine's times compare with a baseline engine's, and how large the noise was."""
    if timing is None:
        return []
    return [
        f"baseline engine, {timing.baseline_precision} on {timing.baseline_backend}, sha256 {timing.baseline_sha256}: "
        f"{_distribution(timing.baseline)}, this engine in turns with it: {_distribution(timing.engine)}; "
        f"two openings of the baseline differ by up to {100 * timing.noise:.1f} %",
        *_conditions_lines(timing.conditions, timing.disturbances),
    ]


def _distribution(times: Percentiles) -> str:
    return f"p50 {times.p50_ms:.2f}, p90 {times.p90_ms:.2f}, p99 {times.p99_ms:.2f}, max {times.max_ms:.2f} ms"


def _conditions_lines(conditions: Conditions, disturbances: tuple[str, ...]) -> list[str]:
    """The clock that sets the speed, and whatever was seen to disturb."""
    clocks = conditions.clocks_mhz or {}
    name = next((name for name in CLOCKS if name in clocks), None)
    clock = "the clocks cannot be read here"
    if name is not None:
        spread = clocks[name]
        clock = f"{name} clock {spread.median:.0f} MHz, {spread.minimum:.0f} to {spread.maximum:.0f}"
    quota = ["the processor quota never made it wait"] if conditions.throttled_periods == 0 else []
    return [f"meanwhile: {'; '.join([clock, *quota, *disturbances])}"]
