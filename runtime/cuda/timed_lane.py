"""A lane whose graph notes when each stage ends, by events on the GPU. The plain lane has none of this."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.optional import require
from edgeseg.runtime.cuda.buffers import PinnedFrames
from edgeseg.runtime.cuda.cuda_errors import checked, translated
from edgeseg.runtime.cuda.device_frames import DeviceFrame
from edgeseg.runtime.cuda.execution import ExecutionContext
from edgeseg.runtime.cuda.lane import Lane, LaneSpec
from edgeseg.runtime.cuda.launches import Kernels
from edgeseg.specs import Crop

STAGES = ("copy", "pre", "infer", "post")
"""The copy to a discrete GPU (with the one to pinned memory before it, where the frame does not lie in such); the
preprocess kernel; the engine; the mask kernel and the copies back."""
_START = "start"


class TimedLane(Lane):
    """A `Lane` that times each frame's stages. For measuring: the events cost a frame some microseconds.

    The events inside the graph are recorded as nodes of their own (CU_EVENT_RECORD_EXTERNAL of the CUDA Driver API).

    Args:
        context: See `Lane`.
        kernels: See `Lane`.
        spec: See `Lane`.
    """

    def __init__(self, context: ExecutionContext, kernels: Kernels, spec: LaneSpec) -> None:
        self._driver: Any = require("cuda.bindings.driver")
        self._in_graph = False
        self._events: dict[str, Any] = {}
        try:
            for name in (_START, *STAGES):
                event = checked(self._driver.cuEventCreate(0), "make an event")
                self._events[name] = event
            super().__init__(context, kernels, spec)
        except BaseException:
            self._destroy_events()
            raise

    def stage_times_ns(self) -> dict[str, int]:
        """Stage -> nanoseconds, of the frame whose result was taken last; without ``copy`` on an integrated GPU."""
        with translated("wait for the GPU's times"):
            self._done.synchronize()  # of a result that was left on the device nobody has waited
        times, before = {}, _START
        for stage in STAGES:
            elapsed = self._driver.cuEventElapsedTime(self._events[before], self._events[stage])
            times[stage] = round(1e6 * float(checked(elapsed, "read the GPU's times")))
            before = stage
        if self._spec.integrated:
            times["pre"] += times.pop("copy")
        return times

    def submit_device(self, frame: DeviceFrame, crop: Crop | None) -> None:
        """Submit as `Lane` does; ``copy`` is next to nothing."""
        self._record(_START)
        self._record("copy")
        super().submit_device(frame, crop)

    def close(self) -> None:
        """Give everything back; closing twice is fine."""
        super().close()
        self._destroy_events()

    def _place(self, frame: NDArray[np.uint8], pinned: PinnedFrames) -> int:
        self._record(_START)
        source = super()._place(frame, pinned)
        self._record("copy")
        return source

    def _warm_up(self) -> None:
        super()._warm_up()
        self._in_graph = True  # what follows is captured

    def _mark(self, stage: str) -> None:
        if self._in_graph:
            external = self._driver.CUevent_record_flags.CU_EVENT_RECORD_EXTERNAL.value
            marked = self._driver.cuEventRecordWithFlags(self._events[stage], self._stream.handle, external)
            checked(marked, "time a stage")

    def _record(self, name: str) -> None:
        checked(self._driver.cuEventRecord(self._events[name], self._stream.handle), "time a frame")

    def _destroy_events(self) -> None:
        while self._events:
            self._driver.cuEventDestroy(self._events.popitem()[1])
