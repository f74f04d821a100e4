"""Which convolutions run in INT8, and on which tensors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx


@dataclass(frozen=True)
class Placement:
    """The convolutions of a graph, in order, and those among them that are to be quantised."""

    convolutions: tuple[str, ...]
    """Names of all Conv and ConvTranspose nodes."""
    quantised: tuple[str, ...]
    """Names of the Conv nodes whose input and weight are quantised."""

    @property
    def kept(self) -> tuple[str, ...]:
        """Names of those that stay float."""
        chosen = set(self.quantised)
        return tuple(name for name in self.convolutions if name not in chosen)


def place(proto: onnx.ModelProto, keep: Collection[str] = ()) -> Placement:
    """Choose the convolutions for INT8: every Conv with constant weights but the first, the last and those in `keep`.

    The first convolution sees the picture and the last one makes the logits: both are cheap and cost most accuracy.
    ConvTranspose stays float (known to be slow or wrong in INT8 on TensorRT: NVIDIA/TensorRT issues 2280, 1694, 1699).

    Args:
        proto: A float32 graph with named nodes.
        keep: Names of further convolutions that stay float.
    """
    weights = {tensor.name for tensor in proto.graph.initializer}
    nodes = [node for node in proto.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    ends = {nodes[0].name, nodes[-1].name} if nodes else set()
    chosen = [
        node.name
        for node in nodes
        if node.op_type == "Conv" and node.input[1] in weights and node.name not in ends and node.name not in keep
    ]
    return Placement(tuple(node.name for node in nodes), tuple(chosen))


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
