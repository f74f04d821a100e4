"""Polyps as signed distances: rounded bodies that run into each other. Lengths in bowel radii."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgeseg.synthetic.noise import Floats

Shape = Literal["sessile", "flat", "pedunculated", "lobed"]
SHAPES: tuple[Shape, ...] = ("sessile", "flat", "pedunculated", "lobed")


@dataclass(frozen=True)
class Polyp:
    """One polyp in its own frame: x and y along the wall, z into the lumen, unit size."""

    shape: Shape
    bodies: NDArray[np.float32]
    """float32 [k,7]: rounded segments from (x,y,z) to (x,y,z) with a radius."""
    stretch: NDArray[np.float32]
    """float32 [3]: the polyp's own axes, before `size`."""
    waves: NDArray[np.float32]
    """float32 [k,4]: wave vectors and phases of the unevenness."""
    unevenness: float
    anchor: NDArray[np.float32]
    """float32 [3], the place on the wall, in the world."""
    axes: NDArray[np.float32]
    """float32 [3,3], rows: the polyp's axes in the world; the last points into the lumen."""
    size: float
    """Half of its width."""

    @property
    def reach(self) -> float:
        """Radius of a sphere about the anchor that holds it all."""
        ends = np.concatenate([self.bodies[:, :3], self.bodies[:, 3:6]])
        radii = np.concatenate([self.bodies[:, 6]] * 2) + 3 * self.unevenness
        away = np.linalg.norm(ends * self.stretch, axis=1) + radii * self.stretch.max()
        return float(away.max()) * self.size

    def local(self, position: Floats) -> Floats:
        """World points, float32 [3,n], in the polyp's frame."""
        inside = self.axes @ (position - self.anchor[:, None])
        return np.asarray(inside / (self.stretch * np.float32(self.size))[:, None], dtype=np.float32)

    def distance(self, position: Floats) -> Floats:
        """How far world points, float32 [3,n], lie outside of the polyp (a lower bound; negative inside)."""
        place = self.local(position)
        total = np.full(place.shape[1], 1e3, np.float32)
        for body in self.bodies:
            total = smooth_minimum(total, _to_segment(place, body), np.float32(0.16))
        for wave in self.waves:
            total += np.float32(self.unevenness) * np.sin(wave[:3] @ place + wave[3])
        return total * np.float32(self.size * float(self.stretch.min()))


def grow_polyp(rng: np.random.Generator, shape: Shape, anchor: Floats, inward: Floats, size: float) -> Polyp:
    """A polyp of some shape on a place of the wall.

    Args:
        rng: Source of its individual form.
        shape: Sessile dome, flat, pedunculated (head on a stalk) or lobed.
        anchor: float32 [3], place on the wall.
        inward: float32 [3], unit normal of the wall there, toward the lumen.
        size: Half of its width, in bowel radii.
    """
    bodies, stretch = _FORMS[shape](rng)
    waves = np.concatenate([rng.normal(0, 2.4, (4, 3)), rng.uniform(0, 6.3, (4, 1))], axis=1)
    return Polyp(
        shape=shape,
        bodies=np.asarray(bodies, np.float32),
        stretch=np.asarray(stretch, np.float32),
        waves=waves.astype(np.float32),
        unevenness=rng.uniform(0.02, 0.06),
        anchor=np.asarray(anchor, np.float32),
        axes=_frame(inward, rng.uniform(0, 2 * math.pi)),
        size=size,
    )


def _sessile(rng: np.random.Generator) -> tuple[list[list[float]], list[float]]:
    lift = rng.uniform(-0.05, 0.35)
    return [[0, 0, lift, 0, 0, lift, 0.92]], [1.0, rng.uniform(0.72, 1.0), rng.uniform(0.65, 0.95)]


def _flat(rng: np.random.Generator) -> tuple[list[list[float]], list[float]]:
    bodies: list[list[float]] = [[0, 0, 0.2, 0, 0, 0.2, 0.8]]
    for angle in rng.uniform(0, 2 * math.pi, rng.integers(2, 4)):
        x, y = 0.45 * math.cos(angle), 0.45 * math.sin(angle)
        bodies.append([x, y, 0.2, x, y, 0.2, rng.uniform(0.5, 0.65)])
    return bodies, [1.15, rng.uniform(0.8, 1.1), rng.uniform(0.36, 0.5)]


def _pedunculated(rng: np.random.Generator) -> tuple[list[list[float]], list[float]]:
    height, lean, angle = rng.uniform(1.3, 1.9), rng.uniform(0.3, 0.9), rng.uniform(0, 2 * math.pi)
    x, y = lean * math.cos(angle), lean * math.sin(angle)
    stalk = [0.0, 0.0, -0.3, x, y, height, rng.uniform(0.26, 0.36)]
    return [stalk, [x, y, height, 1.15 * x, 1.15 * y, height + 0.2, rng.uniform(0.75, 0.9)]], [1.0, 1.0, 1.0]


def _lobed(rng: np.random.Generator) -> tuple[list[list[float]], list[float]]:
    bodies: list[list[float]] = [[0, 0, 0.35, 0, 0, 0.35, 0.62]]
    count = int(rng.integers(3, 6))
    for lobe in range(count):
        angle = (lobe + rng.uniform(-0.25, 0.25)) * 2 * math.pi / count
        away, lift = rng.uniform(0.45, 0.65), rng.uniform(0.15, 0.6)
        x, y = away * math.cos(angle), away * math.sin(angle)
        bodies.append([x, y, lift, x, y, lift, rng.uniform(0.36, 0.52)])
    return bodies, [1.0, rng.uniform(0.75, 1.0), rng.uniform(0.75, 1.0)]


_FORMS = {"sessile": _sessile, "flat": _flat, "pedunculated": _pedunculated, "lobed": _lobed}


def _frame(inward: Floats, turn: float) -> NDArray[np.float32]:
    """Rows x, y, z with z = `inward` and x turned about it."""
    z = np.asarray(inward, np.float64) / np.linalg.norm(inward)
    aside = np.cross(z, [0.0, 0.0, 1.0] if abs(z[2]) < 0.9 else [1.0, 0.0, 0.0])
    aside /= np.linalg.norm(aside)
    x = math.cos(turn) * aside + math.sin(turn) * np.cross(z, aside)
    return np.stack([x, np.cross(z, x), z]).astype(np.float32)


def _to_segment(place: Floats, body: NDArray[np.float32]) -> Floats:
    start, end, radius = body[:3, None], body[3:6, None], body[6]
    along, offset = end - start, place - start
    length = float((along * along).sum())
    if length > 0:
        share = np.clip((along * offset).sum(axis=0) / np.float32(length), 0, 1)
        offset = offset - along * share
    return np.asarray(np.sqrt((offset * offset).sum(axis=0)) - radius, dtype=np.float32)


def smooth_minimum(a: Floats, b: Floats, width: np.float32) -> Floats:
    """Polynomial smooth minimum (Quilez): bodies run into each other instead of meeting in a crease."""
    blend = np.clip(np.float32(0.5) + (b - a) / (2 * width), 0, 1)
    return np.asarray(b + (a - b) * blend - width * blend * (1 - blend), dtype=np.float32)
