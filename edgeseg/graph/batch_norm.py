"""Fold BatchNormalization into the convolution before it."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.graph.cleanup import attribute, consumers_of
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.graph.weights import copy_of

DEFAULT_EPSILON = 1e-5


def with_folded_batch_norm(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Scale each convolution's weight and bias so that the BatchNormalization after it can go.

    With k = scale / sqrt(variance + epsilon): weight' = k weight per output channel, bias' = k (bias - mean) + shift.
    Computed in float64 and rounded to float32 once. A batch norm stays where its convolution has another reader,
    weights that are no constants, or where the node is in training mode.

    Args:
        proto: float32 weights as initialisers.
    """
    copy = copy_of(proto)
    graph = copy.graph
    weights = _Weights(graph)
    consumers = consumers_of(graph)
    outputs = {value.name for value in graph.output}
    producers = {node.output[0]: node for node in graph.node}
    kept = []
    for node in graph.node:
        conv = producers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        alone = conv is not None and len(consumers[node.input[0]]) == 1 and node.input[0] not in outputs
        if conv is None or not alone or not _can_fold(conv, node, weights.tensors):
            kept.append(node)
            continue
        _fold(conv, node, weights)
        conv.output[0] = node.output[0]
        producers[node.output[0]] = conv
    used = {name for node in kept for name in node.input}
    return _rebuilt(copy, kept, [tensor for name, tensor in weights.tensors.items() if name in used])


class _Weights:
    """The constants of a graph by name; one that several nodes read is never changed."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._readers = {name: len(nodes) for name, nodes in consumers_of(graph).items()}

    def values(self, name: str) -> NDArray[np.float64]:
        return onnx.numpy_helper.to_array(self.tensors[name]).astype(np.float64)

    def fresh(self, name: str) -> str:
        while name in self.tensors:
            name += ".folded"
        return name

    def put(self, name: str, values: NDArray[np.float64]) -> str:
        """Store values under this name, or one like it where the name is shared; give the name."""
        if self._readers.get(name) != 1:
            name = self.fresh(name)
        self.tensors[name] = onnx.numpy_helper.from_array(values.astype(np.float32), name)
        self._readers[name] = 1
        return name


def _can_fold(conv: onnx.NodeProto, norm: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    names = [*conv.input[1:], *norm.input[1:]]
    floats = all(n in constants and constants[n].data_type == onnx.TensorProto.FLOAT for n in names if n)
    one_output = not any(norm.output[1:])
    return conv.op_type in CONVOLUTIONS and floats and one_output and not attribute(norm, "training_mode", 0)


def _fold(conv: onnx.NodeProto, norm: onnx.NodeProto, weights: _Weights) -> None:
    scale, shift, mean, variance = (weights.values(name) for name in norm.input[1:5])
    factor = scale / np.sqrt(variance + float(str(attribute(norm, "epsilon", DEFAULT_EPSILON))))
    name = conv.input[1]
    biased = len(conv.input) > 2 and bool(conv.input[2])
    bias = weights.values(conv.input[2]) if biased else np.zeros_like(factor)
    bias_name = conv.input[2] if biased else weights.fresh(f"{name.removesuffix('.weight')}.bias")
    conv.input[1:] = [
        weights.put(name, _scaled(weights.values(name), factor, conv)),
        weights.put(bias_name, factor * (bias - mean) + shift),
    ]


def _scaled(weight: NDArray[np.float64], factor: NDArray[np.float64], conv: onnx.NodeProto) -> NDArray[np.float64]:
    """Conv keeps output channels first, [O,I/g,...]; ConvTranspose [I,O/g,...], its groups along the first axis."""
    space = (1,) * (weight.ndim - 2)
    if conv.op_type == "Conv":
        return weight * factor.reshape(-1, 1, *space)
    groups = int(str(attribute(conv, "group", 1)))
    split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    scaled: NDArray[np.float64] = (split * factor.reshape(groups, 1, -1, *space)).reshape(weight.shape)
    return scaled


def _rebuilt(copy: onnx.ModelProto, nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto]) -> onnx.ModelProto:
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del copy.graph.node[:], copy.graph.initializer[:], copy.graph.value_info[:]
    copy.graph.node.extend(kept)
    copy.graph.initializer.extend(tensors)
    return copy
