import math

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeseg.errors import BadInputError
from edgeseg.graph.cost import multiply_adds, parameter_count
from edgeseg.graph.mirroring import has_mirroring, with_mirroring
from edgeseg.graph.onnx_files import OnnxArtifact, serialize
from edgeseg.graph.threshold_shift import with_threshold
from edgeseg.graph.weights import copy_of


def logits(proto: onnx.ModelProto, frames: np.ndarray) -> np.ndarray:
    """Give the logits of what ONNX Runtime computes, without anything of ours around it."""
    session = onnxruntime.InferenceSession(serialize(proto), providers=["CPUExecutionProvider"])
    probability = np.asarray(session.run(["probability"], {"frame": frames})[0], np.float64)
    return np.log(probability / (1 - probability))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_logits_are_the_mean_of_both(small_artifact: OnnxArtifact, count: int, seed: int) -> None:
    frames = np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    turned = np.ascontiguousarray(frames[:, :, ::-1])
    expected = (logits(small_artifact.proto, frames) + logits(small_artifact.proto, turned)[..., ::-1]) / 2
    mirrored = with_mirroring(small_artifact.proto)
    np.testing.assert_allclose(logits(mirrored, frames), expected, atol=1e-4)
    np.testing.assert_allclose(logits(mirrored, turned), expected[..., ::-1], atol=1e-4)


def test_the_network_is_not_the_same_from_both_sides(small_artifact: OnnxArtifact) -> None:
    """Else the test above would say nothing."""
    frames = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    alone = logits(small_artifact.proto, frames)
    assert np.abs(logits(with_mirroring(small_artifact.proto), frames) - alone).mean() > 0.05


def test_it_costs_twice_the_work_and_no_weights(small_artifact: OnnxArtifact) -> None:
    before = serialize(small_artifact.proto)
    mirrored = with_mirroring(small_artifact.proto)
    onnx.checker.check_model(mirrored, full_check=True)
    assert serialize(small_artifact.proto) == before
    assert multiply_adds(mirrored) == 2 * multiply_adds(small_artifact.proto)
    assert parameter_count(mirrored) == parameter_count(small_artifact.proto) + 1  # the half
    assert has_mirroring(mirrored)
    assert not has_mirroring(small_artifact.proto)


def test_tensors_keep_their_names(small_artifact: OnnxArtifact) -> None:
    """So a calibration table of the one graph fits the other."""
    made = {name for node in small_artifact.proto.graph.node for name in node.output}
    assert made < {name for node in with_mirroring(small_artifact.proto).graph.node for name in node.output}


@pytest.mark.parametrize("threshold", [0.2, 0.85])
def test_a_threshold_is_moved_before_or_after_it(small_artifact: OnnxArtifact, threshold: float) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    expected = logits(with_mirroring(small_artifact.proto), frames) - math.log(threshold / (1 - threshold))
    for moved in (
        with_mirroring(with_threshold(small_artifact.proto, threshold)),
        with_threshold(with_mirroring(small_artifact.proto), threshold),
    ):
        np.testing.assert_allclose(logits(moved, frames), expected, atol=1e-4)


@pytest.mark.parametrize("where", ["input", "output"])
def test_a_graph_of_another_form_is_refused(small_artifact: OnnxArtifact, where: str) -> None:
    proto = copy_of(small_artifact.proto)
    if where == "input":
        proto.graph.node[0].op_type = "Identity"
    else:
        proto.graph.node[-1].op_type = "Clip"
    with pytest.raises(BadInputError, match="cannot be given mirror images"):
        with_mirroring(proto)
