"""Q/DQ graphs: INT8 activations per tensor, weights symmetric per channel, bias float."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.artifacts import CalibrationTable, PrecisionPlan, Range
from edgeseg.calibration.placement import activations, assign, conv_outputs, default_plan
from edgeseg.calibration.placement_rules import (
    RESIDUAL_INPUTS,
    SHARED_CONCATENATIONS,
    adds_tensors,
    shared_ranges,
)
from edgeseg.calibration.qdq_style import QdqStyle
from edgeseg.calibration.table_check import check_ranges, check_table, refuse_quantised
from edgeseg.calibration.weight_levels import multiplies_pairs, weight_levels
from edgeseg.graph.cleanup import attribute
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.graph.weights import copy_of

LOPSIDED = 0.75
"""A range that takes up less than this share of the symmetric one around it is lopsided."""
LEVELS = 255


@dataclass(frozen=True)
class QuantisedGraph:
    """A Q/DQ graph with float32 data, and what was quantised in it."""

    proto: onnx.ModelProto
    quantised: tuple[str, ...]
    """Names of the Conv nodes whose input and weight are quantised, in order."""
    vanishing: tuple[str, ...]
    """Names of those that should have been, but whose activation scale vanishes in the scale's type."""
    ranges: Mapping[str, Range]
    """The ranges of the table, with the magnitudes that the style lets tensors share."""


def quantise(
    artifact: OnnxArtifact, table: CalibrationTable, style: QdqStyle, plan: PrecisionPlan | None = None
) -> QuantisedGraph:
    """Insert Q/DQ pairs before the convolutions that a plan gives to INT8, and on their weights.

    A convolution whose activation scale would fall below the smallest normal number of the scale's type stays float.
    A weight channel that small takes that smallest scale; its values still round to nearest, at most 2^-15 away.

    Args:
        artifact: The network, float32.
        table: Its ranges.
        style: What the backend wants.
        plan: Which convolutions; None takes the default plan.

    Raises:
        MismatchError: The table belongs to other weights.
        BadInputError: The network is quantised already, a tensor is missing from the table, its method is not known
            here, or the plan does not fit the network.
    """
    refuse_quantised(artifact)
    check_table(artifact, table)
    check_ranges(artifact, table, activations(artifact.proto))
    assigned = assign(artifact.proto, plan or default_plan(artifact.proto, "int8"))
    wanted = [name for name, precision in assigned.items() if precision == "int8"]
    dead = _too_small(artifact.proto, table, style)
    chosen = tuple(name for name in wanted if name not in dead)
    vanishing = tuple(name for name in wanted if name in dead)
    rewriter = _Rewriter(artifact.proto, table, style, chosen)
    return QuantisedGraph(rewriter.run(), chosen, vanishing, rewriter.ranges)


def quantise_weight(
    weight: NDArray[np.float32], style: QdqStyle, groups: int = 1
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a convolution's weight per output channel.

    Args:
        weight: float32 [O,I/groups,kH,kW].
        style: Decides the smallest scale, how scales are rounded, and what pairs of weights may add up to.
        groups: The convolution's groups.

    Returns:
        int8 of the same shape in -127..127, and float32 [O] scales, representable in the style's type.
    """
    limit = style.pair_limit if multiplies_pairs(weight.shape, groups) else None

    def round_scale(scale: NDArray[np.float64]) -> NDArray[np.float64]:
        return scale.astype(style.scale_dtype).astype(np.float64)

    levels, scale = weight_levels(weight, style.smallest_scale, round_scale, limit)
    return levels, scale.astype(np.float32)


@dataclass(frozen=True)
class Quantisation:
    """The affine map of one tensor: real = scale * (level - zero)."""

    scale: float
    zero: NDArray[np.int8] | NDArray[np.uint8]
    """Scalar; its type is the type of the levels."""


def activation_quantisation(observed: Range, style: QdqStyle) -> Quantisation:
    """How a tensor of this range is quantised: symmetric around zero, or with all levels where the style has it so."""
    if not style.uint8_activations:
        return Quantisation(observed.amax / 127.0, np.asarray(0, np.int8))
    if observed.minimum >= 0:
        return Quantisation(observed.amax / 255.0, np.asarray(0, np.uint8))
    if style.asymmetric and is_lopsided(observed):
        low, high = _ends(observed)
        scale = (high - low) / LEVELS
        return Quantisation(scale, np.asarray(round(-low / scale), np.uint8))
    return Quantisation(observed.amax / 127.0, np.asarray(128, np.uint8))


def is_lopsided(observed: Range) -> bool:
    """Tell whether a tensor with negative values lies so much on one side of zero that levels would lie idle."""
    low, high = _ends(observed)
    return observed.minimum < 0 and high - low < LOPSIDED * 2 * observed.amax


def _ends(observed: Range) -> tuple[float, float]:
    """The smallest and the largest value that get a level of their own; zero lies between them."""
    return max(observed.minimum, -observed.amax), min(max(observed.maximum, 0.0), observed.amax)


class _Rewriter:
    """One pass over the nodes; a tensor gets one Q/DQ pair however many nodes read it."""

    def __init__(
        self, proto: onnx.ModelProto, table: CalibrationTable, style: QdqStyle, chosen: tuple[str, ...]
    ) -> None:
        self.proto, self.style, self.chosen = copy_of(proto), style, set(chosen)
        self.inputs = {node.input[0] for node in proto.graph.node if node.name in self.chosen}
        shares = SHARED_CONCATENATIONS in style.rules
        self.ranges: Mapping[str, Range] = table.ranges
        if shares:
            self.ranges = shared_ranges(proto, table.ranges, self.inputs)
        self.bias_shifts = (table.bias_shifts or {}) if style.corrects_biases else {}
        self.weights = {tensor.name: tensor for tensor in self.proto.graph.initializer}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.done: dict[str, str] = {}
        self.parameters: dict[str, tuple[str, str]] = {}
        self.copies: dict[str, str] = {}
        """Tensor -> the quantised tensor whose values, and no others, it holds."""

    def run(self) -> onnx.ModelProto:
        outputs, whole = self._whole_tensors() if self.style.whole_tensors else (set(), set())
        for node in self.proto.graph.node:
            chosen = node.name in self.chosen
            # A float convolution is spared the rounding of an input that is quantised only for its other readers.
            seen = outputs if node.op_type in CONVOLUTIONS else whole
            if RESIDUAL_INPUTS in self.style.rules and adds_tensors(node, self.weights):
                seen = whole | self.inputs
            if whole and _copies_values(node) and node.input[0] in whole and node.output[0] not in whole:
                self.copies[node.output[0]] = self.copies.get(node.input[0], node.input[0])
                outputs.add(node.output[0])
                whole.add(node.output[0])
            for index, name in enumerate(node.input):
                if name in seen or (chosen and index == 0):
                    for_float = node.op_type in CONVOLUTIONS and not chosen and node.input[1] in self.weights
                    node.input[index] = self._per_channel(name, node) if for_float else self._activation(name)
            if chosen:
                node.input[1] = self._weight(node.input[1], int(str(attribute(node, "group", 1))))
                if node.name in self.bias_shifts:
                    node.input[2] = self._bias(node.input[2], node.name)
            self.nodes.append(node)
        used = {name for node in self.nodes for name in node.input}
        constants = [*(tensor for name, tensor in self.weights.items() if name in used), *self.constants]
        graph = self.proto.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(constants)
        return self.proto

    def _whole_tensors(self) -> tuple[set[str], set[str]]:
        """Outputs of the chosen convolutions; these and their inputs; as far as their scales do not vanish."""
        given = conv_outputs(self.proto)
        outputs = {given[name] for name in self.chosen}
        there = {name for name in outputs | self.inputs if not _vanishes(self.ranges[name], self.style)}
        return outputs & there, there

    def _activation(self, name: str) -> str:
        if name not in self.done:
            inputs = [f"{name}.quantised", *self._quantised(name)]
            self.done[name] = self._node("DequantizeLinear", inputs, f"{name}.dequantised")
        return self.done[name]

    def _quantised(self, name: str) -> tuple[str, str]:
        """Quantise a tensor, once; gives the names of its scale and zero point."""
        if name not in self.parameters:
            if name in self.copies:
                self.parameters[name] = f"{self.copies[name]}.scale", f"{self.copies[name]}.zero"
            else:
                chosen = activation_quantisation(self.ranges[name], self.style)
                scale = np.asarray(chosen.scale, self.style.scale_dtype).astype(np.float32)
                self.parameters[name] = self._constants(name, scale, chosen.zero)
            self._node("QuantizeLinear", [name, *self.parameters[name]], f"{name}.quantised")
        return self.parameters[name]

    def _per_channel(self, name: str, reader: onnx.NodeProto) -> str:
        """Dequantise for a float convolution, with the tensor's one scale written once a channel.

        ONNX Runtime quantises the weights of any convolution that reads a tensor with a scalar scale and gives one that
        is quantised, per tensor at that (WeightBiasQuantization: onnxruntime 22969, 25673), so that it would not be
        float at all.
        """
        given = f"{name}.per_channel"
        if given not in self.done:
            self._quantised(name)
            chosen = activation_quantisation(self.ranges[self.copies.get(name, name)], self.style)
            weight, groups = self.weights[reader.input[1]].dims, int(str(attribute(reader, "group", 1)))
            channels = weight[0] if reader.op_type == "ConvTranspose" else weight[1] * groups
            scale = np.full(channels, chosen.scale, self.style.scale_dtype).astype(np.float32)
            parameters = self._constants(given, scale, np.full(channels, chosen.zero))
            self.done[given] = self._node("DequantizeLinear", [f"{name}.quantised", *parameters], given, axis=1)
        return self.done[given]

    def _weight(self, name: str, groups: int) -> str:
        if name in self.done:
            return self.done[name]
        levels, scale = quantise_weight(onnx.numpy_helper.to_array(self.weights[name]), self.style, groups)
        self.constants.append(onnx.numpy_helper.from_array(levels, f"{name}.quantised"))
        parameters = self._constants(name, scale, np.zeros(len(scale), np.int8))
        self.done[name] = self._node(
            "DequantizeLinear", [f"{name}.quantised", *parameters], f"{name}.dequantised", axis=0
        )
        return self.done[name]

    def _bias(self, name: str, convolution: str) -> str:
        shift = np.asarray(self.bias_shifts[convolution], np.float32)
        shifted, corrected = onnx.numpy_helper.to_array(self.weights[name]) + shift, f"{convolution}.corrected_bias"
        self.constants.append(onnx.numpy_helper.from_array(shifted, corrected))
        return corrected

    def _constants(self, name: str, scale: NDArray[Any], zero: NDArray[Any]) -> tuple[str, str]:
        self.constants.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
        self.constants.append(onnx.numpy_helper.from_array(zero, f"{name}.zero"))
        return f"{name}.scale", f"{name}.zero"

    def _node(self, operator: str, inputs: list[str], output: str, axis: int | None = None) -> str:
        self.nodes.append(onnx.helper.make_node(operator, inputs, [output], name=f"{output}.{operator}", axis=axis))
        return output


def _copies_values(node: onnx.NodeProto) -> bool:
    """Tell whether a node's output only holds values of its input, so that their levels need no rounding."""
    return node.op_type == "Resize" and attribute(node, "mode", "nearest") in ("nearest", b"nearest")


def _too_small(proto: onnx.ModelProto, table: CalibrationTable, style: QdqStyle) -> set[str]:
    """Convolutions whose input is so small (or always zero) that its scale would vanish."""
    return {
        node.name
        for node in proto.graph.node
        if node.op_type == "Conv" and _vanishes(table.ranges[node.input[0]], style)
    }


def _vanishes(observed: Range, style: QdqStyle) -> bool:
    return activation_quantisation(observed, style).scale < style.smallest_scale
