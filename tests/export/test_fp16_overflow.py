"""Networks whose activations pass FP16's range, in engines that compute in FP16: held against float32 in true FP16."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifact_text import describe
from edgeseg.artifacts import EngineArtifact, PrecisionPlan
from edgeseg.calibration.fp16_range import kept_in_float32
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import MismatchError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.builders import tensorrt_builder
from edgeseg.export.builders.builder import BuildRequest
from edgeseg.export.foreign.importing import ImportResult
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.optional import is_installed
from edgeseg.runtime.passport.passports import passport_path

Import = Callable[..., tuple[Path, ImportResult]]
FRAMES = np.random.default_rng(6).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


def network(growth: float, factor: float = 1.0) -> onnx.ModelProto:
    """first -> grown -> middle -> shrunk -> head; activations grow by `growth` and `factor`, logits stay ordinary."""
    rng = np.random.default_rng(1)

    def weight(name: str, after: int, before: int, scale: float) -> onnx.TensorProto:
        values = rng.normal(0, scale / np.sqrt(9 * before), (after, before, 3, 3))
        return numpy_helper.from_array(values.astype(np.float32), f"{name}.weight")

    parts = [
        ("grown", 8, 3, growth),
        ("middle", 8, 8, factor),
        ("shrunk", 8, 8, 1 / (growth * factor)),
        ("head", 1, 8, 4),
    ]
    nodes, last = [], "image"
    for name, *_ in parts:
        nodes.append(helper.make_node("Conv", [last, f"{name}.weight"], [f"{name}_y"], name=name, pads=[1] * 4))
        last = f"{name}_y"
        if name != "head":
            nodes.append(helper.make_node("Relu", [last], [f"{name}_r"], name=f"{name}_relu"))
            last = f"{name}_r"
    picture = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, 16, 16])
    logits = helper.make_tensor_value_info("head_y", TensorProto.FLOAT, ["N", 1, 16, 16])
    graph = helper.make_graph(nodes, "g", [picture], [logits], [weight(*part) for part in parts])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def evaluated(proto: onnx.ModelProto) -> np.ndarray:
    """True FP16: ONNX's reference evaluator rounds every FP16 tensor."""
    return ReferenceEvaluator(proto).run(None, {"frame": FRAMES})[0]


def test_what_fp16_cannot_hold_stays_float32_and_is_said(imported: Import, tmp_path: Path) -> None:
    path, _ = imported(network(3e4, 30))
    said: list[str] = []
    engine = tmp_path / "x.engine"
    passport = build_engine(path, BuildOptions("fp16", "onnxruntime", out=engine), say=said.append).passport
    kept = {layer.layer: layer for layer in passport.kept_float32 or ()}
    assert {"grown", "middle", "shrunk"} <= set(kept) and "head" not in kept
    assert kept["middle"].magnitude > 65504
    assert any(line.startswith("middle stays float32") and "65504" in line for line in said)
    exact, half = evaluated(onnx.load(path)), evaluated(onnx.load(engine))
    np.testing.assert_allclose(half, exact, atol=5e-3)
    assert np.abs(half - exact).max() > 0, "the head is FP16"
    assert EngineArtifact.read(passport_path(engine)) == passport
    assert "middle" in describe(engine).facts["kept in float32"]


def test_an_ordinary_network_keeps_nothing(imported: Import, tmp_path: Path) -> None:
    path, _ = imported(network(1.0))
    said: list[str] = []
    options = BuildOptions("fp16", "onnxruntime", out=tmp_path / "x.engine")
    assert build_engine(path, options, say=said.append).passport.kept_float32 is None
    assert not said and "kept in float32" not in describe(tmp_path / "x.engine").facts


def test_a_weight_that_fp16_cannot_hold_keeps_its_layer(imported: Import, tmp_path: Path) -> None:
    path, _ = imported(network(1e-3, 1e6))
    options = BuildOptions("fp16", "onnxruntime", out=tmp_path / "x.engine")
    kept = build_engine(path, options).passport.kept_float32 or ()
    assert {layer.tensor for layer in kept if layer.layer == "middle"} == {"middle.weight"}
    np.testing.assert_allclose(evaluated(onnx.load(tmp_path / "x.engine")), evaluated(onnx.load(path)), atol=5e-3)


def test_a_calibration_table_counts(imported: Import, small_images: Path, tmp_path: Path) -> None:
    path, _ = imported(network(1.0))
    table = calibrate(load_onnx(path), list_images(small_images))
    name = "middle.relu.out" if "middle.relu.out" in table.ranges else next(n for n in table.ranges if "middle" in n)
    seen = {**table.ranges, name: table.ranges[name].model_copy(update={"maximum": 1e6})}
    table.model_copy(update={"ranges": seen}).write(tmp_path / "table.json")
    options = BuildOptions("fp16", "onnxruntime", tmp_path / "table.json", out=tmp_path / "x.engine")
    kept = build_engine(path, options).passport.kept_float32 or ()
    assert {layer.tensor for layer in kept} == {name}
    table.model_copy(update={"weights_sha256": "0" * 64}).write(tmp_path / "table.json")
    with pytest.raises(MismatchError, match="other weights"):
        build_engine(path, options)


def test_calibration_images_are_looked_at(imported: Import, small_images: Path, tmp_path: Path) -> None:
    path, _ = imported(network(3e4, 30))
    options = BuildOptions("fp16", "onnxruntime", calibration_data=small_images, out=tmp_path / "x.engine")
    passport = build_engine(path, options).passport
    assert "middle" in {layer.layer for layer in passport.kept_float32 or ()}
    assert f"--calibration-data {small_images}" in passport.rebuild


def test_int8_beside_fp16_gives_up_int8_there(imported: Import, small_images: Path) -> None:
    path, _ = imported(network(3e4, 30))
    artifact = load_onnx(path)
    table = calibrate(artifact, list_images(small_images))
    wide = {
        name: 1e6
        for name in ("middle.relu.out", "middle.out")
        if name in {o for n in artifact.proto.graph.node for o in n.output}
    }
    proto = tensorrt_builder.graph_in_precision(
        BuildRequest(artifact, "int8", table, PrecisionPlan(default="int8"), kept_in_float32(artifact.proto, wide))
    )
    quantised = {node.input[0] for node in proto.graph.node if node.op_type == "DequantizeLinear"}
    assert not {f"{name}.quantised" for name in wide} & quantised


@pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_tensorrt_rtx_builds_it(precision: Any, imported: Import, small_images: Path, tmp_path: Path) -> None:
    path, _ = imported(network(3e4, 30))
    data = small_images if precision == "int8" else None
    options = BuildOptions(precision, "tensorrt-rtx", calibration_data=data, out=tmp_path / "x.engine")
    passport = build_engine(path, options).passport
    assert {"grown", "middle", "shrunk"} <= {layer.layer for layer in passport.kept_float32 or ()}
    assert passport.int8_convolutions == 0
