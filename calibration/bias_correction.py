"""Finds what INT8 adds to the means of convolutions' outputs, so that their biases can take it away again.

Rounding and clipping shift the mean of a channel, the shifts add up from layer to layer, and a bias can make up for
them at no cost (Nagel et al., 2019, arXiv:1906.04721, section 4.2; Finkelstein et al., 2019, arXiv:1906.03193). The
means are measured on pictures, layer after layer, each with the biases before it corrected. Not every network gains,
so that both graphs are tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationTable
from edgeseg.calibration.cpu_session import cpu_session
from edgeseg.calibration.flips import flipped_shares
from edgeseg.calibration.placement import convolutions, default_plan
from edgeseg.calibration.qdq_style import cpu_style
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.selection import choose_images
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.graph.weights import copy_of
from edgeseg.images import read_rgb
from edgeseg.progress import Track, silent
from edgeseg.specs import INPUT_NAME

MEASURED = 16
"""Pictures at most on which means are measured."""
STEP = 3
"""Every third convolution is corrected, the last one included: it takes away what those before it added, too."""
_AXES = "bias_correction.axes"


def bias_shifts(
    artifact: OnnxArtifact, table: CalibrationTable, images: Sequence[Path], track: Track = silent
) -> dict[str, tuple[float, ...]] | None:
    """Measure what must be added to biases so that INT8 convolutions give float32's mean in every channel.

    The graph is the CPU's, by the default plan. Means are measured on at most 16 of the images; then float32 and INT8
    with and without the shifts are run on at most 32.

    Args:
        artifact: The network, float32.
        table: Its ranges, and its trial of asymmetric levels.
        images: Files; at least one.
        track: Draws the progress.

    Returns:
        Convolution name -> one number an output channel, in the unit of its output; None where no fewer pixels of the
        mask flip with them, and where no convolution that becomes INT8 has a constant bias.
    """
    lengths = {tensor.name: tensor.dims[0] for tensor in artifact.proto.graph.initializer if tensor.dims}
    biased = {n.name: n for n in convolutions(artifact.proto) if len(n.input) > 2 and n.input[2] in lengths}
    unshifted = {name: (0.0,) * lengths[node.input[2]] for name, node in biased.items()}
    plan = default_plan(artifact.proto, "int8", "fp32")
    quantised = quantise(artifact, table.model_copy(update={"bias_shifts": unshifted}), cpu_style(table), plan)
    names = [name for name in quantised.quantised if name in biased][::-STEP][::-1]
    if not names:
        return None
    model, crop = artifact.metadata.model, artifact.metadata.preprocess.crop
    measured = choose_images(images, MEASURED)
    frames = [resize_to_network(read_rgb(path), model.height, model.width, crop) for path in measured]
    wanted = _means(artifact.proto, [biased[name].output[0] for name in names], frames)
    uncorrected = copy_of(quantised.proto)
    tensors = {tensor.name: tensor for tensor in quantised.proto.graph.initializer}
    biases = {node.name: tensors[node.input[2]] for node in convolutions(quantised.proto) if node.name in names}
    shifts: dict[str, tuple[float, ...]] = {}
    for name, mean in track(list(zip(names, wanted, strict=True)), "correcting biases", len(names)):
        shift = (mean - _means(quantised.proto, [biased[name].output[0]], frames)[0]).astype(np.float32)
        shifted = onnx.numpy_helper.to_array(biases[name]) + shift
        biases[name].CopyFrom(onnx.numpy_helper.from_array(shifted, biases[name].name))
        shifts[name] = tuple(shift.tolist())
    graphs = [uncorrected, quantised.proto]
    before, after = flipped_shares(artifact, graphs, images, track, "trying corrected biases")
    return shifts if after < before else None


def _means(
    proto: onnx.ModelProto, tensors: Sequence[str], frames: Iterable[NDArray[np.uint8]]
) -> list[NDArray[np.float64]]:
    """The mean of each channel of some tensors [1,C,H,W] over pixels and pictures, found inside the graph."""
    observed = copy_of(proto)
    del observed.graph.output[:]
    observed.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray([0, 2, 3]), _AXES))
    for tensor in tensors:
        node = onnx.helper.make_node("ReduceMean", [tensor, _AXES], [f"{tensor}.mean"], keepdims=0)
        observed.graph.node.append(node)
        observed.graph.output.append(
            onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, ["channels"])
        )
    session: Any = cpu_session(observed)
    found = [session.run(None, {INPUT_NAME: frame[np.newaxis]}) for frame in frames]
    return [np.mean([values[index] for values in found], axis=0, dtype=np.float64) for index in range(len(tensors))]
