"""One picture of one bowel: geometry, tissue and polyps under the scope's light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.frames import Frame, Mask
from edgeseg.synthetic.camera import Camera
from edgeseg.synthetic.colon import Colon, WallPoints
from edgeseg.synthetic.look import Look, draw_look
from edgeseg.synthetic.noise import Floats
from edgeseg.synthetic.rooted import RootedPolyp
from edgeseg.synthetic.scope import develop, expose, gain_for, octagon
from edgeseg.synthetic.tissue import Tissue

_COARSE_PX = 112
_LAMPS = ((-0.07, 0.02, 0.0), (0.07, 0.02, 0.0))
"""Positions of the two light guides beside the lens, in the camera's frame."""
_MIRROR = 0.9
"""Cosine between view and surface below which no lamp beside the lens can be mirrored."""


@dataclass
class _Surface:
    """The surface that the rays of the visible pixels meet, as flat lists."""

    position: Floats
    normal: Floats
    albedo: Floats
    openness: Floats
    gloss: Floats
    is_polyp: NDArray[np.bool_]


class Scene:
    """A bowel with its polyps, ready to be seen from anywhere.

    Args:
        rng: Source of everything.
        detail_px: Height in pixels of the pictures to come; finer tissue is drawn for larger ones.
    """

    def __init__(self, rng: np.random.Generator, detail_px: int) -> None:
        self.look: Look = draw_look(rng)
        self.colon = Colon(rng)
        self.tissue = Tissue(rng, self.look, detail_px)
        self.polyps: list[RootedPolyp] = []

    def wall_at(self, camera: Camera, column: float, row: float, height: int, width: int) -> tuple[float, WallPoints]:
        """The wall under one pixel: its distance from the camera and the point."""
        origin = np.asarray(camera.position, np.float32)
        places = np.array([[column], [row]], np.float32)
        ray = camera.rays(places[0], places[1], height, width)
        distance = self.colon.trace(origin, ray, np.full(1, 0.02, np.float32), 120)
        return float(distance[0]), self.colon.points(origin, ray, distance)

    def wall_around(self, angle: float, z: float) -> tuple[Floats, Floats]:
        """The wall in one direction from the axis: the place and its normal toward the lumen, float32 [3] each."""
        centre = self.colon.centre(np.full(1, z, np.float32))[0]
        origin = np.array([centre[0], centre[1], z], np.float32)
        ray = np.array([[math.cos(angle)], [math.sin(angle)], [0.0]], np.float32)
        wall = self.colon.points(origin, ray, self.colon.trace(origin, ray, np.full(1, 0.02, np.float32), 120))
        return wall.position[:, 0], wall.normal[:, 0]

    def render(
        self, camera: Camera, height: int, width: int, noise: np.random.Generator, gain: float | None = None
    ) -> tuple[Frame, Mask, float]:
        """The picture, the exact mask of its polyps, and the exposure.

        Args:
            camera: The pose.
            height: Picture height in pixels.
            width: Picture width in pixels.
            noise: Source of the sensor's noise.
            gain: Exposure to keep from the frame before; None lets the scope choose.

        Returns:
            uint8 [H,W,3] RGB; uint8 [H,W] of 0 and 255; the gain that the scope would choose here.
        """
        visible = octagon(self.look, height, width)
        rows, columns = (places.astype(np.float32) for places in np.nonzero(visible))
        origin = np.asarray(camera.position, np.float32)
        rays = camera.rays(columns, rows, height, width)
        start = self._coarse_distance(camera, height, width)[visible > 0]
        surface = self._surface(origin, rays, self.colon.trace(origin, rays, start, 18))
        radiance, highlight = self._light(surface, origin, rays, camera)
        chosen = gain_for(radiance, self.look)
        shown = expose(radiance, chosen if gain is None else gain, self.look)
        shown += highlight[:, None] * (1 - shown)
        picture = np.zeros((height, width, 3), np.float32)
        picture[visible > 0] = shown
        mask = np.zeros((height, width), np.uint8)
        mask[visible > 0] = np.where(surface.is_polyp, np.uint8(255), np.uint8(0))
        return develop(picture, visible, self.look, noise), mask, chosen

    def _coarse_distance(self, camera: Camera, height: int, width: int) -> Floats:
        """Distances that lie a little before the wall everywhere, from a small picture; float32 [H,W]."""
        factor = max(1, min(height, width) // _COARSE_PX)
        rows, columns = -(-height // factor), -(-width // factor)
        grid = np.meshgrid(np.arange(columns), np.arange(rows))
        x, y = ((axis.ravel() * factor + (factor - 1) / 2).astype(np.float32) for axis in grid)
        rays = camera.rays(x, y, height, width)
        origin = np.asarray(camera.position, np.float32)
        found = self.colon.trace(origin, rays, np.full(x.size, 0.02, np.float32), 60).reshape(rows, columns)
        box = np.ones((3, 3), np.uint8)
        nearest: Any = cv2.erode(found, box)
        smooth = cv2.dilate(found, box) - nearest < 0.12 * nearest
        nearest[smooth] = found[smooth]
        start: Any = cv2.resize(nearest, (columns * factor, rows * factor), interpolation=cv2.INTER_LINEAR)
        edge: Any = cv2.resize(
            (~smooth).astype(np.uint8), (columns * factor, rows * factor), interpolation=cv2.INTER_NEAREST
        )
        start[edge > 0] *= np.float32(0.97)
        return np.asarray(start[:height, :width], dtype=np.float32)

    def _surface(self, origin: Floats, rays: Floats, distance: Floats) -> _Surface:
        wall = self.colon.points(origin, rays, distance)
        albedo, normal, gloss = self.tissue.wall(wall)
        surface = _Surface(
            wall.position,
            _toward_lens(normal, rays),
            albedo,
            wall.openness.copy(),
            gloss,
            np.zeros(distance.size, np.bool_),
        )
        nearest = distance.copy()
        for polyp in self.polyps:
            self._add_polyp(surface, polyp, origin, rays, nearest)
        return surface

    def _add_polyp(self, surface: _Surface, polyp: RootedPolyp, origin: Floats, rays: Floats, nearest: Floats) -> None:
        """Let one polyp cover what lies behind it and darken the wall at its rim."""
        self._darken_rim(surface, polyp)
        met, distance = polyp.trace(origin, rays, nearest)
        if met.size == 0:
            return
        position = origin[:, None] + rays[:, met] * distance
        share = polyp.belonging(position)
        albedo, normal, gloss = self.tissue.polyp(polyp, position)
        colouring = share[:, None]
        surface.albedo[met] += (albedo - surface.albedo[met]) * colouring * colouring * (3 - 2 * colouring)
        surface.position[:, met] = position
        surface.normal[:, met] = _toward_lens(normal, rays[:, met])
        surface.gloss[met] = gloss
        surface.openness[met] = np.minimum(surface.openness[met], 1) * (1 - share) + share
        surface.is_polyp[met] = share > 0.5
        nearest[met] = distance

    def _darken_rim(self, surface: _Surface, polyp: RootedPolyp) -> None:
        body = polyp.body
        away = surface.position - body.anchor[:, None]
        around = np.nonzero(np.einsum("ij,ij->j", away, away) < (1.6 * body.reach) ** 2)[0]
        if around.size:
            gap = np.clip(body.distance(surface.position[:, around]) / np.float32(0.5 * body.size), 0, 1)
            surface.openness[around] *= np.float32(0.5) + np.float32(0.5) * np.sqrt(gap)

    def _light(self, surface: _Surface, origin: Floats, rays: Floats, camera: Camera) -> tuple[Floats, Floats]:
        """Reflected light, float32 [n,3], and highlights, float32 [n] of 0..1."""
        rotation = camera.rotation().astype(np.float32)
        away = surface.position - origin[:, None]
        square = np.einsum("ij,ij->j", away, away)
        facing = -np.einsum("ij,ij->j", rays, surface.normal)
        diffuse = np.maximum((facing + np.float32(0.22)) / np.float32(1.22), 0)
        diffuse *= (square + np.float32(0.04)) ** np.float32(-0.5 * self.look.fall_off)
        ahead = rotation[:, 2] @ rays
        diffuse *= surface.openness * np.clip(ahead, 0.05, 1) ** np.float32(1.1)
        shade = diffuse[:, None] * surface.albedo
        shade[:, 1:] *= (diffuse / (diffuse + np.float32(0.06)))[:, None] ** np.float32(0.35)
        highlight = np.zeros_like(diffuse)
        mirror = np.nonzero(facing > np.float32(_MIRROR))[0]
        highlight[mirror] = self._highlight(surface, mirror, origin, rays[:, mirror], rotation)
        return shade, highlight

    def _highlight(
        self, surface: _Surface, places: NDArray[np.intp], origin: Floats, rays: Floats, rotation: Floats
    ) -> Floats:
        """Wet tissue mirrors the lamps where its bumps face them: small, with hard edges."""
        glint = np.zeros(places.size, np.float32)
        for lamp in _LAMPS:
            toward = (origin + rotation @ np.asarray(lamp, np.float32))[:, None] - surface.position[:, places]
            toward /= np.sqrt(np.einsum("ij,ij->j", toward, toward))
            half = toward - rays
            half /= np.sqrt(np.einsum("ij,ij->j", half, half))
            glint = np.maximum(glint, np.einsum("ij,ij->j", half, surface.normal[:, places]))
        sharp = np.clip((glint - np.float32(0.990)) * np.float32(180), 0, 1)
        sharp = sharp * sharp * (3 - 2 * sharp) * surface.gloss[places]
        return np.asarray(np.clip(sharp * np.float32(self.look.wetness), 0, 0.97), dtype=np.float32)


def _toward_lens(normal: Floats, rays: Floats) -> Floats:
    """Normals that face away at the rim of a fold, bent back until they are seen edge on."""
    away = np.maximum(np.einsum("ij,ij->j", normal, rays) + np.float32(0.12), 0)
    bent = normal - away * rays
    return np.asarray(bent / np.sqrt(np.einsum("ij,ij->j", bent, bent)), dtype=np.float32)


def roughly_centred(rng: np.random.Generator, height: int, width: int) -> tuple[float, float]:
    """A random pixel (column, row) well inside the octagon."""
    angle, radius = rng.uniform(0, 2 * math.pi), math.sqrt(rng.uniform(0, 1)) * 0.62
    return width / 2 * (1 + radius * math.cos(angle)), height / 2 * (1 + radius * math.sin(angle))
