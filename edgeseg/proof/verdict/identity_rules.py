"""Judges whether an engine computes what its reference does, where a mean Dice hides that it does not."""

from __future__ import annotations

import numpy as np

from edgeseg.artifacts import EngineArtifact, Precision, VerdictLimits
from edgeseg.proof.verdict.engine_comparison import Comparison
from edgeseg.proof.verdict.rules import MAX_DICE_DROP, Finding
from edgeseg.proof.verdict.systematic import threshold_of
from edgeseg.runtime.engine.session import SessionInfo

MAX_DISPLACEMENT_PX = 0.15
"""Largest displacement of the probabilities, in pixels of the network's output. On Kvasir-SEG's test images the shipped
INT8 engines have a median of 0, and of 0.22 to 0.46 with frames half a pixel aside."""
MAX_LOGIT_OFFSET = 0.2
"""Largest offset of the logits near the threshold: that of a threshold of 0.45 or 0.55. The shipped INT8 engines have
up to 0.09 there, and 0.26 to 0.41 with a threshold of 0.4."""
MAX_FLIPPED_FP32 = 0.0005
"""Largest share of pixels that a float32 engine may mark otherwise than float32 on another backend. Runs of one graph
differ by less than 0.0001 (`agreement.MAX_FLIPPED_SHARE`), another resize filter by 0.0012 and more."""


def is_built_from(engine: SessionInfo, reference: SessionInfo, passport: EngineArtifact | None) -> bool | None:
    """Tell whether the engine was built from the reference's file; None where no passport says so."""
    if engine.sha256 == reference.sha256:
        return True
    return None if passport is None else passport.onnx_sha256 == reference.sha256


def judge_displacement(comparison: Comparison) -> list[Finding]:
    """Fail masks that lie aside of the reference's on every image, as a resize without half-pixel centres puts them."""
    found = comparison.systematic
    if found is None:
        return []
    directions = [
        f"{abs(shift):.2f} px {words[shift > 0]}"
        for shift, sure, words in (
            (found.right_px, found.right_sure, ("to the left", "to the right")),
            (found.down_px, found.down_sure, ("up", "down")),
        )
        if sure and abs(shift) > MAX_DISPLACEMENT_PX
    ]
    if not directions:
        return []
    return [
        Finding(
            False,
            f"the engine's probabilities lie {' and '.join(directions)} of the reference's (median over "
            f"{found.image_count} images, in pixels of the network): are its frames resized or cropped by another "
            "rule, for example without half-pixel centres?",
        )
    ]


def judge_offset(comparison: Comparison, built_from_reference: bool | None) -> list[Finding]:
    """Fail an engine with another threshold; a network that was trained anew may have its own, and is warned of."""
    found = comparison.systematic
    if found is None or not found.offset_sure or abs(found.logit_offset) <= MAX_LOGIT_OFFSET:
        return []
    sentence = (
        f"the engine's logits near the threshold are off the reference's by {found.logit_offset:+.2f} (median over "
        f"{found.offset_count} images), as if its threshold were {threshold_of(found.logit_offset):.2f} in the place "
        "of 0.5"
    )
    if built_from_reference is False:
        return [Finding(True, f"warning: {sentence}; its passport names another network than the reference")]
    return [Finding(False, sentence)]


def judge_float32(
    comparison: Comparison,
    limits: VerdictLimits,
    precision: Precision,
    reference_precision: Precision,
    built_from_reference: bool | None,
) -> list[Finding]:
    """Fail a float32 engine of the very network whose float32 masks are others: nothing was rounded that may differ.

    Whoever allows more than float32's own drop allows other masks as well.
    """
    if (precision, reference_precision, built_from_reference) != ("fp32", "fp32", True):
        return []
    if limits.max_dice_drop > MAX_DICE_DROP["fp32"]:
        return []
    flipped = float(np.mean([1.0 if row.flipped_share is None else row.flipped_share for row in comparison.rows]))
    if flipped <= MAX_FLIPPED_FP32:
        return []
    return [
        Finding(
            False,
            f"{flipped:.2%} of the pixels are not the reference's, and both compute one network in float32, where "
            f"{MAX_FLIPPED_FP32:.2%} are allowed: are its frames resized or normalised by another rule?",
        )
    ]
