"""The mask rule of `edgeseg.frames.mask_from_probability` as an ONNX graph."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgeseg.export.serving.graph_parts import GraphParts
from edgeseg.export.serving.resize_graph import FRAME_SIZE
from edgeseg.frames import THRESHOLD
from edgeseg.specs import OUTPUT_NAME, Crop, ModelMetadata

MASK = "mask"


def mask_graph(metadata: ModelMetadata) -> onnx.ModelProto:
    """Make the step that decides every pixel of the frame.

    Args:
        metadata: The network's size, classes and crop.

    Returns:
        Inputs `probability`, float32 [N,C,h,w], and `frame_size`, int64 [N,2]: H and W, the same for all N. Output
        `mask`, uint8 [N,H,W]: 255 where the one class is, else 0; with several classes the index of the largest.
        Outside a crop it is 0.
    """
    model, parts = metadata.model, GraphParts()
    height, width = (
        parts.node("Gather", parts.node("Gather", FRAME_SIZE, parts.constant(np.array(0, np.int64))), index)
        for index in (parts.constant(np.array(axis, np.int64)) for axis in (0, 1))
    )
    crop = metadata.preprocess.crop
    rows, columns = (
        (height, width)
        if crop is None
        else (parts.constant(np.array(side, np.int64)) for side in (crop.height, crop.width))
    )
    scaled = _scaled(parts, rows, columns)
    inside = _decided(parts, scaled, model.channels)
    if crop is None:
        parts.node("Identity", inside, name=MASK)
    else:
        _surround(parts, inside, crop)
    return parts.graph(
        "mask",
        [
            helper.make_tensor_value_info(
                OUTPUT_NAME, TensorProto.FLOAT, ["N", model.channels, model.height, model.width]
            ),
            helper.make_tensor_value_info(FRAME_SIZE, TensorProto.INT64, ["N", 2]),
        ],
        [helper.make_tensor_value_info(MASK, TensorProto.UINT8, ["N", "H", "W"])],
    )


def _scaled(parts: GraphParts, height: str, width: str) -> str:
    """Bilinear with half-pixel centres."""
    outer = parts.node("Shape", OUTPUT_NAME, end=2)
    sides = [parts.node("Unsqueeze", side, parts.integers(0)) for side in (height, width)]
    sizes = parts.node("Concat", outer, *sides, axis=0)
    return parts.node("Resize", OUTPUT_NAME, "", "", sizes, mode="linear")


def _decided(parts: GraphParts, scaled: str, channels: int) -> str:
    if channels > 1:
        return parts.cast(parts.node("ArgMax", scaled, axis=1, keepdims=0), TensorProto.UINT8)
    plane = parts.node("Squeeze", scaled, parts.integers(1))
    marked = parts.node("GreaterOrEqual", plane, parts.constant(np.array(THRESHOLD, np.float32)))
    return parts.node("Mul", parts.cast(marked, TensorProto.UINT8), parts.constant(np.array(255, np.uint8)))


def _surround(parts: GraphParts, inside: str, crop: Crop) -> None:
    """Put the mask of a crop into a mask of the frame's size."""
    before = parts.integers(0, crop.top, crop.left)
    size = parts.node(
        "Squeeze", parts.node("Slice", FRAME_SIZE, parts.integers(0), parts.integers(1)), parts.integers(0)
    )
    rest = parts.node("Sub", size, parts.integers(crop.top + crop.height, crop.left + crop.width))
    pads = parts.node("Concat", before, parts.integers(0), rest, axis=0)
    parts.node("Pad", inside, pads, parts.constant(np.array(0, np.uint8)), name=MASK)
