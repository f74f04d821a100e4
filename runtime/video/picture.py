"""One picture of a video as the decoder gives it: planar YUV 4:2:0 with its matrix and range, or BGR.

Planes stay planes from decoder to encoder: only the network's small input becomes RGB, here or on the GPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Frame, resize_to_network
from edgeseg.optional import require
from edgeseg.runtime.engine.planes import KR_KB, Matrix, PlanarForm, PlanarFrame, Plane
from edgeseg.specs import Crop

if TYPE_CHECKING:
    from av import VideoFrame

AVCOL_SPC: dict[Matrix, int] = {"bt601": 6, "bt709": 1, "bt2020": 9}
"""The matrices by FFmpeg's numbers, which are those of H.273."""
LIMITED, FULL = 1, 2
"""FFmpeg's AVCOL_RANGE_MPEG and AVCOL_RANGE_JPEG."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, uint8, 8 bits a sample. Never write to its arrays: take a `copy` first."""

    content: PlanarFrame | Frame
    """The decoder's output: planes, or uint8 [H,W,3] BGR."""

    @classmethod
    def of_i420(
        cls, height: int, width: int, i420: Plane, matrix: Matrix = "bt601", full_range: bool = False
    ) -> Picture:
        """Make a picture of planes, which are not copied; see `PlanarFrame`.

        Args:
            height: The picture's height in pixels.
            width: The picture's width in pixels.
            i420: uint8 [3*H'/2, W'], contiguous, where H' and W' are the sides rounded up to even numbers; an
                added row or column is a copy of the last.
            matrix: The matrix that turned RGB into YUV.
            full_range: True if samples are 0..255.
        """
        return cls(PlanarFrame(i420, PlanarForm(height, width, matrix, full_range)))

    @classmethod
    def of_bgr(cls, bgr: Frame) -> Picture:
        """Make a picture of uint8 [H,W,3] BGR."""
        return cls(bgr)

    @property
    def height(self) -> int:
        """The height in pixels."""
        return self.content.form.height if isinstance(self.content, PlanarFrame) else self.content.shape[0]

    @property
    def width(self) -> int:
        """The width in pixels."""
        return self.content.form.width if isinstance(self.content, PlanarFrame) else self.content.shape[1]

    @property
    def planar_frame(self) -> PlanarFrame | None:
        """The planes as an engine takes them; None if the picture is BGR."""
        return self.content if isinstance(self.content, PlanarFrame) else None

    @property
    def i420(self) -> Plane | None:
        """The samples of the planes; None if the picture is BGR."""
        return self.content.samples if isinstance(self.content, PlanarFrame) else None

    @property
    def matrix(self) -> Matrix:
        """The matrix of the planes; if the picture is BGR, of those that `planar` makes."""
        return self.content.form.matrix if isinstance(self.content, PlanarFrame) else "bt601"

    @property
    def full_range(self) -> bool:
        """True if samples of the planes are 0..255."""
        return isinstance(self.content, PlanarFrame) and self.content.form.full_range

    @cached_property
    def bgr(self) -> Frame:
        """The picture as uint8 [H,W,3] BGR; converted once, each chroma sample for its four pixels."""
        if not isinstance(self.content, PlanarFrame):
            return self.content
        whole = _pixels(self.planes(), Crop(top=0, left=0, height=self.height, width=self.width))
        return _converted(whole, self.matrix, self.full_range)

    def planes(self) -> tuple[Plane, Plane, Plane]:
        """Take views of luma [H',W'], U and V [H'/2,W'/2].

        Raises:
            ValueError: The picture is BGR; see `planar`.
        """
        if self.i420 is None:
            raise ValueError("a BGR picture has no planes")
        rows, columns = self.i420.shape[0] * 2 // 3, self.i420.shape[1]
        chroma = self.i420[rows:].reshape(2, rows // 2, columns // 2)
        return self.i420[:rows], chroma[0], chroma[1]

    def planar(self) -> Picture:
        """Return the picture as planes: itself, or BT.601 of limited range made of its BGR."""
        if self.i420 is not None:
            return self
        bgr: Any = self.bgr
        if self.height % 2 or self.width % 2:
            bgr = cv2.copyMakeBorder(bgr, 0, self.height % 2, 0, self.width % 2, cv2.BORDER_REPLICATE)
        return Picture.of_i420(self.height, self.width, _uint8(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)))

    def video_frame(self) -> VideoFrame:
        """Make a frame of PyAV that names its matrix and range; it shares the planes' memory where it can.

        Raises:
            ValueError: The picture is BGR; see `planar`.
        """
        if self.i420 is None:
            raise ValueError("a BGR picture has no planes")
        kind = require("av").VideoFrame
        rows = self.i420.shape[0] * 2 // 3  # from_numpy_buffer loses two rows where that is no multiple of 4
        make = kind.from_ndarray if rows % 4 else kind.from_numpy_buffer
        frame = make(self.i420, format="yuv420p")
        frame.colorspace, frame.color_range = AVCOL_SPC[self.matrix], FULL if self.full_range else LIMITED
        return frame  # type: ignore[no-any-return]

    def copy(self) -> Picture:
        """Copy the picture into memory of its own, which may be drawn into."""
        if not isinstance(self.content, PlanarFrame):
            return Picture(self.content.copy())
        return Picture(PlanarFrame(self.content.samples.copy(), self.content.form))

    def network_input(self, height: int, width: int, crop: Crop | None = None) -> Frame:
        """Resize the picture, or a crop of it, to the network's size: uint8 [height,width,3] RGB.

        Planes are resized as Y, U, V, each chroma sample standing for its four pixels, and only the network's own
        pixels become RGB. Resizing and the matrix are both linear, so this differs from converting first by rounding,
        and where a conversion would clip colours that no screen has.
        """
        if self.i420 is None:
            return _swapped(resize_to_network(self.bgr, height, width, crop))
        window = crop or Crop(top=0, left=0, height=self.height, width=self.width)
        halved = window.height >= 2 * height and window.width >= 2 * width
        in_pairs = window.top % 2 == window.left % 2 == 0
        yuv = _halved_pixels(self.planes(), window) if halved and in_pairs else _pixels(self.planes(), window)
        return _swapped(_converted(resize_to_network(yuv, height, width), self.matrix, self.full_range))


def _pixels(planes: tuple[Plane, Plane, Plane], window: Crop) -> Frame:
    """Compute Y, U, V of every pixel of a window, uint8 [H,W,3]."""
    odd_top, odd_left = window.top % 2, window.left % 2
    rows, columns = window.height + odd_top, window.width + odd_left
    luma, *chroma = _cut(planes, window)
    size = (columns + columns % 2, rows + rows % 2)
    pairs = (slice(size[1] // 2), slice(size[0] // 2))
    blue, red = (cv2.resize(plane[pairs], size, interpolation=cv2.INTER_NEAREST)[:rows, :columns] for plane in chroma)
    return _uint8(cv2.merge([luma[:rows, :columns], blue, red])[odd_top:, odd_left:])


def _halved_pixels(planes: tuple[Plane, Plane, Plane], window: Crop) -> Frame:
    """Halve the pixels of a window that lies on whole chroma samples, which are means of four already."""
    luma, blue, red = _cut(planes, window)
    rows, columns = window.height // 2, window.width // 2
    half = cv2.resize(luma[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)
    return _uint8(cv2.merge([half, blue[:rows, :columns], red[:rows, :columns]]))


def _cut(planes: tuple[Plane, Plane, Plane], window: Crop) -> tuple[Plane, Plane, Plane]:
    """Cut the planes from the window's first chroma sample on."""
    luma, *chroma = planes
    top, left = window.top // 2, window.left // 2
    blue, red = (plane[top:, left:] for plane in chroma)
    return luma[2 * top :, 2 * left :], blue, red


@lru_cache(maxsize=8)
def bgr_from_yuv(matrix: Matrix, full_range: bool) -> NDArray[np.float32]:
    """The affine map from (Y, U, V) in 0..255 to (B, G, R) in 0..255, float32 [3,4]."""
    kr, kb = KR_KB[matrix]
    kg = 1 - kr - kb
    luma_scale, chroma_scale = (1.0, 1.0) if full_range else (255 / 219, 255 / 224)
    by_blue, by_red = 2 * (1 - kb) * chroma_scale, 2 * (1 - kr) * chroma_scale
    linear = np.array(
        [
            [luma_scale, by_blue, 0],
            [luma_scale, -by_blue * kb / kg, -by_red * kr / kg],
            [luma_scale, 0, by_red],
        ]
    )
    zero = np.array([0 if full_range else 16, 128, 128])
    return np.hstack([linear, -(linear @ zero)[:, None]]).astype(np.float32)


def _converted(yuv: Any, matrix: Matrix, full_range: bool) -> Frame:
    """Apply the map in 16 bits: in 8, OpenCV's factors of 1/1024 round a thirtieth of the values wrongly."""
    bgr = cv2.transform(yuv.astype(np.int16), bgr_from_yuv(matrix, full_range))
    return np.clip(bgr, 0, 255).astype(np.uint8)


def _swapped(bgr: Frame) -> Frame:
    return _uint8(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _uint8(array: Any) -> NDArray[np.uint8]:
    """Tell the type checker that an array is uint8: OpenCV's stubs do not say that uint8 stays uint8."""
    return array  # type: ignore[no-any-return]
