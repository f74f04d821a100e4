"""Networks of others, held against ONNX Runtime on the file as it came and numpy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from scipy.special import expit, softmax

from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.foreign.importing import ImportResult
from edgeseg.files import sha256_file
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.images import list_images
from edgeseg.runtime.opener.engine_from_file import open_engine

MEAN, STD = (0.48, 0.45, 0.4), (0.2, 0.3, 0.25)
Import = Callable[..., tuple[Path, ImportResult]]


def frames(count: int = 3, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def bare(proto: onnx.ModelProto, pictures: np.ndarray, dtype: Any = np.float32, **normal: Any) -> np.ndarray:
    """The network as it came, one picture at a time; pictures are normalised here, on their own account."""
    mean, std, scale = normal.get("mean", (0, 0, 0)), normal.get("std", (1, 1, 1)), normal.get("scale", 255)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    results = []
    for picture in pictures:
        planes = np.stack([(picture[..., c] / scale - mean[c]) / std[c] for c in range(3)])
        if normal.get("bgr"):
            planes = planes[::-1]
        feed = np.ascontiguousarray(planes, dtype)[np.newaxis]
        results.append(session.run(None, {session.get_inputs()[0].name: feed})[0][0])
    return np.stack(results).astype(np.float32)


def ours(path: Path, pictures: np.ndarray) -> np.ndarray:
    return open_engine(path).infer(pictures)


@pytest.mark.parametrize("opset", [11, 13, 17, 19, 20, 21])
def test_every_opset_keeps_its_values_and_the_contract(opset: int, foreign_network: Any, imported: Import) -> None:
    source = foreign_network(opset=opset).proto()
    path, result = imported(source, mean=MEAN, std=STD)
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert proto.ir_version == 10 and proto.opset_import[0].version in (19, 20)
    operators = [node.op_type for node in proto.graph.node]
    assert operators[:2] == ["Cast", "Transpose"]
    assert not {"BatchNormalization", "Pad", "Identity", "Dropout", "Constant", "Shape"} & set(operators)
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names) and {"stem", "down", "up", "head"} <= set(names)
    expected = expit(bare(source, frames(), mean=MEAN, std=STD))
    np.testing.assert_allclose(ours(path, frames()), expected, atol=1e-5)
    slow = ReferenceEvaluator(proto).run(None, {"frame": frames()})[0]
    np.testing.assert_allclose(slow, expected, atol=1e-5)
    assert load_onnx(path).metadata == result.metadata
    assert "2 of 2 BatchNormalization folded into convolutions" in result.changes
    assert any(f"opset {opset}" in change for change in result.changes) == (opset not in (19, 20))


@pytest.mark.parametrize(
    "normal",
    [
        {"bgr": True, "mean": MEAN, "std": STD},
        {"scale": 1.0, "mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)},
        {"scale": 127.5, "mean": (1, 1, 1), "bgr": True},
    ],
)
def test_normalisation_and_channel_order(normal: dict[str, Any], foreign_network: Any, imported: Import) -> None:
    source = foreign_network().proto()
    path, result = imported(source, **normal)
    np.testing.assert_allclose(ours(path, frames()), expit(bare(source, frames(), **normal)), atol=1e-5)
    unit = normal["scale"] / 255 if "scale" in normal else 1
    assert result.metadata.preprocess.mean == pytest.approx([value * unit for value in normal["mean"]])


def test_fp16_becomes_float32_with_the_same_weights(foreign_network: Any, imported: Import) -> None:
    source = foreign_network(half=True).proto()
    path, result = imported(source)
    assert not any(tensor.data_type == TensorProto.FLOAT16 for tensor in onnx.load(path).graph.initializer)
    rounded = expit(bare(source, frames(), np.float16))
    np.testing.assert_allclose(ours(path, frames()), rounded, atol=5e-3)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    theirs = {tensor.name: numpy_helper.to_array(tensor) for tensor in source.graph.initializer}
    np.testing.assert_array_equal(weights["head.weight"], theirs["head.weight"].astype(np.float32))
    assert 1e-6 < result.metadata.provenance.metrics["max_probability_difference"] <= 5e-3
    assert any("FP16" in change for change in result.changes)


@pytest.mark.parametrize("batch", [1, 3, "N"])
def test_any_batch_afterwards(batch: int | str, foreign_network: Any, imported: Import) -> None:
    path, _ = imported(foreign_network(batch=batch).proto())
    together = ours(path, frames(5))
    alone = np.concatenate([ours(path, frame[np.newaxis]) for frame in frames(5)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    free = foreign_network(batch="N").proto()
    np.testing.assert_allclose(together, expit(bare(free, frames(5))), atol=1e-5)


def test_probabilities_stay_what_they_are(foreign_network: Any, imported: Import) -> None:
    source = foreign_network(activation="Sigmoid").proto()
    path, result = imported(source, output="probability")
    np.testing.assert_allclose(ours(path, frames()), bare(source, frames()), atol=1e-6)
    assert result.warnings == ()
    assert [node.op_type for node in onnx.load(path).graph.node].count("Sigmoid") == 1


@pytest.mark.parametrize(("opset", "activation"), [(11, None), (17, None), (17, "Softmax")])
def test_several_classes(activation: str | None, opset: int, foreign_network: Any, imported: Import) -> None:
    source = foreign_network(channels=3, activation=activation, opset=opset).proto()
    path, result = imported(source, output="probability" if activation else "logits")
    raw = bare(source, frames())
    np.testing.assert_allclose(ours(path, frames()), raw if activation else softmax(raw, axis=1), atol=1e-5)
    assert result.metadata.model.output == "softmax"
    assert result.metadata.model.classes == ("background", "class_1", "class_2")


def test_the_softmax_of_opset_11_runs_over_the_picture_too(foreign_network: Any, imported: Import) -> None:
    with pytest.raises(BadInputError, match="do not share one probability"):
        imported(foreign_network(channels=3, activation="Softmax", opset=11).proto(), output="probability")


def test_class_names(foreign_network: Any, imported: Import) -> None:
    two = foreign_network(channels=2).proto()
    assert imported(two, class_names=("polyp",))[1].metadata.model.classes == ("background", "polyp")
    assert imported(two, class_names=("rest", "polyp"))[1].metadata.model.classes == ("rest", "polyp")
    assert imported(foreign_network().proto())[1].metadata.model.classes == ("polyp",)
    with pytest.raises(UsageError, match="class names"):
        imported(two, class_names=("a", "b", "c"))


def test_a_smaller_output_is_upsampled(foreign_network: Any, imported: Import) -> None:
    import cv2

    source = foreign_network(small_output=True).proto()
    path, result = imported(source)
    logits = bare(source, frames())
    assert logits.shape == (3, 1, 8, 8)
    larger = np.stack([cv2.resize(picture[0], (16, 16), interpolation=cv2.INTER_LINEAR) for picture in logits])
    np.testing.assert_allclose(ours(path, frames())[:, 0], expit(larger), atol=1e-5)
    assert "logits of 8x8 upsampled 2x2 times, bilinearly" in result.changes


@pytest.mark.parametrize(
    "resize",
    [
        {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75},
    ],
)
def test_the_resizes_of_older_exporters(resize: dict[str, Any], foreign_network: Any, imported: Import) -> None:
    source = foreign_network(opset=11, resize=resize).proto()
    path, _ = imported(source)
    np.testing.assert_allclose(ours(path, frames()), expit(bare(source, frames())), atol=1e-5)


def test_an_open_size_must_be_said(foreign_network: Any, imported: Import) -> None:
    source = foreign_network(size=("h", "w")).proto()
    with pytest.raises(BadInputError, match="leaves its height open"):
        imported(source, width=24)
    path, result = imported(source, height=16, width=24)
    assert result.metadata.model.input_shape == (16, 24, 3)
    pictures = frames(2, 16, 24)
    np.testing.assert_allclose(ours(path, pictures), expit(bare(source, pictures)), atol=1e-5)
    with pytest.raises(BadInputError, match="another height"):
        imported(foreign_network().proto(), height=32)


def test_names_that_tell_nothing_come_from_nodes(foreign_network: Any, imported: Import) -> None:
    source = foreign_network().proto()
    new = {tensor.name: f"onnx::Conv_{index}" for index, tensor in enumerate(source.graph.initializer)}
    for node in source.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
    for tensor in source.graph.initializer:
        tensor.name = new[tensor.name]
    path, _ = imported(source)
    assert {"net.stem_conv", "net.head_conv"} <= {node.name for node in onnx.load(path).graph.node}
    assert not any("::" in tensor.name for tensor in onnx.load(path).graph.initializer)


def test_names_of_ours_in_their_graph_do_no_harm(foreign_network: Any, imported: Import) -> None:
    source = foreign_network().proto()
    new = {"image": "probability", "down_relu": "frame", "stem.weight": "edgeseg_import.offset", "up.bias": "frame.out"}
    for node in source.graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    source.graph.input[0].name = "probability"
    for tensor in source.graph.initializer:
        tensor.name = new.get(tensor.name, tensor.name)
    path, _ = imported(source)
    np.testing.assert_allclose(ours(path, frames()), expit(bare(source, frames())), atol=1e-5)


def test_provenance_has_hashes_and_no_paths(
    foreign_network: Any, imported: Import, small_images: Path, tmp_path: Path
) -> None:
    path, result = imported(foreign_network().proto(), data=small_images)
    provenance = result.metadata.provenance
    assert provenance.source_sha256 == sha256_file(tmp_path / "theirs" / "net.onnx")
    assert provenance.metrics["parity_inputs"] == 12
    assert set(provenance.tools) == {"edgeseg", "onnx", "onnxruntime"}
    assert str(tmp_path).encode() not in path.read_bytes()
    first = path.read_bytes()
    imported(foreign_network().proto(), data=small_images)
    assert path.read_bytes() == first


def test_one_of_several_outputs_must_be_named(foreign_network: Any, imported: Import) -> None:
    source = foreign_network().proto()
    source.graph.output.append(helper.make_tensor_value_info("up_relu", TensorProto.FLOAT, [None, 8, 16, 16]))
    with pytest.raises(BadInputError, match="has 2 outputs") as caught:
        imported(source)
    assert "head_conv" in (caught.value.found or "") and "up_relu" in (caught.value.found or "")
    path, result = imported(source, output_name="head_conv")
    assert result.metadata.model.channels == 1
    np.testing.assert_allclose(ours(path, frames()), expit(bare(source, frames())), atol=1e-5)
    with pytest.raises(BadInputError, match="no output nothing"):
        imported(source, output_name="nothing")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("opset", [11, 21])
def test_calibrate_and_build_as_with_our_own(
    opset: int, half: bool, foreign_network: Any, imported: Import, small_images: Path, tmp_path: Path
) -> None:
    path, _ = imported(foreign_network(opset=opset, half=half).proto(), mean=MEAN, std=STD)
    table = tmp_path / "table.json"
    calibrate(load_onnx(path), list_images(small_images)).write(table)
    pictures = frames(4)
    reference = ours(path, pictures)
    for precision, limit in (("fp32", 1e-6), ("fp16", 5e-3), ("int8", 0.05)):
        engine = tmp_path / f"x.{precision}.engine"
        calibration = table if precision == "int8" else None
        passport = build_engine(path, BuildOptions(precision, "onnxruntime", calibration, out=engine)).passport
        assert (passport.convolutions, passport.int8_convolutions) == (4, 2 if precision == "int8" else 0)
        assert np.abs(open_engine(engine).infer(pictures) - reference).max() < limit


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("channels", [1, 2])
def test_tensorrt_rtx_takes_it(
    precision: Any, channels: int, foreign_network: Any, imported: Import, small_images: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (extra `rtx`, Linux x86-64)")
    path, _ = imported(foreign_network(opset=13, channels=channels, batch=1).proto(), bgr=True, mean=MEAN, std=STD)
    table = tmp_path / "table.json"
    calibrate(load_onnx(path), list_images(small_images)).write(table)
    options = BuildOptions(precision, "tensorrt-rtx", table if precision == "int8" else None, out=tmp_path / "x.engine")
    passport = build_engine(path, options).passport
    assert (passport.convolutions, passport.int8_convolutions) == (4, 2 if precision == "int8" else 0)
