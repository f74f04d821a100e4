"""Weights of foreign networks, named after their convolutions where their own names tell nothing."""

from __future__ import annotations

import re

import onnx

from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.graph.weights import copy_of

NAMED_BY_WEIGHT = CONVOLUTIONS | {"Gemm"}
READABLE = re.compile(r"[A-Za-z][\w.\-]*")
NUMBERED = re.compile(
    r"(?i)(onnx|val|const|constant|initializer|param|weight|w|b|node|v|t|tensor|convolution|x)?[_.]*\d*"
)
LONGEST_NAME = 100
RESERVED = ("frame", "probability")
PREFIX = "edgeseg_import."
"""Before the names of what edgeseg puts around the network, so that they stand apart until all are unique."""


def with_named_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Rename initialisers: PATH.weight and PATH.bias at convolutions, `constant_K` elsewhere, where they tell nothing.

    A weight called ``onnx::Conv_412`` at the node ``/encoder/layer1/0/conv1/Conv`` becomes
    ``encoder.layer1.0.conv1.weight``; one called ``encoder.conv1.weight`` keeps its name.
    """
    copy = copy_of(proto)
    graph = copy.graph
    names = _Names()
    for tensor in graph.initializer:
        if tensor.name.startswith(PREFIX):
            names.give(tensor.name, tensor.name.removeprefix(PREFIX))
    convolutions = [node for node in graph.node if node.op_type in NAMED_BY_WEIGHT]
    there = {tensor.name for tensor in graph.initializer}
    for index, node in enumerate(convolutions):
        weight, *rest = [name for name in node.input[1:3] if name in there] or [""]
        if not weight:
            continue
        stem = names.give(weight, _path(weight, node, index) + ".weight").removesuffix(".weight")
        for bias in rest:
            names.give(bias, bias if _tells(bias) else f"{stem}.bias")
    for index, tensor in enumerate(graph.initializer):
        names.give(tensor.name, tensor.name if _tells(tensor.name) else f"constant_{index}")
    for node in graph.node:
        node.input[:] = [names.new.get(name, name) for name in node.input]
    for tensor in graph.initializer:
        tensor.name = names.new[tensor.name]
    return copy


class _Names:
    """Old name -> new name, each new one once."""

    def __init__(self) -> None:
        self.new: dict[str, str] = {}
        self._taken = set(RESERVED)

    def give(self, old: str, wanted: str) -> str:
        if old not in self.new:
            stem, dot, kind = wanted.rpartition(".")
            count = 0
            while wanted in self._taken:
                count += 1
                wanted = f"{stem}.{count}.{kind}" if dot else f"{kind}.{count}"
            self._taken.add(wanted)
            self.new[old] = wanted
        return self.new[old]


def _path(weight: str, node: onnx.NodeProto, index: int) -> str:
    if _tells(weight):
        return weight.removesuffix(".weight")
    parts: list[str] = []
    for part in node.name.split("/"):
        if parts and part.startswith(f"{parts[-1]}."):  # PyTorch writes /stem/stem.0/stem.0.1 for stem.0.1
            parts.pop()
        if part and not part.startswith(node.op_type):
            parts.append(part)
    path = ".".join(parts)
    return path if _tells(path) else f"conv_{index}"


def _tells(name: str) -> bool:
    """Tell whether a name is one that a person chose; names that end in ``.out`` are given to results later."""
    readable = READABLE.fullmatch(name) and not NUMBERED.fullmatch(name) and not re.search(r"\.out\d*$", name)
    return bool(readable) and len(name) <= LONGEST_NAME
