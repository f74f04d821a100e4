"""Frames in host memory as the kernels take them: where their planes lie, checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.runtime.cuda.kernels.parameters import ColourRange, FrameLayout, PixelFormat
from edgeseg.runtime.engine.inputs import ColourOrder, EngineInput, NetworkInput
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.specs import Crop

PIXEL_FORMATS: dict[ColourOrder, PixelFormat] = {"bgr": "bgr24", "rgb": "rgb24"}


@dataclass(frozen=True, eq=False)
class HostImage:
    """A frame whose samples lie one after another."""

    layout: FrameLayout
    samples: NDArray[np.uint8]
    """Contiguous."""
    chroma_offsets: tuple[int, ...] = ()
    """Bytes from the first sample to the first of each plane of chroma."""


def host_image(frame: EngineInput, crop: Crop | None) -> HostImage:
    """Say how a frame lies in memory.

    Args:
        frame: The frame.
        crop: Window of it that the network sees; that of a `NetworkInput` has been taken.

    Raises:
        BadInputError: It is of another shape.
    """
    if isinstance(frame, PlanarFrame):
        return _planar(frame, crop)
    pixels = frame.pixels
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise _wrong_shape(pixels, "[H,W,3]")
    height, width, _ = pixels.shape
    prepared = isinstance(frame, NetworkInput)
    pixel_format = PIXEL_FORMATS["rgb" if isinstance(frame, NetworkInput) else frame.colour_order]
    layout = FrameLayout(pixel_format, width, height, 3 * width, crop=None if prepared else crop)
    return HostImage(layout, np.ascontiguousarray(pixels))


def _planar(frame: PlanarFrame, crop: Crop | None) -> HostImage:
    form, samples = frame.form, frame.samples
    rows, columns = form.height + form.height % 2, form.width + form.width % 2
    if samples.shape != (rows // 2 * 3, columns):
        raise _wrong_shape(samples, f"[{rows // 2 * 3},{columns}] for planes of {form.width}x{form.height}")
    colour_range: ColourRange = "full" if form.full_range else "limited"
    layout = FrameLayout(
        "yuv420p", form.width, form.height, columns, columns // 2, form.matrix, colour_range, crop=crop
    )
    chroma = rows * columns
    return HostImage(layout, np.ascontiguousarray(samples), (chroma, chroma + chroma // 4))


def _wrong_shape(samples: NDArray[np.uint8], expected: str) -> BadInputError:
    return BadInputError("this frame has another shape", found=list(samples.shape), expected=f"uint8 {expected}")
