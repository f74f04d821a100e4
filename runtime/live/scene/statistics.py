"""Describes pictures in five numbers, and how the training pictures looked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeseg.dataset import hash_files, load_images
from edgeseg.errors import BadInputError
from edgeseg.frames import Frame, resize_to_network
from edgeseg.images import read_rgb
from edgeseg.progress import Track, silent
from edgeseg.specs import Crop
from edgeseg.values import Part, Value

DARK_LEVEL = 30
"""Darker pixels are border and lumen; they have no colour."""
MIN_IMAGES = 20
"""Fewer give no spread worth comparing with."""


class ImageStatistics(Part):
    """One picture at the network's size, its lit pixels."""

    brightness: float
    """Mean luma, 0 to 255."""
    contrast: float
    """Standard deviation of luma."""
    saturation: float
    """Mean of HSV's, 0 to 255."""
    hue: float
    """Hue of the mean colour, degrees from -180 to 180; red is 0, yellow 60."""
    sharpness: float
    """Mean absolute Laplacian of luma."""


STATISTICS = tuple(ImageStatistics.model_fields)


class Spread(Part):
    """Mean and standard deviation over pictures."""

    mean: float
    deviation: float


class TrainingStatistics(Value):
    """How the pictures looked that a network was trained on."""

    height: int
    """The network's size, at which they were measured."""
    width: int
    image_count: int
    data_sha256: str
    spreads: dict[str, Spread]
    """Spreads by name of `ImageStatistics`."""


def image_statistics(frame: Frame) -> ImageStatistics:
    """The five numbers of one network input.

    Args:
        frame: uint8 [h,w,3] RGB. Where nothing in it is lit, all five are 0.
    """
    luma: Any = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    lit: Any = cv2.inRange(luma, DARK_LEVEL, 255)
    if not cv2.countNonZero(lit):
        return ImageStatistics(brightness=0, contrast=0, saturation=0, hue=0, sharpness=0)
    mean, deviation = (float(value.item()) for value in cv2.meanStdDev(luma, mask=lit))
    red, green, blue, _ = cv2.mean(frame, mask=lit)
    saturation = cv2.mean(cv2.cvtColor(frame, cv2.COLOR_RGB2HSV), mask=lit)[1]
    edges = cv2.convertScaleAbs(cv2.Laplacian(luma, cv2.CV_16S))
    hue = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))
    return ImageStatistics(
        brightness=mean,
        contrast=deviation,
        saturation=float(saturation),
        hue=float(hue),
        sharpness=float(cv2.mean(edges, mask=lit)[0]),
    )


def statistics_of(measured: Iterable[ImageStatistics], height: int, width: int, data_sha256: str) -> TrainingStatistics:
    """Mean and standard deviation over pictures.

    Raises:
        BadInputError: Too few pictures.
    """
    rows = np.array([[getattr(one, name) for name in STATISTICS] for one in measured], dtype=np.float64)
    if len(rows) < MIN_IMAGES:
        raise BadInputError("too few pictures for their statistics", found=len(rows), expected=f"at least {MIN_IMAGES}")
    spreads = {
        name: Spread(mean=float(column.mean()), deviation=float(column.std(ddof=1)))
        for name, column in zip(STATISTICS, rows.T, strict=True)
    }
    return TrainingStatistics(
        height=height, width=width, image_count=len(rows), data_sha256=data_sha256, spreads=spreads
    )


def statistics_of_folder(
    data: Path, height: int, width: int, split: str = "train", track: Track = silent, crop: Crop | None = None
) -> TrainingStatistics:
    """Measure the pictures of a data set, as a network of that size sees them.

    Raises:
        BadInputError: No such pictures, too few, or one that cannot be read.
    """
    paths = load_images(data, split)
    measured = (image_statistics(resize_to_network(read_rgb(path), height, width, crop)) for path in paths)
    return statistics_of(track(measured, "statistics", len(paths)), height, width, hash_files(paths))


def distances(live: ImageStatistics, training: TrainingStatistics) -> dict[str, float]:
    """How far live pictures are from the training pictures, in standard deviations of the latter, signed."""
    found = {}
    for name, spread in training.spreads.items():
        away = getattr(live, name) - spread.mean
        if name == "hue":
            away = (away + 180) % 360 - 180
        found[name] = away / max(spread.deviation, 1e-6)
    return found
