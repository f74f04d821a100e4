"""The last nodes of a foreign network, which pick classes, squash logits or reorder axes."""

from __future__ import annotations

from typing import Literal

import onnx

from edgeseg.graph.cleanup import attribute, element_types
from edgeseg.graph.weights import copy_of

KEEPS_VALUES = frozenset({"Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Flatten", "Dropout"})
"""Operators that move values and change none (a Cast of class indices included)."""
SMOOTH = KEEPS_VALUES | {"Resize", "Clip", "Slice"}
"""Operators that leave a probability one."""
SQUASHES = frozenset({"Sigmoid", "HardSigmoid", "Softmax"})


def without_argmax(proto: onnx.ModelProto) -> onnx.ModelProto | None:
    """Give what a final ArgMax compares instead of the index that it chooses; None where there is no such ArgMax.

    A Softmax right before it changes no index; its logits are given.

    Args:
        proto: One output, which may pass Casts, Squeezes and the like behind the ArgMax.
    """
    producers = {name: node for node in proto.graph.node for name in node.output}
    node = _last_of(proto, KEEPS_VALUES, producers)
    if node is None or node.op_type != "ArgMax":
        return None
    source = node.input[0]
    before = producers.get(source)
    if before is not None and before.op_type == "Softmax":
        source = before.input[0]
    return with_output(proto, source)


def with_output(proto: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """A copy that gives the tensor `name`, of whatever shape, and nothing else."""
    kind = element_types(proto).get(name, onnx.TensorProto.FLOAT)
    copy = copy_of(proto)
    del copy.graph.output[:]
    copy.graph.output.append(onnx.helper.make_tensor_value_info(name, kind, None))
    return copy


def output_meaning(proto: onnx.ModelProto) -> Literal["logits", "probability"]:
    """Tell whether the network itself squashes its one output into 0..1."""
    producers = {name: node for node in proto.graph.node for name in node.output}
    node = _last_of(proto, SMOOTH, producers)
    return "probability" if node is not None and node.op_type in SQUASHES else "logits"


def without_double_transposes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Let two Transposes that undo each other pass the values on."""
    copy = copy_of(proto)
    producers = {name: node for node in copy.graph.node for name in node.output}
    outputs = {value.name for value in copy.graph.output}
    renamed: dict[str, str] = {}
    for node in copy.graph.node:
        before = producers.get(node.input[0]) if node.op_type == "Transpose" else None
        if before is None or before.op_type != "Transpose" or node.output[0] in outputs:
            continue
        first, second = attribute(before, "perm"), attribute(node, "perm")
        if not isinstance(first, list) or not isinstance(second, list) or len(first) != len(second):
            continue
        if [first[axis] for axis in second] == list(range(len(first))):
            renamed[node.output[0]] = before.input[0]
    for node in copy.graph.node:
        node.input[:] = [_resolved(name, renamed) for name in node.input]
    return copy


def _resolved(name: str, renamed: dict[str, str]) -> str:
    while name in renamed:
        name = renamed[name]
    return name


def _last_of(
    proto: onnx.ModelProto, passed: frozenset[str], producers: dict[str, onnx.NodeProto]
) -> onnx.NodeProto | None:
    """The node behind the output that is not one of `passed`."""
    node = producers.get(proto.graph.output[0].name)
    while node is not None and node.op_type in passed and node.input:
        node = producers.get(node.input[0])
    return node
