"""Judges if a comparison shows anything: a reference that knows the images, and an engine that is the same network.

A drop of nothing says nothing where both networks are wrong. These rules speak only where something is wrong.
"""

from __future__ import annotations

import numpy as np

from edgeseg.artifacts import Precision, VerdictLimits, VerdictRow
from edgeseg.proof.verdict.engine_comparison import Comparison
from edgeseg.proof.verdict.lost_polyps import found_polyps
from edgeseg.proof.verdict.rules import MAX_DICE_DROP, Finding
from edgeseg.proof.verdict.thumbnails import Bits, Constant, better_turned, constant

MIN_REFERENCE_DICE = 0.4
"""Floor of the reference's mean Dice over the images that show a polyp. On Kvasir-SEG's test images, marking the whole
picture reaches 0.26, and so do the shipped packages' masks against other images' ground truth; they reach 0.91 to 0.94
against their own, 0.01 to 0.02 against inverted masks, and an untrained network 0.03."""
MIN_AGREEMENT = 0.7
"""Floor of the Dice of the engine's masks against the reference's. The shipped packages, three different networks,
agree with each other to 0.93 to 0.96 on Kvasir-SEG's test images; an untrained network and its INT8 engine to 0.38."""
MIN_SKILL = 0.2
"""Floor of the way from chance to ground truth (`thumbnails.Shuffled.skill`); the shipped packages reach 0.87
and more on Kvasir-SEG's test images, and 0 with shuffled masks."""
MIN_TURN_GAIN = 0.1
"""Gain in Dice of mirrored or turned ground truth that chance does not bring. On Kvasir-SEG's test images kvasir-ultra
keeps a Dice of 0.45 and a skill of 0.26 against masks upside down, which the two floors above let through."""


def judge_reference(comparison: Comparison, limits: VerdictLimits) -> list[Finding]:
    """Say why the reference's masks prove nothing on these images, where they do not: undecided."""
    shown = [row for row in comparison.rows if row.foreground > 0]
    if not shown:
        return [_undecided(f"ground truth marks nothing on any of {len(comparison.rows)} images")]
    findings = []
    same = _reference_constant(comparison)
    if same is not None:
        findings.append(_undecided(f"the reference marks {_in_words(same, len(comparison.rows))}"))
    if found_polyps(comparison.rows).reference_found == 0 and limits.max_lost_polyps is None:
        findings.append(_undecided(f"the reference finds the polyp of none of {len(shown)} images that show one"))
    return [*findings, *_judge_reference_dice(shown, limits), *_judge_pairing(comparison), *_judge_turn(comparison)]


def judge_agreement(comparison: Comparison, limits: VerdictLimits) -> list[Finding]:
    """Fail an engine whose masks are not the reference's, whatever both score against ground truth."""
    marked = [row for row in comparison.rows if not _both_empty(row)]
    if not marked:
        return []
    agreement, floor = float(np.mean([row.agreement for row in marked])), limits.min_agreement or 0
    if agreement >= floor:
        return []
    return [
        Finding(
            False,
            f"the engine's masks agree with the reference's to a mean Dice of {agreement:.4f} on the {len(marked)} "
            f"images that either marks; at least {floor:.2f} is expected of one network in two forms",
        )
    ]


def judge_engine_masks(comparison: Comparison) -> list[Finding]:
    """Fail an engine that marks the same on every image where the reference does not."""
    masks, truths = _finite_engine_masks(comparison)
    same = constant(masks, truths)
    if same is None or _reference_constant(comparison) is not None:
        return []
    return [Finding(False, f"the engine marks {_in_words(same, len(masks))}")]


def judge_gain(comparison: Comparison, limits: VerdictLimits, precision: Precision) -> list[Finding]:
    """Ask why an engine is better than its reference by more than it may be worse; a demanded gain needs no reason.

    Rounding moves masks both ways, so a gain that is more than chance comes from another network or from a reference
    that is not what it should be.
    """
    gain, limit = -comparison.mean_dice_drop, limits.max_dice_drop
    if limit < 0 or gain <= limit:
        return []
    sure = comparison.drop_interval().high < 0 and gain > MAX_DICE_DROP[precision]
    sentence = f"mean Dice gain {gain:.4f} is larger than the allowed drop of {limit:.4f}"
    if not sure:
        return [Finding(True, f"warning: {sentence}; chance may explain it")]
    return [
        _undecided(
            f"{sentence}, more than chance explains: is the reference the network that the engine was built from? "
            f"A gain that is meant is demanded: --max-dice-drop {-gain / 2:.3g}"
        )
    ]


def with_floors(limits: VerdictLimits) -> VerdictLimits:
    """The limits with the default floors where none were asked for.

    Whoever allows a large drop allows other masks as well, so that the agreement's floor falls with it.
    """
    agreement = min(MIN_AGREEMENT, max(0.0, 1 - limits.max_dice_drop))
    floors = {"min_reference_dice": MIN_REFERENCE_DICE, "min_agreement": agreement}
    missing = {name: floor for name, floor in floors.items() if getattr(limits, name) is None}
    return limits.model_copy(update=missing)


def _judge_reference_dice(shown: list[VerdictRow], limits: VerdictLimits) -> list[Finding]:
    reached, floor = float(np.mean([row.reference_dice for row in shown])), limits.min_reference_dice or 0
    if reached < floor:
        return [
            _undecided(
                f"the reference's mean Dice is {reached:.4f} on the {len(shown)} images that show a polyp, below "
                f"--min-reference-dice {floor:g}: is it trained, and are these its images and masks?"
            )
        ]
    blunt = float(np.mean([2 * row.foreground / (1 + row.foreground) for row in shown]))
    if reached > blunt:
        return []
    return [
        _undecided(
            f"the reference's mean Dice is {reached:.4f} on the {len(shown)} images that show a polyp; marking the "
            f"whole picture reaches {blunt:.4f}: are these masks right?"
        )
    ]


def _judge_turn(comparison: Comparison) -> list[Finding]:
    """Doubt masks that were saved mirrored or turned: large polyps in the middle still overlap with them."""
    found = better_turned(comparison.thumbnails)
    if found is None or found.dice - found.own_dice < MIN_TURN_GAIN:
        return []
    return [
        _undecided(
            f"the reference's masks fit the ground truth better {found.how} (mean Dice {found.dice:.4f}) than as it "
            f"lies ({found.own_dice:.4f}): were the masks saved another way round than the images?"
        )
    ]


def _judge_pairing(comparison: Comparison) -> list[Finding]:
    found = comparison.shuffled
    if found is None or found.skill is None or found.skill >= MIN_SKILL:
        return []
    return [
        _undecided(
            f"the reference's masks fit other images' ground truth (mean Dice {found.reference_dice:.4f}) about as "
            f"well as their own ({found.own_dice:.4f}): does each mask belong to its image?"
        )
    ]


def _reference_constant(comparison: Comparison) -> Constant | None:
    images = comparison.thumbnails
    return constant([image.reference for image in images], [image.truth for image in images])


def _finite_engine_masks(comparison: Comparison) -> tuple[list[Bits], list[Bits]]:
    finite = [(image.engine, image.truth) for image in comparison.thumbnails if image.engine is not None]
    return [engine for engine, _ in finite], [truth for _, truth in finite]


def _both_empty(row: VerdictRow) -> bool:
    return row.marked == 0 and row.reference_marked == 0


def _in_words(same: Constant, count: int) -> str:
    return f"the same pixels on all {count} images" if same == "the same" else f"{same} on all {count} images"


def _undecided(reason: str) -> Finding:
    return Finding("undecided", reason)
