"""One word for how a live stream is doing, decided from what is measured, with a reason that a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeseg.runtime.live.live_values import State

EngineState = Literal["starting", "ready", "restarting", "down"]


@dataclass(frozen=True)
class Signs:
    """The measured values of a stream at one moment."""

    engine: EngineState
    engine_reason: str = ""
    was_ready: bool = False
    """True if the engine ever took a frame."""
    has_picture: bool = True
    """True if a frame was ever shown."""
    source_silent_ms: float = 0.0
    """Time since the last frame arrived."""
    without_mask_ms: float = 0.0
    """How long frames have been shown without what the engine says of them; 0 while a gate holds masks back."""
    late_share: float = 0.0
    """Share of the recent frames that were shown after their deadline."""
    mask_share: float = 1.0
    """Share of the recent frames that were shown with what the engine says of them."""
    complaints: tuple[str, ...] = ()
    """Complaints of sinks, source and drift watch."""
    stopped: bool = False


@dataclass(frozen=True)
class StateLimits:
    """When a state is left."""

    silent_ms: float = 500.0
    """A source that gives nothing for so long is said to be silent."""
    without_mask_ms: float = 1000.0
    """No mask for so long is pass-through, whatever the engine's process says of itself."""
    late_share: float = 0.05
    mask_share: float = 0.5
    settle_ms: float = 2000.0
    """How long all must be well before a degraded stream is called live again."""


def judge(signs: Signs, limits: StateLimits) -> tuple[State, str]:
    """The state that these signs ask for, and why; the reason is empty where the state is live."""
    if signs.stopped:
        return "stopped", "the stream has ended"
    if signs.engine != "ready":
        if not signs.was_ready and signs.engine == "starting":
            return "starting", "the engine is loading"
        word = "is down" if signs.engine == "down" else "is starting again"
        return "pass-through", f"the engine {word}" + (f": {signs.engine_reason}" if signs.engine_reason else "")
    if not signs.has_picture:
        return "starting", "no picture has come yet"
    if signs.source_silent_ms > limits.silent_ms:
        return "degraded", f"no frame from the source for {signs.source_silent_ms / 1e3:.1f} s"
    if signs.without_mask_ms > limits.without_mask_ms:
        return "pass-through", "; ".join([f"no mask for {signs.without_mask_ms / 1e3:.1f} s", *signs.complaints])
    reasons = list(signs.complaints)
    if signs.late_share > limits.late_share:
        reasons.append(f"{100 * signs.late_share:.0f} % of the frames are late")
    if signs.mask_share < limits.mask_share:
        reasons.append(f"the engine is slow: {100 * signs.mask_share:.0f} % of the frames have a mask in time")
    return ("degraded", "; ".join(reasons)) if reasons else ("live", "")


@dataclass(frozen=True)
class StateChange:
    """A state and when it began."""

    state: State
    reason: str
    since_ns: int
    source_silent: bool = False
    """True if the source gives nothing: that is told even if the state is no other one."""


class StateKeeper:
    """Follows `judge`: worse at once, from degraded to live only after it has been well for a while."""

    def __init__(self, now_ns: int, limits: StateLimits | None = None) -> None:
        self._limits = limits or StateLimits()
        self._current = StateChange("starting", "the engine is loading", now_ns)
        self._well_since_ns: int | None = None

    @property
    def current(self) -> StateChange:
        """The state now."""
        return self._current

    def update(self, signs: Signs, now_ns: int) -> StateChange | None:
        """Judge anew; the change where the state is another one now, or the source fell silent or came back.

        Args:
            signs: What is known.
            now_ns: The time now by the monotonic clock.
        """
        state, reason = judge(signs, self._limits)
        if state != "live":
            self._well_since_ns = None
        elif self._well_since_ns is None:
            self._well_since_ns = now_ns
        former = self._current
        if state == "live" and former.state == "degraded" and not self._settled(now_ns):
            return None
        silent = state == "degraded" and signs.source_silent_ms > self._limits.silent_ms
        if (state, silent) == (former.state, former.source_silent):
            self._current = StateChange(state, reason, former.since_ns, silent)
            return None
        self._current = StateChange(state, reason, now_ns, silent)
        return self._current

    def _settled(self, now_ns: int) -> bool:
        since_ns = self._well_since_ns
        return since_ns is not None and (now_ns - since_ns) / 1e6 >= self._limits.settle_ms
