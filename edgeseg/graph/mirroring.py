"""Let a graph answer for each picture and for its mirror image, and give the mean."""

from __future__ import annotations

import numpy as np
import onnx

from edgeseg.errors import BadInputError
from edgeseg.graph.weights import copy_of
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME

BATCH, MEAN = "mirroring.batch", "mirroring.mean"
"""Names of the node that puts the mirror images behind the pictures, and of the one that gives the mean."""
WIDTH_OF_FRAMES, WIDTH_OF_LOGITS = 2, 3
"""Axes: [N,H,W,3] and [N,C,H,W]."""
BEYOND_THE_FIRST = int(np.iinfo(np.int64).min)
"""The end of a Slice that goes backwards and takes the first element, too."""


def with_mirroring(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A graph whose logits are the mean of a picture's and of its mirror image's, turned back.

    Everything between sees a batch of 2N: the weights are there once. Nothing is renamed, so that what was measured on
    the graph by the names of its tensors (calibration ranges) holds for this one.

    Args:
        proto: A contract graph; a Cast is the first to read its frames.

    Raises:
        BadInputError: The graph has another form.
    """
    copy = copy_of(proto)
    graph = copy.graph
    readers = [node for node in graph.node if INPUT_NAME in node.input]
    last = next((node for node in graph.node if OUTPUT_NAME in node.output), None)
    if [node.op_type for node in readers] != ["Cast"] or last is None or last.op_type not in ("Sigmoid", "Softmax"):
        raise BadInputError(
            "this graph cannot be given mirror images",
            found=f"{', '.join(node.op_type for node in readers)} read {INPUT_NAME}, "
            f"{'no node' if last is None else last.op_type} gives {OUTPUT_NAME}",
            expected="a Cast, and a Sigmoid or a Softmax",
        )
    frames, logits = readers[0].output[0], last.input[0]
    for node in graph.node:
        node.input[:] = [f"{BATCH}.out" if name == frames else name for name in node.input]
    last.input[0] = f"{MEAN}.out"
    before = [
        *_reversed("mirroring.frames", frames, WIDTH_OF_FRAMES, graph),
        onnx.helper.make_node("Concat", [frames, "mirroring.frames.out"], [f"{BATCH}.out"], name=BATCH, axis=0),
    ]
    halves = ["mirroring.direct", "mirroring.mirrored"]
    behind = [
        onnx.helper.make_node("Split", [logits], halves, name="mirroring.split", axis=0, num_outputs=2),
        *_reversed("mirroring.back", halves[1], WIDTH_OF_LOGITS, graph),
        onnx.helper.make_node("Add", [halves[0], "mirroring.back.out"], ["mirroring.sum"], name="mirroring.add"),
        onnx.helper.make_node("Mul", ["mirroring.sum", "mirroring.half"], [f"{MEAN}.out"], name=MEAN),
    ]
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([0.5], np.float32), "mirroring.half"))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    del graph.node[:]
    for node in nodes:
        graph.node.extend([*behind, node] if OUTPUT_NAME in node.output else [node])
        if frames in node.output:
            graph.node.extend(before)
    return copy


def has_mirroring(proto: onnx.ModelProto) -> bool:
    """True if the graph came through `with_mirroring`."""
    return any(node.name == BATCH for node in proto.graph.node)


def _reversed(name: str, tensor: str, axis: int, graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """A node that turns a tensor around along an axis; its constants go into the graph."""
    constants = {"starts": -1, "ends": BEYOND_THE_FIRST, "axes": axis, "steps": -1}
    for kind, value in constants.items():
        graph.initializer.append(onnx.numpy_helper.from_array(np.array([value], np.int64), f"{name}.{kind}"))
    inputs = [tensor, *(f"{name}.{kind}" for kind in constants)]
    return [onnx.helper.make_node("Slice", inputs, [f"{name}.out"], name=name)]
