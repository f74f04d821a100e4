"""Measures what INT8 is worth on this processor, on a small network of the kind that edgeseg ships."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.calibration.placement import activations
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.graph.onnx_files import OnnxArtifact, serialize
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.engine.time_ratio import TimeRatio, time_ratio
from edgeseg.runtime.onnxruntime.onnxruntime_session import OnnxRuntimeSession
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, ModelMetadata, ModelSpec, PreprocessSpec

SIDE_PX = 128
WIDTHS = (16, 24, 40)
REDUCTION = 2 ** len(WIDTHS)
"""The stem and each step between two widths halve the sides."""
EXPANSION = 6
BUDGET_S = 0.8


def int8_worth(budget_s: float = BUDGET_S) -> TimeRatio:
    """Time the network in INT8 against itself in float32, alternated.

    Raises:
        MissingComponentError: ONNX Runtime's INT8 kernels compute wrongly here.
    """
    artifact = typical_network()
    ranges = {
        name: Range(minimum=-6 if name.startswith("project") else 0, maximum=6, amax=6)
        for name in activations(artifact.proto)
    }
    table = CalibrationTable(
        method="max", image_count=1, data_sha256="0" * 64, weights_sha256=artifact.weights_sha256, ranges=ranges
    )
    info = SessionInfo(artifact.metadata.model, artifact.metadata.preprocess, "onnxruntime", "int8", artifact.sha256)
    graph = quantise(artifact, table, ONNXRUNTIME_STYLE).proto
    int8, float32 = (OnnxRuntimeSession(serialize(proto), info) for proto in (graph, artifact.proto))
    return time_ratio(int8, float32, budget_s)


def typical_network() -> OnnxArtifact:
    """A contract graph with random weights: a stem, two inverted residuals and a 3x3 convolution."""
    graph = _Graph()
    graph.node("Cast", [INPUT_NAME], "float", to=onnx.TensorProto.FLOAT)
    graph.node("Transpose", ["float"], "planes", perm=[0, 3, 1, 2])
    last = graph.convolution("stem", "planes", 3, WIDTHS[0], stride=2)
    for before, after in pairwise(WIDTHS):
        wide = EXPANSION * before
        last = graph.convolution(f"expand{after}", last, before, wide, 1)
        last = graph.convolution(f"depthwise{after}", last, wide, wide, stride=2, groups=wide)
        last = graph.convolution(f"project{after}", last, wide, after, 1, bounded=False)
    last = graph.convolution("refine", last, WIDTHS[-1], WIDTHS[-1])
    head = graph.convolution("head", last, WIDTHS[-1], 1, 1, bounded=False)
    graph.constants.append(onnx.numpy_helper.from_array(np.array([1, 1, REDUCTION, REDUCTION], np.float32), "scales"))
    graph.node("Sigmoid", [graph.node("Resize", [head, "", "scales"], "large", mode="nearest")], OUTPUT_NAME)
    model = ModelSpec(architecture="typical", height=SIDE_PX, width=SIDE_PX)
    return OnnxArtifact(
        Path("typical"), "0" * 64, ModelMetadata(model=model, preprocess=PreprocessSpec()), graph.proto()
    )


class _Graph:
    """Nodes and weights, added one after the other."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        limits = (np.array(0, np.float32), "low"), (np.array(6, np.float32), "high")
        self.constants = [onnx.numpy_helper.from_array(value, name) for value, name in limits]
        self.nodes: list[onnx.NodeProto] = []

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def convolution(
        self,
        name: str,
        source: str,
        before: int,
        after: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        bounded: bool = True,
    ) -> str:
        """A convolution, clipped to 0..6 where it is `bounded`."""
        weight = self.generator.normal(0, 0.1, (after, before // groups, kernel, kernel)).astype(np.float32)
        self.constants.append(onnx.numpy_helper.from_array(weight, f"{name}.weight"))
        options = {"pads": [kernel // 2] * 4, "strides": [stride] * 2, "group": groups}
        self.node("Conv", [source, f"{name}.weight"], name, **options)
        return self.node("Clip", [name, "low", "high"], f"{name}.clip") if bounded else name

    def proto(self) -> onnx.ModelProto:
        helper, side = onnx.helper, SIDE_PX
        shape: list[str | int | None] = ["N", 1, side, side]
        graph = helper.make_graph(
            self.nodes,
            "typical",
            [helper.make_tensor_value_info(INPUT_NAME, onnx.TensorProto.UINT8, ["N", side, side, 3])],
            [helper.make_tensor_value_info(OUTPUT_NAME, onnx.TensorProto.FLOAT, shape)],
            self.constants,
        )
        return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 19)])
