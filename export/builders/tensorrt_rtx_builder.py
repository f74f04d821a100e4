"""Real TensorRT-RTX engines, built without a GPU: strongly typed, for a list of compute capabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from edgeseg.artifacts import Binding
from edgeseg.calibration.quantise import TENSORRT_STYLE, quantise
from edgeseg.errors import BadInputError
from edgeseg.export.builders.builder import BuildRequest, BuiltEngine
from edgeseg.export.builders.plan_text import convolution_types
from edgeseg.graph.files import serialize
from edgeseg.graph.precision import CONVOLUTIONS, with_fp16_convolutions
from edgeseg.optional import require
from edgeseg.specs import INPUT_NAME

COMPUTE_CAPABILITIES = ("8.6", "8.9", "12.0")
"""The RTX boards that stand beside endoscopes: Ampere, Ada and Blackwell."""
LARGEST_BATCH = 8


class TensorRtRtxBuilder:
    """The builder half of the backend `tensorrt-rtx`.

    Args:
        compute_capabilities: What the engine shall run on.
    """

    name = "tensorrt-rtx"

    def __init__(self, compute_capabilities: Sequence[str] = COMPUTE_CAPABILITIES) -> None:
        self.compute_capabilities = tuple(compute_capabilities)

    def build(self, request: BuildRequest) -> BuiltEngine:
        """Build an engine.

        Raises:
            BadInputError: TensorRT-RTX refuses the graph; the message names node and reason.
            MissingComponentError: The package is not installed.
        """
        trt = require("tensorrt_rtx")
        proto = graph_in_precision(request)
        plan = self._plan(trt, serialize(proto), request)
        return BuiltEngine(
            data=plan,
            backend_version=trt.__version__,
            convolutions=sum(node.op_type in CONVOLUTIONS for node in proto.graph.node),
            int8_convolutions=convolution_types(plan).count("int8"),
            build_flags={"strongly_typed": True, "batch": [1, 1, LARGEST_BATCH]},
            binding=Binding(compute_capabilities=self.compute_capabilities),
        )

    def _plan(self, trt: Any, data: bytes, request: BuildRequest) -> bytes:
        messages = _collecting_logger(trt)
        builder = trt.Builder(messages)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, messages)
        if not parser.parse(data):
            raise BadInputError(
                f"TensorRT-RTX cannot parse {request.artifact.path}",
                found=_parser_errors(parser),
                next_command="edgeseg build-engine MODEL --backend onnxruntime",
            )
        plan = builder.build_serialized_network(network, self._config(trt, builder, request))
        if plan is None:
            raise BadInputError(
                f"TensorRT-RTX cannot build an engine from {request.artifact.path}",
                found="; ".join(messages.errors[-3:]),
            )
        return bytes(plan)

    def _config(self, trt: Any, builder: Any, request: BuildRequest) -> Any:
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.num_compute_capabilities = len(self.compute_capabilities)
        for index, capability in enumerate(self.compute_capabilities):
            value = getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}", None)
            if value is None:
                raise BadInputError(f"TensorRT-RTX has no target of compute capability {capability}")
            config.set_compute_capability(value, index)
        profile = builder.create_optimization_profile()
        shape = request.artifact.metadata.model.input_shape
        profile.set_shape(INPUT_NAME, (1, *shape), (1, *shape), (LARGEST_BATCH, *shape))
        config.add_optimization_profile(profile)
        return config


def graph_in_precision(request: BuildRequest) -> onnx.ModelProto:
    """The strongly typed graph: float32, FP16 data, or FP16 data with INT8 convolutions and FP16 scales."""
    if request.precision == "fp32":
        return request.artifact.proto
    if request.precision == "fp16":
        return with_fp16_convolutions(request.artifact.proto)
    assert request.table is not None
    return with_fp16_convolutions(quantise(request.artifact, request.table, TENSORRT_STYLE).proto)


def _collecting_logger(trt: Any) -> Any:
    class Collector(trt.ILogger):  # type: ignore[misc]
        """Keep errors for our own message instead of printing them."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self.errors.append(message)

    return Collector()


def _parser_errors(parser: Any) -> str:
    errors = [parser.get_error(index) for index in range(min(parser.num_errors, 3))]
    return "; ".join(
        f"node {error.node_name() or error.node()} ({error.node_operator()}): {error.desc()}" for error in errors
    )
