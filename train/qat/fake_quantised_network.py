"""An exported network with its Q/DQ pairs, run in PyTorch on the parameters of the module that it was traced from.

The graph is the exporter's own, and the one rule of `edgeseg.calibration.quantise` places and scales the pairs, so that
training simulates the graph that will be built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgeseg.artifacts import Range
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.placement_rules import SHARED_CONCATENATIONS, scale_groups
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, TENSORRT_STYLE, QdqStyle
from edgeseg.calibration.quantise import activation_quantisation, quantise
from edgeseg.errors import BadInputError
from edgeseg.packages import RUN_CHECKPOINT
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, Int8Target, TrainedRanges
from edgeseg.train.checkpoint import load
from edgeseg.train.network import NormalisedNetwork
from edgeseg.train.qat.fake_quantisation import fake_quantised, fake_quantised_weight
from edgeseg.train.qat.starting_point import StartingPoint
from edgeseg.train.qat.torch_operators import OPERATORS, UnknownFormError
from edgeseg.train.recipe import Recipe

STYLES: dict[Int8Target, QdqStyle] = {"cpu": ONNXRUNTIME_STYLE, "tensorrt": TENSORRT_STYLE}
RANGE_RATE = 10.0
"""How much faster the logarithm of a range moves than a weight: a step of 1e-4 changes the range by 0.1 %."""
OUTPUT_FUNCTIONS = frozenset({"Sigmoid", "Softmax"})
BESIDE = "int8"
"""Key of a checkpoint under which a fake-quantised network keeps its ranges."""


@dataclass(frozen=True)
class Step:
    """A node of the graph."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any]


class FakeQuantisedNetwork(NormalisedNetwork):
    """A network as its INT8 graph computes it: float [N,3,H,W] in 0..1 -> logits [N,C,H,W].

    Its `network` keeps the float weights under the names that they always had. Only what the graph holds is trained,
    and the range of each quantised activation besides; weight decay draws ranges back to the calibrated ones. The
    convolutions that stay float are computed in float32, for TensorRT as well.

    Args:
        start: Where the training begins; its network is shared, not copied.
        recipe: Says whose Q/DQ graph is simulated, and mean and std of the pictures.

    Raises:
        BadInputError: The graph has an operator that is not computed here, or nothing in it is quantised.
    """

    def __init__(self, start: StartingPoint, recipe: Recipe) -> None:
        super().__init__(start.network, recipe.preprocess_spec(), recipe.model.mirroring)
        self.target, self.source_sha256 = recipe.training.qat_target, start.checkpoint_sha256
        self.style = STYLES[self.target]
        plan = default_plan(start.artifact.proto, "int8", "fp32")
        quantised = quantise(start.artifact, start.table, self.style, plan)
        graph = quantised.proto.graph
        self._steps = [_step(node) for node in graph.node]
        self._parameters_of = dict(start.parameters)
        self._groups = _groups_of_weights(self._steps)
        scaled = [step.inputs[1] for step in self._steps if step.operator == "QuantizeLinear"]
        self._calibrated = {name: quantised.ranges[name] for name in dict.fromkeys(map(_tensor_of, scaled))}
        groups = (
            scale_groups(start.artifact.proto, self._calibrated) if SHARED_CONCATENATIONS in self.style.rules else []
        )
        leaders = {name: min(group) for group in groups for name in group}
        alone = dict.fromkeys(leaders.get(name, name) for name in self._calibrated)
        places = {name: place for place, name in enumerate(alone)}
        self._place_of = {name: places[leaders.get(name, name)] for name in self._calibrated}
        """Quantised activation -> its place in `range_shift`; those that share a scale have one place."""
        self.range_shift = nn.Parameter(torch.zeros(len(places)))
        """The logarithm of ranges' growth since calibration, divided by `RANGE_RATE`."""
        self._plain: dict[str, Tensor] = {}
        self._keep_constants(graph.initializer)
        self._stored: dict[str, tuple[Tensor, Tensor]] = {}
        """Weight -> the values that were quantised last, and what became of them."""
        trained = set(self._parameters_of.values())
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in trained)
        self._check(start)

    def answer(self, images: Tensor) -> Tensor:
        """Run the graph without its output function: float [N,3,H,W] in 0..1 -> logits [N,C,H,W]."""
        return self._run(images.permute(0, 2, 3, 1) * 255.0)[self._steps[-1].inputs[0]]

    def probability(self, frames: Tensor) -> Tensor:
        """Run the whole graph: uint8 [N,H,W,3] RGB -> float32 [N,C,H,W]."""
        logits = self._run(frames)[self._steps[-1].inputs[0]]
        return torch.softmax(logits, dim=1) if self._steps[-1].operator == "Softmax" else torch.sigmoid(logits)

    def ranges(self) -> dict[str, Range]:
        """The range of each quantised activation as it is now."""
        growth = (self.range_shift.detach().double() * RANGE_RATE).exp().tolist()
        grown = {name: seen.amax * growth[self._place_of[name]] for name, seen in self._calibrated.items()}
        return {
            name: seen.model_copy(update={"amax": max(grown[name], self._smallest_amax(seen))})
            for name, seen in self._calibrated.items()
        }

    def trained_ranges(self) -> TrainedRanges:
        """The ranges as an exported file tells them."""
        ranges = {name: (seen.minimum, seen.maximum, seen.amax) for name, seen in self.ranges().items()}
        return TrainedRanges(target=self.target, source_sha256=self.source_sha256, ranges=ranges)

    def beside_weights(self) -> dict[str, Any]:
        """The ranges, as a checkpoint keeps them; `take_beside_weights` goes on from them."""
        calibrated = {name: seen.model_dump() for name, seen in self._calibrated.items()}
        trained = self.trained_ranges().model_dump(mode="json")
        return {BESIDE: {"calibrated": calibrated, "shift": self.range_shift.detach().clone(), "trained": trained}}

    def take_beside_weights(self, content: Mapping[str, Any]) -> None:
        """Go on from the ranges of a checkpoint."""
        kept = content[BESIDE]
        self._calibrated = {name: Range.model_validate(seen) for name, seen in kept["calibrated"].items()}
        with torch.no_grad():
            self.range_shift.copy_(kept["shift"])

    def _run(self, frames: Tensor) -> dict[str, Tensor]:
        values = {INPUT_NAME: frames.float()}
        ranges = self.ranges()
        shifts = self.range_shift * RANGE_RATE
        for step in self._steps[:-1]:
            if step.operator == "QuantizeLinear":
                name = _tensor_of(step.inputs[1])
                shift = shifts[self._place_of[name]]
                values[step.output] = fake_quantised(values[step.inputs[0]], shift, ranges[name], self.style)
            elif step.operator == "DequantizeLinear":
                source = step.inputs[0]
                values[step.output] = values[source] if source in values else self._weight(source)
            else:
                inputs = [self._value(name, values) if name else None for name in step.inputs]
                values[step.output] = OPERATORS[step.operator](inputs, step.attributes)
        return values

    def _value(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        if name in values:
            return values[name]
        if name in self._parameters_of:
            return self.network.get_parameter(self._parameters_of[name])
        return self._plain[name] if name in self._plain else self.get_buffer(_buffer(name))

    def _weight(self, quantised: str) -> Tensor:
        """A weight's INT8 values; quantised again only when it has changed, which it has not during a validation."""
        name = quantised.removesuffix(".quantised")
        weight = self.network.get_parameter(self._parameters_of[name])
        if torch.is_grad_enabled():
            return fake_quantised_weight(weight, self.style, self._groups[quantised])
        former = self._stored.get(name)
        if former is None or not torch.equal(former[0], weight):
            self._stored[name] = weight.clone(), fake_quantised_weight(weight, self.style, self._groups[quantised])
        return self._stored[name][1]

    def _smallest_amax(self, observed: Range) -> float:
        """Below this the exporter would leave a convolution float."""
        unit = activation_quantisation(observed.model_copy(update={"amax": 1.0}), self.style).scale
        return self.style.smallest_scale / unit * (1 + 1e-9)

    def _keep_constants(self, tensors: Iterable[onnx.TensorProto]) -> None:
        """Numbers move with the network; axes and sizes stay where they are, out of an average's reach."""
        read = {name for step in self._steps for name in step.inputs}
        for tensor in tensors:
            if tensor.name not in read or tensor.name in self._parameters_of:
                continue
            values = torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor)))
            if values.is_floating_point() and values.numel() > 1:
                self.register_buffer(_buffer(tensor.name), values, persistent=False)
            else:
                self._plain[tensor.name] = values

    def _check(self, start: StartingPoint) -> None:
        """Find out now what cannot be computed."""
        last = self._steps[-1]
        known = {*OPERATORS, "QuantizeLinear", "DequantizeLinear"}
        unknown = sorted({step.operator for step in self._steps[:-1]} - known)
        reason = f"the operator {unknown[0]}" if unknown else None
        if last.operator not in OUTPUT_FUNCTIONS or last.output != OUTPUT_NAME:
            reason = f"{last.operator} as its last node"
        model = start.artifact.metadata.model
        try:
            if reason is None:
                with torch.no_grad():
                    self._run(torch.zeros((1, *model.input_shape), dtype=torch.uint8))
        except UnknownFormError as error:
            reason = str(error)
        if reason is not None:
            raise BadInputError(
                f"quantisation-aware training does not know all of {model.architecture}",
                found=reason,
                expected=f"operators among {', '.join(sorted(OPERATORS))}",
                next_command="edgeseg calibrate and build-engine --precision int8 work without such a training",
            )
        if not self._calibrated:
            raise BadInputError(
                f"nothing in {model.architecture} is quantised",
                found="no convolution between the first and the last whose range is above zero",
                next_command="edgeseg export RUN --out model.onnx",
            )


def trained_ranges_of(run: Path) -> TrainedRanges | None:
    """The ranges of a RUN's best epoch; None where its training was not quantisation-aware."""
    content = load(run / RUN_CHECKPOINT)
    return TrainedRanges.model_validate(content[BESIDE]["trained"]) if BESIDE in content else None


def _step(node: onnx.NodeProto) -> Step:
    attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
    return Step(node.op_type, node.name, tuple(node.input), node.output[0], attributes)


def _groups_of_weights(steps: Iterable[Step]) -> dict[str, int]:
    """Name of a quantised weight -> the groups of the convolution that reads it."""
    convolutions = {step.inputs[1]: int(step.attributes.get("group", 1)) for step in steps if step.operator == "Conv"}
    weights = [step for step in steps if step.operator == "DequantizeLinear" and step.output in convolutions]
    return {step.inputs[0]: convolutions[step.output] for step in weights}


def _tensor_of(scale: str) -> str:
    return scale.removesuffix(".scale")


def _buffer(name: str) -> str:
    """A module takes no dots in the name of a buffer."""
    return f"constant_{name.replace('.', '_')}"
