"""The kernels on 4K frames in device memory, against the time that their bytes take at the GPU's own bandwidth."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.gpu.alternation import alternated
from benchmarks.gpu.frames import on_device
from benchmarks.gpu.gpu_clock import GpuClock, RecordedGraph
from edgeseg.machine.bench.gpu_device import read_attributes
from edgeseg.machine.bench.gpu_peaks import memory_peak
from edgeseg.optional import require
from edgeseg.proof.timing.stability import StabilityRule
from edgeseg.runtime.cuda.buffers import device_buffer
from edgeseg.runtime.cuda.driver import CudaDevice
from edgeseg.runtime.cuda.kernels.compile import compiled_kernels
from edgeseg.runtime.cuda.kernels.parameters import (
    PIXEL_BYTES,
    FrameLayout,
    MaskParams,
    PixelFormat,
    preprocess_params,
)
from edgeseg.runtime.cuda.launches import Kernels

RULE = StabilityRule(window_samples=10, window_s=0.1, max_s=6.0)
Work = Callable[[Any, int], None]
"""Puts the kernel for one of the frames on a stream."""


@dataclass(frozen=True)
class BandwidthPlan:
    """The measurements to make, and their duration."""

    height: int = 2160
    width: int = 3840
    network: tuple[int, int] = (224, 224)
    frames: int = 32
    streams: int = 8
    copy_bytes: int = 1 << 30
    repetitions: int = 5
    rule: StabilityRule = RULE


def bandwidth_figures(plan: BandwidthPlan) -> dict[str, Any]:
    """Copy bandwidth, and for each kernel its bytes and the milliseconds of all frames, chained and side by side."""
    with CudaDevice() as device:
        copies = _copy_bandwidth(plan)
        kernels = Kernels(compiled_kernels((device.traits.architecture,)), plan.network[1], plan.network[0])
        found = {kind: _preprocess(kernels, kind, plan) for kind in ("bgr24", "bgr0", "nv12", "yuv420p")}
        kernels.close()
        mask_kernels = Kernels(compiled_kernels((device.traits.architecture,)), plan.width, plan.height)
        found["mask"] = _mask(mask_kernels, plan)
        mask_kernels.close()
        published = memory_peak(read_attributes())
    return {
        "frame": f"{plan.width}x{plan.height}",
        "network": f"{plan.network[1]}x{plan.network[0]}",
        "frames": plan.frames,
        "copy_bytes_per_s": copies,
        "published_bytes_per_s": published[0] if published else None,
        "kernels": found,
    }


def _copy_bandwidth(plan: BandwidthPlan) -> float:
    """Bytes read and written a second by the largest copy on the device."""
    pycuda = require("pycuda.driver")
    with contextlib.ExitStack() as stack:
        source, target = (device_buffer(stack, plan.copy_bytes, "a copy") for _ in range(2))
        stream = pycuda.Stream(1)
        pycuda.memset_d8(source, 1, plan.copy_bytes)
        clock = GpuClock(stream)
        copy = {
            "copy": lambda: clock.mean_ms(
                lambda: pycuda.memcpy_dtod_async(target, source, plan.copy_bytes, stream), plan.repetitions
            )
        }
        return 2 * plan.copy_bytes / (alternated(copy, plan.rule)["copy"].p50 / 1e3)


def _preprocess(kernels: Kernels, kind: PixelFormat, plan: BandwidthPlan) -> dict[str, Any]:
    height, width, network = plan.height, plan.width, plan.network
    pitch = width * PIXEL_BYTES[kind]
    chroma_pitch = {"nv12": width, "yuv420p": width // 2}.get(kind, 0)
    luma_bytes, chroma_bytes = height * pitch, height // 2 * width if chroma_pitch else 0
    layout = FrameLayout(kind, width, height, pitch, chroma_pitch)
    data = np.random.default_rng(0).integers(0, 256, luma_bytes + chroma_bytes, dtype=np.uint8)
    with contextlib.ExitStack() as stack:
        sources = [on_device(stack, data, "a frame") for _ in range(plan.frames)]
        targets = [device_buffer(stack, 3 * network[0] * network[1], "an input") for _ in range(plan.frames)]

        def work(stream: Any, index: int) -> None:
            source = sources[index]
            chroma = source + luma_bytes
            params = preprocess_params(
                layout,
                network[1],
                network[0],
                source=source,
                chroma=chroma,
                chroma_v=chroma + chroma_bytes // 2,
                target=targets[index],
            )
            kernels.preprocess(kind, params, stream)

        return _timed(work, plan, data.nbytes + 3 * network[0] * network[1])


def _mask(kernels: Kernels, plan: BandwidthPlan) -> dict[str, Any]:
    pixels = plan.height * plan.width
    probability = np.random.default_rng(0).random(pixels, dtype=np.float32)
    with contextlib.ExitStack() as stack:
        sources = [on_device(stack, probability.view(np.uint8), "a map") for _ in range(plan.frames)]
        targets = [device_buffer(stack, pixels, "a mask") for _ in range(plan.frames)]
        area = device_buffer(stack, 4, "an area")

        def work(stream: Any, index: int) -> None:
            kernels.mask(MaskParams(sources[index], targets[index], area, 1, pixels, 0.5, 0), stream)

        return _timed(work, plan, 5 * pixels)


def _timed(work: Work, plan: BandwidthPlan, frame_bytes: int) -> dict[str, Any]:
    pycuda = require("pycuda.driver")
    main, others = pycuda.Stream(1), [pycuda.Stream(1) for _ in range(plan.streams - 1)]
    clock = GpuClock(main)
    chained = RecordedGraph(main, lambda: _chain(work, plan.frames, main))
    beside = RecordedGraph(main, lambda: _beside(work, plan.frames, main, others))
    samplers = {
        "chained": lambda: clock.mean_ms(chained.launch, plan.repetitions),
        "side_by_side": lambda: clock.mean_ms(beside.launch, plan.repetitions),
    }
    measured = alternated(samplers, plan.rule)
    chained.close()
    beside.close()
    return {
        "frame_bytes": frame_bytes,
        "all_frames_bytes": plan.frames * frame_bytes,
        "ms": {name: asdict(value) for name, value in measured.items()},
    }


def _chain(work: Work, frames: int, stream: Any) -> None:
    for index in range(frames):
        work(stream, index)


def _beside(work: Work, frames: int, main: Any, others: list[Any]) -> None:
    """The frames dealt out to several streams, which begin and end with the first."""
    pycuda = require("pycuda.driver")
    begin = pycuda.Event(pycuda.event_flags.DISABLE_TIMING)
    begin.record(main)
    for stream in others:
        stream.wait_for_event(begin)
    streams = [main, *others]
    for index in range(frames):
        work(streams[index % len(streams)], index)
    for stream in others:
        end = pycuda.Event(pycuda.event_flags.DISABLE_TIMING)
        end.record(stream)
        main.wait_for_event(end)
