"""How far two networks agree on frames without ground truth: the pixels of the mask that they see differently."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.artifacts import Precision
from edgeseg.frames import Frame
from edgeseg.progress import Track, silent
from edgeseg.runtime.engine.engine import Engine
from edgeseg.runtime.engine.inputs import PackedFrame
from edgeseg.runtime.engine.one_frame import probability_of
from edgeseg.runtime.engine.session import mask_at_frame
from edgeseg.values import Part

MAX_FLIPPED_SHARE: dict[Precision, float] = {"fp32": 0.0001, "fp16": 0.002, "int8": 0.02}
"""Mean over the frames of the share of pixels whose class flips; several times what ONNX Runtime's engines of the
shipped package show on synthetic endoscopy (none, 0.003 % and 0.4 %)."""


class Agreement(Part):
    """An engine's masks against its reference's."""

    frames: int
    flipped_share: float
    """Mean over the frames of the share of pixels of another class."""
    worst_flipped_share: float
    max_probability_difference: float
    """Infinite where the engine gives what is not finite."""
    frames_with_mask: int
    """Frames on which the reference finds something: none of them means that nothing was compared."""
    frames_with_engine_mask: int | None = None
    """Frames on which the engine finds something; None in a report from before it was counted."""
    reference_constant: bool = False
    """True if the reference marks the same pixels on each of several frames, whatever they show."""
    limit: float

    def failures(self) -> list[str]:
        """List what was not as it must be, one sentence each."""
        if not np.isfinite(self.max_probability_difference):
            return ["the engine gave NaN or infinity"]
        if self.frames_with_mask and self.frames_with_engine_mask == 0:
            return [f"the engine finds nothing on any frame, the reference on {self.frames_with_mask} of {self.frames}"]
        if self.flipped_share > self.limit:
            return [
                f"{self.flipped_share:.3%} of the mask's pixels are not the reference's; {self.limit:.3%} are allowed"
            ]
        return []

    def doubts(self) -> list[str]:
        """List why the masks prove nothing, one sentence each: networks that find nothing always agree."""
        if self.frames_with_mask == 0:
            return [f"the reference finds nothing on any of {self.frames} frames, so equal masks prove nothing"]
        if self.reference_constant:
            return [f"the reference marks the same pixels on all {self.frames} frames, so equal masks prove nothing"]
        return []


def agree(
    engine: Engine, reference: Engine, frames: Sequence[Frame], precision: Precision, track: Track = silent
) -> Agreement:
    """Let both networks segment frames.

    Args:
        engine: What is compared with the reference.
        reference: An engine of the same network.
        frames: uint8 [H,W,3] RGB, at least one.
        precision: The engine's, which decides the limit.
        track: Shows progress.
    """
    flipped, largest = [], 0.0
    marked = np.zeros(2, int)
    seen: set[bytes] = set()
    for frame in track(frames, "comparing", len(frames)):
        probabilities = [probability_of(network, PackedFrame(frame, "rgb")) for network in (reference, engine)]
        difference = np.abs(probabilities[0] - probabilities[1])
        largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
        masks = [
            mask_at_frame(network.info, probability, *frame.shape[:2])
            for network, probability in zip((reference, engine), probabilities, strict=True)
        ]
        marked += [bool(mask.any()) for mask in masks]
        seen.add(masks[0].tobytes())
        flipped.append(float(np.mean(masks[0] != masks[1])))
    return Agreement(
        frames=len(frames),
        flipped_share=float(np.mean(flipped)),
        worst_flipped_share=max(flipped),
        max_probability_difference=largest,
        frames_with_mask=int(marked[0]),
        frames_with_engine_mask=int(marked[1]),
        reference_constant=len(frames) > 1 and len(seen) == 1,
        limit=MAX_FLIPPED_SHARE[precision],
    )
