from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgeseg.images import write_png


def written(folder: Path, frames: Iterable[np.ndarray]) -> list[Path]:
    """Frames uint8 [H,W,3] as PNG files, in their order."""
    paths = []
    for index, frame in enumerate(frames):
        paths.append(folder / f"{index}.png")
        write_png(paths[-1], frame)
    return paths
