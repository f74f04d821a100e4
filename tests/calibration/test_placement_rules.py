"""The rules of placement on graphs made by hand and drawn at random, against numpy that knows nothing of Q/DQ."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from scipy.signal import correlate

from edgeseg.artifacts import CalibrationTable, PrecisionPlan, Range
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.placement import activations, default_plan
from edgeseg.calibration.placement_rules import (
    ONE_PIXEL,
    PADDED_GROUPS,
    RESIDUAL_INPUTS,
    RULES,
    SHARED_CONCATENATIONS,
    float_convolutions,
)
from edgeseg.calibration.quantise import ONNXRUNTIME_STYLE, TENSORRT_STYLE, quantise
from edgeseg.graph.cleanup import without_unused
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.runtime.engine.backends import backend_names
from edgeseg.specs import ModelMetadata, ModelSpec, PreprocessSpec

CHANNELS, SIZE = 4, 6
WITHOUT_RULES = replace(TENSORRT_STYLE, rules=())
Values = NDArray[np.float64]


@dataclass
class Drawn:
    """A network whose weights and scales are powers of two times small integers, so that float32 sums are exact."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def conv(self, source: str, output: str, before: int = CHANNELS, groups: int = 1, kernel: int = 1) -> str:
        levels = self.rng.integers(-3, 4, (CHANNELS, before // groups, kernel, kernel))
        levels[:, 0, 0, 0] = 127  # the largest magnitude of a channel makes its scale
        for name, values in (
            ("weight", levels * 2.0**-9),
            ("bias", self.rng.integers(-64, 65, CHANNELS) * 2.0**-6),
        ):
            self.tensors.append(numpy_helper.from_array(values.astype(np.float32), f"{output}.{name}"))
        inputs = [source, f"{output}.weight", f"{output}.bias"]
        return self.add("Conv", inputs, output, group=groups, pads=[kernel // 2] * 4)

    def artifact(self) -> OnnxArtifact:
        self.add("Neg", ["last"], "probability")
        graph = helper.make_graph(
            self.nodes,
            "drawn",
            [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", CHANNELS, None, None])],
            self.tensors,
        )
        proto = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
        onnx.checker.check_model(proto, full_check=True)
        proto = without_unused(proto)
        model = ModelSpec(architecture="drawn", height=SIZE, width=SIZE)
        return OnnxArtifact(Path("drawn.onnx"), "", ModelMetadata(model=model, preprocess=PreprocessSpec()), proto)


def started(seed: int = 0) -> Drawn:
    network = Drawn(np.random.default_rng(seed))
    network.add("Cast", ["frame"], "float", to=TensorProto.FLOAT)
    network.add("Transpose", ["float"], "planes", perm=[0, 3, 1, 2])
    network.conv("planes", "stem", before=3)
    return network


def table_of(artifact: OnnxArtifact, exponents: dict[str, int]) -> CalibrationTable:
    """Ranges whose scales are 2**exponent, 1/4 where nothing is said."""
    amax = {name: 127 * 2.0 ** exponents.get(name, -2) for name in activations(artifact.proto)}
    return CalibrationTable(
        method="max",
        image_count=1,
        data_sha256="",
        weights_sha256=artifact.weights_sha256,
        ranges={name: Range(minimum=-value, maximum=value, amax=value) for name, value in amax.items()},
    )


def inputs_of(proto: onnx.ModelProto, name: str) -> list[str]:
    return list(next(node for node in proto.graph.node if node.name == name).input)


def scale_of(proto: onnx.ModelProto, name: str) -> float:
    return float(numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == f"{name}.scale")))


def quantised(proto: onnx.ModelProto) -> set[str]:
    return {node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}


def all_int8(artifact: OnnxArtifact, table: CalibrationTable, **layers: str) -> onnx.ModelProto:
    plan = PrecisionPlan(default="int8", layers=layers)  # type: ignore[arg-type]
    proto = quantise(artifact, table, TENSORRT_STYLE, plan).proto
    onnx.checker.check_model(proto, full_check=True)
    return proto


def residual_network() -> OnnxArtifact:
    network = started()
    network.add("Add", [network.conv("stem", "branch"), "stem"], "sum")
    network.conv("sum", "last")
    return network.artifact()


def test_an_addition_reads_the_tensor_that_a_convolution_has_in_int8() -> None:
    artifact = residual_network()
    table = table_of(artifact, {})
    proto = all_int8(artifact, table)
    assert inputs_of(proto, "sum") == ["branch", "stem.dequantised"]
    assert inputs_of(proto, "branch")[0] == "stem.dequantised"
    plain = quantise(artifact, table, WITHOUT_RULES, PrecisionPlan(default="int8")).proto
    assert inputs_of(plain, "sum") == ["branch", "stem"]
    assert quantised(proto) == quantised(plain)  # no tensor is quantised for an addition's sake


def test_an_addition_beside_a_float_convolution_reads_the_float_tensor() -> None:
    artifact = residual_network()
    assert inputs_of(all_int8(artifact, table_of(artifact, {}), branch="fp16"), "sum") == ["branch", "stem"]


def test_a_constant_is_added_to_the_float_tensor() -> None:
    network = started()
    network.tensors.append(numpy_helper.from_array(np.ones((1, CHANNELS, 1, 1), np.float32), "one"))
    network.add("Add", ["stem", "one"], "shifted")
    network.add("Add", [network.conv("stem", "branch"), "shifted"], "sum")
    network.conv("sum", "last")
    artifact = network.artifact()
    assert inputs_of(all_int8(artifact, table_of(artifact, {})), "shifted") == ["stem", "one"]


def concatenations() -> OnnxArtifact:
    """Two concatenations, both of `stem`, which a convolution reads as well."""
    network = started()
    network.conv("stem", "branch")
    network.add("Concat", ["branch", "stem"], "joined", axis=1)
    network.conv("joined", "middle", before=2 * CHANNELS)
    network.add("Concat", ["stem", "middle"], "again", axis=1)
    network.conv("again", "last", before=2 * CHANNELS)
    return network.artifact()


def test_concatenations_share_the_largest_scale_with_their_quantised_inputs() -> None:
    artifact = concatenations()
    table = table_of(artifact, {"stem": -3, "joined": -2, "again": 1})
    proto = all_int8(artifact, table)
    assert [scale_of(proto, name) for name in ("stem", "joined", "again")] == [2.0, 2.0, 2.0]
    assert quantised(proto) == {"planes", "stem", "joined", "again"}
    apart = quantise(artifact, table, WITHOUT_RULES, PrecisionPlan(default="int8")).proto
    assert [scale_of(apart, name) for name in ("stem", "joined", "again")] == [2.0**-3, 2.0**-2, 2.0]
    assert table.ranges["stem"].amax == 127 * 2.0**-3  # the table itself stays as it was measured


def test_a_concatenation_that_float_reads_shares_nothing() -> None:
    artifact = concatenations()
    proto = all_int8(artifact, table_of(artifact, {"stem": -3, "joined": -2, "again": 1}), last="fp16")
    assert (scale_of(proto, "stem"), scale_of(proto, "joined")) == (2.0**-2, 2.0**-2)


@pytest.mark.parametrize(("groups", "padded"), [(1, False), (2, True), (4, True)])
def test_groups_that_tensorrt_pads_stay_float_there(groups: int, padded: bool) -> None:
    network = started()
    network.conv("stem", "grouped", groups=groups)
    network.conv("grouped", "last")
    proto = network.artifact().proto
    for backend in backend_names():
        ruled = {"grouped": PADDED_GROUPS} if padded and backend.startswith("tensorrt") else {}
        assert float_convolutions(proto, backend) == ruled
        kept = {"stem", "last", *ruled}
        assert set(default_plan(proto, "int8", "fp16", backend).layers) == kept


def test_a_convolution_of_one_pixel_stays_float_on_tensorrt() -> None:
    network = started()
    network.add("ReduceMean", ["stem"], "mean", keepdims=1)
    network.tensors.append(numpy_helper.from_array(np.array([2, 3], np.int64), "axes"))
    network.nodes[-1].input.append("axes")
    network.add("Sigmoid", [network.conv("mean", "squeeze")], "gate")
    network.add("Mul", ["stem", "gate"], "gated")
    network.conv("gated", "wide")
    network.conv("wide", "last")
    proto = network.artifact().proto
    for backend in backend_names():
        expected = {"squeeze": ONE_PIXEL} if backend.startswith("tensorrt") else {}
        assert float_convolutions(proto, backend) == expected


def test_a_plan_may_ask_for_what_the_rules_leave_float() -> None:
    network = started()
    network.conv("stem", "grouped", groups=CHANNELS)
    network.conv("grouped", "last")
    artifact = network.artifact()
    assert quantise(artifact, table_of(artifact, {}), TENSORRT_STYLE, PrecisionPlan(default="int8")).quantised == (
        "stem",
        "grouped",
        "last",
    )


def test_every_rule_says_why_and_who_says_so() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert all((rule.what, rule.reason, rule.source))
        assert set(rule.backends) <= {"tensorrt", "tensorrt-rtx"} & set(backend_names())
    assert set(TENSORRT_STYLE.rules) == {RESIDUAL_INPUTS, SHARED_CONCATENATIONS}
    assert ONNXRUNTIME_STYLE.rules == ()


@st.composite
def networks(draw: st.DrawFn) -> tuple[OnnxArtifact, dict[str, int], frozenset[str]]:
    """A network of residual additions and concatenations, exponents of its scales, and its float convolutions."""
    network, maps = started(draw(st.integers(0, 99))), ["stem"]
    one = lambda: draw(st.sampled_from(maps))  # noqa: E731
    for index in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["conv", "3x3", "add", "residual", "join", "relu"]))
        if kind in ("conv", "3x3"):
            maps.append(network.conv(one(), f"{kind}{index}", kernel=3 if kind == "3x3" else 1))
        elif kind == "residual":
            source = one()
            maps.append(network.add("Add", [network.conv(source, f"branch{index}"), source], f"residual{index}"))
        elif kind == "add":
            maps.append(network.add("Add", [one(), one()], f"sum{index}"))
        elif kind == "relu":
            maps.append(network.add("Relu", [one()], f"relu{index}"))
        else:
            network.add("Concat", [one(), one()], f"join{index}", axis=1)
            maps.append(network.conv(f"join{index}", f"joined{index}", before=2 * CHANNELS))
    network.conv(maps[-1], "last")
    artifact = network.artifact()
    exponents = {name: draw(st.integers(-4, 0)) for name in activations(artifact.proto)}
    names = [node.name for node in artifact.proto.graph.node if node.op_type == "Conv"]
    return artifact, exponents, frozenset(name for name in names if draw(st.integers(0, 3)) == 0)


def fake_quantised(values: Values, exponent: int) -> Values:
    scale = 2.0**exponent
    rounded: Values = np.rint(values / scale).clip(-128, 127) * scale
    return rounded


def computed_by_numpy(proto: onnx.ModelProto, exponents: dict[str, int], is_float: frozenset[str]) -> Values:
    """The network under the rules, from their definition: float64, one map [C,H,W] after the other."""
    constants = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in proto.graph.initializer}
    read_int8 = {n.input[0] for n in proto.graph.node if n.op_type == "Conv" and n.name not in is_float}
    shared = dict(exponents)
    joins = [node for node in proto.graph.node if node.op_type == "Concat" and node.output[0] in read_int8]
    for _, node in product(range(len(joins)), joins):
        together = [name for name in (*node.input, node.output[0]) if name in read_int8]
        shared |= dict.fromkeys(together, max(shared[name] for name in together))
    values = {"planes": FRAME.astype(np.float64).transpose(2, 0, 1)}
    compute: dict[str, Callable[..., Values]] = {
        "Add": np.add,
        "Relu": lambda x: np.maximum(x, 0),
        "Neg": np.negative,
        "Concat": lambda *maps: np.concatenate(maps),
    }
    for node in proto.graph.node[2:]:
        rounds = (node.op_type == "Conv" and node.name not in is_float) or node.op_type == "Add"
        data = [
            fake_quantised(values[name], shared[name]) if rounds and name in read_int8 else values[name]
            for name in node.input
            if name in values
        ]
        if node.op_type == "Conv":
            weight, bias = (constants[name] for name in node.input[1:])
            padded = np.pad(data[0], [(0, 0), *[(weight.shape[2] // 2,) * 2] * 2])
            sums = [correlate(padded, kernel, "valid", "direct")[0] for kernel in weight]
            values[node.output[0]] = np.stack(sums) + bias[:, None, None]
        else:
            values[node.output[0]] = compute[node.op_type](*data)
    return values["probability"]


FRAME = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


@settings(max_examples=40)
@given(networks())
def test_the_graph_computes_the_fake_quantisation_that_the_rules_define(
    drawn: tuple[OnnxArtifact, dict[str, int], frozenset[str]],
) -> None:
    artifact, exponents, is_float = drawn
    proto = all_int8(artifact, table_of(artifact, exponents), **dict.fromkeys(is_float, "fp16"))
    (got,) = ReferenceEvaluator(proto).run(None, {"frame": FRAME[np.newaxis]})
    expected = computed_by_numpy(artifact.proto, exponents, is_float)
    np.testing.assert_allclose(got[0], expected, rtol=1e-6, atol=1e-4)


@settings(max_examples=25)
@given(networks())
def test_the_strongly_typed_graph_has_fp16_between_quantised_layers(
    drawn: tuple[OnnxArtifact, dict[str, int], frozenset[str]],
) -> None:
    artifact, exponents, is_float = drawn
    half = with_fp16_convolutions(all_int8(artifact, table_of(artifact, exponents), **dict.fromkeys(is_float, "fp16")))
    onnx.checker.check_model(half, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(half, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*inferred.value_info, *inferred.input, *inferred.output)}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    for node in half.graph.node:
        if node.op_type == "QuantizeLinear":
            assert [types[name] for name in (node.input[0], node.input[1])] == [TensorProto.FLOAT16] * 2
            assert types[node.output[0]] == TensorProto.INT8
        elif node.op_type in ("Conv", "Add", "Concat"):
            assert {types[name] for name in node.input} == {TensorProto.FLOAT16}
