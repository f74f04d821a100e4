"""What becomes of a frame that was handed to an engine: its probability map, or the reason why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgeseg.errors import EdgesegError
from edgeseg.frames import Probability
from edgeseg.runtime.engine.failures import ProcessLostError

Loss = Literal["device", "died", "hung", "refused", "damaged", "closed"]
"""The device was lost to the process; the worker ended otherwise; it missed its deadline; it refused this frame alone;
its result was not whole; the session was closed first."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """A frame's own probability map."""

    sequence: int
    probability: Probability
    """float32 [C,h,w] at the network's size."""
    infer_ms: float
    """From the frame's submission where the engine is to its result; the host's preprocessing is left out."""
    pre_ms: float | None = None
    """Bringing the frame to the network's size on the host; None where that is a part of `infer_ms`."""
    stages_ns: Mapping[str, int] | None = None
    """The GPU's own times of its stages, in nanoseconds, where it was asked to take them."""


@dataclass(frozen=True)
class Lost:
    """A frame that will have no result: show it as it is, or hand it over again."""

    sequence: int
    loss: Loss
    reason: str = ""
    error: EdgesegError | None = None
    """Why this frame alone was refused."""


Outcome = Segmented | Lost


def refused(sequence: int, error: EdgesegError) -> Lost:
    """Make the outcome of a frame that an engine refused.

    Raises:
        ProcessLostError: The error, where it is not this frame's alone.
    """
    if isinstance(error, ProcessLostError):
        raise error
    return Lost(sequence, "refused", str(error), error)
