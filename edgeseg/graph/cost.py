"""Counts a network's cost: parameters, multiply-adds, and what each convolution reads and writes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from edgeseg.artifacts import Precision
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.graph.weights import copy_of


def parameter_count(proto: onnx.ModelProto) -> int:
    """Values in float weights; of a graph with float32 weights, scales of Q/DQ not counted."""
    return sum(
        math.prod(tensor.dims)
        for tensor in proto.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 0
    )


@dataclass(frozen=True)
class ConvolutionCost:
    """One convolution for one frame, in numbers of values."""

    name: str
    precision: Precision
    """INT8 where both operands come through DequantizeLinear, else the type of the data."""
    multiply_adds: int
    input_values: int
    weight_values: int
    output_values: int


def convolution_costs(proto: onnx.ModelProto) -> tuple[ConvolutionCost, ...]:
    """Every convolution in the graph's order, for one frame.

    A convolution does (output values) x (weight values of one output channel) multiply-adds; a transposed one (input
    values) x (weight values of one input channel).

    Args:
        proto: float32, FP16 or Q/DQ; static but for the batch.
    """
    graph = onnx.shape_inference.infer_shapes(_with_batch_of_one(proto)).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    halves = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16}
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    costs = []
    for node in graph.node:
        if node.op_type in CONVOLUTIONS:
            data, weight, result = (shapes[name] for name in (*node.input[:2], node.output[0]))
            int8 = dequantised.issuperset(node.input[:2])
            each = math.prod(result if node.op_type == "Conv" else data)
            costs.append(
                ConvolutionCost(
                    name=node.name or node.output[0],
                    precision="int8" if int8 else "fp16" if node.input[0] in halves else "fp32",
                    multiply_adds=each * math.prod(weight[1:]),
                    input_values=math.prod(data),
                    weight_values=math.prod(weight),
                    output_values=math.prod(result),
                )
            )
    return tuple(costs)


def multiply_adds(proto: onnx.ModelProto) -> int:
    """Multiply-adds of all convolutions for one frame."""
    return sum(cost.multiply_adds for cost in convolution_costs(proto))


def _with_batch_of_one(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = copy_of(proto)
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    return copy
