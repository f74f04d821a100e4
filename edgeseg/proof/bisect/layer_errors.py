"""Runs two graphs of one network on the same frames and measures how far each tensor of one is from the other's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.calibration.cpu_session import cpu_session
from edgeseg.frames import Frame
from edgeseg.graph.cleanup import consumers_of
from edgeseg.graph.weights import copy_of
from edgeseg.progress import Track, silent
from edgeseg.specs import INPUT_NAME

PROBABILITIES = frozenset({"Sigmoid", "Softmax"})
MARKED_POWER = 0.25
"""The mean square of a probability of one half: where nothing is marked, rounding is as large as what is left."""
SHOWN_AT_ONCE = 16
"""Tensors that a graph gives beside its mask in one pass; with more of them a large network would not fit in memory."""


@dataclass
class Difference:
    """Sums over all values of a tensor on all frames, y of the graph that is judged against x of the reference."""

    count: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0
    noise: float = 0.0
    finite: bool = True
    least_power: float = 0.0
    """The signal's mean square counts as at least this."""

    def add(self, reference: NDArray[np.float64], judged: NDArray[np.float64]) -> None:
        """Take in one frame's tensors, float64 of one shape."""
        self.finite = self.finite and bool(np.isfinite(judged).all())
        x, y = reference.ravel(), np.nan_to_num(judged.ravel(), posinf=0.0, neginf=0.0)
        self.count += x.size
        self.x, self.y = self.x + float(x.sum()), self.y + float(y.sum())
        self.xx, self.yy, self.xy = self.xx + float(x @ x), self.yy + float(y @ y), self.xy + float(x @ y)
        error = y - x
        self.noise += float(error @ error)

    @property
    def sqnr_db(self) -> float:
        """The signal to noise ratio, in dB; infinite where the two are the same, -infinite where one is not finite."""
        if not self.finite:
            return -math.inf
        if self.noise == 0:
            return math.inf
        signal = max(self.xx, self.least_power * self.count)
        return 10 * math.log10(signal / self.noise) if signal else -math.inf

    def fitted(self) -> tuple[float, float, float]:
        """The line y = a x + b with the least squares, and the share of y's variance that it explains."""
        spread_x = self.xx - self.x * self.x / self.count
        spread_y = self.yy - self.y * self.y / self.count
        both = self.xy - self.x * self.y / self.count
        if spread_x <= 0 or spread_y <= 0:
            return 1.0, 0.0, 0.0
        slope = both / spread_x
        return slope, (self.y - slope * self.x) / self.count, both * both / (spread_x * spread_y)


@dataclass
class LayerError:
    """One layer of the reference, and how far the same layer of the other graph is from it."""

    node: onnx.NodeProto
    """The reference's node."""
    tensor: str
    computed: Difference
    """The layer's output, as the layer computes it."""
    rounded: Difference | None = None
    """The same as later layers read it, where a pair of QuantizeLinear and DequantizeLinear follows."""
    swapped: Difference | None = None
    """The output against the reference's with its three channels in the other order; None for other numbers of them."""
    lowest: float = math.inf
    highest: float = -math.inf
    """The reference's values."""

    @property
    def seen(self) -> Difference:
        """The values that later layers read."""
        return self.rounded or self.computed


def layer_errors(
    reference: onnx.ModelProto, judged: onnx.ModelProto, frames: Sequence[Frame], track: Track = silent
) -> list[LayerError]:
    """Measure every tensor that both graphs compute under one name.

    ONNX Runtime executes both on the CPU, node by node: what a fused INT8 kernel saturates is not seen.

    Args:
        reference: A contract graph, float32.
        judged: A contract graph of the same network, in any precision.
        frames: uint8 [H,W,3] RGB at the network's size; at least one.
        track: Draws the progress.

    Returns:
        The layers in the reference's order.
    """
    given = {output for node in judged.graph.node for output in node.output}
    rounded = _rounded(judged)
    layers = [
        LayerError(node, node.output[0], _no_difference(node))
        for node in reference.graph.node
        if node.output[0] in given
    ]
    chunks = [layers[start : start + SHOWN_AT_ONCE] for start in range(0, len(layers), SHOWN_AT_ONCE)]
    for chunk in track(chunks, "comparing layers", len(chunks)):
        names = [layer.tensor for layer in chunk]
        pairs = zip(
            _values(reference, names, frames),
            _values(judged, [*names, *(rounded[name] for name in names if name in rounded)], frames),
            strict=True,
        )
        for exact, found in pairs:
            for layer in chunk:
                _add(layer, exact[layer.tensor], found[layer.tensor], found.get(rounded.get(layer.tensor, "")))
    return [layer for layer in layers if layer.computed.count]


def _no_difference(node: onnx.NodeProto) -> Difference:
    return Difference(least_power=MARKED_POWER if node.op_type in PROBABILITIES else 0.0)


def _add(
    layer: LayerError, exact: NDArray[np.generic], found: NDArray[np.generic], rounded: NDArray[np.generic] | None
) -> None:
    if not np.issubdtype(exact.dtype, np.floating) or exact.shape != found.shape or not exact.size:
        return
    x, y = exact.astype(np.float64), found.astype(np.float64)
    layer.lowest, layer.highest = min(layer.lowest, float(x.min())), max(layer.highest, float(x.max()))
    layer.computed.add(x, y)
    if rounded is not None:
        layer.rounded = layer.rounded or _no_difference(layer.node)
        layer.rounded.add(x, rounded.astype(np.float64))
    axis = next((axis for axis in (1, 3) if x.ndim == 4 and x.shape[axis] == 3), None)
    if axis is not None:
        layer.swapped = layer.swapped or Difference()
        layer.swapped.add(np.flip(x, axis), y)


def _rounded(proto: onnx.ModelProto) -> dict[str, str]:
    """Tensor -> the tensor that holds its values after QuantizeLinear and DequantizeLinear."""
    readers = consumers_of(proto.graph)
    found: dict[str, str] = {}
    for node in proto.graph.node:
        if node.op_type == "QuantizeLinear":
            pairs = [reader for reader in readers.get(node.output[0], ()) if reader.op_type == "DequantizeLinear"]
            if pairs:
                found.setdefault(node.input[0], pairs[0].output[0])
    return found


def _values(
    proto: onnx.ModelProto, names: Sequence[str], frames: Sequence[Frame]
) -> Iterator[Mapping[str, NDArray[np.generic]]]:
    """The values of the named tensors, frame by frame."""
    shown = copy_of(proto)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = cpu_session(shown)
    for frame in frames:
        yield dict(zip(names, session.run(None, {INPUT_NAME: frame[np.newaxis]}), strict=True))
