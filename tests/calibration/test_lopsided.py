"""Activations that lie mostly on one side of zero, as HardSwish, GELU and SiLU leave them."""

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifacts import AsymmetryTrial, CalibrationTable, EngineArtifact, Range
from edgeseg.calibration.asymmetry import try_asymmetry
from edgeseg.calibration.placement import activations, default_plan
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, TENSORRT_STYLE
from edgeseg.calibration.quantise import activation_quantisation, quantise
from edgeseg.calibration.ranges import extremes
from edgeseg.cli import run
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.builders.onnxruntime_builder import optimised_graph
from edgeseg.export.builders.tensorrt_builder import graph_in_precision
from edgeseg.files import sha256_bytes
from edgeseg.graph.onnx_files import OnnxArtifact, serialize, with_metadata
from edgeseg.runtime.passport.passports import passport_path
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec
from tests.calibration.picture_files import written

ASYMMETRIC = dataclasses.replace(ONNXRUNTIME_STYLE, asymmetric=True)
HARD_SWISH = Range(minimum=-0.375, maximum=5.4, amax=5.4)
FRAMES = np.random.default_rng(7).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def test_hardswish_gets_all_levels() -> None:
    chosen = activation_quantisation(HARD_SWISH, ASYMMETRIC)
    assert chosen.scale == pytest.approx((5.4 + 0.375) / 255)
    assert (chosen.zero.dtype, int(chosen.zero)) == (np.uint8, 17)  # .375 / (5.775 / 255) = 16.56
    assert int(activation_quantisation(HARD_SWISH, TENSORRT_STYLE).zero) == 0


@given(low=st.floats(-100, -1e-3), high=st.floats(-100, 100), share=st.floats(0.05, 1))
def test_zero_is_exact_and_no_value_in_range_is_off_by_more_than_a_level(low: float, high: float, share: float) -> None:
    high = max(low, high)
    amax = max(abs(low), abs(high)) * share
    chosen = activation_quantisation(Range(minimum=low, maximum=high, amax=amax), ASYMMETRIC)
    values = np.linspace(max(low, -amax), max(min(high, amax), 0.0), 50)
    zero = int(chosen.zero)
    levels = np.clip(np.rint(values / chosen.scale) + zero, 0, 255)
    assert 0 <= zero <= 255 and (0 - zero) * chosen.scale <= 0
    assert np.abs((levels - zero) * chosen.scale - values).max() <= chosen.scale * 1.001
    symmetric = activation_quantisation(Range(minimum=low, maximum=high, amax=amax), ONNXRUNTIME_STYLE)
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
    return OnnxArtifact(Path("swish.onnx"), "0" * 64, ModelMetadata(model=spec, preprocess=PreprocessSpec()), proto)


def table_of(artifact: OnnxArtifact, **changed: tuple[float, float]) -> CalibrationTable:
    """The ranges on FRAMES, but for those that are given."""
    seen = {**extremes(artifact.proto, activations(artifact.proto), FRAMES), **changed}
    ranges = {n: Range(minimum=lo, maximum=hi, amax=max(abs(lo), abs(hi))) for n, (lo, hi) in seen.items()}
    return CalibrationTable(
        method="max", image_count=4, data_sha256="", weights_sha256=artifact.weights_sha256, ranges=ranges
    )


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """FRAMES as files."""
    return written(tmp_path / "pictures", FRAMES)


def test_lopsided_levels_bring_the_engine_nearer_to_float32() -> None:
    artifact = network()
    table = table_of(artifact)
    plan = default_plan(artifact.proto, "int8", "fp32")
    exact = ReferenceEvaluator(artifact.proto).run(None, {"frame": FRAMES})[0]
    errors, operators = [], []
    for asymmetric in (False, True):
        style = dataclasses.replace(ONNXRUNTIME_STYLE, asymmetric=asymmetric)
        data = quantise(artifact, table, style, plan).proto.SerializeToString()
        onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
        found = onnxruntime.InferenceSession(data).run(None, {"frame": FRAMES})[0]
        errors.append(float(np.square(found - exact).mean()))
        operators.append(sorted(node.op_type for node in optimised_graph(data).graph.node))
    assert errors[1] < 0.7 * errors[0]
    assert operators[0] == operators[1] and operators[0].count("QLinearConv") == 2


def probabilities(proto: onnx.ModelProto) -> np.ndarray:
    return onnxruntime.InferenceSession(proto.SerializeToString()).run(None, {"frame": FRAMES})[0]


def test_the_trial_counts_the_pixels_that_flip(pictures: list[Path]) -> None:
    artifact = network()
    table, plan = table_of(artifact), default_plan(artifact.proto, "int8", "fp32")
    trial = try_asymmetry(artifact, table, pictures)
    assert trial is not None
    exact = probabilities(artifact.proto) >= 0.5
    shares = [
        float(np.mean((probabilities(quantise(artifact, table, style, plan).proto) >= 0.5) != exact))
        for style in (ONNXRUNTIME_STYLE, ASYMMETRIC)
    ]
    assert [trial.symmetric_flipped_share, trial.asymmetric_flipped_share] == pytest.approx(shares)
    assert shares[1] < shares[0] and trial.asymmetric
    ends = [table.ranges[name] for name in ("last1", "y1", "last2", "y2")]  # of the two INT8 convolutions
    lopsided = [r.minimum < 0 and (r.maximum - r.minimum) / (2 * r.amax) < 0.75 for r in ends]
    assert (trial.image_count, trial.tensors) == (4, sum(lopsided))
    assert lopsided[0] and lopsided[2], "HardSwish's outputs"


def test_symmetric_levels_stay_where_they_are_better(pictures: list[Path]) -> None:
    # What the table calls lopsided reaches as far below zero, and asymmetric levels cut that off.
    artifact = network()
    seen = extremes(artifact.proto, ["y1", "y2"], FRAMES)
    wrong = {name: (-0.05, max(-low, high)) for name, (low, high) in seen.items()}
    trial = try_asymmetry(artifact, table_of(artifact, **wrong), pictures)
    assert trial is not None and not trial.asymmetric
    assert trial.symmetric_flipped_share < trial.asymmetric_flipped_share


def test_nothing_is_tried_where_nothing_is_lopsided() -> None:
    artifact = network()
    even = table_of(artifact, **dict.fromkeys(activations(artifact.proto), (-3.0, 3.0)))
    assert try_asymmetry(artifact, even, []) is None  # it would fail on no pictures


def test_tensorrt_stays_symmetric() -> None:
    artifact = network()
    tables = [with_trial(table_of(artifact), asymmetric) for asymmetric in (False, True)]
    graphs = [graph_in_precision(BuildRequest(artifact, "int8", table)).SerializeToString() for table in tables]
    assert graphs[0] == graphs[1]


def test_a_table_from_before_the_trial_keeps_its_name() -> None:
    table = table_of(network())
    document = table.to_dict()
    assert [document.pop(key) for key in ("method_trial", "asymmetry", "bias_shifts", "trained")] == [None] * 4
    assert table.sha256 == sha256_bytes(json.dumps(document, indent=2).encode())
    assert with_trial(table, True).sha256 != with_trial(table, False).sha256 != table.sha256


def with_trial(table: CalibrationTable, asymmetric: bool) -> CalibrationTable:
    trial = AsymmetryTrial(
        image_count=4, tensors=3, symmetric_flipped_share=0.02, asymmetric_flipped_share=0.01, asymmetric=asymmetric
    )
    return table.model_copy(update={"asymmetry": trial})


def test_the_decision_goes_from_the_table_to_the_engine_and_its_repetition(
    pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, model, table = network(), tmp_path / "swish.onnx", tmp_path / "table.json"
    model.write_bytes(serialize(with_metadata(artifact.proto, artifact.metadata)))

    def typed(*words: object) -> tuple[dict[str, Any], str]:
        assert run([*map(str, words), "--json"]) == 0
        said = capsys.readouterr()
        return json.loads(said.out), said.err

    calibrated, _ = typed("calibrate", model, "--data", pictures[0].parent, "--out", table)
    assert calibrated["asymmetry"]["asymmetric"] is True
    engine = tmp_path / "swish.engine"
    build = ("build-engine", model, "--precision", "int8", "--keep-int8", "--backend", "onnxruntime", "--out", engine)
    built, said = typed(*build, "--calibration", table)
    assert built["asymmetry"] == calibrated["asymmetry"] and "INT8 levels are asymmetric on CPUs: 3 tensors" in said
    data = engine.read_bytes()
    for path in pictures:
        path.unlink()
    again, _ = typed("build-engine", "--from-passport", passport_path(engine))
    assert again["identical"] and again["asymmetry"] == calibrated["asymmetry"]
    assert run(["inspect", str(engine)]) == 0 and "INT8 levels are asymmetric" in capsys.readouterr().out
    CalibrationTable.read(table).model_copy(update={"asymmetry": None}).write(table)
    _, said = typed(*build, "--calibration", table)
    assert "INT8 levels are symmetric: 3 tensors" in said and "edgeseg calibrate" in said
    assert engine.read_bytes() != data and EngineArtifact.read(passport_path(engine)).asymmetry is None
