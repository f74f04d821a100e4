"""A polyp on its wall: both run into each other at the foot, as tissue does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.synthetic.colon import Colon
from edgeseg.synthetic.look import Colour
from edgeseg.synthetic.noise import Floats
from edgeseg.synthetic.polyp import Polyp, smooth_minimum

_TOLERANCE = 0.003
_STEPS = 30
_WALL_SLOPE = 0.6
"""The wall's radial gap overrates the true distance on the flanks of folds."""


@dataclass(frozen=True)
class RootedPolyp:
    """A polyp, its reflectance, and the wall that it grows from."""

    body: Polyp
    colour: Colour
    colon: Colon
    pits: float
    """Strength of the surface pattern, 0 to 1."""

    @property
    def fillet(self) -> float:
        """Width of the rounded foot in bowel radii."""
        return (0.22 if self.body.shape == "pedunculated" else 0.34) * self.body.size

    def belonging(self, position: Floats) -> Floats:
        """How much surface points, float32 [3,n], belong to the polyp: above 0.5 it is nearer than the wall."""
        share = 1 - self.body.distance(position) / np.float32(0.5 * self.fillet)
        return np.asarray(np.clip(share, 0, 1), dtype=np.float32)

    def trace(self, origin: Floats, rays: Floats, nearest: Floats) -> tuple[NDArray[np.intp], Floats]:
        """Find the rays that meet the polyp or its foot before anything else.

        Args:
            origin: float32 [3].
            rays: float32 [3,n], unit length.
            nearest: float32 [n], distance to what each ray meets without this polyp.

        Returns:
            Their indices [m] and distances, float32 [m].
        """
        reach = 1.12 * self.body.reach + 0.25 * self.fillet
        toward = self.body.anchor - origin
        middle = toward @ rays
        inside = float(toward @ toward) - middle * middle < reach * reach
        around = np.nonzero(inside & (middle > -reach))[0]
        t = np.maximum(middle[around] - np.float32(reach), np.float32(0.02))
        found = np.full(around.size, np.inf, np.float32)
        active, heading, limit = np.arange(around.size), rays[:, around], nearest[around] - np.float32(_TOLERANCE)
        for _ in range(_STEPS):
            if active.size == 0:
                break
            gap = self._field(origin[:, None] + heading * t)
            hit = gap < _TOLERANCE
            found[active[hit]] = t[hit]
            t += np.maximum(gap * np.float32(0.9), np.float32(2 * _TOLERANCE))
            going = ~hit & (t < limit[active])
            active, heading, t = active[going], heading[:, going], t[going]
        met = found < limit
        return around[met], found[met]

    def normal(self, position: Floats) -> Floats:
        """Outward unit normals at surface points, float32 [3,n], by forward differences."""
        step = np.float32(0.03 * self.body.size)
        base = self._field(position)
        slopes = [self._field(position + step * axis[:, None]) - base for axis in np.eye(3, dtype=np.float32)]
        normal = np.stack(slopes)
        return np.asarray(normal / np.maximum(np.sqrt((normal * normal).sum(axis=0)), 1e-6), dtype=np.float32)

    def _field(self, position: Floats) -> Floats:
        wall: Any = self.colon.gap(position) * np.float32(_WALL_SLOPE)
        return smooth_minimum(self.body.distance(position), wall, np.float32(self.fillet))
