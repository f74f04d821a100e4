"""What every backend looks like once it is loaded, and the way from a file to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import Precision
from edgeseg.frames import Frame, Mask, Probability, mask_from_probability, resize_to_network
from edgeseg.specs import ModelSpec, PreprocessSpec

FrameBatch = NDArray[np.uint8]
"""uint8 [N,H,W,3] RGB at the network's size."""
ProbabilityBatch = NDArray[np.float32]
"""float32 [N,C,H,W]."""


@dataclass(frozen=True)
class SessionInfo:
    """What a loaded network is and where it runs."""

    model: ModelSpec
    preprocess: PreprocessSpec
    backend: str
    precision: Precision
    sha256: str
    """Of the file that was loaded."""


class Session(Protocol):
    """A loaded network. Not for several threads at once; close it when done."""

    @property
    def info(self) -> SessionInfo:
        """What this is."""
        ...

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        ...

    def close(self) -> None:
        """Give back what it holds; closing twice is fine."""
        ...


def preprocess(session: Session, frame: Frame) -> FrameBatch:
    """One RGB frame of any size as the network's input, uint8 [1,H,W,3]."""
    info = session.info
    return resize_to_network(frame, info.model.height, info.model.width, info.preprocess.crop)[np.newaxis]


def probability_of(session: Session, frame: Frame) -> Probability:
    """The probability map of one RGB frame of any size, float32 [C,H,W] at the network's size."""
    probability: Probability = session.infer(preprocess(session, frame))[0]
    return probability


def segment(session: Session, frame: Frame) -> Mask:
    """The mask of one RGB frame at the frame's own size, uint8 [H,W].

    With a crop, everything outside it is background.
    """
    height, width = frame.shape[:2]
    probability = probability_of(session, frame)
    crop = session.info.preprocess.crop
    if crop is None:
        return mask_from_probability(probability, height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] = mask_from_probability(
        probability, crop.height, crop.width
    )
    return mask
