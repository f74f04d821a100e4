"""The messages between parent and worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeseg.errors import EdgesegError
from edgeseg.runtime.engine.inputs import InputForm
from edgeseg.runtime.engine.session import SessionInfo


@dataclass(frozen=True)
class Ready:
    """Worker: the engine is loaded and warm."""

    info: SessionInfo
    device_name: str | None
    """The GPU that it runs on; None on the host's processor."""
    pinned: bool = False
    """True if the GPU reads frames from the shared memory without one more copy."""


@dataclass(frozen=True)
class Submitted:
    """Parent: a frame lies in a slot."""

    sequence: int
    slot: int
    shape: tuple[int, ...]
    """The shape of its samples."""
    form: InputForm
    """The form of the samples."""


@dataclass(frozen=True)
class Answered:
    """Worker: the frame's result lies in its slot."""

    sequence: int
    infer_ns: int
    """Time from submission inside the worker to the result."""
    stages_ns: Mapping[str, int] | None = None
    """The GPU's own times of its stages, where it takes them."""


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
    """True if a new worker may fare better."""


@dataclass(frozen=True)
class Stop:
    """Parent: end when the frames under way are answered."""
