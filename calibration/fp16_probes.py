"""Adds nodes to a float32 graph that show what its layers compute inside: sums, variances, divisors.

The input and the output of a mean may be ordinary where its sum is not. In FP16 such a sum is infinite beyond 65,504,
and a variance or a divisor of a millionth loses its digits or becomes zero.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from edgeseg.graph.cleanup import attribute, element_types
from edgeseg.graph.weights import copy_of

NORMALISATIONS = frozenset({"InstanceNormalization", "GroupNormalization", "LayerNormalization"})
SUMS = {
    "ReduceSum": "ReduceL1",
    "ReduceMean": "ReduceL1",
    "ReduceL1": "ReduceL1",
    "ReduceSumSquare": "ReduceSumSquare",
    "ReduceL2": "ReduceSumSquare",
}
"""Reduction -> the one that gives what it adds up; partial sums may reach that of the magnitudes."""
EPSILON = 1e-5
"""ONNX's default."""
NOTHING = float(np.finfo(np.float32).max)
"""Stands for a value of exactly zero where the smallest magnitude is sought: float32 computes with that, too."""


@dataclass
class Probes:
    """A graph with its probes: tensors that no node of the network reads."""

    proto: onnx.ModelProto
    sums: dict[str, int] = field(default_factory=dict)
    """Probe -> index of the node inside which this is added up."""
    magnitudes: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Probe -> index of the node that divides by this, takes its root or its logarithm, and the tensor's name; the
    magnitudes of what is not zero."""

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"probe.{len(self.proto.graph.node)}"
        self.proto.graph.node.append(onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _constant(self, values: list[int] | float) -> str:
        name = f"probe.{len(self.proto.graph.node)}.{len(self.proto.graph.initializer)}"
        array = np.asarray(values, np.int64 if isinstance(values, list) else np.float32)
        self.proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        return name

    def _over(self, operator: str, data: str, axis: int) -> str:
        """A reduction over one axis, which stays."""
        return self._node(operator, data, self._constant([axis]), keepdims=1)

    def add_sums(self, index: int, node: onnx.NodeProto) -> None:
        """Probe what a node adds up, where it does."""
        for probe in self._added_up(node):
            self.sums[probe] = index

    def add_magnitudes(self, index: int, tensor: str, origin: str) -> None:
        """Probe how small a tensor becomes."""
        magnitude = self._node("Abs", tensor)
        there = self._node("Cast", magnitude, to=onnx.TensorProto.BOOL)
        self.magnitudes[self._node("Where", there, magnitude, self._constant(NOTHING))] = index, origin

    def add_variance(self, index: int, node: onnx.NodeProto) -> None:
        """Probe how small the variance of a normalisation becomes, epsilon included."""
        spread = self._spread(self._rows(node))
        variance = self._over("ReduceMean", self._node("Mul", spread, spread), 1)
        epsilon = float(str(attribute(node, "epsilon", EPSILON)))
        self.add_magnitudes(index, self._node("Add", variance, self._constant(epsilon)), node.input[0])

    def _added_up(self, node: onnx.NodeProto) -> list[str]:
        data = node.input[0] if node.input else ""
        if node.op_type in SUMS:
            keep_all = int(str(attribute(node, "noop_with_empty_axes", 0)))
            return [self._node(SUMS[node.op_type], *node.input, keepdims=1, noop_with_empty_axes=keep_all)]
        if node.op_type == "GlobalAveragePool":
            return [self._over("ReduceL1", self._node("Flatten", data, axis=2), 1)]
        if node.op_type == "AveragePool":
            return [self._window(node)]
        if node.op_type in ("Softmax", "LogSoftmax"):
            axis = int(str(attribute(node, "axis", -1)))
            below = self._node("Sub", data, self._over("ReduceMax", data, axis))
            return [self._over("ReduceSum", self._node("Exp", below), axis)]
        if node.op_type in NORMALISATIONS:
            rows = self._rows(node)
            return [self._over("ReduceL1", rows, 1), self._over("ReduceSumSquare", self._spread(rows), 1)]
        return []

    def _window(self, node: onnx.NodeProto) -> str:
        mean = onnx.NodeProto()
        mean.CopyFrom(node)
        mean.input[0] = self._node("Abs", node.input[0])
        mean.output[0] = mean.name = f"probe.{len(self.proto.graph.node)}"
        self.proto.graph.node.append(mean)
        sides = next(list(entry.ints) for entry in node.attribute if entry.name == "kernel_shape")
        return self._node("Mul", mean.output[0], self._constant(float(math.prod(sides))))

    def _rows(self, node: onnx.NodeProto) -> str:
        """The values of a normalisation as [rows, values]; each row has its own mean and variance."""
        data = node.input[0]
        if node.op_type == "LayerNormalization":
            return self._node("Flatten", data, axis=int(str(attribute(node, "axis", -1))))
        if node.op_type == "GroupNormalization":
            groups = int(str(attribute(node, "num_groups", 1)))
            data = self._node("Reshape", data, self._constant([0, groups, -1]))
        return self._node("Flatten", data, axis=2)

    def _spread(self, rows: str) -> str:
        return self._node("Sub", rows, self._over("ReduceMean", rows, 1))


def with_probes(proto: onnx.ModelProto, half: Collection[int]) -> Probes:
    """Probe the nodes that could be FP16.

    Args:
        proto: A float32 graph of opset 18 or later; it is copied.
        half: Indices of its nodes; see `edgeseg.calibration.fp16.half_nodes`.
    """
    probes, types = Probes(copy_of(proto)), element_types(proto)
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    for index in sorted(half):
        node = proto.graph.node[index]
        probes.add_sums(index, node)
        if node.op_type in NORMALISATIONS:
            probes.add_variance(index, node)
        tensor = _divisor(node, constants)
        if tensor is not None and types.get(tensor) == onnx.TensorProto.FLOAT:
            probes.add_magnitudes(index, tensor, tensor)
    return probes


def _divisor(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> str | None:
    """The computed input of a node whose small values matter as much as its large ones."""
    tensor = None
    if node.op_type == "Div":
        tensor = node.input[1]
    elif node.op_type in ("Reciprocal", "Sqrt", "Log"):
        tensor = node.input[0]
    elif node.op_type == "Pow" and node.input[1] in constants:
        exponents = onnx.numpy_helper.to_array(constants[node.input[1]])
        tensor = node.input[0] if exponents.size and exponents.min() < 1 else None
    return None if tensor in constants else tensor
