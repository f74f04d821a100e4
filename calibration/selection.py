"""Which images a network is calibrated on, when there are more than are wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.errors import UsageError
from edgeseg.progress import Track, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THUMBNAIL = 8
"""Pixels along a side of what pictures are compared by: light and colour and where they lie, no detail."""
DEFAULT_SELECTION = "even"

Chooser = Callable[[Sequence[Path], int, int, Track], list[int]]
"""Images, how many of them, a seed, progress -> which."""


def choose_images(
    images: Sequence[Path], count: int, select: str = DEFAULT_SELECTION, seed: int = 0, track: Track = silent
) -> list[Path]:
    """Choose at most `count` images, in their order.

    Args:
        images: All that there are, sorted.
        count: At least 1.
        select: A name of `SELECTIONS`: `even` takes them at equal steps, and no seed changes it; `random` draws them;
            `stratified` draws one from each of `count` groups of equal size, from dark to bright; `diverse` takes the
            image that differs most from all that are taken, again and again (Gonzalez, 1985, Theoretical Computer
            Science 38).
        seed: Of what is drawn.
        track: Draws the progress where pictures are looked at.

    Raises:
        UsageError: There is no such selection.
        BadInputError: An image cannot be read.
    """
    if select not in SELECTIONS:
        raise UsageError(f"there is no selection {select}", expected=" or ".join(SELECTIONS))
    if count >= len(images):
        return list(images)
    return [images[index] for index in sorted(SELECTIONS[select](images, count, seed, track))]


def _even(images: Sequence[Path], count: int, seed: int, track: Track) -> list[int]:
    return [index * len(images) // count for index in range(count)]


def _random(images: Sequence[Path], count: int, seed: int, track: Track) -> list[int]:
    import numpy as np

    return [int(index) for index in np.random.default_rng(seed).choice(len(images), count, replace=False)]


def _stratified(images: Sequence[Path], count: int, seed: int, track: Track) -> list[int]:
    import numpy as np

    generator = np.random.default_rng(seed)
    order = np.argsort(_thumbnails(images, track)[:, ::3].mean(axis=1), kind="stable")
    return [int(generator.choice(group)) for group in np.array_split(order, count)]


def _diverse(images: Sequence[Path], count: int, seed: int, track: Track) -> list[int]:
    import numpy as np

    thumbnails = _thumbnails(images, track)
    chosen = [int(np.random.default_rng(seed).integers(len(images)))]
    distance = np.full(len(images), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((thumbnails - thumbnails[chosen[-1]]) ** 2).sum(axis=1))
        distance[chosen] = -1.0  # copies of a picture are as near as it is to itself
        chosen.append(int(distance.argmax()))
    return chosen


SELECTIONS: dict[str, Chooser] = {"even": _even, "random": _random, "stratified": _stratified, "diverse": _diverse}


def _thumbnails(images: Sequence[Path], track: Track) -> NDArray[np.float32]:
    """Thumbnails that pictures are compared by: float32 [N,192], lightness, a and b of CIE Lab, interleaved."""
    import cv2
    import numpy as np

    from edgeseg.images import read_rgb

    seen = np.empty((len(images), THUMBNAIL * THUMBNAIL * 3), np.float32)
    for row, path in zip(seen, track(images, "looking", len(images)), strict=True):
        small = cv2.resize(read_rgb(path), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        row[:] = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(-1)
    return seen
