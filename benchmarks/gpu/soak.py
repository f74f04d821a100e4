"""Frame after frame through lanes: whether memory stays what it is."""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.frames import pinned_frames
from benchmarks.gpu.opening import Opening
from edgeseg.optional import require
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.memory import resident_bytes


@dataclass(frozen=True)
class SoakPlan:
    """The work to do, and how long it may take."""

    height: int = 1080
    width: int = 1920
    lanes: int = 2
    frames: int = 100_000
    readings: int = 40
    limit_s: float = 90.0


def soak_figures(opening: Opening, plan: SoakPlan) -> dict[str, Any]:
    """Bytes by which memory grew between the first tenth of the frames and the last."""
    pycuda = require("pycuda.driver")
    session = opening.session(lanes=plan.lanes, frame_bytes=3 * plan.height * plan.width)
    device, resident, done = [], [], 0
    start_s = time.monotonic()
    with contextlib.closing(session):
        frames = itertools.cycle(pinned_frames(session, plan.height, plan.width)[0])
        for _ in range(plan.lanes):
            session.start(PackedFrame(next(frames), "bgr"))
        while done < plan.frames and time.monotonic() - start_s < plan.limit_s:
            for _ in range(max(1, plan.frames // plan.readings)):
                session.finish()
                session.start(PackedFrame(next(frames), "bgr"))
                done += 1
            free, total = pycuda.mem_get_info()
            device.append(total - free)
            resident.append(resident_bytes())
        for _ in range(plan.lanes):
            session.finish()
    settled = len(device) // 10
    return {
        "frames": done,
        "asked": plan.frames,
        "seconds": time.monotonic() - start_s,
        "device_growth_bytes": max(device[settled:]) - device[settled],
        "resident_growth_bytes": max(resident[settled:]) - resident[settled],
        "device_bytes": device,
        "resident_bytes": resident,
    }
