"""Which convolutions run in which precision, and the tensors that INT8 needs the ranges of."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

import onnx

from edgeseg.artifacts import Precision, PrecisionPlan, matches
from edgeseg.calibration.placement_rules import float_convolutions
from edgeseg.errors import BadInputError
from edgeseg.graph.operators import CONVOLUTIONS

_SHOWN = 5


def default_plan(
    proto: onnx.ModelProto, precision: Precision, beside_int8: Precision = "fp16", backend: str = ""
) -> PrecisionPlan:
    """One precision throughout; for INT8 without the convolutions that are better left float.

    The convolutions that see the picture and those that make the logits are cheap and cost most accuracy; a graph of
    two networks has two of each.
    ConvTranspose stays float (known to be slow or wrong in INT8 on TensorRT: NVIDIA/TensorRT issues 2280, 1694, 1699),
    and so does a convolution whose weights are computed, and what a rule of the backend leaves float
    (`edgeseg.calibration.placement_rules`).

    Args:
        proto: A float32 graph with named nodes.
        precision: The engine's precision.
        beside_int8: What the float convolutions of an INT8 engine take.
        backend: The backend whose rules are followed; an empty name follows none.
    """
    if precision != "int8":
        return PrecisionPlan(default=precision)
    nodes = convolutions(proto)
    ends = _outermost(proto) | _outermost(proto, from_outputs=True)
    constant = {tensor.name for tensor in proto.graph.initializer}
    ruled = float_convolutions(proto, backend)
    kept = [node.name for node in nodes if node.name in ends or node.name in ruled or not _can_be_int8(node, constant)]
    return PrecisionPlan(default="int8", layers=dict.fromkeys(kept, beside_int8))


def assign(proto: onnx.ModelProto, plan: PrecisionPlan) -> dict[str, Precision]:
    """Every convolution of a graph, in order, and its precision under a plan.

    Raises:
        BadInputError: A name or pattern that means no convolution, or INT8 for one that cannot be quantised.
    """
    nodes = convolutions(proto)
    names = [node.name for node in nodes]
    _check_names(names, plan)
    assigned = {name: plan.precision_of(name) for name in names}
    constant = {tensor.name for tensor in proto.graph.initializer}
    refused = [node for node in nodes if assigned[node.name] == "int8" and not _can_be_int8(node, constant)]
    if refused:
        raise BadInputError(
            "the precision plan asks for INT8 in convolutions that cannot run in it",
            found=_few([f"{node.name} ({node.op_type})" for node in refused]),
            expected="fp16 or fp32 for ConvTranspose, and for convolutions whose weights are computed",
            next_command="edgeseg build-engine MODEL --precision int8 --write-plan FILE",
        )
    return assigned


def lowest(assigned: dict[str, Precision]) -> Precision:
    """The precision that an engine is called by."""
    found = set(assigned.values())
    return "int8" if "int8" in found else "fp16" if "fp16" in found else "fp32"


def float32_names(assigned: Mapping[str, Precision]) -> list[str]:
    """The convolutions that stay float32."""
    return [name for name, precision in assigned.items() if precision == "fp32"]


def convolutions(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The convolutions of a graph, transposed ones included, in order."""
    return [node for node in proto.graph.node if node.op_type in CONVOLUTIONS]


def activations(proto: onnx.ModelProto) -> tuple[str, ...]:
    """The tensors that a calibration must look at, each named once: every convolution's input, and its output."""
    outputs = conv_outputs(proto)
    names: list[str] = []
    for node in proto.graph.node:
        if node.op_type == "Conv":
            names += [node.input[0], outputs[node.name]]
    return tuple(dict.fromkeys(names))


def conv_outputs(proto: onnx.ModelProto) -> dict[str, str]:
    """Convolution name -> the tensor that it gives, after the ReLU or Clip that alone takes it where there is one."""
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    outputs = {}
    for node in proto.graph.node:
        if node.op_type == "Conv":
            users = consumers.get(node.output[0], [])
            follower = users[0] if len(users) == 1 and users[0].op_type in ("Relu", "Clip") else node
            outputs[node.name] = follower.output[0]
    return outputs


def _outermost(proto: onnx.ModelProto, from_outputs: bool = False) -> set[str]:
    """The convolutions without another one on any way from the inputs to them, or from them to the outputs."""
    beyond: set[str] = set()  # tensors on the far side of a convolution
    found = set()
    for node in reversed(proto.graph.node) if from_outputs else proto.graph.node:
        near, far = (node.output, node.input) if from_outputs else (node.input, node.output)
        inner = not beyond.isdisjoint(near)
        is_convolution = node.op_type in CONVOLUTIONS
        if is_convolution and not inner:
            found.add(node.name)
        if is_convolution or inner:
            beyond.update(filter(None, far))  # an empty name is an input or output left out
    return found


def _can_be_int8(node: onnx.NodeProto, constant: set[str]) -> bool:
    return node.op_type == "Conv" and node.input[1] in constant


def _check_names(names: list[str], plan: PrecisionPlan) -> None:
    unknown = [pattern for pattern in plan.layers if not any(matches(pattern, name) for name in names)]
    if not unknown:
        return
    near = get_close_matches(unknown[0], names, n=_SHOWN, cutoff=0.0)
    raise BadInputError(
        "the precision plan names convolutions that the network does not have",
        found=_few(unknown),
        expected=f"names such as {', '.join(near)}" if near else "a network with convolutions",
        next_command="edgeseg build-engine MODEL --precision int8 --write-plan FILE lists every name",
    )


def _few(words: list[str]) -> str:
    return ", ".join(words[:_SHOWN]) + (f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else "")
