"""Engines of mixed precision: what the plan asks for is what the graph and the engine hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from scipy.signal import correlate

from edgeseg.artifacts import CalibrationTable, EngineArtifact, PrecisionPlan
from edgeseg.calibration.plan_files import plan_to_toml, read_plan
from edgeseg.calibration.ranges import calibrate
from edgeseg.cli import run
from edgeseg.errors import UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders import cpu_graph, tensorrt_builder
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.images import list_images
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.passport.passports import passport_path

FRAMES = np.random.default_rng(9).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
ISLAND = PrecisionPlan(default="int8", layers={"stem": "fp16", "head": "fp16", "res*": "fp32"})


@pytest.fixture
def table_path(small_onnx: Path, small_images: Path) -> Path:
    path = small_onnx.parent.parent / "table.json"
    calibrate(load_onnx(small_onnx), list_images(small_images)).write(path)
    return path


@pytest.fixture
def table(table_path: Path) -> CalibrationTable:
    return CalibrationTable.read(table_path)


def plan_of(default: str, **layers: str) -> PrecisionPlan:
    return PrecisionPlan(default=default, layers=layers)  # type: ignore[arg-type]


def tensor_types(proto: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def typed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, Any]]:
    code = run([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out or "{}")


def test_the_tensorrt_graph_changes_type_only_where_the_plan_does(
    small_artifact: OnnxArtifact, table: CalibrationTable
) -> None:
    request = BuildRequest(small_artifact, "int8", table, ISLAND)
    proto = tensorrt_builder.graph_in_precision(request)
    onnx.checker.check_model(proto, full_check=True)
    types = tensor_types(proto)
    operands = {n.name: {types[i] for i in n.input if i} for n in proto.graph.node if n.op_type == "Conv"}
    assert operands.pop("residual") == {TensorProto.FLOAT}
    assert set(map(frozenset, operands.values())) == {frozenset({TensorProto.FLOAT16})}
    quantisers = [node for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    assert {node.input[0] for node in quantisers} == {"pooled", "joined.half"}
    assert {types[node.input[1]] for node in quantisers} == {TensorProto.FLOAT16}
    # The sum behind the island and what carries it on are float32 too, up to the next convolution.
    assert [types[name] for name in ("residual.out", "sum", "larger", "joined")] == [TensorProto.FLOAT] * 4
    casts = {node.output[0] for node in proto.graph.node if node.op_type == "Cast"}
    assert casts == {"float", "normal.half", "down.relu.float", "stem.relu.float", "joined.half", "head.out.float"}


def test_a_float32_island_computes_in_float32(small_artifact: OnnxArtifact, table: CalibrationTable) -> None:
    proto = tensorrt_builder.graph_in_precision(BuildRequest(small_artifact, "int8", table, ISLAND))
    for name in ("down.relu.float", "residual.out"):
        proto.graph.output.append(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    _, given, found = ReferenceEvaluator(proto).run(None, {"frame": FRAMES[:1]})
    weights = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in small_artifact.proto.graph.initializer}
    padded = np.pad(given[0].astype(np.float64), [(0, 0), (1, 1), (1, 1)])
    for channel, kernel in enumerate(weights["residual.weight"].astype(np.float64)):
        expected = correlate(padded, kernel, "valid")[0] + weights["residual.bias"][channel]
        np.testing.assert_allclose(found[0, channel], expected, atol=1e-5)


@pytest.mark.parametrize("style", ["onnxruntime", "tensorrt"])
def test_a_mixed_engine_errs_less_than_int8_and_more_than_float32(
    style: str, small_artifact: OnnxArtifact, table: CalibrationTable
) -> None:
    builder = cpu_graph if style == "onnxruntime" else tensorrt_builder
    exact = ReferenceEvaluator(small_artifact.proto).run(None, {"frame": FRAMES})[0]

    def noise(plan: PrecisionPlan) -> float:
        proto = builder.graph_in_precision(BuildRequest(small_artifact, "int8", table, plan))
        result = ReferenceEvaluator(proto).run(None, {"frame": FRAMES})[0]
        return float(np.square(result - exact).mean())

    mixed = plan_of("fp32", up="int8")
    assert 0 < noise(mixed) < noise(plan_of("int8"))
    assert noise(plan_of("fp32")) == 0


def test_a_float_convolution_is_spared_its_neighbours_rounding(
    small_artifact: OnnxArtifact, table: CalibrationTable
) -> None:
    """`down` and a float convolution read one tensor; only what `down` reads is quantised."""
    up = next(node for node in small_artifact.proto.graph.node if node.name == "residual")
    up.input[0] = "pooled"
    plan = plan_of("fp32", down="int8")
    proto = cpu_graph.graph_in_precision(BuildRequest(small_artifact, "int8", table, plan))
    read = {node.name: node.input[0] for node in proto.graph.node if node.op_type == "Conv"}
    assert (read["down"], read["residual"]) == ("pooled.dequantised", "pooled")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_plan_that_says_what_the_precision_means_gives_its_bytes(
    precision: str, small_onnx: Path, table_path: Path, tmp_path: Path
) -> None:
    plan = plan_of(precision, stem="fp32", head="fp32") if precision == "int8" else plan_of(precision)
    plain = BuildOptions(precision, "onnxruntime", table_path, out=tmp_path / "plain")  # type: ignore[arg-type]
    planned = BuildOptions("fp16", "onnxruntime", table_path, out=tmp_path / "planned", plan=plan)
    passports = [build_engine(small_onnx, options).passport for options in (plain, planned)]
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "planned").read_bytes()
    assert passports[0].precision == passports[1].precision == precision
    assert passports[0].precision_plan == passports[1].precision_plan == plan


def test_onnxruntime_executes_the_plan(small_onnx: Path, table_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.engine"
    options = BuildOptions("int8", "onnxruntime", table_path, out=out, plan=plan_of("fp32", up="int8", down="int8"))
    passport = build_engine(small_onnx, options).passport
    assert (passport.precision, passport.int8_convolutions, passport.convolutions) == ("int8", 2, 5)
    difference = open_engine(out).infer(FRAMES) - open_engine(small_onnx).infer(FRAMES)
    assert 0 < np.sqrt(np.square(difference).mean()) < 0.015


def test_onnxruntime_mixes_fp16_with_float32_but_not_with_int8(
    small_onnx: Path, table_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.engine"
    plan = plan_of("fp16", down="fp32")
    passport = build_engine(small_onnx, BuildOptions("int8", "onnxruntime", out=out, plan=plan)).passport
    assert (passport.precision, passport.calibration_sha256) == ("fp16", None)
    assert 0 < np.abs(open_engine(out).infer(FRAMES) - open_engine(small_onnx).infer(FRAMES)).max() < 5e-3
    with pytest.raises(UsageError) as caught:
        build_engine(small_onnx, BuildOptions("int8", "onnxruntime", table_path, out=out, plan=ISLAND))
    assert "fp16 for stem and 1 more" in str(caught.value.found)


def test_from_plan_to_passport_and_back(
    small_onnx: Path, table_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    code, written = typed(
        capsys, "build-engine", small_onnx, "--precision", "int8", "--backend", "onnxruntime", "--write-plan", "p.toml"
    )
    assert (code, written["default"], written["layers"]) == (0, "int8", {"stem": "fp32", "head": "fp32"})
    assert not list(tmp_path.glob("*.engine"))
    text = Path("p.toml").read_text()
    Path("p.toml").write_text(text.replace('# "residual" = "int8"', '"residual" = "fp32"'))
    words = ["build-engine", small_onnx, "--precision-plan", "p.toml", "--calibration", table_path]
    code, built = typed(capsys, *words)
    assert (code, built["engine"], built["precision"], built["int8_convolutions"]) == (
        0,
        "small.mixed.engine",
        "int8",
        2,
    )
    plan = read_plan(Path("p.toml"))
    assert built["precision_plan_sha256"] == plan.sha256
    assert PrecisionPlan.model_validate(built["precision_plan"]) == plan
    assert "--precision-plan p.toml" in built["rebuild"]
    assert run(["inspect", "small.mixed.engine"]) == 0
    assert "int8; fp32 for stem, head, residual" in capsys.readouterr().out
    assert run(["inspect", "p.toml"]) == 0
    assert plan.sha256 in capsys.readouterr().out
    Path("p.toml").unlink()  # the passport itself says what the plan was
    passport = EngineArtifact.read(Path("small.mixed.engine.json"))
    code, again = typed(capsys, "build-engine", "--from-passport", "small.mixed.engine.json")
    assert (code, again["identical"]) == (0, True)
    assert EngineArtifact.read(Path("small.mixed.engine.json")) == passport


def test_a_plan_that_was_never_a_file_is_repeated_from_the_passport(
    small_onnx: Path, table_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.engine"
    options = BuildOptions("int8", "onnxruntime", table_path, out=out, plan=plan_of("fp32", up="int8"))
    passport = build_engine(small_onnx, options).passport
    assert passport.rebuild == f"edgeseg build-engine --from-passport {passport_path(out)}"
    assert run(passport.rebuild.split()[1:]) == 0
    assert EngineArtifact.read(passport_path(out)) == passport


def test_a_json_plan_is_written_and_read(small_onnx: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "p.json"
    words = ["build-engine", small_onnx, "--precision", "int8", "--backend", "tensorrt", "--write-plan", path]
    code, written = typed(capsys, *words)
    assert code == 0  # the backend need not be here
    assert read_plan(path).layers == written["layers"] == {"stem": "fp16", "head": "fp16"}
    assert typed(capsys, "inspect", path)[1]["kind"] == "PrecisionPlan"


@pytest.mark.parametrize(
    ("text", "code"), [('default = "int8"\n[layers]\n"nothing.*" = "fp32"', 5), ("default = 8", 5), (None, 5)]
)
def test_a_plan_that_cannot_be_used_leaves_nothing(
    text: str | None, code: int, small_onnx: Path, table_path: Path, tmp_path: Path, capsys
) -> None:
    path, out = tmp_path / "p.toml", tmp_path / "out" / "x.engine"
    if text is not None:
        path.write_text(text)
    words = ["--precision-plan", path, "--calibration", table_path, "--out", out]
    found, document = typed(capsys, "build-engine", small_onnx, *words)
    assert (found, document["exit_code"]) == (code, code)
    assert not out.parent.exists()


def test_plan_and_precision_exclude_each_other(small_onnx: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "p.toml"
    path.write_text(plan_to_toml(plan_of("fp16")))
    for words in (
        ["--precision-plan", path, "--precision", "int8"],
        ["--precision-plan", path, "--write-plan", tmp_path / "q.toml"],
        ["--write-plan", path, "--out", tmp_path / "x.engine"],
        ["--write-plan", path, "--max-batch", "2"],
    ):
        assert run(["build-engine", str(small_onnx), *map(str, words)]) == 2
        assert "leave out" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("module", [cpu_graph, tensorrt_builder])
def test_a_convolution_that_stays_float_against_the_plan_is_told(
    module: Any, small_artifact: OnnxArtifact, table: CalibrationTable
) -> None:
    silent = table.ranges["pooled"].model_copy(update={"minimum": 0.0, "maximum": 0.0, "amax": 0.0})
    dead = table.model_copy(update={"ranges": {**table.ranges, "pooled": silent}})
    lines: list[str] = []
    module.graph_in_precision(BuildRequest(small_artifact, "int8", dead), lines.append)
    assert [line.partition(" stays float")[0] for line in lines] == ["down"]
