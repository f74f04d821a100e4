"""The passes that make a foreign network one of float32 planes, constant shapes and a free batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx

from edgeseg.errors import BadInputError, UsageError
from edgeseg.export.foreign.foreign_options import ImportOptions
from edgeseg.graph.batch import BATCHES, with_any_batch
from edgeseg.graph.batch_norm import with_folded_batch_norm
from edgeseg.graph.cleanup import with_constants_as_initialisers, without_pass_through, without_unused
from edgeseg.graph.float32 import DOUBLE, holds_fp16, with_float32_data
from edgeseg.graph.foreign import (
    ForeignInput,
    foreign_input,
    standard_graph,
    with_float_planes,
    with_single_output,
    with_static_input,
)
from edgeseg.graph.last_nodes import output_meaning, without_argmax
from edgeseg.graph.opset import opset_of, with_contract_opset
from edgeseg.graph.padding import with_folded_padding
from edgeseg.graph.shapes import with_constant_shapes, with_free_batch


@dataclass(frozen=True)
class PreparedNetwork:
    """A foreign network, ready to be wrapped."""

    source: onnx.ModelProto
    """The file as it came, but for its one output."""
    shape: ForeignInput
    """The input of the file as it came."""
    output: str
    """The output's name."""
    half: bool
    """The file rounds results to FP16."""
    alone: onnx.ModelProto
    """Folded at the batch of the file, or at one picture where the file leaves the batch open."""
    origin: str
    changes: tuple[str, ...]

    def graphs(self) -> Iterator[tuple[onnx.ModelProto, bool]]:
        """The network as float32 [N,3,H,W] in opset 19 or 20, in the forms worth trying, the best first.

        Whether one of them computes what the file computes, for one picture and for several, must be tried.

        Yields:
            A graph, and whether it takes any number of pictures; the last one takes one.
        """
        yield with_free_batch(self.alone), True
        if not self.shape.fixed_batch:
            folded = (_folded(self.source, self.shape, batch, self.origin) for batch in BATCHES)
            first, second = (with_free_batch(stages.padded, reshapes=False) for stages in folded)
            joined = with_any_batch(first, second)
            if joined is not None:
                yield joined, True
        if self.shape.batch == 1:
            yield self.alone, False


@dataclass(frozen=True)
class _Stages:
    """A network between the passes, at one batch."""

    plain: onnx.ModelProto
    current: onnx.ModelProto
    simple: onnx.ModelProto
    padded: onnx.ModelProto

    def changes(self, source: onnx.ModelProto, shape: ForeignInput) -> tuple[str, ...]:
        """Phrases for what the passes changed."""
        return (
            *_opset_change(source, self.current),
            *(["FP16 data became float32 with the weights' values kept"] if holds_fp16(source) else []),
            *(["double data became float32"] if shape.dtype == "float64" else []),
            *(["pictures in [N,H,W,3] are taken apart into planes"] if shape.nhwc else []),
            *_count(self.plain, self.current, "BatchNormalization"),
            *_count(self.simple, self.padded, "Pad"),
        )


def _folded(source: onnx.ModelProto, shape: ForeignInput, batch: int, origin: str) -> _Stages:
    """Fold shapes, batch norms and paddings at one batch.

    Raises:
        BadInputError: See `edgeseg.graph.opset`.
    """
    proto = without_unused(with_constants_as_initialisers(with_static_input(source, shape, batch)))
    proto = with_float32_data(proto) if holds_fp16(source) else proto
    proto = with_float32_data(proto, DOUBLE) if shape.dtype == "float64" else proto
    plain = with_constant_shapes(without_pass_through(with_float_planes(proto, shape)))
    current = with_constants_as_initialisers(with_contract_opset(with_folded_batch_norm(plain), origin))
    simple = with_constant_shapes(current)
    return _Stages(plain, current, simple, with_folded_padding(simple))


def prepare(source: onnx.ModelProto, origin: str, options: ImportOptions) -> tuple[PreparedNetwork, ImportOptions]:
    """Check a foreign graph, find its input and output, and settle what the user left open.

    Args:
        source: The file that `parse_onnx` read.
        origin: The file, for messages.
        options: Which output is meant, and the size where the file leaves it open.

    Returns:
        The network, and options in which `output` is no longer ``auto``, with the scale that uint8 pictures need.

    Raises:
        BadInputError: See `edgeseg.graph.foreign` and `edgeseg.graph.opset`.
        UsageError: A normalisation for a network that brings its own.
    """
    chosen = with_single_output(standard_graph(source, origin), options.output_name, origin)
    compared = without_argmax(chosen)
    proto = chosen if compared is None else compared
    output = proto.graph.output[0].name
    shape = foreign_input(proto, origin, options.height, options.width)
    _check_connected(proto, origin)
    meaning = output_meaning(proto)
    changes = [] if compared is None else [f"the values that its ArgMax compares ({output}) are taken"]
    if options.output == "auto":
        taken = f"{output} ends in a sigmoid or softmax, so it is taken as probability"
        changes += [taken] if meaning == "probability" else []
        options = replace(options, output=meaning)
    options = _of_bytes(options, origin) if shape.dtype == "uint8" else options
    stages = _folded(proto, shape, shape.batch, origin)
    told = (*stages.changes(proto, shape), *changes)
    return PreparedNetwork(proto, shape, output, holds_fp16(proto), stages.padded, origin, told), options


def _of_bytes(options: ImportOptions, origin: str) -> ImportOptions:
    plain = ImportOptions()
    if (options.mean, options.std) != (plain.mean, plain.std) or options.scale not in (plain.scale, 1.0):
        raise UsageError(
            f"{origin} takes pictures of uint8, so its normalisation is inside it",
            found=f"--mean {options.mean}, --std {options.std}, --scale {options.scale:g}",
            expected="none of --mean, --std and --scale",
        )
    return replace(options, scale=1.0)


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
