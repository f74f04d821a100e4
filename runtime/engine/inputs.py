"""The input of an engine: one frame, which says itself what its samples are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Frame
from edgeseg.runtime.engine.planes import PlanarForm, PlanarFrame

ColourOrder = Literal["rgb", "bgr"]


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """A frame that is the network's input already: RGB at the network's size, its crop taken."""

    pixels: Frame
    """uint8 [h,w,3]."""

    @property
    def nbytes(self) -> int:
        """The size of its samples, in bytes."""
        return self.pixels.nbytes


@dataclass(frozen=True, eq=False)
class PackedFrame:
    """A frame of any size with three samples a pixel."""

    pixels: Frame
    """uint8 [H,W,3]."""
    colour_order: ColourOrder

    @property
    def nbytes(self) -> int:
        """The size of its samples, in bytes."""
        return self.pixels.nbytes


EngineInput = NetworkInput | PackedFrame | PlanarFrame
InputForm = Literal["network", "rgb", "bgr"] | PlanarForm
"""The meaning of an input's samples, where the two travel apart."""


def size_of(frame: EngineInput) -> tuple[int, int]:
    """Read the picture's height and width, in pixels."""
    if isinstance(frame, PlanarFrame):
        return frame.form.height, frame.form.width
    return frame.pixels.shape[0], frame.pixels.shape[1]


def taken_apart(frame: EngineInput) -> tuple[NDArray[np.uint8], InputForm]:
    """Take a frame apart into its samples and what they mean."""
    if isinstance(frame, PlanarFrame):
        return frame.samples, frame.form
    return frame.pixels, "network" if isinstance(frame, NetworkInput) else frame.colour_order


def put_together(samples: NDArray[np.uint8], form: InputForm) -> EngineInput:
    """Make a frame of its samples and what they mean, as `taken_apart` gave them."""
    if isinstance(form, PlanarForm):
        return PlanarFrame(samples, form)
    return NetworkInput(samples) if form == "network" else PackedFrame(samples, form)
