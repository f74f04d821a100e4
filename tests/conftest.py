from __future__ import annotations

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from edgeseg.artifacts import EngineArtifact, TensorSpec
from edgeseg.files import sha256_bytes
from edgeseg.graph.files import serialize, with_metadata
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec

TINY_SIZE = 32


def tiny_model_metadata() -> ModelMetadata:
    model = ModelSpec(architecture="bright-pixels", height=TINY_SIZE, width=TINY_SIZE)
    return ModelMetadata(model=model, preprocess=PreprocessSpec())


def bright_pixel_network() -> bytes:
    """A contract graph that marks bright pixels: probability = sigmoid((mean of RGB - 128) / 8)."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    size = TINY_SIZE
    graph = helper.make_graph(
        nodes,
        "bright_pixels",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, size, size])],
        [
            helper.make_tensor("weight", TensorProto.FLOAT, [1, 3, 1, 1], [1 / 24] * 3),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [-16.0]),
        ],
    )
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    return serialize(with_metadata(proto, tiny_model_metadata()))


@pytest.fixture
def tiny_onnx(tmp_path: Path) -> Path:
    path = tmp_path / "tiny-model" / "tiny.onnx"
    path.parent.mkdir()
    path.write_bytes(bright_pixel_network())
    return path


@pytest.fixture
def tiny_engine(tmp_path: Path) -> Path:
    """An ONNX Runtime engine of the network above, with its passport."""
    data = bright_pixel_network()
    path = tmp_path / "tiny-engine" / "tiny.fp32.engine"
    path.parent.mkdir()
    path.write_bytes(data)
    metadata = tiny_model_metadata()
    size = TINY_SIZE
    passport = EngineArtifact(
        engine_sha256=sha256_bytes(data),
        engine_bytes=len(data),
        backend="onnxruntime",
        backend_version="0",
        precision="fp32",
        convolutions=1,
        int8_convolutions=0,
        onnx_sha256=sha256_bytes(data),
        weights_sha256="0" * 64,
        inputs=(TensorSpec(name="frame", shape=(-1, size, size, 3), dtype="uint8"),),
        outputs=(TensorSpec(name="probability", shape=(-1, 1, size, size), dtype="float32"),),
        model=metadata.model,
        preprocess=metadata.preprocess,
        rebuild="edgeseg build-engine tiny.onnx --precision fp32 --out tiny.fp32.engine",
    )
    passport.write(path.with_name(path.name + ".json"))
    return path
