"""Frames as video decoders give them, for an engine that takes them whole: planes whose matrix and range are named.

Numbers of the matrices are those of ITU-T H.273, table 4 (Kr, Kb).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Matrix = Literal["bt601", "bt709", "bt2020"]
Plane = NDArray[np.uint8]
"""One plane, uint8 [h,w]."""
KR_KB: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
ROOM_BYTES = 3840 * 2160 * 3 // 2
"""The size of a 4K frame."""


@dataclass(frozen=True)
class PlanarForm:
    """The meaning of a planar frame's samples, which is never guessed."""

    height: int
    """The picture's height in pixels; planes have one row or column more where a side is odd."""
    width: int
    matrix: Matrix
    full_range: bool
    """True for samples of 0..255, False for luma of 16..235 and chroma of 16..240."""


@dataclass(frozen=True, eq=False)
class PlanarFrame:
    """One frame, 8-bit 4:2:0 in three planes (I420). Nobody may write to its samples."""

    samples: Plane
    """uint8 [3*H'/2, W'], contiguous: luma, then U, then V at half the size, where H' and W' are height and width
    rounded up to even numbers."""
    form: PlanarForm

    @property
    def nbytes(self) -> int:
        """The size of all planes, in bytes."""
        return self.samples.nbytes
