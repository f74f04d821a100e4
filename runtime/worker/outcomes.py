"""What becomes of a frame, and the counts of a supervised session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgeseg.frames import Probability

Loss = Literal["device", "died", "hung", "refused", "damaged", "closed"]
"""The device was lost to the process; the worker ended otherwise; it missed its deadline; it refused this frame alone;
its result was not whole; the session was closed first."""
WorkerState = Literal["starting", "ready", "ending", "down", "closed"]
"""Loading; taking frames; killed but not yet reaped; given up; closed."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """A frame's own probability map."""

    sequence: int
    probability: Probability
    """float32 [C,h,w] at the network's size."""
    infer_ms: float
    """Inside the worker, from the frame's submission to its result."""


@dataclass(frozen=True)
class Lost:
    """A frame that will have no result: show it as it is."""

    sequence: int
    loss: Loss
    reason: str = ""


Outcome = Segmented | Lost


@dataclass
class SupervisorCounts:
    """What happened since the start. Every accepted frame ends up in `segmented` or in `lost`."""

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
