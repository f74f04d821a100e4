import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.placement import activations
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.images import list_images, read_rgb


def observed_by_hand(artifact: OnnxArtifact, images: list[Path]) -> dict[str, tuple[float, float]]:
    """Fetch every tensor whole and look at it with numpy: what the streamed reduction must agree with."""
    proto = onnx.ModelProto()
    proto.CopyFrom(artifact.proto)
    names = activations(artifact.proto)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in names)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    frames = np.stack([resize_to_network(read_rgb(path), 16, 16) for path in images])
    values = session.run(list(names), {"frame": frames})
    return {name: (float(v.min()), float(v.max())) for name, v in zip(names, values, strict=True)}


def test_ranges_equal_those_of_the_whole_tensors(small_artifact: OnnxArtifact, small_images: Path) -> None:
    images = list_images(small_images)
    table = calibrate(small_artifact, images)
    expected = observed_by_hand(small_artifact, images)
    assert table.image_count == len(images) == 12
    assert table.ranges.keys() == expected.keys()
    for name, (low, high) in expected.items():
        seen = table.ranges[name]
        assert seen.minimum == pytest.approx(low, rel=1e-5, abs=1e-6), name
        assert seen.maximum == pytest.approx(high, rel=1e-5, abs=1e-6), name
        assert seen.amax == max(abs(seen.minimum), abs(seen.maximum))


def test_inputs_and_outputs_of_convolutions_are_observed(small_artifact: OnnxArtifact) -> None:
    assert activations(small_artifact.proto) == (
        "normal",
        "stem.relu",
        "pooled",
        "down.relu",
        "residual.out",
        "joined",
        "up.relu",
        "head.out",
    )


def test_the_table_survives_a_file(small_artifact: OnnxArtifact, small_images: Path, tmp_path: Path) -> None:
    table = calibrate(small_artifact, list_images(small_images)[:2])
    table.write(tmp_path / "t.json")
    assert CalibrationTable.read(tmp_path / "t.json") == table
    assert table.weights_sha256 == small_artifact.weights_sha256


def test_memory_does_not_grow_with_images(small_artifact: OnnxArtifact, small_images: Path) -> None:
    images = list_images(small_images)

    def peak(count: int) -> int:
        tracemalloc.start()
        calibrate(small_artifact, (images * 20)[:count])
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    peak(4)
    assert peak(200) < 1.2 * peak(20) + 50_000


def test_no_images_is_refused(small_artifact: OnnxArtifact) -> None:
    with pytest.raises(BadInputError, match="no images"):
        calibrate(small_artifact, [])
