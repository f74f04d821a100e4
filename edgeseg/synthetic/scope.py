"""Does to the light what an endoscope does: exposure, colour, blur, sharpening, noise, and the black octagon."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from edgeseg.frames import Frame, Mask
from edgeseg.synthetic.look import Look
from edgeseg.synthetic.noise import Floats

_GAMMA = np.float32(1 / 1.55)
_SUBPIXEL_BITS = 4


def octagon(look: Look, height: int, width: int) -> Mask:
    """The visible part of the picture: uint8 [H,W], 255 inside."""
    inset = look.inset * height
    cut = look.corner * (height / 2 - inset)
    left, top, right, bottom = inset, inset, width - 1 - inset, height - 1 - inset
    corners = [
        (left + cut, top),
        (right - cut, top),
        (right, top + cut),
        (right, bottom - cut),
        (right - cut, bottom),
        (left + cut, bottom),
        (left, bottom - cut),
        (left, top + cut),
    ]
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(
        mask, np.round(np.array(corners) * (1 << _SUBPIXEL_BITS)).astype(np.int32), 255, cv2.LINE_8, _SUBPIXEL_BITS
    )
    return mask


def expose(radiance: Floats, gain: float, look: Look) -> Floats:
    """Linear radiance to what a screen shows, with a soft shoulder where the light is strong.

    Args:
        radiance: float32 [n,3], linear RGB.
        gain: The automatic exposure's gain, see `gain_for`.
        look: White balance.

    Returns:
        float32 [n,3], 0..1.
    """
    linear = radiance * (look.white_balance * np.float32(gain))
    return np.asarray((1 - np.exp(-linear)) ** _GAMMA, dtype=np.float32)


def gain_for(radiance: Floats, look: Look) -> float:
    """Choose the gain as an automatic exposure would for this picture."""
    bright = float(np.percentile(radiance[::7, 0], 80)) if radiance.size else 0.0
    return look.exposure * 1.5 / max(bright, 1e-4)


def develop(picture: Floats, visible: Mask, look: Look, rng: np.random.Generator) -> Frame:
    """Blur, bloom, sharpen, add noise and put the black border on.

    Args:
        picture: float32 [H,W,3], 0..1, highlights included.
        visible: uint8 [H,W] from `octagon`.
        look: Blur and noise.
        rng: Source of the noise.

    Returns:
        uint8 [H,W,3] RGB.
    """
    height, width = visible.shape
    scale = height / 256
    soft = _blurred(picture, max(look.blur_px * scale, 0.3))
    wide = _blurred(soft, max(1.6 * scale, 0.5))
    cv2.addWeighted(soft, 1.45, wide, -0.45, 0, dst=soft)  # the edge enhancement of video processors
    luma = rng.standard_normal((height, width), dtype=np.float32)
    coarse = rng.standard_normal(((height + 1) // 2, (width + 1) // 2, 3), dtype=np.float32)
    chroma: Any = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    luma *= np.float32(0.8 * look.noise / 255)
    chroma *= np.float32(0.6 * look.noise / 255)
    chroma += luma[..., None]
    soft += chroma
    border: Any = cv2.GaussianBlur(visible, (3, 3), 0)
    soft *= border[..., None].astype(np.float32)  # 0..255
    return np.asarray(np.clip(soft + np.float32(0.5), 0, 255), dtype=np.uint8)


def _blurred(picture: Floats, sigma: float) -> Floats:
    """A Gaussian cut at 2.2 sigma: OpenCV's own choice for float pictures is 4 and takes twice as long."""
    side = 2 * math.ceil(2.2 * sigma) + 1
    blurred: Any = cv2.GaussianBlur(picture, (side, side), sigma)
    return np.asarray(blurred, dtype=np.float32)
