"""Durations on the GPU's own clock, by CUDA events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgeseg.optional import require
from edgeseg.runtime.cuda.cuda_errors import checked


class GpuClock:
    """Times work on one stream.

    Args:
        stream: A pycuda stream.
    """

    def __init__(self, stream: Any) -> None:
        pycuda = require("pycuda.driver")
        self.stream = stream
        self._start, self._end = pycuda.Event(), pycuda.Event()

    def mean_ms(self, launch: Callable[[], object], repetitions: int) -> float:
        """Time one launch, out of several that follow each other without a gap, in milliseconds.

        Args:
            launch: Puts work on the stream and waits for nothing.
            repetitions: How often.
        """
        self._start.record(self.stream)
        for _ in range(repetitions):
            launch()
        self._end.record(self.stream)
        self._end.synchronize()
        return float(self._start.time_till(self._end)) / repetitions


class RecordedGraph:
    """Work on a stream as one CUDA graph, without parameters that change.

    Args:
        stream: A pycuda stream.
        record: Puts the work there; run once before it is captured.
    """

    def __init__(self, stream: Any, record: Callable[[], None]) -> None:
        self._driver = driver = require("cuda.bindings.driver")
        self._handle = stream.handle
        self._record = record  # with the engine's context in it, whose memory the graph uses
        record()
        stream.synchronize()
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        checked(driver.cuStreamBeginCapture(self._handle, mode), "begin to capture")
        record()
        self._graph = checked(driver.cuStreamEndCapture(self._handle), "capture")
        self._executable = checked(driver.cuGraphInstantiate(self._graph, 0), "make the graph executable")

    def launch(self) -> None:
        """Run it on its stream; nothing is waited for."""
        checked(self._driver.cuGraphLaunch(self._executable, self._handle), "launch the graph")

    def close(self) -> None:
        """Destroy it."""
        self._driver.cuGraphExecDestroy(self._executable)
        self._driver.cuGraphDestroy(self._graph)
