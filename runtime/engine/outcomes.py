"""The outcome of a frame that was handed to an engine: its probability map, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edgeseg.errors import EdgesegError
from edgeseg.frames import Probability
from edgeseg.runtime.engine.failures import ProcessLostError

Loss = Literal["device", "died", "hung", "refused", "damaged", "closed"]
"""Why a frame was lost: its process lost the device (``device``), ended otherwise (``died``) or missed its
deadline (``hung``); the engine refused this frame alone (``refused``), gave a result that is not whole
(``damaged``), or was closed first (``closed``)."""


@dataclass(frozen=True, eq=False)
class Segmented:
    """A frame's own probability map."""

    sequence: int
    probability: Probability
    """float32 [C,h,w] at the network's size."""
    infer_ms: float
    """The time from submission in the engine's process to the result, without the host's resize."""
    pre_ms: float | None = None
    """The time of the resize on the host; None where that is a part of `infer_ms`."""
    stages_ns: Mapping[str, int] | None = None
    """The GPU's own times of its stages, in nanoseconds; None where it was not asked to take them."""


@dataclass(frozen=True)
class Lost:
    """A frame that will have no result: show it as it is, or hand it over again."""

    sequence: int
    loss: Loss
    reason: str = ""
    error: EdgesegError | None = None
    """The error of a frame that alone was refused."""


Outcome = Segmented | Lost


def refused(sequence: int, error: EdgesegError) -> Lost:
    """Make the outcome of a frame that an engine refused.

    Raises:
        ProcessLostError: The error, where it ends the process.
    """
    if isinstance(error, ProcessLostError):
        raise error
    return Lost(sequence, "refused", str(error), error)
