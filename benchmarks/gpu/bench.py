"""The measurements of `edgeseg bench` around the engine: stages, a camera's rates, distance from the bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu.opening import Opening
from edgeseg.graph.cost import convolution_costs
from edgeseg.machine.bench.bench import bench
from edgeseg.machine.bench.frames import synthetic_frames
from edgeseg.machine.bench.plan import BenchPlan, rule_within
from edgeseg.machine.bench.roofline import at_precision
from edgeseg.machine.bench.subject import Subject
from edgeseg.machine.bench.targets import BenchTarget, LaneTarget, Layout


@dataclass(frozen=True)
class GpuBenchPlan:
    """The measurements to make, and their duration."""

    height: int = 1080
    width: int = 1920
    plan: BenchPlan = field(default_factory=lambda: BenchPlan(lanes=(), batches=(), rule=rule_within(6.0)))
    """Without lanes, which throughput.py holds against their bound."""


def bench_figures(opening: Opening, plan: GpuBenchPlan) -> dict[str, Any]:
    """The report of `edgeseg bench`, as it is written to a file."""

    def open_target(layout: Layout) -> BenchTarget:
        options = {"lanes": layout.lanes, "frame_bytes": layout.frame_bytes, "stage_times": layout.stage_times}
        return LaneTarget(opening.session(**options))

    costs = at_precision(convolution_costs(opening.artifact.proto), "fp16")
    subject = Subject(open_target, opening.name, None, tf32=False, costs=costs)
    report = bench(subject, synthetic_frames(plan.height, plan.width), plan.plan)
    figures: dict[str, Any] = report.model_dump(mode="json")
    return figures
