"""Counts of what happened to a supervised process and its successors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgeseg.runtime.engine.outcomes import Loss

WorkerState = Literal["starting", "ready", "ending", "resting", "down", "closed"]
"""Loading; taking frames; killed but not yet reaped; dead until the limit of restarts lets it start again; given up;
closed."""


@dataclass
class SupervisorCounts:
    """Every accepted frame ends up in `segmented` or in `lost`."""

    accepted: int = 0
    passed: int = 0
    """Frames that no worker could take when they came."""
    segmented: int = 0
    lost: dict[Loss, int] = field(default_factory=dict)
    worker_starts: int = 0
    restarts: int = 0
    device_losses: int = 0
    """Workers that ended because only a new process could use the device again."""
    hangs: int = 0
    """Workers that were killed because they missed a deadline."""
    deaths: int = 0
    """Workers that ended in any other way."""

    @property
    def lost_total(self) -> int:
        """Frames lost for whatever reason."""
        return sum(self.lost.values())
