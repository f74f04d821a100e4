"""An engine with another threshold: what it would be once exported with it."""

from __future__ import annotations

from dataclasses import replace

from edgeseg.errors import UsageError
from edgeseg.proof.mapped_engine import MappedEngine
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.threshold import logit, moved_probability


class ShiftedEngine(MappedEngine):
    """An engine whose 0.5 is another threshold of the engine behind it.

    Args:
        engine: A network of one class; closing this closes it.
        threshold: Between 0 and 1, both excluded.

    Raises:
        UsageError: No threshold, or a network of several classes, where the largest probability decides.
    """

    def __init__(self, engine: Engine, threshold: float) -> None:
        logit(threshold)
        refuse_several_classes(engine.info)
        super().__init__(engine)
        self._threshold = threshold

    def mapped(self, segmented: Segmented) -> Segmented:
        """Move the probability."""
        return replace(segmented, probability=moved_probability(segmented.probability, self._threshold))


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
