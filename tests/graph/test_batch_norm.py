from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgeseg.graph.batch_norm import with_folded_batch_norm

SIZE = 6


def network(
    nodes: list[Any], tensors: dict[str, np.ndarray], channels: int, outputs: tuple[str, ...] = ("y",)
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, SIZE, SIZE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in tensors.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def norm(rng: np.random.Generator, channels: int, prefix: str = "") -> dict[str, np.ndarray]:
    return {
        f"{prefix}scale": rng.normal(1, 0.5, channels),
        f"{prefix}shift": rng.normal(0, 1, channels),
        f"{prefix}mean": rng.normal(0, 1, channels),
        f"{prefix}var": rng.uniform(1e-3, 4, channels),
    }


def run(proto: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """By ONNX Runtime: the reference evaluator of onnx 1.23 does not compute ConvTranspose in groups."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(proto.SerializeToString(), options).run(None, {"x": x})


def assert_same(before: onnx.ModelProto, after: onnx.ModelProto, channels: int) -> None:
    onnx.checker.check_model(after, full_check=True)
    x = np.random.default_rng(1).normal(size=(1, channels, SIZE, SIZE)).astype(np.float32)
    for was, now in zip(run(before, x), run(after, x), strict=True):
        np.testing.assert_allclose(now, was, rtol=2e-5, atol=2e-5 * max(1.0, float(np.abs(was).max())))


def norms_in(proto: onnx.ModelProto) -> int:
    return sum(node.op_type == "BatchNormalization" for node in proto.graph.node)


NORM = ["scale", "shift", "mean", "var"]


@settings(max_examples=40, deadline=None)
@given(
    operator=st.sampled_from(["Conv", "ConvTranspose"]),
    groups=st.integers(1, 3),
    inputs=st.integers(1, 3),
    outputs=st.integers(1, 3),
    kernel=st.integers(1, 3),
    bias=st.booleans(),
    epsilon=st.sampled_from([1e-5, 1e-3]),
    seed=st.integers(0, 10_000),
)
def test_a_folded_network_computes_the_same(
    operator: str, groups: int, inputs: int, outputs: int, kernel: int, bias: bool, epsilon: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    before, after = groups * inputs, groups * outputs
    shape = (after, inputs, kernel, kernel) if operator == "Conv" else (before, outputs, kernel, kernel)
    tensors = {"a.weight": rng.normal(size=shape), **norm(rng, after)}
    if bias:
        tensors["a.bias"] = rng.normal(size=after)
    names = ["a.weight", "a.bias"] if bias else ["a.weight"]
    nodes = [
        helper.make_node(operator, ["x", *names], ["c"], group=groups),
        helper.make_node("BatchNormalization", ["c", *NORM], ["y"], epsilon=epsilon),
    ]
    proto = network(nodes, tensors, before)
    folded = with_folded_batch_norm(proto)
    assert [node.op_type for node in folded.graph.node] == [operator]
    assert {tensor.name for tensor in folded.graph.initializer} == {"a.weight", "a.bias"}
    assert_same(proto, folded, before)


def test_the_values_are_those_of_the_formula() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"]),
        helper.make_node("BatchNormalization", ["c", *NORM], ["y"], epsilon=1.0),
    ]
    numbers = {"w": 3.0, "b": 5.0, "scale": 4.0, "shift": 7.0, "mean": 1.0, "var": 3.0}
    tensors = {name: np.full((1, 1, 1, 1) if name == "w" else 1, value) for name, value in numbers.items()}
    folded = with_folded_batch_norm(network(nodes, tensors, 1))
    values = {tensor.name: numpy_helper.to_array(tensor).item() for tensor in folded.graph.initializer}
    assert values == {"w": 6.0, "b": 15.0}  # k = 4 / sqrt(3 + 1) = 2; 2 * 3; 2 * (5 - 1) + 7


def test_two_in_a_row_and_shared_weights_fold_apart() -> None:
    rng = np.random.default_rng(0)
    tensors = {"w": rng.normal(size=(2, 2, 1, 1)), **norm(rng, 2), **norm(rng, 2, "n.")}
    other = [f"n.{name}" for name in NORM]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c1"]),
        helper.make_node("BatchNormalization", ["c1", *NORM], ["n1"]),
        helper.make_node("BatchNormalization", ["n1", *other], ["n2"]),
        helper.make_node("Conv", ["n2", "w"], ["c2"]),
        helper.make_node("BatchNormalization", ["c2", *other], ["n3"]),
        helper.make_node("Conv", ["n3", "w"], ["y"]),
    ]
    proto = network(nodes, tensors, 2)
    folded = with_folded_batch_norm(proto)
    assert [node.op_type for node in folded.graph.node] == ["Conv"] * 3
    assert_same(proto, folded, 2)
    assert norms_in(proto) == 3  # what was handed in is as it was


@pytest.mark.parametrize("kept_by", ["a second reader", "an output", "training mode", "computed weights", "no Conv"])
def test_a_batch_norm_that_cannot_go_stays(kept_by: str) -> None:
    rng = np.random.default_rng(0)
    tensors = {"w": rng.normal(size=(2, 2, 1, 1)), **norm(rng, 2)}
    conv = helper.make_node("Conv", ["x", "w"], ["c"])
    batch_norm = helper.make_node("BatchNormalization", ["c", *NORM], ["y"])
    nodes, outputs = [conv, batch_norm], ("y",)
    if kept_by == "a second reader":
        nodes += [helper.make_node("Relu", ["c"], ["z"])]
        outputs = ("y", "z")
    elif kept_by == "an output":
        outputs = ("y", "c")
    elif kept_by == "training mode":
        batch_norm.attribute.append(helper.make_attribute("training_mode", 1))
        batch_norm.output.extend(["new_mean", "new_var"])
    elif kept_by == "computed weights":
        nodes.insert(0, helper.make_node("Neg", ["w"], ["minus"]))
        conv.input[1] = "minus"
    else:
        nodes = [helper.make_node("Relu", ["x"], ["c"]), batch_norm]
    proto = network(nodes, tensors, 2, outputs)
    folded = with_folded_batch_norm(proto)
    assert norms_in(folded) == 1
    if kept_by != "training mode":
        assert_same(proto, folded, 2)
