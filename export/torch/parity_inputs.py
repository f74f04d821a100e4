"""Real frames for the parity check of an export."""

from __future__ import annotations

from pathlib import Path

from edgeseg.calibration.selection import choose_images
from edgeseg.dataset import load_images
from edgeseg.frames import resize_to_network
from edgeseg.images import read_rgb
from edgeseg.runtime.engine.session import FrameBatch
from edgeseg.specs import ModelSpec

PARITY_IMAGES = 16


def parity_inputs(data: Path, model: ModelSpec, count: int = PARITY_IMAGES) -> list[FrameBatch]:
    """Images of a data set (its validation split, if it has one) as single-frame batches at the network's size."""
    images = choose_images(load_images(data, "validation"), count)
    return [resize_to_network(read_rgb(path), model.height, model.width)[None] for path in images]
