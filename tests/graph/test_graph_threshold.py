import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from edgeseg.errors import BadInputError, UsageError
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.graph.threshold_shift import SHIFT_NAME, with_threshold
from edgeseg.graph.weights import copy_of


def probabilities(proto: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    """Give what ONNX Runtime computes, without anything of ours around it."""
    session = onnxruntime.InferenceSession(serialize(proto), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["probability"], {"frame": frames})[0])


def noise(size: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(4).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("threshold", [0.02, 0.3, 0.5, 0.71, 0.995])
def test_one_half_of_the_moved_graph_is_the_threshold_of_the_first(
    small_artifact: OnnxArtifact, threshold: float
) -> None:
    frames = noise(16, 64)
    before = probabilities(small_artifact.proto, frames)
    after = probabilities(with_threshold(small_artifact.proto, threshold), frames)
    sure = np.abs(before - threshold) > 1e-6
    np.testing.assert_array_equal((after >= 0.5)[sure], (before >= threshold)[sure])
    assert sure.mean() > 0.999
    if threshold in (0.3, 0.5, 0.71):
        assert 0.02 < (after >= 0.5).mean() < 0.98  # both kinds of pixel were there


def test_it_costs_no_node_and_changes_one_number(small_artifact: OnnxArtifact) -> None:
    moved = with_threshold(small_artifact.proto, 0.9)
    onnx.checker.check_model(moved, full_check=True)
    assert [node.SerializeToString() for node in moved.graph.node] == [
        node.SerializeToString() for node in small_artifact.proto.graph.node
    ]
    tensors = zip(small_artifact.proto.graph.initializer, moved.graph.initializer, strict=True)
    changed = [(a, b) for a, b in tensors if a.SerializeToString() != b.SerializeToString()]
    ((before, after),) = changed
    assert before.name == "head.bias"
    assert numpy_helper.to_array(after) - numpy_helper.to_array(before) == pytest.approx(-2.1972246)


def test_what_it_was_given_stays_as_it_was(small_artifact: OnnxArtifact) -> None:
    before = serialize(small_artifact.proto)
    with_threshold(small_artifact.proto, 0.9)
    assert serialize(small_artifact.proto) == before


@pytest.mark.parametrize("why", ["no bias", "bias read twice", "logits read twice", "no convolution"])
def test_where_no_bias_can_take_it_an_addition_does(small_artifact: OnnxArtifact, why: str) -> None:
    proto = copy_of(small_artifact.proto)
    head = next(node for node in proto.graph.node if node.name == "head")
    sigmoid = proto.graph.node[-1]
    if why == "no bias":
        del head.input[2]
    elif why == "bias read twice":
        head.input[2] = "shared"
        proto.graph.initializer.append(numpy_helper.from_array(np.array([0.1], np.float32), "shared"))
        proto.graph.node.insert(0, helper.make_node("Identity", ["shared"], ["idle"]))
    elif why == "logits read twice":
        proto.graph.node.append(helper.make_node("Identity", ["head.out"], ["idle"]))
    else:
        proto.graph.node.insert(len(proto.graph.node) - 1, helper.make_node("Identity", ["head.out"], ["same"]))
        proto.graph.node[-1].input[0] = "same"
    assert sigmoid.op_type == "Sigmoid"
    moved = with_threshold(proto, 0.8)
    onnx.checker.check_model(moved, full_check=True)
    assert SHIFT_NAME in {node.name for node in moved.graph.node}
    before, after = probabilities(proto, noise(16)), probabilities(moved, noise(16))
    sure = np.abs(before - 0.8) > 1e-6
    np.testing.assert_array_equal((after >= 0.5)[sure], (before >= 0.8)[sure])


def test_a_network_of_several_classes_has_none(small_artifact: OnnxArtifact) -> None:
    proto = copy_of(small_artifact.proto)
    proto.graph.node[-1].op_type = "Softmax"
    with pytest.raises(BadInputError, match="no threshold") as caught:
        with_threshold(proto, 0.7)
    assert "Softmax" in str(caught.value)


def test_what_is_no_threshold(small_artifact: OnnxArtifact) -> None:
    with pytest.raises(UsageError):
        with_threshold(small_artifact.proto, 1.0)


def test_the_moved_graph_keeps_the_contract(small_artifact: OnnxArtifact, tmp_path) -> None:
    (tmp_path / "moved.onnx").write_bytes(serialize(with_threshold(small_artifact.proto, 0.7)))
    moved = load_onnx(tmp_path / "moved.onnx")
    assert moved.metadata == small_artifact.metadata
    assert moved.weights_sha256 != small_artifact.weights_sha256
