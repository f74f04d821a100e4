"""What parent and worker say to each other, and the shape of a session that takes whole frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.frames import Frame, Probability
from edgeseg.runtime.session import ColourOrder, SessionInfo


@runtime_checkable
class FrameSession(Protocol):
    """A session that takes frames of any size and may work on several at once; results come in order."""

    @property
    def lanes(self) -> int:
        """Frames that it can work on at once."""
        ...

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Prepare host memory that frames will lie in, for as long as the session lives; whether that helps."""
        ...

    def submit(self, frame: Frame, colour_order: ColourOrder) -> None:
        """Start on a frame, uint8 [H,W,3]; it must stay as it is until its result is there."""
        ...

    def result(self) -> Probability:
        """Wait for the oldest frame under way: float32 [C,h,w], the caller's own until the next call."""
        ...


@dataclass(frozen=True)
class Ready:
    """Worker: the engine is loaded and warm."""

    info: SessionInfo


@dataclass(frozen=True)
class Submitted:
    """Parent: a frame lies in a slot."""

    sequence: int
    slot: int
    height: int
    width: int
    colour_order: ColourOrder


@dataclass(frozen=True)
class Answered:
    """Worker: the frame's result lies in its slot."""

    sequence: int
    infer_ns: int
    """From submission inside the worker to the result."""


@dataclass(frozen=True)
class Refused:
    """Worker: this frame has no result, the next may have one."""

    sequence: int
    error: EdgesegError


@dataclass(frozen=True)
class Failed:
    """Worker: it ends now."""

    error: EdgesegError
    again: bool
    """Whether a new worker may fare better."""


@dataclass(frozen=True)
class Stop:
    """Parent: end when the frames under way are answered."""
