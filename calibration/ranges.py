"""Ranges of activations, streamed: memory does not grow with the number of images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationTable, Range
from edgeseg.calibration.asymmetry import try_asymmetry
from edgeseg.calibration.bias_correction import bias_shifts
from edgeseg.calibration.cpu_session import cpu_session
from edgeseg.calibration.image_warnings import constant_warning, held_out_warning, is_constant
from edgeseg.calibration.method_trial import try_methods
from edgeseg.calibration.methods import AUTO_METHOD, DEFAULT_METHOD, observer_of
from edgeseg.calibration.observer import Observer
from edgeseg.calibration.placement import activations
from edgeseg.calibration.table_check import refuse_quantised
from edgeseg.dataset import hash_files
from edgeseg.errors import BadInputError
from edgeseg.frames import resize_to_network
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.graph.weights import copy_of
from edgeseg.images import read_rgb
from edgeseg.progress import Say, Track, quiet, silent
from edgeseg.shell import quoted
from edgeseg.specs import INPUT_NAME, TrainedRanges

WATCHES_ALL = "mse"
"""A method whose observer keeps what all of them choose from."""
REDUCTIONS = ("ReduceMin", "ReduceMax", "ReduceSum")
"""The sum tells of NaN, which ONNX Runtime's minimum and maximum pass over."""


def calibrate(
    artifact: OnnxArtifact,
    images: Sequence[Path],
    track: Track = silent,
    method: str = DEFAULT_METHOD,
    say: Say = quiet,
    data: Path | None = None,
    examine: Callable[[Mapping[str, Observer]], object] | None = None,
) -> CalibrationTable:
    """Measure the ranges of a network, and choose what its INT8 graph on CPUs does with them.

    The method `auto` tries INT8 with the ranges of each on at most 32 of the images.
    Where tensors lie mostly on one side of zero, INT8 with asymmetric levels is tried on at most 32 of the images.
    What INT8 adds to the means of convolutions' outputs is measured on at most 16 of them, and taken from the biases
    where that is better on at most 32.
    Ranges that quantisation-aware training chose stay, with symmetric levels and with its biases.

    Takes and raises what `measure_ranges` does.
    """
    trained = artifact.metadata.trained_ranges
    if method != AUTO_METHOD:
        table = measure_ranges(artifact, images, track, method, say, data, examine)
    else:
        observers: dict[str, Observer] = {}
        table = measure_ranges(artifact, images, track, WATCHES_ALL, say, data, observers.update)
        if trained is None:
            table = try_methods(artifact, table, observers, images, track)
        if examine is not None:
            examine(observers)
    if trained is not None:
        return with_trained_ranges(table, trained)
    trial = try_asymmetry(artifact, table, images, track)
    table = table.model_copy(update={"asymmetry": trial})
    return table.model_copy(update={"bias_shifts": bias_shifts(artifact, table, images, track)})


def measure_ranges(
    artifact: OnnxArtifact,
    images: Sequence[Path],
    track: Track = silent,
    method: str = DEFAULT_METHOD,
    say: Say = quiet,
    data: Path | None = None,
    examine: Callable[[Mapping[str, Observer]], object] | None = None,
) -> CalibrationTable:
    """Run images through the float network and watch the input and the output of every convolution.

    Args:
        artifact: The network.
        images: Files; each is read, resized by the one resize, run and forgotten.
        track: Draws the progress.
        method: A name in `edgeseg.calibration.methods.METHODS`.
        say: Takes warnings of pictures that spoil the calibration.
        data: The data set that the images come from; pictures of its test split are warned of.
        examine: Is given each tensor's observer by name, once all images were seen.

    Returns:
        The ranges alone: symmetric levels, and biases as they are.

    Raises:
        UsageError: There is no such method.
        BadInputError: No images, one that cannot be read, a network that is quantised already, or an activation that
            is not finite.
    """
    observer = observer_of(method)
    refuse_quantised(artifact)
    if not images:
        raise BadInputError(
            "there are no images to calibrate on", next_command="edgeseg calibrate MODEL --data DIR --out FILE"
        )
    seen, constant = _watch(artifact, track(images, "calibrating", len(images)), observer)
    for warning in (constant_warning(constant, len(images)), data and held_out_warning(images, data)):
        if warning:
            say(str(warning))
    if examine is not None:
        examine({tensor.name: tensor.observer for tensor in seen})
    return CalibrationTable(
        method=method,
        image_count=len(images),
        data_sha256=hash_files(images),
        weights_sha256=artifact.weights_sha256,
        ranges={tensor.name: tensor.range() for tensor in seen},
    )


def _watch(artifact: OnnxArtifact, images: Iterable[Path], observer: type[Observer]) -> tuple[list[_Seen], list[str]]:
    """Show images to the network: what each activation held, and the names of images that show nothing."""
    names = activations(artifact.proto)
    model, crop = artifact.metadata.model, artifact.metadata.preprocess.crop
    session = _session(artifact.proto, names, () if observer.extremes_suffice else names)
    seen = [_Seen(name, observer()) for name in names]
    constant: list[str] = []
    for path in images:
        frame = resize_to_network(read_rgb(path), model.height, model.width, crop)
        if is_constant(frame):
            constant.append(path.name)
        values = session.run(None, {INPUT_NAME: frame[np.newaxis]})
        pairs, wholes = _pairs(values, len(names)), values[len(REDUCTIONS) * len(names) :]
        for tensor, pair, whole in zip(seen, pairs, wholes or pairs, strict=True):
            if not np.isfinite(pair).all():
                raise _not_finite(artifact, tensor.name, pair, path)
            tensor.update(pair, whole)
    return seen, constant


def _not_finite(artifact: OnnxArtifact, name: str, pair: NDArray[np.float32], image: Path) -> BadInputError:
    layer = next(node for node in artifact.proto.graph.node if name in node.output)
    return BadInputError(
        f"the layer {layer.name} ({layer.op_type}) gives values that are not finite",
        found=f"{name} from {pair[0]} to {pair[1]} on {image.name}",
        expected="a network whose activations are finite on the calibration images",
        next_command=f"edgeseg evaluate {quoted(artifact.path)} DIR",
    )


def with_trained_ranges(table: CalibrationTable, trained: TrainedRanges) -> CalibrationTable:
    """The table with the ranges that quantisation-aware training chose in place of those that were measured.

    Tensors that were not quantised then keep what was measured, for plans that quantise more.
    """
    ranges = {
        name: Range(minimum=minimum, maximum=maximum, amax=amax)
        for name, (minimum, maximum, amax) in trained.ranges.items()
    }
    return table.model_copy(update={"ranges": {**table.ranges, **ranges}, "trained": len(ranges)})


def extremes(
    proto: onnx.ModelProto, names: Sequence[str], frames: Iterable[NDArray[np.uint8]]
) -> dict[str, tuple[float, float]]:
    """The smallest and the largest value that each of some tensors held on some pictures.

    Args:
        proto: A contract graph, float32.
        names: float32 tensors that its nodes give.
        frames: Pictures at the network's size, uint8 [H,W,3] RGB; at least one.

    Returns:
        Tensor name -> minimum and maximum, which need not be finite.
    """
    found = dict.fromkeys(names, (math.inf, -math.inf))
    if not names:
        return found
    session = _session(proto, names, ())
    for frame in frames:
        pairs = _pairs(session.run(None, {INPUT_NAME: frame[np.newaxis]}), len(names))
        for name, (low, high) in zip(names, pairs.tolist(), strict=True):
            before = found[name]
            found[name] = (float(np.minimum(before[0], low)), float(np.maximum(before[1], high)))
    return found


def _pairs(values: Sequence[Any], count: int) -> NDArray[np.float32]:
    """The smallest and the largest value of each tensor, float32 [count,2]; NaN where it holds one."""
    low, high, total = np.asarray(values[: len(REDUCTIONS) * count], np.float32).reshape(len(REDUCTIONS), count)
    return np.where(np.isnan(total), np.float32(np.nan), np.stack([low, high])).T


@dataclass
class _Seen:
    """One tensor: its smallest and largest value so far, and the method's observer."""

    name: str
    observer: Observer
    lowest: float = math.inf
    highest: float = -math.inf

    def update(self, extremes: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        low, high = extremes.tolist()
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        self.observer.update(values)

    def range(self) -> Range:
        return Range(minimum=self.lowest, maximum=self.highest, amax=self.observer.amax())


def _session(proto: onnx.ModelProto, names: Sequence[str], whole: Sequence[str]) -> Any:
    """A session that gives the minima, the maxima and the sums of the named tensors, and those that are wanted whole.

    The extremes are found inside the graph, so that a tensor of which they suffice is freed as soon as it was used.
    """
    observed = copy_of(proto)
    del observed.graph.output[:]
    for reduction in REDUCTIONS:
        for name in names:
            output = f"{name}.{reduction}"
            observed.graph.node.append(onnx.helper.make_node(reduction, [name], [output], keepdims=0))
            observed.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, []))
    for name in whole:
        observed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return cpu_session(observed)
