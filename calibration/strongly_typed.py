"""The graph that TensorRT is given: strongly typed, mixed in precision as a plan says.

The builder hands it to the parser. An engine that was built without its weights names them as they are called here, so
whoever puts them back makes the same graph again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from edgeseg.artifacts import CalibrationTable, KeptFloat32, PrecisionPlan
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.fp16_range import with_float32_layers
from edgeseg.calibration.placement import assign, float32_names, lowest
from edgeseg.calibration.qdq_style import TENSORRT_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.errors import BadInputError
from edgeseg.graph.onnx_files import OnnxArtifact


@dataclass(frozen=True)
class StronglyTypedGraph:
    """A graph whose tensors have the types that they are computed in."""

    proto: onnx.ModelProto
    vanishing: tuple[str, ...] = ()
    """Convolutions that stay float against the plan; see `edgeseg.calibration.quantise.QuantisedGraph`."""


def strongly_typed(
    artifact: OnnxArtifact, table: CalibrationTable | None, plan: PrecisionPlan, kept: Sequence[KeptFloat32] = ()
) -> StronglyTypedGraph:
    """Write a network in the types that its precision plan asks for; INT8 convolutions take FP16 scales.

    Args:
        artifact: The network, float32.
        table: Its ranges; needed where the plan gives a convolution to INT8.
        plan: The precision of each convolution.
        kept: Layers that FP16 cannot compute, see `edgeseg.calibration.fp16_range`; they stay float32.

    Raises:
        BadInputError: The plan does not fit the network, or INT8 without a table, or without a tensor in it.
        MismatchError: The table belongs to other weights.
    """
    plan, others = with_float32_layers(plan, artifact.proto, kept), [entry.layer for entry in kept]
    assigned = assign(artifact.proto, plan)
    float32 = float32_names(assigned)
    if lowest(assigned) == "fp32":
        return StronglyTypedGraph(artifact.proto)
    if lowest(assigned) == "fp16":
        return StronglyTypedGraph(with_fp16_convolutions(artifact.proto, float32, others))
    if table is None:
        raise BadInputError(
            "INT8 needs a calibration table, and there is none", expected="a table of edgeseg calibrate"
        )
    quantised = quantise(artifact, table, TENSORRT_STYLE, plan)
    return StronglyTypedGraph(with_fp16_convolutions(quantised.proto, float32, others), quantised.vanishing)
