"""Look at a network of strangers: refuse what edgeseg cannot work with, and find its input and output."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import onnx
import onnx.inliner

from edgeseg.errors import BadInputError
from edgeseg.graph.last_nodes import with_output, without_double_transposes
from edgeseg.graph.opset import DEFAULT_DOMAINS, READABLE_OPSETS, opset_of
from edgeseg.graph.weights import copy_of
from edgeseg.shell import quoted
from edgeseg.specs import LARGEST_SIDE

PictureType = Literal["float32", "float16", "float64", "uint8"]
PICTURES: dict[int, PictureType] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.UINT8: "uint8",
}
QUANTISED = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    }
)
PICTURE_RANK = 4
COLOURS = 3
Dimension = int | None
TO_PLANES, TO_PIXELS = [0, 3, 1, 2], [0, 2, 3, 1]
"""Permutations that make NCHW of NHWC, and the reverse."""


@dataclass(frozen=True)
class ForeignInput:
    """The one input of a foreign network: [N,3,H,W] or [N,H,W,3]."""

    name: str
    dtype: PictureType
    """Pictures of uint8 are normalised inside the network."""
    nhwc: bool
    """[N,H,W,3]."""
    batch: int
    """Pictures that it takes at once; 1 where it takes any number."""
    fixed_batch: bool
    height: int
    width: int


def standard_graph(proto: onnx.ModelProto, origin: str) -> onnx.ModelProto:
    """Inline local functions and leave nothing but standard operators on float data.

    Raises:
        BadInputError: Another opset than 11 to 24, operators of other domains, control flow, or a quantised network.
    """
    copy: onnx.ModelProto = onnx.inliner.inline_local_functions(proto) if len(proto.functions) else copy_of(proto)
    oldest, newest = READABLE_OPSETS
    if not oldest <= opset_of(copy) <= newest:
        raise BadInputError(
            f"{origin} uses an operator set that edgeseg does not read",
            found=f"opset {opset_of(copy)}",
            expected=f"opset {oldest} to {newest}",
            next_command="export it again with opset 20",
        )
    nodes = copy.graph.node
    _refuse(
        origin,
        "uses operators that are not part of ONNX",
        (f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in DEFAULT_DOMAINS),
        "operators of the standard domain only",
    )
    _refuse(
        origin,
        "branches or loops inside",
        (node.op_type for node in nodes if any(entry.HasField("g") or entry.graphs for entry in node.attribute)),
        "a network without control flow",
    )
    quantised = (node.op_type for node in nodes if node.op_type in QUANTISED)
    _refuse(origin, "is quantised already", quantised, "the float network; edgeseg quantises it")
    for node in nodes:
        node.domain = ""
    constants = {tensor.name for tensor in copy.graph.initializer}
    inputs = [value for value in copy.graph.input if value.name not in constants]
    del copy.graph.input[:]
    copy.graph.input.extend(inputs)
    return copy


def foreign_input(proto: onnx.ModelProto, origin: str, height: int | None, width: int | None) -> ForeignInput:
    """Find the input and its size.

    Args:
        proto: The graph that `standard_graph` gave.
        origin: The file, for messages.
        height: What the user says, where the file leaves it open.
        width: Likewise.

    Raises:
        BadInputError: Not one picture of three channels, or a size that is open or contradicts the user.
    """
    inputs = proto.graph.input
    if len(inputs) != 1:
        raise BadInputError(
            f"{origin} has {len(inputs)} inputs",
            found=", ".join(describe_value(value) for value in inputs) or "none",
            expected="one input, [N,3,H,W] or [N,H,W,3]",
            next_command="export it again with the others fixed to their values",
        )
    kind, dims = inputs[0].type.tensor_type, dimensions(inputs[0])
    nhwc = len(dims) == PICTURE_RANK and dims[1] != COLOURS and dims[3] == COLOURS
    if kind.elem_type not in PICTURES or len(dims) != PICTURE_RANK or not (nhwc or dims[1] == COLOURS):
        raise BadInputError(
            f"the input of {origin} is no picture of three colours",
            found=describe_value(inputs[0]),
            expected="float32, float16, float64 or uint8, [N,3,H,W] or [N,H,W,3]",
            next_command="export it again with such an input",
        )
    rows, columns = (dims[1], dims[2]) if nhwc else (dims[2], dims[3])
    return ForeignInput(
        name=inputs[0].name,
        dtype=PICTURES[kind.elem_type],
        nhwc=nhwc,
        batch=dims[0] or 1,
        fixed_batch=dims[0] is not None,
        height=_length("height", rows, height, origin),
        width=_length("width", columns, width, origin),
    )


def with_single_output(proto: onnx.ModelProto, name: str | None, origin: str) -> onnx.ModelProto:
    """Keep the output that is meant; what only the others need becomes unused.

    Raises:
        BadInputError: Several outputs and no choice, or a choice that is neither an output nor a tensor inside.
    """
    outputs = {value.name: value for value in proto.graph.output}
    if name is None and len(outputs) != 1:
        raise BadInputError(
            f"{origin} has {len(outputs)} outputs",
            found=", ".join(describe_value(value) for value in outputs.values()),
            expected="one output, or the name of the one that is meant",
            next_command=f"edgeseg import-onnx {quoted(origin)} --out model.onnx "
            f"--output-name {quoted(next(iter(outputs)))}",
        )
    if name is not None and name not in outputs:
        if not any(name in node.output for node in proto.graph.node):
            raise BadInputError(f"{origin} has no output {name}", found=", ".join(outputs))
        return with_output(proto, name)
    copy = copy_of(proto)
    del copy.graph.output[:]
    copy.graph.output.append(outputs[name] if name is not None else next(iter(outputs.values())))
    return copy


def with_static_input(proto: onnx.ModelProto, shape: ForeignInput, batch: int) -> onnx.ModelProto:
    """Write the input's shape down, and leave the output's and every other one to inference."""
    copy = copy_of(proto)
    sizes = (shape.height, shape.width, COLOURS) if shape.nhwc else (COLOURS, shape.height, shape.width)
    for dim, size in zip(copy.graph.input[0].type.tensor_type.shape.dim, (batch, *sizes), strict=True):
        dim.dim_value = size
    for dim in copy.graph.output[0].type.tensor_type.shape.dim:
        dim.Clear()
    del copy.graph.value_info[:]
    return copy


def with_float_planes(proto: onnx.ModelProto, shape: ForeignInput) -> onnx.ModelProto:
    """Let the input be float32 [N,3,H,W]; a Transpose makes NHWC of it, a Cast to the type that is there is idle.

    Args:
        proto: With its static input; data of float32 where they are float.
        shape: Its input.
    """
    copy = copy_of(proto)
    value = copy.graph.input[0]
    value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    if shape.nhwc:
        dims = value.type.tensor_type.shape.dim
        sizes = [dims[axis].dim_value for axis in TO_PLANES]
        value.name = f"{shape.name}.planes"
        for dim, size in zip(dims, sizes, strict=True):
            dim.dim_value = size
        first = onnx.helper.make_node("Transpose", [value.name], [shape.name], perm=TO_PIXELS)
        nodes = [first, *(onnx.NodeProto.FromString(node.SerializeToString()) for node in copy.graph.node)]
        del copy.graph.node[:]
        copy.graph.node.extend(nodes)
    return without_double_transposes(copy)


def dimensions(value: onnx.ValueInfoProto) -> list[Dimension]:
    """The shape, None where it is open; empty where nothing is said."""
    return [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in value.type.tensor_type.shape.dim
    ]


def describe_value(value: onnx.ValueInfoProto) -> str:
    """Describe an input or output, for example ``image: float [?,3,64,64]``."""
    kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    return f"{value.name}: {kind} [{','.join('?' if dim is None else str(dim) for dim in dimensions(value))}]"


def _length(side: str, there: int | None, said: int | None, origin: str) -> int:
    if there is None and said is None:
        raise BadInputError(
            f"{origin} leaves its {side} open",
            found=f"a dynamic {side}",
            expected=f"a fixed {side}, or --{side}",
            next_command=f"edgeseg import-onnx {quoted(origin)} --height H --width W --out model.onnx",
        )
    if there is not None and said is not None and there != said:
        raise BadInputError(f"{origin} has another {side} than was said", found=there, expected=said)
    chosen = there if there is not None else said
    assert chosen is not None
    if chosen > LARGEST_SIDE:
        raise BadInputError(
            f"{origin} takes too large a picture", found=f"{side} {chosen}", expected=f"at most {LARGEST_SIDE}"
        )
    return chosen


def _refuse(origin: str, what: str, found: Iterable[str], expected: str) -> None:
    names = sorted(set(found))
    if names:
        raise BadInputError(f"{origin} {what}", found=", ".join(names), expected=expected)
