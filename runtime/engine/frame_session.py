"""A session in this process that takes whole frames: an engine on a GPU, or any session behind the host's resize."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import EdgesegError
from edgeseg.frames import Probability
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.session import FrameBatch, Session, SessionInfo, preprocess


@runtime_checkable
class FrameSession(Protocol):
    """Takes frames of any size and may work on several at once; results come in order. For one thread."""

    @property
    def info(self) -> SessionInfo:
        """What this is."""
        ...

    @property
    def lanes(self) -> int:
        """Frames that it can work on at once."""
        ...

    @property
    def device_name(self) -> str | None:
        """The GPU that it runs on; None on the host's processor."""
        ...

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Prepare host memory that frames will lie in, for as long as the session lives; whether that helps."""
        ...

    def submit(self, frame: EngineInput) -> None:
        """Start on a frame; it must stay as it is until its result is there.

        Args:
            frame: Planes only where `info` says that they are taken.
        """
        ...

    def result(self) -> Probability:
        """Wait for the oldest frame under way: float32 [C,h,w], the caller's own until the next call."""
        ...

    def close(self) -> None:
        """Give back what it holds; closing twice is fine."""
        ...


class HostFrames:
    """A session that infers batches, as a `FrameSession`: `submit` resizes on the host, `result` infers.

    Args:
        session: The session; closing this closes it.
    """

    lanes = 1
    device_name = None

    def __init__(self, session: Session) -> None:
        self._session = session
        self._batch: FrameBatch | None = None

    @property
    def info(self) -> SessionInfo:
        """What this is."""
        return self._session.info

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Host memory needs no preparation here."""
        return False

    def submit(self, frame: EngineInput) -> None:
        """Bring the frame to the network's size."""
        self._batch = preprocess(self._session, frame)

    def result(self) -> Probability:
        """Infer."""
        if self._batch is None:
            raise EdgesegError("a result was asked for with no frame under way")
        batch, self._batch = self._batch, None
        probability: Probability = self._session.infer(batch)[0]
        return probability

    def close(self) -> None:
        """Close the session."""
        self._session.close()
