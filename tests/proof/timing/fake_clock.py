"""A clock that only moves when it is told to, or slept on; and an engine that takes as long as it is told."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from edgeseg.runtime.engine.outcomes import Outcome, Segmented
from edgeseg.runtime.engine.session import SessionInfo


class FakeClock:
    """Every look takes a little, so that spinning ends; sleeping may end late."""

    def __init__(self, oversleep_ns: int = 0, look_ns: int = 1_000) -> None:
        self.ns = 1_000
        self.slept_ns = 0
        self._oversleep_ns, self._look_ns = oversleep_ns, look_ns

    def now_ns(self) -> int:
        self.ns += self._look_ns
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9) + self._oversleep_ns
        self.slept_ns += round(seconds * 1e9)

    def pass_ms(self, milliseconds: float) -> None:
        self.ns += round(milliseconds * 1e6)


LOOKS = 3
"""The clock is looked at three times more before a frame's time is known."""


class TimedEngine:
    """An `Engine` and a `Session`; frame number n takes `frame_ms(n)`, half of it in the network."""

    capacity, restarts, device_name = 8, 0, None

    def __init__(self, clock: FakeClock, info: SessionInfo, frame_ms: Callable[[int], float]) -> None:
        self.info, self.closed, self.frames = info, False, 0
        self._clock, self._frame_ms = clock, frame_ms
        self._under_way: deque[int] = deque()

    def wait_ready(self, timeout_s: float) -> None: ...

    def pin(self, memory: Any) -> bool:
        return False

    def submit(self, frame: Any) -> int:
        self._under_way.append(self.frames)
        self.frames += 1
        return self.frames - 1

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        sequence = self._under_way.popleft()
        taken_ms = self._frame_ms(sequence)
        self._clock.ns += round(1e6 * taken_ms) - LOOKS * self._clock._look_ns
        probability = np.zeros((1, self.info.model.height, self.info.model.width), np.float32)
        return [Segmented(sequence, probability, taken_ms / 2)]

    def infer(self, batch: Any) -> Any:
        self._clock.pass_ms(self._frame_ms(0) * len(batch))

    def close(self) -> None:
        self.closed = True
