"""Write operators that the contract's operator set does not have yet by those that it has."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from numpy.typing import NDArray

from edgeseg.graph.cleanup import attribute
from edgeseg.graph.weights import copy_of

RANK = 4
NEWER_THAN = 20
"""GroupNormalization takes a scale for each group up to this opset, and for each channel after it."""
PLAIN_ATTENTION = {"is_causal": 0, "softcap": 0.0, "qk_matmul_output_mode": 0}
"""Attributes of Attention that must be as the standard has them by default, and those values."""
UNMASKED = 3
"""Inputs of Attention without a mask: query, key, value."""
Shapes = dict[str, list[int]]


class _Rewriting:
    """The nodes that stand for one node, and the constants that they bring.

    Args:
        node: What they stand for; their names begin with its output's.
    """

    def __init__(self, node: onnx.NodeProto) -> None:
        self._node = node
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants.append(onnx.numpy_helper.from_array(values, f"{self._node.output[0]}.{name}"))
        return self.constants[-1].name

    def add(self, operator: str, inputs: list[str], name: str | None = None, **attributes: Any) -> str:
        """Add a node; without a name it gives the result."""
        output = self._node.output[0] if name is None else f"{self._node.output[0]}.{name}"
        self.nodes.append(onnx.helper.make_node(operator, inputs, [output], name=f"{output}/{operator}", **attributes))
        return output


def without_newer_operators(proto: onnx.ModelProto, opset: int, wanted: int) -> onnx.ModelProto:
    """Replace operators of opset `opset` that opset `wanted` lacks.

    GroupNormalization becomes InstanceNormalization over groups, as PyTorch writes it for older operator sets, and a
    plain Attention its two products; others become the function that ONNX defines for them.

    Args:
        proto: Static shapes, standard operators.
        opset: The graph's.
        wanted: An older one.
    """
    if opset <= NEWER_THAN:
        return proto
    rewritten = _rewritten(proto)
    names = {node.op_type for node in rewritten.graph.node}
    newer = sorted(name for name in names if not onnx.defs.has(name, wanted, "") and onnx.defs.has(name, opset, ""))
    known = "inline_schema_functions" in inspect.signature(onnx.inliner.inline_selected_functions).parameters
    if not newer or not known:
        return rewritten
    typed = onnx.shape_inference.infer_shapes(_with_defaults(rewritten, newer, opset))
    for tensor in typed.graph.initializer:  # the inliner looks for every type among these
        kind = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        typed.graph.value_info.append(kind)
    inlined: onnx.ModelProto = onnx.inliner.inline_selected_functions(
        typed, [("", name) for name in newer], inline_schema_functions=True
    )
    del inlined.graph.value_info[:]
    return inlined


def _rewritten(proto: onnx.ModelProto) -> onnx.ModelProto:
    graph = onnx.shape_inference.infer_shapes(proto).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    rules: dict[str, Callable[[_Rewriting, onnx.NodeProto, Shapes], bool]] = {
        "GroupNormalization": _group_norm,
        "Attention": _attention,
        "Swish": _swish,
    }
    copy = copy_of(proto)
    nodes: list[onnx.NodeProto] = []
    for node in copy.graph.node:
        made, rule = _Rewriting(node), rules.get(node.op_type)
        if rule is not None and rule(made, node, shapes):
            nodes += made.nodes
            copy.graph.initializer.extend(made.constants)
        else:
            nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _group_norm(made: _Rewriting, node: onnx.NodeProto, shapes: Shapes) -> bool:
    shape = shapes.get(node.input[0], [])
    if len(shape) != RANK or math.prod(shape) <= 0:
        return False
    groups, epsilon = int(str(attribute(node, "num_groups"))), float(str(attribute(node, "epsilon", 1e-5)))
    ones, zeros = (made.constant(name, np.full(groups, v, np.float32)) for name, v in (("ones", 1), ("zeros", 0)))
    split = made.constant("split", np.asarray([shape[0], groups, -1], np.int64))
    whole = made.constant("whole", np.asarray(shape, np.int64))
    planes = made.constant("planes", np.asarray([shape[1], 1, 1], np.int64))
    grouped = made.add("Reshape", [node.input[0], split], "groups")
    normal = made.add("InstanceNormalization", [grouped, ones, zeros], "normal", epsilon=epsilon)
    joined = made.add("Reshape", [normal, whole], "joined")
    scale, shift = (made.add("Reshape", [node.input[at], planes], name) for at, name in ((1, "scale"), (2, "shift")))
    made.add("Add", [made.add("Mul", [joined, scale], "scaled"), shift])
    return True


def _attention(made: _Rewriting, node: onnx.NodeProto, shapes: Shapes) -> bool:
    """softmax(scale Q K^T) V over [N,heads,length,size], with one key head for each query head."""
    query, key = (shapes.get(name, []) for name in node.input[:2])
    plain = all(attribute(node, name, value) == value for name, value in PLAIN_ATTENTION.items())
    if not plain or any(node.output[1:]) or any(node.input[UNMASKED:]) or len(query) != RANK or len(key) != RANK:
        return False
    if query[1] != key[1] or query[-1] <= 0:
        return False
    scale = float(str(attribute(node, "scale", 1 / math.sqrt(query[-1]))))
    factor = made.constant("factor", np.asarray(scale, np.float32))
    scaled = made.add("Mul", [node.input[0], factor], "scaled")
    turned = made.add("Transpose", [node.input[1]], "turned", perm=[0, 1, 3, 2])
    weights = made.add("Softmax", [made.add("MatMul", [scaled, turned], "products")], "weights", axis=-1)
    made.add("MatMul", [weights, node.input[2]])
    return True


def _swish(made: _Rewriting, node: onnx.NodeProto, shapes: Shapes) -> bool:
    """Write x sigmoid(alpha x), as PyTorch writes SiLU for older operator sets."""
    alpha = float(str(attribute(node, "alpha", 1.0)))
    source = node.input[0]
    if alpha != 1:
        source = made.add("Mul", [source, made.constant("alpha", np.asarray(alpha, np.float32))], "steeper")
    made.add("Mul", [node.input[0], made.add("Sigmoid", [source], "gate")])
    return True


def _with_defaults(proto: onnx.ModelProto, operators: Collection[str], opset: int) -> onnx.ModelProto:
    """Write down the attributes that nodes leave to their defaults: the inliner does not know these."""
    copy = copy_of(proto)
    for node in copy.graph.node:
        if node.op_type in operators:
            there = {entry.name for entry in node.attribute}
            wanted = onnx.defs.get_schema(node.op_type, opset, "").attributes
            usual = (item.default_value for name, item in wanted.items() if name not in there)
            node.attribute.extend(entry for entry in usual if entry.type != onnx.AttributeProto.UNDEFINED)
    return copy
