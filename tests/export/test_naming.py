from onnx import TensorProto, helper

from edgeseg.export.torch.naming import with_readable_names


def test_names_follow_modules_operators_and_numbers() -> None:
    weight = helper.make_tensor("network.network.a.0.weight", TensorProto.FLOAT, [1, 1, 1, 1], [2.0])
    nodes = [
        helper.make_node("Conv", ["x", weight.name], ["v1"], name="node_17"),
        helper.make_node("Relu", ["v1"], ["v2"], name="node_18"),
        helper.make_node("Conv", ["v2", weight.name], ["v3"]),
        helper.make_node("Add", ["v3", "v2"], ["v4"]),
        helper.make_node("Add", ["v4", "v2"], ["y"], doc_string="File /home/somebody/model.py"),
    ]
    shape = [1, 1, 4, 4]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weight],
    )
    named = with_readable_names(helper.make_model(graph)).graph
    assert [node.name for node in named.node] == ["a.0", "a.0.relu", "a.0.1", "add_0", "add_1"]
    assert [list(node.output) for node in named.node] == [
        ["a.0.out"],
        ["a.0.relu.out"],
        ["a.0.1.out"],
        ["add_0.out"],
        ["y"],
    ]
    assert list(named.node[4].input) == ["add_0.out", "a.0.relu.out"]
    assert not named.node[4].doc_string
    assert named.initializer[0].name == "a.0.weight"
