"""Reads the two graphs that are compared layer by layer, and the frames on which they are."""

from __future__ import annotations

from pathlib import Path

import onnx

from edgeseg.artifacts import Precision
from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images
from edgeseg.errors import BadInputError, MismatchError
from edgeseg.frames import Frame, resize_to_network
from edgeseg.graph.onnx_files import load_onnx, parse_onnx
from edgeseg.graph.operators import QUANTISERS
from edgeseg.images import read_rgb
from edgeseg.packages import find_model, onnx_of
from edgeseg.progress import Track, silent
from edgeseg.proof.bisect.bisection import Bisection, bisect
from edgeseg.runtime.engine.backends import on_cpu
from edgeseg.runtime.passport.passports import read_checked
from edgeseg.shell import quoted

FRAMES = 8
"""Pictures on which layers are compared; a layer that is wrong is wrong on the first of them."""


def bisect_files(judged: Path, reference: Path, data: Path, split: str, track: Track = silent) -> Bisection:
    """Find the first layer at which a file's graph parts from its reference's.

    Args:
        judged: An engine of onnxruntime or openvino with its passport, or an .onnx file of the contract.
        reference: The float32 model: an .onnx file or a package.
        data: Data set or folder of images; eight of them are run, and masks are not needed.
        split: Which part of it.
        track: Draws the progress.

    Raises:
        BadInputError: A file cannot be read, or the engine does not hold a graph.
        MismatchError: The two have other input sizes, or hardly a tensor in common.
    """
    exact = load_onnx(onnx_of(find_model(reference)))
    proto, sha256, precision = _graph(judged, reference)
    model, crop = exact.metadata.model, exact.metadata.preprocess.crop
    wanted, found = _size(exact.proto), _size(proto)
    if found != wanted:
        raise MismatchError(
            "the two graphs take pictures of different sizes, so that no layer can be compared",
            found=f"{found} in {judged}",
            expected=f"{wanted}, as {reference} takes them",
        )
    images = choose_images(load_images(data, split), FRAMES)
    frames: list[Frame] = [resize_to_network(read_rgb(path), model.height, model.width, crop) for path in images]
    return bisect(exact, proto, sha256, precision, frames, track)


def _size(proto: onnx.ModelProto) -> str:
    _, height, width, _ = proto.graph.input[0].type.tensor_type.shape.dim
    return f"{width.dim_value}x{height.dim_value}"


def _graph(judged: Path, reference: Path) -> tuple[onnx.ModelProto, str, Precision]:
    if judged.suffix == ".onnx":
        artifact = load_onnx(judged)
        return artifact.proto, artifact.sha256, precision_of(artifact.proto)
    data, passport = read_checked(judged)
    if not on_cpu(passport.backend):
        raise BadInputError(
            f"an engine of {passport.backend} does not hold the graph that it was built from",
            found=str(judged),
            expected="an engine of onnxruntime or openvino, or an .onnx file",
            next_command=f"edgeseg build-engine {quoted(reference)} --backend onnxruntime "
            f"--precision {passport.precision}",
        )
    return parse_onnx(data, str(judged)), passport.engine_sha256, passport.precision


def precision_of(proto: onnx.ModelProto) -> Precision:
    """The lowest precision that a graph computes in."""
    if any(node.op_type in QUANTISERS for node in proto.graph.node):
        return "int8"
    casts = [node for node in proto.graph.node if node.op_type == "Cast"]
    kinds = {attribute.i for node in casts for attribute in node.attribute if attribute.name == "to"}
    weights = {tensor.data_type for tensor in proto.graph.initializer}
    return "fp16" if onnx.TensorProto.FLOAT16 in kinds | weights else "fp32"
