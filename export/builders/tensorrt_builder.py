"""Engines of TensorRT and TensorRT-RTX: the graph in the precision asked for, the plan, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import onnx

from edgeseg.artifacts import Binding, Precision
from edgeseg.calibration.strongly_typed import strongly_typed
from edgeseg.errors import MissingComponentError, UsageError
from edgeseg.export.builders.builder import BuilderOptions, BuildRequest, BuiltEngine, tell_other_target, tell_vanishing
from edgeseg.export.builders.tensorrt_options import (
    TENSORRT,
    TENSORRT_RTX,
    Flavour,
    TensorRtOptions,
    build_flags,
    check_options,
    options_for,
)
from edgeseg.export.builders.tensorrt_plan import plan_from_onnx
from edgeseg.export.builders.timing_cache import may_pin, recorded, timing_cache_path
from edgeseg.export.layers.engine_inspector import engine_information, int8_convolutions
from edgeseg.export.layers.plan_text import convolution_types
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.optional import install_command, is_installed, require
from edgeseg.progress import Say, quiet
from edgeseg.runtime.cuda.tensorrt_module import TensorRtModule, open_plan
from edgeseg.runtime.passport.bindings import numbers
from edgeseg.runtime.passport.gpu import Gpu, find_gpu


class TensorRtBuilder:
    """The builder half of the backends `tensorrt` and `tensorrt-rtx`.

    Args:
        flavour: Which of the two.
        options: Builder options.
        gpu: What the flavour `tensorrt` builds on; None takes this machine's.

    Raises:
        MissingComponentError: The package, or the GPU that it needs, is not there.
        UsageError: An option that the flavour or the board does not have.
    """

    beside_int8: Precision = "fp16"

    def __init__(self, flavour: Flavour, options: TensorRtOptions | None = None, gpu: Gpu | None = None) -> None:
        self.flavour = flavour
        self.name: str = flavour.name
        self.options = options or TensorRtOptions()
        self.trt: TensorRtModule = _module(flavour)
        self.gpu = (gpu or find_gpu()) if flavour.needs_gpu else None
        check_options(flavour, self.options, self.gpu is not None and self.gpu.jetson)

    @property
    def what_is_here(self) -> str:
        """TensorRT with its version, the GPU, and what is missing to run the engine here."""
        gpu = "a GPU" if self.gpu is None else self.gpu.name
        missing = [name for name in ("pycuda", "cuda") if not is_installed(name)]
        to_run = f"; to run the engine, {install_command('pycuda.driver')}" if missing else ""
        return f"{self.flavour.title} {self.trt.__version__} and {gpu} are here{to_run}"

    def build(self, request: BuildRequest, say: Say = quiet) -> BuiltEngine:
        """Build an engine.

        Raises:
            BadInputError: TensorRT refuses the graph; the message names node, operator and shapes.
        """
        options = options_for(request.artifact.metadata.model, self.options, say)
        proto, version = graph_in_precision(request, say, self.name), self.trt.__version__
        timings = None if self.gpu is None else timing_cache_path(self.name, version, self.gpu)
        pinned = timings is not None and request.former is not None and may_pin(self.trt, timings, request.former, say)
        plan = plan_from_onnx(
            self.trt, self.flavour, proto, options, str(request.artifact.path), timings=timings, pinned=pinned, say=say
        )
        convolutions = [node.name for node in proto.graph.node if node.op_type in CONVOLUTIONS]
        return BuiltEngine(
            data=plan,
            backend_version=version,
            convolutions=len(convolutions),
            int8_convolutions=self._int8_convolutions(plan, convolutions),
            build_flags=build_flags(self.flavour, options),
            binding=self._binding(),
            timings=None if timings is None else recorded(timings),
        )

    def why_not_int8(self, request: BuildRequest, built: BuiltEngine) -> str | None:
        """Not told: `edgeseg bench` measures it on the GPU."""
        return None

    def _int8_convolutions(self, plan: bytes, convolutions: list[str]) -> int:
        if self.gpu is None:
            return convolution_types(plan).count("int8")
        engine = open_plan(self.trt, plan, host_code=self.options.version_compatible)
        return int8_convolutions(engine_information(self.trt, engine), convolutions)

    def _binding(self) -> Binding:
        if self.gpu is None:
            return Binding(compute_capabilities=self.options.compute_capabilities, driver=self.flavour.lowest_driver)
        return Binding(gpu=self.gpu.name, compute_capabilities=(self.gpu.compute_capability,), driver=self.gpu.driver)


@dataclass(frozen=True)
class FlavourBuilder:
    """Makes the builders of one flavour: what the registry names."""

    flavour: Flavour
    beside_int8: Precision = TensorRtBuilder.beside_int8

    def __call__(self, options: BuilderOptions | None = None) -> TensorRtBuilder:
        """See `TensorRtBuilder`; options of another backend are a `UsageError`."""
        if options is not None and not isinstance(options, TensorRtOptions):
            raise UsageError(f"the options are not {self.flavour.title}'s", found=type(options).__name__)
        return TensorRtBuilder(self.flavour, options)


tensorrt, tensorrt_rtx = FlavourBuilder(TENSORRT), FlavourBuilder(TENSORRT_RTX)


def graph_in_precision(request: BuildRequest, say: Say = quiet, backend: str = TENSORRT.name) -> onnx.ModelProto:
    """The strongly typed graph, mixed as the plan says: INT8 convolutions take FP16 scales, others stay float32."""
    plan = request.plan_for(TensorRtBuilder.beside_int8, backend)
    graph = strongly_typed(request.artifact, request.table, plan, request.kept_float32)
    tell_vanishing(graph.vanishing, say)
    if request.table is not None:
        tell_other_target(request.artifact, "tensorrt", say)
    return graph.proto


def _module(flavour: Flavour) -> TensorRtModule:
    trt = cast(TensorRtModule, require(flavour.module))
    if numbers(trt.__version__) < flavour.lowest_version:
        raise MissingComponentError(
            f"this {flavour.title} is too old",
            found=trt.__version__,
            expected=".".join(map(str, flavour.lowest_version)) + " or later",
            next_command=install_command(flavour.module),
        )
    return trt
