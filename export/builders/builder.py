"""The interface of every engine builder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgeseg.artifacts import (
    AsymmetryTrial,
    Binding,
    CalibrationTable,
    EngineArtifact,
    KeptFloat32,
    KernelTimings,
    Precision,
    PrecisionPlan,
    TensorSpec,
)
from edgeseg.calibration.fp16_types import LARGEST_FP16
from edgeseg.calibration.placement import default_plan
from edgeseg.errors import UsageError
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.progress import Say, quiet
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, Int8Target, ModelSpec
from edgeseg.values import Part

MOST_TOLD = 5


class BuilderOptions(Part):
    """The options of a backend's builder beside the precision; each backend that has some derives its own."""

    def command_line(self) -> list[str]:
        """The words of `edgeseg build-engine` that ask for what differs from the defaults."""
        return []


@dataclass(frozen=True)
class BuildRequest:
    """One engine to build."""

    artifact: OnnxArtifact
    precision: Precision
    table: CalibrationTable | None = None
    """Present exactly where the precision is int8."""
    plan: PrecisionPlan | None = None
    """The precision of each convolution; None takes the default plan of `precision`."""

    kept_float32: tuple[KeptFloat32, ...] = ()
    """Layers that FP16 cannot compute; they stay float32."""
    former: EngineArtifact | None = None
    """The passport of the engine that this build repeats, whose tactics it holds to where that can be."""

    def plan_for(self, beside_int8: Precision, backend: str) -> PrecisionPlan:
        """The plan, or the default one of a backend whose float convolutions beside INT8 are `beside_int8`."""
        return self.plan or default_plan(self.artifact.proto, self.precision, beside_int8, backend)


@dataclass(frozen=True)
class BuiltEngine:
    """An engine and what its builder knows of it."""

    data: bytes
    backend_version: str
    convolutions: int
    int8_convolutions: int
    """Convolutions that the finished engine, not the graph handed in, runs on INT8."""
    build_flags: dict[str, Any] = field(default_factory=dict)
    binding: Binding = field(default_factory=Binding)
    asymmetry: AsymmetryTrial | None = None
    """The table's trial, where the backend goes by it."""
    timings: KernelTimings | None = None
    """The kernel timings that it was built by, where the backend keeps them."""

    def __repr__(self) -> str:
        return (
            f"BuiltEngine({len(self.data)} bytes, INT8 in {self.int8_convolutions} of {self.convolutions} convolutions)"
        )


class EngineBuilder(Protocol):
    """The builder half of a backend."""

    @property
    def name(self) -> str:
        """The backend's."""
        ...

    @property
    def beside_int8(self) -> Precision:
        """The precision of an INT8 engine's float convolutions, unless a plan names another."""
        ...

    @property
    def what_is_here(self) -> str:
        """The library with its version, as the reason for which `auto` takes it: ``TensorRT 10.3.0 ... are here``."""
        ...

    def build(self, request: BuildRequest, say: Say = quiet) -> BuiltEngine:
        """Build an engine; nothing is written. `say` hears how far it has come, where the backend tells."""
        ...

    def why_not_int8(self, request: BuildRequest, built: BuiltEngine) -> str | None:
        """Why an INT8 engine is not worth having on this machine, in one clause; None where it is, or none can tell."""
        ...


class BuilderFactory(Protocol):
    """The registry's builder of a backend, usually the builder's class."""

    @property
    def beside_int8(self) -> Precision:
        """As the builder's own; known where the backend is not installed, too."""
        ...

    def __call__(self, options: BuilderOptions | None = None) -> EngineBuilder:
        """Make a builder; see `edgeseg.export.builder_choice.builder_for` for what it raises."""
        ...


def refuse_options(backend: str, options: BuilderOptions | None) -> None:
    """Refuse options for a backend that has none.

    Raises:
        UsageError: There are some.
    """
    if options is not None:
        raise UsageError(
            f"the backend {backend} has no builder options: its engines take any batch and run on any CPU",
            found=" ".join(options.command_line()) or "options for TensorRT",
            expected="--backend tensorrt or tensorrt-rtx",
        )


def tensor_specs(model: ModelSpec) -> tuple[TensorSpec, TensorSpec]:
    """The engine's input and output; -1 stands for the batch where the engine takes any."""
    batch = model.largest_batch or -1
    return (
        TensorSpec(name=INPUT_NAME, shape=(batch, *model.input_shape), dtype="uint8"),
        TensorSpec(name=OUTPUT_NAME, shape=(batch, model.channels, model.height, model.width), dtype="float32"),
    )


def tell_vanishing(names: Iterable[str], say: Say) -> None:
    """Say which convolutions stay float although the plan gives them to INT8."""
    for name in names:
        say(f"{name} stays float: its input is so small on the calibration images that an INT8 scale would vanish")


def tell_other_target(artifact: OnnxArtifact, target: Int8Target, say: Say) -> None:
    """Say where the INT8 graph is not the one that quantisation-aware training simulated."""
    trained = artifact.metadata.trained_ranges
    if trained is not None and trained.target != target:
        say(
            f"{artifact.path} was trained for the INT8 graph of {trained.target}, and this one is for {target}: "
            "it has the trained ranges but other levels"
        )


def tell_kept(layers: Sequence[KeptFloat32], say: Say) -> None:
    """Say which layers stay float32 because FP16 cannot hold what they compute."""
    for kept in layers[:MOST_TOLD]:
        say(f"{kept.layer} stays float32: {_why_kept(kept)}")
    if len(layers) > MOST_TOLD:
        say(f"and {len(layers) - MOST_TOLD} more layers stay float32 for such reasons; edgeseg inspect lists them")


def _why_kept(kept: KeptFloat32) -> str:
    if kept.quantity == "small":
        return f"{kept.tensor} is as small as {kept.magnitude:.3g}, where FP16 is coarse or zero"
    what = kept.tensor if kept.quantity == "value" else f"a sum inside it, over {kept.tensor},"
    return f"{what} reaches {kept.magnitude:.3g}, and FP16 ends at {LARGEST_FP16:.0f}"
