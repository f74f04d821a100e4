"""The rules of where TensorRT wants quantisation, each with its reason and its source.

A rule is kept if it takes kernels, conversions or copies out of a plan that TensorRT-RTX builds, or fuses more into
its convolutions. `python -m benchmarks.qdq_placement` counts; docs/how-to/tensorrt-placement.md has the counts, those
of the rules that were not kept among them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import onnx

from edgeseg.artifacts import Range
from edgeseg.graph.cleanup import attribute

GROUP_STEP = 4
"""The channels of a group are padded to a multiple of this for an INT8 convolution."""


@dataclass(frozen=True)
class PlacementRule:
    """One rule of where Q/DQ pairs stand, or of which convolutions have none."""

    name: str
    what: str
    """The rule itself, as a clause that starts with its subject."""
    reason: str
    source: str
    """Who says so: documentation, an issue, or another quantiser's rule."""
    backends: tuple[str, ...]
    """The backends whose engines it holds for."""


RESIDUAL_INPUTS = PlacementRule(
    name="residual inputs",
    what="an addition reads the dequantised tensor where an INT8 convolution reads the same one",
    reason="else the tensor is kept twice, in INT8 for the convolution and in FP16 for the addition; the other input, "
    "which a convolution gives to the addition alone, stays float, so that the two can be one kernel",
    source="NVIDIA/TensorRT issue 1992; Model-Optimizer, build_non_residual_input_map and pull request 425",
    backends=("tensorrt", "tensorrt-rtx"),
)
SHARED_CONCATENATIONS = PlacementRule(
    name="shared concatenations",
    what="a quantised concatenation and those of its inputs that are quantised for other convolutions share a scale",
    reason="TensorRT quantises in front of a concatenation, so that an input of another scale is quantised twice",
    source="Model-Optimizer, get_concat_eliminated_tensors; NVIDIA/TensorRT issue 3861",
    backends=("tensorrt", "tensorrt-rtx"),
)
PADDED_GROUPS = PlacementRule(
    name="padded groups",
    what=f"a convolution whose groups have no multiple of {GROUP_STEP} channels, such as a depthwise one, stays float",
    reason=f"INT8 pads each group to {GROUP_STEP} channels, so that a depthwise convolution reads four times as much, "
    "and its bias and activation are kernels of their own, which FP16 fuses into it",
    source="IConvolutionLayer::setNbGroups in TensorRT's API; NVIDIA/TensorRT issue 4529",
    backends=("tensorrt", "tensorrt-rtx"),
)
ONE_PIXEL = PlacementRule(
    name="one pixel",
    what="a convolution of maps of one pixel, as in squeeze-and-excitation, stays float",
    reason="it is a product of a matrix and a vector, which no tensor core computes, and it costs a kernel to quantise",
    source="Model-Optimizer, find_nodes_from_matmul_to_exclude",
    backends=("tensorrt", "tensorrt-rtx"),
)
RULES = (RESIDUAL_INPUTS, SHARED_CONCATENATIONS, PADDED_GROUPS, ONE_PIXEL)


def float_convolutions(proto: onnx.ModelProto, backend: str) -> dict[str, PlacementRule]:
    """The convolutions that a backend's rules leave float, and the rule of each.

    Args:
        proto: A float32 graph with named nodes.
        backend: A backend's name; one that no rule names leaves none float.
    """
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    single = _of_one_pixel(proto) if backend in ONE_PIXEL.backends else set()
    found: dict[str, PlacementRule] = {}
    for node in proto.graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants:
            continue
        grouped = int(str(attribute(node, "group", 1))) > 1
        if backend in PADDED_GROUPS.backends and grouped and constants[node.input[1]].dims[1] % GROUP_STEP:
            found[node.name] = PADDED_GROUPS
        elif node.input[0] in single:
            found[node.name] = ONE_PIXEL
    return found


def shared_ranges(
    proto: onnx.ModelProto, ranges: Mapping[str, Range], quantised: Collection[str]
) -> Mapping[str, Range]:
    """Ranges in which each quantised concatenation has one magnitude with its quantised inputs, the largest of them.

    Args:
        proto: A float32 graph.
        ranges: The ranges that were measured.
        quantised: The tensors that INT8 convolutions read.
    """
    shared = dict(ranges)
    for group in scale_groups(proto, quantised):
        largest = max(ranges[name].amax for name in group)
        shared.update({name: ranges[name].model_copy(update={"amax": largest}) for name in group})
    return shared


def scale_groups(proto: onnx.ModelProto, quantised: Collection[str]) -> list[set[str]]:
    """The quantised concatenations with their quantised inputs; those that have a tensor in common are one group."""
    groups: list[set[str]] = []
    for node in proto.graph.node:
        if node.op_type == "Concat" and node.output[0] in quantised:
            names = {name for name in (node.output[0], *node.input) if name in quantised}
            joined = [group for group in groups if group & names]
            groups = [*(group for group in groups if not group & names), names.union(*joined)]
    return groups


def adds_tensors(node: onnx.NodeProto, constants: Collection[str]) -> bool:
    """Tell whether a node adds two tensors that the network computes."""
    return node.op_type == "Add" and not any(name in constants for name in node.input)


def _of_one_pixel(proto: onnx.ModelProto) -> set[str]:
    """The tensors [N,C,1,1], as far as inference tells."""
    found = set()
    for value in onnx.shape_inference.infer_shapes(proto).graph.value_info:
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(sizes) == 4 and sizes[2:] == [1, 1]:
            found.add(value.name)
    return found
