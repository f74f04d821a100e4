"""Ranges of activations, streamed: memory does not grow with the number of images."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.calibration.placement import activations
from edgeseg.dataset import hash_files
from edgeseg.errors import BadInputError
from edgeseg.frames import resize_to_network
from edgeseg.graph.files import OnnxArtifact, serialize
from edgeseg.graph.weights import copy_of
from edgeseg.images import read_rgb
from edgeseg.optional import require
from edgeseg.progress import Track, silent
from edgeseg.specs import INPUT_NAME

REDUCTIONS = ("ReduceMin", "ReduceMax")


def calibrate(artifact: OnnxArtifact, images: Sequence[Path], track: Track = silent) -> CalibrationTable:
    """Run images through the float network and keep the smallest and largest value of every convolution's input.

    The method is `max`: amax is the largest magnitude seen (Wu et al., 2020, arXiv:2004.09602, section 3.1).

    Args:
        artifact: The network.
        images: Files; each is read, resized by the one resize, run and forgotten.
        track: Draws the progress.

    Raises:
        BadInputError: No images, one that cannot be read, or an activation that is not finite.
    """
    if not images:
        raise BadInputError(
            "there are no images to calibrate on", next_command="edgeseg calibrate MODEL --data DIR --out FILE"
        )
    names = activations(artifact.proto)
    model, crop = artifact.metadata.model, artifact.metadata.preprocess.crop
    frames = (
        resize_to_network(read_rgb(path), model.height, model.width, crop)
        for path in track(images, "calibrating", len(images))
    )
    lowest, highest = _extremes(_observer(artifact.proto, names), frames, len(names))
    ranges = {}
    for name, low, high in zip(names, lowest.tolist(), highest.tolist(), strict=True):
        if not np.isfinite((low, high)).all():
            raise BadInputError(f"the tensor {name} is not finite on the calibration images", found=f"{low} to {high}")
        ranges[name] = Range(minimum=low, maximum=high, amax=max(abs(low), abs(high)))
    return CalibrationTable(
        method="max",
        image_count=len(images),
        data_sha256=hash_files(images),
        weights_sha256=artifact.weights_sha256,
        ranges=ranges,
    )


def choose_images(images: Sequence[Path], count: int) -> list[Path]:
    """At most `count` images, spread evenly over the sorted list, so that the choice needs no seed."""
    if count >= len(images):
        return list(images)
    return [images[index * len(images) // count] for index in range(count)]


def _extremes(
    session: Any, frames: Iterable[NDArray[np.uint8]], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    lowest, highest = np.full(count, np.inf, np.float32), np.full(count, -np.inf, np.float32)
    for values in _observed(session, frames):
        np.minimum(lowest, values[:count], out=lowest)
        np.maximum(highest, values[count:], out=highest)
    return lowest, highest


def _observed(session: Any, frames: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
    for frame in frames:
        yield np.asarray(session.run(None, {INPUT_NAME: frame[np.newaxis]}), np.float32)


def _observer(proto: onnx.ModelProto, names: Sequence[str]) -> Any:
    """A session that gives the minima, then the maxima, of the named tensors: scalars leave the graph, not maps."""
    onnxruntime = require("onnxruntime")
    observed = copy_of(proto)
    del observed.graph.output[:]
    for reduction in REDUCTIONS:
        for name in names:
            output = f"{name}.{reduction}"
            observed.graph.node.append(onnx.helper.make_node(reduction, [name], [output], keepdims=0))
            observed.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, []))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(serialize(observed), options, providers=["CPUExecutionProvider"])
