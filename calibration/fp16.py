"""Rewrite a float32 graph so that its convolutions work on FP16 data."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import onnx

from edgeseg.graph.operators import CONVOLUTIONS, QUANTISERS
from edgeseg.graph.weights import copy_of, to_fp16

FLOAT32_INPUTS = {"Resize": (1, 2)}
"""Inputs that the ONNX specification keeps float32 whatever the data are (roi and scales of Resize)."""


def with_fp16_convolutions(proto: onnx.ModelProto, float32: Collection[str] = ()) -> onnx.ModelProto:
    """Make everything from the first to the last convolution FP16; normalisation and sigmoid stay float32.

    The result is strongly typed: every tensor's type follows from the graph, Casts stand where the types change. Q/DQ
    pairs inside take FP16 scales, so that DequantizeLinear gives FP16. What lies between convolutions takes the type of
    its data, float32 where the types meet, so that an addition behind a float32 convolution does not round.

    Args:
        proto: float32 data throughout; QuantizeLinear/DequantizeLinear pairs may stand in it.
        float32: Names of convolutions that work on float32 data.
    """
    copy = copy_of(proto)
    half = _half_nodes(copy.graph)
    half -= _float32_nodes(copy.graph, half, float32)
    half_outputs = {name for index in half for name in copy.graph.node[index].output}
    int_outputs = {n.output[0] for n in copy.graph.node if n.op_type == "QuantizeLinear"}
    weights = {t.name: t for t in copy.graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    casts = _Casts()
    nodes: list[onnx.NodeProto] = []
    for index, node in enumerate(copy.graph.node):
        keep = FLOAT32_INPUTS.get(node.op_type, ())
        for position, name in enumerate(node.input):
            if not name or position in keep or name in int_outputs:
                continue
            if index in half and name in weights:
                node.input[position] = casts.weight(weights[name])
            elif index in half and name not in half_outputs and _is_data(copy.graph, name):
                node.input[position] = casts.value(name, onnx.TensorProto.FLOAT16, nodes)
            elif index not in half and name in half_outputs:
                node.input[position] = casts.value(name, onnx.TensorProto.FLOAT, nodes)
        nodes.append(node)
    return _rebuilt(copy, nodes, casts.weights.values())


class _Casts:
    """The Casts and rounded weights made so far, one each however often it is used."""

    def __init__(self) -> None:
        self.weights: dict[str, onnx.TensorProto] = {}
        self._values: dict[tuple[str, int], str] = {}

    def weight(self, tensor: onnx.TensorProto) -> str:
        name = f"{tensor.name}.half"
        if name not in self.weights:
            values = to_fp16(onnx.numpy_helper.to_array(tensor), tensor.name)
            self.weights[name] = onnx.numpy_helper.from_array(values, name)
        return name

    def value(self, name: str, kind: int, nodes: list[onnx.NodeProto]) -> str:
        if (name, kind) not in self._values:
            suffix = "half" if kind == onnx.TensorProto.FLOAT16 else "float"
            self._values[name, kind] = f"{name}.{suffix}"
            nodes.append(
                onnx.helper.make_node("Cast", [name], [f"{name}.{suffix}"], name=f"{name}.to_{suffix}", to=kind)
            )
        return self._values[name, kind]


def _half_nodes(graph: onnx.GraphProto) -> set[int]:
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


def _is_data(graph: onnx.GraphProto, name: str) -> bool:
    """Tell whether a tensor is computed (and float) rather than an integer constant."""
    return all(tensor.name != name for tensor in graph.initializer)


def _rebuilt(
    copy: onnx.ModelProto, nodes: list[onnx.NodeProto], new_weights: Iterable[onnx.TensorProto]
) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    weights = [*(t for t in copy.graph.initializer if t.name in used), *new_weights]
    del copy.graph.node[:], copy.graph.initializer[:], copy.graph.value_info[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(weights)
    return copy
