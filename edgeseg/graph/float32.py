"""Turn a network of FP16 or double data into one of float32 data with the same weights."""

from __future__ import annotations

import numpy as np
import onnx

from edgeseg.graph.weights import copy_of

TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_datatype"})
HALF, FLOAT, DOUBLE = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE


def holds_fp16(proto: onnx.ModelProto) -> bool:
    """Tell whether any input, output, constant or cast is FP16."""
    graph = proto.graph
    return (
        any(value.type.tensor_type.elem_type == HALF for value in (*graph.input, *graph.output))
        or any(tensor.data_type == HALF for tensor in graph.initializer)
        or any(entry.name in TYPE_ATTRIBUTES and entry.i == HALF for node in graph.node for entry in node.attribute)
    )


def with_float32_data(proto: onnx.ModelProto, kind: int = HALF) -> onnx.ModelProto:
    """Make every tensor of a type float32: FP16 weights keep their values, arithmetic no longer rounds to FP16.

    Args:
        proto: A graph without subgraphs.
        kind: FP16, or double, whose weights round to float32.
    """
    copy = copy_of(proto)
    graph = copy.graph
    for tensor in graph.initializer:
        _replace(tensor, kind)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == kind:
            value.type.tensor_type.elem_type = FLOAT
    for node in graph.node:
        for entry in node.attribute:
            if entry.name in TYPE_ATTRIBUTES and entry.i == kind:
                entry.i = FLOAT
            if entry.HasField("t"):
                _replace(entry.t, kind)
    del graph.value_info[:]
    return copy


def _replace(tensor: onnx.TensorProto, kind: int) -> None:
    if tensor.data_type == kind:
        values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
