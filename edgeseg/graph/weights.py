"""Weights of an ONNX graph: stored small, seen as float32, named by their hash."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.errors import BadInputError

STORED_SUFFIX = ".fp16"
SMALLEST_STORED_TENSOR = 64
"""Tensors with fewer values stay float32: a Cast each would cost more than it saves."""


def copy_of(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A deep copy, so that passes never change what they were given."""
    copy: onnx.ModelProto = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy


def weights_sha256(proto: onnx.ModelProto) -> str:
    """SHA-256 over names, shapes and float32 values of all float weights, independent of their order and storage.

    Args:
        proto: A graph whose weights are float32 (see `with_float32_weights`).
    """
    digest = hashlib.sha256()
    for tensor in sorted(proto.graph.initializer, key=lambda tensor: tensor.name):
        if tensor.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(tensor)
            digest.update(f"{tensor.name}{values.shape}".encode())
            digest.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return digest.hexdigest()


def with_fp16_stored_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Store float32 weights as FP16 with a Cast back: half the file, the same graph of float32 arithmetic.

    Values are rounded to FP16 once; `with_float32_weights` gives the float32 graph of the rounded values.

    Raises:
        BadInputError: A weight is beyond FP16's largest number.
    """
    copy = copy_of(proto)
    casts = []
    for tensor in copy.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST_STORED_TENSOR:
            continue
        name = tensor.name
        rounded = to_fp16(onnx.numpy_helper.to_array(tensor), name)
        tensor.CopyFrom(onnx.numpy_helper.from_array(rounded, name + STORED_SUFFIX))
        casts.append(
            onnx.helper.make_node("Cast", [tensor.name], [name], name=f"{name}.to_float", to=onnx.TensorProto.FLOAT)
        )
    # The contract graph's own Cast stays its first node.
    nodes = [*copy.graph.node[:1], *casts, *copy.graph.node[1:]]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def with_float32_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Undo `with_fp16_stored_weights`: each Cast of a stored FP16 weight becomes the float32 weight itself."""
    copy = copy_of(proto)
    stored = {t.name: t for t in copy.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    kept = []
    for node in copy.graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None:
            kept.append(node)
        else:
            values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    return copy


def to_fp16(values: NDArray[np.float32], name: str) -> NDArray[np.float16]:
    """Round to FP16.

    Raises:
        BadInputError: A value is beyond FP16's largest number, 65504.
    """
    if values.size and float(np.abs(values).max()) > float(np.finfo(np.float16).max):
        raise BadInputError(
            f"the weight {name} does not fit into FP16",
            found=f"a magnitude of {float(np.abs(values).max()):.4g}",
            expected="at most 65504",
            next_command="build with --precision fp32",
        )
    return values.astype(np.float16)
