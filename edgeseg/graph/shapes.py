"""Make shapes constant where they are computed, and the batch free where it is written down."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from edgeseg.graph.batch import name_batch
from edgeseg.graph.cleanup import attribute, with_constants_as_initialisers, without_pass_through, without_unused
from edgeseg.graph.opset import opset_of
from edgeseg.graph.weights import copy_of

# fmt: off
SHAPE_ARITHMETIC = frozenset({
    "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Floor", "Ceil", "Round", "Sqrt", "Min", "Max", "Equal", "Greater",
    "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or", "Where", "Cast", "CastLike", "Identity", "Clip", "Abs",
    "Sign", "Pow", "Gather", "Concat", "Slice", "Squeeze", "Unsqueeze", "Flatten", "Reshape", "ReduceProd", "ReduceSum",
    "ReduceMin", "ReduceMax", "ConstantOfShape", "Range", "Expand", "Transpose", "Split", "NonZero", "ScatterND",
})
# fmt: on
"""Operators that exporters compute sizes with."""
LARGEST_SHAPE = 64
"""Values in a tensor that still counts as a shape; larger ones are left to the backend."""
LARGEST_FILL = 4096
"""Values in a constant that is one value repeated, such as a bias of zeros."""
MOST_ROUNDS = 100
PICTURE_RANK = 4


def with_constant_shapes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Replace the arithmetic on shapes by its results.

    Args:
        proto: Static shape at its input; opset 11 and later.
    """
    for _ in range(MOST_ROUNDS):
        folded = without_pass_through(_one_round(proto))
        if len(folded.graph.node) == len(proto.graph.node):
            break
        proto = folded
    return without_unused(proto)


def with_free_batch(proto: onnx.ModelProto, reshapes: bool = True) -> onnx.ModelProto:
    """Let a graph that was traced for one batch size take any, as far as the batch is the outermost dimension.

    Reshape infers its first dimension, Resize scales height and width instead of naming all four sizes. Whether the
    rest of the network agrees must be tried: nothing here runs it.

    Args:
        proto: Static shape at its input, shapes constant, opset 18 and later.
        reshapes: Whether Reshapes are changed, too, and the batch called N.
    """
    types = _types(proto)
    copy = copy_of(proto)
    graph = copy.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    empty = {tensor.name for tensor in graph.initializer if 0 in tensor.dims}
    for index, node in enumerate(graph.node):
        if node.op_type == "Resize":
            node.input[1:] = ["" if name in empty else name for name in node.input[1:]]
        shape, size = (_shape(types.get(name)) for name in ((*node.input, "")[0], node.output[0]))
        if shape is None or size is None or not shape or not size or node.input[0] in constants:
            continue
        if reshapes and node.op_type == "Reshape" and node.input[1] in constants and math.prod(size) > 0:
            _set_input(graph, node, 1, np.asarray([-1, *size[1:]], np.int64), f"reshape_{index}.shape")
        elif node.op_type == "Resize" and len(node.input) > 3 and node.input[3] in constants and shape[0] == size[0]:
            _scale_resize(graph, node, shape, size, f"resize_{index}")
    if reshapes:
        name_batch(copy)
    del graph.value_info[:]
    return without_unused(copy)


def _one_round(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = with_constants_as_initialisers(proto)
    graph, opset = copy.graph, opset_of(copy)
    types = _types(copy)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    kept = []
    for node in graph.node:
        results = None if outputs & set(node.output) else _evaluated(node, constants, types, opset)
        if results is None:
            kept.append(node)
            types.update(_types_of_results(node, constants, types, opset))
        else:
            constants.update((tensor.name, tensor) for tensor in results)
            types.update((tensor.name, _type_of(tensor)) for tensor in results)
            graph.initializer.extend(results)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(nodes)
    return without_unused(copy)


def _types_of_results(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], types: dict[str, onnx.TypeProto], opset: int
) -> dict[str, onnx.TypeProto]:
    """Infer one node again, now that some of its inputs are constant; nothing where its results were known before."""
    names = [name for name in node.input if name]
    if all(_shape(types.get(name)) is not None for name in node.output if name) or any(n not in types for n in names):
        return {}
    small = {name: constants[name] for name in names if _is_small(name, constants)}
    known = {name: types[name] for name in names}
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
        opsets = [onnx.helper.make_opsetid("", opset)]
        return dict(onnx.shape_inference.infer_node_outputs(schema, node, known, small, opset_imports=opsets))
    except Exception:  # the node stays as it is, and the backend says what is wrong with it
        return {}


def _evaluated(
    node: onnx.NodeProto, constants: dict[str, onnx.TensorProto], types: dict[str, onnx.TypeProto], opset: int
) -> list[onnx.TensorProto] | None:
    if node.op_type in ("Shape", "Size"):
        shape = _shape(types.get(node.input[0]))
        if shape is None:
            return None
        chosen = np.asarray(shape, np.int64)
        if node.op_type == "Size":
            return [onnx.numpy_helper.from_array(np.asarray(chosen.prod(), np.int64), node.output[0])]
        start, end = attribute(node, "start", 0), attribute(node, "end")
        assert isinstance(start, int) and (end is None or isinstance(end, int))
        return [onnx.numpy_helper.from_array(chosen[start:end], node.output[0])]
    inputs = [name for name in node.input if name]
    if node.op_type not in SHAPE_ARITHMETIC or not inputs or any(not _is_small(name, constants) for name in inputs):
        return None
    if node.op_type in ("ConstantOfShape", "Expand", "Range") and _is_large(node, constants):
        return None
    return _run(node, {name: constants[name] for name in inputs}, opset)


def _is_small(name: str, constants: dict[str, onnx.TensorProto]) -> bool:
    return name in constants and int(math.prod(constants[name].dims)) <= LARGEST_SHAPE


def _is_large(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    values = [onnx.numpy_helper.to_array(constants[name]) for name in node.input]
    if node.op_type in ("ConstantOfShape", "Expand"):
        return int(np.prod(values[-1])) > LARGEST_FILL
    start, limit, step = (float(value) for value in values)
    return step == 0 or (limit - start) / step > LARGEST_FILL


def _run(node: onnx.NodeProto, inputs: dict[str, onnx.TensorProto], opset: int) -> list[onnx.TensorProto] | None:
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "shape", [], outputs, list(inputs.values()))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        results = ReferenceEvaluator(model).run(None, {})
    except Exception:  # the node stays as it is, and the backend says what is wrong with it
        return None
    return [
        onnx.numpy_helper.from_array(np.asarray(result), value.name)
        for result, value in zip(results, outputs, strict=True)
    ]


def _scale_resize(graph: onnx.GraphProto, node: onnx.NodeProto, shape: list[int], size: list[int], name: str) -> None:
    """Give a Resize its scales where height and width come out exactly, else the sizes of the last two axes."""
    if len(shape) != PICTURE_RANK or attribute(node, "axes") is not None or shape[1] != size[1]:
        return
    scales = [np.float32(after / before) for before, after in zip(shape, size, strict=True)]
    exact = all(Fraction(float(s)) * b == a for s, b, a in zip(scales, shape, size, strict=True))
    if exact and attribute(node, "coordinate_transformation_mode") != b"tf_crop_and_resize":
        _set_input(graph, node, 2, np.asarray(scales, np.float32), f"{name}.scales")
        del node.input[3:]
        policy = [entry for entry in node.attribute if entry.name == "keep_aspect_ratio_policy"]
        for entry in policy:
            node.attribute.remove(entry)
    elif not any(node.input[1:3]):
        _set_input(graph, node, 3, np.asarray(size[2:], np.int64), f"{name}.sizes")
        node.attribute.append(onnx.helper.make_attribute("axes", [2, 3]))


def _set_input(graph: onnx.GraphProto, node: onnx.NodeProto, index: int, values: np.ndarray, name: str) -> None:
    taken = {tensor.name for tensor in graph.initializer} | {out for other in graph.node for out in other.output}
    while name in taken:
        name += "_"
    graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    node.input[index] = name


def _types(proto: onnx.ModelProto) -> dict[str, onnx.TypeProto]:
    """Tensor name -> its type, as far as inference tells.

    Without the values of tensors (`data_prop`), of which onnx makes a list of dimensions each: a Range, or a Concat of
    Concats, in a file of 1 kB would take all of the memory.
    """
    graph = onnx.shape_inference.infer_shapes(proto).graph
    types = {value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)}
    return types | {tensor.name: _type_of(tensor) for tensor in graph.initializer}


def _type_of(tensor: onnx.TensorProto) -> onnx.TypeProto:
    made: onnx.TypeProto = onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
    return made


def _shape(kind: onnx.TypeProto | None) -> list[int] | None:
    """The sizes of a tensor; None where one of them is not known."""
    if kind is None or not kind.tensor_type.HasField("shape"):
        return None
    dims = kind.tensor_type.shape.dim
    return [dim.dim_value for dim in dims] if all(dim.HasField("dim_value") for dim in dims) else None
