"""Names that a person can read: nodes and tensors named after the modules that they come from."""

from __future__ import annotations

import onnx

from edgeseg.graph.module_paths import module_path
from edgeseg.graph.weights import copy_of

FOLLOWERS = frozenset({"Relu", "Clip", "BatchNormalization", "LeakyRelu", "HardSwish"})


def with_readable_names(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Rename nodes and tensors, and drop the exporter's notes about its own run (they hold paths).

    A convolution takes the path of its module (``encoder.stem.0.0``), its activation the same with ``.relu``, other
    nodes their operator and a number. Inputs, outputs and metadata keep their names.
    """
    copy = copy_of(proto)
    graph = copy.graph
    weights = {tensor.name: module_path(tensor.name) for tensor in graph.initializer}
    renamed: dict[str, str] = dict(weights)
    fixed = {value.name for value in (*graph.input, *graph.output)}
    counts: dict[str, int] = {}
    taken: set[str] = set()
    for node in graph.node:
        node.name = _unique(_node_name(node, weights, renamed), taken, counts)
        node.doc_string = ""
        del node.metadata_props[:]
        for index, output in enumerate(node.output):
            if output and output not in fixed:
                renamed[output] = f"{node.name}.out" if index == 0 else f"{node.name}.out{index}"
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for tensor in graph.initializer:
        tensor.name = weights[tensor.name]
        tensor.doc_string = ""
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
    del graph.value_info[:], graph.metadata_props[:], copy.metadata_props[:]
    graph.name, graph.doc_string, copy.doc_string = "edgeseg", "", ""
    return copy


def _node_name(node: onnx.NodeProto, weights: dict[str, str], renamed: dict[str, str]) -> str:
    if node.op_type in ("Conv", "ConvTranspose", "Gemm") and len(node.input) > 1 and node.input[1] in weights:
        return weights[node.input[1]].removesuffix(".weight")
    source = renamed.get(node.input[0], "") if node.input else ""
    if node.op_type in FOLLOWERS and source.endswith(".out"):
        return f"{source.removesuffix('.out')}.{node.op_type.lower()}"
    return f"{node.op_type.lower()}_0"


def _unique(name: str, taken: set[str], counts: dict[str, int]) -> str:
    """The name itself the first time; numbered operators count up."""
    stem = name.removesuffix("_0")
    separator = "_" if name != stem else "."
    chosen = name
    while chosen in taken:
        counts[name] = counts.get(name, 0) + 1
        chosen = f"{stem}{separator}{counts[name]}"
    taken.add(chosen)
    return chosen
