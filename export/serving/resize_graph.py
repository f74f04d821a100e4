"""The resize of `edgeseg.frames.resize_to_network` as an ONNX graph, in the same integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeseg.export.serving.graph_parts import GraphParts
from edgeseg.specs import Crop, ModelMetadata

FRAME = "frame"
NETWORK_INPUT = "network_input"
FRAME_SIZE = "frame_size"
WEIGHT_ONE = 2048.0
"""A weight of 1 in OpenCV's fixed point."""


def resize_graph(metadata: ModelMetadata) -> onnx.ModelProto:
    """Make the step that brings frames of any size to the network's.

    Args:
        metadata: The network's size and crop.

    Returns:
        Input `frame`, uint8 [N,H,W,3] RGB. Outputs `network_input`, uint8 [N,h,w,3], pixel for pixel that of
        `resize_to_network`, and `frame_size`, int64 [N,2]: H and W, which the mask needs. A frame that the network's
        crop does not lie inside makes the Reshape behind it fail.
    """
    model, parts = metadata.model, GraphParts()
    shape = parts.node("Shape", FRAME)
    batch = parts.node("Slice", shape, parts.integers(0), parts.integers(1))
    size = parts.node("Slice", shape, parts.integers(1), parts.integers(3))
    repeats = parts.node("Concat", batch, parts.integers(1), axis=0)
    parts.node("Tile", parts.node("Unsqueeze", size, parts.integers(0)), repeats, name=FRAME_SIZE)
    window = _cropped(parts, batch, metadata.preprocess.crop)
    planes = parts.node("Transpose", parts.cast(window, TensorProto.FLOAT), perm=[0, 3, 1, 2])
    level = _halved(parts, planes, model.height, model.width)
    pixels = parts.cast(_interpolated(parts, level, model.height, model.width), TensorProto.UINT8)
    parts.node("Transpose", pixels, name=NETWORK_INPUT, perm=[0, 2, 3, 1])
    return parts.graph(
        "resize",
        [helper.make_tensor_value_info(FRAME, TensorProto.UINT8, ["N", "H", "W", 3])],
        [
            helper.make_tensor_value_info(NETWORK_INPUT, TensorProto.UINT8, ["N", model.height, model.width, 3]),
            helper.make_tensor_value_info(FRAME_SIZE, TensorProto.INT64, ["N", 2]),
        ],
    )


def _cropped(parts: GraphParts, batch: str, crop: Crop | None) -> str:
    if crop is None:
        return FRAME
    starts, ends = parts.integers(crop.top, crop.left), parts.integers(crop.top + crop.height, crop.left + crop.width)
    window = parts.node("Slice", FRAME, starts, ends, parts.integers(1, 2))
    # Slice gives less, without a word, where the frame ends before the crop does; Reshape fails there.
    return parts.node(
        "Reshape", window, parts.node("Concat", batch, parts.integers(crop.height, crop.width, 3), axis=0)
    )


def _halved(parts: GraphParts, planes: str, height: int, width: int) -> str:
    """Means of 2x2, as long as the picture, float32 [N,3,H,W], is at least twice too large in both directions."""
    body = GraphParts()
    means = body.node("AveragePool", "larger", kernel_shape=[2, 2], strides=[2, 2])
    body.node("Floor", body.node("Add", means, body.constant(np.array(0.5, np.float32))), name="smaller")
    _tell_twice_too_large(body, "smaller", height, width, "again")
    info, picture = helper.make_tensor_value_info, ("N", 3, None, None)
    inputs = [
        info("iteration", TensorProto.INT64, []),
        info("before", TensorProto.BOOL, []),
        info("larger", TensorProto.FLOAT, picture),
    ]
    outputs = [info("again", TensorProto.BOOL, []), info("smaller", TensorProto.FLOAT, picture)]
    graph = helper.make_graph(body.nodes, "halve", inputs, outputs, list(body.constants.values()))
    _tell_twice_too_large(parts, planes, height, width, "at_first")
    return parts.node("Loop", "", "at_first", planes, body=graph)


def _tell_twice_too_large(parts: GraphParts, planes: str, height: int, width: int, name: str) -> None:
    """Give the bool scalar `name`."""
    size = parts.node("Shape", planes, start=2)
    both = parts.cast(parts.node("GreaterOrEqual", size, parts.integers(2 * height, 2 * width)), TensorProto.INT32)
    parts.node("Cast", parts.node("ReduceMin", both, keepdims=0), name=name, to=TensorProto.BOOL)


def _interpolated(parts: GraphParts, level: str, height: int, width: int) -> str:
    """Bilinear in OpenCV's fixed point: rows are cut to 1/128, each product is truncated, the sum is rounded."""
    rows, columns = (
        _taps(parts, parts.dimension(level, axis), parts.constant(np.array(size, np.int64)))
        for axis, size in ((2, height), (3, width))
    )
    one = parts.constant(np.array(WEIGHT_ONE, np.float32))
    right, below = (parts.node("Round", parts.node("Mul", each.weight, one)) for each in (columns, rows))
    left = parts.node("Sub", one, right)
    halves = []
    for row, weight in ((rows.near, parts.node("Sub", one, below)), (rows.far, below)):
        line = parts.node("Gather", level, row, axis=2)
        near, far = (parts.node("Gather", line, column, axis=3) for column in (columns.near, columns.far))
        across = parts.node("Add", parts.node("Mul", near, left), parts.node("Mul", far, right))
        cut = _shifted(parts, parts.cast(across, TensorProto.DOUBLE), 4)  # the next product has more bits than float32
        down = parts.node("Unsqueeze", parts.cast(weight, TensorProto.DOUBLE), parts.integers(1))
        halves.append(_shifted(parts, parts.node("Mul", cut, down), 16))
    both = parts.node("Add", parts.node("Add", *halves), parts.constant(np.array(2, np.float64)))
    return _shifted(parts, both, 2)


def _shifted(parts: GraphParts, value: str, bits: int) -> str:
    """An integer that is kept as a double, shifted right."""
    return parts.node("Floor", parts.node("Mul", value, parts.constant(np.array(2.0**-bits, np.float64))))


@dataclass(frozen=True)
class _Taps:
    """The two source pixels between which each target pixel of one axis lies."""

    near: str
    """int64 [target]: the index of the source pixel before it."""
    far: str
    """int64 [target]: the index of the one after it."""
    weight: str
    """float32 [target]: the weight of `far`, 0 to 1."""


def _taps(parts: GraphParts, source: str, target: str) -> _Taps:
    """Half-pixel centres along one axis, from sizes in pixels (int64 scalars), rounded as OpenCV rounds them."""
    zero, one = parts.constant(np.array(0, np.int64)), parts.constant(np.array(1, np.int64))
    half = parts.constant(np.array(0.5, np.float64))
    scale = parts.node("Div", parts.cast(source, TensorProto.DOUBLE), parts.cast(target, TensorProto.DOUBLE))
    pixel = parts.cast(parts.node("Range", zero, target, one), TensorProto.DOUBLE)
    centre = parts.node("Mul", parts.node("Add", pixel, half), scale)
    position = parts.cast(parts.node("Sub", centre, half), TensorProto.FLOAT)
    below = parts.node("Floor", position)
    index, last = parts.cast(below, TensorProto.INT64), parts.node("Sub", source, one)
    near, far = (
        parts.node("Min", parts.node("Max", each, zero), last) for each in (index, parts.node("Add", index, one))
    )
    return _Taps(near, far, parts.node("Sub", position, below))
