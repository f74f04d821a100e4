"""Decoded frames of any pixel format as planar 4:2:0 pictures of 8 bits, with the stream's own matrix and range.

Planes that are 4:2:0 already are copied; chroma of other layouts is resampled and deeper samples are rounded by
swscale, from a matrix and range to the very same ones, so that no colour is converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edgeseg.runtime.stream.picture import Matrix, Picture, Plane

if TYPE_CHECKING:
    import av

_MATRIX_OF: dict[int, Matrix] = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}
"""By ITU-T H.273, table 4; 4 (FCC) differs from BT.601 by less than one grey level."""
_SWSCALE_OF: dict[Matrix, int] = {"bt601": 5, "bt709": 1, "bt2020": 9}
_LIMITED, _FULL = 1, 2
"""AVCOL_RANGE_MPEG and AVCOL_RANGE_JPEG."""
_SEMI_PLANAR = {"nv12": (0, 1), "nv21": (1, 0)}
_TURN = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    -90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


def picture_of(frame: av.VideoFrame, like: av.VideoFrame | None = None) -> Picture:
    """A picture of a decoded frame, in memory of its own, upright.

    Args:
        frame: Any pixel format that swscale reads. RGB becomes BT.601 of limited range.
        like: The frame that states matrix, range and rotation, where a filter made `frame` of it.
    """
    stated = frame if like is None else like
    turn = _TURN.get(getattr(stated, "rotation", 0))  # PyAV before 14.2 does not tell
    if frame.format.is_rgb or frame.format.name == "pal8":
        return _turned(_of_rgb(frame), turn)
    matrix = _MATRIX_OF.get(int(stated.colorspace), "bt601")
    full_range = int(stated.color_range) == _FULL or stated.format.name.startswith("yuvj")
    i420 = _i420(frame, matrix, full_range)
    return _turned(Picture(frame.height, frame.width, i420, matrix, full_range), turn)


def _i420(frame: av.VideoFrame, matrix: Matrix, full_range: bool) -> Plane:
    name = frame.format.name
    height, width = frame.height + frame.height % 2, frame.width + frame.width % 2
    packed = np.empty((height * 3 // 2, width), np.uint8)
    chroma = packed[height:].reshape(2, height // 2, width // 2)
    if name in _SEMI_PLANAR:
        pairs = _plane(frame, 1, width)
        for plane, place in zip(chroma, _SEMI_PLANAR[name], strict=True):
            plane[:] = pairs[:, place::2]
    elif name == "gray":
        chroma[:] = 128
    else:
        frame = frame if name in ("yuv420p", "yuvj420p", "yuva420p") else _resampled(frame, matrix, full_range)
        for index, plane in enumerate(chroma):
            plane[:] = _plane(frame, index + 1, width // 2)
    packed[: frame.height, : frame.width] = _plane(frame, 0, frame.width)
    packed[frame.height : height, : frame.width] = packed[frame.height - 1, : frame.width]
    packed[:height, frame.width :] = packed[:height, frame.width - 1 : frame.width]
    return packed


def _resampled(frame: av.VideoFrame, matrix: Matrix, full_range: bool) -> av.VideoFrame:
    matrix_number: Any = _SWSCALE_OF[matrix]
    range_number: Any = _FULL if full_range else _LIMITED
    return frame.reformat(
        format="yuv420p",
        src_colorspace=matrix_number,
        dst_colorspace=matrix_number,
        src_color_range=range_number,
        dst_color_range=range_number,
    )


def _plane(frame: av.VideoFrame, index: int, width_bytes: int) -> Plane:
    """A view of uint8 [h,width_bytes]; a decoder pads its lines."""
    plane: Any = frame.planes[index]
    lines: Plane = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, :width_bytes]


def _of_rgb(frame: av.VideoFrame) -> Picture:
    bgr: Any = frame.to_ndarray(format="bgr24")
    return Picture.of_bgr(np.asarray(bgr, dtype=np.uint8)).planar()


def _turned(picture: Picture, turn: int | None) -> Picture:
    if turn is None:
        return picture
    height, width = picture.height, picture.width
    if turn != cv2.ROTATE_180:
        height, width = width, height
    if picture.height % 2 or picture.width % 2:  # the added row or column would come to lie in front
        bgr: Any = cv2.rotate(picture.bgr, turn)
        return Picture.of_bgr(np.asarray(bgr, dtype=np.uint8)).planar()
    planes: list[Any] = [cv2.rotate(plane, turn) for plane in picture.planes()]
    i420 = np.concatenate([plane.ravel() for plane in planes]).reshape(height * 3 // 2, width)
    return Picture(height, width, i420, picture.matrix, picture.full_range)
