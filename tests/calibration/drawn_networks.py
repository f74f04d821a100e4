"""Small networks whose float32 sums are exact, so that rounding can be told from quantisation."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgeseg.artifacts import CalibrationTable, PrecisionPlan, Range
from edgeseg.calibration.placement import activations
from edgeseg.calibration.qdq_style import TENSORRT_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.graph.cleanup import without_unused
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec

CHANNELS, SIZE = 4, 6


@dataclass
class Drawn:
    """A network whose weights and scales are powers of two times small integers, so that float32 sums are exact."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def conv(self, source: str, output: str, before: int = CHANNELS, groups: int = 1, kernel: int = 1) -> str:
        levels = self.rng.integers(-3, 4, (CHANNELS, before // groups, kernel, kernel))
        levels[:, 0, 0, 0] = 127  # the largest magnitude of a channel makes its scale
        for name, values in (
            ("weight", levels * 2.0**-9),
            ("bias", self.rng.integers(-64, 65, CHANNELS) * 2.0**-6),
        ):
            self.tensors.append(numpy_helper.from_array(values.astype(np.float32), f"{output}.{name}"))
        inputs = [source, f"{output}.weight", f"{output}.bias"]
        return self.add("Conv", inputs, output, group=groups, pads=[kernel // 2] * 4)

    def artifact(self) -> OnnxArtifact:
        self.add("Neg", ["last"], "probability")
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", CHANNELS, None, None])],
            self.tensors,
        )
        proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
        onnx.checker.check_model(proto, full_check=True)
        proto = without_unused(proto)
        model = ModelSpec(architecture="drawn", height=SIZE, width=SIZE)
        return OnnxArtifact(Path("drawn.onnx"), "", ModelMetadata(model=model, preprocess=PreprocessSpec()), proto)


def started(seed: int = 0) -> Drawn:
    network = Drawn(np.random.default_rng(seed))
    network.add("Cast", ["frame"], "float", to=TensorProto.FLOAT)
    network.add("Transpose", ["float"], "planes", perm=[0, 3, 1, 2])
    network.conv("planes", "stem", before=3)
    return network


def table_of(artifact: OnnxArtifact, exponents: dict[str, int]) -> CalibrationTable:
    """Ranges whose scales are 2**exponent, 1/4 where nothing is said."""
    amax = {name: 127 * 2.0 ** exponents.get(name, -2) for name in activations(artifact.proto)}
    return CalibrationTable(
        method="max",
        image_count=1,
        data_sha256="",
        weights_sha256=artifact.weights_sha256,
        ranges={name: Range(minimum=-value, maximum=value, amax=value) for name, value in amax.items()},
    )


def all_int8(artifact: OnnxArtifact, table: CalibrationTable, **layers: str) -> onnx.ModelProto:
    plan = PrecisionPlan(default="int8", layers=layers)  # type: ignore[arg-type]
    proto = quantise(artifact, table, TENSORRT_STYLE, plan).proto
    onnx.checker.check_model(proto, full_check=True)
    return proto
