"""What every backend looks like once it is loaded, and the way from a file to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import Precision
from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.frames import Frame, Mask, Probability, mask_from_probability, resize_to_network, scale_plane
from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput, PackedFrame, size_of
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.specs import Crop, ModelSpec, PreprocessSpec

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
    takes_planes: bool = False
    """Whether a decoder's planes (`PlanarFrame`) are best handed over whole: the device brings them to the network's
    size itself. Elsewhere the host makes the network's input, which is cheaper there, and planes are refused."""


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


@runtime_checkable
class WholeFrames(Protocol):
    """What a session has beside `infer` where its device brings frames to the network's size itself."""

    def probability(self, frame: EngineInput) -> Probability:
        """Run the network on one frame: float32 [C,h,w], the caller's own."""
        ...


def preprocess(session: Session, frame: EngineInput) -> FrameBatch:
    """Make one frame the network's input, uint8 [1,h,w,3] RGB.

    The resize treats channels alike, so a BGR frame is resized first and turned to RGB at the network's size.

    Args:
        session: The network.
        frame: Packed pixels of any size, or the network's input.

    Raises:
        BadInputError: The network's crop does not lie inside the frame.
        EdgesegError: The frame is planes, which only a device takes.
    """
    if isinstance(frame, NetworkInput):
        return frame.pixels[np.newaxis]
    if isinstance(frame, PlanarFrame):
        raise EdgesegError("planes were handed to a session that takes none", expected="the network's input")
    info = session.info
    check_crop(info.preprocess.crop, *size_of(frame))
    small = resize_to_network(frame.pixels, info.model.height, info.model.width, info.preprocess.crop)
    if frame.colour_order == "bgr":
        small = np.ascontiguousarray(small[:, :, ::-1])
    return small[np.newaxis]


def probability_of(session: Session, frame: EngineInput) -> Probability:
    """The probability map of one frame, float32 [C,h,w] at the network's size.

    A session that takes whole frames resizes them where it runs, as it does for video.
    """
    if isinstance(session, WholeFrames):
        return session.probability(frame)
    probability: Probability = session.infer(preprocess(session, frame))[0]
    return probability


class Informed(Protocol):
    """Whatever knows what runs: sessions, engines, pools."""

    @property
    def info(self) -> SessionInfo:
        """What runs."""
        ...


def mask_at_frame(session: Informed, probability: Probability, height: int, width: int) -> Mask:
    """The mask of a probability map at the frame's size, uint8 [height,width].

    With a crop, everything outside it is background.
    """
    crop = session.info.preprocess.crop
    if crop is None:
        return mask_from_probability(probability, height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] = mask_from_probability(
        probability, crop.height, crop.width
    )
    return mask


def marked_at_frame(session: Informed, probability: Probability, height: int, width: int) -> Probability:
    """How likely each pixel of the whole frame is marked, float32 [1,h,w] of any size; outside a crop nothing is."""
    marked = probability if probability.shape[0] == 1 else 1 - probability[:1]
    crop = session.info.preprocess.crop
    if crop is None:
        return marked
    whole = np.zeros((1, height, width), np.float32)
    inside = scale_plane(marked[0], crop.height, crop.width)
    whole[0, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] = inside
    return whole


def segment(session: Session, frame: Frame) -> Mask:
    """The mask of one RGB frame at the frame's own size, uint8 [H,W]; see `mask_at_frame`."""
    height, width = frame.shape[:2]
    return mask_at_frame(session, probability_of(session, PackedFrame(frame, "rgb")), height, width)


def check_crop(crop: Crop | None, height: int, width: int) -> None:
    """Refuse a frame that the network's crop does not lie inside.

    Raises:
        BadInputError: It does not.
    """
    if crop is not None and (crop.top + crop.height > height or crop.left + crop.width > width):
        raise BadInputError(
            "the network looks at a window that does not lie inside the frame",
            found=f"a frame of {width}x{height}",
            expected=f"at least {crop.left + crop.width}x{crop.top + crop.height}, for {crop}",
        )
