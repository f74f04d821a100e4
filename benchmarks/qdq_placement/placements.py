"""The ways to place Q/DQ pairs that are counted: each rule alone, all of them, and what was tried and not kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx

from benchmarks.qdq_placement.counted_networks import Network
from edgeseg.artifacts import Precision, PrecisionPlan
from edgeseg.calibration.placement import convolutions, default_plan
from edgeseg.calibration.placement_rules import RULES, PlacementRule, adds_tensors, float_convolutions
from edgeseg.calibration.qdq_style import TENSORRT_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.calibration.ranges import extremes
from edgeseg.export.builders.tensorrt_options import TENSORRT_RTX
from edgeseg.graph.cleanup import attribute

FEW_CHANNELS = 16
Rewrite = Callable[[Network, onnx.ModelProto], onnx.ModelProto]
PlanOf = Callable[[onnx.ModelProto], PrecisionPlan]


@dataclass(frozen=True)
class Placement:
    """One way to place Q/DQ pairs."""

    name: str
    rules: tuple[PlacementRule, ...] = ()
    plan_of: PlanOf | None = None
    """None takes what the rules leave float."""
    rewrite: Rewrite | None = None
    """A last change to the Q/DQ graph."""

    def plan(self, proto: onnx.ModelProto) -> PrecisionPlan:
        """The precision of each convolution."""
        return self.plan_of(proto) if self.plan_of else with_float(proto, self.rules)

    def graph(self, network: Network) -> onnx.ModelProto:
        """The Q/DQ graph with float32 data."""
        style = replace(TENSORRT_STYLE, rules=tuple(rule for rule in TENSORRT_STYLE.rules if rule in self.rules))
        proto = quantise(network.artifact, network.table, style, self.plan(network.artifact.proto)).proto
        return self.rewrite(network, proto) if self.rewrite else proto


def with_float(proto: onnx.ModelProto, rules: tuple[PlacementRule, ...]) -> PrecisionPlan:
    """The default plan with what some rules leave float on TensorRT-RTX."""
    found = float_convolutions(proto, TENSORRT_RTX.name).items()
    return _with_fp16(default_plan(proto, "int8"), [name for name, rule in found if rule in rules])


def with_few_channels_float(proto: onnx.ModelProto) -> PrecisionPlan:
    """Model-Optimizer's rule for the channels of ungrouped convolutions (find_nodes_from_convs_to_exclude)."""
    dims = {tensor.name: tensor.dims for tensor in proto.graph.initializer}
    few = []
    for node in convolutions(proto):
        channels = dims[node.input[1]][:2]
        in_eights = any(size % 8 == 0 for size in channels) and max(channels) >= FEW_CHANNELS
        if attribute(node, "group", 1) == 1 and min(channels) < FEW_CHANNELS and not in_eights:
            few.append(node.name)
    return _with_fp16(with_float(proto, RULES), few)


def with_channels_in_thirty_twos(proto: onnx.ModelProto) -> PrecisionPlan:
    """Only convolutions whose input and output channels are multiples of 32 in INT8."""
    dims = {tensor.name: tensor.dims for tensor in proto.graph.initializer}
    others = [node.name for node in convolutions(proto) if any(size % 32 for size in dims[node.input[1]][:2])]
    return _with_fp16(with_float(proto, RULES), others)


def with_quantised_additions(network: Network, proto: onnx.ModelProto) -> onnx.ModelProto:
    """Quantise every input of every addition, what projections give among them."""
    constants = {tensor.name for tensor in proto.graph.initializer}
    adds = {node.name for node in proto.graph.node if adds_tensors(node, constants)}
    makers = {node.output[0]: node.op_type for node in proto.graph.node}
    read = {name for node in proto.graph.node if node.name in adds for name in node.input}
    wanted = sorted(name for name in read if makers[name] != "DequantizeLinear")
    for name, (low, high) in extremes(network.artifact.proto, wanted, network.frames()).items():
        _insert_pair(proto, name, max(-low, high) / 127, adds)
    return proto


def _insert_pair(proto: onnx.ModelProto, name: str, scale: float, readers: set[str]) -> None:
    levels, values, parameters = f"{name}.levels", f"{name}.values", [f"{name}.added.scale", f"{name}.added.zero"]
    constants = np.asarray(np.float16(max(scale, TENSORRT_STYLE.smallest_scale)), np.float32), np.asarray(0, np.int8)
    proto.graph.initializer.extend(map(onnx.numpy_helper.from_array, constants, parameters))
    place = 1 + next(index for index, node in enumerate(proto.graph.node) if name in node.output)
    pair = {"QuantizeLinear": (name, levels), "DequantizeLinear": (levels, values)}
    for offset, (operator, (source, result)) in enumerate(pair.items()):
        node = onnx.helper.make_node(operator, [source, *parameters], [result], name=f"{result}.{operator}")
        proto.graph.node.insert(place + offset, node)
    for node in proto.graph.node:
        if node.name in readers:
            node.input[:] = [values if each == name else each for each in node.input]


def _with_fp16(plan: PrecisionPlan, names: list[str]) -> PrecisionPlan:
    fp16: Precision = "fp16"
    return plan.model_copy(update={"layers": {**plan.layers, **dict.fromkeys(names, fp16)}})


INPUTS_ONLY = Placement("inputs of convolutions")
PLACEMENTS = (
    INPUTS_ONLY,
    *(Placement(f"and {rule.name}", (rule,)) for rule in RULES),
    Placement("all rules", RULES),
    Placement("not kept: all inputs of additions", rewrite=with_quantised_additions),
    Placement("not kept: the same with all rules", RULES, rewrite=with_quantised_additions),
    Placement("not kept: few channels float", RULES, with_few_channels_float),
    Placement("not kept: channels in 32s only", RULES, with_channels_in_thirty_twos),
)
