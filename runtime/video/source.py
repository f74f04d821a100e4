"""The interface of frame sources: each decoded picture, and what a clip of them takes over."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from edgeseg.frames import Frame
from edgeseg.runtime.video.picture import Picture
from edgeseg.runtime.video.sound import Sound

UNSPECIFIED = 2
"""H.273's number for colours that a file does not describe."""


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """One picture of a file or a live source, and when it came, by `time.monotonic_ns`."""

    index: int
    """The number of the frame, from 0 on; a live source goes on counting over reconnections."""
    arrived_ns: int
    """When the source gave the data of this frame, before decoding; for a file, when reading them began."""
    decoded_ns: int
    """When decoding was done."""
    pts: int
    """The time of presentation in units of `time_base`; strictly increasing, over reconnections too."""
    time_base: Fraction
    """The unit of `pts`, in seconds."""
    picture: Picture
    """The picture, upright."""
    damaged: bool = False
    """True if the decoder patched missing parts with guesses."""
    stem: str = ""
    """The name of the image that it was read from, without suffix; empty for video."""

    @property
    def name(self) -> str:
        """The name, without suffix, of files made from it: ``frame_000000`` for video, the stem for an image."""
        return self.stem or f"frame_{self.index:06d}"

    @property
    def decode_ns(self) -> int:
        """The time that reading and decoding took."""
        return self.decoded_ns - self.arrived_ns

    @property
    def image(self) -> Frame:
        """The picture as uint8 [H,W,3] BGR; pictures of a video are converted."""
        return self.picture.bgr

    def __repr__(self) -> str:
        size = f"{self.picture.width}x{self.picture.height}"
        return f"SourceFrame({self.name}, {size}, {float(self.pts * self.time_base):.3f} s)"


@dataclass(frozen=True)
class ClipTiming:
    """The facts that a clip must take over from its source, beside the frames."""

    time_base: Fraction
    rate: Fraction
    """The average frame rate."""
    states_matrix: bool = False
    """True if the source names its colour matrix; then a clip does too, else players guess both alike."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """The width of a pixel over its height."""
    primaries: int = UNSPECIFIED
    """The colour primaries by H.273, table 2."""
    transfer: int = UNSPECIFIED
    """The transfer characteristics by H.273, table 3."""


class StartedFrames:
    """Frames of which the first is decoded at once, so that a source that gives none fails where it is opened.

    Args:
        frames: A generator of the frames.

    Raises:
        EdgesegError: Whatever decoding the first frame raises.
    """

    def __init__(self, frames: Generator[SourceFrame]) -> None:
        self._frames = frames
        self._first = next(frames, None)
        self.is_empty = self._first is None
        """True if there is not one frame."""

    def each(self) -> Iterator[SourceFrame]:
        """Yield every frame, once."""
        first, self._first = self._first, None
        if first is not None:
            yield first
        del first  # a picture that its reader is done with takes no memory
        yield from self._frames

    def close(self) -> None:
        """Let go of the first frame and end the decoder."""
        self._first = None
        self._frames.close()


class Source(AbstractContextManager["Source"], Protocol):
    """Gives frames for one pass; the constructor opens and checks it, leaving the context releases it."""

    @property
    def frame_count(self) -> int | None:
        """The number of frames that there should be; None if the file does not say."""
        ...

    @property
    def timing(self) -> ClipTiming:
        """The timing for a clip of these frames."""
        ...

    @property
    def sound(self) -> Sound | None:
        """The sound beside the frames; None if there is none."""
        ...

    @property
    def lost_frames(self) -> int:
        """The number of pictures so far that could not be decoded and were left out."""
        ...

    def frames(self) -> Iterator[SourceFrame]:
        """Yield every frame in order of presentation; one pass only."""
        ...
