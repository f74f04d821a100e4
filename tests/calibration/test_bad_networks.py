"""Networks and tables that calibration and quantisation cannot use are refused with the reason."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, TENSORRT_STYLE, QdqStyle
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import calibrate
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize, with_metadata
from edgeseg.graph.weights import copy_of
from edgeseg.images import list_images

STYLES = pytest.mark.parametrize("style", [ONNXRUNTIME_STYLE, TENSORRT_STYLE], ids=["cpu", "tensorrt"])


@pytest.fixture
def table(small_artifact: OnnxArtifact, small_images: Path) -> CalibrationTable:
    return calibrate(small_artifact, list_images(small_images))


def with_tensor(artifact: OnnxArtifact, name: str, change: Callable[[np.ndarray], None]) -> OnnxArtifact:
    """The network with one weight changed in place."""
    proto = copy_of(artifact.proto)
    tensor = next(tensor for tensor in proto.graph.initializer if tensor.name == name)
    values = numpy_helper.to_array(tensor).copy()
    change(values)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return replace(artifact, proto=proto)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["max", "mse"])
def test_activations_that_are_not_finite_name_their_layer(
    small_artifact: OnnxArtifact, small_images: Path, value: float, method: str
) -> None:
    broken = with_tensor(small_artifact, "residual.bias", lambda values: values.__setitem__(2, value))
    images = list_images(small_images)
    with pytest.raises(BadInputError, match=r"the layer residual \(Conv\) gives values that are not finite") as caught:
        calibrate(broken, images, method=method)
    assert str(caught.value.found).startswith("residual.out from ")
    assert images[0].name in str(caught.value.found)
    assert (caught.value.next_command or "").startswith("edgeseg evaluate ")


@STYLES
def test_a_dead_channel_gives_its_bias(small_artifact: OnnxArtifact, small_images: Path, style: QdqStyle) -> None:
    dead = with_tensor(small_artifact, "residual.weight", lambda values: values.__setitem__(3, 0.0))
    proto = quantise(dead, calibrate(dead, list_images(small_images)), style).proto
    scale = next(numpy_helper.to_array(t) for t in proto.graph.initializer if t.name == "residual.weight.scale")
    assert (scale > 0).all()
    proto.graph.output.append(onnx.helper.make_tensor_value_info("residual.out", onnx.TensorProto.FLOAT, None))
    frames = np.random.default_rng(3).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    _, maps = ReferenceEvaluator(proto).run(None, {"frame": frames})
    bias = next(numpy_helper.to_array(t) for t in dead.proto.graph.initializer if t.name == "residual.bias")
    np.testing.assert_array_equal(maps[:, 3], np.full_like(maps[:, 3], bias[3]))


def renamed(artifact: OnnxArtifact) -> OnnxArtifact:
    """The same network and weights, as another exporter would call its tensors."""
    proto = copy_of(artifact.proto)
    for node in proto.graph.node:
        for names in (node.input, node.output):
            names[:] = [f"{name}_1" if name in ("pooled", "joined") else name for name in names]
    return replace(artifact, proto=proto)


@STYLES
def test_renamed_tensors_are_told_with_what_the_table_has(
    small_artifact: OnnxArtifact, table: CalibrationTable, style: QdqStyle
) -> None:
    with pytest.raises(BadInputError, match="no range for pooled_1") as caught:
        quantise(renamed(small_artifact), table, style)
    assert str(caught.value.found).endswith("such as pooled")
    assert "2 of them are missing" in str(caught.value.expected)
    assert (caught.value.next_command or "").startswith("edgeseg calibrate ")


@STYLES
def test_a_table_of_other_weights_is_refused(
    small_artifact: OnnxArtifact, table: CalibrationTable, style: QdqStyle
) -> None:
    other = with_tensor(small_artifact, "down.weight", lambda values: values.__setitem__((0, 0, 0, 0), 9.0))
    with pytest.raises(MismatchError, match="other weights") as caught:
        quantise(other, table, style)
    assert (caught.value.next_command or "").startswith("edgeseg calibrate ")


@STYLES
def test_a_quantised_network_is_not_quantised_again(
    small_artifact: OnnxArtifact, small_images: Path, table: CalibrationTable, style: QdqStyle
) -> None:
    done = replace(small_artifact, proto=quantise(small_artifact, table, style).proto)
    for attempt in (lambda: calibrate(done, list_images(small_images)), lambda: quantise(done, table, style)):
        with pytest.raises(BadInputError, match="is quantised already") as caught:
            attempt()
        assert "QuantizeLinear" in str(caught.value.found)
        assert caught.value.expected == "the float network that it was made from"


def test_open_sizes_are_refused_before_anything_is_calibrated(small_onnx: Path) -> None:
    artifact = load_onnx(small_onnx)
    dims = artifact.proto.graph.input[0].type.tensor_type.shape.dim
    dims[1].dim_param, dims[2].dim_param = "height", "width"
    small_onnx.write_bytes(serialize(with_metadata(artifact.proto, artifact.metadata)))
    with pytest.raises(MismatchError) as caught:
        load_onnx(small_onnx)
    assert "16, 16, 3" in str(caught.value.expected) or "16,16,3" in str(caught.value.expected)
