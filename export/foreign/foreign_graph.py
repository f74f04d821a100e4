"""The passes that make a foreign network one of float32 data, constant shapes and a free batch."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from edgeseg.errors import BadInputError
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.graph.batch_norm import with_folded_batch_norm
from edgeseg.graph.cleanup import with_constants_as_initialisers, without_pass_through, without_unused
from edgeseg.graph.float32 import holds_fp16, with_float32_data
from edgeseg.graph.foreign import (
    ForeignInput,
    foreign_input,
    standard_graph,
    with_single_output,
    with_static_input,
)
from edgeseg.graph.opset import opset_of, with_contract_opset
from edgeseg.graph.padding import with_folded_padding
from edgeseg.graph.shapes import with_constant_shapes, with_free_batch


@dataclass(frozen=True)
class PreparedNetwork:
    """A foreign network, ready to be wrapped."""

    proto: onnx.ModelProto
    """float32 [N,3,H,W] in; N is free."""
    shape: ForeignInput
    """The input of the file as it came."""
    output: str
    """The output's name in the file as it came."""
    half: bool
    """The file rounds results to FP16."""
    changes: tuple[str, ...]


def prepare(source: onnx.ModelProto, origin: str, options: ImportOptions) -> PreparedNetwork:
    """Check a foreign graph and bring it to float32, opset 19 or 20, with batch norms and paddings folded.

    Args:
        source: The file that `parse_onnx` read.
        origin: The file, for messages.
        options: Which output is meant, and the size where the file leaves it open.

    Raises:
        BadInputError: See `edgeseg.graph.foreign` and `edgeseg.graph.opset`.
    """
    proto = with_single_output(standard_graph(source, origin), options.output_name, origin)
    output = proto.graph.output[0].name
    shape = foreign_input(proto, origin, options.height, options.width)
    proto = without_unused(with_constants_as_initialisers(with_static_input(proto, shape)))
    _check_connected(proto, origin)
    half = holds_fp16(proto)
    plain = with_constant_shapes(without_pass_through(with_float32_data(proto) if half else proto))
    folded = with_folded_batch_norm(plain)
    current = with_constants_as_initialisers(with_contract_opset(folded, origin))
    simple = with_constant_shapes(current)
    padded = with_folded_padding(simple)
    changes = (
        *_opset_change(source, current),
        *(["FP16 data became float32, the weights' values kept"] if half else []),
        *_count(plain, folded, "BatchNormalization"),
        *_count(simple, padded, "Pad"),
    )
    return PreparedNetwork(with_free_batch(padded), shape, output, half, changes)


def _check_connected(proto: onnx.ModelProto, origin: str) -> None:
    reached = {proto.graph.input[0].name}
    for node in proto.graph.node:
        if reached & set(node.input):
            reached.update(node.output)
    output = proto.graph.output[0].name
    if output not in reached or output == proto.graph.input[0].name:
        raise BadInputError(f"the output {output} of {origin} is not computed from its input")


def _opset_change(before: onnx.ModelProto, after: onnx.ModelProto) -> list[str]:
    old, new = opset_of(before), opset_of(after)
    return [f"opset {old} became {new}"] if old != new else []


def _count(before: onnx.ModelProto, after: onnx.ModelProto, operator: str) -> list[str]:
    there, left = (sum(node.op_type == operator for node in proto.graph.node) for proto in (before, after))
    return [f"{there - left} of {there} {operator} folded into convolutions"] if there else []
