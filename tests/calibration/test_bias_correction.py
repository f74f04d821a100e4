"""Biases that make up for what INT8 adds to the means."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.calibration import bias_correction
from edgeseg.calibration.bias_correction import bias_shifts
from edgeseg.calibration.flips import flipped_shares
from edgeseg.calibration.placement import activations, default_plan
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, TENSORRT_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate, extremes
from edgeseg.errors import BadInputError
from edgeseg.files import sha256_bytes
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec
from tests.calibration.picture_files import written

FRAMES = np.random.default_rng(7).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
CORRECTED = ["conv1", "conv4"]
"""The last of conv1 to conv4, which the default plan gives to INT8, and the third before it."""


def network(biased: bool = True) -> OnnxArtifact:
    """A chain of six convolutions with ReLU between them."""
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Cast", ["frame"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "factor"], ["x0"]),
    ]
    tensors = [numpy_helper.from_array(np.float32(1 / 64), "factor")]
    widths = [3, 8, 8, 8, 8, 8, 1]
    for index, (before, after) in enumerate(itertools.pairwise(widths)):
        weight = rng.normal(0, 1.4 / np.sqrt(9 * before), (after, before, 3, 3)).astype(np.float32)
        tensors.append(numpy_helper.from_array(weight, f"w{index}"))
        tensors.append(numpy_helper.from_array(rng.normal(0, 0.1, after).astype(np.float32), f"b{index}"))
        names = [f"x{index}", f"w{index}", *([f"b{index}"] if biased else [])]
        nodes.append(helper.make_node("Conv", names, [f"y{index}"], name=f"conv{index}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"y{index}"], [f"x{index + 1}"], name=f"relu{index}"))
    nodes[-1] = helper.make_node("Sigmoid", ["y5"], ["probability"])
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", 16, 16, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, 16, 16])],
        tensors if biased else [tensor for tensor in tensors if not tensor.name.startswith("b")],
    )
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    spec = ModelSpec(architecture="chain", height=16, width=16)
    return OnnxArtifact(Path("chain.onnx"), "0" * 64, ModelMetadata(model=spec, preprocess=PreprocessSpec()), proto)


def clipping_table(artifact: OnnxArtifact) -> CalibrationTable:
    """Ranges that clip much, so that means shift."""
    seen = extremes(artifact.proto, activations(artifact.proto), FRAMES)
    ranges = {name: Range(minimum=low, maximum=high, amax=0.5 * high) for name, (low, high) in seen.items()}
    return CalibrationTable(
        method="max", image_count=4, data_sha256="", weights_sha256=artifact.weights_sha256, ranges=ranges
    )


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """FRAMES as files."""
    return written(tmp_path / "pictures", FRAMES)


def channel_means(proto: onnx.ModelProto, names: list[str]) -> list[np.ndarray]:
    """ONNX's own evaluator, every node as it is defined."""
    shown = onnx.ModelProto()
    shown.CopyFrom(proto)
    del shown.graph.output[:]
    shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    values = ReferenceEvaluator(shown).run(None, {"frame": FRAMES})
    return [value.mean((0, 2, 3), dtype=np.float64) for value in values]


def test_corrected_convolutions_keep_float32s_means(pictures: list[Path]) -> None:
    artifact = network()
    table, plan = clipping_table(artifact), default_plan(artifact.proto, "int8", "fp32")
    shifts = bias_shifts(artifact, table, pictures)
    assert shifts is not None and list(shifts) == CORRECTED
    corrected = table.model_copy(update={"bias_shifts": shifts})
    wanted = channel_means(artifact.proto, ["y1", "y4", "y5"])
    before, after = (
        channel_means(quantise(artifact, given, ONNXRUNTIME_STYLE, plan).proto, ["y1", "y4", "y5"])
        for given in (table, corrected)
    )
    for index in range(2):
        error = np.abs(before[index] - wanted[index]).max()
        assert error > 0.05
        assert np.abs(after[index] - wanted[index]).max() < 0.02 * error
    assert np.abs(after[2] - wanted[2]).max() < 0.5 * np.abs(before[2] - wanted[2]).max(), "what comes after gains"


def test_the_first_shift_is_the_difference_of_the_means(pictures: list[Path]) -> None:
    artifact = network()
    table, plan = clipping_table(artifact), default_plan(artifact.proto, "int8", "fp32")
    shifts = bias_shifts(artifact, table, pictures)
    assert shifts is not None
    rounded = channel_means(quantise(artifact, table, ONNXRUNTIME_STYLE, plan).proto, ["y1"])[0]
    expected = channel_means(artifact.proto, ["y1"])[0] - rounded
    assert np.asarray(shifts["conv1"]) == pytest.approx(expected, abs=1e-3)


def test_only_graphs_for_cpus_take_the_shifts() -> None:
    artifact = network()
    table = clipping_table(artifact)
    shifted = table.model_copy(update={"bias_shifts": {"conv1": (0.25,) * 8}})
    graphs = [quantise(artifact, given, TENSORRT_STYLE).proto.SerializeToString() for given in (table, shifted)]
    assert graphs[0] == graphs[1]
    proto = quantise(artifact, shifted, ONNXRUNTIME_STYLE).proto
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    biases = {node.name: node.input[2] for node in proto.graph.node if node.op_type == "Conv"}
    original = {tensor.name: numpy_helper.to_array(tensor) for tensor in artifact.proto.graph.initializer}
    assert tensors[biases["conv1"]] == pytest.approx(original["b1"] + 0.25)
    assert np.array_equal(tensors[biases["conv2"]], original["b2"]) and "b1" not in tensors


def flipped(artifact: OnnxArtifact, table: CalibrationTable) -> float:
    """The share of the mask's pixels in which INT8 differs from float32, as ONNX Runtime has both."""
    plan = default_plan(artifact.proto, "int8", "fp32")
    graphs = artifact.proto, quantise(artifact, table, ONNXRUNTIME_STYLE, plan).proto
    exact, rounded = (
        onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"frame": FRAMES})[0] >= 0.5
        for proto in graphs
    )
    return float(np.mean(exact != rounded))


def test_shifts_are_kept_where_fewer_pixels_flip(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = network()
    table = clipping_table(artifact)
    shifts = bias_shifts(artifact, table, pictures)
    assert shifts is not None
    corrected = table.model_copy(update={"bias_shifts": shifts})
    seen = []

    def told(*arguments: Any) -> list[float]:
        seen.append(flipped_shares(*arguments))
        return [0.25, 0.25]

    monkeypatch.setattr(bias_correction, "flipped_shares", told)
    assert bias_shifts(artifact, table, pictures) is None, "as many flip"
    assert seen[0] == pytest.approx([flipped(artifact, table), flipped(artifact, corrected)])
    assert seen[0][1] < seen[0][0]


def test_calibrate_puts_the_shifts_into_the_table(pictures: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bias_correction, "flipped_shares", lambda *_: [1.0, 0.0])
    table = calibrate(network(), pictures)
    assert table.bias_shifts is not None and list(table.bias_shifts) == CORRECTED
    assert table.bias_shifts == bias_shifts(network(), table.model_copy(update={"bias_shifts": None}), pictures)
    assert CalibrationTable.from_json(table.to_json()) == table


def test_nothing_is_shifted_where_there_are_no_biases(pictures: list[Path]) -> None:
    artifact = network(biased=False)
    table = calibrate(artifact, pictures)
    assert table.bias_shifts is None


def test_a_table_from_before_this_keeps_its_name() -> None:
    table = clipping_table(network())
    document = {name: value for name, value in table.to_dict().items() if value is not None}
    assert not {"asymmetry", "bias_shifts", "trained"} & set(document)
    assert table.sha256 == sha256_bytes(json.dumps(document, indent=2).encode())
    assert table.sha256 != table.model_copy(update={"bias_shifts": {"conv1": (0.0,) * 8}}).sha256


@pytest.mark.parametrize("shifts", [{"conv1": (0.0,) * 7}, {"conv9": (0.0,) * 8}])
def test_shifts_that_do_not_fit_are_refused(shifts: dict[str, tuple[float, ...]]) -> None:
    artifact = network()
    table = clipping_table(artifact).model_copy(update={"bias_shifts": shifts})
    with pytest.raises(BadInputError, match="shifts a bias") as caught:
        quantise(artifact, table, ONNXRUNTIME_STYLE)
    assert "edgeseg calibrate" in (caught.value.next_command or "")
