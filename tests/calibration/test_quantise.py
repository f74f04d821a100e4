from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifacts import CalibrationTable, PrecisionPlan, Range
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.fp16_types import SMALLEST_NORMAL_FP16
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, TENSORRT_STYLE
from edgeseg.calibration.quantise import activation_quantisation, quantise, quantise_weight
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.export.builders.onnxruntime_builder import int8_convolutions, optimised_graph
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.images import list_images, write_png
from tests.conftest import SmallGraph, contract_bytes

FRAMES = np.random.default_rng(4).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def table(small_artifact: OnnxArtifact, small_images: Path) -> CalibrationTable:
    return calibrate(small_artifact, list_images(small_images))


def with_range(table: CalibrationTable, name: str, observed: Range) -> CalibrationTable:
    return table.model_copy(update={"ranges": {**table.ranges, name: observed}})


def test_onnxruntime_runs_all_but_the_ends_in_int8(small_artifact: OnnxArtifact, table: CalibrationTable) -> None:
    graph = quantise(small_artifact, table, ONNXRUNTIME_STYLE)
    onnx.checker.check_model(graph.proto, full_check=True)
    assert graph.quantised == ("down", "residual", "up")
    assert graph.vanishing == ()
    data = serialize(graph.proto)
    assert int8_convolutions(data) == 3
    executed = [node.op_type for node in optimised_graph(data).graph.node]
    assert "Relu" not in executed


@pytest.mark.parametrize("operator", ["Conv", "ConvTranspose"])
def test_what_the_plan_leaves_float_is_float_in_onnxruntime(operator: str, tmp_path: Path) -> None:
    """ONNX Runtime would quantise its weights, per tensor, because it stands between INT8 convolutions."""
    graph = SmallGraph(seed=2)
    graph.add("Cast", ["frame"], "float", "cast", to=TensorProto.FLOAT)
    source = graph.conv_relu("before", graph.add("Transpose", ["float"], "planes", "t", perm=[0, 3, 1, 2]), 3, 8)
    weight = np.random.default_rng(4).normal(size=(8, 8, 1, 1)).astype(np.float32)
    graph.tensors.append(numpy_helper.from_array(weight, "island.weight"))
    source = graph.add(
        "Relu", [graph.add(operator, [source, "island.weight"], "island.out", "island")], "island.act", "r"
    )
    source = graph.conv("after", graph.conv_relu("next", source, 8, 8), 8, 1, 1)
    graph.add("Sigmoid", [source], "probability", "sigmoid")
    path = tmp_path / "island.onnx"
    path.write_bytes(contract_bytes("island", 16, graph.nodes, graph.tensors))
    write_png(tmp_path / "images" / "0.png", np.random.default_rng(5).integers(0, 256, (16, 16, 3), dtype=np.uint8))
    artifact = load_onnx(path)
    table = calibrate(artifact, list_images(tmp_path / "images"))
    plan = PrecisionPlan(default="int8", layers={"island": "fp32"})
    data = serialize(quantise(artifact, table, ONNXRUNTIME_STYLE, plan).proto)
    executed = optimised_graph(data).graph
    # Reordered and padded for the processor's kernels, perhaps, but each weight is still there.
    assert any(np.isin(weight, numpy_helper.to_array(tensor)).all() for tensor in executed.initializer)
    # A DequantizeLinear that nothing reads would be executed all the same.
    read = {name for node in executed.node for name in node.input} | {"probability"}
    assert read.issuperset(name for node in executed.node for name in node.output)
    assert int8_convolutions(data) == 3


def test_the_tensorrt_graph_is_strongly_typed_with_fp16_scales(
    small_artifact: OnnxArtifact, table: CalibrationTable
) -> None:
    proto = with_fp16_convolutions(quantise(small_artifact, table, TENSORRT_STYLE).proto)
    onnx.checker.check_model(proto, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.input)}
    types |= {t.name: t.data_type for t in inferred.initializer}
    quantisers = [n for n in proto.graph.node if n.op_type == "QuantizeLinear"]
    assert len(quantisers) == 3
    for node in quantisers:
        assert types[node.input[0]] == types[node.input[1]] == TensorProto.FLOAT16
        assert types[node.output[0]] == TensorProto.INT8
    dequantised = {n.output[0]: n for n in proto.graph.node if n.op_type == "DequantizeLinear"}
    for node in proto.graph.node:
        if node.op_type == "Conv" and node.name in ("down", "residual", "up"):
            assert node.input[0] in dequantised
            assert types[dequantised[node.input[1]].input[0]] == TensorProto.INT8
            assert types[node.input[0]] == types[node.input[1]] == TensorProto.FLOAT16
        if node.op_type == "Conv" and node.name in ("stem", "head"):
            assert not set(node.input) & dequantised.keys()


@pytest.mark.parametrize("fp16", [False, True])
def test_int8_stays_near_float32_by_the_reference_evaluator(
    small_artifact: OnnxArtifact, table: CalibrationTable, fp16: bool
) -> None:
    exact = ReferenceEvaluator(small_artifact.proto).run(None, {"frame": FRAMES})[0]
    proto = quantise(small_artifact, table, TENSORRT_STYLE if fp16 else ONNXRUNTIME_STYLE).proto
    result = ReferenceEvaluator(with_fp16_convolutions(proto) if fp16 else proto).run(None, {"frame": FRAMES})[0]
    noise = np.square(result - exact).mean()
    assert 0 < noise < 1e-3 * np.square(exact).mean()


weights = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 4), st.integers(1, 3), st.just(2)), elements=st.floats(-100, 100, width=32)
)


@given(weights)
def test_fp16_scales_are_exact_in_fp16_and_never_subnormal(weight: np.ndarray) -> None:
    levels, scale = quantise_weight(weight, TENSORRT_STYLE)
    np.testing.assert_array_equal(scale.astype(np.float16).astype(np.float32), scale)
    assert (scale >= SMALLEST_NORMAL_FP16).all()
    restored = levels.astype(np.float64) * scale.reshape(-1, 1, 1)
    # Next to the exact value, and what rounding the scale to FP16 costs at the ends.
    assert (np.abs(restored - weight) <= scale.reshape(-1, 1, 1) * 1.0001 + np.abs(weight) * 2.0**-10).all()


def test_one_range_in_each_storage_type() -> None:
    positive, signed = Range(minimum=0, maximum=5.1, amax=5.1), Range(minimum=-2.54, maximum=1.9, amax=2.54)
    unsigned = activation_quantisation(positive, ONNXRUNTIME_STYLE)
    assert (unsigned.zero.dtype, int(unsigned.zero)) == (np.uint8, 0)
    assert unsigned.scale == pytest.approx(0.02)
    shifted = activation_quantisation(signed, ONNXRUNTIME_STYLE)
    assert (shifted.zero.dtype, int(shifted.zero)) == (np.uint8, 128)
    assert shifted.scale == pytest.approx(0.02)
    assert activation_quantisation(positive, TENSORRT_STYLE).zero.dtype == np.int8


@pytest.mark.parametrize("amax", [0.0, 127 * SMALLEST_NORMAL_FP16 * 0.9])
def test_a_layer_whose_scale_would_vanish_stays_float(
    small_artifact: OnnxArtifact, table: CalibrationTable, amax: float
) -> None:
    dead = with_range(table, "pooled", Range(minimum=0, maximum=amax, amax=amax))
    graph = quantise(small_artifact, dead, TENSORRT_STYLE)
    assert (graph.quantised, graph.vanishing) == (("residual", "up"), ("down",))


def test_a_dead_tensor_divides_nothing_by_zero(small_artifact: OnnxArtifact, table: CalibrationTable) -> None:
    dead = with_range(table, "down.relu", Range(minimum=0, maximum=0, amax=0))
    proto = quantise(small_artifact, dead, ONNXRUNTIME_STYLE).proto
    scales = [numpy_helper.to_array(t) for t in proto.graph.initializer if t.name.endswith(".scale")]
    assert scales
    assert all((scale > 0).all() for scale in scales)


def upsampled_sum(folder: Path, mode: str) -> OnnxArtifact:
    """stem -> deep (pooled, upsampled) + skip -> Relu -> refine -> head: a decoder that adds."""
    graph = SmallGraph(3)
    graph.add("Cast", ["frame"], "float", "cast", to=TensorProto.FLOAT)
    graph.add("Transpose", ["float"], "planes", "transpose", perm=[0, 3, 1, 2])
    graph.add("Sub", ["planes", "offset"], "centred", "sub")
    graph.add("Mul", ["centred", "factor"], "normal", "mul")
    stem = graph.conv_relu("stem", "normal", 3, 8)
    pooled = graph.add("MaxPool", [stem], "pooled", "pool", kernel_shape=[2, 2], strides=[2, 2])
    settings = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    settings |= {"nearest_mode": "floor"} if mode == "nearest" else {}
    deep = graph.add("Resize", [graph.conv("deep", pooled, 8, 8, 3), "", "twice"], "larger", "resize", **settings)
    total = graph.add("Add", [deep, graph.conv("skip", stem, 8, 8, 1)], "sum", "add")
    refined = graph.conv_relu("refine", graph.add("Relu", [total], "sum.relu", "relu"), 8, 8)
    graph.add("Sigmoid", [graph.conv("head", refined, 8, 1, 1)], "probability", "sigmoid")
    path = folder / "adds.onnx"
    path.write_bytes(contract_bytes("adds", 16, graph.nodes, graph.tensors))
    return load_onnx(path)


@pytest.mark.parametrize(("mode", "added_in_int8"), [("nearest", True), ("linear", False)])
def test_an_upsampled_tensor_keeps_its_levels_where_no_new_values_arise(
    mode: str, added_in_int8: bool, small_images: Path, tmp_path: Path
) -> None:
    artifact = upsampled_sum(tmp_path, mode)
    table = calibrate(artifact, list_images(small_images))
    proto = quantise(artifact, table, ONNXRUNTIME_STYLE).proto
    onnx.checker.check_model(proto, full_check=True)
    executed = {node.op_type for node in optimised_graph(serialize(proto)).graph.node}
    assert ("QLinearAdd" in executed) is added_in_int8
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    quantiser = [node for node in proto.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "larger"]
    assert bool(quantiser) is added_in_int8
    for node in quantiser:  # the levels before are the levels after, so that nothing is rounded twice
        before = next(n for n in proto.graph.node if n.op_type == "QuantizeLinear" and n.input[0] == "deep.out")
        assert [constants[name].tolist() for name in node.input[1:]] == [
            constants[name].tolist() for name in before.input[1:]
        ]


def test_a_table_of_other_weights_is_refused(small_artifact: OnnxArtifact, table: CalibrationTable) -> None:
    with pytest.raises(MismatchError) as caught:
        quantise(small_artifact, table.model_copy(update={"weights_sha256": "f" * 64}), ONNXRUNTIME_STYLE)
    assert "edgeseg calibrate" in (caught.value.next_command or "")


def test_a_table_that_lacks_a_tensor_is_refused(small_artifact: OnnxArtifact, table: CalibrationTable) -> None:
    fewer = {name: value for name, value in table.ranges.items() if name != "joined"}
    with pytest.raises(BadInputError, match="joined"):
        quantise(small_artifact, table.model_copy(update={"ranges": fewer}), ONNXRUNTIME_STYLE)
