"""The values that describe files: calibration table, engine passport, latency report, verdict."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any, Literal

import pydantic

from edgeseg.class_overlap import ClassScore
from edgeseg.files import sha256_bytes
from edgeseg.specs import ModelSpec, PreprocessSpec
from edgeseg.values import Part, Value

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
RESEARCH_NOTICE = "Research use only; not a medical device"


class Range(Part):
    """The values that one tensor was seen to hold."""

    minimum: float
    maximum: float
    amax: float = pydantic.Field(ge=0)
    """The magnitude that maps to 127, as the calibration method chose it."""


class AsymmetryTrial(Part):
    """INT8 with symmetric and with asymmetric uint8 activations, each held against float32 on the same pictures.

    A share is that of the mask's pixels, at the network's size, whose class differs from float32's; mean over pictures.
    """

    image_count: int = pydantic.Field(gt=0)
    """Calibration pictures that were compared."""
    tensors: int = pydantic.Field(gt=0)
    """Quantised tensors that lie mostly on one side of zero, so that the two differ in them."""
    symmetric_flipped_share: float = pydantic.Field(ge=0, le=1)
    asymmetric_flipped_share: float = pydantic.Field(ge=0, le=1)
    asymmetric: bool
    """True if ONNX Runtime and OpenVINO are given asymmetric levels: fewer pixels flipped with them."""


class CalibrationTable(Value):
    """Per-tensor ranges of one network on some images: what INT8 needs beside the ONNX file."""

    method: str
    """A calibration method by name, see `edgeseg.calibration.methods`."""
    image_count: int = pydantic.Field(gt=0)
    data_sha256: str
    """Hash of the calibration images' content."""
    weights_sha256: str
    """Hash of the network's weights in float32; a table of other weights is refused."""
    ranges: dict[str, Range]
    """Tensor name -> range, for every convolution's input."""
    asymmetry: AsymmetryTrial | None = None
    """None where no tensor lies mostly on one side of zero, and in tables from before this was tried."""

    @property
    def sha256(self) -> str:
        """Names the table, however its file was written."""
        # Without fields that say nothing: a table from before they were there keeps its name.
        return sha256_bytes(json.dumps(self.model_dump(mode="json", exclude_none=True), indent=2).encode())


class PrecisionPlan(Value):
    """The precision of each convolution of a network."""

    default: Precision
    """The precision of every convolution that no pattern in `layers` names."""
    layers: dict[str, Precision] = pydantic.Field(default_factory=dict)
    """Node name, or a pattern with ``*``, ``?`` and ``[abc]`` -> precision; of several that match, the last counts."""

    @property
    def sha256(self) -> str:
        """Names the plan, however its file was written."""
        return sha256_bytes(self.to_json().encode())

    def precision_of(self, name: str) -> Precision:
        """The precision of the convolution `name`."""
        matching = [precision for pattern, precision in self.layers.items() if matches(pattern, name)]
        return matching[-1] if matching else self.default


def matches(pattern: str, name: str) -> bool:
    """Tell whether a pattern of a plan means a node; a name means itself even where it holds ``[`` or ``*``."""
    return pattern == name or fnmatchcase(name, pattern)


class TensorSpec(Part):
    """Name, shape and element type of an engine's input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Binding(Part):
    """The machine or library that an engine is bound to; None where it is bound to nothing."""

    gpu: str | None = None
    compute_capabilities: tuple[str, ...] | None = None
    driver: str | None = None
    instruction_set: str | None = None
    """The instruction set whose INT8 arithmetic a CPU engine's graph was made for: ``any`` where its sums saturate
    nowhere, else a flag of /proc/cpuinfo. None where there is no INT8, and in passports from before it was recorded."""


class BuildRecord(Part):
    """The sources of an engine, as they were named then; `edgeseg build-engine --from-passport` repeats the build."""

    model: str
    """The .onnx file or model package."""
    calibration: str | None = None
    """The table that was named; None where the model brought its own, or none was needed."""
    calibration_data: str | None = None
    """The images that stood in for a table."""
    method: str | None = None
    """The calibration method that was asked for; None where none was."""
    precision_plan: str | None = None
    """The file of the precision plan; what it said is in the passport itself."""


Quantity = Literal["value", "sum", "small"]


class KeptFloat32(Part):
    """A layer that computes in float32 although the engine is FP16, because FP16 could not hold a tensor of its."""

    layer: str
    tensor: str
    """The tensor of this layer that FP16 cannot hold, or of which it computes what FP16 cannot hold."""
    magnitude: float
    """The largest magnitude that was seen in it; see `quantity`."""
    quantity: Quantity = "value"
    """``value``: the tensor's largest; ``sum``: the largest sum inside the layer; ``small``: so small that FP16 rounds
    it coarsely or to zero."""


class EngineArtifact(Value):
    """The passport that lies beside an engine as NAME.engine.json and is checked before the engine is opened."""

    engine_sha256: str
    engine_bytes: int
    backend: str
    backend_version: str
    precision: Precision
    """The lowest of any convolution, as the precision plan has it."""
    convolutions: int
    """Convolutions in the network, transposed ones included."""
    int8_convolutions: int
    """How many of them the built engine runs on INT8 operands."""
    onnx_sha256: str
    weights_sha256: str
    calibration_sha256: str | None = None
    precision_plan: PrecisionPlan | None = None
    """The precision asked of each convolution; None in passports from before this was recorded, likewise the next."""
    precision_plan_sha256: str | None = None
    kept_float32: tuple[KeptFloat32, ...] | None = None
    """Layers that stay float32 whatever the plan says, because FP16 cannot hold them; None where there are none."""
    asymmetry: AsymmetryTrial | None = None
    """The trial that decided the levels of INT8 activations; None where they are symmetric without one."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    model: ModelSpec
    preprocess: PreprocessSpec
    build_flags: dict[str, Any] = pydantic.Field(default_factory=dict)
    rebuild: str
    """The exact command that makes this engine again."""
    build: BuildRecord | None = None
    """None in passports from before this was recorded."""
    binding: Binding = Binding()


class Percentiles(Part):
    """The distribution of one duration over the frames, in milliseconds."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float


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

    max_dice_drop: float
    """Limit of the mean drop over the images; a negative limit demands a gain."""
    max_p99_ms: float | None = None
    """End to end for one image; None demands nothing."""
    max_lost_polyps: int | None = pydantic.Field(default=None, ge=0)
    """Images whose polyp the reference finds and the engine does not; None demands nothing."""
    min_reference_dice: float | None = pydantic.Field(default=None, ge=0, le=1)
    """Floor of the reference's mean Dice over the images that show a polyp; None takes the default, as below."""
    min_agreement: float | None = pydantic.Field(default=None, ge=0, le=1)
    """Floor of the mean Dice of the engine's masks against the reference's, over the images that either marks."""


class ConfidenceInterval(Part):
    """A confidence interval: of a mean over images by the bootstrap, of a share of them after Clopper and Pearson."""

    low: float
    high: float
    level: float = 0.95


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
    finite: bool = True
    """True if every probability of the engine was a number; one image without fails the engine."""


class PolypChange(Part):
    """The images whose polyp one of the two networks finds and the other does not."""

    count: int
    of: int
    """Images on which it could have happened."""
    names: tuple[str, ...]
    """The largest change of the IoU first."""
    interval: ConfidenceInterval | None
    """Interval of the share `count / of`; None where `of` is 0."""


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
    limits: VerdictLimits
    latency: LatencyReport
    latency_samples_ms: tuple[float, ...]
    """End-to-end time of each timed image, in the order of measurement."""
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
    notice: str = RESEARCH_NOTICE
    rows: tuple[VerdictRow, ...]
