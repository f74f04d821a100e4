"""How many frames a second go through 1 to 4 lanes, against the slower of the GPU's graph and the copies alone."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.gpu.alternation import alternated
from benchmarks.gpu.frames import on_device, pinned_frames
from benchmarks.gpu.gpu_clock import GpuClock
from benchmarks.gpu.lane_access import LaneAccess
from benchmarks.gpu.opening import Opening
from edgeseg.optional import require
from edgeseg.proof.timing.stability import StabilityRule
from edgeseg.runtime.engine.inputs import PackedFrame

RULE = StabilityRule(window_samples=3, window_s=0.1, max_s=6.0)


@dataclass(frozen=True)
class ThroughputPlan:
    """The measurements to make, and their duration."""

    height: int = 1080
    width: int = 1920
    lanes: tuple[int, ...] = (1, 2, 3, 4)
    burst: int = 100
    """Frames in one sample."""
    rule: StabilityRule = RULE


def throughput_figures(opening: Opening, plan: ThroughputPlan) -> dict[str, Any]:
    """Milliseconds a frame: the whole graph back to back, the copies back to back, and lanes."""
    alone = _alone(opening, plan)
    lanes = {str(count): _through_lanes(opening, plan, count) for count in plan.lanes}
    return {"frame": f"{plan.width}x{plan.height} BGR", "alone_ms": alone, "lanes_ms": lanes}


def _alone(opening: Opening, plan: ThroughputPlan) -> dict[str, Any]:
    pycuda = require("pycuda.driver")
    with contextlib.ExitStack() as stack:
        session = opening.session(lanes=1, frame_bytes=3 * plan.height * plan.width)
        stack.callback(session.close)
        lane = LaneAccess(session)
        clock = GpuClock(lane.stream)
        pinned, _ = pinned_frames(session, plan.height, plan.width)
        frames = itertools.cycle(pinned)
        source = on_device(stack, pinned[0], "a frame")
        launch = lane.graph_launch(source, plan.width, plan.height)

        def copy() -> None:
            pycuda.memcpy_htod_async(source, next(frames).reshape(-1), lane.stream)

        samplers = {
            "whole_graph": lambda: clock.mean_ms(launch, plan.burst),
            "copies": lambda: clock.mean_ms(copy, plan.burst),
        }
        return {name: asdict(measured) for name, measured in alternated(samplers, plan.rule).items()}


def _through_lanes(opening: Opening, plan: ThroughputPlan, lanes: int) -> dict[str, Any]:
    session = opening.session(lanes=lanes, frame_bytes=3 * plan.height * plan.width)
    with contextlib.closing(session):
        frames = itertools.cycle(pinned_frames(session, plan.height, plan.width)[0])
        for _ in range(lanes):
            session.start(PackedFrame(next(frames), "bgr"))

        def burst_ms() -> float:
            start_ns = time.perf_counter_ns()
            for _ in range(plan.burst):
                session.finish()
                session.start(PackedFrame(next(frames), "bgr"))
            return (time.perf_counter_ns() - start_ns) / 1e6 / plan.burst

        samplers: dict[str, Callable[[], float]] = {"frame": burst_ms}
        measured = alternated(samplers, plan.rule)["frame"]
        for _ in range(lanes):
            session.finish()
    return asdict(measured)
