"""Fake quantisation in PyTorch against the Q/DQ graph in ONNX Runtime.

Both compute in float32, but not in the same order, so a value on the border of two levels may be rounded to the one
here and to the other there. The drawn networks have weights and scales that are short binary fractions: every sum is
exact in any order, and both must agree wherever they round.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from starting_points import computed, qdq_graph, starting_point_of

from edgeseg.artifacts import Range
from edgeseg.calibration.quantise import activation_quantisation
from edgeseg.errors import BadInputError
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.specs import Int8Target, ModelMetadata, ModelSpec, PreprocessSpec
from edgeseg.train.qat.fake_quantised_network import STYLES, FakeQuantisedNetwork
from edgeseg.train.qat.starting_point import StartingPoint
from edgeseg.train.recipe import Recipe, read_recipe

SAME = 1e-5
"""Probabilities that differ by less come from the same levels; the last convolution stays float."""
SIZE = 16


def recipe_of(target: Int8Target) -> Recipe:
    return read_recipe(None, [f"training.qat_target={target}"])


def drawn_graph(draw: st.DrawFn, rng: np.random.Generator, target: Int8Target) -> onnx.ModelProto:
    """A graph of two to five convolutions between a stem and a head, joined in several ways."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], name="transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "factor"], ["normal"], name="mul"),
    ]
    tensors = [
        numpy_helper.from_array(np.full((1, 3, 1, 1), 1 / 128, np.float32), "factor"),
        numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"),
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.float32(6), "six"),
    ]

    def conv(name: str, source: str, before: int, after: int, kernel: int, groups: int = 1) -> str:
        paired = target == "cpu" and (groups == 1 or before == 1)
        largest = 64 if paired else 127
        levels = rng.integers(-largest, largest + 1, (after, before // groups, kernel, kernel))
        levels.reshape(after, -1)[:, : 2 if paired else 1] = largest  # so that a level is 2^-9
        tensors.append(numpy_helper.from_array((levels / 512).astype(np.float32), f"{name}.weight"))
        bias = rng.integers(-512, 513, after) / 1024
        tensors.append(numpy_helper.from_array(bias.astype(np.float32), f"{name}.bias"))
        inputs = [source, f"{name}.weight", f"{name}.bias"]
        nodes.append(helper.make_node("Conv", inputs, [f"{name}.out"], name=name, pads=[kernel // 2] * 4, group=groups))
        return f"{name}.out"

    def add(operator: str, inputs: list[str], **attributes: object) -> str:
        name = f"{operator.lower()}_{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    width = draw(st.sampled_from([3, 4, 8]))
    x = add("Relu", [conv("stem", "normal", 3, width, 3)])
    for index in range(draw(st.integers(2, 5))):
        depthwise = draw(st.booleans())
        y = conv(f"conv{index}", x, width, width, draw(st.sampled_from([1, 3])), width if depthwise else 1)
        act = draw(st.sampled_from(["none", "Relu", "Clip", "LeakyRelu"]))
        if act != "none":
            y = add(
                act, [y, "zero", "six"] if act == "Clip" else [y], **({"alpha": 0.25} if act == "LeakyRelu" else {})
            )
        join = draw(st.sampled_from(["none", "add", "pool", "concat"]))
        if join == "add":
            y = add("Add", [x, y])
        elif join == "pool":
            small = add("MaxPool", [y], kernel_shape=[2, 2], strides=[2, 2])
            modes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "mode": "nearest"}
            y = add("Resize", [small, "", "twice"], **modes)
        elif join == "concat":
            y = conv(f"join{index}", add("Concat", [x, y], axis=1), 2 * width, width, 1)
        x = y
    several = draw(st.booleans())
    last = conv("head", x, width, 3 if several else 1, 1)
    attributes = {"axis": 1} if several else {}
    nodes.append(
        helper.make_node("Softmax" if several else "Sigmoid", [last], ["probability"], name="end", **attributes)
    )
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", SIZE, SIZE, 3])
    end = helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", 3 if several else 1, SIZE, SIZE])
    graph = helper.make_graph(nodes, "drawn", [frame], [end], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@st.composite
def drawn_starts(draw: st.DrawFn) -> tuple[StartingPoint, np.ndarray, Int8Target]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    target = draw(st.sampled_from(list(STYLES)))
    proto = drawn_graph(draw, rng, target)
    onnx.checker.check_model(proto, full_check=True)
    several = proto.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 3
    classes, output = (("ground", "one", "two"), "softmax") if several else (("polyp",), "sigmoid")
    model = ModelSpec(architecture="drawn", classes=classes, height=SIZE, width=SIZE, output=output)
    artifact = OnnxArtifact(Path("drawn"), "", ModelMetadata(model=model, preprocess=PreprocessSpec()), proto)
    frames = rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    start = starting_point_of(artifact, frames, draw(st.sampled_from([1.0, 0.4])))
    ranges = {name: _binary(seen, target) for name, seen in start.table.ranges.items()}
    return replace(start, table=start.table.model_copy(update={"ranges": ranges})), frames, target


def _binary(seen: Range, target: Int8Target) -> Range:
    """The nearest range whose scale is a power of two."""
    levels = 255 if target == "cpu" and seen.minimum >= 0 else 127
    return seen.model_copy(update={"amax": levels * 2.0 ** np.rint(np.log2(max(seen.amax, 1e-2) / levels))})


def probability(network: FakeQuantisedNetwork, frames: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        result: np.ndarray = network.probability(torch.from_numpy(frames)).numpy()
    return result


def share_that_differs(found: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(found - expected) > SAME).mean())


def step(network: FakeQuantisedNetwork, frames: np.ndarray) -> None:
    """One large step of everything that is trained."""
    images = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255.0
    network(images).square().mean().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.02 * parameter.grad.sign() * parameter.abs().mean().clamp(min=0.5)


@settings(max_examples=60)
@given(drawn=drawn_starts())
def test_a_drawn_network_computes_its_q_dq_graph(drawn: tuple[StartingPoint, np.ndarray, Int8Target]) -> None:
    start, frames, target = drawn
    network = FakeQuantisedNetwork(start, recipe_of(target))
    graph = qdq_graph(network, start)
    scales = [numpy_helper.to_array(tensor) for tensor in graph.graph.initializer if tensor.name.endswith(".scale")]
    assert all((np.frexp(scale)[0] == 0.5).all() for scale in scales)  # powers of two, or the test says less
    assert np.abs(probability(network, frames) - computed(graph, frames, as_written=True)).max() < SAME
    step(network, frames)
    stored = {t.name: numpy_helper.to_array(t) for t in qdq_graph(network, start).graph.initializer}
    for name, seen in network.ranges().items():  # tensors that share a scale are moved together
        scale = np.asarray(activation_quantisation(seen, network.style).scale, network.style.scale_dtype)
        assert stored[f"{name}.scale"] == scale.astype(np.float32), name


@pytest.fixture
def small(small_artifact: OnnxArtifact) -> tuple[StartingPoint, np.ndarray]:
    frames = np.random.default_rng(2).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    return starting_point_of(small_artifact, frames), frames


@pytest.mark.parametrize("target", STYLES)
def test_training_moves_ranges_and_weights_of_what_is_quantised(
    small: tuple[StartingPoint, np.ndarray], target: Int8Target
) -> None:
    start, frames = small
    network = FakeQuantisedNetwork(start, recipe_of(target))
    assert network.ranges() == {name: start.table.ranges[name] for name in network.ranges()}
    before = {name: values.clone() for name, values in network.network.state_dict().items()}
    step(network, frames)
    assert all(seen.amax != start.table.ranges[name].amax for name, seen in network.ranges().items())
    assert not any(torch.equal(before[name], values) for name, values in network.network.state_dict().items())
    outputs = {"stem.relu", "down.relu", "residual.out", "up.relu"}
    assert network.ranges().keys() >= ({"pooled", "down.relu", "joined"} | (outputs if target == "cpu" else set())) - {
        "stem.relu"
    }


def test_a_step_is_seen_by_the_next_validation(small: tuple[StartingPoint, np.ndarray]) -> None:
    """Quantised weights are kept while nothing changes; an optimiser changes them in place."""
    start, frames = small
    network = FakeQuantisedNetwork(start, recipe_of("cpu"))
    before = probability(network, frames)
    assert np.array_equal(before, probability(network, frames))
    step(network, frames)
    after = probability(network, frames)
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(
        after, network.probability(torch.from_numpy(frames)).detach().numpy()
    )  # quantised anew, as gradients are wanted


def test_pictures_and_frames_give_the_same(small: tuple[StartingPoint, np.ndarray]) -> None:
    """Training sees floats in 0..1, the graph bytes; k / 255 * 255 may be an ulp from k."""
    start, frames = small
    network = FakeQuantisedNetwork(start, recipe_of("cpu"))
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255.0
    found = torch.sigmoid(network(images)).detach().numpy()
    assert share_that_differs(found, probability(network, frames)) < 0.05


def test_a_range_stays_large_enough_for_the_exporter(small: tuple[StartingPoint, np.ndarray]) -> None:
    start, _ = small
    for target in STYLES:
        network = FakeQuantisedNetwork(start, recipe_of(target))
        written = sum(node.op_type == "QuantizeLinear" for node in qdq_graph(network, start).graph.node)
        with torch.no_grad():
            network.range_shift.fill_(-1000.0)
        assert sum(node.op_type == "QuantizeLinear" for node in qdq_graph(network, start).graph.node) == written


def test_only_what_the_graph_holds_is_trained(small: tuple[StartingPoint, np.ndarray]) -> None:
    start, _ = small
    start.network.get_submodule("stem").register_parameter("unused", torch.nn.Parameter(torch.zeros(3)))
    network = FakeQuantisedNetwork(start, recipe_of("cpu"))
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["network.stem.unused"]


def test_a_checkpoint_keeps_the_ranges(small: tuple[StartingPoint, np.ndarray]) -> None:
    start, frames = small
    network, other = (FakeQuantisedNetwork(start, recipe_of("cpu")) for _ in range(2))
    step(network, frames)
    assert other.ranges() != network.ranges()
    other.take_beside_weights(network.beside_weights())
    assert other.ranges() == network.ranges()


def test_what_is_not_known_is_refused(small: tuple[StartingPoint, np.ndarray]) -> None:
    start, _ = small
    for node in start.artifact.proto.graph.node:
        if node.op_type == "Add":
            node.op_type = "Max"
    with pytest.raises(BadInputError, match="does not know all of small") as caught:
        FakeQuantisedNetwork(start, recipe_of("cpu"))
    assert caught.value.found == "the operator Max"


def test_a_network_with_nothing_to_quantise_is_refused(small: tuple[StartingPoint, np.ndarray]) -> None:
    start, _ = small
    ranges = {name: seen.model_copy(update={"amax": 0.0}) for name, seen in start.table.ranges.items()}
    dead = replace(start, table=start.table.model_copy(update={"ranges": ranges}))
    with pytest.raises(BadInputError, match="nothing in small is quantised"):
        FakeQuantisedNetwork(dead, recipe_of("cpu"))
