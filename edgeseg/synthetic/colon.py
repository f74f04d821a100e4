"""A piece of bowel: a winding tube with haustral folds, traced by rays. Lengths in bowel radii.

The tube repeats after `PERIOD` along z, so a camera may travel any way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgeseg.synthetic.noise import Floats, PeriodicMap, fractal_noise, periodic_gradient

PERIOD = 4 * math.pi
"""Twice the circumference: maps of the wall are twice as long as they are wide, and their pixels square."""
FARTHEST = 9.0
"""Rays that meet no wall within this distance end in the dark."""
_COLUMNS, _ROWS = 256, 512
_TOLERANCE = 0.004
"""Gap at which a ray has arrived; grows with the distance, as pixels do."""
_FOLD_REACH = 0.7
"""Beyond this distance from its middle a fold is flat."""


@dataclass(frozen=True)
class WallPoints:
    """The points where rays meet the wall, as flat lists of n points."""

    position: Floats
    """float32 [3,n]."""
    normal: Floats
    """float32 [3,n], unit length, toward the lumen."""
    around: Floats
    """float32 [n], place around the bowel in turns."""
    along: Floats
    """float32 [n], place along the bowel in periods."""
    openness: Floats
    """float32 [n], below 1 in grooves where little light gets."""


class Colon:
    """The shape of the wall.

    Args:
        rng: Source of the folds and bends.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        radius = _radius_map(rng)
        around, along = periodic_gradient(radius)
        around, along = around * np.float32(_COLUMNS / (2 * math.pi)), along * np.float32(_ROWS / PERIOD)
        self._radius = PeriodicMap(radius)
        self._shape = PeriodicMap(np.stack([radius, around, along, _openness(radius)], axis=2))
        axis = _axis_table(rng)
        self._axis, self._centre = PeriodicMap(axis), PeriodicMap(np.ascontiguousarray(axis[..., :2]))

    def centre(self, z: Floats) -> Floats:
        """The tube's axis at places z, float32 [n]: float32 [n,4] of x, y, dx/dz, dy/dz."""
        axis: Floats = self._axis.sample(np.zeros_like(z), z * np.float32(1 / PERIOD))
        return axis

    def trace(self, origin: Floats, directions: Floats, start: Floats, steps: int) -> Floats:
        """March along rays until they meet the wall.

        Args:
            origin: float32 [3].
            directions: float32 [3,n], unit length.
            start: float32 [n], distances known to lie before the wall.
            steps: At most this many.

        Returns:
            float32 [n], the distances to the wall, `FARTHEST` where there is none.
        """
        distance = start.copy()
        active = np.arange(start.size)
        heading, t = directions, start.copy()
        for step in range(steps):
            gap = self.gap(origin[:, None] + heading * t)
            t += np.clip(gap * np.float32(0.5), -0.1, 0.35)
            if step % 3 == 0 or step == steps - 1:
                distance[active] = t
                open_ = (np.abs(gap) > _TOLERANCE * np.maximum(t, 1)) & (t < FARTHEST)
                if not open_.any():
                    break
                active, t, heading = active[open_], t[open_], np.ascontiguousarray(heading[:, open_])
        return np.minimum(distance, np.float32(FARTHEST))

    def points(self, origin: Floats, directions: Floats, distance: Floats) -> WallPoints:
        """Everything about the wall where rays of known length end.

        Args:
            origin: float32 [3].
            directions: float32 [3,n].
            distance: float32 [n], from `trace`.
        """
        position = origin[:, None] + directions * distance
        axis = self.centre(position[2])
        x, y, rho, around, along = _polar(position, axis)
        shape = self._shape.sample(around, along)
        slope_around, slope_along = shape[:, 1], shape[:, 2]
        ux, uy = x / rho, y / rho
        slope_x, slope_y = axis[:, 2], axis[:, 3]
        turn = slope_around / rho
        across = np.stack(
            [
                -ux - uy * turn,
                -uy + ux * turn,
                slope_along + (ux * slope_x + uy * slope_y) + turn * (uy * slope_x - ux * slope_y),
            ]
        )
        normal = np.asarray(across / np.sqrt(np.einsum("ij,ij->j", across, across)), dtype=np.float32)
        return WallPoints(position, normal, around, along, shape[:, 3])

    def gap(self, position: Floats) -> Floats:
        """How far points, float32 [3,n], lie from the wall, measured square to the tube's axis."""
        along = position[2] * np.float32(1 / PERIOD)
        axis = self._centre.sample(np.zeros_like(along), along)
        _, _, rho, around, along = _polar(position, axis)
        gap: Floats = self._radius.sample(around, along) - rho
        return gap


def _polar(position: Floats, axis: Floats) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Points about an axis: x and y from it, distance, turns around and periods along."""
    x, y = position[0] - axis[:, 0], position[1] - axis[:, 1]
    polar: Any = cv2.cartToPolar(x, y)
    rho = np.maximum(polar[0].ravel(), np.float32(1e-3))
    return x, y, rho, polar[1].ravel() * np.float32(0.5 / math.pi), position[2] * np.float32(1 / PERIOD)


def _axis_table(rng: np.random.Generator) -> Floats:
    """float32 [rows,1,4]: x, y, dx/dz and dy/dz of the tube's axis over one period: three slow waves each way."""
    orders = np.array([1.0, 2.0, 3.0]) * 2 * math.pi / PERIOD
    bends = rng.normal(0, 1, (2, 3)) * (0.5, 0.35, 0.16)
    angles = np.linspace(0, PERIOD, 2 * _ROWS, endpoint=False)[:, None, None] * orders + rng.uniform(
        0, 2 * math.pi, (2, 3)
    )
    places, slopes = (bends * np.sin(angles)).sum(axis=2), (bends * orders * np.cos(angles)).sum(axis=2)
    table: Floats = np.concatenate([places, slopes], axis=1, dtype=np.float32)
    return table[:, None, :]


def _radius_map(rng: np.random.Generator) -> Floats:
    """float32 [rows,columns]: distance from axis to wall along z (rows) and around (columns)."""
    turn = np.linspace(0, 2 * math.pi, _COLUMNS, endpoint=False, dtype=np.float32)
    corner = rng.uniform(0, 2 * math.pi)
    wobble = fractal_noise(rng, _ROWS, _COLUMNS, 4, 3)
    radius = 1 + np.float32(0.07) * np.cos(3 * (turn - np.float32(corner))) + np.float32(0.022) * wobble
    count = round(PERIOD / rng.uniform(0.75, 1.25))
    height = rng.uniform(0.22, 0.42)
    for fold in range(count):
        middle = (fold + rng.uniform(-0.25, 0.25)) * PERIOD / count
        rows = np.arange(int((middle - _FOLD_REACH) * _ROWS / PERIOD), int((middle + _FOLD_REACH) * _ROWS / PERIOD))
        away = (rows * (PERIOD / _ROWS) - middle).astype(np.float32)[:, None]
        radius[rows % _ROWS] -= _fold(rng, away, turn, corner) * np.float32(height)
    return np.asarray(np.clip(radius, 0.35, 1.3), dtype=np.float32)


def _fold(rng: np.random.Generator, away: Floats, turn: Floats, corner: float) -> Floats:
    """One haustral fold, 0 to about 1: crescents between the three bands of muscle, a little oblique.

    Args:
        rng: Source of its form.
        away: float32 [rows,1], places along z from the fold's middle.
        turn: float32 [columns], angles around the bowel.
        corner: Angle of the first band.
    """
    oblique = 0.18 * np.cos(turn - rng.uniform(0, 2 * math.pi)) + 0.05 * np.cos(3 * turn + rng.uniform(0, 6))
    crescents = np.clip(0.55 + 0.45 * np.cos(3 * (turn - corner) + math.pi + rng.normal(0, 0.5)), 0.1, 1)
    crescents *= (0.7 + 0.3 * np.cos(turn - rng.uniform(0, 2 * math.pi))) * rng.uniform(0.6, 1.15)
    width = rng.uniform(0.09, 0.16)
    profile = (np.abs(away - oblique.astype(np.float32)) / np.float32(width)) ** np.float32(1.7)
    return np.asarray(crescents.astype(np.float32) * np.exp(-profile), dtype=np.float32)


def _openness(radius: Floats) -> Floats:
    smooth: Any = cv2.GaussianBlur(np.pad(radius, 16, mode="wrap"), (0, 0), 5)
    depth = radius - smooth[16:-16, 16:-16]
    return np.asarray(np.clip(1.0 - 3.2 * np.clip(depth, -0.08, 1), 0.45, 1.15), dtype=np.float32)
