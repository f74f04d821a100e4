from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from edgeseg.errors import BadInputError
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.runtime.opener.use import Use

torch = pytest.importorskip("torch")
PACKAGE = Path(__file__).parents[2] / "models" / "kvasir-small"


def frames(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def worst_difference(path: Path, size: int) -> float:
    from benchmarks.gpu.network_from_onnx import network_from_onnx, probability_by

    batch = frames(size, size)
    found = probability_by(network_from_onnx(load_onnx(path), torch.float32), torch.from_numpy(batch)).numpy()
    return float(np.abs(found - open_engine(path, Use(1)).infer(batch)).max())


def test_the_shipped_networks_are_onnxruntimes() -> None:
    for package, size in (("kvasir-small", 288), ("kvasir-best", 352)):
        assert worst_difference(PACKAGE.parent / package / "model.onnx", size) < 1e-5


def test_pooling_adding_and_joining_are_onnxruntimes(small_onnx: Path) -> None:
    assert worst_difference(small_onnx, 16) < 1e-5


def test_an_operator_that_is_not_known_is_named(small_artifact: OnnxArtifact) -> None:
    from benchmarks.gpu.network_from_onnx import network_from_onnx

    node = small_artifact.proto.graph.node[-1]
    node.CopyFrom(helper.make_node("Tanh", list(node.input), list(node.output), name="odd"))
    with pytest.raises(BadInputError, match="no such operator") as raised:
        network_from_onnx(small_artifact, torch.float32)
    assert raised.value.found == "Tanh (odd)"
