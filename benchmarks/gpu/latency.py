"""One frame's way: the bare engine's graph, a lane from pinned pixels or planes to mask, frames on the GPU already."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.gpu.alternation import RULE, alternated
from benchmarks.gpu.frames import ArrayOnDevice, on_device, pinned_frames, planes_in, some_frames
from benchmarks.gpu.gpu_clock import GpuClock, RecordedGraph
from benchmarks.gpu.lane_access import LaneAccess
from benchmarks.gpu.opening import Opening
from edgeseg.frames import Frame
from edgeseg.optional import require
from edgeseg.proof.timing.stability import StabilityRule
from edgeseg.runtime.cuda.buffers import device_buffer
from edgeseg.runtime.cuda.cuda_engine import CudaEngine
from edgeseg.runtime.cuda.device_frames import DevicePixels
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.opener.engine_from_file import open_engine
from edgeseg.specs import INPUT_NAME, OUTPUT_NAME


@dataclass(frozen=True)
class LatencyPlan:
    """The measurements to make, and their duration."""

    height: int = 1080
    width: int = 1920
    frames: int = 8
    """Number of frames that lie on the device and take turns."""
    repetitions: int = 20
    """Launches between two events, so that their gap does not count."""
    parity_frames: int = 8
    rule: StabilityRule = RULE


def latency_figures(opening: Opening, plan: LatencyPlan) -> dict[str, Any]:
    """Durations in milliseconds, each with its percentiles; and how far the engine is from ONNX Runtime on the CPU."""
    frame_bytes = 3 * plan.height * plan.width
    with contextlib.ExitStack() as stack:
        session = opening.session(lanes=1, frame_bytes=frame_bytes)
        stack.callback(session.close)
        frames, is_pinned = pinned_frames(session, plan.height, plan.width)
        samplers = _samplers(opening, plan, session, frames, stack)
        figures = {name: asdict(measured) for name, measured in alternated(samplers, plan.rule).items()}
        breakdown = _breakdown(session, frames[0], plan.rule.window_samples)
        parity = _parity(opening, session, plan)
    frame = f"{plan.width}x{plan.height} BGR"
    return {"frame": frame, "frames_pinned": is_pinned, "ms": figures, "host_ms": breakdown, "parity": parity}


def _samplers(
    opening: Opening, plan: LatencyPlan, session: CudaEngine, pinned: list[Frame], stack: contextlib.ExitStack
) -> dict[str, Callable[[], float]]:
    pycuda = require("pycuda.driver")
    lane = LaneAccess(session)
    buffers, clock = lane.buffers, GpuClock(lane.stream)
    frames = itertools.cycle(pinned)
    size = plan.width, plan.height
    on_gpu = [on_device(stack, frame, "a frame") for frame in some_frames(plan.height, plan.width, plan.frames)]
    shape = plan.height, plan.width, 3
    there = cycle([DevicePixels(ArrayOnDevice(address, shape, "|u1"), "bgr24") for address in on_gpu])
    whole_graph = lane.graph_launch(on_gpu[0], *size)
    engine = _engine_graph(opening, stack)
    engine_clock = GpuClock(engine[1])
    target = buffers.frame or device_buffer(stack, 3 * plan.width * plan.height, "a frame")

    def from_pinned() -> None:
        session.start(PackedFrame(next(frames), "bgr"))
        session.finish()

    def planes_from_pinned() -> None:
        session.start(planes_in(next(frames)))
        session.finish()

    def from_device() -> None:
        session.start_device(next(there))
        session.finish()

    def results_back() -> None:
        pycuda.memcpy_dtoh_async(buffers.host_probability, buffers.network_output, lane.stream)
        pycuda.memcpy_dtoh_async(buffers.host_mask, buffers.mask, lane.stream)
        pycuda.memcpy_dtoh_async(buffers.host_area, buffers.area, lane.stream)

    def frame_there() -> None:
        pycuda.memcpy_htod_async(target, next(frames).reshape(-1), lane.stream)

    repetitions = plan.repetitions
    return {
        "engine": lambda: engine_clock.mean_ms(engine[0].launch, repetitions),
        "lane": lambda: _host_ms(from_pinned),
        "lane_planes": lambda: _host_ms(planes_from_pinned),
        "device_frame": lambda: _host_ms(from_device),
        "h2d": lambda: clock.mean_ms(frame_there, repetitions),
        "d2h": lambda: clock.mean_ms(results_back, repetitions),
        "whole_graph": lambda: clock.mean_ms(whole_graph, repetitions),
    }


def _engine_graph(opening: Opening, stack: contextlib.ExitStack) -> tuple[RecordedGraph, Any]:
    """The bare engine captured on a stream of its own, with buffers of its own."""
    pycuda = require("pycuda.driver")
    model = opening.info.model
    context: Any = opening.open_engine().create_execution_context()
    source = on_device(stack, np.full(model.input_shape, 128, np.uint8), "the engine's input")
    target = device_buffer(stack, 4 * model.channels * model.height * model.width, "the engine's output")
    stream = pycuda.Stream(1)
    context.set_input_shape(INPUT_NAME, (1, *model.input_shape))
    context.set_tensor_address(INPUT_NAME, source)
    context.set_tensor_address(OUTPUT_NAME, target)

    def execute() -> None:
        if not context.execute_async_v3(stream.handle):
            raise RuntimeError("the engine refused to run")

    graph = RecordedGraph(stream, execute)
    stack.callback(graph.close)
    return graph, stream


def _breakdown(session: CudaEngine, frame: Frame, count: int) -> dict[str, float]:
    """Medians of the two halves of a lane's frame on the host: until the work is handed over, and until it is done."""
    submitting, waiting = [], []
    for _ in range(count):
        start_ns = time.perf_counter_ns()
        session.start(PackedFrame(frame, "bgr"))
        handed_over_ns = time.perf_counter_ns()
        session.finish()
        submitting.append(handed_over_ns - start_ns)
        waiting.append(time.perf_counter_ns() - handed_over_ns)
    return {"submit_p50": float(np.median(submitting)) / 1e6, "wait_p50": float(np.median(waiting)) / 1e6}


def _parity(opening: Opening, session: CudaEngine, plan: LatencyPlan) -> dict[str, float]:
    """The engine's probability against ONNX Runtime's in float32, on frames of the measured size."""
    reference = open_engine(opening.artifact.path)
    worst, total, flipped = 0.0, 0.0, 0.0
    for frame in some_frames(plan.height, plan.width, plan.parity_frames):
        expected = probability_of(reference, PackedFrame(frame, "rgb"))
        session.start(PackedFrame(frame, "rgb"))
        found = session.finish().probability
        difference = np.abs(found - expected)
        worst, total = max(worst, float(difference.max())), total + float(difference.mean())
        flipped += float(((found >= 0.5) != (expected >= 0.5)).mean())
    reference.close()
    count = plan.parity_frames
    return {"frames": count, "worst": worst, "mean": total / count, "mask_flips": flipped / count}


def _host_ms(work: Callable[[], Any]) -> float:
    start_ns = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start_ns) / 1e6
