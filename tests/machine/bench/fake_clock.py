"""A clock that only moves when it is told to, or slept on; and an engine that takes as long as it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from edgeseg.machine.bench.targets import FrameTimes


class FakeClock:
    """Every look takes a microsecond, so that spinning ends; sleeping may end late."""

    def __init__(self, oversleep_ns: int = 0) -> None:
        self.ns = 1_000
        self.slept_ns = 0
        self._oversleep_ns = oversleep_ns

    def now_ns(self) -> int:
        self.ns += 1_000
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9) + self._oversleep_ns
        self.slept_ns += round(seconds * 1e9)

    def pass_ms(self, milliseconds: float) -> None:
        self.ns += round(milliseconds * 1e6)


class TimedTarget:
    """As BenchTarget; frame number n takes `frame_ms(n)`."""

    def __init__(self, clock: FakeClock, info: Any, frame_ms: Callable[[int], float], largest_batch: int = 8) -> None:
        self.info, self.closed, self.frames = info, False, 0
        self._clock, self._frame_ms, self._largest_batch = clock, frame_ms, largest_batch
        self._under_way: deque[int] = deque()

    def run(self, frame: Any) -> FrameTimes:
        taken_ms = self._frame_ms(self.frames)
        self.frames += 1
        self._clock.pass_ms(taken_ms)
        return FrameTimes(round(taken_ms * 1e6), {"infer": round(taken_ms * 0.5e6)})

    def submit(self, frame: Any) -> None:
        self._under_way.append(self.frames)
        self.frames += 1

    def finish(self) -> None:
        self._clock.pass_ms(self._frame_ms(self._under_way.popleft()))

    def infer(self, batch: Any) -> None:
        self._clock.pass_ms(self._frame_ms(0) * len(batch))

    def batch_refusal(self, size: int) -> str | None:
        return None if size <= self._largest_batch else "too large"

    def pin(self, block: Any) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
