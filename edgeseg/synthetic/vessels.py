"""Branching blood vessels, drawn on a map that repeats in both directions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.synthetic.noise import Floats

_SUBPIXEL_BITS = 4
_STEPS = 10
_FORKING = 0.2
_THINNER = 0.66


@dataclass(frozen=True)
class _Twig:
    x: float
    y: float
    heading: float
    thickness_px: float
    length_px: float


def vessel_map(rng: np.random.Generator, height: int, width: int, trees: int) -> Floats:
    """How much vessel lies under each point of the mucosa.

    Args:
        rng: Source of the shapes.
        height: Height of the map in pixels.
        width: Width in pixels.
        trees: Vessels that start on their own.

    Returns:
        float32 [height,width], 0 (none) to about 1.
    """
    canvas = np.zeros((height, width), np.uint8)
    unit = min(height, width)
    for _ in range(trees):
        root = _Twig(
            x=rng.uniform(0, width),
            y=rng.uniform(0, height),
            heading=rng.uniform(0, 2 * math.pi),
            thickness_px=unit * rng.uniform(0.0025, 0.0052),
            length_px=unit * rng.uniform(0.2, 0.5),
        )
        _grow(rng, canvas, root)
    soft: Any = cv2.GaussianBlur(np.pad(canvas, 8, mode="wrap"), (0, 0), 0.0012 * unit)
    return np.asarray(soft[8:-8, 8:-8], dtype=np.float32) / np.float32(255)


def _grow(rng: np.random.Generator, canvas: NDArray[np.uint8], root: _Twig) -> None:
    """Walk a winding line and let thinner ones leave it, until they are too thin to see."""
    waiting, finest = [root], 0.0012 * min(canvas.shape)
    while waiting:
        twig = waiting.pop()
        headings = twig.heading + np.cumsum(rng.normal(0, 0.28, _STEPS))
        stride = twig.length_px / _STEPS
        line = np.empty((_STEPS + 1, 2))
        line[0] = twig.x, twig.y
        line[1:, 0] = twig.x + stride * np.cumsum(np.cos(headings))
        line[1:, 1] = twig.y + stride * np.cumsum(np.sin(headings))
        _draw(canvas, line, twig.thickness_px)
        if twig.thickness_px * _THINNER < finest:
            continue
        sides = rng.choice((-1.0, 1.0), _STEPS) * rng.uniform(0.5, 1.1, _STEPS)
        for step in np.nonzero(rng.random(_STEPS) < _FORKING)[0]:
            x, y = line[step + 1]
            heading = float(headings[step] + sides[step])
            waiting.append(_Twig(x, y, heading, twig.thickness_px * _THINNER, twig.length_px * 0.7))


def _draw(canvas: NDArray[np.uint8], line: NDArray[np.float64], thickness_px: float) -> None:
    """A line and its copies on the other sides of the seams; below one pixel it gets fainter instead of thinner."""
    height, width = canvas.shape
    strength = int(255 * min(1.0, 0.35 + 0.65 * thickness_px))
    left, top = np.floor(line.min(axis=0) / (width, height)).astype(int)
    right, bottom = np.floor(line.max(axis=0) / (width, height)).astype(int)
    copies = [
        np.round((line - (x * width, y * height)) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        for x in range(left, right + 1)
        for y in range(top, bottom + 1)
    ]
    cv2.polylines(canvas, copies, False, strength, max(1, round(thickness_px)), cv2.LINE_AA, _SUBPIXEL_BITS)
