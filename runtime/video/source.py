"""What gives frames: each decoded picture, and what a clip of them takes over."""

from __future__ import annotations

from collections.abc import Iterator
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
    """One picture of a file or a live source, and when it came. Times are of `time.monotonic_ns`."""

    index: int
    """0 for the first; live it counts on over reconnections."""
    arrived_ns: int
    """When the source gave the data of this frame, before they were decoded; of a file, when reading it began."""
    decoded_ns: int
    """When the picture was there."""
    pts: int
    """Presentation time in units of `time_base`; strictly increasing over a source, over reconnections too."""
    time_base: Fraction
    """Seconds."""
    picture: Picture
    """Upright."""
    damaged: bool = False
    """The decoder patched missing parts with guesses."""
    stem: str = ""
    """The name of the image that it was read from, without suffix; empty for video."""

    @property
    def name(self) -> str:
        """The name, without suffix, of files made from it: ``frame_000000`` for video, the stem for an image."""
        return self.stem or f"frame_{self.index:06d}"

    @property
    def decode_ns(self) -> int:
        """How long reading and decoding took."""
        return self.decoded_ns - self.arrived_ns

    @property
    def image(self) -> Frame:
        """The picture as uint8 [H,W,3] BGR; of a video it has to be converted."""
        return self.picture.bgr

    def __repr__(self) -> str:
        size = f"{self.picture.width}x{self.picture.height}"
        return f"SourceFrame({self.name}, {size}, {float(self.pts * self.time_base):.3f} s)"


@dataclass(frozen=True)
class ClipTiming:
    """What a clip must take over from its source, beside the frames."""

    time_base: Fraction
    rate: Fraction
    """Frames a second, on average."""
    states_matrix: bool = False
    """Whether the source names its colour matrix; then a clip does too, else players guess both alike."""
    sample_aspect_ratio: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    primaries: int = UNSPECIFIED
    """Colour primaries by H.273, table 2."""
    transfer: int = UNSPECIFIED
    """Transfer characteristics by H.273, table 3."""


class Source(AbstractContextManager["Source"], Protocol):
    """Frames for one pass; opened and checked by its constructor, released by leaving the context."""

    @property
    def frame_count(self) -> int | None:
        """How many frames there should be; None where the file does not say."""
        ...

    @property
    def timing(self) -> ClipTiming:
        """For a clip of these frames."""
        ...

    @property
    def sound(self) -> Sound | None:
        """What is heard beside them; None where there is none."""
        ...

    @property
    def lost_frames(self) -> int:
        """Pictures so far that could not be decoded and were left out."""
        ...

    def frames(self) -> Iterator[SourceFrame]:
        """Every frame in order of presentation; one pass only."""
        ...
