"""Names why a layer disagrees, from its values, its weights and its ranges."""

from __future__ import annotations

import math

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeseg.graph.operators import CONVOLUTIONS
from edgeseg.proof.bisect.layer_errors import LayerError

GAIN_DB = 10.0
"""An explanation counts where the values agree so much better with it."""
SAME_WEIGHTS = 0.05
"""Relative difference up to which two weights are the same but for their rounding."""
SAME_CONSTANTS = 0.001
"""The same for what an element-wise layer reads, which no graph of ours quantises."""
SAME_BIAS = 0.5
"""The same for a bias, which INT8 graphs correct."""
EXPLAINED = 0.99
"""Share of the variance that a line must explain."""
MOST_NUMBERS = 4
LARGEST_FP16 = 65504.0
CALIBRATE = "calibrate on pictures of the kind that will be segmented"

Array = NDArray[np.float64]


def likely_cause(error: LayerError, reference: onnx.ModelProto, judged: onnx.ModelProto) -> str:
    """Say what is wrong with a layer whose inputs agree.

    Tried in this order: values that are not finite, a range that clips or is far too wide, colours in the other order,
    weights of another layer, other weights, another bias, other attributes, a factor and an offset.

    Args:
        error: The layer.
        reference: The float32 graph.
        judged: The graph that disagrees.
    """
    name = f"the {error.node.op_type} {error.node.name}"
    if not error.computed.finite:
        beyond = max(-error.lowest, error.highest) > LARGEST_FP16
        why = f", and FP16 ends at {LARGEST_FP16:.0f}" if beyond else ""
        return f"{name} gives values that are not finite; float32's reach from {_span(error)}{why}"
    if error.rounded is not None and error.computed.sqnr_db > error.rounded.sqnr_db + GAIN_DB:
        return _range_in_words(error, judged, name)
    if error.swapped is not None and error.swapped.sqnr_db > error.computed.sqnr_db + GAIN_DB:
        return f"{name} gives its three channels in the other order: RGB and BGR are confused"
    node = next(node for node in judged.graph.node if error.tensor in node.output)
    found = _weights_in_words(error.node, node, reference, judged) or _attributes_in_words(error.node, node)
    if found:
        return f"{name} {found}"
    slope, offset, explained = error.computed.fitted()
    if explained >= EXPLAINED:
        return f"{name} gives {slope:.4g} times float32's values {offset:+.4g}: another normalisation, scale or bias"
    return (
        f"{name} computes something else from the same inputs: the signal to noise ratio is "
        f"{error.computed.sqnr_db:.1f} dB, and neither its weights nor its attributes differ"
    )


def _span(error: LayerError) -> str:
    return f"{error.lowest:.4g} to {error.highest:.4g}"


def _range_in_words(error: LayerError, judged: onnx.ModelProto, name: str) -> str:
    found = quantised_range(judged, error.tensor)
    if found is None:
        return f"the range of {name}, which is found while the graph runs, does not fit float32's {_span(error)}"
    low, high = found
    reach, room = max(-error.lowest, error.highest), max(-low, high)
    if room < reach:
        return (
            f"the range of {name} is too small: its INT8 levels reach from {low:.4g} to {high:.4g}, float32's values "
            f"from {_span(error)}, {reach / room:.1f} times as far; {CALIBRATE}"
        )
    return (
        f"the range of {name} is too large: its INT8 levels reach from {low:.4g} to {high:.4g}, float32's values from "
        f"{_span(error)}, so that {reach / room:.1%} of the levels are in use; {CALIBRATE}"
    )


def quantised_range(proto: onnx.ModelProto, tensor: str) -> tuple[float, float] | None:
    """The smallest and the largest value that a tensor's INT8 levels stand for; None if they are not constant."""
    node = next(each for each in proto.graph.node if each.op_type == "QuantizeLinear" and each.input[0] == tensor)
    scale, zero = constant(proto, node.input[1]), _zero_point(proto, node)
    if scale is None or zero is None:
        return None
    ends = np.iinfo(np.int8 if _is_signed(proto, node) else np.uint8)
    return float((ends.min - zero.max()) * scale.max()), float((ends.max - zero.max()) * scale.max())


def _zero_point(proto: onnx.ModelProto, node: onnx.NodeProto) -> Array | None:
    """The zero point of a QuantizeLinear or DequantizeLinear; 0 where it names none, None if it is not constant."""
    named = len(node.input) > 2 and node.input[2]
    return constant(proto, node.input[2]) if named else np.zeros(1)


def _is_signed(proto: onnx.ModelProto, node: onnx.NodeProto) -> bool:
    kinds = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    return len(node.input) > 2 and kinds.get(node.input[2]) == onnx.TensorProto.INT8


def _weights_in_words(
    theirs: onnx.NodeProto, ours: onnx.NodeProto, reference: onnx.ModelProto, judged: onnx.ModelProto
) -> str:
    if theirs.op_type not in CONVOLUTIONS:
        return _constants_in_words(theirs, ours, reference, judged)
    wanted, found = constant(reference, theirs.input[1]), constant(judged, ours.input[1])
    if wanted is None or found is None:
        return ""
    difference = _difference(wanted, found)
    if difference > SAME_WEIGHTS:
        for other in reference.graph.node:
            if other.op_type in CONVOLUTIONS and other.name != theirs.name:
                values = constant(reference, other.input[1])
                if values is not None and _difference(values, found) <= SAME_WEIGHTS:
                    return f"has the weights of {other.name}"
        return f"has other weights: they differ by {difference:.0%} of their size"
    if len(theirs.input) > 2 and len(ours.input) > 2:
        bias, shifted = constant(reference, theirs.input[2]), constant(judged, ours.input[2])
        if bias is not None and shifted is not None and _difference(bias, shifted) > SAME_BIAS:
            return f"has another bias: it differs by {_difference(bias, shifted):.0%} of its size"
    return ""


def _constants_in_words(
    theirs: onnx.NodeProto, ours: onnx.NodeProto, reference: onnx.ModelProto, judged: onnx.ModelProto
) -> str:
    for one, other in zip(theirs.input, ours.input, strict=False):
        wanted, found = constant(reference, one), constant(judged, other)
        if wanted is not None and found is not None and _difference(wanted, found) > SAME_CONSTANTS:
            return f"reads {_numbers(found)} where the reference reads {_numbers(wanted)}"
    return ""


def _numbers(values: Array) -> str:
    shown = ", ".join(f"{value:.4g}" for value in values.ravel()[:MOST_NUMBERS])
    return shown + (", ..." if values.size > MOST_NUMBERS else "")


def _attributes_in_words(theirs: onnx.NodeProto, ours: onnx.NodeProto) -> str:
    if theirs.op_type != ours.op_type:
        return f"has become a {ours.op_type}"
    wanted, found = (
        {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute} for node in (theirs, ours)
    )
    for key in sorted({*wanted, *found}):
        if wanted.get(key) != found.get(key):
            return f"has {key} {_plain(found.get(key))} where the reference has {_plain(wanted.get(key))}"
    return ""


def _plain(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def constant(proto: onnx.ModelProto, name: str) -> Array | None:
    """A weight or bias in float64, seen through casts and dequantising; None if it is not constant."""
    initializers = {tensor.name: tensor for tensor in proto.graph.initializer}
    if name in initializers:
        values: Array = onnx.numpy_helper.to_array(initializers[name]).astype(np.float64)
        return values
    node = next((each for each in proto.graph.node if name in each.output), None)
    if node is None or node.op_type not in ("Cast", "DequantizeLinear", "Identity", "Constant"):
        return None
    if node.op_type == "Constant":
        found = next((each.t for each in node.attribute if each.name == "value"), None)
        return None if found is None else onnx.numpy_helper.to_array(found).astype(np.float64)
    levels = constant(proto, node.input[0])
    if node.op_type != "DequantizeLinear" or levels is None:
        return levels
    scale, zero = constant(proto, node.input[1]), _zero_point(proto, node)
    if scale is None or zero is None:
        return None
    axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
    shape = [-1 if index == axis and scale.size > 1 else 1 for index in range(levels.ndim)]
    return (levels - zero.reshape(shape)) * scale.reshape(shape)


def _difference(wanted: Array, found: Array) -> float:
    """The norm of the difference over the norm; infinite for other shapes."""
    if wanted.shape != found.shape:
        return math.inf
    size = float(np.linalg.norm(wanted))
    return float(np.linalg.norm(found - wanted)) / size if size else float(np.linalg.norm(found) > 0)
