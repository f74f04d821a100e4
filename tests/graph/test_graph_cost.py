from edgeseg.graph.cost import multiply_adds, parameter_count
from edgeseg.graph.onnx_files import OnnxArtifact


def test_multiply_adds_by_hand(small_artifact: OnnxArtifact) -> None:
    full, half = 16 * 16, 8 * 8
    stem, down, residual = full * 8 * 27, half * 8 * 72, half * 8 * 72
    up, head = full * 8 * 144, full * 8
    assert multiply_adds(small_artifact.proto) == stem + down + residual + up + head


def test_parameters_by_hand(small_artifact: OnnxArtifact) -> None:
    weights = 8 * 27 + 2 * 8 * 72 + 8 * 144 + 8
    biases, constants = 4 * 8 + 1, 3 + 3 + 4
    assert parameter_count(small_artifact.proto) == weights + biases + constants
