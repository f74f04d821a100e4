"""Activations that lie mostly on one side of zero, as HardSwish, GELU and SiLU leave them."""

import dataclasses
import itertools

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.calibration.placement import activations, default_plan
from edgeseg.calibration.quantise import (
    ONNXRUNTIME_STYLE,
    TENSORRT_STYLE,
    activation_quantisation,
    quantise,
)
from edgeseg.calibration.ranges import extremes
from edgeseg.export.builders.onnxruntime_builder import optimised_graph
from edgeseg.graph.files import OnnxArtifact
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec

HARD_SWISH = Range(minimum=-0.375, maximum=5.4, amax=5.4)
FRAMES = np.random.default_rng(7).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_hardswish_gets_all_levels() -> None:
    chosen = activation_quantisation(HARD_SWISH, ONNXRUNTIME_STYLE)
    assert chosen.scale == pytest.approx((5.4 + 0.375) / 255)
    assert (chosen.zero.dtype, int(chosen.zero)) == (np.uint8, 17)  # .375 / (5.775 / 255) = 16.56
    assert int(activation_quantisation(HARD_SWISH, TENSORRT_STYLE).zero) == 0


@given(low=st.floats(-100, -1e-3), high=st.floats(-100, 100), share=st.floats(0.05, 1))
def test_zero_is_exact_and_no_value_in_range_is_off_by_more_than_a_level(low: float, high: float, share: float) -> None:
    high = max(low, high)
    amax = max(abs(low), abs(high)) * share
    chosen = activation_quantisation(Range(minimum=low, maximum=high, amax=amax), ONNXRUNTIME_STYLE)
    values = np.linspace(max(low, -amax), max(min(high, amax), 0.0), 50)
    zero = int(chosen.zero)
    levels = np.clip(np.rint(values / chosen.scale) + zero, 0, 255)
    assert 0 <= zero <= 255 and (0 - zero) * chosen.scale <= 0
    assert np.abs((levels - zero) * chosen.scale - values).max() <= chosen.scale * 1.001
    symmetric = activation_quantisation(
        Range(minimum=low, maximum=high, amax=amax), dataclasses.replace(ONNXRUNTIME_STYLE, lopsided=False)
    )
    assert chosen.scale <= symmetric.scale * 1.001


def network() -> OnnxArtifact:
    """A chain of convolutions with HardSwish between them, and a skip connection; names as edgeseg gives them."""
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Cast", ["frame"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "factor"], ["last0"]),
    ]
    tensors = [numpy_helper.from_array(np.float32(1 / 64), "factor")]
    widths = [3, 8, 8, 8, 1]
    for index, (before, after) in enumerate(itertools.pairwise(widths)):
        weight = rng.normal(0, 1.2 / np.sqrt(9 * before), (after, before, 3, 3)).astype(np.float32)
        tensors.append(numpy_helper.from_array(weight, f"w{index}"))
        names = [f"last{index}", f"w{index}"]
        nodes.append(helper.make_node("Conv", names, [f"y{index}"], name=f"conv{index}", pads=[1] * 4))
        if after > 1:
            nodes.append(helper.make_node("HardSwish", [f"y{index}"], [f"last{index + 1}"], name=f"swish{index}"))
    nodes.append(helper.make_node("Sigmoid", ["y3"], ["probability"]))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, 32, 32])],
        tensors,
    )
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    spec = ModelSpec(architecture="swish", height=32, width=32)
    return OnnxArtifact(None, "0" * 64, ModelMetadata(model=spec, preprocess=PreprocessSpec()), proto)  # type: ignore[arg-type]


def test_lopsided_levels_bring_the_engine_nearer_to_float32() -> None:
    artifact = network()
    seen = extremes(artifact.proto, activations(artifact.proto), FRAMES)
    ranges = {n: Range(minimum=lo, maximum=hi, amax=max(abs(lo), abs(hi))) for n, (lo, hi) in seen.items()}
    table = CalibrationTable(
        method="max", image_count=4, data_sha256="", weights_sha256=artifact.weights_sha256, ranges=ranges
    )
    plan = default_plan(artifact.proto, "int8", "fp32")
    exact = ReferenceEvaluator(artifact.proto).run(None, {"frame": FRAMES})[0]
    errors, operators = [], []
    for lopsided in (False, True):
        style = dataclasses.replace(ONNXRUNTIME_STYLE, lopsided=lopsided)
        data = quantise(artifact, table, style, plan).proto.SerializeToString()
        onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
        found = onnxruntime.InferenceSession(data).run(None, {"frame": FRAMES})[0]
        errors.append(float(np.square(found - exact).mean()))
        operators.append(sorted(node.op_type for node in optimised_graph(data).graph.node))
    assert errors[1] < 0.7 * errors[0]
    assert operators[0] == operators[1] and operators[0].count("QLinearConv") == 2
