"""DeepStream's configuration against NVIDIA's list of keys, and the network that it names. No GPU has run either."""

from __future__ import annotations

import configparser
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgeseg.errors import BadInputError
from edgeseg.export.serving.deepstream import with_float_planes, write_deepstream
from edgeseg.graph.onnx_files import load_onnx, serialize, with_metadata
from edgeseg.specs import Crop

ULTRA = Path(__file__).parents[3] / "models" / "kvasir-ultra"
KEYS = {line for line in Path(__file__).with_name("nvinfer_keys.txt").read_text().splitlines() if line[0] != "#"}


def properties(folder: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.read(folder / "config_infer.txt")
    assert parser.sections() == ["property"]
    return dict(parser["property"])


def computed(proto: onnx.ModelProto, frame: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(serialize(proto)).run(None, {"frame": frame})[0])


def test_the_configuration_has_only_keys_that_nvinfer_knows_and_fits_the_network(tmp_path: Path) -> None:
    assert write_deepstream(ULTRA, tmp_path / "ds") == tmp_path / "ds" / "config_infer.txt"
    found = properties(tmp_path / "ds")
    assert set(found) <= KEYS
    graph = onnx.load(tmp_path / "ds" / found["onnx-file"]).graph
    (planes,), (output,) = graph.input, graph.output
    assert planes.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    shape = [dim.dim_value for dim in planes.type.tensor_type.shape.dim]
    assert found["infer-dims"] == ";".join(map(str, shape[1:])) == "3;256;256"
    assert found["output-blob-names"] == output.name
    assert (tmp_path / "ds" / found["labelfile-path"]).read_text() == "polyp\n"
    assert (found["network-type"], found["model-color-format"], found["network-input-order"]) == ("2", "0", "0")
    assert float(found["net-scale-factor"]) == 1 and "offsets" not in found, "normalisation is inside the graph"
    assert float(found["segmentation-threshold"]) == 0.5


def test_the_network_gives_the_same_for_planes_as_for_pixels() -> None:
    proto = load_onnx(ULTRA / "model.onnx").proto
    frame = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    planes = np.ascontiguousarray(frame.transpose(0, 3, 1, 2), np.float32)
    changed = with_float_planes(proto)
    onnx.checker.check_model(changed, full_check=True)
    assert np.array_equal(computed(changed, planes), computed(proto, frame))
    operators = [node.op_type for node in changed.graph.node]
    assert operators[0] not in ("Cast", "Transpose"), "nothing is left of the way to pixels and back"


def test_several_classes_have_no_threshold_and_a_crop_is_told(tmp_path: Path, tiny_onnx: Path) -> None:
    artifact = load_onnx(tiny_onnx)
    crop = Crop(top=1, left=2, height=30, width=40)
    described = artifact.metadata.model_copy(
        update={"preprocess": artifact.metadata.preprocess.model_copy(update={"crop": crop})}
    )
    tiny_onnx.write_bytes(serialize(with_metadata(artifact.proto, described)))
    text = write_deepstream(tiny_onnx, tmp_path / "ds").read_text()
    assert "nvvideoconvert src-crop=2:1:40:30" in text


def test_an_engine_is_refused(tiny_engine: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="DeepStream cannot feed"):
        write_deepstream(tiny_engine, tmp_path / "ds")
    assert not (tmp_path / "ds").exists()
