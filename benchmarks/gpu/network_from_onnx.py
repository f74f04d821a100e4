"""A contract graph (docs/architecture.md) as a torch network: the same operators, the file's weights by name.

Only what edgeseg exports is known. The network runs in one data type throughout; normalisation, the logits' sigmoid,
input and output stay float32, as in edgeseg's FP16 engines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, fx
from torch.nn import functional as F

from edgeseg.errors import BadInputError
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME

Attributes = dict[str, Any]


def network_from_onnx(artifact: OnnxArtifact, dtype: torch.dtype) -> fx.GraphModule:
    """Translate a graph: uint8 [N,H,W,3] in, float32 [N,C,H,W] out, channels last inside.

    Args:
        artifact: The network, its weights float32.
        dtype: Data type of the convolutions, for example torch.float16.

    Raises:
        BadInputError: An operator, or a form of it, that is not known here.
    """
    return _Translation(artifact.proto.graph, dtype).module()


class _Translation:
    def __init__(self, graph: onnx.GraphProto, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._root = torch.nn.Module()
        self._graph = fx.Graph()
        self._constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self._values: dict[str, fx.Node] = {INPUT_NAME: self._graph.placeholder(INPUT_NAME)}
        for node in graph.node:
            self._values[node.output[0]] = self._translate(node)
        self._graph.output(self._values[OUTPUT_NAME])

    def module(self) -> fx.GraphModule:
        module = fx.GraphModule(self._root, self._graph).eval().requires_grad_(False)
        return module.to(memory_format=torch.channels_last)

    def _translate(self, node: onnx.NodeProto) -> fx.Node:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        translation = getattr(self, f"_{node.op_type.lower()}", None)
        if translation is None:
            raise BadInputError("the stand-in knows no such operator", found=f"{node.op_type} ({node.name})")
        result: fx.Node = translation([name for name in node.input if name], attributes)
        return result

    def _call(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> fx.Node:
        return self._graph.call_function(function, arguments, keywords)

    def _cast(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._as(self._values[inputs[0]], torch.float32)

    def _transpose(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(torch.Tensor.permute, self._values[inputs[0]], tuple(attributes["perm"]))

    def _sub(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(torch.sub, self._values[inputs[0]], self._constant(inputs[1], torch.float32))

    def _mul(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(torch.mul, self._values[inputs[0]], self._constant(inputs[1], torch.float32))

    def _clip(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        low, high = (float(self._constants[name]) for name in inputs[1:])
        return self._call(torch.clamp, self._values[inputs[0]], low, high)

    def _relu(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(F.relu, self._values[inputs[0]])

    def _maxpool(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        kernel, strides = tuple(attributes["kernel_shape"]), tuple(attributes["strides"])
        return self._call(F.max_pool2d, self._values[inputs[0]], kernel, strides)

    def _add(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(torch.add, *(self._operand(name) for name in inputs))

    def _concat(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(torch.cat, [self._values[name] for name in inputs], attributes["axis"])

    def _sigmoid(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(torch.sigmoid, self._as(self._values[inputs[0]], torch.float32))

    def _softmax(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        return self._call(torch.softmax, self._as(self._values[inputs[0]], torch.float32), attributes["axis"])

    def _conv(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        value, padding = self._as(self._values[inputs[0]], self._dtype), (top, left)
        if (top, left) != (bottom, right):
            value, padding = self._call(F.pad, value, (left, right, top, bottom)), (0, 0)
        weight = self._constant(inputs[1], self._dtype)
        bias = self._constant(inputs[2], self._dtype) if len(inputs) > 2 else None
        strides, dilations = (tuple(attributes.get(name, (1, 1))) for name in ("strides", "dilations"))
        return self._call(F.conv2d, value, weight, bias, strides, padding, dilations, attributes.get("group", 1))

    def _resize(self, inputs: list[str], attributes: Attributes) -> fx.Node:
        scales, value = self._constants[inputs[-1]].tolist(), self._values[inputs[0]]
        if scales == [1.0, 1.0, 2.0, 2.0]:
            if attributes.get("mode") == b"nearest":
                return self._call(F.interpolate, value, scale_factor=2.0, mode="nearest")
            if (attributes.get("mode"), attributes.get("coordinate_transformation_mode")) == (b"linear", b"half_pixel"):
                return self._call(F.interpolate, value, scale_factor=2.0, mode="bilinear")
        raise BadInputError("the stand-in knows doubling alone, by nearest or linear", found=f"{attributes}, {scales}")

    def _as(self, value: fx.Node, dtype: torch.dtype) -> fx.Node:
        return self._call(torch.Tensor.to, value, dtype)

    def _operand(self, name: str) -> fx.Node:
        return self._values[name] if name in self._values else self._constant(name, torch.float32)

    def _constant(self, name: str, dtype: torch.dtype) -> fx.Node:
        attribute = "w_" + "".join(letter if letter.isalnum() else "_" for letter in name)
        if not hasattr(self._root, attribute):
            values = np.array(self._constants[name], np.float32)
            self._root.register_buffer(attribute, torch.from_numpy(values).to(dtype))
        return self._graph.get_attr(attribute)


def probability_by(network: fx.GraphModule, frames: Tensor) -> Tensor:
    """Run the network on uint8 [N,H,W,3]: float32 [N,C,H,W]."""
    with torch.inference_mode():
        result: Tensor = network(frames)
    return result
