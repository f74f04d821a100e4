"""All that one network is measured on: labelled images, frames without a polyp, a clip that shows one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.dataset import Pair
from edgeseg.metrics import TOLERANCE_PX
from edgeseg.progress import Track, silent
from edgeseg.proof.evaluation.false_alarms import FalseAlarms, false_alarms
from edgeseg.proof.evaluation.frame_masks import KeptFrame, UnlabelledSource, measure_frames
from edgeseg.proof.evaluation.polyp_clip import PolypClip, polyp_clip
from edgeseg.proof.verdict.evaluation import Evaluation, evaluate
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.session import SessionInfo


@dataclass(frozen=True)
class Material:
    """The images and frames to measure a network on; None leaves a kind out."""

    pairs: Sequence[Pair] | None = None
    negatives: UnlabelledSource | None = None
    positives: UnlabelledSource | None = None
    shown: Sequence[tuple[int, int]] | None = None
    """First and last frame of each stretch of `positives` that shows the polyp."""
    tolerance_px: float = TOLERANCE_PX


@dataclass(frozen=True)
class Measurement:
    """The figures that one network reached."""

    info: SessionInfo
    evaluation: Evaluation | None
    negatives: FalseAlarms | None
    positives: PolypClip | None
    worst_alarms: tuple[KeptFrame, ...] = ()
    """The largest masks on frames without a polyp."""

    def figures(self) -> dict[str, float]:
        """The figures that can be averaged over trainings, by name."""
        figures: dict[str, float] = {}
        if self.evaluation is not None:
            measured = self.evaluation
            names = ("mean_dice", "mean_iou", "mean_sensitivity", "mean_precision", "mean_surface_dice")
            figures |= {name: getattr(measured, name) for name in (*names, "median_hd95_px")}
            if measured.detection.found_share is not None:
                figures["found_share"] = measured.detection.found_share
        if self.negatives is not None:
            figures["alarm_share"] = self.negatives.alarm_share
        if self.positives is not None:
            labelled = self.positives.labelled
            figures["clip_found_share"] = self.positives.counting_share if labelled is None else labelled.found_share
        return figures


def measure(engine: Engine, material: Material, keep: int = 0, track: Track = silent) -> Measurement:
    """Measure a network on all that there is.

    Args:
        engine: What is to be measured.
        material: What to measure it on.
        keep: How many of the largest false masks to keep as pictures.
        track: Shows progress.

    Raises:
        UsageError: A range without frames.
        NotFiniteError: The network gave NaN or infinity.
        BadInputError: Something that cannot be read.
    """
    evaluation = alarms = clip = None
    worst: tuple[KeptFrame, ...] = ()
    if material.pairs is not None:
        evaluation = evaluate(engine, material.pairs, track, material.tolerance_px)
    if material.negatives is not None:
        masks = measure_frames(engine, material.negatives, keep, track, "frames without a polyp")
        alarms, worst = false_alarms(masks, material.negatives), masks.largest
    if material.positives is not None:
        masks = measure_frames(engine, material.positives, 0, track, "frames of the polyp clip")
        clip = polyp_clip(masks, material.positives, material.shown)
    return Measurement(engine.info, evaluation, alarms, clip, worst)
