"""Fold Pad into the convolution after it."""

from __future__ import annotations

import numpy as np
import onnx

from edgeseg.graph.cleanup import attribute, consumers_of
from edgeseg.graph.weights import copy_of

SPATIAL_RANK = 4


def with_folded_padding(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Let a Conv do the zero padding of height and width that a Pad before it alone does.

    Any other Pad stays: reflected, of other values, of channels, negative, computed, or read by several nodes.

    Args:
        proto: [N,C,H,W] data, pads as initialisers (opset 11 and later).
    """
    copy = copy_of(proto)
    graph = copy.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    consumers = consumers_of(graph)
    outputs = {value.name for value in graph.output}
    kept = []
    for node in graph.node:
        readers = consumers.get(node.output[0], []) if node.op_type == "Pad" else []
        pads = _zero_pads(node, constants) if len(readers) == 1 and node.output[0] not in outputs else None
        if pads is None or not _takes(readers[0], node.output[0]):
            kept.append(node)
            continue
        _add_pads(readers[0], pads)
        readers[0].input[0] = node.input[0]
        consumers.setdefault(node.input[0], []).append(readers[0])
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return copy


def _zero_pads(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> list[int] | None:
    """Top, left, bottom, right; None where it is more than zeros around a picture."""
    if attribute(node, "mode", b"constant") != b"constant" or len(node.input) < 2 or any(node.input[3:]):
        return None
    value = node.input[2] if len(node.input) > 2 else ""
    if value and (value not in constants or np.any(onnx.numpy_helper.to_array(constants[value]) != 0)):
        return None
    if node.input[1] not in constants:
        return None
    pads = onnx.numpy_helper.to_array(constants[node.input[1]]).tolist()
    if len(pads) != 2 * SPATIAL_RANK or min(pads) < 0 or any((pads[0], pads[1], pads[4], pads[5])):
        return None
    return [pads[2], pads[3], pads[6], pads[7]]


def _takes(node: onnx.NodeProto, name: str) -> bool:
    automatic = attribute(node, "auto_pad", b"NOTSET")
    return node.op_type == "Conv" and node.input[0] == name and automatic in (b"NOTSET", b"VALID", b"")


def _add_pads(conv: onnx.NodeProto, pads: list[int]) -> None:
    valid = attribute(conv, "auto_pad", b"NOTSET") == b"VALID"
    there = attribute(conv, "pads", [0] * 4)
    own = [0] * 4 if valid or not isinstance(there, list) else there
    kept = [entry for entry in conv.attribute if entry.name not in ("pads", "auto_pad")]
    del conv.attribute[:]
    conv.attribute.extend(kept)
    conv.attribute.append(onnx.helper.make_attribute("pads", [a + b for a, b in zip(own, pads, strict=True)]))
