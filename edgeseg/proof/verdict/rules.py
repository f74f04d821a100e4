"""When an engine has passed. Each rule gives a finding: how it ended, and one sentence with its figures.

An engine fails where one finding fails; else it is undecided where one finding is; else it has passed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeseg.artifacts import (
    ConfidenceInterval,
    FoundPolyps,
    Precision,
    RuleResult,
    Verdict,
    VerdictLimits,
)
from edgeseg.errors import MismatchError, UsageError
from edgeseg.proof.verdict.engine_comparison import Comparison
from edgeseg.proof.verdict.lost_polyps import found_polyps, lost_count
from edgeseg.proof.verdict.non_inferiority import MIN_IMAGES, non_inferiority, non_inferiority_in_words
from edgeseg.proof.verdict.regions import found_regions

Outcome = bool | Literal["undecided"]

MAX_DICE_DROP: dict[Precision, float] = {"fp32": 0.0005, "fp16": 0.001, "int8": 0.005}
"""Largest drop of each precision where the caller sets no limit."""
MOST_NAMES = 10
"""Lost polyps that a sentence names; the verdict's `polyps` names all."""


@dataclass(frozen=True)
class Finding:
    """How one rule ended, and why."""

    outcome: Outcome
    reason: str


Judged = Mapping[str, Sequence[Finding]]
"""The findings of each rule by its name, in the order of the rules; none where a rule had nothing to say."""


def limits_for(
    precision: Precision,
    max_dice_drop: float | None,
    max_p99_ms: float | None,
    max_lost_polyps: int | None = None,
    min_reference_dice: float | None = None,
    min_agreement: float | None = None,
    max_slowdown: float | None = None,
) -> VerdictLimits:
    """The limits that were asked for, with the precision's own drop where none was.

    Raises:
        UsageError: A limit that is no number, a count below 0, or a floor that no Dice can be held against.
    """
    for floor in (min_reference_dice, min_agreement):
        if floor is not None and not 0 <= floor <= 1:
            raise UsageError("a floor of the Dice is from 0 to 1", found=floor, expected="for example 0.4")
    if max_lost_polyps is not None and max_lost_polyps < 0:
        raise UsageError("a count cannot be below 0", found=max_lost_polyps, expected="for example --max-lost-polyps 0")
    if max_slowdown is not None and not 0 <= max_slowdown < math.inf:
        raise UsageError("a slowdown is at least 0 percent", found=max_slowdown, expected="--max-slowdown 5")
    for limit in (max_dice_drop, max_p99_ms):
        if limit is not None and not math.isfinite(limit):
            raise UsageError(
                "a limit must be a number",
                found=limit,
                expected="for example --max-dice-drop 0.005 --max-p99-ms 30",
            )
    drop = MAX_DICE_DROP[precision] if max_dice_drop is None else max_dice_drop
    return VerdictLimits(
        max_dice_drop=drop,
        max_p99_ms=max_p99_ms,
        max_lost_polyps=max_lost_polyps,
        min_reference_dice=min_reference_dice,
        min_agreement=min_agreement,
        max_slowdown=max_slowdown,
    )


def flattened(judged: Judged) -> list[Finding]:
    """Every rule's findings in one list: the failures first, then what is undecided, then what is in order."""
    return worst_first([finding for findings in judged.values() for finding in findings])


def results(judged: Judged) -> tuple[RuleResult, ...]:
    """The outcome of each rule, for a verdict; a rule that found nothing has passed."""
    return tuple(
        RuleResult(rule=rule, passed=conclude(findings), reasons=tuple(finding.reason for finding in findings))
        for rule, findings in judged.items()
    )


def conclude(findings: Sequence[Finding]) -> Outcome:
    """The outcome of all findings together: the worst of them."""
    outcomes = [finding.outcome for finding in findings]
    if any(outcome is False for outcome in outcomes):
        return False
    return "undecided" if "undecided" in outcomes else True


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """The failures first, then what is undecided, then what is in order."""
    return sorted(findings, key=lambda finding: {False: 0, "undecided": 1, True: 2}[finding.outcome])


def judge_finite(comparison: Comparison) -> list[Finding]:
    """Probabilities that are not finite fail the engine, however rare."""
    broken = [row.name for row in comparison.rows if not row.finite]
    if not broken:
        return []
    names = ", ".join(broken[:3]) + (", ..." if len(broken) > 3 else "")
    return [
        Finding(
            False,
            f"the engine gave NaN or infinity on {len(broken)} of {len(comparison.rows)} images "
            f"({names}); these score 0",
        )
    ]


def judge_dice(comparison: Comparison, interval: ConfidenceInterval, limits: VerdictLimits) -> Finding:
    """The mean Dice drop against its limit; the interval informs, the mean decides."""
    drop, limit = comparison.mean_dice_drop, limits.max_dice_drop
    passed = drop <= limit
    low, high = (-interval.high, -interval.low) if limit < 0 else (interval.low, interval.high)
    figures = f"95 % interval {low:+.4f} to {high:+.4f}, {len(comparison.rows)} images"
    if limit < 0:
        relation = "reaches" if passed else "falls short of"
        sentence = f"mean Dice gain {-drop:+.4f} {relation} the demanded gain of {-limit:.4f} ({figures})"
    else:
        relation = "is within" if passed else "is beyond"
        sentence = f"mean Dice drop {drop:.4f} {relation} {limit:.4f} ({figures})"
    if passed and interval.high > limit:
        test = non_inferiority(comparison.drops, limit)
        sentence += f"; the interval reaches past the limit: {non_inferiority_in_words(test, len(comparison.rows))}"
    return Finding(passed, sentence)


def judge_lost_polyps(comparison: Comparison, limits: VerdictLimits) -> list[Finding]:
    """The polyps that the reference finds and the engine loses, which a mean hides; without a limit a warning.

    They are counted by image and by region, and the larger count is held against the limit: the second polyp of an
    image hides behind the first, and what is marked far from a polyp spoils the mask of an image alone.
    """
    polyps, limit, lost = found_polyps(comparison.rows), limits.max_lost_polyps, lost_count(comparison.rows)
    if limit is None:
        warning = f"warning: {_lost_in_words(polyps, comparison)}; no --max-lost-polyps was set"
        return [Finding(True, warning)] if lost else []
    if not polyps.reference_found and not found_regions(comparison.rows).reference_found:
        return [Finding("undecided", "the reference finds no polyp, so there is none that the engine could lose")]
    passed = lost <= limit
    relation = "is within" if passed else "is beyond"
    return [Finding(passed, f"{_lost_in_words(polyps, comparison)}; this {relation} --max-lost-polyps {limit}")]


def _lost_in_words(polyps: FoundPolyps, comparison: Comparison) -> str:
    """``the engine loses the polyp of 1 of 80 images ... (1.2 %, 95 % interval 0.0 to 6.8 %): NAME (IoU ...)``."""
    lost, rows = polyps.lost, {row.name: row for row in comparison.rows}
    sentence = f"the engine loses the polyp of {lost.count} of {lost.of} images on which the reference finds it"
    if lost.interval is not None:
        low, high = 100 * lost.interval.low, 100 * lost.interval.high
        sentence += f" ({100 * lost.count / lost.of:.1f} %, 95 % interval {low:.1f} to {high:.1f} %)"
    named = [f"{name} (IoU {rows[name].reference_iou:.2f} to {rows[name].iou:.2f})" for name in lost.names]
    if named:
        sentence += f": {_first(named)}"
    by_region = found_regions(comparison.rows).lost
    if by_region.of and by_region.names != lost.names:
        sentence += f"; region by region it loses {by_region.count} of {by_region.of}"
        sentence += f": {_first(by_region.names)}" if by_region.names else ""
    return sentence


def _first(names: Sequence[str]) -> str:
    more = [f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join([*names[:MOST_NAMES], *more])


def judge_evidence(comparison: Comparison) -> list[Finding]:
    """Judge whether there are enough images on which a difference could show.

    Such an image has something to find, and one of the two networks finds some of it: where both miss
    everything, or nothing is there, a drop of zero says nothing about how well the engine finds polyps.
    """
    telling = sum(row.foreground > 0 and max(row.dice, row.reference_dice) > 0 for row in comparison.rows)
    if telling >= MIN_IMAGES:
        return []
    what = "image shows" if telling == 1 else "images show"
    more = math.ceil((MIN_IMAGES - telling) * len(comparison.rows) / telling) if telling else None
    sufficient = "" if more is None else f", about {more} more images like these"
    return [
        Finding(
            "undecided",
            f"{telling} of {len(comparison.rows)} {what} something that either network finds; "
            f"at least {MIN_IMAGES} are needed to decide{sufficient}",
        )
    ]


def refuse_unfit_baseline(baseline: Verdict, data_sha256: str) -> None:
    """Refuse a former verdict that says nothing about this one: one that did not pass, or of other images or masks.

    Raises:
        MismatchError: The baseline failed, is undecided, or was reached on other data.
    """
    if baseline.passed is not True:
        raise MismatchError(
            f"the baseline {'is undecided' if baseline.passed == 'undecided' else 'failed'} itself",
            found=baseline.reasons[0] if baseline.reasons else "no reason",
            expected="a verdict that passed",
            next_command="edgeseg verify FORMER_ENGINE --reference MODEL --data DIR --report DIR, or no --baseline",
        )
    if baseline.data_sha256 != data_sha256:
        raise MismatchError(
            "the baseline was measured on other images",
            found=f"data sha256 {baseline.data_sha256}",
            expected=f"data sha256 {data_sha256}",
            next_command="edgeseg verify FORMER_ENGINE --reference MODEL --data DIR --report DIR",
        )


def judge_baseline(comparison: Comparison, limits: VerdictLimits, baseline: Verdict) -> Finding:
    """Judge whether the engine is less accurate than one that was measured before on the same images."""
    fall, allowed = baseline.mean_dice - comparison.mean_dice, max(0.0, limits.max_dice_drop)
    relation = "is within" if fall <= allowed else "is beyond"
    return Finding(
        fall <= allowed,
        f"mean Dice {comparison.mean_dice:.4f} against the baseline's {baseline.mean_dice:.4f}: "
        f"a drop of {fall:.4f} {relation} {allowed:.4f}",
    )
