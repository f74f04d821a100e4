"""Engines for ONNX Runtime: the ONNX graph in the precision asked for, for the CPU it will run on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx

from edgeseg.artifacts import Binding, Precision
from edgeseg.errors import BadInputError
from edgeseg.export.builders.builder import BuilderOptions, BuildRequest, BuiltEngine, refuse_options
from edgeseg.export.builders.cpu_graph import BESIDE_INT8, graph_in_precision
from edgeseg.export.builders.int8_gain import why_not_int8
from edgeseg.export.builders.trial_opening import why_not_opened
from edgeseg.graph.onnx_files import serialize
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.optional import require
from edgeseg.progress import Say, quiet
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.runtime.passport.bindings import ANY_INSTRUCTION_SET
from edgeseg.shell import quoted

INT8_OPERATORS = frozenset({"QLinearConv", "ConvInteger"})


class OnnxRuntimeBuilder:
    """The builder half of the backend `onnxruntime`.

    Args:
        options: There are none.

    Raises:
        UsageError: There are some.
    """

    name = "onnxruntime"
    beside_int8: Precision = BESIDE_INT8

    def __init__(self, options: BuilderOptions | None = None) -> None:
        refuse_options(self.name, options)

    @property
    def what_is_here(self) -> str:
        """ONNX Runtime with its version."""
        return f"ONNX Runtime {require('onnxruntime').__version__} is here"

    def build(self, request: BuildRequest, say: Say = quiet) -> BuiltEngine:
        """Write the graph in the precision asked for and count what ONNX Runtime makes of it.

        Raises:
            BadInputError: ONNX Runtime refuses the graph.
        """
        proto = graph_in_precision(request, say, self.name)
        _check_opens(proto, request)
        data = serialize(proto)
        return BuiltEngine(
            data=data,
            backend_version=require("onnxruntime").__version__,
            convolutions=sum(node.op_type in CONVOLUTIONS for node in proto.graph.node),
            int8_convolutions=int8_convolutions(data),
            binding=Binding(instruction_set=ANY_INSTRUCTION_SET if request.table is not None else None),
            asymmetry=None if request.table is None else request.table.asymmetry,
        )

    def why_not_int8(self, request: BuildRequest, built: BuiltEngine) -> str | None:
        """Alternate INT8 and float32 on this processor: some run INT8 no faster."""
        artifact = request.artifact
        info = SessionInfo(
            artifact.metadata.model, artifact.metadata.preprocess, self.name, request.precision, artifact.sha256
        )
        int8, float32 = OnnxRuntimeSession(built.data, info), OnnxRuntimeSession(serialize(artifact.proto), info)
        return why_not_int8(int8, float32)


def _check_opens(proto: onnx.ModelProto, request: BuildRequest) -> None:
    """Refuse an FP16 graph that ONNX Runtime does not open, before it takes this process with it.

    Raises:
        BadInputError: It does not.
    """
    reason = why_not_opened(proto) if request.precision == "fp16" else ""
    if reason:
        raise BadInputError(
            f"ONNX Runtime cannot run {request.artifact.path} in FP16",
            found=reason,
            next_command=f"edgeseg build-engine {quoted(request.artifact.path)} --backend onnxruntime --precision fp32",
        )


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
