"""How often a worker may be started again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class RestartLimit:
    """Allows so many restarts in so long a time."""

    restarts: int = 5
    window_s: float = 600.0
    is_final: bool = True
    """Past it the worker stays down; otherwise it rests until the window lets it start again."""


class RestartBudget:
    """Counts restarts against a limit; the caller gives the time, so that nothing here waits."""

    def __init__(self, limit: RestartLimit) -> None:
        self._limit = limit
        self._times_s: deque[float] = deque()

    def take(self, now_s: float) -> bool:
        """Note a restart, or say no: the limit is reached.

        Args:
            now_s: The time now by the monotonic clock.
        """
        while self._times_s and now_s - self._times_s[0] >= self._limit.window_s:
            self._times_s.popleft()
        if len(self._times_s) >= self._limit.restarts:
            return False
        self._times_s.append(now_s)
        return True
