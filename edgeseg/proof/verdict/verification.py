"""The proof itself: compare, time, judge."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import edgeseg
from edgeseg.artifacts import (
    BaselineTiming,
    EngineArtifact,
    LatencyEvidence,
    LatencyReport,
    Precision,
    Verdict,
    VerdictLimits,
)
from edgeseg.dataset import Pair, hash_pairs
from edgeseg.progress import Track, silent
from edgeseg.proof.timing.baseline_timing import time_against_baseline
from edgeseg.proof.timing.clock import MonotonicClock
from edgeseg.proof.timing.image_times import LIMIT_SAMPLES, SAMPLES, measure_latency
from edgeseg.proof.timing.latency_evidence import evidence_of, watched
from edgeseg.proof.timing.timing_in_turns import pictures_of
from edgeseg.proof.verdict import identity_rules, latency_rules, plausibility, rules
from edgeseg.proof.verdict.diagnosis import likely_cause
from edgeseg.proof.verdict.engine_comparison import Comparison, compare
from edgeseg.proof.verdict.engine_measures import boundary_comparison, compare_by_size
from edgeseg.proof.verdict.lost_polyps import found_polyps
from edgeseg.proof.verdict.non_inferiority import non_inferiority
from edgeseg.proof.verdict.regions import found_regions
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.session import SessionInfo


@dataclass(frozen=True)
class Timings:
    """The conditions of the times, and the times beside a baseline engine; None where there are none."""

    evidence: LatencyEvidence | None = None
    baseline: BaselineTiming | None = None


def verify(
    engine: Engine,
    reference: Engine,
    pairs: Sequence[Pair],
    limits: VerdictLimits,
    *,
    passport: EngineArtifact | None = None,
    baseline: Verdict | None = None,
    twins: tuple[Engine, Engine] | None = None,
    track: Track = silent,
) -> Verdict:
    """Hold an engine against its reference on labelled images.

    Args:
        engine: The engine that is to be shipped.
        reference: What it must not be worse than; it may have another input size, not other classes.
        pairs: Labelled images that neither training nor calibration has seen.
        limits: What is demanded; `edgeseg.proof.verdict.rules.limits_for` gives the defaults.
        passport: The engine's, for what it says of INT8 convolutions.
        baseline: A former verdict on the same images, not to fall behind.
        twins: Two openings of an engine that it must not be slower than; all three are timed in turns.
        track: Shows progress.

    Raises:
        MismatchError: Other classes, or a baseline that did not pass or is of other data.
        NotFiniteError: The reference gave NaN or infinity (an engine that does so fails, with a reason).
        BadInputError: No pairs, or an image or mask that cannot be read.
    """
    data_sha256, limits = hash_pairs(pairs), plausibility.with_floors(limits)
    if baseline is not None:
        rules.refuse_unfit_baseline(baseline, data_sha256)
    comparison = compare(engine, reference, pairs, track)
    latency, samples_ms, timings = _time(engine, pairs, limits, twins, track)
    built_from_reference = identity_rules.is_built_from(engine.info, reference.info, passport)
    judged = judge(comparison, latency, limits, engine.info.precision, baseline, built_from_reference, timings)
    judged["float32's own masks"] = identity_rules.judge_float32(
        comparison, limits, engine.info.precision, reference.info.precision, built_from_reference
    )
    outcome = rules.conclude(rules.flattened(judged))
    cause = None if outcome is True else likely_cause(engine, reference, pairs, comparison.rows, passport)
    causes = {} if cause is None else {"likely cause": [rules.Finding(outcome, cause)]}
    findings = rules.flattened({**judged, **causes})
    return Verdict(
        passed=outcome,
        reasons=tuple(finding.reason for finding in findings),
        rules=rules.results(judged),
        data_sha256=data_sha256,
        image_count=len(pairs),
        limits=limits,
        latency=latency,
        latency_samples_ms=samples_ms,
        edgeseg_version=edgeseg.__version__,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        convolutions=None if passport is None else passport.convolutions,
        int8_convolutions=None if passport is None else passport.int8_convolutions,
        latency_evidence=timings.evidence,
        baseline_timing=timings.baseline,
        **_scores(comparison, limits),
        **identity(engine.info, reference.info),
    )


def _time(
    engine: Engine,
    pairs: Sequence[Pair],
    limits: VerdictLimits,
    twins: tuple[Engine, Engine] | None,
    track: Track,
) -> tuple[LatencyReport, tuple[float, ...], Timings]:
    """Time single images, as many as a limit of their p99 needs, and then the engine against its baseline."""
    samples = SAMPLES if limits.max_p99_ms is None else LIMIT_SAMPLES
    with watched(engine) as watch:
        latency, samples_ms = measure_latency(engine, pairs, samples, track=track)
    evidence, against = evidence_of(samples_ms, watch.conditions), None
    if twins is not None:
        against = time_against_baseline(engine, *twins, pictures_of(pairs), MonotonicClock())
    return latency, samples_ms, Timings(evidence, against)


def judge(
    comparison: Comparison,
    latency: LatencyReport,
    limits: VerdictLimits,
    precision: Precision,
    baseline: Verdict | None = None,
    built_from_reference: bool | None = None,
    timings: Timings = Timings(),
) -> dict[str, Sequence[rules.Finding]]:
    """Every rule's findings, by the rule's name."""
    judged = _judge_accuracy(comparison, limits, precision, built_from_reference)
    judged["latency"] = latency_rules.judge_latency(latency, limits, timings.evidence)
    judged["FP16 on a CPU"] = latency_rules.note_cpu_fp16(latency)
    if baseline is not None:
        judged["baseline"] = [
            rules.judge_baseline(comparison, limits, baseline),
            latency_rules.judge_former_latency(latency, baseline.latency),
        ]
    if limits.max_slowdown is not None:
        judged["baseline engine"] = latency_rules.judge_slowdown(timings.baseline, limits)
    return judged


def judge_accuracy(comparison: Comparison, limits: VerdictLimits, precision: Precision) -> list[rules.Finding]:
    """The findings of the rules that ask for no time, the worst first."""
    return rules.flattened(_judge_accuracy(comparison, limits, precision))


def _judge_accuracy(
    comparison: Comparison, limits: VerdictLimits, precision: Precision, built_from_reference: bool | None = None
) -> dict[str, Sequence[rules.Finding]]:
    return {
        "finite probabilities": rules.judge_finite(comparison),
        "mean Dice drop": [rules.judge_dice(comparison, comparison.drop_interval(), limits)],
        "lost polyps": rules.judge_lost_polyps(comparison, limits),
        "enough images": rules.judge_evidence(comparison),
        "agreement with the reference": plausibility.judge_agreement(comparison, limits),
        "engine's masks": plausibility.judge_engine_masks(comparison),
        "displacement": identity_rules.judge_displacement(comparison),
        "threshold": identity_rules.judge_offset(comparison, built_from_reference),
        "reference's masks": plausibility.judge_reference(comparison, limits),
        "unexplained gain": plausibility.judge_gain(comparison, limits, precision),
    }


def _scores(comparison: Comparison, limits: VerdictLimits) -> dict[str, Any]:
    return {
        "mean_dice": comparison.mean_dice,
        "mean_iou": comparison.mean_iou,
        "reference_mean_dice": comparison.reference_mean_dice,
        "reference_mean_iou": comparison.reference_mean_iou,
        "mean_dice_drop": comparison.mean_dice_drop,
        "mean_agreement": comparison.mean_agreement,
        "reference_shuffled_dice": None if comparison.shuffled is None else comparison.shuffled.reference_dice,
        "confidence_interval": comparison.drop_interval(),
        "by_class": comparison.by_class,
        "reference_by_class": comparison.reference_by_class,
        "polyps": found_polyps(comparison.rows),
        "non_inferiority": non_inferiority(comparison.drops, limits.max_dice_drop),
        "regions": found_regions(comparison.rows),
        "by_size": compare_by_size(comparison.rows),
        "boundary": boundary_comparison(comparison.rows),
        "calibration": comparison.calibration,
        "probability_shift": comparison.shift,
        "systematic": comparison.systematic,
        "rows": comparison.rows,
    }


def identity(engine: SessionInfo, reference: SessionInfo) -> dict[str, Any]:
    """The fields of a verdict that name the two networks."""
    return {
        "engine_sha256": engine.sha256,
        "model": engine.model,
        "backend": engine.backend,
        "precision": engine.precision,
        "reference_sha256": reference.sha256,
        "reference_model": reference.model,
        "reference_backend": reference.backend,
        "reference_precision": reference.precision,
    }
