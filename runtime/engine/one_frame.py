"""Takes one frame through an engine that has no other under way, as proofs and the Python interface do."""

from __future__ import annotations

from edgeseg.frames import Frame, Mask, Probability
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import EngineInput, PackedFrame
from edgeseg.runtime.engine.lossless import LosslessFrames
from edgeseg.runtime.engine.outcomes import Segmented
from edgeseg.runtime.engine.session import mask_at_frame


def outcome_of(engine: Engine, frame: EngineInput) -> Segmented:
    """Hand a frame over and wait for it; one that is lost with a process is handed to the next.

    Raises:
        EdgesegError: The engine refuses this frame, or is down for good.
    """
    frames: LosslessFrames[None] = LosslessFrames(engine)
    frames.add(None, frame)
    return frames.take()[1]


def probability_of(engine: Engine, frame: EngineInput) -> Probability:
    """Compute the probability map of one frame, float32 [C,h,w] at the network's size; see `outcome_of`."""
    return outcome_of(engine, frame).probability


def segment(engine: Engine, frame: Frame) -> Mask:
    """Compute the mask of one RGB frame at the frame's own size, uint8 [H,W]; see `outcome_of`."""
    height, width = frame.shape[:2]
    return mask_at_frame(engine.info, probability_of(engine, PackedFrame(frame, "rgb")), height, width)
