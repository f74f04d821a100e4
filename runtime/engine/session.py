"""A network that is loaded and infers batches, and what the host does before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifacts import Precision
from edgeseg.errors import BadInputError, EdgesegError
from edgeseg.frames import Mask, Probability, mask_from_probability, resize_to_network, scale_plane
from edgeseg.runtime.engine.inputs import EngineInput, NetworkInput, size_of
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.specs import Crop, ModelSpec, PreprocessSpec

FrameBatch = NDArray[np.uint8]
"""A batch of frames, uint8 [N,H,W,3] RGB at the network's size."""
ProbabilityBatch = NDArray[np.float32]
"""The probability maps of a batch, float32 [N,C,H,W]."""


@dataclass(frozen=True)
class SessionInfo:
    """Describes a loaded network and where it runs."""

    model: ModelSpec
    preprocess: PreprocessSpec
    backend: str
    precision: Precision
    sha256: str
    """The hash of the file that was loaded."""
    takes_planes: bool = False
    """True if a decoder's planes (`PlanarFrame`) are best handed over whole: the device resizes them itself.
    Elsewhere the host makes the network's input, which is cheaper there, and planes are refused."""


class Session(Protocol):
    """A loaded network, as a CPU's backend opens it. One thread at a time uses it; close it when done."""

    @property
    def info(self) -> SessionInfo:
        """The network, and where it runs."""
        ...

    def infer(self, frames: FrameBatch) -> ProbabilityBatch:
        """Run the network: uint8 [N,H,W,3] RGB in, float32 [N,C,H,W] out."""
        ...

    def close(self) -> None:
        """Give back what it holds; closing twice is fine."""
        ...


def preprocess(info: SessionInfo, frame: EngineInput) -> FrameBatch:
    """Make one frame the network's input, uint8 [1,h,w,3] RGB.

    The resize treats channels alike, so a BGR frame is resized first and turned to RGB at the network's size.

    Args:
        info: The network.
        frame: Packed pixels of any size, or the network's input.

    Raises:
        BadInputError: The network's crop does not lie inside the frame.
        EdgesegError: The frame is planes, which only a device takes.
    """
    if isinstance(frame, NetworkInput):
        return frame.pixels[np.newaxis]
    if isinstance(frame, PlanarFrame):
        raise EdgesegError("planes were handed to a session that takes none", expected="the network's input")
    check_crop(info.preprocess.crop, *size_of(frame))
    small = resize_to_network(frame.pixels, info.model.height, info.model.width, info.preprocess.crop)
    if frame.colour_order == "bgr":
        small = np.ascontiguousarray(small[:, :, ::-1])
    return small[np.newaxis]


def mask_at_frame(info: SessionInfo, probability: Probability, height: int, width: int) -> Mask:
    """Turn a probability map into a mask of the frame's size, uint8 [height,width].

    With a crop, everything outside it is background.
    """
    crop = info.preprocess.crop
    if crop is None:
        return mask_from_probability(probability, height, width)
    mask = np.zeros((height, width), np.uint8)
    mask[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] = mask_from_probability(
        probability, crop.height, crop.width
    )
    return mask


def marked_at_frame(info: SessionInfo, probability: Probability, height: int, width: int) -> Probability:
    """Compute how likely each pixel of the frame is marked, float32 [1,h,w] of any size; 0 outside a crop."""
    marked = probability if probability.shape[0] == 1 else 1 - probability[:1]
    crop = info.preprocess.crop
    if crop is None:
        return marked
    whole = np.zeros((1, height, width), np.float32)
    inside = scale_plane(marked[0], crop.height, crop.width)
    whole[0, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] = inside
    return whole


def check_crop(crop: Crop | None, height: int, width: int) -> None:
    """Refuse a frame that the network's crop does not lie inside.

    Raises:
        BadInputError: It does not lie inside.
    """
    if crop is not None and (crop.top + crop.height > height or crop.left + crop.width > width):
        raise BadInputError(
            "the network looks at a window that does not lie inside the frame",
            found=f"a frame of {width}x{height}",
            expected=f"at least {crop.left + crop.width}x{crop.top + crop.height}, for {crop}",
        )
