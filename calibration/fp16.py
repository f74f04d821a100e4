"""Rewrite a float32 graph so that its convolutions work on FP16 data."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import onnx

from edgeseg.calibration.fp16_types import LARGEST_FP16, gives_fp16, takes_fp16, with_fp16_result
from edgeseg.graph.cleanup import element_types
from edgeseg.graph.operators import CONVOLUTIONS, QUANTISERS
from edgeseg.graph.opset import opset_of
from edgeseg.graph.weights import copy_of, to_fp16

FLOAT, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
BOUNDS = {"Clip": (1, 2)}
"""Inputs that only bound the data: one beyond FP16's range bounds nothing there, and becomes FP16's largest number."""


def with_fp16_convolutions(
    proto: onnx.ModelProto, float32: Collection[str] = (), kept: Collection[str] = ()
) -> onnx.ModelProto:
    """Make everything from the first to the last convolution FP16; normalisation and sigmoid stay float32.

    The result is strongly typed: every tensor's type follows from the graph, Casts stand where the types change. Q/DQ
    pairs inside take FP16 scales, so that DequantizeLinear gives FP16. What lies between convolutions takes the type of
    its data, float32 where the types meet, so that an addition behind a float32 convolution does not round. Conditions,
    indices and shapes keep their types, and so does what ONNX does not define on FP16.

    Args:
        proto: float32 data throughout; QuantizeLinear/DequantizeLinear pairs may stand in it.
        float32: Names of convolutions that work on float32 data.
        kept: Nodes of any kind that work on float32 data, as `layer_name` calls them.
    """
    copy = copy_of(proto)
    graph, opset, types = copy.graph, opset_of(copy), element_types(copy)
    half = half_nodes(copy)
    half -= _float32_nodes(graph, half, float32)
    half -= touching(graph, half, _wide_constants(graph))
    half -= {index for index in half if layer_name(graph.node[index]) in kept}
    half_outputs = {name for i in half for name in graph.node[i].output if types.get(name, FLOAT) == FLOAT}
    weights = {t.name: t for t in graph.initializer if t.data_type == FLOAT}
    others = {t.name for t in graph.initializer} - set(weights)
    casts = _Casts()
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(graph.node):
        for position, name in enumerate(node.input):
            if not name or name in others or types.get(name, FLOAT) != FLOAT:
                continue
            as_half = index in half and takes_fp16(node.op_type, opset, position)
            if as_half and name in weights:
                bound = position in BOUNDS.get(node.op_type, ())
                node.input[position] = casts.weight(weights[name], bound)
            elif as_half and name not in half_outputs:
                node.input[position] = casts.value(name, FLOAT16, nodes)
            elif not as_half and name in half_outputs:
                node.input[position] = casts.value(name, FLOAT, nodes)
        nodes.append(with_fp16_result(node) if index in half and half_outputs & set(node.output) else node)
    return _rebuilt(copy, nodes, casts.weights.values())


def half_nodes(proto: onnx.ModelProto) -> set[int]:
    """Indices of the nodes that can be FP16: between the first and the last convolution, or constant-fed for those."""
    graph, opset, types = proto.graph, opset_of(proto), element_types(proto)
    outputs = {value.name for value in graph.output}
    found = set()
    for index in _between(graph):
        node = graph.node[index]
        floats = [at for at, name in enumerate(node.output) if name and types.get(name, FLOAT) == FLOAT]
        if not outputs & set(node.output) and all(gives_fp16(node.op_type, opset, at) for at in floats):
            found.add(index)
    return found


def layer_name(node: onnx.NodeProto) -> str:
    """A node's name, or its first output's where it has none."""
    return str(node.name or node.output[0])


def touching(graph: onnx.GraphProto, half: Iterable[int], wide: Collection[str]) -> set[int]:
    """The nodes among `half` that read or write a tensor of `wide`."""
    return {
        index
        for index in half
        if any(
            name in wide and position not in BOUNDS.get(graph.node[index].op_type, ())
            for position, name in enumerate(graph.node[index].input)
        )
        or any(name in wide for name in graph.node[index].output)
    }


class _Casts:
    """The Casts and rounded weights made so far, one each however often it is used."""

    def __init__(self) -> None:
        self.weights: dict[str, onnx.TensorProto] = {}
        self._values: dict[tuple[str, int], str] = {}

    def weight(self, tensor: onnx.TensorProto, bound: bool = False) -> str:
        name = f"{tensor.name}.half"
        if name not in self.weights:
            values = onnx.numpy_helper.to_array(tensor)
            values = np.clip(values, -LARGEST_FP16, LARGEST_FP16) if bound else values
            finite = np.where(np.isinf(values), 0, values)
            rounded = np.where(np.isinf(values), values, to_fp16(finite, tensor.name)).astype(np.float16)
            self.weights[name] = onnx.numpy_helper.from_array(rounded, name)
        return name

    def value(self, name: str, kind: int, nodes: list[onnx.NodeProto]) -> str:
        if (name, kind) not in self._values:
            suffix = "half" if kind == FLOAT16 else "float"
            self._values[name, kind] = f"{name}.{suffix}"
            nodes.append(
                onnx.helper.make_node("Cast", [name], [f"{name}.{suffix}"], name=f"{name}.to_{suffix}", to=kind)
            )
        return self._values[name, kind]


def _between(graph: onnx.GraphProto) -> set[int]:
    """Indices of the nodes between the first and the last convolution, and of the constant-fed ones that serve them."""
    after: set[str] = set()
    downstream: set[int] = set()
    for index, node in enumerate(graph.node):
        if node.op_type in CONVOLUTIONS or any(name in after for name in node.input):
            downstream.add(index)
            after.update(node.output)
    needed: set[str] = set()
    upstream: set[int] = set()
    for index in range(len(graph.node) - 1, -1, -1):
        node = graph.node[index]
        if node.op_type in CONVOLUTIONS or any(name in needed for name in node.output):
            upstream.add(index)
            needed.update(node.input)
    constants = {tensor.name for tensor in graph.initializer}
    between = downstream & upstream
    wanted = {name for index in between for name in graph.node[index].input}
    for index, node in enumerate(graph.node):
        dequantises = node.op_type == "DequantizeLinear" and node.output[0] in wanted
        if dequantises and (node.input[0] in constants or index in upstream):
            between.add(index)
    return between | _quantisers_of(graph, between)


def _float32_nodes(graph: onnx.GraphProto, half: set[int], float32: Collection[str]) -> set[int]:
    """The nodes among `half` that stay float32: the convolutions named, and what follows them up to the next one."""
    wide: set[str] = set()
    found = set()
    for index in sorted(half):
        node = graph.node[index]
        if node.op_type in QUANTISERS:
            continue  # the scale decides their type
        follows = node.op_type not in CONVOLUTIONS and any(name in wide for name in node.input)
        if follows or (node.op_type in CONVOLUTIONS and node.name in float32):
            found.add(index)
            wide.update(node.output)
    return found


def _quantisers_of(graph: onnx.GraphProto, half: set[int]) -> set[int]:
    """QuantizeLinear nodes whose result a half node dequantises: they must take the same scale."""
    dequantised = {graph.node[index].input[0] for index in half if graph.node[index].op_type == "DequantizeLinear"}
    return {
        index
        for index, node in enumerate(graph.node)
        if node.op_type == "QuantizeLinear" and node.output[0] in dequantised
    }


def _wide_constants(graph: onnx.GraphProto) -> set[str]:
    """Weights and other constants with a finite value beyond FP16's range."""
    found = set()
    for tensor in graph.initializer:
        if tensor.data_type == FLOAT:
            values = onnx.numpy_helper.to_array(tensor)
            finite = values[np.isfinite(values)]
            if finite.size and float(np.abs(finite).max()) > LARGEST_FP16:
                found.add(tensor.name)
    return found


def _rebuilt(
    copy: onnx.ModelProto, nodes: list[onnx.NodeProto], new_weights: Iterable[onnx.TensorProto]
) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    weights = [*(t for t in copy.graph.initializer if t.name in used), *new_weights]
    del copy.graph.node[:], copy.graph.initializer[:], copy.graph.value_info[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(weights)
    return copy
