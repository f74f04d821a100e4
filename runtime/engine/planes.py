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
"""uint8 [h,w]."""
KR_KB: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
ROOM_BYTES = 3840 * 2160 * 3 // 2
"""Of a 4K frame."""


@dataclass(frozen=True)
class PlanarForm:
    """What the samples of a planar frame mean; never guessed."""

    height: int
    """Of the picture, pixels; planes have one row or column more where it is odd."""
    width: int
    matrix: Matrix
    full_range: bool
    """Whether samples are 0..255, or luma 16..235 and chroma 16..240."""


@dataclass(frozen=True, eq=False)
class PlanarFrame:
    """One frame, 8-bit 4:2:0 in three planes (I420). Its samples are not to be written to."""

    samples: Plane
    """uint8 [3*H'/2, W'], contiguous: luma, then U, then V at half the size, where H' and W' are height and width
    rounded up to even numbers."""
    form: PlanarForm

    @property
    def nbytes(self) -> int:
        """Of all planes."""
        return self.samples.nbytes
