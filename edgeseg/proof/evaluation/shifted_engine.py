"""An engine with another threshold: what it would be once exported with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import UsageError
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.outcomes import Outcome, Segmented
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.threshold import logit, moved_probability


class ShiftedEngine:
    """An engine whose 0.5 is another threshold of the engine behind it: a map over its outcomes.

    Args:
        engine: A network of one class; closing this closes it.
        threshold: Between 0 and 1, both excluded.

    Raises:
        UsageError: No threshold, or a network of several classes, where the largest probability decides.
    """

    def __init__(self, engine: Engine, threshold: float) -> None:
        logit(threshold)
        refuse_several_classes(engine.info)
        self._engine, self._threshold = engine, threshold

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
        """Take what has come of frames, each probability moved; see `Engine`."""
        return [self._moved(outcome) for outcome in self._engine.poll(timeout_s)]

    def close(self) -> None:
        """Close the engine behind."""
        self._engine.close()

    def _moved(self, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, Segmented):
            return outcome
        return replace(outcome, probability=moved_probability(outcome.probability, self._threshold))


def refuse_several_classes(info: SessionInfo) -> None:
    """Refuse a network of several classes: it has no threshold.

    Raises:
        UsageError: Several classes.
    """
    if info.model.output != "sigmoid":
        raise UsageError(
            "a network of several classes has no threshold",
            found=", ".join(info.model.classes),
            expected="a network of one class",
        )
