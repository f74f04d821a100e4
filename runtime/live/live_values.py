"""The values that flow through a live pipeline, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeseg.frames import Mask, Probability
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.source import SourceFrame

State = Literal["starting", "live", "degraded", "pass-through", "stopped"]
"""The engine is not up, or no picture has come yet; masks come in time; masks come, but late or few, or a gate or sink
complains; the picture goes on without masks; it has ended."""


@dataclass(frozen=True, eq=False)
class LiveMask:
    """The engine's answer for one frame."""

    index: int
    """Index of the frame that the engine saw."""
    arrived_ns: int
    """Arrival of that frame."""
    mask: Mask
    """uint8 [H,W] at that frame's size: 0 or 255."""
    area_fraction: float
    """Marked part of the picture, 0 to 1."""
    confidence: float
    """Mean probability inside the mask, 0 to 1; 0 where nothing is marked."""
    infer_ms: float
    probability: Probability | None = None
    """float32 [1,h,w] of any size: how likely each pixel is marked, of the whole picture."""


@dataclass(frozen=True, eq=False)
class Presented:
    """One frame as it is shown. Sinks read it and write to none of it."""

    frame: SourceFrame
    presented_ns: int
    overlay: Picture
    """The picture with outline and caption; the very picture of `frame` where nothing is drawn."""
    mask: LiveMask | None
    """The mask that is shown; None where none is young enough, or a gate took it down."""
    state: State
    reason: str
    """Why the state is not live, for a person; empty where it is."""
    gate: str | None = None
    """Why this frame shows no tissue (for example ``black``, ``blurred``); None where it does."""
    recordable: bool = True
    """False where the frame is not to leave the machine's memory (privacy)."""
    alarms: tuple[str, ...] = ()
    """The drift watch's alarms; see `DriftState.alarms`."""

    @property
    def picture_age_ms(self) -> float:
        """Time from the frame's arrival to its presentation."""
        return (self.presented_ns - self.frame.arrived_ns) / 1e6

    @property
    def mask_age_ms(self) -> float | None:
        """Time from the arrival of the frame that the mask was made of to its presentation."""
        return None if self.mask is None else (self.presented_ns - self.mask.arrived_ns) / 1e6
