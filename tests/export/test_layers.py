"""Layers of engines: what each backend tells, in one form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.artifacts import EngineArtifact, PrecisionPlan
from edgeseg.calibration.ranges import calibrate
from edgeseg.cli import run
from edgeseg.errors import MissingComponentError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.layers.engine_inspector import inspected_layers
from edgeseg.export.layers.engine_layers import layer_report
from edgeseg.export.layers.layer_report import Layer, LayerReport, LayerTensor, dtype_of, precision_of, report_of
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.runtime.passport.passports import passport_path


@pytest.fixture
def int8_engine(small_onnx: Path, small_images: Path, tmp_path: Path) -> Path:
    table, out = tmp_path / "table.json", tmp_path / "small.engine"
    calibrate(load_onnx(small_onnx), list_images(small_images)).write(table)
    plan = PrecisionPlan(default="int8", layers={"stem": "fp32", "up": "fp32", "head": "fp32"})
    build_engine(small_onnx, BuildOptions("int8", "onnxruntime", table, out=out, plan=plan))
    return out


def test_onnxruntime_tells_every_layer_with_its_time(int8_engine: Path) -> None:
    report = layer_report(int8_engine)
    assert "profile" in str(report.time_source)
    times = [layer.time_ms for layer in report.layers]
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]
    assert sum(layer.share or 0 for layer in report.layers) == pytest.approx(1)
    assert report.total_ms == pytest.approx(sum(layer.time_ms or 0 for layer in report.layers))
    convolutions = {layer.nodes: layer.precision for layer in report.layers if "Conv" in layer.type}
    # The optimiser calls the last one after the network's output.
    assert {names[0]: p for names, p in convolutions.items() if names} | {"head": "fp32"} == {
        "stem": "fp32",
        "down": "int8",
        "residual": "int8",
        "up": "fp32",
        "head": "fp32",
    }
    assert len(convolutions) == 5
    totals = {total.precision: total for total in report.totals}
    assert totals["int8"].layers == sum(layer.precision == "int8" for layer in report.layers)
    assert sum(total.share or 0 for total in report.totals) == pytest.approx(1)


def test_shapes_are_those_of_the_network(int8_engine: Path, small_onnx: Path) -> None:
    inferred = onnx.shape_inference.infer_shapes(load_onnx(small_onnx).proto, data_prop=True).graph
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim)[1:] for v in inferred.value_info}
    layers = {
        layer.nodes[0]: layer for layer in layer_report(int8_engine).layers if "Conv" in layer.type and layer.nodes
    }
    for name in ("stem", "up"):
        # ONNX Runtime fills channels up to its blocks.
        assert layers[name].outputs[0].shape[2:] == shapes[f"{name}.out"][1:]


def test_a_report_is_written_beside_the_engine_and_inspected(
    int8_engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "layers.json"
    words = ["build-engine", "--from-passport", str(passport_path(int8_engine)), "--report", str(path), "--json"]
    assert run(words) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(path)
    report = LayerReport.read(path)
    assert report.engine_sha256 == EngineArtifact.read(passport_path(int8_engine)).engine_sha256
    assert run(["inspect", str(int8_engine), "--layers"]) == 0
    shown = capsys.readouterr().out
    assert all(layer.name[:40] in shown for layer in report.layers)
    assert "int8" in shown
    assert run(["inspect", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "LayerReport"
    assert run(["inspect", str(int8_engine), "--layers", "--json"]) == 0
    assert LayerReport.from_json(capsys.readouterr().out).backend == "onnxruntime"


def test_layers_of_what_is_no_engine(small_onnx: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(small_onnx), "--layers"]) == 6
    assert "has no passport" in capsys.readouterr().err


def test_rtx_tells_its_layers_without_being_executed(
    small_onnx: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (extra `rtx`, Linux x86-64)")
    out = tmp_path / "x.engine"
    plan = PrecisionPlan(default="fp16", layers={"residual": "fp32"})
    build_engine(small_onnx, BuildOptions("fp16", "tensorrt-rtx", out=out, plan=plan))
    report = layer_report(out)
    if report.time_source is not None:
        pytest.skip("this machine can execute the engine")
    found = {layer.name: layer for layer in report.layers if layer.type == "convolution"}
    assert {name: layer.precision for name, layer in found.items()} == {
        "stem": "fp16",
        "down": "fp16",
        "residual": "fp32",
        "up": "fp16",
        "head": "fp16",
    }
    assert found["down"].outputs[0].shape == ("N", 8, 8, 8)
    assert all("down" in layer.nodes for name, layer in found.items() if name == "down")
    assert {layer.time_ms for layer in report.layers} == {None}
    assert run(["inspect", str(out), "--layers"]) == 0
    assert "no times (not executed" in capsys.readouterr().out


def test_a_tensorrt_engine_tells_nothing_without_its_gpu(tiny_engine: Path) -> None:
    path = passport_path(tiny_engine)
    passport = EngineArtifact.read(path)
    passport.model_copy(update={"backend": "tensorrt"}).write(path)
    with pytest.raises(MissingComponentError):
        layer_report(tiny_engine)


INSPECTED: dict[str, Any] = {
    "Layers": [
        {
            "Name": "down + down.act",
            "LayerType": "CaskConvolution",
            "Inputs": [
                {"Dimensions": [1, 8, 8, 8], "Format/Datatype": "Thirty-two wide channel vectorized Int8 format"}
            ],
            "Outputs": [{"Dimensions": [1, 8, 8, 8], "Format/Datatype": "Channel major FP16 format"}],
        },
        {
            "Name": "fused",
            "LayerType": "kgen",
            "Metadata": "[ONNX Layer: add]\x1e[ONNX Layer: up]",
            "Inputs": [{"Dimensions": [1, 8], "Format": "kLINEAR", "DataType": "Half"}],
            "Outputs": [{"Dimensions": [1, 8], "Format": "kLINEAR", "DataType": "Float"}],
        },
        "bare",
    ]
}


def test_the_inspector_of_either_version_is_read() -> None:
    layers = inspected_layers(json.dumps(INSPECTED), {"down + down.act": 0.5, "bare": 0.25})
    assert [layer.precision for layer in layers] == ["int8", "fp16", "?"]
    assert [layer.nodes for layer in layers] == [("down", "down.act"), ("add", "up"), ("bare",)]
    assert [layer.time_ms for layer in layers] == [0.5, 0.0, 0.25]
    assert layers[0].outputs[0] == LayerTensor(dtype="fp16", shape=(1, 8, 8, 8), format="Channel major FP16 format")
    assert {layer.time_ms for layer in inspected_layers(json.dumps(INSPECTED))} == {None}


@pytest.mark.parametrize(
    ("words", "dtype"),
    [
        ("Row major linear FP32", "fp32"),
        ("Half", "fp16"),
        ("kCHW32 Int8", "int8"),
        ("UINT8", "uint8"),
        ("BF16", "bf16"),
    ],
)
def test_types_in_the_words_of_a_backend(words: str, dtype: str) -> None:
    assert dtype_of(words) == dtype


@pytest.mark.parametrize(
    ("kind", "first", "last", "expected"),
    [
        ("CaskConvolution", "int8", "fp16", "int8"),
        ("QLinearConv", "uint8", "uint8", "int8"),
        ("QuantizeLinear", "fp32", "uint8", "fp32"),
        ("DequantizeLinear", "uint8", "fp32", "fp32"),
        ("Cast", "uint8", "fp32", "fp32"),
        ("MaxPool", "int8", "int8", "int8"),
        ("Conv", "fp16", "fp16", "fp16"),
    ],
)
def test_the_precision_of_a_layer(kind: str, first: str, last: str, expected: str) -> None:
    assert precision_of(kind, [LayerTensor(dtype=first)], [LayerTensor(dtype=last)]) == expected


timed_layers = st.lists(
    st.builds(
        Layer,
        name=st.text(max_size=5),
        type=st.just("Conv"),
        precision=st.sampled_from(["int8", "fp16", "fp32"]),
        time_ms=st.floats(0.001, 100),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(layers=timed_layers)
def test_shares_and_totals_add_up(layers: list[Layer]) -> None:
    passport = EngineArtifact.model_construct(
        engine_sha256="0", backend="onnxruntime", backend_version="1", precision="int8"
    )
    report = report_of(passport, layers, "a clock")
    assert LayerReport.from_json(report.to_json()) == report
    assert sum(total.layers for total in report.totals) == len(layers)
    assert sum(total.time_ms or 0 for total in report.totals) == pytest.approx(report.total_ms)
    assert sum(total.share or 0 for total in report.totals) == pytest.approx(1)
    assert report.layers[0].time_ms == max(layer.time_ms or 0 for layer in layers)
