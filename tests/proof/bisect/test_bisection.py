"""Graphs of a shipped network with one defect each: the layer and its cause are named."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifacts import CalibrationTable, Precision, Range
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.placement import activations
from edgeseg.calibration.qdq_style import cpu_style
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import extremes
from edgeseg.cli import run
from edgeseg.errors import MismatchError
from edgeseg.frames import Frame
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.graph.weights import copy_of
from edgeseg.images import write_png
from edgeseg.packages import find_model, onnx_of
from edgeseg.proof.bisect.bisection import Bisection, bisect
from edgeseg.proof.bisect.layer_errors import Difference, layer_errors
from tests.calibration.test_bias_correction import FRAMES, clipping_table, network

PACKAGE = Path(__file__).parents[3] / "models" / "kvasir-ultra"


@pytest.fixture(scope="module")
def ultra() -> OnnxArtifact:
    return load_onnx(onnx_of(find_model(PACKAGE)))


@pytest.fixture(scope="module")
def chain() -> OnnxArtifact:
    """Six convolutions, whose frames are `FRAMES`."""
    return network()


def coarse_frame(artifact: OnnxArtifact) -> Frame:
    """Squares of noise, uint8 [H,W,3], at the network's size."""
    model = artifact.metadata.model
    coarse = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((model.height // 8, model.width // 8, 1), np.uint8))


def int8_of(artifact: OnnxArtifact) -> onnx.ModelProto:
    ranges = {
        name: Range(minimum=low, maximum=high, amax=max(-low, high))
        for name, (low, high) in extremes(artifact.proto, activations(artifact.proto), FRAMES).items()
    }
    table = clipping_table(artifact).model_copy(update={"ranges": ranges})
    return quantise(artifact, table, cpu_style(table)).proto


def tensor(proto: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(each for each in proto.graph.initializer if each.name == name)


def set_values(proto: onnx.ModelProto, name: str, change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
    values = tensor(proto, name)
    values.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(change(numpy_helper.to_array(values))), name))


def convolutions(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in proto.graph.node if node.op_type == "Conv"]


def bisected(artifact: OnnxArtifact, judged: onnx.ModelProto, precision: Precision = "fp32") -> Bisection:
    return bisect(artifact, judged, "1" * 64, precision, list(FRAMES))


def honest(artifact: OnnxArtifact, precision: Precision) -> onnx.ModelProto:
    if precision == "fp16":
        return with_fp16_convolutions(artifact.proto, frozenset(), ())
    return artifact.proto if precision == "fp32" else int8_of(artifact)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_honest_graphs_agree(chain: OnnxArtifact, precision: Precision) -> None:
    found = bisected(chain, honest(chain, precision), precision)
    assert found.agrees and found.layer is None and len(found.layers) == len(chain.proto.graph.node)
    assert ("the same values" in found.cause) == (precision == "fp32")


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_shipped_network_agrees_where_it_marks_nothing(ultra: OnnxArtifact, precision: Precision) -> None:
    if precision == "fp16":
        judged = honest(ultra, "fp16")
    else:
        table = CalibrationTable.read(PACKAGE / "model.calibration.json")
        judged = quantise(ultra, table, cpu_style(table)).proto
    found = bisect(ultra, judged, "1" * 64, precision, [coarse_frame(ultra)])
    assert found.agrees and found.layers[-1].highest < 1e-4 and len(found.layers) > 90


def test_a_range_ten_times_too_small(chain: OnnxArtifact) -> None:
    judged = int8_of(chain)
    chosen = next(node for node in judged.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x2")
    set_values(judged, chosen.input[1], lambda scale: scale / np.float32(10))
    found = bisected(chain, judged, "int8")
    assert found.layer == "relu1" and "is too small" in found.cause and "10.0 times as far" in found.cause


def test_a_range_a_thousand_times_too_large(chain: OnnxArtifact) -> None:
    judged = int8_of(chain)
    chosen = next(node for node in judged.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x2")
    set_values(judged, chosen.input[1], lambda scale: scale * np.float32(1000))
    found = bisected(chain, judged, "int8")
    assert found.layer == "relu1" and "is too large" in found.cause and "0.1% of the levels" in found.cause


def test_levels_without_a_zero_point_are_read_as_onnx_has_them(chain: OnnxArtifact) -> None:
    judged = int8_of(chain)
    for node in judged.graph.node:  # uint8 from 0, as ONNX takes what names no zero point
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and "x2" in node.output[0] and len(node.input) > 2:
            del node.input[2:]
    chosen = next(node for node in judged.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == "x2")
    set_values(judged, chosen.input[1], lambda scale: scale / np.float32(10))
    found = bisected(chain, judged, "int8")
    assert found.layer == "relu1" and "reach from 0 to " in found.cause and "10.0 times as far" in found.cause


def test_swapped_weights(chain: OnnxArtifact) -> None:
    judged = copy_of(chain.proto)
    first, second = convolutions(judged)[1:3]
    first.input[1], second.input[1] = second.input[1], first.input[1]
    found = bisected(chain, judged)
    assert found.layer == "conv1" and found.cause.endswith("has the weights of conv2")


def test_another_normalisation(chain: OnnxArtifact) -> None:
    judged = copy_of(chain.proto)
    set_values(judged, "factor", lambda factor: factor * np.float32(2))
    found = bisected(chain, judged)
    assert found.layer is not None and "reads 0.03125 where the reference reads 0.01562" in found.cause


def test_colours_in_the_other_order(chain: OnnxArtifact) -> None:
    judged = copy_of(chain.proto)
    judged.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "order"))
    judged.graph.node.insert(0, onnx.helper.make_node("Gather", ["frame", "order"], ["swapped"], axis=3))
    judged.graph.node[1].input[0] = "swapped"
    found = bisected(chain, judged)
    assert found.layer == chain.proto.graph.node[0].name and "RGB and BGR are confused" in found.cause


def test_another_attribute(chain: OnnxArtifact) -> None:
    judged = copy_of(chain.proto)
    node = convolutions(judged)[2]
    node.attribute.append(onnx.helper.make_attribute("dilations", [2, 2]))
    next(each for each in node.attribute if each.name == "pads").ints[:] = [2] * 4
    found = bisected(chain, judged)
    assert found.layer == "conv2" and "has dilations [2, 2] where the reference has None" in found.cause


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("w3", lambda weight: weight * np.float32(1.5), "has other weights: they differ by 50%"),
        ("b3", lambda bias: bias + np.float32(9), "has another bias"),
        ("w3", lambda weight: weight + np.float32(np.inf), "gives values that are not finite"),
    ],
)
def test_other_weights_another_bias_and_values_that_are_not_finite(
    chain: OnnxArtifact, name: str, change: Callable[[NDArray[np.float32]], NDArray[np.float32]], words: str
) -> None:
    judged = copy_of(chain.proto)
    set_values(judged, name, change)
    found = bisected(chain, judged)
    assert found.layer == "conv3" and words in found.cause


def test_a_layers_ratio_is_that_of_onnxs_own_evaluator() -> None:
    artifact = network()
    judged = quantise(artifact, clipping_table(artifact), cpu_style(clipping_table(artifact))).proto
    names = ["y1", "x2", "y4"]
    values = []
    for proto in (artifact.proto, judged):
        shown = copy_of(proto)
        del shown.graph.output[:]
        shown.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
        values.append(ReferenceEvaluator(shown).run(None, {"frame": FRAMES}))
    errors = {error.tensor: error for error in layer_errors(artifact.proto, judged, list(FRAMES))}
    for name, x, y in zip(names, *values, strict=True):
        expected = 10 * np.log10(np.sum(x.astype(float) ** 2) / np.sum((x.astype(float) - y) ** 2))
        assert errors[name].computed.sqnr_db == pytest.approx(expected, abs=0.1)
        assert (errors[name].lowest, errors[name].highest) == pytest.approx((x.min(), x.max()), rel=1e-5)


def test_the_line_through_values_is_that_of_numpy() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=500)
    y = 3 * x - 2 + generator.normal(scale=0.1, size=500)
    difference = Difference()
    for part in (slice(0, 200), slice(200, 500)):
        difference.add(x[part], y[part])
    slope, offset = np.polyfit(x, y, 1)
    assert difference.fitted() == pytest.approx((slope, offset, np.corrcoef(x, y)[0, 1] ** 2), rel=1e-9)


def test_graphs_of_other_exports_are_refused(chain: OnnxArtifact) -> None:
    renamed = copy_of(chain.proto)
    for node in renamed.graph.node:
        node.input[:] = [name if name in ("frame", *"wb") or name[0] in "wbf" else f"new.{name}" for name in node.input]
        node.output[:] = [f"new.{name}" for name in node.output]
    renamed.graph.output[0].name = "new.probability"
    with pytest.raises(MismatchError, match="cannot be compared layer by layer"):
        bisected(chain, renamed)


@pytest.fixture
def pictures(tmp_path: Path, ultra: OnnxArtifact) -> Path:
    write_png(tmp_path / "pictures" / "a.png", coarse_frame(ultra))
    return tmp_path / "pictures"


def test_the_command(ultra: OnnxArtifact, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = copy_of(ultra.proto)
    node = convolutions(judged)[3]
    set_values(judged, node.input[1], np.negative)
    path = tmp_path / "wrong.onnx"
    path.write_bytes(serialize(judged))
    words = ["verify", str(path), "--reference", str(PACKAGE), "--bisect", "--data", str(pictures)]
    assert run([*words, "--report", str(tmp_path / "report")]) == 3
    said = capsys.readouterr().out
    assert f"first to disagree: {node.name}" in said and "has other weights: they differ by 200%" in said
    assert (tmp_path / "report" / "bisection.svg").read_text().count("first to disagree") <= 1
    written = json.loads((tmp_path / "report" / "bisection.json").read_text())
    assert run([*words, "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == written and written["layer"] == node.name


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ([], 2, "--bisect runs both graphs on pictures"),
        (["--data", "d", "--max-lost-polyps", "0"], 2, "judges no limit"),
        (["--data", "d", "--clips", "c.toml"], 2, "judges no limit and no clip"),
        (["--data", "d", "--trust", "backend"], 2, "judges no limit and no clip"),
        (["--data", "d", "--report", __file__], 5, "cannot write"),
        (["--data", "d", "--protocol", "p.toml"], 2, "judges no limit"),
        (["--data", "d", "--junit", "j.xml"], 2, "judges no limit"),
    ],
)
def test_flags_that_do_not_fit(more: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "x.onnx", "--reference", str(PACKAGE), "--bisect", *more]) == code
    assert said in capsys.readouterr().err


def test_other_sizes_are_refused(small_onnx: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", str(small_onnx), "--reference", str(PACKAGE), "--bisect", "--data", str(pictures)]) == 6
    assert "pictures of different sizes" in capsys.readouterr().err
