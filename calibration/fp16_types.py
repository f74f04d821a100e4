"""ONNX's operators and FP16: which inputs and outputs may be it, and which attributes say that they are."""

from __future__ import annotations

import functools

import numpy as np
import onnx

LARGEST_FP16 = float(np.finfo(np.float16).max)
"""65504."""
SMALLEST_NORMAL_FP16 = 2.0**-14
"""Below this FP16 has ever fewer digits; below 2^-25 it is zero."""
FLOAT32_INPUTS = {"Resize": (1, 2)}
"""Inputs that stay float32 whatever the data are (roi and scales of Resize)."""
TYPE_ATTRIBUTES = ("to", "dtype")
HALF = "tensor(float16)"


def takes_fp16(operator: str, opset: int, position: int) -> bool:
    """Tell whether an operator's input may be FP16; True for operators that ONNX does not define."""
    return position not in FLOAT32_INPUTS.get(operator, ()) and HALF in _types(operator, opset, position, "inputs")


def gives_fp16(operator: str, opset: int, position: int) -> bool:
    """Tell likewise for an output."""
    return HALF in _types(operator, opset, position, "outputs")


def with_fp16_result(node: onnx.NodeProto) -> onnx.NodeProto:
    """A copy of a node whose attributes ask for FP16 where they asked for float32."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for entry in copy.attribute:
        if entry.name in TYPE_ATTRIBUTES and entry.i == onnx.TensorProto.FLOAT:
            entry.i = onnx.TensorProto.FLOAT16
        elif node.op_type == "ConstantOfShape" and entry.name == "value":
            values = onnx.numpy_helper.to_array(entry.t).astype(np.float16)
            entry.t.CopyFrom(onnx.numpy_helper.from_array(values, entry.t.name))
    if node.op_type == "ConstantOfShape" and not copy.attribute:
        zero = onnx.numpy_helper.from_array(np.zeros(1, np.float16))
        copy.attribute.append(onnx.helper.make_attribute("value", zero))
    return copy


@functools.cache
def _types(operator: str, opset: int, position: int, side: str) -> frozenset[str]:
    try:
        formal = getattr(onnx.defs.get_schema(operator, opset, ""), side)
    except onnx.defs.SchemaError:
        return frozenset({HALF})
    return frozenset(formal[min(position, len(formal) - 1)].types)
