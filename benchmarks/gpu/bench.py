"""The measurements of `edgeseg bench` around the engine: stages, a camera's rates, distance from the bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.gpu.opening import Opening
from edgeseg.graph.cost import convolution_costs
from edgeseg.machine.bench.bench_frames import synthetic_frames
from edgeseg.machine.bench.bench_run import bench
from edgeseg.machine.bench.plan import BenchPlan, rule_within
from edgeseg.machine.bench.roofline import at_precision
from edgeseg.machine.bench.subject import Subject
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.engine_layout import SessionLayout
from edgeseg.runtime.engine.session import Session
from edgeseg.runtime.opener.use import Use


@dataclass(frozen=True)
class GpuBenchPlan:
    """The measurements to make, and their duration."""

    height: int = 1080
    width: int = 1920
    plan: BenchPlan = field(default_factory=lambda: BenchPlan(lanes=(), batches=(), rule=rule_within(6.0)))
    """Bench plan without lanes, which throughput.py compares with their bound."""


def bench_figures(opening: Opening, plan: GpuBenchPlan) -> dict[str, Any]:
    """The report of `edgeseg bench`, as it is written to a file."""

    def open_engine(use: Use) -> Engine:
        frame_bytes = use.workers.supervisor.frame_bytes
        return opening.session(lanes=use.at_once or 1, frame_bytes=frame_bytes, stage_times=use.stage_times)

    def open_session(layout: SessionLayout) -> Session:
        return opening.session(frame_bytes=layout.frame_bytes, largest_batch=layout.largest_batch)

    costs = at_precision(convolution_costs(opening.artifact.proto), "fp16")
    subject = Subject(open_engine, open_session, opening.name, None, tf32=False, costs=costs)
    report = bench(subject, synthetic_frames(plan.height, plan.width), plan.plan)
    figures: dict[str, Any] = report.model_dump(mode="json")
    return figures
