"""Engines for OpenVINO: the ONNX graph in the precision asked for, the same as ONNX Runtime's."""

from __future__ import annotations

import onnx

from edgeseg.artifacts import Binding, Precision
from edgeseg.errors import BadInputError
from edgeseg.export.builders.builder import BuilderOptions, BuildRequest, BuiltEngine, refuse_options
from edgeseg.export.builders.cpu_graph import BESIDE_INT8, graph_in_precision
from edgeseg.export.builders.int8_gain import why_not_int8
from edgeseg.export.builders.trial_opening import is_fragile, why_not_opened_apart
from edgeseg.export.layers.openvino_layers import int8_convolutions
from edgeseg.graph.onnx_files import serialize
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.optional import require
from edgeseg.progress import Say, quiet
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.openvino.openvino_session import OpenVinoSession, compiled
from edgeseg.runtime.passport.bindings import ANY_INSTRUCTION_SET
from edgeseg.shell import quoted


class OpenVinoBuilder:
    """The builder half of the backend `openvino`.

    Args:
        options: There are none.

    Raises:
        MissingComponentError: OpenVINO is not installed.
        UsageError: There are options.
    """

    name = "openvino"
    beside_int8: Precision = BESIDE_INT8

    def __init__(self, options: BuilderOptions | None = None) -> None:
        refuse_options(self.name, options)
        self._version: str = require("openvino").__version__

    @property
    def what_is_here(self) -> str:
        """OpenVINO with its version."""
        return f"OpenVINO {self._version} is here"

    def build(self, request: BuildRequest, say: Say = quiet) -> BuiltEngine:
        """Write the graph in the precision asked for and count what OpenVINO makes of it.

        Raises:
            BadInputError: OpenVINO refuses the graph, or crashes on it.
        """
        proto = graph_in_precision(request, say, self.name)
        _check_survives(proto, request)
        data = serialize(proto)
        model = compiled(data, self._info(request))
        return BuiltEngine(
            data=data,
            backend_version=self._version,
            convolutions=sum(node.op_type in CONVOLUTIONS for node in proto.graph.node),
            int8_convolutions=int8_convolutions(model),
            binding=Binding(instruction_set=ANY_INSTRUCTION_SET if request.table is not None else None),
            asymmetry=None if request.table is None else request.table.asymmetry,
        )

    def why_not_int8(self, request: BuildRequest, built: BuiltEngine) -> str | None:
        """Alternate INT8 and float32 on this processor: some run INT8 no faster."""
        info = self._info(request)
        return why_not_int8(OpenVinoSession(built.data, info), OpenVinoSession(serialize(request.artifact.proto), info))

    def _info(self, request: BuildRequest) -> SessionInfo:
        metadata = request.artifact.metadata
        return SessionInfo(metadata.model, metadata.preprocess, self.name, request.precision, request.artifact.sha256)


def _check_survives(proto: onnx.ModelProto, request: BuildRequest) -> None:
    """Refuse a graph on which OpenVINO crashes, before it takes this process with it.

    Raises:
        BadInputError: It crashes, or refuses the graph.
    """
    reason = why_not_opened_apart(proto, OpenVinoBuilder.name) if is_fragile(proto) else ""
    if reason:
        path, backend = request.artifact.path, "onnxruntime" if request.precision == "fp32" else OpenVinoBuilder.name
        raise BadInputError(
            f"OpenVINO cannot run {path} in {request.precision.upper()}",
            found=reason,
            next_command=f"edgeseg build-engine {quoted(path)} --backend {quoted(backend)} --precision fp32",
        )
