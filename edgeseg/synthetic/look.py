"""Draws what differs from patient to patient and scope to scope: colours, light, sharpness, noise, the black border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = NDArray[np.float32]
"""float32 [3], linear RGB reflectance."""

_MUCOSA = np.array(
    [[0.82, 0.25, 0.15], [0.88, 0.34, 0.14], [0.78, 0.22, 0.19], [0.88, 0.40, 0.33], [0.84, 0.37, 0.15]], np.float32
)
"""Linear reflectances: salmon, orange, deep red, pale pink, yellowish."""
_POLYP = np.array(
    [[1.02, 0.66, 0.66], [1.08, 1.32, 1.40], [1.06, 1.22, 0.90], [0.92, 0.80, 1.02], [1.03, 0.88, 0.84]], np.float32
)
"""How a polyp differs from the mucosa about it: redder, paler, yellower, livid, hardly."""

_CONTRAST = 1.3
"""Exponent on that difference: a small U-Net reaches Dice 0.9 in minutes, one colour threshold does not reach 0.6."""


@dataclass(frozen=True)
class Look:
    """The appearance of one scene."""

    mucosa: Colour
    debris: float
    """Share of the wall under yellow fluid; 0 for a clean bowel."""
    vessels: float
    """How clearly vessels show, 0 to 1."""
    exposure: float
    """Brightness that a well-lit place is brought to; 1 is normal."""
    fall_off: float
    """How fast the light fades with the distance: the exponent, 2 in vacuum, less with automatic gain."""
    wetness: float
    """Strength of the highlights."""
    blur_px: float
    """Gaussian blur of the optics, at 256 pixels of height."""
    noise: float
    """Standard deviation of the sensor noise, in grey levels of 255."""
    white_balance: Colour
    corner: float
    """How much of the picture's half height the octagon's corners cut off."""
    inset: float
    """Black frame round the octagon, as a share of the height."""


def draw_look(rng: np.random.Generator) -> Look:
    """A random appearance."""
    blend = rng.dirichlet(np.full(len(_MUCOSA), 0.45)).astype(np.float32)
    return Look(
        mucosa=(blend @ _MUCOSA) * rng.uniform(0.93, 1.07, 3).astype(np.float32),
        debris=float(rng.choice([0.0, 0.0, 0.01, 0.03])),
        vessels=rng.uniform(0.2, 0.85),
        exposure=rng.uniform(0.8, 1.2),
        fall_off=rng.uniform(1.4, 1.9),
        wetness=rng.uniform(0.6, 1.5),
        blur_px=rng.choice([0.35, 0.5, 0.7, 1.1]) * rng.uniform(0.8, 1.2),
        noise=rng.uniform(0.8, 3.5),
        white_balance=rng.normal(1.0, 0.035, 3).astype(np.float32),
        corner=rng.uniform(0.42, 0.66),
        inset=float(rng.choice([0.0, 0.0, 0.02, 0.04])),
    )


def draw_polyp_colour(rng: np.random.Generator, mucosa: Colour) -> Colour:
    """A polyp's reflectance on mucosa of that colour."""
    blend = rng.dirichlet(np.full(len(_POLYP), 0.5)).astype(np.float32)
    colour = mucosa * (blend @ _POLYP) ** np.float32(_CONTRAST) * rng.uniform(0.97, 1.05, 3)
    return np.asarray(np.clip(colour, 0.05, 0.95), dtype=np.float32)
