"""Conditions, casts and shapes between convolutions keep the types that ONNX wants of them."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.fp16_range import kept_in_float32

PLANES = [[[True]], [[True]], [[False]], [[True]]]
PICTURES = np.random.default_rng(5).integers(-4, 5, (2, 3, 8, 8)).astype(np.float32) / 4
"""FP16 holds the first convolution's results exactly if weights are sixteenths: no comparison tips over."""


def constant(name: str, values: Any, dtype: Any = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def network(middle: list[Any], tensors: list[onnx.TensorProto] = [], before: list[Any] = []) -> onnx.ModelProto:  # noqa: B006
    """x -> before -> first convolution `a` -> middle -> last convolution, which reads `m`."""
    rng = np.random.default_rng(1)
    weights = [("first.weight", (4, 3, 3, 3)), ("last.weight", (1, 4, 3, 3))]
    nodes = [
        *before,
        helper.make_node("Conv", ["x", "first.weight"], ["a"], name="first", pads=[1] * 4),
        *middle,
        helper.make_node("Conv", ["m", "last.weight"], ["y"], name="last", pads=[1] * 4),
        helper.make_node("Sigmoid", ["y"], ["p"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [*(constant(name, rng.integers(-6, 7, shape) / 16) for name, shape in weights), *tensors],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, ["" if name == "-" else name for name in inputs.split()], [output], **attributes)


KINDS = {
    "a hard gate, as float": network(
        [
            node("ReduceMean", "a axes", "mean", keepdims=1),
            node("Greater", "mean limit", "above"),
            node("Cast", "above", "gate", to=TensorProto.FLOAT),
            node("Mul", "a gate", "m"),
        ],
        [constant("limit", 0.05), constant("axes", [1], np.int64)],
    ),
    "a condition from before the first convolution": network(
        [node("Where", "inside a zero", "m")],
        [constant("limit", -0.2), constant("zero", 0.0), constant("axes", [1], np.int64)],
        [node("ReduceMean", "x axes", "grey", keepdims=1), node("Greater", "grey limit", "inside")],
    ),
    "zeros of a computed shape": network(
        [
            node("Shape", "a", "shape"),
            node("ConstantOfShape", "shape", "zeros"),
            node("ConstantOfShape", "shape", "halves", value=constant("", [0.5])),
            node("Add", "a zeros", "sum"),
            node("Add", "sum halves", "m"),
        ]
    ),
    "one of several, as OneHot": network(
        [
            node("ArgMax", "a", "best", axis=1, keepdims=0),
            node("OneHot", "best depth values", "chosen", axis=1),
            node("Mul", "a chosen", "m"),
        ],
        [constant("depth", 4, np.int64), constant("values", [0.25, 1.0])],
    ),
    "a cast to int and back": network(
        [
            node("Cast", "a", "whole", to=TensorProto.INT32),
            node("Cast", "whole", "back", to=TensorProto.FLOAT),
            node("Sub", "a back", "m"),
        ]
    ),
    "a cast to double and back": network(
        [
            node("Cast", "a", "exact", to=TensorProto.DOUBLE),
            node("Exp", "exact", "grown"),
            node("Cast", "grown", "m", to=TensorProto.FLOAT),
        ]
    ),
    "coordinates by Range, which knows no FP16": network(
        [
            node("Shape", "a", "size", start=3),
            node("Squeeze", "size", "count"),
            node("Cast", "count", "limit", to=TensorProto.FLOAT),
            node("Range", "zero limit one", "columns"),
            node("Div", "columns limit", "share"),
            node("Add", "a share", "m"),
        ],
        [constant("zero", 0.0), constant("one", 1.0)],
    ),
    "a bound beyond FP16": network([node("Clip", "a low high", "m")], [constant("low", 0.0), constant("high", 3.4e38)]),
    "a mask of -1e9": network(
        [
            node("Where", "above zero far", "mask"),
            node("Add", "a mask", "masked"),
            node("Softmax", "masked", "m", axis=1),
        ],
        [constant("above", PLANES, bool), constant("zero", 0.0), constant("far", -1e9)],
    ),
    "a mask of minus infinity": network(
        [node("Where", "above a never", "masked"), node("Softmax", "masked", "m", axis=1)],
        [constant("above", PLANES, bool), constant("never", -np.inf)],
    ),
}


def halved(proto: onnx.ModelProto, wide: list[str]) -> onnx.ModelProto:
    """The FP16 graph without the layers that touch tensors beyond FP16's range."""
    kept = kept_in_float32(proto, dict.fromkeys(wide, 1e6))
    return with_fp16_convolutions(proto, kept=[entry.layer for entry in kept])


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_is_well_typed_and_computes_what_float32_computes(kind: str) -> None:
    proto = KINDS[kind]
    half = halved(proto, ["mask", "masked"] if kind == "a mask of -1e9" else [])
    onnx.checker.check_model(half, full_check=True)
    exact = ReferenceEvaluator(proto).run(None, {"x": PICTURES})[0]
    rounded = ReferenceEvaluator(half).run(None, {"x": PICTURES})[0]
    session = onnxruntime.InferenceSession(half.SerializeToString())
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, exact, atol=5e-3)
    np.testing.assert_allclose(session.run(None, {"x": PICTURES})[0], exact, atol=5e-3)
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(half).graph.value_info}
    assert types["a"] == types["y"] == TensorProto.FLOAT16


def test_a_tensor_named_as_wide_keeps_its_nodes_in_float32() -> None:
    tensors = [constant("large", 1e6), constant("small", 1e-6)]
    proto = network([node("Mul", "a large", "grown"), node("Relu", "grown", "r"), node("Mul", "r small", "m")], tensors)
    half = halved(proto, ["grown", "r"])
    exact = ReferenceEvaluator(proto).run(None, {"x": PICTURES})[0]
    np.testing.assert_allclose(ReferenceEvaluator(half).run(None, {"x": PICTURES})[0], exact, atol=5e-3)
    types = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(half).graph.value_info}
    assert (types["a"], types["grown"], types["r"]) == (TensorProto.FLOAT16, TensorProto.FLOAT, TensorProto.FLOAT)


def test_a_weight_beyond_fp16_keeps_its_convolution_in_float32() -> None:
    proto = network([node("Mul", "a small", "m")], [constant("small", 1e-6)])
    first = proto.graph.initializer[0]
    first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first) * np.float32(1e6), first.name))
    half = halved(proto, ["a"])
    exact = ReferenceEvaluator(proto).run(None, {"x": PICTURES})[0]
    np.testing.assert_allclose(ReferenceEvaluator(half).run(None, {"x": PICTURES})[0], exact, atol=5e-3)
