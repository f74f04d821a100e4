"""Which frames of a source to look at: `a:b` as Python counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from edgeseg.errors import UsageError
from edgeseg.runtime.stream.sources import Source, SourceFrame

_FORM = re.compile(r"(-?\d+)?:(-?\d+)?")


@dataclass(frozen=True)
class FrameRange:
    """The frames from `first` on and before `end`, counted from 0; negative numbers count from the source's end."""

    first: int | None = None
    end: int | None = None

    @classmethod
    def parse(cls, text: str) -> FrameRange:
        """Read ``550:1100``, ``:300``, ``-300:`` or ``:``.

        Raises:
            UsageError: Something else.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise UsageError(
                f"{text!r} is no range of frames",
                expected="FIRST:END, either of them left out or negative: 550:1100, :300, -300:",
            )
        first, end = (None if part is None else int(part) for part in found.groups())
        return cls(first, end)

    def __str__(self) -> str:
        return ":".join("" if part is None else str(part) for part in (self.first, self.end))

    def bounds(self, frame_count: int | None) -> tuple[int, int | None]:
        """First frame and the one to stop before; None where the source's end decides.

        Args:
            frame_count: Of the source; None where it does not say.

        Raises:
            UsageError: A negative number, and a source that does not say how long it is.
        """
        if frame_count is not None:
            first, end, _ = slice(self.first, self.end).indices(frame_count)
            # The header of a video may count too few frames: only an end that was named ends it.
            return first, None if self.end is None else max(first, end)
        if (self.first or 0) < 0 or (self.end or 0) < 0:
            raise UsageError(
                f"the frames {self} cannot be counted from the end",
                found="a video whose header does not say how many frames it has",
                expected="numbers from 0 on",
            )
        return self.first or 0, None if self.end is None else max(self.first or 0, self.end)

    def of(self, source: Source) -> Iterator[SourceFrame]:
        """The chosen frames of an open source, which this consumes as far as needed.

        Raises:
            UsageError: No frame lies in the range; see `bounds` too.
        """
        first, end = self.bounds(source.frame_count)
        if end is not None and end <= first:
            raise self._empty(source.frame_count)
        count = 0
        for frame in source.frames():
            if frame.index >= first:
                count += 1
                yield frame
            if end is not None and frame.index + 1 >= end:
                break
        if count == 0:
            raise self._empty(source.frame_count)

    def _empty(self, frame_count: int | None) -> UsageError:
        found = "a source of unknown length" if frame_count is None else f"a source of {frame_count} frames"
        return UsageError(f"there is no frame in the range {self}", found=found)


ALL_FRAMES = FrameRange()
