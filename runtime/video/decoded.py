"""Turns PyAV's frames into `Picture`: 8-bit 4:2:0 of a known matrix as it is, all else converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgeseg.runtime.engine.planes import Matrix, Plane
from edgeseg.runtime.video.display_matrix import Orientation, orientation_of
from edgeseg.runtime.video.picture import FULL, Picture

if TYPE_CHECKING:
    from av import VideoFrame

UNSPECIFIED = 2
"""FFmpeg's AVCOL_SPC_UNSPECIFIED."""
MATRIX_OF: dict[int, Matrix] = {1: "bt709", UNSPECIFIED: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}
"""FFmpeg's AVCOL_SPC -> matrix; a file that names none is taken for BT.601, as FFmpeg does."""
FULL_RANGE_FORMATS = ("yuvj420p", "yuvj422p", "yuvj440p", "yuvj444p", "yuvj411p")
EIGHT_BIT_420 = ("yuv420p", "yuvj420p")


def picture_of(decoded: VideoFrame, orientation: Orientation | None = None) -> Picture:
    """Turn a decoded frame of any format into an upright picture.

    Other samplings and depths become 8-bit 4:2:0 of the same matrix and range by FFmpeg; what is RGB, or of a matrix
    that `Picture` does not know, becomes BGR.

    Args:
        decoded: The frame; it is read, and not kept.
        orientation: How to turn it; None asks the frame itself.
    """
    orientation = orientation_of(decoded) if orientation is None else orientation
    matrix = MATRIX_OF.get(int(decoded.colorspace))
    if decoded.format.is_rgb or matrix is None or "pal" in decoded.format.name:
        # Naming the target makes every PyAV from 14 on decode by the matrix that the frame names.
        bgr: Any = decoded.to_ndarray(format="bgr24", dst_colorspace="DEFAULT")
        return Picture.of_bgr(np.asarray(orientation.apply(bgr), np.uint8))
    full_range = int(decoded.color_range) == FULL or decoded.format.name in FULL_RANGE_FORMATS
    if decoded.format.name not in EIGHT_BIT_420:
        decoded = _as_420(decoded, full_range)
    if orientation.is_upright and decoded.height % 2 == 0 and decoded.width % 2 == 0:
        i420 = np.asarray(decoded.to_ndarray(), np.uint8)
        return Picture.of_i420(decoded.height, decoded.width, i420, matrix, full_range)
    planes = tuple(np.asarray(orientation.apply(plane), np.uint8) for plane in _planes(decoded))
    height, width = planes[0].shape
    return Picture.of_i420(height, width, _packed(planes), matrix, full_range)


def _as_420(decoded: VideoFrame, full_range: bool) -> VideoFrame:
    same: Any = {"src_colorspace": int(decoded.colorspace), "dst_colorspace": int(decoded.colorspace)}
    if int(decoded.colorspace) == UNSPECIFIED:
        same = {}
    if full_range:
        return decoded.reformat(format="yuvj420p", **same)
    return decoded.reformat(format="yuv420p", **same)


def _planes(decoded: VideoFrame) -> tuple[Plane, ...]:
    """Copy luma, U and V without the decoder's padding; the sides of chroma are rounded up."""
    return tuple(
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]  # type: ignore[call-overload]
        for plane in decoded.planes
    )


def _packed(planes: tuple[Plane, ...]) -> Plane:
    luma, *chroma = planes
    rows, columns = luma.shape[0] % 2, luma.shape[1] % 2
    if rows or columns:
        luma = np.asarray(cv2.copyMakeBorder(luma, 0, rows, 0, columns, cv2.BORDER_REPLICATE), np.uint8)
    parts = [luma.ravel(), *(plane.ravel() for plane in chroma)]
    return np.concatenate(parts).reshape(-1, luma.shape[1])
