"""Kernel names, parameter structs and launch geometry: what a caller must know to launch `kernels.cu`.

A kernel takes one struct by value (a `ctypes.Structure`; `bytes(params)` gives pycuda's ``"88s"``-style argument, and
`ctypes.addressof` the driver's parameter pointer). The kernels of one frame run in order on one stream:

1. a preprocess kernel, which also sets the area to 0,
2. the engine,
3. `MASK_KERNEL`, which adds the mask's area; and `MAP_KERNEL` where the map is wanted.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Literal

from edgeseg.errors import BadInputError, UsageError
from edgeseg.runtime.engine.planes import KR_KB, Matrix
from edgeseg.specs import Crop

PixelFormat = Literal["bgr24", "bgr0", "rgb24", "nv12", "yuv420p"]
"""FFmpeg's names: packed B,G,R; packed B,G,R and a fourth byte that is ignored; packed R,G,B; Y and UV plane; Y, U and
V plane (I420)."""
ColourRange = Literal["limited", "full"]

PREPROCESS_KERNELS: dict[PixelFormat, str] = {
    "bgr24": "edgeseg_preprocess_bgr",
    "bgr0": "edgeseg_preprocess_bgrx",
    "rgb24": "edgeseg_preprocess_rgb",
    "nv12": "edgeseg_preprocess_nv12",
    "yuv420p": "edgeseg_preprocess_i420",
}
"""void kernel(PreprocessParams), launched with `preprocess_launch`."""
MASK_KERNEL = "edgeseg_mask"
"""void kernel(MaskParams), launched with `mask_launch`."""
MAP_KERNEL = "edgeseg_map"
"""void kernel(MapParams), launched with `map_launch`."""

PIXEL_BYTES: dict[PixelFormat, int] = {"bgr24": 3, "bgr0": 4, "rgb24": 3, "nv12": 1, "yuv420p": 1}
"""Bytes of one pixel in the first plane."""
MAX_HALVINGS = 6
"""More than 64 source pixels a side for one tap of the bilinear step do not fit the kernel's shared memory."""

FACTOR_ONE = 1 << 21
"""Fixed-point one of the factors from Y, U, V to RGB: fine enough to round as floating point does, but for ties."""

Extent = tuple[int, int, int]
Launch = tuple[Extent, Extent]
"""Grid (blocks) and block (threads), each as x, y, z. No kernel needs dynamic shared memory."""

TILE = 16
PIXELS_PER_BLOCK = 1024


class PreprocessParams(ctypes.Structure):
    """Mirror of `PreprocessParams` in parameters.h; pointers are device addresses."""

    _fields_ = (
        ("source", ctypes.c_uint64),
        ("chroma", ctypes.c_uint64),
        ("chroma_v", ctypes.c_uint64),
        ("target", ctypes.c_uint64),
        ("area", ctypes.c_uint64),
        ("pitch_bytes", ctypes.c_int32),
        ("chroma_pitch_bytes", ctypes.c_int32),
        ("left", ctypes.c_int32),
        ("top", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("network_width", ctypes.c_int32),
        ("network_height", ctypes.c_int32),
        ("luma_offset", ctypes.c_int32),
        ("luma_scale", ctypes.c_int32),
        ("red_from_v", ctypes.c_int32),
        ("green_from_u", ctypes.c_int32),
        ("green_from_v", ctypes.c_int32),
        ("blue_from_u", ctypes.c_int32),
    )


class MaskParams(ctypes.Structure):
    """Mirror of `MaskParams` in parameters.h; pointers are device addresses, `area` may be 0."""

    _fields_ = (
        ("probability", ctypes.c_uint64),
        ("mask", ctypes.c_uint64),
        ("area", ctypes.c_uint64),
        ("channels", ctypes.c_int32),
        ("pixels", ctypes.c_int32),
        ("threshold", ctypes.c_float),
        ("reserved", ctypes.c_int32),
    )


class MapParams(ctypes.Structure):
    """Mirror of `MapParams` in parameters.h; pointers are device addresses, `values` is C*h*w."""

    _fields_ = (
        ("probability", ctypes.c_uint64),
        ("map", ctypes.c_uint64),
        ("values", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
    )


@dataclass(frozen=True)
class FrameLayout:
    """How frames lie in memory; one value for a whole stream, while the addresses change with each frame."""

    pixel_format: PixelFormat
    width: int
    """Width of the whole frame in pixels."""
    height: int
    pitch_bytes: int
    """Distance from one row of the first plane to the next."""
    chroma_pitch_bytes: int = 0
    """Distance from one row of NV12's UV plane, or of I420's U and V planes, to the next; 0 for packed pixels."""
    matrix: Matrix = "bt709"
    """The planes' matrix; packed pixels have none."""
    colour_range: ColourRange = "limited"
    """The planes' range; packed pixels have none."""
    crop: Crop | None = None
    """Window to take first; None takes the whole frame."""

    def window(self) -> Crop:
        """The crop, or the whole frame."""
        return self.crop or Crop(top=0, left=0, height=self.height, width=self.width)


def preprocess_params(
    layout: FrameLayout,
    network_width: int,
    network_height: int,
    *,
    source: int,
    target: int,
    chroma: int = 0,
    chroma_v: int = 0,
    area: int = 0,
) -> PreprocessParams:
    """Parameters of a preprocess kernel.

    Args:
        layout: How the frame lies in memory.
        network_width: Network width in pixels.
        network_height: Network height in pixels.
        source: Device address of the frame's first byte (of the Y plane where there are planes); any alignment.
        target: Device address of uint8 [network_height,network_width,3].
        chroma: Device address of NV12's UV plane or I420's U plane; any alignment.
        chroma_v: Device address of I420's V plane; any alignment.
        area: Device address of the uint32 that the mask kernel will add to, 4-byte aligned; 0 where there is none.

    Raises:
        UsageError: A pitch is too small, or NV12 or I420 lacks a plane.
        BadInputError: The crop leaves the frame, or the frame is too large for the network.
    """
    _check_planes(layout, chroma, chroma_v)
    window = layout.window()
    _check_window(layout, window, network_width, network_height)
    return PreprocessParams(
        source,
        chroma,
        chroma_v,
        target,
        area,
        layout.pitch_bytes,
        layout.chroma_pitch_bytes,
        window.left,
        window.top,
        window.width,
        window.height,
        network_width,
        network_height,
        *rgb_from_yuv_factors(layout.matrix, layout.colour_range),
    )


def halvings(width: int, height: int, network_width: int, network_height: int) -> int:
    """How often `edgeseg.frames.resize_to_network` halves a picture of this size, pixels."""
    count = 0
    while width >= 2 * network_width and height >= 2 * network_height:
        width, height, count = width // 2, height // 2, count + 1
    return count


def rgb_from_yuv_factors(matrix: Matrix, colour_range: ColourRange) -> tuple[int, int, int, int, int, int]:
    """The affine map from Y, U, V to RGB in 1/`FACTOR_ONE`, as the last six fields of `PreprocessParams`.

    Source: ITU-R BT.601-7, BT.709-6 and BT.2020-2, luma weights and the 8-bit quantisation levels.
    """
    red, blue = KR_KB[matrix]
    green = 1 - red - blue
    offset, luma_levels, chroma_levels = {"limited": (16, 219, 224), "full": (0, 255, 255)}[colour_range]
    chroma = 255 / chroma_levels
    return (
        offset,
        round(FACTOR_ONE * 255 / luma_levels),
        round(FACTOR_ONE * chroma * 2 * (1 - red)),
        round(FACTOR_ONE * chroma * -2 * (1 - blue) * blue / green),
        round(FACTOR_ONE * chroma * -2 * (1 - red) * red / green),
        round(FACTOR_ONE * chroma * 2 * (1 - blue)),
    )


def preprocess_launch(network_width: int, network_height: int) -> Launch:
    """Geometry of every preprocess kernel: one block for a tile of 16x16 network pixels, one thread a pixel."""
    return (_blocks(network_width, TILE), _blocks(network_height, TILE), 1), (TILE, TILE, 1)


def mask_launch(network_width: int, network_height: int) -> Launch:
    """Geometry of the mask kernel: four pixels a thread."""
    return (_blocks(network_width * network_height, PIXELS_PER_BLOCK), 1, 1), (PIXELS_PER_BLOCK // 4, 1, 1)


def map_launch(channels: int, network_width: int, network_height: int) -> Launch:
    """Geometry of the map kernel: four values a thread."""
    return mask_launch(channels * network_width, network_height)


def _blocks(extent: int, block: int) -> int:
    return -(-extent // block)


def _check_planes(layout: FrameLayout, chroma: int, chroma_v: int) -> None:
    row_bytes = layout.width * PIXEL_BYTES[layout.pixel_format]
    if layout.pitch_bytes < row_bytes:
        raise UsageError("the pitch is smaller than a row", found=layout.pitch_bytes, expected=f">= {row_bytes}")
    pairs = _blocks(layout.width, 2)
    if layout.pixel_format == "nv12" and not (chroma and layout.chroma_pitch_bytes >= 2 * pairs):
        raise UsageError(
            "an NV12 frame needs its UV plane",
            found=f"address {chroma}, pitch {layout.chroma_pitch_bytes}",
            expected=f"an address, pitch >= {2 * pairs}",
        )
    if layout.pixel_format == "yuv420p" and not (chroma and chroma_v and layout.chroma_pitch_bytes >= pairs):
        raise UsageError(
            "an I420 frame needs its U and its V plane",
            found=f"addresses {chroma} and {chroma_v}, pitch {layout.chroma_pitch_bytes}",
            expected=f"two addresses, pitch >= {pairs}",
        )


def _check_window(layout: FrameLayout, window: Crop, network_width: int, network_height: int) -> None:
    if window.left + window.width > layout.width or window.top + window.height > layout.height:
        raise BadInputError(
            "the crop leaves the frame", found=repr(window), expected=f"within {layout.width}x{layout.height}"
        )
    count = halvings(window.width, window.height, network_width, network_height)
    if count > MAX_HALVINGS:
        raise BadInputError(
            "the frame is too large for so small a network",
            found=f"{window.width}x{window.height} for {network_width}x{network_height}",
            expected=f"less than {2 << MAX_HALVINGS} times the network's size",
        )
