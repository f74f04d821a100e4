import numpy as np
import onnx
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.placement import activations
from edgeseg.graph.onnx_files import OnnxArtifact

FRAMES = np.random.default_rng(3).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


def tensor_types(proto: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_every_convolution_works_on_fp16_and_the_ends_stay_float32(small_artifact: OnnxArtifact) -> None:
    half = with_fp16_convolutions(small_artifact.proto)
    onnx.checker.check_model(half, full_check=True)
    types = tensor_types(half)
    for node in half.graph.node:
        if node.op_type in ("Conv", "Relu", "MaxPool", "Concat", "Add"):
            assert {types[name] for name in node.input if name} == {TensorProto.FLOAT16}, node.name
        if node.op_type in ("Sub", "Mul", "Sigmoid"):
            assert {types[name] for name in node.input} == {TensorProto.FLOAT}, node.name
    assert types["probability"] == TensorProto.FLOAT
    assert types["frame"] == TensorProto.UINT8


def test_resize_keeps_float32_scales(small_artifact: OnnxArtifact) -> None:
    half = with_fp16_convolutions(small_artifact.proto)
    types = tensor_types(half)
    resize = next(node for node in half.graph.node if node.op_type == "Resize")
    assert types[resize.input[0]] == TensorProto.FLOAT16
    assert types[resize.input[2]] == TensorProto.FLOAT


def test_fp16_stays_near_float32_by_the_reference_evaluator(small_artifact: OnnxArtifact) -> None:
    exact = ReferenceEvaluator(small_artifact.proto).run(None, {"frame": FRAMES})[0]
    half = ReferenceEvaluator(with_fp16_convolutions(small_artifact.proto)).run(None, {"frame": FRAMES})[0]
    assert half.dtype == np.float32
    difference = np.abs(exact - half).max()
    assert 0 < difference < 5e-3


def test_two_casts_only_where_types_change(small_artifact: OnnxArtifact) -> None:
    half = with_fp16_convolutions(small_artifact.proto)
    casts = [node for node in half.graph.node if node.op_type == "Cast"]
    assert [(node.input[0], node.output[0]) for node in casts] == [
        ("frame", "float"),
        ("normal", "normal.half"),
        ("head.out", "head.out.float"),
    ]


def test_the_given_graph_is_left_as_it_was(small_artifact: OnnxArtifact) -> None:
    before = small_artifact.proto.SerializeToString()
    with_fp16_convolutions(small_artifact.proto)
    assert small_artifact.proto.SerializeToString() == before
    assert "normal" in activations(small_artifact.proto)
