"""The surface of mucosa and polyps: colour, fine relief and gloss, as textures on the wall and on each polyp."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from edgeseg.synthetic.colon import WallPoints
from edgeseg.synthetic.look import Look
from edgeseg.synthetic.noise import Floats, PeriodicMap, fractal_noise, periodic_gradient
from edgeseg.synthetic.rooted import RootedPolyp
from edgeseg.synthetic.vessels import vessel_map

_BLOOD = np.array([0.18, 0.6, 0.55], np.float32)
"""How much of each colour a full vessel swallows."""
_MOTTLE = np.array([0.035, 0.10, 0.10], np.float32)
_FLUID = np.array([0.50, 0.30, 0.04], np.float32)
_RELIEF_PX = 256
_WALL_REPEATS = (5.0, 10.0)
"""Copies of the relief around and along the bowel."""
_PIT_REPEATS = 0.55
"""Copies of the pit pattern across half a polyp of unit size."""


class Tissue:
    """Textures of one patient.

    Args:
        rng: Source of everything.
        look: Colours, vessels, fluid.
        detail_px: Height of the pictures to come.
    """

    def __init__(self, rng: np.random.Generator, look: Look, detail_px: int) -> None:
        columns = 384 if detail_px <= 288 else 768
        self._albedo = PeriodicMap(_wall_albedo(rng, look, 2 * columns, columns))
        relief = fractal_noise(rng, _RELIEF_PX, _RELIEF_PX, 8, 4, gain=0.42)
        self._relief = PeriodicMap(_with_gradient(relief))
        self._pits = PeriodicMap(_with_gradient(_pit_pattern(rng)))

    def wall(self, wall: WallPoints) -> tuple[Floats, Floats, Floats]:
        """Reflectance float32 [n,3], normals float32 [3,n] with relief, gloss float32 [n]."""
        albedo = self._albedo.sample(wall.around, wall.along)
        relief = self._relief.sample(
            wall.around * np.float32(_WALL_REPEATS[0]), wall.along * np.float32(_WALL_REPEATS[1])
        )
        tangent = _tangent_around(wall.normal)
        normal = _bent(wall.normal, tangent, relief[:, 1], relief[:, 2], np.float32(0.55))
        albedo = albedo * (np.float32(1) + np.float32(0.03) * relief[:, :1])
        return albedo, normal, np.ones(wall.around.size, np.float32)

    def polyp(self, polyp: RootedPolyp, position: Floats) -> tuple[Floats, Floats, Floats]:
        """Reflectance [n,3], normals [3,n] and gloss [n] of points on a polyp and its foot."""
        place = polyp.body.local(position) * np.float32(_PIT_REPEATS)
        smooth = polyp.normal(position)
        pits = self._pits_about(place, polyp.body.axes @ smooth)
        tangent = polyp.body.axes[0][:, None] - smooth * (polyp.body.axes[0] @ smooth)
        tangent /= np.maximum(np.sqrt((tangent * tangent).sum(axis=0)), np.float32(1e-3))
        normal = _bent(smooth, tangent, pits[:, 1], pits[:, 2], np.float32(0.6 * polyp.pits))
        tint = np.array([0.06, 0.16, 0.15], np.float32) * np.float32(polyp.pits)
        return polyp.colour * (1 + pits[:, :1] * tint), normal, np.full(place.shape[1], 0.9, np.float32)

    def _pits_about(self, place: Floats, facing: Floats) -> Floats:
        """The pit pattern projected along three axes, blended by which of them the surface faces."""
        weights = facing**4
        weights /= weights.sum(axis=0)
        planes = ((1, 2), (2, 0), (0, 1))
        layers = (
            self._pits.sample(place[u], place[v]) * weight[:, None]
            for (u, v), weight in zip(planes, weights, strict=True)
        )
        return np.asarray(sum(layers), dtype=np.float32)


def _wall_albedo(rng: np.random.Generator, look: Look, height: int, width: int) -> Floats:
    """float32 [H,W,3]: mucosa, mottled, with vessels and now and then fluid."""
    mottle = fractal_noise(rng, height, width, 8, 5, gain=0.6)
    redness = fractal_noise(rng, height, width, 4, 3)
    vessels = vessel_map(rng, height, width, trees=int(rng.integers(28, 50)))
    vessels *= np.clip(0.75 + 0.35 * redness, 0.15, 1) * np.float32(look.vessels)
    cover = _fluid_cover(rng, look.debris, height, width)
    albedo = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        tint, blood = _MOTTLE[channel], _BLOOD[channel]
        plane = mottle * (0.8 * tint) - redness * tint + 1
        plane *= (1 - vessels * blood) * look.mucosa[channel]
        if cover is not None:
            plane += (_FLUID[channel] - plane) * cover
        albedo[..., channel] = plane
    return np.clip(albedo, np.float32(0.02), np.float32(0.98), out=albedo)


def _fluid_cover(rng: np.random.Generator, share: float, height: int, width: int) -> Floats | None:
    """float32 [H,W] of 0 to 0.7 where yellow remains stick to the wall; None for a clean bowel."""
    if share == 0:
        return None
    pool = fractal_noise(rng, height, width, 16, 4)
    threshold = float(np.quantile(pool[::4, ::4], 1 - share))
    return np.asarray(np.clip((pool - np.float32(threshold)) * np.float32(1.5), 0, 0.7), dtype=np.float32)


def _pit_pattern(rng: np.random.Generator) -> Floats:
    """A band of noise: the rounded or winding openings on an adenoma's surface."""
    fine = rng.standard_normal((_RELIEF_PX, _RELIEF_PX), dtype=np.float32)
    scale = rng.uniform(2.2, 4.0)
    padded = np.pad(fine, 32, mode="wrap")
    inner: Any = cv2.GaussianBlur(padded, (0, 0), scale)
    outer: Any = cv2.GaussianBlur(padded, (0, 0), scale * 1.8)
    band = (inner - outer)[32:-32, 32:-32]
    return np.asarray(band / band.std(), dtype=np.float32)


def _with_gradient(field: Floats) -> Floats:
    """float32 [H,W,3]: the field and its slopes along x and y, slopes of about unit strength."""
    along_x, along_y = periodic_gradient(field)
    strength = np.float32(math.sqrt(2) * max(float(along_x.std()), 1e-6))
    return np.stack([field, along_x / strength * np.float32(0.2), along_y / strength * np.float32(0.2)], axis=2)


def _tangent_around(normal: Floats) -> Floats:
    """Unit vectors in the wall, across the bowel's axis: normal x z."""
    length = np.maximum(np.hypot(normal[0], normal[1]), np.float32(1e-3))
    return np.stack([normal[1] / length, -normal[0] / length, np.zeros_like(length)])


def _bent(normal: Floats, tangent: Floats, slope_x: Floats, slope_y: Floats, strength: np.float32) -> Floats:
    """Normals tilted by a relief's slopes along a tangent and the direction square to it."""
    x, y, z = normal
    tx, ty, tz = tangent
    across = np.stack([y * tz - z * ty, z * tx - x * tz, x * ty - y * tx])
    bent = normal - strength * (slope_x * tangent + slope_y * across)
    return np.asarray(bent / np.sqrt(np.einsum("ij,ij->j", bent, bent)), dtype=np.float32)
