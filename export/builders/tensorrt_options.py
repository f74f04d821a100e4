"""Values for what TensorRT and TensorRT-RTX share and where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from edgeseg.errors import UsageError
from edgeseg.export.builders.builder import BuilderOptions
from edgeseg.progress import Say, quiet
from edgeseg.specs import ModelSpec

COMPUTE_CAPABILITIES = ("8.6", "8.9", "12.0")
"""The RTX boards that stand beside endoscopes: Ampere, Ada and Blackwell."""
LARGEST_BATCH = 8
MIB = 1 << 20
WORKSPACE_BYTES = 1024 * MIB
"""One limit for every box: with TensorRT's own default, all of the GPU's memory, the same build differs by board."""

HardwareCompatibility = Literal["none", "same-compute-capability", "ampere-plus"]


class TensorRtOptions(BuilderOptions):
    """The builder options that go into the passport's build flags."""

    batch: tuple[int, int, int] = (1, 1, LARGEST_BATCH)
    """Smallest, the one to optimise for, largest."""
    workspace_bytes: int = WORKSPACE_BYTES
    compute_capabilities: tuple[str, ...] = COMPUTE_CAPABILITIES
    """The GPUs that a TensorRT-RTX engine is built for."""
    hardware_compatibility: HardwareCompatibility = "none"
    """TensorRT only: which other GPUs the engine may run on; slower, and refused on a Jetson."""
    version_compatible: bool = False
    """TensorRT only: also runs on later versions of the same major one; slower."""

    @classmethod
    def from_flags(cls, flags: dict[str, Any]) -> TensorRtOptions | None:
        """The options that a passport's build flags record; None where they record none."""
        recorded = {name: value for name, value in flags.items() if name in cls.model_fields}
        return cls(**recorded) if recorded else None

    def command_line(self) -> list[str]:
        """The words of `edgeseg build-engine` that ask for what differs from the defaults."""
        plain, words = TensorRtOptions(), []
        for flag, size, usual in zip(
            ("--min-batch", "--opt-batch", "--max-batch"), self.batch, plain.batch, strict=True
        ):
            words += [] if size == usual else [flag, str(size)]
        if self.workspace_bytes != plain.workspace_bytes:
            words += ["--workspace-mib", f"{self.workspace_bytes / MIB:g}"]
        if self.compute_capabilities != plain.compute_capabilities:
            words += ["--compute-capabilities", ",".join(self.compute_capabilities)]
        if self.hardware_compatibility != plain.hardware_compatibility:
            words += ["--hardware-compatible", self.hardware_compatibility]
        return words + (["--version-compatible"] if self.version_compatible else [])


@dataclass(frozen=True)
class Flavour:
    """One member of the TensorRT family. What differs between versions of one is looked up in the module instead."""

    name: Literal["tensorrt", "tensorrt-rtx"]
    module: str
    title: str
    needs_gpu: bool
    """True if it builds on the GPU that will run the engine; timings are only taken, and kept, there."""
    lowest_version: tuple[int, ...]
    lowest_driver: str | None = None
    """Bound into the passport where the engine is not built under the driver that it runs on."""


TENSORRT = Flavour("tensorrt", "tensorrt", "TensorRT", needs_gpu=True, lowest_version=(10, 3))
# CUDA 13, which the extra `rtx` brings TensorRT-RTX for, needs driver 580 (NVIDIA's installation prerequisites).
TENSORRT_RTX = Flavour(
    "tensorrt-rtx", "tensorrt_rtx", "TensorRT-RTX", needs_gpu=False, lowest_version=(1, 0), lowest_driver="580"
)


def options_for(model: ModelSpec, options: TensorRtOptions, say: Say = quiet) -> TensorRtOptions:
    """The options for a network: a batch of 1 for one that takes a single picture.

    Raises:
        UsageError: A smallest batch above 1 for such a network.
    """
    if model.largest_batch is None:
        return options
    if options.batch[0] > model.largest_batch:
        raise UsageError(
            "the network takes one picture at a time",
            found=" ".join(options.command_line()),
            expected="no --min-batch",
        )
    say("the network takes one picture at a time, and so does its engine")
    return options.model_copy(update={"batch": (1, 1, 1)})


def check_options(flavour: Flavour, options: TensorRtOptions, jetson: bool) -> None:
    """Refuse what the flavour or the board does not do.

    Raises:
        UsageError: An option that cannot be.
    """
    if not 1 <= options.batch[0] <= options.batch[1] <= options.batch[2]:
        raise UsageError(
            "the batch sizes are not in order",
            found=" ".join(options.command_line()),
            expected="1 <= --min-batch <= --opt-batch <= --max-batch",
        )
    wider = options.hardware_compatibility != "none"
    if not flavour.needs_gpu and (wider or options.version_compatible):
        raise UsageError(
            f"{flavour.title} engines have no compatibility flags",
            found=" ".join(options.command_line()),
            expected="--compute-capabilities, which says what the engine runs on",
        )
    if jetson and wider:
        raise UsageError(
            "TensorRT refuses hardware compatibility on a Jetson",
            found=f"--hardware-compatible {options.hardware_compatibility}",
            expected="an engine for each kind of Jetson, built on it",
        )
    if flavour.needs_gpu and options.compute_capabilities != COMPUTE_CAPABILITIES:
        raise UsageError(
            f"{flavour.title} builds for the GPU that it builds on",
            found=" ".join(options.command_line()),
            expected="--hardware-compatible, or --backend tensorrt-rtx",
        )


def build_flags(flavour: Flavour, options: TensorRtOptions) -> dict[str, Any]:
    """The flags that the passport records."""
    theirs = {"hardware_compatibility", "version_compatible"} if flavour.needs_gpu else {"compute_capabilities"}
    shared = {"batch", "workspace_bytes"}
    return {"strongly_typed": True, "tf32": False, **options.model_dump(mode="json", include=shared | theirs)}
