"""Single pictures: one bowel, one pose, polyps where the lens looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeseg.frames import Frame, Mask
from edgeseg.synthetic.camera import Camera
from edgeseg.synthetic.colon import PERIOD, WallPoints
from edgeseg.synthetic.look import draw_polyp_colour
from edgeseg.synthetic.polyp import SHAPES, Shape, grow_polyp
from edgeseg.synthetic.rooted import RootedPolyp
from edgeseg.synthetic.scene import Scene, roughly_centred

SMALLEST_SIDE_PX = 32
_NEAREST, _FARTHEST = 0.5, 2.0
"""Distances at which single pictures may show their polyp, in bowel radii from the lens."""
_FACING = 0.3
_ATTEMPTS = 16


def render_scene(
    seed: int | Sequence[int],
    height: int = 256,
    width: int = 256,
    polyps: int | None = None,
    shape: Shape | None = None,
) -> tuple[Frame, Mask]:
    """One synthetic endoscopic picture and its exact mask; the same bytes for the same arguments.

    Args:
        seed: Zero or more, or several such numbers.
        height: Picture height in pixels, at least 32.
        width: Picture width in pixels, at least 32.
        polyps: How many; None draws none, one, two or three.
        shape: The shape of all polyps; None draws one for each.

    Returns:
        The frame, uint8 [H,W,3] RGB with the black octagon border, and the mask, uint8 [H,W] of 0 and 255: what
        one sees of the polyps inside the octagon.

    Raises:
        ValueError: A side below 32 pixels or a negative seed.
    """
    if min(height, width) < SMALLEST_SIDE_PX:
        raise ValueError(f"a picture of {width}x{height} pixels; at least {SMALLEST_SIDE_PX} on each side")
    rng = np.random.default_rng(seed)
    scene = Scene(rng, min(height, width))
    camera = _draw_camera(rng, scene)
    count = int(rng.choice(4, p=[0.12, 0.66, 0.17, 0.05])) if polyps is None else polyps
    for _ in range(count):
        _place_polyp(rng, scene, camera, shape, height, width)
    frame, mask, _ = scene.render(camera, height, width, rng)
    return frame, mask


def _draw_camera(rng: np.random.Generator, scene: Scene) -> Camera:
    """Somewhere in the lumen, mostly looking aside at the wall as one does when searching."""
    z = rng.uniform(0, PERIOD)
    x, y, slope_x, slope_y = map(float, scene.colon.centre(np.full(1, z, np.float32))[0])
    aside = rng.uniform(0, 2 * np.pi)
    turn = rng.uniform(0.0, 0.95)
    return Camera(
        position=(x + rng.uniform(-0.25, 0.25), y + rng.uniform(-0.25, 0.25), z),
        yaw=float(np.arctan(slope_x) + turn * np.cos(aside)),
        pitch=float(-np.arctan(slope_y) + turn * np.sin(aside)),
        roll=rng.uniform(-np.pi, np.pi),
        zoom=rng.uniform(0.95, 1.25),
    )


def _place_polyp(
    rng: np.random.Generator, scene: Scene, camera: Camera, shape: Shape | None, height: int, width: int
) -> None:
    """Put a polyp on the wall where a random pixel looks, as large as it should appear."""
    kind = shape or SHAPES[int(rng.choice(len(SHAPES), p=[0.44, 0.16, 0.18, 0.22]))]
    distance, wall = _visible_place(rng, scene, camera, height, width)
    apparent = rng.uniform(0.16, 0.46)
    size = float(np.clip(apparent * distance, 0.1, 0.5)) * (0.62 if kind == "pedunculated" else 1.0)
    body = grow_polyp(rng, kind, wall.position[:, 0], wall.normal[:, 0], size)
    colour = draw_polyp_colour(rng, scene.look.mucosa)
    scene.polyps.append(RootedPolyp(body, colour, scene.colon, rng.uniform(0.25, 0.95)))


def _visible_place(
    rng: np.random.Generator, scene: Scene, camera: Camera, height: int, width: int
) -> tuple[float, WallPoints]:
    """A place on the wall that is neither far nor turned away: its distance and the point; the best of some."""
    best, least = None, float("inf")
    for _ in range(_ATTEMPTS):
        column, row = roughly_centred(rng, height, width)
        distance, wall = scene.wall_at(camera, column, row, height, width)
        to_lens = np.asarray(camera.position, np.float32) - wall.position[:, 0]
        facing = float(to_lens @ wall.normal[:, 0]) / distance
        wrong = max(_NEAREST - distance, 0.0) + max(distance - _FARTHEST, 0.0) + max(_FACING - facing, 0.0)
        if wrong < least:
            best, least = (distance, wall), wrong
        if wrong == 0:
            break
    assert best is not None
    return best
