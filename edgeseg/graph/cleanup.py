"""Passes that take away what says nothing: constant nodes, identities, dropout, idle casts, dead nodes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.graph.weights import copy_of

CONSTANT_ATTRIBUTES = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
}
INPUTS_OF_DROPOUT = 3
"""Data, ratio, training_mode."""


def with_constants_as_initialisers(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Turn Constant nodes, and Casts of constants, into initialisers."""
    copy = copy_of(proto)
    graph = copy.graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    kept = []
    for node in graph.node:
        tensor = None if set(node.output) & outputs else _constant(node, known)
        if tensor is None:
            kept.append(node)
        else:
            known[tensor.name] = tensor
            graph.initializer.append(tensor)
    _replace_nodes(graph, kept)
    return copy


def without_pass_through(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Remove Identity, Dropout outside training, and Casts to the type that is there already.

    One that stands between the graph's input (or a constant) and the graph's output stays.
    """
    copy = copy_of(proto)
    graph = copy.graph
    types = element_types(copy)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    made = {name for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        source = renamed.get(node.input[0], node.input[0]) if node.input else ""
        if not _passes_through(node, types, constants, read):
            kept.append(node)
        elif node.output[0] not in outputs:
            renamed[node.output[0]] = source
        elif source in made and source not in outputs and source not in renamed:
            renamed[source] = node.output[0]
        else:
            kept.append(node)
    _replace_nodes(graph, kept)
    for node in graph.node:
        node.input[:] = [_resolved(name, renamed) for name in node.input]
        node.output[:] = [_resolved(name, renamed) for name in node.output]
    return copy


def without_unused(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Remove nodes and initialisers that no output needs, and shape notes."""
    copy = copy_of(proto)
    graph = copy.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed.update(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    _replace_nodes(graph, reversed(kept))
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(tensors)
    return copy


def element_types(proto: onnx.ModelProto) -> dict[str, int]:
    """Tensor name -> ONNX element type, as far as inference tells."""
    graph = onnx.shape_inference.infer_shapes(proto).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {tensor.name: tensor.data_type for tensor in graph.initializer} | {
        value.name: value.type.tensor_type.elem_type for value in values
    }


def consumers_of(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """Tensor name -> the nodes that read it, a node twice where it reads twice."""
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    return consumers


def attribute(node: onnx.NodeProto, name: str, default: object = None) -> object:
    """The value of a node's attribute."""
    for entry in node.attribute:
        if entry.name == name:
            value: object = onnx.helper.get_attribute_value(entry)
            return value
    return default


def _constant(node: onnx.NodeProto, known: dict[str, onnx.TensorProto]) -> onnx.TensorProto | None:
    if node.op_type == "Cast" and node.input[0] in known:
        kind = attribute(node, "to")
        values = onnx.numpy_helper.to_array(known[node.input[0]])
        return _as_type(values, kind, node.output[0]) if isinstance(kind, int) else None
    if node.op_type != "Constant" or len(node.attribute) != 1:
        return None
    entry = node.attribute[0]
    if entry.name == "value":
        tensor = onnx.TensorProto()
        tensor.CopyFrom(entry.t)
        tensor.name = node.output[0]
        return tensor
    dtype = CONSTANT_ATTRIBUTES.get(entry.name)
    if dtype is None:
        return None
    return onnx.numpy_helper.from_array(np.asarray(onnx.helper.get_attribute_value(entry), dtype), node.output[0])


def _as_type(values: NDArray[np.generic], kind: int, name: str) -> onnx.TensorProto | None:
    plain = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    if kind not in plain or values.dtype.kind not in "fiub":
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return onnx.numpy_helper.from_array(values.astype(onnx.helper.tensor_dtype_to_np_dtype(kind)), name)


def _passes_through(
    node: onnx.NodeProto, types: dict[str, int], constants: dict[str, onnx.TensorProto], read: set[str]
) -> bool:
    if node.op_type == "Identity":
        return True
    if node.op_type in ("Cast", "CastLike"):
        wanted = attribute(node, "to") if node.op_type == "Cast" else types.get(node.input[1])
        return bool(wanted) and types.get(node.input[0]) == wanted
    if node.op_type != "Dropout" or any(name in read for name in node.output[1:] if name):
        return False
    if len(node.input) < INPUTS_OF_DROPOUT or not node.input[2]:
        return True
    training = constants.get(node.input[2])
    return training is not None and not onnx.numpy_helper.to_array(training).any()


def _resolved(name: str, renamed: dict[str, str]) -> str:
    while name in renamed:
        name = renamed[name]
    return name


def _replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)
