"""Periodic random textures, and the sampling of periodic maps at flat lists of points."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MARGIN = 2
"""Cells repeated on each side of a grid, so that cubic interpolation never sees an edge."""
_ROW = 256
"""OpenCV's remap takes no side above 32767: flat lists are folded into rows of this length."""


def fractal_noise(
    rng: np.random.Generator, height: int, width: int, cells: int, octaves: int, gain: float = 0.5
) -> Floats:
    """Smooth noise without seams: octaves, each twice as fine and `gain` times as strong as the one before.

    Args:
        rng: Source of the grids.
        height: Height in pixels; the shorter side is a whole multiple of the finest octave's cells.
        width: Width in pixels, a whole multiple of the height or one part of it.
        cells: Cells of the coarsest octave along the shorter side.
        octaves: How many; those finer than one pixel a cell are left out.
        gain: Strength from one octave to the next.

    Returns:
        float32 [height,width], mean about 0, standard deviation 1.
    """
    shorter = min(height, width)
    total = np.zeros((height * cells // shorter, width * cells // shorter), np.float32)
    amplitude = np.float32(1.0)
    for octave in range(octaves):
        if octave > 0 and total.shape[0] < height:
            total = _enlarged(total, 2)
        elif octave > 0:
            break
        total += amplitude * (2 * rng.random(total.shape, dtype=np.float32) - 1)
        amplitude *= np.float32(gain)
    total = _enlarged(total, height // total.shape[0])
    return total / np.float32(max(float(total.std()), 1e-6))


def _enlarged(field: Floats, factor: int) -> Floats:
    """A periodic map scaled up by a whole factor, cubic, across its seams."""
    if factor == 1:
        return field
    padded = np.pad(field, _MARGIN, mode="wrap")
    scaled: Any = cv2.resize(padded, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    start = _MARGIN * factor
    return np.ascontiguousarray(scaled[start:-start, start:-start])


def periodic_gradient(field: Floats) -> tuple[Floats, Floats]:
    """Central differences of a periodic map along columns (x) and rows (y), per pixel."""
    along_x = (np.roll(field, -1, axis=1) - np.roll(field, 1, axis=1)) * np.float32(0.5)
    along_y = (np.roll(field, -1, axis=0) - np.roll(field, 1, axis=0)) * np.float32(0.5)
    return along_x, along_y


class PeriodicMap:
    """A texture on a torus, read bilinearly at any place.

    Args:
        texture: float32 or uint8 [H,W] or [H,W,C], C at most 4.
    """

    def __init__(self, texture: NDArray[Any]) -> None:
        self.height, self.width = texture.shape[:2]
        borders = [(0, 1), (0, 1)] + [(0, 0)] * (texture.ndim - 2)
        self._padded = np.pad(texture, borders, mode="wrap")

    def sample(self, x: Floats, y: Floats) -> NDArray[Any]:
        """Values at flat lists of points.

        Args:
            x: float32 [n], in widths of the map; 0 and 1 are the same place.
            y: float32 [n], in heights of the map.

        Returns:
            [n] or [n,C] of the texture's dtype.
        """
        count = x.size
        rows = -(-count // _ROW)
        places = np.zeros((2, rows * _ROW), np.float32)
        places[0, :count] = (x - np.floor(x)) * np.float32(self.width)
        places[1, :count] = (y - np.floor(y)) * np.float32(self.height)
        folded = places.reshape(2, rows, _ROW)
        values: Any = cv2.remap(self._padded, folded[0], folded[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        flat: NDArray[Any] = values.reshape(rows * _ROW, *self._padded.shape[2:])[:count]
        return flat
