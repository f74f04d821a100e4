"""The frames of a bench: decoded beforehand or made up, and cycled from memory, so that decoding is never timed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError, UsageError
from edgeseg.frames import Frame
from edgeseg.runtime.video.files import open_source

MOST_FRAMES = 64
MOST_BYTES = 256 * 2**20
SYNTHETIC_FRAMES = 8
PAGE_BYTES = 4096


@dataclass(frozen=True, eq=False)
class BenchFrames:
    """Frames of one size in one block of memory, which can be pinned as a whole."""

    block: NDArray[np.uint8]
    """uint8 [bytes] on whole pages."""
    images: NDArray[np.uint8]
    """uint8 [N,H,W,3] BGR, a view of `block`."""
    name: str
    """The frames' name in the report."""
    rate: Fraction | None
    """The source's own, frames a second."""

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.images.shape[1])

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.images.shape[2])

    def endless(self) -> Iterator[Frame]:
        """The frames, round and round."""
        return cycle(list(self.images))


def parse_size(text: str) -> tuple[int, int]:
    """``1920x1080`` as (height, width).

    Raises:
        UsageError: Something else.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip().lower())
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (0 < width <= 16384 and 0 < height <= 16384):
        raise UsageError("--size is not a frame's size", found=text, expected="WIDTHxHEIGHT, for example 1920x1080")
    return height, width


def frames_of(source: Path) -> BenchFrames:
    """The first frames of a video or of a folder of images, at most 64 and 256 MiB of them.

    Raises:
        BadInputError: Nothing that can be decoded, or frames of different sizes.
    """
    images: list[Frame] = []
    with open_source(source) as opened:
        rate = opened.timing.rate
        for frame in opened.frames():
            if images and frame.image.shape != images[0].shape:
                raise BadInputError(
                    f"the frames of {source} differ in size, so their times cannot be one figure",
                    found=f"{_size(images[0])} and {_size(frame.image)}",
                    expected="frames of one size",
                )
            images.append(frame.image)
            if len(images) == MOST_FRAMES or (len(images) + 1) * images[0].nbytes > MOST_BYTES:
                break
    return _gathered(images, f"{source.name}, {len(images)} frames of {_size(images[0])}", rate)


def synthetic_frames(height: int, width: int) -> BenchFrames:
    """Frames of smooth noise that drifts; a dense network takes as long for them as for any other."""
    coarse = np.random.default_rng(0).integers(40, 220, (height // 32 + 2, width // 32 + 2, 3), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((32, 32, 1), np.uint8))[:height, :width]
    images = [np.roll(texture, 7 * index, axis=1) for index in range(SYNTHETIC_FRAMES)]
    return _gathered(images, f"synthetic, {len(images)} frames of {_size(images[0])}", None)


def _gathered(images: list[Frame], name: str, rate: Fraction | None) -> BenchFrames:
    size = sum(image.nbytes for image in images)
    memory = np.zeros(size + 2 * PAGE_BYTES, np.uint8)
    start = -memory.ctypes.data % PAGE_BYTES
    block = memory[start : start + -(-size // PAGE_BYTES) * PAGE_BYTES]
    view = block[:size].reshape(len(images), *images[0].shape)
    for index, image in enumerate(images):
        view[index] = image
    return BenchFrames(block, view, name, rate)


def _size(image: Frame) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
