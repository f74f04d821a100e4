import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeseg.errors import BadInputError
from edgeseg.graph.cleanup import with_constants_as_initialisers, without_pass_through, without_unused
from edgeseg.graph.onnx_files import parse_onnx
from edgeseg.graph.opset import with_contract_opset
from edgeseg.graph.padding import with_folded_padding
from edgeseg.graph.shapes import with_constant_shapes, with_free_batch
from tests.peak_memory import peak_growth


def network(nodes: list[Any], tensors: dict[str, np.ndarray] | None = None, opset: int = 20) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in (tensors or {}).items()],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", opset)])


def operators(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def assert_same(before: onnx.ModelProto, after: onnx.ModelProto, batch: int = 1) -> None:
    x = np.random.default_rng(0).normal(size=(batch, 2, 6, 8)).astype(np.float32)
    alone = [ReferenceEvaluator(before).run(None, {"x": x[index : index + 1]})[0] for index in range(batch)]
    np.testing.assert_allclose(ReferenceEvaluator(after).run(None, {"x": x})[0], np.concatenate(alone), rtol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value": numpy_helper.from_array(np.array([2.5], np.float32))}, 2.5),
        ({"value_float": 2.5}, 2.5),
        ({"value_floats": [2.5]}, 2.5),
    ],
)
def test_constants_become_initialisers(attributes: dict[str, Any], expected: float) -> None:
    proto = network([helper.make_node("Constant", [], ["c"], **attributes), helper.make_node("Mul", ["x", "c"], ["y"])])
    clean = with_constants_as_initialisers(proto)
    assert operators(clean) == ["Mul"]
    assert numpy_helper.to_array(clean.graph.initializer[0]).item() == expected
    assert_same(proto, clean)


def test_a_cast_of_a_constant_is_computed() -> None:
    half = np.array([0.1], np.float16)
    nodes = [
        helper.make_node("Cast", ["h"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "c"], ["y"]),
    ]
    clean = without_unused(with_constants_as_initialisers(network(nodes, {"h": half})))
    assert operators(clean) == ["Mul"]
    assert numpy_helper.to_array(clean.graph.initializer[0]).item() == float(half[0])


def test_what_passes_data_on_goes_even_at_the_output() -> None:
    nodes = [
        helper.make_node("Identity", ["x"], ["a"]),
        helper.make_node("Dropout", ["a"], ["b", ""]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Cast", ["c"], ["d"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["d"], ["y"]),
    ]
    proto = network(nodes)
    clean = without_pass_through(proto)
    assert operators(clean) == ["Relu"]
    assert_same(proto, clean)


def test_dropout_in_training_and_casts_that_change_the_type_stay() -> None:
    nodes = [
        helper.make_node("Dropout", ["x", "ratio", "training"], ["a"]),
        helper.make_node("Cast", ["a"], ["b"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", ["b"], ["y"], to=TensorProto.FLOAT),
    ]
    tensors = {"ratio": np.array(0.5, np.float32), "training": np.array(True)}
    assert operators(without_pass_through(network(nodes, tensors))) == ["Dropout", "Cast", "Cast"]


@pytest.mark.parametrize("own", [{}, {"pads": [1, 0, 2, 0]}, {"auto_pad": "VALID"}])
def test_zero_padding_moves_into_the_convolution(own: dict[str, Any]) -> None:
    nodes = [helper.make_node("Pad", ["x", "p"], ["a"]), helper.make_node("Conv", ["a", "w"], ["y"], **own)]
    weight = np.random.default_rng(1).normal(size=(1, 2, 3, 3)).astype(np.float32)
    proto = network(nodes, {"p": np.array([0, 0, 1, 2, 0, 0, 3, 0]), "w": weight})
    folded = with_folded_padding(proto)
    assert operators(folded) == ["Conv"]
    if "auto_pad" in own:  # VALID is no padding; onnx's evaluator pads all the same before 1.22
        del proto.graph.node[1].attribute[:]
    assert_same(proto, folded)


@pytest.mark.parametrize("kind", ["reflect", "value", "channels", "negative", "two readers"])
def test_other_padding_stays(kind: str) -> None:
    pads = [0, 1 if kind == "channels" else 0, 1, 1, 0, 0, -1 if kind == "negative" else 1, 1]
    extra = ["v"] if kind == "value" else []
    mode = "reflect" if kind == "reflect" else "constant"
    nodes = [
        helper.make_node("Pad", ["x", "p", *extra], ["a"], mode=mode),
        helper.make_node("Conv", ["a", "w"], ["b"]),
        helper.make_node("Add", ["b", "a" if kind == "two readers" else "b"], ["y"]),
    ]
    channels = 3 if kind == "channels" else 2
    tensors = {"p": np.array(pads), "w": np.ones((2, channels, 1, 1), np.float32), "v": np.array(1, np.float32)}
    proto = network(nodes, tensors)
    folded = with_folded_padding(proto)
    assert operators(folded) == ["Pad", "Conv", "Add"]
    assert list(folded.graph.node) == list(proto.graph.node)


def test_computed_sizes_become_constants_and_the_batch_free() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "first"], ["n"]),
        helper.make_node("Concat", ["n", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["flat"]),
        helper.make_node("Shape", ["x"], ["back"]),
        helper.make_node("Reshape", ["flat", "back"], ["again"]),
        helper.make_node("Mul", ["s", "twice"], ["larger"]),
        helper.make_node("Resize", ["again", "", "", "larger"], ["y"], mode="linear"),
    ]
    tensors = {"first": np.array([0]), "rest": np.array([2, -1]), "twice": np.array([1, 1, 2, 2])}
    proto = network(nodes, tensors)
    free = with_free_batch(with_constant_shapes(proto))
    assert operators(free) == ["Reshape", "Reshape", "Resize"]
    assert_same(proto, free, batch=3)


def test_a_bias_and_pads_that_exporters_compute_become_constants() -> None:
    nodes = [
        helper.make_node("Reshape", ["pairs", "square"], ["table"]),
        helper.make_node("Transpose", ["table"], ["turned"], perm=[1, 0]),
        helper.make_node("Reshape", ["turned", "flat"], ["pads"]),
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("Shape", ["w"], ["all"], end=1),
        helper.make_node("CastLike", ["zero", "padded"], ["float_zero"]),
        helper.make_node("Expand", ["float_zero", "all"], ["bias"]),
        helper.make_node("Conv", ["padded", "w", "bias"], ["y"]),
    ]
    tensors = {
        "pairs": np.array([0, 0, 0, 0, 1, 2, 0, 1]),
        "square": np.array([4, 2]),
        "flat": np.array([-1]),
        "zero": np.array([0.5], np.float32),
        "w": np.ones((70, 2, 1, 1), np.float32),
    }
    proto = network(nodes, tensors)
    simple = with_folded_padding(with_constant_shapes(proto))
    assert operators(simple) == ["Conv"]
    assert_same(proto, simple)


def test_a_large_fill_is_left_to_the_backend() -> None:
    nodes = [helper.make_node("Expand", ["one", "shape"], ["fill"]), helper.make_node("Add", ["x", "fill"], ["y"])]
    proto = network(nodes, {"one": np.ones(1, np.float32), "shape": np.array([100, 2, 6, 8])})
    assert operators(with_constant_shapes(proto)) == ["Expand", "Add"]


@pytest.mark.parametrize("kind", ["Range", "Concat"])
def test_a_small_file_does_not_take_the_memory(kind: str) -> None:
    if kind == "Range":
        nodes = [helper.make_node("Range", ["zero", "many", "one"], ["long"])]
    else:
        names = ["pair", *(f"twice_{index}" for index in range(22)), "long"]
        nodes = [helper.make_node("Concat", [a, a], [b], axis=0) for a, b in itertools.pairwise(names)]
    nodes += [
        helper.make_node("Cast", ["long"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["largest"], keepdims=0),
        helper.make_node("Add", ["x", "largest"], ["y"]),
    ]
    values = {"zero": np.array(0), "one": np.array(1), "many": np.array(20_000_000), "pair": np.array([1, 2])}
    left: list[str] = []
    assert peak_growth(lambda: left.extend(operators(with_constant_shapes(network(nodes, values))))) < 100 << 20
    assert left[-3:] == ["Cast", "ReduceMax", "Add"]


def test_shapes_that_follow_from_computed_shapes_are_found_in_long_chains() -> None:
    nodes, last = [], "x"
    for index in range(120):
        nodes += [
            helper.make_node("Shape", [last], [f"shape_{index}"]),
            helper.make_node("Gather", [f"shape_{index}", "first"], [f"count_{index}"]),
            helper.make_node("Concat", [f"count_{index}", "rest"], [f"to_{index}"], axis=0),
            helper.make_node("Reshape", [last, f"to_{index}"], [f"flat_{index}"]),
            helper.make_node("HardSwish", [f"flat_{index}"], [f"active_{index}"]),
            helper.make_node("Reshape", [f"active_{index}", f"shape_{index}"], [f"back_{index}"]),
        ]
        last = f"back_{index}"
    proto = network([*nodes, helper.make_node("Relu", [last], ["y"])], {"first": np.array([0]), "rest": np.array([96])})
    simple = with_constant_shapes(proto)
    assert set(operators(simple)) == {"Reshape", "HardSwish", "Relu"}
    assert_same(proto, simple)


@pytest.mark.parametrize("size", [[1, 2, 9, 20], [1, 2, 7, 11]])
def test_a_resize_to_sizes_keeps_them_in_every_batch(size: list[int]) -> None:
    proto = network([helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="linear")], {"s": np.array(size)})
    assert_same(proto, with_free_batch(proto), batch=2)


def test_an_operator_without_a_conversion_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(proto: onnx.ModelProto, version: int) -> onnx.ModelProto:
        raise RuntimeError("adapter_lookup: Assertion `false` failed: No Adapter From Version $16 for Identity")

    monkeypatch.setattr("onnx.version_converter.convert_version", refuse)
    with pytest.raises(BadInputError, match="from opset 17 to opset 20") as caught:
        with_contract_opset(network([helper.make_node("Relu", ["x"], ["y"])], opset=17), "f.onnx")
    assert caught.value.found == "No Adapter From Version $16 for Identity"


def test_a_constant_node_may_not_read_files_either() -> None:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "c")
    onnx.external_data_helper.set_external_data(tensor, location="secret.bin")
    tensor.ClearField("raw_data")
    nodes = [helper.make_node("Constant", [], ["c"], value=tensor), helper.make_node("Mul", ["x", "c"], ["y"])]
    with pytest.raises(BadInputError, match="other files"):
        parse_onnx(network(nodes).SerializeToString(), "f.onnx")
