"""The status of a live stream, which the page, the metrics, the log and `--json` all read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.runtime.live.live_values import State

Spread = dict[str, float | None]
"""``p50`` and ``p99``."""


@dataclass(frozen=True)
class LiveStatus:
    """One moment of a stream. Percentiles are of the newest frames (`meters.WINDOW`), counters of all."""

    state: State
    reason: str
    since_s: float
    """How long it has been in this state."""
    uptime_s: float
    backend: str
    precision: str
    engine: str
    """Hash of the engine file."""
    source: str
    width: int
    height: int
    fps: float | None
    frames: int
    """Presented."""
    inferences: int
    drops: int
    """Frames that the engine did not see because a newer one came, or because in synchronous mode its answer would have
    come too late; they are shown all the same."""
    skipped: int
    """Frames that were never shown because the machine was too slow to show them."""
    lost: int
    """Frames that were given to an engine that died or refused them."""
    gated: int
    deadline_misses: int
    restarts: int
    picture_age_ms: Spread
    mask_age_ms: Spread
    mask_limit_ms: float
    infer_ms: Spread
    compose_ms: Spread
    area_fraction: float | None
    confidence: float | None
    overlay: str
    sync_ms: float | None
    sinks: tuple[dict[str, Any], ...] = ()
    source_status: dict[str, Any] | None = None
    drift: dict[str, Any] | None = None
    """Findings of the drift watch; None where none runs. See `DriftMonitor.report`."""

    roll_out: dict[str, Any] | None = None
    """How a new engine does beside the one that is shown; None where there is none. See `RollOut.report`."""

    def to_dict(self) -> dict[str, Any]:
        """Give the status as plain JSON types."""
        return asdict(self)
