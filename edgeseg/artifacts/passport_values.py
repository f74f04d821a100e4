"""The values of a build: precision, calibration table, precision plan, the engine's passport."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

import pydantic

from edgeseg.files import sha256_bytes
from edgeseg.precision_search import PrecisionSearch
from edgeseg.shell import is_own_command
from edgeseg.specs import ModelSpec, PreprocessSpec
from edgeseg.values import Part, Value

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")


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


class MethodTrial(Part):
    """INT8 with the ranges of several calibration methods, each held against float32 on the same pictures."""

    image_count: int = pydantic.Field(gt=0)
    """Calibration pictures that were compared."""
    flipped_shares: dict[str, Annotated[float, pydantic.Field(ge=0, le=1)]] = pydantic.Field(min_length=1)
    """Method -> share of the mask's pixels whose class differs from float32's, as `AsymmetryTrial` has it."""

    @property
    def method(self) -> str:
        """The one under which fewest pixels flip, the first of them where several do."""
        return min(self.flipped_shares, key=self.flipped_shares.__getitem__)


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
    method_trial: MethodTrial | None = None
    """The trial that chose the method; None where it was asked for by name."""
    asymmetry: AsymmetryTrial | None = None
    """None where no tensor lies mostly on one side of zero, and in tables from before this was tried."""
    bias_shifts: dict[str, tuple[pydantic.FiniteFloat, ...]] | None = None
    """Convolution -> what the CPUs' INT8 graphs add to its bias, one number an output channel, so that INT8 keeps
    float32's means; None where that flipped no fewer pixels, and in tables from before this was measured."""
    trained: int | None = pydantic.Field(default=None, gt=0)
    """How many of the ranges are those of a quantisation-aware training; None where all were measured."""

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
    table_method: str | None = None
    """The method of the table that was used; None without one, and in passports from before this was recorded."""
    table_data_sha256: str | None = None
    """Hash of the images that the table was measured on; None likewise."""
    precision_plan: str | None = None
    """The file of the precision plan; what it said is in the passport itself."""
    search: PrecisionSearch | None = None
    """How the plan was found; None where it was given, or is the default one."""


class KernelTimings(Part):
    """The kernel timings by which TensorRT chose an engine's tactics."""

    file: str
    """The file's name in ``$XDG_CACHE_HOME/edgeseg/timing``."""
    sha256: str
    """Hash of the file as the build left it; later builds add to it."""


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
    built: pydantic.AwareDatetime | None = None
    """UTC, ISO 8601: the first build that gave these bytes; None in passports from before this was recorded."""
    build: BuildRecord | None = None
    """None in passports from before this was recorded."""
    binding: Binding = Binding()
    timings: KernelTimings | None = None
    """None where the backend keeps none, and in passports from before this was recorded."""

    @pydantic.field_validator("rebuild")
    @classmethod
    def _is_only_a_command(cls, rebuild: str) -> str:
        """Refuse what would do something else once a person has pasted it: errors show it as what to type next."""
        if rebuild and not is_own_command(rebuild):
            raise ValueError("not a plain `edgeseg ...` command")
        return rebuild
