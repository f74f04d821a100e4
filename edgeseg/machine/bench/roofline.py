"""The roofline: how long a network's convolutions take at least on given peaks (Williams, Waterman, Patterson 2009).

Pure arithmetic. Everything between two convolutions is taken as fused: it costs nothing here, so the bound stays one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeseg.artifacts import Precision
from edgeseg.graph.cost import ConvolutionCost
from edgeseg.machine.bench.bench_report import LayerBound, Limit, Peaks, Roofline

MS_PER_S = 1e3
ELEMENT_BYTES: dict[Precision, int] = {"fp32": 4, "fp16": 2, "int8": 1}


def layer_bound(cost: ConvolutionCost, peaks: Peaks) -> LayerBound:
    """The longer of computing one convolution and moving its input, weights and output once."""
    element = ELEMENT_BYTES[cost.precision]
    moved = element * (cost.input_values + cost.weight_values + cost.output_values)
    operations = 2 * cost.multiply_adds
    compute_ms = MS_PER_S * operations / peaks.operations_per_second[cost.precision]
    memory_ms = MS_PER_S * moved / peaks.bytes_per_second
    return LayerBound(
        name=cost.name,
        precision=cost.precision,
        operations=operations,
        memory_bytes=moved,
        bound_ms=max(compute_ms, memory_ms),
        limit="compute" if compute_ms >= memory_ms else "memory",
    )


def roofline_of(costs: Sequence[ConvolutionCost], picture_bytes: int, peaks: Peaks, infer_p50_ms: float) -> Roofline:
    """The bound of a whole network and how close a measured inference comes to it.

    Args:
        costs: The cost of every convolution; at least one.
        picture_bytes: The network's input and output, which cross memory whatever an engine keeps on the chip.
        peaks: The hardware's peaks, for every precision among `costs`.
        infer_p50_ms: The measured inference.
    """
    layers = tuple(layer_bound(cost, peaks) for cost in costs)
    weights = sum(ELEMENT_BYTES[cost.precision] * cost.weight_values for cost in costs)
    moved = sum(layer.memory_bytes for layer in layers)
    compute_ms = sum(MS_PER_S * 2 * c.multiply_adds / peaks.operations_per_second[c.precision] for c in costs)
    bound_ms = sum(layer.bound_ms for layer in layers)
    bound_by_memory = sum(layer.bound_ms for layer in layers if layer.limit == "memory")
    limit: Limit = "memory" if bound_by_memory > bound_ms / 2 else "compute"
    return Roofline(
        peaks=peaks,
        operations=sum(layer.operations for layer in layers),
        weight_bytes=weights,
        activation_bytes=moved - weights,
        bound_ms=bound_ms,
        compute_ms=compute_ms,
        memory_ms=MS_PER_S * moved / peaks.bytes_per_second,
        floor_ms=max(compute_ms, MS_PER_S * (weights + picture_bytes) / peaks.bytes_per_second),
        limit=limit,
        infer_p50_ms=infer_p50_ms,
        achieved=bound_ms / infer_p50_ms,
        layers=layers,
    )


def at_precision(costs: Sequence[ConvolutionCost], precision: Precision) -> tuple[ConvolutionCost, ...]:
    """The same convolutions, all in one precision: a bound for an engine that does not show what runs in which."""
    return tuple(replace(cost, precision=precision) for cost in costs)
