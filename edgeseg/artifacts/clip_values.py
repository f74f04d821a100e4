"""The values of a proof on clips: lesions found, false activations, flicker and delay under two networks."""

from __future__ import annotations

from typing import Literal

import pydantic

from edgeseg.artifacts.passport_values import Precision
from edgeseg.artifacts.proof_values import RESEARCH_NOTICE, ConfidenceInterval, ProtocolRecord, RuleResult
from edgeseg.specs import ModelSpec
from edgeseg.values import Part, Value


class ClipLimits(Part):
    """The limits of a clip verdict, engine against reference on the same frames; `[limits]` of the file of clips."""

    model_config = pydantic.ConfigDict(allow_inf_nan=False)

    max_lost_lesions: int = pydantic.Field(default=0, ge=0)
    """Lesions that the reference finds and the engine does not."""
    max_more_false_per_minute: float = pydantic.Field(default=1.0, ge=0)
    """False activations of half a second or more that the engine has beyond the reference's, in a minute."""
    max_longer_delay_ms: float = pydantic.Field(default=120.0, ge=0)
    """How much later than the reference's the engine's first mark of a lesion may come, and its masks altogether."""
    max_longer_miss_ms: float = pydantic.Field(default=500.0, ge=0)
    """How much longer than the reference's longest miss of a lesion the engine's may be."""
    max_marked_share_drop: float = pydantic.Field(default=0.05, ge=0, le=1)
    """How much smaller the share of the frames with a lesion that are marked may be, over all lesions."""
    max_more_flicker_per_s: float = pydantic.Field(default=1.0, ge=0)
    """Switches a second between marked and unmarked beyond the reference's, over all lesions."""
    min_agreement: float = pydantic.Field(default=0.9, ge=0, le=1)
    """Floor of the mean Dice of the engine's masks against the reference's in a clip; see `ClipRow.agreement`."""


class LesionTimes(Part):
    """One lesion under one network."""

    found: bool
    """True if a mark stood on it for long enough at a time, short gaps bridged."""
    first_mark_frames: int | None
    """Frames from its first appearance to its first mark; None where it has none, likewise the next."""
    first_mark_ms: float | None
    longest_miss_frames: int
    """The most frames in a row that show it without a mark."""
    longest_miss_ms: float
    marked_share: float = pydantic.Field(ge=0, le=1)
    """Share of the frames showing it that have a mark on it."""
    switches: int
    """Changes between marked and unmarked from one frame that shows it to the next."""


class LesionRow(Part):
    """One lesion under both networks."""

    clip: str
    lesion: str
    shown_frames: int = pydantic.Field(gt=0)
    shown_s: float
    engine: LesionTimes
    reference: LesionTimes


class ActivationCount(Part):
    """The false activations that last for at least some time."""

    min_s: float
    count: int
    per_minute: float | None
    """None where no frame was judged."""
    interval: ConfidenceInterval | None = None
    """The exact interval of the rate (Garwood); None where no frame was judged, and in older verdicts."""


class FalseActivations(Part):
    """The marks of one network where there is no lesion."""

    judged_frames: int
    """Frames in which a false mark can be told: none is shown, or it is known where."""
    judged_s: float
    counts: tuple[ActivationCount, ...]
    """By minimum duration, shortest first."""
    false_frame_share: float | None
    """Share of the judged frames with a false mark; None where no frame was judged."""


class ClipRow(Part):
    """One clip under both networks."""

    name: str
    """The path as the file of clips has it."""
    sha256: str
    frames: int
    fps: float
    width: int
    height: int
    false_activations: FalseActivations
    reference_false_activations: FalseActivations
    agreement: float | None
    """Mean Dice of the engine's mask against the reference's, over the frames with a lesion that either marks.

    The reference's masks are those of `lag_frames` before, since a delay is judged by itself. None without any: false
    marks hang on a threshold, so that two sound networks differ in them; they are counted.
    """
    one_sided_frames: int
    """Frames that only one of the two marks."""
    lag_frames: int
    """How many frames earlier the reference's masks are that the engine's fit best."""
    held_frames: int
    """Frames whose mask repeats that of the frame before, though the reference's changed."""
    could_be_held_frames: int
    """Frames in which the engine marks something and the reference's mask changed."""
    changed_outside_px: int
    """Pixels farther from the mark than its outline is wide that the overlay changed, over all frames."""
    not_finite_frames: int
    """Frames on which the engine gave NaN or infinity."""
    dice: tuple[float, ...]
    """Dice of the engine's mask against the reference's, frame by frame; both empty is 1."""


class LesionsFound(Part):
    """The lesions of all clips that each network finds."""

    of: int
    engine: int
    engine_interval: ConfidenceInterval | None
    """The exact interval of `engine / of`; None without lesions, likewise the next."""
    reference: int
    reference_interval: ConfidenceInterval | None
    lost: tuple[str, ...]
    """Found by the reference alone, each as ``CLIP: LESION``."""
    gained: tuple[str, ...]
    """Found by the engine alone."""


class LiveDelays(Part):
    """Delays that `edgeseg live` measured with this engine, in milliseconds."""

    picture_p50_ms: float | None
    """Time from a frame's arrival to its presentation."""
    picture_p99_ms: float | None
    mark_p50_ms: float | None
    """Time from the arrival of the frame that a mark was made of to its presentation."""
    mark_p99_ms: float | None
    frames: int
    source: str


class ClipVerdict(Value):
    """Says whether an engine may be shipped by what it does to clips; see `Verdict`.

    False where a limit is broken; "undecided" where none is broken but the evidence is too thin; else true.
    """

    passed: bool | Literal["undecided"]
    reasons: tuple[str, ...]
    """One sentence with its figures for each thing that was judged, passed or not."""
    rules: tuple[RuleResult, ...] = ()
    """The outcome of each rule, in the order of the rules; empty in a verdict from before they were kept."""
    engine_sha256: str
    reference_sha256: str
    clips_sha256: str
    """Hash of the file of clips, and of every video and mask that it names."""
    backend: str
    precision: Precision
    reference_backend: str
    reference_precision: Precision
    model: ModelSpec
    reference_model: ModelSpec
    limits: ClipLimits
    lesions_found: LesionsFound
    lesions: tuple[LesionRow, ...]
    false_activations: FalseActivations
    """The engine's, over all clips."""
    reference_false_activations: FalseActivations
    live: LiveDelays | None = None
    """None where no report of `edgeseg live` was given: a file has no delay."""
    next_command: str | None = None
    """Says which precision to ship instead, where an INT8 engine did not pass; see `Verdict`."""
    clips: tuple[ClipRow, ...]
    edgeseg_version: str
    created: str
    """UTC, ISO 8601."""
    notice: str = RESEARCH_NOTICE
    protocol: ProtocolRecord | None = None
    """None where no protocol was given."""
