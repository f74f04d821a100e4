"""FP16 loses inside layers what their inputs and outputs do not show: sums beyond its range, values too small for it.

The oracle is ONNX's reference evaluator: it computes FP16 graphs in numpy's float16, as no CPU library does.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifact_text import describe
from edgeseg.calibration.fp16 import layer_name, with_fp16_convolutions
from edgeseg.calibration.fp16_range import beyond_fp16, typical_frames
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.foreign.importing import ImportResult
from edgeseg.graph.onnx_files import load_onnx

Import = Callable[..., tuple[Path, ImportResult]]
SIDE = 32
FRAMES = np.random.default_rng(6).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=output, **attributes)


def network(between: list[onnx.NodeProto], constants: dict[str, Any], gain: float = 1.0) -> onnx.ModelProto:
    """first -> `between`, from "x" to "y" -> last; activations before `between` are about `gain`, logits ordinary."""
    rng = np.random.default_rng(1)
    first = rng.normal(0, gain / np.sqrt(27), (8, 3, 3, 3)).astype(np.float32)
    last = rng.normal(0, 1.5, (1, 8, 1, 1)).astype(np.float32)
    tensors = {"first.weight": first, "last.weight": last, **constants}
    nodes = [
        node("Conv", "image first.weight", "x", pads=[1] * 4),
        *between,
        node("Conv", "y last.weight", "logits"),
    ]
    picture, logits = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, SIDE, SIDE])
        for name, channels in (("image", 3), ("logits", 1))
    )
    initialisers = [
        numpy_helper.from_array(np.asarray(v, np.float32 if np.asarray(v).dtype.kind == "f" else np.int64), name)
        for name, v in tensors.items()
    ]
    graph = helper.make_graph(nodes, "g", [picture], [logits], initialisers)
    return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])


def layer_norm(epsilon: float) -> tuple[list[onnx.NodeProto], dict[str, Any]]:
    """A normalisation over channels, written out as exporters do."""
    nodes = [
        node("ReduceMean", "x axes", "mean", keepdims=1),
        node("Sub", "x mean", "spread"),
        node("Pow", "spread two", "square"),
        node("ReduceMean", "square axes", "variance", keepdims=1),
        node("Add", "variance epsilon", "padded"),
        node("Sqrt", "padded", "deviation"),
        node("Div", "spread deviation", "y"),
    ]
    return nodes, {"axes": [1], "two": 2.0, "epsilon": epsilon}


ONES, ZEROS = np.ones(8), np.zeros(8)
CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, Any], float, set[str]]] = {
    "the sum of a mean": (
        [node("ReduceMean", "x axes", "m", keepdims=1), node("Sub", "x m", "s"), node("Div", "s scale", "y")],
        {"axes": [2, 3], "scale": 1000.0},
        1000.0,
        {"ReduceMean"},
    ),
    "squares of a norm": (
        [node("ReduceL2", "x axes", "n", keepdims=1), node("Div", "x n", "d"), node("Mul", "d scale", "y")],
        {"axes": [2, 3], "scale": 20.0},
        30.0,
        {"ReduceL2"},
    ),
    "squares of an instance normalisation": (
        [node("InstanceNormalization", "x scale bias", "y", epsilon=1e-5)],
        {"scale": ONES, "bias": ZEROS},
        200.0,
        {"InstanceNormalization"},
    ),
    "squares of a layer normalisation": (
        [node("LayerNormalization", "x scale", "y", axis=1)],
        {"scale": np.ones((8, SIDE, SIDE))},
        40.0,
        {"LayerNormalization"},
    ),
    "the variance of an instance normalisation": (
        [node("InstanceNormalization", "x scale bias", "y", epsilon=1e-12)],
        {"scale": ONES, "bias": ZEROS},
        1e-4,
        {"InstanceNormalization"},
    ),
    "a variance written out": (*layer_norm(1e-8), 3e-4, {"Pow", "ReduceMean", "Add", "Sqrt"}),
    "a weight that vanishes": (
        [node("Mul", "x tiny", "t"), node("Mul", "t large", "y")],
        {"large": 1e8, "tiny": 1e-8},
        1.0,
        {"Mul"},
    ),
}


def evaluated(proto: onnx.ModelProto) -> np.ndarray:
    return ReferenceEvaluator(proto).run(None, {"frame": FRAMES})[0]


@pytest.mark.parametrize("name", CASES)
def test_what_fp16_loses_inside_stays_float32(name: str, imported: Import, tmp_path: Path) -> None:
    between, constants, gain, expected = CASES[name]
    path, _ = imported(network(between, constants, gain))
    artifact = load_onnx(path)
    exact = evaluated(artifact.proto)
    assert exact.std() > 0.1, "the masks mean something"
    said: list[str] = []
    passport = build_engine(path, BuildOptions("fp16", "onnxruntime", out=tmp_path / "x.engine"), say=said.append)
    kept = {layer.layer: layer for layer in passport.passport.kept_float32 or ()}
    operators = {node.op_type for node in artifact.proto.graph.node if layer_name(node) in kept}
    assert expected <= operators
    half = evaluated(onnx.load(tmp_path / "x.engine"))
    np.testing.assert_allclose(half, exact, atol=0.02)
    careless = evaluated(with_fp16_convolutions(artifact.proto))
    assert not np.nan_to_num(np.abs(careless - exact), nan=1).max() < 0.02, "FP16 throughout loses it"
    assert any(line.startswith(f"{layer} stays float32") for layer in kept for line in said)
    assert next(iter(kept)) in describe(tmp_path / "x.engine").facts["kept in float32"]


@pytest.mark.parametrize("epsilon", [1e-5, 1e-6])
def test_an_ordinary_normalisation_is_fp16_throughout(epsilon: float, imported: Import) -> None:
    nodes, constants = layer_norm(epsilon)
    artifact = load_onnx(imported(network(nodes, constants))[0])
    assert beyond_fp16(artifact, typical_frames(artifact.metadata.model)[:2]) == ()
    half = evaluated(with_fp16_convolutions(artifact.proto))
    np.testing.assert_allclose(half, evaluated(artifact.proto), atol=0.02)


def test_a_pooling_is_taken_as_the_mean_that_it_is(imported: Import) -> None:
    """The reference evaluator averages in float32; TensorRT makes of it the layer that a ReduceMean becomes."""
    nodes = [node("GlobalAveragePool", "x", "m"), node("Sub", "x m", "s"), node("Div", "s scale", "y")]
    artifact = load_onnx(imported(network(nodes, {"scale": 1000.0}, 1000.0))[0])
    (kept,) = beyond_fp16(artifact, FRAMES)
    assert kept.quantity == "sum"
    x = next(n.input[0] for n in artifact.proto.graph.node if n.op_type == "GlobalAveragePool")
    assert kept.tensor == x and kept.magnitude == pytest.approx(sum_of(artifact.proto, x), rel=1e-4)


def sum_of(proto: onnx.ModelProto, name: str) -> float:
    """The largest sum of magnitudes in a channel of a tensor."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return float(np.abs(ReferenceEvaluator(copy).run([name], {"frame": FRAMES})[0]).sum((2, 3)).max())
