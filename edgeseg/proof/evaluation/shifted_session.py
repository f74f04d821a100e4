"""A loaded network with another threshold: what it would be once exported with it."""

from __future__ import annotations

from edgeseg.errors import UsageError
from edgeseg.runtime.engine.session import FrameBatch, ProbabilityBatch, Session, SessionInfo
from edgeseg.threshold import logit, moved_probability


class ShiftedSession:
    """A session whose 0.5 is another threshold of the session behind it.

    Args:
        session: A network of one class; closing this closes it.
        threshold: Between 0 and 1, both excluded.

    Raises:
        UsageError: No threshold, or a network of several classes, where the largest probability decides.
    """

    def __init__(self, session: Session, threshold: float) -> None:
        logit(threshold)
        refuse_several_classes(session.info)
        self._session, self._threshold = session, threshold

    @property
    def info(self) -> SessionInfo:
        """The wrapped session's info."""
        return self._session.info

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network: uint8 [N,H,W,3] RGB in, moved probabilities float32 [N,1,H,W] out."""
        return moved_probability(self._session.infer(frames), self._threshold)

    def close(self) -> None:
        """Close the session behind."""
        self._session.close()


def refuse_several_classes(info: SessionInfo) -> None:
    """Only a network of one class has a threshold.

    Raises:
        UsageError: Several classes.
    """
    if info.model.output != "sigmoid":
        raise UsageError(
            "a network of several classes has no threshold",
            found=", ".join(info.model.classes),
            expected="a network of one class",
        )
