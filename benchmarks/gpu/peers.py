"""The lane beside what one would write with torch: eager, torch.compile, and the naive loop, alternated in one run.

Each takes a 1080p frame in host memory to a mask of the network's size in host memory, by the same network in FP16.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.gpu.alternation import alternated
from benchmarks.gpu.frames import pinned_frames
from benchmarks.gpu.network_from_onnx import network_from_onnx
from benchmarks.gpu.opening import Opening
from edgeseg.frames import Frame, Mask, resize_to_network
from edgeseg.proof.timing.stability import StabilityRule
from edgeseg.runtime.engine.inputs import PackedFrame

RULE = StabilityRule(window_samples=40, window_s=0.1, max_s=25.0)
MIN_AGREEMENT = 0.97
"""Share of a mask's pixels in which a peer must agree with the lane: it resizes by its own arithmetic, in FP16."""


@dataclass(frozen=True)
class PeersPlan:
    """The measurements to make, and their duration."""

    height: int = 1080
    width: int = 1920
    device: str = "cuda"
    dtype: torch.dtype = torch.float16
    compiled: bool = True
    rule: StabilityRule = RULE


Segment = Callable[[Frame], Mask]


def peers_figures(opening: Opening, plan: PeersPlan) -> dict[str, Any]:
    """Milliseconds a frame of each, and how many times the lane's that is."""
    session = opening.session(lanes=1, frame_bytes=3 * plan.height * plan.width)
    with contextlib.closing(session):
        frames = pinned_frames(session, plan.height, plan.width)[0]

        def lane(frame: Frame) -> Mask:
            session.start(PackedFrame(frame, "bgr"))
            return session.finish().mask

        peers, failures = _ready({"lane": lane, **_peers(opening, plan)}, frames[0])
        samplers = {name: _sampler(segment, frames) for name, segment in peers.items()}
        measured = alternated(samplers, plan.rule)
    lane_ms = measured["lane"].p50
    return {
        "frame": f"{plan.width}x{plan.height} BGR",
        "ms": {name: asdict(value) for name, value in measured.items()},
        "times_the_lane": {name: value.p50 / lane_ms for name, value in measured.items() if name != "lane"},
        "not_measured": failures,
    }


def _peers(opening: Opening, plan: PeersPlan) -> dict[str, Segment]:
    network = network_from_onnx(opening.artifact, plan.dtype).to(plan.device)
    size = opening.info.model.height, opening.info.model.width
    eager = OnDevice(network, size, plan, compiled=False)
    peers: dict[str, Segment] = {"torch eager": eager, "naive loop": Naive(network, size, plan)}
    if plan.compiled:
        peers["torch.compile"] = OnDevice(network, size, plan, compiled=True)
    return peers


class OnDevice:
    """Asynchronous copies from pinned memory, resize and network by torch on the GPU; eager, or compiled."""

    def __init__(self, network: Callable[[Tensor], Tensor], size: tuple[int, int], plan: PeersPlan, compiled: bool):
        self._network, self._size, self._plan = network, size, plan
        self._step = torch.compile(self._mask, mode="reduce-overhead") if compiled else self._mask
        self._frame = torch.empty((plan.height, plan.width, 3), dtype=torch.uint8, device=plan.device)
        self._result = torch.empty(size, dtype=torch.uint8, pin_memory=plan.device == "cuda")

    def __call__(self, frame: Frame) -> Mask:
        """The mask at the network's size, in memory that the next frame's takes."""
        with torch.inference_mode():
            self._frame.copy_(torch.from_numpy(frame), non_blocking=True)
            self._result.copy_(self._step(self._frame), non_blocking=True)
        if self._plan.device == "cuda":
            torch.cuda.current_stream().synchronize()
        return self._result.numpy()

    def _mask(self, frame: Tensor) -> Tensor:
        """Resize as `edgeseg.frames.resize_to_network` does, but for its rounding; then infer and threshold."""
        height, width = self._size
        image = frame.permute(2, 0, 1).flip(0)[None].to(self._plan.dtype)
        while image.shape[2] >= 2 * height and image.shape[3] >= 2 * width:
            image = F.avg_pool2d(image, 2)
        image = F.interpolate(image, (height, width), mode="bilinear", align_corners=False)
        network_input = image.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        return (self._network(network_input)[0, 0] >= 0.5).to(torch.uint8) * 255


class Naive:
    """Resize on the host, new memory for each frame, copies that wait."""

    def __init__(self, network: Callable[[Tensor], Tensor], size: tuple[int, int], plan: PeersPlan) -> None:
        self._network, self._size, self._device = network, size, plan.device

    def __call__(self, frame: Frame) -> Mask:
        """The mask at the network's size."""
        small = np.ascontiguousarray(resize_to_network(frame, *self._size)[:, :, ::-1])
        with torch.inference_mode():
            probability = self._network(torch.from_numpy(small)[None].to(self._device)).cpu().numpy()
        return np.where(probability[0, 0] >= 0.5, 255, 0).astype(np.uint8)


def _ready(segments: dict[str, Segment], frame: Frame) -> tuple[dict[str, Segment], dict[str, str]]:
    """List the peers that run and agree with the lane, warm; and say why not, of the others."""
    ready, failures = {"lane": segments["lane"]}, {}
    expected = segments["lane"](frame).copy()
    for name, segment in segments.items():
        if name == "lane":
            continue
        try:
            for _ in range(3):
                mask = segment(frame)
        except Exception as error:  # a peer that does not run here must not cost the others
            failures[name] = f"{type(error).__name__}: {error}"[:500]
            continue
        agreement = float((mask == expected).mean())
        if agreement < MIN_AGREEMENT:
            failures[name] = f"its mask agrees with the lane's in {agreement:.1%} of the pixels alone"
        else:
            ready[name] = segment
    return ready, failures


def _sampler(segment: Segment, frames: list[Frame]) -> Callable[[], float]:
    turns = cycle(frames)

    def sample() -> float:
        frame = next(turns)
        start_ns = time.perf_counter_ns()
        segment(frame)
        return (time.perf_counter_ns() - start_ns) / 1e6

    return sample
