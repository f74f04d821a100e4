"""The rules of placement on graphs made by hand."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeseg.artifacts import PrecisionPlan
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.placement_rules import (
    ONE_PIXEL,
    PADDED_GROUPS,
    RESIDUAL_INPUTS,
    RULES,
    SHARED_CONCATENATIONS,
    float_convolutions,
)
from edgeseg.calibration.qdq_style import ONNXRUNTIME_STYLE, TENSORRT_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.graph.onnx_files import OnnxArtifact
from edgeseg.runtime.engine.backends import backend_names
from tests.calibration.drawn_networks import CHANNELS, all_int8, started, table_of

WITHOUT_RULES = replace(TENSORRT_STYLE, rules=())


def inputs_of(proto: onnx.ModelProto, name: str) -> list[str]:
    return list(next(node for node in proto.graph.node if node.name == name).input)


def scale_of(proto: onnx.ModelProto, name: str) -> float:
    return float(numpy_helper.to_array(next(t for t in proto.graph.initializer if t.name == f"{name}.scale")))


def quantised(proto: onnx.ModelProto) -> set[str]:
    return {node.input[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"}


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
