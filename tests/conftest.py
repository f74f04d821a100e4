from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgeseg.artifacts import EngineArtifact, TensorSpec
from edgeseg.files import sha256_bytes
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize, with_metadata
from edgeseg.images import write_png
from edgeseg.optional import is_installed
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec
from tests.clips import NumberedImages, Videos
from tests.foreign_network import ForeignNetwork

NEED_TORCH = [
    "train",
    "export/test_onnx_from_run.py",
    "export/test_package.py",
    "export/test_threshold_export.py",
]
collect_ignore = [] if is_installed("torch") else NEED_TORCH

TINY_SIZE = 32

# A machine that is busy with something else makes no property false.
hypothesis.settings.register_profile("edgeseg", deadline=None)
hypothesis.settings.load_profile("edgeseg")


def pytest_report_header() -> str | None:
    return f"no torch here: {', '.join(collect_ignore)} are left out" if collect_ignore else None


def tiny_model_metadata() -> ModelMetadata:
    model = ModelSpec(architecture="bright-pixels", height=TINY_SIZE, width=TINY_SIZE)
    return ModelMetadata(model=model, preprocess=PreprocessSpec())


def contract_bytes(name: str, size: int, nodes: list[NodeProto], tensors: list[TensorProto]) -> bytes:
    """Nodes and weights as an ONNX file with our metadata."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, size, size])],
        tensors,
    )
    proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
    model = ModelSpec(architecture=name, height=size, width=size)
    return serialize(with_metadata(proto, ModelMetadata(model=model, preprocess=PreprocessSpec())))


def bright_pixel_network(border: float = 128.0) -> bytes:
    """A contract graph that marks bright pixels: probability = sigmoid((mean of RGB - border) / 8)."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["probability"]),
    ]
    tensors = [
        helper.make_tensor("weight", TensorProto.FLOAT, [1, 3, 1, 1], [1 / 24] * 3),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [-border / 8]),
    ]
    return contract_bytes("bright-pixels", TINY_SIZE, nodes, tensors)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of edgeseg that is this test's own, and empty; the folder is not made."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeseg"


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


@pytest.fixture
def numbered() -> type[NumberedImages]:
    return NumberedImages


@pytest.fixture
def videos() -> type[Videos]:
    return Videos


@pytest.fixture
def numbered_clip(tmp_path: Path) -> Path:
    """A clip of 40 numbered frames, 128x64, whose index lies in front, so that a cut one still opens."""
    images = [NumberedImages.draw(number) for number in range(40)]
    return Videos.write(tmp_path / "numbered.mp4", images, container_options={"movflags": "+faststart"})


SMALL_SIZE = 16
SMALL_CHANNELS = 8


class SmallGraph:
    """Nodes and weights of a contract graph, added one after the other."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.tensors = [
            numpy_helper.from_array(np.full((1, 3, 1, 1), 127.5, np.float32), "offset"),
            numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / 127.5, np.float32), "factor"),
            numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"),
        ]
        self.nodes: list[NodeProto] = []

    def add(self, operator: str, inputs: list[str], output: str, name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def conv(self, name: str, source: str, before: int, after: int, kernel: int) -> str:
        scale = 1.5 / np.sqrt(before * kernel * kernel)
        weight = self.rng.normal(0, scale, (after, before, kernel, kernel)).astype(np.float32)
        bias = self.rng.normal(0, 0.2, after).astype(np.float32)
        self.tensors.append(numpy_helper.from_array(weight, f"{name}.weight"))
        self.tensors.append(numpy_helper.from_array(bias, f"{name}.bias"))
        return self.add("Conv", [source, f"{name}.weight", f"{name}.bias"], f"{name}.out", name, pads=[kernel // 2] * 4)

    def conv_relu(self, name: str, source: str, before: int, after: int) -> str:
        return self.add("Relu", [self.conv(name, source, before, after, 3)], f"{name}.relu", f"{name}.act")


NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def small_network(seed: int = 0) -> bytes:
    """A contract graph in the shape of a U-Net: five convolutions, pooling, upsampling, a skip, an addition.

    stem -> down (pooled) -> residual (adds its input) -> up (upsampled, joined with the stem) -> head.
    """
    width, size = SMALL_CHANNELS, SMALL_SIZE
    graph = SmallGraph(seed)
    graph.add("Cast", ["frame"], "float", "cast", to=TensorProto.FLOAT)
    graph.add("Transpose", ["float"], "planes", "transpose", perm=[0, 3, 1, 2])
    graph.add("Sub", ["planes", "offset"], "centred", "sub")
    graph.add("Mul", ["centred", "factor"], "normal", "mul")
    stem = graph.conv_relu("stem", "normal", 3, width)
    pooled = graph.add("MaxPool", [stem], "pooled", "pool", kernel_shape=[2, 2], strides=[2, 2])
    down = graph.conv_relu("down", pooled, width, width)
    total = graph.add("Add", [graph.conv("residual", down, width, width, 3), down], "sum", "add")
    larger = graph.add("Resize", [total, "", "twice"], "larger", "resize", **NEAREST)
    joined = graph.add("Concat", [larger, stem], "joined", "concat", axis=1)
    up = graph.conv_relu("up", joined, 2 * width, width)
    graph.add("Sigmoid", [graph.conv("head", up, width, 1, 1)], "probability", "sigmoid")
    return contract_bytes("small", size, graph.nodes, graph.tensors)


@pytest.fixture
def small_onnx(tmp_path: Path) -> Path:
    """`small_network` as a file."""
    path = tmp_path / "small-model" / "small.onnx"
    path.parent.mkdir()
    path.write_bytes(small_network())
    return path


@pytest.fixture
def small_artifact(small_onnx: Path) -> OnnxArtifact:
    return load_onnx(small_onnx)


@pytest.fixture
def small_images(tmp_path: Path) -> Path:
    """Twelve textured images of different sizes, without masks."""
    folder = tmp_path / "small-images"
    rng = np.random.default_rng(5)
    for index in range(12):
        coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        image = np.kron(coarse, np.ones((6 + index, 5, 1), np.uint8))
        write_png(folder / f"image_{index:02d}.png", image)
    return folder


@pytest.fixture(scope="session")
def system_program() -> Callable[..., str]:
    """The path of a program of a system package; without it the test skips, or fails where they are required."""

    def find(name: str, package: str | None = None, *folders: str) -> str:
        path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *folders]))
        if path is not None:
            return path
        reason = f"{name} is not installed; sudo make system-packages brings it (package {package or name})"
        if os.environ.get("EDGESEG_REQUIRE_SYSTEM") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    return find


@pytest.fixture
def foreign_network() -> type[ForeignNetwork]:
    return ForeignNetwork
