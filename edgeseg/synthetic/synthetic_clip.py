"""A clip: the scope is drawn back through one bowel, past its polyps, and every frame has its exact mask."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.errors import BadInputError
from edgeseg.files import atomic_file, atomic_folder, check_writable
from edgeseg.frames import Frame, Mask
from edgeseg.images import write_png
from edgeseg.progress import Track, silent
from edgeseg.synthetic.camera import Camera
from edgeseg.synthetic.colon import PERIOD
from edgeseg.synthetic.look import draw_polyp_colour
from edgeseg.synthetic.polyp import SHAPES, Polyp, grow_polyp
from edgeseg.synthetic.rooted import RootedPolyp
from edgeseg.synthetic.scene import Scene
from edgeseg.synthetic.stills import SMALLEST_SIDE_PX

_SPEED = 1.1
"""Bowel radii a second: slow, careful withdrawal."""
_SPACING = 2.9
"""Bowel radii from one polyp to the next, about."""
_SEEN_FROM, _GONE_BY = 2.0, 3.0
"""Polyps flatten into the wall between these distances: no mask on what no eye could tell from the dark."""
_ADAPTATION = 0.12
"""Share of the way to its new exposure that the scope goes in one frame."""


def write_clip(
    path: Path,
    seed: int,
    frames: int,
    height: int = 480,
    width: int = 640,
    fps: int = 25,
    masks_dir: Path | None = None,
    track: Track = silent,
) -> None:
    """Write an H.264 clip, and its masks if wanted; each appears whole or not at all.

    Args:
        path: The .mp4 file (yuv420p, index first).
        seed: Zero or more; the same pictures for the same arguments.
        frames: How many, at least 1.
        height: Height in pixels, even, at least 32.
        width: Width in pixels, even, at least 32.
        fps: Frames a second.
        masks_dir: A new or empty folder for `frame_000000.png` and on, uint8 of 0 and 255; None writes none.
        track: Shows progress.

    Raises:
        BadInputError: A size that H.264 cannot hold, no frames, or a place that cannot be written.
    """
    check_clip(path, frames, height, width, fps, masks_dir)
    with contextlib.ExitStack() as stack:
        folder = None if masks_dir is None else stack.enter_context(atomic_folder(masks_dir))
        temporary = stack.enter_context(atomic_file(path))
        pictures = track(render_clip(seed, frames, height, width, fps), "clip", frames)
        _encode(temporary, pictures, height, width, fps, folder)


def render_clip(seed: int, frames: int, height: int, width: int, fps: int = 25) -> Iterator[tuple[Frame, Mask]]:
    """The pictures of a clip, one after the other.

    Yields:
        The frame, uint8 [H,W,3] RGB, and its mask, uint8 [H,W] of 0 and 255.
    """
    rng = np.random.default_rng(seed)
    scene = Scene(rng, min(height, width))
    path = _Path(rng, scene, frames / fps)
    polyps = _line_with_polyps(rng, scene)
    gain = None
    for index in range(frames):
        camera = path.camera(index / fps)
        scene.polyps = [seen for polyp in polyps if (seen := _as_seen(polyp, camera)) is not None]
        frame, mask, wanted = scene.render(camera, height, width, rng, gain)
        gain = wanted if gain is None else gain + _ADAPTATION * (wanted - gain)
        yield frame, mask


class _Path:
    """The lens's path over time: back along the bowel, swaying, turning, breathing in and out."""

    def __init__(self, rng: np.random.Generator, scene: Scene, duration_s: float) -> None:
        self._colon = scene.colon
        self._start = rng.uniform(0, PERIOD) + _SPEED * duration_s
        self._rates = rng.uniform(0.5, 1.6, (6, 2))
        self._phases = rng.uniform(0, 2 * math.pi, (6, 2))
        self._roll_rate = rng.uniform(-0.12, 0.12)

    def camera(self, time_s: float) -> Camera:
        sway = np.sin(self._rates * time_s + self._phases).mean(axis=1)
        z = self._start - _SPEED * (time_s + 0.55 * math.sin(1.3 * time_s) / 1.3) + 0.1 * float(sway[5])
        x, y, slope_x, slope_y = map(float, self._colon.centre(np.full(1, z, np.float32))[0])
        return Camera(
            position=(x + 0.2 * float(sway[0]), y + 0.2 * float(sway[1]), z),
            yaw=math.atan(slope_x) + 0.55 * float(sway[2]),
            pitch=-math.atan(slope_y) + 0.55 * float(sway[3]),
            roll=self._roll_rate * time_s + 0.25 * float(sway[4]),
            zoom=1.1,
        )


def _line_with_polyps(rng: np.random.Generator, scene: Scene) -> list[RootedPolyp]:
    """Polyps of every shape, spread along one period of the bowel."""
    count = round(PERIOD / _SPACING)
    shapes = rng.permutation(np.resize(np.arange(len(SHAPES)), count))
    polyps = []
    for place, index in enumerate(shapes):
        z = (place + rng.uniform(-0.2, 0.2)) * PERIOD / count
        anchor, inward = scene.wall_around(rng.uniform(0, 2 * math.pi), z)
        size = rng.uniform(0.28, 0.46) * (0.6 if SHAPES[index] == "pedunculated" else 1.0)
        body = grow_polyp(rng, SHAPES[index], anchor, inward, size)
        colour = draw_polyp_colour(rng, scene.look.mucosa)
        polyps.append(RootedPolyp(body, colour, scene.colon, rng.uniform(0.2, 0.9)))
    return polyps


def _as_seen(polyp: RootedPolyp, camera: Camera) -> RootedPolyp | None:
    """The copy of a polyp that is ahead of the lens, sunk into the wall with the distance; None beyond sight."""
    away = float(polyp.body.anchor[2]) - camera.position[2] + 1.5
    ahead = away % PERIOD - 1.5
    growth = (_GONE_BY - ahead) / (_GONE_BY - _SEEN_FROM)
    if growth <= 0:
        return None
    shift = np.array([0, 0, ahead - (away - 1.5)], np.float32)
    body = polyp.body
    size = body.size * float(np.clip(growth, 0.05, 1))
    moved = Polyp(
        body.shape, body.bodies, body.stretch, body.waves, body.unevenness, body.anchor + shift, body.axes, size
    )
    return RootedPolyp(moved, polyp.colour, polyp.colon, polyp.pits)


def check_clip(path: Path, frames: int, height: int, width: int, fps: int = 25, masks_dir: Path | None = None) -> None:
    """Refuse, before any work, what `write_clip` could not write.

    Raises:
        BadInputError: See `write_clip`.
    """
    if min(height, width) < SMALLEST_SIDE_PX or height % 2 or width % 2:
        raise BadInputError(
            f"H.264 with 4:2:0 colour cannot hold a clip of {width}x{height} pixels",
            expected=f"even sides of at least {SMALLEST_SIDE_PX} pixels",
        )
    if frames < 1 or fps < 1:
        raise BadInputError(
            "a clip without frames", found=f"{frames} frames at {fps} a second", expected="at least 1 of each"
        )
    for output in filter(None, (path, masks_dir)):
        check_writable(output)
    if path.is_dir():
        raise BadInputError(f"{path} is a folder", expected="a file NAME.mp4")
    if masks_dir is not None and masks_dir.exists() and (not masks_dir.is_dir() or any(masks_dir.iterdir())):
        raise BadInputError(f"{masks_dir} exists and is not empty", expected="a new or empty folder for the masks")


def _encode(
    path: Path, pictures: Iterator[tuple[Frame, Mask]], height: int, width: int, fps: int, masks: Path | None
) -> None:
    import av

    options = {"preset": "veryfast", "crf": "18", "threads": "1"}
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream: Any = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, fps)
        for index, (frame, mask) in enumerate(pictures):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(picture))
            if masks is not None:
                write_png(masks / f"frame_{index:06d}.png", mask)
        container.mux(stream.encode())
