"""An engine whose outcomes are looked at or changed on their way."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Outcome, Segmented
from edgeseg.runtime.engine.session import SessionInfo


class MappedEngine(ABC):
    """An engine that is a map over the outcomes of the engine behind it.

    Args:
        engine: The engine behind; closing this closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @abstractmethod
    def mapped(self, segmented: Segmented) -> Segmented:
        """Give the outcome that is handed on instead of one of the engine behind."""

    @property
    def info(self) -> SessionInfo:
        """The network behind, and where it runs."""
        return self._engine.info

    @property
    def capacity(self) -> int:
        """Frames that may be under way at once."""
        return self._engine.capacity

    @property
    def restarts(self) -> int:
        """How often a process of the engine had to be started again."""
        return self._engine.restarts

    @property
    def device_name(self) -> str | None:
        """The GPU that it runs on; None on the host's processor."""
        return self._engine.device_name

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until frames are taken; see `Engine`."""
        self._engine.wait_ready(timeout_s)

    def pin(self, memory: NDArray[np.uint8]) -> bool:
        """Prepare memory that frames will lie in; see `Engine`."""
        return self._engine.pin(memory)

    def submit(self, frame: EngineInput) -> int | None:
        """Hand a frame over; see `Engine`."""
        return self._engine.submit(frame)

    def poll(self, timeout_s: float = 0.0) -> list[Outcome]:
        """Take what has come of frames, each result mapped; see `Engine`."""
        outcomes = self._engine.poll(timeout_s)
        return [self.mapped(outcome) if isinstance(outcome, Segmented) else outcome for outcome in outcomes]

    def close(self) -> None:
        """Close the engine behind."""
        self._engine.close()
