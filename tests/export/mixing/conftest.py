"""Networks in which INT8 is exact but for the layers that a test makes hurt, and pictures that they segment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgeseg.graph.onnx_files import serialize, with_metadata
from edgeseg.images import write_png
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec

SIZE = 16
CHAIN = ("a", "b", "c", "d", "e")
"""The convolutions between the first and the last, which stay float in any case."""
Weights = NDArray[np.float32]


class Chain:
    """Marks what is bright: 1x1 convolutions that hand their first channel on, and a second one that is 0 throughout.

    probability = sigmoid(20 (brightness - 0.5)), whatever the chain's length.
    """

    def __init__(self) -> None:
        self.weights = {name: np.diag([1.0, 0.0]).astype(np.float32) for name in CHAIN}
        self.biases = {name: np.zeros(2, np.float32) for name in CHAIN}

    def spread_weights(self, layer: str) -> None:
        """Let one weight of the channel that counts dwarf the other; it is multiplied by zeros alone."""
        self.weights[layer][0, 1] = 10_000

    def outlying_output(self, layer: str) -> None:
        """Let the second channel of a layer's output dwarf the first; the next layer ignores it."""
        self.biases[layer][1] = 10_000

    def save(self, path: Path) -> Path:
        nodes = [
            helper.make_node("Cast", ["frame"], ["float"], "cast", to=TensorProto.FLOAT),
            helper.make_node("Transpose", ["float"], ["planes"], "transpose", perm=[0, 3, 1, 2]),
        ]
        tensors: list[TensorProto] = []
        first = np.array([[1, 1, 1], [0, 0, 0]], np.float32) / (3 * 255)
        layers = [("first", first, np.zeros(2, np.float32))]
        layers += [(name, self.weights[name], self.biases[name]) for name in CHAIN]
        source = "planes"
        for name, weight, bias in layers:
            source = self._conv(nodes, tensors, name, source, weight, bias)
            nodes.append(helper.make_node("Relu", [source], [f"{name}.relu"], f"{name}.act"))
            source = f"{name}.relu"
        last = np.array([[20, 0]], np.float32), np.array([-10], np.float32)
        nodes.append(
            helper.make_node("Sigmoid", [self._conv(nodes, tensors, "last", source, *last)], ["probability"], "sigmoid")
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._file(nodes, tensors))
        return path

    @staticmethod
    def _conv(
        nodes: list[onnx.NodeProto], tensors: list[TensorProto], name: str, source: str, weight: Weights, bias: Weights
    ) -> str:
        tensors.append(numpy_helper.from_array(weight[..., np.newaxis, np.newaxis], f"{name}.weight"))
        tensors.append(numpy_helper.from_array(bias, f"{name}.bias"))
        nodes.append(helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [f"{name}.out"], name))
        return f"{name}.out"

    @staticmethod
    def _file(nodes: Sequence[onnx.NodeProto], tensors: Sequence[TensorProto]) -> bytes:
        graph = helper.make_graph(
            nodes,
            "chain",
            [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 1, SIZE, SIZE])],
            tensors,
        )
        proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
        model = ModelSpec(architecture="chain", height=SIZE, width=SIZE)
        return serialize(with_metadata(proto, ModelMetadata(model=model, preprocess=PreprocessSpec())))


@pytest.fixture
def chain() -> Chain:
    return Chain()


def write_squares(folder: Path, name: str, count: int, rng: np.random.Generator) -> None:
    """Pictures of a square and their masks, ``images/NAME0.png`` on."""
    for index in range(count):
        image, mask = rng.integers(0, 50, (SIZE, SIZE, 3), dtype=np.uint8), np.zeros((SIZE, SIZE), np.uint8)
        top, left = rng.integers(1, 8, 2)
        image[top : top + 7, left : left + 7] += 200
        mask[top : top + 7, left : left + 7] = 255
        write_png(folder / "images" / f"{name}{index}.png", image)
        write_png(folder / "masks" / f"{name}{index}.png", mask)


@pytest.fixture(scope="session")
def bright_squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares of 200 and more on 50 and less; the test split cannot be read."""
    root = tmp_path_factory.mktemp("bright")
    rng = np.random.default_rng(11)
    for split, count in (("train", 6), ("validation", 8), ("test", 2)):
        write_squares(root / split, split, count, rng)
    for path in (root / "test" / "images").iterdir():
        path.write_bytes(b"nobody reads this")
    return root
