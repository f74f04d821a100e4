"""The contract around a foreign float network: uint8 frames in, probabilities of the same size out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.export.foreign.foreign_naming import PREFIX, with_named_weights
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.export.foreign.foreign_output import OutputForm
from edgeseg.export.torch.naming import with_readable_names
from edgeseg.graph.cleanup import without_unused
from edgeseg.graph.foreign import TO_PLANES
from edgeseg.graph.last_nodes import without_double_transposes
from edgeseg.graph.weights import copy_of
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME, ModelSpec


@dataclass
class _Part:
    """Nodes in a row, each taking the one before it."""

    tensor: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, output: str, *constants: tuple[str, NDArray[np.generic]], **attributes: Any) -> None:
        tensors = [onnx.numpy_helper.from_array(values, PREFIX + name) for name, values in constants]
        names = [tensor.name if np.prod(tensor.dims) else "" for tensor in tensors]
        self.nodes.append(onnx.helper.make_node(operator, [self.tensor, *names], [output], **attributes))
        self.constants.extend(tensor for tensor, name in zip(tensors, names, strict=True) if name)
        self.tensor = output


def wrapped(proto: onnx.ModelProto, model: ModelSpec, options: ImportOptions, form: OutputForm) -> onnx.ModelProto:
    """Put the contract around a network.

    Cast, Transpose, the swap of channels for BGR, normalisation, the network, its output as planes, bilinear upsampling
    where the output is smaller than the input (of logits before, of probabilities instead of, the sigmoid or softmax).

    Args:
        proto: float32 [N,3,H,W] in, float32 out, standard operators, opset 19 or 20.
        model: Channels and size of the whole.
        options: Normalisation, channel order, what the output is.
        form: How the output lies, and how many times smaller than the input it is.
    """
    copy = _prefixed(proto)
    graph = copy.graph
    head = _head(options)
    source, result = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        node.input[:] = [head.tensor if name == source else name for name in node.input]
    tail = _tail(result, model, options, form)
    nodes = [*head.nodes, *graph.node, *tail.nodes]
    nodes[-1].output[:] = [OUTPUT_NAME if name == tail.tensor else name for name in nodes[-1].output]
    if not tail.nodes:
        nodes = _renamed_output(nodes, result)
    weights = [*head.constants, *graph.initializer, *tail.constants]
    batch = model.largest_batch or "N"
    shape: list[str | int | None] = [batch, model.channels, model.height, model.width]
    whole = onnx.helper.make_graph(
        [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes],
        "edgeseg",
        [onnx.helper.make_tensor_value_info(INPUT_NAME, onnx.TensorProto.UINT8, [batch, *model.input_shape])],
        [onnx.helper.make_tensor_value_info(OUTPUT_NAME, onnx.TensorProto.FLOAT, shape)],
        weights,
    )
    joined = onnx.helper.make_model(whole, ir_version=copy.ir_version, opset_imports=copy.opset_import)
    joined.producer_name = "edgeseg"
    return with_readable_names(with_named_weights(without_unused(without_double_transposes(joined))))


def _head(options: ImportOptions) -> _Part:
    order = slice(None, None, -1 if options.bgr else 1)
    mean, std = np.asarray(options.mean[order], np.float64), np.asarray(options.std[order], np.float64)
    offset, factor = mean * options.scale, 1 / (std * options.scale)
    part = _Part(INPUT_NAME)
    part.add("Cast", f"{PREFIX}float", to=onnx.TensorProto.FLOAT)
    part.add("Transpose", f"{PREFIX}planes", perm=[0, 3, 1, 2])
    if options.bgr:
        part.add("Gather", f"{PREFIX}bgr", ("channel_order", np.asarray([2, 1, 0], np.int64)), axis=1)
    part.add("Sub", f"{PREFIX}centred", ("offset", offset.astype(np.float32).reshape(1, 3, 1, 1)))
    part.add("Mul", f"{PREFIX}normal", ("factor", factor.astype(np.float32).reshape(1, 3, 1, 1)))
    return part


def _tail(result: str, model: ModelSpec, options: ImportOptions, form: OutputForm) -> _Part:
    part, times = _Part(result), form.times
    if form.layout == "single":
        part.add("Unsqueeze", f"{PREFIX}planes_out", ("channel_axis", np.asarray([1], np.int64)))
    elif form.layout == "pixels":
        part.add("Transpose", f"{PREFIX}planes_out", perm=TO_PLANES)
    if options.channel is not None:
        part.add("Gather", f"{PREFIX}channel", ("channel_chosen", np.asarray([options.channel], np.int64)), axis=1)
    if times != (1, 1):
        scales = np.asarray([1, 1, *times], np.float32)
        part.add(
            "Resize",
            f"{PREFIX}upsampled",
            ("region", np.zeros(0, np.float32)),
            ("upsampling", scales),
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
    if options.output == "logits" and model.output == "sigmoid":
        part.add("Sigmoid", f"{PREFIX}probability")
    elif options.output == "logits":
        part.add("Softmax", f"{PREFIX}probability", axis=1)
    return part


def _renamed_output(nodes: list[onnx.NodeProto], result: str) -> list[onnx.NodeProto]:
    for node in nodes:
        node.input[:] = [OUTPUT_NAME if name == result else name for name in node.input]
        node.output[:] = [OUTPUT_NAME if name == result else name for name in node.output]
    return nodes


def _prefixed(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Foreign results may be called `frame` or `probability`; ours are kept apart from them."""
    copy = copy_of(proto)
    graph = copy.graph
    made = {value.name for value in graph.input} | {name for node in graph.node for name in node.output if name}
    made |= {tensor.name for tensor in graph.initializer if tensor.name.startswith(PREFIX)}
    new = {name: f"foreign.{index}.{name}" for index, name in enumerate(sorted(made))}
    for node in graph.node:
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new.get(name, name) for name in node.output]
    for entry in (*graph.input, *graph.output, *graph.initializer):
        entry.name = new.get(entry.name, entry.name)
    return copy
