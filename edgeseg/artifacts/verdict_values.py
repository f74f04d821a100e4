"""The values of a proof: latencies, limits, and the verdict with its rows."""

from __future__ import annotations

from typing import Literal

import pydantic

from edgeseg.artifacts.clip_values import ClipVerdict
from edgeseg.artifacts.measure_values import (
    BoundaryComparison,
    CalibrationComparison,
    FoundRegions,
    NonInferiority,
    PolypChange,
    SizeComparison,
    SystematicDifference,
)
from edgeseg.artifacts.passport_values import Precision
from edgeseg.artifacts.proof_values import RESEARCH_NOTICE, ConfidenceInterval, ProtocolRecord, RuleResult
from edgeseg.artifacts.timing_values import BaselineTiming, LatencyEvidence, Percentiles
from edgeseg.class_overlap import ClassScore
from edgeseg.specs import ModelSpec
from edgeseg.values import Part, Value


class LatencyReport(Value):
    """How long frames took, stage by stage."""

    frames: int
    """Frames decoded."""
    inferences: int
    drops: int
    """Frames that were never inferred, because a newer one had come."""
    deadline_misses: int
    """Frames whose end-to-end time passed the source's frame period; only counted where a deadline applies."""
    decode: Percentiles | None = None
    pre: Percentiles | None = None
    infer: Percentiles | None = None
    post: Percentiles | None = None
    draw: Percentiles | None = None
    encode: Percentiles | None = None
    end_to_end: Percentiles
    fps: float
    cpu_ms_per_frame: float
    """Processor time of the whole process divided by frames; an engine's own process is not in it."""
    backend: str
    precision: Precision
    machine: str
    """Processor and cores, the GPU before them where one inferred: a latency means nothing without it."""
    retries: int = 0
    """Frames that were handed to the engine again, because its process died or refused them; none is left out."""
    restarts: int = 0
    """How often the engine's process died and was started again."""


class VerdictLimits(Part):
    """The limits that were demanded."""

    model_config = pydantic.ConfigDict(allow_inf_nan=False)

    max_dice_drop: float
    """Limit of the mean drop over the images; a negative limit demands a gain."""
    max_p99_ms: float | None = None
    """End to end for one image; None demands nothing."""
    max_slowdown: float | None = pydantic.Field(default=None, ge=0)
    """How much longer than a baseline engine one image may take, in percent; None demands nothing."""
    max_lost_polyps: int | None = pydantic.Field(default=None, ge=0)
    """Polyps that the reference finds and the engine does not, counted by image and by region, whichever is more; None
    demands nothing."""
    min_reference_dice: float | None = pydantic.Field(default=None, ge=0, le=1)
    """Floor of the reference's mean Dice over the images that show a polyp; None takes the default, as below."""
    min_agreement: float | None = pydantic.Field(default=None, ge=0, le=1)
    """Floor of the mean Dice of the engine's masks against the reference's, over the images that either marks."""


class VerdictRow(Part):
    """One image under both engines."""

    name: str
    dice: float
    """The engine's Dice against ground truth; 0 where its probabilities are not finite."""
    reference_dice: float
    drop: float
    """reference_dice - dice; positive is worse."""
    agreement: float
    """Dice of the engine's mask against the reference's mask."""
    iou: float
    """The engine's IoU against ground truth."""
    reference_iou: float | None = None
    """The reference's IoU against ground truth; None in a verdict from before it was kept."""
    foreground: float = pydantic.Field(ge=0, le=1)
    """Share of the image that ground truth marks; 0 where there is nothing to find."""
    marked: float | None = pydantic.Field(default=None, ge=0, le=1)
    """Share of the image that the engine marks; None where it gave no mask, and in a verdict from before this field."""
    reference_marked: float | None = pydantic.Field(default=None, ge=0, le=1)
    """Share of the image that the reference marks; None in a verdict from before this field."""
    flipped_share: float | None = pydantic.Field(default=None, ge=0, le=1)
    """Share of the image's pixels whose class differs from the reference's; None as for `marked`."""
    confidence: float | None = None
    """Mean of the engine's probabilities inside the reference's mask; None where that is empty, and as for `marked`."""
    reference_confidence: float | None = None
    """Mean of the reference's probabilities there; None where `confidence` is."""
    region_ious: tuple[float, ...] = ()
    """The engine's IoU with each connected region of ground truth, the largest region first; empty where there is none,
    and in a verdict from before this field, as are the next three."""
    reference_region_ious: tuple[float, ...] = ()
    hd95_px: float | None = None
    """95th percentile Hausdorff distance of the engine's mask to ground truth; the diagonal where one is empty."""
    reference_hd95_px: float | None = None
    diagonal_px: float | None = None
    """The picture's diagonal."""
    finite: bool = True
    """True if every probability of the engine was a number; one image without fails the engine."""


class ProbabilityShift(Part):
    """How an engine's probabilities differ from its reference's, over the pixels of all images; no limit judges it.

    Masks compare probabilities with the threshold alone, so equal masks hide an engine that is less sure of them.
    """

    mean_difference: float = pydantic.Field(ge=0)
    """Mean of the absolute difference."""
    p99_difference: float = pydantic.Field(ge=0)
    """Its 99th percentile, to 0.0001."""
    confidence: float | None = None
    """Mean of the engine's probabilities inside the reference's masks; None where these are empty, as is the next."""
    reference_confidence: float | None = None
    """Mean of the reference's own probabilities there."""


class FoundPolyps(Part):
    """The images on which each network finds the polyp, which a mean hides.

    The mask of an image counts as one thing, so that what it marks elsewhere counts against it, too.
    """

    found_iou: float
    """The overlap with ground truth from which a polyp counts as found."""
    images_with_polyp: int
    reference_found: int
    engine_found: int
    lost: PolypChange
    """Found by the reference, not by the engine."""
    gained: PolypChange
    """Found by the engine, not by the reference."""


class Verdict(Value):
    """Says whether an engine may be shipped, and why.

    False where a limit is broken; "undecided" where none is broken but the evidence is too thin; else true.
    """

    passed: bool | Literal["undecided"]
    reasons: tuple[str, ...]
    """One sentence with its figures for each thing that was judged, passed or not."""
    rules: tuple[RuleResult, ...] = ()
    """The outcome of each rule, in the order of the rules; empty in a verdict from before they were kept."""
    engine_sha256: str
    reference_sha256: str
    data_sha256: str
    backend: str
    precision: Precision
    image_count: int
    mean_dice: float
    mean_iou: float
    reference_mean_dice: float
    reference_mean_iou: float | None = None
    """None in a verdict from before it was kept."""
    mean_dice_drop: float
    """Mean over the images of reference minus engine; positive is worse."""
    mean_agreement: float
    """Mean Dice of the engine's masks against the reference's masks."""
    reference_shuffled_dice: float | None = None
    """Mean Dice of the reference's masks against other images' ground truth, as chance has it; None where not known."""
    confidence_interval: ConfidenceInterval
    """Interval of the mean Dice drop."""
    by_class: tuple[ClassScore, ...] = ()
    """The engine's figures of every class but the background; empty for one class, likewise the next."""
    reference_by_class: tuple[ClassScore, ...] = ()
    polyps: FoundPolyps | None = None
    """None in a verdict from before they were counted."""
    non_inferiority: NonInferiority | None = None
    """None in a verdict from before it was tested; likewise the next three."""
    regions: FoundRegions | None = None
    by_size: tuple[SizeComparison, ...] = ()
    """Small, medium and large polyps."""
    boundary: BoundaryComparison | None = None
    """None as well where no image shows a polyp."""
    calibration: CalibrationComparison | None = None
    """None where the engine gave no finite probabilities, and as the fields before."""
    probability_shift: ProbabilityShift | None = None
    """None where the engine gave no finite probabilities, and in a verdict from before this was measured."""
    systematic: SystematicDifference | None = None
    """None where the outputs have other sizes or nothing could be told, and in a verdict from before this field."""
    limits: VerdictLimits
    latency: LatencyReport
    latency_samples_ms: tuple[float, ...]
    """End-to-end time of each timed image, in the order of measurement."""
    latency_evidence: LatencyEvidence | None = None
    """None in a verdict from before it was kept."""
    baseline_timing: BaselineTiming | None = None
    """None where no baseline engine was given."""
    model: ModelSpec
    """The engine's network."""
    reference_model: ModelSpec
    reference_backend: str
    reference_precision: Precision
    convolutions: int | None = None
    """Number of convolutions in the passport, where the engine has one; likewise the next."""
    int8_convolutions: int | None = None
    edgeseg_version: str
    created: str
    """UTC, ISO 8601."""
    next_command: str | None = None
    """The command to type next where an INT8 engine did not pass."""
    notice: str = RESEARCH_NOTICE
    protocol: ProtocolRecord | None = None
    """None where no protocol was given."""
    clips: ClipVerdict | None = None
    """The verdict on clips, which `passed` and `reasons` take in; None where none were given."""
    rows: tuple[VerdictRow, ...]
