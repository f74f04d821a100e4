"""What a network costs: parameters and multiply-adds."""

from __future__ import annotations

import math

import onnx

from edgeseg.graph.precision import CONVOLUTIONS
from edgeseg.graph.weights import copy_of


def parameter_count(proto: onnx.ModelProto) -> int:
    """Values in float weights; of a graph with float32 weights, scales of Q/DQ not counted."""
    return sum(
        math.prod(tensor.dims)
        for tensor in proto.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 0
    )


def multiply_adds(proto: onnx.ModelProto) -> int:
    """Multiply-adds of all convolutions for one frame.

    A convolution does (output values) x (weight values of one output channel); a transposed one (input values) x
    (weight values of one input channel).
    """
    inferred = onnx.shape_inference.infer_shapes(_with_batch_of_one(proto), data_prop=True)
    graph = inferred.graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type in CONVOLUTIONS:
            data = node.output[0] if node.op_type == "Conv" else node.input[0]
            total += math.prod(shapes[data]) * math.prod(weights[node.input[1]][1:])
    return total


def _with_batch_of_one(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = copy_of(proto)
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return copy
