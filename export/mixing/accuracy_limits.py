"""The limits that a mix of precisions must hold, and the labelled pictures that decide it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeseg.artifacts import VerdictLimits
from edgeseg.dataset import Pair, load_pairs
from edgeseg.errors import UsageError
from edgeseg.precision_search import MaskHarm
from edgeseg.proof.verdict import rules
from edgeseg.proof.verdict.engine_comparison import Comparison
from edgeseg.proof.verdict.lost_polyps import lost_count

SPLIT = "validation"
"""The split that chooses, so that the test split can still prove."""


@dataclass(frozen=True)
class AccuracyLimits:
    """The limits of what INT8 may cost on labelled pictures; None takes what `edgeseg verify` has for INT8, or none."""

    data: Path
    """A data set with masks, of which the validation split decides; one without splits is taken whole."""
    max_dice_drop: float | None = None
    max_lost_polyps: int | None = None
    always_alone: bool = False
    """Try each convolution alone although INT8 throughout holds the limits."""

    def pairs(self, classes: int) -> list[Pair]:
        """The labelled pictures, for a network of so many channels.

        Raises:
            BadInputError: There are none, or they cannot be used.
        """
        return load_pairs(self.data, SPLIT, classes=classes)

    def as_demanded(self) -> VerdictLimits:
        """The limits as `edgeseg verify` has them.

        Raises:
            UsageError: A limit that is no limit.
        """
        return rules.limits_for("int8", self.max_dice_drop, None, self.max_lost_polyps)


def limits_on(data: Path | None, max_dice_drop: float | None, max_lost_polyps: int | None) -> AccuracyLimits | None:
    """The limits that were asked for; None where none were.

    Raises:
        UsageError: Limits without pictures, or pictures without a limit.
    """
    if (data is None) != (max_dice_drop is None and max_lost_polyps is None):
        raise UsageError(
            "limits and labelled pictures need each other",
            found="a limit without --data" if data is None else "--data without a limit",
            expected="--data DIR with --max-dice-drop D, --max-lost-polyps N or both",
        )
    return None if data is None else AccuracyLimits(data, max_dice_drop, max_lost_polyps)


def harm_of(comparison: Comparison) -> MaskHarm:
    """Sum up what a mix does to the masks; a picture without finite probabilities counts as flipped throughout."""
    flipped = [1.0 if row.flipped_share is None else row.flipped_share for row in comparison.rows]
    return MaskHarm(
        mean_dice_drop=comparison.mean_dice_drop,
        lost_polyps=lost_count(comparison.rows),
        flipped_share=sum(flipped) / len(flipped),
    )


def findings(comparison: Comparison, limits: VerdictLimits) -> list[rules.Finding]:
    """The rules of `edgeseg verify` that say if a mix holds the limits, with their figures."""
    return [
        *rules.judge_finite(comparison),
        rules.judge_dice(comparison, comparison.drop_interval(), limits),
        *rules.judge_lost_polyps(comparison, limits),
    ]


def holds(comparison: Comparison, limits: VerdictLimits) -> bool:
    """Tell whether a mix breaks no limit; where float32 finds no polyp, none can be lost."""
    return rules.conclude(findings(comparison, limits)) is not False
