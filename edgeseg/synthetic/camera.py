"""The endoscope's lens: where it is, where it looks, and the ray of every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.synthetic.noise import Floats

HALF_DIAGONAL_ANGLE = math.radians(64.0)
"""Angle from the picture's centre to its corner: endoscopes see 120 to 170 degrees across."""


@dataclass(frozen=True)
class Camera:
    """A pose inside the bowel; lengths in bowel radii, angles in radians.

    World axes: z runs along the bowel; the camera looks along its own z, x to the right, y down.
    """

    position: tuple[float, float, float]
    yaw: float = 0.0
    """Turn to the right of the bowel's direction."""
    pitch: float = 0.0
    """Upward."""
    roll: float = 0.0
    zoom: float = 1.0
    """Above 1 the picture shows less."""

    def rotation(self) -> NDArray[np.float64]:
        """float64 [3,3]: camera directions to world directions."""
        cy, sy = math.cos(self.yaw), math.sin(self.yaw)
        cp, sp = math.cos(self.pitch), math.sin(self.pitch)
        cr, sr = math.cos(self.roll), math.sin(self.roll)
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        tilt = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return np.asarray(turn @ tilt @ roll)

    def rays(self, columns: Floats, rows: Floats, height: int, width: int) -> Floats:
        """World directions of pixels under an equidistant (fisheye) lens.

        Args:
            columns: float32 [n], pixel columns; 0 is the first pixel's centre.
            rows: float32 [n], pixel rows.
            height: Picture height in pixels.
            width: Picture width in pixels.

        Returns:
            float32 [3,n], unit length.
        """
        scale = np.float32(HALF_DIAGONAL_ANGLE / self.zoom / (0.5 * math.hypot(height, width)))
        x = (columns - np.float32((width - 1) / 2)) * scale
        y = (rows - np.float32((height - 1) / 2)) * scale
        angle = np.hypot(x, y)
        across = np.sinc(angle / np.float32(np.pi))
        local = np.stack([x * across, y * across, np.cos(angle)]).astype(np.float32)
        return self.rotation().astype(np.float32) @ local
