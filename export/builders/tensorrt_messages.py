"""The refusals of TensorRT's parser as messages of ours, with node, operator and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx

from edgeseg.errors import BadInputError

if TYPE_CHECKING:
    import tensorrt

_UNSUPPORTED = "replace the operator or its attributes in the network, or build for another backend"
ADVICE = {
    "UNSUPPORTED_NODE": _UNSUPPORTED,
    "UNSUPPORTED_NODE_ATTR": "another attribute of this operator; see the parser's operator list",
    "UNSUPPORTED_NODE_INPUT": "constant where the operator asks for one; fold the graph before it is built",
    "UNSUPPORTED_NODE_SHAPE": "a static shape but for the batch",
    "UNSUPPORTED_NODE_DATATYPE": "float32 or FP16 data, int8 between QuantizeLinear and DequantizeLinear",
    "UNSUPPORTED_NODE_DYNAMIC": "a static shape but for the batch",
}
"""Parser error code -> what the network would have to have instead."""
_FOLDED = "edgeseg import-onnx folds this operator: import the network as it was exported, float and not yet quantised"
OPERATOR_ADVICE = {
    **dict.fromkeys(("BatchNormalization", "Dropout", "Identity", "Pad", "Constant", "Shape", "CastLike"), _FOLDED),
    "MaxUnpool": "Resize or ConvTranspose, and a network trained with it",
    "Upsample": "Resize, which opset 10 and later have in its place: export the network again with opset 20",
}
"""Operator -> what to have in its place, where there is a known way."""
_SHOWN = 3


def parse_error(
    title: str, origin: str, parser: tensorrt.OnnxParser, proto: onnx.ModelProto, logged: str
) -> BadInputError:
    """The parser's refusal as an error that names node, operator and shapes.

    Args:
        title: Who refuses.
        origin: The model's path.
        parser: An OnnxParser whose parse failed.
        proto: What it was given.
        logged: What the log holds, for a parser that gives no error.
    """
    errors = [parser.get_error(index) for index in range(min(parser.num_errors, _SHOWN))]
    code = str(errors[0].code()).rpartition(".")[2] if errors else ""
    node = _node(errors[0], proto) if errors else None
    known = OPERATOR_ADVICE.get(node.op_type) if node is not None and code.startswith("UNSUPPORTED") else None
    return BadInputError(
        f"{title} cannot parse {origin}",
        found="; ".join(_describe(error, proto) for error in errors) or logged or "no reason given",
        expected=known or ADVICE.get(code, _UNSUPPORTED),
        next_command="edgeseg build-engine MODEL --backend onnxruntime",
    )


def _describe(error: tensorrt.ParserError, proto: onnx.ModelProto) -> str:
    node = _node(error, proto)
    if node is None:
        return str(error.desc())
    shapes = _shapes(proto)
    inputs = ", ".join(f"{name} {shapes.get(name, '(shape unknown)')}" for name in node.input if name)
    return f"node {node.name or error.node()}, operator {node.op_type}, inputs {inputs}: {error.desc()}"


def _node(error: tensorrt.ParserError, proto: onnx.ModelProto) -> onnx.NodeProto | None:
    """Find the node by name, which is certain; else by number, as the parser counted the graph it was given."""
    named: list[onnx.NodeProto] = [node for node in proto.graph.node if node.name and node.name == error.node_name()]
    if named:
        return named[0]
    index: int = error.node()
    if not 0 <= index < len(proto.graph.node):
        return None
    node: onnx.NodeProto = proto.graph.node[index]
    return node if str(error.node_operator()) in ("", node.op_type) else None


def _shapes(proto: onnx.ModelProto) -> dict[str, str]:
    """Tensor -> ``float[N,8,16,16]``, as far as ONNX's inference comes."""
    try:
        graph = onnx.shape_inference.infer_shapes(proto).graph
    except Exception:  # a network that the parser refuses may be one that shape inference refuses too
        graph = proto.graph
    shapes = {item.name: _shape(item.type.tensor_type) for item in (*graph.input, *graph.value_info, *graph.output)}
    for tensor in graph.initializer:
        shapes[tensor.name] = f"{_dtype(tensor.data_type)}[{','.join(map(str, tensor.dims))}]"
    return shapes


def _shape(tensor: onnx.TypeProto.Tensor) -> str:
    sizes = [str(size.dim_value) if size.HasField("dim_value") else size.dim_param or "?" for size in tensor.shape.dim]
    return f"{_dtype(tensor.elem_type)}[{','.join(sizes)}]"


def _dtype(element: int) -> str:
    return str(onnx.TensorProto.DataType.Name(element)).lower()
