"""The rules of placement in plans of shipped networks, which TensorRT-RTX builds here without a GPU."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.qdq_placement.plan_counts import PlanCounts, counts_of
from edgeseg.artifacts import CalibrationTable, PrecisionPlan
from edgeseg.calibration.fp16 import with_fp16_convolutions
from edgeseg.calibration.placement import default_plan
from edgeseg.calibration.placement_rules import RESIDUAL_INPUTS, SHARED_CONCATENATIONS, PlacementRule
from edgeseg.calibration.qdq_style import TENSORRT_STYLE
from edgeseg.calibration.quantise import quantise
from edgeseg.export.builders.tensorrt_options import TENSORRT_RTX, TensorRtOptions
from edgeseg.export.builders.tensorrt_plan import plan_from_onnx
from edgeseg.graph.onnx_files import OnnxArtifact, load_onnx

tensorrt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (extra `rtx`, Linux x86-64)")

MODELS = Path(__file__).parents[2] / "models"
Count = Callable[..., PlanCounts]


def counter(package: str, capability: str = "8.6") -> tuple[OnnxArtifact, CalibrationTable, Count]:
    """A package, its table, and what counts the plan that a precision plan, rules and a table give."""
    artifact = load_onnx(MODELS / package / "model.onnx")
    shipped = CalibrationTable.read(MODELS / package / "model.calibration.json")

    def count(plan: PrecisionPlan, *rules: PlacementRule, table: CalibrationTable = shipped) -> PlanCounts:
        graph = quantise(artifact, table, replace(TENSORRT_STYLE, rules=rules), plan)
        proto = with_fp16_convolutions(graph.proto)
        options = TensorRtOptions(compute_capabilities=(capability,))
        counts = counts_of(plan_from_onnx(tensorrt_rtx, TENSORRT_RTX, proto, options), proto)
        assert counts.int8 == len(graph.quantised)
        return counts

    return artifact, shipped, count


@pytest.mark.parametrize("capability", ["8.6", "8.9"])
def test_a_residual_input_is_no_longer_written_in_two_types(capability: str) -> None:
    artifact, _, count = counter("kvasir-small", capability)
    plan = default_plan(artifact.proto, "int8")
    before, after = count(plan), count(plan, RESIDUAL_INPUTS)
    joined = sum(node.op_type == "Concat" for node in artifact.proto.graph.node)  # their scales are their own here
    adds = sum(node.op_type == "Add" for node in artifact.proto.graph.node) - 1  # one shifts the threshold
    assert (before.written_twice, after.written_twice) == (adds + joined, joined)
    assert count(plan, RESIDUAL_INPUTS, SHARED_CONCATENATIONS).written_twice == 0
    assert after.layers == before.layers
    assert after.mebibytes < before.mebibytes


def test_a_skip_is_quantised_once_where_it_shares_its_concatenations_scale() -> None:
    artifact, shipped, count = counter("kvasir-small")
    joined = [node.output[0] for node in artifact.proto.graph.node if node.op_type == "Concat"]
    wider = {name: shipped.ranges[name].model_copy(update={"amax": 100.0}) for name in joined}
    table = shipped.model_copy(update={"ranges": {**shipped.ranges, **wider}})
    plan = default_plan(artifact.proto, "int8")
    before, after = count(plan, table=table), count(plan, SHARED_CONCATENATIONS, table=table)
    assert before.written_twice - after.written_twice == len(joined) == 4
    assert after.layers == before.layers


def test_what_the_rules_leave_float_is_neither_padded_nor_without_its_activation() -> None:
    artifact, _, count = counter("kvasir-ultra")
    before = count(default_plan(artifact.proto, "int8"))
    after = count(default_plan(artifact.proto, "int8", "fp16", TENSORRT_RTX.name))
    left = before.int8 - after.int8
    assert (before.padded, after.padded) == (left - 1, 0)  # the other is of one pixel
    assert after.fused - before.fused == left - 1
    assert after.layers < before.layers
    assert after.mebibytes < 0.8 * before.mebibytes


def test_a_gpu_of_capability_7_5_computes_no_convolution_in_int8() -> None:
    artifact, shipped, _ = counter("kvasir-ultra")
    proto = with_fp16_convolutions(
        quantise(artifact, shipped, TENSORRT_STYLE, default_plan(artifact.proto, "int8")).proto
    )
    plan = plan_from_onnx(tensorrt_rtx, TENSORRT_RTX, proto, TensorRtOptions(compute_capabilities=("7.5",)))
    assert counts_of(plan, proto).int8 == 0
