import networkx
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.artifacts import PrecisionPlan
from edgeseg.calibration.placement import assign, default_plan, lowest
from edgeseg.errors import BadInputError
from edgeseg.graph.onnx_files import OnnxArtifact

NAMES = ["stem", "down", "residual", "up", "head"]


def with_operator(proto: onnx.ModelProto, name: str, operator: str) -> onnx.ModelProto:
    next(node for node in proto.graph.node if node.name == name).op_type = operator
    return proto


@pytest.mark.parametrize("beside", ["fp16", "fp32"])
def test_the_default_plan_keeps_the_ends_float(small_artifact: OnnxArtifact, beside: str) -> None:
    plan = default_plan(small_artifact.proto, "int8", beside)  # type: ignore[arg-type]
    assert (plan.default, plan.layers) == ("int8", {"stem": beside, "head": beside})
    assigned = assign(small_artifact.proto, plan)
    assert list(assigned) == NAMES
    assert [name for name, precision in assigned.items() if precision == "int8"] == ["down", "residual", "up"]


def test_transposed_convolutions_and_computed_weights_stay_float(small_artifact: OnnxArtifact) -> None:
    proto = with_operator(small_artifact.proto, "up", "ConvTranspose")
    next(node for node in proto.graph.node if node.name == "down").input[1] = "pooled"
    assert default_plan(proto, "int8").layers == {"stem": "fp16", "down": "fp16", "up": "fp16", "head": "fp16"}
    with pytest.raises(BadInputError) as caught:
        assign(proto, PrecisionPlan(default="int8"))
    assert caught.value.found == "down (Conv), up (ConvTranspose)"


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """Convolutions, activations and sums in any wiring; every tensor that nothing takes is an output."""
    nodes, tensors, taken = [], ["picture"], set()
    for index in range(draw(st.integers(1, 9))):
        operator = draw(st.sampled_from(["Conv", "Relu", "Add"]))
        inputs = [draw(st.sampled_from(tensors)) for _ in range(2 if operator == "Add" else 1)]
        taken.update(inputs)
        weights = ["weight"] if operator == "Conv" else []
        nodes.append(onnx.helper.make_node(operator, [*inputs, *weights], [f"t{index}"], f"n{index}"))
        tensors.append(f"t{index}")
    outputs = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors if name not in taken
    ]
    picture = onnx.helper.make_tensor_value_info("picture", onnx.TensorProto.FLOAT, None)
    weight = onnx.helper.make_tensor("weight", onnx.TensorProto.FLOAT, [1, 1, 1, 1], [1.0])
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "any", [picture], outputs, [weight]))


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_the_ends_of_every_way_through_a_graph_stay_float(proto: onnx.ModelProto) -> None:
    ways = networkx.DiGraph()
    ways.add_nodes_from(node.name for node in proto.graph.node)
    ways.add_edges_from(
        (giver.name, taker.name)
        for giver in proto.graph.node
        for taker in proto.graph.node
        if giver.output[0] in taker.input
    )
    convolutions = {node.name for node in proto.graph.node if node.op_type == "Conv"}
    ends = {
        name
        for name in convolutions
        if not networkx.ancestors(ways, name) & convolutions or not networkx.descendants(ways, name) & convolutions
    }
    assert set(default_plan(proto, "int8").layers) == ends


def test_what_a_node_leaves_out_joins_no_ways() -> None:
    """A head whose Dropout gives no mask, beside a Resize that takes no region: both leave a name empty."""
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    nodes = [
        node("Conv", ["picture", "weight"], ["a"], "stem"),
        node("Conv", ["a", "weight"], ["b"], "first"),
        node("Dropout", ["b"], ["one", ""], "dropout"),
        node("Conv", ["a", "weight"], ["c"], "inner"),
        node("Resize", ["c", "", "scales"], ["d"], "resize"),
        node("Conv", ["d", "weight"], ["two"], "second"),
    ]
    ends = [info(name, onnx.TensorProto.FLOAT, None) for name in ("picture", "one", "two")]
    constants = [
        onnx.helper.make_tensor("weight", 1, [1, 1, 1, 1], [1.0]),
        onnx.helper.make_tensor("scales", 1, [0], []),
    ]
    proto = onnx.helper.make_model(onnx.helper.make_graph(nodes, "two heads", ends[:1], ends[1:], constants))
    assert set(default_plan(proto, "int8").layers) == {"stem", "first", "second"}


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_one_precision_has_no_exceptions(small_artifact: OnnxArtifact, precision: str) -> None:
    plan = default_plan(small_artifact.proto, precision)  # type: ignore[arg-type]
    assert (plan.default, plan.layers) == (precision, {})
    assert lowest(assign(small_artifact.proto, plan)) == precision


@pytest.mark.parametrize(
    ("asked", "near"), [("steam", "stem"), ("head.0", "head"), ("resid?", "residual"), ("dwn*", "down")]
)
def test_a_name_that_means_nothing_is_answered_with_the_nearest(
    small_artifact: OnnxArtifact, asked: str, near: str
) -> None:
    with pytest.raises(BadInputError) as caught:
        assign(small_artifact.proto, PrecisionPlan(default="fp16", layers={"down": "fp32", asked: "fp32"}))
    assert caught.value.found == asked
    assert str(caught.value.expected).startswith(f"names such as {near}")
    assert "--write-plan" in (caught.value.next_command or "")


def test_only_convolutions_have_a_precision(small_artifact: OnnxArtifact) -> None:
    assert any(node.name == "sigmoid" for node in small_artifact.proto.graph.node)
    with pytest.raises(BadInputError):
        assign(small_artifact.proto, PrecisionPlan(default="fp16", layers={"sigmoid": "fp32"}))


def test_the_ends_may_be_int8_where_a_plan_says_so(small_artifact: OnnxArtifact) -> None:
    assert set(assign(small_artifact.proto, PrecisionPlan(default="int8")).values()) == {"int8"}
