"""EXIF orientation: how a stored picture is turned to stand upright, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ORIENTATION_TAG = 0x0112


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels [H,W,...] upright; EXIF 2.32, tag 0x0112, values 1 to 8."""
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, 1),
    }
    return pixels if orientation == 1 else np.ascontiguousarray(turned[orientation](pixels))


def as_stored(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo `upright`."""
    return upright(pixels, {6: 8, 8: 6}.get(orientation, orientation))
