"""Move a graph's threshold: a constant on the logits, so that 0.5 means what another threshold meant."""

from __future__ import annotations

import numpy as np
import onnx

from edgeseg.errors import BadInputError
from edgeseg.graph.cleanup import consumers_of
from edgeseg.graph.weights import copy_of
from edgeseg.specs import OUTPUT_NAME
from edgeseg.threshold import logit

SHIFT_NAME = "threshold.shift"


def with_threshold(proto: onnx.ModelProto, threshold: float) -> onnx.ModelProto:
    """A graph whose probability is sigmoid(logit - logit(threshold)).

    The constant goes into the bias of the convolution that gives the logits, where it costs nothing; where something
    else gives them, an addition before the sigmoid does the same.

    Args:
        proto: A contract graph with one class and float32 weights as initialisers.
        threshold: Between 0 and 1, both excluded; 0.5 changes nothing.

    Raises:
        BadInputError: No sigmoid gives the probability (several classes: the largest decides, there is no threshold).
    """
    shift = -logit(threshold)
    copy = copy_of(proto)
    producers = {output: node for node in copy.graph.node for output in node.output}
    sigmoid = producers.get(OUTPUT_NAME)
    if sigmoid is None or sigmoid.op_type != "Sigmoid":
        raise BadInputError(
            "this network has no threshold that could be moved",
            found="no node" if sigmoid is None else f"{sigmoid.op_type} gives {OUTPUT_NAME}",
            expected="a network of one class with a sigmoid",
        )
    head = producers.get(sigmoid.input[0])
    bias = None if head is None else _own_bias(copy.graph, head)
    if bias is None:
        _insert_addition(copy.graph, sigmoid, shift)
    else:
        values = onnx.numpy_helper.to_array(bias).astype(np.float64) + shift
        bias.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), bias.name))
    return copy


def _own_bias(graph: onnx.GraphProto, head: onnx.NodeProto) -> onnx.TensorProto | None:
    """The bias of a convolution that only the sigmoid reads, and that no other node shares; else None."""
    readers = consumers_of(graph)
    if head.op_type != "Conv" or len(head.input) < 3 or len(readers[head.output[0]]) != 1:
        return None
    if len(readers[head.input[2]]) != 1:
        return None
    tensors = (tensor for tensor in graph.initializer if tensor.name == head.input[2])
    return next((tensor for tensor in tensors if tensor.data_type == onnx.TensorProto.FLOAT), None)


def _insert_addition(graph: onnx.GraphProto, sigmoid: onnx.NodeProto, shift: float) -> None:
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([shift], np.float32), SHIFT_NAME))
    moved = f"{SHIFT_NAME}.out"
    graph.node.add().CopyFrom(sigmoid)  # the last node may come last; the addition takes its place
    graph.node[-1].input[0] = moved
    addition = onnx.helper.make_node("Add", [sigmoid.input[0], SHIFT_NAME], [moved], name=SHIFT_NAME)
    sigmoid.CopyFrom(addition)
