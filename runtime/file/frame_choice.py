"""The choice of a source's frames: `a:b` or `a:b:step` as Python counts, several with commas between."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.runtime.video.source import Source, SourceFrame

_RANGE = re.compile(r"\s*(-?\d+)?:(-?\d+)?(?::([1-9]\d*))?\s*")
_EXPECTED = "FIRST:END or FIRST:END:STEP, several with commas, as Python counts: 550:1100, -300:, 0:550:2, 28:53,60:93"


@dataclass(frozen=True)
class FrameSpan:
    """Every `step`-th frame from `first` on and before `end`; None where the source's end decides."""

    first: int
    end: int | None
    step: int = 1

    def __contains__(self, index: int) -> bool:
        return self.first <= index and not self.is_over(index) and (index - self.first) % self.step == 0

    def is_over(self, index: int) -> bool:
        """Tell whether neither this frame nor a later one lies in the span."""
        return self.end is not None and index >= self.end


@dataclass(frozen=True)
class FrameRange:
    """Every `step`-th frame from `first` on and before `end`; negative numbers count from the source's end."""

    first: int | None = None
    end: int | None = None
    step: int = 1

    def __str__(self) -> str:
        bounds = ":".join("" if part is None else str(part) for part in (self.first, self.end))
        return bounds if self.step == 1 else f"{bounds}:{self.step}"

    def span(self, frame_count: int | None) -> FrameSpan:
        """Give the same range without negative numbers.

        Args:
            frame_count: The source's number of frames; None where it does not say.

        Raises:
            UsageError: No frame lies in the range, or one counts from the end of an unknown length.
        """
        if frame_count is None and ((self.first or 0) < 0 or (self.end or 0) < 0):
            raise UsageError(
                f"the frames {self} cannot be counted from the end",
                found="a video whose header does not say how many frames it has",
                expected="numbers from 0 on",
            )
        first, end = self.first or 0, self.end
        if frame_count is not None:
            first, end, _ = slice(self.first, self.end).indices(frame_count)
            # The header of a video may count too few frames: only an end that was named ends it.
            end = None if self.end is None else end
        if end is not None and end <= first:
            raise self.empty(frame_count)
        return FrameSpan(first, end, self.step)

    def empty(self, frame_count: int | None) -> UsageError:
        """Make the error for a source that has no such frame."""
        found = "a source of unknown length" if frame_count is None else f"a source of {frame_count} frames"
        return UsageError(f"there is no frame in the range {self}", found=found)


@dataclass(frozen=True)
class FrameChoice:
    """The frames that lie in one of several ranges, each once and in the source's order."""

    ranges: tuple[FrameRange, ...] = (FrameRange(),)

    @classmethod
    def parse(cls, text: str) -> FrameChoice:
        """Read ``550:1100``, ``:300``, ``-300:``, ``0:550:2``, ``28:53,60:93`` or ``:``.

        Raises:
            UsageError: It is something else.
        """
        return cls(tuple(_parse_range(part, text) for part in text.split(",")))

    def __str__(self) -> str:
        return ",".join(str(part) for part in self.ranges)

    def spans(self, frame_count: int | None) -> tuple[FrameSpan, ...]:
        """Give the ranges without negative numbers; see `FrameRange.span`."""
        return tuple(part.span(frame_count) for part in self.ranges)

    def indices(self, frame_count: int) -> list[int]:
        """List the chosen ones of `frame_count` frames, ascending."""
        spans = self.spans(frame_count)
        return [index for index in range(frame_count) if any(index in span for span in spans)]

    def of(self, source: Source) -> Iterator[SourceFrame]:
        """Give the chosen frames of an open source, which this consumes as far as needed.

        Raises:
            UsageError: No frame lies in one of the ranges; see `FrameRange.span` too.
        """
        spans = self.spans(source.frame_count)
        met: set[FrameSpan] = set()
        for frame in source.frames():
            inside = {span for span in spans if frame.index in span}
            met |= inside
            if inside:
                yield frame
            if all(span.is_over(frame.index + 1) for span in spans):
                break
        for part, span in zip(self.ranges, spans, strict=True):
            if span not in met:
                raise part.empty(source.frame_count)


ALL_FRAMES = FrameChoice()


def split_choice(text: str) -> tuple[Path, FrameChoice]:
    """Split ``PATH`` or ``PATH@FRAMES`` into path and frames; a path that exists as it stands is taken whole.

    Raises:
        UsageError: What follows the last @ is no choice of frames.
    """
    head, mark, frames = text.rpartition("@")
    if not mark or Path(text).exists():
        return Path(text), ALL_FRAMES
    return Path(head), FrameChoice.parse(frames)


def _parse_range(part: str, text: str) -> FrameRange:
    found = _RANGE.fullmatch(part)
    if found is None:
        raise UsageError(f"{text!r} is no range of frames", expected=_EXPECTED)
    first, end = (None if bound is None else int(bound) for bound in found.group(1, 2))
    return FrameRange(first, end, int(found[3] or 1))
