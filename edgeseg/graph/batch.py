"""Find out how a graph's constants depend on the batch, by folding its shapes at two batches, and let it take any."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.graph.cleanup import consumers_of, without_unused

BATCHES = (2, 3)
"""The batches that a graph is folded at: from two of them follows a line."""
Integers = NDArray[np.int64]


def with_any_batch(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto | None:
    """Join a graph that was folded at two batches into one that takes any number of pictures.

    Integers that differ are a multiple of the batch and a rest, and are computed from the input's shape; a tensor that
    was repeated for each picture is repeated when the batch is known. In the shape of a Reshape, -1 does.

    Args:
        first: Folded with `BATCHES[0]` pictures at its input.
        second: The same network with `BATCHES[1]`.

    Returns:
        The graph, its batch called N; None where the two differ in more than that.
    """
    pair = {tensor.name: tensor for tensor in second.graph.initializer}
    names = {tensor.name for tensor in first.graph.initializer}
    if list(map(_bytes, first.graph.node)) != list(map(_bytes, second.graph.node)) or names != set(pair):
        return None
    copy = without_unused(first)
    parts = _Parts(copy)
    for tensor in list(copy.graph.initializer):
        other = pair[tensor.name]
        if _bytes(tensor) != _bytes(other) and not parts.add(tensor, other):
            return None
    return parts.joined()


def name_batch(proto: onnx.ModelProto) -> None:
    """Call the first dimension of a graph's input and output N, in place."""
    for value in (*proto.graph.input, *proto.graph.output):
        for dim in value.type.tensor_type.shape.dim[:1]:
            dim.dim_param = "N"


class _Parts:
    """The nodes that compute from the batch what was constant at one batch.

    Args:
        proto: The graph; it is changed.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._graph, self._proto = proto.graph, proto
        self._readers = consumers_of(proto.graph)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._replaced: set[str] = set()

    def add(self, tensor: onnx.TensorProto, other: onnx.TensorProto) -> bool:
        """Take in one constant that differs; False where it does not differ as a batch makes it."""
        a, b = (onnx.numpy_helper.to_array(each) for each in (tensor, other))
        if a.dtype != b.dtype or a.ndim != b.ndim:
            return False
        if a.shape == b.shape:
            return a.dtype.kind == "i" and self._line(tensor, a.astype(np.int64), b.astype(np.int64))
        return self._repeated(tensor.name, a, b)

    def joined(self) -> onnx.ModelProto:
        kept = [tensor for tensor in self._graph.initializer if tensor.name not in self._replaced]
        nodes = [*self._nodes, *(onnx.NodeProto.FromString(_bytes(node)) for node in self._graph.node)]
        del self._graph.initializer[:], self._graph.node[:]
        self._graph.initializer.extend([*kept, *self._constants])
        self._graph.node.extend(nodes)
        name_batch(self._proto)
        return without_unused(self._proto)

    def _line(self, tensor: onnx.TensorProto, a: Integers, b: Integers) -> bool:
        slope = b - a
        rest = a - BATCHES[0] * slope
        if any(value < 0 for value in slope.ravel()):
            return False
        readers = self._readers.get(tensor.name, [])
        shapes_only = all(node.op_type == "Reshape" and node.input[0] != tensor.name for node in readers)
        if shapes_only and np.count_nonzero(slope) == 1 and (np.where(slope, 1, a) > 0).all():
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.where(slope, -1, a), tensor.name))
            return True
        self._computed(tensor.name, slope, rest, tensor.data_type)
        return True

    def _repeated(self, name: str, a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
        """A tensor that holds one slice for each picture."""
        axes = [axis for axis in range(a.ndim) if a.shape[axis] != b.shape[axis]]
        if len(axes) != 1 or (a.shape[axes[0]], b.shape[axes[0]]) != BATCHES:
            return False
        once = np.take(a, [0], axes[0])
        if not (a == once).all() or not (b == once).all():
            return False
        rest = np.asarray(once.shape, np.int64)
        slope = np.zeros_like(rest)
        slope[axes[0]], rest[axes[0]] = 1, 0
        self._computed(f"{name}.shape", slope, rest, onnx.TensorProto.INT64)
        self._constants.append(onnx.numpy_helper.from_array(once, f"{name}.once"))
        self._nodes.append(onnx.helper.make_node("Expand", [f"{name}.once", f"{name}.shape"], [name]))
        self._replaced.add(name)
        return True

    def _computed(self, name: str, slope: Integers, rest: Integers, kind: int) -> None:
        """Nodes for slope * batch + rest."""
        count, source = f"{name}.batch", self._graph.input[0].name
        nodes = [onnx.helper.make_node("Shape", [source], [count], start=0, end=1)]
        if slope.ndim == 0:
            nodes.append(onnx.helper.make_node("Squeeze", [count], [f"{count}.scalar"]))
            count = f"{count}.scalar"
        for operator, values, step in (("Mul", slope, "times"), ("Add", rest, "sum")):
            output = f"{name}.{step}"
            constant = onnx.numpy_helper.from_array(values.astype(np.int64), f"{output}.by")
            self._constants.append(constant)
            nodes.append(onnx.helper.make_node(operator, [count, constant.name], [output]))
            count = output
        nodes.append(onnx.helper.make_node("Cast", [count], [name], to=kind))
        self._nodes += nodes
        self._replaced.add(name)


def _bytes(message: onnx.NodeProto | onnx.TensorProto) -> bytes:
    return bytes(message.SerializeToString(deterministic=True))
