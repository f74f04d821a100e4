"""Counts the kernels of a plan that TensorRT-RTX built."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from edgeseg.export.layers.layer_report import Layer, LayerTensor
from edgeseg.export.layers.plan_text import CONVOLUTIONS as CONVOLUTION_TYPES
from edgeseg.export.layers.plan_text import plan_layers
from edgeseg.graph.cleanup import attribute
from edgeseg.graph.operators import CONVOLUTIONS, QUANTISERS

BYTES = {"int8": 1, "uint8": 1, "fp16": 2, "fp32": 4}
CONVERSIONS = {*QUANTISERS, "Cast"}


@dataclass(frozen=True)
class PlanCounts:
    """The kernels of a plan, counted by what they do."""

    layers: int
    int8: int
    """Convolutions that multiply INT8."""
    fused: int
    """Convolutions that compute another layer as well: an activation or an addition."""
    fused_additions: int
    """The fused convolutions that add."""
    conversions: int
    """Kernels that do nothing but quantise, dequantise, cast or copy."""
    padded: int
    """INT8 convolutions whose input has channels that the network does not have."""
    written_twice: int
    """Kernels that write maps of one size more than once: in two types, with two scales, or padded and not."""
    mebibytes: float
    """The activations of one frame that all kernels read and write."""


def counts_of(plan: bytes, proto: onnx.ModelProto) -> PlanCounts:
    """Count.

    Args:
        plan: A plan for a range of batches, built with detailed profiling.
        proto: The graph that it was built from.
    """
    layers, nodes = plan_layers(plan), {node.name: node for node in proto.graph.node}
    operators = {name: node.op_type for name, node in nodes.items()}
    computed = {id(layer): {operators[name] for name in layer.nodes if name in operators} for layer in layers}
    convolutions = [layer for layer in layers if layer.type in CONVOLUTION_TYPES]
    others = [layer for layer in layers if layer.type not in CONVOLUTION_TYPES]
    return PlanCounts(
        layers=len(layers),
        int8=sum(layer.precision == "int8" for layer in convolutions),
        fused=sum(bool(computed[id(layer)] - CONVOLUTIONS - CONVERSIONS) for layer in convolutions),
        fused_additions=sum("Add" in computed[id(layer)] for layer in convolutions),
        conversions=sum(computed[id(layer)] <= CONVERSIONS for layer in others),
        padded=sum(_is_padded(layer, nodes[layer.name], proto) for layer in convolutions if layer.precision == "int8"),
        written_twice=sum(_writes_twice(layer) for layer in others),
        mebibytes=sum(_bytes(tensor) for layer in layers for tensor in (*layer.inputs, *layer.outputs)) / 2**20,
    )


def _is_padded(layer: Layer, node: onnx.NodeProto, proto: onnx.ModelProto) -> bool:
    dequantised = next(other for other in proto.graph.node if node.input[1] in other.output)
    levels = next(tensor for tensor in proto.graph.initializer if tensor.name == dequantised.input[0])
    there = layer.inputs[0].shape[1]
    return isinstance(there, int) and there > levels.dims[1] * int(str(attribute(node, "group", 1)))


def _writes_twice(layer: Layer) -> bool:
    sizes = [tensor.shape[2:] for tensor in layer.outputs if len(tensor.shape) == 4]
    return len(sizes) > len(set(sizes))


def _bytes(tensor: LayerTensor) -> int:
    """The bytes of one frame; none for a tensor without a batch, which is a constant."""
    if not tensor.shape or tensor.shape[0] != "N":
        return 0
    return BYTES.get(tensor.dtype, 0) * math.prod(size for size in tensor.shape if isinstance(size, int))
