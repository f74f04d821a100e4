"""When an engine is quick enough: for a limit, for a former verdict, and for a baseline engine timed beside it."""

from __future__ import annotations

from edgeseg.artifacts import BaselineTiming, LatencyEvidence, LatencyReport, QuantileInterval, VerdictLimits
from edgeseg.proof.verdict.rules import Finding
from edgeseg.runtime.engine.backends import on_cpu

MIN_LATENCY_SAMPLES = 100
"""Below this a 99th percentile is the maximum under another name."""
MAX_LATENCY_GROWTH = 1.2
"""How much p99 may grow over a baseline of the same machine."""
LATENCY_NOISE_MS = 1.0
"""Growth of p99 that a scheduler causes by itself; less than this is no regression, whatever its share."""


def judge_latency(
    latency: LatencyReport, limits: VerdictLimits, evidence: LatencyEvidence | None = None
) -> list[Finding]:
    """The 99th percentile of the end-to-end time of one image against its limit, where one was set.

    The p99 decides; where its interval holds the limit and something disturbed the measurement, nothing does.

    Args:
        latency: The times.
        limits: What is demanded.
        evidence: What the p99 rests on; None where nobody recorded it.
    """
    limit, p99 = limits.max_p99_ms, latency.end_to_end.p99_ms
    if limit is None:
        return []
    passed = p99 <= limit
    relation = "is within" if passed else "is beyond"
    interval = "" if evidence is None else f", 95 % interval {interval_in_words(evidence.p99_interval_ms)} ms"
    figures = (
        f"p99 {p99:.2f} ms end to end {relation} {limit:.2f} ms "
        f"({latency.inferences} timed images on {latency.machine}{interval})"
    )
    if evidence is not None and evidence.disturbances and _holds(evidence.p99_interval_ms, limit):
        return [
            Finding(
                "undecided", f"noisy: {figures}, and the interval holds the limit; {'; '.join(evidence.disturbances)}"
            )
        ]
    if passed and latency.inferences < MIN_LATENCY_SAMPLES:
        return [Finding("undecided", f"{figures}; at least {MIN_LATENCY_SAMPLES} are needed to decide")]
    disturbances = () if passed or evidence is None else evidence.disturbances
    return [Finding(passed, "; ".join([figures, *disturbances]))]


def note_cpu_fp16(latency: LatencyReport) -> list[Finding]:
    """Say what an FP16 engine on a CPU does not prove."""
    if latency.precision != "fp16" or not on_cpu(latency.backend):
        return []
    sentence = "warning: a CPU computes FP16 engines in float32 between casts, so true FP16 shows on a GPU only"
    return [Finding(True, sentence)]


def judge_former_latency(latency: LatencyReport, before: LatencyReport) -> Finding:
    """The p99 against a former verdict's of the same machine."""
    if latency.machine != before.machine:
        return Finding(
            True,
            f"latency is not compared with the baseline's: "
            f"this machine is {latency.machine}, that one was {before.machine}",
        )
    p99, former = latency.end_to_end.p99_ms, before.end_to_end.p99_ms
    allowed = max(former * MAX_LATENCY_GROWTH, former + LATENCY_NOISE_MS)
    relation = "is within" if p99 <= allowed else "is beyond"
    return Finding(
        p99 <= allowed,
        f"p99 {p99:.2f} ms against the baseline's {former:.2f} ms {relation} {allowed:.2f} ms "
        f"(20 % more, at least {LATENCY_NOISE_MS:.0f} ms)",
    )


def judge_slowdown(timing: BaselineTiming | None, limits: VerdictLimits) -> list[Finding]:
    """The engine's undisturbed time over a baseline engine's against the limit, where one was set.

    Undecided as noisy where two openings of the baseline differ by more than the limit, and where the interval of the
    ratio holds it.

    Args:
        timing: The two in turns; None where there was no baseline engine.
        limits: What is demanded.
    """
    limit = limits.max_slowdown
    if limit is None:
        return []
    if timing is None:
        return [Finding("undecided", f"--max-slowdown {limit:g} was demanded, and no --baseline-engine was timed")]
    share, allowed = timing.over_baseline, 1 + limit / 100
    figures = slowdown_in_words(timing)
    if timing.noise > limit / 100:
        noise = f"two openings of the baseline engine differ by up to {100 * timing.noise:.1f} %"
        words = [f"noisy: {noise}, and the limit is {limit:g} %", figures, *timing.disturbances]
        return [Finding("undecided", "; ".join(words))]
    if share.interval.low > allowed:
        return [Finding(False, f"slower than the baseline engine by more than {limit:g} %: {figures}")]
    if share.interval.high > allowed:
        words = [f"noisy: the interval holds the limit of {limit:g} %", figures, *timing.disturbances]
        return [Finding("undecided", "; ".join(words))]
    return [Finding(True, f"not slower than the baseline engine by more than {limit:g} %: {figures}")]


def slowdown_in_words(timing: BaselineTiming) -> str:
    """``1.102 times the baseline's undisturbed time (95 % interval ...), p99 ... (...), over 450 rounds in turns``."""
    interval = timing.over_baseline.interval
    return (
        f"{timing.over_baseline.ratio:.3f} times its undisturbed time "
        f"(95 % interval {interval.low:.3f} to {interval.high:.3f}), {timing.p99_ratio:.2f} times its p99 "
        f"(95 % interval {interval_in_words(timing.p99_ratio_interval)}), over {timing.rounds} rounds in turns"
    )


def interval_in_words(interval: QuantileInterval) -> str:
    """``9.81 to 12.40``, ``9.81 and up`` or ``open at both ends``, where so few values leave ends open."""
    if interval.low is None:
        return "open at both ends" if interval.high is None else f"up to {interval.high:.2f}"
    return f"{interval.low:.2f} {'and up' if interval.high is None else f'to {interval.high:.2f}'}"


def _holds(interval: QuantileInterval, limit: float) -> bool:
    above_low = interval.low is None or interval.low <= limit
    return above_low and (interval.high is None or limit < interval.high)
