"""The kinds of ONNX files that people bring, held against ONNX's reference evaluator on the file as it came."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from scipy.special import expit, softmax

from edgeseg.artifact_text import describe
from edgeseg.errors import BadInputError, UsageError
from edgeseg.export.build import BuildOptions, build_engine
from edgeseg.export.foreign import foreign_fp16
from edgeseg.export.foreign.importing import ImportResult
from edgeseg.graph.onnx_files import load_onnx
from edgeseg.optional import is_installed
from edgeseg.runtime.opener.engine_from_file import open_engine
from tests.export.foreign_graphs import FRAMES, PLANES, constant, evaluated, network, node, ours, value

Import = Callable[..., tuple[Path, ImportResult]]


def test_an_output_without_channels_is_one_class(imported: Import) -> None:
    squeezed = node("Squeeze", "logits axis", "y")
    proto = network(after=(squeezed,), output=value("y", ["N", 16, 16]), tensors=(constant("axis", [1], np.int64),))
    path, result = imported(proto)
    np.testing.assert_allclose(ours(path)[:, 0], expit(evaluated(proto, PLANES)), atol=1e-5)
    assert result.metadata.model.channels == 1


@pytest.mark.parametrize("softmaxed", [False, True])
@pytest.mark.parametrize("cast", [None, TensorProto.UINT8, TensorProto.FLOAT])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_logits_before_a_final_argmax_are_taken(
    softmaxed: bool, cast: int | None, keepdims: int, imported: Import
) -> None:
    source = "shares" if softmaxed else "logits"
    after = [node("Softmax", "logits", "shares", axis=1)] if softmaxed else []
    after += [node("ArgMax", source, "index", axis=1, keepdims=keepdims)]
    after += [node("Cast", "index", "mask", to=cast)] if cast is not None else []
    shape = ["N", 1, 16, 16] if keepdims else ["N", 16, 16]
    output = value("index" if cast is None else "mask", shape, cast or TensorProto.INT64)
    proto = network(3, after=tuple(after), output=output)
    path, result = imported(proto)
    np.testing.assert_allclose(ours(path), softmax(evaluated(proto, PLANES, "logits"), axis=1), atol=1e-5)
    np.testing.assert_array_equal(ours(path).argmax(1).reshape(3, 16, 16), evaluated(proto, PLANES).reshape(3, 16, 16))
    assert any("ArgMax" in change for change in result.changes)


def test_a_mask_is_refused_with_the_line_that_mends_it(imported: Import) -> None:
    compared = (node("Sigmoid", "logits", "share"), node("Greater", "share half", "mask"))
    output = value("mask", ["N", 1, 16, 16], TensorProto.BOOL)
    proto = network(after=compared, output=output, tensors=(constant("half", 0.5),))
    with pytest.raises(BadInputError, match="no map of classes") as caught:
        imported(proto)
    assert "--output-name TENSOR" in (caught.value.next_command or "")
    path, result = imported(proto, output_name="share")
    np.testing.assert_allclose(ours(path), evaluated(proto, PLANES, "share"), atol=1e-5)
    assert any("taken as probability" in change for change in result.changes)


def test_a_sigmoid_of_its_own_is_not_doubled(imported: Import) -> None:
    proto = network(after=(node("Sigmoid", "logits", "y"),), output=value("y", ["N", 1, 16, 16]))
    path, result = imported(proto)
    np.testing.assert_allclose(ours(path), evaluated(proto, PLANES), atol=1e-6)
    assert any("taken as probability" in change for change in result.changes) and not result.warnings


def test_of_two_sigmoids_one_channel_must_be_named(imported: Import) -> None:
    proto = network(2, after=(node("Sigmoid", "logits", "y"),), output=value("y", ["N", 2, 16, 16]))
    with pytest.raises(BadInputError, match="do not share one probability") as caught:
        imported(proto)
    assert "--channel K" in (caught.value.next_command or "")
    path, result = imported(proto, channel=1)
    np.testing.assert_allclose(ours(path), evaluated(proto, PLANES)[:, 1:], atol=1e-6)
    assert result.metadata.model.classes == ("polyp",)
    with pytest.raises(UsageError, match="no such channel"):
        imported(proto, channel=2)


def test_a_channel_of_logits(imported: Import) -> None:
    path, _ = imported(network(3), channel=2)
    np.testing.assert_allclose(ours(path), expit(evaluated(network(3), PLANES)[:, 2:]), atol=1e-5)


@pytest.mark.parametrize("out_too", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_nhwc(channels: int, out_too: bool, imported: Import) -> None:
    after = (node("Transpose", "logits", "y", perm=[0, 2, 3, 1]),) if out_too else ()
    output = value("y", ["N", 16, 16, channels]) if out_too else None
    turned = node("Transpose", "x", "planes", perm=[0, 3, 1, 2])
    proto = network(
        channels, before=(turned,), after=after, picture=value("x", ["N", 16, 16, 3]), output=output, opset=17
    )
    path, _ = imported(proto)
    logits = evaluated(proto, PLANES.transpose(0, 2, 3, 1), "logits")
    np.testing.assert_allclose(ours(path), expit(logits) if channels == 1 else softmax(logits, axis=1), atol=1e-5)
    operators = [item.op_type for item in onnx.load(path).graph.node]
    assert operators[:2] == ["Cast", "Transpose"] and operators.count("Transpose") == 1


@pytest.mark.parametrize("nhwc", [False, True])
def test_uint8_pictures_whose_normalisation_is_inside(nhwc: bool, imported: Import) -> None:
    before = [node("Cast", "x", "numbers", to=TensorProto.FLOAT), node("Div", "numbers levels", "shares")]
    before += [
        node("Transpose", "shares", "planes", perm=[0, 3, 1, 2]) if nhwc else node("Identity", "shares", "planes")
    ]
    shape = ["N", 16, 16, 3] if nhwc else ["N", 3, 16, 16]
    tensors = (constant("levels", 255.0),)
    proto = network(before=tuple(before), picture=value("x", shape, TensorProto.UINT8), tensors=tensors)
    path, _ = imported(proto)
    pictures = FRAMES if nhwc else FRAMES.transpose(0, 3, 1, 2)
    np.testing.assert_allclose(ours(path), expit(evaluated(proto, pictures)), atol=1e-5)
    operators = [item.op_type for item in onnx.load(path).graph.node]
    assert operators[:2] == ["Cast", "Transpose"]
    with pytest.raises(UsageError, match="normalisation is inside"):
        imported(proto, mean=(0.5, 0.5, 0.5))


def test_a_network_in_double(imported: Import) -> None:
    kind = TensorProto.DOUBLE
    picture, output = value("x", ["N", 3, 16, 16], kind), value("logits", ["N", 1, 16, 16], kind)
    proto = network(picture=picture, output=output, dtype=np.float64)
    path, result = imported(proto)
    np.testing.assert_allclose(ours(path), expit(evaluated(proto, PLANES.astype(np.float64))), atol=1e-5)
    assert "double data became float32" in result.changes
    assert not any(tensor.data_type == kind for tensor in onnx.load(path).graph.initializer)


@pytest.mark.parametrize("opset", [22, 23, 24])
def test_newer_operator_sets(opset: int, imported: Import) -> None:
    between = [
        node("GroupNormalization", "f scale shift", "n", num_groups=2, epsilon=1e-4),
        node("Swish", "n", "s") if opset >= 24 else node("HardSwish", "n", "s"),
        node("Reshape", "s heads", "q"),
        node("Attention", "q q q", "a") if opset >= 23 else node("Identity", "q", "a"),
        node("Reshape", "a whole", "w"),
        node("Transpose", "w", "pixels", perm=[0, 2, 3, 1]),
        node("RMSNormalization", "pixels ones", "r", axis=-1) if opset >= 23 else node("Identity", "pixels", "r"),
        node("Transpose", "r", "g", perm=[0, 3, 1, 2]),
    ]
    rng = np.random.default_rng(3)
    tensors = (
        constant("scale", rng.uniform(0.5, 1.5, 8)),
        constant("shift", rng.uniform(-0.5, 0.5, 8)),
        constant("ones", np.ones(8)),
        constant("heads", [-1, 2, 64, 16], np.int64),
        constant("whole", [-1, 8, 16, 16], np.int64),
    )
    proto = network(between=tuple(between), tensors=tensors, opset=opset)
    path, result = imported(proto)
    assert onnx.load(path).opset_import[0].version == 20
    assert f"opset {opset} became 20" in result.changes
    np.testing.assert_allclose(ours(path), expit(evaluated(proto, PLANES)), atol=1e-4)
    if is_installed("tensorrt_rtx"):
        build_engine(path, BuildOptions("fp16", "tensorrt-rtx", out=path.with_suffix(".engine")))


def test_shape_arithmetic_that_ends_in_clip(imported: Import) -> None:
    """Padding worked out at run time, max((ceil(n / stride) - 1) * stride + kernel - n, 0), as `same` padding is."""
    before = [
        node("Shape", "x", "size", start=2),
        node("Sub", "wanted size", "lacking"),
        node("Clip", "lacking zero", "needed"),
        node("Concat", "none none needed", "pads"),
        node("Pad", "x pads", "planes"),
    ]
    tensors = (
        constant("wanted", [17, 17], np.int64),
        constant("zero", 0, np.int64),
        constant("none", [0, 0, 0], np.int64),
    )
    before[3] = node("Concat", "none none needed", "pads", axis=0)
    after = (node("Slice", "logits from to axes", "y"),)
    tensors += (
        constant("from", [0, 0], np.int64),
        constant("to", [16, 16], np.int64),
        constant("axes", [2, 3], np.int64),
    )
    proto = network(before=tuple(before), after=after, output=value("y", ["N", 1, 16, 16]), tensors=tensors)
    path, result = imported(proto)
    np.testing.assert_allclose(ours(path), expit(evaluated(proto, PLANES)), atol=1e-5)
    assert "1 of 1 Pad folded into convolutions" in result.changes
    build_engine(path, BuildOptions("fp16", "onnxruntime", out=path.with_suffix(".engine")))


def attention(batch: int | str) -> onnx.ModelProto:
    """Tokens with the batch in the second axis, as MultiheadAttention has them, and a token for the class.

    With a batch of its own number the shapes are written down; else they are computed from the picture's.
    """
    rng = np.random.default_rng(4)
    fixed = isinstance(batch, int)
    count = [] if fixed else [node("Shape", "x", "n", start=0, end=1)]
    between = [
        *count,
        node("Reshape", "f columns", "flat"),
        node("Transpose", "flat", "tokens", perm=[2, 0, 1]),
        *([] if fixed else [node("Concat", "one n size", "token.shape", axis=0)]),
        node("Expand", "token token.shape", "tokens.class"),
        node("Concat", "tokens.class tokens", "all", axis=0),
        node("MatMul", "all mixing", "mixed"),
        *([] if fixed else [node("Mul", "n two", "heads"), node("Concat", "length heads half", "head.shape", axis=0)]),
        node("Reshape", "mixed head.shape", "h"),
        node("Transpose", "h", "q", perm=[1, 0, 2]),
        node("Transpose", "h", "k", perm=[1, 2, 0]),
        node("MatMul", "q k", "products"),
        node("Softmax", "products", "weights", axis=-1),
        node("MatMul", "weights q", "seen"),
        node("Transpose", "seen", "back", perm=[1, 0, 2]),
        *([] if fixed else [node("Concat", "length n size", "all.shape", axis=0)]),
        node("Reshape", "back all.shape", "joined"),
        node("Slice", "joined one end axis", "rest"),
        node("Transpose", "rest", "planes.flat", perm=[1, 2, 0]),
        *([] if fixed else [node("Concat", "n picture", "map.shape", axis=0)]),
        node("Reshape", "planes.flat map.shape", "g"),
    ]
    number = batch if isinstance(batch, int) else 0
    shapes = {
        "token.shape": [1, number, 8],
        "head.shape": [257, 2 * number, 4],
        "all.shape": [257, number, 8],
        "map.shape": [number, 8, 16, 16],
    }
    parts = {"one": [1], "two": [2], "size": [8], "length": [257], "half": [4], "end": [257], "axis": [0]}
    parts |= {"picture": [8, 16, 16], "columns": [number, 8, 256] if fixed else [-1, 8, 256]}
    tensors = [constant(name, shape, np.int64) for name, shape in (parts | (shapes if fixed else {})).items()]
    tensors += [constant("token", rng.normal(0, 1, (1, 1, 8))), constant("mixing", rng.normal(0, 0.4, (8, 8)))]
    picture = value("x", [batch, 3, 16, 16])
    return network(
        between=tuple(between), picture=picture, output=value("logits", [batch, 1, 16, 16]), tensors=tuple(tensors)
    )


def test_a_dynamic_batch_stays_dynamic_under_attention(imported: Import) -> None:
    proto = attention("N")
    path, result = imported(proto)
    assert result.metadata.model.largest_batch is None
    expected = expit(evaluated(proto, PLANES))
    np.testing.assert_allclose(ours(path), expected, atol=1e-5)
    half = ReferenceEvaluator(onnx.load(path)).run(None, {"frame": FRAMES})[0]
    np.testing.assert_allclose(half, expected, atol=1e-5)
    if is_installed("tensorrt_rtx"):
        build_engine(path, BuildOptions("fp16", "tensorrt-rtx", out=path.with_suffix(".engine")))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino", "tensorrt-rtx"])
def test_a_network_that_breaks_with_two_pictures_takes_one(backend: str, imported: Import, tmp_path: Path) -> None:
    if not is_installed(backend.replace("-", "_")):
        pytest.skip(f"{backend} is not installed")
    proto = attention(1)
    path, result = imported(proto)
    assert result.metadata.model.largest_batch == 1
    assert any("one picture at a time" in change for change in result.changes)
    assert load_onnx(path).metadata.model.largest_batch == 1
    expected = expit(evaluated(proto, PLANES))
    np.testing.assert_allclose(ours(path), expected, atol=1e-5)
    said: list[str] = []
    passport = build_engine(path, BuildOptions("fp32", backend, out=tmp_path / "x.engine"), say=said.append).passport
    assert [spec.shape[0] for spec in (*passport.inputs, *passport.outputs)] == [1, 1]
    assert describe(tmp_path / "x.engine").facts["batch"].startswith("1")
    if backend == "tensorrt-rtx":
        assert passport.build_flags["batch"] == [1, 1, 1] and any("one picture at a time" in line for line in said)
    else:
        np.testing.assert_allclose(open_engine(tmp_path / "x.engine").infer(FRAMES), expected, atol=1e-5)


def test_a_network_traced_for_two_pictures_is_refused(imported: Import) -> None:
    with pytest.raises(BadInputError, match="one batch size only") as caught:
        imported(attention(2))
    assert "batch of 1" in (caught.value.next_command or "")


def test_an_import_tries_fp16(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    assert imported(network())[1].warnings == ()

    def broken(proto: onnx.ModelProto) -> onnx.ModelProto:
        proto.graph.node[3].input[0] = "nothing"
        return proto

    monkeypatch.setattr(foreign_fp16, "with_fp16_convolutions", broken)
    (warning,) = imported(network())[1].warnings
    assert "no FP16 engine" in warning and "--precision fp32" in warning
