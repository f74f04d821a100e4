"""A picture reduced for judgement: a hundredth of the pixels say what a scene is like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.runtime.engine.planes import Plane
from edgeseg.runtime.video.picture import Picture, bgr_from_yuv

COLOUR_WIDTH_PX = 160
"""Colour and light are judged at this width: a specular highlight is a pixel, a fold still a shape."""
DETAIL_WIDTH_PX = 320
"""Sharpness and text need more; at this width small vessels are a pixel wide and a blur of 1 % of the width shows."""
MIN_HEIGHT_PX = 16
"""Smallest height of the detail, for absurdly flat pictures."""


@dataclass(frozen=True, eq=False)
class SmallPicture:
    """One picture at fixed widths. Luma is full range, 0 to 255, whatever the source's range was."""

    height: int
    """Height of the picture that it was made of, in pixels."""
    width: int
    detail: Plane
    """Luma, uint8 [h,320], of every second row: the fields of interlaced video make no combs here."""
    luma: Plane
    """uint8 [h/2,160]."""
    bgr: NDArray[np.uint8]
    """uint8 [h/2,160,3]."""

    def __repr__(self) -> str:
        rows, columns = self.luma.shape
        return f"SmallPicture({columns}x{rows} of {self.width}x{self.height})"


def reduce_picture(picture: Picture) -> SmallPicture:
    """Reduce a picture to the widths above; heights keep the picture's aspect.

    Halving by 2x2 means, then bilinear, as the network's input is made. Luma stays in its plane; only 160 pixels a row
    become BGR.
    """
    height, width = picture.height, picture.width
    rows = max(MIN_HEIGHT_PX, 2 * round(DETAIL_WIDTH_PX * height / width / 2))
    size, half = (DETAIL_WIDTH_PX, rows), (COLOUR_WIDTH_PX, rows // 2)
    if picture.i420 is None:
        detail_bgr = _reduced(_field(picture.bgr), *size)
        bgr = _reduced(detail_bgr, *half)
        return SmallPicture(height, width, _grey(detail_bgr), _grey(bgr), bgr)
    luma, blue, red = picture.planes()
    detail = _reduced(_field(luma[:height, :width]), *size)
    small = _reduced(detail, *half)
    chroma = [_reduced(plane[: (height + 1) // 2, : (width + 1) // 2], *half) for plane in (blue, red)]
    bgr = _uint8(cv2.transform(cv2.merge([small, *chroma]), bgr_from_yuv(picture.matrix, picture.full_range)))
    if not picture.full_range:
        detail, small = (_uint8(cv2.LUT(plane, _FULL_RANGE)) for plane in (detail, small))
    return SmallPicture(height, width, detail, small, bgr)


def _field(image: Any) -> Any:
    """Every second row, without a copy; all rows of a picture that has too few."""
    return image[::2] if image.shape[0] >= 2 * MIN_HEIGHT_PX else image


def _reduced(image: Any, columns: int, rows: int) -> NDArray[np.uint8]:
    while image.shape[1] >= 2 * columns and image.shape[0] >= 2 * rows:
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    while image.shape[1] >= 2 * columns:  # bilinear at exactly half the width is the mean of two
        image = image[:, : image.shape[1] // 2 * 2]
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0]), interpolation=cv2.INTER_LINEAR)
    if image.shape[:2] != (rows, columns):
        image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image)


def _grey(bgr: NDArray[np.uint8]) -> Plane:
    return _uint8(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))


def _uint8(array: Any) -> NDArray[np.uint8]:
    """OpenCV's stubs do not say that uint8 in gives uint8 out."""
    return array  # type: ignore[no-any-return]


_FULL_RANGE = np.clip(np.round((np.arange(256) - 16) * 255 / 219), 0, 255).astype(np.uint8)
"""Limited-range luma (16 to 235) to full range."""
