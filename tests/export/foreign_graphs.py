from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.runtime.opener.engine_from_file import open_engine

FRAMES = np.random.default_rng(8).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
PLANES = (FRAMES / 255).astype(np.float32).transpose(0, 3, 1, 2)


def constant(name: str, values: Any, dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["" if name == "-" else name for name in inputs.split()], [output], **attributes)


def value(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def network(
    channels: int = 1,
    *,
    before: tuple[onnx.NodeProto, ...] = (),
    between: tuple[onnx.NodeProto, ...] = (),
    after: tuple[onnx.NodeProto, ...] = (),
    picture: onnx.ValueInfoProto | None = None,
    output: onnx.ValueInfoProto | None = None,
    tensors: tuple[onnx.TensorProto, ...] = (),
    dtype: Any = np.float32,
    opset: int = 20,
) -> onnx.ModelProto:
    """x -> before -> planes -> first convolution -> f -> between -> g -> last convolution -> logits -> after."""
    rng = np.random.default_rng(2)
    weights = [
        constant("first.weight", rng.normal(0, 0.6, (8, 3, 3, 3)), dtype),
        constant("last.weight", rng.normal(0, 0.6, (channels, 8, 3, 3)), dtype),
        constant("last.bias", rng.normal(0, 0.2, channels), dtype),
    ]
    nodes = [
        *(before or (node("Identity", "x", "planes"),)),
        node("Conv", "planes first.weight", "f", name="first", pads=[1] * 4),
        *(between or (node("Relu", "f", "g"),)),
        node("Conv", "g last.weight last.bias", "logits", name="last", pads=[1] * 4),
        *after,
    ]
    graph = helper.make_graph(
        nodes,
        "kind",
        [picture or value("x", ["N", 3, 16, 16])],
        [output or value("logits", ["N", channels, 16, 16])],
        [*weights, *tensors],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", opset)])


def evaluated(proto: onnx.ModelProto, feed: np.ndarray, name: str | None = None) -> np.ndarray:
    """ONNX's reference evaluator, picture by picture; `name` is a tensor inside."""
    if name is not None:
        copy = onnx.ModelProto()
        copy.CopyFrom(proto)
        del copy.graph.output[:]
        copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        proto = copy
    evaluator = ReferenceEvaluator(proto)
    return np.concatenate([evaluator.run(None, {"x": picture[np.newaxis]})[0] for picture in feed])


def ours(path: Path) -> np.ndarray:
    return open_engine(path).infer(FRAMES)
