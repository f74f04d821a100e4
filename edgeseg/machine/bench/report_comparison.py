"""A bench against an earlier one: slower beyond a stated tolerance is a regression."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgeseg.artifacts import Percentiles
from edgeseg.errors import MismatchError
from edgeseg.machine.bench.bench_report import BaselineComparison, BenchReport, Series
from edgeseg.proof.verdict.latency_rules import LATENCY_NOISE_MS, MAX_LATENCY_GROWTH
from edgeseg.proof.verdict.rules import Finding, conclude

MAX_P50_GROWTH = 0.05
"""Share of the baseline's median that is allowed on top where the caller says nothing."""


def refuse_other_machine(baseline: BenchReport, machine: str, height: int, width: int) -> None:
    """Refuse what can be refused before anything is measured; see `compare` for the rest.

    Args:
        baseline: The earlier report.
        machine: This one.
        height: The frames' height in pixels.
        width: The frames' width in pixels.

    Raises:
        MismatchError: Another machine, or frames of another size.
    """
    settings = baseline.settings
    then = {"machine": baseline.machine, "frame size": f"{settings.frame_width}x{settings.frame_height}"}
    _refuse_differing({"machine": machine, "frame size": f"{width}x{height}"}, then)


def compare(report: BenchReport, baseline: BenchReport, max_growth: float = MAX_P50_GROWTH) -> BaselineComparison:
    """The medians against their tolerance, and the 99th percentiles against that of `edgeseg verify`.

    A comparison with a measurement that did not settle is undecided, unless it is a regression.

    Args:
        report: The new one.
        baseline: The old one.
        max_growth: Allowed growth of the median, as a share.

    Raises:
        MismatchError: Another machine, GPU or power mode, other threads, or frames of another size.
    """
    _refuse_differing(_place(report), _place(baseline))
    findings = [
        _judged(name, after.end_to_end, before.end_to_end, max_growth, after.stable and before.stable)
        for name, after, before in _pairs(report, baseline)
    ]
    return BaselineComparison(
        passed=conclude(findings),
        reasons=tuple(finding.reason for finding in findings),
        baseline_created=baseline.created,
        baseline_engine_sha256=baseline.engine_sha256,
    )


def _judged(name: str, after: Percentiles, before: Percentiles, max_growth: float, settled: bool) -> Finding:
    p50_limit = before.p50_ms * (1 + max_growth)
    p99_limit = max(before.p99_ms * MAX_LATENCY_GROWTH, before.p99_ms + LATENCY_NOISE_MS)
    passed = after.p50_ms <= p50_limit and after.p99_ms <= p99_limit
    sentence = (
        f"{name}: p50 {after.p50_ms:.2f} ms against {before.p50_ms:.2f} (limit {p50_limit:.2f}), "
        f"p99 {after.p99_ms:.2f} ms against {before.p99_ms:.2f} (limit {p99_limit:.2f})"
    )
    if passed and not settled:
        return Finding("undecided", f"{sentence}; one of the two did not settle")
    return Finding(passed, sentence)


def _pairs(report: BenchReport, baseline: BenchReport) -> Iterator[tuple[str, Series, Series]]:
    yield "back to back", report.back_to_back, baseline.back_to_back
    before = {paced.rate_hz: paced.series for paced in baseline.paced}
    for paced in report.paced:
        if paced.rate_hz in before:
            yield f"{paced.rate_hz:.4g} Hz", paced.series, before[paced.rate_hz]


def _refuse_differing(found: Mapping[str, object], expected: Mapping[str, object]) -> None:
    differing = [name for name in found if found[name] != expected[name]]
    if differing:
        raise MismatchError(
            f"the baseline was measured under other conditions ({', '.join(differing)})",
            found="; ".join(str(found[name]) for name in differing),
            expected="; ".join(str(expected[name]) for name in differing),
            next_command="edgeseg bench FORMER_ENGINE --out FILE.json on this machine, in the same way",
        )


def _place(report: BenchReport) -> dict[str, object]:
    settings = report.settings
    return {
        "machine": report.machine,
        "GPU": report.gpu,
        "power mode": settings.power_mode,
        "threads": settings.threads,
        "frame size": f"{settings.frame_width}x{settings.frame_height}",
    }
