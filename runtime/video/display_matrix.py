"""Finds which way up to show a picture: the display matrix of a container or a frame, mirrors included."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2

from edgeseg.optional import require

if TYPE_CHECKING:
    from av import VideoFrame

MATRIX_BYTES = 36
"""The display matrix of libavutil/display.h: a, b, u, c, d, v, x, y, w, int32 in native byte order."""
SQUARE_WITHIN = 1 / 50
"""A matrix within about a degree of a right angle counts as one; at other angles pictures stay as stored."""


@dataclass(frozen=True)
class Orientation:
    """Turns a stored picture upright: it is transposed first, then mirrored."""

    transposed: bool = False
    """True if rows become columns."""
    left_right: bool = False
    """True if left and right are exchanged next."""
    top_bottom: bool = False
    """True if top and bottom are exchanged last."""

    @classmethod
    def of_matrix(cls, matrix: bytes) -> Orientation:
        """Read FFmpeg's display matrix, which maps a stored pixel x, y to a x + c y, b x + d y on the screen."""
        if len(matrix) < MATRIX_BYTES:
            return UPRIGHT
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:MATRIX_BYTES])
        if max(abs(b), abs(c)) <= SQUARE_WITHIN * min(abs(a), abs(d)):
            return cls(False, a < 0, d < 0)
        if max(abs(a), abs(d)) <= SQUARE_WITHIN * min(abs(b), abs(c)):
            return cls(True, c < 0, b < 0)
        return UPRIGHT

    @property
    def is_upright(self) -> bool:
        """True if the picture is upright as it is stored."""
        return self == UPRIGHT

    def apply(self, plane: Any) -> Any:
        """Return an upright copy of an array [H,W] or [H,W,C]; the array itself if it is upright."""
        if self.transposed:
            plane = cv2.transpose(plane)
        if self.left_right and self.top_bottom:
            return cv2.flip(plane, -1)
        if self.left_right:
            return cv2.flip(plane, 1)
        return cv2.flip(plane, 0) if self.top_bottom else plane


UPRIGHT = Orientation()


def orientation_of(decoded: VideoFrame) -> Orientation:
    """Find how a decoded frame must be turned."""
    matrix: Any = decoded.side_data.get(require("av.sidedata.sidedata").Type.DISPLAYMATRIX)
    return UPRIGHT if matrix is None else Orientation.of_matrix(bytes(matrix))
