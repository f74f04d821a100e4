"""Engines for ONNX Runtime: the ONNX graph in the precision asked for, for the CPU it will run on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx

from edgeseg.artifacts import Binding, Precision
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.placement import assign, float32_names
from edgeseg.calibration.quantise import ONNXRUNTIME_STYLE, quantise
from edgeseg.errors import BadInputError, UsageError
from edgeseg.export.builders.builder import BuildRequest, BuiltEngine, tell_vanishing
from edgeseg.graph.files import serialize
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.optional import require
from edgeseg.progress import Say, quiet
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.onnxruntime.time_ratio import time_ratio
from edgeseg.runtime.passport.passports import ANY_INSTRUCTION_SET

INT8_OPERATORS = frozenset({"QLinearConv", "ConvInteger"})
WORTH_HAVING = 0.97
"""INT8 that takes more of float32's time than this gains nothing that would pay for its rounding."""
QUICK_MS = 1.0
"""A network that is quicker than this is quick enough in any precision, and too quick to be told apart."""


class OnnxRuntimeBuilder:
    """The builder half of the backend `onnxruntime`."""

    name = "onnxruntime"
    beside_int8: Precision = "fp32"

    def build(self, request: BuildRequest, say: Say = quiet) -> BuiltEngine:
        """Write the graph in the precision asked for and count what ONNX Runtime makes of it.

        Raises:
            BadInputError: ONNX Runtime refuses the graph.
        """
        proto = graph_in_precision(request, say)
        data = serialize(proto)
        return BuiltEngine(
            data=data,
            backend_version=require("onnxruntime").__version__,
            convolutions=sum(node.op_type in CONVOLUTIONS for node in proto.graph.node),
            int8_convolutions=int8_convolutions(data),
            binding=Binding(instruction_set=ANY_INSTRUCTION_SET if request.table is not None else None),
        )

    def why_not_int8(self, request: BuildRequest, built: BuiltEngine) -> str | None:
        """Alternate INT8 and float32 on this processor: some run INT8 no faster."""
        artifact = request.artifact
        info = SessionInfo(
            artifact.metadata.model, artifact.metadata.preprocess, self.name, request.precision, artifact.sha256
        )
        measured = time_ratio(OnnxRuntimeSession(built.data, info), OnnxRuntimeSession(serialize(artifact.proto), info))
        if measured.ratio <= WORTH_HAVING or measured.second_ms < QUICK_MS:
            return None
        return (
            f"INT8 takes {measured.ratio:.2f} of float32's time on this processor "
            f"({measured.first_ms:.1f} and {measured.second_ms:.1f} ms a picture)"
        )


def graph_in_precision(request: BuildRequest, say: Say = quiet) -> onnx.ModelProto:
    """The float32, FP16 or Q/DQ graph for ONNX Runtime's CPU provider, mixed as the plan says.

    Raises:
        UsageError: A plan with FP16 beside INT8.
    """
    proto, plan = request.artifact.proto, request.plan_for(OnnxRuntimeBuilder.beside_int8)
    assigned = assign(proto, plan)
    fp16 = [name for name, precision in assigned.items() if precision == "fp16"]
    if "int8" not in assigned.values():
        return with_fp16_convolutions(proto, float32_names(assigned)) if fp16 else proto
    if fp16:
        raise UsageError(
            "onnxruntime mixes INT8 with FP32, not with FP16: its CPU provider does not compute such graphs faithfully",
            found=f"fp16 for {fp16[0]}" + (f" and {len(fp16) - 1} more" if fp16[1:] else ""),
            expected="int8 and fp32 only",
            next_command="edgeseg build-engine MODEL --precision int8 --backend onnxruntime --write-plan FILE",
        )
    assert request.table is not None
    quantised = quantise(request.artifact, request.table, ONNXRUNTIME_STYLE, plan)
    tell_vanishing(quantised.vanishing, say)
    return quantised.proto


def int8_convolutions(data: bytes) -> int:
    """How many convolutions run on INT8 after ONNX Runtime's own optimisation of the graph."""
    return sum(node.op_type in INT8_OPERATORS for node in optimised_graph(data).graph.node)


def optimised_graph(data: bytes) -> onnx.ModelProto:
    """The graph that ONNX Runtime executes on this CPU."""
    onnxruntime = require("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options.optimized_model_filepath = str(path)
        try:
            onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises a dozen classes without a common base
            raise BadInputError("ONNX Runtime cannot load this network", found=str(error)[:300]) from error
        result: onnx.ModelProto = onnx.load_model_from_string(path.read_bytes())
        return result
