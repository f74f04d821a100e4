"""Frames that lie on the GPU already, for `CudaEngine.start_device`: what their planes are, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeseg.errors import BadInputError
from edgeseg.runtime.cuda.device_arrays import DeviceArray, device_array
from edgeseg.runtime.cuda.kernels.parameters import PIXEL_BYTES, ColourRange, FrameLayout
from edgeseg.runtime.engine.planes import Matrix
from edgeseg.specs import Crop

_LARGEST_PITCH = 2**31 - 1


@dataclass(frozen=True, eq=False)
class DevicePixels:
    """One plane of packed pixels."""

    pixels: object
    """uint8 [H,W,3], or [H,W,4] for ``bgr0``; rows at any pitch."""
    pixel_format: Literal["bgr24", "bgr0", "rgb24"]


@dataclass(frozen=True, eq=False)
class Nv12Frame:
    """A Y plane and a UV plane, as two arrays. Matrix and range are never guessed."""

    luma: object
    """uint8 [H,W]; rows at any pitch."""
    chroma: object
    """uint8 [ceil(H/2),2*ceil(W/2)] or [ceil(H/2),ceil(W/2),2]; rows at any pitch."""
    matrix: Matrix
    colour_range: ColourRange


@dataclass(frozen=True, eq=False)
class Nv12Surface:
    """One surface with the UV plane behind the Y plane, as hardware decoders give it. Matrix and range as above."""

    surface: object
    """uint8 [3/2*R,W], R even; rows at any pitch. The UV plane begins at row R."""
    height: int
    """Height of the picture, at most R, because decoders pad the planes."""
    matrix: Matrix
    colour_range: ColourRange


DeviceFrame = DevicePixels | Nv12Frame | Nv12Surface


@dataclass(frozen=True, eq=False)
class DeviceImage:
    """A frame as the kernels take it."""

    layout: FrameLayout
    source: int
    """Device address of the first plane."""
    chroma: int
    """Device address of NV12's UV plane; 0 for packed pixels."""
    arrays: tuple[DeviceArray, ...]
    """Hold its memory, and say what to wait for."""


def device_image(frame: DeviceFrame, crop: Crop | None, reader_stream: int) -> DeviceImage:
    """Read and check a frame's planes.

    Args:
        frame: The frame; any alignment will do.
        crop: Window of the frame that the network sees.
        reader_stream: Handle of the stream that will read it.

    Raises:
        BadInputError: Not uint8 on a GPU, of another shape, or not in rows of adjacent pixels.
    """
    if isinstance(frame, DevicePixels):
        return _packed(frame, crop, reader_stream)
    if isinstance(frame, Nv12Frame):
        return _two_planes(frame, crop, reader_stream)
    return _surface(frame, crop, reader_stream)


def _packed(frame: DevicePixels, crop: Crop | None, stream: int) -> DeviceImage:
    array, channels = device_array(frame.pixels, stream), PIXEL_BYTES[frame.pixel_format]
    if len(array.shape) != 3 or array.shape[2] != channels:
        raise _wrong_shape(array, f"[H,W,{channels}] for {frame.pixel_format}")
    height, width, _ = array.shape
    layout = FrameLayout(frame.pixel_format, width, height, _pitch(array), crop=crop)
    return DeviceImage(layout, array.address, 0, (array,))


def _two_planes(frame: Nv12Frame, crop: Crop | None, stream: int) -> DeviceImage:
    luma, chroma = device_array(frame.luma, stream), device_array(frame.chroma, stream)
    if len(luma.shape) != 2:
        raise _wrong_shape(luma, "[H,W] for the Y plane")
    height, width = luma.shape
    pairs = ((height + 1) // 2, (width + 1) // 2)
    if chroma.shape not in ((pairs[0], 2 * pairs[1]), (*pairs, 2)):
        raise _wrong_shape(chroma, f"[{pairs[0]},{2 * pairs[1]}] or [{pairs[0]},{pairs[1]},2] for the UV plane")
    layout = FrameLayout(
        "nv12", width, height, _pitch(luma), _pitch(chroma), frame.matrix, frame.colour_range, crop=crop
    )
    return DeviceImage(layout, luma.address, chroma.address, (luma, chroma))


def _surface(frame: Nv12Surface, crop: Crop | None, stream: int) -> DeviceImage:
    array = device_array(frame.surface, stream)
    if len(array.shape) != 2 or array.shape[0] % 3 or array.shape[1] % 2:
        raise _wrong_shape(array, "[3/2*R,W] with R and W even for an NV12 surface")
    rows, width = 2 * array.shape[0] // 3, array.shape[1]
    if not 0 < frame.height <= rows:
        raise _wrong_shape(array, f"at least {frame.height} rows in the Y plane")
    pitch = _pitch(array)
    layout = FrameLayout("nv12", width, frame.height, pitch, pitch, frame.matrix, frame.colour_range, crop=crop)
    return DeviceImage(layout, array.address, array.address + rows * pitch, (array,))


def _pitch(array: DeviceArray) -> int:
    """Distance from one row to the next, once the pixels of a row are known to lie side by side."""
    if not all(array.shape) or not array.address:
        raise BadInputError("this is an empty device frame", found=f"{list(array.shape)} at {array.address:#x}")
    row, step = array.strides_bytes[1:], 1
    for size, stride in zip(reversed(array.shape[1:]), reversed(row), strict=True):
        if size > 1 and stride != step:
            raise BadInputError(
                "the pixels of a row of this device frame do not lie side by side",
                found=f"strides {array.strides_bytes} of shape {array.shape}",
                expected="only the first stride, from row to row, may be larger",
            )
        step *= size
    pitch = array.strides_bytes[0] if array.shape[0] > 1 else step
    if not step <= pitch <= _LARGEST_PITCH:
        what = "this device frame's rows overlap, run backwards or lie too far apart"
        raise BadInputError(what, found=f"pitch {pitch}, row {step} bytes")
    return pitch


def _wrong_shape(array: DeviceArray, expected: str) -> BadInputError:
    return BadInputError("this device frame has another shape", found=list(array.shape), expected=f"uint8 {expected}")
