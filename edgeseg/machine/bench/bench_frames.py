"""The frames of a bench: decoded beforehand or made up, and cycled from memory, so that decoding is never timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import BadInputError
from edgeseg.runtime.engine.inputs import EngineInput
from edgeseg.runtime.engine.planes import PlanarFrame
from edgeseg.runtime.engine.session import SessionInfo
from edgeseg.runtime.video.engine_input import engine_input
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.video_files import open_source

MOST_FRAMES = 64
MOST_BYTES = 256 * 2**20
SYNTHETIC_FRAMES = 8
PAGE_BYTES = 4096


@dataclass(frozen=True, eq=False)
class BenchFrames:
    """Pictures of one size in one block of memory, which can be pinned as a whole."""

    block: NDArray[np.uint8]
    """uint8 [bytes] on whole pages."""
    pictures: tuple[Picture, ...]
    """Views of `block`."""
    name: str
    """The frames' name in the report."""
    rate: Fraction | None
    """The source's own, frames a second."""

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.pictures[0].height

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.pictures[0].width

    @property
    def frame_bytes(self) -> int:
        """Bytes of the largest picture."""
        return max(picture.content.nbytes for picture in self.pictures)

    def endless(self) -> Iterator[Picture]:
        """The pictures, round and round."""
        return cycle(self.pictures)

    def endless_inputs(self, info: SessionInfo) -> Iterator[EngineInput]:
        """The pictures as an engine takes them, made beforehand, round and round."""
        return cycle([engine_input(picture, info) for picture in self.pictures])


def frames_of(source: Path) -> BenchFrames:
    """The first frames of a video or of a folder of images, at most 64 and 256 MiB of them.

    Raises:
        BadInputError: Nothing that can be decoded, or frames of different sizes.
    """
    pictures: list[Picture] = []
    with open_source(source) as opened:
        rate = opened.timing.rate
        for frame in opened.frames():
            if pictures and _size(frame.picture) != _size(pictures[0]):
                raise BadInputError(
                    f"the frames of {source} differ in size, so their times cannot be one figure",
                    found=f"{_size(pictures[0])} and {_size(frame.picture)}",
                    expected="frames of one size",
                )
            pictures.append(frame.picture)
            if len(pictures) == MOST_FRAMES or (len(pictures) + 1) * pictures[0].content.nbytes > MOST_BYTES:
                break
    return _gathered(pictures, f"{source.name}, {len(pictures)} frames of {_size(pictures[0])}", rate)


def synthetic_frames(height: int, width: int, planar: bool = True) -> BenchFrames:
    """Frames of smooth noise that drifts; a dense network takes as long for them as for any other.

    Args:
        height: In pixels.
        width: In pixels.
        planar: As a video's decoder gives them; otherwise BGR, as from a camera or an image.
    """
    coarse = np.random.default_rng(0).integers(40, 220, (height // 32 + 2, width // 32 + 2, 3), dtype=np.uint8)
    texture = np.kron(coarse, np.ones((32, 32, 1), np.uint8))[:height, :width]
    drifting = [Picture.of_bgr(np.roll(texture, 7 * index, axis=1)) for index in range(SYNTHETIC_FRAMES)]
    pictures = [picture.planar() for picture in drifting] if planar else drifting
    return _gathered(pictures, f"synthetic, {len(pictures)} frames of {_size(pictures[0])}", None)


def _gathered(pictures: Sequence[Picture], name: str, rate: Fraction | None) -> BenchFrames:
    size = sum(picture.content.nbytes for picture in pictures)
    memory = np.zeros(size + 2 * PAGE_BYTES, np.uint8)
    start = -memory.ctypes.data % PAGE_BYTES
    block = memory[start : start + -(-size // PAGE_BYTES) * PAGE_BYTES]
    gathered, offset = [], 0
    for picture in pictures:
        content = picture.content
        samples = content.samples if isinstance(content, PlanarFrame) else content
        place = block[offset : offset + samples.nbytes].reshape(samples.shape)
        place[...] = samples
        offset += samples.nbytes
        gathered.append(Picture(replace(content, samples=place) if isinstance(content, PlanarFrame) else place))
    return BenchFrames(block, tuple(gathered), name, rate)


def _size(picture: Picture) -> str:
    return f"{picture.width}x{picture.height}"
