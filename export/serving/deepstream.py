"""A configuration of DeepStream's nvinfer, and the network with the input that nvinfer feeds.

nvinfer scales and converts each frame and hands over float32 planes, ``net-scale-factor * (pixel - offset)``, whatever
type the engine's input has (https://docs.nvidia.com/metropolis/deepstream/dev-guide/text/DS_plugin_gst-nvinfer.html).
So the contract's uint8 [N,H,W,3] is no input for it, and an engine of ours neither.
"""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from edgeseg.errors import BadInputError
from edgeseg.export.serving.pbtxt import one_line
from edgeseg.files import atomic_folder, write_bytes, write_text
from edgeseg.frames import THRESHOLD
from edgeseg.graph.cleanup import without_pass_through, without_unused
from edgeseg.graph.last_nodes import without_double_transposes
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx, serialize
from edgeseg.graph.weights import copy_of
from edgeseg.packages import find_model, onnx_of
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, ModelMetadata

DEEPSTREAM_ONNX = "model.float-input.onnx"
DEEPSTREAM_CONFIG = "config_infer.txt"
DEEPSTREAM_LABELS = "labels.txt"


def write_deepstream(model: Path, out: Path) -> Path:
    """Write nvinfer's configuration, the network with float32 planes as input, and the classes' names.

    Args:
        model: An .onnx file or a model package.
        out: The folder, new or empty.

    Returns:
        The configuration's path.

    Raises:
        BadInputError: `model` is an engine or a RUN, or cannot be read.
        UnwritableError: `out` is not empty or cannot be written.
    """
    files = find_model(model)
    if files.kind == "engine":
        raise BadInputError(
            f"DeepStream cannot feed {model}",
            found="an engine, whose input is uint8 [N,H,W,3]",
            expected="an .onnx file or a model package: nvinfer gives float32 planes and builds its own engine",
            next_command="edgeseg package MODEL --deepstream DIR",
        )
    artifact = load_onnx(onnx_of(files))
    with atomic_folder(out) as folder:
        write_bytes(folder / DEEPSTREAM_ONNX, serialize(with_float_planes(artifact.proto)))
        write_text(folder / DEEPSTREAM_LABELS, _labels(artifact.metadata))
        write_text(folder / DEEPSTREAM_CONFIG, _config(files.name, artifact))
    return out / DEEPSTREAM_CONFIG


def with_float_planes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Let a contract graph take `frame` as float32 [N,3,H,W] of whole numbers 0 to 255, RGB; the rest stays."""
    copy = copy_of(proto)
    frame = next(value for value in copy.graph.input if value.name == INPUT_NAME)
    batch, height, width, channels = frame.type.tensor_type.shape.dim
    planes = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [None] * 4)
    for dim, kept in zip(planes.type.tensor_type.shape.dim, (batch, channels, height, width), strict=True):
        dim.CopyFrom(kept)
    frame.CopyFrom(planes)
    pixels = f"{INPUT_NAME}.pixels"
    for node in copy.graph.node:
        node.input[:] = [pixels if name == INPUT_NAME else name for name in node.input]
    transpose = helper.make_node("Transpose", [INPUT_NAME], [pixels], name=pixels, perm=[0, 2, 3, 1])
    copy.graph.node.insert(0, transpose)
    return without_unused(without_double_transposes(without_pass_through(copy)))


def _labels(metadata: ModelMetadata) -> str:
    return "".join(f"{one_line(name)}\n" for name in metadata.model.classes)


def _config(name: str, artifact: OnnxArtifact) -> str:
    model, crop = artifact.metadata.model, artifact.metadata.preprocess.crop
    one_class = model.channels == 1
    comments = [
        f"{one_line(name)} for DeepStream's nvinfer, written by edgeseg package --deepstream.",
        f"onnx_sha256={artifact.sha256}",
        f"weights_sha256={artifact.weights_sha256}",
        "nvinfer builds its own engine on the GPU where it runs; no verdict of edgeseg holds for that engine.",
        "Normalisation is inside the graph, so there are no offsets.",
        "The class map has the network's size: the class's index, -1 where no class is above the threshold.",
    ]
    if crop is not None:
        window = f"{crop.left}:{crop.top}:{crop.width}:{crop.height}"
        comments.append(f"The network looks at a window of the frame: put nvvideoconvert src-crop={window} before it.")
    keys = {
        "gie-unique-id": 1,
        "process-mode": 1,
        "network-type": 2,
        "onnx-file": DEEPSTREAM_ONNX,
        "labelfile-path": DEEPSTREAM_LABELS,
        "network-mode": 0,
        "batch-size": 1,
        "infer-dims": f"3;{model.height};{model.width}",
        "network-input-order": 0,
        "model-color-format": 0,
        "net-scale-factor": "1.0",
        "maintain-aspect-ratio": 0,
        "num-detected-classes": model.channels,
        "output-blob-names": OUTPUT_NAME,
        "segmentation-output-order": 0,
        "segmentation-threshold": f"{THRESHOLD if one_class else 0.0:.1f}",
    }
    return "\n".join([*(f"# {line}" for line in comments), "[property]", *(f"{k}={v}" for k, v in keys.items())]) + "\n"
